"""Comments that silence findings: where they stand, and what they name."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes import RULES, check, notebook
from lossgrade_checks.finding import Finding, Place
from lossgrade_checks.source import Source, read_source
from lossgrade_checks.suppress import not_suppressed


def left(text: str, name: str = "a.py") -> list[str]:
    source = read_source(Path(name), text.encode())
    return [finding.code for finding in not_suppressed(source, check(source, RULES, None))]


@pytest.mark.parametrize(
    ("row", "codes"),
    [
        pytest.param("bad_loss  # noqa", [], id="all"),
        pytest.param("bad_loss  #NOQA", [], id="in capitals, without a space"),
        pytest.param("bad_loss  # noqa: LG101", [], id="its code"),
        pytest.param("bad_loss  # noqa:lg101", [], id="its code in small letters"),
        pytest.param("bad_loss  # noqa : LG101", [], id="a space before the colon"),
        pytest.param("bad_loss  # noqa: E501, LG101 it is on purpose", [], id="one of two"),
        pytest.param("bad_loss  # noqa: E501 LG101", [], id="without a comma"),
        pytest.param("bad_loss  # type: ignore # noqa: LG101", [], id="after another comment"),
        pytest.param("bad_loss  # noqa: E501 # noqa: LG101", [], id="two comments in one"),
        pytest.param("bad_loss + worse_loss  # noqa: LG101", ["LG102"], id="one of two findings"),
        pytest.param("bad_loss  # noqa: LG1", ["LG101"], id="the beginning of a code"),
        pytest.param("bad_loss  # noqa: LG102", ["LG101"], id="another code"),
        pytest.param("bad_loss  # noqa: E501", ["LG101"], id="another linter's code"),
        pytest.param("bad_loss  # noqa: it is fine", ["LG101"], id="no code after the colon"),
        pytest.param("bad_loss  # noqable", ["LG101"], id="another word"),
        pytest.param("bad_loss  # noqa-not", ["LG101"], id="another word, with a dash"),
        pytest.param("bad_loss, '# noqa'", ["LG101"], id="in a text"),
        pytest.param("bad_loss\n# noqa", ["LG101"], id="in another row"),
        pytest.param("x = 1  # noqa\nbad_loss", ["LG101"], id="in the row above"),
    ],
)
def test_a_comment_silences_its_row(row: str, codes: list[str]) -> None:
    assert left(f"x = 1\n{row}\n") == codes
    assert left(f"x = '\u2028'\r\n{row}\r\n") == codes
    assert left(notebook("x = 1", f"%time\n{row}\ny = 2"), "a.ipynb") == codes


@pytest.mark.parametrize(
    ("row", "codes"),
    [
        pytest.param("# lossgrade: noqa", [], id="all"),
        pytest.param("#lossgrade:NoQA", [], id="in any case"),
        pytest.param("# lossgrade: noqa: LG102", ["LG101"], id="one code"),
        pytest.param("# lossgrade: noqa: LG101,LG102", [], id="two codes"),
        pytest.param("# ruff: noqa", [], id="ruff's, of all linters"),
        pytest.param("# flake8: noqa", [], id="flake8's, of all linters"),
        pytest.param("# ruff: noqa: F401", ["LG101", "LG102"], id="ruff's, of its own code"),
        pytest.param("# flake8: noqa: LG101", ["LG102"], id="flake8's, of our code"),
        pytest.param("x = 1  # lossgrade: noqa", ["LG101", "LG102"], id="not in its own row"),
        pytest.param("# pylint: noqa", ["LG101", "LG102"], id="no linter that we know"),
        pytest.param("# noqa", ["LG101", "LG102"], id="a row's comment"),
    ],
)
def test_a_comment_in_its_own_row_silences_a_file(row: str, codes: list[str]) -> None:
    assert left(f"bad_loss\n{row}\nworse_loss\n") == codes
    assert left(f"def f():\n    {row}\n    pass\nbad_loss\nworse_loss\n") == codes
    assert left(notebook("bad_loss", row, "worse_loss"), "a.ipynb") == codes


def test_the_first_and_the_last_row_of_a_finding_count() -> None:
    for number, codes in ((1, []), (2, ["LG101"]), (3, [])):
        rows = ["f(", "x,", "y)"]
        rows[number - 1] += "  # noqa"
        source = Source(Path("a.py"), "\n".join(rows))
        place = Place("a.py", None, 1, 1, 3, 3)
        findings = [Finding("LG101", "bad-loss", "", "error", place)]
        assert [finding.code for finding in not_suppressed(source, findings)] == codes


def test_a_comment_in_one_cell_does_not_silence_another() -> None:
    assert left(notebook("bad_loss  # noqa", "bad_loss"), "a.ipynb") == ["LG101"]


def test_a_syntax_error_cannot_be_silenced() -> None:
    assert left("# lossgrade: noqa\nloss = (  # noqa\n") == ["LG000"]


def test_what_only_the_parser_understands_is_read_up_to_the_fault() -> None:
    source = Source(Path("a.py"), "bad_loss  # noqa\nx = (\n")
    place = Place("a.py", None, 1, 1, 1, 9)
    assert not_suppressed(source, [Finding("LG101", "bad-loss", "", "error", place)]) == []
