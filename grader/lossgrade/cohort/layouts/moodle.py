"""Moodle's "Download all submissions", in folders (since 3.1) or flat.

    Jane Doe_123_assignsubmission_file/hw.py       older versions: a trailing _
    Jane Doe_123_assignsubmission_file_hw.py       flat
    Participant_124_assignsubmission_file/hw.py    blind marking: the same word for everybody
    Red Team_7_assignsubmission_file/hw.py         a group, with the group's id
    Jane Doe_123_assignsubmission_onlinetext/...   text typed into the page: nothing to grade

Moodle turns underscores of names into spaces, and exports the newest attempt alone. What cannot
be told: a group from a student, and a site's user name put before the full name.
Source: moodle, mod/assign/classes/downloader.php.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lossgrade.cohort.entry import Student
from lossgrade.cohort.layouts.listing import line
from lossgrade.cohort.layouts.piece import Found, Piece, strays

if TYPE_CHECKING:
    from lossgrade.cohort.layouts.listing import Listing

_NAME = re.compile(
    r"(?P<who>.+?)(?:_(?P<id>[0-9]+))?_assignsubmission_(?P<kind>[a-z]+)(?:_(?P<file>.*))?",
    re.DOTALL,
)


def fits(listing: Listing) -> bool:
    """Most names have `_assignsubmission_`."""
    names = [*listing.folders, *listing.files, *listing.links]
    return sum(_NAME.fullmatch(name) is not None for name in names) > len(names) / 2


def read(listing: Listing) -> Found:
    """Return the submissions of a download."""
    folders = frozenset(listing.folders)
    found: dict[tuple[str, str], dict[str, list[tuple[str, str]]]] = {}
    pieces: list[Piece] = []
    theirs = set()
    for name in (*listing.folders, *listing.files, *listing.links):
        if match := _NAME.fullmatch(name):
            kinds = found.setdefault((match["who"], match["id"] or ""), {})
            kinds.setdefault(match["kind"], []).append((name, match["file"] or ""))
            theirs.add(name)
        elif name in folders:
            pieces.append(Piece(name, (listing.root / name,), listing.source(name)))
    blind = _blind([who for who, _ in found])
    for (who, number), kinds in found.items():
        files = kinds.get("file", [])
        shown = (files or next(iter(kinds.values())))[0][0]
        person = "" if blind else line(who.replace("_", " ")).strip()
        pieces.append(
            Piece(
                name=f"{who}_{number}".strip("_"),
                paths=tuple(listing.root / name for name, _ in files),
                names=() if shown in folders else tuple(file for _, file in files),
                source=listing.source(shown),
                students=(Student(id=number, name=person),),
                problem="" if files else "no file was handed in, only online text",
                key=number or who,
            )
        )
    loose = strays(listing, frozenset(theirs))
    return Found((*pieces, *loose.pieces), loose.notes)


def _blind(names: list[str]) -> bool:
    """One word for all, in whatever language: nobody's name."""
    return (len(names) > 1 and len(set(names)) == 1) or {*names} == {"Participant"}
