"""Positions are those of LibCST's own provider."""

from __future__ import annotations

import ast
from pathlib import Path

import libcst as cst
import pytest
from libcst.metadata import ByteSpanPositionProvider, MetadataWrapper

from lossgrade_checks.positions import Positions

FOLDER = Path(ast.__file__).parent


@pytest.mark.parametrize("name", ["ast", "contextlib", "dataclasses", "statistics", "textwrap"])
def test_every_node_stands_where_libcst_says(name: str) -> None:
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8").encode("ascii", "replace").decode()
    wrapper = MetadataWrapper(cst.parse_module(text), unsafe_skip_copy=True)
    spans = wrapper.resolve(ByteSpanPositionProvider)
    positions = Positions(wrapper.module, text)
    assert len(spans) > 1000
    for node, span in spans.items():
        # Nothing is reported of a whole file, nor of the space in it.
        if not isinstance(node, cst.Module | cst.Newline | cst.BaseParenthesizableWhitespace):
            assert positions.span(node) == (span.start, span.start + span.length), node


def test_positions_count_characters() -> None:
    text = "x = 'é' + f(softmax)  # 日本\ny = g(\n    a,\n)\n"
    tree = cst.parse_module(text)
    positions = Positions(tree, text)
    line = tree.body[1]
    assert isinstance(line, cst.SimpleStatementLine)
    assign = line.body[0]
    assert isinstance(assign, cst.Assign)
    start, end = positions.span(assign.value)
    assert text[start:end] == "g(\n    a,\n)"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("\x0cx = 1\ny = f(softmax)\n", id="before the first row"),
        pytest.param("x = 1\n\x0cdef g(): pass\ny = f(softmax)\n", id="before a function"),
        pytest.param("if x:\n    a = 1\n\x0c    b = 2\ny = f(softmax)\n", id="in a block"),
        pytest.param("x = 1\n\x0c\ny = f(softmax)\n", id="in a row of its own"),
        pytest.param("x = '\x0c'\n\x0cz = 1\ny = f(softmax)\n", id="in a text, too"),
    ],
)
def test_a_form_feed_moves_nothing(text: str) -> None:
    tree = cst.parse_module(text)
    line = tree.body[-1]
    assert isinstance(line, cst.SimpleStatementLine)
    assign = line.body[0]
    assert isinstance(assign, cst.Assign)
    start, end = Positions(tree, text).span(assign.value)
    assert text[start:end] == "f(softmax)"
