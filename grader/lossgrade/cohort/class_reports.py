"""Reports that a class run writes: some once for the class, some for each submission."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from lossgrade.cohort.store import WriteError
from lossgrade.reports import ReportError, Request, junit, parse_request, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lossgrade.cohort.graded import GradedCohort
    from lossgrade.result import Result

# By format: the suffix of the file that each submission gets.
OF_SUBMISSION = {
    "gradescope": "json",
    "github-classroom": "json",
    "prairielearn": "json",
    "classroom50": "json",
    "markdown": "md",
}
OF_CLASS = ("csv", "json", "html", "junit", "canvas", "moodle")
FORMATS = (*OF_CLASS, *OF_SUBMISSION)
# What renders the whole class.
MODULES = {"csv": "gradebook", "html": "page", "json": "record"}
# Filled in from a file that was downloaded there.
FILLED = ("canvas", "moodle")


@dataclass(frozen=True)
class ClassReport:
    """A report on the class as asked for.

    Attributes:
        downloaded: the gradebook or worksheet that it fills in.
        column: of that file, where the grades go; "" finds it.
    """

    format: str
    path: Path
    downloaded: Path | None = None
    column: str = ""


def parse_report(text: str) -> ClassReport | Request:
    """Read FORMAT:PATH.

    Raises:
        ReportError: no colon, an unknown format, or no path.
    """
    name, _, path = text.partition(":")
    if name not in FORMATS or not path:
        raise ReportError(f"{text!r}: expected FORMAT:PATH, FORMAT one of {', '.join(FORMATS)}")
    return ClassReport(name, Path(path)) if name in OF_CLASS else parse_request(text)


def path_of(request: Request, entry_id: str) -> Path:
    """Return where the report on one submission goes.

    `{id}` in the path stands for the submission's id; without it the path is a folder.
    """
    if "{id}" in str(request.path):
        return Path(str(request.path).replace("{id}", entry_id))
    return request.path / f"{entry_id}.{OF_SUBMISSION[request.format]}"


def check_class_report(report: ClassReport, graded: GradedCohort) -> None:
    """Find out whether a file that is filled in can be, before anything is graded.

    Raises:
        ReportError: it is not what it should be, or has no such column.
    """
    if report.downloaded is not None:
        fill = import_module(f"lossgrade.cohort.{report.format}").fill
        fill(report.downloaded, graded, column=report.column)


def write_class_report(report: ClassReport, graded: GradedCohort, results: Path) -> list[str]:
    """Write a report on the class; return what the instructor should know of it, a line each.

    Args:
        report: as asked for.
        graded: the class.
        results: the folder of the result records.
    Raises:
        WriteError: it cannot be written.
        ReportError: the file that it fills in is not what it should be.
    """
    notes: list[str] = []
    try:
        if report.format == "junit":
            # A class has a million test cases: they are never in memory together.
            junit.write_all(report.path, _results(graded, results))
        elif report.downloaded is not None:
            fill = import_module(f"lossgrade.cohort.{report.format}").fill
            text, notes = fill(report.downloaded, graded, column=report.column)
            write_atomically(report.path, text)
        else:
            module = import_module(f"lossgrade.cohort.{MODULES[report.format]}")
            write_atomically(report.path, module.render(graded))
    except OSError as error:
        raise WriteError(f"{report.path}: cannot be written ({error.strerror})") from None
    return notes


def _results(graded: GradedCohort, folder: Path) -> Iterator[Result]:
    from lossgrade.result import Result

    ids = dict.fromkeys(row.entry.id for row in graded.rows if row.entry and row.summary)
    for entry_id in ids:
        yield Result.model_validate_json((folder / f"{entry_id}.json").read_bytes())
