"""Notebooks: their cells as one program, and edits that leave all other bytes as they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossgrade_checks.finding import Edit, Place
from lossgrade_checks.json_edits import CellEdit, edit_cells, source_strings
from lossgrade_checks.notebook import BETWEEN, NotebookSource
from lossgrade_checks.source import Source, Unreadable, apply_edits, read_source

PATH = Path("hw.ipynb")


def notebook(*cells: str | dict[str, Any], **metadata: Any) -> dict[str, Any]:
    """Return a notebook of version 4 with these code cells; a dict is a cell as it stands."""
    made = [
        {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": c}
        if isinstance(c, str)
        else c
        for c in cells
    ]
    return {"cells": made, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


TEXT_CELL = {"cell_type": "markdown", "metadata": {}, "source": ["# loss = x\n"]}


def read(content: dict[str, Any]) -> Source:
    return read_source(PATH, json.dumps(content).encode())


def test_the_code_cells_are_one_program_and_places_name_the_cell() -> None:
    source = read(notebook(TEXT_CELL, "a = 1\nb = 2", "%%bash\nls", "%%time\nc = 3", " \n"))
    assert source.text == f"a = 1\nb = 2{BETWEEN}c = 3\n\n"
    start = source.text.index("b")
    assert source.place(start, start + 5) == Place("hw.ipynb", 2, 2, 1, 2, 6)
    start = source.text.index("c =")
    place = source.place(start, start + 1)
    assert place == Place("hw.ipynb", 4, 2, 1, 2, 2)
    assert source.line(place) == "c = 3"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param("x = 1 \\", "+ 2", id="a row carried on"),
        pytest.param("if x:\n    y = 1", "else:\n    y = 2", id="the other branch"),
        pytest.param("@f", "def g(): pass", id="a decorator"),
        pytest.param("def f():", "    return 1", id="a body"),
        pytest.param("f(", ")", id="a bracket"),
        pytest.param("x = '''", "'''", id="a text"),
    ],
)
def test_no_cell_goes_on_in_the_next(first: str, second: str) -> None:
    import libcst as cst

    source = read(notebook(first, second))
    assert isinstance(source, NotebookSource)
    if source.faults:
        assert source.faults[0].cell == 1
        return
    try:
        statements = cst.parse_module(source.text).body
    except cst.ParserSyntaxError:
        assert source.faulty_cells()
    else:
        assert len(statements) == 3


def test_a_bracket_left_open_is_a_fault_of_its_cell() -> None:
    source = read(notebook(TEXT_CELL, "x = f(\n  1", "y = 2"))
    (fault,) = source.faults
    assert (fault.cell, fault.row, fault.column) == (2, 1, 6)
    assert str(fault) == "the bracket ( is not closed in this cell"
    assert source.text.strip() == "y = 2"
    assert source.line(source.place(0, 0)) == "y = 2"


def test_a_cell_that_is_indented_as_a_whole_is_python_to_ipython_and_here() -> None:
    import libcst as cst

    for cells in (["\n  # x\n  a = 1", "b = 2"], ["b = 2", "\ta = 1\n\tif a:\n\t\tc = 3"]):
        source = read(notebook(*cells))
        assert isinstance(source, NotebookSource)
        assert source.faulty_cells() == []
        cst.parse_module(source.text)
        number = 1 + (cells[0] == "b = 2")
        start = source.text.index("a = 1")
        row, column = (3, 3) if number == 1 else (1, 2)
        assert source.place(start, start) == Place("hw.ipynb", number, row, column, row, column)
        assert not source.editable([Edit(start, start, "x")])
        start = source.text.index("b")
        assert source.place(start, start) == Place("hw.ipynb", 3 - number, 1, 1, 1, 1)
        assert source.editable([Edit(start, start, "x")])


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param({"language_info": {"name": "julia"}}, id="language"),
        pytest.param({"kernelspec": {"language": "R", "name": "ir"}}, id="kernel"),
    ],
)
def test_a_notebook_in_another_language_is_an_empty_program(metadata: dict[str, Any]) -> None:
    assert read(notebook("loss <- f(", **metadata)).text == ""


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param({}, id="none said"),
        pytest.param({"language_info": {"name": "python"}}, id="Python"),
        pytest.param({"kernelspec": {"name": "my-env", "display_name": "mine"}}, id="own kernel"),
        pytest.param({"language_info": None, "kernelspec": 3}, id="nonsense"),
    ],
)
def test_a_notebook_is_in_python_unless_it_says_otherwise(metadata: dict[str, Any]) -> None:
    assert read(notebook("loss = 1", **metadata)).text.strip() == "loss = 1"


def test_a_cell_in_another_language_is_left_out() -> None:
    other = {"cell_type": "code", "metadata": {"vscode": {"languageId": "sql"}}, "source": "SELECT"}
    assert read(notebook(other, "x = 1")).text.strip() == "x = 1"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        pytest.param(b"", "an empty file; expected JSON", id="empty"),
        pytest.param(b'{"cells": [\n  x', "Expecting value; expected JSON", id="no JSON"),
        pytest.param(b"\xff", "byte 1 is not UTF-8", id="no UTF-8"),
        pytest.param(b"[1]", "found a JSON list", id="a list"),
        pytest.param(b"{}", 'found no list "cells"', id="no cells"),
        pytest.param(b'{"cells": 3}', 'found no list "cells"', id="cells are no list"),
        pytest.param(b'{"cells": [{"cell_type": "code", "source": 3}]}', "cell 1", id="a number"),
        pytest.param(b"[" * 100_000, "nested too deeply", id="nesting"),
    ],
)
def test_what_is_no_notebook_says_so_in_a_line(data: bytes, says: str) -> None:
    with pytest.raises(Unreadable) as caught:
        read_source(PATH, data)
    assert str(caught.value).startswith(("not a notebook: ", "cell 1: "))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_json_says_at_which_row_and_column() -> None:
    with pytest.raises(Unreadable) as caught:
        read_source(PATH, b'{"cells": [\n  x')
    assert (caught.value.row, caught.value.column) == (2, 3)


def test_half_a_character_is_replaced_by_another() -> None:
    source = read_source(PATH, b'{"cells": [{"cell_type": "code", "source": "x = \'\\ud800\'"}]}')
    assert source.text.strip() == "x = '\N{REPLACEMENT CHARACTER}'"


OLD = {
    "metadata": {"name": "old"},
    "nbformat": 3,
    "worksheets": [
        {"cells": [{"cell_type": "markdown", "source": "loss"}]},
        {"cells": []},
        {"cells": [{"cell_type": "code", "language": "python", "input": ["a = 1\n", "b = 2"]}]},
    ],
}


def test_a_notebook_of_version_3_is_read_and_edited() -> None:
    data = json.dumps(OLD, indent=1).encode()
    source = read_source(PATH, data)
    assert source.text.strip() == "a = 1\nb = 2"
    start = source.text.index("b")
    assert source.place(start, start)[1:4] == (2, 2, 1)
    edited = source.with_edits([Edit(start, start + 1, "c")])
    assert edited == data.replace(b'"b = 2"', b'"c = 2"')


# A file as some editor wrote it: own indentation, both ways to write a character, odd line ends.
ODD = (
    b'{\r\n\t"metadata" : {"x": "\\u00e9 \xc3\xa9 \\/"},\r\n\t"nbformat":4,  "cells":\t[\r\n'
    b'\t\t{"source": "# loss", "cell_type": "markdown"},\r\n'
    b'\t\t{"outputs": [{"source": ["no"], "cells": [1]}], "cell_type": "code",\r\n'
    b'\t\t "source": [\r\n\t\t\t"a = \'\\u4e2d\xe4\xb8\xad\\/\'\\n"  ,\r\n\t\t\t"b = 2\\n",'
    b'"c = \\"3\\""]},\r\n\t\t{"cell_type": "code", "source": "d = 4\\ne = 5"}\r\n\t]}\r\n\r\n'
)


@pytest.mark.parametrize(
    ("old", "new", "before", "after"),
    [
        pytest.param("b", "bb", b'"b = 2\\n"', b'"bb = 2\\n"', id="in a row"),
        pytest.param("= '", "=  '", b"a = '", b"a =  '", id="beside escapes, which stay"),
        pytest.param(
            '"3"', '"字\t"', b'\\"3\\"', '\\"字\\t\\"'.encode(), id="escapes that it needs"
        ),
        pytest.param("d", "dd", b'"d = 4', b'"dd = 4', id="in a cell of one text"),
        pytest.param("\nd", "\nx\nd", b"", b"", id="outside all cells"),
        pytest.param(
            "b = 2\n",
            "x\nb = 2\n",
            b'"b = 2\\n"',
            b'"x\\n"  ,\r\n\t\t\t"b = 2\\n"',
            id="a row more",
        ),
        pytest.param("b = 2\n", "", b'"b = 2\\n",', b"", id="a row less"),
        pytest.param("2\nc", "2; c", b'"b = 2\\n","c', b'"b = 2; c', id="two rows in one"),
        pytest.param("d = 4\n", "", b"d = 4\\n", b"", id="a row less in a cell of one text"),
        pytest.param('c = "3"', "", b',"c = \\"3\\""', b"", id="the last row less"),
    ],
)
def test_an_edit_changes_its_strings_and_no_other_byte(
    old: str, new: str, before: bytes, after: bytes
) -> None:
    source = read_source(PATH, ODD)
    start = source.text.index(old)
    edit = Edit(start, start + len(old), new)
    if not before:
        assert not source.editable([edit])
        return
    assert source.editable([edit])
    assert ODD.count(before) == 1
    assert source.with_edits([edit]) == ODD.replace(before, after)


def test_new_text_is_escaped_as_the_file_escapes() -> None:
    for ascii_only in (True, False):
        data = json.dumps(notebook("x = '中'"), ensure_ascii=ascii_only).encode()
        edited = read_source(PATH, data).with_edits([Edit(4, 4, "'é😀' ")])
        expected = json.dumps(notebook("x = 'é😀' '中'"), ensure_ascii=ascii_only)
        assert edited == expected.encode()
    # Where nothing shows, as Jupyter does it.
    edited = read(notebook("x = 1")).with_edits([Edit(4, 5, "'é'")])
    assert "'é'".encode() in edited


def test_a_byte_order_mark_stays() -> None:
    data = json.dumps(notebook("x = 1")).encode("utf-8-sig")
    assert read_source(PATH, data).with_edits([Edit(0, 1, "y")]) == data.replace(b"x =", b"y =")


@pytest.mark.parametrize(
    ("edit", "after"),
    [
        pytest.param(Edit(6, 6, "b = 2\n"), "a = 1\nb = 2", id="a row after the last"),
        pytest.param(Edit(0, 6, ""), "", id="the last row and its line end"),
        pytest.param(Edit(5, 5, "  # x"), "a = 1  # x", id="at the end of the last row"),
        pytest.param(Edit(4, 6, "2\n"), "a = 2", id="a new end"),
    ],
)
def test_the_line_end_that_a_cell_lacks_is_not_written(edit: Edit, after: str) -> None:
    for rest in ([], ["z = 1"]):
        source = read(notebook("a = 1", *rest))
        assert source.editable([edit])
        assert source.with_edits([edit]) == json.dumps(notebook(after, *rest)).encode()


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(Edit(0, 3, "x"), id="a magic"),
        pytest.param(Edit(20, 33, "x"), id="from one cell into the next"),
        pytest.param(Edit(26, 27, "x"), id="between two cells"),
    ],
)
def test_what_is_no_cells_python_is_not_edited(edit: Edit) -> None:
    source = read(notebook("%matplotlib inline\nx = 1", "y = 2"))
    assert not source.editable([edit])


def test_the_row_before_a_magic_can_be_edited() -> None:
    source = read(notebook("%%time\n%pylab\nx = 1"))
    edited = source.with_edits([Edit(0, 0, "import y\n")])
    assert json.loads(edited)["cells"][0]["source"] == "%%time\nimport y\n%pylab\nx = 1"


ROW = st.text("ab =\\\"'/\té中😀", max_size=4)
CELL = st.lists(ROW, max_size=4).map(lambda rows: "\n".join(rows))
LAYOUT = st.fixed_dictionaries(
    {"indent": st.sampled_from([None, 1, "\t"]), "ensure_ascii": st.booleans()}
)


@given(st.lists(st.tuples(CELL, st.booleans()), min_size=1, max_size=4), LAYOUT, st.data())
def test_edited_cells_are_what_jupyter_would_have_written(
    texts: list[tuple[str, bool]], layout: dict[str, Any], data: st.DataObject
) -> None:
    def dumped(cells: list[tuple[str, bool]]) -> str:
        made = [
            {"cell_type": "code", "source": text.splitlines(keepends=True) if listed else text}
            for text, listed in cells
        ]
        return json.dumps({"x": "中", "cells": [*made, TEXT_CELL]}, **layout)

    edits = []
    after = []
    for number, (text, listed) in enumerate(texts, 1):
        cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
        own = [
            Edit(start, end, data.draw(CELL))
            for start, end in zip(cuts[::2], cuts[1::2], strict=False)
            # An empty list of rows has no string to put anything into.
            if text
        ]
        edits += [CellEdit(number, edit) for edit in own]
        after.append((apply_edits(text, own), listed))
    edited = edit_cells(dumped(texts).encode(), edits).decode()
    sources = ["".join(cell["source"]) for cell in json.loads(edited)["cells"]]
    assert sources == [text for text, _ in after] + ["# loss = x\n"]
    if all(len(text.splitlines()) > 1 for text, _ in [*after, *texts]):
        assert edited == dumped(after)


def test_the_strings_of_each_source_are_found_in_any_json() -> None:
    found = source_strings(ODD.decode())
    rows = [[ODD.decode()[start:end] for start, end in found[n].spans] for n in (1, 2, 3)]
    assert [len(each) for each in rows] == [1, 3, 1]
    assert rows[1][2] == '"c = \\"3\\""'
    assert [found[n].listed for n in (1, 2, 3)] == [False, True, False]
