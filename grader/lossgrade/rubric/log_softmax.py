"""`log_softmax(logits)`: net inputs to log-probabilities, under the conventions of softmax."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lossgrade import oracle
from lossgrade.criterion import Failure, criterion
from lossgrade.language import say
from lossgrade.rubric.cases import draw_labels, draw_logits, ordinary_shape, stack_of
from lossgrade.rubric.derivatives import expect_gradient
from lossgrade.rubric.softmax import (
    CONTRACT,
    ask,
    class_permutation,
    compare,
    empty_batch,
    integer_logits,
    lecture_figures,
    many_classes,
    one_class,
    one_example,
    ordinary,
    random_float32,
    random_float64,
    rows_independent,
    shift_invariance,
    square_batch,
    two_classes,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lossgrade.trial import Trial

__all__ = [
    "CONTRACT",
    "class_permutation",
    "empty_batch",
    "integer_logits",
    "lecture_figures",
    "many_classes",
    "one_class",
    "one_example",
    "ordinary",
    "random_float32",
    "random_float64",
    "rows_independent",
    "shift_invariance",
    "square_batch",
    "two_classes",
]

# --- laws ----------------------------------------------------------------------------------------


@criterion(points=1)
def rows_exponentiate_to_1(trial: Trial) -> None:
    """exp(log_softmax(z)) sums to 1 over the classes of each example."""
    n, c = ordinary_shape(trial)
    found = ask(trial, trial.array(draw_logits(trial, n, c)))
    trial.expect_shape(
        found, (n, c), say("{name} of {batch}", name=trial.name, batch=stack_of(n, c))
    )
    # Garbage may overflow: an infinite sum fails.
    with np.errstate(over="ignore"):
        totals = np.exp(found.values.astype(np.float64)).sum(axis=1)
    for row, total in enumerate(totals):
        if not abs(total - 1) <= trial.tolerance:
            raise Failure(
                say(
                    "{name}, row {row}: its probabilities sum to {total:.6g}, "
                    "expected 1 within {tolerance:.0e}",
                    name=trial.name,
                    row=row,
                    total=total,
                    tolerance=trial.tolerance,
                ),
                say(
                    "Is it the natural log, and is the sum taken over the classes "
                    "of the same example?"
                ),
            )


@criterion(points=1)
def never_positive(trial: Trial) -> None:
    """No log-probability is above 0."""
    n, c = ordinary_shape(trial)
    values = ask(trial, trial.array(draw_logits(trial, n, c))).values.astype(np.float64)
    # Rounding may leave a probability of 1 + 1e-7.
    above = ~(values <= trial.tolerance)
    if above.any():
        raise Failure(
            say(
                "{name} returned {found:.6g}, expected every entry at 0 or below",
                name=trial.name,
                found=values[above][0],
            ),
            say("A probability is at most 1, so its log is at most 0."),
        )


@criterion(points=1)
def differences_kept(trial: Trial) -> None:
    """Two classes differ by as much in their log-probabilities as in their net inputs."""
    logits = trial.array(draw_logits(trial, *ordinary_shape(trial)))
    found = ask(trial, logits)
    trial.expect_shape(
        found,
        logits.shape,
        say("{name} of {batch}", name=trial.name, batch=stack_of(*logits.shape)),
    )
    values, given = found.values.astype(np.float64), logits.astype(np.float64)
    trial.expect_values(
        values[:, 1:] - values[:, :1],
        given[:, 1:] - given[:, :1],
        say("{name}: the log-probability of each class less that of class 0", name=trial.name),
        hint=say(
            "The same number, log of the sum of exp(z), is taken from all classes of an example."
        ),
    )


@criterion(points=2)
def gradient(trial: Trial) -> None:
    """The gradient of the loss -log_softmax(z)[true class] is probabilities - one-hot."""
    single, columns = trial.spec.examples == "single", trial.spec.axis == 0
    logits = draw_logits(trial, 1 if single else 3, 4)
    labels = draw_labels(trial, *logits.shape)

    def turned(rows: NDArray[Any]) -> NDArray[Any]:
        """Return rows in the form that the function takes."""
        return rows[0] if single else np.ascontiguousarray(rows.T) if columns else rows

    expect_gradient(
        trial,
        lambda z: (z,),
        turned(logits),
        turned(oracle.cross_entropy_logits_gradient(logits, labels)),
        say("{name} and the reference loss: the gradient by the net inputs", name=trial.name),
        weights=turned(-oracle.one_hot(labels, 4)),
    )


# --- robust --------------------------------------------------------------------------------------


@criterion(points=1, kind="robust")
def large_logits(trial: Trial) -> None:
    """Net inputs as large as 10,000 give finite, right log-probabilities."""
    for scale in (100.0, 1000.0, 10_000.0):
        logits = np.round(draw_logits(trial, 3, 4) * scale)
        logits[0] = (scale, scale, -scale, 0)
        # log(p) is as large as the net inputs differ; float32 rounds that by 6e-8 of it, in each
        # of about four steps.
        size = float(np.abs(logits).max())
        compare(
            trial,
            trial.array(logits),
            say("{name} of net inputs as large as {size:g}", name=trial.name, size=size),
            say(
                "Do not take the log of softmax, where a probability may be 0: "
                "z - max - log(sum(exp(z - max))) stays finite."
            ),
            tolerance=max(trial.tolerance, 5e-7 * size),
        )


@criterion(points=1, kind="robust")
def infinite_logits(trial: Trial) -> None:
    """A net input of minus infinity gives the log-probability minus infinity."""
    logits = trial.array(draw_logits(trial, 3, 4))
    logits[1, 2] = logits[2, 0] = -math.inf
    compare(trial, logits, say("{name} of net inputs with -inf among them", name=trial.name))
