"""What pictures show, as numbers: the student's softmax, and a training run with their functions.

A few more calls of the student's functions, made once grading is over and only for a report that
shows pictures. Inputs are fixed and no secret. No chart changes a grade, whatever becomes of it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from lossgrade import oracle
from lossgrade.criterion import Failure
from lossgrade.language import say
from lossgrade.result import ChartRecord
from lossgrade.rubric import cross_entropy as loss_rubric
from lossgrade.rubric import softmax as softmax_rubric
from lossgrade.sandbox.host import SandboxUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lossgrade.engine import Grading
    from lossgrade.result import CriterionRecord
    from lossgrade.trial import Trial

    Floats = NDArray[np.float64]

# The net inputs of STAT 453, lecture 8.7.2: four examples of three classes.
BATCH = ((-0.3, -0.5, -0.5), (-0.4, -0.1, -0.5), (-0.3, -0.94, -0.5), (-0.99, -0.88, -0.5))

# Three clouds of four points that overlap a little: the reference falls from ln 3 to 0.138.
POINTS = (
    (2.1, 0.4), (1.4, -0.5), (2.6, -0.2), (0.6, 0.9),
    (-0.9, 1.7), (-0.2, 1.1), (-1.6, 1.4), (0.5, 1.8),
    (-1.1, -1.5), (-0.3, -1.9), (-1.8, -0.6), (0.4, -0.8),
)  # fmt: skip
LABELS = (0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2)
CLASSES = 3
STEPS = 40
RATE = 0.5
# Three calls a step, where both functions are differentiated.
CALLS = 3 * STEPS
SECONDS = 10.0
# A curve that differs by less shows nothing.
SAME = 1e-3


class _Spent(Exception):
    """The chart's calls or its time are used up."""


class _Caller:
    """Calls of the student's functions under their conventions, in a bounded number."""

    def __init__(self, grading: Grading, keys: dict[str, str]) -> None:
        self.trials = {
            rubric: grading.probe.trial(key, f"{key}:charts", seed="")
            for rubric, key in keys.items()
        }
        self._left = CALLS
        self._end = time.monotonic() + SECONDS

    def trial(self, rubric: str) -> Trial | None:
        """Return the function's trial for one more call, or None where the reference serves."""
        trial = self.trials.get(rubric)
        if trial is not None:
            self._left -= 1
            if self._left < 0 or time.monotonic() > self._end:
                raise _Spent
        return trial


def charts(grading: Grading, records: Sequence[CriterionRecord]) -> list[ChartRecord]:
    """Return the charts that show what failed where the student may see it; never raises."""
    made = []
    for draw in (_heatmaps, _curves):
        try:
            chart = draw(grading, records)
        except (Failure, SandboxUnavailable, _Spent):
            continue
        except Exception:  # noqa: S112 - ours; feedback does without the picture
            continue
        if chart is not None:
            made.append(chart)
    return made


def _shown(grading: Grading, records: Sequence[CriterionRecord], *, failed: bool) -> dict[str, str]:
    """Return the softmax and the cross entropy that are graded visibly, or failed: their keys."""
    keys: dict[str, str] = {}
    for record in records:
        spec = grading.assignment.graded.get(record.function)
        lost = record.outcome == "failed" and not record.advice
        if spec is not None and record.visibility == "visible" and (lost or not failed):
            keys.setdefault(spec.rubric, record.function)
    return {rubric: keys[rubric] for rubric in ("softmax", "cross_entropy") if rubric in keys}


# --- heat maps ------------------------------------------------------------------------------------


def _heatmaps(grading: Grading, records: Sequence[CriterionRecord]) -> ChartRecord | None:
    failed = _shown(grading, records, failed=True)
    if "softmax" not in failed:
        return None
    caller = _Caller(grading, {"softmax": failed["softmax"]})
    logits = np.array(BATCH)
    reference = oracle.softmax(logits)
    trial = caller.trial("softmax")
    assert trial is not None
    yours = softmax_rubric.ask(trial, trial.array(logits)).values.astype(np.float64)
    if yours.shape != reference.shape:
        return None
    with np.errstate(invalid="ignore"):
        off = np.abs(yours - reference)
    if not off.max() > SAME and not np.isnan(off).any():
        return None
    return ChartRecord(
        kind="heatmaps",
        title=say("Your softmax of the lecture's net inputs, beside the reference"),
        alt=_heatmaps_alt(yours, off),
        data={"yours": _rows(yours), "reference": _rows(reference)},
    )


def _heatmaps_alt(yours: Floats, off: Floats) -> str:
    shape = say(
        "Two tables of {rows} examples and {columns} classes as colours, and their difference.",
        rows=yours.shape[0],
        columns=yours.shape[1],
    )
    if not np.isfinite(yours).all():
        return f"{shape} {say('Some of your entries are no finite numbers.')}"
    row, column = np.unravel_index(int(np.argmax(off)), off.shape)
    sums = say(
        "Your rows sum to {sums}; those of the reference to 1.",
        sums=", ".join(f"{total:.3g}" for total in yours.sum(axis=1)),
    )
    worst = say(
        "The largest difference is {off}, in row {row}, column {column}.",
        off=f"{off.max():.3g}",
        row=int(row),
        column=int(column),
    )
    return f"{shape} {sums} {worst}"


# --- curves ---------------------------------------------------------------------------------------


def _curves(grading: Grading, records: Sequence[CriterionRecord]) -> ChartRecord | None:
    if not _shown(grading, records, failed=True):
        return None
    # What is graded out of the student's sight is not shown by its effect on a curve either.
    keys = _shown(grading, records, failed=False)
    caller = _Caller(grading, keys)
    if any(not _is_batched(trial) for trial in caller.trials.values()):
        # One call an example and a step would be 1,440.
        return None
    reference = _train(_Caller(grading, {}))
    yours = _train(caller)
    length = min(len(yours), len(reference))
    if not yours or (length == len(reference) and np.allclose(yours, reference, rtol=0, atol=SAME)):
        return None
    return ChartRecord(
        kind="curves",
        title=say("Training with your functions, beside the reference"),
        alt=_curves_alt(yours, reference),
        data={"yours": _rows(np.array([yours])), "reference": _rows(np.array([reference]))},
    )


def _curves_alt(yours: Sequence[float], reference: Sequence[float]) -> str:
    ends = say(
        "The loss of a small softmax regression over {steps} steps. With the reference it falls "
        "from {start} to {end};",
        steps=len(reference),
        start=f"{reference[0]:.3g}",
        end=f"{reference[-1]:.3g}",
    )
    if len(yours) == len(reference):
        own = say(
            "with your functions it goes from {start} to {end}.",
            start=f"{yours[0]:.3g}",
            end=f"{yours[-1]:.3g}",
        )
    else:
        own = say(
            "with your functions it starts at {start} and ends after step {step}: what came next "
            "was no number, or no value at all.",
            start=f"{yours[0]:.3g}",
            step=len(yours),
        )
    return f"{ends} {own}"


def _is_batched(trial: Trial) -> bool:
    return bool(trial.spec.examples == "batch")


def _train(caller: _Caller) -> list[float]:
    """Return the losses of full-batch gradient descent, up to where no number comes any more."""
    inputs = np.column_stack([np.array(POINTS), np.ones(len(POINTS))])
    targets = oracle.one_hot(np.array(LABELS), CLASSES)
    weights = np.zeros((inputs.shape[1], CLASSES))
    losses: list[float] = []
    for _ in range(STEPS):
        try:
            loss, slope = _step(caller, inputs @ weights, targets)
        except (Failure, SandboxUnavailable, _Spent):
            break
        if not np.isfinite(loss):
            break
        losses.append(loss)
        weights = weights - RATE * (inputs.T @ slope)
        if not np.isfinite(weights).all():
            break
    return losses


def _step(caller: _Caller, logits: Floats, targets: Floats) -> tuple[float, Floats]:
    """Return the mean loss, and its gradient by the logits.

    NumPy has no autograd: there it is the lecture's own, probabilities - targets.
    """
    loss = caller.trials.get("cross_entropy")
    kind = loss.spec.prediction if loss is not None else "probabilities"
    if kind == "logits":
        return _loss(caller, logits, oracle.softmax(logits), targets)
    probabilities = _probabilities(caller, logits)
    if kind == "log-probabilities":
        with np.errstate(divide="ignore", invalid="ignore"):
            value, slope = _loss(caller, np.log(probabilities), probabilities, targets)
            slope = slope / probabilities if _differentiates(loss) else slope
    else:
        value, slope = _loss(caller, probabilities, probabilities, targets)
    if loss is not None and not _differentiates(loss):
        return value, slope
    return value, _through_softmax(caller, logits, slope)


def _differentiates(trial: Trial | None) -> bool:
    return trial is None or trial.library == "torch"


def _probabilities(caller: _Caller, logits: Floats) -> Floats:
    trial = caller.trial("softmax")
    if trial is None:
        return oracle.softmax(logits)
    found = softmax_rubric.ask(trial, trial.array(logits)).values.astype(np.float64)
    if found.shape != logits.shape:
        raise Failure("another shape")
    return found


def _loss(
    caller: _Caller, given: Floats, probabilities: Floats, targets: Floats
) -> tuple[float, Floats]:
    """Return the mean loss of what the function is given, and its gradient by that.

    Where the function cannot be differentiated, the gradient is the one by the logits.
    """
    examples = len(given)
    trial = caller.trial("cross_entropy")
    if trial is None:
        picked = probabilities[np.arange(examples), LABELS]
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(-np.log(picked).mean()), -targets / probabilities / examples
    predicted = trial.array(given)
    arguments = loss_rubric.arguments(trial, predicted, loss_rubric.encoded(trial, targets))
    wrt = [index for index, argument in enumerate(arguments) if argument is predicted]
    torch = _differentiates(trial)
    answer = trial.answer(arguments, wrt=wrt if torch else ())
    values = answer.value.values.astype(np.float64)
    if not answer.value.is_array or not values.size:
        raise Failure("no loss")
    # As a training loop does: the mean of what comes back. A sum that was asked for is a sum.
    share = values.size * (examples if trial.reduction == "sum" else 1)
    if not torch:
        return float(values.sum()) / share, (probabilities - targets) / examples
    if answer.gradient_problem or not answer.gradients:
        raise Failure("no gradient")
    gradient = answer.gradients[0].values.astype(np.float64)
    if gradient.shape != given.shape:
        raise Failure("another shape")
    return float(values.sum()) / share, gradient / share


def _through_softmax(caller: _Caller, logits: Floats, slope: Floats) -> Floats:
    trial = caller.trials.get("softmax")
    if not np.isfinite(slope).all():
        raise Failure("no finite gradient")
    if trial is None:
        return oracle.softmax_vjp(logits, slope)
    if not _differentiates(trial):
        # p * (slope - sum p * slope), with the student's p.
        p = _probabilities(caller, logits)
        return np.asarray(p * (slope - (p * slope).sum(axis=1, keepdims=True)))
    caller.trial("softmax")
    turned = trial.spec.axis == 0
    given, weights = (logits.T, slope.T) if turned else (logits, slope)
    gradient = trial.gradient(
        trial.array(np.ascontiguousarray(given)),
        cotangent=trial.array(np.ascontiguousarray(weights)),
    )
    return gradient.T if turned else gradient


def _rows(values: NDArray[Any]) -> list[list[float | None]]:
    """Return values as a record holds them: four decimals, the same on every machine."""
    return [[round(float(v), 4) if np.isfinite(v) else None for v in row] for row in values]
