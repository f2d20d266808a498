"""The gradient of softmax followed by cross entropy: probabilities - one-hot.

In torch it is what autograd returns, so that a result cut off from its input is found. NumPy has
no autograd: there the same law is tested by central differences, in float64.

Each function is joined with the reference of the other, so that the right one is blamed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lossgrade import oracle
from lossgrade.criterion import Failure
from lossgrade.language import later, say
from lossgrade.rubric.cases import draw_labels, draw_logits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from lossgrade.student import Returned
    from lossgrade.trial import Trial

# Central differences in float64: the error of the formula is step**2 / 6 times a third derivative
# below 2, and a function that computes in float32 adds 1e-7 / step.
STEP = 1e-3
DIFFERENCE_TOLERANCE = 1e-3
# Autograd in float32 on probabilities above 0.02: 1 / p magnifies a rounding of 6e-8 fifty times.
AUTOGRAD_TOLERANCE = 1e-4

HINT = later("Is every step from the input to the result differentiable, and is the formula right?")


def softmax_gradient(trial: Trial, ask_each: Callable[..., Iterable[Returned]]) -> None:
    """Expect probabilities - one-hot from the student's softmax and the reference loss.

    Args:
        trial: the trial of a softmax.
        ask_each: calls it under its convention, as in rubric/softmax.py.
    Raises:
        Failure: the gradient is another, or does not flow.
    """
    logits = draw_logits(trial, 1 if trial.spec.examples == "single" else 3, 4)
    if trial.library == "torch":
        logits = trial.array(logits).astype(np.float64)
    labels = draw_labels(trial, *logits.shape)
    probabilities = oracle.softmax(logits)
    expected = oracle.cross_entropy_logits_gradient(logits, labels)
    # The derivative of the loss by the probabilities.
    cotangent = -oracle.one_hot(labels, logits.shape[1]) / probabilities
    what = say(
        "{name} and the reference cross entropy: the gradient by the net inputs", name=trial.name
    )

    if trial.library == "torch":
        single, columns = trial.spec.examples == "single", trial.spec.axis == 0
        given, weights = trial.array(logits), trial.array(cotangent)
        if single:
            given, weights = given[0], weights[0]
        elif columns:
            given, weights = given.T.copy(), weights.T.copy()
        found = trial.gradient(given, cotangent=weights)
        found = found[np.newaxis] if single else found.T if columns else found
        trial.expect_values(found, expected, what, tolerance=AUTOGRAD_TOLERANCE, hint=say(HINT))
        return

    def losses(points: Sequence[NDArray[np.float64]]) -> Iterator[float]:
        of = say("{name} of float64 net inputs", name=trial.name)
        for p in ask_each(trial, points):
            trial.expect_shape(p, logits.shape, of)
            yield float((cotangent * p.values.astype(np.float64)).sum())

    found = central_differences(losses, logits)
    trial.expect_values(found, expected, what, tolerance=DIFFERENCE_TOLERANCE, hint=say(HINT))


def central_differences(
    function: Callable[[Sequence[NDArray[np.float64]]], Iterable[float]], at: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the gradient of `function` by central differences of `STEP`.

    Args:
        function: gives a number for each of several points, each in the shape of `at`.
        at: the place of the gradient.
    Raises:
        Failure: the function gives NaN or an infinity there.
    """
    steps = STEP * np.eye(at.size).reshape(at.size, *at.shape)
    after, before = np.array(list(function([*(at + steps), *(at - steps)]))).reshape(2, *at.shape)
    with np.errstate(invalid="ignore"):
        gradient: NDArray[np.float64] = (after - before) / (2 * STEP)
    if not np.isfinite(gradient).all():
        raise Failure(say("the result is NaN or infinite in an ordinary case"), say(HINT))
    return gradient


def cross_entropy_gradient(
    trial: Trial,
    prediction: Callable[..., NDArray[Any]],
    encoded: Callable[..., NDArray[Any]],
    arguments: Callable[..., tuple[Any, ...]],
    ask_each: Callable[..., Iterable[Returned]],
) -> None:
    """Expect probabilities - one-hot from the reference softmax and the student's loss.

    Args:
        trial: the trial of a cross entropy.
        prediction, encoded, arguments, ask_each: the convention, as in rubric/cross_entropy.py.
    Raises:
        Failure: the gradient is another, or does not flow.
    """
    n, c = (3, 4) if trial.spec.examples == "batch" else (1, 4)
    # Kept near each other, so that no probability falls below 0.02.
    logits = draw_logits(trial, n, c) / 2
    labels = draw_labels(trial, n, c)
    targets = oracle.one_hot(labels, c)
    scale = 1 / n if trial.reduction == "mean" else 1.0
    if trial.spec.log_base != "e":
        scale /= np.log(float(trial.spec.log_base))
    expected = oracle.cross_entropy_logits_gradient(logits, labels) * scale
    what = say("{name} of the reference softmax: the gradient by the net inputs", name=trial.name)

    def of(z: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[Any]]:
        return prediction(trial, oracle.log_softmax(z), "float64"), encoded(
            trial, targets, "float64"
        )

    if trial.library == "torch":
        given = of(logits)
        single = trial.spec.examples == "single"
        case = arguments(trial, *(each[0] if single else each for each in given))
        place = 0 if trial.spec.order == "prediction-first" else 1
        size = n if trial.reduction == "none" and not single else 1
        weights = np.ones(size)
        by_prediction = trial.gradient(*case, cotangent=weights, wrt=place)
        if trial.spec.axis == 0:
            by_prediction = by_prediction.T
        by_prediction = by_prediction.reshape(n, c)
        found = _by_logits(trial.spec.prediction, by_prediction, oracle.softmax(logits))
        trial.expect_values(found, expected, what, tolerance=AUTOGRAD_TOLERANCE, hint=say(HINT))
        return

    def losses(points: Sequence[NDArray[np.float64]]) -> Iterator[float]:
        for each in ask_each(trial, [of(z) for z in points]):
            yield float(each.values.astype(np.float64).sum())

    found = central_differences(losses, logits)
    trial.expect_values(found, expected, what, tolerance=DIFFERENCE_TOLERANCE, hint=say(HINT))


def _by_logits(
    kind: str, gradient: NDArray[np.float64], probabilities: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Carry a gradient by the prediction on to the net inputs, through the reference softmax."""
    if kind == "logits":
        return gradient
    by_log = gradient if kind == "log-probabilities" else gradient * probabilities
    carried: NDArray[np.float64] = by_log - probabilities * by_log.sum(axis=1, keepdims=True)
    return carried
