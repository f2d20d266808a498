"""Findings as JSON: an array, `[]` when there are none. Rows and columns count from 1.

Each item is `{code, name, message, severity, certainty, filename, location{row, column},
end_location{row, column}, related[{filename, location, end_location, cell, message}], cell,
fix}`; `fix` is null or `{applicability, message, edits[{content, location, end_location, cell}]}`.
`cell` is the number of a notebook's cell and null elsewhere. Keys may be added, none changes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lossgrade_checks.files import Report
    from lossgrade_checks.finding import Place


def render(reports: Iterable[Report]) -> str:
    """Return the array, ending its row."""
    return json.dumps([item(report) for report in reports], indent=2) + "\n"


def item(report: Report) -> dict[str, Any]:
    """Return a finding as an item of the array."""
    finding = report.finding
    fix = finding.fix
    return {
        "code": finding.code,
        "name": finding.name,
        "message": finding.message,
        "severity": finding.severity,
        "certainty": finding.certainty,
        "filename": finding.place.filename,
        **_stretch(finding.place),
        "related": [
            {
                "filename": related.place.filename,
                **_stretch(related.place),
                "message": related.message,
            }
            for related in finding.related
        ],
        "fix": fix
        and {
            "applicability": fix.applicability,
            "message": fix.message,
            "edits": [
                {"content": edit.content, **_stretch(place)}
                for edit, place in zip(fix.edits, report.edits, strict=True)
            ],
        },
    }


def _stretch(place: Place) -> dict[str, Any]:
    return {
        "location": {"row": place.row, "column": place.column},
        "end_location": {"row": place.end_row, "column": place.end_column},
        "cell": place.cell,
    }
