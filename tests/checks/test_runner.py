"""Several files: in order, in one process or in several, whatever happens to one of them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import fakes
from fakes import RULES
from lossgrade_checks import runner
from lossgrade_checks.files import Task
from lossgrade_checks.finding import Finding

if TYPE_CHECKING:
    from lossgrade_checks.source import Source

CODES = tuple(rule.code for rule in RULES)
FORKS = pytest.mark.skipif(
    not runner.FORKS, reason="the fake rules reach other processes by a fork"
)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Task]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner, "WORTH_PROCESSES", 1)
    monkeypatch.setattr(runner, "BATCH_BYTES", 100)
    for number in range(20):
        text = "loss = 1\n" if number % 3 else "x = 1\n"
        Path(f"{number:02}.py").write_text("bad_loss\n" * number + text, encoding="utf-8")
    return [Task(path, CODES) for path in sorted(Path().iterdir())]


@pytest.fixture
def tasks(files: list[Task], monkeypatch: pytest.MonkeyPatch) -> list[Task]:
    fakes.install(monkeypatch)
    return files


@FORKS
def test_the_number_of_processes_changes_nothing(tasks: list[Task]) -> None:
    one, four = list(runner.run(tasks, 1)), list(runner.run(tasks, 4))
    assert one == four
    assert [outcome.path for outcome in four] == [task.path for task in tasks]
    assert sum(len(outcome.reports) for outcome in four) == 190


@FORKS
def test_processes_are_used_where_there_is_work(
    tasks: list[Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(source: Source, rules: object, project: object) -> list[Finding]:
        place = source.place(0, 0)
        return [Finding("LG101", "bad-loss", str(os.getpid()), "error", place)]

    monkeypatch.setattr("lossgrade_checks.lint.check", check)

    def processes(jobs: int | None) -> set[int]:
        outcomes = runner.run(tasks, jobs)
        return {int(r.finding.message) for outcome in outcomes for r in outcome.reports}

    assert os.getpid() not in processes(2)
    assert processes(1) == {os.getpid()}
    monkeypatch.setattr(runner, "WORTH_PROCESSES", 1_000_000)
    assert processes(4) == {os.getpid()}
    monkeypatch.setattr(runner, "WORTH_PROCESSES", 1)
    monkeypatch.setattr(runner, "might_matter", lambda _: False)
    assert processes(4) == set()


@FORKS
def test_a_file_that_brings_its_process_down_is_named_and_hides_no_other(
    tasks: list[Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(source: Source, *rest: object) -> list[Finding]:
        if source.path.name == "07.py":
            os.kill(os.getpid(), signal.SIGKILL)
        return fakes.check(source, RULES, None)

    monkeypatch.setattr("lossgrade_checks.lint.check", check)
    outcomes = list(runner.run(tasks, 3))
    assert [outcome.path for outcome in outcomes] == [task.path for task in tasks]
    assert {outcome.path.name: outcome.error for outcome in outcomes if outcome.error} == {
        "07.py": "07.py: internal error: the process that linted it has crashed; please report this"
    }
    assert sum(len(outcome.reports) for outcome in outcomes) == 190 - 7


@pytest.mark.slow
def test_processes_that_start_anew_find_the_same(
    files: list[Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    # With the real rules: the fakes do not reach a process that is started anew.
    Path("03.py").write_text("loss = (\n", encoding="utf-8")
    one = list(runner.run(files, 1))
    monkeypatch.setattr(runner, "_context", lambda: multiprocessing.get_context("spawn"))
    assert list(runner.run(files, 2)) == one
    assert [outcome.path.name for outcome in one if outcome.reports] == ["03.py"]


def test_ctrl_c_ends_a_run_at_once_with_its_own_code(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("loss = 1\n", encoding="utf-8")
    slow = (
        "import sys, time\n"
        "from lossgrade_checks import lint, start\n"
        "def check(*_):\n"
        "    print('begun', flush=True)\n"
        "    time.sleep(60)\n"
        "lint.check = check\n"
        "sys.exit(start.main(['check', 'a.py']))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", slow], cwd=tmp_path,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert (out, err) == ("", "lossgrade: interrupted\n")
    assert time.monotonic() - began < 20
