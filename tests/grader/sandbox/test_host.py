"""Zygotes and workers as processes: what they start with, what is left when they are gone."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lossgrade.sandbox import channel, host, processes
from lossgrade.sandbox.host import SandboxUnavailable, Zygote
from lossgrade.student import CallError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lossgrade.student import Student
    from support import Submit

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")

DOUBLE = "def f(x):\n    return 2 * x\n"
# A sandbox without one layer, as where the system has none.
BARE = """from lossgrade.sandbox.layers import stack
stack.Prepared.enter = lambda *_: stack.Entered(())
zygote.{entry}"""


@pytest.fixture
def started() -> Iterator[Callable[..., Zygote]]:
    """Start a NumPy zygote of the test's own."""
    zygotes: list[Zygote] = []

    def start(*, fork: bool = True) -> Zygote:
        zygotes.append(Zygote(["numpy"], fork=fork))
        return zygotes[-1]

    yield start
    for zygote in zygotes:
        zygote.close()
        assert not zygote.scratch.exists()


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "BOOT", processes.BOOT.replace("zygote.{entry}", BARE))


def alive(pid: int) -> bool:
    """Say whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def gone(pid: int, seconds: float = 2) -> bool:
    """Wait for the end of a process that is no child of this one."""
    deadline = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not alive(pid)


def pid_of(zygote: Zygote) -> int:
    assert zygote._process is not None
    return zygote._process.pid


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def double(student: Student, value: float = 21.0) -> float:
    return float(student.call("f", [np.array([value])], "numpy").value.values[0])


# --- a worker, when the student's code starts ----------------------------------------------------

ABOUT = """
    import os, random, sys
    def fd(n):
        try:
            return os.fstat(n) is not None
        except OSError:
            return False
    ABOUT = {
        "environment": dict(os.environ), "descriptors": [n for n in range(5000) if fd(n)],
        "cwd": os.getcwd(), "file": __file__, "path": sys.path, "argv": sys.argv,
        "modules": sorted(m for m in sys.modules if m.startswith("lossgrade")),
        "heavy": sorted(sys.modules.keys() & {"pytest", "hypothesis", "pydantic", "_pytest"}),
        "leader": os.getpgid(0) == os.getpid() == os.getsid(0),
    }
    def about(key): return list(map(ord, repr(ABOUT[key])))
"""


@pytest.fixture(params=[True, False], ids=["forked", "fresh"])
def about(
    request: pytest.FixtureRequest,
    submit: Submit,
    started: Callable[..., Zygote],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[str], Any]:
    monkeypatch.setenv("LOSSGRADE_SECRET", "seed")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setenv("LD_PRELOAD", "")
    student = submit(ABOUT, "about", zygote=started(fork=request.param))

    def ask(key: str) -> Any:
        codes = student.call("about", [key], "numpy").value.values
        return eval("".join(map(chr, codes)), {})

    return ask


def test_a_worker_has_nothing_of_ours(about: Callable[[str], Any]) -> None:
    scratch = about("cwd")
    environment = about("environment")
    assert environment.keys() <= {
        "PATH", "LANG", "LC_ALL", "LC_CTYPE", "MPLBACKEND", "HOME", "TMPDIR", "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
    }  # fmt: skip
    assert environment["HOME"] == environment["TMPDIR"] == scratch != os.environ.get("HOME")
    assert about("file") == f"{scratch}/hw.py"
    assert about("argv") == ["submission"]
    assert about("leader") is True
    # Standard input, output and errors, and the two pipes of the protocol.
    assert len(about("descriptors")) == 5
    assert about("descriptors")[:3] == [0, 1, 2]
    assert about("heavy") == []
    ours = {name.removeprefix("lossgrade.") for name in about("modules")}
    allowed = {"lossgrade", "lossgrade_submission"}
    assert {name for name in ours - allowed if not name.startswith("sandbox")} == set()
    assert not ours & {"oracle", "rubric", "criterion", "engine", "student", "sandbox.host"}
    roots = {str(Path(host.__file__).parents[2]), str(Path("fixtures").resolve())}
    assert roots & set(about("path")) == set()
    assert "/nowhere" not in about("path")


def test_a_worker_has_nothing_of_ours_when_there_is_much(
    submit: Submit, started: Callable[..., Zygote]
) -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 5000:
        pytest.skip("this user may not open 5,000 files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 5000), hard))
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(4200)]
    try:
        student = submit(ABOUT, "about", zygote=started())
        text = "".join(map(chr, student.call("about", ["descriptors"], "numpy").value.values))
    finally:
        for descriptor in opened:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(eval(text)) == 5


# --- forked and fresh ----------------------------------------------------------------------------

ALIKE = """
    import numpy as np
    def f(x): return np.exp(x) / np.exp(x).sum()
    def g(x, *, scale): return [x * scale, None, (1, 2.5)]
    def h(x): raise ValueError("no " + "x" * 3)
    def k(x): print("hello"); import os; os._exit(4)
    def m(x): x -= 1; return x.T
"""


def test_forked_and_fresh_workers_answer_alike(
    submit: Submit, started: Callable[..., Zygote]
) -> None:
    x = np.random.default_rng(1).normal(size=(3, 4)).astype("float32")
    answers: list[list[str]] = []
    for fork in (True, False):
        student = submit(ALIKE, *"fghkm", zygote=started(fork=fork))
        said: list[str] = []
        for name in "fghkm":
            keywords = {"scale": 2} if name == "g" else {}
            try:
                said.append(repr(student.call(name, [x], "numpy", keywords=keywords, echo=True)))
            except CallError as error:
                said.append(f"{error.kind} {error}")
        student.close()
        answers.append([*said, student.printed, student.submission.id])
    assert answers[0] == answers[1]
    assert answers[0][2:4] == [
        "raised `h` raised ValueError: no xxx "
        '(hw.py, line 5: `def h(x): raise ValueError("no " + "x" * 3)`)',
        "lost `k` ended the Python process (exit code 4), as os._exit does",
    ]
    assert "hello" in student.printed


def test_workers_draw_numbers_of_their_own(submit: Submit, started: Callable[..., Zygote]) -> None:
    zygote = started()
    drawn = set()
    for _ in range(3):
        student = submit(
            """
            import random, numpy as np
            def f(): return [random.random(), np.random.rand(), np.random.default_rng().random()]
            """,
            "f",
            zygote=zygote,
        )
        drawn |= set(student.call("f", [], "numpy").value.values)
    assert len(drawn) == 9


def test_torch_workers_draw_numbers_of_their_own(submit: Submit) -> None:
    text = "import torch\ndef f(): return torch.rand(2)"
    draws = [submit(text, "f", torch=True).call("f", [], "torch").value.values for _ in range(2)]
    assert len({float(value) for value in np.concatenate(draws)}) == 4


def test_a_zygote_has_one_thread(zygotes: dict[tuple[str, ...], Zygote], submit: Submit) -> None:
    submit("def f(): return 1.0", "f", torch=True).call("f", [], "torch")
    zygote = zygotes["numpy", "torch"]
    assert len(list(Path(f"/proc/{pid_of(zygote)}/task").iterdir())) == 1


def test_zygotes_live_side_by_side(submit: Submit, started: Callable[..., Zygote]) -> None:
    one, other = started(), started()
    first, second = submit(DOUBLE, "f", zygote=one), submit(DOUBLE, "f", zygote=other)
    assert double(first) == double(second) == 42
    one.close()
    assert double(second, 1.5) == 3


# --- what is left --------------------------------------------------------------------------------


def test_fifty_workers_leave_nothing(submit: Submit, started: Callable[..., Zygote]) -> None:
    zygote = started()
    dies = "import os\nopen('left.txt', 'w').write('x')\ndef f(x): os._exit(1)"
    double(submit(DOUBLE, "f", zygote=zygote))
    before, threads = descriptors() - 3, threading.active_count()  # that one has three pipes
    for number in range(50):
        student = submit(dies if number % 5 == 0 else DOUBLE, "f", zygote=zygote)
        with contextlib.suppress(CallError):
            double(student)
        student.close()
        student.close()
    assert (descriptors() - 3, threading.active_count()) == (before, threads)
    assert len(list(zygote.scratch.iterdir())) == 1
    children = Path(f"/proc/{pid_of(zygote)}/task/{pid_of(zygote)}/children").read_text().split()
    assert len(children) == 1


def test_fresh_workers_leave_nothing(submit: Submit, started: Callable[..., Zygote]) -> None:
    zygote = started(fork=False)
    before, threads = descriptors(), threading.active_count()
    for _ in range(3):
        student = submit(DOUBLE, "f", zygote=zygote)
        assert double(student) == 42
        student.close()
    assert (descriptors(), threading.active_count()) == (before, threads)
    assert list(zygote.scratch.iterdir()) == []


LEAVES = """
    import os, time
    def f(generations):
        read, write = os.pipe()
        for _ in range(int(generations)):
            if os.fork():
                break
            os.setsid()
        else:
            os.write(write, str(os.getpid()).encode())
            time.sleep(60)
        if os.getpid() != ME:
            time.sleep(60)
        return int(os.read(read, 20))
    ME = os.getpid()
"""


@pytest.mark.parametrize("generations", [1, 2, 4])
@pytest.mark.usefixtures("bare")
def test_processes_left_behind_are_ended(
    submit: Submit, started: Callable[..., Zygote], generations: int
) -> None:
    zygote = started()
    student = submit(LEAVES, "f", zygote=zygote)
    pid = int(student.call("f", [generations], "numpy").value.values)
    assert alive(pid)
    student.close()
    assert gone(pid, 0.2)
    assert double(submit(DOUBLE, "f", zygote=zygote)) == 42


@pytest.mark.usefixtures("bare")
def test_processes_left_behind_end_with_the_zygote(
    submit: Submit, started: Callable[..., Zygote]
) -> None:
    zygote = started()
    student = submit(LEAVES, "f", zygote=zygote)
    pid = int(student.call("f", [2], "numpy").value.values)
    assert alive(pid)
    zygote.close()
    assert gone(pid, 0.5)


@pytest.mark.usefixtures("bare")
def test_one_left_behind_by_a_fresh_worker_holds_no_one_up(
    submit: Submit, started: Callable[..., Zygote], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "LEFT_BEHIND_SECONDS", 0.2)
    student = submit(LEAVES, "f", zygote=started(fork=False))
    pid = int(student.call("f", [1], "numpy").value.values)
    start = time.monotonic()
    student.close()
    assert time.monotonic() - start < 2
    os.kill(pid, signal.SIGKILL)  # nothing on such a system finds it


@pytest.mark.parametrize("fork", [True, False], ids=["forked", "fresh"])
@pytest.mark.usefixtures("bare")
def test_processes_of_its_group_are_ended(
    submit: Submit, started: Callable[..., Zygote], fork: bool
) -> None:
    text = """
        import os, time
        def f():
            pid = os.fork()
            if not pid:
                time.sleep(60)
            return pid
        """
    student = submit(text, "f", zygote=started(fork=fork))
    pid = int(student.call("f", [], "numpy").value.values)
    assert alive(pid)
    student.close()
    assert gone(pid, 0.5)


# --- death of the zygote -------------------------------------------------------------------------


def test_a_zygote_killed_between_calls_is_replaced(
    submit: Submit, started: Callable[..., Zygote]
) -> None:
    zygote = started()
    student = submit(DOUBLE, "f", zygote=zygote)
    assert double(student) == 42
    before = descriptors()
    for _ in range(3):
        assert double(student) == 42
        killed = pid_of(zygote)
        os.kill(killed, signal.SIGKILL)
        assert gone(killed)
    assert double(student) == 42
    assert pid_of(zygote) != killed
    assert descriptors() == before


def test_a_zygote_killed_before_its_first_worker_is_replaced(
    submit: Submit, started: Callable[..., Zygote]
) -> None:
    zygote = started()
    os.kill(pid_of(zygote), signal.SIGKILL)
    assert double(submit(DOUBLE, "f", zygote=zygote)) == 42


def test_a_zygote_killed_during_a_call_is_replaced(
    submit: Submit, started: Callable[..., Zygote]
) -> None:
    zygote = started()
    student = submit(
        """
        import time
        def f(x):
            time.sleep(0.5)
            return 2 * x
        """,
        "f",
        zygote=zygote,
    )
    assert double(student) == 42
    timer = threading.Timer(0.2, os.kill, [pid_of(zygote), signal.SIGKILL])
    timer.start()
    assert double(student) == 42
    timer.join()


@pytest.mark.usefixtures("bare")
def test_a_student_who_kills_the_zygote_is_not_graded(
    submit: Submit, started: Callable[..., Zygote]
) -> None:
    # Layers that hold prevent it. Without them it is no crash of ours, and earns nothing.
    student = submit(
        "import os, signal\ndef f(x): os.kill(os.getppid(), signal.SIGKILL); os._exit(0)",
        "f",
        zygote=started(),
    )
    with pytest.raises((SandboxUnavailable, CallError)):
        double(student)
    student.close()


def test_closing_in_any_order_is_safe(submit: Submit) -> None:
    zygote = Zygote(["numpy"])
    student = submit(DOUBLE, "f", zygote=zygote)
    assert double(student) == 42
    zygote.close()
    zygote.close()
    student.close()
    with pytest.raises(SandboxUnavailable):
        double(student)


# --- a start that fails --------------------------------------------------------------------------


@pytest.mark.parametrize("fork", [True, False], ids=["forked", "fresh"])
@pytest.mark.parametrize(
    ("script", "says"),
    [
        pytest.param("echo 'no libpython3.so' >&2; exit 3", "no libpython3.so", id="says why"),
        pytest.param("exit 3", "ended|exit 3", id="says nothing"),
        pytest.param("echo '{}'; exit 3", "ended|exit 3", id="prints"),
        pytest.param(None, "No such file or directory", id="is missing"),
    ],
)
def test_a_broken_interpreter_is_named(
    submit: Submit,
    started: Callable[..., Zygote],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    script: str | None,
    says: str,
    fork: bool,
) -> None:
    python = tmp_path / "python"
    if script is not None:
        python.write_text(f"#!/bin/sh\n{script}\n")
        python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    before = descriptors()
    zygote = started(fork=fork)
    student = submit(DOUBLE, "f", zygote=zygote)
    told = []
    for _ in range(3):
        with pytest.raises(SandboxUnavailable, match=says) as caught:
            double(student)
        told.append(str(caught.value))
    assert told[0] == told[2]
    student.close()
    zygote.close()
    assert descriptors() == before
    assert not zygote.scratch.exists()


def test_an_interpreter_behind_a_script_is_ended_with_it(
    submit: Submit, started: Callable[..., Zygote], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\n{sys.executable} "$@"\nexit $?\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    zygote = started()
    assert double(submit(DOUBLE, "f", zygote=zygote)) == 42
    [real] = Path(f"/proc/{pid_of(zygote)}/task/{pid_of(zygote)}/children").read_text().split()
    os.kill(int(real), signal.SIGSTOP)
    monkeypatch.setattr(host, "ENTER_SECONDS", 0.2)
    with pytest.raises(SandboxUnavailable):
        zygote._ask({"op": "reap", "pid": 1})
    assert gone(int(real))


def test_a_zygote_that_hangs_is_given_up(
    submit: Submit, started: Callable[..., Zygote], monkeypatch: pytest.MonkeyPatch
) -> None:
    zygote = started()
    assert double(submit(DOUBLE, "f", zygote=zygote)) == 42
    hung = pid_of(zygote)
    os.kill(hung, signal.SIGSTOP)
    monkeypatch.setattr(host, "ENTER_SECONDS", 0.3)
    student = submit(DOUBLE, "f", zygote=zygote)
    with contextlib.suppress(SandboxUnavailable):  # 0.3 s may be short for the next one
        assert double(student) == 42
    assert gone(hung)


@pytest.mark.parametrize("fork", [True, False], ids=["forked", "fresh"])
def test_a_worker_that_cannot_enter_its_sandbox_says_why(
    submit: Submit, started: Callable[..., Zygote], monkeypatch: pytest.MonkeyPatch, fork: bool
) -> None:
    broken = "stack.Prepared.enter = lambda *_: 1 // 0"
    boot = processes.BOOT.replace(
        "zygote.{entry}", f"{BARE.splitlines()[0]}\n{broken}\nzygote.{{entry}}"
    )
    monkeypatch.setattr(processes, "BOOT", boot)
    with pytest.raises(SandboxUnavailable, match=r"did not start.*ZeroDivisionError"):
        double(submit(DOUBLE, "f", zygote=started(fork=fork)))


# --- interruptions -------------------------------------------------------------------------------


def test_an_interrupted_start_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    processes: list[subprocess.Popen[bytes]] = []
    scratches: list[Path] = []
    real = subprocess.Popen

    def interrupted(*arguments: Any, **options: Any) -> Any:
        processes.append(real(*arguments, **options))
        raise KeyboardInterrupt

    def kept(prefix: str) -> str:
        scratches.append(Path(make(prefix=prefix)))
        return str(scratches[-1])

    make = tempfile.mkdtemp
    monkeypatch.setattr(tempfile, "mkdtemp", kept)
    monkeypatch.setattr(subprocess, "Popen", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Zygote(["numpy"])
    [process] = processes
    assert process.wait(10) == 0  # nobody waits for it, and it has seen that
    assert process.stderr is not None
    process.stderr.close()
    assert not scratches[0].exists()


def test_an_interrupted_call_is_not_answered_by_the_next(
    submit: Submit, started: Callable[..., Zygote], monkeypatch: pytest.MonkeyPatch
) -> None:
    student = submit(DOUBLE, "f", zygote=started())
    assert double(student) == 42

    def interrupted(*_: object) -> bytes:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        assert student._worker is not None
        patch.setattr(student._worker.channel, "read", interrupted)
        with pytest.raises(KeyboardInterrupt):
            double(student, 1)
    assert double(student, 2) == 4


def test_an_interrupted_fork_is_not_answered_by_the_next(
    submit: Submit, started: Callable[..., Zygote], monkeypatch: pytest.MonkeyPatch
) -> None:
    zygote = started()
    first = submit(DOUBLE, "f", zygote=zygote)
    assert double(first) == 42

    def interrupted(*_: object) -> dict[str, Any]:
        raise KeyboardInterrupt

    before = descriptors()
    second = submit(DOUBLE, "f", zygote=zygote)
    with monkeypatch.context() as patch:
        patch.setattr(zygote, "_hear", interrupted)
        with pytest.raises(KeyboardInterrupt):
            double(second)
    assert descriptors() == before
    assert double(second) == double(first) == 42


# --- death of the trusted side -------------------------------------------------------------------

HOLDS = """
import sys, time
from pathlib import Path
import numpy as np
from lossgrade.assignment import LimitSettings
from lossgrade.sandbox.host import Zygote
from lossgrade.student import Student
from lossgrade.submission import Submission
zygote = Zygote(["numpy"])
names = {"f": ["f"], "g": ["g"]}
student = Student(Submission.at(Path(sys.argv[1])), names, zygote, LimitSettings())
pid = int(student.call("g", [], "numpy").value.values)
print(zygote._process.pid, pid, zygote.scratch, flush=True)
if sys.argv[2] == "in a call":
    student.call("f", [np.zeros(1)], "numpy")
time.sleep(60)
"""


@pytest.mark.parametrize("when", ["between calls", "in a call"])
def test_when_the_trusted_side_is_killed_nothing_outlives_it(tmp_path: Path, when: str) -> None:
    file = tmp_path / "hw.py"
    file.write_text(
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "def f(x): time.sleep(60)\n"
        "def g(): return os.getpid()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, file, when], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    zygote, worker, scratch = process.stdout.readline().split()
    assert alive(int(zygote))
    assert alive(int(worker))
    time.sleep(0.1)
    process.kill()
    process.wait()
    process.stdout.close()
    assert gone(int(zygote))
    assert gone(int(worker))
    assert not Path(scratch).exists()
