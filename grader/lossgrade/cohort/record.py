"""The record of a graded class: its `json` report. Its JSON Schema is published from here."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from lossgrade.assignment import Visibility
from lossgrade.cohort.graded import Status
from lossgrade.result import Number, Outcome, Record

if TYPE_CHECKING:
    from lossgrade.cohort.graded import GradedCohort, Row, Summary


class AskedRecord(Record):
    """The assignment that was graded."""

    name: str
    version: str
    title: str


class StudentRecord(Record):
    """A student; "" for what neither the export nor a roster tells."""

    id: str = Field(description="the platform's own")
    name: str
    email: str


class EntryRecord(Record):
    """What a student or a group handed in."""

    id: str = Field(description="the name of its files: `results/ID.json`, `feedback/ID.html`")
    source: str = Field(description="where it lay in the export")
    submitted_at: str = Field(description="ISO 8601, as far as the export tells")
    late: bool
    attempt: int


class PartRecord(Record):
    """What one function got."""

    score: Number
    max_score: Number


class SummaryRecord(Record):
    """The main figures of a result record."""

    score: Number
    max_score: Number
    bonus: Number = Field(description="never part of `score`")
    max_bonus: Number
    penalty: Number = Field(description="points taken off `score` for findings of the linter")
    outcome: Outcome
    functions: dict[str, PartRecord]
    failed: list[str] = Field(description="ids of the criteria that lost points")
    misconceptions: dict[str, str] = Field(description="slugs, by the function's key")
    findings: list[str] = Field(description="codes of the linter's rules, each once")
    fingerprints: dict[str, str] = Field(
        description="of wrong functions, by key: equal where all results were equal"
    )
    duration_s: Number


class RowRecord(Record):
    """One student's submission, or a student without one; a group has a row a member."""

    student: StudentRecord
    submission: EntryRecord | None
    status: Status = Field(
        description='`result` is a grade where this is "graded", and nowhere else'
    )
    problem: str = Field(description="why there is no grade")
    result: SummaryRecord | None
    feedback: str = Field(description="the student's page, relative to the output folder")


class LineRecord(Record):
    """One criterion of the assignment."""

    id: str
    function: str
    title: str
    max_score: Number
    max_bonus: Number
    visibility: Visibility


class CohortRecord(Record):
    """A graded class."""

    schema_: Literal["lossgrade/cohort/v1"] = Field("lossgrade/cohort/v1", alias="schema")
    assignment: AskedRecord
    layout: str = Field(description="of the export: its name, or names joined by a comma")
    language: str = Field(description="of all texts for students")
    graded_at: str = Field(description="ISO 8601, UTC")
    lines: list[LineRecord]
    rows: list[RowRecord] = Field(description="in the order of the gradebook")
    notes: list[str] = Field(description="what the instructor should know of the reading")


def render(cohort: GradedCohort) -> str:
    """Return the record as JSON text, one key a line.

    What no file can hold, lone surrogates from the names of files, is escaped with a backslash.
    """
    made = {
        "assignment": {
            "name": cohort.assignment,
            "version": cohort.version,
            "title": cohort.title,
        },
        "layout": cohort.layout,
        "language": cohort.language,
        "graded_at": cohort.graded_at,
        "lines": [dataclasses.asdict(line) for line in cohort.lines],
        "rows": [_row(row, cohort) for row in cohort.rows],
        "notes": list(cohort.notes),
    }
    record = CohortRecord.model_validate(_encodable(made))
    return record.model_dump_json(by_alias=True, indent=2) + "\n"


def _row(row: Row, cohort: GradedCohort) -> dict[str, Any]:
    entry = row.entry
    return {
        "student": dataclasses.asdict(row.student),
        "submission": entry and {name: getattr(entry, name) for name in EntryRecord.model_fields},
        "status": row.status,
        "problem": row.problem,
        "result": row.summary and _summary(row.summary),
        "feedback": cohort.feedback.get(entry.id, "") if entry else "",
    }


def _summary(summary: Summary) -> dict[str, Any]:
    made = {name: getattr(summary, name) for name in SummaryRecord.model_fields}
    made["functions"] = {
        name: {"score": score, "max_score": most}
        for name, (score, most) in summary.functions.items()
    }
    return made


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_encodable(key): _encodable(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_encodable(inner) for inner in value]
    return value
