"""The trusted side of the sandbox: start zygotes, ask them for workers, call, kill.

Nothing a worker sends is believed but values. Each wait has a deadline, each frame a cap, and
what is printed is drained and capped, so that a worker can neither hang nor flood this process.
"""

from __future__ import annotations

import contextlib
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
from typing import TYPE_CHECKING, Any, ClassVar

from lossgrade.sandbox import protocol
from lossgrade.sandbox.channel import Closed, PipeChannel, ThreadChannel, TimedOut
from lossgrade.sandbox.processes import Copied, command, environment
from lossgrade.sandbox.protocol import Block, ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from lossgrade.sandbox.layers.limits import Limits

# Loading torch from a cold disk took 4 s; a loaded machine may take many times that.
START_SECONDS = 180.0
ENTER_SECONDS = 20.0
# A wait that ends so long after its deadline was not the worker's: this process was stopped.
OVERSLEPT_SECONDS = 1.0


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

    A process asks one zygote for one thing at a time. To grade in several, make a `twin` for each,
    fork, and in each process `release` all that others use:

        with Zygote(frameworks) as zygote:
            twins = [zygote.twin() for _ in range(jobs)]
        for twin in twins:
            if os.fork() == 0:
                for other in twins: other is twin or other.release()
                ...  # grade, twin.close(), os._exit(0)
        for twin in twins: twin.release()
    """

    def __init__(
        self, frameworks: Sequence[str], *, fork: bool | None = None, mother: Zygote | None = None
    ) -> None:
        """Start one.

        Args:
            frameworks: what it imports: "numpy", "torch".
            fork: fork workers, or start each anew; default: what is safe here.
            mother: the zygote that it is made a copy of; see `twin`.
        """
        self.frameworks = list(frameworks)
        self.fork = forking_is_safe() if fork is None else fork
        # Entered by workers under other user ids; each has a directory of its own below it.
        self.scratch = Path(tempfile.mkdtemp(prefix="lossgrade-")).resolve()
        self.scratch.chmod(0o711)
        # How often a process was started: who sees it change has lost what ran under the last.
        self.starts = 0
        self._ready = False
        self._process: subprocess.Popen[bytes] | Copied | None = None
        self._control: socket.socket | None = None
        self._why = ""
        self._ended = False
        if self.fork:
            try:
                if mother is None:
                    self._start()
                else:
                    self._start_as_copy(mother)
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
        if self._ended:
            return
        self.starts += 1
        self._ready = False
        self._control, theirs = socket.socketpair()
        entry = f"main({theirs.fileno()}, {self.frameworks!r}, {str(self.scratch)!r})"
        with theirs:
            try:
                self._process = subprocess.Popen(
                    command(entry),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    pass_fds=[theirs.fileno()],
                    env=environment(),
                    cwd=tempfile.gettempdir(),
                    start_new_session=True,
                )
            except OSError as error:
                self._why = f"it does not start: {error}"
                self._stop()

    def is_alive(self) -> bool:
        """Say whether workers can be had without a new start; always where none is forked."""
        return not self.fork or (self._process is not None and self._process.poll() is None)

    def keep_on(self, core: int) -> None:
        """Let this process, the zygote and the workers it forks run on one core of the machine.

        They take turns, and none finds its memory in another core's cache.
        """
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, {core})
            if self._process is not None:
                os.sched_setaffinity(self._process.pid, {core})

    def twin(self) -> Zygote:
        """Return a zygote of the same frameworks that shares this one's memory.

        A process copied from this one's, which needs 3 MiB where a new one needs 165, and no
        imports. It lives on when this one ends, and is used like any other; one that is lost is
        replaced by a new process. Where none can be copied, it is a new one, started when it is
        first asked for a worker.
        """
        return Zygote(self.frameworks, fork=self.fork, mother=self)

    def _start_as_copy(self, mother: Zygote) -> None:
        if not Copied.possible():
            self._why = "this system has no handles on processes"
            return
        self._control, theirs = socket.socketpair()
        errors, errors_in = os.pipe()
        request = {"op": "twin", "scratch": str(self.scratch)}
        try:
            pid = mother._ask(request, [theirs.fileno(), errors_in])["pid"]
            self._process = Copied(pid, errors)
        except (SandboxUnavailable, OSError) as error:
            # A new one is started when it is needed.
            self._why = str(error)
            self._control.close()
            self._control = None
        finally:
            if self._process is None:
                os.close(errors)
            os.close(errors_in)
            theirs.close()

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
        if isinstance(self._process, Copied):
            self._process.kill()
        # The group: where `sys.executable` is a script, the interpreter is its child.
        elif self._process is not None and self._process.poll() is None:
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
                command(f"alone({self.frameworks!r}, {str(self.scratch)!r})"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                env=environment(),
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
        self._ended, self._why = True, "it has been closed"
        self._stop()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def release(self) -> None:
        """Let go of the zygote in this process: another one, a fork or the origin of it, has it.

        A zygote ends when the last process that holds it has closed or released it.
        """
        self._ended, self._why = True, "it has been released"
        if isinstance(self._process, subprocess.Popen):
            # Where it is no child of this process, it has ended for it: no warning comes later.
            self._process.poll()
        self._let_go()

    def _stop(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            try:
                self._process.wait(5 if self._ready else 0)
            except subprocess.TimeoutExpired:
                self._kill()
                self._process.wait()
        self._let_go()

    def _let_go(self) -> None:
        if self._control is not None:
            self._control.close()
        if isinstance(self._process, Copied):
            self._process.close()
        elif self._process is not None:
            assert self._process.stderr is not None
            self._process.stderr.close()
        self._control = self._process = None


@dataclass
class Worker:
    """One student's process, as the trusted side sees it.

    Attributes:
        sandbox: the level of isolation and its layers, told before any student code ran.
        status: how the process ended: exit code, or minus the signal; None while it lives.
        stops: how often this process was stopped while it waited for a worker, any of them, as when
            the whole machine is paused: the time that passed then was nobody's.
    """

    stops: ClassVar[int] = 0

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
        deadline = time.monotonic() + seconds
        nonce = secrets.token_hex(8)
        frame = protocol.pack({**message, "nonce": nonce}, blocks)
        try:
            try:
                self.channel.send(frame, deadline)
                reply = self._receive(deadline)
            finally:
                Worker.stops += time.monotonic() - deadline > OVERSLEPT_SECONDS
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
        return Reply(*protocol.receive(lambda count: self.channel.read(count, deadline)))

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
