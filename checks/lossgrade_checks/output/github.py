"""Findings as commands of GitHub Actions, which shows them beside the changed rows.

See "Workflow commands for GitHub Actions" in GitHub's documentation for the escapes.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lossgrade_checks.output.text import where

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lossgrade_checks.files import Report
    from lossgrade_checks.finding import Place

_LEVELS = {"error": "error", "warning": "warning", "info": "notice"}


def render(reports: Iterable[Report]) -> Iterator[str]:
    """Yield a command for each finding, each on its row."""
    for report in reports:
        finding = report.finding
        properties = {
            "title": f"lossgrade ({finding.code})",
            "file": relative(finding.place.filename),
            **_position(finding.place),
        }
        told = ",".join(f"{key}={_escape_property(value)}" for key, value in properties.items())
        message = f"{where(finding.place)}: {finding.code} {finding.message}"
        for related in finding.related:
            message += f"\n{where(related.place)}: {related.message}"
        yield f"::{_LEVELS[finding.severity]} {told}::{_escape(message)}\n"


def relative(filename: str) -> str:
    """Return a path as GitHub needs it: from the root of the repository, where actions run."""
    try:
        found = os.path.relpath(filename)
    except ValueError:  # another drive of Windows
        found = filename
    return (filename if found.startswith("..") else found).replace(os.sep, "/")


def _position(place: Place) -> dict[str, str]:
    if place.cell is not None:
        # A row of a cell is no row of the file; the text says which it is.
        return {"line": "1", "col": "1", "endLine": "1", "endColumn": "1"}
    if place.row != place.end_row:
        # GitHub drops an annotation that has columns in two rows.
        return {"line": str(place.row), "endLine": str(place.end_row)}
    return {
        "line": str(place.row),
        "col": str(place.column),
        "endLine": str(place.end_row),
        "endColumn": str(place.end_column),
    }


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape(text).replace(":", "%3A").replace(",", "%2C")
