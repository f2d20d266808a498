"""A downloaded CSV file of which some cells are filled and every other byte stays as it was.

Python's csv module reads cells but not where they lie, and what it writes back has its own
quoting. So the cells are found here by its rules, with their places, and new text goes in there.
"""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from lossgrade.reports import ReportError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

DELIMITERS = (",", ";", "\t")
BYTE_ORDER_MARK = "\ufeff"
SAMPLE = 50  # rows that settle the delimiter

_LINE_END = re.compile(r"\r\n|\r|\n")
_NUMBER = re.compile(r"-?[0-9.,]+")


class Cell(NamedTuple):
    """A cell: its value, and where its text with any quotes lies in the file."""

    value: str
    start: int
    end: int


@dataclass(frozen=True)
class Sheet:
    """A CSV file as it was downloaded, its byte order mark included."""

    path: Path
    text: str
    delimiter: str
    rows: list[list[Cell]]

    @classmethod
    def read(cls, path: Path) -> Sheet:
        """Read a file; the delimiter is the one by which most rows are as long as the first.

        Raises:
            ReportError: no such file, not UTF-8, empty, or a quote that is never closed.
        """
        try:
            text = path.read_bytes().decode("utf-8")
        except OSError as error:
            raise ReportError(f"{path}: cannot be read ({error.strerror})") from None
        except UnicodeDecodeError as error:
            raise ReportError(
                f"{path}: byte {error.start} is not UTF-8; give the file as it was downloaded, "
                f"or save it as CSV UTF-8"
            ) from None
        try:
            delimiter = _delimiter(text)
            rows = list(_rows(text, delimiter))
        except _Unclosed as error:
            line = text.count("\n", 0, error.start) + 1
            raise ReportError(f"{path}:{line}: a quote is never closed") from None
        if not any(cell.value.strip() for row in rows for cell in row):
            raise ReportError(f"{path}: is empty, expected the CSV file that was downloaded")
        return cls(path, text, delimiter, rows)

    @property
    def header(self) -> list[str]:
        return [cell.value.strip() for cell in self.rows[0]]

    def value(self, row: int, column: int) -> str:
        """Return a cell's text without spaces around it; "" where the row is too short."""
        cells = self.rows[row]
        return cells[column].value.strip() if column < len(cells) else ""

    def line(self, row: int) -> int:
        """Return on which line of the file a row begins, counted from 1."""
        return self.text.count("\n", 0, self.rows[row][0].start) + 1

    def check_whole(self, row: int) -> None:
        """Refuse a row of another length than the header: a quote that is missing moves cells.

        Raises:
            ReportError: says where.
        """
        found, expected = len(self.rows[row]), len(self.rows[0])
        if found != expected:
            raise ReportError(
                f"{self.path}:{self.line(row)}: {found} columns, expected {expected} as in the "
                f"first line; give the file as it was downloaded"
            )

    def blank(self, row: int) -> bool:
        return not any(cell.value.strip() for cell in self.rows[row])

    def filled(self, values: Mapping[tuple[int, int], str]) -> str:
        """Return the file's text with new values at (row, column).

        A cell stays in quotes if it was, and is quoted where its value needs it.
        """
        pieces = []
        position = 0
        for row, column in sorted(values):
            cell, value = self.rows[row][column], values[row, column]
            quoted = self.text[cell.start : cell.end].startswith('"')
            pieces.append(self.text[position : cell.start])
            pieces.append(f'"{value}"' if quoted or self.delimiter in value else value)
            position = cell.end
        return "".join([*pieces, self.text[position:]])


class _Unclosed(Exception):
    def __init__(self, start: int) -> None:
        self.start = start


def _rows(text: str, delimiter: str) -> Iterator[list[Cell]]:
    """Yield the rows of cells, read as Python's csv module does."""
    mark = re.escape(delimiter)
    quoted = re.compile(rf'"([^"]*+(?:""[^"]*+)*+)"([^{mark}\r\n]*)')
    plain = re.compile(rf"[^{mark}\r\n]*")
    position = len(BYTE_ORDER_MARK) if text.startswith(BYTE_ORDER_MARK) else 0
    row: list[Cell] = []
    while position < len(text) or row:
        if text.startswith('"', position):
            found = quoted.match(text, position)
            if found is None:
                raise _Unclosed(position)
            value = found[1].replace('""', '"') + found[2]
        else:
            found = plain.match(text, position)
            assert found is not None
            value = found[0]
        row.append(Cell(value, position, found.end()))
        position = found.end()
        if text.startswith(delimiter, position):
            position += 1
            continue
        yield row
        row = []
        if end := _LINE_END.match(text, position):
            position = end.end()


def _delimiter(text: str) -> str:
    def fits(delimiter: str) -> tuple[int, int]:
        try:
            sample = [len(row) for row in itertools.islice(_rows(text, delimiter), SAMPLE)]
        except _Unclosed:
            # A quote in the middle of a cell opens nothing; by a wrong delimiter it may.
            return (0, 0)
        return (sample.count(sample[0]), sample[0]) if sample and sample[0] > 1 else (0, 0)

    return max(DELIMITERS, key=fits)


def number(text: str) -> float | None:
    """Return the number in a cell, of any locale; None for anything else.

    The last comma or dot is the decimal one, as Canvas reads it: 1.234,5 is 1234.5.
    """
    found = _NUMBER.fullmatch(text.strip())
    if found is None:
        return None
    whole, dot, last = found[0].replace(",", ".").rpartition(".")
    try:
        value = float(whole.replace(".", "") + dot + last)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def decimal_comma(cells: Iterable[str]) -> bool:
    """Return whether the numbers among `cells` have a decimal comma."""
    numbers = [cell for cell in cells if number(cell) is not None]
    return any("," in each for each in numbers) and not any("." in each for each in numbers)
