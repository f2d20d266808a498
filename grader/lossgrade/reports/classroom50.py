"""classroom50's result.json: who handed in what comes from the environment of its runner.

It knows whole numbers alone, so that points stand in hundredths: 10 points are 1000. Its score is
at most its maximum, so that a bonus makes up for lost points and no more.
"""

from __future__ import annotations

import datetime
import json
import os
from typing import TYPE_CHECKING, Any

from lossgrade.reports.feedback import printable
from lossgrade.reports.lines import lines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lossgrade.result import Result

# Keys of the result, and the variables of the runner that tell them, the first that is set.
# On Windows, USERNAME is the machine's user; without anything to compare, the review is the commit.
VARIABLES = {
    "classroom": ("CLASSROOM",),
    "assignment": ("ASSIGNMENT",),
    "assignment_type": ("ASSIGNMENT_TYPE",),
    "owner": ("OWNER", "USERNAME"),
    "submission": ("SUBMISSION_TAG",),
    "commit": ("COMMIT_URL",),
    "release": ("RELEASE_URL",),
    "review": ("REVIEW_URL", "COMMIT_URL"),
}
TYPES = ("individual", "group", "team")


def identity(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return whose submission it is, and of what.

    Raises:
        ReportError: a variable of classroom50's runner is not set, or cannot be right.
    """
    from lossgrade.reports import ReportError

    found = {}
    for key, names in VARIABLES.items():
        value = next((environment[name] for name in names if environment.get(name)), "")
        if not value:
            raise ReportError(
                f"classroom50: {' or '.join(names)} is not set in the environment, expected the "
                f"{key} of the submission, as classroom50's runner sets it"
            )
        found[key] = value.encode("utf-8", "backslashreplace").decode()
    if found["assignment_type"] not in TYPES:
        raise ReportError(
            f"classroom50: ASSIGNMENT_TYPE is {found['assignment_type']!r}, expected one of "
            f"{', '.join(TYPES)}"
        )
    if not found["submission"].startswith("submit/"):
        raise ReportError(
            f"classroom50: SUBMISSION_TAG is {found['submission']!r}, expected submit/..."
        )
    return found


def render(result: Result) -> str:
    """Return the result as JSON text.

    Raises:
        ReportError: the environment does not say whose it is.
    """
    moment = _moment(result.started_at)
    document = {
        "schema": "classroom50/result/v1",
        **identity(),
        # The runner puts the commit's time here, which it knows.
        "datetime": moment,
        "graded_at": moment,
        "score": _hundredths(min(result.score + result.bonus, result.max_score)),
        "max-score": _hundredths(result.max_score),
        "tests": _tests(printable(result)),
    }
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _tests(result: Result) -> list[dict[str, Any]]:
    """Return a test for each line that counts: a test that fails makes the whole fail."""
    return [
        {
            "test-name": line.name,
            "passed": line.outcome == "passed",
            "score": max(_hundredths(min(line.score, line.max_score)), 0),
            "max-score": _hundredths(line.max_score),
            **({"message": line.text} if line.text else {}),
        }
        for line in lines(result)
        if line.max_score or line.score
    ]


def _hundredths(points: float) -> int:
    return round(points * 100)


def _moment(text: str) -> str:
    """Return an ISO 8601 time in UTC, to the second."""
    moment = datetime.datetime.fromisoformat(text).astimezone(datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
