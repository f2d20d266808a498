"""Where the nodes of a LibCST tree stand in its text; computed only when something is reported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from libcst._nodes.internal import CodegenState

if TYPE_CHECKING:
    import libcst as cst


class Positions:
    """The positions of the nodes of one tree, in characters of its text.

    LibCST's own providers give the same at several times the cost: they walk the tree once more
    to resolve, and make an object for every node. Tests hold the two to the same positions.
    """

    def __init__(self, tree: cst.Module, text: str) -> None:
        state = _State(tree.default_indent, tree.default_newline)
        tree._codegen(state)
        self._spans = state.spans
        self._outer = state.outer
        self._shift = _shifts(tree.code, text) if "\x0c" in text else None

    def span(self, node: cst.CSTNode) -> tuple[int, int]:
        """Return where `node` starts and ends, without the space and parentheses around it."""
        return self._in_text(self._spans[node])

    def outer(self, node: cst.CSTNode) -> tuple[int, int]:
        """Return where `node` starts and ends, its own parentheses included."""
        return self._in_text(self._outer.get(node) or self._spans[node])

    def _in_text(self, span: tuple[int, int]) -> tuple[int, int]:
        if self._shift is None:
            return span
        start, end = span
        return start + self._shift[start], end + self._shift[max(start, end - 1)]


def _shifts(written: str, text: str) -> list[int]:
    """Return how much further each character stands in `text` than LibCST has it.

    LibCST drops a form feed at the beginning of a row of code.
    """
    shifts = []
    shift = 0
    for offset, character in enumerate(written):
        while text[offset + shift : offset + shift + 1] == "\x0c" != character:
            shift += 1
        shifts.append(shift)
    return [*shifts, len(text) - len(written)]


class _State(CodegenState):
    """Counts the characters that a tree is written with, and notes where each node is among them.

    What LibCST writes between the two ends of `record_syntactic_position` is the node without the
    space that it owns; where a node has none of these, it is all that the node writes.
    """

    def __init__(self, default_indent: str, default_newline: str) -> None:
        super().__init__(default_indent, default_newline)
        self.spans: dict[cst.CSTNode, tuple[int, int]] = {}
        # With their parentheses, of those that have some.
        self.outer: dict[cst.CSTNode, tuple[int, int]] = {}
        self._position = 0
        self._begun: list[int] = []

    def add_indent_tokens(self) -> None:
        for token in self.indent_tokens:
            self._position += len(token)

    def add_token(self, value: str) -> None:
        self._position += len(value)

    def before_codegen(self, node: cst.CSTNode) -> None:  # noqa: ARG002 (LibCST's own signature)
        self._begun.append(self._position)

    def after_codegen(self, node: cst.CSTNode) -> None:
        start = self._begun.pop()
        if getattr(node, "lpar", ()):
            self.outer[node] = (start, self._position)
        if node not in self.spans:
            self.spans[node] = (start, self._position)

    def record_syntactic_position(
        self,
        node: cst.CSTNode,
        *,
        start_node: cst.CSTNode | None = None,
        end_node: cst.CSTNode | None = None,
    ) -> Any:
        return _Recording(self, node, start_node, end_node)


class _Recording:
    """Notes the position of a node from the beginning of a `with` to its end."""

    __slots__ = ("_end_node", "_node", "_start", "_start_node", "_state")

    def __init__(
        self,
        state: _State,
        node: cst.CSTNode,
        start_node: cst.CSTNode | None,
        end_node: cst.CSTNode | None,
    ) -> None:
        self._state = state
        self._node = node
        self._start_node = start_node
        self._end_node = end_node

    def __enter__(self) -> None:
        self._start = self._state._position

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            # Nested too deeply: what lies inside has no position, and that error must not be lost.
            return
        spans = self._state.spans
        start, end = self._start, self._state._position
        if self._start_node is not None:
            start = spans[self._start_node][0]
        if self._end_node is not None:
            end = spans[self._end_node][1]
        spans[self._node] = (start, end)
