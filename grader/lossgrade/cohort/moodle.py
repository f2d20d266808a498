"""Fill the grades of an offline grading worksheet, as Moodle gives it for an assignment.

Moodle's importer (mod/assign/feedback/offline) finds its columns by their names in the teacher's
language. So they are known here by what they hold, in the order in which Moodle writes them:
identifier, who it is, status, grade, maximum, whether the grade can be changed, times, comments.
"""

from __future__ import annotations

import math
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

# "Participant 4711" in any language; not all put a space before the number.
_IDENTIFIER = re.compile(r"(\D+)(\d+)", re.DOTALL)


def fill(downloaded: Path, cohort: GradedCohort, *, column: str = "", scale: bool = True) -> Filled:
    """Return the worksheet with the scores of `cohort` as grades, and notes.

    The comments stay, and so does the time of the last grade: Moodle compares it with its own and
    skips a grade that was changed there since the download.

    Args:
        downloaded: the worksheet.
        cohort: the graded class.
        column: the name of the column of grades, where it cannot be told from the others.
        scale: in proportion to the worksheet's maximum, where that is not ours.
    Raises:
        ReportError: no such worksheet, or its columns cannot be told.
    """
    sheet = Sheet.read(downloaded)
    rows = [row for row in range(1, len(sheet.rows)) if not sheet.blank(row)]
    for row in rows:
        sheet.check_whole(row)
    identifier = _identifier(sheet, rows)
    grade = _grade(sheet, rows, identifier, column)
    maxima = {number(text) for text in _cells(sheet, rows, grade + 1)}
    possible = maxima.pop() if len(maxima) == 1 else None
    listed = _students(sheet, rows, identifier, grade)
    numbers = _cells(sheet, rows, grade) + _cells(sheet, rows, grade + 1)
    # Moodle's importer skips a grade above the maximum without a word.
    target = Column(grade, possible, decimal_comma(numbers), capped=True)
    return fill_column(sheet, listed, target, cohort, scale=scale)


def _identifier(sheet: Sheet, rows: list[int]) -> int:
    """Return the column whose cells are one word and the number of each participant."""
    for column in range(len(sheet.header)):
        found = [_IDENTIFIER.fullmatch(sheet.value(row, column)) for row in rows]
        parts = [each.groups() for each in found if each]
        words, numbers = {word for word, _ in parts}, {digits for _, digits in parts}
        if len(words) == 1 and len(numbers) == len(rows):
            return column
    raise ReportError(
        f"{sheet.path}: no grading worksheet of Moodle's: expected a column of participants, "
        f'such as "Participant 4711", found {columns_there(sheet.header)}'
    )


def _grade(sheet: Sheet, rows: list[int], identifier: int, wanted: str) -> int:
    """Return the column of grades."""
    header = sheet.header
    if name := wanted.strip().casefold():
        found = [at for at in range(identifier + 1, len(header)) if header[at].casefold() == name]
        what = f"{len(found) or 'no'} columns are named {wanted!r}"
        for at in found:
            if other := next((text for text in _cells(sheet, rows, at) if not _grades([text])), ""):
                found, what = [], f"the column {header[at]!r} holds {other!r}, which is no grade"
    else:
        found = [at for at in range(identifier + 1, len(header) - 1) if _is_grade(sheet, rows, at)]
        what = "the column of grades, which a column with their maximum follows, cannot be told"
    if len(found) == 1:
        return found[0]
    raise ReportError(f"{sheet.path}: {what}; give the name of one of: {columns_there(header)}")


def _is_grade(sheet: Sheet, rows: list[int], at: int) -> bool:
    """Return whether a column holds grades: none above the one number in the next column."""
    maxima = {number(text) for text in _cells(sheet, rows, at + 1)}
    most = maxima.pop() or 0
    return not maxima and most > 0 and _grades(_cells(sheet, rows, at), most)


def _grades(cells: list[str], most: float = math.inf) -> bool:
    """Return whether every cell is empty or a number from 0 to `most`."""
    return all((grade := number(cell)) is not None and 0 <= grade <= most for cell in cells if cell)


def _cells(sheet: Sheet, rows: list[int], column: int) -> list[str]:
    return [sheet.value(row, column) for row in rows]


def _students(sheet: Sheet, rows: list[int], identifier: int, grade: int) -> list[Listed]:
    """Return the participants: their numbers, names, and what else tells who they are.

    With blind marking no names stand after the identifiers, but the status, which many share.
    """
    named = len(set(_cells(sheet, rows, identifier + 1))) > len(rows) / 2
    listed = []
    for row in rows:
        found = _IDENTIFIER.fullmatch(sheet.value(row, identifier))
        assert found is not None
        name, *about = [sheet.value(row, at) for at in range(identifier + 1, grade)] or [""]
        listed.append(Listed(row, name if named else "", (found[2],), tuple(about)))
    return listed
