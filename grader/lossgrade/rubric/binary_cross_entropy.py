"""`binary_cross_entropy(targets, probabilities)`: the loss of one probability per example."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lossgrade import oracle
from lossgrade.criterion import Failure, criterion
from lossgrade.language import later, say
from lossgrade.rubric import contract
from lossgrade.rubric.cases import Case, ordinary_shape
from lossgrade.rubric.cross_entropy import arguments
from lossgrade.rubric.derivatives import expect_gradient

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lossgrade.student import Returned
    from lossgrade.trial import Trial

CONTRACT = (
    contract.keeps_library,
    contract.float_result,
    contract.input_unchanged,
    contract.no_memory,
)

HINT = later("The loss is -(y * log(p) + (1 - y) * log(1 - p)), with the natural log.")
ZERO_HINT = later(
    "0 * log(0) is NaN in floating point: pick p or 1 - p by the target, use xlogy, or clamp p."
)


def draw(trial: Trial, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return probabilities (N,) in [0.05, 0.95] and targets (N,), 0 and 1 both among them."""
    targets = trial.rng.integers(0, 2, n).astype(np.float64)
    if n >= 2:
        targets[:2] = trial.rng.permutation([0, 1])
    return trial.rng.uniform(0.05, 0.95, n), targets


def reference(
    trial: Trial, probabilities: NDArray[Any], targets: NDArray[Any]
) -> NDArray[np.float64]:
    """Return what is due for what the function is given, rounding to its dtype included."""
    losses = oracle.binary_cross_entropy(
        probabilities.astype(np.float64), targets.astype(np.float64)
    )
    return oracle.reduce(losses, trial.reduction)  # type: ignore[arg-type]  # the model allows only reductions


def ask(trial: Trial, probabilities: NDArray[Any], targets: NDArray[Any]) -> Returned:
    """Call the function; a column of losses, or a number in an array, loses result_shape alone."""
    found = trial.call(*arguments(trial, probabilities, targets))
    due = (len(targets),) if trial.reduction == "none" else ()
    in_an_array = (*due, 1) if due else (1,)
    if found.shape == in_an_array:
        return replace(found, values=found.values.reshape(due))
    return found


def compare(
    trial: Trial,
    probabilities: NDArray[Any],
    targets: NDArray[Any],
    what: str = "",
    hint: str = "",
) -> None:
    """Expect the losses, or their reduction."""
    what = what or say(
        "{name} of {n} examples ({dtype})",
        name=trial.name,
        n=len(targets),
        dtype=probabilities.dtype,
    )
    expected = reference(trial, probabilities, targets)
    trial.expect(ask(trial, probabilities, targets), expected, what, hint=hint or say(HINT))


def ordinary(trial: Trial) -> Case:
    """Draw the arguments of one call."""
    probabilities, targets = map(trial.array, draw(trial, ordinary_shape(trial)[0]))
    expected = reference(trial, probabilities, targets)
    what = say("{name} of {n} examples", name=trial.name, n=len(targets))
    return Case(arguments(trial, probabilities, targets), expected, what)


def reduction(trial: Trial) -> str:
    """Return which of the accepted reductions the function uses, as one call shows.

    Raises:
        Failure: the call gave no value.
    """
    accepted: list[str] = trial.spec.reduction
    if len(accepted) == 1:
        return accepted[0]
    trial.reduction = "none"
    case = ordinary(trial)
    found = trial.call(*case.arguments).values.astype(np.float64)
    scalars = [each for each in accepted if each != "none"]
    if found.size != 1 or not scalars:
        return "none" if "none" in accepted else accepted[0]
    off = [abs(float(found.sum()) - oracle.reduce(case.expected, each)) for each in scalars]  # type: ignore[arg-type]  # the model allows only reductions
    return scalars[int(np.argmin(off))]


# --- values --------------------------------------------------------------------------------------


@criterion(points=2, kind="values")
def lecture_figures(trial: Trial) -> None:
    """The lecture's probabilities have the lecture's losses."""
    for figure in trial.figures():
        probabilities = trial.array(np.atleast_1d(figure.inputs["probabilities"]))
        targets = trial.array(np.atleast_1d(figure.inputs["targets"]))
        compare(
            trial, probabilities, targets, say("{name} of the lecture's example", name=trial.name)
        )


@criterion(points=3, kind="values")
def random_float32(trial: Trial) -> None:
    """Fresh float32 probabilities have the right losses."""
    for n in (5, 8):
        probabilities, targets = draw(trial, n)
        compare(trial, probabilities.astype(np.float32), targets.astype(np.float32))


@criterion(points=2, kind="values")
def random_float64(trial: Trial) -> None:
    """Fresh float64 probabilities have the right losses."""
    for n in (3, 7):
        compare(trial, *draw(trial, n))


@criterion(points=1, kind="values")
def one_example(trial: Trial) -> None:
    """A single example has its one loss, whichever its target."""
    for target in trial.rng.permutation([0, 1]):
        probabilities, _ = draw(trial, 1)
        what = say("{name} of one example with target {target}", name=trial.name, target=target)
        compare(trial, trial.array(probabilities), trial.array([target]), what)


@criterion(points=1, kind="values")
def only_negatives(trial: Trial) -> None:
    """Examples that all have target 0 cost -log(1 - p)."""
    probabilities, targets = draw(trial, 5)
    compare(trial, trial.array(probabilities), trial.array(0 * targets))


@criterion(points=1, kind="values")
def only_positives(trial: Trial) -> None:
    """Examples that all have target 1 cost -log(p)."""
    probabilities, targets = draw(trial, 5)
    compare(trial, trial.array(probabilities), trial.array(0 * targets + 1))


@criterion(points=2, kind="values")
def zero_probabilities(trial: Trial) -> None:
    """0 log 0 counts as 0: examples that are certain and right add nothing to the others."""
    probabilities, targets = draw(trial, 6)
    # 0 and 1 are among the certain ones and among the others.
    targets[2:4] = probabilities[2:4] = (0, 1)
    order = trial.rng.permutation(6)
    what = say("{name} with certain and right predictions among others", name=trial.name)
    compare(
        trial, trial.array(probabilities[order]), trial.array(targets[order]), what, say(ZERO_HINT)
    )


# --- laws ----------------------------------------------------------------------------------------


@criterion(points=1)
def never_negative(trial: Trial) -> None:
    """No loss is negative."""
    values = ask(trial, *map(trial.array, draw(trial, 6))).values.astype(np.float64)
    if not (values >= -1e-6).all():  # log(1 + 1e-7), where rounding or a clamp exceeds 1
        raise Failure(
            say(
                "{name} returned {found:.6g}, expected a loss of 0 or more",
                name=trial.name,
                found=values[~(values >= -1e-06)][0],
            ),
            say("The log of a probability is negative: the loss is minus it."),
        )


@criterion(points=1)
def zero_at_certainty(trial: Trial) -> None:
    """A certain and right prediction costs nothing."""
    _, targets = draw(trial, 5)
    given = trial.array(targets)
    expected = reference(trial, given, given)
    what = say("{name} of certain and right predictions", name=trial.name)
    # A clamp at 1e-7, the least that float32 takes at 1, costs 1e-7 an example.
    trial.expect(ask(trial, given, given.copy()), expected, what, hint=say(ZERO_HINT))


@criterion(points=1)
def log_2_at_one_half(trial: Trial) -> None:
    """A probability of 0.5 costs log 2 = 0.693147, whichever the target."""
    _, targets = draw(trial, 4)
    losses = oracle.reduce(np.full(4, math.log(2)), trial.reduction)  # type: ignore[arg-type]  # the model allows only reductions
    found = ask(trial, trial.array(np.full(4, 0.5)), trial.array(targets))
    trial.expect(
        found, losses, say("{name} of probabilities of 0.5", name=trial.name), hint=say(HINT)
    )


@criterion(points=1)
def relabelling(trial: Trial) -> None:
    """Exchanging the two classes, 1 - y for y and 1 - p for p, changes no loss."""
    probabilities, targets = draw(trial, 6)
    before = ask(trial, trial.array(probabilities), trial.array(targets))
    after = ask(trial, trial.array(1 - probabilities), trial.array(1 - targets))
    trial.expect(
        after,
        before.values.astype(np.float64),
        say("{name} with the two classes exchanged", name=trial.name),
        hint=say("The term of the 0s mirrors that of the 1s: 1 - y for y, 1 - p for p."),
    )


@criterion(points=1)
def two_class_cross_entropy(trial: Trial) -> None:
    """The loss is the cross entropy of two classes with probabilities 1 - p and p."""
    probabilities, targets = map(trial.array, draw(trial, 6))
    p = probabilities.astype(np.float64)
    losses = oracle.cross_entropy(np.stack([1 - p, p], axis=1), targets.astype(np.int64))
    expected = oracle.reduce(losses, trial.reduction)  # type: ignore[arg-type]  # the model allows only reductions
    what = say("{name}, against the cross entropy of two classes", name=trial.name)
    trial.expect(ask(trial, probabilities, targets), expected, what, hint=say(HINT))


@criterion(points=1)
def example_permutation(trial: Trial) -> None:
    """Reordering the examples reorders the losses, and leaves their mean and sum."""
    probabilities, targets = map(trial.array, draw(trial, 6))
    order = trial.rng.permutation(6)
    before = ask(trial, probabilities, targets).values.astype(np.float64)
    trial.expect(
        ask(trial, probabilities[order], targets[order]),
        before[order] if before.shape == (6,) else before,
        say("{name} with the examples in the order {order}", name=trial.name, order=order.tolist()),
    )


@criterion(points=1)
def repeated_batch(trial: Trial) -> None:
    """A batch given twice over has its losses twice: twice the sum, the same mean."""
    probabilities, targets = map(trial.array, draw(trial, 5))
    once = ask(trial, probabilities, targets)
    trial.expect_shape(
        once,
        (5,) if trial.reduction == "none" else (),
        say("{name} of 5 examples", name=trial.name),
    )
    before = once.values.astype(np.float64)
    expected = {"none": np.tile(before, 2), "mean": before, "sum": 2 * before}[trial.reduction]
    trial.expect(
        ask(trial, np.tile(probabilities, 2), np.tile(targets, 2)),
        expected,
        say(
            "{name} of a batch given twice over ({reduction})",
            name=trial.name,
            reduction=trial.reduction,
        ),
        hint=say("The mean is the sum over N, the number of examples in the batch."),
    )


@criterion(points=2)
def gradient(trial: Trial) -> None:
    """The gradient of sigmoid and this loss together is probability - target."""
    n = 5
    _, targets = draw(trial, n)
    logits = trial.rng.uniform(-1.5, 1.5, n)
    p = oracle.sigmoid(logits)
    expect_gradient(
        trial,
        lambda given: arguments(trial, given, targets.astype(given.dtype)),
        logits,
        (p - targets) / (n if trial.reduction == "mean" else 1),
        say("{name} of the reference sigmoid: the gradient by the net inputs", name=trial.name),
        by=0 if trial.spec.order == "prediction-first" else 1,
        given=oracle.sigmoid,
        carried=lambda by_p: by_p * p * (1 - p),
        weights=np.ones(n) if trial.reduction == "none" else None,
    )


# --- contract and robust -------------------------------------------------------------------------


@criterion(points=2, kind="contract")
def result_shape(trial: Trial) -> None:
    """The result has the shape that was asked for: (N,) losses, or () when reduced."""
    for n in (5, 1):
        probabilities, targets = map(trial.array, draw(trial, n))
        found = trial.call(*arguments(trial, probabilities, targets))
        shape = (n,) if trial.reduction == "none" else ()
        what = (
            say("{name} of 1 example", name=trial.name)
            if n == 1
            else say("{name} of {n} examples", name=trial.name, n=n)
        )
        trial.expect_shape(found, shape, what)


@criterion(points=1, kind="robust")
def certain_and_wrong(trial: Trial) -> None:
    """A certain and wrong prediction costs infinity, or as much as a clamp inside the log gives."""
    for target in (0.0, 1.0):
        found = ask(trial, trial.array([1 - target]), trial.array([target]))
        value = float(found.values.astype(np.float64).sum())
        # A clamp at 1e-7, the least that float32 takes at 1, gives 15.9; PyTorch's gives 100.
        if not value >= 15:
            raise Failure(
                say(
                    "{name} of the probability {p:g} with target {target:g}: found "
                    "{value:.6g}, expected infinity, or 15.9 to 100 with a clamp",
                    name=trial.name,
                    p=1 - target,
                    target=target,
                    value=value,
                ),
                say("Clamp inside the log at 1e-7 or less, or leave the infinity."),
            )


@criterion(points=1, kind="robust")
def soft_targets(trial: Trial) -> None:
    """Targets between 0 and 1 weight the two terms."""
    probabilities, _ = draw(trial, 5)
    targets = trial.rng.uniform(0.1, 0.9, 5)
    what = say("{name} with targets between 0 and 1", name=trial.name)
    compare(trial, trial.array(probabilities), trial.array(targets), what)


@criterion(points=1, kind="robust")
def integer_targets(trial: Trial) -> None:
    """Integer targets give the same losses as the floats they equal."""
    probabilities, targets = draw(trial, 5)
    what = say("{name} with targets of dtype int64", name=trial.name)
    compare(trial, trial.array(probabilities), targets.astype(np.int64), what)


@criterion(points=1, kind="robust", when=lambda spec: set(spec.reduction) != {"mean"})
def empty_batch(trial: Trial) -> None:
    """A batch of no examples has no losses, and their sum is 0."""
    if trial.reduction != "mean":
        nothing = trial.array(np.empty(0))
        compare(trial, nothing, nothing.copy(), say("{name} of an empty batch", name=trial.name))
