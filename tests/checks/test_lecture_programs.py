"""What the lectures warn of, as programs: each is linted by the command, and run."""

from __future__ import annotations

import contextlib
import io
import json
import runpy
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from support import FIXTURES, entries

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LINT = FIXTURES / "lint"
PROGRAMS = [pytest.param(each, id=each["path"]) for each in entries("lint/index.toml", "program")]
RUNNABLE = [
    each for each in PROGRAMS if isinstance(each.values[0], dict) and "run" in each.values[0]
]


@pytest.fixture
def lint(tmp_path: Path) -> Path:
    """A copy of the folder: to lint or to run a program must leave nothing in the fixtures."""
    copy = tmp_path / "lint"
    shutil.copytree(LINT, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def check(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `lossgrade check` in `folder`."""
    return subprocess.run(
        [sys.executable, "-m", "lossgrade_checks", "check", "--no-cache", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_command_finds_what_the_index_says(program: dict[str, Any], lint: Path) -> None:
    done = check(lint, "--output-format", "json", program["path"])
    expected = program.get("finding", [])
    assert done.returncode == (1 if expected else 0), done.stderr
    assert [found(item, lint) for item in json.loads(done.stdout)] == expected


def found(item: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return an item of the JSON output as the index writes it."""
    finding = {
        "code": item["code"],
        "file": relative(item["filename"], folder),
        "line": item["location"]["row"],
    }
    if item["cell"] is not None:
        finding["cell"] = item["cell"]
    if item["related"]:
        first = item["related"][0]
        finding["activation"] = {
            "file": relative(first["filename"], folder),
            "line": first["location"]["row"],
        }
    if item["fix"] is not None:
        finding["fix"] = item["fix"]["applicability"]
    return finding


def relative(name: str, folder: Path) -> str:
    """Return a file name of the output relative to `folder`, where the command ran."""
    return (folder / name).relative_to(folder).as_posix()


@pytest.mark.parametrize("program", RUNNABLE)
def test_the_program_shows_the_loss_that_the_index_says(
    program: dict[str, Any], lint: Path, alone: None
) -> None:
    pytest.importorskip("torch")
    at_least, at_most = program["loss"]
    with contextlib.redirect_stdout(io.StringIO()):
        sys.path.insert(0, str((lint / program["run"]).parent))
        names = runpy.run_path(str(lint / program["run"]), run_name="__main__")
    losses = names["loss"].tolist() if hasattr(names["loss"], "tolist") else names["loss"]
    values = losses if isinstance(losses, list) else [losses]
    # The index has six digits.
    assert at_least - 1e-6 <= min(values) <= max(values) <= at_most + 1e-6


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run a program with its own `model`, and give back the generator of random numbers."""
    torch = pytest.importorskip("torch")
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    # Small tensors: on a busy machine more threads wait for each other.
    torch.set_num_threads(1)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    sys.modules.pop("model", None)
    yield
    sys.modules.pop("model", None)
    torch.set_num_threads(threads)
    torch.set_rng_state(state)


def test_the_safe_fixes_of_the_project_leave_the_rest(lint: Path) -> None:
    [program] = [
        each for each in entries("lint/index.toml", "program") if each["path"] == "project"
    ]
    before = {path: path.read_bytes() for path in (lint / "project").iterdir()}

    shown = check(lint, "--fix", "--diff", "project")
    assert shown.returncode == 1
    assert {path: path.read_bytes() for path in before} == before
    for line in (
        '+            reduction="sum",',
        "+            loss = F.binary_cross_entropy_with_logits(logits, even)",
        "+    return -F.log_softmax(logits, dim=1)",
        "+loss = nn.CrossEntropyLoss()(logits, targets)",
    ):
        assert line in shown.stdout.splitlines()

    check(lint, "--fix", "project")
    left = json.loads(check(lint, "--output-format", "json", "project").stdout)
    unsafe = [each["code"] for each in program["finding"] if each.get("fix") != "safe"]
    assert [item["code"] for item in left] == unsafe
    notebook = (lint / "project" / "notebook.ipynb").read_text("utf-8")
    assert json.loads(notebook)["nbformat"] == 4
