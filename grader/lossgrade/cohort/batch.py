"""What a Dask worker is sent, and how it grades it.

The machines of a cluster share no disk. What was handed in travels with its task; a worker writes
it to a temporary folder, grades it as a process of this machine would, and sends the texts of all
outputs back.

A worker needs no main thread, and starts its zygotes with exec: below a nanny it may not use
multiprocessing. It keeps them from batch to batch, and ends them when none has come for a while:
it does not matter how the client ended. They end with the worker, too.
"""

from __future__ import annotations

import os
import pickle
import platform
import tempfile
import threading
from dataclasses import dataclass, replace
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from lossgrade.submission import Submission

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lossgrade.cohort.asked import Asked, Task
    from lossgrade.cohort.grader import Outcome
    from lossgrade.sandbox.host import Zygote

# How long a worker without work keeps its zygotes.
IDLE_SECONDS = 60.0
# What a grade depends on, beside Python's minor version.
PACKAGES = ("lossgrade", "numpy", "torch")


@dataclass(frozen=True)
class HandedIn:
    """A task as it travels.

    Attributes:
        task: without its path, which means nothing elsewhere.
        name: of the file or folder that is graded.
        files: what they hold, by their place in the folder; a single file has the place ".".
    """

    task: Task
    name: str
    is_folder: bool
    files: Mapping[str, bytes]


@dataclass(frozen=True)
class Batch:
    """What a worker is sent: all that it needs.

    Attributes:
        asked: without its folder; the extra criteria are named as in `criteria`.
        criteria: the files of the extra criteria, by their place in a folder.
        versions: of the client, which the worker must have too.
    """

    asked: Asked
    criteria: Mapping[str, bytes]
    versions: Mapping[str, str]
    tasks: tuple[HandedIn, ...]


def portable(asked: Asked) -> tuple[Asked, dict[str, bytes]]:
    """Return what is asked, and the files of its extra criteria, without paths of this machine."""
    criteria = {
        f"{number}/{Path(name).name}": (asked.folder / name).read_bytes()
        for number, name in enumerate(asked.assignment.extra_criteria)
        if asked.folder is not None
    }
    assignment = asked.assignment.model_copy(update={"extra_criteria": list(criteria)})
    reports = tuple(replace(each, path=each.path.absolute()) for each in asked.reports)
    return replace(asked, assignment=assignment, folder=None, reports=reports), criteria


def versions() -> dict[str, str]:
    """Return what a grade depends on: Python's minor version and those of packages."""
    return compared(
        {"python": platform.python_version(), **{each: _version(each) for each in PACKAGES}}
    )


@cache
def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def compared(found: Mapping[str, str | None]) -> dict[str, str]:
    """Return versions as they are compared: 3.11 of 3.11.2, and 2.13.0 of 2.13.0+cpu."""
    packages = {each: (found[each] or "").partition("+")[0] for each in PACKAGES}
    return {"python": ".".join((found["python"] or "").split(".")[:2]), **packages}


def mismatch(theirs: Mapping[str, str], ours: Mapping[str, str], packages: Iterable[str]) -> str:
    """Say in which versions a machine differs from the client; "" where in none."""
    for name in ("python", *packages):
        if theirs[name] != ours[name]:
            return f"{name} {theirs[name] or 'is not installed'}, expected {ours[name]} as here"
    return ""


_lock = threading.Lock()
_zygotes: dict[tuple[str, ...], Zygote] = {}
_idle: threading.Timer | None = None


def grade_batch(packed: bytes) -> bytes:
    """Grade a batch in a worker of the cluster; return the pickled outcomes.

    One at a time, however many threads the worker has: a zygote serves one at a time.

    Raises:
        RuntimeError: this machine has other versions than the client.
    """
    global _idle
    with _lock:
        if _idle is not None:
            _idle.cancel()
        try:
            return pickle.dumps(_graded(pickle.loads(packed)))  # noqa: S301  # as all that Dask carries
        finally:
            _idle = threading.Timer(IDLE_SECONDS, _close)
            _idle.daemon = True
            _idle.start()


def _graded(batch: Batch) -> list[Outcome]:
    from distributed import get_worker

    from lossgrade.cohort.grader import Grader, preload
    from lossgrade.cohort.jobs import BESIDES_SECONDS
    from lossgrade.sandbox.layers import dumpable

    worker = get_worker()
    if problem := mismatch(versions(), batch.versions, PACKAGES):
        raise RuntimeError(f"{worker.address}: {problem}")
    dumpable.make_undumpable()
    seconds = batch.asked.assignment.limits.submission_seconds + BESIDES_SECONDS
    # Dask clears its own folder also where a worker was killed.
    with tempfile.TemporaryDirectory(dir=worker.local_directory) as name:
        folder = Path(name)
        for place, content in batch.criteria.items():
            _put(folder / "criteria" / place, content)
        tasks = [_unpacked(each, folder / str(number)) for number, each in enumerate(batch.tasks)]
        asked = replace(batch.asked, folder=folder / "criteria")
        first = not _zygotes
        _start(asked, tasks)
        if first:
            # While they load.
            preload()
        grader = Grader(asked, _zygotes)
        outcomes = []
        for task in tasks:
            # What takes longer hangs, and a thread cannot be ended: Dask replaces the worker.
            watch = threading.Timer(seconds, os._exit, (1,))
            watch.daemon = True
            watch.start()
            outcomes.append(grader.grade(task))
            watch.cancel()
    return outcomes


def _start(asked: Asked, tasks: Iterable[Task]) -> None:
    """Start the zygotes that the tasks need and that are not there yet, and wait for none."""
    from lossgrade.sandbox.host import Zygote
    from lossgrade.student import frameworks

    for task in tasks:
        assert task.entry.path is not None
        submission = Submission.at(task.entry.path, asked.assignment.entry)
        wanted = tuple(frameworks(submission, asked.assignment))
        if wanted not in _zygotes:
            _zygotes[wanted] = Zygote(wanted)


def _unpacked(handed_in: HandedIn, folder: Path) -> Task:
    """Write the files of a submission below `folder` and return the task for them."""
    root = folder / handed_in.name
    if handed_in.is_folder:
        root.mkdir(parents=True)
    for place, content in handed_in.files.items():
        _put(root / place, content)
    return replace(handed_in.task, entry=replace(handed_in.task.entry, path=root))


def _put(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def _close() -> None:
    with _lock:
        for zygote in _zygotes.values():
            zygote.close()
        _zygotes.clear()
