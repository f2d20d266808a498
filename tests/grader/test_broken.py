"""Submissions that are broken in ordinary ways: a line that says why, nothing else lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lossgrade.submission import Submission, SubmissionError
from support import FIXTURES, entries

if TYPE_CHECKING:
    from support import Engine

BROKEN = entries("submissions/broken/index.toml", "broken")
NO_SUBMISSION = "code_in_a_text_file.txt"
LIMITS = {"call_seconds": 2.0, "load_seconds": 6.0}
FUNCTIONS = {"one_hot", "softmax", "class_label", "cross_entropy"}


@pytest.mark.parametrize(
    "broken", [b for b in BROKEN if b["path"] != NO_SUBMISSION], ids=lambda broken: broken["path"]
)
def test_a_broken_submission_is_told_why(broken: dict[str, Any], engine: Engine) -> None:
    result = engine(FIXTURES / "submissions" / "broken" / broken["path"], limits=LIMITS)
    expected = {"all": FUNCTIONS, "none": set[str]()}.get(broken["function"], {broken["function"]})
    assert {name for name, part in result.functions.items() if part.score < part.max_score} == (
        expected
    )
    if broken["function"] == "all":
        assert result.score == 0
    assert result.max_score == 100
    assert {c.outcome for c in result.criteria} <= {"passed", "failed"}

    messages = [f"{c.message} {c.hint}" for c in result.criteria if c.function in expected]
    told = "\n".join(messages + result.notes)
    assert [fragment for fragment in broken["says"] if fragment not in told.lower()] == []
    assert "Traceback" not in told
    assert all(len(c.message) < 1200 and "\n" not in c.message for c in result.criteria)


def test_a_file_of_another_kind_is_a_usage_error() -> None:
    path = FIXTURES / "submissions" / "broken" / NO_SUBMISSION
    with pytest.raises(SubmissionError, match=r"expected a \.py file, .* found \.txt"):
        Submission.at(path)


def test_the_index_lists_every_file() -> None:
    root = FIXTURES / "submissions" / "broken"
    there = {path.name for path in root.iterdir()} - {"index.toml", "__pycache__"}
    assert there == {broken["path"] for broken in BROKEN}
