"""The command `lossgrade grade`: what it takes, and what is wrong with it."""

from __future__ import annotations

import argparse
import io
import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lossgrade.cohort.class_reports import ClassReport
    from lossgrade.cohort.runner import Options
    from lossgrade.reports import Request

# In the output folder.
OWN_FOLDERS = ("results", "feedback", ".work", ".lock")
EPILOG = """\
Exit code: 0 when every submission has a result, whatever the scores; 1 when an output could not be
written; 2 for a mistake in the use of the command; 130 or 143 when stopped by Ctrl-C or SIGTERM.
What was finished stays, and the same command grades the rest.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `lossgrade grade`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="what a platform exports: folder or zip"
    )
    parser.add_argument(
        "--assignment", default="stat453", metavar="NAME|FILE", help="what was asked for"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("graded"), metavar="DIR", help="default: graded"
    )
    parser.add_argument(
        "--jobs", "-j", type=int, default=0, metavar="N", help="processes; default: one a core"
    )
    parser.add_argument(
        "--scheduler", default="", metavar="ADDRESS", help="grade on a Dask cluster instead"
    )
    parser.add_argument(
        "--report",
        action="append",
        default=[],
        metavar="FORMAT:PATH",
        help="on the class: csv, json, html, junit, canvas, moodle; for each submission, into the "
        "folder PATH or to a PATH with {id} in it: gradescope, github-classroom, prairielearn, "
        "classroom50, markdown",
    )
    parser.add_argument("--layout", default="", metavar="NAME", help="of PATH; default: detected")
    parser.add_argument("--roster", type=Path, metavar="CSV", help="who is in the class")
    parser.add_argument("--attempts", choices=("newest", "all"), default="newest")
    resume = parser.add_argument_group("what is graded again")
    resume.add_argument(
        "--resume",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="keep results whose submission, assignment and version are the same (default)",
    )
    resume.add_argument(
        "--changed-only",
        action="store_true",
        help="keep results whose submission is the same, also under a changed assignment",
    )
    resume.add_argument(
        "--regrade", action="append", default=[], metavar="ID", help="of a submission or a student"
    )
    filled = parser.add_argument_group("files to fill in")
    filled.add_argument("--canvas-gradebook", type=Path, metavar="CSV", help="exported from Canvas")
    filled.add_argument("--canvas-column", default="", metavar="TITLE|ID")
    filled.add_argument("--moodle-worksheet", type=Path, metavar="CSV", help="from Moodle")
    filled.add_argument("--moodle-column", default="", metavar="HEADER")
    parser.add_argument("--language", default="en", metavar="LANG", help="of feedback: en or zh")
    parser.add_argument("--pictures", action="store_true", help="draw charts in feedback")
    parser.add_argument("--show-hidden", action="store_true", help="say why hidden criteria failed")
    parser.add_argument(
        "--require-sandbox",
        default="",
        metavar="LEVEL",
        help="grade nothing under less; default: process, with --scheduler contained",
    )
    parser.add_argument("--seed", default="", metavar="HEX", help="of the inputs; default: secret")
    parser.add_argument("--quiet", "-q", action="store_true", help="print only what is written")


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    _open_streams()
    # Arrays are tiny here: threads for them would only take the cores from other submissions.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from lossgrade.cohort import signals
    from lossgrade.cohort.progress import tell

    try:
        with signals.raising():
            return _run(options)
    except signals.Stopped as stop:
        tell(f"lossgrade: {stop} before anything was graded; the same command goes on", sys.stderr)
        return stop.code


def _run(options: argparse.Namespace) -> int:
    from lossgrade.cohort.progress import tell
    from lossgrade.cohort.signals import held_back

    # An import that is interrupted fails in other ways.
    with held_back():
        from lossgrade.assignment import AssignmentError
        from lossgrade.cohort import runner
        from lossgrade.cohort.layouts.listing import LayoutError
        from lossgrade.cohort.store import StoreError
        from lossgrade.reports import ReportError
        from lossgrade.sandbox.layers import dumpable

    dumpable.make_undumpable()
    try:
        return runner.run(_options(options))
    except (AssignmentError, LayoutError, StoreError, ReportError, runner.RunError) as error:
        tell(f"lossgrade: {error}", sys.stderr)
        return 2


def _open_streams() -> None:
    """Give standard streams that are closed somewhere to go.

    The next file that is opened would have their numbers, and be written to as if it were they.
    """
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)
            assert nowhere == descriptor
            setattr(sys, name, os.fdopen(nowhere, "r" if descriptor == 0 else "w", closefd=False))
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Any name of a file can be printed.
        sys.stdout.reconfigure(errors="backslashreplace")


def _options(given: argparse.Namespace) -> Options:
    """Check the options.

    Raises:
        AssignmentError, ReportError, RunError: the first that cannot be used.
    """
    from lossgrade.assignment import AssignmentError, load_assignment, split_auto
    from lossgrade.cohort.runner import Options, RunError
    from lossgrade.language import LANGUAGES
    from lossgrade.manifest import manifest
    from lossgrade.reports import Request
    from lossgrade.sandbox.layers.state import LEVELS

    name, detect = split_auto(given.assignment)
    try:
        assignment, folder = load_assignment(name or "stat453")
        lines = manifest(assignment, folder)
    except AssignmentError as error:
        raise AssignmentError(f"--assignment {error}") from None
    if given.seed and not re.fullmatch(r"[0-9a-f]{1,64}", given.seed):
        raise RunError(f"--seed {given.seed}: expected hexadecimal digits")
    if given.jobs < 0:
        raise RunError(f"--jobs {given.jobs}: expected a number of processes")
    if given.language not in LANGUAGES:
        raise RunError(f"--language {given.language}: expected one of {', '.join(LANGUAGES)}")
    level = given.require_sandbox or (LEVELS[-1] if given.scheduler else LEVELS[0])
    if level not in LEVELS:
        raise RunError(f"--require-sandbox {level}: expected one of {', '.join(LEVELS)}")
    if given.scheduler and level != LEVELS[-1]:
        raise RunError(
            f"--require-sandbox {level}: with --scheduler, expected {LEVELS[-1]}: code that is "
            "isolated less could reach the scheduler"
        )
    if given.jobs and given.scheduler:
        raise RunError("--jobs is for this machine alone: with --scheduler, the cluster decides")
    reports = _reports(given)
    _spare_what_was_handed_in(given.out, given.paths)
    _spare_what_is_read(given, reports)
    return Options(
        paths=tuple(given.paths),
        out=given.out,
        assignment=assignment,
        folder=folder,
        manifest=lines,
        jobs=given.jobs or _cores(),
        seed=given.seed,
        detect=detect,
        language=given.language,
        required_level=level,
        show_hidden=given.show_hidden,
        pictures=given.pictures,
        reports=tuple(each for each in reports if isinstance(each, Request)),
        class_reports=tuple(each for each in reports if not isinstance(each, Request)),
        layout=given.layout,
        roster=given.roster,
        attempts=given.attempts,
        resume=given.resume,
        regrade=tuple(given.regrade),
        changed_only=given.changed_only,
        scheduler=given.scheduler,
        quiet=given.quiet,
    )


def _reports(given: argparse.Namespace) -> list[ClassReport | Request]:
    """Return the reports, with the files that they fill in.

    Raises:
        ReportError: one that cannot be written as asked.
    """
    from lossgrade.cohort.class_reports import FILLED, ClassReport, parse_report
    from lossgrade.reports import ReportError

    found: list[ClassReport | Request] = []
    for text in given.report:
        try:
            report = parse_report(text)
        except ReportError as error:
            raise ReportError(f"--report {error}") from None
        if isinstance(report, ClassReport) and report.format in FILLED:
            option = {"canvas": "canvas_gradebook", "moodle": "moodle_worksheet"}[report.format]
            downloaded = getattr(given, option)
            if downloaded is None:
                needed = f"--{option.replace('_', '-')} CSV, the file downloaded there"
                raise ReportError(f"--report {text}: needs {needed}")
            column = getattr(given, f"{report.format}_column")
            report = replace(report, downloaded=downloaded, column=column)
        found.append(report)
    return found


def _spare_what_was_handed_in(out: Path, paths: Sequence[Path]) -> None:
    """Refuse an output folder among submissions, but for one of its own beside them.

    Raises:
        RunError: it is or holds what is graded, or may be a student's.
    """
    from lossgrade.cohort.runner import RunError
    from lossgrade.cohort.store import is_ours

    folder = out.resolve()
    for path in paths:
        whole = path.resolve()
        if whole == folder or any(whole.is_relative_to(folder / name) for name in OWN_FOLDERS):
            raise RunError(f"--out {out}: is what was handed in, or holds it; give another folder")
        if not folder.is_relative_to(whole):
            continue
        if folder.parent != whole:
            raise RunError(
                f"--out {out}: lies deep in {path}, which was handed in; give a folder outside it, "
                "or at its top"
            )
        if not is_ours(folder):
            raise RunError(
                f"--out {out}: lies in {path}, which was handed in, and is not empty; give a new "
                "folder"
            )


def _spare_what_is_read(
    given: argparse.Namespace, reports: Sequence[ClassReport | Request]
) -> None:
    """Refuse a report in place of what is read, of the run's own files or of another report.

    Raises:
        ReportError: the first that would be.
    """
    from lossgrade.cohort.class_reports import path_of
    from lossgrade.reports import ReportError, Request

    out = given.out.resolve()
    taken = {out / name: "the run's own" for name in ("run.json", "gradebook.csv", "report.html")}
    taken[out] = "the output folder"
    for option in ("roster", "canvas_gradebook", "moodle_worksheet"):
        if (file := getattr(given, option)) is not None:
            taken[file.resolve()] = f"the file of --{option.replace('_', '-')}"
    taken[Path(given.assignment).resolve()] = "the assignment"
    for report in reports:
        named = f"--report {report.format}:{report.path}"
        # Some submission: what differs between theirs is no name of a file of ours.
        place = path_of(report, "{id}") if isinstance(report, Request) else report.path
        path = place.resolve()
        if path in taken:
            raise ReportError(f"{named}: is {taken[path]} already")
        taken[path] = "another report"
        if isinstance(report, Request) and path.parent == out:
            raise ReportError(f"{named}: is the run's own folder; give another folder")
        if any(path.is_relative_to(out / each) for each in OWN_FOLDERS):
            raise ReportError(f"{named}: lies in a folder of the run's own; give another")
        if place.absolute().is_relative_to("/dev") or (place.exists() and not place.is_file()):
            raise ReportError(f"{named}: expected the path of a file")
        inside = [each for each in given.paths if path.is_relative_to(each.resolve())]
        if inside and not path.is_relative_to(out):
            raise ReportError(f"{named}: lies in {inside[0]}, which was handed in; give another")


def _cores() -> int:
    """Return how many processes can run at once."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
