"""`accuracy(prediction, targets)`: how many predictions are right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lossgrade import oracle
from lossgrade.criterion import criterion
from lossgrade.language import later, say
from lossgrade.rubric import contract, scalar
from lossgrade.rubric.cases import (
    Case,
    draw_labels,
    draw_logits,
    draw_probabilities,
    ordinary_shape,
)
from lossgrade.rubric.cross_entropy import arguments

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lossgrade.trial import Trial

CONTRACT = (
    scalar.number_shape,
    contract.keeps_library,
    contract.input_unchanged,
    contract.no_memory,
)

HINTS = {
    "fraction": later("Count the examples whose predicted class is the target, and divide by N."),
    "percent": later("Count the examples whose predicted class is the target, times 100 over N."),
    "count": later("Count the examples whose predicted class is the target."),
}


def from_logits(spec: Any) -> bool:
    """Say whether the function takes net inputs (N, C) rather than class indices (N,)."""
    return bool(spec.prediction == "logits")


def full(trial: Trial, n: int) -> float:
    """Return the result for N predictions that are all right."""
    return {"fraction": 1.0, "percent": 100.0, "count": float(n)}[trial.spec.result]


def tolerance(trial: Trial) -> float:
    """Return the allowed error; float32 rounds 100 / 3 by 2e-6 in each of a few steps."""
    return trial.tolerance * (10 if trial.spec.result == "percent" else 1)


def draw_classes(
    trial: Trial, n: int, c: int, right: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return predicted classes and targets, (N,) each, of which exactly `right` agree."""
    targets = draw_labels(trial, n, c)
    other = (targets + trial.rng.integers(1, c, n)) % c
    agree = trial.rng.permutation(n) < right
    return np.where(agree, targets, other), targets


def prediction(trial: Trial, classes: NDArray[np.int64], c: int, dtype: str = "") -> NDArray[Any]:
    """Return a prediction of these classes in the form that the function takes."""
    if not from_logits(trial.spec):
        return classes
    logits = draw_logits(trial, len(classes), c)
    rows = np.arange(len(classes))
    # The largest entry changes places with that of the predicted class.
    largest = logits.argmax(axis=1)
    logits[rows, largest], logits[rows, classes] = (
        logits[rows, classes].copy(),
        logits[rows, largest].copy(),
    )
    return trial.array(logits, dtype)


def compare(
    trial: Trial, predicted: NDArray[Any], targets: NDArray[np.int64], what: str = ""
) -> None:
    """Expect how many of the predictions are right."""
    what = what or say(
        "{name} of {n} examples ({dtype})", name=trial.name, n=len(targets), dtype=predicted.dtype
    )
    expected = oracle.accuracy(predicted, targets) * full(trial, len(targets))
    scalar.compare(
        trial,
        arguments(trial, predicted, targets),
        expected,
        what,
        hint=say(HINTS[trial.spec.result]),
        tolerance=tolerance(trial),
    )


def draw(
    trial: Trial, n: int, c: int, right: int, dtype: str = ""
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return a prediction and targets of which exactly `right` agree."""
    classes, targets = draw_classes(trial, n, c, right)
    return prediction(trial, classes, c, dtype), targets


def ordinary(trial: Trial) -> Case:
    """Draw the arguments of one call; neither all nor none of the predictions are right."""
    few, c = ordinary_shape(trial)
    # Many, and never an even number: no guess, one half least of all, is right by chance.
    n = 10 * few + 1
    right = int(trial.rng.integers(1, n))
    predicted, targets = draw(trial, n, c, right)
    expected = np.asarray(right / n * full(trial, n))
    return Case(
        arguments(trial, predicted, targets),
        expected,
        say("{name} of {n} examples", name=trial.name, n=n),
    )


# --- values --------------------------------------------------------------------------------------


@criterion(points=2, kind="values")
def lecture_figures(trial: Trial) -> None:
    """The lecture's predictions are as accurate as the lecture says."""
    for figure in trial.figures():
        rows = np.array(figure.inputs.get("logits", figure.inputs.get("probabilities")))
        predicted = trial.array(rows) if from_logits(trial.spec) else oracle.class_label(rows)
        targets = np.array(figure.inputs["targets"])
        compare(trial, predicted, targets, say("{name} of the lecture's example", name=trial.name))
        # Every whole may have the same accuracy, 2 of 3: the last example alone has not.
        what = say("{name} of the lecture's last example alone", name=trial.name)
        compare(trial, predicted[-1:], targets[-1:], what)


@criterion(points=3, kind="values")
def random_batches(trial: Trial) -> None:
    """Fresh predictions of which some are right."""
    for n, c, right in ((5, 3, 2), (3, 7, 1), (8, 4, 7), (6, 5, 3)):
        compare(trial, *draw(trial, n, c, right))


@criterion(points=2, kind="values", when=from_logits)
def random_float64(trial: Trial) -> None:
    """Fresh float64 predictions of which some are right."""
    for n, c, right in ((5, 4, 3), (7, 2, 2)):
        compare(trial, *draw(trial, n, c, right, "float64"))


@criterion(points=1, kind="values", when=from_logits)
def random_probabilities(trial: Trial) -> None:
    """Probabilities count by their largest entry, also where none reaches 0.5."""
    for n, c in ((6, 7), (5, 8)):
        rows = draw_probabilities(trial, n, c)
        targets = oracle.class_label(rows)
        targets[:2] = (targets[:2] + 1) % c
        order = trial.rng.permutation(n)
        compare(trial, trial.array(rows[order]), targets[order])


@criterion(points=1, kind="values")
def one_example(trial: Trial) -> None:
    """A single prediction is right, or is not."""
    for right in trial.rng.permutation([0, 1]):
        if right:
            what = say("{name} of one right prediction", name=trial.name)
        else:
            what = say("{name} of one wrong prediction", name=trial.name)
        compare(trial, *draw(trial, 1, 4, int(right)), what)


@criterion(points=1, kind="values")
def square_batch(trial: Trial) -> None:
    """As many examples as classes are counted by example."""
    for right in (1, 4):
        compare(trial, *draw(trial, 5, 5, right))


@criterion(points=1, kind="values")
def two_classes(trial: Trial) -> None:
    """Two classes are told apart."""
    for right in (2, 5):
        compare(trial, *draw(trial, 7, 2, right))


@criterion(points=1, kind="values")
def many_examples(trial: Trial) -> None:
    """A hundred examples are counted."""
    for right in trial.rng.choice(np.arange(1, 100), 2, replace=False):
        compare(trial, *draw(trial, 100, 10, int(right)))


# --- laws ----------------------------------------------------------------------------------------


@criterion(points=1)
def all_right(trial: Trial) -> None:
    """Predictions that are all right have the accuracy 1: 100 percent, or N."""
    for n, c in ((4, 3), (6, 2)):
        compare(
            trial,
            *draw(trial, n, c, n),
            say("{name} of {n} right predictions", name=trial.name, n=n),
        )


@criterion(points=1)
def all_wrong(trial: Trial) -> None:
    """Predictions that are all wrong have the accuracy 0."""
    for n, c in ((4, 3), (6, 2)):
        compare(
            trial,
            *draw(trial, n, c, 0),
            say("{name} of {n} wrong predictions", name=trial.name, n=n),
        )


@criterion(points=1)
def example_permutation(trial: Trial) -> None:
    """Reordering the examples changes nothing."""
    predicted, targets = draw(trial, 7, 4, 4)
    order = scalar.reordering(trial, 7)
    scalar.expect(
        trial,
        scalar.ask(trial, *arguments(trial, predicted[order], targets[order])),
        scalar.ask(trial, *arguments(trial, predicted, targets)),
        say("{name} with the examples in the order {order}", name=trial.name, order=order.tolist()),
        tolerance=tolerance(trial),
    )


@criterion(points=1)
def class_permutation(trial: Trial) -> None:
    """Renaming the classes of predictions and targets alike changes nothing."""
    classes, targets = draw_classes(trial, 7, 4, 4)
    before = scalar.ask(trial, *arguments(trial, prediction(trial, classes, 4), targets))
    for step in (1, 2, 3):
        named = (np.arange(4) + step) % 4
        predicted = prediction(trial, named[classes], 4)
        scalar.compare(
            trial,
            arguments(trial, predicted, named[targets]),
            before,
            say(
                "{name} with the classes renamed to {order}", name=trial.name, order=named.tolist()
            ),
            hint=say("A prediction is right where it equals the target, whichever class that is."),
            tolerance=tolerance(trial),
        )


@criterion(points=1)
def repeated_batch(trial: Trial) -> None:
    """A batch given twice over is as accurate as once; a count is twice as large."""
    predicted, targets = draw(trial, 5, 3, 3)
    once = scalar.ask(trial, *arguments(trial, predicted, targets))
    twice = arguments(trial, np.concatenate([predicted] * 2), np.concatenate([targets] * 2))
    scalar.compare(
        trial,
        twice,
        once * (2 if trial.spec.result == "count" else 1),
        say("{name} of a batch given twice over", name=trial.name),
        hint=say(HINTS[trial.spec.result]),
        tolerance=tolerance(trial),
    )


@criterion(points=1, when=from_logits)
def only_largest_counts(trial: Trial) -> None:
    """Only which net input is the largest counts: adding to all of an example changes nothing."""
    predicted, targets = draw(trial, 20, 4, 13)
    before = scalar.ask(trial, *arguments(trial, predicted, targets))
    for low, high in ((-12, -8), (8, 12), (-4, 4)):
        moved = predicted + trial.array(trial.rng.uniform(low, high, (20, 1)))
        scalar.compare(
            trial,
            arguments(trial, moved, targets),
            before,
            say(
                "{name} of net inputs moved by {low} to {high}, by example",
                name=trial.name,
                low=low,
                high=high,
            ),
            hint=say("The predicted class is the one with the largest net input: no threshold."),
            tolerance=tolerance(trial),
        )


# --- contract and robust -------------------------------------------------------------------------


@criterion(points=1, kind="contract", when=lambda spec: spec.result != "count")
def float_result(trial: Trial) -> None:
    """The result is a floating-point number."""
    contract.float_result(trial)


@criterion(points=1, kind="robust", when=from_logits)
def extreme_logits(trial: Trial) -> None:
    """Net inputs as large as 10,000, and of minus infinity, count by their largest entry."""
    predicted, targets = draw(trial, 5, 4, 3)
    predicted *= 2000
    predicted[np.arange(5), predicted.argmin(axis=1)] = -np.inf
    compare(
        trial,
        predicted,
        targets,
        say("{name} of net inputs as large as 10,000, and -inf", name=trial.name),
    )


@criterion(points=1, kind="robust", when=from_logits)
def integer_logits(trial: Trial) -> None:
    """Integer net inputs count by their largest entry too."""
    rows = trial.rng.permuted(np.tile(np.arange(4), (5, 1)), axis=1)
    targets = oracle.class_label(rows)
    targets[:2] = (targets[:2] + 1) % 4
    compare(trial, rows, targets)


@criterion(points=1, kind="robust")
def small_integer_targets(trial: Trial) -> None:
    """Targets of type int32 are compared as those of int64 are."""
    predicted, targets = draw(trial, 6, 3, 4)
    compare(trial, predicted, targets.astype(np.int32))
