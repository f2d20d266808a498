"""What a class got, counted: points, criteria, misconceptions, equal wrong outputs.

A student counts once. The members of a group count each, since each has the mark; of several
attempts of one student the newest counts.
"""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from lossgrade.cohort.graded import Line, Row, Status, Summary

STATUSES: tuple[Status, ...] = ("graded", "not-graded", "unreadable", "missing")

# Ten bins a tenth of the points wide, and one for full marks alone.
BINS = 11


class Graded(NamedTuple):
    """A row that has a grade, with its summary."""

    row: Row
    summary: Summary


@dataclass(frozen=True)
class Marks:
    """How the marks of the students are spread, in per cent of the points without bonus.

    Attributes:
        bins: how many have from 0 to below 10 %, and so on; the last, how many have 100 %.
    """

    bins: tuple[int, ...]
    median: float | None
    mean: float | None
    full: int
    zero: int


@dataclass(frozen=True)
class FunctionTally:
    """How one function was solved.

    Attributes:
        full: how many students have all its points.
        graded: how many students have a grade.
        passed: how many students passed each criterion that carries points, in their order.
    """

    function: str
    full: int
    graded: int
    passed: tuple[tuple[Line, int], ...]


@dataclass(frozen=True)
class Frequency:
    """How many students something was found with, the first of them as examples."""

    name: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class EqualOutputs:
    """Submissions whose results of one function are wrong, and equal on every input.

    Attributes:
        misconception: the slug that all of them are explained by, or "".
        submissions: the rows of each; a group's members share one submission.
    """

    number: int
    function: str
    misconception: str
    submissions: tuple[tuple[Row, ...], ...]


def newest(rows: Iterable[Row]) -> list[Row]:
    """Return the rows without those of earlier attempts of the same student."""
    last: dict[object, int] = {}
    keyed = [(_who(row), row.entry.attempt if row.entry else 0, row) for row in rows]
    for who, attempt, _ in keyed:
        last[who] = max(attempt, last.get(who, 0))
    return [row for who, attempt, row in keyed if attempt == last[who]]


def _who(row: Row) -> object:
    # A name alone tells nobody apart, nor does an id that two platforms gave.
    return row.student if row.student.id or row.student.email else id(row)


def graded(rows: Iterable[Row]) -> list[Graded]:
    """Return the rows that have a grade."""
    return [Graded(row, row.summary) for row in rows if row.status == "graded" and row.summary]


def statuses(rows: Iterable[Row]) -> dict[Status, int]:
    """Return how many rows have each status, also those that none has."""
    counted = Counter(row.status for row in rows)
    return {status: counted[status] for status in STATUSES}


def marks(rows: Sequence[Graded]) -> Marks:
    """Return how the marks are spread; where an assignment has no points there are none."""
    cents = [
        (round(each.score * 100), round(each.max_score * 100))
        for _, each in rows
        if each.max_score > 0
    ]
    # In whole cents of a point: 0.91 of 1.3 is 70 %, and less in floating point.
    bins = Counter(min(10 * score // most, BINS - 1) for score, most in cents)
    percents = [100 * score / most for score, most in cents]
    return Marks(
        bins=tuple(bins[place] for place in range(BINS)),
        median=statistics.median(percents) if percents else None,
        mean=statistics.fmean(percents) if percents else None,
        full=sum(score >= most for score, most in cents),
        zero=sum(score == 0 for score, _ in cents),
    )


def by_function(lines: Iterable[Line], rows: Sequence[Graded]) -> list[FunctionTally]:
    """Return how each function was solved, in the order of the manifest.

    Criteria that carry no points are left out: a summary does not hold whether they passed.
    """
    lost = Counter(name for _, each in rows for name in each.failed)
    sorted_lines: dict[str, list[Line]] = {}
    for line in lines:
        if line.max_score > 0:
            sorted_lines.setdefault(line.function, []).append(line)
    return [
        FunctionTally(
            function=function,
            full=sum(_full(each, function) for _, each in rows),
            graded=len(rows),
            passed=tuple((line, len(rows) - lost[line.id]) for line in own),
        )
        for function, own in sorted_lines.items()
    ]


def _full(summary: Summary, function: str) -> bool:
    score, most = summary.functions.get(function, (0.0, 0.0))
    return most > 0 and score >= most


def misconceptions(rows: Iterable[Graded]) -> list[Frequency]:
    """Return the misconceptions, the most frequent first; who has one in two functions has one."""
    return _frequencies(rows, lambda each: dict.fromkeys(each.misconceptions.values()))


def findings(rows: Iterable[Graded]) -> list[Frequency]:
    """Return the linter's rules that found something, the most frequent first."""
    return _frequencies(rows, lambda each: dict.fromkeys(each.findings))


def _frequencies(
    rows: Iterable[Graded], names: Callable[[Summary], Iterable[str]]
) -> list[Frequency]:
    found: dict[str, list[Row]] = {}
    for row, each in rows:
        for name in names(each):
            found.setdefault(name, []).append(row)
    counted = [Frequency(name, tuple(having)) for name, having in found.items()]
    return sorted(counted, key=lambda each: (-len(each.rows), each.name))


def equal_outputs(rows: Iterable[Graded]) -> list[EqualOutputs]:
    """Return who has equal wrong outputs, in at least two submissions, numbered from 1.

    What no misconception explains comes first, and of each kind the largest first.
    """
    found: dict[tuple[str, str], dict[str, list[Graded]]] = {}
    for each in rows:
        for key in each.summary.fingerprints.items():
            entry = each.row.entry.id if each.row.entry else ""
            found.setdefault(key, {}).setdefault(entry, []).append(each)
    shared = [
        (function, _shared_misconception(function, submissions), submissions)
        for (function, _), submissions in found.items()
        if len(submissions) > 1
    ]
    shared.sort(key=lambda each: (bool(each[1]), -len(each[2])))
    return [
        EqualOutputs(
            number,
            function,
            slug,
            tuple(tuple(member.row for member in members) for members in submissions.values()),
        )
        for number, (function, slug, submissions) in enumerate(shared, 1)
    ]


def _shared_misconception(function: str, submissions: Mapping[str, Sequence[Graded]]) -> str:
    slugs = {
        each.summary.misconceptions.get(function, "")
        for members in submissions.values()
        for each in members
    }
    return slugs.pop() if len(slugs) == 1 else ""
