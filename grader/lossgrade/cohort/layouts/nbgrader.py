"""nbgrader's `submitted/STUDENT/ASSIGNMENT/`, with a `timestamp.txt` in each.

    submitted/alice/ps1/hw.ipynb
    submitted/alice/ps1/timestamp.txt     2026-02-02 15:58:23.948203 UTC

nbgrader keeps the newest submission alone. The course's folder may be given as well as its
`submitted`; where several assignments lie in it, the one that has the file that is asked for.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from lossgrade.cohort.entry import Student
from lossgrade.cohort.layouts.listing import LayoutError, Listing, line, some
from lossgrade.cohort.layouts.piece import Found, Piece, strays

if TYPE_CHECKING:
    from pathlib import Path

STEP = "submitted"
TIMESTAMP = "timestamp.txt"


def fits(listing: Listing) -> bool:
    """A folder `submitted` of folders of folders, or such a folder with a `timestamp.txt`."""
    if STEP in listing.folders:
        listing = listing.within(STEP)
    if not listing.folders:
        return False
    for name in listing.folders[:20]:
        student = _within(listing, name)
        if student.gradable:
            return False
        for assignment in student.folders:
            if listing.root.name == STEP or TIMESTAMP in _within(student, assignment).files:
                return True
    return False


def read(listing: Listing, entry: str = "") -> Found:
    """Return the submissions of one assignment.

    Raises:
        LayoutError: there are several assignments and `entry` does not tell which is meant.
    """
    if STEP in listing.folders:
        listing = listing.within(STEP)
    students = [_within(listing, name) for name in listing.folders]
    assignments = sorted({name for student in students for name in student.folders})
    if not assignments:
        raise LayoutError(
            f"{listing.shown}: holds no assignment; expected {STEP}/STUDENT/ASSIGNMENT/ as "
            "nbgrader collects them"
        )
    if len(assignments) > 1:
        holding = {
            name
            for student in students
            for name in student.folders
            if entry and entry in _within(student, name).files
        }
        if len(holding) != 1:
            raise LayoutError(
                f"{listing.shown}: holds several assignments ({some(assignments)}); give the "
                f"folders of one, as {STEP}/*/{line(assignments[0])}"
            )
        assignments = sorted(holding)
    assignment = assignments[0]
    pieces = [
        piece(student.root / assignment, student.source(assignment), line(student.root.name))
        if assignment in student.folders
        else Piece(
            name=student.root.name,
            paths=(),
            source=student.shown,
            students=(Student(id=line(student.root.name)),),
            problem=f"has no folder {line(assignment)}",
        )
        for student in students
        if assignment in student.folders or not student.folders
    ]
    loose = strays(listing)
    return Found((*pieces, *loose.pieces), loose.notes)


def piece(folder: Path, source: str, student: str) -> Piece:
    """Return one student's folder of one assignment."""
    return Piece(
        name=student,
        paths=(folder,),
        source=source,
        students=(Student(id=student),),
        submitted_at=_submitted_at(folder / TIMESTAMP),
        key=student,
    )


def _within(listing: Listing, name: str) -> Listing:
    """Return a folder's listing, empty if it cannot be read: one student stops no class."""
    try:
        return listing.within(name)
    except LayoutError:
        return Listing(listing.root / name, listing.source(name))


def _submitted_at(file: Path) -> str:
    """Return the time as ISO 8601; its zone is dropped if this machine does not know it."""
    try:
        if file.is_symlink():
            return ""
        with file.open(encoding="utf-8", errors="replace") as stream:
            parts = stream.read(200).split()
        time = datetime.fromisoformat(" ".join(parts[:2]))
    except (OSError, ValueError):
        return ""
    if len(parts) > 2 and time.tzinfo is None:
        try:
            time = time.replace(tzinfo=ZoneInfo(parts[2]))
        except (OSError, ValueError, KeyError):
            return time.isoformat()
    return time.isoformat()
