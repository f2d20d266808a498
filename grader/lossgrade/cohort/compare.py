"""The command `lossgrade compare OLD NEW`: whose grade changed and why, before it is published."""

from __future__ import annotations

import csv
import io
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

from lossgrade.cohort.changes import KINDS, CompareError, compare, pairs, signed
from lossgrade.cohort.gradebook import text as cell
from lossgrade.reports.summary import points
from lossgrade_checks.output.terminal import plain, shown

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence

    from lossgrade.cohort.changes import Change, Comparison, Kind, Marks, Reason

# Submissions of one and the same change from which on one line stands for all, and the ids in it.
GROUP = 4
NAMED = 3
# Lines on a screen without `--all`, reasons in a line, and columns of an id or a name.
LINES = 30
REASONS = 3
WIDEST = 28
# More than any difference of points.
MOST = 1e9

SELDOM: dict[Kind, str] = {
    "other reasons": "with the same score for other reasons",
    "no longer graded": "no longer graded",
    "graded now": "graded now",
}
COLUMNS = (
    "submission", "students", "change", "old_score", "new_score", "difference", "old_max_score",
    "new_max_score", "old_bonus", "new_bonus", "why",
)  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Compare and print.

    Returns:
        2 where the paths cannot be compared or a record cannot be read, whose file is named; 1
        with `--exit-code` where a grade changed; otherwise 0.
    """
    for stream in (sys.stdout, sys.stderr):
        # A terminal that lacks a character must not end the run.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        done = compare(pairs(options.old, options.new))
    except CompareError as error:
        print(f"lossgrade: compare: {plain(str(error))}", file=sys.stderr)
        return 2
    print(FORMATS[options.output_format](done, options.all), end="")
    sys.stdout.flush()
    for problem in done.problems:
        print(f"lossgrade: compare: {plain(problem)}; it was left out", file=sys.stderr)
    return 2 if done.problems else int(options.exit_code and bool(done.changes))


# --- text ---------------------------------------------------------------------------------------


class Line(NamedTuple):
    """A line of the table, and how much it is worth showing where not all find room."""

    cells: tuple[str, ...]
    weight: float


def as_text(done: Comparison, everything: bool) -> str:
    """Return a table of the changes, largest drop first, and a summary below it."""
    lines = list(_lines(done.changes, everything))
    left_out = 0
    if not everything and len(lines) > LINES:
        kept = sorted(range(len(lines)), key=lambda place: -lines[place].weight)[:LINES]
        left_out = len(lines) - LINES
        lines = [lines[place] for place in sorted(kept)]
    heads = ("submission", "students", "old", "new", "change", "why")
    said = [*_table([heads, *(line.cells for line in lines)])] if lines else []
    if left_out:
        said.append(f"... and {left_out} more lines of smaller changes: --all shows them")
    if said:
        said.append("")
    said += [
        f"{each}: {'all' if count == done.both else f'{count} of'} {done.both}"
        for each, count in done.around.most_common()
    ]
    return "\n".join(map(plain, [*said, _summary(done)])) + "\n"


def _lines(changes: Sequence[Change], everything: bool) -> Iterable[Line]:
    """Yield a line a change, or one for all that changed in the same way."""
    groups: dict[tuple[Any, ...], list[Change]] = {}
    for each in changes:
        same = each.kind, each.difference, each.reasons, each.differs
        groups.setdefault((*same, each.id) if everything else same, []).append(each)
    for members in groups.values():
        first = members[0]
        change = first.kind if first.difference is None else signed(first.difference)
        why = "; ".join([*_few(first.reasons), *first.differs])
        if len(members) < GROUP:
            for each in members:
                names = ", ".join(each.students)
                marks = _score(each.old), _score(each.new)
                weight = MOST if each.difference is None else abs(each.difference)
                yield Line((each.id, names, *marks, change, why), weight)
            continue
        ids = ", ".join(each.id for each in members[:NAMED])
        who = f"{ids} and {len(members) - NAMED} more"
        about = f"{len(members)} submissions", "", "", "", change, f"{why} [{who}]".lstrip()
        yield Line(about, MOST + len(members))


def _few(reasons: Sequence[Reason]) -> list[str]:
    """Return the first reasons, and how many points the others sum up to."""
    said = [str(reason) for reason in reasons[:REASONS]]
    if left := reasons[REASONS:]:
        sum_of_them = signed(round(sum(each.points for each in left), 2))
        said.append(f"{len(left)} more reasons ({sum_of_them})")
    return said


def _score(marks: Marks | None) -> str:
    if marks is None:
        return "-"
    return points(marks.score) if marks.outcome != "not-graded" else "not graded"


def _summary(done: Comparison) -> str:
    counts = {kind: done.count(kind) for kind in KINDS}
    said = [f"{done.unchanged} unchanged", f"{counts['up']} up", f"{counts['down']} down"]
    said += [f"{counts['new']} new", f"{counts['gone']} gone"]
    said += [f"{counts[kind]} {words}" for kind, words in SELDOM.items() if counts[kind]]
    if done.problems:
        said.append(f"{len(done.problems)} unreadable")
    text = ", ".join(said)
    if means := done.means():
        before, now = map(points, means)
        text += f"; mean of the {done.graded} graded both times {before} -> {now}"
    if (most := done.largest()) is not None:
        text += f"; largest change {signed(most.difference or 0)} ({most.id})"
    return text


def _table(rows: Sequence[tuple[str, ...]]) -> Iterable[str]:
    """Yield rows whose columns are aligned; points stand to the right, the last is not padded."""
    cut = [(*map(_cut, row[:2]), *row[2:]) for row in rows]
    widths = [max(map(_width, column)) for column in zip(*cut, strict=True)]
    for row in cut:
        padded = [
            " " * room + each if 2 <= place <= 4 else each + " " * room
            for place, (each, width) in enumerate(zip(row[:-1], widths, strict=False))
            for room in [width - _width(each)]
        ]
        yield "  ".join([*padded, row[-1]]).rstrip()


def _width(text: str) -> int:
    return sum(shown(character).columns for character in text)


def _cut(text: str) -> str:
    """Return as much of `text` as finds room in its column."""
    if _width(text) <= WIDEST:
        return text
    while _width(text) >= WIDEST:
        text = text[:-1]
    return f"{text}…"


# --- for programs -------------------------------------------------------------------------------


def as_csv(done: Comparison, _everything: bool) -> str:
    """Return a row a change; a cell holds no text that a spreadsheet would run."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for each in done.changes:
        marks = (each.old, each.new)
        why = "; ".join([*map(str, each.reasons), *each.differs, *each.around])
        writer.writerow(
            [
                cell(each.id),
                cell(", ".join(each.students)),
                each.kind,
                *(_score(mark) if mark is not None else "" for mark in marks),
                points(each.difference) if each.difference is not None else "",
                *(points(mark.max_score) if mark is not None else "" for mark in marks),
                *(points(mark.bonus) if mark is not None else "" for mark in marks),
                cell(why),
            ]
        )
    return file.getvalue()


def as_json(done: Comparison, _everything: bool) -> str:
    """Return all changes and the summary as JSON, in ASCII."""
    means, largest = done.means(), done.largest()
    summary = {
        "compared": done.both,
        "unchanged": done.unchanged,
        "kinds": {kind: done.count(kind) for kind in KINDS},
        "graded_both_times": done.graded,
        "means": [round(each, 4) for each in means] if means else None,
        "largest_change": largest.id if largest is not None else None,
        "differs": dict(done.around.most_common()),
    }
    changes = [asdict(each) for each in done.changes]
    document = {"summary": summary, "changes": changes, "problems": done.problems}
    return json.dumps(document, indent=2) + "\n"


FORMATS = {"text": as_text, "json": as_json, "csv": as_csv}
