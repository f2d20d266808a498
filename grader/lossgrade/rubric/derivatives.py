"""The gradient of any one function, against the one that follows from its formula.

In torch it is what autograd returns, so that a result cut off from its input is found. NumPy has
no autograd, nor has a Python float, which is enough for a number that is only looked at: there the
same law is tested by central differences, in float64.

Both are taken by unconstrained numbers z. A function of probabilities is given softmax or sigmoid
of z by the reference, so that it only ever sees probabilities that sum to 1: what it does with
others, normalise them or not, is its own affair.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lossgrade.language import say
from lossgrade.rubric.gradients import (
    AUTOGRAD_TOLERANCE,
    DIFFERENCE_TOLERANCE,
    HINT,
    central_differences,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from lossgrade.trial import Trial


def unchanged(values: NDArray[Any]) -> NDArray[Any]:
    """Return `values`: what a function of z itself is given."""
    return values


def expect_gradient(
    trial: Trial,
    arguments: Callable[[NDArray[Any]], tuple[Any, ...]],
    at: NDArray[np.float64],
    expected: NDArray[np.float64],
    what: str,
    *,
    by: int = 0,
    given: Callable[[NDArray[Any]], NDArray[Any]] = unchanged,
    carried: Callable[[NDArray[Any]], NDArray[Any]] = unchanged,
    weights: NDArray[np.float64] | None = None,
) -> None:
    """Expect the gradient of sum(result * weights) by z.

    Args:
        trial: the trial of the function.
        arguments: makes the arguments of a call, all of the dtype of the one it is given.
        at: z, kept to a size at which third derivatives stay below 6.
        expected: the gradient, in the shape of `at`.
        what: what was computed, for the message.
        by: the place of the differentiated argument.
        given: that argument as a function of z.
        carried: turns the gradient by that argument into the one by z.
        weights: of the entries of the result; default 1 for a single number.
    Raises:
        Failure: the gradient is another, or does not flow.
    """
    cotangent = np.ones(()) if weights is None else weights
    if trial.library == "torch" and not _returns_plain_number(trial, arguments(given(at))):
        # The result may be of any shape with as many entries: its shape is another criterion's.
        by_argument = trial.gradient(
            *arguments(trial.array(given(at))), cotangent=cotangent, wrt=by
        )
        found = carried(by_argument.reshape(at.shape))
        trial.expect_values(found, expected, what, tolerance=AUTOGRAD_TOLERANCE, hint=say(HINT))
        return

    def weighted(points: Sequence[NDArray[np.float64]]) -> Iterator[float]:
        for result in trial.calls([arguments(given(z)) for z in points]):
            if result.values.size != cotangent.size:
                trial.expect_shape(result, cotangent.shape, what)
            values = result.values.astype(np.float64).reshape(cotangent.shape)
            yield float((values * cotangent).sum())

    found = central_differences(weighted, at)
    trial.expect_values(found, expected, what, tolerance=DIFFERENCE_TOLERANCE, hint=say(HINT))


def _returns_plain_number(trial: Trial, arguments: tuple[Any, ...]) -> bool:
    """Say whether a torch function returned a Python number, which loses keeps_library."""
    found = trial.call(*arguments)
    return found.library == "python" and found.shape == ()
