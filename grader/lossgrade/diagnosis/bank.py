"""What a misconception is, and the decorator that puts one into the bank.

A misconception is a function: its name is the slug, its body the wrong formula, which the trusted
side runs on the inputs that the student's function was given. The docstring says what is wrong,
in a paragraph, and after "Fix:" what to do. The formulas of one graded function lie in the module
that is named for it.
"""

from __future__ import annotations

import functools
import inspect
import pkgutil
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import lossgrade.diagnosis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from lossgrade.diagnosis.samples import Sample


@dataclass(frozen=True)
class Misconception:
    """A named wrong idea.

    Attributes:
        slug: its name, which the fixtures, the pages and the linter's rules share.
        rubrics: the graded functions that it may befall; empty for any.
        explanation: what is wrong, for the student.
        fix: what to do.
        source: the passage of a lecture to read again.
        shown: what evidence calls the formula: "softmax over the batch (dim=0)".
        rule: the linter's rule for the same mistake.
        formula: the arguments in canonical form to the wrong result, or to several that go by the
            same name; None where the mistake shows in how a function behaves.
        parameter: from a sample to the values that a constant in the formula may have.
        tolerance: relative to 1 + |value|; None for the assignment's.
        confirm: what else must hold of each result, beside the formula's.
        everywhere: it must explain the results for soft targets too, though none are asked for.
        extreme: it shows on inputs alone that are not ordinary: overflow, ties, 0 log 0.
    """

    slug: str
    rubrics: tuple[str, ...]
    explanation: str
    fix: str
    source: str = ""
    shown: str = ""
    rule: str = ""
    formula: Callable[..., Any] | None = None
    parameter: Callable[[Sample], Iterable[float]] | None = None
    tolerance: float | None = None
    confirm: Callable[[NDArray[Any], NDArray[Any]], bool] | None = None
    everywhere: bool = False
    extreme: bool = False

    def results(self, given: Sequence[Any], *constants: float) -> list[NDArray[Any] | None]:
        """Return what the wrong formulas give; None where one raises, as NumPy does."""
        assert self.formula is not None
        results: list[NDArray[Any] | None] = []
        try:
            found = self.formula(*given, *constants)
            if not inspect.isgeneratorfunction(self.formula):
                return [found]
            results.extend(found)
        except (ValueError, IndexError):
            results.append(None)
        return results


def misconception(
    *rubrics: str,
    shown: str = "",
    source: str = "",
    rule: str = "",
    parameter: Callable[[Sample], Iterable[float]] | None = None,
    tolerance: float | None = None,
    confirm: Callable[[NDArray[Any], NDArray[Any]], bool] | None = None,
    everywhere: bool = False,
    extreme: bool = False,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Put a wrong formula into the bank; see `Misconception`. A generator yields several."""

    def mark(formula: Callable[..., Any]) -> Callable[..., Any]:
        explanation, _, fix = " ".join((inspect.getdoc(formula) or "").split()).partition(" Fix: ")
        fix = fix[:1].upper() + fix[1:]
        made = Misconception(
            formula.__name__.replace("_", "-"),
            rubrics,
            explanation,
            fix,
            source,
            shown,
            rule,
            formula if inspect.signature(formula).parameters else None,
            parameter,
            tolerance,
            confirm,
            everywhere,
            extreme,
        )
        formula.__misconception__ = made  # type: ignore[attr-defined]  # found again by the bank
        return formula

    return mark


@functools.cache
def bank() -> tuple[Misconception, ...]:
    """Return every misconception; of two that explain the same results the first is meant."""
    found: list[Misconception] = []
    for module in sorted(pkgutil.iter_modules(lossgrade.diagnosis.__path__), key=lambda m: m.name):
        content = vars(import_module(f"lossgrade.diagnosis.{module.name}")).values()
        marked = (getattr(each, "__misconception__", None) for each in content)
        found += [each for each in marked if isinstance(each, Misconception)]
    # A constant that is fitted explains much: it is tried when nothing else does.
    return tuple(sorted(dict.fromkeys(found), key=lambda each: each.parameter is not None))


def formulas(rubric: str, *, extreme: bool = False) -> list[Misconception]:
    """Return the misconceptions with a formula for the graded function `rubric`."""
    return [
        each
        for each in bank()
        if each.formula is not None and rubric in each.rubrics and each.extreme == extreme
    ]


def named(slug: str, rubric: str) -> Misconception:
    """Return the misconception `slug` of a graded function."""
    return next(
        each
        for each in bank()
        if each.slug == slug and (not each.rubrics or rubric in each.rubrics)
    )
