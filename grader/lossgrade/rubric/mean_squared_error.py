"""`mse(targets, predictions)`: the mean of the squared difference over all entries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lossgrade import oracle
from lossgrade.criterion import Failure, criterion
from lossgrade.language import later, say
from lossgrade.rubric import scalar
from lossgrade.rubric.cases import Case, ordinary_shape
from lossgrade.rubric.derivatives import expect_gradient

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lossgrade.trial import Trial

CONTRACT = scalar.CONTRACT

HINT = later("Square each difference, add them all up, and divide by how many there are.")


def draw(trial: Trial, *shape: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return targets and predictions of ordinary size, apart from each other."""
    targets = trial.rng.normal(0, 1, shape)
    return targets, targets + trial.rng.normal(0.3, 1, shape)


def compare(
    trial: Trial,
    targets: NDArray[Any],
    predictions: NDArray[Any],
    what: str = "",
) -> None:
    """Expect the mean squared error of what is given, rounding to its dtype included."""
    what = what or say(
        "{name} of shape {shape} ({dtype})",
        name=trial.name,
        shape=targets.shape,
        dtype=targets.dtype,
    )
    expected = oracle.mean_squared_error(predictions, targets)
    scalar.compare(trial, (targets, predictions), expected, what, hint=say(HINT))


def ordinary(trial: Trial) -> Case:
    """Draw the arguments of one call."""
    n, c = ordinary_shape(trial)
    targets, predictions = map(trial.array, draw(trial, n, c))
    expected = oracle.mean_squared_error(predictions, targets)
    return Case(
        (targets, predictions),
        expected,
        say("{name} of shape {shape}", name=trial.name, shape=(n, c)),
    )


# --- values --------------------------------------------------------------------------------------


@criterion(points=2, kind="values")
def lecture_figures(trial: Trial) -> None:
    """The lecture's predictions have the lecture's errors."""
    for figure in trial.figures():
        targets = trial.array(figure.inputs["targets"])
        predictions = trial.array(figure.inputs["probabilities"])
        compare(
            trial, targets, predictions, say("{name} of the lecture's example", name=trial.name)
        )


@criterion(points=3, kind="values")
def random_float32(trial: Trial) -> None:
    """Fresh float32 predictions have the right error."""
    for size in (5, 8):
        targets, predictions = draw(trial, size)
        compare(trial, targets.astype(np.float32), predictions.astype(np.float32))


@criterion(points=2, kind="values")
def random_float64(trial: Trial) -> None:
    """Fresh float64 predictions have the right error."""
    for size in (4, 7):
        compare(trial, *draw(trial, size))


@criterion(points=2, kind="values")
def matrices(trial: Trial) -> None:
    """The mean is taken over all entries of a matrix, not over its rows."""
    for shape in ((5, 3), (2, 7), (4, 4)):
        targets, predictions = draw(trial, *shape)
        compare(trial, trial.array(targets), trial.array(predictions))


@criterion(points=1, kind="values")
def one_entry(trial: Trial) -> None:
    """A single entry has its squared difference."""
    for shape in ((1,), (1, 1)):
        targets, predictions = draw(trial, *shape)
        compare(trial, trial.array(targets), trial.array(predictions))


@criterion(points=1, kind="values")
def many_entries(trial: Trial) -> None:
    """A hundred entries have the right error."""
    targets, predictions = draw(trial, 100)
    compare(trial, trial.array(targets), trial.array(predictions))


# --- laws ----------------------------------------------------------------------------------------


@criterion(points=1)
def symmetric(trial: Trial) -> None:
    """Targets and predictions may be exchanged."""
    targets, predictions = map(trial.array, draw(trial, 6))
    scalar.expect(
        trial,
        scalar.ask(trial, predictions, targets),
        scalar.ask(trial, targets, predictions),
        say("{name} with its arguments exchanged", name=trial.name),
    )


@criterion(points=1)
def zero_when_equal(trial: Trial) -> None:
    """The error is 0 where every prediction is right."""
    for shape in ((6,), (3, 4)):
        targets, _ = draw(trial, *shape)
        given = trial.array(targets)
        what = say(
            "{name} of predictions that equal the targets, shape {shape}",
            name=trial.name,
            shape=shape,
        )
        scalar.compare(trial, (given, given.copy()), 0.0, what, hint=say(HINT))


@criterion(points=1)
def positive_when_different(trial: Trial) -> None:
    """The error is above 0 as soon as one prediction is wrong, by more or by less."""
    for sign in (-1, 1):
        targets, _ = draw(trial, 5)
        predictions = targets.copy()
        predictions[trial.rng.integers(5)] += sign * trial.rng.uniform(0.5, 2)
        found = scalar.ask(trial, trial.array(targets), trial.array(predictions))
        if not found > 0:
            if sign > 0:
                what = say("{name} with one of 5 predictions too large", name=trial.name)
            else:
                what = say("{name} with one of 5 predictions too small", name=trial.name)
            raise Failure(
                say("{what}: found {found:.6g}, expected more than 0", what=what, found=found),
                say("Square each difference before you add: otherwise they cancel."),
            )


@criterion(points=1)
def shift_invariance(trial: Trial) -> None:
    """Adding a constant to targets and predictions alike changes nothing."""
    targets, predictions = draw(trial, 6)
    shift = trial.rng.uniform(1, 4)
    scalar.expect(
        trial,
        scalar.ask(trial, trial.array(targets + shift), trial.array(predictions + shift)),
        scalar.ask(trial, trial.array(targets), trial.array(predictions)),
        say("{name} after adding {shift:.3g} to both arguments", name=trial.name, shift=shift),
        hint=say("Only the difference of the two counts."),
    )


@criterion(points=1)
def quadratic(trial: Trial) -> None:
    """Differences twice as large have an error four times as large."""
    targets, predictions = draw(trial, 6)
    scalar.expect(
        trial,
        scalar.ask(trial, trial.array(2 * targets), trial.array(2 * predictions)),
        4 * scalar.ask(trial, trial.array(targets), trial.array(predictions)),
        say("{name} with both arguments doubled, against four times the error", name=trial.name),
        hint=say(
            "The difference is squared, neither its absolute value taken nor a root of the mean."
        ),
    )


@criterion(points=1)
def repeated_entries(trial: Trial) -> None:
    """Entries given twice over have the same mean."""
    targets, predictions = map(trial.array, draw(trial, 5))
    scalar.expect(
        trial,
        scalar.ask(trial, np.tile(targets, 2), np.tile(predictions, 2)),
        scalar.ask(trial, targets, predictions),
        say("{name} of entries given twice over", name=trial.name),
        hint=say("Divide the sum by the number of entries."),
    )


@criterion(points=1)
def permutation(trial: Trial) -> None:
    """Reordering the entries of both alike, or their shape, changes nothing."""
    targets, predictions = map(trial.array, draw(trial, 3, 4))
    order = scalar.reordering(trial, 12)
    scalar.expect(
        trial,
        scalar.ask(trial, targets.ravel()[order], predictions.ravel()[order]),
        scalar.ask(trial, targets, predictions),
        say(
            "{name} of 12 entries in another order, against the matrix of shape (3, 4)",
            name=trial.name,
        ),
        hint=say("Average over all entries, whatever the shape."),
    )


@criterion(points=2)
def gradient(trial: Trial) -> None:
    """The gradient by the predictions is 2 * (prediction - target) / number of entries."""
    targets, predictions = draw(trial, 6)
    expect_gradient(
        trial,
        lambda h: (targets.astype(h.dtype), h),
        predictions,
        2 * (predictions - targets) / 6,
        say("the gradient of {name} by the predictions", name=trial.name),
        by=1,
    )


# --- robust --------------------------------------------------------------------------------------


@criterion(points=1, kind="robust")
def large_values(trial: Trial) -> None:
    """Entries as large as 10,000 have the right error."""
    # Whole numbers whose differences are small: nothing is rounded, unless squares are
    # subtracted instead of differences squared.
    what = say("{name} of entries as large as 10,000 whose differences are small", name=trial.name)
    for size in (8, 16, 32):
        targets = np.round(trial.rng.uniform(-10_000, 10_000, size))
        predictions = targets + trial.rng.integers(-3, 4, size)
        compare(trial, trial.array(targets), trial.array(predictions), what)


@criterion(points=1, kind="robust")
def three_axes(trial: Trial) -> None:
    """A stack of matrices is averaged over all its entries."""
    targets, predictions = draw(trial, 2, 3, 4)
    compare(trial, trial.array(targets), trial.array(predictions))


@criterion(points=1, kind="robust")
def integer_arguments(trial: Trial) -> None:
    """Integer arguments have the error of the floats they equal."""
    targets = trial.rng.integers(0, 5, 6)
    compare(trial, targets, targets + trial.rng.permutation([-2, -1, 0, 1, 1, 3]))
