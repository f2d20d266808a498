"""The reports: each valid in its own format, for any result; hidden criteria stay hidden."""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import (  # type: ignore[import-untyped]  # jsonschema ships no types
    Draft202012Validator,
)

from drawing import HOSTILE, charts, results
from lossgrade import reports
from lossgrade.reports import ReportError, Request, markdown, parse_request, render, terminal
from lossgrade.result import ChartRecord, Result, SubmissionRecord
from lossgrade.schemas import schema
from records import SECRET, Screen, assert_page_is_sound, criterion, result

GRADESCOPE = Draft202012Validator(
    json.loads((Path(__file__).parent / "schemas/gradescope.schema.json").read_text("utf-8"))
)
RESULT = Draft202012Validator(schema("result"))


def gradescope(made: Result) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(render("gradescope", made))
    GRADESCOPE.validate(document)
    return document


# ---- the result record -------------------------------------------------------------------


def test_the_record_is_valid_and_read_back_unchanged() -> None:
    made = result(criterion(), criterion("softmax.robust", kind="robust", max_score=0, max_bonus=1))
    document = json.loads(render("json", made))
    RESULT.validate(document)
    assert Result.model_validate(document) == made
    assert document["schema"] == "lossgrade/result/v1"


def test_the_schema_refuses_what_is_no_record() -> None:
    document = json.loads(render("json", result(criterion())))
    for change in (
        {"score": -1},
        {"outcome": "wrong"},
        {"schema": "v2"},
        {"grade": 3},
        {"seed": 3},
    ):
        assert not RESULT.is_valid({**document, **change}), change
    for key in ("score", "criteria", "sandbox", "seed"):
        assert not RESULT.is_valid({k: v for k, v in document.items() if k != key}), key


# ---- Gradescope --------------------------------------------------------------------------


def test_gradescope_sums_are_exact_to_the_cent() -> None:
    thirds = [criterion(f"softmax.{i}", max_score=w) for i, w in enumerate((3.33, 3.33, 3.34))]
    document = gradescope(result(*thirds, criterion("one_hot.a", max_score=0.1)))
    assert document["score"] == 10.1
    assert round(sum(test["score"] for test in document["tests"]), 2) == 10.1
    assert [test["number"] for test in document["tests"]] == ["1.1", "1.2", "1.3", "2.1"]


def test_gradescope_bonus_is_added_where_it_was_earned() -> None:
    robust = {"kind": "robust", "max_score": 0, "max_bonus": 0.5}
    document = gradescope(
        result(
            criterion(),
            criterion("softmax.large", **robust),
            criterion("softmax.empty", outcome="failed", **robust),
        )
    )
    assert document["score"] == 2.5
    earned, missed = document["tests"][1:]
    assert (earned["score"], earned["max_score"], earned["status"]) == (0.5, 0, "passed")
    # No score: nothing that looks like a lost point.
    assert "score" not in missed
    assert missed["output"].startswith("Advice, no points lost: The message of softmax.empty")


def test_gradescope_keeps_visibility_and_tells_no_total_of_hidden_functions() -> None:
    made = result(
        criterion(),
        criterion("one_hot.a", visibility="hidden", outcome="failed"),
        criterion("accuracy.a", visibility="after_due_date"),
        criterion("sigmoid.a", visibility="after_published"),
    )
    document = gradescope(made)
    assert [t["visibility"] for t in document["tests"]] == [
        "visible", "hidden", "after_due_date", "after_published",
    ]  # fmt: skip
    assert document["output"] == "softmax: 2 of 2 points"
    assert document["stdout_visibility"] == "hidden"


def test_gradescope_says_what_was_not_graded_and_whose_fault_it_is() -> None:
    document = gradescope(result(criterion(outcome="not-graded", message="no worker")))
    (test,) = document["tests"]
    assert (test["status"], test["score"]) == ("failed", 0)
    assert test["output"].startswith("Not graded, through no fault of yours: no worker")


def test_gradescope_keeps_a_texts_markup_as_text() -> None:
    document = gradescope(result(criterion(outcome="failed", message=HOSTILE, title=HOSTILE)))
    formats = {document[key] for key in ("output_format", "test_output_format", "test_name_format")}
    assert formats == {"text"}
    assert HOSTILE in document["tests"][0]["output"]


# ---- Markdown ----------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["message", "hint", "title", "function", "notes", "id"])
def test_markdown_takes_nothing_for_markup(where: str) -> None:
    changes: dict[str, Any] = {"outcome": "failed"}
    about: dict[str, Any] = {}
    if where == "notes":
        about["notes"] = [HOSTILE]
    elif where == "id":
        about["submission"] = SubmissionRecord(id=HOSTILE, path="hw.py")
    else:
        changes[where] = HOSTILE
    text = markdown.render(result(criterion(**changes), **about))
    lines = [line for line in text.splitlines() if "script" in line]
    assert lines
    for line in lines:
        assert "<script" not in re.sub(r"`[^`]+`", "", line.replace("\\<", ""))
        assert "<!--" not in line
    table = text[text.index("| function") :].partition("\n\n")[0].splitlines()
    for row in table:
        assert len(re.findall(r"(?<!\\)\|", row)) == 3, row


def test_markdown_keeps_each_text_on_its_line() -> None:
    text = markdown.render(
        result(criterion(outcome="failed", message="one\n# two\r\n- three\n\n    four", hint=""))
    )
    (line,) = [each for each in text.splitlines() if each.startswith("`softmax` (2 points lost)")]
    assert line.endswith(". one \\# two - three four")


@pytest.mark.parametrize("opening", ["# ", "- ", "+ ", "1. ", "> ", "=== "])
def test_markdown_starts_no_block_within_an_item(opening: str) -> None:
    made = result(criterion(outcome="failed", message=f"{opening}x", title=f"{opening}y", hint=""))
    for line in markdown.render(made).splitlines():
        assert not line.startswith(opening) or line.startswith(("# hw", "- ")), line
        item = re.match(r"\s*- (?:[✗✓] )?(.*)", line)
        assert not item or not item[1].startswith(opening), line


def test_markdown_tells_nothing_of_hidden_criteria() -> None:
    for visibility in ("hidden", "after_due_date", "after_published"):
        for outcome in ("failed", "passed", "not-graded"):
            for advice in ({}, {"kind": "robust", "max_score": 0, "max_bonus": 1.0}):
                text = markdown.render(
                    result(
                        criterion("softmax.shown", outcome="failed", message="shown"),
                        criterion(
                            "softmax.hidden", visibility=visibility, outcome=outcome, **advice,
                            title=SECRET, message=SECRET, hint=SECRET,
                        ),
                    )
                )  # fmt: skip
                assert SECRET not in text
                assert "shown" in text
                assert "1 criterion that is not shown" in text


def test_markdown_names_the_test_that_failed() -> None:
    made = result(
        criterion("t.py::test_a", kind="test", outcome="failed", title="Sums to 1", message="no")
    )
    assert "`t` (2 points lost). Sums to 1: no. The hint" in markdown.render(made)


# ---- any result at all -------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(results())
def test_any_result_is_rendered(made: Result) -> None:
    document = json.loads(render("json", made).encode())
    RESULT.validate(document)
    assert len(document["criteria"]) == len(made.criteria)

    scores = json.loads(render("gradescope", made).encode())
    GRADESCOPE.validate(scores)
    assert len(scores["tests"]) == len(made.criteria)
    summed = sum(test.get("score", 0) for test in scores["tests"])
    assert scores["score"] == round(made.score + made.bonus, 2)
    assert round(summed, 2) == round(made.score + made.penalty + made.bonus, 2)
    assert round(sum(t.get("max_score", 0) for t in scores["tests"]), 2) == made.max_score

    page = render("markdown", made)
    page.encode()
    assert page.endswith("\n")
    assert "<script" not in re.sub(r"\\[\\`<]|`[^`\n]*`", "", page)

    assert_page_is_sound(render("html", made))

    for quiet in (False, True):
        screen = Screen()
        terminal.show(made, screen, (), quiet=quiet)
        assert screen.lines
        assert not re.search("[\x00-\x1f\x7f-\x9f]", "".join(screen.lines))


@settings(max_examples=15, deadline=None)
@given(st.lists(charts(), max_size=2, unique_by=lambda chart: chart.kind))
def test_any_chart_is_drawn(drawn: list[ChartRecord]) -> None:
    page = assert_page_is_sound(render("html", result(criterion(), charts=drawn)))
    assert page.pictures == len(drawn)


def test_a_result_of_nothing() -> None:
    made = result()
    assert gradescope(made)["score"] == 0
    assert "**0 of 0 points**" in render("markdown", made)


# ---- writing -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("json", "expected FORMAT:PATH"),
        ("json:", "expected FORMAT:PATH"),
        (":x.json", "expected FORMAT:PATH"),
        ("JSON:x", "FORMAT one of json, gradescope, markdown, html"),
        ("yaml:x", "FORMAT one of json, gradescope, markdown"),
        ("", "expected FORMAT:PATH"),
    ],
)
def test_a_request_that_is_none(text: str, says: str) -> None:
    with pytest.raises(ReportError, match=re.escape(says)):
        parse_request(text)


def test_a_path_may_hold_colons() -> None:
    assert parse_request("json:C:/a:b.json") == Request("json", Path("C:/a:b.json"))


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_permissions_follow_the_umask(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        reports.write(Request("json", tmp_path / "new/deep/r.json"), result(criterion()))
    finally:
        os.umask(before)
    mode = stat.S_IMODE((tmp_path / "new/deep/r.json").stat().st_mode)
    assert mode == 0o666 & ~umask


@pytest.mark.parametrize("failing", ["fsync", "replace", "render"])
def test_a_failure_midway_keeps_the_old_report(
    failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "r.json"
    path.write_text("old", encoding="utf-8")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    if failing == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    elif failing == "replace":
        monkeypatch.setattr(Path, "replace", fail)
    else:
        monkeypatch.setattr(Result, "to_json", fail)
    with pytest.raises((ReportError, OSError), match="No space left on device"):
        reports.write(Request("json", path), result(criterion()))
    assert path.read_text(encoding="utf-8") == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["r.json"]


def test_an_interruption_while_writing_leaves_no_other_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        reports.write(Request("json", tmp_path / "r.json"), result(criterion()))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_no_report(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="is a folder, expected the path of a file"):
        reports.write(Request("json", tmp_path), result(criterion()))


def test_a_very_long_name_is_told(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="cannot be written"):
        reports.write(Request("json", tmp_path / ("x" * 300)), result(criterion()))
