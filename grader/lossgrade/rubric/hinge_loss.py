"""`hinge(targets, scores)`: the sum of max(0, 1 - y * h), targets being -1 or 1."""

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

HINT = later("Add up max(0, 1 - y * h) over the examples; the targets y are -1 and 1.")


def draw(trial: Trial, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return targets (N,) and outputs h (N,), inside the margin and, from N = 2 on, beyond it.

    y * h is 0.3 or more away from 1: no step of a central difference crosses the kink.
    """
    targets = trial.rng.choice([-1.0, 1.0], n)
    inside = trial.rng.random(n) < 0.7
    y = targets[0]
    targets[:4], inside[:4] = (y, -y, -y, y)[:n], (True, False, True, False)[:n]
    product = np.where(inside, trial.rng.uniform(-2, 0.7, n), trial.rng.uniform(1.3, 3, n))
    order = trial.rng.permutation(n)
    return targets[order], (targets * product)[order]


def compare(
    trial: Trial, targets: NDArray[Any], h: NDArray[Any], what: str = "", hint: str = ""
) -> None:
    """Expect the hinge loss of what is given, rounding to its dtype included."""
    what = what or say("{name} of {n} examples ({dtype})", name=trial.name, n=len(h), dtype=h.dtype)
    scalar.compare(trial, (targets, h), oracle.hinge_loss(h, targets), what, hint=hint or say(HINT))


def ordinary(trial: Trial) -> Case:
    """Draw the arguments of one call."""
    targets, h = map(trial.array, draw(trial, ordinary_shape(trial)[0]))
    expected = oracle.hinge_loss(h, targets)
    return Case((targets, h), expected, say("{name} of {n} examples", name=trial.name, n=len(h)))


# --- values --------------------------------------------------------------------------------------


@criterion(points=2, kind="values")
def lecture_figures(trial: Trial) -> None:
    """The lecture's outputs have the lecture's loss."""
    for figure in trial.figures():
        targets = trial.array(np.atleast_1d(figure.inputs["targets"]))
        h = trial.array(np.atleast_1d(figure.inputs["logits"]))
        compare(trial, targets, h, say("{name} of the lecture's example", name=trial.name))


@criterion(points=3, kind="values")
def random_float32(trial: Trial) -> None:
    """Fresh float32 outputs have the right loss."""
    for n in (5, 8):
        targets, h = draw(trial, n)
        compare(trial, targets.astype(np.float32), h.astype(np.float32))


@criterion(points=2, kind="values")
def random_float64(trial: Trial) -> None:
    """Fresh float64 outputs have the right loss."""
    for n in (4, 7):
        compare(trial, *draw(trial, n))


@criterion(points=2, kind="values")
def one_example(trial: Trial) -> None:
    """A single example inside the margin costs 1 - y * h, whichever its target."""
    for target in trial.rng.permutation([-1.0, 1.0]):
        h = target * trial.rng.uniform(0.1, 0.7)
        what = say("{name} of y = {target:g}, h = {h:.3g}", name=trial.name, target=target, h=h)
        compare(trial, trial.array([target]), trial.array([h]), what)


@criterion(points=1, kind="values")
def wrong_side(trial: Trial) -> None:
    """Examples on the wrong side cost more than 1, the more the farther off they are."""
    targets, _ = draw(trial, 5)
    h = -targets * trial.rng.uniform(0.2, 3, 5)
    compare(trial, trial.array(targets), trial.array(h))


@criterion(points=1, kind="values")
def many_examples(trial: Trial) -> None:
    """A hundred examples are added up."""
    targets, h = draw(trial, 100)
    # Eighths: every partial sum is exact in float32.
    compare(trial, trial.array(targets), trial.array(np.round(8 * h) / 8))


# --- laws ----------------------------------------------------------------------------------------


@criterion(points=1)
def never_negative(trial: Trial) -> None:
    """No loss is negative."""
    targets, _ = draw(trial, 6)
    # One example inside the margin: what the others lie beyond it must not be taken off.
    h = targets * np.concatenate([[0.5], trial.rng.uniform(1.3, 3, 5)])
    found = scalar.ask(trial, trial.array(targets), trial.array(h))
    if not found >= 0:
        raise Failure(
            say(
                "{name} returned {found:.6g}, expected a loss of 0 or more",
                name=trial.name,
                found=found,
            ),
            say("max(0, ...) is taken of each example, before the sum."),
        )


@criterion(points=1)
def zero_beyond_margin(trial: Trial) -> None:
    """The loss is 0 where every y * h is 1 or more."""
    targets, _ = draw(trial, 6)
    h = targets * np.concatenate([[1, 1], trial.rng.uniform(1.1, 5, 4)])
    what = say("{name} where every y * h is 1 or more", name=trial.name)
    scalar.compare(trial, (trial.array(targets), trial.array(h)), 0.0, what, hint=say(HINT))


@criterion(points=1)
def one_each_at_zero(trial: Trial) -> None:
    """An output of 0 costs 1 for each example."""
    for n in (4, 7):
        targets, _ = draw(trial, n)
        what = say("{name} of {n} outputs of 0", name=trial.name, n=n)
        scalar.compare(
            trial, (trial.array(targets), trial.array(np.zeros(n))), float(n), what, hint=say(HINT)
        )


@criterion(points=1)
def signs_exchanged(trial: Trial) -> None:
    """Exchanging the two classes, -y for y and -h for h, changes nothing."""
    targets, h = map(trial.array, draw(trial, 6))
    scalar.expect(
        trial,
        scalar.ask(trial, -targets, -h),
        scalar.ask(trial, targets, h),
        say("{name} with the two classes exchanged", name=trial.name),
        hint=say("Only the product y * h counts."),
    )


@criterion(points=1)
def sum_of_parts(trial: Trial) -> None:
    """The loss of a batch is the sum of the losses of its parts."""
    targets, h = map(trial.array, draw(trial, 7))
    parts = [scalar.ask(trial, targets[part], h[part]) for part in (slice(0, 3), slice(3, 7))]
    scalar.expect(
        trial,
        scalar.ask(trial, targets, h),
        sum(parts),
        say("{name} of 7 examples, against the sum of its first 3 and its last 4", name=trial.name),
        hint=say("Sum over the examples; do not divide by their number."),
    )


@criterion(points=1)
def permutation(trial: Trial) -> None:
    """Reordering the examples changes nothing."""
    targets, h = map(trial.array, draw(trial, 6))
    order = scalar.reordering(trial, 6)
    scalar.expect(
        trial,
        scalar.ask(trial, targets[order], h[order]),
        scalar.ask(trial, targets, h),
        say("{name} with the examples in the order {order}", name=trial.name, order=order.tolist()),
    )


@criterion(points=2)
def gradient(trial: Trial) -> None:
    """The gradient by h is -y inside the margin, and 0 beyond it."""
    targets, h = draw(trial, 6)
    expect_gradient(
        trial,
        lambda outputs: (targets.astype(outputs.dtype), outputs),
        h,
        np.where(targets * h < 1, -targets, 0.0),
        say("the gradient of {name} by h", name=trial.name),
        by=1,
    )


# --- robust --------------------------------------------------------------------------------------


@criterion(points=1, kind="robust")
def large_outputs(trial: Trial) -> None:
    """Outputs as large as 10,000 have the right loss."""
    targets, _ = draw(trial, 6)
    # Whole numbers below 2**24 in total: exact in float32.
    h = np.round(trial.rng.uniform(-10_000, 10_000, 6))
    what = say("{name} of outputs as large as 10,000", name=trial.name)
    compare(trial, trial.array(targets), trial.array(h), what)


@criterion(points=1, kind="robust")
def infinite_outputs(trial: Trial) -> None:
    """An infinite output on the right side costs nothing."""
    targets, h = draw(trial, 5)
    h[0] = targets[0] * np.inf
    what = say("{name} with an infinite output on the right side", name=trial.name)
    compare(trial, trial.array(targets), trial.array(h), what)


@criterion(points=1, kind="robust")
def integer_targets(trial: Trial) -> None:
    """Integer targets have the loss of the floats they equal."""
    targets, h = draw(trial, 5)
    what = say("{name} with targets of dtype int64", name=trial.name)
    compare(trial, targets.astype(np.int64), trial.array(h), what)


@criterion(points=1, kind="robust")
def empty_batch(trial: Trial) -> None:
    """A batch of no examples costs 0."""
    nothing = trial.array(np.empty(0))
    compare(trial, nothing, nothing.copy(), say("{name} of an empty batch", name=trial.name))
