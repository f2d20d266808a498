"""Functions that return one number: how they are asked, compared, and what shape is due."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lossgrade.criterion import criterion
from lossgrade.rubric import contract

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from lossgrade.trial import Trial


def ask(trial: Trial, *arguments: Any, what: str = "") -> float:
    """Call the function and return its number; an array of one entry loses number_shape alone.

    Raises:
        Failure: it gave no value, or several.
    """
    found = trial.call(*arguments)
    if found.values.size != 1:
        trial.expect_shape(found, (), what or trial.name)
    return float(found.values.reshape(-1)[0])


def expect(
    trial: Trial,
    found: float,
    expected: ArrayLike,
    what: str,
    *,
    hint: str = "",
    tolerance: float | None = None,
) -> None:
    """Fail unless two numbers agree within a tolerance, by default the assignment's."""
    reference = np.asarray(expected, dtype=np.float64)
    trial.expect_values(np.asarray(found), reference, what, hint=hint, tolerance=tolerance)


def compare(
    trial: Trial,
    arguments: tuple[Any, ...],
    expected: ArrayLike,
    what: str,
    *,
    hint: str = "",
    tolerance: float | None = None,
) -> None:
    """Expect one number from a call."""
    found = ask(trial, *arguments, what=what)
    expect(trial, found, expected, what, hint=hint, tolerance=tolerance)


def reordering(trial: Trial, n: int) -> NDArray[np.int64]:
    """Return a random order of n > 1 in which nothing keeps its place."""
    while True:
        order = trial.rng.permutation(n)
        if (order != np.arange(n)).all():
            return order


@criterion(points=1, kind="contract")
def number_shape(trial: Trial) -> None:
    """The result is one number, of shape ()."""
    case = trial.ordinary()
    trial.expect_shape(trial.call(*case.arguments), (), case.what)


CONTRACT = (
    number_shape,
    contract.keeps_library,
    contract.float_result,
    contract.input_unchanged,
    contract.no_memory,
)
