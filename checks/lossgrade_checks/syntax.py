"""The syntax of one file: its program, where the parts of that stand, and the nodes to fix it by.

Python's own parser is ten times as fast as LibCST's, and its tree says where everything stands;
what it has lost is the formatting that fixes keep. So LibCST parses only what fixes change.
"""

from __future__ import annotations

import ast
import bisect
import warnings
from typing import TYPE_CHECKING, Protocol

from lossgrade_checks.meaning.lower_ast import lower_ast
from lossgrade_checks.source import row_starts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lossgrade_checks.fixes import Patch
    from lossgrade_checks.meaning.program import Program


class Syntax(Protocol):
    """The program of a file, and what its numbered parts are in the text."""

    program: Program

    def span(self, number: int) -> tuple[int, int]:
        """Return where a part starts and ends, without the space and parentheses around it."""

    def patch(self, path: str, numbers: Iterable[int]) -> Patch | None:
        """Return what fixes of these parts are built from; None where LibCST cannot parse them."""


class PythonSyntax:
    """Syntax from Python's tree.

    Raises:
        SyntaxError: Python cannot parse the text.
        RecursionError: it is nested too deeply to be followed.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._tree = parse(text)
        self.program, self._nodes = lower_ast(self._tree)
        self._starts: list[int] = []

    def span(self, number: int) -> tuple[int, int]:
        """See `Syntax`."""
        node = self._nodes[number]
        return (
            self._offset(node.lineno, node.col_offset),
            self._offset(node.end_lineno, node.end_col_offset),
        )

    def _offset(self, row: int, column: int) -> int:
        """Return the offset of a row and a column, which Python counts in bytes of UTF-8."""
        start, end = self._row(row), self._row(row + 1)
        line = self._text[start:end]
        if not line.isascii():
            column = len(line.encode()[:column].decode())
        return start + column

    def _row(self, row: int) -> int:
        """Return where a row starts, counted from 1; the end of the text for what is after it."""
        if not self._starts:
            self._starts = row_starts(self._text)
        return self._starts[row - 1] if row <= len(self._starts) else len(self._text)

    def patch(self, path: str, numbers: Iterable[int]) -> Patch | None:
        """See `Syntax`."""
        rows = {self._nodes[number].lineno for number in numbers}
        kept = _needed(self._tree.body, rows)
        return self._patch(path, kept) or self._patch(path, [(1, len(row_starts(self._text)))])

    def _patch(self, path: str, kept: Sequence[tuple[int, int]]) -> Patch | None:
        """Return the patch for the statements in the rows `kept`; None if it cannot be made."""
        import libcst as cst

        from lossgrade_checks.fixes import Patch
        from lossgrade_checks.meaning.lower import lower
        from lossgrade_checks.positions import Positions

        text = self._only(kept)
        try:
            tree = cst.parse_module(text)
            found = lower(tree)[1]
        except (cst.ParserSyntaxError, cst.CSTValidationError):
            return None
        firsts = [first for first, _ in kept]
        numbers = [
            number
            for number, node in enumerate(self._nodes)
            if (at := bisect.bisect(firsts, node.lineno)) and node.lineno <= kept[at - 1][1]
        ]
        if len(numbers) != len(found):
            return None
        nodes = dict(zip(numbers, found, strict=True))
        positions = Positions(tree, text)
        return Patch(path, self._text, tree, nodes, positions, lambda: _assigned(self._tree))

    def _only(self, kept: Sequence[tuple[int, int]]) -> str:
        """Return the text with spaces for all rows but those `kept`: offsets stay what they are."""
        pieces = []
        done = 0
        for first, last in kept:
            start, end = self._row(first), self._row(last + 1)
            pieces += [_blank(self._text[done:start]), self._text[start:end]]
            done = end
        return "".join([*pieces, _blank(self._text[done:])])


class LibcstSyntax:
    """Syntax from LibCST's tree, which may know a newer Python than the one that runs it.

    Raises:
        ParserSyntaxError: LibCST's, when it cannot parse the text either.
    """

    def __init__(self, text: str) -> None:
        import libcst as cst

        from lossgrade_checks.meaning.lower import lower
        from lossgrade_checks.positions import Positions

        tree = cst.parse_module(text)
        self.program, self._nodes = lower(tree)
        self._positions = Positions(tree, text)

    def span(self, number: int) -> tuple[int, int]:
        """See `Syntax`."""
        return self._positions.span(self._nodes[number])

    def patch(self, path: str, numbers: Iterable[int]) -> None:
        """Return nothing: whether a fixed file still is a program could not be told."""


def parse(text: str) -> ast.Module:
    """Return Python's tree of a program.

    Raises:
        SyntaxError: Python cannot parse it.
        RecursionError: it is nested too deeply to be followed.
    """
    with warnings.catch_warnings():
        # What Python warns of in somebody's strings is not our subject.
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text)
        except ValueError as error:
            # A null byte.
            raise SyntaxError(str(error)) from error
        except MemoryError as error:
            raise RecursionError from error


def _needed(statements: Sequence[ast.stmt], rows: set[int]) -> list[tuple[int, int]]:
    """Return the first and last rows of the statements that hold `rows`, and of what fixes look at.

    These are the imports at the top level, and the place where an import may be added. Statements
    that share a row are kept or left together.
    """
    groups: list[tuple[int, int, bool]] = []
    beginning = True
    for statement in statements:
        decorators = getattr(statement, "decorator_list", ())
        first = min([statement.lineno, *(each.lineno for each in decorators)])
        last = statement.end_lineno or first
        imports = isinstance(statement, ast.Import | ast.ImportFrom)
        needed = beginning or imports or any(first <= row <= last for row in rows)
        beginning = beginning and _comes_first(statement)
        if groups and first <= groups[-1][1]:
            before = groups.pop()
            first, needed = before[0], needed or before[2]
        groups.append((first, last, needed))
    return [(first, last) for first, last, needed in groups if needed]


def _comes_first(statement: ast.stmt) -> bool:
    """Whether imports stand after this statement: a docstring, or an import from `__future__`."""
    if isinstance(statement, ast.ImportFrom):
        return statement.module == "__future__"
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _blank(text: str) -> str:
    """Return as many spaces, in one row: LibCST makes three nodes of each row that is empty.

    That spares 1.5% of the instructions of a run over 560 files, 35 of them with fixes.
    """
    rows = text.rstrip("\r\n")
    return " " * len(rows) + text[len(rows) :] if rows else text


def _assigned(tree: ast.Module) -> frozenset[str]:
    """Return the names that a program binds in any way but imports, anywhere in it."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Store):
                found.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            found.add(node.name)
    return frozenset(found)
