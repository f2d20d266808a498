"""The formats: text with its carets, JSON after its schema, GitHub's commands, and counts."""

from __future__ import annotations

import io
import json
import unicodedata
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import (  # type: ignore[import-untyped]  # jsonschema ships no types
    Draft202012Validator,
)

from lossgrade_checks.files import Report
from lossgrade_checks.finding import Edit, Finding, Fix, Place, Related
from lossgrade_checks.output import github, statistics, text
from lossgrade_checks.output import json as json_output
from lossgrade_checks.output.excerpt import WIDTH, excerpt
from lossgrade_checks.output.terminal import Style, plain, style_for

NO_COLOR = Style(colored=False)

POSITION = {
    "type": "object",
    "properties": {
        "row": {"type": "integer", "minimum": 1},
        "column": {"type": "integer", "minimum": 1},
    },
    "required": ["row", "column"],
    "additionalProperties": False,
}
STRETCH = {
    "location": POSITION,
    "end_location": POSITION,
    "cell": {"type": ["integer", "null"], "minimum": 1},
}


def strict(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": sorted(properties),
        "additionalProperties": False,
    }


TEXT = {"type": "string"}
SCHEMA = {
    "type": "array",
    "items": strict(
        code={"type": "string", "pattern": "^LG[0-9]{3}$"},
        name={"type": "string", "pattern": "^[a-z]+(-[a-z]+)*$"},
        message=TEXT,
        severity={"enum": ["error", "warning", "info"]},
        certainty={"enum": ["certain", "likely"]},
        filename=TEXT,
        related={"type": "array", "items": strict(filename=TEXT, message=TEXT, **STRETCH)},
        fix={
            "anyOf": [
                {"type": "null"},
                strict(
                    applicability={"enum": ["safe", "unsafe"]},
                    message=TEXT,
                    edits={"type": "array", "items": strict(content=TEXT, **STRETCH)},
                ),
            ]
        },
        **STRETCH,
    ),
}


HERE = Place("train.py", None, 12, 8, 12, 27)


def report(line: str = "loss = criterion(probs, y)", place: Place = HERE, **changes: Any) -> Report:
    finding = Finding("LG101", "softmax-into-cross-entropy", "Give it logits", "error", place)
    finding = finding._replace(**changes)
    edits = tuple(place for _ in finding.fix.edits) if finding.fix else ()
    return Report(finding, line, tuple("p = softmax(z)" for _ in finding.related), edits)


RELATED = (Related("softmax is applied here", Place("model.py", None, 3, 5, 3, 15)),)
SAFE = Fix("safe", "Remove the softmax", (Edit(0, 1, "é"),))
UNSAFE = Fix("unsafe", "Use log_softmax", (Edit(0, 1, ""),))
IN_CELL = Place("hw.ipynb", 3, 2, 1, 2, 5)
SEVERAL_ROWS = Place("train.py", None, 12, 8, 14, 2)


def test_text_shows_the_place_the_row_and_the_related_row() -> None:
    (found,) = text.render([report(related=RELATED, fix=SAFE)], NO_COLOR)
    assert found == (
        "train.py:12:8 LG101 [*] Give it logits\n"
        "    12 | loss = criterion(probs, y)\n"
        "       |        ^^^^^^^^^^^^^^^^^^^\n"
        "  model.py:3:5 softmax is applied here\n"
        "    3 | p = softmax(z)\n"
        "      |     ^^^^^^^^^^\n"
    )


@pytest.mark.parametrize(
    ("made", "says"),
    [
        pytest.param(report(), "train.py:12:8 LG101 Give it logits", id="no fix"),
        pytest.param(report(fix=UNSAFE), "train.py:12:8 LG101 Give it logits", id="unsafe fix"),
        pytest.param(report(fix=SAFE), "train.py:12:8 LG101 [*] Give it logits", id="safe fix"),
        pytest.param(
            report(place=IN_CELL), "hw.ipynb:cell 3:2:1 LG101 Give it logits", id="in a notebook"
        ),
        pytest.param(
            report(message="a\nb\x1b[31m"), "train.py:12:8 LG101 a␊b␛[31m", id="odd characters"
        ),
        pytest.param(
            report(place=Place("\x1b]0;\n.py", None, 1, 1, 1, 1)),
            "␛]0;␊.py:1:1 LG101 Give it logits",
            id="odd file name",
        ),
    ],
)
def test_the_first_row_of_a_finding(made: Report, says: str) -> None:
    (found,) = text.render([made], NO_COLOR)
    assert found.splitlines()[0] == says


@pytest.mark.parametrize(
    ("line", "columns", "row", "carets"),
    [
        pytest.param("f(x)", (3, 4), "f(x)", "  ^", id="plain"),
        pytest.param("\tf(x)", (2, 6), "    f(x)", "    ^^^^", id="after a tab"),
        pytest.param("a\tb", (1, 4), "a    b", "^^^^^^", id="over a tab"),
        pytest.param("损失(字)", (3, 6), "损失(字)", "    ^^^^", id="wide characters"),
        pytest.param("e\u0301 = x", (6, 7), "e\u0301 = x", "    ^", id="a combining accent"),
        pytest.param("x\x1b[2J = 1", (1, 2), "x␛[2J = 1", "^", id="controls of a terminal"),
        pytest.param("x\x7f\x85\u202e", (1, 5), "x␡��", "^^^^", id="other controls"),
        pytest.param("f(x)", (5, 5), "f(x)", "    ^", id="after the last character"),
        pytest.param("f(x)", (90, 99), "f(x)", "    ^", id="beyond the row"),
        pytest.param("f(x)", (3, 3), "f(x)", "  ^", id="nothing: one caret all the same"),
        pytest.param("  ", (1, 2), "", "", id="blanks alone"),
        pytest.param("", (1, 1), "", "", id="an empty row"),
    ],
)
def test_carets_stand_below_what_is_meant(
    line: str, columns: tuple[int, int], row: str, carets: str
) -> None:
    assert excerpt(line, Place("a.py", None, 1, columns[0], 1, columns[1])) == (row, carets)


def test_carets_reach_to_the_end_of_a_row_that_is_not_the_last() -> None:
    assert excerpt("x = f(", Place("a.py", None, 1, 5, 3, 2)).carets == "    ^^"


def columns(shown: str) -> int:
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in shown)
    accents = sum(unicodedata.category(character) in ("Mn", "Me") for character in shown)
    return len(shown) + wide - accents


@given(
    st.text(st.sampled_from("ab (\t字é\u0301\x00\u202e"), max_size=300),
    st.integers(1, 300),
    st.integers(0, 40),
)
def test_a_row_is_cut_around_the_carets_and_fits(line: str, column: int, length: int) -> None:
    column = min(column, max(len(line), 1))
    line = f"{line[: column - 1]}X{line[column:]}"
    row, carets = excerpt(line, Place("a.py", None, 1, column, 1, column + max(length, 1)))
    assert columns(row) <= WIDTH
    assert len(carets) <= WIDTH
    assert row.isprintable()
    before = row[: row.index("X")]
    assert columns(before) == carets.index("^")


@pytest.mark.parametrize(
    ("environment", "choice", "terminal", "colored"),
    [
        pytest.param({}, "auto", True, True, id="a terminal"),
        pytest.param({}, "auto", False, False, id="no terminal"),
        pytest.param({"TERM": "dumb"}, "auto", True, False, id="a dumb terminal"),
        pytest.param({"NO_COLOR": "1"}, "auto", True, False, id="NO_COLOR"),
        pytest.param({"NO_COLOR": ""}, "auto", True, True, id="NO_COLOR, empty"),
        pytest.param({"FORCE_COLOR": "1"}, "auto", False, True, id="FORCE_COLOR"),
        pytest.param({"FORCE_COLOR": "1", "NO_COLOR": "1"}, "auto", True, False, id="both"),
        pytest.param({"NO_COLOR": "1"}, "always", False, True, id="always"),
        pytest.param({"FORCE_COLOR": "1"}, "never", True, False, id="never"),
    ],
)
def test_colours_are_for_terminals(
    environment: dict[str, str],
    choice: Any,
    terminal: bool,
    colored: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Stream(io.StringIO):
        def isatty(self) -> bool:
            return terminal

    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    style = style_for(Stream(), choice)
    assert style("x", "error") == ("\x1b[31;1mx\x1b[0m" if colored else "x")


def test_colours_change_no_other_character() -> None:
    made = [report(related=RELATED, fix=SAFE)]
    bare = "".join(text.render(made, NO_COLOR))
    colored = "".join(text.render(made, Style(colored=True)))
    assert plain(colored) != colored
    for code in ("31;1", "36;1", "1", "2", "0"):
        colored = colored.replace(f"\x1b[{code}m", "")
    assert colored == bare


@pytest.mark.parametrize(
    ("made", "fixed", "says"),
    [
        pytest.param([report()], 0, "Found 1 error", id="one"),
        pytest.param(
            [report(), report(), report(severity="warning"), report(severity="info")], 0,
            "Found 2 errors, 1 warning, 1 note", id="of each severity",
        ),
        pytest.param(
            [report(fix=SAFE)], 0, "Found 1 error; 1 can be fixed with --fix", id="one to fix"
        ),
        pytest.param(
            [report(fix=SAFE), report(fix=UNSAFE), report(fix=UNSAFE)], 0,
            "Found 3 errors; 1 can be fixed with --fix (2 more with --unsafe-fixes)",
            id="safe and unsafe",
        ),
        pytest.param(
            [report(fix=UNSAFE)], 0,
            "Found 1 error; 1 can be fixed with --fix --unsafe-fixes", id="unsafe alone",
        ),
        pytest.param([], 2, "Fixed 2 mistakes", id="all fixed"),
        pytest.param([report()], 1, "Fixed 1 mistake; 1 error left", id="some fixed"),
    ],
)  # fmt: skip
def test_the_last_row(made: list[Report], fixed: int, says: str) -> None:
    assert text.summary(made, Counter(LG101=fixed), fixing=fixed > 0) == says


ALL = [
    report(),
    report(related=RELATED, fix=SAFE, certainty="likely"),
    report(place=IN_CELL, fix=UNSAFE, severity="warning"),
    report(place=SEVERAL_ROWS, message="100% a, b: c\nd", severity="info"),
]


def test_json_follows_its_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    made = json.loads(json_output.render(ALL))
    Draft202012Validator(SCHEMA).validate(made)
    assert [item["cell"] for item in made] == [None, None, 3, None]
    assert made[1]["fix"] == {
        "applicability": "safe",
        "message": "Remove the softmax",
        "edits": [
            {
                "content": "é",
                "location": {"row": 12, "column": 8},
                "end_location": {"row": 12, "column": 27},
                "cell": None,
            }
        ],
    }
    assert made[1]["related"][0]["location"] == {"row": 3, "column": 5}
    assert json_output.render([]) == "[]\n"
    assert json_output.render(ALL).isascii()


@pytest.mark.parametrize(
    ("made", "command"),
    [
        pytest.param(
            ALL[1],
            "::error title=lossgrade (LG101),file=train.py,line=12,col=8,endLine=12,endColumn=27"
            "::train.py:12:8: LG101 Give it logits%0Amodel.py:3:5: softmax is applied here",
            id="with what it is related to",
        ),
        pytest.param(
            ALL[2],
            "::warning title=lossgrade (LG101),file=hw.ipynb,line=1,col=1,endLine=1,endColumn=1"
            "::hw.ipynb:cell 3:2:1: LG101 Give it logits",
            id="in a notebook: the file's first row",
        ),
        pytest.param(
            ALL[3],
            "::notice title=lossgrade (LG101),file=train.py,line=12,endLine=14"
            "::train.py:12:8: LG101 100%25 a, b: c%0Ad",
            id="over several rows: no columns",
        ),
        pytest.param(
            report(place=Place("a,b:50%.py", None, 1, 1, 1, 2)),
            "::error title=lossgrade (LG101),file=a%2Cb%3A50%25.py,line=1,col=1,endLine=1,"
            "endColumn=2::a,b:50%25.py:1:1: LG101 Give it logits",
            id="a name with marks of the format",
        ),
    ],
)
def test_github_shows_a_command_for_each_finding(made: Report, command: str) -> None:
    assert list(github.render([made])) == [f"{command}\n"]


def test_github_needs_paths_from_the_root(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert github.relative(str(tmp_path / "a" / "b.py")) == "a/b.py"
    assert github.relative("a/b.py") == "a/b.py"
    outside = str(tmp_path.parent / "b.py")
    assert github.relative(outside) == outside


def test_counts_are_a_table_the_most_frequent_first() -> None:
    made = [report(), *[report(code="LG401", name="log-of-softmax", fix=SAFE)] * 10]
    assert statistics.render(made) == (
        "10  LG401  [*]  log-of-softmax\n 1  LG101  [ ]  softmax-into-cross-entropy\n"
    )
    assert json.loads(statistics.render(made, as_json=True))[0] == {
        "code": "LG401", "name": "log-of-softmax", "count": 10, "fixable": 10, "severity": "error",
    }  # fmt: skip
    assert statistics.render([]) == ""
    assert json.loads(statistics.render([], as_json=True)) == []
