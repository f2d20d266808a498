"""IPython's syntax in a cell becomes Python of the same length."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossgrade_checks.magics import Unclosed, python_of


@pytest.mark.parametrize(
    ("cell", "python"),
    [
        pytest.param("%matplotlib inline\nx = 1", "_                 \nx = 1", id="line magic"),
        pytest.param("!pip install torch", "_                 ", id="shell"),
        pytest.param("!!ls", "_   ", id="shell, captured"),
        pytest.param("!", "_", id="nothing after the mark"),
        pytest.param(
            "!pip install \\\n  torch\nx = 1", "_             \n       \nx = 1", id="carried on"
        ),
        pytest.param("x = !ls -l", "x = _     ", id="shell, assigned"),
        pytest.param("x.y[0] = %pwd", "x.y[0] = _   ", id="magic, assigned"),
        pytest.param("a, b = !ls", "a, b = _  ", id="assigned to several"),
        pytest.param("?print", "_     ", id="help before"),
        pytest.param("F.softmax?", "_         ", id="help after"),
        pytest.param("F.softmax??  ", "_            ", id="source after"),
        pytest.param("%time?", "_     ", id="help on a magic"),
        pytest.param("if x:\n    %pdb on\n", "if x:\n    _      \n", id="in a block"),
        pytest.param("%time x = f(1)", "0;    x = f(1)", id="the statement that is timed"),
        pytest.param("%timeit f(1)", "0;      f(1)", id="timed again and again"),
        pytest.param("%timeit -n 3 f(1)", "_                ", id="timed, with options"),
        pytest.param("%time", "_    ", id="timed nothing"),
        pytest.param("%time for i in x:", "_                ", id="no single statement"),
        pytest.param("/f 1, 2", "_      ", id="automatic call"),
        pytest.param("x = 7 % 4", "x = 7 % 4", id="a remainder"),
        pytest.param("x = (7\n% 4)", "x = (7\n% 4)", id="a remainder in brackets"),
        pytest.param("x = 7 \\\n% 4", "x = 7 \\\n% 4", id="a remainder, carried on"),
        pytest.param("x = '''\n%d\n!x\nwhat?\n'''", "x = '''\n%d\n!x\nwhat?\n'''", id="in text"),
        pytest.param("x = f(\n    '%s' % 1,\n)", "x = f(\n    '%s' % 1,\n)", id="formatting"),
        pytest.param("x != 3\n# why?\n", "x != 3\n# why?\n", id="a comment"),
        pytest.param("x = 'who?'", "x = 'who?'", id="a text with a question"),
        pytest.param("x = 'a\\'b(' + \"#(\"", "x = 'a\\'b(' + \"#(\"", id="marks in strings"),
        pytest.param("await f()", "await f()", id="await"),
        pytest.param("assert x == %a", "assert x == %a", id="no assignment"),
    ],
)
def test_a_row_of_ipython_becomes_python(cell: str, python: str) -> None:
    assert python_of(cell) == (0, python, None)
    assert len(python) == len(cell)


@pytest.mark.parametrize(
    ("cell", "python"),
    [
        pytest.param("%%time\nx = 1\n", "x = 1\n", id="timed"),
        pytest.param("\n %%time\nx = 1\n", "x = 1\n", id="after an empty row"),
        pytest.param("%%capture out\n%%time\nx = 1", "x = 1", id="one in another"),
        pytest.param("%%bash\nls loss\n", "", id="another language"),
        pytest.param("%%html\n<b>", "", id="markup"),
        pytest.param("%%writefile model.py\nx = 1", "", id="another file"),
        pytest.param("%%time", "", id="nothing below"),
        pytest.param("%%", "", id="no name"),
    ],
)
def test_a_cell_magic_leaves_the_python_below_it(cell: str, python: str) -> None:
    start, found, unclosed = python_of(cell)
    assert found == python
    assert cell[start:] == python
    assert unclosed is None


@pytest.mark.parametrize(
    ("cell", "unclosed"),
    [
        pytest.param("x = f(\n1", Unclosed(5, "("), id="a bracket"),
        pytest.param("x = [(1), {\n", Unclosed(10, "{"), id="the innermost bracket"),
        pytest.param("x = 1\ny = '''a\nb", Unclosed(10, "'''"), id="a text of several rows"),
        pytest.param("x = 'a\ny = 1", None, id="a text of one row ends with it"),
        pytest.param("x = 1)", None, id="closed too often"),
        pytest.param("x = 1 \\", None, id="carried on to nothing"),
    ],
)
def test_what_would_go_on_in_the_next_cell_is_told(cell: str, unclosed: Unclosed | None) -> None:
    assert python_of(cell).unclosed == unclosed


@given(st.text("ab=%!?'\"#()[\\\n ;:/,1", max_size=40))
def test_any_cell_keeps_its_length_and_its_rows(cell: str) -> None:
    start, python, _ = python_of(cell)
    assert start + len(python) == len(cell)
    ends = [n for n, character in enumerate(cell) if character == "\n" and n >= start]
    assert [n + start for n, character in enumerate(python) if character == "\n"] == ends


PYTHON = [
    "x = 7 % 4",
    "y = '''\n%d?\n!'''",
    "def f(a,\n  b=[1,\n5\n%2]): return a\\\n+ b",
    "if x:\n    y = {'a': \"b\"}  # why?",
    "s = r'\\d' f'{x}(' # %",
    "z = 1;  w = x != 3",
]


@given(st.lists(st.sampled_from(PYTHON), max_size=5))
def test_python_stays_as_it_is(statements: list[str]) -> None:
    cell = "\n".join(statements)
    ast.parse(cell)
    assert python_of(cell) == (0, cell, None)
