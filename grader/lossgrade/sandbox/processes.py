"""The processes of ours: how one starts in isolated mode, and how one that is no child is held."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import lossgrade

BOOT = """
import sys
sys.path.insert(0, {root!r})
from lossgrade.sandbox import zygote
sys.path[:] = [path for path in sys.path if path not in {ours!r}] + {theirs!r}
zygote.{entry}
"""


class Copied:
    """A process that a zygote forked for this one, which is not its parent: a handle on it.

    Offers what `Zygote` needs of `subprocess.Popen`. A process id alone would not do: when its
    parent has waited for it, another process may get that. Also good in forks of this process.

    Raises:
        OSError: the process is gone.
    """

    @staticmethod
    def possible() -> bool:
        """Say whether this system has handles on processes, as Linux has since 5.3."""
        try:
            os.close(os.pidfd_open(os.getpid()))
        except (OSError, AttributeError):
            return False
        return True

    def __init__(self, pid: int, errors: int) -> None:
        """Hold process `pid`, whose error output comes out of descriptor `errors`."""
        self.pid = pid
        self._handle = os.pidfd_open(pid)
        self.stderr = os.fdopen(errors, "rb")

    def poll(self) -> int | None:
        """Return None while it runs, then 0: how it ended is for its parent to know."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, for at most `timeout` seconds; return 0.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        ended = select.poll()
        ended.register(self._handle, select.POLLIN)
        if not ended.poll(None if timeout is None else timeout * 1000):
            raise subprocess.TimeoutExpired([str(self.pid)], timeout or 0)
        return 0

    def kill(self) -> None:
        """Kill it; its group is itself alone."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    def close(self) -> None:
        """Let go of it."""
        os.close(self._handle)
        self.stderr.close()


def command(entry: str) -> list[str]:
    """Return the command that starts a process of ours in isolated mode.

    It finds this package first, then forgets where; and finds numpy and torch where this process
    does, also when they came by PYTHONPATH or the user's own site-packages.
    """
    root = str(Path(lossgrade.__file__).parent.parent)
    theirs = _homes("numpy", "torch")
    ours = {root, *_homes("lossgrade_fixtures", "lossgrade_checks")} - theirs
    boot = BOOT.format(root=root, ours=sorted(ours), theirs=sorted(theirs), entry=entry)
    return [sys.executable, "-I", "-u", "-X", "utf8", "-c", boot]


def _homes(*names: str) -> set[str]:
    """Return the directories that hold the packages `names`, as far as they are installed."""
    specs = [importlib.util.find_spec(name) for name in names]
    return {str(Path(spec.origin).parent.parent) for spec in specs if spec and spec.origin}


def environment() -> dict[str, str]:
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
