"""The trusted side of the sandbox: start zygotes, ask them for workers, call, kill.

Nothing a worker sends is believed but values. Each wait has a deadline, each frame a cap, and
what is printed is drained and capped, so that a worker can neither hang nor flood this process.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lossgrade
from lossgrade.sandbox import protocol
from lossgrade.sandbox.channel import Closed, PipeChannel, ThreadChannel, TimedOut
from lossgrade.sandbox.protocol import Block, ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from lossgrade.sandbox.layers.limits import Limits

# Loading torch from a cold disk took 4 s; a loaded machine may take many times that.
START_SECONDS = 180.0
ENTER_SECONDS = 20.0

_BOOT = """
import sys
sys.path.insert(0, {root!r})
from lossgrade.sandbox import zygote
sys.path[:] = [path for path in sys.path if path not in {ours!r}] + {theirs!r}
zygote.{entry}
"""


class WorkerLost(Exception):
    """The worker is gone, or was ended for what it did; the text says why, in plain words.

    Attributes:
        endless: it was ended for running too long, or printing too much.
    """

    def __init__(self, text: str, *, endless: bool = False) -> None:
        super().__init__(text)
        self.endless = endless


class SandboxUnavailable(Exception):
    """The machine cannot run workers: never the student's fault."""


@dataclass
class Reply:
    """A frame from a worker: what it says, and its arrays."""

    header: dict[str, Any]
    blocks: list[Block]


def forking_is_safe() -> bool:
    """Say whether this system can fork a process that has numpy and torch loaded.

    macOS offers fork, but its system libraries abort in a child that did not exec.
    """
    return sys.platform == "linux"


class Zygote:
    """Where workers come from: a process with the frameworks loaded, forked for each worker.

    Starting one does not wait for it, so that its imports overlap with the caller's own.
    """

    def __init__(self, frameworks: Sequence[str], *, fork: bool | None = None) -> None:
        self.frameworks = list(frameworks)
        self.fork = forking_is_safe() if fork is None else fork
        # Entered by workers under other user ids; each has a directory of its own below it.
        self.scratch = Path(tempfile.mkdtemp(prefix="lossgrade-")).resolve()
        self.scratch.chmod(0o711)
        self._ready = False
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._why = "it has been closed"
        if self.fork:
            try:
                self._start()
            except BaseException:
                self.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def _start(self) -> None:
        self._ready = False
        self._control, theirs = socket.socketpair()
        entry = f"main({theirs.fileno()}, {self.frameworks!r}, {str(self.scratch)!r})"
        with theirs:
            try:
                self._process = subprocess.Popen(
                    _command(entry),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    pass_fds=[theirs.fileno()],
                    env=_environment(),
                    cwd=tempfile.gettempdir(),
                    start_new_session=True,
                )
            except OSError as error:
                self._why = f"it does not start: {error}"
                self._stop()

    def _ask(self, message: Mapping[str, Any], descriptors: Sequence[int] = ()) -> dict[str, Any]:
        if self._control is None:
            raise SandboxUnavailable(f"the process that starts workers is not there ({self._why})")
        try:
            if not self._ready:
                self._hear(START_SECONDS)
                self._ready = True
            socket.send_fds(self._control, [json.dumps(message).encode()], descriptors)
            return self._hear(ENTER_SECONDS)
        except (OSError, EOFError) as error:
            raise SandboxUnavailable(
                f"the process that starts workers ended ({self._last_words() or error})"
            ) from None
        except BaseException:
            # Interrupted: what it answers now would be taken for its next answer.
            self._kill()
            raise

    def _hear(self, seconds: float) -> dict[str, Any]:
        assert self._control is not None
        self._control.settimeout(seconds)
        line = b""
        while not line.endswith(b"\n"):
            piece = self._control.recv(4096)
            if not piece:
                raise EOFError("no answer")
            line += piece
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _last_words(self) -> str:
        assert self._process is not None
        assert self._process.stderr is not None
        self._kill()
        said = self._process.stderr.read().decode(errors="replace").strip().splitlines()
        return said[-1] if said else ""

    def _kill(self) -> None:
        # The group: where `sys.executable` is a script, the interpreter is its child.
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def worker(self, scratch: Path, limits: Limits, output_bytes: int) -> Worker:
        """Start a worker in the directory `scratch`, one below `self.scratch`.

        Args:
            scratch: the one place it may write to.
            limits: what it may use.
            output_bytes: how much of what it prints is kept.
        Raises:
            SandboxUnavailable: no worker can be started on this machine.
        """
        request = {"op": "fork", "scratch": str(scratch), "limits": vars(limits)}
        if not self.fork:
            return self._fresh(request, output_bytes)
        for again in (True, False):
            pipes = [os.pipe() for _ in range(3)]
            (requests_in, requests), (replies, replies_out), (output, output_out) = pipes
            try:
                pid = self._ask(request, [requests_in, replies_out, output_out])["pid"]
            except BaseException as error:
                for pair in pipes:
                    for descriptor in pair:
                        os.close(descriptor)
                if not again or not isinstance(error, SandboxUnavailable):
                    raise
                # A zygote that was killed from outside is replaced once.
                self._stop()
                self._start()
                continue
            for descriptor in (requests_in, replies_out, output_out):
                os.close(descriptor)
            channel = PipeChannel(requests, replies, output, output_bytes)
            return Worker(channel, partial(self._end, pid))
        raise AssertionError

    def _end(self, pid: int) -> int:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        status: int = self._ask({"op": "reap", "pid": pid})["status"]
        return os.waitstatus_to_exitcode(status)

    def _fresh(self, request: Mapping[str, Any], output_bytes: int) -> Worker:
        try:
            process = subprocess.Popen(
                _command(f"alone({self.frameworks!r}, {str(self.scratch)!r})"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                env=_environment(),
                cwd=tempfile.gettempdir(),
                start_new_session=True,
            )
        except OSError as error:
            raise SandboxUnavailable(f"a worker does not start: {error}") from None
        assert process.stdin
        assert process.stdout
        assert process.stderr
        channel = ThreadChannel(process.stdin, process.stdout, process.stderr, output_bytes)
        channel.send(json.dumps(request).encode(), time.monotonic() + START_SECONDS)

        def end() -> int:
            if hasattr(os, "killpg"):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            return process.wait()

        return Worker(channel, end, START_SECONDS)

    def close(self) -> None:
        """End the zygote and every worker of it, and remove what they left."""
        self._stop()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def _stop(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            try:
                self._process.wait(5 if self._ready else 0)
            except subprocess.TimeoutExpired:
                self._kill()
                self._process.wait()
            assert self._process.stderr is not None
            self._process.stderr.close()
        self._control = self._process = None


@dataclass
class Worker:
    """One student's process, as the trusted side sees it.

    Attributes:
        sandbox: the level of isolation and its layers, told before any student code ran.
        status: how the process ended: exit code, or minus the signal; None while it lives.
    """

    channel: PipeChannel | ThreadChannel
    end: Callable[[], int]
    enter_seconds: float = ENTER_SECONDS
    sandbox: dict[str, Any] = field(init=False)
    status: int | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        try:
            self.sandbox = self._receive(time.monotonic() + self.enter_seconds).header
            self.sandbox["layers"] = list(self.sandbox["layers"])
        except (TimedOut, Closed, ProtocolError, KeyError) as error:
            status = self.close()
            words = self.channel.printed.decode(errors="replace").strip().splitlines()
            raise SandboxUnavailable(
                f"a worker did not start (exit {status}; {words[-1] if words else error!r})"
            ) from None

    def ask(self, message: Mapping[str, Any], blocks: Sequence[Block], seconds: float) -> Reply:
        """Send a request and return the one reply to it.

        Raises:
            WorkerLost: no proper reply within `seconds`; the worker has been killed.
            ProtocolError: the request is too large to be carried; nothing was sent.
            SandboxUnavailable: the worker is gone, and the zygote that would know why.
        """
        nonce = secrets.token_hex(8)
        frame = protocol.pack({**message, "nonce": nonce}, blocks)
        deadline = time.monotonic() + seconds
        try:
            self.channel.send(frame, deadline)
            reply = self._receive(deadline)
        except TimedOut as error:
            self.close()
            printing = self.channel.count >> 20
            also = f", printing {printing} MiB of output" if printing else ""
            why = str(error) or f"ran longer than {seconds:g} seconds{also}"
            raise WorkerLost(why, endless=True) from None
        except Closed:
            raise WorkerLost(_death(self.close())) from None
        except ProtocolError as error:
            self.close()
            raise WorkerLost(f"wrote to the grader's own pipe: {error}") from None
        if reply.header.get("nonce") != nonce:
            self.close()
            raise WorkerLost("wrote to the grader's own pipe: an answer to no question")
        return reply

    def _receive(self, deadline: float) -> Reply:
        prefix = self.channel.read(protocol.PREFIX.size, deadline)
        header_bytes, payload_bytes = protocol.lengths(prefix)
        encoded = self.channel.read(header_bytes, deadline)
        header, blocks = protocol.unpack(encoded, self.channel.read(payload_bytes, deadline))
        return Reply(header, blocks)

    @property
    def printed(self) -> str:
        """The text the student's code has printed so far, capped."""
        return self.channel.printed.decode(errors="replace")

    def close(self) -> int:
        """Kill the worker's whole process group and return its exit code (negative: signal).

        Raises:
            SandboxUnavailable: the zygote, which would know the code, is gone.
        """
        if self.status is None:
            self.status = -9
            try:
                self.status = self.end()
            finally:
                self.channel.close()
        return self.status


def _death(status: int) -> str:
    if status >= 0:
        return f"ended the Python process (exit code {status}), as os._exit does"
    name = signal.Signals(-status).name if -status in set(signal.Signals) else f"signal {-status}"
    reasons = {
        "SIGSEGV": "crashed Python (segmentation fault): recursion too deep, or wild memory access",
        "SIGXCPU": "used up its processor time",
        "SIGKILL": (
            "was killed (out of memory or processor time), or closed the grader's own pipes"
        ),
        "SIGABRT": "aborted Python",
        "SIGBUS": "crashed Python (bus error)",
        "SIGSYS": "made a system call that is not allowed here",
    }
    return reasons.get(name, f"ended the Python process ({name})")


def _command(entry: str) -> list[str]:
    """Return the command that starts a process of ours in isolated mode.

    It finds this package first, then forgets where; and finds numpy and torch where this process
    does, also when they came by PYTHONPATH or the user's own site-packages.
    """
    root = str(Path(lossgrade.__file__).parent.parent)
    theirs = _homes("numpy", "torch")
    ours = {root, *_homes("lossgrade_fixtures", "lossgrade_checks")} - theirs
    boot = _BOOT.format(root=root, ours=sorted(ours), theirs=sorted(theirs), entry=entry)
    return [sys.executable, "-I", "-u", "-X", "utf8", "-c", boot]


def _homes(*names: str) -> set[str]:
    """Return the directories that hold the packages `names`, as far as they are installed."""
    specs = [importlib.util.find_spec(name) for name in names]
    return {str(Path(spec.origin).parent.parent) for spec in specs if spec and spec.origin}


def _environment() -> dict[str, str]:
    """Return a clean environment: nothing of the trusted side's, one thread for each library."""
    threads = dict.fromkeys(
        ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"),
        "1",
    )
    kept = {name: os.environ[name] for name in ("SYSTEMROOT", "PATHEXT") if name in os.environ}
    # PYTHONHASHSEED would be ignored in isolated mode; a student's set order may vary.
    return {
        **kept,
        **threads,
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "MPLBACKEND": "Agg",
    }
