"""Classes that tests grade: submissions of the fixtures, and runs of `lossgrade grade`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support import FIXTURES, entries

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Quick to grade, and still wrong in many ways.
SOFTMAX = """\
name = "softmax-only"
library = "numpy"
[limits]
call_seconds = 2
load_seconds = 5
submission_seconds = 8
[functions.softmax]
names = ["softmax"]
points = 10
"""
COMMAND = [sys.executable, "-m", "lossgrade.cli", "grade"]


def examples(folder: Path, names: Iterable[str]) -> list[Path]:
    """Copy submissions of the fixtures into `folder`, each under a name of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for name in names:
        target = folder / name.replace("/", "_").replace(" ", "_")
        shutil.copy(FIXTURES / name, target)
        made.append(target)
    return made


def numpy_examples(count: int) -> list[str]:
    """Return `count` examples, right and wrong, that need no torch."""
    found = [
        f"submissions/{each['path']}"
        for each in entries("submissions/index.toml", "submission")
        if each["library"] == "numpy"
        and each["assignment"] == "stat453"
        and each["path"].endswith(".py")
    ]
    return found[:: max(1, len(found) // count)][:count]


def environment() -> dict[str, str]:
    """Return the environment of a run; its output is as wide as a log."""
    return {**os.environ, "COLUMNS": "100"}


def grade(*arguments: str | Path, expected: int | None = 0) -> subprocess.CompletedProcess[str]:
    """Run `lossgrade grade` and return what it printed."""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment(),
        check=False,
    )
    assert expected is None or done.returncode == expected, done.stdout + done.stderr
    return done


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    """Start `lossgrade grade` in a process group of its own, as a shell does."""
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        start_new_session=True,
    )


def results(out: Path) -> dict[str, dict[str, Any]]:
    """Return the result records of a run, by the submission's id."""
    return {
        file.stem: json.loads(file.read_text("utf-8")) for file in (out / "results").glob("*.json")
    }


PASSING = ("started_at", "duration_s")


def lasting(records: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return records without what may differ from run to run."""
    return {
        # Of the isolation its level: the notes tell of one process, and its user id.
        name: {key: value for key, value in record.items() if key not in PASSING}
        | {"sandbox": record["sandbox"]["level"]}
        for name, record in records.items()
    }


def descendants(pid: int) -> list[int]:
    """Return the processes below `pid`, children before their own."""
    found = []
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        for task in tasks:
            for child in map(int, (task / "children").read_text().split()):
                found += [child, *descendants(child)]
    except OSError:
        pass
    return found


def alive(pid: int) -> bool:
    """Say whether a process runs: a zombie does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return status != "Z"


def assert_same(records: Mapping[str, dict[str, Any]], expected: Mapping[str, Any]) -> None:
    """Assert that records are those of another run, but for times; tell the first difference."""
    found = lasting(records)
    assert found.keys() == expected.keys()
    for name, record in found.items():
        for key, value in record.items():
            wanted = expected[name][key]
            if isinstance(value, list) and isinstance(wanted, list):
                for mine, other in zip(value, wanted, strict=False):
                    assert mine == other, f"{name}: {key}"
            assert value == wanted, f"{name}: {key}"
