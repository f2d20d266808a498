"""What one graded property is: `@criterion`, and how it fails.

A criterion is a function of a `Trial`. It asks the student's function for values and raises
`Failure` when they are not what its docstring says. It runs in the trusted process.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from lossgrade.trial import Trial

Kind = Literal["values", "law", "contract", "robust"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class Failure(Exception):
    """A criterion that does not hold.

    Args:
        message: one line: where, what was found, what was expected, within what tolerance.
        hint: what to look at next, in the student's words.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = " ".join(message.split())
        self.hint = " ".join(hint.split())


class NotGraded(Exception):
    """The criterion could not be judged, through no fault of the student's."""


@dataclass(frozen=True)
class Criterion:
    """One graded property of one function, worth points.

    `weight` is its share of the function's points. A `values` criterion compares results. A `law`
    counts only for a function whose results change with the input as the right ones do, a
    `contract` and a `robust` one only for a function that is right in some ordinary cases: numbers
    of the right shape earn nothing by having it. A `robust` one carries bonus points in lecture
    strictness.
    """

    name: str
    title: str
    weight: float
    kind: Kind
    check: Callable[[Trial], None]
    function: str = ""
    when: Callable[[Any], bool] = lambda _: True


def criterion(
    *,
    points: float = 1.0,
    kind: Kind = "law",
    function: str = "",
    when: Callable[[Any], bool] = lambda _: True,
) -> Callable[[Callable[[Trial], None]], Callable[[Trial], None]]:
    """Make a graded property of a function of a `Trial`; its docstring is what students read.

    Args:
        points: the weight among the criteria of the same function.
        kind: see `Criterion`.
        function: the key in the assignment's `functions`; needed in an instructor's own file.
        when: whether the criterion makes sense under the function's settings.
    """
    if points < 0:
        raise ValueError(f"points={points}, expected 0 or more")

    def mark(check: Callable[[Trial], None]) -> Callable[[Trial], None]:
        title = (inspect.getdoc(check) or "").partition("\n")[0].rstrip(".")
        if not title:
            raise ValueError(f"{check.__name__} needs a docstring: it is the line students read")
        made = Criterion(check.__name__, title, points, kind, check, function, when)
        check.__criterion__ = made  # type: ignore[attr-defined]  # found again by criteria_in
        return check

    return mark


def criteria_in(module: ModuleType) -> list[Criterion]:
    """Return the criteria of a rubric: those the module defines, then its CONTRACT, by kind."""
    checks = [*vars(module).values(), *getattr(module, "CONTRACT", ())]
    found = (getattr(check, "__criterion__", None) for check in checks)
    made = [each for each in found if isinstance(each, Criterion)]
    return sorted(made, key=lambda each: KINDS.index(each.kind))
