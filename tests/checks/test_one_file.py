"""One file: its findings, its fixes, how it is written, and that no file can end a run."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import fakes
from fakes import RULES, notebook
from lossgrade_checks.engine import Project
from lossgrade_checks.files import Outcome, Task, run_file, write

if TYPE_CHECKING:
    from lossgrade_checks.files import Mode
    from lossgrade_checks.finding import Applicability

CODES = tuple(rule.code for rule in RULES)


@pytest.fixture(autouse=True)
def _fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.install(monkeypatch)
    monkeypatch.chdir(tmp_path)


def run(
    content: str | bytes, mode: Mode = "fix", level: Applicability = "safe", name: str = "a.py"
) -> tuple[Outcome, str]:
    """Write a file, run it, and return what came of it and what it holds then."""
    path = Path(name)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    outcome = run_file(Task(path, CODES, mode, level), RULES, Project())
    return outcome, path.read_bytes().decode("utf-8", "replace")


def codes(outcome: Outcome) -> list[str]:
    return [report.finding.code for report in outcome.reports]


@pytest.mark.parametrize(
    ("text", "level", "fixed", "left"),
    [
        pytest.param("bad_loss", "safe", "good_loss", [], id="a safe fix"),
        pytest.param("worse_loss", "safe", "worse_loss", ["LG102"], id="an unsafe fix, not asked"),
        pytest.param("worse_loss", "unsafe", "good_loss", [], id="an unsafe fix"),
        pytest.param("worst_loss", "unsafe", "worst_loss", ["LG201"], id="no fix"),
        pytest.param("bad_loss; bad_loss", "safe", "good_loss; good_loss", [], id="two"),
        pytest.param("bad_loss  # noqa", "safe", "bad_loss  # noqa", [], id="silenced"),
        pytest.param(
            "bad_loss_imports; bad_loss_imports; bad_loss",
            "safe",
            "# import x\ngood_loss; good_loss; good_loss",
            [],
            id="two that add the same import, once",
        ),
        pytest.param("good_loss", "safe", "good_loss", [], id="nothing to fix"),
    ],
)
def test_fixes_are_applied_until_none_is_left(
    text: str, level: Applicability, fixed: str, left: list[str]
) -> None:
    outcome, found = run(text, level=level)
    assert (found, codes(outcome), outcome.error) == (fixed, left, "")
    again, unchanged = run(found, level=level)
    assert (unchanged, codes(again)) == (fixed, left)
    assert again.fixed.total() == 0


def test_what_is_fixed_is_counted_by_code() -> None:
    outcome, _ = run("bad_loss\nbad_loss_imports\nworse_loss\n", level="unsafe")
    assert outcome.fixed == {"LG101": 2, "LG102": 1}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("bad_loss_breaks", "of LG101 leaves what cannot be parsed", id="no program"),
        pytest.param("bad_loss_grows", "not come to an end after 50 rounds", id="no end"),
        pytest.param("bad_loss_loops", "the fixes of LG101 undo each other", id="a circle"),
    ],
)
def test_a_wrong_fix_leaves_the_file_as_it_was(text: str, says: str) -> None:
    text = f"worst_loss\nbad_loss\n{text}\n"
    outcome, found = run(text)
    assert found == text
    assert codes(outcome) == ["LG201", "LG101", "LG101"]
    assert outcome.fixed.total() == 0
    assert says in outcome.error
    assert outcome.error.startswith("a.py: ")
    assert outcome.error.endswith("; the file is unchanged; please report this")


def test_a_fix_that_the_encoding_cannot_say_leaves_the_file_as_it_was() -> None:
    data = b"# coding: latin-1\nx = '\xe9'; bad_loss_kanji\n"
    outcome, _ = run(data)
    assert Path("a.py").read_bytes() == data
    assert "row 2: the fix needs" in outcome.error
    assert codes(outcome) == ["LG101"]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param("bad_loss\r\nx = 'é'\rloss\n", id="line ends"),
        pytest.param("\ufeffbad_loss\n\x0c\n", id="byte order mark"),
        pytest.param("bad_loss", id="no last line end"),
        pytest.param("\tif x:\tpass;bad_loss".strip(), id="odd blanks"),
    ],
)
def test_all_other_bytes_stay(data: str) -> None:
    run(data)
    assert Path("a.py").read_bytes() == data.encode().replace(b"bad", b"good")


def test_a_diff_is_made_and_nothing_is_written() -> None:
    text = "x = 1\nbad_loss\ny = 2"
    outcome, found = run(text, "diff")
    assert found == text
    assert outcome.diff == (
        "--- a.py\n+++ a.py\n@@ -1,3 +1,3 @@\n x = 1\n-bad_loss\n+good_loss\n y = 2\n"
        "\\ No newline at end of file\n"
    )
    assert run("worst_loss\n", "diff")[0].diff == ""


def test_a_notebook_has_a_diff_for_each_cell() -> None:
    text = notebook("x = 1", "bad_loss\ny", "%%bash\nbad_loss", "%time bad_loss_imports")
    outcome, found = run(text, "diff", name="a.ipynb")
    assert found == text
    assert outcome.diff == (
        "--- a.ipynb:cell 1\n+++ a.ipynb:cell 1\n@@ -1 +1,2 @@\n+# import x\n x = 1\n"
        "\\ No newline at end of file\n"
        "--- a.ipynb:cell 2\n+++ a.ipynb:cell 2\n@@ -1,2 +1,2 @@\n-bad_loss\n+good_loss\n y\n"
        "\\ No newline at end of file\n"
        "--- a.ipynb:cell 4\n+++ a.ipynb:cell 4\n@@ -1 +1 @@\n-%time bad_loss_imports\n"
        "\\ No newline at end of file\n+%time good_loss\n\\ No newline at end of file\n"
    )


def test_a_notebook_is_fixed_in_its_cells_alone() -> None:
    text = notebook("%pylab\nx = 1", "bad_loss # é\ny", "bad_loss = (", "bad_loss")
    outcome, found = run(text, name="a.ipynb")
    assert codes(outcome) == ["LG000"]
    assert outcome.reports[0].finding.place.cell == 3
    changed = text.replace("bad_loss # ", "good_loss # ").replace('"bad_loss"', '"good_loss"')
    assert found == changed
    assert outcome.error == ""


def test_a_faulty_cell_does_not_hide_the_others() -> None:
    cells = ["bad_loss", "def f(:", "worse_loss", "'''", "if x:"]
    outcome, _ = run(notebook(*cells), "check", name="a.ipynb")
    found = [(report.finding.place.cell, report.finding.code) for report in outcome.reports]
    assert found == [
        (1, "LG101"), (2, "LG000"), (3, "LG102"), (4, "LG000"), (5, "LG000"),
    ]  # fmt: skip
    assert [report.line for report in outcome.reports] == cells


def test_a_marker_in_an_output_alone_is_not_enough() -> None:
    content = json.loads(notebook("x = ("))
    content["cells"][0]["outputs"] = ["loss"]
    outcome, _ = run(json.dumps(content), "check", name="a.ipynb")
    assert [r.finding.message for r in outcome.reports] == [
        "the bracket ( is not closed in this cell"
    ]


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        pytest.param("a.py", b"loss = '\xe9'", "byte 9 (0xe9) is not utf-8", id="encoding"),
        pytest.param("a.py", b"loss = (", "was never closed", id="syntax"),
        pytest.param("a.py", b"loss = 1\0", "null byte", id="null byte"),
        pytest.param("a.ipynb", b'{"loss":', "not a notebook", id="no notebook"),
    ],
)
def test_what_cannot_be_read_is_a_finding(name: str, data: bytes, says: str) -> None:
    for mode in ("check", "fix", "diff"):
        outcome, _ = run(data, mode, name=name)
        assert codes(outcome) == ["LG000"]
        assert says in outcome.reports[0].finding.message or says == "null byte"
        assert outcome.error == ""
        assert Path(name).read_bytes() == data


def test_a_file_that_is_gone_is_a_finding() -> None:
    outcome = run_file(Task(Path("gone.py"), CODES), RULES, Project())
    assert codes(outcome) == ["LG000"]
    assert outcome.reports[0].finding.message.startswith("cannot be read: No such file")


@pytest.mark.parametrize("mode", ["check", "fix", "diff"])
def test_a_mistake_of_ours_is_a_line_that_names_the_file(mode: Mode) -> None:
    outcome, found = run("crash_loss\n", mode)
    assert found == "crash_loss\n"
    assert outcome.reports == []
    assert outcome.error.startswith(
        "a.py: internal error, KeyError: 'no\\nsuch meaning' at fakes.py:"
    )
    assert outcome.error.endswith("; it was not linted, please report this")
    assert "\n" not in outcome.error


def test_the_mode_of_a_file_stays_and_no_other_file_is_left() -> None:
    Path("a.py").write_text("", encoding="utf-8")
    Path("a.py").chmod(0o754)
    run("bad_loss\n")
    assert stat.S_IMODE(Path("a.py").stat().st_mode) == 0o754
    assert [*Path().iterdir()] == [Path("a.py")]


def test_a_link_is_followed() -> None:
    Path("below").mkdir()
    Path("below/real.py").write_text("bad_loss\n", encoding="utf-8")
    Path("a.py").symlink_to("below/real.py")
    run_file(Task(Path("a.py"), CODES, "fix"), RULES, Project())
    assert Path("a.py").is_symlink()
    assert Path("below/real.py").read_text(encoding="utf-8") == "good_loss\n"
    assert [path.name for path in Path("below").iterdir()] == ["real.py"]


def test_a_file_that_has_changed_meanwhile_is_not_written() -> None:
    Path("a.py").write_bytes(b"new\n")
    with pytest.raises(OSError, match="it has changed since it was read"):
        write(Path("a.py"), b"old\n", b"mine\n")
    assert Path("a.py").read_bytes() == b"new\n"


def test_a_file_that_cannot_be_written_is_told_and_its_findings_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    outcome, found = run("bad_loss\n")
    assert found == "bad_loss\n"
    assert codes(outcome) == ["LG101"]
    assert outcome.fixed.total() == 0
    assert outcome.error == "a.py: cannot be written: Permission denied; it is unchanged"
    assert [*Path().iterdir()] == [Path("a.py")]
