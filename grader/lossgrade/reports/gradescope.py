"""Gradescope's results.json: one entry a criterion, bonus points added where they were earned."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lossgrade.language import say
from lossgrade.reports.feedback import penalties
from lossgrade.reports.lines import explanation
from lossgrade.reports.summary import points

if TYPE_CHECKING:
    from lossgrade.result import CriterionRecord, FunctionRecord, Result


def render(result: Result) -> str:
    """Return the results as JSON text.

    The total stands at the top as well, since Gradescope lets it win over the sum of the tests:
    rounding there cannot change a grade.
    """
    document = {
        "score": round(result.score + result.bonus, 2),
        "execution_time": result.duration_s,
        "output": _output(result),
        "output_format": "text",
        "test_output_format": "text",
        "test_name_format": "text",
        # What the submission printed reaches instructors alone, as Gradescope does by default.
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "extra_data": {"assignment": result.assignment.name, "outcome": result.outcome},
        "tests": [_test(result, number) for number in range(len(result.criteria))],
    }
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _test(result: Result, place: int) -> dict[str, Any]:
    criterion = result.criteria[place]
    functions = list(result.functions)
    major = functions.index(criterion.function) + 1
    minor = sum(c.function == criterion.function for c in result.criteria[: place + 1])
    test: dict[str, Any] = {
        "score": round(criterion.score + criterion.bonus, 2),
        "max_score": criterion.max_score,
        "name": f"{criterion.function}: {criterion.title}",
        "number": f"{major}.{minor}",
        "status": "passed" if criterion.outcome == "passed" else "failed",
        "output": explanation(criterion),
        "visibility": criterion.visibility,
        "tags": [criterion.kind],
        "extra_data": {"id": criterion.id, "outcome": criterion.outcome},
    }
    if criterion.advice and not criterion.bonus:
        # Without a score, Gradescope shows the line and counts nothing.
        del test["score"], test["max_score"]
    return test


def _output(result: Result) -> str:
    lines = [
        f"{name}: {_of_points(part)}"
        for name, part in result.functions.items()
        if part.max_score and all(c.visibility == "visible" for c in _of(result, name))
    ]
    return "\n".join(lines + penalties(result) + result.notes)


def _of_points(part: FunctionRecord) -> str:
    return say("{score} of {most} points", score=points(part.score), most=points(part.max_score))


def _of(result: Result, function: str) -> list[CriterionRecord]:
    return [c for c in result.criteria if c.function == function]
