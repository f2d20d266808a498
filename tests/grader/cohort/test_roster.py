"""Rosters in the spellings of platforms, and who in them is whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lossgrade.cohort.entry import Entry, Student
from lossgrade.cohort.layouts.listing import LayoutError
from lossgrade.cohort.roster import match_roster, read_roster

if TYPE_CHECKING:
    from pathlib import Path


def roster(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "roster.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


JANE = Student("42", "Jane Doe", "jane@uni.edu")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("id,name,email\n42,Jane Doe,jane@uni.edu\n", id="plain"),
        pytest.param("ID;Name;E-Mail\n42;Jane Doe;jane@uni.edu\n", id="semicolons"),
        pytest.param("SID\tFull Name\tEmail Address\n42\tJane Doe\tjane@uni.edu\n", id="tabs"),
        pytest.param("\ufeffid,name,email\r\n42,Jane Doe,jane@uni.edu\r\n", id="BOM of Excel"),
        pytest.param("\n\nid,name,email\n\n42,Jane Doe,jane@uni.edu\n,,\n", id="empty lines"),
        pytest.param('"id","x;;;;y","name","email"\n42,x,Jane Doe,jane@uni.edu\n', id="quoted"),
        pytest.param("id,first_name,last_name,email\n42,Jane,Doe,jane@uni.edu\n", id="nbgrader"),
        pytest.param(
            "First name,Last name,ID number,Email address\nJane,Doe,42,jane@uni.edu\n", id="Moodle"
        ),
        pytest.param(
            "Vollständiger Name,ID-Nummer,E-Mail-Adresse\nJane Doe,42,jane@uni.edu\n",
            id="Moodle in German",
        ),
        pytest.param("Name,SID,Email,Role\nJane Doe,42,jane@uni.edu,Student\n", id="Gradescope"),
        pytest.param("name,id,email\n Jane Doe , 42 ,jane@uni.edu", id="spaces"),
        pytest.param("id,name,email\n42,Jane Doe,jane@uni.edu\n" * 2, id="a line twice"),
        pytest.param("id,name,email\n42,Jane Doe,jane@uni.edu\n".encode("utf-16"), id="UTF-16"),
    ],
)
def test_spellings(tmp_path: Path, text: str | bytes) -> None:
    found = [each.student for each in read_roster(roster(tmp_path, text))]
    assert JANE in found
    assert len(found) <= 2


def test_canvas_gradebook(tmp_path: Path) -> None:
    text = (
        "Student,ID,SIS User ID,SIS Login ID,Section,HW 1 (77)\n"
        "    Points Possible,,,,,10\n"
        '"Doe, Jane",42,S-1,jdoe,A,\n'
        '"Student, Test",43,,x,A,\n'
    )
    (found,) = read_roster(roster(tmp_path, text))
    assert found.student == Student("42", "Doe, Jane")
    assert (found.ids, found.usernames) == (("42", "S-1"), ("jdoe",))


def test_github_classroom_roster(tmp_path: Path) -> None:
    text = '"identifier","github_username","github_id","name"\n"jane@uni.edu","jdoe","555","Jane"\n'
    (found,) = read_roster(roster(tmp_path, text))
    assert found.student == Student("jane@uni.edu", "Jane", "jane@uni.edu")
    assert found.usernames == ("jdoe",)


def test_moodle_worksheet(tmp_path: Path) -> None:
    text = "Identifier,Full name,Email address\nParticipant 123,Jane Doe,jane@uni.edu\n"
    (found,) = read_roster(roster(tmp_path, text))
    assert "123" in found.ids


@pytest.mark.parametrize(
    "text", ["name\nZoë Müller\n".encode("cp1252"), b"name\nZo\xeb M\xfcller\x81\n"],
    ids=["cp1252", "latin-1"],
)  # fmt: skip
def test_old_encodings(tmp_path: Path, text: bytes) -> None:
    assert read_roster(roster(tmp_path, text))[0].student.name.startswith("Zoë Müller")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("points,comment\n1,x\n", "(found points, comment)", id="no column"),
        pytest.param("", "(found an empty file)", id="empty"),
        pytest.param("name\n" + '"' + "x" * 200_000, "cannot be read as CSV", id="a giant cell"),
    ],
)
def test_a_roster_that_is_none(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(LayoutError) as told:
        read_roster(roster(tmp_path, text))
    assert message in str(told.value)
    assert "\n" not in str(told.value)


CLASS = (
    "id,username,name,email\n"
    "0042,jdoe,\"Doe, Jane\",jane@uni.edu\n"
    "43,zoe,Zoë van Berg,zoe@uni.edu\n"
    "44,max1,Max Muster,max1@uni.edu\n"
    "45,max2,Max Muster,max2@uni.edu\n"
    "46,li,李 小龙,\n"
)  # fmt: skip


@pytest.mark.parametrize(
    ("student", "matched"),
    [
        pytest.param(Student("0042"), "0042", id="id"),
        pytest.param(Student("42"), "0042", id="id without zeros, as Excel leaves it"),
        pytest.param(Student("x", email="JANE@uni.edu"), "0042", id="email in other case"),
        pytest.param(Student("JDoe"), "0042", id="user name"),
        pytest.param(Student("x", "doejane"), "0042", id="squashed by Canvas"),
        pytest.param(Student("x", "Jane Doe"), "0042", id="in the other order"),
        pytest.param(Student("x", "vanbergzoë"), "43", id="two family names, squashed"),
        pytest.param(Student("x", "ZOE VAN BERG"), "43", id="without accents"),
        pytest.param(Student("x", "bergzoëvan"), "43", id="the other family name"),
        pytest.param(Student("李小龙"), "46", id="a name as the file's"),
        pytest.param(Student("x", "Max Muster"), "", id="two of one name"),
        pytest.param(Student("44", "Max Muster"), "44", id="told apart by id"),
        pytest.param(Student("x", "Nobody"), "", id="nobody"),
        pytest.param(Student(), "", id="unknown"),
        pytest.param(Student("x", "van"), "", id="part of a name"),
    ],
)
def test_matching(tmp_path: Path, student: Student, matched: str) -> None:
    lines = read_roster(roster(tmp_path, CLASS))
    (entry,), missing, notes = match_roster([Entry("e", (student,))], lines)
    assert len(missing) == (4 if matched else 5)
    assert bool(notes) == (not matched)
    if matched:
        line = next(each.student for each in lines if each.student.id == matched)
        assert line not in missing
        assert entry.students[0].email == (student.email or line.email)
        assert entry.students[0].id == (student.id or line.id)
    else:
        assert entry.students == (student,)


def test_what_the_export_knows_stays(tmp_path: Path) -> None:
    lines = read_roster(roster(tmp_path, CLASS))
    known = [Student("jdoe", "J. Doe", "other@uni.edu"), Student("9", "vanbergzoë"), Student("li")]
    entries, _, _ = match_roster([Entry("e", tuple(known))], lines)
    assert entries[0].students == (
        Student("jdoe", "J. Doe", "other@uni.edu"),
        Student("9", "Zoë van Berg", "zoe@uni.edu"),
        Student("li", "李 小龙"),
    )


def test_two_students_of_one_name_do_not_share_a_line(tmp_path: Path) -> None:
    lines = read_roster(roster(tmp_path, CLASS))
    entries = [Entry(n, (Student(n, "doejane"),)) for n in ("8", "9")]
    changed, missing, notes = match_roster(entries, lines)
    assert changed == entries
    assert len(missing) == 5
    assert len(notes) == 2
    entries[0] = Entry("8", (Student("42"),))
    changed, _, notes = match_roster(entries, lines)
    assert changed[0].students[0].email == "jane@uni.edu"
    assert (changed[1], len(notes)) == (entries[1], 1)


def test_all_members_of_a_group_are_matched(tmp_path: Path) -> None:
    lines = read_roster(roster(tmp_path, CLASS))
    group = Entry("team", (Student("42"), Student("43")))
    _, missing, _ = match_roster([group, Entry("again", (Student("42"),))], lines)
    assert [each.id for each in missing] == ["44", "45", "46"]


def test_the_roster_of_another_class_is_one_note(tmp_path: Path) -> None:
    lines = read_roster(roster(tmp_path, CLASS))
    entries = [Entry(n, (Student(n),)) for n in ("a", "b")]
    _, missing, notes = match_roster(entries, lines)
    assert len(missing) == 5
    assert len(notes) == 1
    assert notes[0].startswith("none of the export's 2 students is on the roster")


@pytest.mark.parametrize(
    ("student", "expected", "noted"),
    [
        pytest.param(Student("43", "Jane Doe"), "jane@uni.edu", False, id="the name beats the id"),
        pytest.param(Student("43", "Lee Roe"), "", True, id="nothing in common with the name"),
        pytest.param(Student("43", "Zoë Roe"), "zoe@uni.edu", True, id="a new family name"),
        pytest.param(Student("43", "佐伯 洋"), "zoe@uni.edu", True, id="a name in another script"),
        pytest.param(Student("43", "redteam"), "zoe@uni.edu", True, id="a group of Canvas'"),
        pytest.param(Student("46", "Jane Doe"), "jane@uni.edu", False, id="beats another script"),
    ],
)
def test_ids_of_another_count(tmp_path: Path, student: Student, expected: str, noted: bool) -> None:
    lines = read_roster(roster(tmp_path, CLASS))
    known = Entry("b", (Student("44", "MusterMax"),))
    (changed, _), _, notes = match_roster([Entry("a", (student,)), known], lines)
    assert changed.students[0].email == expected
    assert len(notes) == noted
    assert not noted or student.name in notes[0]


@pytest.mark.parametrize(
    ("listed", "name", "matched"),
    [
        pytest.param("राम", "रीम", False, id="Devanagari vowels are no accents"),
        pytest.param("กุต", "กิต", False, id="nor are Thai ones"),
        pytest.param("たなか", "たなが", False, id="nor is a voiced sound in Japanese"),
        pytest.param("Nguyễn Vân Anh", "Nguyễn Văn Anh", False, id="other accents"),
        pytest.param("Nguyễn Vân Anh", "Nguyen Van Anh", True, id="no accents"),
        pytest.param("Jos\u00e9", "Jose\u0301", True, id="as macOS writes it"),
    ],
)
def test_a_name_is_compared_with(tmp_path: Path, listed: str, name: str, matched: bool) -> None:
    lines = read_roster(roster(tmp_path, f"name\n{listed}\n"))
    _, missing, _ = match_roster([Entry("e", (Student("x", name),))], lines)
    assert (not missing) == matched


def test_two_user_names_that_lead_to_one_line(tmp_path: Path) -> None:
    text = "netid,github_username,name\njdoe,janedoe,Jane Doe\njim,,Jim Doe\n"
    lines = read_roster(roster(tmp_path, text))
    # Jim is called on GitHub what Jane is called at the university.
    entries = [Entry("a", (Student("janedoe"),)), Entry("b", (Student("jdoe"),))]
    changed, missing, notes = match_roster(entries, lines)
    assert changed == entries
    assert len(missing) == 2
    assert all("another student fits the same line" in note for note in notes)
    # One person in two exports has one name.
    twice = [
        Entry("a", (Student("jdoe", "Jane Doe"),)),
        Entry("b", (Student("janedoe", "doejane"),)),
    ]
    changed, missing, _ = match_roster(twice, lines)
    assert [each.student.name for each in lines if each.student in missing] == ["Jim Doe"]


def test_names_without_letters_match_nobody(tmp_path: Path) -> None:
    lines = read_roster(roster(tmp_path, "id,name\n1,!!!\n2,Jane Doe\n"))
    _, missing, _ = match_roster([Entry("e", (Student("x", "🎓"),))], lines)
    assert len(missing) == 2
