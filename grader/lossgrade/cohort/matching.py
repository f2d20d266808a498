"""Find the students of a graded class in a platform's own list of students.

A wrong match gives one student another's grade. So nobody is matched by a key that two have, and
where a student's keys name different people, only the one of the same name is believed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from lossgrade.cohort.layouts.listing import some
from lossgrade.cohort.layouts.piece import seconds
from lossgrade.cohort.names import agree, contradict, joined, key, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lossgrade.cohort.entry import Student
    from lossgrade.cohort.graded import Row

_K = TypeVar("_K", str, tuple[str, ...])

SHOWN = 5  # names in a note; the count says how many more there are


@dataclass(frozen=True)
class Listed:
    """A student as the platform's file lists them.

    Attributes:
        row: of the file, counted from 0.
        ids: what may equal a student's id, one a column, the surest first.
        others: what may equal an email address, or a user name: an id, or what is before the @.
    """

    row: int
    name: str
    ids: tuple[str, ...]
    others: tuple[str, ...]


@dataclass(frozen=True)
class Matches:
    """Whose row of the gradebook belongs to which row of the file, and what to know of it."""

    rows: dict[int, Row]
    notes: list[str]


def label(student: Student) -> str:
    """Return what people call a student, as far as it is known."""
    return " ".join((student.name or student.email or student.id or "(nobody is named)").split())


def match(rows: Sequence[Row], listed: Sequence[Listed]) -> Matches:
    """Find for each listed student the row with the grade that counts.

    Of a student's several attempts the newest counts. Students who handed in nothing are looked
    for too, but not missed.
    """
    finder = _Finder(listed)
    unknown: list[str] = []
    claims: dict[int, list[Row]] = {}
    namesakes = Counter(words(student.name) for student in {row.student for row in rows})
    for row in rows:
        student = row.student
        place = finder.find(student, by_name=namesakes[words(student.name)] == 1)
        if place is not None:
            claims.setdefault(place, []).append(row)
        elif row.status != "missing":
            unknown.append(label(student))
    matched: dict[int, Row] = {}
    claimed, repeated, doubtful = [], [], []
    for place, claiming in claims.items():
        handed = [row for row in claiming if row.status != "missing"]
        # The roster's line of a student may have stayed without the student's submission.
        if any(finder.is_sure(row.student, place) for row in handed):
            claiming = handed
        if len({row.student for row in claiming}) > 1:
            claimed.append(" / ".join(dict.fromkeys(label(row.student) for row in claiming)))
            continue
        newest = max(claiming, key=_age)
        matched[place] = newest
        name = finder.names[place]
        if len(claiming) > 1:
            repeated.append(label(newest.student))
        if contradict(newest.student.name, name):
            doubtful.append(f"{label(newest.student)} as {' '.join(name.split())}")
    told = {
        "not found in the file, so without a grade there": list(dict.fromkeys(unknown)),
        "several students fit one line, which is left as it was": claimed,
        "several attempts, of which the newest is taken": repeated,
        "the same id or address but another name, please check": doubtful,
    }
    return Matches(matched, as_notes(told))


def as_notes(told: Mapping[str, Sequence[str]]) -> list[str]:
    """Return a note for each thing to be told that somebody is concerned by."""
    return [f"{what}: {some(names, SHOWN)}" for what, names in told.items() if names]


class _Finder:
    def __init__(self, listed: Sequence[Listed]) -> None:
        rows = [each.row for each in listed]
        self.names = {each.row: each.name for each in listed}
        self.ids = [
            _unique(zip(map(key, column), rows, strict=True))
            for column in zip(*(each.ids for each in listed), strict=True)
        ]
        self.others = _unique((key(other), each.row) for each in listed for other in each.others)
        said = [(words(each.name), each.row) for each in listed]
        self.in_order = _unique(said)
        self.in_any_order = _unique((tuple(sorted(found)), row) for found, row in said)
        # Canvas squashes the name by which it sorts; in another order it may be someone else's.
        self.squashed = _unique(
            (joined(each.name), each.row)
            for each in listed
            if "," in each.name or len(words(each.name)) == 1
        )

    def find(self, student: Student, *, by_name: bool) -> int | None:
        """Return the student's row, or None where none or several fit."""
        email = key(student.email)
        rows = {column.get(key(student.id)) for column in self.ids} | {self.others.get(email)}
        # A user name may be another's on another platform.
        for login in (key(student.id), email.partition("@")[0]):
            row = self.others.get(login)
            if row is not None and agree(student.name, self.names[row]):
                rows.add(row)
        named = self._named(student.name)
        if by_name:
            rows.add(named)
        rows -= {None}
        if len(rows) > 1:
            rows &= {named}
        return rows.pop() if rows else None

    def is_sure(self, student: Student, row: int) -> bool:
        """Say whether the platform's own id leads to the row, and the name is the same."""
        same_id = any(column.get(key(student.id)) == row for column in self.ids)
        return same_id and words(student.name) == words(self.names[row])

    def _named(self, name: str) -> int | None:
        said = words(name)
        row = self.in_order.get(said)
        if row is None:
            row = self.in_any_order.get(tuple(sorted(said)))
            # Where both say which name is the last, another order is another person.
            if row is not None and "," in name and "," in self.names[row]:
                row = None
        if row is None and len(said) == 1:
            row = self.squashed.get(said[0])
        return row


def _unique(pairs: Iterable[tuple[_K, int]]) -> dict[_K, int]:
    """Return the rows by key, without the keys that are empty or that several rows have."""
    rows: dict[_K, set[int]] = {}
    for found, row in pairs:
        rows.setdefault(found, set()).add(row)
    return {found: next(iter(own)) for found, own in rows.items() if found and len(own) == 1}


def _age(row: Row) -> tuple[int, float]:
    return (row.entry.attempt, seconds(row.entry.submitted_at)) if row.entry else (0, 0.0)
