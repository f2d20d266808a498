"""Processes of this machine that grade: one a core, each with zygotes of its own.

They are forked from the runner once it has imported all that grading needs, and their zygotes are
twins of one, so that all share their memory. A process that dies is replaced, and its submission
is tried once more: nothing that happens to one submission stops the others.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections import deque
from dataclasses import dataclass
from multiprocessing import connection
from typing import TYPE_CHECKING

from lossgrade.cohort.grader import Grader, preload
from lossgrade.cohort.signals import follow_runner, held_back
from lossgrade.cohort.store import WriteError, write
from lossgrade.sandbox.host import Zygote, forking_is_safe
from lossgrade.sandbox.layers import calls, dumpable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkContext, ForkProcess, SpawnContext, SpawnProcess
    from pathlib import Path

    from lossgrade.cohort.asked import Asked, Task
    from lossgrade.cohort.grader import Outcome

TRIES = 2
# Beyond what the assignment lets a submission use: to explain it and to write. What takes longer
# hangs.
BESIDES_SECONDS = 120.0
_PR_SET_PDEATHSIG = 1


@dataclass
class Job:
    """One process, and the task that it has.

    Attributes:
        core: that it keeps to, where there is one for each; else -1.
    """

    core: int
    process: ForkProcess | SpawnProcess
    connection: Connection
    task: Task | None = None
    deadline: float = 0.0


class Jobs:
    """Grades tasks in several processes at once."""

    def __init__(
        self, asked: Asked, folder: Path, count: int, frameworks: Iterable[tuple[str, ...]]
    ) -> None:
        """Start loading frameworks; processes start with the first task.

        Args:
            asked: what is asked of every submission.
            folder: where each process writes what it graded.
            count: how many processes.
            frameworks: what the submissions need, a tuple for each kind of them.
        """
        self.asked = asked
        self.folder = folder
        self.count = count
        self.cores = available_cores()
        self.seconds = asked.assignment.limits.submission_seconds + BESIDES_SECONDS
        self.jobs: list[Job] = []
        forks = forking_is_safe()
        self.mothers = {each: Zygote(each) for each in frameworks} if forks else {}
        self._context: ForkContext | SpawnContext = (
            multiprocessing.get_context("fork") if forks else multiprocessing.get_context("spawn")
        )

    def outcomes(self, tasks: Iterable[Task]) -> Iterator[Outcome]:
        """Grade all tasks, and yield what became of each, as each is done and written.

        Raises:
            WriteError: a result cannot be written, as on a full disk.
        """
        waiting = deque(tasks)
        tries: dict[str, int] = {}
        if waiting and forking_is_safe():
            # An import that is interrupted fails in other ways.
            with held_back():
                preload()
        # One job a core: a tenth faster than where the system moves them about.
        own = self.cores if self.count == len(self.cores) else []
        for number in range(min(self.count, len(waiting))):
            self.jobs.append(self._started(own[number] if own else -1))
        while waiting or any(job.task for job in self.jobs):
            for job in self.jobs:
                if job.task is None and waiting:
                    self._give(job, waiting.popleft())
            for job in self._ready():
                task = job.task
                assert task is not None
                try:
                    answer = job.connection.recv()
                except (EOFError, OSError):
                    self._replace(job)
                    why = f"the process that grades it ended {TRIES} times"
                    if job.deadline <= time.monotonic():
                        why = f"grading it took longer than {self.seconds:g} s, {TRIES} times"
                    tries[task.entry.id] = tries.get(task.entry.id, 0) + 1
                    if tries[task.entry.id] < TRIES:
                        waiting.append(task)
                    else:
                        yield self._given_up(task, why)
                    continue
                job.task = None
                if isinstance(answer, WriteError):
                    raise answer
                yield answer

    def _ready(self) -> list[Job]:
        """Wait for answers, and end the processes that have taken too long."""
        busy = {job.connection: job for job in self.jobs if job.task}
        until = min(job.deadline for job in busy.values()) - time.monotonic()
        found = connection.wait(list(busy), max(until, 0))
        for job in busy.values():
            if job.deadline <= time.monotonic() and job.connection not in found:
                job.process.kill()
        return [busy[each] for each in found]  # type: ignore[index]

    def _give(self, job: Job, task: Task) -> None:
        job.task, job.deadline = task, time.monotonic() + self.seconds
        try:
            job.connection.send(task)
        except OSError:
            # It has died meanwhile; its end of the pipe says so at once.
            return

    def _started(self, core: int) -> Job:
        ours, theirs = self._context.Pipe()
        twins = {frameworks: mother.twin() for frameworks, mother in self.mothers.items()}
        # Their copies in a forked child would keep alive what this process ends.
        forked = self._context.get_start_method() == "fork"
        others = [*(job.connection for job in self.jobs), ours] if forked else []
        process = self._context.Process(
            target=_serve,
            args=(theirs, self.asked, self.folder, twins, core, os.getpid(), others),
            daemon=False,
        )
        with held_back():
            process.start()
        theirs.close()
        for twin in twins.values():
            twin.release()
        return Job(core, process, ours)

    def _replace(self, job: Job) -> None:
        self._end(job)
        fresh = self._started(job.core)
        job.process, job.connection, job.task = fresh.process, fresh.connection, None

    def _given_up(self, task: Task, why: str) -> Outcome:
        grader = Grader(self.asked)
        outcome = grader.outcome(task, grader.ungraded(task, why))
        write(self.folder, outcome.files)
        return outcome

    def _end(self, job: Job) -> None:
        job.connection.close()
        job.process.kill()
        job.process.join()

    def close(self) -> None:
        """End every process, also in the midst of its work."""
        for job in self.jobs:
            self._end(job)
        for mother in self.mothers.values():
            mother.close()


def available_cores() -> list[int]:
    """Return the numbers of the cores that this process may run on; none where nothing tells."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return []


def _serve(
    tasks: Connection,
    asked: Asked,
    folder: Path,
    twins: Mapping[tuple[str, ...], Zygote],
    core: int,
    runner: int,
    others: Iterable[Connection],
) -> None:
    """Be a process that grades, until the runner closes its end of the pipe or ends."""
    follow_runner()
    for each in others:
        each.close()
    if sys.platform == "linux":
        calls.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != runner:
            os._exit(0)
        dumpable.make_undumpable()
    if core >= 0:
        for twin in twins.values():
            twin.keep_on(core)
    grader = Grader(asked, twins)
    try:
        while True:
            task = tasks.recv()
            outcome = grader.grade(task)
            try:
                write(folder, outcome.files)
            except WriteError as error:
                tasks.send(error)
                continue
            tasks.send(type(outcome)(outcome.id, outcome.summary))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    finally:
        grader.close()
