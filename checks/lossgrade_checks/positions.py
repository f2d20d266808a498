"""Where the nodes of a LibCST tree stand in its text; computed only when something is reported."""

from __future__ import annotations

import libcst as cst
from libcst.metadata import ByteSpanPositionProvider, MetadataWrapper


class Positions:
    """The positions of the nodes of one tree, in characters of its text."""

    def __init__(self, tree: cst.Module, text: str) -> None:
        # The tree comes from the parser, so no node occurs in it twice: it need not be copied.
        wrapper = MetadataWrapper(tree, unsafe_skip_copy=True)
        self._spans = wrapper.resolve(ByteSpanPositionProvider)
        self._text = text
        self._bytes = None if text.isascii() else text.encode()

    def span(self, node: cst.CSTNode) -> tuple[int, int]:
        """Return where `node` starts and ends."""
        span = self._spans[node]
        start, end = span.start, span.start + span.length
        if self._bytes is None:
            return start, end
        before = len(self._bytes[:start].decode())
        return before, before + len(self._bytes[start:end].decode())
