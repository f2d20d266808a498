"""Grade the submissions of a class one after another, in one process.

The engine grades, as it does for pytest; here is what a class adds: who handed in, a seed that
follows from the files, a result in every case, and the texts of all that is written.
"""

from __future__ import annotations

import datetime
import gc
import importlib
import json
import pkgutil
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lossgrade import language
from lossgrade.cohort.asked import FEEDBACK
from lossgrade.cohort.class_reports import path_of
from lossgrade.cohort.graded import Summary, summary
from lossgrade.engine import Grading, make_result, versions
from lossgrade.language import say
from lossgrade.manifest import manifest
from lossgrade.reports import render
from lossgrade.result import Result, SandboxRecord, SubmissionRecord
from lossgrade.sandbox.host import Worker, Zygote
from lossgrade.student import frameworks
from lossgrade.submission import Submission

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lossgrade.cohort.asked import Asked, Task

TRIES = 3
# What explains a failure, lints and writes feedback: all modules of these.
PRELOADED = (
    "lossgrade.rubric",
    "lossgrade.diagnosis",
    "lossgrade.counterexample",
    "lossgrade.reports",
    "lossgrade_checks.meaning",
    "lossgrade_checks.rules",
)
# Needs matplotlib, and few runs ask for it.
DRAWING = {"lossgrade.reports.pictures"}


@dataclass(frozen=True)
class Outcome:
    """What became of one task.

    Attributes:
        files: text by path, relative to the output folder or absolute; empty once written.
    """

    id: str
    summary: Summary
    files: Mapping[str, str] = field(default_factory=dict)


def preload() -> None:
    """Import what grading may need, before processes are forked: they share it then."""
    for package in map(importlib.import_module, PRELOADED):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            if module.name not in DRAWING:
                importlib.import_module(module.name)
    importlib.import_module("numpy.random")
    importlib.import_module("lossgrade_checks.files")
    gc.collect()
    gc.freeze()


class Grader:
    """Grades tasks, in a process that does nothing else."""

    def __init__(
        self, asked: Asked, zygotes: Mapping[tuple[str, ...], Zygote] | None = None
    ) -> None:
        """Prepare; a zygote that is needed and not given is started.

        Args:
            asked: what is asked of every submission.
            zygotes: by the frameworks that they have loaded.
        """
        language.use(asked.settings.language)
        self.asked = asked
        self.zygotes = dict(zygotes or {})

    def grade(self, task: Task) -> Outcome:
        """Grade one submission, or make the outputs of its result that are asked for."""
        try:
            return self._kept(task) or self.outcome(task, self._by_engine(task))
        except Exception as error:
            # Ours or the machine's; the class goes on, and this one is tried again next time.
            return self.outcome(task, self.ungraded(task, f"{type(error).__name__}: {error}"))

    def _kept(self, task: Task) -> Outcome | None:
        """Return what becomes of a result that is there; None where it is not, or is damaged."""
        if task.record is None:
            return None
        told = self._submission(task)
        try:
            record = json.loads(task.record.read_bytes())
            renamed = record["submission"] != told.model_dump()
            if not (renamed or task.feedback or self.asked.reports):
                return Outcome(task.entry.id, summary(record))
            result = Result.model_validate(record)
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return None
        # A roster may have come since, or another name in it.
        return self.outcome(task, result.model_copy(update={"submission": told}), kept=not renamed)

    def _by_engine(self, task: Task) -> Result:
        asked, entry = self.asked, task.entry
        assert entry.path is not None
        submission = replace(Submission.at(entry.path, asked.assignment.entry), id=entry.id)
        wanted = tuple(frameworks(submission, asked.assignment))
        if wanted not in self.zygotes:
            self.zygotes[wanted] = Zygote(wanted)
        zygote = self.zygotes[wanted]
        for _ in range(TRIES):
            before = zygote.starts, Worker.stops
            result = self._by_zygote(task, submission, zygote)
            if zygote.is_alive() and (zygote.starts, Worker.stops) == before:
                break
            # Killed or stopped from outside: what the student lost by that is not their fault.
        return result

    def _by_zygote(self, task: Task, submission: Submission, zygote: Zygote) -> Result:
        asked = self.asked
        grading = Grading(
            submission,
            asked.assignment,
            zygote,
            folder=asked.folder,
            seed=asked.seed(task.files),
            required_level=asked.settings.required_level,
            show_hidden=asked.settings.show_hidden,
            detect=asked.settings.detect,
        )
        try:
            records = grading.run_all()
            grading.look_closer(records, pictures=asked.settings.pictures)
        finally:
            grading.close()
        return self._named(task, grading.result(records))

    def ungraded(self, task: Task, why: str) -> Result:
        """Return the result of a submission that could not be graded, through no fault of its."""
        asked = self.asked
        result = make_result(
            manifest(asked.assignment, asked.folder),
            {},
            not_run=say("could not be graded: {why}", why=why),
            assignment=asked.assignment,
            submission=SubmissionRecord(id=task.entry.id, path=""),
            sandbox=SandboxRecord(level="none"),
            seed=asked.seed(task.files),
            started_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            duration_s=0,
            versions=versions(),
        )
        return self._named(task, result)

    def _named(self, task: Task, result: Result) -> Result:
        """Return the result with what it was made from, and for whom."""
        return result.model_copy(
            update={
                "key": self.asked.key(task.files),
                "submission": self._submission(task),
                "assignment": result.assignment.model_copy(update={"digest": self.asked.digest}),
            }
        )

    def _submission(self, task: Task) -> SubmissionRecord:
        names = [each.name or each.email or each.id for each in task.entry.students]
        return SubmissionRecord(
            id=task.entry.id, path=task.entry.source, students=names, digest=task.files
        )

    def outcome(self, task: Task, result: Result, *, kept: bool = False) -> Outcome:
        """Return the texts of all outputs of a result; the record, which says done, comes last.

        Args:
            task: of the result.
            result: of the task's submission.
            kept: its record is there already, and feedback where the task does not ask for it.
        """
        name = task.entry.id
        files: dict[str, str] = {}
        if task.feedback or not kept:
            files |= {
                f"feedback/{name}.{FEEDBACK[each]}": render(each, result) for each in FEEDBACK
            }
        for request in self.asked.reports:
            files[str(path_of(request, name).absolute())] = render(request.format, result)
        if not kept:
            files[f"results/{name}.json"] = render("json", result)
        return Outcome(name, summary(result.model_dump(by_alias=True)), files)

    def close(self) -> None:
        """End the zygotes."""
        for zygote in self.zygotes.values():
            zygote.close()
