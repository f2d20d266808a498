"""Fill one column of a platform's gradebook with the scores of a graded class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from lossgrade.cohort.matching import as_notes, label, match
from lossgrade.cohort.sheet import number
from lossgrade.reports.summary import points

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lossgrade.cohort.graded import GradedCohort, Row
    from lossgrade.cohort.matching import Listed
    from lossgrade.cohort.sheet import Sheet

COLUMNS_SHOWN = 30


class Filled(NamedTuple):
    """A filled file: its text, byte order mark included, and what to know of it, a line each."""

    text: str
    notes: list[str]


@dataclass(frozen=True)
class Column:
    """The column to fill.

    Attributes:
        possible: the platform's maximum; None where the file does not tell it.
        decimal_comma: whether the file's numbers have one.
        capped: whether the platform drops a grade above its maximum.
        kept: cells that are no grades and stay, in lower case: "ex".
    """

    index: int
    possible: float | None
    decimal_comma: bool
    capped: bool = False
    kept: frozenset[str] = frozenset()


def columns_there(headers: Sequence[str]) -> str:
    """Return the columns as an error lists them."""
    more = f" and {len(headers) - COLUMNS_SHOWN} more" if len(headers) > COLUMNS_SHOWN else ""
    return "; ".join(headers[:COLUMNS_SHOWN]) + more


def fill_column(
    sheet: Sheet, listed: Sequence[Listed], column: Column, cohort: GradedCohort, *, scale: bool
) -> Filled:
    """Fill the column for every listed student who has a grade; all other cells stay.

    A grade is score + bonus, with `scale` in proportion to the platform's maximum, rounded to the
    hundredths that Canvas and Moodle show.
    """
    matches = match(cohort.rows, listed)
    values: dict[tuple[int, int], str] = {}
    told: dict[str, list[str]] = {}
    maxima = set()
    for place, row in sorted(matches.rows.items()):
        before = sheet.value(place, column.index)
        if reason := _left(row, before, column):
            told.setdefault(f"left as it was, {reason}", []).append(_who(row, before))
            continue
        assert row.summary is not None
        grade, most = row.summary.score + row.summary.bonus, row.summary.max_score
        maxima.add(most)
        if scale and column.possible and most:
            grade *= column.possible / most
        if column.capped and column.possible is not None and grade > column.possible:
            told.setdefault("above the maximum, which is given instead", []).append(_who(row))
            grade = column.possible
        if number(before) == round(grade, 2):
            continue
        if before not in ("", "-"):
            told.setdefault("another grade was there before", []).append(_who(row, before))
        text = points(grade)
        values[place, column.index] = text.replace(".", ",") if column.decimal_comma else text
    others = [
        " ".join((each.name or each.ids[0]).split())
        for each in listed
        if each.row not in matches.rows
    ]
    told["left as it was, not in the class that was graded"] = others
    notes = as_notes(told)
    if column.possible is not None and maxima - {column.possible}:
        done = "scaled" if scale and column.possible else "not scaled"
        of = " and ".join(map(points, sorted(maxima)))
        notes.insert(0, f"graded out of {of}, {done} to {points(column.possible)}")
    return Filled(sheet.filled(values), [*notes, *matches.notes])


def _left(row: Row, before: str, column: Column) -> str:
    """Return why a cell stays as it is, or "" where it is filled."""
    if row.status == "missing":
        return "handed in nothing"
    if row.status != "graded" or row.summary is None:
        return "without a grade"
    return "excused or not assigned" if before.casefold() in column.kept else ""


def _who(row: Row, before: str = "") -> str:
    """Return whose cell it is, and what explains it: the problem, or what the cell holds."""
    about = " ".join((row.problem or before).split())
    return f"{label(row.student)} ({about})" if about else label(row.student)
