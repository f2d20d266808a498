"""Fill one assignment's column of the gradebook that Canvas exports (Grades, Export).

Canvas' importer (instructure/canvas-lms, lib/gradebook_importer.rb) finds an assignment by the id
in brackets after its title, and takes a header it does not know for a new assignment. So nothing
is filled but a column that is there.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lossgrade.cohort.filling import Column, columns_there, fill_column
from lossgrade.cohort.matching import Listed
from lossgrade.cohort.sheet import Sheet, decimal_comma, number
from lossgrade.reports import ReportError

if TYPE_CHECKING:
    from pathlib import Path

    from lossgrade.cohort.filling import Filled
    from lossgrade.cohort.graded import GradedCohort

# A cell that says the student is excused, or that the assignment is not theirs.
KEPT = frozenset({"ex", "n/a"})

_TITLE_AND_ID = re.compile(r"(.*)\s\((\d+)\)", re.DOTALL)
_COMPUTED = re.compile(r"(Current|Final) (Score|Points|Grade)|Override (Score|Grade|Status)")
# Rows that tell which assignments are posted by hand, or hidden as older versions said.
_POSTING = re.compile(r"(Muted|Manual Posting.*)?", re.IGNORECASE | re.DOTALL)
_ROUNDED = re.compile(r"\d+([.,]\d+)?E\+\d+", re.IGNORECASE)


def fill(downloaded: Path, cohort: GradedCohort, *, column: str = "", scale: bool = True) -> Filled:
    """Return the gradebook with the scores of `cohort` in one column, and notes.

    Args:
        downloaded: what Canvas exported.
        cohort: the graded class.
        column: `Title`, `id` or `Title (id)`; by default the title or name of the assignment.
        scale: in proportion to the column's Points Possible, where that is not our maximum.
    Raises:
        ReportError: no gradebook of Canvas', no such column, or several.
    """
    sheet = Sheet.read(downloaded)
    section = _section(sheet)
    explained = [
        row for row in range(1, len(sheet.rows)) if "Points Possible" in sheet.value(row, 0)
    ]
    names = [column.strip()] if column.strip() else [cohort.title, cohort.assignment]
    index = _column(sheet, explained, [name for name in names if name])
    listed = _students(sheet, section, set(explained))
    maxima = [number(sheet.value(row, index)) for row in explained]
    possible = next((most for most in maxima if most is not None), None)
    numbers = [cell.value for row in explained for cell in sheet.rows[row]]
    numbers += [sheet.value(each.row, index) for each in listed]
    target = Column(index, possible, decimal_comma=decimal_comma(numbers), kept=KEPT)
    return fill_column(sheet, listed, target, cohort, scale=scale)


def _section(sheet: Sheet) -> int:
    """Return where the column Section stands, the last that is about the student."""
    header = sheet.header
    starts = [["Student", "ID"], ["LastName", "FirstName", "ID"]]
    if "Section" in header and any(header[: len(start)] == start for start in starts):
        return header.index("Section")
    raise ReportError(
        f"{sheet.path}: no gradebook exported from Canvas: expected the columns Student, ID, ... "
        f"Section and one for each assignment, found {columns_there(header)}"
    )


def _column(sheet: Sheet, explained: list[int], names: list[str]) -> int:
    """Return the column of the one assignment that one of `names` names.

    An export gives every assignment its id. A column without one is the course's own, or a sum.
    """
    header = sheet.header
    assignments = {
        index: found
        for index, name in enumerate(header)
        if (found := _TITLE_AND_ID.fullmatch(name))
        # A grading period may be called 2026: "Final Score (2026)".
        and not _COMPUTED.search(name)
        and not any("read only" in sheet.value(row, index) for row in explained)
    }
    meant = {index for name in names for index in _meant(name, assignments)}
    if len(meant) == 1:
        return meant.pop()
    asked = " or ".join(repr(name) for name in dict.fromkeys(names))
    what = "several columns are named" if meant else "no column is named"
    there = columns_there([header[index] for index in assignments]) or "none"
    raise ReportError(f"{sheet.path}: {what} {asked}; give the title or the id of one of: {there}")


def _meant(wanted: str, assignments: dict[int, re.Match[str]]) -> list[int]:
    """Return the columns that `wanted` names: by id if it has one that is there, else by title."""
    asked = _TITLE_AND_ID.fullmatch(wanted)
    identifier = asked[2] if asked else wanted
    title = wanted.casefold()
    return [index for index, found in assignments.items() if found[2] == identifier] or [
        index for index, found in assignments.items() if found[1].strip().casefold() == title
    ]


def _students(sheet: Sheet, section: int, explained: set[int]) -> list[Listed]:
    header = sheet.header[:section]
    known = [name for name in ("ID", "SIS User ID") if name in header]
    logins = [at for at, name in enumerate(header) if name == "SIS Login ID"]
    listed = []
    for row in range(1, len(sheet.rows)):
        cells = [cell.value.strip() for cell in sheet.rows[row]]
        if row in explained or all(_POSTING.fullmatch(cell) for cell in cells):
            continue
        sheet.check_whole(row)
        keys = {name: sheet.value(row, header.index(name)) for name in known}
        if _ROUNDED.fullmatch(keys["ID"]):
            raise ReportError(
                f"{sheet.path}:{sheet.line(row)}: the ID {keys['ID']} was rounded by a "
                f"spreadsheet; give the file as Canvas exported it"
            )
        name = cells[0] if header[0] == "Student" else f"{cells[0]}, {cells[1]}"
        others = tuple(sheet.value(row, at) for at in logins)
        listed.append(Listed(row, name, tuple(keys.values()), others))
    return listed
