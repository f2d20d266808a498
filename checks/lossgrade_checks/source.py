"""A file as the linter reads it: its program's text, and where in the file each character stands.

Rows are those of Python's tokenizer and of editors: they end in "\\n", "\\r\\n" or "\\r" alone.
(`str.splitlines` also ends them at form feeds and at some characters of Unicode.)
"""

from __future__ import annotations

import bisect
import io
import itertools
import re
import tokenize
from typing import TYPE_CHECKING

from lossgrade_checks.finding import Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from lossgrade_checks.finding import Edit

# The code of a program that cannot be read. It is no rule: it is always on.
SYNTAX_ERROR = "LG000"

_LINE_END = re.compile("\r\n|\r|\n")


class Unreadable(Exception):
    """A file cannot be read as a program. Rows, columns and cells count from 1."""

    def __init__(
        self, message: str, row: int = 1, column: int = 1, cell: int | None = None
    ) -> None:
        super().__init__(message)
        self.row = row
        self.column = column
        self.cell = cell


class Unwritable(Exception):
    """Edits cannot be written back into the file that the program came from."""


class Source:
    """A program's text, and the places of its characters in the file it came from.

    `encoding` is the codec of the file, "utf-8-sig" where it begins with a byte order mark.
    """

    def __init__(self, path: Path, text: str, encoding: str = "utf-8") -> None:
        self.path = path
        self.text = text
        self.encoding = encoding
        # What is wrong with parts that were left out of `text`: cells of a notebook.
        self.faults: list[Unreadable] = []
        self._starts: list[int] | None = None

    @property
    def _rows(self) -> list[int]:
        """The offset at which each row of `text` begins; made when something is reported."""
        if self._starts is None:
            self._starts = row_starts(self.text)
        return self._starts

    def place(self, start: int, end: int) -> Place:
        """Return where the characters [start, end) of `text` stand in the file."""
        return Place(str(self.path), None, *self._position(start), *self._position(end))

    def offset(self, row: int, column: int) -> int:
        """Return the offset in `text` of a row and column of `text`, counted from 1.

        A parser names its rows thus. Outside the text it is the nearest end of the row or text.
        """
        rows = self._rows
        if row > len(rows):
            return len(self.text)
        end = rows[row] if row < len(rows) else len(self.text)
        return max(min(rows[row - 1] + column - 1, end), 0)

    def line(self, place: Place) -> str:
        """Return the row of the file in which `place` begins, without its line end."""
        return row_of(self.text, self._rows, place.row)

    def editable(self, edits: Iterable[Edit]) -> bool:
        """Say whether these edits can be written back. False only in some parts of a notebook."""
        return all(0 <= edit.start <= edit.end <= len(self.text) for edit in edits)

    def with_edits(self, edits: Sequence[Edit]) -> bytes:
        """Return the content of the file after `edits`, which must not overlap.

        Raises:
            Unwritable: the file's encoding has no bytes for the new text, or, as some do, not the
                same bytes for the old one.
        """
        if self.encoding not in ("utf-8", "utf-8-sig"):
            self._check_encoding(edits)
        return apply_edits(self.text, edits).encode(self.encoding)

    def _check_encoding(self, edits: Sequence[Edit]) -> None:
        for edit in edits:
            try:
                edit.content.encode(self.encoding)
            except UnicodeEncodeError as error:
                row = self._position(edit.start)[0]
                found = edit.content[error.start : error.end]
                raise Unwritable(
                    f"row {row}: the fix needs {found!r}, which the encoding {self.encoding} of "
                    "this file lacks; save the file as UTF-8 first"
                ) from error

    def _position(self, offset: int) -> tuple[int, int]:
        row = bisect.bisect_right(self._rows, offset)
        return row, offset - self._rows[row - 1] + 1


class EncodedSource(Source):
    """A program in an encoding other than UTF-8, which may give other bytes back than it took."""

    def __init__(self, path: Path, data: bytes, encoding: str) -> None:
        super().__init__(path, data.decode(encoding), encoding)
        self._data = data

    def _check_encoding(self, edits: Sequence[Edit]) -> None:
        super()._check_encoding(edits)
        if self.text.encode(self.encoding, "replace") != self._data:
            raise Unwritable(
                f"the encoding {self.encoding} would change other bytes of this file too; "
                "save the file as UTF-8 first"
            )


def read_source(path: Path, data: bytes) -> Source:
    """Return the program in `data`, the content of the file at `path`: a module or a notebook.

    Raises:
        Unreadable: its bytes are not text in the encoding that it declares, or no notebook.
    """
    if path.suffix == ".ipynb":
        from lossgrade_checks.notebook import read_notebook

        return read_notebook(path, data)
    try:
        encoding = _encoding(data)
        if encoding not in ("utf-8", "utf-8-sig"):
            return EncodedSource(path, data, encoding)
        return Source(path, data.decode(encoding), encoding)
    except UnicodeDecodeError as error:
        raise Unreadable(
            f"byte {error.start + 1} (0x{data[error.start]:02x}) is not {error.encoding}; save "
            "the file as UTF-8, or name its encoding in the first line",
            row=len(_LINE_END.findall(data[: error.start].decode("latin-1"))) + 1,
        ) from error
    except (SyntaxError, LookupError, UnicodeError) as error:
        raise Unreadable(f"{error}; expected an encoding that Python knows") from error


def _encoding(data: bytes) -> str:
    try:
        return tokenize.detect_encoding(io.BytesIO(data).readline)[0]
    except SyntaxError:
        # It says no more than "invalid or missing": when nothing is declared, say which byte.
        data.decode("utf-8-sig")
        raise


def row_starts(text: str) -> list[int]:
    """Return the offset at which each row of `text` begins."""
    return [0, *(match.end() for match in _LINE_END.finditer(text))]


def row_of(text: str, starts: Sequence[int], row: int) -> str:
    """Return a row of `text`, counted from 1, without its line end; "" where there is none."""
    if not 0 < row <= len(starts):
        return ""
    end = starts[row] if row < len(starts) else len(text)
    return text[starts[row - 1] : end].rstrip("\r\n")


def in_order(edits: Iterable[Edit]) -> list[Edit]:
    """Return edits from first to last.

    Raises:
        ValueError: two of them overlap.
    """
    ordered = sorted(edits, key=lambda edit: (edit.start, edit.end))
    for before, after in itertools.pairwise(ordered):
        if after.start < before.end:
            raise ValueError(f"edits overlap: {before} and {after}")
    return ordered


def apply_edits(text: str, edits: Iterable[Edit]) -> str:
    """Return `text` after `edits`, whose offsets all refer to `text` as it is."""
    pieces = []
    done = 0
    for edit in in_order(edits):
        pieces += [text[done : edit.start], edit.content]
        done = edit.end
    return "".join([*pieces, text[done:]])
