"""The hooks, as pre-commit installs and runs them: the linter alone, without the grader's needs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
# What a wheel is built from.
PARTS = ("pyproject.toml", "README.md", "LICENSE", ".pre-commit-hooks.yaml")
PACKAGES = ("grader", "checks", "fixtures")

SOFTMAX = """\
import torch.nn.functional as F


def loss(model, x, y):
    return F.cross_entropy(F.softmax(model(x), dim=1), y)
"""


def git(*arguments: str, cwd: Path) -> str:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    done = subprocess.run(
        ["git", *identity, "-c", "commit.gpgsign=false", *arguments],
        cwd=cwd, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return done.stdout.strip()


@pytest.fixture(scope="module")
def hooks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, Path]:
    """A repository with the hooks, its commit, and where pre-commit installs them."""
    repository = tmp_path_factory.mktemp("hooks")
    for name in PARTS:
        shutil.copy(ROOT / name, repository / name)
    for name in PACKAGES:
        skip = shutil.ignore_patterns("__pycache__", "*.pyc")
        shutil.copytree(ROOT / name, repository / name, ignore=skip)
    git("init", "-q", cwd=repository)
    git("add", "--all", "--force", cwd=repository)
    git("commit", "-q", "-m", "Add the hooks", cwd=repository)
    return repository, git("rev-parse", "HEAD", cwd=repository), tmp_path_factory.mktemp("home")


class Project:
    """A repository that uses one of the hooks."""

    def __init__(self, root: Path, hooks: tuple[Path, str, Path], hook: str, args: str) -> None:
        repository, commit, self._home = hooks
        self.root = root
        git("init", "-q", cwd=root)
        (root / ".pre-commit-config.yaml").write_text(
            f"repos:\n- repo: {repository.as_posix()}\n  rev: {commit}\n"
            f"  hooks:\n  - id: {hook}\n    args: {args}\n",
            encoding="utf-8",
        )

    def put(self, **files: str) -> None:
        for name, text in files.items():
            (self.root / f"{name}.py").write_text(text, encoding="utf-8")
        git("add", "--all", cwd=self.root)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PRE_COMMIT_HOME": str(self._home), "NO_COLOR": "1"}
        return subprocess.run(
            [sys.executable, "-m", "pre_commit", "run", "--color=never", "--verbose", *arguments],
            cwd=self.root, env=environment, capture_output=True, text=True, timeout=600,
        )  # fmt: skip

    def installed(self) -> set[str]:
        """Return what pre-commit has installed for the hook."""
        (python,) = self._home.glob("repo*/py_env-*/bin/python")
        done = subprocess.run(
            [python, "-m", "pip", "list", "--format=freeze", "--disable-pip-version-check"],
            capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        return {row.partition("==")[0].lower() for row in done.stdout.splitlines()}


@pytest.fixture
def project(hooks: tuple[Path, str, Path], tmp_path: Path) -> Any:
    return lambda hook, args="[]": Project(tmp_path, hooks, hook, args)


@pytest.mark.slow
def test_the_check_hook_needs_the_linter_alone_and_stops_a_commit(project: Any) -> None:
    checked = project("lossgrade-check")
    checked.put(clean="x = 1\n")
    done = checked.run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No mistakes found" in done.stdout
    installed = checked.installed()
    assert {"lossgrade", "libcst", "pathspec"} <= installed
    assert not installed & {"torch", "numpy", "pydantic", "pytest"}

    checked.put(hw=SOFTMAX, broken="loss = (\n")
    done = checked.run()
    assert done.returncode == 1
    assert "hw.py:5:12 LG101" in done.stdout
    assert "broken.py:1:" in done.stdout
    assert (checked.root / "hw.py").read_text(encoding="utf-8") == SOFTMAX


@pytest.mark.slow
def test_the_fix_hook_mends_and_stops_the_commit_once(project: Any) -> None:
    fixed = project("lossgrade-fix")
    fixed.put(hw=SOFTMAX)
    done = fixed.run()
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Fixed 1 mistake" in done.stdout
    assert "softmax" not in (fixed.root / "hw.py").read_text(encoding="utf-8")
    fixed.put()
    assert fixed.run().returncode == 0


@pytest.mark.slow
def test_the_projects_settings_hold_in_the_hook(project: Any) -> None:
    configured = project("lossgrade-check", "[--ignore, LG2]")
    configured.put(hw=SOFTMAX, ours="loss = (\n")
    (configured.root / "pyproject.toml").write_text(
        "[tool.lossgrade]\nignore = ['LG101']\nextend-exclude = ['ours.py']\n", encoding="utf-8"
    )
    done = configured.run("--all-files")
    assert done.returncode == 0, done.stdout
