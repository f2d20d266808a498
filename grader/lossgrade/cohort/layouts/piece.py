"""What a layout finds: one hand-in, before its files are arranged and its id is made unique."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lossgrade.cohort.layouts.listing import is_archive, is_gradable, is_of_the_class, stem

if TYPE_CHECKING:
    from pathlib import Path

    from lossgrade.cohort.entry import Student
    from lossgrade.cohort.layouts.listing import Listing


@dataclass(frozen=True)
class Piece:
    """One student's or group's hand-in, as it lies in the export.

    Attributes:
        name: the id that it would like to have.
        paths: one folder, one file, or the files that belong together.
        names: the names that the student gave to `paths`, where the export changed them; files
            with names are copied to a folder of their own.
        number: of the submission or attachment: of two attempts the larger is the newer.
        layout: the name of the layout that found it.
        export: the path that was given; None where `paths` are, or lie beside each other.
        key: the same for attempts of the same student or group; "": it is no attempt of another.
    """

    name: str
    paths: tuple[Path, ...]
    source: str
    students: tuple[Student, ...] = ()
    names: tuple[str, ...] = ()
    problem: str = ""
    submitted_at: str = ""
    late: bool = False
    number: int = 0
    layout: str = ""
    export: Path | None = None
    key: str = ""

    def age(self) -> tuple[float, int, float]:
        """Return what the attempts of one student are sorted by, the newest last."""
        times = [os.lstat(path).st_mtime for path in self.paths if os.path.lexists(path)]
        return seconds(self.submitted_at), self.number, max(times, default=0.0)


@dataclass(frozen=True)
class Found:
    """What a layout found in one export."""

    pieces: tuple[Piece, ...]
    notes: tuple[str, ...] = ()


def seconds(submitted_at: str) -> float:
    """Return a time in ISO 8601 as seconds since 1970, 0 for none; without a zone it is UTC."""
    try:
        time = datetime.fromisoformat(submitted_at)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def strays(listing: Listing, known: frozenset[str] = frozenset()) -> Found:
    """Return what lies loose beside the hand-ins of a platform's export, where none should.

    A program or an archive is an entry without a student, so that nothing is lost; other files
    are named in a note. `known` are the files that belong to the platform.
    """
    pieces: list[Piece] = []
    others: list[str] = []
    for name in (*listing.files, *listing.links):
        if name in known:
            continue
        if (is_gradable(name) or is_archive(name)) and not is_of_the_class(name):
            pieces.append(Piece(stem(name), (listing.root / name,), listing.source(name)))
        else:
            others.append(f"{listing.source(name)}: not a submission, left out")
    return Found(tuple(pieces), tuple(others))
