"""`entropy(p)`: of one distribution (C,), in bits, nats or digits."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lossgrade import oracle
from lossgrade.criterion import Failure, criterion
from lossgrade.language import later, say
from lossgrade.rubric import scalar
from lossgrade.rubric.cases import Case, draw_logits, draw_probabilities, ordinary_shape
from lossgrade.rubric.derivatives import expect_gradient

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lossgrade.trial import Trial

CONTRACT = scalar.CONTRACT

UNITS = {"e": later("nats"), "2": later("bits"), "10": later("decimal digits")}
ZERO_HINT = later("0 * log(0) is NaN in floating point: leave the zeros out, or use xlogy.")


def base(trial: Trial) -> float:
    """Return the base of the logarithm."""
    return math.e if trial.spec.log_base == "e" else float(trial.spec.log_base)


def draw(trial: Trial, c: int) -> NDArray[np.float64]:
    """Return one distribution of C outcomes, none below 0.2 / C."""
    return draw_probabilities(trial, 1, c).reshape(c)


def reference(trial: Trial, p: NDArray[Any]) -> NDArray[np.float64]:
    """Return the entropy of what the function is given, rounding to its dtype included."""
    return np.asarray(oracle.entropy(p.astype(np.float64), base(trial)))


def compare(trial: Trial, p: NDArray[Any], what: str = "", hint: str = "") -> None:
    """Expect the entropy of `p`."""
    what = what or say(
        "{name} of {n} outcomes ({dtype}), in {unit}",
        name=trial.name,
        n=len(p),
        dtype=p.dtype,
        unit=say(UNITS[trial.spec.log_base]),
    )
    hint = hint or say("The logarithm has base {base}.", base=trial.spec.log_base)
    scalar.compare(trial, (p,), reference(trial, p), what, hint=hint)


def ordinary(trial: Trial) -> Case:
    """Draw the distribution of one call."""
    p = trial.array(draw(trial, ordinary_shape(trial)[1]))
    return Case((p,), reference(trial, p), say("{name} of {n} outcomes", name=trial.name, n=len(p)))


# --- values --------------------------------------------------------------------------------------


@criterion(points=2, kind="values")
def lecture_figures(trial: Trial) -> None:
    """The lecture's distributions have the lecture's entropies."""
    for figure in trial.figures():
        p = figure.inputs["probabilities"]
        compare(trial, trial.array(p), say("{name} of the lecture's {p}", name=trial.name, p=p))


@criterion(points=3, kind="values")
def random_float32(trial: Trial) -> None:
    """Fresh float32 distributions have the right entropy."""
    for c in (4, 7):
        compare(trial, draw(trial, c).astype(np.float32))


@criterion(points=2, kind="values")
def random_float64(trial: Trial) -> None:
    """Fresh float64 distributions have the right entropy."""
    for c in (3, 6):
        compare(trial, draw(trial, c))


@criterion(points=1, kind="values")
def two_outcomes(trial: Trial) -> None:
    """Two outcomes, as of a coin, have the right entropy."""
    p = trial.rng.uniform(0.05, 0.4)
    compare(trial, trial.array([p, 1 - p]))
    compare(trial, trial.array([1 - p, p]))


@criterion(points=1, kind="values")
def many_outcomes(trial: Trial) -> None:
    """A hundred outcomes have the right entropy."""
    compare(trial, trial.array(draw(trial, 100)))


@criterion(points=2, kind="values")
def zero_probabilities(trial: Trial) -> None:
    """0 log 0 counts as 0: outcomes of probability 0 add nothing."""
    p = np.concatenate([draw(trial, 3), np.zeros(2)])
    p = trial.array(trial.rng.permutation(p))
    compare(
        trial, p, say("{name} with two outcomes at probability 0", name=trial.name), say(ZERO_HINT)
    )


# --- laws ----------------------------------------------------------------------------------------


@criterion(points=1)
def never_negative(trial: Trial) -> None:
    """No entropy is negative."""
    for c in (2, 5):
        found = scalar.ask(trial, trial.array(draw(trial, c)))
        if not found >= -trial.tolerance:
            raise Failure(
                say(
                    "{name} of {c} outcomes: found {found:.6g}, expected 0 or more",
                    name=trial.name,
                    c=c,
                    found=found,
                ),
                say("The log of a probability is negative: the entropy is minus their mean."),
            )


@criterion(points=1)
def uniform_is_log_c(trial: Trial) -> None:
    """C equally likely outcomes have the entropy log C, the most there is."""
    for c in (2, 4, 7):
        scalar.compare(
            trial,
            (trial.array(np.full(c, 1 / c)),),
            math.log(c) / math.log(base(trial)),
            say("{name} of {c} equally likely outcomes", name=trial.name, c=c),
            hint=say("The logarithm has base {base}.", base=trial.spec.log_base),
        )


@criterion(points=1)
def certainty_is_zero(trial: Trial) -> None:
    """A certain outcome has the entropy 0, alone or among others."""
    for c in (5, 1):
        one_hot = oracle.one_hot(trial.rng.integers(0, c), c)
        what = say("{name} of a certain outcome, one of {c}", name=trial.name, c=c)
        scalar.compare(trial, (trial.array(one_hot),), 0.0, what, hint=say(ZERO_HINT))


@criterion(points=1)
def permutation(trial: Trial) -> None:
    """Reordering the outcomes leaves the entropy as it is."""
    p = trial.array(draw(trial, 6))
    order = scalar.reordering(trial, 6)
    scalar.expect(
        trial,
        scalar.ask(trial, p[order]),
        scalar.ask(trial, p),
        say("{name} with the outcomes in the order {order}", name=trial.name, order=order.tolist()),
    )


@criterion(points=1)
def independent_pair(trial: Trial) -> None:
    """The entropy of two independent experiments together is the sum of theirs."""
    first, second = draw(trial, 3), draw(trial, 4)
    together = scalar.ask(trial, trial.array(np.outer(first, second).ravel()))
    apart = [scalar.ask(trial, trial.array(p)) for p in (first, second)]
    scalar.expect(
        trial,
        together,
        sum(apart),
        say("{name} of two independent experiments, against the sum of theirs", name=trial.name),
        hint=say("Sum over the outcomes; do not divide by their number."),
    )


@criterion(points=2)
def gradient(trial: Trial) -> None:
    """The gradient by p is -(log p + 1), along every change that keeps the sum of p at 1."""
    logits = draw_logits(trial, 1, 4)[0] / 2
    p = oracle.softmax(logits)
    expect_gradient(
        trial,
        lambda given: (given,),
        logits,
        oracle.softmax_vjp(logits, -np.log(p) / math.log(base(trial))),
        say("{name} of the reference softmax: the gradient by the net inputs", name=trial.name),
        given=oracle.softmax,
        carried=lambda by_p: oracle.softmax_vjp(logits, by_p),
    )


# --- robust --------------------------------------------------------------------------------------


@criterion(points=1, kind="robust")
def tiny_probabilities(trial: Trial) -> None:
    """Probabilities as small as 1e-30 add next to nothing, and never NaN."""
    p = trial.array(trial.rng.permutation([1e-30, 1e-20, 1e-10, 0.25, 0.75]))
    compare(trial, p, say("{name} with probabilities as small as 1e-30", name=trial.name))


@criterion(points=1, kind="robust")
def integer_one_hot(trial: Trial) -> None:
    """A certain outcome given in integers has the entropy 0."""
    one_hot = oracle.one_hot(trial.rng.integers(0, 4), 4).astype(np.int64)
    compare(
        trial,
        one_hot,
        say("{name} of {p} (int64)", name=trial.name, p=one_hot.tolist()),
        say(ZERO_HINT),
    )
