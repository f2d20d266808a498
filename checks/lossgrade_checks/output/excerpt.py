"""A row of a program with carets under what is meant, cut to a width around them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lossgrade_checks.output.terminal import Shown, shown

if TYPE_CHECKING:
    from lossgrade_checks.finding import Place

WIDTH = 100
_CUT = Shown("\N{HORIZONTAL ELLIPSIS}", 1)


class Excerpt(NamedTuple):
    """A row, and the row of carets below it. Both are "" where there is nothing to show."""

    row: str
    carets: str


def excerpt(line: str, place: Place) -> Excerpt:
    """Return the row in which `place` begins, its carets reaching to the row's end at most."""
    first = min(place.column - 1, len(line))
    last = len(line) if place.end_row > place.row else min(place.end_column - 1, len(line))
    cells = [shown(character) for character in line]
    if not line.strip():
        return Excerpt("", "")
    cells, first, last = _cut(cells, first, max(last, first))
    indent = sum(cell.columns for cell in cells[:first])
    carets = max(sum(cell.columns for cell in cells[first:last]), 1)
    row = "".join(cell.text for cell in cells).rstrip()
    return Excerpt(row, " " * indent + "^" * carets)


def _cut(cells: list[Shown], first: int, last: int) -> tuple[list[Shown], int, int]:
    """Return the part of a row that is WIDTH columns at most and shows the carets' begin."""
    if sum(cell.columns for cell in cells) <= WIDTH:
        return cells, first, last
    # Room for two marks of a cut; a third of the rest before the carets.
    start = first
    room = (WIDTH - 2) // 3
    while start > 0 and cells[start - 1].columns <= room:
        start -= 1
        room -= cells[start].columns
    end = start
    room = WIDTH - 2
    while end < len(cells) and cells[end].columns <= room:
        room -= cells[end].columns
        end += 1
    left = [_CUT] if start else []
    right = [_CUT] if end < len(cells) else []
    shift = start - len(left)
    return [*left, *cells[start:end], *right], first - shift, min(last, end) - shift
