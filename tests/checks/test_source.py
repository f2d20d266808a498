"""Programs as they are read, the places of their characters, and how edits are written back."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossgrade_checks.finding import Edit
from lossgrade_checks.source import Source, Unreadable, Unwritable, apply_edits, read_source

PATH = Path("hw.py")
# What other readers of text take for the end of a row, and what is wide, or more than a byte.
INSIDE_ROWS = st.text("ab \t\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029é字😀", max_size=5)
ROW_ENDS = st.sampled_from(["\n", "\r\n", "\r"])


@given(st.lists(st.tuples(INSIDE_ROWS, ROW_ENDS), min_size=1, max_size=6))
def test_rows_and_columns_are_pythons(rows: list[tuple[str, str]]) -> None:
    text = "".join(f"'{inside}'; v{n} = 1{end}" for n, (inside, end) in enumerate(rows))
    source = Source(PATH, text)
    names = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)]
    assert len(names) == len(rows)
    for name in names:
        start = text.index(name.id)
        place = source.place(start, start + len(name.id))
        assert place.row == name.lineno
        row = source.line(place)
        assert len(row[: place.column - 1].encode()) == name.col_offset
        assert row[place.column - 1 : place.end_column - 1] == name.id
        assert source.offset(place.row, place.column) == start


@pytest.mark.parametrize(
    ("row", "column", "offset"),
    [
        pytest.param(1, 1, 0, id="the first character"),
        pytest.param(2, 1, 3, id="the first of a row"),
        pytest.param(1, 99, 3, id="beyond its row: the row's end"),
        pytest.param(3, 1, 6, id="the empty row after the last line end"),
        pytest.param(9, 1, 6, id="beyond the last row: the end"),
        pytest.param(1, 0, 0, id="before the first column"),
    ],
)
def test_an_offset_is_always_in_the_text(row: int, column: int, offset: int) -> None:
    assert Source(PATH, "ab\ncd\n").offset(row, column) == offset


def test_the_end_of_a_program_has_a_place() -> None:
    source = Source(PATH, "a = 1\n")
    assert source.place(6, 6)[2:4] == (2, 1)
    assert source.line(source.place(6, 6)) == ""
    assert Source(PATH, "").place(0, 0)[2:] == (1, 1, 1, 1)


TEXT = "# -*- coding: {} -*-\r\nx = 'é'\rloss = 1\n"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        pytest.param("x = 'é'\n".encode(), "x = 'é'\n", id="UTF-8"),
        pytest.param("x = 'é'\n".encode("utf-8-sig"), "x = 'é'\n", id="byte order mark"),
        pytest.param(TEXT.format("latin-1").encode("latin-1"), TEXT.format("latin-1"), id="latin"),
        pytest.param(TEXT.format("cp1252").encode("cp1252"), TEXT.format("cp1252"), id="cp1252"),
        pytest.param("# coding: gbk\nx='字'".encode("gbk"), "# coding: gbk\nx='字'", id="gbk"),
        pytest.param(b"", "", id="empty"),
    ],
)
def test_bytes_are_read_as_python_reads_them_and_written_back(data: bytes, text: str) -> None:
    source = read_source(PATH, data)
    assert source.text == text
    assert source.with_edits([]) == data
    edited = source.with_edits([Edit(0, 0, "#!new\n")])
    codec = source.encoding
    assert edited == ("#!new\n" + text).encode(codec)


@pytest.mark.parametrize(
    ("data", "row", "says"),
    [
        pytest.param(b"x = 1\ny = '\xe9'\n", 2, "byte 12 (0xe9) is not utf-8", id="second row"),
        pytest.param(b"\n\n\ny = '\xe9'\n", 4, "(0xe9) is not utf-8", id="later row"),
        pytest.param(b"# coding: klingon\n", 1, "unknown encoding", id="no such encoding"),
        pytest.param(b"# coding: rot13\n", 1, "expected an encoding", id="no text encoding"),
        pytest.param(
            b"\xef\xbb\xbf# coding: latin-1\n", 1, "expected", id="mark and cookie differ"
        ),
        pytest.param(b"# coding: ascii\n\xff", 2, "is not ascii", id="not what it declares"),
        pytest.param(
            b"# coding: undefined\nx", 1, "expected an encoding", id="a codec that refuses"
        ),
    ],
)
def test_what_cannot_be_read_says_where_and_why(data: bytes, row: int, says: str) -> None:
    with pytest.raises(Unreadable) as caught:
        read_source(PATH, data)
    assert caught.value.row == row
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_character_that_the_encoding_lacks_is_not_written() -> None:
    source = read_source(PATH, b"# coding: latin-1\nx = 1\n")
    assert source.with_edits([Edit(18, 19, "é")]) == b"# coding: latin-1\n\xe9 = 1\n"
    with pytest.raises(Unwritable, match=r"row 2: the fix needs '字', which .* iso-8859-1"):
        source.with_edits([Edit(18, 19, "字")])


def test_an_encoding_that_would_change_other_bytes_is_not_written() -> None:
    # Two ways to switch to ASCII at the end; Python writes only one of them.
    data = b"# coding: iso-2022-jp\nx = '\x1b$B;z\x1b(J'\n"
    source = read_source(PATH, data)
    with pytest.raises(Unwritable, match="would change other bytes"):
        source.with_edits([Edit(0, 0, "")])


@given(st.text(max_size=30), st.data())
def test_edits_replace_what_they_name_and_nothing_else(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    edits = [
        Edit(start, end, data.draw(st.text(max_size=4)))
        for start, end in zip(cuts[::2], cuts[1::2], strict=False)
    ]
    expected = text
    for edit in reversed(edits):
        expected = expected[: edit.start] + edit.content + expected[edit.end :]
    # In whatever order they come, save that of two insertions at one place the first stays first.
    places = [edit.start for edit in edits]
    mixed = data.draw(st.permutations(edits)) if len({*places}) == len(places) else edits
    assert apply_edits(text, mixed) == expected


def test_edits_that_overlap_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="overlap"):
        apply_edits("abcdef", [Edit(0, 3, ""), Edit(2, 4, "")])
