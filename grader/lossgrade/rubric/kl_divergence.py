"""`kl_divergence(p, q)`: KL(p || q) of two distributions (C,), in nats."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lossgrade import oracle
from lossgrade.criterion import Failure, criterion
from lossgrade.language import later, say
from lossgrade.rubric import scalar
from lossgrade.rubric.cases import Case, draw_logits, ordinary_shape
from lossgrade.rubric.derivatives import expect_gradient
from lossgrade.rubric.entropy import ZERO_HINT, draw

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lossgrade.trial import Trial

CONTRACT = scalar.CONTRACT

HINT = later(
    "KL(p || q) is the sum of p * log(p / q), with the natural log and p the first argument."
)


def draw_apart(trial: Trial, c: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return two distributions whose divergences, this way and that, are 0.01 apart or more."""
    while True:
        p, q = draw(trial, c), draw(trial, c)
        if abs(oracle.kl_divergence(p, q) - oracle.kl_divergence(q, p)) >= 0.01:
            return p, q


def compare(trial: Trial, p: NDArray[Any], q: NDArray[Any], what: str = "", hint: str = "") -> None:
    """Expect KL(p || q) of what the function is given, rounding to its dtype included."""
    what = what or say("{name} of {n} outcomes ({dtype})", name=trial.name, n=len(p), dtype=p.dtype)
    expected = oracle.kl_divergence(p.astype(np.float64), q.astype(np.float64))
    scalar.compare(trial, (p, q), expected, what, hint=hint or say(HINT))


def ordinary(trial: Trial) -> Case:
    """Draw the distributions of one call."""
    p, q = map(trial.array, draw_apart(trial, ordinary_shape(trial)[1]))
    expected = oracle.kl_divergence(p.astype(np.float64), q.astype(np.float64))
    return Case((p, q), expected, say("{name} of {n} outcomes", name=trial.name, n=len(p)))


# --- values --------------------------------------------------------------------------------------


@criterion(points=2, kind="values")
def lecture_figures(trial: Trial) -> None:
    """The lecture's distributions have the lecture's divergences."""
    for figure in trial.figures():
        p, q = figure.inputs["targets"], figure.inputs["probabilities"]
        what = say("{name} of the lecture's p = {p}, q = {q}", name=trial.name, p=p, q=q)
        compare(trial, trial.array(p), trial.array(q), what)


@criterion(points=3, kind="values")
def random_float32(trial: Trial) -> None:
    """Fresh float32 distributions have the right divergence."""
    for c in (4, 7):
        p, q = draw_apart(trial, c)
        compare(trial, p.astype(np.float32), q.astype(np.float32))


@criterion(points=2, kind="values")
def random_float64(trial: Trial) -> None:
    """Fresh float64 distributions have the right divergence."""
    for c in (3, 6):
        compare(trial, *draw_apart(trial, c))


@criterion(points=1, kind="values")
def two_outcomes(trial: Trial) -> None:
    """Two outcomes, as of two coins, have the right divergence."""
    p, q = draw_apart(trial, 2)
    compare(trial, trial.array(p), trial.array(q))


@criterion(points=1, kind="values")
def many_outcomes(trial: Trial) -> None:
    """A hundred outcomes have the right divergence."""
    p, q = draw_apart(trial, 100)
    compare(trial, trial.array(p), trial.array(q))


@criterion(points=2, kind="values")
def zero_probabilities(trial: Trial) -> None:
    """0 log 0 counts as 0: outcomes that p gives no probability add nothing."""
    p, q = draw(trial, 3), draw(trial, 4)
    order = trial.rng.permutation(5)
    # One outcome at 0 in p alone, one in both.
    p, q = np.concatenate([p, [0, 0]])[order], np.concatenate([q, [0]])[order]
    what = say("{name} with an outcome at 0 in p, and one at 0 in both", name=trial.name)
    compare(trial, trial.array(p), trial.array(q), what, say(ZERO_HINT))


# --- laws ----------------------------------------------------------------------------------------


@criterion(points=1)
def never_negative(trial: Trial) -> None:
    """No divergence is negative, and that of different distributions is above 0."""
    for c in (3, 5):
        p, q = draw_apart(trial, c)
        found = scalar.ask(trial, trial.array(p), trial.array(q))
        if not found > 0:
            raise Failure(
                say(
                    "{name} of two different distributions of {c} outcomes: found "
                    "{found:.6g}, expected more than 0",
                    name=trial.name,
                    c=c,
                    found=found,
                ),
                say("Is it p * log(p / q), summed over all outcomes?"),
            )


@criterion(points=1)
def zero_when_equal(trial: Trial) -> None:
    """The divergence of a distribution from itself is 0."""
    p = trial.array(draw(trial, 5))
    scalar.compare(
        trial, (p, p.copy()), 0.0, say("{name} of p and p", name=trial.name), hint=say(HINT)
    )


@criterion(points=1)
def asymmetric(trial: Trial) -> None:
    """KL(q || p) is another number than KL(p || q)."""
    p, q = map(trial.array, draw_apart(trial, 5))
    one, other = scalar.ask(trial, p, q), scalar.ask(trial, q, p)
    if not abs(one - other) > 1e-3:  # 0.01 by the choice of p and q
        raise Failure(
            say(
                "{name} gives {one:.6g} for (p, q) and {other:.6g} for (q, p), "
                "expected two numbers that differ",
                name=trial.name,
                one=one,
                other=other,
            ),
            say("The divergence weights the logs by its first argument alone."),
        )


@criterion(points=1)
def cross_entropy_less_entropy(trial: Trial) -> None:
    """KL(p || q) = H(p, q) - H(p), the entropies taken with the natural log."""
    p, q = map(trial.array, draw_apart(trial, 5))
    targets, predictions = p.astype(np.float64), q.astype(np.float64)
    scalar.compare(
        trial,
        (p, q),
        oracle.cross_entropy(predictions, targets) - oracle.entropy(targets),
        say("{name} of 5 outcomes, against H(p, q) - H(p)", name=trial.name),
        hint=say(HINT),
    )


@criterion(points=1)
def from_uniform(trial: Trial) -> None:
    """From the uniform distribution p diverges by log C - H(p), the natural log taken."""
    p = trial.array(draw(trial, 6))
    scalar.compare(
        trial,
        (p, trial.array(np.full(6, 1 / 6))),
        math.log(6) - oracle.entropy(p.astype(np.float64)),
        say("{name} of p and 6 equally likely outcomes", name=trial.name),
        hint=say(HINT),
    )


@criterion(points=1)
def certain_p(trial: Trial) -> None:
    """Where p is certain of an outcome, the divergence is -log of what q gives to it."""
    q = trial.array(draw(trial, 4))
    true = int(trial.rng.integers(4))
    scalar.compare(
        trial,
        (trial.array(oracle.one_hot(true, 4)), q),
        -math.log(q[true]),
        say("{name} of a one-hot p", name=trial.name),
        hint=say(ZERO_HINT),
    )


@criterion(points=1)
def permutation(trial: Trial) -> None:
    """Reordering the outcomes of both alike leaves the divergence as it is."""
    p, q = map(trial.array, draw_apart(trial, 6))
    order = scalar.reordering(trial, 6)
    scalar.expect(
        trial,
        scalar.ask(trial, p[order], q[order]),
        scalar.ask(trial, p, q),
        say("{name} with the outcomes in the order {order}", name=trial.name, order=order.tolist()),
    )


@criterion(points=2)
def gradient(trial: Trial) -> None:
    """The gradient by the net inputs of q = softmax(z) is q - p."""
    logits = draw_logits(trial, 1, 4)[0] / 2
    p = oracle.softmax(draw_logits(trial, 1, 4)[0] / 2)
    expect_gradient(
        trial,
        lambda q: (p.astype(q.dtype), q),
        logits,
        oracle.softmax(logits) - p,
        say(
            "{name} of p and the reference softmax: the gradient by the net inputs of q",
            name=trial.name,
        ),
        by=1,
        given=oracle.softmax,
        carried=lambda by_q: oracle.softmax_vjp(logits, by_q),
    )


# --- robust --------------------------------------------------------------------------------------


@criterion(points=1, kind="robust")
def impossible_outcome(trial: Trial) -> None:
    """An outcome of p at 0 in q makes it infinite, or as large as a clamp inside the log gives."""
    p = trial.array(trial.rng.permutation([0.5, 0.5, 0]))
    q = trial.array(oracle.one_hot(int(np.argmax(p)), 3))
    found = scalar.ask(trial, p, q)
    # Half of what a clamp at 1e-8 gives, 18.4, less log 2.
    if not found >= 8:
        raise Failure(
            say(
                "{name} with q = 0 where p = 0.5: found {found:.6g}, expected "
                "infinity, or 8.5 to 18 with a clamp",
                name=trial.name,
                found=found,
            ),
            say("Clamp inside the log at 1e-8 or less, or leave the infinity."),
        )


@criterion(points=1, kind="robust")
def nearly_equal(trial: Trial) -> None:
    """Two distributions that are nearly equal have a divergence of next to 0, not below."""
    p = draw(trial, 5)
    q = p * (1 + 1e-3 * trial.rng.uniform(-1, 1, 5))
    compare(trial, trial.array(p), trial.array(q / q.sum()))


@criterion(points=1, kind="robust")
def integer_p(trial: Trial) -> None:
    """A one-hot p of integers has the divergence of the floats it equals."""
    p = oracle.one_hot(int(trial.rng.integers(4)), 4).astype(np.int64)
    compare(
        trial,
        p,
        trial.array(draw(trial, 4)),
        say("{name} of a one-hot p (int64)", name=trial.name),
        say(ZERO_HINT),
    )
