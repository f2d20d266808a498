"""A Dask cluster on this machine: a scheduler, a nanny, and two worker processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class Dask:
    """A scheduler and two workers below a nanny; a lost worker is replaced, and tried for once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        file = folder / "scheduler.json"
        self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", file)
        self.address: str = until(lambda: json.loads(file.read_text()))["address"]
        idle = "import lossgrade.cohort.batch as b; b.IDLE_SECONDS = 1"
        self._start("worker", self.address, "--nworkers", "2", "--nthreads", "1", "--preload", idle)

    def _start(self, *arguments: str | Path) -> None:
        with (self.folder / f"{arguments[0]}.log").open("wb") as log:
            self.processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "dask", *arguments, "--no-dashboard"],
                    cwd=self.folder,
                    stdout=log,
                    stderr=log,
                    env={
                        **os.environ,
                        "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1",
                        "DASK_TEMPORARY_DIRECTORY": str(self.folder),
                    },
                )
            )

    def wait_for_workers(self) -> None:
        """Wait until the scheduler knows both workers: one that was lost is being replaced."""
        code = f"from distributed import Client; Client({self.address!r}).wait_for_workers(2, 30)"
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)

    def workers(self) -> list[int]:
        """Return the ids of the processes that grade."""
        return [pid for pid in children(self.processes[1].pid) if b"spawn_main" in command(pid)]

    def zygotes(self) -> list[int]:
        return [pid for worker in self.workers() for pid in children(worker)]

    def close(self) -> None:
        for process in reversed(self.processes):
            process.terminate()
            process.wait(20)


def command(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def children(pid: int) -> list[int]:
    with suppress(OSError):
        tasks = Path(f"/proc/{pid}/task").iterdir()
        return [int(n) for task in tasks for n in (task / "children").read_text().split()]
    return []


def until(ready: Callable[[], Any], seconds: float = 30) -> Any:
    """Return the first value of `ready()` that is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with suppress(OSError, ValueError):
            if found := ready():
                return found
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s")
