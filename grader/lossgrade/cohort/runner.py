"""Grade a class: read what was handed in, grade what is not graded yet, write what comes of it.

What is done stays: a result lands as soon as it is there, and says what it was made from, so that
the next run over the same folder takes up where one was stopped, in whatever way.
"""

from __future__ import annotations

import contextlib
import datetime
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from lossgrade.cohort import progress, signals
from lossgrade.cohort.asked import Asked, Settings, Task, digest_of_assignment, digest_of_files
from lossgrade.cohort.class_reports import ClassReport, check_class_report, write_class_report
from lossgrade.cohort.entry import Student
from lossgrade.cohort.graded import GradedCohort, Line, Row
from lossgrade.cohort.layouts.read import read_cohort
from lossgrade.cohort.progress import tell
from lossgrade.cohort.store import Store, WriteError
from lossgrade.reports import ReportError
from lossgrade.student import frameworks
from lossgrade.submission import Submission, SubmissionError, Unloadable

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence
    from pathlib import Path

    from lossgrade.assignment import Assignment
    from lossgrade.cohort.entry import Cohort, Entry
    from lossgrade.cohort.graded import Status, Summary
    from lossgrade.cohort.grader import Outcome
    from lossgrade.manifest import Graded
    from lossgrade.reports import Request


class RunError(Exception):
    """A mistake in the use of the command; the text is one line."""


@dataclass(frozen=True)
class Options:
    """What the command line asks for.

    Attributes:
        folder: where the assignment's extra criteria lie.
        reports: that are written for each submission.
        class_reports: that are written once.
        regrade: ids of entries, or of students, that are graded again.
        changed_only: keep the results of submissions whose files have not changed.
        scheduler: the address of a Dask scheduler; "" for processes of this machine.
    """

    paths: tuple[Path, ...]
    out: Path
    assignment: Assignment
    folder: Path | None
    manifest: Sequence[Graded]
    jobs: int
    seed: str = ""
    detect: bool = False
    language: str = "en"
    required_level: str = "process"
    show_hidden: bool = False
    pictures: bool = False
    reports: tuple[Request, ...] = ()
    class_reports: tuple[ClassReport, ...] = ()
    layout: str = ""
    roster: Path | None = None
    attempts: Literal["newest", "all"] = "newest"
    resume: bool = True
    regrade: tuple[str, ...] = ()
    changed_only: bool = False
    scheduler: str = ""
    quiet: bool = False


@dataclass
class Plan:
    """What is to be done.

    Attributes:
        unreadable: why an entry cannot be graded, by its id.
        current: how many results are there already.
        frameworks: that the submissions which are graded need.
    """

    tasks: list[Task] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    current: int = 0
    frameworks: set[tuple[str, ...]] = field(default_factory=set)


def run(options: Options) -> int:
    """Grade a class and return the exit code.

    0 when every entry that can be read has a result; 1 when an output cannot be written; 128 and
    the signal's number when the run was stopped. The last line says which.

    Raises:
        RunError, LayoutError, StoreError: a mistake in the use of the command.
        Stopped: the run was stopped before anything was graded.
    """
    with Store(options.out) as store:
        return _Run(options, store).run()


class _Run:
    def __init__(self, options: Options, store: Store) -> None:
        self.options = options
        self.store = store
        self.asked = Asked(
            options.assignment,
            options.folder,
            digest_of_assignment(options.assignment, options.folder),
            Settings(
                store.seed(options.seed),
                options.detect,
                options.language,
                options.required_level,
                options.show_hidden,
                options.pictures,
            ),
            options.reports,
        )
        self.summaries: dict[str, Summary] = {}

    def run(self) -> int:
        options = self.options
        cohort = read_cohort(
            options.paths,
            self.store.unpacked,
            layout=options.layout,
            attempts=options.attempts,
            roster=options.roster,
            entry=options.assignment.entry,
        )
        out = options.out.resolve()
        for entry in cohort.entries:
            if entry.path is not None and out.is_relative_to(entry.path.resolve()):
                raise RunError(f"--out {options.out}: lies in {entry.source}, which is graded")
        if len(cohort.entries) > 1 and any(r.format == "classroom50" for r in options.reports):
            raise RunError(
                "--report classroom50: the environment tells of one submission, "
                f"found {len(cohort.entries)}"
            )
        plan = self._plan(cohort)
        for report in options.class_reports:
            # Told before anything is graded: a column that is not there.
            check_class_report(report, self._graded_cohort(cohort, plan, ""))
        self._say(_opening(cohort, plan))
        tally = progress.Tally(len(plan.tasks), plan.current)
        stopped = ""
        code = 0
        try:
            with (
                progress.screen(quiet=options.quiet) as screen,
                contextlib.closing(self._outcomes(plan)) as outcomes,
            ):
                for outcome in outcomes:
                    self.summaries[outcome.id] = outcome.summary.interned()
                    tally.add(outcome.summary)
                    screen.show(tally)
        except signals.Stopped as stop:
            stopped, code = str(stop), stop.code
        except WriteError as error:
            stopped, code = str(error), 1
        except OSError as error:
            stopped, code = f"this machine gave out ({error.strerror or error})", 1
        # What was finished is in the gradebook, whatever ended the rest.
        with signals.ignored():
            unwritten = self._write_class(cohort, plan, stopped)
        if stopped or unwritten:
            for line in unwritten:
                tell(f"lossgrade: {line}", sys.stderr)
            left = len(plan.tasks) - tally.done
            rest = f"; the same command grades the other {left}" if left else ""
            done = f"{tally.done} of {len(plan.tasks)} graded{rest}"
            tell(f"lossgrade: {stopped or 'not all was written'}: {done}", sys.stderr)
            return code or 1
        self._say(_closing(tally, plan))
        return 0

    # --- what is to be done ---------------------------------------------------------------

    def _plan(self, cohort: Cohort) -> Plan:
        plan = Plan()
        regrade = self._regraded(cohort)
        for entry in cohort.entries:
            if entry.path is None:
                plan.unreadable[entry.id] = entry.problem
                continue
            try:
                submission = Submission.at(entry.path, self.options.assignment.entry)
                files = digest_of_files(submission)
            except (Unloadable, SubmissionError) as error:
                plan.unreadable[entry.id] = str(error)
                continue
            except OSError as error:
                plan.unreadable[entry.id] = f"cannot be read ({error.strerror})"
                continue
            current = (
                self.options.resume
                and entry.id not in regrade
                and self.store.is_current(
                    entry.id,
                    self.asked.key(files),
                    files,
                    self.options.required_level,
                    by_files=self.options.changed_only,
                )
            )
            plan.current += current
            plan.tasks.append(
                Task(
                    entry,
                    files,
                    self.store.record(entry.id) if current else None,
                    feedback=not (current and self.store.has_feedback(entry.id)),
                )
            )
            if not current:
                plan.frameworks.add(tuple(frameworks(submission, self.options.assignment)))
        # What is there already comes at once, and counts even if the rest is stopped.
        plan.tasks.sort(key=lambda task: task.record is None)
        return plan

    def _regraded(self, cohort: Cohort) -> set[str]:
        """Return the ids of the entries that `--regrade` names, by their own or a student's id."""
        found: set[str] = set()
        for name in self.options.regrade:
            meant = {entry.id for entry in cohort.entries if name in _names(entry)}
            if not meant:
                raise RunError(f"--regrade {name}: no submission or student of that id")
            found |= meant
        return found

    def _outcomes(self, plan: Plan) -> Generator[Outcome, None, None]:
        if self.options.scheduler:
            from lossgrade.cohort.cluster import Cluster

            with contextlib.closing(
                Cluster(self.asked, self.store.folder, self.options.scheduler)
            ) as cluster:
                yield from cluster.outcomes(plan.tasks)
            return
        with signals.held_back():
            from lossgrade.cohort.jobs import Jobs

        with contextlib.closing(
            Jobs(self.asked, self.store.folder, self.options.jobs, plan.frameworks)
        ) as jobs:
            yield from jobs.outcomes(plan.tasks)

    # --- what comes of it -----------------------------------------------------------------

    def _write_class(self, cohort: Cohort, plan: Plan, stopped: str) -> list[str]:
        """Write the gradebook and the reports on the class; return what could not be written."""
        graded = self._graded_cohort(cohort, plan, stopped)
        out = self.store.folder
        asked = [
            ClassReport("csv", out / "gradebook.csv"),
            ClassReport("html", out / "report.html"),
        ]
        unwritten, written = [], []
        for report in [*asked, *self.options.class_reports]:
            try:
                notes = write_class_report(report, graded, out / "results")
            except (WriteError, ReportError) as error:
                unwritten.append(str(error))
                continue
            self._say([f"{report.format}: {note}" for note in notes])
            written.append(report.path)
        for path in written:
            tell(path if self.options.quiet else f"written: {path}", sys.stdout)
        return unwritten

    def _graded_cohort(self, cohort: Cohort, plan: Plan, stopped: str) -> GradedCohort:
        assignment = self.options.assignment
        return GradedCohort(
            assignment=assignment.name,
            version=assignment.version,
            title=assignment.title or assignment.name,
            layout=cohort.layout,
            language=self.options.language,
            graded_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            lines=tuple(
                Line(
                    each.id,
                    each.function,
                    each.criterion.title,
                    each.max_score,
                    each.max_bonus,
                    each.visibility,
                )
                for each in self.options.manifest
            ),
            rows=tuple(self._rows(cohort, plan, stopped)),
            feedback={
                entry.id: f"feedback/{entry.id}.html"
                for entry in cohort.entries
                if entry.id in self.summaries
            },
            notes=cohort.notes,
        )

    def _rows(self, cohort: Cohort, plan: Plan, stopped: str) -> Iterator[Row]:
        for entry in cohort.entries:
            summary = self.summaries.get(entry.id)
            row: tuple[Status, str]
            if entry.id in plan.unreadable:
                row = "unreadable", plan.unreadable[entry.id]
            elif summary is None:
                row = "not-graded", f"was not graded yet: {stopped}"
            elif summary.outcome == "not-graded":
                row = "not-graded", summary.problem
            else:
                row = "graded", ""
            for student in entry.students or (Student(),):
                yield Row(student, entry, summary, *row)
        for student in cohort.missing:
            yield Row(student, None, None, "missing")

    def _say(self, lines: Iterable[str]) -> None:
        if not self.options.quiet:
            for line in lines:
                tell(line, sys.stderr)


def _opening(cohort: Cohort, plan: Plan) -> Iterator[str]:
    count = len(cohort.entries)
    missing = f", {len(cohort.missing)} of the roster missing" if cohort.missing else ""
    yield f"layout: {cohort.layout}; {_count(count, 'submission')}{missing}"
    yield from (f"note: {note}" for note in cohort.notes)
    for entry in cohort.entries:
        if entry.id in plan.unreadable:
            yield f"{entry.source or entry.id}: could not be read: {plan.unreadable[entry.id]}"
    if plan.current:
        yield f"{plan.current} of them graded before, and unchanged"


def _closing(tally: progress.Tally, plan: Plan) -> Iterator[str]:
    unreadable = f", {len(plan.unreadable)} could not be read" if plan.unreadable else ""
    ungraded = (
        f", {tally.ungraded} not graded through no fault of theirs: the same command tries again"
        if tally.ungraded
        else ""
    )
    fresh = tally.done - plan.current
    yield (
        f"{_count(tally.done, 'submission')} graded, {fresh} of them now in {tally.seconds:.1f} s"
        f"{tally.mean}{unreadable}{ungraded}"
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _names(entry: Entry) -> set[str]:
    told = {entry.id}
    for student in entry.students:
        told |= {student.id, student.email, student.name}
    return told - {""}
