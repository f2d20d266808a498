"""Try forbidden and allowed things in forked workers; run by test_layers.py as a process.

    layers_scenarios.py FOLDER LAYERS USER ATTEMPT...

LAYERS is `stack` (all), `none`, or one of `limits`, `privileges`, `files`, `calls`. USER is
`same`, or `other` to give up root before anything is prepared. Prints JSON: what became of
each attempt ("done ...", an exception, or "signal N") and the lines of the report.
"""

from __future__ import annotations

import ctypes
import dataclasses
import json
import mmap
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from multiprocessing import shared_memory  # noqa: F401 - loads what a dropped user could not
from pathlib import Path
from typing import TYPE_CHECKING

import lossgrade
from lossgrade.sandbox.layers import (
    calls,
    dumpable,
    landlock,
    limits,
    privileges,
    readable,
    seccomp,
    stack,
)

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = Path(sys.argv[1])
SCRATCH = FOLDER / "scratch"
OUTSIDE = FOLDER / "outside.txt"
SECRET = b"the parent's secret, 0123456789"
KEPT = ctypes.create_string_buffer(SECRET)
LIMITS = limits.Limits(memory_bytes=1 << 30, cpu_seconds=20, file_bytes=1 << 20, threads=40)
PTRACE_SEIZE = 0x4206


def read_parent_memory() -> str:
    with Path(f"/proc/{os.getppid()}/mem").open("rb", buffering=0) as memory:
        memory.seek(ctypes.addressof(KEPT))
        assert memory.read(len(SECRET)) == SECRET
    return "read"


def libc(function: str, *arguments: int) -> str:
    library = ctypes.CDLL(None, use_errno=True)
    if library[function](*map(ctypes.c_long, arguments)) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return "called"


def shared_segment() -> None:
    library = ctypes.CDLL(None, use_errno=True)
    segment = library.shmget(0, 4096, 0o600)
    if segment == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    library.shmctl(segment, 0, None)  # IPC_RMID: it would outlive the test too


def fork() -> str:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return "forked"


def write(path: Path, text: str = "x") -> str:
    path.write_text(text)
    return path.read_text()


def start_threads(count: int) -> str:
    stop = threading.Event()
    waiting = [threading.Thread(target=stop.wait) for _ in range(count)]
    started = 0
    try:
        for thread in waiting:
            thread.start()
            started += 1
    finally:
        stop.set()
        for thread in waiting[:started]:
            thread.join()
    return "joined"


def burn() -> str:
    end = time.monotonic() + 4
    while time.monotonic() < end:
        pass
    return "burnt"


def replace() -> str:
    (SCRATCH / "own" / "deep").mkdir(parents=True)
    (SCRATCH / "own" / "deep" / "a").write_text("a")
    (SCRATCH / "own" / "deep" / "a").replace(SCRATCH / "b")
    (SCRATCH / "b").unlink()
    (SCRATCH / "own" / "deep").rmdir()
    return "replaced"


def find_ruleset() -> str:
    rule = landlock._PathBeneath(landlock._READ_FILE, os.open(SCRATCH, os.O_PATH))
    for descriptor in range(3, 100):
        try:
            calls.syscall(landlock._ADD_RULE, descriptor, landlock._RULE_PATH_BENEATH, rule, 0)
        except OSError:
            continue
        return "extended"
    raise PermissionError("no ruleset is open")


def torch_backward() -> str:
    import torch

    logits = torch.zeros(4, 3, requires_grad=True)
    torch.softmax(logits, 1)[:, 0].sum().backward()
    assert logits.grad is not None
    return f"{logits.grad[0, 0].item():.4f}"


def numpy_matmul() -> str:
    import numpy as np

    return str((np.ones((300, 300)) @ np.ones((300, 300)))[0, 0])


def temporary() -> str:
    with tempfile.TemporaryFile(dir=SCRATCH) as file:
        return str(file.write(b"12345"))


def private() -> str:
    return str(sum(map(ord, (FOLDER / "private.txt").read_text())))


def imports(name: str) -> str:
    assert name not in sys.modules
    return __import__(name).__name__


def raise_signal() -> None:
    signal.signal(signal.SIGUSR1, lambda *_: None)
    signal.raise_signal(signal.SIGUSR1)


def dev_null() -> str:
    with Path(os.devnull).open("w") as null:
        return str(null.write("gone"))


ATTEMPTS: dict[str, Callable[[], object]] = {
    "read a system file": lambda: Path("/etc/passwd").read_text()[:1],
    "read our source": lambda: Path(lossgrade.__file__).read_text()[:1],
    "import our source": lambda: imports("lossgrade.rubric"),
    "read another scratch": lambda: (FOLDER / "sibling" / "a").read_text(),
    "list all scratches": lambda: list(FOLDER.iterdir()),
    "read own environment": lambda: Path("/proc/self/environ").read_text()[:1],
    "write outside": lambda: write(FOLDER / "written"),
    "truncate outside": lambda: os.truncate(OUTSIDE, 1),
    "link from outside": lambda: os.link(OUTSIDE, SCRATCH / "link"),
    "symlink in scratch": lambda: (SCRATCH / "symlink").symlink_to("/etc/passwd"),
    "read parent's memory": read_parent_memory,
    "read parent's environment": lambda: Path(f"/proc/{os.getppid()}/environ").read_text()[:1],
    "trace parent": lambda: libc("ptrace", PTRACE_SEIZE, os.getppid(), 0, 0),
    "signal parent": lambda: os.kill(os.getppid(), 0),
    "signal group": lambda: os.kill(0, 0),
    "slow parent down": lambda: os.setpriority(os.PRIO_PROCESS, os.getppid(), 1),
    "pin parent": lambda: os.sched_setaffinity(os.getppid(), {0, 1, 2, 3}),
    "limit parent": lambda: resource.prlimit(os.getppid(), resource.RLIMIT_CORE),
    "socket": lambda: socket.socket(socket.AF_INET).close(),
    "unix socket": lambda: socket.socket(socket.AF_UNIX).close(),
    "socket pair": lambda: [s.detach() for s in socket.socketpair()],
    "fork": fork,
    "subprocess": lambda: str(subprocess.run(["/bin/true"], check=True).returncode),
    "exec": lambda: str(os.execv("/bin/true", ["/bin/true"])),
    "setsid": lambda: os.setsid(),
    "setpgid": lambda: os.setpgid(0, 0),
    "change mode": lambda: SCRATCH.chmod(0o755),
    "change times": lambda: os.utime(SCRATCH),
    "watch files": lambda: libc("inotify_init1", 0),
    "shared memory": shared_segment,
    "memory file": lambda: str(os.memfd_create("x")),
    "outlive parent": lambda: libc("prctl", 1, 0, 0, 0, 0),
    "change user": lambda: os.setresuid(-1, -1, -1),
    "user namespace": lambda: libc("unshare", 0x10000000),
    "extend the ruleset": find_ruleset,
    "read a private file": private,
    "change owner": lambda: os.chown(OUTSIDE, 1, 1),
    "become root": lambda: os.setresuid(-1, 0, -1),
    "allocate 2 GiB": lambda: mmap.mmap(-1, 2 << 30).close(),
    "write 2 MiB": lambda: str(len(write(SCRATCH / "large", "x" * (2 << 20)))),
    "open 200 files": lambda: str(len([os.dup(2) for _ in range(200)])),
    "start 60 threads": lambda: start_threads(60),
    "burn 4 s": burn,
    # allowed
    "threads": lambda: start_threads(8),
    "numpy matmul": numpy_matmul,
    "torch backward": torch_backward,
    "import stdlib": lambda: imports("wave"),
    "import a package": lambda: imports("mpmath"),
    "temporary file": temporary,
    "rename and remove in scratch": replace,
    "read processors": lambda: Path("/proc/cpuinfo").read_text()[:1],
    "write to /dev/null": dev_null,
    "random bytes": lambda: str(len(os.read(os.open("/dev/urandom", os.O_RDONLY), 4))),
    "local time": lambda: time.strftime("%Y"),
    "signal itself": lambda: os.kill(os.getpid(), 0),
    "raise a signal": raise_signal,
}


def limits_for(attempt: str) -> limits.Limits:
    if attempt == "burn 4 s":
        return dataclasses.replace(LIMITS, cpu_seconds=1)
    if attempt == "start 60 threads":
        # Every thread maps memory, which shall not be what stops them.
        return dataclasses.replace(LIMITS, memory_bytes=64 << 30)
    return LIMITS


def entering(layers: str) -> Callable[[str], list[str]]:
    """Return what puts a child under `layers`."""
    folder = str(FOLDER.resolve())
    if layers == "stack":
        dumpable.make_undumpable()
        prepared = stack.prepare(folder)

        def enter(attempt: str) -> list[str]:
            entered = prepared.enter(str(SCRATCH), limits_for(attempt))
            return [entered.level, *entered.lines()]

        return enter
    shared = landlock.prepare(readable.allow_list(), folder)
    filtered = seccomp.prepare()
    plan = privileges.probe([], folder)

    def enter_one(attempt: str) -> list[str]:
        if layers == "limits":
            return [str(limits.apply(limits_for(attempt), own_uid=False))]
        if layers == "privileges":
            keep = dataclasses.replace(plan, drops_uid=False, why="kept for this test")
            states = privileges.apply(keep, scratch=str(SCRATCH), parent=os.getppid())
            return list(map(str, states))
        if layers in ("files", "calls"):
            calls.prctl(38, 1)
        if layers == "files":
            return list(map(str, shared.apply(str(SCRATCH))))
        return [str(filtered.apply(os.getpid()))] if layers == "calls" else []

    return enter_one


def attempt_in_child(attempt: str, enter: Callable[[str], list[str]]) -> dict[str, object]:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        lines: list[str] = []
        try:
            lines = enter(attempt)
            said = f"done {ATTEMPTS[attempt]()}"
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writer, json.dumps({"said": said, "layers": lines}).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        told = stream.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return {"said": f"signal {signal.Signals(os.WTERMSIG(status)).name}", "layers": []}
    # exec'd programs say nothing
    return dict(json.loads(told)) if told else {"said": "done and gone", "layers": []}


def orphan() -> dict[str, object]:
    """Kill the process that forked a worker; say how the worker ended."""
    calls.prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: the worker becomes a child of this process
    reader, writer = os.pipe()
    middle = os.fork()
    if middle == 0:
        enter = entering("stack")
        worker = os.fork()
        if worker == 0:
            lines = enter("")
            os.write(writer, json.dumps([os.getpid(), lines]).encode())
            time.sleep(20)
            os._exit(0)
        time.sleep(20)
        os._exit(0)
    worker, lines = json.loads(os.read(reader, 1 << 16))
    os.kill(middle, signal.SIGKILL)
    os.waitpid(middle, 0)
    _, status = os.waitpid(worker, 0)
    ended = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else "by itself"
    return {"said": ended, "layers": lines}


def main() -> None:
    layers, user, *attempts = sys.argv[2:]
    if any(name in ("numpy matmul", "torch backward") for name in attempts):
        import numpy as np
        import torch

        torch.set_num_threads(1)
        np.zeros(1)
    if user == "other":
        for path in (SCRATCH, OUTSIDE):
            os.chown(path, 65534, 65534)
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        dumpable_again = 1
        calls.prctl(4, dumpable_again)  # as a process that this user had started would be
    if "orphan" in attempts:
        print(json.dumps({"orphan": orphan()}))
        return
    enter = entering(layers)
    print(json.dumps({name: attempt_in_child(name, enter) for name in attempts}))


if __name__ == "__main__":
    main()
