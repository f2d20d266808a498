"""What a class handed in: who, what, when. Reading an export makes these, and runs nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Student:
    """A student, as far as the export or the roster tells; "" for what it does not.

    Attributes:
        id: the platform's own: Canvas' user id, the number of Moodle's participant, Gradescope's
            student id, the user name on GitHub or in nbgrader.
    """

    id: str = ""
    name: str = ""
    email: str = ""


@dataclass(frozen=True)
class Entry:
    """What one student or one group handed in, once.

    Attributes:
        id: unique in the cohort, and the name of its files: the same on every run over the same
            export, of any case-insensitive file system.
        students: who handed in; empty where the export does not say.
        path: the `.py` file, notebook or folder that is graded; None where it cannot be read.
        source: where it lay in the export, for people: `class.zip/doejane_42_1234_hw.py`.
        problem: why it could not be read, in one line.
        submitted_at: ISO 8601 as far as the export tells.
    """

    id: str
    students: tuple[Student, ...] = ()
    path: Path | None = None
    source: str = ""
    problem: str = ""
    submitted_at: str = ""
    late: bool = False
    attempt: int = 1


@dataclass(frozen=True)
class Cohort:
    """What a class handed in.

    Attributes:
        layout: the name of the export's layout, or of the layouts joined by ", ".
        missing: students of the roster who handed in nothing.
        notes: what the instructor should know of the reading, a line each.
    """

    layout: str
    entries: tuple[Entry, ...]
    missing: tuple[Student, ...] = ()
    notes: tuple[str, ...] = ()
