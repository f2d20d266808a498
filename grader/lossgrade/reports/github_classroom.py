"""What GitHub Classroom's reporter reads: one test a criterion, their scores the grade.

The workflow hands it over in base64, as the output `result` of a step. The reporter sums the
scores of all tests, whatever their status, into the grade.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from lossgrade.reports.feedback import printable, ungraded
from lossgrade.reports.lines import fitted, lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lossgrade.reports.lines import Line
    from lossgrade.result import Result

# The reporter has the result in one environment variable, in base64: Linux gives it 128 KiB.
LIMIT = 90 << 10
_STATUS = {"passed": "pass", "failed": "fail", "not-graded": "error"}


def render(result: Result) -> str:
    """Return the result as JSON on one line."""
    result = printable(result)
    # What is printed in the log with a cross loses points. What is taken off comes first, as
    # `exactly` needs it.
    counted = [line for line in lines(result) if line.max_score or line.score]
    counted.sort(key=lambda line: line.score >= 0)

    def write(told: Sequence[Line]) -> str:
        document: dict[str, Any] = {
            "version": 3,
            "status": _STATUS[result.outcome],
            "max_score": result.max_score,
            "tests": _tests(told, round(result.score + result.bonus, 2)),
        }
        if result.outcome == "not-graded":
            document["message"] = _tame(": ".join(ungraded(result)[:2]))
        return (
            json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n"
        )

    return fitted(counted, write, LIMIT)


def _tests(told: Sequence[Line], total: float) -> list[dict[str, Any]]:
    scores = exactly([line.score for line in told], total)
    return [
        {
            "name": _tame(line.name),
            "status": _STATUS[line.outcome],
            "score": score,
            "line_no": 0,
            "test_code": "",
            "filename": "",
            # Of an error the reporter prints this alone.
            **({"message": _tame(f"{line.name}: {line.text}")} if line.text else {}),
        }
        for line, score in zip(told, scores, strict=True)
    ]


def exactly(scores: Sequence[float], total: float) -> list[float]:
    """Return scores whose sum, added one after another as the reporter does, is `total`.

    Twelve times 0.83 and 0.04 are 10 in arithmetic and 9.999999999999998 in floating point, and
    Classroom tells grades as whole numbers. Multiples of one power of two are added without
    rounding: each score becomes the nearest, and the last that is not 0 takes up the difference.

    Args:
        scores: in points, those below 0 first.
        total: their sum, 0 or more. Where points are taken off, one that is not whole may be
            missed by the last bit.
    """
    last = max((place for place, score in enumerate(scores) if score > 0), default=None)
    if last is None:
        return list(scores)
    taken = -sum(score for score in scores if score < 0)
    grid = math.ulp(max(total, taken, *scores))
    adjusted = [round(score / grid) * grid for score in scores]
    adjusted[last] += round(total / grid) * grid - math.fsum(adjusted)
    return adjusted


def _tame(text: str) -> str:
    """Return a text in which GitHub's log finds no command, such as a notice of a grade.

    It takes `##[` for one anywhere in a line; `::` only at the start of a line, where no text is.
    """
    return text.replace("##[", "## [")
