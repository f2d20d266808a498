"""What the linter reports, and how a report would be mended. Plain data, no analysis."""

from __future__ import annotations

from typing import Literal, NamedTuple

Severity = Literal["error", "warning", "info"]
Applicability = Literal["safe", "unsafe"]
Certainty = Literal["certain", "likely"]


class Place(NamedTuple):
    """A stretch of a file. Rows and columns count from 1, columns in characters.

    In a notebook `cell` counts the code and text cells from 1 and `row` counts within the cell;
    elsewhere `cell` is None. `end_column` is the column after the last character.
    """

    filename: str
    cell: int | None
    row: int
    column: int
    end_row: int
    end_column: int


class Related(NamedTuple):
    """A second place that a finding points at, such as the activation before the loss."""

    message: str
    place: Place


class Edit(NamedTuple):
    """Replace the characters [start, end) of the program's text by `content`."""

    start: int
    end: int
    content: str


class Fix(NamedTuple):
    """Edits that mend a finding. A safe one changes nothing but the mistake."""

    applicability: Applicability
    message: str
    edits: tuple[Edit, ...]


class Finding(NamedTuple):
    """One report of one rule."""

    code: str
    name: str
    message: str
    severity: Severity
    place: Place
    related: tuple[Related, ...] = ()
    fix: Fix | None = None
    certainty: Certainty = "certain"
