"""The roster: who is in the class, as CSV files of platforms and of instructors tell it.

Columns are known by the usual spellings of their names, among them those of Canvas' gradebook,
GitHub Classroom's roster, Moodle's participants and nbgrader's students.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lossgrade.cohort.entry import Entry, Student
from lossgrade.cohort.layouts.listing import LayoutError, line, some
from lossgrade.cohort.names import contradict, has_accents, joined, key, without_accents, words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

# Of names as `without_accents` returns them; in each the earlier column comes first.
_COLUMNS = {
    "id": """id studentid sid userid uid canvasid canvasuserid sisid sisuserid integrationid
        idnumber idnummer studentnumber matriculationnumber matrikelnummer identifier participant
        participantid rosteridentifier""".split(),
    "username": """username login user loginid userlogin sisloginid netid github githubusername
        githublogin githubuser githubid studentusername""".split(),
    "email": "email emailaddress emailadresse mail studentemail".split(),
    "name": "name fullname studentname student displayname sortablename vollstandigername".split(),
    "first": "firstname givenname forename first vorname".split(),
    "last": "lastname surname familyname last nachname".split(),
}
_PARTICIPANT = re.compile(r"[^\W\d]+ ([0-9]+)")


@dataclass(frozen=True)
class RosterLine:
    """One student of the roster, with all ids and user names that the line gives."""

    student: Student
    ids: tuple[str, ...] = ()
    usernames: tuple[str, ...] = ()


def read_roster(path: Path) -> list[RosterLine]:
    """Return the students of a CSV file, each once.

    Raises:
        LayoutError: it cannot be read, or no column tells who a student is.
    """
    try:
        text = _decoded(path.read_bytes())
    except OSError as error:
        raise LayoutError(f"{line(str(path))}: cannot be read ({error.strerror})") from None
    header = next((each for each in text.splitlines() if each.strip()), "")
    unquoted = re.sub(r'"[^"]*"', "", header)
    delimiter = max(",;\t", key=unquoted.count)
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
                if any(cell.strip() for cell in row)]  # fmt: skip
    except csv.Error as error:
        raise LayoutError(f"{line(str(path))}: cannot be read as CSV ({error})") from None
    names = rows[0] if rows else []
    columns = _columns(names)
    if not columns:
        raise LayoutError(
            f"{line(str(path))}:1: no column tells who a student is (found "
            f"{some(names, 8) or 'an empty file'}); expected one of id, username, email, name, "
            "first name and last name"
        )
    found = {_line(row, columns): None for row in rows[1:]}
    return [each for each in found if each is not None]


def _decoded(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors="replace")
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1")


def _columns(names: Sequence[str]) -> dict[str, list[int]]:
    """Return the numbers of the columns of each kind."""
    squashed = [without_accents(name) for name in names]
    found = {
        kind: [squashed.index(spelling) for spelling in spellings if spelling in squashed]
        for kind, spellings in _COLUMNS.items()
    }
    # GitHub's number of an account is no name of a user; it only ever stands beside one.
    found["username"] = [i for i in found["username"] if squashed[i] != "githubid"]
    return {kind: numbers for kind, numbers in found.items() if numbers}


def _line(row: Sequence[str], columns: dict[str, list[int]]) -> RosterLine | None:
    """Return a row's student; None for rows that are none, as Canvas' points possible."""

    def cells(kind: str) -> list[str]:
        numbers = columns.get(kind, [])
        return [line(row[i]).strip() for i in numbers if i < len(row) and row[i].strip()]

    ids, usernames, emails = cells("id"), cells("username"), cells("email")
    first, last = cells("first"), cells("last")
    name = next(iter(cells("name")), " ".join([*first[:1], *last[:1]]))
    if "points possible" in name.casefold() or name == "Student, Test":
        return None
    if not (ids or usernames or emails or name):
        return None
    # GitHub Classroom's identifier may be whatever the instructor chose.
    emails += [each for each in (*ids, *usernames) if "@" in each]
    # Moodle's worksheet has `Participant 123` where its folders have 123.
    ids += [match[1] for each in ids if (match := _PARTICIPANT.fullmatch(each))]
    student = Student((ids or usernames or [""])[0], name, (emails or [""])[0])
    return RosterLine(student, tuple(ids), tuple(usernames))


def match_roster(
    entries: Sequence[Entry], lines: Sequence[RosterLine]
) -> tuple[list[Entry], tuple[Student, ...], list[str]]:
    """Match the entries' students with the roster's: by id, email, user name, then name.

    Who is matched by mistake gets another's name and address, and with them another's grade. So
    the name has the last word where an id leads to somebody else, and a line that several
    students could have is nobody's.

    Returns:
        The entries, with what the roster knows and the export does not; the roster's students
        who are in no entry; notes on who is not on the roster or cannot be told from another.
    """
    matched, notes = _matched({s: None for entry in entries for s in entry.students}, lines)
    full = {student: _filled(student, lines[index]) for student, index in matched.items()}
    changed = [
        replace(entry, students=tuple(full.get(each, each) for each in entry.students))
        for entry in entries
    ]
    present = set(matched.values())
    missing = tuple(each.student for i, each in enumerate(lines) if i not in present)
    return changed, missing, notes


def _matched(
    students: Iterable[Student], lines: Sequence[RosterLine]
) -> tuple[dict[Student, int], list[str]]:
    finder = _Finder(lines)
    claims: dict[int, list[Student]] = defaultdict(list)
    notes: list[str] = []
    strangers: list[Student] = []
    for student in students:
        found = finder.find(student)
        if len(found) == 1:
            claims[next(iter(found))].append(student)
        elif found:
            notes.append(
                f"{_shown(student)}: matches {len(found)} lines of the roster; not matched"
            )
        else:
            strangers.append(student)
    matched: dict[Student, int] = {}
    for number, claiming in claims.items():
        owners = finder.owners(claiming, number)
        matched |= dict.fromkeys(owners, number)
        notes += [
            f"{_shown(each)}: another student fits the same line of the roster; not matched"
            for each in claiming
            if each not in owners
        ]
    renamed = [
        each
        for each, number in matched.items()
        if each.name and not _same_name(each.name, lines[number].student.name or each.name)
    ]
    if strangers and not matched:
        notes.append(
            f"none of the export's {len(strangers)} students is on the roster; is it the roster of "
            f"another class, or has it no column that the export knows? ({_shown(strangers[0])})"
        )
    else:
        notes += [f"{_shown(each)}: is not on the roster" for each in strangers]
    if renamed:
        notes.append(
            f"the roster has another name for {len(renamed)} of the students who were matched by "
            f"id, email or user name; are the ids the same? ({some(map(_shown, renamed))})"
        )
    return matched, notes


class _Finder:
    def __init__(self, lines: Sequence[RosterLine]) -> None:
        self.lines = lines
        self.ids = _indexed(lines, lambda each: each.ids, _key)
        self.emails = _indexed(lines, lambda each: (each.student.email,), _key)
        self.usernames = _indexed(lines, lambda each: each.usernames, _key)
        self.names = _indexed(lines, lambda each: _spellings(each.student.name), joined)
        self.plain = _indexed(lines, lambda each: _spellings(each.student.name), without_accents)

    def find(self, student: Student) -> set[int]:
        """Return the numbers of the lines that the student may have."""
        keyed = self._keyed(student)
        named = self._named(student.name or student.id)
        return keyed & named or (named if student.name else keyed) or keyed or named

    def owners(self, claiming: Sequence[Student], number: int) -> Sequence[Student]:
        """Return those of several students whose line it is: one, or one person's two accounts."""
        if len(claiming) == 1:
            return claiming
        keyed = [each for each in claiming if number in self._keyed(each)]
        name = self.lines[number].student.name
        return keyed if len(keyed) == 1 else [each for each in keyed if _same_name(each.name, name)]

    def _keyed(self, student: Student) -> set[int]:
        """Return the lines of this id, email or user name, but for those of quite another name."""
        name = _key(student.id)
        found = (
            self.ids.get(name)
            or self.emails.get(_key(student.email))
            or self.usernames.get(name)
            or set()
        )
        # Of one word is a name that Canvas squashed, and may be a group's: it contradicts nothing.
        if len(words(student.name)) < 2:
            return found
        return {n for n in found if not contradict(student.name, self.lines[n].student.name)}

    def _named(self, name: str) -> set[int]:
        """Return the lines of this name, as it is written or as it is without accents.

        Two names that both have accents, and other ones, are two people's.
        """
        found = self.names.get(joined(name), set())
        return found or {
            number
            for number in self.plain.get(without_accents(name), set())
            if not (has_accents(name) and has_accents(self.lines[number].student.name))
        }


def _indexed(
    lines: Sequence[RosterLine],
    texts: Callable[[RosterLine], Iterable[str]],
    compared: Callable[[str], str],
) -> dict[str, set[int]]:
    index: dict[str, set[int]] = defaultdict(set)
    for number, each in enumerate(lines):
        for text in texts(each):
            index[compared(text)].add(number)
    index.pop("", None)
    return index


def _key(text: str) -> str:
    """Return an id, email or user name as it is compared: zeros at its start do not count."""
    found = key(text)
    return found.lstrip("0") or found if found.isdecimal() else found


def _spellings(name: str) -> list[str]:
    """Return the ways to write a name: `Doe, Jane` and `Jane Doe` have the same."""
    words = name.replace(",", " ").split()
    return [" ".join(words[i:] + words[:i]) for i in range(len(words))]


def _same_name(one: str, other: str) -> bool:
    return without_accents(one) in map(without_accents, _spellings(other))


def _filled(student: Student, roster_line: RosterLine) -> Student:
    known = roster_line.student
    # Canvas squashes names; the roster has the name as people write it.
    is_squashed = " " not in student.name and _same_name(student.name, known.name)
    return Student(
        id=student.id or known.id,
        name=known.name if is_squashed or not student.name else student.name,
        email=student.email or known.email,
    )


def _shown(student: Student) -> str:
    return f"student {line(' '.join(filter(None, (student.name, student.id))) or student.email)}"
