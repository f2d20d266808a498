"""The `lossgrade` command, as a process and in this one."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from jsonschema import (  # type: ignore[import-untyped]  # jsonschema ships no types
    Draft202012Validator,
)

from lossgrade.assignment import BUILT_IN, built_in_text, load_assignment
from lossgrade.cli import main
from lossgrade.manifest import manifest


def command(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lossgrade.cli", *arguments],
        capture_output=True, text=True, timeout=120, **options,
    )  # fmt: skip


def test_list_names_every_built_in_assignment(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["assignment", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(BUILT_IN)


@pytest.mark.parametrize("name", BUILT_IN)
def test_show_prints_the_file_ready_to_copy(
    name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["assignment", "show", name]) == 0
    text = capsys.readouterr().out
    assert text == built_in_text(name)
    copy = tmp_path / "own.toml"
    copy.write_text(text, encoding="utf-8")
    assert load_assignment(str(copy))[0] == load_assignment(name)[0]
    assert main(["assignment", "check", str(copy)]) == 0


@pytest.mark.parametrize("name", BUILT_IN)
def test_check_lists_each_criterion_and_the_sum(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["assignment", "check", name]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    made = manifest(load_assignment(name)[0])
    assert [line.split()[0] for line in lines] == [line.id for line in made]
    points = sum(f.points for f in load_assignment(name)[0].graded.values())
    assert last == f"{name}: {len(made)} criteria, {points:g} points"


@pytest.mark.parametrize("name", ["assignment", "result", "cohort"])
def test_schema_prints_a_schema(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", name]) == 0
    made = json.loads(capsys.readouterr().out)
    Draft202012Validator.check_schema(made)
    assert made["$id"] == f"lossgrade/{name}/v1"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(["assignment", "check", "stat543"], "did you mean 'stat453'?", id="misspelt"),
        pytest.param(
            ["assignment", "show", "stat543"], "expected one of stat453", id="show misspelt"
        ),
        pytest.param(
            ["assignment", "show", "own.toml"], "expected one of stat453", id="show a file"
        ),
        pytest.param(["assignment", "check", "gone.toml"], "cannot be read", id="no such file"),
        pytest.param(["assignment", "check", "own.toml"], "own.toml:1: functions", id="invalid"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    arguments: list[str],
    says: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.toml").write_text('name = "own"\n', encoding="utf-8")
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("lossgrade: ")
    assert says in err


def test_several_mistakes_have_a_line_each(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "own.toml"
    path.write_text('name = "own"\nstrictnes = "strict"\nlibrary = "jax"\n', encoding="utf-8")
    assert main(["assignment", "check", str(path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert all(str(path) in line for line in lines)


@pytest.mark.parametrize(
    "arguments", [[], ["assignment"], ["grade-it"], ["schema", "rubric"], ["assignment", "show"]]
)
def test_what_argparse_refuses_is_exit_code_2(arguments: list[str]) -> None:
    done = command(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "usage: lossgrade" in done.stderr
    assert "Traceback" not in done.stderr


def test_version_and_help_as_a_process() -> None:
    assert command("--version").stdout.startswith("lossgrade 0.")
    helped = command("--help")
    assert helped.returncode == 0
    for word in ("check", "rule", "assignment", "schema", "demo", "pytest --submission"):
        assert word in helped.stdout


def test_the_console_script_is_the_same_command() -> None:
    script = Path(sys.executable).parent / "lossgrade"
    if not script.exists():
        pytest.skip("the package is not installed")
    done = subprocess.run(
        [script, "assignment", "list"], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == command("assignment", "list").stdout


def test_a_reader_that_leaves_early_is_no_error() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "lossgrade.cli", "schema", "assignment"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait(60) == 0


def test_without_the_grader_installed_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "pydantic.py").write_text(
        "raise ModuleNotFoundError('No module named pydantic', name='pydantic')", encoding="utf-8"
    )
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); from lossgrade import cli; "
    code += "sys.exit(cli.main())"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), "assignment", "list"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "lossgrade: assignment needs pydantic, which is not installed: "
        "pip install lossgrade[grader]"
    ]


@pytest.mark.slow
def test_demo_writes_the_files_it_names(tmp_path: Path) -> None:
    # The configuration and conftest.py of the folder it runs in are not the demo's.
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --nonsense\n", encoding="utf-8")
    (tmp_path / "conftest.py").write_text("raise RuntimeError", encoding="utf-8")
    done = command("demo", "--out", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    graded, _, rest = done.stdout.partition("\n4. a class, as Canvas exports it: lossgrade grade")
    of_class, _, linted = rest.partition("\n1. a small project")
    listed = graded.partition("\nWritten:\n")[2].split()
    assert len(listed) == 9
    files = {path for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert {tmp_path / name for name in listed} == {
        path for path in files if not {"project", "class", "graded"} & set(path.parts)
    }
    assert "written: graded/report.html\n" in of_class
    assert len(list((tmp_path / "out" / "graded" / "results").iterdir())) == 10
    assert "project/train.py:18:20 LG101" in linted
    assert "+            loss = F.binary_cross_entropy_with_logits(logits, even)\n" in linted
    scores = {}
    for name in listed:
        text = (tmp_path / name).read_text(encoding="utf-8")
        if name.endswith("/result.json"):
            record = json.loads(text)
            scores[Path(name).parent.name] = record["score"]
        assert text
    assert scores["right"] == 100
    assert all(0 < score < 100 for name, score in scores.items() if name != "right")
    assert len(scores) == 3
    told = done.stderr.splitlines()
    assert told[0] == "layout: canvas; 11 submissions, 1 of the roster missing"
    assert told[-1] == "Would fix 5 mistakes; 4 findings left"


def test_the_built_in_files_are_toml_with_comments() -> None:
    for name in BUILT_IN:
        text = built_in_text(name)
        assert tomllib.loads(text)["name"] == name
        assert text.startswith("#")


def test_the_demo_says_what_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("lossgrade.demo.find_spec", lambda name: None if name == "torch" else name)
    assert main(["demo", "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert (
        said
        == "lossgrade: demo needs torch, which is not installed: pip install lossgrade[grader]\n"
    )
    assert not (tmp_path / "out").exists()
