"""The table of report.html, as JSON for its script: a row for each line of the gradebook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from lossgrade.cohort.page_text import NAME_CAP, link, name, plain
from lossgrade.reports.summary import points

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from lossgrade.cohort.graded import GradedCohort, Line, Row, Summary
    from lossgrade.cohort.tally import EqualOutputs

STATUS_NAMES = {
    "graded": "graded",
    "not-graded": "not graded",
    "unreadable": "unreadable",
    "missing": "missing",
}
# Student, ID, status and score: shown always, and found in these places by the script.
FIXED = 4


class Column(NamedTuple):
    """A column; `kind` is "text", "number", or "groups": numbers of groups of equal outputs."""

    label: str
    kind: str
    cell: Callable[[Row], Any]


def table(
    cohort: GradedCohort, groups: Sequence[EqualOutputs], criteria: Sequence[Line]
) -> dict[str, Any]:
    """Return the table.

    Args:
        criteria: a row names those that lost points by their places herein.
    Returns:
        `columns` with label and kind; `rows` with cells, link, and the places of lost criteria.
    """
    places = {line.id: place for place, line in enumerate(criteria)}
    columns = list(_columns(cohort, groups))
    lines = [[column.cell(row) for column in columns] for row in cohort.rows]
    # A column that is empty for all costs width that a phone does not have.
    kept = [
        place
        for place in range(len(columns))
        if place < FIXED or any(cells[place] not in ("", None, []) for cells in lines)
    ]
    return {
        "columns": [{"label": columns[place].label, "kind": columns[place].kind} for place in kept],
        "rows": [
            {
                "cells": [cells[place] for place in kept],
                "link": link(row, cohort.feedback),
                "lost": [places[each] for each in _failed(row) if each in places],
            }
            for row, cells in zip(cohort.rows, lines, strict=True)
        ],
    }


def _columns(cohort: GradedCohort, groups: Sequence[EqualOutputs]) -> Iterator[Column]:
    numbers: dict[str, list[int]] = {}
    for group in groups:
        for submission in group.submissions:
            if entry := submission[0].entry:
                numbers.setdefault(entry.id, []).append(group.number)
    functions = dict.fromkeys(line.function for line in cohort.lines)

    yield Column("Student", "text", name)
    yield Column("ID", "text", lambda row: plain(row.student.id, NAME_CAP))
    yield Column("Status", "text", lambda row: STATUS_NAMES[row.status])
    yield Column(f"Score{_of(cohort.lines)}", "number", _of_summary(lambda each: each.score))
    for function in functions:
        own = [line for line in cohort.lines if line.function == function]
        label = plain(function, NAME_CAP) + _of(own)
        yield Column(label, "number", _of_summary(_points_of(function)))
    yield Column("Bonus", "number", _of_summary(lambda each: each.bonus or None))
    yield Column("Taken off", "number", _of_summary(lambda each: each.penalty or None))
    yield Column("Late", "text", lambda row: "late" if row.entry and row.entry.late else "")
    yield Column("Attempt", "number", _attempts(cohort.rows))
    yield Column("Misconceptions", "text", _misconceptions)
    yield Column("Equal outputs", "groups", lambda row: _numbers(row, numbers))
    yield Column("Problem", "text", lambda row: plain(row.problem))
    yield Column("File", "text", _file)


def _of(lines: Sequence[Line]) -> str:
    most = sum(round(100 * line.max_score) for line in lines) / 100
    return f" (of {points(most)})" if most else ""


def _of_summary(read: Callable[[Summary], float | None]) -> Callable[[Row], float | None]:
    """Return the cell for what only a grade has."""
    return lambda row: read(row.summary) if row.status == "graded" and row.summary else None


def _points_of(function: str) -> Callable[[Summary], float | None]:
    def read(summary: Summary) -> float | None:
        part = summary.functions.get(function)
        return part[0] if part else None

    return read


def _attempts(rows: Sequence[Row]) -> Callable[[Row], int | None]:
    several = any(row.entry and row.entry.attempt > 1 for row in rows)
    return lambda row: row.entry.attempt if several and row.entry else None


def _misconceptions(row: Row) -> str:
    slugs = row.summary.misconceptions.values() if row.summary else ()
    return plain(", ".join(dict.fromkeys(slugs)))


def _numbers(row: Row, numbers: Mapping[str, list[int]]) -> list[int]:
    return numbers.get(row.entry.id, []) if row.entry and row.status == "graded" else []


def _failed(row: Row) -> tuple[str, ...]:
    return row.summary.failed if row.status == "graded" and row.summary else ()


def _file(row: Row) -> str:
    return plain(row.entry.source or row.entry.id) if row.entry else ""
