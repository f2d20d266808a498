"""Canvas' "Download Submissions": a flat zip whose names say whose each file is.

    doejane_4242_991234_hw.py             sortable name, user id, attachment id, file
    roelee_LATE_4243_991240_hw.py         handed in late
    anon_aB3xY_991250_hw.py               anonymous grading; LATE_anon_... if late
    poejo_4244_text.html, ..._link.html   a text entry, a web address: nothing to grade

Canvas exports the newest submission of each student alone, so several attachments of one user
are several files of ONE submission. Only where a file name comes twice for one user, as when two
downloads were unpacked into one folder, are there several attempts: sorted by attachment id, a
new one starts with each name that came before.

When a student hands in again, Canvas calls the file `hw-1.py`. It is graded as `hw.py` if that
is what the assignment asks for and the student's only such file (see `arrange`).

A group's files come under the id of one member and the name of the group.
Source: canvas-lms, lib/content_zipper.rb.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from lossgrade.cohort.entry import Student
from lossgrade.cohort.layouts.listing import is_of_the_class, line
from lossgrade.cohort.layouts.piece import Found, Piece, strays

if TYPE_CHECKING:
    from lossgrade.cohort.layouts.listing import Listing

# The name has lost all but letters, digits and underscores, and may have lost everything.
_FILE = re.compile(
    r"(?:(?P<late_anon>LATE_)?(?P<anon>anon_[0-9A-Za-z]+)"
    r"|(?P<name>[^\s./\\]*?)_(?P<late>LATE_)?(?P<user>[0-9]+))"
    r"_(?:(?P<attachment>[0-9]{1,18})_(?P<file>.+)|(?P<web>text|link)\.html)",
    re.DOTALL,
)
# Attachments are numbered through a whole instance, so theirs are longer than in `hw_1_2_b.py`.
_FEWEST_DIGITS = 3
_NEARLY_ALL = 0.9


class _File(NamedTuple):
    path: str
    user: str
    name: str
    late: bool
    attachment: int
    file: str


def fits(listing: Listing) -> bool:
    """Nearly all names are Canvas', each attachment's number comes once, each user has one name."""
    files = (name for name in listing.files if not is_of_the_class(name))
    names = [*listing.folders, *files, *listing.links]
    found = [each for each in map(_parsed, names) if each]
    numbers = [each.attachment for each in found if each.attachment]
    return (
        bool(found)
        and len(found) >= _NEARLY_ALL * len(names) - 1
        and len(found) > len(names) / 2
        and len(set(numbers)) == len(numbers)
        and all(number >= 10 ** (_FEWEST_DIGITS - 1) for number in numbers)
        and len({each.user for each in found}) == len({(each.user, each.name) for each in found})
    )


def read(listing: Listing) -> Found:
    """Return the submissions of a download."""
    users: dict[str, list[_File]] = {}
    theirs = set()
    for name in (*listing.files, *listing.links):
        if parsed := _parsed(name):
            users.setdefault(parsed.user, []).append(parsed)
            theirs.add(name)
    pieces = [_piece(listing, attempt) for files in users.values() for attempt in _attempts(files)]
    loose = strays(listing, frozenset(theirs))
    folders = [
        Piece(name, (listing.root / name,), listing.source(name)) for name in listing.folders
    ]
    return Found((*pieces, *loose.pieces, *folders), loose.notes)


def _parsed(name: str) -> _File | None:
    match = _FILE.fullmatch(name)
    if not match:
        return None
    user = match["anon"] or match["user"]
    late = bool(match["late"] or match["late_anon"])
    file = match["file"] or f"{match['web']}.html"
    return _File(name, user, match["name"] or "", late, int(match["attachment"] or 0), file)


def _attempts(files: list[_File]) -> list[list[_File]]:
    attempts: list[list[_File]] = []
    for each in sorted(files, key=lambda each: (each.attachment, each.path)):
        if not attempts or any(each.file == other.file for other in attempts[-1]):
            attempts.append([])
        attempts[-1].append(each)
    return attempts


def _piece(listing: Listing, files: list[_File]) -> Piece:
    first = files[0]
    name = f"{first.name}_{first.user}".strip("_")
    return Piece(
        name=name,
        paths=tuple(listing.root / each.path for each in files),
        names=tuple(each.file for each in files),
        source=listing.source(first.path),
        students=(Student(id=first.user, name=line(first.name)),),
        late=any(each.late for each in files),
        number=files[-1].attachment,
        key=first.user,
    )
