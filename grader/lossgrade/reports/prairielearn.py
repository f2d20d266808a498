"""PrairieLearn's results.json: one test a criterion, with points."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lossgrade.language import say
from lossgrade.reports.feedback import joined, printable, ungraded
from lossgrade.reports.lines import fitted, lines
from lossgrade.reports.summary import total_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lossgrade.reports.lines import Line
    from lossgrade.result import Result

# PrairieLearn takes up to 1 MB.
LIMIT = 1_000_000
NOTES_CAP = 10_000


def render(result: Result) -> str:
    """Return the results as JSON text.

    What could not be loaded, or not be graded through no fault of the student's, is not gradable:
    it costs no attempt.
    """
    result = printable(result)
    problem = _problem(result)

    def write(told: Sequence[Line]) -> str:
        document: dict[str, Any] = {
            "gradable": not problem,
            "message": problem or total_line(result),
            "output": "\n".join(result.notes)[:NOTES_CAP],
            # Every test has both: where one lacks them, no points are shown at all.
            "tests": [
                {
                    "name": line.name,
                    "points": line.score,
                    "max_points": line.max_score,
                    "message": line.text,
                }
                for line in told
            ],
        }
        if problem:
            document["format_errors"] = [problem]
        else:
            document["score"] = _score(result)
        return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    return fitted(lines(result), write, LIMIT)


def _score(result: Result) -> float:
    """Return the share of the points, with the bonus, in [0, 1]."""
    earned = round(result.score + result.bonus, 2)
    return min(earned / result.max_score, 1.0) if result.max_score else 0.0


def _problem(result: Result) -> str:
    """Return why there is no grade, empty where there is one."""
    if result.outcome == "not-graded":
        why = joined(*ungraded(result)[:2])
        return say("Not graded, through no fault of yours: {why}", why=why)
    messages = {criterion.message for criterion in result.criteria}
    for note in result.notes:
        text = say("the submission cannot be loaded: {failure}", failure=note)
        if text in messages:
            return text
    return ""
