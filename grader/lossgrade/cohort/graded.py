"""A graded class: what its gradebook and its reports are made from.

Of every result only a summary is kept, so that ten thousand fit in memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from sys import intern
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from lossgrade.cohort.entry import Entry, Student

Status = Literal["graded", "not-graded", "unreadable", "missing"]


@dataclass(frozen=True, slots=True)
class Summary:
    """What reports on the class need of one result record.

    Attributes:
        functions: score and max_score, by the function's key.
        failed: ids of the criteria that lost points.
        misconceptions: slugs, by the function's key.
        findings: codes of the linter's rules, each once.
        fingerprints: of wrong functions, by key: equal where all results were equal.
        problem: why a criterion with points was not graded, if one was not.
    """

    score: float
    max_score: float
    bonus: float
    max_bonus: float
    penalty: float
    outcome: str
    functions: Mapping[str, tuple[float, float]]
    failed: tuple[str, ...]
    misconceptions: Mapping[str, str]
    findings: tuple[str, ...]
    fingerprints: Mapping[str, str]
    duration_s: float
    problem: str = ""

    def interned(self) -> Summary:
        """Return it with names that all summaries share: what another process sent has its own."""

        def shared(named: Mapping[str, Any]) -> dict[str, Any]:
            return {intern(key): value for key, value in named.items()}

        return replace(
            self,
            outcome=intern(self.outcome),
            functions=shared(self.functions),
            failed=tuple(map(intern, self.failed)),
            misconceptions={k: intern(v) for k, v in shared(self.misconceptions).items()},
            findings=tuple(map(intern, self.findings)),
            fingerprints=shared(self.fingerprints),
            problem=intern(self.problem),
        )


def summary(record: Mapping[str, Any]) -> Summary:
    """Return the summary of a result record, as read from its JSON."""
    functions = record["functions"]
    return Summary(
        score=record["score"],
        max_score=record["max_score"],
        bonus=record["bonus"],
        max_bonus=record["max_bonus"],
        penalty=record["penalty"],
        outcome=record["outcome"],
        functions={key: (part["score"], part["max_score"]) for key, part in functions.items()},
        failed=tuple(
            each["id"]
            for each in record["criteria"]
            if each["outcome"] == "failed" and each["max_score"]
        ),
        misconceptions={
            key: part["diagnosis"]["misconception"]
            for key, part in functions.items()
            if part.get("diagnosis")
        },
        findings=tuple(dict.fromkeys(each["code"] for each in record["findings"])),
        fingerprints={
            key: part["fingerprint"] for key, part in functions.items() if part.get("fingerprint")
        },
        duration_s=record["duration_s"],
        problem=next(
            (
                each["message"]
                for each in record["criteria"]
                if each["outcome"] == "not-graded" and each["max_score"]
            ),
            "",
        ),
    )


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the gradebook: one student's submission, or a student without one.

    A group has one row a member, with the same entry and summary.

    Attributes:
        status: "graded"; "not-graded" where the machine or we failed, never the student;
            "unreadable" where the entry could not be read; "missing": handed in nothing.
        problem: why there is no grade, in one line.
    """

    student: Student
    entry: Entry | None
    summary: Summary | None
    status: Status
    problem: str = ""


@dataclass(frozen=True)
class Line:
    """One criterion of the manifest."""

    id: str
    function: str
    title: str
    max_score: float
    max_bonus: float
    visibility: str


@dataclass(frozen=True)
class GradedCohort:
    """A graded class.

    Attributes:
        lines: the manifest of the assignment.
        rows: in the order of the gradebook, missing students last.
        feedback: where a student's page lies, relative to the output folder, by the entry's id.
    """

    assignment: str
    version: str
    title: str
    layout: str
    language: str
    graded_at: str
    lines: tuple[Line, ...]
    rows: tuple[Row, ...]
    feedback: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
