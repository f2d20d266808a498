"""What IPython adds to Python in a notebook's cell, replaced by Python of the same length.

`%matplotlib inline`, `!pip install x` and `name?` become a name and spaces, `x = !ls` becomes
`x = _`, and of `%time x = f()` the statement stays. Every row and column stays where it was. A
cell magic (`%%time`) is the first row of a cell: for some the rest of the cell is Python.
"""

from __future__ import annotations

import ast
import re
import warnings
from typing import NamedTuple

# The cell magics after which the rest of the cell runs as Python in the notebook's own process.
PYTHON_CELLS = frozenset(
    {"capture", "debug", "ipytest", "memit", "prun", "snakeviz", "time", "timeit", "wandb"}
)

_CELL_MAGIC = re.compile(r"\s*%%(?P<name>\S*)[^\n]*(?:\n|\Z)")
# A row that starts a statement and is IPython's: magics, shell, help, autocall.
_ROW_MAGIC = re.compile(r"[ \t]*(?P<magic>[%!?,;/].*)")
_ASSIGNED = re.compile(r"[^\n=!<>%#\"'?]+=[ \t]*(?P<magic>(?:!|%(?=[A-Za-z])).*)")
_HELP = re.compile(r"[ \t]*(?P<magic>[\w.*\[\]'\"%]+\?{1,2})[ \t]*$", re.MULTILINE)
_TIMED = re.compile(r"%time(?:it)?[ \t]+(?=\S)")
# The rest of a magic's command, where a backslash carries it on.
_CARRIED_ON = re.compile(r"(?:[^\n]*\\\n)*[^\n]*")
_TOKEN = re.compile(
    r"""(?P<quote>\"{3}|'{3}|"|')"""
    r"|(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<comment>\#[^\n]*)|(?P<carried>\\\r?\n)|(?P<row>\n)"
)


class Unclosed(NamedTuple):
    """A bracket or a string that the cell opens at `offset` and does not close."""

    offset: int
    opened: str


class Cell(NamedTuple):
    """The Python of a cell: what is left of its text from `start` on."""

    start: int
    text: str
    unclosed: Unclosed | None


def python_of(text: str) -> Cell:
    """Return the Python in a cell: of the length of the cell's text from `start` on."""
    start = 0
    while cell_magic := _CELL_MAGIC.match(text, start):
        if cell_magic["name"] not in PYTHON_CELLS:
            return Cell(len(text), "", None)
        start = cell_magic.end()
    pieces: list[str] = []
    unclosed = None
    at = start
    while at < len(text):
        magic = _magic_at(text, at)
        if magic:
            pieces += [text[at : magic.start("magic")], _replaced(magic["magic"])]
            at = magic.end("magic")
            end = _end_of_row(text, at)
        else:
            end, unclosed = _end_of_statement(text, at)
        pieces.append(text[at:end])
        at = end
    return Cell(start, "".join(pieces), unclosed)


def _magic_at(text: str, at: int) -> re.Match[str] | None:
    """Return the match of IPython's own syntax in the row at `at`, if it is that."""
    for pattern in (_ROW_MAGIC, _ASSIGNED, _HELP):
        if pattern.match(text, at, _end_of_row(text, at)):
            end = _CARRIED_ON.match(text, at)
            assert end is not None
            return re.compile(pattern.pattern, pattern.flags | re.DOTALL).match(text, at, end.end())
    return None


def _replaced(magic: str) -> str:
    timed = _TIMED.match(magic)
    if timed:
        kept = magic[timed.end() :]
        if parses("0;" + kept):
            return "0;".ljust(timed.end()) + kept
    # Nothing is known of the value of a name that nothing defines.
    return "_" + "".join(c if c in "\r\n" else " " for c in magic[1:])


def parses(text: str) -> bool:
    """Say whether `text` is Python."""
    with warnings.catch_warnings():
        # An invalid escape in a string is no concern of the linter's.
        warnings.simplefilter("ignore")
        try:
            ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return True


def _end_of_row(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end + 1


def _end_of_statement(text: str, at: int) -> tuple[int, Unclosed | None]:
    """Return where the row ends that ends the statement at `at`, and what stays open in it."""
    opened: list[Unclosed] = []
    while token := _TOKEN.search(text, at):
        at = token.end()
        if token["quote"]:
            end = _end_of_string(text, at, token["quote"])
            if end is None:
                return len(text), Unclosed(token.start(), token["quote"])
            at = end
        elif token["open"]:
            opened.append(Unclosed(token.start(), token["open"]))
        elif token["close"] and opened:
            opened.pop()
        elif token["row"] and not opened:
            return at, None
    return len(text), opened[-1] if opened else None


def _end_of_string(text: str, at: int, quote: str) -> int | None:
    """Return where a string ends whose text begins at `at`; None if it does not end."""
    # A raw string, too, does not end at a quote after a backslash.
    closing = re.compile(r"(?:[^\\]|\\.)*?" + quote, re.DOTALL).match(text, at)
    if len(quote) == 3:
        return closing.end() if closing else None
    row = _end_of_row(text, at)
    if closing and (closing.end() <= row or "\\\n" in closing[0]):
        return closing.end()
    # A quote left open ends with its row: the parser says so, and the cell's other rows stand.
    return row
