"""Running pytest on a submission, as an instructor does: in a process of its own."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLES = Path(str(files("lossgrade_fixtures") / "submissions"))


@dataclass
class Run:
    """A run of pytest: what it printed, and the result record if one was written."""

    ran: pytest.RunResult
    record: dict[str, Any] | None

    @property
    def code(self) -> int:
        return int(self.ran.ret)

    @property
    def out(self) -> str:
        return self.ran.stdout.str()

    @property
    def err(self) -> str:
        return self.ran.stderr.str()

    @property
    def result(self) -> dict[str, Any]:
        assert self.record is not None, self.out + self.err
        return self.record

    @property
    def criteria(self) -> dict[str, dict[str, Any]]:
        return {criterion["id"]: criterion for criterion in self.result["criteria"]}

    @property
    def tests(self) -> dict[str, dict[str, Any]]:
        """The instructor's own tests, by their name."""
        return {
            key.partition("::")[2]: criterion
            for key, criterion in self.criteria.items()
            if criterion["kind"] == "test"
        }


@pytest.fixture
def hand_in(pytester: pytest.Pytester) -> Callable[..., Path]:
    """Put an example submission, or a text, into the current folder."""

    def put(example: str = "right/numpy_eye.py", name: str = "hw.py", text: str = "") -> Path:
        path = pytester.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text:
            path.write_text(text, encoding="utf-8")
        else:
            shutil.copy(EXAMPLES / example, path)
        return path

    return put


@pytest.fixture
def grade(
    pytester: pytest.Pytester, hand_in: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Run]:
    """Run pytest on a submission and read its result record.

    `hw.py` of the current folder is graded, and is NumPy's right example unless there is one.
    """
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments: str | Path, submission: str = "hw.py") -> Run:
        if submission == "hw.py" and not (pytester.path / "hw.py").exists():
            hand_in()
        report = pytester.path / "graded" / "result.json"
        report.unlink(missing_ok=True)
        ran = pytester.runpytest_subprocess(
            "--submission", submission, "--lossgrade-report", f"json:{report}", *arguments
        )
        text = report.read_text(encoding="utf-8") if report.exists() else ""
        return Run(ran, json.loads(text) if text else None)

    return run
