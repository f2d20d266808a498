"""One file of a run: read, linted, and fixed if asked for. What comes back crosses processes."""

from __future__ import annotations

import collections
import os
import stat
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from lossgrade_checks.apply import Fixed, FixFailed, fix
from lossgrade_checks.lint import Linted, lint, unreadable
from lossgrade_checks.prefilter import might_matter
from lossgrade_checks.source import Source, Unreadable, Unwritable, read_source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lossgrade_checks.engine import Project
    from lossgrade_checks.finding import Applicability, Finding, Place
    from lossgrade_checks.rule import Rule

Mode = Literal["check", "fix", "diff"]


class Task(NamedTuple):
    """A file, the rules that are on in it, and what is to be done with the fixes."""

    path: Path
    codes: tuple[str, ...]
    mode: Mode = "check"
    level: Applicability = "safe"


class Report(NamedTuple):
    """A finding with what the output shows of it: rows of source, and places of the edits."""

    finding: Finding
    line: str
    related_lines: tuple[str, ...]
    edits: tuple[Place, ...]


class Outcome(NamedTuple):
    """What came of a file. `data` is its content after the fixes; None if that is not known."""

    path: Path
    reports: list[Report]
    fixed: collections.Counter[str]
    error: str = ""
    data: bytes | None = None
    diff: str = ""


def run_file(task: Task, rules: Sequence[type[Rule]], project: Project) -> Outcome:
    """Read a file, lint it, and do with its fixes what the task says. Never raises."""
    try:
        data = task.path.read_bytes()
    except OSError as error:
        fault = Unreadable(f"cannot be read: {error.strerror}; it was not linted")
        return Outcome(task.path, [_bare(task.path, fault)], collections.Counter())
    if not might_matter(data):
        return Outcome(task.path, [], collections.Counter(), data=data)
    outcome = run_content(task, data, rules, project)
    if task.mode == "fix" and outcome.data is not None and outcome.data != data:
        try:
            write(task.path, data, outcome.data)
        except OSError as error:
            reason = f"{task.path}: cannot be written: {error.strerror or error}; it is unchanged"
            unfixed = run_content(task._replace(mode="check"), data, rules, project)
            return unfixed._replace(error=reason)
    return outcome


def run_content(task: Task, data: bytes, rules: Sequence[type[Rule]], project: Project) -> Outcome:
    """Lint the content of a file, and fix it without writing it. Never raises."""
    nothing: collections.Counter[str] = collections.Counter()
    try:
        source = read_source(task.path, data)
        linted = lint(source, rules, project)
        before = Fixed(data, linted, nothing)
    except Unreadable as error:
        return Outcome(task.path, [_bare(task.path, error)], nothing, data=data)
    except Exception as error:  # one file must not hide the others
        return Outcome(task.path, [], nothing, _internal(task.path, error), data)
    after, problem, diff = before, "", ""
    try:
        if task.mode != "check":
            after = fix(data, linted, lambda made: lint(made, rules, project), task.level)
        if task.mode == "diff" and after.data != data:
            from lossgrade_checks.diff import diff_of

            diff = diff_of(source, read_source(task.path, after.data))
        reports = _reports(after.linted)
    except (FixFailed, Unwritable) as error:
        advice = "; please report this" if isinstance(error, FixFailed) else ""
        problem = f"{task.path}: {error}; the file is unchanged{advice}"
        after, reports = before, _reports(linted)
    except Exception as error:  # as above
        return Outcome(task.path, _reports(linted), nothing, _internal(task.path, error), data)
    return Outcome(task.path, reports, after.counts, problem, after.data, diff)


def write(path: Path, expected: bytes, data: bytes) -> None:
    """Put `data` in place of the file's content, at once or not at all.

    Args:
        path: the file; of a link, what it leads to.
        expected: what the file held when it was read.
        data: what it is to hold.
    Raises:
        OSError: it cannot be written, or it has changed since it was read.
    """
    target = Path(os.path.realpath(path))
    if target.read_bytes() != expected:
        raise OSError("it has changed since it was read; run this again")
    before = target.stat()
    if not before.st_mode & stat.S_IWUSR:
        raise OSError("it is read-only")
    handle, name = tempfile.mkstemp(prefix=".lossgrade-", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).chmod(stat.S_IMODE(before.st_mode))
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _reports(linted: Linted) -> list[Report]:
    return [_report(linted.source, finding) for finding in linted.findings]


def _report(source: Source, finding: Finding) -> Report:
    edits = finding.fix.edits if finding.fix else ()
    return Report(
        finding,
        source.line(finding.place),
        tuple(_line(source, related.place) for related in finding.related),
        tuple(source.place(edit.start, edit.end) for edit in edits),
    )


def _line(source: Source, place: Place) -> str:
    """Return the row at a related place, which may stand in another file."""
    if place.filename != str(source.path):
        path = Path(place.filename)
        try:
            source = read_source(path, path.read_bytes())
        except (OSError, Unreadable):
            return ""
    return source.line(place)


def _bare(path: Path, fault: Unreadable) -> Report:
    return Report(unreadable(str(path), fault), "", (), ())


def _internal(path: Path, error: Exception) -> str:
    """Return the line for a mistake of ours."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    where = ""
    if trace:
        name = Path(trace.tb_frame.f_code.co_filename).name
        where = f" at {name}:{trace.tb_lineno}"
    said = " ".join(str(error).split())[:200]
    return (
        f"{path}: internal error, {type(error).__name__}: {said}{where} "
        f"(Python {sys.version.split()[0]}); it was not linted, please report this"
    )
