"""A notebook as the linter reads it: its code cells are one program, in order.

The program has each cell's Python at the length it has in the cell, and between two cells rows
that belong to none, so that neither a statement nor a block of one cell goes on in the next.
Cells count from 1 with those of text, as Jupyter and ruff count them; rows count within the cell.
"""

from __future__ import annotations

import bisect
import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from lossgrade_checks.finding import Edit, Place
from lossgrade_checks.magics import Unclosed, parses, python_of
from lossgrade_checks.source import Source, Unreadable, Unwritable, row_of, row_starts

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence
    from pathlib import Path

    from lossgrade_checks.json_edits import CellEdit

# The first line end is the one that a cell's last row lacks. The empty row ends a row that a
# backslash carries on; `pass` keeps the next cell out of a block, and `else:` from its `if`.
BETWEEN = "\n\npass\n"
AFTER = "\n\n"
# IPython takes off the indentation of a cell's first row. Here the row before makes it a block.
BLOCK = "with _:\n"


# The first row that holds more than a comment is indented.
_INDENTED = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\n)*[ \t]+[^\s#]")


class CodeCell(NamedTuple):
    """A code cell: its number, its text, and what of it is Python, from `start` on."""

    number: int
    text: str
    start: int
    python: str
    unclosed: Unclosed | None

    @property
    def before(self) -> str:
        """What must stand before the cell's Python for it to be Python."""
        return BLOCK if _INDENTED.match(self.python) else ""


class NotebookSource(Source):
    """The code cells of a notebook as one program, written back as the notebook."""

    def __init__(self, path: Path, data: bytes, cells: Sequence[CodeCell]) -> None:
        # A cell with a bracket left open would swallow the next one.
        self.cells = [cell for cell in cells if cell.unclosed is None]
        parts = [cell.before + cell.python for cell in self.cells]
        super().__init__(path, BETWEEN.join(parts) + AFTER)
        self.faults = [_left_open(cell) for cell in cells if cell.unclosed is not None]
        self._all = cells
        self._data = data
        self._begins = []
        begin = 0
        for cell in self.cells:
            begin += len(cell.before)
            self._begins.append(begin)
            begin += len(cell.python) + len(BETWEEN)

    def faulty_cells(self) -> list[int]:
        """Return the numbers of the cells which are no Python when taken alone."""
        return [cell.number for cell in self.cells if not parses(cell.before + cell.python)]

    def only(self, numbers: Container[int]) -> NotebookSource:
        """Return the notebook as if it had no code cells but these."""
        part = NotebookSource(
            self.path, self._data, [cell for cell in self.cells if cell.number in numbers]
        )
        part._all = self._all
        return part

    def place(self, start: int, end: int) -> Place:
        """Return where the characters [start, end) of the program stand in the notebook."""
        if not self.cells:
            return Place(str(self.path), 1, 1, 1, 1, 1)
        index = self._index(start)
        cell = self.cells[index]
        row, column = _position(cell, start - self._begins[index])
        # What is reported stands in one cell; only a parser's error can lie between two.
        end_row, end_column = _position(cell, max(start, end) - self._begins[index])
        return Place(str(self.path), cell.number, row, column, end_row, end_column)

    def line(self, place: Place) -> str:
        """Return the row of the cell in which `place` begins, as the notebook has it."""
        for cell in self._all:
            if cell.number == place.cell:
                return row_of(cell.text, row_starts(cell.text), place.row)
        return ""

    def editable(self, edits: Iterable[Edit]) -> bool:
        """Say whether all edits stand in the Python of one cell each, and in no magic."""
        return all(self._in_cell(edit) is not None for edit in edits)

    def with_edits(self, edits: Sequence[Edit]) -> bytes:
        """Return the notebook after `edits`: every byte outside the edited rows is as it was."""
        from lossgrade_checks.json_edits import edit_cells

        placed = []
        for edit in edits:
            found = self._in_cell(edit)
            if found is None:
                raise Unwritable(f"an edit at character {edit.start} stands in no cell's Python")
            placed.append(found)
        return edit_cells(self._data, placed)

    def _index(self, offset: int) -> int:
        return max(bisect.bisect_right(self._begins, offset) - 1, 0)

    def _in_cell(self, edit: Edit) -> CellEdit | None:
        """Return `edit` with offsets in its cell's text; None if it stands outside all cells."""
        from lossgrade_checks.json_edits import CellEdit

        if not self.cells:
            return None
        index = self._index(edit.start)
        cell = self.cells[index]
        if cell.before:
            # A row that is added would lack the indentation.
            return None
        start, end = edit.start - self._begins[index], edit.end - self._begins[index]
        content = edit.content
        last = len(cell.python)
        if start == end == last + 1 and content.endswith("\n"):
            # A new row after the last one, which has no line end of its own in the notebook.
            start, end, content = last, last, "\n" + content[:-1]
        elif end == last + 1 and start <= last:
            # The line end after the last row is not the cell's.
            end, content = last, content.removesuffix("\n")
        if not 0 <= start <= end <= last:
            return None
        shift = cell.start
        if cell.python[start:end] != cell.text[start + shift : end + shift]:
            return None
        return CellEdit(cell.number, Edit(start + shift, end + shift, content))


def read_notebook(path: Path, data: bytes) -> Source:
    """Return the program of a notebook; an empty one if the notebook is not in Python.

    Raises:
        Unreadable: it is no JSON, or no notebook of version 3 or 4.
    """
    try:
        content = json.loads(data.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        found = "an empty file" if not data.strip() else f"{error.msg}"
        raise Unreadable(
            f"not a notebook: {found}; expected JSON", error.lineno, error.colno
        ) from error
    except UnicodeDecodeError as error:
        raise Unreadable(f"not a notebook: byte {error.start + 1} is not UTF-8") from error
    except RecursionError as error:
        raise Unreadable("not a notebook: its JSON is nested too deeply") from error
    if not isinstance(content, dict):
        raise Unreadable(f"not a notebook: found a JSON {type(content).__name__}, expected cells")
    cells, key = _cells(content)
    if not _is_python(content.get("metadata")):
        return Source(path, "")
    return NotebookSource(path, data, [*_code_cells(cells, key)])


def _cells(content: dict[str, Any]) -> tuple[list[Any], str]:
    """Return the cells of all kinds, and the key under which they have their source."""
    cells, key = content.get("cells"), "source"
    if cells is None and isinstance(content.get("worksheets"), list):
        # Version 3 (2012 to 2014): the cells lie in worksheets, mostly in a single one.
        sheets = [sheet for sheet in content["worksheets"] if isinstance(sheet, dict)]
        cells, key = [cell for sheet in sheets for cell in sheet.get("cells") or []], "input"
    if not isinstance(cells, list):
        raise Unreadable('not a notebook: found no list "cells"')
    return cells, key


def _code_cells(cells: list[Any], key: str) -> Iterable[CodeCell]:
    for number, cell in enumerate(cells, 1):
        if not isinstance(cell, dict) or cell.get("cell_type") != "code":
            continue
        if not _in_python(cell.get("metadata"), "vscode", "languageId"):
            continue
        source = cell.get(key, "")
        if isinstance(source, list) and all(isinstance(row, str) for row in source):
            source = "".join(source)
        if not isinstance(source, str):
            raise Unreadable(f"cell {number}: its source is neither a text nor a list of texts")
        # JSON can say half a character (a lone surrogate), a program cannot.
        text = re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", source)
        start, python, unclosed = python_of(text)
        if unclosed and parses(python):
            unclosed = None
        # Nothing is reported in a cell of magics alone, and nothing must be put before them.
        if python.strip():
            yield CodeCell(number, text, start, python, unclosed)


def _is_python(metadata: object) -> bool:
    return _in_python(metadata, "language_info", "name") and _in_python(
        metadata, "kernelspec", "language"
    )


def _in_python(metadata: object, table: str, key: str) -> bool:
    """Say whether `metadata` names Python, or no language at all."""
    inner = metadata.get(table) if isinstance(metadata, dict) else None
    language = inner.get(key) if isinstance(inner, dict) else None
    return not isinstance(language, str) or language.lower() in ("", "python", "ipython")


def _position(cell: CodeCell, offset: int) -> tuple[int, int]:
    """Return the row and column in the cell of an offset in its Python."""
    offset = cell.start + min(max(offset, 0), len(cell.python))
    starts = row_starts(cell.text)
    row = bisect.bisect_right(starts, offset)
    return row, offset - starts[row - 1] + 1


def _left_open(cell: CodeCell) -> Unreadable:
    assert cell.unclosed is not None
    row, column = _position(cell, cell.unclosed.offset - cell.start)
    opened = cell.unclosed.opened
    what = f"the text that {opened} begins" if opened[0] in "\"'" else f"the bracket {opened}"
    return Unreadable(f"{what} is not closed in this cell", row, column, cell.number)
