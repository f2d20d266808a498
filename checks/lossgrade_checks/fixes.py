"""Build fixes: edits of a file's text, from the LibCST nodes of what they change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import libcst as cst

from lossgrade_checks.finding import Applicability, Edit, Fix

if TYPE_CHECKING:
    from lossgrade_checks.meaning.program import Expression
    from lossgrade_checks.meaning.values import Site
    from lossgrade_checks.positions import Positions


class Patch:
    """The text of one file and its nodes, for rules to build edits from."""

    def __init__(
        self, path: str, text: str, nodes: Sequence[cst.CSTNode], positions: Positions
    ) -> None:
        self.path = path
        self.text = text
        self._nodes = nodes
        self._positions = positions

    def node(self, part: Expression | Site | None) -> cst.CSTNode | None:
        """Return the LibCST node of a part of this file; None when it lies in another one."""
        if part is None:
            return None
        path = getattr(part, "path", self.path)
        if path != self.path or part.number < 0:
            return None
        return self._nodes[part.number]

    def call(self, part: Expression | Site | None) -> cst.Call | None:
        """Return the LibCST call of a part of this file, or None."""
        node = self.node(part)
        return node if isinstance(node, cst.Call) else None

    def span(self, node: cst.CSTNode) -> tuple[int, int]:
        """Return where the text of `node` starts and ends, its own parentheses left out."""
        return self._positions.span(node)

    def source(self, node: cst.BaseExpression) -> str:
        """Return the text of an expression, its own parentheses included."""
        start, end = self._outer(node)
        return self.text[start:end]

    def _outer(self, node: cst.CSTNode) -> tuple[int, int]:
        start, end = self.span(node)
        for _ in getattr(node, "lpar", ()):
            start = self.text.rindex("(", 0, start)
            end = self.text.index(")", end) + 1
        return start, end

    # --- edits ----------------------------------------------------------------------------------

    def replace(self, node: cst.CSTNode, content: str) -> Edit:
        """Return the edit that puts `content` in the place of `node`, parentheses included."""
        start, end = self._outer(node)
        return Edit(start, end, content)

    def rename(self, call: cst.Call, name: str) -> Edit | None:
        """Return the edit that calls `name` of the same module or object instead."""
        function = call.func
        if isinstance(function, cst.Attribute):
            start, end = self.span(function.attr)
            return Edit(start, end, name)
        return None

    def keep_argument(self, call: cst.Call) -> Edit | None:
        """Return the edit that leaves the operand of an activation: of `softmax(x, dim=1)`, x.

        Of a method, `x.softmax(1)`, it leaves what the method is called on.
        """
        operand = operand_of(call)
        return None if operand is None else self.replace(call, self.source(operand))

    def remove_argument(self, call: cst.Call, arg: cst.Arg) -> Edit:
        """Return the edit that removes an argument, with the comma that it needs no more."""
        index = call.args.index(arg)
        start, end = self._argument(arg)
        if index + 1 < len(call.args):
            return Edit(start, self._argument(call.args[index + 1])[0], "")
        if index:
            return Edit(self._argument(call.args[index - 1])[1], end, "")
        return Edit(start, end, "")

    def _argument(self, arg: cst.Arg) -> tuple[int, int]:
        start, end = self._outer(arg.value)
        if arg.keyword is not None:
            start = self.span(arg.keyword)[0]
        elif arg.star:
            start = self.text.rindex(arg.star, 0, start)
        return start, end


def operand_of(call: cst.Call) -> cst.BaseExpression | None:
    """Return what an activation is applied to: its first argument, or the method's object.

    A call of one argument that is no tensor (`x.softmax(1)`, `x.softmax(dim=1)`) is a method's.
    """
    named = [arg for arg in call.args if arg.keyword and arg.keyword.value == "input"]
    if named:
        return named[0].value
    first = call.args[0] if call.args else None
    if first is None or first.keyword is not None or isinstance(first.value, cst.Integer):
        return call.func.value if isinstance(call.func, cst.Attribute) else None
    if isinstance(first.value, cst.UnaryOperation) and isinstance(
        first.value.expression, cst.Integer
    ):
        return call.func.value if isinstance(call.func, cst.Attribute) else None
    return None if first.star else first.value


def safe(message: str, *edits: Edit | None) -> Fix | None:
    """Return a safe fix, or None when one of its edits cannot be made."""
    return _fix("safe", message, edits)


def unsafe(message: str, *edits: Edit | None) -> Fix | None:
    """Return an unsafe fix, or None when one of its edits cannot be made."""
    return _fix("unsafe", message, edits)


def _fix(kind: Applicability, message: str, edits: tuple[Edit | None, ...]) -> Fix | None:
    made = tuple(edit for edit in edits if edit is not None)
    return Fix(kind, message, made) if len(made) == len(edits) else None
