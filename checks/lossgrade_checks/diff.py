"""What the fixes of a file change, as a unified diff; of a notebook, one diff for each cell."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from lossgrade_checks.notebook import NotebookSource

if TYPE_CHECKING:
    from lossgrade_checks.source import Source

_ROW = re.compile("[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


def diff_of(before: Source, after: Source) -> str:
    """Return the unified diff between a file's two states, "" if they are the same.

    The header of a notebook's cell is `path:cell N`, as with ruff.
    """
    if isinstance(before, NotebookSource) and isinstance(after, NotebookSource):
        texts = {cell.number: cell.text for cell in after.cells}
        return "".join(
            _unified(f"{before.path}:cell {cell.number}", cell.text, texts[cell.number])
            for cell in before.cells
            if cell.number in texts
        )
    return _unified(str(before.path), before.text, after.text)


def _unified(name: str, before: str, after: str) -> str:
    rows = difflib.unified_diff(_ROW.findall(before), _ROW.findall(after), name, name)
    return "".join(_ended(row) for row in rows)


def _ended(row: str) -> str:
    if row.endswith(("\n", "\r")):
        return row
    # What `diff` and `patch` say of a last row without a line end.
    return f"{row}\n\\ No newline at end of file\n"
