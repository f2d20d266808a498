"""Layouts without a platform: files, folders, and Otter's folder of notebooks.

- `files`: each program, notebook or zip is one student's; the student is the name without suffix.
- `folders`: each folder is one student's, by its name. A program or a zip beside them too.
- `otter`: as `files`, but the student is the whole name, `alice.ipynb`: what Otter's
  `final_grades.csv` calls `file`. It looks like `files`, so it is never detected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lossgrade.cohort.entry import Student
from lossgrade.cohort.layouts.listing import is_of_the_class, line, stem
from lossgrade.cohort.layouts.piece import Found, Piece, strays

if TYPE_CHECKING:
    from collections.abc import Callable

    from lossgrade.cohort.layouts.listing import Listing


def are_folders(listing: Listing) -> bool:
    """More folders than programs and archives."""
    return len(listing.folders) > len(listing.handed_in)


def are_files(listing: Listing) -> bool:
    """Anything at all."""
    return bool(listing.files or listing.folders or listing.links)


def never(_: Listing) -> bool:
    """Otter's folder cannot be told from `files`."""
    return False


def files(listing: Listing) -> Found:
    """Each file is a student's, a pdf too; each folder, if there are any, as well."""
    return _each(listing, stem)


def otter(listing: Listing) -> Found:
    """As `files`, by whole names."""
    return _each(listing, str)


def folders(listing: Listing) -> Found:
    """Each folder is a student's; of loose files only programs and archives are."""
    found = [_piece(listing, name, name) for name in listing.folders]
    loose = strays(listing)
    named = [_piece(listing, piece.paths[0].name, piece.name) for piece in loose.pieces]
    return Found((*found, *named), loose.notes)


def _each(listing: Listing, student: Callable[[str], str]) -> Found:
    pieces = [_piece(listing, name, name) for name in listing.folders]
    notes: list[str] = []
    for name in (*listing.files, *listing.links):
        if is_of_the_class(name):
            notes.append(f"{listing.source(name)}: not a submission, left out")
        else:
            pieces.append(_piece(listing, name, student(name)))
    return Found(tuple(pieces), tuple(notes))


def _piece(listing: Listing, name: str, student: str) -> Piece:
    return Piece(
        student, (listing.root / name,), listing.source(name), (Student(id=line(student)),)
    )
