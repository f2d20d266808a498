"""`sigmoid(logits)`: 1 / (1 + exp(-z)) of each entry, whatever the shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lossgrade import oracle
from lossgrade.criterion import Failure, criterion
from lossgrade.language import say
from lossgrade.rubric import contract
from lossgrade.rubric.cases import Case
from lossgrade.rubric.derivatives import expect_gradient

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lossgrade.trial import Trial

CONTRACT = (
    contract.keeps_library,
    contract.float_result,
    contract.input_unchanged,
    contract.no_memory,
)


def draw(trial: Trial, *shape: int) -> NDArray[np.float64]:
    """Return net inputs of ordinary size, of both signs."""
    return trial.rng.normal(0, 2, shape)


def compare(
    trial: Trial, logits: NDArray[Any], what: str = "", hint: str = "", **options: Any
) -> None:
    """Expect the sigmoid of each entry, in the shape that was given."""
    what = what or say(
        "{name} of shape {shape} ({dtype})", name=trial.name, shape=logits.shape, dtype=logits.dtype
    )
    expected = oracle.sigmoid(logits.astype(np.float64))
    trial.expect(trial.call(logits), expected, what, hint=hint, **options)


def ordinary(trial: Trial) -> Case:
    """Draw the net inputs of one call."""
    logits = trial.array(draw(trial, 6))
    return Case((logits,), oracle.sigmoid(logits), say("{name} of 6 net inputs", name=trial.name))


# --- values --------------------------------------------------------------------------------------


@criterion(points=2, kind="values")
def lecture_figures(trial: Trial) -> None:
    """The lecture's net inputs become the lecture's probabilities."""
    for figure in trial.figures():
        logits = trial.array(figure.inputs["logits"])
        compare(trial, logits, say("{name} of the lecture's net inputs", name=trial.name))


@criterion(points=3, kind="values")
def random_float32(trial: Trial) -> None:
    """Fresh float32 net inputs become the right probabilities."""
    for size in (5, 8):
        compare(trial, draw(trial, size).astype(np.float32))


@criterion(points=2, kind="values")
def random_float64(trial: Trial) -> None:
    """Fresh float64 net inputs become the right probabilities."""
    for size in (4, 7):
        compare(trial, draw(trial, size))


@criterion(points=1, kind="values")
def one_signed(trial: Trial) -> None:
    """Net inputs that are all negative, or all positive, become the right probabilities."""
    compare(trial, trial.array(-np.abs(draw(trial, 4)) - 1))
    compare(trial, trial.array(np.abs(draw(trial, 4)) + 1))


@criterion(points=2, kind="values")
def any_shape(trial: Trial) -> None:
    """A matrix, and a stack of matrices, become probabilities entry by entry, in their shape."""
    for shape in ((3, 2), (1, 4), (4, 1), (2, 3, 2)):
        compare(
            trial,
            trial.array(draw(trial, *shape)),
            hint=say(
                "Each entry counts for itself: no sum, and no loop over the first axis alone."
            ),
        )


@criterion(points=1, kind="values")
def one_number(trial: Trial) -> None:
    """A single net input, of shape (1,) or (), becomes one probability."""
    compare(trial, trial.array(draw(trial, 1)))
    compare(trial, trial.array(draw(trial)))


# --- laws ----------------------------------------------------------------------------------------


@criterion(points=1)
def half_at_zero(trial: Trial) -> None:
    """The sigmoid of 0 is 0.5."""
    compare(trial, trial.array(np.zeros(3)), say("{name} of zeros", name=trial.name))


@criterion(points=1)
def entries_between_0_and_1(trial: Trial) -> None:
    """Every probability lies between 0 and 1, and reaches neither."""
    values = trial.call(trial.array(draw(trial, 8))).values.astype(np.float64)
    outside = ~((values > 0) & (values < 1))
    if outside.any():
        raise Failure(
            say(
                "{name} returned {found:.6g}, expected every entry between 0 and 1",
                name=trial.name,
                found=values[outside][0],
            ),
            say("1 + exp(-z) is above 1, so that 1 over it lies between 0 and 1."),
        )


@criterion(points=1)
def point_symmetry(trial: Trial) -> None:
    """sigmoid(-z) = 1 - sigmoid(z)."""
    logits = trial.array(draw(trial, 6))
    plain, mirrored = trial.call(logits), trial.call(-logits)
    trial.expect_shape(plain, logits.shape, say("{name} of 6 net inputs", name=trial.name))
    trial.expect_shape(mirrored, logits.shape, say("{name} of the same, negated", name=trial.name))
    trial.expect_values(
        mirrored.values,
        1 - plain.values.astype(np.float64),
        say("{name} of -z, against 1 - {name} of z", name=trial.name),
    )


@criterion(points=1)
def increasing(trial: Trial) -> None:
    """A larger net input has a larger probability."""
    # Steps of 0.2 within [-6, 6]: the least rise is 5e-4.
    logits = np.cumsum(trial.rng.uniform(0.2, 0.9, 12))
    logits -= logits.mean()
    found = trial.call(trial.array(logits))
    trial.expect_shape(found, logits.shape, say("{name} of 12 net inputs", name=trial.name))
    rises = np.diff(found.values.astype(np.float64))
    if not (rises > 0).all():
        place = int(np.argmin(rises > 0))
        lower, upper = found.values[place : place + 2]
        raise Failure(
            say(
                "{name} of {first:.3g} and {second:.3g}: found {lower:.6g} and "
                "{upper:.6g}, expected the second to be larger",
                name=trial.name,
                first=logits[place],
                second=logits[place + 1],
                lower=lower,
                upper=upper,
            ),
            say("Is the sign inside exp(-z) right?"),
        )


@criterion(points=2)
def entries_independent(trial: Trial) -> None:
    """The probability of an entry does not depend on the other entries."""
    logits = trial.array(draw(trial, 6))
    together = trial.call(logits)
    trial.expect_shape(together, logits.shape, say("{name} of 6 net inputs", name=trial.name))
    alone = trial.call(logits[2:4])
    trial.expect_shape(alone, (2,), say("{name} of 2 net inputs", name=trial.name))
    trial.expect_values(
        alone.values,
        together.values[2:4].astype(np.float64),
        say("{name} of 2 net inputs alone, against the same among 6", name=trial.name),
        hint=say("Nothing is summed over the entries: that would be softmax."),
    )


@criterion(points=2)
def gradient(trial: Trial) -> None:
    """The derivative of sigmoid is sigmoid(z) * (1 - sigmoid(z))."""
    logits = draw(trial, 5)
    weights = trial.rng.uniform(0.5, 2, 5)
    p = oracle.sigmoid(logits)
    expect_gradient(
        trial,
        lambda z: (z,),
        logits,
        weights * p * (1 - p),
        say("the gradient of {name} by the net inputs", name=trial.name),
        weights=weights,
    )


# --- contract and robust -------------------------------------------------------------------------


@criterion(points=1, kind="contract")
def result_shape(trial: Trial) -> None:
    """The result has the shape of the argument."""
    for shape in ((4,), (2, 3)):
        found = trial.call(trial.array(draw(trial, *shape)))
        trial.expect_shape(
            found, shape, say("{name} of shape {shape}", name=trial.name, shape=shape)
        )


@criterion(points=1, kind="robust")
def large_logits(trial: Trial) -> None:
    """Net inputs as large as 10,000 give 0 and 1, and never NaN."""
    logits = trial.rng.permutation([-10_000.0, -1000, -100, -30, 0, 30, 100, 1000, 10_000])
    compare(
        trial,
        trial.array(logits),
        say("{name} of net inputs as large as 10,000", name=trial.name),
        say("exp(1000) is infinite and inf / inf is NaN: take exp of negative numbers only."),
    )


@criterion(points=1, kind="robust")
def small_probabilities(trial: Trial) -> None:
    """A probability as small as 1e-26 keeps its digits."""
    logits = trial.array(-trial.rng.uniform(20, 60, 4))
    expected = oracle.sigmoid(logits.astype(np.float64))
    found = trial.call(logits)
    trial.expect_shape(
        found, logits.shape, say("{name} of net inputs down to -60", name=trial.name)
    )
    # exp rounds its argument: 60 * 6e-8 in float32.
    trial.expect_values(
        found.values.astype(np.float64) / expected,
        np.ones(4),
        say("{name} of net inputs down to -60, divided by the right probability", name=trial.name),
        hint=say("1 - 1 / (1 + exp(z)) rounds to 0: use exp(z) / (1 + exp(z)) for negative z."),
    )


@criterion(points=1, kind="robust", when=lambda spec: spec.library != "numpy")
def large_logits_gradient(trial: Trial) -> None:
    """The derivative at net inputs as large as 10,000 is 0, not NaN."""
    if trial.library != "torch":
        return
    logits = np.array([-10_000.0, -1000, -200, 200, 1000, 10_000])
    expect_gradient(
        trial,
        lambda z: (z,),
        logits,
        np.zeros(6),
        say("the gradient of {name} by net inputs as large as 10,000", name=trial.name),
        weights=np.ones(6),
    )


@criterion(points=1, kind="robust")
def infinite_logits(trial: Trial) -> None:
    """Minus infinity has probability 0, infinity 1."""
    compare(trial, trial.array([-np.inf, 0.5, np.inf]))


@criterion(points=1, kind="robust")
def empty(trial: Trial) -> None:
    """No net inputs give no probabilities."""
    compare(trial, trial.array(np.empty(0)))
    compare(trial, trial.array(np.empty((0, 3))))


@criterion(points=1, kind="robust")
def integer_logits(trial: Trial) -> None:
    """Integer net inputs give the same probabilities as the floats they equal."""
    compare(
        trial, trial.rng.permutation(np.arange(-3, 4)), hint=say("Convert to float before exp.")
    )
