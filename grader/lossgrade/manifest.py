"""What is graded, fixed before the student's code loads: every criterion with its points."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lossgrade.assignment import AssignmentError, CriterionSettings
from lossgrade.criterion import Criterion, criteria_in
from lossgrade.language import say
from lossgrade.lectures import figures
from lossgrade.result import CriterionRecord

if TYPE_CHECKING:
    from types import ModuleType

    from lossgrade.assignment import Assignment, Visibility
    from lossgrade.result import Outcome


@dataclass(frozen=True)
class Graded:
    """One line of the manifest: a criterion, with what it is worth in this assignment."""

    id: str
    function: str
    criterion: Criterion
    max_score: float
    max_bonus: float
    visibility: Visibility

    def record(self, outcome: Outcome, message: str = "", hint: str = "") -> CriterionRecord:
        """Return the result of this criterion."""
        passed = outcome == "passed"
        return CriterionRecord(
            id=self.id,
            function=self.function,
            title=say(self.criterion.title),
            kind=self.criterion.kind,
            outcome=outcome,
            score=self.max_score if passed else 0,
            max_score=self.max_score,
            bonus=self.max_bonus if passed else 0,
            max_bonus=self.max_bonus,
            visibility=self.visibility,
            message=message,
            hint=hint,
        )


def manifest(assignment: Assignment, folder: Path | None = None) -> list[Graded]:
    """Return every criterion of `assignment` with its points, in the order of its functions.

    Args:
        assignment: what is asked.
        folder: where the files of `extra_criteria` lie.
    Raises:
        AssignmentError: a criterion that does not exist, or points that do not add up.
    """
    extra = _extra_criteria(assignment, folder)
    lines: list[Graded] = []
    for key, spec in assignment.graded.items():
        available = [
            *criteria_in(rubric(spec.rubric)),
            *(each for each in extra if each.function == key),
        ]
        names = [each.name for each in available]
        if doubled := next((name for name in names if names.count(name) > 1), ""):
            raise AssignmentError(
                f"extra_criteria: {key}.{doubled} exists already; give the function another name"
            )
        for name in spec.criteria:
            if name not in names:
                raise AssignmentError(
                    f"functions.{key}.criteria.{name}: no such criterion; "
                    f"there are {', '.join(names)}"
                )
        told = figures(assignment.name, spec.rubric)
        chosen = [
            each
            for each in available
            if each.when(spec)
            and _settings(spec, each).enabled
            and (told or not each.name.startswith("lecture_"))
        ]
        advisory = [
            each
            for each in chosen
            if each.kind == "robust"
            and assignment.strictness == "lecture"
            and _settings(spec, each).points is None
        ]
        carrying = [each for each in chosen if each not in advisory]
        points = _share(key, spec.points, carrying, spec)
        # In strict assignments there is no advice that a bonus could be for.
        bonus = _share(key, spec.bonus, advisory, spec) if spec.bonus and advisory else {}
        for each in chosen:
            visibility = _settings(spec, each).visibility or spec.visibility
            lines.append(
                Graded(
                    f"{key}.{each.name}",
                    key,
                    each,
                    points.get(each.name, 0.0),
                    bonus.get(each.name, 0.0),
                    visibility or assignment.visibility,
                )
            )
    return lines


def _settings(spec: Any, criterion: Criterion) -> CriterionSettings:
    settings: CriterionSettings = spec.criteria.get(criterion.name, CriterionSettings())
    return settings


@cache
def rubric(name: str) -> ModuleType:
    """Return the module that holds the criteria of a rubric."""
    return importlib.import_module(f"lossgrade.rubric.{name}")


def _share(key: str, points: float, criteria: list[Criterion], spec: Any) -> dict[str, float]:
    """Deal `points` out by weight, in hundredths that add up exactly."""
    own = {each.name: _settings(spec, each).points for each in criteria}
    fixed = {name: round(given * 100) for name, given in own.items() if given is not None}
    rest = round(points * 100) - sum(fixed.values())
    free = [each for each in criteria if each.name not in fixed]
    if rest < 0 or (rest and not any(each.weight for each in free)):
        raise AssignmentError(
            f"functions.{key}: its criteria have {sum(fixed.values()) / 100:g} points fixed, "
            f"expected {'at most ' if free else ''}its points = {points:g}"
        )
    weight = sum(each.weight for each in free) or 1
    exact = {each.name: rest * each.weight / weight for each in free}
    dealt = {name: int(share) for name, share in exact.items()}
    by_remainder = sorted(exact, key=lambda name: dealt[name] - exact[name])
    for name in by_remainder[: rest - sum(dealt.values())]:
        dealt[name] += 1
    return {name: cents / 100 for name, cents in {**fixed, **dealt}.items()}


def _extra_criteria(assignment: Assignment, folder: Path | None) -> list[Criterion]:
    found: list[Criterion] = []
    for name in assignment.extra_criteria:
        path = (folder or Path()) / name
        module_name = f"lossgrade_extra_criteria_{path.stem}"
        spec = importlib.util.spec_from_file_location(module_name, path)
        if not path.is_file() or spec is None or spec.loader is None:
            raise AssignmentError(f"extra_criteria: {path}: no such Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module
        try:
            spec.loader.exec_module(module)
        except (Exception, SystemExit) as error:
            raise AssignmentError(
                f"extra_criteria: {path}: {type(error).__name__}: {error}"
            ) from error
        made = criteria_in(module)
        for each in made:
            if each.function not in assignment.graded:
                raise AssignmentError(
                    f"extra_criteria: {path}: {each.name} has function={each.function!r}, "
                    f"expected one of {', '.join(assignment.graded)}"
                )
        if not made:
            raise AssignmentError(f"extra_criteria: {path}: defines no @criterion function")
        found += made
    return found
