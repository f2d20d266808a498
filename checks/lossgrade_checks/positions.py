"""Where the nodes of a LibCST tree stand in its text; computed only when something is reported."""

from __future__ import annotations

from typing import Any

import libcst as cst
from libcst.metadata.span_provider import CodeSpan, SpanProvidingCodegenState


class Positions:
    """The positions of the nodes of one tree, in characters of its text."""

    def __init__(self, tree: cst.Module) -> None:
        # What LibCST's ByteSpanPositionProvider does, in characters instead of bytes. Asked for
        # through a MetadataWrapper, it would walk the whole tree once more for nothing.
        record: Any = _Record()
        state = SpanProvidingCodegenState(
            default_indent=tree.default_indent,
            default_newline=tree.default_newline,
            provider=record,
            get_length=len,
        )
        tree._codegen(state)
        self._spans: dict[cst.CSTNode, CodeSpan] = record._computed

    def span(self, node: cst.CSTNode) -> tuple[int, int]:
        """Return where `node` starts and ends, without the space and parentheses around it."""
        span = self._spans[node]
        return span.start, span.start + span.length


class _Record:
    """Where LibCST's state writes what it computes: of a provider, it uses nothing else."""

    def __init__(self) -> None:
        self._computed: dict[cst.CSTNode, CodeSpan] = {}
