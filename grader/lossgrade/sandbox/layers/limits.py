"""POSIX resource limits: how much of the machine one worker may use."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .state import LIMITS, State

if TYPE_CHECKING:
    from types import ModuleType

resource: ModuleType | None
try:
    import resource
except ImportError:  # Windows
    resource = None


@dataclass(frozen=True)
class Limits:
    """The limits of one worker.

    Memory is address space beyond what the worker has when it starts: torch alone
    maps 0.6 GiB. It does not count files, so files x open files bounds nothing on disk
    but one file at a time; the scratch directory belongs on a file system with a size.
    """

    memory_bytes: int = 2 << 30
    cpu_seconds: int = 60
    file_bytes: int = 64 << 20
    open_files: int = 128
    stack_bytes: int = 8 << 20
    # Counted over all processes of one user id, hence set only where a worker has its own.
    threads: int = 128


def _mapped_bytes() -> int | None:
    """Return the address space of this process, or None where /proc does not tell."""
    try:
        pages = Path("/proc/self/statm").read_bytes().split()[0]
    except OSError:
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _lower(which: int, soft: int, hard: int) -> None:
    """Set a limit, never above the hard one that is in force."""
    assert resource is not None
    _, ceiling = resource.getrlimit(which)
    if ceiling != resource.RLIM_INFINITY:
        soft, hard = min(soft, ceiling), min(hard, ceiling)
    resource.setrlimit(which, (soft, hard))


def apply(limits: Limits, *, own_uid: bool) -> State:
    """Apply `limits` to this process; `own_uid` says that no other worker has its user id."""
    if resource is None:
        return State(LIMITS, False, "this system has no POSIX resource limits")
    mapped = _mapped_bytes()
    same_twice = {
        resource.RLIMIT_FSIZE: limits.file_bytes,
        resource.RLIMIT_NOFILE: limits.open_files,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_STACK: limits.stack_bytes,
    }
    if mapped is not None:
        same_twice[resource.RLIMIT_AS] = mapped + limits.memory_bytes
    if own_uid:
        same_twice[resource.RLIMIT_NPROC] = limits.threads
    try:
        # A write past RLIMIT_FSIZE shall be an OSError that the student can read, and
        # the soft CPU limit a death that tells its reason, SIGXCPU, before SIGKILL.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        signal.signal(signal.SIGXCPU, signal.SIG_DFL)
        _lower(resource.RLIMIT_CPU, limits.cpu_seconds, limits.cpu_seconds + 1)
        for which, value in same_twice.items():
            _lower(which, value, value)
    except (OSError, ValueError) as error:
        return State(LIMITS, False, f"a limit was refused: {error}")
    if mapped is None:
        # macOS takes RLIMIT_AS and then ignores it.
        return State(LIMITS, False, "all but memory, which this system cannot limit")
    threads = "threads" if own_uid else "not threads, which needs a user id per worker"
    return State(LIMITS, True, f"memory, CPU time, file size, open files, stack, {threads}")
