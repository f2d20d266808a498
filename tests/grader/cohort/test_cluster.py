"""Runs over a real Dask cluster on this machine: a scheduler, a nanny, its worker processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from clusters import Dask, children, command, until
from support import FIXTURES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest.importorskip("distributed")
if sys.platform != "linux":
    pytest.skip("processes are looked for in /proc", allow_module_level=True)

HEAD = "import numpy as np\n\n\ndef softmax(z):\n    e = np.exp(z - z.max(1, keepdims=True))\n"
RIGHT = HEAD + "    return e / e.sum(1, keepdims=True)\n"
WRONG = HEAD + "    return e / e.sum(0)\n"
ASSIGNMENT = """
name = "softmax-only"
extra_criteria = ["../shared/week3.py"]
limits = { call_seconds = 3.0, submission_seconds = 10.0 }

[functions.softmax]
names = ["softmax"]
points = 10
"""
# An instructor's own criterion runs in the trusted process, so it alone can end a worker.
CRITERION = '''
import os
import numpy as np
from lossgrade.criterion import Failure, criterion


@criterion(points=2, kind="values", function="softmax")
def of_zeros(trial):
    """Equal net inputs give equal probabilities."""
    found = trial.call(np.zeros((1, 2))).values
    if (found == 42).all():
        os._exit(1)
    if not np.allclose(found, 0.5):
        raise Failure(f"found {found}, expected 0.5")
'''
IMPATIENT = "from lossgrade.cohort import cluster; cluster.CONNECT_SECONDS = 1; "
# What changes from run to run, by nature.
TIMES = ("started_at", "duration_s", "execution_time")


@pytest.fixture(scope="module")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dask]:
    cluster = Dask(tmp_path_factory.mktemp("dask"))
    yield cluster
    cluster.close()


@pytest.fixture
def assignment(tmp_path: Path) -> Path:
    for name, text in (("week3/hw.toml", ASSIGNMENT), ("shared/week3.py", CRITERION)):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path / "week3" / "hw.toml"


def hand_in(folder: Path, **files: str | dict[str, str]) -> Path:
    """Put submissions into `folder`, one a keyword: a text, or the files of a folder."""
    for name, content in files.items():
        for place, text in content.items() if isinstance(content, dict) else [("hw.py", content)]:
            file = folder / name / place
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    return folder


@contextmanager
def running(
    handed_in: Path, out: Path, *arguments: str | Path, first: str = ""
) -> Iterator[subprocess.Popen[str]]:
    """Run `lossgrade grade`, after the statements `first`."""
    entry = f"import sys; from lossgrade.cli import main; {first}\nsys.exit(main(sys.argv[1:]))"
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", entry, "grade", handed_in, "--out", out, *arguments],
        cwd=out.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def grade(handed_in: Path, out: Path, *arguments: str | Path, first: str = "") -> tuple[int, str]:
    """Return the exit code, and what was said on standard error."""
    with running(handed_in, out, *arguments, first=first) as process:
        _, told = process.communicate(timeout=120)
        return process.returncode, told


def results(out: Path) -> dict[str, Any]:
    return {file.stem: json.loads(file.read_text()) for file in (out / "results").glob("*.json")}


def texts(folder: Path) -> dict[str, list[str]]:
    """Return the lines of all files but times and the processes' user ids, by their place."""
    return {
        file.relative_to(folder).as_posix(): [
            line
            for line in file.read_text("utf-8").splitlines()
            if not any(f'"{name}"' in line for name in TIMES) and '"user id ' not in line
        ]
        for kind in ("results", "feedback", "scope")
        for file in (folder / kind).iterdir()
    }


def test_results_are_those_of_a_run_without_a_cluster(
    tmp_path: Path, dask: Dask, assignment: Path
) -> None:
    attacks = ("fork_many", "exit_in_function", "kill_parent", "raises_passed")
    handed_in = hand_in(
        tmp_path / "class",
        right=RIGHT,
        wrong=WRONG,
        several={"hw.py": "from parts.own import softmax\n", "parts/own.py": RIGHT},
        unclear={"hw.py": RIGHT, "other.py": WRONG},
        **{"zoë o'neil": RIGHT},
        **{name: (FIXTURES / "attacks" / f"{name}.py").read_text() for name in attacks},
    )
    outs = {}
    for name, how in (("alone", ("--jobs", "2")), ("dask", ("--scheduler", dask.address))):
        outs[name] = tmp_path / name
        # Relative to where the command runs, which means nothing to a worker.
        scope = f"gradescope:{name}/scope"
        code, told = grade(
            handed_in,
            outs[name],
            *("--assignment", assignment, "--seed", "5eed", "--report", scope, *how),
        )
        assert code == 0, told
    assert texts(outs["dask"]) == texts(outs["alone"])
    found = results(outs["dask"])
    assert {each["outcome"] for each in found.values()} <= {"passed", "failed"}
    assert found["several"]["score"] == 10
    assert any("of_zeros" in each["id"] for each in found["right"]["criteria"])
    # Workers without work keep no processes of students, nor memory.
    assert until(lambda: not dask.zygotes() or None, 20)


def test_a_batch_of_a_lost_worker_is_graded_by_another(
    tmp_path: Path, dask: Dask, assignment: Path
) -> None:
    slow = "import time\ntime.sleep(0.5)\n" + RIGHT
    handed_in = hand_in(tmp_path / "class", **{f"student{number}": slow for number in range(8)})
    out = tmp_path / "out"
    given = ("--assignment", assignment, "--scheduler", dask.address)
    with running(handed_in, out, *given) as process:
        until(lambda: len(list((out / "results").glob("*.json"))) >= 2)
        victim = dask.workers()[0]
        zygotes = children(victim)
        os.kill(victim, signal.SIGKILL)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 0, told
    assert [each["score"] for each in results(out).values()] == [10] * 8
    assert zygotes
    assert until(lambda: not any(map(command, zygotes)))


def test_only_the_one_that_ends_its_worker_is_not_graded(
    tmp_path: Path, dask: Dask, assignment: Path
) -> None:
    ends = HEAD + "    return np.full(z.shape, 42.0)\n"
    handed_in = hand_in(tmp_path / "class", ends=ends, right=RIGHT, wrong=WRONG, fine=RIGHT)
    out = tmp_path / "out"
    code, told = grade(handed_in, out, "--assignment", assignment, "--scheduler", dask.address)
    assert code == 0, told
    found = results(out)
    outcomes = {name: each["outcome"] for name, each in found.items()}
    graded = {"right": "passed", "fine": "passed", "wrong": "failed"}
    assert outcomes == graded | {"ends": "not-graded"}
    assert "the worker that graded it was lost" in found["ends"]["criteria"][0]["message"]
    assert "1 not graded" in told


def test_without_a_scheduler_the_run_stops_and_keeps_what_is_done(
    tmp_path: Path, assignment: Path
) -> None:
    slow = "import time\ntime.sleep(0.5)\n" + RIGHT
    handed_in = hand_in(tmp_path / "class", **{f"student{number}": slow for number in range(8)})
    out = tmp_path / "out"
    cluster = Dask(tmp_path)
    given = ("--assignment", assignment, "--scheduler", cluster.address)
    try:
        with running(handed_in, out, *given, first=IMPATIENT) as process:
            until(lambda: len(list((out / "results").glob("*.json"))) >= 2)
            cluster.processes[0].kill()
            _, told = process.communicate(timeout=60)
    finally:
        cluster.close()
    done = len(results(out))
    assert process.returncode == 1
    assert 2 <= done < 8
    assert told.splitlines()[-1] == (
        f"lossgrade: --scheduler {cluster.address}: the scheduler does not answer any more: "
        f"{done} of 8 graded; the same command grades the other {8 - done}"
    )
    # What is there needs no cluster; what is not is graded in another way just as well.
    code, told = grade(handed_in, out, "--assignment", assignment, "--jobs", "2")
    assert code == 0, told
    assert f"{8 - done} of them now" in told
    assert len(results(out)) == 8


@pytest.mark.parametrize(
    ("address", "first", "told"),
    [
        pytest.param("localhost", "", "missing port number", id="no port"),
        pytest.param("http://127.0.0.1:8787", "", "unknown address scheme", id="the dashboard"),
        pytest.param("tls://127.0.0.1:8786", "", "certificate", id="TLS without a certificate"),
        pytest.param("tcp://127.0.0.1:1", "", "Timed out", id="nobody listens there"),
        pytest.param(
            "tcp://127.0.0.1:8786",
            "sys.modules['distributed'] = None",
            "--scheduler needs distributed: pip install 'lossgrade[cluster]'",
            id="distributed is not installed",
        ),
        pytest.param(
            "",
            "cluster.versions = lambda v=cluster.versions: {**v(), 'numpy': '1.0'}",
            ", expected 1.0 as here",
            id="a worker has another numpy",
        ),
        pytest.param(
            "",
            "cluster.versions = lambda v=cluster.versions: {**v(), 'lossgrade': '9.9'}",
            "expected 9.9 as here",
            id="the scheduler has another lossgrade",
        ),
    ],
)
def test_a_cluster_that_cannot_be_used_is_told_in_one_line(
    address: str, first: str, told: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if not address:
        dask = request.getfixturevalue("dask")
        dask.wait_for_workers()
        address = dask.address
    handed_in = hand_in(tmp_path / "class", right=RIGHT)
    given = ("--scheduler", address, "--quiet")
    code, said = grade(handed_in, tmp_path / "out", *given, first=IMPATIENT + first)
    assert code == 2
    assert told in said
    assert said.count("\n") == 1
    assert not results(tmp_path / "out")


def test_a_worker_that_came_later_with_other_versions_grades_nothing(
    tmp_path: Path, dask: Dask
) -> None:
    first = (
        "from lossgrade.cohort import cluster; cluster.mismatch = lambda *_: ''; "
        "cluster.versions = lambda v=cluster.versions: {**v(), 'torch': '1.0'}"
    )
    handed_in = hand_in(tmp_path / "class", right=RIGHT)
    code, told = grade(
        handed_in, tmp_path / "out", "--scheduler", dask.address, "--quiet", first=first
    )
    assert code == 1
    assert "a worker cannot grade" in told
    assert "expected 1.0 as here" in told
    assert not results(tmp_path / "out")
