"""Runs of `lossgrade grade`: what is done stays, whatever ends a run; the rest comes next time."""

from __future__ import annotations

import csv
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from classes import (
    COMMAND,
    SOFTMAX,
    alive,
    assert_same,
    descendants,
    environment,
    examples,
    grade,
    lasting,
    numpy_examples,
    results,
    start,
)
from lossgrade.assignment import parse_assignment
from lossgrade.cohort import signals
from lossgrade.cohort.asked import Asked, Settings, Task
from lossgrade.cohort.entry import Entry
from lossgrade.cohort.graded import Summary
from lossgrade.cohort.grader import Grader
from lossgrade.cohort.progress import Lines, Live, Silence, Tally, screen
from lossgrade.reports import render

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from lossgrade.result import Result

SEED = "--seed=ab12"


@pytest.fixture
def asked(tmp_path: Path) -> list[str | Path]:
    """Return the arguments that grade a small class, all but --out."""
    examples(tmp_path / "handed-in", numpy_examples(8))
    (tmp_path / "softmax.toml").write_text(SOFTMAX)
    return [tmp_path / "handed-in", "--assignment", tmp_path / "softmax.toml", SEED, "-j2"]


def rows(out: Path) -> dict[str, dict[str, str]]:
    with (out / "gradebook.csv").open(encoding="utf-8-sig", newline="") as file:
        return {row["submission"]: row for row in csv.DictReader(file)}


def graded_now(ran: subprocess.CompletedProcess[str]) -> int:
    last = ran.stderr.splitlines()[-1]
    return int(last.partition("graded, ")[2].partition(" of them now")[0])


def test_every_submission_has_a_result_feedback_and_a_row(
    asked: list[str | Path], tmp_path: Path
) -> None:
    (tmp_path / "handed-in" / "essay.pdf").write_bytes(b"%PDF")
    out = tmp_path / "out"
    ran = grade(*asked, "--out", out, "--report", f"junit:{tmp_path / 'junit.xml'}",
                "--report", f"gradescope:{tmp_path / 'gs' / '{id}' / 'results.json'}")  # fmt: skip
    records = results(out)
    assert len(records) == 8
    for name, record in records.items():
        assert record["submission"]["id"] == name
        assert record["max_score"] == 10
        assert record["assignment"]["name"] in (out / "feedback" / f"{name}.md").read_text("utf-8")
        assert "<html" in (out / "feedback" / f"{name}.html").read_text("utf-8")
        assert (tmp_path / "gs" / name / "results.json").exists()
    book = rows(out)
    assert {name for name, row in book.items() if row["status"] == "graded"} == set(records)
    assert all(float(book[name]["score"]) == records[name]["score"] for name in records)
    assert book["essay"]["status"] == "unreadable"
    assert "essay.pdf" in book["essay"]["problem"]
    assert (out / "report.html").exists()
    assert "layout: files; 9 submissions" in ran.stderr
    assert "8 submissions graded, 8 of them now" in ran.stderr.splitlines()[-1]
    assert "1 could not be read" in ran.stderr.splitlines()[-1]
    assert not (out / ".work").exists()


def test_quiet_prints_the_paths_of_what_is_written(asked: list[str | Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    ran = grade(*asked, "--out", out, "-q")
    assert ran.stdout.splitlines() == [str(out / "gradebook.csv"), str(out / "report.html")]
    assert ran.stderr == ""


def test_what_has_not_changed_is_not_graded_again(asked: list[str | Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    handed_in = sorted((tmp_path / "handed-in").iterdir())
    assert graded_now(grade(*asked, "--out", out)) == 8
    first = results(out)
    assert graded_now(grade(*asked, "--out", out)) == 0
    assert results(out) == first

    handed_in[0].write_text(handed_in[1].read_text("utf-8"), "utf-8")
    assert graded_now(grade(*asked, "--out", out)) == 1

    ran = grade(*asked, "--out", out, "--regrade", handed_in[2].stem)
    assert graded_now(ran) == 1
    assert graded_now(grade(*asked, "--out", out, "--no-resume")) == 8

    # Feedback that somebody removed is written again, from the record.
    removed, emptied = (out / "feedback" / f"{each.stem}.html" for each in handed_in[3:5])
    removed.unlink()
    # As a machine may leave it that lost its power.
    emptied.write_text("")
    assert graded_now(grade(*asked, "--out", out)) == 0
    assert removed.stat().st_size
    assert emptied.stat().st_size


def test_a_changed_assignment_grades_all_again_unless_only_changes_count(
    asked: list[str | Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    grade(*asked, "--out", out)
    (tmp_path / "softmax.toml").write_text(SOFTMAX.replace("points = 10", "points = 20"))
    changed = sorted((tmp_path / "handed-in").iterdir())[0]
    changed.write_text(changed.read_text("utf-8") + "\n# later\n", "utf-8")
    assert graded_now(grade(*asked, "--out", out, "--changed-only")) == 1
    assert {r["max_score"] for r in results(out).values()} == {10, 20}
    assert graded_now(grade(*asked, "--out", out)) == 7
    assert {r["max_score"] for r in results(out).values()} == {20}


def test_a_result_under_less_isolation_than_is_required_is_graded_again(
    asked: list[str | Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    grade(*asked, "--out", out)
    record = sorted((out / "results").iterdir())[0]
    level = json.loads(record.read_text("utf-8"))["sandbox"]["level"]
    assert graded_now(grade(*asked, "--out", out, "--require-sandbox", level)) == 0
    text = record.read_text("utf-8").replace(f'"level": "{level}"', '"level": "process"')
    record.write_text(text, "utf-8")
    assert graded_now(grade(*asked, "--out", out)) == 0
    again = 1 if level != "process" else 0
    assert graded_now(grade(*asked, "--out", out, "--require-sandbox", level)) == again


@pytest.mark.parametrize(
    ("options", "told"),
    [
        pytest.param(["--regrade", "nobody"], "no submission or student", id="an unknown id"),
        pytest.param(["--jobs", "-1"], "--jobs -1", id="a negative number of jobs"),
        pytest.param(["--seed", "xyz"], "hexadecimal", id="a seed that is no number"),
        pytest.param(["--language", "tlh"], "one of en, zh", id="an unknown language"),
        pytest.param(["--layout", "floppy"], "floppy", id="an unknown layout"),
        pytest.param(["--report", "pdf:x.pdf"], "one of csv, json", id="an unknown format"),
        pytest.param(["--report", "csv:"], "expected FORMAT:PATH", id="a report without a path"),
        pytest.param(["--report", "canvas:x.csv"], "--canvas-gradebook", id="nothing to fill in"),
        pytest.param(["--assignment", "nothing"], "no assignment", id="an unknown assignment"),
        pytest.param(["--require-sandbox", "x"], "one of process", id="an unknown level"),
        pytest.param(["--scheduler", "tcp://a", "-j2"], "--jobs is for", id="jobs on a cluster"),
        pytest.param(
            ["--scheduler", "tcp://a", "--require-sandbox", "limits"],
            "with --scheduler, expected contained",
            id="less isolation on a cluster",
        ),
    ],
)
def test_mistakes_in_use_are_one_line_and_exit_code_2(
    options: list[str], told: str, tmp_path: Path
) -> None:
    examples(tmp_path / "handed-in", numpy_examples(1))
    ran = grade(tmp_path / "handed-in", "--out", tmp_path / "out", *options, expected=2)
    assert told in ran.stderr
    assert len(ran.stderr.splitlines()) == 1
    assert not (tmp_path / "out" / "results").exists() or not results(tmp_path / "out")


@pytest.mark.parametrize("what", ["a file", "a folder that is not there"])
def test_the_output_folder_must_be_one(what: str, asked: list[str | Path], tmp_path: Path) -> None:
    if what == "a file":
        (tmp_path / "out").write_text("mine")
        assert "is a file" in grade(*asked, "--out", tmp_path / "out", expected=2).stderr
        assert (tmp_path / "out").read_text() == "mine"
    else:
        grade(*asked, "--out", tmp_path / "deep" / "down" / "out")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        pytest.param(["--out", "class"], "is what was handed in", id="out is the class"),
        pytest.param(["--out", "."], "or holds it", id="the class in the results"),
        pytest.param(["--out", "class/ann"], "is not empty", id="out is a student's"),
        pytest.param(["--out", "class/ann/out"], "lies deep in class", id="out in a student's"),
        pytest.param(["--report", "csv:class/a.csv"], "was handed in", id="report in the class"),
        pytest.param(["--report", "csv:class"], "path of a file", id="report is a folder"),
        pytest.param(["--report", "csv:/dev/null"], "path of a file", id="report is a device"),
        pytest.param(["--report", "csv:asked.toml"], "is the assignment", id="the assignment"),
        pytest.param(["--report", "csv:out/gradebook.csv"], "the run's own", id="the gradebook"),
        pytest.param(["--report", "csv:out/results/a"], "the run's own", id="among the results"),
        pytest.param(["--report", "json:out"], "is the output folder", id="the output folder"),
        pytest.param(["--report", "markdown:out"], "the run's own", id="beside run.json"),
        pytest.param(
            ["--report", "gradescope:gs", "--report", "prairielearn:gs/{id}.json"],
            "another report",
            id="two reports at one place",
        ),
    ],
)
def test_nothing_is_written_over_what_is_read(
    options: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = numpy_examples(2)
    for name, student in zip(names, ("ann", "bo"), strict=True):
        examples(tmp_path / ("results" if "." in options else "class") / student, [name])
    (tmp_path / "asked.toml").write_text(SOFTMAX)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    where = "results" if "." in options else "class"
    ran = grade(where, "--assignment", "asked.toml", "--out", "out", *options, expected=2)
    assert told in ran.stderr
    assert len(ran.stderr.splitlines()) == 1
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


def test_results_in_a_folder_of_the_class_are_not_graded(
    asked: list[str | Path], tmp_path: Path
) -> None:
    for again in (8, 0):
        assert graded_now(grade(*asked, "--out", tmp_path / "handed-in" / "graded")) == again
    assert len(rows(tmp_path / "handed-in" / "graded")) == 8


def test_files_of_others_in_the_output_folder_stay(asked: list[str | Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    mine = [out / ".work" / "plan.txt", out / "results" / ".gitkeep", out / "results" / ".my.notes"]
    for file in mine:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("mine")
    left = out / "results" / ".a.json.x1_y2z3a"
    left.write_text("half of a rec")
    grade(*asked, "--out", out)
    assert [file.read_text() for file in mine] == ["mine"] * 3
    assert not left.exists()
    assert not (out / ".work" / "unpacked").exists()
    assert (out / "run.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda text: text[: len(text) // 2], id="cut"),
        pytest.param(lambda _: "", id="empty"),
        pytest.param(lambda text: text.replace('"criteria": [', '"criteria": [,'), id="no JSON"),
        pytest.param(lambda text: text.replace('"score"', '"mark"'), id="a key that is not known"),
    ],
)
def test_a_damaged_result_is_made_again(
    damage: Callable[[str], str], asked: list[str | Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    grade(*asked, "--out", out)
    expected = lasting(results(out))
    record = sorted((out / "results").iterdir())[0]
    record.write_text(damage(record.read_text("utf-8")), "utf-8")
    feedback = out / "feedback" / f"{record.stem}.md"
    feedback.write_text("of the damaged one", "utf-8")
    grade(*asked, "--out", out)
    assert_same(results(out), expected)
    assert feedback.read_text("utf-8") != "of the damaged one"


def test_a_student_who_is_renamed_is_not_graded_again(
    asked: list[str | Path], tmp_path: Path
) -> None:
    out, roster = tmp_path / "out", tmp_path / "roster.csv"
    first = sorted((tmp_path / "handed-in").iterdir())[0].stem
    for name in ("Ann Old", "Ann New"):
        roster.write_text(f"id,name\n{first},{name}\n", "utf-8")
        ran = grade(*asked, "--out", out, "--roster", roster)
        assert results(out)[first]["submission"]["students"] == [name]
        assert name in (out / "gradebook.csv").read_text("utf-8")
    assert graded_now(ran) == 0


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)], ids=str)
def test_standard_streams_that_are_closed_change_nothing(
    closed: tuple[int, ...], asked: list[str | Path], tmp_path: Path
) -> None:
    command = [*COMMAND, *map(str, asked), "--out", str(tmp_path / "out")]

    def close() -> None:
        for descriptor in closed:
            os.close(descriptor)

    done = subprocess.run(
        command, env=environment(), preexec_fn=close, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0
    assert len(results(tmp_path / "out")) == 8
    assert len(rows(tmp_path / "out")) == 8


def test_grading_goes_on_when_nobody_reads_what_it_tells(
    asked: list[str | Path], tmp_path: Path
) -> None:
    run = start(*asked, "--out", tmp_path / "out")
    for stream in (run.stdout, run.stderr):
        assert stream
        stream.close()
    assert run.wait(60) == 0
    assert len(rows(tmp_path / "out")) == 8


def test_progress_goes_to_a_terminal_that_closes(asked: list[str | Path], tmp_path: Path) -> None:
    (tmp_path / "handed-in" / "slow.py").write_text("import time\ntime.sleep(60)\n")
    terminal, theirs = os.openpty()
    out = tmp_path / "out"
    run = subprocess.Popen(
        [*COMMAND, *map(str, asked), "--out", str(out)],
        stdout=theirs, stderr=theirs, text=True, env=environment(), start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    wait_for_results(out, 3, run)
    os.close(terminal)
    run.send_signal(signal.SIGHUP)
    assert run.wait(60) == 129
    assert len(rows(out)) == 9


def test_the_figures_of_a_run() -> None:
    now = [0.0]
    tally = Tally(6, kept=2, clock=lambda: now[0])
    summary = Summary(5, 10, 0, 0, 0, "failed", {}, (), {}, (), {}, 1.0)
    for now[0] in (0.1, 0.2):
        tally.add(summary)
    assert tally.rate == 0
    assert tally.left() == ""
    now[0] = 2.2
    tally.add(summary)
    # One in 2 s: what was there before does not count.
    assert tally.line() == "3 of 6 graded, 0.5/s, 0:06 left, mean 50.0%"
    tally.add(replace(summary, outcome="not-graded", score=0))
    assert tally.line().endswith("mean 50.0%, 1 not graded")
    only_bonus = Tally(1, clock=lambda: now[0])
    only_bonus.add(replace(summary, score=0, max_score=0))
    assert only_bonus.mean == ""


@pytest.mark.parametrize(
    ("terminal", "term", "kind"),
    [(True, "xterm", Live), (True, "dumb", Lines), (False, "xterm", Lines)],
    ids=["a terminal", "a terminal that cannot redraw", "a log"],
)
def test_where_progress_is_told(
    *, terminal: bool, term: str, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    monkeypatch.setenv("TERM", term)
    assert type(screen(quiet=False)) is kind
    assert type(screen(quiet=True)) is Silence


def test_what_fails_on_our_side_is_one_result_that_is_not_graded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assignment = parse_assignment(SOFTMAX, "softmax.toml")
    grader = Grader(Asked(assignment, None, "", Settings(seed="ab")))
    gone = Task(Entry("gone", path=tmp_path / "gone.py"), "f")
    outcome = grader.grade(gone)
    assert outcome.summary.outcome == "not-graded"
    assert "no such file" in outcome.summary.problem
    assert list(outcome.files)[-1] == "results/gone.json"

    examples(tmp_path, numpy_examples(1))
    fine = Task(Entry("fine", path=next(tmp_path.glob("*.py"))), "f")
    failing = iter([OSError("no font")])

    def broken(name: str, result: Result) -> str:
        for error in failing:
            raise error
        return render(name, result)

    monkeypatch.setattr("lossgrade.cohort.grader.render", broken)
    assert "no font" in grader.grade(fine).summary.problem
    assert grader.grade(fine).summary.outcome != "not-graded"
    grader.close()


# --- stopped, killed, refused ---------------------------------------------------------------------


def wait_for_results(out: Path, count: int, run: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 60
    while len(list((out / "results").glob("*.json"))) < count and time.monotonic() < until:
        assert run.poll() is None, run.stderr and run.stderr.read()
        time.sleep(0.005)


def test_a_second_run_on_the_same_folder_is_refused(
    asked: list[str | Path], tmp_path: Path
) -> None:
    (tmp_path / "handed-in" / "slow.py").write_text("import time\ntime.sleep(4)\n")
    out = tmp_path / "out"
    first = start(*asked, "--out", out)
    wait_for_results(out, 1, first)
    second = grade(*asked, "--out", out, expected=2)
    assert f"another run (process {first.pid}) writes there" in second.stderr
    _, said = first.communicate(timeout=60)
    assert first.returncode == 0, said
    assert len(results(out)) == 9


@pytest.mark.parametrize(
    ("number", "code", "told"),
    [
        pytest.param(signal.SIGINT, 130, "stopped by Ctrl-C", id="Ctrl-C"),
        pytest.param(signal.SIGTERM, 143, "stopped by SIGTERM", id="SIGTERM"),
        pytest.param(signal.SIGHUP, 129, "stopped by SIGHUP", id="a closed terminal"),
    ],
)
def test_a_run_that_is_stopped_says_so_and_the_next_one_goes_on(
    number: int, code: int, told: str, asked: list[str | Path], tmp_path: Path
) -> None:
    slow = tmp_path / "handed-in" / "slow.py"
    slow.write_text("import time\ndef softmax(z):\n    time.sleep(60)\n")
    out = tmp_path / "out"
    run = start(*asked, "--out", out)
    wait_for_results(out, 3, run)
    below = descendants(run.pid)
    assert below
    # As a terminal does: to every process of the group.
    if number == signal.SIGINT:
        os.killpg(run.pid, number)
    else:
        run.send_signal(number)
    _, said = run.communicate(timeout=60)
    assert run.returncode == code, said
    last = said.splitlines()[-1]
    assert told in last
    told_of = int(last.partition(" of 9 graded")[0].split()[-1])
    assert f"; the same command grades the other {9 - told_of}" in last
    done = len(results(out))
    # Each of the two processes may have written one that the runner had not heard of yet.
    assert told_of <= done <= told_of + 2
    assert "Traceback" not in said
    assert not any(alive(pid) for pid in below)
    book = rows(out)
    assert len(book) == 9
    assert sum(row["status"] == "graded" for row in book.values()) == told_of
    slow.unlink()
    resumed = grade(*asked, "--out", out)
    assert graded_now(resumed) == 8 - done + ("slow" in results(out))


def test_a_signal_that_comes_twice_does_not_disturb_the_tidying_up() -> None:
    with signals.raising():
        with pytest.raises(signals.Stopped) as stopped:
            os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
    assert stopped.value.code == 130
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_closed_terminal_does_not_stop_a_run_under_nohup(
    asked: list[str | Path], tmp_path: Path
) -> None:
    (tmp_path / "handed-in" / "slow.py").write_text("import time\ntime.sleep(3)\n")
    out = tmp_path / "out"
    run = subprocess.Popen(
        [*COMMAND, *map(str, asked), "--out", str(out)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )  # fmt: skip
    wait_for_results(out, 3, run)
    os.killpg(run.pid, signal.SIGHUP)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 0, said
    assert {each["outcome"] for each in results(out).values()} <= {"passed", "failed"}
    assert len(results(out)) == 9


def undisturbed(asked: list[str | Path], tmp_path: Path) -> dict[str, dict[str, Any]]:
    grade(*asked, "--out", tmp_path / "undisturbed")
    return lasting(results(tmp_path / "undisturbed"))


@pytest.mark.slow
def test_a_runner_that_is_killed_again_and_again_loses_and_doubles_nothing(
    asked: list[str | Path], tmp_path: Path
) -> None:
    expected = undisturbed(asked, tmp_path)
    out = tmp_path / "out"
    moments = random.Random(0)
    kills = 0
    while kills < 20:
        run = start(*asked, "--out", out)
        began = time.monotonic()
        wait = moments.uniform(0.05, 1.5)
        while time.monotonic() - began < wait and run.poll() is None:
            time.sleep(0.002)
        below = descendants(run.pid)
        if run.poll() is not None:
            # All was graded before the moment came: begin again.
            run.communicate()
            for file in (out / "results").iterdir():
                file.unlink()
            continue
        run.kill()
        run.communicate(timeout=60)
        kills += 1
        until = time.monotonic() + 20
        while any(map(alive, below)) and time.monotonic() < until:
            time.sleep(0.01)
        assert not any(map(alive, below)), "processes are left behind"
        for record in results(out).values():
            assert record["outcome"]
    grade(*asked, "--out", out)
    assert_same(results(out), expected)
    assert len(rows(out)) == 8
    left = [file.name for name in ("results", "feedback") for file in (out / name).glob(".*")]
    assert not left, "half-written files are left behind"


@pytest.mark.slow
@pytest.mark.parametrize("whom", ["zygotes", "jobs"])
def test_helpers_that_are_killed_are_replaced(
    whom: str, asked: list[str | Path], tmp_path: Path
) -> None:
    expected = undisturbed(asked, tmp_path)
    out = tmp_path / "out"
    run = start(*asked, "--out", out)
    chosen = random.Random(1)
    killed = 0
    while run.poll() is None:
        below = [pid for pid in descendants(run.pid) if kind(pid) == whom]
        if below and killed < 6:
            try:
                victim = chosen.choice(below)
                os.kill(victim, signal.SIGKILL)
                killed += 1
            except ProcessLookupError:
                pass
        time.sleep(0.15)
    _, said = run.communicate(timeout=60)
    assert killed
    assert run.returncode == 0, said
    if any(each["outcome"] == "not-graded" for each in results(out).values()):
        grade(*asked, "--out", out)
    assert_same(results(out), expected)


def test_a_machine_that_is_paused_costs_nobody_points(
    asked: list[str | Path], tmp_path: Path
) -> None:
    expected = undisturbed(asked, tmp_path)
    out = tmp_path / "out"
    run = start(*asked, "--out", out)
    wait_for_results(out, 2, run)
    stopped = [run.pid, *descendants(run.pid)]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    # Longer than a call may take, and than everything together may.
    time.sleep(9)
    for pid in reversed(stopped):
        os.kill(pid, signal.SIGCONT)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 0, said
    assert_same(results(out), expected)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cores cannot be chosen here")
def test_one_job_a_core_keeps_to_its_core(asked: list[str | Path], tmp_path: Path) -> None:
    cores = os.sched_getaffinity(0)
    for number in range(len(cores)):
        slow = f"import time\ntime.sleep(3)  # {number}\n"
        (tmp_path / "handed-in" / f"slow{number}.py").write_text(slow)
    out = tmp_path / "out"
    run = start(*asked, f"-j{len(cores)}", "--out", out)
    wait_for_results(out, 8, run)
    kept = {pid: os.sched_getaffinity(pid) for pid in descendants(run.pid)}
    used: dict[str, set[int]] = {"jobs": set(), "workers": set()}
    for pid, where in kept.items():
        if kind(pid) in used:
            assert len(where) == 1
            used[kind(pid)] |= where
    assert used["jobs"] == cores
    assert used["workers"] <= cores
    run.kill()
    run.communicate()


def kind(pid: int) -> str:
    """Say what a process of a run is: a student's lives in a folder of its own."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        inside = "lossgrade-" in str(Path(f"/proc/{pid}/cwd").readlink())
    except OSError:
        return "gone"
    if b"lossgrade.sandbox" not in command:
        return "jobs"
    return "workers" if inside else "zygotes"


def test_a_full_disk_stops_the_run_and_loses_nothing(
    asked: list[str | Path], tmp_path: Path
) -> None:
    """A limit on the size of files, instead: writing fails as it does on a full disk."""
    out = tmp_path / "out"
    grade(*asked, "--out", out)
    before = results(out)
    sizes = sorted(file.stat().st_size for file in (out / "results").iterdir())

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (sizes[0] - 1000, sizes[0] - 1000))

    ran = subprocess.run(
        [*COMMAND, *map(str, asked), "--out", str(out), "--no-resume"],
        capture_output=True, text=True, timeout=60, env=environment(), check=False,
        preexec_fn=limit,
    )  # fmt: skip
    assert ran.returncode == 1
    assert "cannot be written (File too large)" in ran.stderr
    assert "the same command grades the other" in ran.stderr.splitlines()[-1]
    assert "Traceback" not in ran.stderr
    # The old results are whole.
    assert lasting(results(out)) == lasting(before)
    assert not [file for file in out.rglob(".*") if file.name != ".lock"]


@pytest.mark.skipif(sys.platform != "linux", reason="tells processes by /proc")
def test_a_submission_that_attacks_does_not_touch_the_others(
    asked: list[str | Path], tmp_path: Path
) -> None:
    expected = undisturbed(asked, tmp_path)
    names = ("kill_parent", "fork_many", "exit_in_function", "slow_but_alive", "fill_the_disk")
    examples(tmp_path / "handed-in", [f"attacks/{name}.py" for name in names])
    out = tmp_path / "out"
    grade(*asked, "--out", out)
    found = lasting(results(out))
    assert {name: found[name] for name in expected} == expected
    assert len(found) == 8 + len(names)
    assert all(each["outcome"] != "not-graded" for each in found.values())
