"""Zygotes copied from a zygote: as isolated, as mortal and as easily replaced, and far smaller."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lossgrade.sandbox import host, processes
from lossgrade.sandbox.host import SandboxUnavailable, Zygote
from lossgrade.sandbox.layers.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lossgrade.student import Student
    from support import Submit

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, and looks at /proc")

DOUBLE = "def f(x):\n    return 2 * x\n"
SLOW = "import time\ndef f(x):\n    time.sleep(0.2)\n    return 2 * x\n"


@pytest.fixture
def mother() -> Iterator[Zygote]:
    with Zygote(["numpy"]) as zygote:
        yield zygote
    assert not zygote.scratch.exists()


@pytest.fixture
def twin(mother: Zygote) -> Iterator[Zygote]:
    with mother.twin() as zygote:
        yield zygote
    assert not zygote.scratch.exists()


def pid_of(zygote: Zygote) -> int:
    assert zygote._process is not None
    return zygote._process.pid


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def gone(pid: int, seconds: float = 3) -> bool:
    deadline = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not alive(pid)


def removed(path: str | Path, seconds: float = 3) -> bool:
    deadline = time.monotonic() + seconds
    while Path(path).exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    return not Path(path).exists()


def children(pid: int) -> list[int]:
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def double(student: Student) -> float:
    return float(student.call("f", [np.array([21.0])], "numpy").value.values[0])


# --- a twin is a zygote --------------------------------------------------------------------------


def test_workers_of_a_twin_are_as_isolated(submit: Submit, mother: Zygote, twin: Zygote) -> None:
    text = """
        import os
        def opened(n):
            try:
                return os.fstat(n) is not None
            except OSError:
                return False
        OPEN, UID = [n for n in range(500) if opened(n)], os.getresuid()
        def others(path):
            try:
                return float(len(os.listdir("".join(map(chr, path)))))
            except PermissionError:
                return -1.0
        def f(): return [len(OPEN), *UID, os.getppid(), os.getpgid(0) == os.getpid()]
        """
    said = []
    for zygote, other in ((mother, twin), (twin, mother)):
        student = submit(text, "f", "others", zygote=zygote)
        opened, *uids, above, leads = student.call("f", [], "numpy").value.values.tolist()
        # Standard input, output and errors, and the two pipes of the protocol: no control socket.
        assert opened == 5
        assert leads == 1
        assert above == pid_of(zygote)
        for hidden in (other.scratch, zygote.scratch):
            seen = student.call("others", [list(map(ord, str(hidden)))], "numpy").value.values
            assert seen == -1 or student.sandbox["level"] != "contained"
        layers = [(each["name"], each["on"]) for each in student.sandbox["layers"]]
        # Root's workers have user ids of their own.
        said.append((student.sandbox["level"], layers, [uid == os.getuid() for uid in uids]))
    assert said[0] == said[1]


def test_a_twin_is_apart_from_its_mother(mother: Zygote, twin: Zygote, submit: Submit) -> None:
    assert double(submit(DOUBLE, "f", zygote=twin)) == 42
    pid = pid_of(twin)
    assert parent(pid) == pid_of(mother)
    assert os.getsid(pid) == os.getpgid(pid) == pid
    assert len(list(Path(f"/proc/{pid}/task").iterdir())) == 1
    if os.geteuid() == 0:  # others may not look: it is not dumpable, as its mother
        submit(DOUBLE, "f", zygote=mother).loading  # noqa: B018 - waits until she is ready
        # A control socket and an error output of its own, what workers may read: all that she has.
        links, hers = (
            sorted(str(each.readlink()) for each in Path(f"/proc/{number}/fd").iterdir())
            for number in (pid, pid_of(mother))
        )
        assert [link for link in links if not link.startswith(("socket:", "pipe:"))] == [
            link for link in hers if not link.startswith(("socket:", "pipe:"))
        ]
        assert sum(link.startswith("socket:") for link in links) == 1
        assert sum(link.startswith("pipe:") for link in links) == 1
        assert set(links).isdisjoint(link for link in hers if link.startswith(("socket:", "pipe:")))
    for zygote in (mother, twin):
        # Owned by root, whoever runs it: the sign of a process that is not dumpable.
        assert Path(f"/proc/{pid_of(zygote)}/mem").stat().st_uid == 0


def test_twins_and_mother_grade_side_by_side(mother: Zygote, submit: Submit) -> None:
    twins = [mother.twin() for _ in range(3)]
    twins.append(twins[0].twin())  # also of a twin
    zygotes = [mother, *twins]
    students = [submit(DOUBLE, "f", zygote=each) for each in zygotes]
    assert [double(student) for student in students] == [42] * 5
    pids = [pid_of(each) for each in zygotes]
    assert len(set(pids)) == len({each.scratch for each in zygotes}) == 5
    # The end of a worker sweeps up what its zygote has left: not the twins.
    for student in students:
        student.close()
    assert [double(submit(DOUBLE, "f", zygote=each)) for each in zygotes] == [42] * 5
    assert [pid_of(each) for each in zygotes] == pids
    for each in twins:
        each.close()


def test_workers_of_twins_draw_numbers_of_their_own(mother: Zygote, submit: Submit) -> None:
    text = "import numpy as np\ndef f(): return np.random.rand(2)"
    drawn: set[float] = set()
    for _ in range(2):
        with mother.twin() as twin:
            student = submit(text, "f", zygote=twin)
            drawn |= set(student.call("f", [], "numpy").value.values)
            student.close()
    assert len(drawn) == 4


def test_twins_and_their_workers_share_the_memory_of_the_frameworks(submit: Submit) -> None:
    text = "import torch\ndef f(z): return torch.softmax(z, 1)"
    z = np.ones((2, 3), "float32")
    private = []
    with Zygote(["numpy", "torch"]) as mother, mother.twin() as twin, twin.twin() as its_twin:
        for zygote in (twin, its_twin):
            student = submit(text, "f", zygote=zygote, torch=True)
            student.call("f", [z], "torch", wrt=[0])
            [worker] = set(children(pid_of(zygote))) - {pid_of(its_twin)}
            for pid in (pid_of(zygote), worker):
                try:
                    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
                except PermissionError:
                    pytest.skip("only root may look at a process that is not dumpable")
                lines = [line for line in rollup.splitlines() if line.startswith("Private_")]
                private.append(sum(int(line.split()[1]) for line in lines) / 1024)
            student.close()
    # MiB: 3 and 6 each. A zygote that is started anew has 165 of its own.
    assert sum(private[:2]) < 12, private
    assert sum(private[2:]) < 12, private


# --- deaths --------------------------------------------------------------------------------------


def test_a_twin_outlives_its_mother(mother: Zygote, twin: Zygote, submit: Submit) -> None:
    student = submit(SLOW, "f", zygote=twin)
    assert double(student) == 42
    pid, killed = pid_of(twin), pid_of(mother)
    os.kill(killed, signal.SIGKILL)
    assert gone(killed)
    start = time.monotonic()
    # Nobody but the mother held her end of her socket: her death is noticed at once.
    assert double(submit(DOUBLE, "f", zygote=mother)) == 42
    assert time.monotonic() - start < host.ENTER_SECONDS / 2
    assert double(student) == 42
    student.close()
    assert double(submit(DOUBLE, "f", zygote=twin)) == 42
    assert pid_of(twin) == pid
    twin.close()
    assert gone(pid)


def test_a_twin_outlives_the_closing_of_its_mother(submit: Submit) -> None:
    with Zygote(["numpy"]) as mother:
        twin = mother.twin()
        student = submit(SLOW, "f", zygote=twin)
        assert double(student) == 42
        start, pid = time.monotonic(), pid_of(twin)
    assert time.monotonic() - start < 2
    assert double(student) == 42
    twin.close()
    assert gone(pid)
    assert not twin.scratch.exists()


@pytest.mark.parametrize("when", ["before its first worker", "between calls", "in a call"])
def test_a_killed_twin_is_replaced(mother: Zygote, twin: Zygote, submit: Submit, when: str) -> None:
    student = submit(SLOW, "f", zygote=twin)
    assert twin.is_alive()
    killed = pid_of(twin)
    if when != "before its first worker":
        assert double(student) == 42
    before = pid_of(mother)
    if when == "in a call":
        timer = threading.Timer(0.1, os.kill, [killed, signal.SIGKILL])
        timer.start()
        assert double(student) == 42
        timer.join()
    else:
        os.kill(killed, signal.SIGKILL)
        assert gone(killed)
        assert not twin.is_alive()
    assert double(student) == 42
    student.close()
    assert double(submit(DOUBLE, "f", zygote=twin)) == 42
    assert pid_of(twin) != killed
    assert pid_of(mother) == before
    # The mother has waited for the one that ended.
    assert double(submit(DOUBLE, "f", zygote=mother)) == 42
    assert not Path(f"/proc/{killed}").exists()


def test_a_twin_that_hangs_is_given_up(
    twin: Zygote, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert double(submit(DOUBLE, "f", zygote=twin)) == 42
    hung = pid_of(twin)
    os.kill(hung, signal.SIGSTOP)
    student = submit(DOUBLE, "f", zygote=twin)
    monkeypatch.setattr(host, "ENTER_SECONDS", 0.3)
    with pytest.raises(SandboxUnavailable):
        twin._ask({"op": "reap", "pid": 1})
    assert gone(hung)
    monkeypatch.undo()
    assert double(student) == 42


def test_closing_a_twin_that_hangs_kills_it(mother: Zygote) -> None:
    with mother.twin() as twin:
        pid = pid_of(twin)
        os.kill(pid, signal.SIGSTOP)
    try:
        assert gone(pid)
    finally:
        if alive(pid):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("missing", ["handles", "mother"])
def test_where_none_can_be_copied_a_new_one_is_started(
    mother: Zygote, submit: Submit, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    if missing == "handles":
        assert double(submit(DOUBLE, "f", zygote=mother)) == 42

        def pidfd_open(_: int) -> int:
            raise OSError(38, "Function not implemented")

        monkeypatch.setattr(os, "pidfd_open", pidfd_open)
    else:
        os.kill(pid_of(mother), signal.SIGKILL)
    before = descriptors()
    twin = mother.twin()
    assert descriptors() <= before
    assert twin._process is None
    student = submit(DOUBLE, "f", zygote=twin)
    assert double(student) == 42
    assert parent(pid_of(twin)) == os.getpid()
    student.close()
    twin.close()
    if missing == "handles":
        assert len(children(pid_of(mother))) == 1  # its worker: no copy was tried


def test_twins_leave_nothing(mother: Zygote, submit: Submit) -> None:
    student = submit(DOUBLE, "f", zygote=mother)
    assert double(student) == 42
    student.close()
    before = descriptors()
    twins = [mother.twin() for _ in range(4)]
    pids = [pid_of(twin) for twin in twins]
    for number, twin in enumerate(twins):
        if number:  # the first ends before it was ready
            student = submit(DOUBLE, "f", zygote=twin)
            assert double(student) == 42
            if number > 1:
                student.close()
        twin.close()
        twin.close()
        student.close()
        assert not twin.scratch.exists()
    assert all(gone(pid) for pid in pids)
    (mother.scratch / "own").mkdir()
    mother.worker(mother.scratch / "own", Limits(), 100).close()
    assert children(pid_of(mother)) == []
    assert descriptors() == before


def test_a_zygote_that_was_closed_or_released_starts_no_more(mother: Zygote) -> None:
    closed, released = mother.twin(), mother.twin()
    pid = pid_of(released)
    closed.close()
    released.release()
    released.release()
    assert gone(pid)  # no process has it
    for zygote, why in ((closed, "closed"), (released, "released")):
        with pytest.raises(SandboxUnavailable, match=why):
            zygote.worker(zygote.scratch / "own", Limits(), 100)
        assert zygote._process is None
        zygote.close()


@pytest.mark.parametrize("end", ["worker", "twin"])
def test_processes_left_behind_are_ended(
    submit: Submit, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    bare = """from lossgrade.sandbox.layers import stack
stack.Prepared.enter = lambda *_: stack.Entered(())
zygote.{entry}"""
    monkeypatch.setattr(processes, "BOOT", processes.BOOT.replace("zygote.{entry}", bare))
    text = """
        import os, time
        def f():
            read, write = os.pipe()
            if not os.fork():
                os.setsid()
                os.write(write, str(os.getpid()).encode())
                time.sleep(60)
            return int(os.read(read, 20))
        """
    with Zygote(["numpy"]) as mother, mother.twin() as twin:
        student = submit(text, "f", zygote=twin)
        left = int(student.call("f", [], "numpy").value.values)
        other = submit(DOUBLE, "f", zygote=mother)
        assert double(other) == 42
        if end == "worker":
            student.close()
            assert gone(left, 0.5)
        else:
            killed = pid_of(twin)
            os.kill(killed, signal.SIGKILL)
            assert gone(killed)
            # They came to the mother, who sweeps when she waits for a worker of her own.
            other.close()
            assert gone(left, 0.5)
        student.close()


# --- several processes that grade ----------------------------------------------------------------

JOBS = """
import os, sys, time, warnings
from pathlib import Path
import numpy as np
from lossgrade.assignment import LimitSettings
from lossgrade.sandbox.host import Zygote
from lossgrade.student import Student
from lossgrade.submission import Submission
warnings.simplefilter("error")
mother = Zygote(["numpy"])
zygotes = [mother, mother.twin(), mother.twin()]
def grade(zygote, end):
    student = Student(Submission.at(Path(sys.argv[1])), {"f": ["f"], "g": ["g"]}, zygote,
                      LimitSettings(call_seconds=60))
    pid = int(student.call("g", [], "numpy").value.values)
    os.write(1, f"{os.getpid()} {zygote._process.pid} {pid} {zygote.scratch}\\n".encode())
    if end == "killed in a call":
        student.call("f", [np.zeros(1)], "numpy")
    if end == "ended":
        student.close()
        zygote.close()
        os._exit(0)
    time.sleep(60)
for twin in zygotes[1:]:
    if os.fork() == 0:
        for other in zygotes:
            if other is not twin:
                other.release()
        grade(twin, sys.argv[2])
for twin in zygotes[1:]:
    twin.release()
grade(mother, "killed in a call" if "call" in sys.argv[2] else "")
"""


@pytest.mark.parametrize("end", ["ended", "killed between calls", "killed in a call"])
def test_each_job_ends_with_all_that_it_had_and_no_more(tmp_path: Path, end: str) -> None:
    file = tmp_path / "hw.py"
    file.write_text(
        "import os, time\ndef f(x): time.sleep(60)\ndef g(): return os.getpid()\n",
    )
    runner = subprocess.Popen(
        [sys.executable, "-c", JOBS, file, end],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert runner.stdout is not None
    assert runner.stderr is not None
    told: list[tuple[list[int], str]] = []
    for _ in range(3):
        *numbers, scratch = runner.stdout.readline().split()
        told.append((list(map(int, numbers)), scratch))
    # The runner first where its jobs shall live on, else last.
    told.sort(key=lambda each: each[0][0] == runner.pid, reverse="between" in end)
    for number, (pids, scratch) in enumerate(told):
        if end != "ended" or pids[0] == runner.pid:
            os.kill(pids[0], signal.SIGKILL)
        if pids[0] == runner.pid:
            runner.wait()
        assert all(gone(pid) for pid in pids)
        assert removed(scratch)
        if end != "ended":
            assert all(alive(pid) for others, _ in told[number + 1 :] for pid in others)
    # No warning of a process that still runs, which is another's.
    assert runner.stderr.read() == ""
    runner.stdout.close()
    runner.stderr.close()
