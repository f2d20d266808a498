"""Clones of repositories: `gh classroom clone student-repos`, or classroom50's.

    hw1-submissions/hw1-alice/hw.py        ASSIGNMENT-submissions/ASSIGNMENT-USER/
    cs50-hw1-alice/hw.py                   classroom50: CLASSROOM-ASSIGNMENT-USER/

The user is what follows the assignment's slug. Outside a folder `SLUG-submissions` the slug is
what all names begin with, up to a hyphen: user names may hold hyphens too, so a class in which
all begin alike loses that part. A group's repository ends with the team, which stands as student.

The working tree is graded as it was cloned: attempts lie in its history (classroom50 tags them
`submit/...`), and no git command is run on what students made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lossgrade.cohort.entry import Student
from lossgrade.cohort.layouts.listing import line
from lossgrade.cohort.layouts.piece import Found, Piece, strays

if TYPE_CHECKING:
    from pathlib import Path

    from lossgrade.cohort.layouts.listing import Listing

_FOLDER = "-submissions"


def fits(listing: Listing) -> bool:
    """Most folders are clones, or the folder's name is the slug of most with `-submissions`."""
    slug = _slug(listing)
    names = listing.folders
    own = sum(name.startswith(slug) and not name.endswith(_FOLDER) for name in names)
    if slug and own > len(names) / 2:
        return True
    return bool(names) and sum(_is_clone(listing.root / name) for name in names) > len(names) / 2


def read(listing: Listing) -> Found:
    """Return the repositories of an assignment."""
    prefix = _slug(listing) or _common(listing.folders)
    pieces = []
    for name in listing.folders:
        user = line(name.removeprefix(prefix) or name)
        pieces.append(
            Piece(
                name=user,
                paths=(listing.root / name,),
                source=listing.source(name),
                students=(Student(id=user),),
                key=user.casefold(),
            )
        )
    loose = strays(listing)
    return Found((*pieces, *loose.pieces), loose.notes)


def _is_clone(folder: Path) -> bool:
    try:
        return (folder / ".git").is_dir()
    except OSError:
        return False


def _slug(listing: Listing) -> str:
    name = listing.root.name
    return name.removesuffix(_FOLDER) + "-" if name.endswith(_FOLDER) else ""


def _common(names: tuple[str, ...]) -> str:
    if len(names) < 2:
        return ""
    first, last = min(names), max(names)
    end = next((i for i, c in enumerate(first) if c != last[i : i + 1]), len(first))
    return first[: first.rfind("-", 0, end) + 1]
