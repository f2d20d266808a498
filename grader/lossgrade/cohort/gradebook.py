"""gradebook.csv: a class as a table, one row a student, for spreadsheets and data frames.

Python's csv module writes it: it quotes what needs quotes, line ends in names too, and rows are
made one by one, so a table library would add nothing but its own reading of ids as numbers.
"""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING

from lossgrade.cohort.sheet import BYTE_ORDER_MARK
from lossgrade.reports.summary import points

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lossgrade.cohort.graded import GradedCohort, Row

# The columns, with those of the functions between the two parts.
WHO = ("submission", "student_id", "name", "email", "status")
TOTALS = ("score", "max_score", "percent", "bonus", "penalty")
ABOUT = (
    *("late", "attempt", "submitted_at"),
    *("misconceptions", "findings", "problem", "source", "feedback"),
)

# What spreadsheets take for the start of a formula, with its full-width and small forms.
_FORMULA = r"=+\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b"
# What they may drop before it: spaces, quotes, characters that nobody sees.
_DROPPED = r"\s\"'\u200b-\u200f\u2060\ufeff"
# Where a formula may start: at the start of a cell, and behind a semicolon, a tab or a line end,
# since Excel splits lines there where the comma is the decimal sign. A tab or a line end in front
# may move what follows into a cell of its own.
_START = re.compile(rf"(?:\A|(?<=[;\t\n]))(?=[{_DROPPED}]*[{_FORMULA}])|\A(?=[\t\n])")
_LINE_END = re.compile(r"\r\n?")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def render(cohort: GradedCohort) -> str:
    """Return the gradebook as CSV, with a byte order mark; docs/gradebooks.md has its columns.

    Without the mark Excel takes the file for one in the system's old encoding and spoils every
    name outside it.
    """
    functions: dict[str, float] = {}
    for line in cohort.lines:
        functions[line.function] = functions.get(line.function, 0) + line.max_score
    parts = [f"{name}.{part}" for name in functions for part in ("score", "max_score")]
    file = io.StringIO()
    writer = csv.DictWriter(file, (*WHO, *TOTALS, *parts, *ABOUT), lineterminator="\n")
    writer.writeheader()
    for row in cohort.rows:
        cells = {**_who(row), **_scores(row, functions), **_about(row, cohort.feedback)}
        writer.writerow(cells)
    return BYTE_ORDER_MARK + file.getvalue()


def text(value: str) -> str:
    """Return a text as a cell that no spreadsheet runs.

    An apostrophe goes in where a formula could start, control characters out; line ends are "\\n".
    """
    encodable = value.encode("utf-8", "backslashreplace").decode()
    return _START.sub("'", _CONTROL.sub("", _LINE_END.sub("\n", encodable)))


def _who(row: Row) -> dict[str, str]:
    student = row.student
    return {
        "submission": text(row.entry.id) if row.entry else "",
        "student_id": text(student.id),
        "name": text(student.name),
        "email": text(student.email),
        "status": row.status,
    }


def _scores(row: Row, functions: Mapping[str, float]) -> dict[str, str]:
    """Return the points; only the maxima where there is no grade: a part of one is none."""
    cells = {f"{name}.max_score": points(most) for name, most in functions.items()}
    cells["max_score"] = points(sum(functions.values()))
    if row.status == "graded" and row.summary is not None:
        summary = row.summary
        cells["score"] = points(summary.score)
        cells["bonus"] = points(summary.bonus)
        cells["penalty"] = points(summary.penalty)
        if summary.max_score:
            cells["percent"] = points(100 * summary.score / summary.max_score)
        for name in functions.keys() & summary.functions.keys():
            cells[f"{name}.score"] = points(summary.functions[name][0])
    return cells


def _about(row: Row, feedback: Mapping[str, str]) -> dict[str, str]:
    cells = {"problem": text(row.problem)}
    if row.summary is not None:
        named = (f"{name}: {slug}" for name, slug in row.summary.misconceptions.items())
        cells["misconceptions"] = text("; ".join(named))
        cells["findings"] = text("; ".join(row.summary.findings))
    if row.entry is not None:
        cells["late"] = "yes" if row.entry.late else "no"
        cells["attempt"] = str(row.entry.attempt)
        cells["submitted_at"] = text(row.entry.submitted_at)
        cells["source"] = text(row.entry.source)
        cells["feedback"] = text(feedback.get(row.entry.id, ""))
    return cells
