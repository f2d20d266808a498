"""All files of a run, in this process or, where there is enough work, in several."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections import Counter
from typing import TYPE_CHECKING

from lossgrade_checks.engine import Project
from lossgrade_checks.files import Outcome, Task, run_file
from lossgrade_checks.prefilter import might_matter
from lossgrade_checks.rules import all_rules

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future
    from multiprocessing.context import BaseContext
    from pathlib import Path

    from lossgrade_checks.rule import Rule

FORKS = sys.platform == "linux"

# Below this many bytes in files that hold a marker, further processes take longer to start than
# they save. Measured on torch's own files with 4 processors: by a fork 110 kB took 0.9 times as
# long as in one process, 210 kB 0.8 and 800 kB 0.4. A process started anew imports all again.
WORTH_PROCESSES = 150_000 if FORKS else 600_000
# Small enough for no process to end long before another, large enough to cost little to send.
BATCH_BYTES = 30_000
# The cyclic collector is off while files are linted. Trees and programs hold no cycles: it took a
# fifth of the time of a run over 6 MB to free 6 MB of 165, and called once in 560 files still a
# tenth, to free 1 MB of 99.

_project: Project | None = None


def run(tasks: Sequence[Task], jobs: int | None = None) -> Iterator[Outcome]:
    """Yield what came of each file, in the order of `tasks` whatever the number of processes.

    Args:
        tasks: what to do, a file each.
        jobs: the most processes to use; None for as many as the machine has processors.
    """
    sizes = {task.path: _work(task.path) for task in tasks}
    wanted = [task for task in tasks if sizes[task.path] is not None]
    done = _run_all(wanted, [sizes[task.path] or 0 for task in wanted], jobs or _processors())
    for task in tasks:
        if sizes[task.path] is None:
            yield Outcome(task.path, [], Counter())
        else:
            yield next(done)


def _work(path: Path) -> int | None:
    """Return how many bytes there are to parse; None where a file holds no marker."""
    try:
        data = path.read_bytes()
    except OSError:
        # This is told where the file is read again.
        return 0
    return len(data) if might_matter(data) else None


def _run_all(tasks: Sequence[Task], sizes: Sequence[int], jobs: int) -> Iterator[Outcome]:
    jobs = min(jobs, len(tasks))
    if jobs > 1 and sum(sizes) >= WORTH_PROCESSES:
        yield from _run_in_processes(tasks, sizes, jobs)
        return
    gc.disable()
    try:
        yield from map(_run, tasks)
    finally:
        # Else it would begin by walking all that stays: 0.17 s of 2.6 after 560 files.
        gc.freeze()
        gc.enable()


def _run(task: Task) -> Outcome:
    # One for a process: it remembers the files that others import.
    global _project
    if _project is None:
        _project = Project()
    return run_file(task, _rules(task.codes), _project)


def _rules(codes: Sequence[str]) -> list[type[Rule]]:
    wanted = set(codes)
    return [rule for rule in all_rules() if rule.code in wanted]


def _run_batch(tasks: Sequence[Task]) -> list[Outcome]:
    return [_run(task) for task in tasks]


def _run_in_processes(tasks: Sequence[Task], sizes: Sequence[int], jobs: int) -> Iterator[Outcome]:
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    done: dict[Path, Outcome] = {}
    batches = _batches(tasks, sizes)
    pool = ProcessPoolExecutor(min(jobs, len(batches)), _context(), _begin)
    try:
        waiting: list[tuple[list[Task], Future[list[Outcome]]]] = [
            (batch, pool.submit(_run_batch, batch)) for batch in batches
        ]
        order = iter(waiting)
        for task in tasks:
            while task.path not in done:
                batch, future = next(order)
                try:
                    outcomes = future.result()
                except BrokenProcessPool:
                    outcomes = [_alone(each) for each in batch]
                done |= {outcome.path: outcome for outcome in outcomes}
            yield done.pop(task.path)
    finally:
        # On Ctrl-C nothing is waited for that has not begun.
        pool.shutdown(wait=True, cancel_futures=True)


def _batches(tasks: Sequence[Task], sizes: Sequence[int]) -> list[list[Task]]:
    """Return the tasks in batches, in order, of about as many bytes each."""
    batches: list[list[Task]] = []
    room = 0
    for task, size in zip(tasks, sizes, strict=True):
        if room <= 0:
            batches.append([])
            room = BATCH_BYTES
        batches[-1].append(task)
        room -= size
    return batches


def _alone(task: Task) -> Outcome:
    """Run a file in a process of its own, since some file has brought down its process."""
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    with ProcessPoolExecutor(1, _context(), _begin) as pool:
        try:
            return pool.submit(_run, task).result()
        except BrokenProcessPool:
            reason = f"{task.path}: internal error: the process that linted it has crashed; "
            return Outcome(task.path, [], Counter(), f"{reason}please report this")


def _context() -> BaseContext:
    """Return how processes start: by a fork on Linux, where it costs least and this one is single.

    Elsewhere anew: macOS's own libraries do not survive a fork, and Windows has none.
    """
    import multiprocessing

    if FORKS:
        # Imported once, for all processes.
        import libcst  # noqa: F401

        # What the imports have made stays for good, and no page of it is copied for a count.
        gc.freeze()
        return multiprocessing.get_context("fork")
    return multiprocessing.get_context("spawn")


def _begin() -> None:
    gc.disable()
    # Ctrl-C goes to all processes of the terminal. The first one ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    # Windows waits for 61 processes at most.
    return min(os.cpu_count() or 1, 61)
