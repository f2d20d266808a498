"""Filling Moodle's grading worksheet, in any language of its interface."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from importers import (
    CHINESE,
    ENGLISH,
    FRENCH,
    GERMAN,
    Moodle,
    class_of,
    graded,
    moodle_imports,
    ungraded,
)
from lossgrade.cohort import moodle
from lossgrade.cohort.entry import Student
from lossgrade.reports import ReportError

if TYPE_CHECKING:
    from pathlib import Path

    from lossgrade.cohort.graded import Row

ADA = Student("4711", "Ada Lovelace", "ada@uni.edu")
EMMY = Student("4712", "Emmy Noether", "emmy@uni.edu")
CLASS = (graded(ADA, 80), graded(EMMY, 42.5, bonus=5))

# As Moodle writes it: a byte order mark, and quotes where there is a space. <1> and <2> are grades.
PLAIN = """\
\ufeffIdentifier,"Full name","Email address",Status,Grade,"Maximum grade","Grade can be changed",\
"Last modified (submission)","Last modified (grade)","Feedback comments"
"Participant 4711","Ada Lovelace",ada@uni.edu,"Submitted for grading - ",<1>,100.00,Yes,\
"Friday, 20 November 2026, 3:04 PM",-,"<p>See =me, ""soon""</p>
"
"Participant 4712","Emmy Noether",emmy@uni.edu,"Submitted for grading - Graded - ",<2>,100.00,Yes,\
"Friday, 20 November 2026, 3:05 PM","Saturday, 21 November 2026, 9:00 AM",
"Participant 4713","Kurt Gödel",kurt@uni.edu,"No submission",,100.00,No,-,-,
"""
IN_GERMAN = """\
\ufeffID,"Vollständiger Name",ID-Nummer,E-Mail-Adresse,Status,Gruppe,Bewertung,Bestwertung,\
"Bewertung kann geändert werden","Zuletzt geändert (Abgabe)",Texteingabe,\
"Zuletzt geändert (Bewertung)",Feedback als Kommentar
Teilnehmer/in4711,"Ada Lovelace",1815,ada@uni.edu,"Zur Bewertung abgegeben",A,<1>,"100,00",Ja,-,,-,
Teilnehmer/in4712,"Emmy Noether",1882,emmy@uni.edu,"Zur Bewertung abgegeben",B,<2>,"100,00",Ja,-,,-,
"""
IN_FRENCH = """\
Identifiant;"Nom complet";"Adresse de courriel";Statut;Note;"Note maximale";\
"Statut du flux d'évaluation";"La note peut être modifiée";"Dernière modification (note)"
"Participant 4711";"Ada Lovelace";ada@uni.edu;"Remis";<1>;100,00;"Non évalué";Oui;-
"Participant 4712";"Emmy Noether";emmy@uni.edu;"Remis";<2>;100,00;"En cours";Oui;-
"Participant 4713";"Kurt Gödel";kurt@uni.edu;"Remis";;100,00;"Publié";Non;-
"""
IN_CHINESE = """\
编号,全名,电子邮件地址,状态,成绩,最高成绩,允许更改成绩,最后修改（学生）,最后修改（教师）
参与者4711,"Lovelace, Ada",ada@uni.edu,已提交,<1>,100,是,-,-
参与者4712,诺特,emmy@uni.edu,已提交,<2>,100,是,-,-
"""  # noqa: RUF001
BLIND = """\
Identifier,Status,Grade,"Maximum grade","Grade can be changed","Last modified (grade)"
"Participant 4711","Submitted for grading - ",<1>,100.00,Yes,-
"Participant 4712","Submitted for grading - ",<2>,100.00,Yes,-
"Participant 4713","Submitted for grading - ",,100.00,No,-
"""


def put(template: str, *cells: str) -> str:
    for at, cell in enumerate(cells, 1):
        template = template.replace(f"<{at}>", cell)
    return template


@pytest.fixture
def downloaded(tmp_path: Path) -> Path:
    return tmp_path / "Grades-STAT 453-Softmax-17.csv"


FULL = ("80", "47.5")
COMMA = ("80", '"47,5"')


@pytest.mark.parametrize(
    ("template", "words", "before", "after"),
    [
        pytest.param(PLAIN, ENGLISH, ("", ""), FULL, id="English"),
        pytest.param(PLAIN, ENGLISH, ("80.00", "3.00"), ("80.00", "47.5"), id="graded before"),
        pytest.param(PLAIN, ENGLISH, ("0.00", "100.00"), FULL, id="none and all before"),
        pytest.param(PLAIN.replace("\n", "\r\n"), ENGLISH, ("", ""), FULL, id="CRLF"),
        pytest.param(IN_GERMAN, GERMAN, ("", ""), COMMA, id="German, decimal comma"),
        pytest.param(
            IN_FRENCH, FRENCH, ("", ""), ("80", "47,5"), id="French, semicolons, workflow"
        ),
        pytest.param(IN_CHINESE, CHINESE, ("", ""), FULL, id="Chinese"),
        pytest.param(BLIND, ENGLISH, ("", ""), FULL, id="blind"),
    ],
)
def test_only_the_grades_change(
    downloaded: Path, template: str, words: Moodle, before: tuple[str, ...], after: tuple[str, ...]
) -> None:
    downloaded.write_text(put(template, *before), encoding="utf-8", newline="")
    filled = moodle.fill(downloaded, class_of(CLASS))
    assert filled.text == put(template, *after)
    delimiter = ";" if template is IN_FRENCH else ","
    taken = moodle_imports(filled.text, words, 100, delimiter)
    assert taken == {4711: 80, 4712: 47.5}
    assert not any("another name" in note for note in filled.notes) or template is IN_CHINESE


def test_grades_are_scaled_to_the_maximum(downloaded: Path) -> None:
    text = put(PLAIN, "", "").replace("100.00", "10.00")
    downloaded.write_text(text, encoding="utf-8")
    filled = moodle.fill(downloaded, class_of(CLASS))
    assert moodle_imports(filled.text, ENGLISH, 10) == {4711: 8, 4712: 4.75}
    assert "graded out of 100, scaled to 10" in filled.notes
    unscaled = moodle.fill(downloaded, class_of([graded(ADA, 8)]), scale=False)
    assert moodle_imports(unscaled.text, ENGLISH, 10) == {4711: 8}
    assert "graded out of 100, not scaled to 10" in unscaled.notes


def test_moodle_skips_nothing_that_is_above_the_maximum(downloaded: Path) -> None:
    """A bonus can lift a grade over the maximum, and Moodle would take no grade at all."""
    downloaded.write_text(put(PLAIN, "", ""), encoding="utf-8")
    filled = moodle.fill(downloaded, class_of([graded(ADA, 98, bonus=5)]))
    assert moodle_imports(filled.text, ENGLISH, 100) == {4711: 100}
    assert "above the maximum, which is given instead: Ada Lovelace" in filled.notes
    full = moodle.fill(downloaded, class_of([graded(ADA, 95, bonus=5)]))
    assert not any("above the maximum" in note for note in full.notes)


FOUND, NOBODY = put(PLAIN, "80", ""), put(PLAIN, "", "")


@pytest.mark.parametrize(
    ("student", "expected"),
    [
        pytest.param(Student("4711"), FOUND, id="participant"),
        pytest.param(Student("", "", "ADA@uni.edu"), FOUND, id="email"),
        pytest.param(Student("", "Lovelace, Ada"), FOUND, id="name"),
        pytest.param(Student("4712", "Ada Lovelace", "ada@uni.edu"), FOUND, id="another's number"),
        pytest.param(Student("1"), NOBODY, id="unknown"),
    ],
)
def test_students_are_found_by(downloaded: Path, student: Student, expected: str) -> None:
    downloaded.write_text(NOBODY, encoding="utf-8")
    assert moodle.fill(downloaded, class_of([graded(student, 80)])).text == expected


def test_blind_students_are_found_by_their_number(downloaded: Path) -> None:
    downloaded.write_text(put(BLIND, "1.00", "2.00"), encoding="utf-8")
    rows = [graded(Student("4711", "Participant 4711"), 80)]
    filled = moodle.fill(downloaded, class_of(rows))
    assert filled.text == put(BLIND, "80", "2.00")
    assert filled.notes == [
        "another grade was there before: Participant 4711 (1.00)",
        "left as it was, not in the class that was graded: 4712, 4713",
    ]


def test_two_blind_students_have_no_names(downloaded: Path) -> None:
    text = "".join(put(BLIND, "", "").splitlines(keepends=True)[:3])
    downloaded.write_text(text, encoding="utf-8")
    assert not moodle.fill(downloaded, class_of(CLASS)).notes


@pytest.mark.parametrize(
    ("row", "told"),
    [
        pytest.param(ungraded(ADA, "not-graded", "out of memory"),
                     "left as it was, without a grade: Ada Lovelace (out of memory)",
                     id="not graded"),
        pytest.param(ungraded(ADA, "missing", ""),
                     "left as it was, handed in nothing: Ada Lovelace", id="missing"),
    ],
)  # fmt: skip
def test_who_has_no_grade_keeps_the_cell(downloaded: Path, row: Row, told: str) -> None:
    downloaded.write_text(NOBODY, encoding="utf-8")
    filled = moodle.fill(downloaded, class_of([row]))
    assert filled.text == NOBODY
    assert told in filled.notes


ONE = """\
Identifier,"Full name",Phone,Mobile,Department,Status,Grade,"Maximum grade","Grade can be changed"
"Participant 4711","Ada Lovelace",,555,"Computing","Submitted",,100.00,Yes
"""


def test_the_column_can_be_named(downloaded: Path) -> None:
    downloaded.write_text(ONE, encoding="utf-8")
    with pytest.raises(
        ReportError, match="cannot be told; give the name of one of: Identifier; Full"
    ):
        moodle.fill(downloaded, class_of([graded(ADA, 80)]))
    filled = moodle.fill(downloaded, class_of([graded(ADA, 80)]), column="grade ")
    assert filled.text == ONE.replace(",,100", ",80,100")


def test_a_worksheet_may_lack_what_is_not_needed(downloaded: Path) -> None:
    text = "Grade,Identifier,Points,Max,Changes\n1,P 1,,100,Yes\n1,P 2,,100,Yes\n"
    downloaded.write_text(text, encoding="utf-8")
    filled = moodle.fill(downloaded, class_of([graded(Student("2"), 80)]))
    assert filled.text == text.replace("2,,", "2,80,")
    named = moodle.fill(downloaded, class_of([graded(Student("2"), 80)]), column="points")
    blank = moodle.fill(downloaded, class_of([graded(Student("2"), 80)]), column=" ")
    assert named.text == blank.text == filled.text


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        pytest.param(
            "name,score\nAda,1\n", "", "no grading worksheet of Moodle's", id="another file"
        ),
        pytest.param(NOBODY.partition("\n")[0], "", "no grading worksheet", id="header alone"),
        pytest.param(
            NOBODY.replace("4712", "4711"), "", "no grading worksheet", id="one number twice"
        ),
        pytest.param(
            NOBODY.replace("100.00", '"poor\ngood"'), "", "the column of grades", id="a scale"
        ),
        pytest.param(NOBODY, "Note", "no columns are named 'Note'", id="no such column"),
        pytest.param(
            NOBODY, "Status", "the column 'Status' holds 'Submitted for grading -'", id="texts"
        ),
        pytest.param(
            NOBODY.replace(",-,\n", ",-\n"), "", ":5: 9 columns, expected 10", id="short line"
        ),
        pytest.param("", "", "is empty", id="empty"),
    ],
)
def test_one_line_says_what_is_wrong(downloaded: Path, text: str, column: str, says: str) -> None:
    downloaded.write_text(text, encoding="utf-8")
    with pytest.raises(ReportError) as caught:
        moodle.fill(downloaded, class_of(CLASS), column=column)
    message = str(caught.value)
    assert message.startswith(str(downloaded))
    assert says in message
    assert "\n" not in message


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@settings(max_examples=100, deadline=None)
@given(
    names=st.lists(TEXTS, min_size=3, max_size=3), comments=st.lists(TEXTS, min_size=3, max_size=3)
)
def test_any_names_and_comments_survive(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], comments: list[str]
) -> None:
    header = ["Identifier", "Full name", "Status", "Grade", "Maximum grade", "Changes"]
    rows = [[*header, "Last modified (grade)", "Feedback comments"]]
    for at, (name, comment) in enumerate(zip(names, comments, strict=True)):
        rows.append([f"Participant {at}", name, "Submitted", "", "10.00", "Yes", "-", comment])
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator="\r\n").writerows(rows)
    path = tmp_path_factory.getbasetemp() / "any-worksheet.csv"
    path.write_text(file.getvalue(), encoding="utf-8", newline="")
    students = [Student(str(at), name) for at, name in enumerate(names)]
    filled = moodle.fill(path, class_of(graded(each, 55) for each in students))
    for row in rows[1:]:
        row[3] = "5.5"
    assert list(csv.reader(io.StringIO(filled.text, newline=""))) == rows
