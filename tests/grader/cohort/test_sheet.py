"""A CSV file of which some cells are filled: cells as Python's csv module reads them."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lossgrade.cohort.sheet import Sheet, decimal_comma, number
from lossgrade.reports import ReportError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sheet") / "any.csv"


@settings(max_examples=500, deadline=None)
@given(st.text(st.sampled_from('ab,;"\n\r\t \ufeff王'), max_size=30))
@example('"a""b"c,"d\r\ne"\r\n\r\nf')
@example('a"b,c"')
def test_cells_are_what_python_reads(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="")
    try:
        sheet = Sheet.read(path)
    except ReportError:
        # Python closes a quote at the end of the file, and takes no text for no rows.
        assert not text.strip('\ufeff,;"\n\r\t ') or '"' in text
        return
    lines = io.StringIO(text.removeprefix("\ufeff"), newline="")
    expected = list(csv.reader(lines, delimiter=sheet.delimiter))
    # Python gives an empty line no cells; here it has an empty one, which has a place.
    assert [[cell.value for cell in row] for row in sheet.rows] == [row or [""] for row in expected]
    assert sheet.filled({}) == text


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        pytest.param("a,b\n1,2\n", ",", id="comma"),
        pytest.param("a;b\n1,5;2,5\n", ";", id="decimal commas"),
        pytest.param("a\tb\n1,5\t2,5\n", "\t", id="tab"),
        pytest.param("a;b;c;d,x\n1,2\n3,4\n", ",", id="semicolons in the header"),
        pytest.param("a\nb\n", ",", id="one column"),
    ],
)
def test_the_delimiter_is_found(path: Path, text: str, delimiter: str) -> None:
    path.write_text(text, encoding="utf-8")
    assert Sheet.read(path).delimiter == delimiter


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10", 10), ("10.50", 10.5), (" 10,50 ", 10.5), ("1.234,5", 1234.5), ("1,234.5", 1234.5),
        ("-3", -3), (",5", 0.5), ("", None), ("-", None), (".", None), ("EX", None), ("1e3", None),
        ("٣", None),
    ],
)  # fmt: skip
def test_numbers_of_any_locale(text: str, value: float | None) -> None:
    assert number(text) == value


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        pytest.param(["10,00", "", "EX", "5"], True, id="commas"),
        pytest.param(["10.00", "5"], False, id="dots"),
        pytest.param(["10", "5"], False, id="whole numbers"),
        pytest.param(["10,00", "1.50"], False, id="both"),
        pytest.param(["Lovelace, Ada"], False, id="a comma in a text"),
    ],
)
def test_the_decimal_comma_is_found(cells: list[str], expected: bool) -> None:
    assert decimal_comma(cells) is expected
