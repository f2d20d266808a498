"""Grade a class on a Dask cluster: batches go out with their files, and texts come back.

The client writes what comes back, as each batch is done. Dask sends a batch again when its worker
is lost; what a submission does happens in the sandbox below the worker, and is a result.
"""

from __future__ import annotations

import logging
import math
import pickle
import queue
import secrets
import sys
import time
import warnings
from collections import deque
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lossgrade.cohort.batch import (
    PACKAGES,
    Batch,
    HandedIn,
    compared,
    grade_batch,
    mismatch,
    portable,
    versions,
)
from lossgrade.cohort.store import StoreError, WriteError, write
from lossgrade.submission import Submission, SubmissionError, Unloadable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from distributed import Future

    from lossgrade.cohort.asked import Asked, Task
    from lossgrade.cohort.grader import Grader, Outcome

# Submissions and bytes of a batch. Dask adds some 10 ms to each, a hundredth of what 16 take.
BATCH = 16
BATCH_BYTES = 8 << 20
# Batches that a worker has, the one that it grades among them: it never waits for the next.
EACH = 2
CONNECT_SECONDS = 10.0
POLL_SECONDS = 1.0
# A cluster that grows by itself may have to start machines first.
PATIENCE_SECONDS = 600.0


class ClusterError(StoreError):
    """A cluster that cannot be used; the text is one line. Nothing was graded."""


class ClusterLost(WriteError):
    """A cluster that is gone in the midst of a run, which stops; the text is one line."""


class Cluster:
    """Grades tasks on the workers of a Dask scheduler."""

    def __init__(self, asked: Asked, folder: Path, address: str) -> None:
        """Prepare; the scheduler is asked when there is something to grade.

        Args:
            asked: what is asked of every submission.
            folder: where what was graded is written, here.
            address: of the scheduler, as `tcp://10.0.0.1:8786`.
        Raises:
            ClusterError: Dask distributed is not installed.
        """
        try:
            import distributed  # noqa: F401
        except ImportError:
            raise ClusterError(
                "--scheduler needs distributed: pip install 'lossgrade[cluster]'"
            ) from None
        self.asked = asked
        self.folder = folder
        self.address = address
        self._client: Any = None
        self._grader: Grader | None = None
        self._running: dict[Future[bytes], list[Task]] = {}
        self._done: queue.SimpleQueue[Future[bytes]] = queue.SimpleQueue()
        self._workers = 0
        self._counted = 0.0
        self._told = False
        # Those whose batch lost several workers; the one of them that is tried alone.
        self._suspects: deque[Task] = deque()
        self._alone: Task | None = None

    def outcomes(self, tasks: Iterable[Task]) -> Iterator[Outcome]:
        """Grade all tasks, and yield what became of each, as each is done and written.

        Raises:
            ClusterError: there is no scheduler, or a machine has another version of something.
            ClusterLost: the scheduler, or all workers, went away.
            WriteError: a result cannot be written, as on a full disk.
        """
        waiting: deque[Task] = deque()
        current: deque[Task] = deque()
        for task in tasks:
            (waiting if task.record is None else current).append(task)
        if waiting:
            self._connect()
        seen = time.monotonic()
        while waiting or current or self._running or self._suspects:
            if self._suspects and not waiting and not self._running:
                # Alone: if its worker is lost again, no other is to blame.
                self._alone = self._suspects.popleft()
                waiting.append(self._alone)
            yield from self._send(waiting)
            try:
                future = self._done.get(timeout=0 if current else POLL_SECONDS)
            except queue.Empty:
                if current:
                    yield self._written(self._local().grade(current.popleft()))
                elif self._running:
                    seen = self._waited(seen)
                continue
            for outcome in self._received(future):
                yield self._written(outcome)

    def close(self) -> None:
        """Let go of the cluster; a worker finishes the batch that it is at."""
        if self._client is not None:
            with suppress(OSError, RuntimeError):
                self._client.close(timeout=1)

    # --- the cluster ----------------------------------------------------------------------

    def _connect(self) -> None:
        from dask import config
        from distributed import Client

        config.set({"distributed.admin.large-graph-warning-threshold": "1 TiB"})
        # What matters is told in our own words.
        for name in ("distributed", "distributed.client", "distributed.core"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        try:
            _check_address(self.address)
            with warnings.catch_warnings(action="ignore"):
                self._client = Client(  # type: ignore[no-untyped-call]  # Dask has few types
                    self.address, timeout=CONNECT_SECONDS, set_as_default=False
                )
            told = self._client.get_versions(packages=PACKAGES)
        except (OSError, RuntimeError, TypeError, ValueError) as error:
            raise ClusterError(
                f"--scheduler {self.address}: {error}; expected the address that "
                "`dask scheduler` prints, as tcp://10.0.0.1:8786"
            ) from None
        everywhere = {f"the scheduler {self.address}": told["scheduler"], **told["workers"]}
        for where, found in everywhere.items():
            # The scheduler only hands on.
            packages = PACKAGES if where in told["workers"] else PACKAGES[:1]
            if problem := mismatch(compared(found["packages"]), versions(), packages):
                raise ClusterError(f"{where}: {problem}")

    def _count(self) -> int:
        """Return how many workers there are, as of a second ago at most."""
        if time.monotonic() - self._counted > POLL_SECONDS:
            if self._client.status != "running":
                raise self._lost()
            try:
                self._workers = len(self._client.nthreads())
            except OSError:
                raise self._lost() from None
            self._counted = time.monotonic()
        return self._workers

    def _lost(self) -> ClusterLost:
        return ClusterLost(f"--scheduler {self.address}: the scheduler does not answer any more")

    def _waited(self, seen: float) -> float:
        """Return when there were workers, which was at `seen` at the latest.

        Raises:
            ClusterLost: there have been none for too long.
        """
        now = time.monotonic()
        if self._count():
            return now
        if not self._told:
            self._told = True
            told = f"no workers at {self.address}: waiting for `dask worker {self.address}`"
            print(f"lossgrade: {told}", file=sys.stderr, flush=True)
        if now - seen > PATIENCE_SECONDS:
            raise ClusterLost(f"--scheduler {self.address}: no workers for {PATIENCE_SECONDS:g} s")
        return seen

    def _send(self, waiting: deque[Task]) -> Iterator[Outcome]:
        """Send batches, so that every worker has enough; yield what cannot even be read."""
        while waiting and len(self._running) < (most := EACH * max(self._count(), 1)):
            # Smaller towards the end, so that all workers end at about the same time.
            count = min(BATCH, math.ceil(len(waiting) / most))
            tasks: list[Task] = []
            handed_in: list[HandedIn] = []
            size = 0
            while waiting and len(tasks) < count and size < BATCH_BYTES:
                task = waiting.popleft()
                try:
                    handed_in.append(self._handed_in(task))
                except (OSError, SubmissionError, Unloadable) as error:
                    why = f"its files could be read, and cannot any more: {error}"
                    yield self._written(self._ungraded(task, why))
                    continue
                tasks.append(task)
                size += sum(map(len, handed_in[-1].files.values()))
            if tasks:
                self._submit(tasks, handed_in)

    def _submit(self, tasks: list[Task], handed_in: list[HandedIn]) -> None:
        asked, criteria = portable(self.asked)
        batch = pickle.dumps(Batch(asked, criteria, versions(), tuple(handed_in)))
        future = self._client.submit(grade_batch, batch, key=f"lossgrade-{secrets.token_hex(8)}")
        self._running[future] = tasks
        future.add_done_callback(self._done.put)

    def _received(self, future: Future[bytes]) -> Iterator[Outcome]:
        """Yield the outcomes of a batch; those of a worker that was lost are tried again alone."""
        from distributed import KilledWorker

        tasks = self._running.pop(future)
        if future.status == "error":
            error = future.exception()  # type: ignore[no-untyped-call]  # as above
            if not isinstance(error, KilledWorker):
                raise ClusterLost(f"a worker cannot grade: {type(error).__name__}: {error}")
            if tasks == [self._alone]:
                why = f"the worker that graded it was lost {error.allowed_failures + 1} times"
                yield self._ungraded(tasks[0], why)
            else:
                self._suspects.extend(tasks)
            return
        try:
            # When its worker is lost now, it is graded once more.
            packed = future.result(PATIENCE_SECONDS) if future.status == "finished" else None
        except OSError:
            packed = None
        if packed is None:
            raise self._lost()
        yield from pickle.loads(packed)  # noqa: S301  # as all that Dask carries

    # --- on this machine ------------------------------------------------------------------

    def _handed_in(self, task: Task) -> HandedIn:
        """Return a task with its files.

        Raises:
            OSError, SubmissionError, Unloadable: they have changed since they were looked at.
        """
        path = task.entry.path
        assert path is not None
        submission = Submission.at(path, self.asked.assignment.entry)
        files = submission.files()
        with suppress(Unloadable):
            # Also where it lies in a folder that is left out otherwise.
            files = [*dict.fromkeys([submission.entry_file(), *files])]
        return HandedIn(
            replace(task, entry=replace(task.entry, path=None)),
            path.name,
            submission.is_folder,
            {file.relative_to(path).as_posix(): file.read_bytes() for file in files},
        )

    def _local(self) -> Grader:
        from lossgrade.cohort.grader import Grader

        if self._grader is None:
            self._grader = Grader(self.asked)
        return self._grader

    def _ungraded(self, task: Task, why: str) -> Outcome:
        return self._local().outcome(task, self._local().ungraded(task, why))

    def _written(self, outcome: Outcome) -> Outcome:
        write(self.folder, outcome.files)
        return replace(outcome, files={})


def _check_address(address: str) -> None:
    """Raise ValueError for what Dask would take ten seconds to find wrong."""
    from distributed.comm.addressing import get_address_host_port, parse_address
    from distributed.security import Security

    scheme, _ = parse_address(address)
    get_address_host_port(f"{scheme}://{address.rpartition('://')[2]}", strict=True)
    known: Any = Security
    if scheme == "tls" and not known().get_connection_args("client")["ssl_context"]:
        raise ValueError("TLS needs Dask's setting distributed.comm.tls, with a certificate")
