"""Edits of a notebook's cells in the bytes of its JSON: all other bytes stay as they are.

A cell's source is a string, or a list with a string for each row. An edit replaces characters
within these strings; the escapes of characters that stay are kept. Rows that come or go become
or leave strings of the list, as Jupyter would write them.
"""

from __future__ import annotations

import itertools
import json
import re
from typing import TYPE_CHECKING, NamedTuple

from lossgrade_checks.source import in_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lossgrade_checks.finding import Edit

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]')
# A character as JSON writes it. Two escapes of a surrogate pair are one character.
_CHARACTER = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.|[^\\]",
    re.DOTALL,
)
_ROW = re.compile(r"(?:[^\\]|\\[^n])*?\\n|(?:[^\\]|\\[^n])+", re.DOTALL)
_ESCAPED = re.compile(r"\\u(?:00[89a-fA-F]|0[1-9a-fA-F]|[1-9a-fA-F])")


class CellEdit(NamedTuple):
    """An edit of the text of a cell, by the cell's number among all cells."""

    cell: int
    edit: Edit


class Strings(NamedTuple):
    """Where the strings of a cell's source stand in the JSON, quotes included."""

    listed: bool
    spans: list[tuple[int, int]]


class Block(NamedTuple):
    """Rows after an edit, as JSON writes them, in place of the strings [first, last)."""

    first: int
    last: int
    rows: list[str]


class Change(NamedTuple):
    """Replace [start, end) of the JSON by `content`."""

    start: int
    end: int
    content: str


def edit_cells(data: bytes, edits: Iterable[CellEdit]) -> bytes:
    """Return the notebook in `data` after `edits`, which must not overlap."""
    mark = b"\xef\xbb\xbf" if data.startswith(b"\xef\xbb\xbf") else b""
    text = data[len(mark) :].decode("utf-8")
    # As the file does it already; where it shows neither way, as Jupyter does it.
    ascii_only = text.isascii() and _ESCAPED.search(text) is not None
    by_cell: dict[int, list[Edit]] = {}
    for cell, edit in edits:
        by_cell.setdefault(cell, []).append(edit)
    found = source_strings(text)
    changes: list[Change] = []
    for cell, cell_edits in by_cell.items():
        changes.append(_change(text, found[cell], in_order(cell_edits), ascii_only))
    for change in sorted(changes, reverse=True):
        text = text[: change.start] + change.content + text[change.end :]
    return mark + text.encode("utf-8")


def source_strings(text: str) -> dict[int, Strings]:
    """Return the strings of each cell's source in a notebook's JSON.

    Cells of all kinds count from 1. `text` must be a notebook that has been read.
    """
    found: dict[int, Strings] = {}
    # For each open object or list the key, or the index, of the value that comes next.
    path: list[str | int] = []
    is_key = False
    # Notebooks of version 3 keep their cells in worksheets: cells of the sheets before this one.
    before = 0
    last = ""
    for token in _TOKEN.finditer(text):
        mark = token[0]
        if mark in ("{", "["):
            path.append("" if mark == "{" else 0)
            is_key = mark == "{"
        elif mark in ("}", "]"):
            index = path.pop()
            if [*map(type, path)] == [str, int, str] and path[::2] == ["worksheets", "cells"]:
                before += index + 1 if isinstance(index, int) and last != "[" else 0
            is_key = False
        elif mark == ",":
            index = path[-1]
            if isinstance(index, int):
                path[-1] = index + 1
            else:
                is_key = True
        elif mark == ":":
            is_key = False
        elif is_key:
            path[-1] = json.loads(mark)
        else:
            cell = _cell_of_source(path, before)
            if cell:
                strings = found.setdefault(cell, Strings(isinstance(path[-1], int), []))
                strings.spans.append(token.span())
        last = mark
    return found


def _cell_of_source(path: Sequence[str | int], before: int) -> int:
    """Return the number of the cell whose source the string at `path` belongs to; 0 if none."""
    match [*path]:
        case ["cells", int(index), "source"] | ["cells", int(index), "source", int()]:
            return index + 1
        case ["worksheets", int(), "cells", int(index), "input"] | [
            "worksheets",
            int(),
            "cells",
            int(index),
            "input",
            int(),
        ]:
            return before + index + 1
    return 0


def _change(text: str, strings: Strings, edits: list[Edit], ascii_only: bool) -> Change:
    """Return the change of the JSON that `edits` of a cell make, which come first to last."""
    spans = strings.spans
    rows = [_CHARACTER.findall(text[start + 1 : end - 1]) for start, end in spans]
    start, end = spans[0][0], spans[-1][1]
    if not strings.listed:
        return Change(start, end, f'"{"".join(_edited(rows[0], 0, edits, ascii_only))}"')
    content = ""
    after = 0
    for block in _blocks(rows, edits, ascii_only):
        if not block.rows:
            continue
        if content:
            content += text[spans[after - 1][1] : spans[after][0]]
        separator = _separator(text, spans, block.first)
        content += separator.join(f'"{row}"' for row in block.rows)
        after = block.last
    return Change(start, end, content or '""')


def _blocks(rows: list[list[str]], edits: list[Edit], ascii_only: bool) -> Iterator[Block]:
    """Yield the rows of a list after `edits`: those that stay, each alone, and those that change.

    Rows change together where an edit spans them, or takes away the line end between them.
    """
    begins = [*itertools.accumulate((len(row) for row in rows), initial=0)]
    first = 0
    while first < len(rows):
        last = first + 1
        while True:
            ends_all = last == len(rows)
            own = [edit for edit in edits if edit.start < begins[last] or ends_all]
            reach = max((edit.end for edit in own), default=0)
            if reach > begins[last]:
                last += 1
                continue
            raw = _edited(itertools.chain(*rows[first:last]), begins[first], own, ascii_only)
            if ends_all or not own or not raw or raw[-1] == r"\n":
                break
            last += 1
        yield Block(first, last, _ROW.findall("".join(raw)))
        edits = edits[len(own) :]
        first = last


def _edited(
    characters: Iterable[str], shift: int, edits: Sequence[Edit], ascii_only: bool
) -> list[str]:
    """Return characters as JSON writes them after `edits`; the first one stands at `shift`."""
    raw = [*characters]
    for edit in reversed(edits):
        raw[edit.start - shift : edit.end - shift] = _encoded(edit.content, ascii_only)
    return raw


def _separator(text: str, spans: list[tuple[int, int]], index: int) -> str:
    """Return what stands between two strings of the list that holds the string at `index`."""
    if len(spans) > 1:
        left = max(index - 1, 0)
        return text[spans[left][1] : spans[left + 1][0]]
    start = spans[index][0]
    blank = text[len(text[:start].rstrip()) : start]
    return f",{blank}" if blank else ", "


def _encoded(content: str, ascii_only: bool) -> list[str]:
    return _CHARACTER.findall(json.dumps(content, ensure_ascii=ascii_only)[1:-1])
