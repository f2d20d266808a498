"""Filling Canvas' gradebook: the importer's rules, and every byte that is not ours."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from importers import canvas_imports, class_of, graded, ungraded
from lossgrade.cohort import canvas
from lossgrade.cohort.entry import Student
from lossgrade.cohort.graded import Row
from lossgrade.reports import ReportError

if TYPE_CHECKING:
    from pathlib import Path


ADA = Student("101", "Ada Lovelace", "ada@uni.edu")
EMMY = Student("102", "Emmy Noether", "emmy@uni.edu")
ZHENYI = Student("103", "王贞仪", "zhenyi@uni.edu")
CLASS = (graded(ADA, 80), graded(EMMY, 42.5, bonus=5), graded(ZHENYI, 100))
COURSE = {7: "Warm-up", 8: "Softmax, one-hot; CE", 9: "Softmax"}
PEOPLE = {101: "", 102: "", 103: "", 104: ""}

# An export holds <1>, <2> and <3> where the cells of Ada, Emmy and Zhenyi are.
BARE = """\
Student,ID,SIS Login ID,Section,Warm-up (7),"Softmax, one-hot; CE (8)",Softmax (9),Final Score
    Points Possible,,,,5.00,20.00,100.00,(read only)
"Lovelace, Ada",101,ada,STAT 453,4.00,,<1>,
"Noether, Emmy",102,emmy,"STAT ""453"", B",,3.00,<2>,80.00
王贞仪,103,zhenyi,STAT 453,,,<3>,
"Student, Test",104,5f2a,STAT 453,,,,
"""
SIS = """\
Student;ID;SIS User ID;SIS Login ID;Integration ID;Root Account;Section;Notes;Warm-up (7);\
Softmax (9);Current Points;Final Grade
;; ;;;;;;;Manual Posting;;
    Points Possible;;;;;;;;5,00;100,00;(read only);(read only)
Lovelace, Ada;101;S1;ada;;uni.edu;STAT 453;=1+1;4,50;<1>;4,50;
Noether, Emmy;102;S2;emmy;;uni.edu;STAT 453;"a
b";;<2>;;
王贞仪;103;S3;zhenyi;;uni.edu;STAT 453;;;<3>;;
Student, Test;104;;5f2a;;uni.edu;STAT 453;;;;;
"""
APART = """\
LastName,FirstName,ID,SIS Login ID,Section,Softmax (9),Final Score
    Points Possible,,,,,"100,00",(read only)
Lovelace,Ada,101,ada,A,<1>,
Noether,Emmy,102,emmy,A,<2>,
,王贞仪,103,zhenyi,A,<3>,
"""


def put(template: str, *cells: str) -> str:
    for at, cell in enumerate(cells, 1):
        template = template.replace(f"<{at}>", cell)
    return template


@pytest.fixture
def downloaded(tmp_path: Path) -> Path:
    return tmp_path / "grades.csv"


@pytest.mark.parametrize(
    ("template", "before", "after"),
    [
        pytest.param(BARE, ("", "", ""), ("80", "47.5", "100"), id="no SIS ids"),
        pytest.param(
            BARE, ("-", "47.50", ""), ("80", "47.50", "100"), id="same grade, other digits"
        ),
        pytest.param(SIS, ("", "", ""), ("80", "47,5", "100"), id="semicolon and decimal comma"),
        pytest.param(
            APART, ("", '"1,50"', ""), ("80", '"47,5"', "100"), id="comma and decimal comma"
        ),
        pytest.param(BARE.replace("\n", "\r\n"), ("",) * 3, ("80", "47.5", "100"), id="CRLF"),
        pytest.param("\ufeff" + BARE, ("",) * 3, ("80", "47.5", "100"), id="byte order mark"),
        pytest.param(BARE[:-1], ("",) * 3, ("80", "47.5", "100"), id="no last line end"),
        pytest.param(BARE, ("EX", "", "N/A"), ("EX", "47.5", "N/A"), id="excused, not assigned"),
        pytest.param(BARE, ('""', "", ""), ('"80"', "47.5", "100"), id="quotes stay"),
        pytest.param(
            BARE.replace(",100.00,", ",10.00,"), ("",) * 3, ("8", "4.75", "10"), id="scaled"
        ),
        pytest.param(
            BARE.replace(",100.00,", ",0.00,"), ("",) * 3, ("80", "47.5", "100"), id="of 0"
        ),
        pytest.param(
            BARE.replace(",100.00,", ",10.00,"),
            *(("", "4.8", ""), ("8", "4.75", "10")),
            id="another grade by a hundredth",
        ),
        pytest.param(
            BARE.replace(",5.00,20.00,100.00,(read only)", "5.00,"),
            *(("",) * 3, ("80", "47.5", "100")),
            id="a short row of Points Possible",
        ),
        pytest.param(
            "\n".join(line for line in BARE.split("\n") if "Points" not in line),
            *(("",) * 3, ("80", "47.5", "100")),
            id="no Points Possible",
        ),
    ],
)
def test_only_the_cells_of_the_assignment_change(
    downloaded: Path, template: str, before: tuple[str, ...], after: tuple[str, ...]
) -> None:
    downloaded.write_text(put(template, *before), encoding="utf-8", newline="")
    filled = canvas.fill(downloaded, class_of(CLASS))
    assert filled.text == put(template, *after)
    course = {**COURSE, 0: "Notes"} if "Notes" in template else COURSE
    done = canvas_imports(filled.text, course, PEOPLE)
    expected = [cell.strip('"').replace(",", ".") for cell in after]
    assert [done.grades[9][each] for each in (101, 102, 103)] == expected
    assert not done.new_assignments
    assert not done.new_students


def _notes(downloaded: Path, *rows: Row, text: str = put(BARE, "", "", "")) -> list[str]:
    downloaded.write_text(text, encoding="utf-8", newline="")
    return canvas.fill(downloaded, class_of(rows)).notes


@pytest.mark.parametrize(
    ("rows", "before", "told"),
    [
        pytest.param(CLASS, ("", "", ""), "left as it was, not in the class that was graded: "
                     "Student, Test", id="not in our class"),
        pytest.param((graded(Student("9", "Kurt Gödel"), 1),), ("",) * 3,
                     "not found in the file, so without a grade there: Kurt Gödel",
                     id="not in theirs"),
        pytest.param((ungraded(ADA, "unreadable", "a zip that is cut off"),), ("5", "", ""),
                     "left as it was, without a grade: Ada Lovelace (a zip that is cut off)",
                     id="unreadable"),
        pytest.param((ungraded(ADA, "missing", ""),), ("5", "", ""),
                     "left as it was, handed in nothing: Ada Lovelace (5)", id="missing"),
        pytest.param(CLASS, ("ex", "", ""),
                     "left as it was, excused or not assigned: Ada Lovelace (ex)", id="excused"),
        pytest.param(CLASS, ("3.00", "", ""), "another grade was there before: Ada Lovelace (3.00)",
                     id="replaced"),
        pytest.param((graded(Student("101", "Kurt Gödel"), 1),), ("",) * 3,
                     "the same id or address but another name, please check: "
                     "Kurt Gödel as Lovelace, Ada", id="another name"),
        pytest.param((graded(Student(), 1),), ("",) * 3,
                     "not found in the file, so without a grade there: (nobody is named)",
                     id="nobody"),
        pytest.param(tuple(graded(Student(f"x{n}"), 1) for n in range(5)), ("",) * 3,
                     "not found in the file, so without a grade there: x0, x1, x2, x3, x4", id="5"),
        pytest.param(tuple(graded(Student(f"x{n}"), 1) for n in range(7)), ("",) * 3,
                     "not found in the file, so without a grade there: "
                     "x0, x1, x2, x3, x4 and 2 more", id="7"),
        pytest.param((Row(ADA, None, CLASS[0].summary, "not-graded", "out of memory"),), ("",) * 3,
                     "left as it was, without a grade: Ada Lovelace (out of memory)",
                     id="part of a grade"),
        pytest.param((graded(ADA, 10), graded(ADA, 90, attempt=2)), ("",) * 3,
                     "several attempts, of which the newest is taken: Ada Lovelace", id="attempts"),
        pytest.param((graded(ADA, 10), graded(Student("", "", "ada@uni.edu"), 90)), ("",) * 3,
                     "several students fit one line, which is left as it was: "
                     "Ada Lovelace / ada@uni.edu", id="two of ours for one"),
    ],
)  # fmt: skip
def test_what_is_not_filled_is_told(
    downloaded: Path, rows: tuple[Row, ...], before: tuple[str, ...], told: str
) -> None:
    assert told in _notes(downloaded, *rows, text=put(BARE, *before))


def test_scaling_is_told_and_can_be_refused(downloaded: Path) -> None:
    text = put(BARE, "", "", "").replace(",100.00,", ",10.00,")
    assert "graded out of 100, scaled to 10" in _notes(downloaded, *CLASS, text=text)
    filled = canvas.fill(downloaded, class_of(CLASS), scale=False)
    assert filled.text == put(BARE, "80", "47.5", "100").replace(",100.00,", ",10.00,")
    assert "graded out of 100, not scaled to 10" in filled.notes


def test_the_newest_attempt_counts(downloaded: Path) -> None:
    downloaded.write_text(put(BARE, "", "", ""), encoding="utf-8")
    rows = (graded(ADA, 90, attempt=2), graded(ADA, 10, attempt=10), graded(ADA, 50, attempt=1))
    assert canvas.fill(downloaded, class_of(rows)).text == put(BARE, "10", "", "")


def test_two_students_never_share_a_cell(downloaded: Path) -> None:
    text = put(BARE, "7", "", "")
    downloaded.write_text(text, encoding="utf-8")
    rows = (graded(ADA, 10), graded(Student("", "", "ada@uni.edu"), 90, attempt=2))
    assert canvas.fill(downloaded, class_of(rows)).text == text


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        pytest.param(Student("101", "Ada Lovelace"), "80", id="known by id and name"),
        pytest.param(Student("ada"), "", id="a user name may be another's elsewhere"),
    ],
)
def test_who_is_missing_in_the_roster_alone(downloaded: Path, ours: Student, expected: str) -> None:
    downloaded.write_text(put(BARE, "", "", ""), encoding="utf-8")
    listed = Student("X1", "Ada Lovelace", "ada@uni.edu")
    rows = [graded(ours, 80), ungraded(listed, "missing", "")]
    assert canvas.fill(downloaded, class_of(rows)).text == put(BARE, expected, "", "")
    alone = canvas.fill(downloaded, class_of(rows[1:]))
    assert "left as it was, handed in nothing" in alone.notes[0]


@pytest.mark.parametrize(
    ("name", "doubtful"),
    [
        pytest.param("Ada Lovelace", False, id="the same"),
        pytest.param("Ada King-Noel", False, id="another family name"),
        pytest.param("lovelaceada", False, id="as Canvas' files have it"),
        pytest.param("", False, id="none"),
        pytest.param("Emmy Nöther", True, id="nothing in common"),
        pytest.param("L Nöther", True, id="a letter in common"),
    ],
)
def test_another_name_is_doubted(downloaded: Path, name: str, doubtful: bool) -> None:
    downloaded.write_text(put(BARE, "", "", ""), encoding="utf-8")
    filled = canvas.fill(downloaded, class_of([graded(Student("101", name), 80)]))
    assert filled.text == put(BARE, "80", "", "")
    assert any("another name" in note for note in filled.notes) is doubtful


FOUND = put(SIS, "80", "", "")
NOBODY = put(SIS, "", "", "")


@pytest.mark.parametrize(
    ("student", "expected"),
    [
        pytest.param(Student("101"), FOUND, id="ID"),
        pytest.param(Student(" 101 "), FOUND, id="ID with spaces"),
        pytest.param(Student("S1"), FOUND, id="SIS User ID"),
        pytest.param(Student("ada"), FOUND, id="SIS Login ID"),
        pytest.param(Student("", "", "ADA@uni.edu"), FOUND, id="login is what is before the @"),
        pytest.param(Student("", "Ada Lovelace"), FOUND, id="name"),
        pytest.param(Student("", "lovelaceada"), FOUND, id="name as Canvas' files have it"),
        pytest.param(Student("999", "Ada Lovelace"), FOUND, id="unknown id, known name"),
        pytest.param(Student("102", "Ada Lovelace"), FOUND, id="an id that is another's"),
        pytest.param(Student("102", "", "ada@uni.edu"), NOBODY, id="keys of two, no name"),
        pytest.param(Student("", "Ada"), NOBODY, id="part of a name"),
        pytest.param(Student(), NOBODY, id="nobody"),
    ],
)
def test_students_are_found_by(downloaded: Path, student: Student, expected: str) -> None:
    downloaded.write_text(NOBODY, encoding="utf-8")
    assert canvas.fill(downloaded, class_of([graded(student, 80)])).text == expected


@pytest.mark.parametrize(
    ("listed", "student"),
    [
        pytest.param('"Thomas, James"', Student("", "Thomas James"), id="first and last exchanged"),
        pytest.param('"Wei, Li"', Student("", "Li, Wei"), id="exchanged, and both are told"),
        pytest.param('"कुमार, राम"', Student("", "रीम कुमार"), id="another vowel"),
        pytest.param('"Analisa Roe"', Student("", "Ana Lisa Roe"), id="other words, same letters"),
        pytest.param(
            '"Doe, Jane"',
            Student("9", "Jim Doe", "new@gmail.com"),
            id="the same user name elsewhere",
        ),
        pytest.param('"Doe, Jane"', Student("new", "Jim Doe"), id="a user name as an id"),
    ],
)
def test_a_grade_is_given_to_nobody_else(downloaded: Path, listed: str, student: Student) -> None:
    text = (
        put(SIS, "", "", "")
        + f'{listed};201;S201;new;;;A;;;;;\n"James, Thomas";202;S202;jt;;;A;;;;;\n'
    )
    downloaded.write_text(text, encoding="utf-8")
    filled = canvas.fill(downloaded, class_of([graded(student, 80)])).text
    assert listed + ";201;S201;new;;;A;;;;;" in filled


@pytest.mark.parametrize(
    ("listed", "ours"),
    [
        pytest.param(
            '"Lovelace, Ada",105,ada2,A,,,,\n', (Student("", "Ada Lovelace"),), id="theirs"
        ),
        pytest.param("", (Student("", "Ada Lovelace"), Student("77", "Ada Lovelace")), id="ours"),
    ],
)
def test_a_name_that_two_have_finds_nobody(
    downloaded: Path, listed: str, ours: tuple[Student, ...]
) -> None:
    text = put(BARE, "", "", "") + listed
    downloaded.write_text(text, encoding="utf-8")
    filled = canvas.fill(downloaded, class_of(graded(each, 80) for each in ours))
    assert filled.text == text


@pytest.mark.parametrize(
    ("column", "cohort", "header"),
    [
        pytest.param("", {"title": "softmax"}, "Softmax (9)", id="our title, in any case"),
        pytest.param("", {"title": "x", "assignment": "warm-up"}, "Warm-up (7)", id="our name"),
        pytest.param(" ", {}, "Softmax (9)", id="blank is none"),
        pytest.param("7", {}, "Warm-up (7)", id="id"),
        pytest.param("Warm-up", {}, "Warm-up (7)", id="title"),
        pytest.param(" warm-up ", {}, "Warm-up (7)", id="title with spaces"),
        pytest.param("Warm-up (7)", {}, "Warm-up (7)", id="header"),
        pytest.param("Softmax (7)", {}, "Warm-up (7)", id="id wins over title"),
        pytest.param("softmax, ONE-hot; ce", {}, "Softmax, one-hot; CE (8)", id="delimiters in it"),
    ],
)
def test_the_column_is_chosen_by(
    downloaded: Path, column: str, cohort: dict[str, str], header: str
) -> None:
    before = put(BARE, "", "", "")
    downloaded.write_text(before, encoding="utf-8")
    filled = canvas.fill(downloaded, class_of([graded(ADA, 33)], **cohort), column=column)
    old, new = (list(csv.reader(io.StringIO(text))) for text in (before, filled.text))
    changed = {
        old[0][at]
        for was, now in zip(old, new, strict=True)
        for at, pair in enumerate(zip(was, now, strict=True))
        if pair[0] != pair[1]
    }
    assert changed == {header}


def test_spaces_around_titles_do_not_matter(downloaded: Path) -> None:
    text = put(BARE, "", "", "").replace("Softmax (9)", " Softmax  (9) ")
    downloaded.write_text(text, encoding="utf-8")
    filled = canvas.fill(downloaded, class_of([graded(ADA, 33)]))
    assert filled.text == put(BARE, "33", "", "").replace("Softmax (9)", " Softmax  (9) ")


def test_an_error_lists_no_more_columns_than_can_be_read(downloaded: Path) -> None:
    for count, end in ((30, "HW (30)"), (31, "HW (30) and 1 more")):
        titles = ",".join(f"HW ({number})" for number in range(1, count + 1))
        downloaded.write_text(f"Student,ID,Section,{titles}\n", encoding="utf-8")
        with pytest.raises(ReportError) as caught:
            canvas.fill(downloaded, class_of(CLASS))
        assert str(caught.value).endswith(end)


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        pytest.param(put(BARE, "", "", ""), "Hard-max", "no column is named 'Hard-max'; give the "
                     "title or the id of one of: Warm-up (7); Softmax, one-hot; CE (8); "
                     "Softmax (9)",
                     id="unknown"),
        pytest.param(put(BARE, "", "", "").replace("Warm-up", "SOFTMAX"), "",
                     "several columns are named 'Softmax' or 'stat453'", id="two of one title"),
        pytest.param(put(BARE, "", "", ""), "Final Score", "no column is named", id="computed"),
        pytest.param(put(BARE, "", "", "").replace("Final Score", "Final Score (2026)"), "2026",
                     "no column is named", id="computed for a grading period"),
        pytest.param(put(BARE, "", "", "").replace(",100.00,", ",(read only),"), "",
                     "no column is named 'Softmax' or 'stat453'", id="read only"),
        pytest.param(put(BARE, "", "", "").replace(" (9)", ""), "", "no column is named",
                     id="a column without an id"),
        pytest.param("Student,Login,Section,Softmax (9)\n", "", "no gradebook exported",
                     id="no ID"),
        pytest.param(put(SIS, "", "", ""), "Notes", "no column is named 'Notes'",
                     id="the course's own"),
        pytest.param("name,score\nAda,1\n", "", "no gradebook exported from Canvas: expected the "
                     "columns Student, ID, ... Section", id="another file"),
        pytest.param("Student,ID,SIS Login ID,Softmax (9)\na,1,b,\n", "", "no gradebook exported",
                     id="no Section"),
        pytest.param("", "", "is empty", id="empty"),
        pytest.param("\ufeff\n", "", "is empty", id="blank"),
        pytest.param(put(SIS, "", "", "").replace("王贞仪", '"王贞仪'), "",
                     ":7: a quote is never closed", id="open quote"),
        pytest.param(put(BARE, '"', "", ""), "", ":3: 15 columns, expected 8",
                     id="lines run together"),
        pytest.param(put(BARE, "", "", "").replace("101", "1.01E+13"), "",
                     ":3: the ID 1.01E+13 was rounded by a spreadsheet", id="rounded ids"),
        pytest.param("Student,ID,Section,Softmax (9)\nAda,101,A\nB,3,A,\n", "",
                     ":2: 3 columns, expected 4",
                     id="a short line"),
    ],
)  # fmt: skip
def test_one_line_says_what_is_wrong(downloaded: Path, text: str, column: str, says: str) -> None:
    downloaded.write_text(text, encoding="utf-8", newline="")
    with pytest.raises(ReportError) as caught:
        canvas.fill(downloaded, class_of(CLASS), column=column)
    message = str(caught.value)
    assert message.startswith(str(downloaded))
    assert says in message
    assert "\n" not in message


def test_files_that_cannot_be_read(downloaded: Path) -> None:
    with pytest.raises(ReportError, match="cannot be read"):
        canvas.fill(downloaded, class_of(CLASS))
    downloaded.write_bytes(put(BARE, "", "", "").encode("utf-16"))
    with pytest.raises(ReportError, match="byte 0 is not UTF-8"):
        canvas.fill(downloaded, class_of(CLASS))


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@settings(max_examples=150, deadline=None)
@given(
    names=st.lists(TEXTS, min_size=3, max_size=3),
    sections=st.lists(TEXTS, min_size=3, max_size=3),
    delimiter=st.sampled_from(",;\t"),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_any_names_survive(
    tmp_path_factory: pytest.TempPathFactory,
    names: list[str],
    sections: list[str],
    delimiter: str,
    end: str,
) -> None:
    rows = [
        ["Student", "ID", "Section", "Softmax (9)", "Total"],
        ["    Points Possible", "", "", "10", ""],
    ]
    rows += [[name, str(101 + at), sections[at], "", ""] for at, name in enumerate(names)]
    file = io.StringIO(newline="")
    # Python's writer leaves "\r" without quotes where that is no line end.
    quoting: Any = csv.QUOTE_MINIMAL if end == "\r\n" else csv.QUOTE_ALL
    csv.writer(file, delimiter=delimiter, lineterminator=end, quoting=quoting).writerows(rows)
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_text(file.getvalue(), encoding="utf-8", newline="")
    students = [Student(str(101 + at), name) for at, name in enumerate(names)]
    filled = canvas.fill(path, class_of(graded(each, 50) for each in students))
    for row in rows[2:]:
        row[3] = "5"
    assert list(csv.reader(io.StringIO(filled.text, newline=""), delimiter=delimiter)) == rows
