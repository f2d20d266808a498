"""What Canvas and Moodle do with a file of grades, and graded classes to make such files from.

The importers are written after the platforms' own: instructure/canvas-lms
lib/gradebook_importer.rb; moodle/moodle mod/assign/feedback/offline and lib/csvlib.class.php.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lossgrade.cohort.entry import Entry, Student
from lossgrade.cohort.graded import GradedCohort, Line, Row, Summary

if TYPE_CHECKING:
    from collections.abc import Iterable

# --- graded classes -----------------------------------------------------------------------------

LINES = (
    Line("softmax.values", "softmax", "values", 60, 0, "visible"),
    Line("cross_entropy.values", "cross_entropy", "values", 40, 5, "hidden"),
)


def graded(student: Student, score: float, *, attempt: int = 1, **changes: Any) -> Row:
    """Return the row of a student with a score out of 100."""
    start: dict[str, Any] = {
        "score": score,
        "max_score": 100.0,
        "bonus": 0.0,
        "max_bonus": 5.0,
        "penalty": 0.0,
        "outcome": "failed",
        "functions": {"softmax": (0.0, 60.0), "cross_entropy": (0.0, 40.0)},
        "failed": (),
        "misconceptions": {},
        "findings": (),
        "fingerprints": {},
        "duration_s": 0.5,
    }
    entry = Entry(f"{student.id or student.email or 'x'}-{attempt}", (student,), attempt=attempt)
    return Row(student, entry, Summary(**{**start, **changes}), "graded")


def ungraded(student: Student, status: Any, problem: str) -> Row:
    entry = None if status == "missing" else Entry(f"{student.id}-1", (student,), problem=problem)
    return Row(student, entry, None, status, problem)


def class_of(rows: Iterable[Row], **changes: Any) -> GradedCohort:
    start: dict[str, Any] = {
        "assignment": "stat453",
        "version": "1",
        "title": "Softmax",
        "layout": "canvas",
        "language": "en",
        "graded_at": "2026-11-21T09:00:00Z",
        "lines": LINES,
        "rows": tuple(rows),
    }
    return GradedCohort(**{**start, **changes})


# --- Canvas -------------------------------------------------------------------------------------


@dataclass
class CanvasImport:
    """What Canvas would take from a file; `grades` by assignment's id and student's."""

    grades: dict[int, dict[int, str]] = field(default_factory=dict)
    possible: dict[int, str] = field(default_factory=dict)
    new_assignments: list[str] = field(default_factory=list)
    new_students: list[str] = field(default_factory=list)


def canvas_imports(
    text: str, assignments: dict[int, str], students: dict[int, str]
) -> CanvasImport:
    """Import a gradebook into a course with these assignments and students."""
    first = text.splitlines(keepends=True)[:3]
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=_canvas_delimiter(first)))
    header = rows[0]
    apart = "LastName" in header[0]
    assert len(header) > 3 + apart
    assert "Student" in header[0] or apart
    assert "ID" in header[1 + apart]
    about = 3 + apart
    if re.search(r"SIS\s+Login\s+ID", header[about - 1]):
        about += 1
    elif "SIS User ID" in header[about - 1] and "SIS Login ID" in header[about]:
        about += 2 + ("Integration ID" in header[about + 1])
        about += "Root Account" in header[about - 1]
    assert "Section" in header[about - 1], "Invalid header row"
    computed = "(Current|Final) (Score|Points|Grade)|Override (Score|Grade|Status)"
    done = CanvasImport()
    columns = {}
    for at, name in enumerate(header[about:], about):
        if re.search(computed, name):
            continue
        found = re.fullmatch(r"(.*)\s\((\d+)\)", name, re.DOTALL)
        if found and int(found[2]) in assignments:
            columns[int(found[2])] = header.index(name)
        elif named := [each for each, title in assignments.items() if title == name]:
            columns[named[0]] = at
        else:
            done.new_assignments.append(name)
    for row in rows[1:]:
        if not row or re.fullmatch("[;, ]+", ",".join(row)):
            continue
        if "Points Possible" in row[0]:
            done.possible = {
                each: _period(row[at]) for each, at in columns.items() if at < len(row)
            }
        elif not all(re.fullmatch(r"(?i)\s*(Muted|Manual Posting.*)?\s*", cell) for cell in row):
            student = int(row[1 + apart] or 0)
            if student not in students:
                done.new_students.append(row[0])
            for each, at in columns.items():
                done.grades.setdefault(each, {})[student] = _period(row[at]).strip()
    return done


def _canvas_delimiter(lines: list[str]) -> str:
    def fields(delimiter: str) -> int:
        counts = {len(next(csv.reader([line], delimiter=delimiter))) for line in lines}
        return counts.pop() if len(counts) == 1 else 0

    return ";" if fields(";") > fields(",") else ","


def _period(cell: str) -> str:
    """Return a number with a decimal dot, whatever it had."""
    if not re.fullmatch(r"-?[0-9.,]+%?", cell):
        return cell
    *whole, last = re.split(r"[,.]", cell)
    return f"{''.join(whole)}.{last}" if whole else last


# --- Moodle -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Moodle:
    """The words of Moodle's interface in one language."""

    identifier: str
    grade: str
    modified: str
    participant: str
    decimal: str


ENGLISH = Moodle("Identifier", "Grade", "Last modified (grade)", "Participant ", ".")
GERMAN = Moodle("ID", "Bewertung", "Zuletzt geändert (Bewertung)", "Teilnehmer/in", ",")
FRENCH = Moodle("Identifiant", "Note", "Dernière modification (note)", "Participant ", ",")
CHINESE = Moodle("编号", "成绩", "最后修改（教师）", "参与者", ".")  # noqa: RUF001


def moodle_imports(
    text: str, words: Moodle, maximum: float, delimiter: str = ","
) -> dict[int, float]:
    """Return the grades that Moodle would take, by participant; others are skipped."""
    rows = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), delimiter=delimiter)
    header = next(rows)
    columns = [header.index(name) for name in (words.identifier, words.grade, words.modified)]
    taken = {}
    for row in rows:
        assert len(row) == len(header), "csvweirdcolumns"
        identifier, grade, _ = (row[at] for at in columns)
        cleaned = grade.strip().replace(" ", "").replace(words.decimal, ".")
        if cleaned and 0 <= float(cleaned) <= maximum:
            taken[int(identifier[len(words.participant) :])] = float(cleaned)
    return taken
