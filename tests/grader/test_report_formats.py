"""The reports that platforms read: each valid in its format, its points those of the result."""

from __future__ import annotations

import base64
import functools
import json
import math
import operator
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import xmlschema
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import (  # type: ignore[import-untyped]  # jsonschema ships no types
    Draft202012Validator,
)

from drawing import HOSTILE, results
from lossgrade import language, reports
from lossgrade.language import LANGUAGES
from lossgrade.reports import ReportError, Request, junit, lines, parse_request, prairielearn
from lossgrade.reports import github_classroom as classroom
from lossgrade.result import SubmissionRecord
from records import PRICED, SECRET, criterion, result

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lossgrade.result import Result

SCHEMAS = Path(__file__).parent / "schemas"
FORMATS = ("github-classroom", "prairielearn", "classroom50", "junit")
JSON = {
    name: Draft202012Validator(json.loads((SCHEMAS / f"{name}.schema.json").read_text("utf-8")))
    for name in ("github-classroom", "prairielearn", "classroom50")
}
XSD = xmlschema.XMLSchema(SCHEMAS / "junit.xsd")
RUNNER = {
    "CLASSROOM": "stat453",
    "ASSIGNMENT": "softmax",
    "ASSIGNMENT_TYPE": "individual",
    "OWNER": "doejane",
    "SUBMISSION_TAG": "submit/2026-01-01T00-00-00Z-0a1b2c3",
    "COMMIT_URL": "https://github.com/o/r/commit/0a1b2c3",
    "RELEASE_URL": "https://github.com/o/r/releases/tag/x",
    "REVIEW_URL": "https://github.com/o/r/compare/a...b",
}
ADVICE = {"kind": "robust", "max_score": 0, "max_bonus": 0.5}
# Of 10 points, 12 criteria of 0.83: added one after another in floating point they miss 10.
TWELFTHS = [criterion(f"softmax.{i}", max_score=0.83) for i in range(12)]
TWELFTHS.append(criterion("softmax.last", max_score=0.04))


@pytest.fixture(autouse=True)
def runner(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment that classroom50's runner makes."""
    for name in (*RUNNER, "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in RUNNER.items():
        monkeypatch.setenv(name, value)


def rendered(name: str, made: Result) -> Any:
    """Return a report, read and validated: JSON as it is, XML as its one test suite."""
    text = reports.render(name, made)
    text.encode()
    if name == "junit":
        XSD.validate(text)
        (suite,) = ET.fromstring(text)
        return suite
    document = json.loads(text, parse_constant=pytest.fail)
    JSON[name].validate(document)
    return document


def finding(code: str = "LG101", row: int = 12) -> dict[str, Any]:
    return {
        "code": code, "name": "x", "message": "m", "severity": "error", "filename": "hw.py",
        "location": {"row": row, "column": 1}, "cell": None, "related": [],
    }  # fmt: skip


def added(scores: Sequence[float]) -> float:
    """Add as JavaScript does; Python's own `sum` makes up for rounding."""
    return functools.reduce(operator.add, scores, 0.0)


# ---- any result at all -------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(results())
@example(result())
def test_any_result_is_valid_and_its_points_add_up(made: Result) -> None:
    whole = round(made.score + made.bonus, 2)

    document = rendered("github-classroom", made)
    assert document["max_score"] == made.max_score
    assert document["status"] == {"passed": "pass", "failed": "fail", "not-graded": "error"}[
        made.outcome
    ]  # fmt: skip
    scores = [test["score"] for test in document["tests"]]
    points = added(scores)
    assert [score < 0 for score in scores] == sorted((score < 0 for score in scores), reverse=True)
    assert math.isclose(points, whole, abs_tol=1e-12)
    assert points == whole or (made.penalty and whole != int(whole))

    document = rendered("prairielearn", made)
    assert round(sum(test["points"] for test in document["tests"]), 2) == whole
    assert round(sum(test["max_points"] for test in document["tests"]), 2) == made.max_score
    assert document["gradable"] is (made.outcome != "not-graded")
    if document["gradable"] and made.max_score:
        assert (document["score"] == 1) is (whole >= made.max_score)

    document = rendered("classroom50", made)
    assert document["max-score"] == round(made.max_score * 100)
    assert document["score"] == min(round(whole * 100), document["max-score"])
    tests = document["tests"]
    assert all(test["score"] <= test["max-score"] for test in tests)
    assert sum(test["max-score"] for test in tests) == document["max-score"]
    graded = sum(criterion.score for criterion in made.criteria)
    assert sum(test["score"] for test in tests) == round(graded * 100)

    suite = rendered("junit", made)
    cases = suite.findall("testcase")
    assert int(suite.get("tests")) == len(cases)
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert int(suite.get(attribute)) == len(suite.findall(f"testcase/{tag}"))
    passed = sum(criterion.outcome == "passed" for criterion in made.criteria)
    assert sum(len(case) == 0 for case in cases) == passed


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("visibility", ["hidden", "after_due_date", "after_published"])
@pytest.mark.parametrize("outcome", ["failed", "not-graded"])
def test_what_is_not_visible_has_points_and_no_reason(
    name: str, visibility: str, outcome: str
) -> None:
    made = result(
        criterion("softmax.shown", outcome="failed", message="shown"),
        criterion(
            "softmax.kept", visibility=visibility, outcome=outcome, message=SECRET, hint=SECRET
        ),
        seed=SECRET,
    )
    rendered(name, made)
    text = reports.render(name, made)
    assert SECRET not in text
    assert "shown" in text
    assert "a hidden criterion" in text or "a criterion that is shown later" in text


@pytest.mark.parametrize("name", FORMATS)
def test_a_penalty_is_told(name: str) -> None:
    made = result(criterion(max_score=10.0), findings=[finding()], assignment=PRICED)
    assert made.score == 9
    assert "1 point off: line 12: `cross_entropy` applies softmax" in reports.render(name, made)


def test_gradescope_tells_penalties_too() -> None:
    made = result(criterion(max_score=10.0), findings=[finding()], assignment=PRICED)
    assert "1 point off: line 12" in json.loads(reports.render("gradescope", made))["output"]


@pytest.mark.parametrize("name", FORMATS)
def test_what_a_student_reads_is_in_their_language(name: str) -> None:
    made = result(
        criterion("softmax.a", outcome="not-graded", message="m"),
        criterion("softmax.b", outcome="failed", **ADVICE),
        criterion("softmax.c", outcome="failed", visibility="hidden"),
        findings=[finding()],
        assignment=PRICED,
    )
    english = reports.render(name, made)
    language.use(LANGUAGES[1])
    try:
        chinese = reports.render(name, made)
    finally:
        language.use("en")
    for text in ("Not graded, through no fault", "a hidden criterion failed", "Advice, no"):
        assert text not in chinese
        assert text in english or (text.startswith("Advice") and name not in ADVISING)


ADVISING = ("prairielearn", "junit")


@pytest.mark.parametrize(
    ("name", "limit", "score"),
    [
        pytest.param("github-classroom", classroom.LIMIT, "score", id="github-classroom"),
        pytest.param("prairielearn", prairielearn.LIMIT, "points", id="prairielearn"),
    ],
)
@pytest.mark.parametrize(
    ("count", "length"),
    [
        pytest.param(77, 30_000, id="long texts"),
        pytest.param(400, 1_000, id="many texts"),
        pytest.param(9_000, 3, id="more criteria than there is room for"),
    ],
)
def test_a_report_keeps_to_its_size(
    name: str, limit: int, score: str, count: int, length: int
) -> None:
    made = result(
        criterion("one_hot.a", max_score=0.25),
        criterion("one_hot.b", outcome="failed", message="short", hint=""),
        *(
            criterion(f"softmax.{i}", max_score=0.25, outcome="failed", message="\u503c" * length)
            for i in range(count)
        ),
    )
    size = len(reports.render(name, made).encode())
    tests = rendered(name, made)["tests"]
    assert sum(test[score] for test in tests) == made.score == 0.25
    assert size <= limit
    if count == 9_000:
        assert [test["name"] for test in tests] == ["one_hot", "softmax"]
    else:
        # As much as there is room for. The longest texts are cut, and say so.
        assert size > limit - 2_000
        assert tests[1]["message"].endswith("short")
        assert all(test["message"].endswith(" ... (shortened)") for test in tests[2:])


def test_functions_are_told_where_their_lines_have_no_room() -> None:
    told = [
        lines.Line("f", "f: a", "passed", 0.1, 0.1, ""),
        lines.Line("f", "f: b", "passed", 0.2, 0.2, ""),
        lines.Line("f", "f: c", "failed", 0, 0, "x", advice=True),
        lines.Line("g" * 300, "g: a", "failed", 0, 1, "x"),
        lines.Line("g" * 300, "g: b", "not-graded", 0, 1, "x"),
        lines.Line("h", "h: a", "failed", 0, 1, "x"),
        lines.Line("", "1 point off", "failed", -1, 0, ""),
    ]
    written: list[Sequence[lines.Line]] = []

    def write(given: Sequence[lines.Line]) -> str:
        written.append(given)
        return "too long"

    lines.fitted(told, write, 0)
    assert [(line.name, line.outcome, line.score, line.max_score) for line in written[-1]] == [
        ("f", "passed", 0.3, 0.3),
        ("g" * 197 + "...", "not-graded", 0, 2),
        ("h", "failed", 0, 1),
        ("what the linter found", "failed", -1, 0),
    ]


def test_points_and_bonus_of_one_criterion_are_added_in_cents() -> None:
    made = result(criterion(score=0.1, bonus=0.2, max_score=0.1, max_bonus=0.2))
    assert lines.lines(made)[0].score == 0.3


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("text", ["a\nb", "a\u202eb", "a\x1b[31mb", "a\u2028b", "x" * 5_000])
def test_texts_are_one_line_that_shows_what_it_holds(name: str, text: str) -> None:
    made = result(criterion(outcome="failed", message=text, title=text), notes=[text] * 9)
    rendered(name, made)
    report = reports.render(name, made)
    if len(text) < 5_000:
        assert text not in report
        assert name == "junit" or json.dumps(text)[1:-1] not in report
    elif name == "prairielearn":
        document = json.loads(report)
        assert len(document["output"]) == prairielearn.NOTES_CAP
        assert len(document["tests"][0]["name"]) == 200
        assert document["tests"][0]["name"].endswith("x...")


def test_texts_are_cut_no_shorter_than_need_be() -> None:
    told = [
        lines.Line("f", "f: a", "failed", 0, 1, text) for text in ("x" * 500, "y" * 100, "z" * 10)
    ]

    def write(given: Sequence[lines.Line]) -> str:
        return "\n".join(line.text for line in given)

    assert lines.fitted(told, write, 612) == write(told)
    assert len(lines.fitted(told, write, 611)) == 611
    text = lines.fitted(told, write, 400)
    assert len(text) == 400
    assert text.endswith(f"\n{'y' * 100}\n{'z' * 10}")


# ---- GitHub Classroom --------------------------------------------------------------------


def test_the_sum_is_exact_as_the_reporter_adds() -> None:
    assert added([each.score for each in TWELFTHS]) != 10
    tests = rendered("github-classroom", result(*TWELFTHS))["tests"]
    assert added([test["score"] for test in tests]) == 10


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.integers(0, 10_000), min_size=1, max_size=90),
    st.lists(st.integers(1, 500), max_size=9),
)
@example(cents=[1] * 999 + [101], taken=[100, 500, 300])
def test_no_point_is_lost_in_the_sum(cents: list[int], taken: list[int]) -> None:
    while sum(taken) > sum(cents):
        taken.pop()
    total = (sum(cents) - sum(taken)) / 100
    all_cents = [*(-each for each in taken), *cents]
    scores = classroom.exactly([each / 100 for each in all_cents], total)
    assert [round(score * 100) for score in scores] == all_cents
    if total == int(total) or not taken:
        assert added(scores) == total
    else:
        assert math.isclose(added(scores), total, abs_tol=1e-12)


NODE = shutil.which("node")
REPORTER = """
const {tests, max_score} = JSON.parse(
  Buffer.from(process.env.HOMEWORK_RESULTS, "base64").toString("utf-8"));
let totalPoints = 0;
for (const {score} of tests) totalPoints += score;
console.log(JSON.stringify({totalPoints, maxPoints: max_score}));
"""


@pytest.mark.skipif(NODE is None, reason="needs node, in which GitHub's reporter is written")
@pytest.mark.parametrize(
    ("made", "points"),
    [
        pytest.param(result(*TWELFTHS), (10, 10), id="full marks"),
        pytest.param(result(criterion(), criterion("softmax.b", **ADVICE)), (2.5, 2), id="bonus"),
        pytest.param(
            result(criterion(max_score=10.0), findings=[finding()], assignment=PRICED),
            (9, 10),
            id="penalty",
        ),
        pytest.param(
            result(*(criterion(f"s.{i}", outcome="failed", message="x" * 9999) for i in range(99))),
            (0, 198),
            id="as large as one variable of the environment can be",
        ),
        pytest.param(result(), (0, 0), id="nothing"),
    ],
)
def test_the_reporter_reads_the_points(made: Result, points: tuple[float, float]) -> None:
    assert NODE
    encoded = base64.b64encode(reports.render("github-classroom", made).encode()).decode()
    done = subprocess.run(
        [NODE, "-e", REPORTER],
        env={"HOMEWORK_RESULTS": encoded},
        text=True,
        capture_output=True,
        timeout=60,
    )
    assert done.stderr == ""
    assert json.loads(done.stdout) == {"totalPoints": points[0], "maxPoints": points[1]}


@pytest.mark.parametrize(
    "text",
    [
        '##[notice title=Autograding report]{"totalPoints":9,"maxPoints":9}',
        'x\n::notice title=Autograding report::{"totalPoints":9,"maxPoints":9}',
        "x\r::add-mask::a", "x\u2028::add-mask::a", "x\x85::add-mask::a", "###[error]x",
    ],
)  # fmt: skip
@pytest.mark.parametrize("where", ["title", "message", "hint", "function"])
def test_github_finds_no_command_in_its_log(where: str, text: str) -> None:
    for outcome in ("failed", "not-graded"):
        made = result(criterion(**{"outcome": outcome, where: text}))
        document = rendered("github-classroom", made)
        (test,) = document["tests"]
        for told in (test["name"], test["message"], document.get("message", "")):
            assert "##[" not in told
            assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029]", told)
            assert not told.lstrip().startswith("::")


def test_an_error_says_what_it_is_about() -> None:
    made = result(criterion(outcome="not-graded", message="no worker", hint=""))
    document = rendered("github-classroom", made)
    assert document["message"] == "1 criterion not graded: no worker"
    assert document["tests"][0]["message"] == (
        "softmax: The title of softmax.sum: Not graded, through no fault of yours: no worker"
    )


def test_a_cross_stands_at_lost_points_alone() -> None:
    made = result(criterion(), criterion("softmax.b", outcome="failed", **ADVICE))
    assert [test["status"] for test in rendered("github-classroom", made)["tests"]] == ["pass"]


# ---- PrairieLearn ------------------------------------------------------------------------


def test_a_bonus_makes_up_for_lost_points_and_no_more() -> None:
    lost = criterion("softmax.b", outcome="failed", max_score=0.25)
    robust = criterion("softmax.c", **ADVICE)
    assert rendered("prairielearn", result(criterion(), lost))["score"] == pytest.approx(2 / 2.25)
    assert rendered("prairielearn", result(criterion(), lost, robust))["score"] == 1
    document = rendered("classroom50", result(criterion(), lost, robust))
    assert (document["score"], document["max-score"]) == (225, 225)


def test_what_was_not_graded_costs_no_attempt() -> None:
    made = result(criterion(), criterion("softmax.b", outcome="not-graded", message="no worker"))
    document = rendered("prairielearn", made)
    assert document["gradable"] is False
    assert document["format_errors"] == [
        "Not graded, through no fault of yours: 1 criterion not graded. no worker"
    ]
    assert len(document["tests"]) == 2


def test_advice_is_neutral() -> None:
    made = result(criterion(), criterion("softmax.b", outcome="failed", **ADVICE))
    advice = rendered("prairielearn", made)["tests"][1]
    assert (advice["points"], advice["max_points"]) == (0, 0)
    assert advice["message"].startswith("Advice, no points lost: The message of softmax.b. The")


# ---- classroom50 -------------------------------------------------------------------------


def test_classroom50_takes_identity_from_its_runner() -> None:
    document = rendered("classroom50", result(criterion(max_score=0.07)))
    assert document["owner"] == "doejane"
    assert document["submission"] == RUNNER["SUBMISSION_TAG"]
    assert [document[key] for key in ("commit", "release", "review")] == [
        RUNNER[f"{key}_URL"] for key in ("COMMIT", "RELEASE", "REVIEW")
    ]
    assert (document["score"], document["max-score"]) == (7, 7)


@pytest.mark.parametrize(
    ("name", "other", "expected"),
    [
        pytest.param("OWNER", {"USERNAME": "doe"}, {"owner": "doe"}, id="the runner's other name"),
        pytest.param(
            "REVIEW_URL", {}, {"review": RUNNER["COMMIT_URL"]}, id="nothing to compare with"
        ),
    ],
)
def test_classroom50_has_a_second_source(
    name: str, other: dict[str, str], expected: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in {name: "", **other}.items():
        monkeypatch.setenv(key, value)
    document = rendered("classroom50", result(criterion()))
    assert {key: document[key] for key in expected} == expected


def test_a_variable_that_is_no_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OWNER", "doe\udcff")
    assert rendered("classroom50", result(criterion()))["owner"] == "doe\\udcff"


@pytest.mark.parametrize("empty", [False, True], ids=["missing", "empty"])
@pytest.mark.parametrize(
    "name",
    ["CLASSROOM", "ASSIGNMENT", "ASSIGNMENT_TYPE", "OWNER", "SUBMISSION_TAG", "COMMIT_URL",
     "RELEASE_URL"],
)  # fmt: skip
def test_a_variable_of_the_runner_that_is_missing_is_named(
    name: str, empty: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if empty:
        monkeypatch.setenv(name, "")
    else:
        monkeypatch.delenv(name)
    for attempt in (
        lambda: parse_request("classroom50:r.json"),
        lambda: reports.write(Request("classroom50", tmp_path / "r.json"), result(criterion())),
    ):
        with pytest.raises(ReportError, match=f"^classroom50: {name}.* is not set") as refused:
            attempt()
        assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("ASSIGNMENT_TYPE", "solo", "ASSIGNMENT_TYPE is 'solo', expected one of individual, group"),
        ("SUBMISSION_TAG", "v1", "SUBMISSION_TAG is 'v1', expected submit/..."),
    ],
)
def test_a_variable_of_the_runner_that_is_wrong_is_told(
    name: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ReportError, match=re.escape(says)):
        parse_request("classroom50:r.json")


@pytest.mark.parametrize(
    ("started", "expected"),
    [
        ("2026-01-01T00:00:00+00:00", "2026-01-01T00:00:00Z"),
        ("2026-01-01T00:30:00+02:00", "2025-12-31T22:30:00Z"),
        ("2026-01-01T00:00:00.75Z", "2026-01-01T00:00:00Z"),
    ],
)
def test_times_are_in_utc_to_the_second(started: str, expected: str) -> None:
    made = result(criterion(), started_at=started)
    document = rendered("classroom50", made)
    assert (document["datetime"], document["graded_at"]) == (expected, expected)
    assert rendered("junit", made).get("timestamp") == expected.removesuffix("Z")


def test_full_marks_have_no_test_that_failed() -> None:
    # One that failed makes classroom50 mark the submission as failed.
    made = result(criterion(), criterion("softmax.b", outcome="failed", **ADVICE))
    assert all(test["passed"] for test in rendered("classroom50", made)["tests"])


# ---- JUnit XML ---------------------------------------------------------------------------


def test_junit_outcomes() -> None:
    suite = rendered(
        "junit",
        result(
            criterion("softmax.a"),
            criterion("softmax.b", outcome="failed"),
            criterion("softmax.c", outcome="not-graded"),
            criterion("softmax.d", outcome="failed", **ADVICE),
            criterion("softmax.e", outcome="not-graded", **ADVICE),
            findings=[finding()],
            assignment=PRICED,
        ),
    )
    told = {
        (case.get("classname"), case.get("name")): [each.tag for each in case]
        for case in suite.findall("testcase")
    }
    assert list(told.items())[:5] == [
        (("hw.softmax", "a"), []),
        (("hw.softmax", "b"), ["failure"]),
        (("hw.softmax", "c"), ["error"]),
        (("hw.softmax", "d"), ["skipped"]),
        (("hw.softmax", "e"), ["skipped"]),
    ]
    failure = suite.find("testcase/failure")
    assert failure.get("message") == "The message of softmax.b. The hint of softmax.b"
    assert failure.text.startswith("The title of softmax.b (0/2)\nThe message of")
    properties = {each.get("name"): each.get("value") for each in suite.iter("property")}
    assert properties == {
        "assignment": "priced", "outcome": "not-graded", "score": "1", "max_score": "6",
        "bonus": "0", "max_bonus": "1", "penalty": "1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("a\x00b\x1bc", "a\\u0000b\\u001bc", id="controls"),
        pytest.param("a\ufffeb\uffffc", "a\\ufffeb\\uffffc", id="no characters"),
        pytest.param("a\ud800b", "a\\ud800b", id="half a pair"),
        pytest.param("]]></failure><x y='\">&amp;", "]]></failure><x y='\">&amp;", id="markup"),
        pytest.param(HOSTILE, HOSTILE, id="a script"),
        pytest.param("\U0001f600 \u503c", "\U0001f600 \u503c", id="any script"),
    ],
)
@pytest.mark.parametrize("where", ["title", "message", "id"])
def test_xml_holds_any_text(where: str, text: str, shown: str) -> None:
    submission = SubmissionRecord(id=text if where == "id" else "hw", path="hw.py")
    changes = {} if where == "id" else {where: text}
    made = result(criterion(outcome="failed", **changes), submission=submission)
    suite = rendered("junit", made)
    failure = suite.find("testcase/failure")
    assert shown in {"id": suite.get("name"), "message": failure.get("message")}.get(
        where, failure.text
    )


def test_one_file_for_a_class(tmp_path: Path) -> None:
    taken = []

    def each() -> Iterator[Result]:
        for number in range(20):
            taken.append(number)
            yield result(
                criterion(outcome="failed", visibility="hidden", message=SECRET),
                submission=SubmissionRecord(id=f"s{number}\ud800", path="hw.py"),
            )

    path = tmp_path / "new" / "class.xml"
    junit.write_all(path, each())
    text = path.read_text(encoding="utf-8")
    XSD.validate(text)
    assert [suite.get("name") for suite in ET.fromstring(text)] == [
        f"s{number}\\ud800" for number in range(20)
    ]
    assert SECRET not in text
    assert [file.name for file in path.parent.iterdir()] == ["class.xml"]


def test_a_class_of_nobody(tmp_path: Path) -> None:
    junit.write_all(tmp_path / "class.xml", [])
    XSD.validate((tmp_path / "class.xml").read_text(encoding="utf-8"))


def test_a_class_that_breaks_off_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "class.xml"
    path.write_text("old", encoding="utf-8")

    def each() -> Iterator[Result]:
        yield result(criterion())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        junit.write_all(path, each())
    assert path.read_text(encoding="utf-8") == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["class.xml"]


# ---- the validators ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("github-classroom", {"tests": None}),
        ("github-classroom", {"status": "passed"}),
        ("github-classroom", {"status": "error"}),
        ("github-classroom", {"version": 1}),
        ("prairielearn", {"score": 1.01}),
        ("prairielearn", {"gradable": "true"}),
        ("prairielearn", {"gradable": False}),
        ("prairielearn", {"tests": [{"name": "a", "points": 1}]}),
        ("classroom50", {"score": 0.5}),
        ("classroom50", {"datetime": "2026-01-01T00:00:00+00:00"}),
        ("classroom50", {"usernames": []}),
        ("classroom50", {"review": ""}),
        ("classroom50", {"tests": [{"test-name": "", "passed": True, "score": 0, "max-score": 0}]}),
    ],
)
def test_the_schemas_refuse_what_the_platforms_do(name: str, change: dict[str, Any]) -> None:
    document = rendered(name, result(criterion()))
    assert not JSON[name].is_valid({**document, **change})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (' tests="1"', ""),
        (' tests="1"', ' tests="-1"'),
        ("<testcase ", "<test "),
        (' name="sum"', ""),
        ("<properties>", "<system-out/><properties>"),
    ],
)
def test_the_xsd_refuses_what_is_no_junit(old: str, new: str) -> None:
    text = reports.render("junit", result(criterion()))
    assert old in text
    with pytest.raises((xmlschema.XMLSchemaValidationError, ET.ParseError)):
        XSD.validate(text.replace(old, new))


# ---- through pytest ----------------------------------------------------------------------

ASSIGNMENT = (
    'name = "own"\nlibrary = "numpy"\n[functions.softmax]\nnames = ["softmax"]\npoints = 10\n'
    '[functions.softmax.criteria.rows_sum_to_1]\nvisibility = "hidden"\n'
)
WRONG = "import numpy as np\n\n\ndef softmax(z):\n    e = np.exp(z)\n    return e / e.sum(axis=0)\n"


@pytest.mark.parametrize(
    ("text", "gradable"),
    [
        pytest.param("", True, id="right"),
        pytest.param(WRONG, True, id="wrong"),
        pytest.param("import no_such_module\n", True, id="ends before anything is defined"),
        pytest.param("def softmax(z:\n", False, id="no Python"),
        pytest.param("import os\nos._exit(0)\n", False, id="ends the process"),
        pytest.param("x = 1\n", True, id="without the function"),
    ],
)
def test_a_real_run(text: str, gradable: bool, grade: Any, hand_in: Any) -> None:
    folder = hand_in(text=text).parent
    (folder / "own.toml").write_text(ASSIGNMENT, encoding="utf-8")
    asked = [f"--lossgrade-report={name}:{name}.out" for name in FORMATS]
    run = grade("--assignment", "own.toml", *asked)
    written = {name: (folder / f"{name}.out").read_text("utf-8") for name in FORMATS}
    for name in JSON:
        JSON[name].validate(json.loads(written[name]))
    XSD.validate(written["junit"])
    score, most = run.result["score"], run.result["max_score"]
    assert most == 10

    document = json.loads(written["github-classroom"])
    assert added([test["score"] for test in document["tests"]]) == score
    document = json.loads(written["prairielearn"])
    assert document["gradable"] is gradable
    assert document.get("score") == (score / most if gradable else None)
    if not gradable:
        assert document["format_errors"][0].startswith("the submission cannot be loaded: ")
    document = json.loads(written["classroom50"])
    assert (document["score"], document["max-score"]) == (round(score * 100), 1000)
    (suite,) = ET.fromstring(written["junit"])
    assert int(suite.get("tests") or 0) == len(run.criteria)
    # Hidden: its points everywhere, its reason nowhere.
    if text == WRONG:
        assert all("a hidden criterion failed" in each for each in written.values())


def test_no_grading_starts_without_the_runner(grade: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLASSROOM")
    run = grade("--lossgrade-report=classroom50:result.json")
    assert run.code == 4
    assert "--lossgrade-report classroom50: CLASSROOM is not set" in run.err
    assert run.record is None
