"""`cross_entropy(prediction, targets)` under any convention of its two arguments and its result."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lossgrade import oracle
from lossgrade.criterion import Failure, criterion
from lossgrade.language import say
from lossgrade.rubric import contract
from lossgrade.rubric.cases import (
    Case,
    draw_labels,
    draw_logits,
    draw_probabilities,
    ordinary_shape,
    stack_of,
)
from lossgrade.rubric.gradients import cross_entropy_gradient

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from lossgrade.student import Returned
    from lossgrade.trial import Trial

CONTRACT = (
    contract.keeps_library,
    contract.float_result,
    contract.input_unchanged,
    contract.no_memory,
)


def batched(spec: Any) -> bool:
    """Say whether the function takes a batch."""
    return bool(spec.examples == "batch")


# --- the convention ------------------------------------------------------------------------------


def prediction(trial: Trial, log_probabilities: NDArray[Any], dtype: str = "") -> NDArray[Any]:
    """Return the prediction in the form that the function takes."""
    kind = trial.spec.prediction
    if kind == "probabilities":
        return trial.array(np.exp(log_probabilities), dtype)
    # Any logits will do: those whose rows do not sum to 1 tell logits from log-probabilities.
    return trial.array(log_probabilities + (0.7 if kind == "logits" else 0), dtype)


def encoded(trial: Trial, targets: NDArray[Any], dtype: str = "") -> NDArray[Any]:
    """Return class probabilities (N, C) in the form that the function takes."""
    if trial.spec.targets == "class-indices":
        return oracle.class_label(targets)
    return trial.array(targets, dtype)


def arguments(trial: Trial, predicted: NDArray[Any], targets: NDArray[Any]) -> tuple[Any, ...]:
    """Return both arguments in their order."""
    if getattr(trial.spec, "axis", 1) == 0:
        predicted, targets = np.ascontiguousarray(predicted.T), np.ascontiguousarray(targets.T)
    first = trial.spec.order == "prediction-first"
    return (predicted, targets) if first else (targets, predicted)


def reference(trial: Trial, predicted: NDArray[Any], targets: NDArray[Any]) -> NDArray[Any]:
    """Return the losses (N,) of what the function is given, rounding to its dtype included."""
    given = predicted.astype(np.float64)
    classes = targets if targets.ndim == 1 else targets.astype(np.float64)
    losses = {
        "probabilities": oracle.cross_entropy,
        "logits": oracle.cross_entropy_from_logits,
        "log-probabilities": oracle.nll_loss,
    }[trial.spec.prediction](given, classes)
    return losses / _ln(trial.spec.log_base)


def reduction(trial: Trial) -> str:
    """Return which of the accepted reductions the function uses, as one call shows.

    Raises:
        Failure: the call gave no value.
    """
    accepted: Sequence[str] = trial.spec.reduction
    if len(accepted) == 1 or getattr(trial.spec, "examples", "batch") == "single":
        return accepted[0]
    trial.reduction = "none"
    case = trial.ordinary()
    found = trial.call(*case.arguments)
    scalars = [each for each in accepted if each != "none"]
    if found.values.size > 1 and "none" in accepted:
        return "none"
    off = [abs(float(found.values.sum()) - oracle.reduce(case.expected, r)) for r in scalars]  # type: ignore[arg-type]  # the model allows only reductions
    return scalars[int(np.argmin(off))] if found.values.size == 1 else accepted[0]


def ask(trial: Trial, predicted: NDArray[Any], targets: NDArray[Any]) -> Returned:
    """Call the function on a batch, or on each example of it."""
    return next(ask_each(trial, [(predicted, targets)]))


def ask_each(
    trial: Trial, batches: Sequence[tuple[NDArray[Any], NDArray[Any]]]
) -> Iterator[Returned]:
    """Call the function on each of several batches, as `ask` does on one."""
    if not batched(trial.spec):
        for batch in batches:
            each = list(trial.calls([arguments(trial, p, t) for p, t in zip(*batch, strict=True)]))
            for one in each:
                trial.expect_shape(one, (), say("{name} of one example", name=trial.name))
            yield replace(each[0], values=np.array([one.values for one in each]))
        return
    cases = [arguments(trial, *batch) for batch in batches]
    for (predicted, _), found in zip(batches, trial.calls(cases), strict=True):
        if found.shape == column(trial, len(predicted)) and trial.reduction == "none":
            # A column of the right losses loses result_shape alone.
            yield replace(found, values=found.values.reshape(-1))
        else:
            yield found


def column(trial: Trial, n: int) -> tuple[int, int]:
    """Return the shape of N losses whose class axis is kept."""
    return (n, 1) if trial.spec.axis == 1 else (1, n)


def due(trial: Trial, losses: NDArray[Any]) -> NDArray[Any]:
    """Return what `ask` should return for these losses."""
    return losses if not batched(trial.spec) else oracle.reduce(losses, trial.reduction)  # type: ignore[arg-type]  # the model allows only reductions


def compare(
    trial: Trial,
    log_probabilities: NDArray[Any],
    targets: NDArray[Any],
    what: str = "",
    hint: str = "",
    dtype: str = "",
    tolerance: float | None = None,
) -> None:
    """Expect the losses of a prediction at `targets`: class probabilities (N, C)."""
    compare_each(trial, [(log_probabilities, targets)], what, hint, dtype, tolerance)


def compare_each(
    trial: Trial,
    batches: Sequence[tuple[NDArray[Any], NDArray[Any]]],
    what: str = "",
    hint: str = "",
    dtype: str = "",
    tolerance: float | None = None,
) -> None:
    """Expect the losses of several predictions, each at its targets."""
    given = [(prediction(trial, p, dtype), encoded(trial, t, dtype)) for p, t in batches]
    for (predicted, targets), found in zip(given, ask_each(trial, given), strict=True):
        trial.expect(
            found,
            due(trial, reference(trial, predicted, targets)),
            what
            or say(
                "{name} of {batch} ({dtype})",
                name=trial.name,
                batch=stack_of(*predicted.shape),
                dtype=predicted.dtype,
            ),
            hint=hint,
            tolerance=tolerance,
        )


def _ln(base: str) -> float:
    return 1.0 if base == "e" else math.log(float(base))


def draw(trial: Trial, n: int, c: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Draw log-probabilities (N, C) and targets as class probabilities (N, C)."""
    labels = draw_labels(trial, n, c)
    log_probabilities = np.log(draw_probabilities(trial, n, c, labels))
    if trial.spec.targets == "class-probabilities" and trial.rng.random() < 0.7:
        return log_probabilities, draw_probabilities(trial, n, c)
    return log_probabilities, oracle.one_hot(labels, c)


def ordinary(trial: Trial) -> Case:
    """Draw the arguments of one call."""
    log_probabilities, targets = draw(trial, *ordinary_shape(trial))
    predicted, given = prediction(trial, log_probabilities), encoded(trial, targets)
    losses = reference(trial, predicted, given)
    if not batched(trial.spec):
        return Case(
            arguments(trial, predicted[0], given[0]),
            losses[0],
            say("{name} of one example", name=trial.name),
        )
    what = say("{name} of {batch}", name=trial.name, batch=stack_of(*predicted.shape))
    expected = due(trial, losses)
    if trial.spec.result == "column" and trial.reduction == "none":
        expected = expected.reshape(column(trial, len(losses)))
    return Case(arguments(trial, predicted, given), expected, what)


# --- values --------------------------------------------------------------------------------------


@criterion(points=2, kind="values")
def lecture_losses(trial: Trial) -> None:
    """The lecture's predictions have the lecture's losses."""
    seen = set()
    for figure in trial.figures():
        inputs = {name: np.atleast_2d(value) for name, value in figure.inputs.items()}
        with np.errstate(divide="ignore"):
            if "probabilities" in inputs:
                log_probabilities = np.log(inputs["probabilities"])
            else:
                given = inputs["logits"] if "logits" in inputs else inputs["log_probabilities"]
                log_probabilities = oracle.log_softmax(given)
        targets = np.array(figure.inputs["targets"])
        if targets.dtype.kind == "i":
            targets = oracle.one_hot(targets, log_probabilities.shape[1])
        key = (np.round(log_probabilities, 6).tobytes(), targets.tobytes())
        if key not in seen:
            seen.add(key)
            if figure.spoken:
                what = say(
                    "{name} of the lecture's example, which says {spoken}",
                    name=trial.name,
                    spoken=figure.spoken,
                )
            else:
                what = say("{name} of the lecture's example", name=trial.name)
            compare(trial, log_probabilities, np.atleast_2d(targets), what)


@criterion(points=3, kind="values")
def random_float32(trial: Trial) -> None:
    """Fresh float32 predictions have the right losses."""
    compare_each(trial, [draw(trial, n, c) for n, c in ((12, 3), (5, 7))], dtype="float32")


@criterion(points=2, kind="values")
def random_float64(trial: Trial) -> None:
    """Fresh float64 predictions have the right losses."""
    compare_each(trial, [draw(trial, n, c) for n, c in ((6, 4), (9, 2))], dtype="float64")


@criterion(points=1, kind="values")
def one_example(trial: Trial) -> None:
    """A batch of one example has its one loss."""
    first, second = trial.rng.choice(4, 2, replace=False)
    labels = np.array([[first], [second], *trial.rng.integers(0, 4, (10, 1))])
    predictions = [np.log(draw_probabilities(trial, 1, 4, label)) for label in labels]
    targets = [oracle.one_hot(label, 4) for label in labels]
    compare_each(trial, list(zip(predictions, targets, strict=True)))


@criterion(points=2, kind="values")
def square_batch(trial: Trial) -> None:
    """As many examples as classes have a loss for each example."""
    hint = say("Is the sum taken over the classes of each example?")
    compare_each(trial, [draw(trial, n, n) for n in (4, 6, 9)], hint=hint)


@criterion(points=1, kind="values")
def two_classes(trial: Trial) -> None:
    """Two classes have the right losses."""
    compare(trial, *draw(trial, 24, 2))


@criterion(points=1, kind="values")
def many_classes(trial: Trial) -> None:
    """A hundred classes have the right losses."""
    compare(trial, *draw(trial, 4, 100))


# --- laws ----------------------------------------------------------------------------------------


@criterion(points=1)
def never_negative(trial: Trial) -> None:
    """No loss is negative."""
    log_probabilities, targets = draw(trial, *ordinary_shape(trial))
    found = ask(trial, prediction(trial, log_probabilities), encoded(trial, targets))
    values = found.values.astype(np.float64)
    if not (values >= -1e-6).all():
        lowest = values.min() if not np.isnan(values).any() else np.nan
        raise Failure(
            say(
                "{name} returned {found:.6g}, expected a loss of 0 or more",
                name=trial.name,
                found=lowest,
            ),
            say("The log of a probability is negative: the loss is minus it."),
        )


@criterion(points=1, when=lambda spec: spec.prediction == "probabilities")
def zero_at_certainty(trial: Trial) -> None:
    """The loss is 0 where the true class has probability 1."""
    n, c = ordinary_shape(trial)
    targets = oracle.one_hot(draw_labels(trial, n, c), c)
    # 1e-30 rather than 0: the lecture's own solution gives NaN for 0 log 0.
    predicted = trial.array(np.where(targets == 1, 1.0, 1e-30))
    given = encoded(trial, targets)
    found = ask(trial, predicted, given)
    trial.expect(
        found,
        due(trial, np.zeros(n)),
        say("{name} where the true class has probability 1", name=trial.name),
        tolerance=1e-6,
    )


@criterion(points=1, when=lambda spec: spec.prediction != "logits")
def only_true_class_counts(trial: Trial) -> None:
    """Only the probability of the true class counts, as if it were picked by its index."""
    n, c = ordinary_shape(trial)
    c = max(c, 3)
    labels = draw_labels(trial, n, c)
    targets = oracle.one_hot(labels, c)
    log_probabilities = np.log(draw_probabilities(trial, n, c, labels))
    # The probability of the wrong classes, dealt out anew.
    others = np.where(targets == 1, 0, draw_probabilities(trial, n, c))
    true = np.exp(log_probabilities) * targets
    left = 1 - true.sum(axis=1, keepdims=True)
    dealt = np.log(true + left * others / others.sum(axis=1, keepdims=True))
    given = encoded(trial, targets)
    predictions = prediction(trial, log_probabilities), prediction(trial, dealt)
    before, after = ask_each(trial, [(predicted, given) for predicted in predictions])
    trial.expect_shape(after, before.shape, say("{name} of another prediction", name=trial.name))
    trial.expect_values(
        after.values,
        before.values.astype(np.float64),
        say("{name} with the wrong classes' probabilities dealt out anew", name=trial.name),
        hint=say("With a one-hot target the loss is -log of the true class's probability alone."),
    )


@criterion(points=1, when=batched)
def example_permutation(trial: Trial) -> None:
    """Reordering the examples reorders the losses, and leaves their mean and sum."""
    log_probabilities, targets = draw(trial, *ordinary_shape(trial))
    order = trial.rng.permutation(len(targets))
    predicted, given = prediction(trial, log_probabilities), encoded(trial, targets)
    before, after = ask_each(trial, [(predicted, given), (predicted[order], given[order])])
    trial.expect_shape(after, before.shape, say("{name} of reordered examples", name=trial.name))
    expected = before.values
    if before.shape == (len(order),):
        expected = expected[order]
    trial.expect_values(
        after.values,
        expected.astype(np.float64),
        say("{name} with the examples in the order {order}", name=trial.name, order=order.tolist()),
    )


@criterion(points=1)
def class_permutation(trial: Trial) -> None:
    """Reordering the classes of prediction and target alike changes no loss."""
    log_probabilities, targets = draw(trial, *ordinary_shape(trial))
    order = trial.rng.permutation(targets.shape[1])
    again = np.ascontiguousarray(log_probabilities[:, order])
    before, after = ask_each(
        trial,
        [
            (prediction(trial, log_probabilities), encoded(trial, targets)),
            (prediction(trial, again), encoded(trial, targets[:, order])),
        ],
    )
    trial.expect_shape(after, before.shape, say("{name} of reordered classes", name=trial.name))
    trial.expect_values(
        after.values,
        before.values.astype(np.float64),
        say("{name} with the classes in the order {order}", name=trial.name, order=order.tolist()),
    )


@criterion(points=1, when=batched)
def repeated_batch(trial: Trial) -> None:
    """A batch given twice over has its losses twice: twice the sum, the same mean."""
    log_probabilities, targets = draw(trial, *ordinary_shape(trial))
    predicted, given = prediction(trial, log_probabilities), encoded(trial, targets)
    double = np.concatenate([predicted] * 2), np.concatenate([given] * 2)
    once, twice = ask_each(trial, [(predicted, given), double])
    before = once.values.astype(np.float64)
    if trial.reduction == "none":
        trial.expect_shape(
            once,
            (len(given),),
            say("{name} of {batch}", name=trial.name, batch=stack_of(*predicted.shape)),
        )
    expected = {"none": np.concatenate([before] * 2) if before.ndim else before,
                "mean": before, "sum": 2 * before}[trial.reduction]  # fmt: skip
    trial.expect(
        twice,
        expected,
        say(
            "{name} of a batch given twice over ({reduction})",
            name=trial.name,
            reduction=trial.reduction,
        ),
        hint=say("The mean is the sum over N, the number of examples in the batch."),
    )


@criterion(points=2, when=lambda spec: spec.targets != "class-probabilities")
def gradient(trial: Trial) -> None:
    """The gradient of softmax and cross entropy together is probabilities - one-hot."""
    cross_entropy_gradient(trial, prediction, encoded, arguments, ask_each)


# --- contract and robust -------------------------------------------------------------------------


@criterion(points=2, kind="contract")
def result_shape(trial: Trial) -> None:
    """The result has the shape that was asked for: (N,) losses, or () when reduced."""
    for n, c in ((5, 3), (1, 4)) if batched(trial.spec) else ((1, 3),):
        log_probabilities, targets = draw(trial, n, c)
        predicted, given = prediction(trial, log_probabilities), encoded(trial, targets)
        if not batched(trial.spec):
            predicted, given = predicted[0], given[0]
        found = trial.call(*arguments(trial, predicted, given))
        shape: tuple[int, ...] = ()
        if batched(trial.spec) and trial.reduction == "none":
            shape = (n,) if trial.spec.result == "vector" else column(trial, n)
        trial.expect_shape(
            found, shape, say("{name} of {batch}", name=trial.name, batch=stack_of(n, c))
        )


@criterion(points=1, kind="robust", when=lambda spec: spec.prediction == "probabilities")
def zero_probabilities(trial: Trial) -> None:
    """0 log 0 counts as 0: a wrong class of probability 0 adds nothing."""
    labels = draw_labels(trial, 3, 4)
    targets = oracle.one_hot(labels, 4)
    probabilities = draw_probabilities(trial, 3, 4, labels)
    probabilities[np.arange(3), (labels + 1) % 4] = 0
    with np.errstate(divide="ignore"):
        log_probabilities = np.log(probabilities / probabilities.sum(axis=1, keepdims=True))
    compare(
        trial,
        log_probabilities,
        targets,
        say("{name} with a wrong class at probability 0", name=trial.name),
        say("0 * log(0) is NaN in floating point: pick the true class, or clamp inside the log."),
    )


@criterion(points=1, kind="robust", when=lambda spec: spec.prediction == "probabilities")
def certain_and_wrong(trial: Trial) -> None:
    """A true class of probability 0 costs infinity, or as much as a clamp inside the log gives."""
    labels = draw_labels(trial, 1, 3)
    probabilities = oracle.one_hot((labels + 1) % 3, 3)
    predicted, given = trial.array(probabilities), encoded(trial, oracle.one_hot(labels, 3))
    value = float(ask(trial, predicted, given).values.astype(np.float64).sum())
    # A clamp at 1e-8 gives 18.4, at 1e-15 34.5; the smallest float32 gives 103.
    if not value >= 15:
        raise Failure(
            say(
                "{name} of a true class at probability 0: found {value:.6g}, "
                "expected infinity, or 18 to 37 with a clamp",
                name=trial.name,
                value=value,
            ),
            say("Clamp inside the log at 1e-8 or less, or leave the infinity."),
        )


@criterion(points=1, kind="robust", when=lambda spec: spec.prediction == "logits")
def large_logits(trial: Trial) -> None:
    """Net inputs as large as 10,000 have finite, right losses."""
    for scale in (100.0, 1000.0, 10_000.0):
        labels = draw_labels(trial, 3, 4)
        logits = np.round(np.clip(draw_logits(trial, 3, 4), -1, 1) * scale)
        # The true class far below another, whatever is drawn: its probability underflows to 0.
        logits[0, labels[0]], logits[0, (labels[0] + 1) % 4] = -scale, scale
        targets = oracle.one_hot(labels, 4)
        compare(
            trial,
            logits,
            targets,
            say("{name} of net inputs as large as {scale:g}", name=trial.name, scale=scale),
            # The loss is as large as the net inputs; float32 rounds it by 6e-8 of that, in each
            # of about four steps, and a sum adds three of them up.
            tolerance=max(trial.tolerance, 2e-6 * float(np.abs(logits).max())),
        )


@criterion(
    points=1, kind="robust", when=lambda spec: batched(spec) and set(spec.reduction) != {"mean"}
)
def empty_batch(trial: Trial) -> None:
    """A batch of no examples has no losses, and their sum is 0."""
    if trial.reduction != "mean":
        compare(
            trial,
            np.empty((0, 3)),
            np.empty((0, 3)),
            say("{name} of an empty batch", name=trial.name),
        )


@criterion(points=1, kind="robust", when=lambda spec: spec.targets != "class-probabilities")
def integer_targets(trial: Trial) -> None:
    """Targets of another integer type give the same losses."""
    log_probabilities, targets = draw(trial, 4, 3)
    predicted = prediction(trial, log_probabilities)
    given = encoded(trial, targets)
    small = given.astype(np.int32 if given.ndim == 1 else np.int64)
    expected = due(trial, reference(trial, predicted, given))
    what = say("{name} with targets of dtype {dtype}", name=trial.name, dtype=small.dtype)
    trial.expect(ask(trial, predicted, small), expected, what)
