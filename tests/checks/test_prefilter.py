"""Which bytes may hold a mistake, and that the fast way out ends as the long one does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lossgrade_checks import start
from lossgrade_checks.prefilter import might_matter
from lossgrade_checks.rules import all_rules

if TYPE_CHECKING:
    from pathlib import Path

CLEAN = "import os\n\n\ndef f(x):\n    return os.path.expanduser(x)\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("criterion(x, y)", True, id="criterion"),
        pytest.param("nn.CrossEntropyLoss()", True, id="loss, in any case"),
        pytest.param("F.kl_div(p, q)", True, id="kl_div"),
        pytest.param("total.backward()", True, id="backward"),
        pytest.param("-np.log(p)", True, id="log"),
        pytest.param("torch.exp(x)", True, id="exp"),
        pytest.param("x.log10()", True, id="log10"),
        pytest.param("logsumexp", True, id="a word alone"),
        pytest.param("log", True, id="at both ends"),
        pytest.param("\N{LEFT DOUBLE QUOTATION MARK}log", True, id="after what is not ASCII"),
        pytest.param(json.dumps({"source": "x = 1\nlog(x)"}), True, id="after an escaped line end"),
        pytest.param(json.dumps({"source": "\texp(x)"}), True, id="after an escaped tab"),
        pytest.param("import logging\nlogger.info(x.expand(3))", False, id="logging and expand"),
        pytest.param("log_file = explore(catalog, exp_1)", False, id="parts of words"),
        pytest.param("dialog.logs", False, id="ends of words"),
        pytest.param("", False, id="empty"),
        pytest.param(CLEAN, False, id="ordinary code"),
    ],
)
def test_a_marker_is_found(text: str, found: bool) -> None:
    assert might_matter(text.encode()) == found
    assert might_matter(text.upper().encode()) == found or "\\" in text


def test_what_a_rule_finds_holds_a_marker() -> None:
    hidden = [
        (rule.code, example.bad)
        for rule in all_rules()
        for example in rule.examples
        # What a file has from another is named in that one. A file that says no word of losses is
        # never parsed, whatever it calls.
        if not might_matter(example.bad.encode()) and not example.files
    ]
    assert hidden == []


@pytest.mark.parametrize(
    ("toml", "may"),
    [
        pytest.param(b"[tool.lossgrade]\n", True, id="the table"),
        pytest.param(b'[ tool . "lossgrade" ]\n', True, id="in odd spelling"),
        pytest.param(b"[tool]\nlossgrade = {}\n", True, id="inline"),
        pytest.param(b"tool.lossgrade.select = []\n", True, id="dotted"),
        pytest.param(b"[tool.lossgrade.per-file-ignores]\n", True, id="a table below"),
        pytest.param(b'dependencies = ["lossgrade"]\n[tool.ruff]\n', False, id="a dependency"),
        pytest.param(b"[tool.ruff]\n", False, id="another tool"),
        pytest.param(b"", False, id="empty"),
    ],
)
def test_a_configuration_is_noticed_without_a_parser(toml: bytes, may: bool) -> None:
    assert start.names_lossgrade(toml) == may


def run(*arguments: str, cwd: Path, code: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command in a fresh interpreter, and print the modules that it imported."""
    show = "import sys; from lossgrade.cli import main; code = main(); "
    show += "print(*sorted(sys.modules), file=sys.stderr); sys.exit(code)"
    return subprocess.run(
        [sys.executable, "-I", "-c", code + show, *arguments],
        capture_output=True, text=True, timeout=60, cwd=cwd,
    )  # fmt: skip


# What a fresh interpreter with the packages of a test environment has anyway.
def modules_of_nothing() -> set[str]:
    done = subprocess.run(
        [sys.executable, "-I", "-c", "import sys; print(*sys.modules)"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "options",
    [
        pytest.param([], id="check"),
        pytest.param(["--fix"], id="fix"),
        pytest.param(["--force-exclude", "--fix", "--exit-non-zero-on-fix"], id="the fix hook"),
        pytest.param(["-q", "--no-cache"], id="quiet"),
    ],
)
def test_files_without_a_marker_cost_no_import(options: list[str], tmp_path: Path) -> None:
    for name in ("a.py", "b.pyi", "c.ipynb"):
        (tmp_path / name).write_text(CLEAN, encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text("[tool.ruff]\n", encoding="utf-8")
    done = run("check", *options, "a.py", "b.pyi", "c.ipynb", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout == ("" if "-q" in options else "No mistakes found\n")
    assert set(done.stderr.split()) - modules_of_nothing() == {
        "lossgrade", "lossgrade.cli",
        "lossgrade_checks", "lossgrade_checks.prefilter", "lossgrade_checks.start",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        pytest.param(["loss.py"], 1, "LG000", id="a marker"),
        pytest.param(["a.py", "loss.py"], 1, "LG000", id="a marker in one of two"),
        pytest.param(["gone.py"], 2, "no such file", id="no such file"),
        pytest.param(["--slect", "LG1", "a.py"], 2, "--select", id="an unknown option"),
        pytest.param(["--output-format=json", "a.py"], 0, "[]", id="a format"),
        pytest.param(["--select=LG999", "a.py"], 2, "no rule", id="an unknown rule"),
        pytest.param(["configured/a.py"], 2, "slect", id="a configuration near it"),
        pytest.param(["configured/below/a.py"], 2, "slect", id="a configuration above it"),
        pytest.param(["."], 2, "slect", id="a folder"),
        pytest.param([], 2, "slect", id="no path"),
        pytest.param(["pipe"], 2, "no regular file", id="a pipe, which must not be waited for"),
        pytest.param(["a\0.py"], 2, "", id="no possible name"),
    ],
)
def test_what_may_matter_goes_the_long_way(
    arguments: list[str],
    code: int,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "configured/below").mkdir(parents=True)
    for name in ("a.py", "configured/a.py", "configured/below/a.py"):
        (tmp_path / name).write_text(CLEAN, encoding="utf-8")
    (tmp_path / "loss.py").write_text("loss = (\n", encoding="utf-8")
    (tmp_path / "configured/pyproject.toml").write_text(
        "[tool.lossgrade]\nslect = []\n", encoding="utf-8"
    )
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)
    try:
        ended = start.main(["check", *arguments])
    except SystemExit as error:
        ended = int(str(error.code))
    assert ended == code
    out, err = capfd.readouterr()
    assert says in out + err
    assert "Traceback" not in out + err


def test_a_mistake_of_ours_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    broken = "import sys; sys.modules['lossgrade_checks.command'] = object(); "
    done = run("check", ".", cwd=tmp_path, code=broken)
    assert done.returncode == 2
    line = done.stderr.splitlines()[0]
    assert line.startswith("lossgrade: internal error, ImportError: ")
    assert line.endswith("please report this")


def test_what_is_not_installed_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("loss = 1\n", encoding="utf-8")
    (tmp_path / ".gitignore").write_text("*.txt\n", encoding="utf-8")
    (tmp_path / ".git").mkdir()
    done = run("check", ".", cwd=tmp_path, code="import sys; sys.modules['pathspec'] = None; ")
    assert done.returncode == 2
    says = "lossgrade: check needs pathspec, which is not installed: pip install lossgrade"
    assert done.stderr.splitlines()[0] == says


def test_the_linter_imports_nothing_of_the_grader(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("loss = (\n", encoding="utf-8")
    done = run("check", ".", cwd=tmp_path)
    assert done.returncode == 1
    imported = set(done.stderr.split())
    assert "libcst" in imported
    assert {name for name in imported if name.partition(".")[0] == "lossgrade"} == {
        "lossgrade", "lossgrade.cli",
    }  # fmt: skip
    assert not imported & {"numpy", "torch", "pydantic", "pytest", "pathspec", "multiprocessing"}
