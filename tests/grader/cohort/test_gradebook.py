"""gradebook.csv and the record of a class: every student, every name, no formula."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import (  # type: ignore[import-untyped]  # jsonschema ships no types
    Draft202012Validator,
)

from importers import class_of, graded, ungraded
from lossgrade.cohort import record
from lossgrade.cohort.entry import Entry, Student
from lossgrade.cohort.gradebook import render
from lossgrade.cohort.graded import GradedCohort, Row
from lossgrade.schemas import schema

ADA = Student("101", "Ada Lovelace", "ada@uni.edu")
EMMY = Student("102", "Emmy Noether", "emmy@uni.edu")
COHORT = Draft202012Validator(schema("cohort"))
HEADER = (
    "submission,student_id,name,email,status,score,max_score,percent,bonus,penalty,"
    "softmax.score,softmax.max_score,cross_entropy.score,cross_entropy.max_score,"
    "late,attempt,submitted_at,misconceptions,findings,problem,source,feedback\n"
)


def read(cohort: GradedCohort) -> list[dict[str, str]]:
    text = render(cohort)
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text[1:], newline=""), strict=True))


def a_class() -> GradedCohort:
    """Return a class with a row of every kind."""
    entry = Entry(
        "ada", (ADA,), source="class.zip/ada.py", submitted_at="2026-11-20T15:04:00Z", late=True,
        attempt=2,
    )  # fmt: skip
    full = graded(
        ADA, 77.5, bonus=2.5, penalty=1.25,
        functions={"softmax": (60.0, 60.0), "cross_entropy": (18.75, 40.0)},
        misconceptions={"cross_entropy": "missing-minus-sign", "softmax": "forgot-exp"},
        findings=("LG401", "LG101"),
    )  # fmt: skip
    broken = graded(Student("104", "Kurt Gödel"), 30)
    rows = (
        Row(ADA, entry, full.summary, "graded"),
        ungraded(EMMY, "unreadable", "emmy.zip: is cut off"),
        Row(broken.student, broken.entry, broken.summary, "not-graded", "out of memory"),
        ungraded(Student("", "王贞仪"), "missing", "handed in nothing"),
    )
    return class_of(rows, feedback={"ada": "feedback/ada.html"})


def test_a_class_is_one_row_a_student() -> None:
    assert render(a_class()) == "\ufeff" + HEADER + (
        "ada,101,Ada Lovelace,ada@uni.edu,graded,77.5,100,77.5,2.5,1.25,60,60,18.75,40,"
        "yes,2,2026-11-20T15:04:00Z,cross_entropy: missing-minus-sign; softmax: forgot-exp,"
        "LG401; LG101,,class.zip/ada.py,feedback/ada.html\n"
        "102-1,102,Emmy Noether,emmy@uni.edu,unreadable,,100,,,,,60,,40,"
        "no,1,,,,emmy.zip: is cut off,,\n"
        "104-1,104,Kurt Gödel,,not-graded,,100,,,,,60,,40,no,1,,,,out of memory,,\n"
        ",,王贞仪,,missing,,100,,,,,60,,40,,,,,,handed in nothing,,\n"
    )


def test_a_class_of_nobody_has_its_columns() -> None:
    assert render(class_of([])) == "\ufeff" + HEADER


def test_no_points_to_get_are_no_percent() -> None:
    (row,) = read(class_of([graded(ADA, 0, max_score=0.0)]))
    assert (row["score"], row["percent"]) == ("0", "")


def test_a_third_is_rounded() -> None:
    (row,) = read(class_of([graded(ADA, 1, max_score=3.0)]))
    assert row["percent"] == "33.33"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        pytest.param('Ada "Augusta", King', None, id="comma and quotes"),
        pytest.param("Ada\nLovelace", None, id="line end"),
        pytest.param("Ada\r\nLove\rlace", "Ada\nLove\nlace", id="other line ends"),
        pytest.param("أدا لوفلايس", None, id="right to left"),
        pytest.param("Ада 王贞仪 ஆடா 🧮", None, id="scripts"),
        pytest.param("Nuñez-O'Brien", None, id="hyphen and apostrophe inside"),
        pytest.param("a\tb; c", None, id="tab and semicolon inside"),
        pytest.param("=1+1", "'=1+1", id="="),
        pytest.param("+1", "'+1", id="+"),
        pytest.param("-1", "'-1", id="-"),
        pytest.param("@SUM(A1)", "'@SUM(A1)", id="@"),
        pytest.param("\t=1", "'\t'=1", id="tab before it"),
        pytest.param("\tAda", "'\tAda", id="tab"),
        pytest.param("\rAda", "'\nAda", id="carriage return"),
        pytest.param("  =1", "'  =1", id="spaces before it"),
        pytest.param("\u00a0\u3000=1", "'\u00a0\u3000=1", id="wide spaces before it"),
        pytest.param('"=1', "'\"=1", id="quote before it"),
        pytest.param("'=1", "''=1", id="apostrophe before it"),
        pytest.param("\ufeff\u200b=1", "'\ufeff\u200b=1", id="nothing to see before it"),
        pytest.param("\x00\x1b=1", "'=1", id="control characters before it"),
        pytest.param("＝1", "'＝1", id="full-width ="),  # noqa: RUF001
        pytest.param("＋1", "'＋1", id="full-width +"),  # noqa: RUF001
        pytest.param("－1", "'－1", id="full-width -"),  # noqa: RUF001
        pytest.param("＠1", "'＠1", id="full-width @"),  # noqa: RUF001
        pytest.param("﹦1", "'﹦1", id="small ="),
        pytest.param("Ada;=1", "Ada;'=1", id="behind a semicolon"),
        pytest.param("Ada\n =1", "Ada\n' =1", id="behind a line end"),
        pytest.param("A\x00d\x07a\x7f\x85", "Ada", id="control characters"),
        pytest.param("Ada\udcff", "Ada\\udcff", id="a byte that was no UTF-8"),
    ],
)
def test_names_survive_and_start_no_formula(name: str, shown: str | None) -> None:
    student = Student(name, name, name)
    entry = Entry(name, (student,), source=name, problem=name, submitted_at=name)
    rows = [Row(student, entry, None, "unreadable", name)]
    (row,) = read(class_of(rows, feedback={name: name}))
    expected = name if shown is None else shown
    columns = "submission student_id name email problem source submitted_at feedback".split()
    assert {column: row[column] for column in columns} == dict.fromkeys(columns, expected)
    render(class_of(rows)).encode()


FORMULA = re.compile("^[\\s\"'\u200b\ufeff]*[=+\\-@＝＋－＠]")  # noqa: RUF001


@settings(max_examples=300, deadline=None)
@given(st.text(st.one_of(st.characters(), st.sampled_from("=+-@＝;\t\r\n\"', \x00")), max_size=8))  # noqa: RUF001
@example("\r=")
@example(";;=")
def test_no_text_is_a_formula_however_lines_are_split(name: str) -> None:
    """Neither in the cell nor in a part of it, where semicolons, tabs and line ends split."""
    (row,) = read(class_of([graded(Student("1", name), 5)]))
    cell = row["name"]
    assert not FORMULA.match(cell) or cell.startswith("'")
    for part in re.split("[;\t\n]", cell):
        assert not FORMULA.match(part) or part.lstrip(' "\u200b\ufeff').startswith("'")
    plain = re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "", re.sub("\r\n?", "\n", name))
    encodable = plain.encode("utf-8", "backslashreplace").decode()
    assert cell.replace("'", "") == encodable.replace("'", "")


# --- the record -----------------------------------------------------------------------------------


def test_the_record_follows_its_schema() -> None:
    Draft202012Validator.check_schema(schema("cohort"))
    made = json.loads(record.render(a_class()))
    COHORT.validate(made)
    record.CohortRecord.model_validate(made)
    ada, emmy, kurt, zhenyi = made["rows"]
    assert ada == {
        "student": {"id": "101", "name": "Ada Lovelace", "email": "ada@uni.edu"},
        "submission": {
            "id": "ada",
            "source": "class.zip/ada.py",
            "submitted_at": "2026-11-20T15:04:00Z",
            "late": True,
            "attempt": 2,
        },
        "status": "graded",
        "problem": "",
        "result": {
            "score": 77.5,
            "max_score": 100,
            "bonus": 2.5,
            "max_bonus": 5,
            "penalty": 1.25,
            "outcome": "failed",
            "functions": {
                "softmax": {"score": 60, "max_score": 60},
                "cross_entropy": {"score": 18.75, "max_score": 40},
            },
            "failed": [],
            "misconceptions": {"cross_entropy": "missing-minus-sign", "softmax": "forgot-exp"},
            "findings": ["LG401", "LG101"],
            "fingerprints": {},
            "duration_s": 0.5,
        },
        "feedback": "feedback/ada.html",
    }
    assert (emmy["status"], emmy["result"]) == ("unreadable", None)
    assert (kurt["status"], kurt["result"]["score"]) == ("not-graded", 30)
    assert (zhenyi["submission"], zhenyi["problem"]) == (None, "handed in nothing")
    del made["rows"]
    assert made == {
        "schema": "lossgrade/cohort/v1",
        "assignment": {"name": "stat453", "version": "1", "title": "Softmax"},
        "layout": "canvas",
        "language": "en",
        "graded_at": "2026-11-21T09:00:00Z",
        "lines": [
            {
                "id": f"{name}.values",
                "function": name,
                "title": "values",
                "max_score": most,
                "max_bonus": bonus,
                "visibility": shown,
            }
            for name, most, bonus, shown in (
                ("softmax", 60, 0, "visible"),
                ("cross_entropy", 40, 5, "hidden"),
            )
        ],
        "notes": [],
    }


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"schema": "lossgrade/result/v1"}, id="another schema"),
        pytest.param({"rows": [{"status": "graded"}]}, id="half a row"),
        pytest.param({"extra": 1}, id="another key"),
    ],
)
def test_the_schema_refuses(change: dict[str, Any]) -> None:
    made = json.loads(record.render(a_class()))
    assert not COHORT.is_valid({**made, **change})


def test_the_record_holds_what_no_file_can() -> None:
    rows = [graded(Student("1", "Ada\udcff"), 5)]
    text = record.render(class_of(rows, notes=("\udcff: is no name",)))
    assert json.loads(text.encode())["rows"][0]["student"]["name"] == "Ada\\udcff"
