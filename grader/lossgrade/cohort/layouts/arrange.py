"""From pieces to entries: unpack, find the folder that holds the program, name each entry.

Nothing of the export is changed. Folders are graded where they lie; archives and files that the
export renamed come into `unpacked/ID/`.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import unicodedata
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from lossgrade.cohort.archives import SUBMISSION, ArchiveError, unpack
from lossgrade.cohort.entry import Entry
from lossgrade.cohort.layouts.listing import (
    LayoutError,
    Listing,
    is_archive,
    is_gradable,
    is_junk,
    is_zip,
    line,
    some,
)
from lossgrade.submission import BYTES_CAP, FILE_CAP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lossgrade.cohort.layouts.piece import Piece

_ID_CHARACTERS = 80
# With `.json` or `.html` and what a temporary file adds, below the 255 bytes of a file name.
_ID_BYTES = 180
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])(\..*)?", re.I | re.S)
_UNSAFE = frozenset('<>:"/\\|?*')
_DEPTH = 8


class Unreadable(Exception):
    """A piece that cannot be graded; the text is one line."""


def arrange(piece: Piece, id_: str, attempt: int, unpacked: Path, entry: str) -> Entry:
    """Return the entry of a piece: with a path, or with the problem."""
    path: Path | None = None
    problem = piece.problem
    if not problem:
        try:
            path = _path(piece, unpacked / id_, entry)
        except (Unreadable, ArchiveError, LayoutError) as error:
            problem = line(str(error))
        except OSError as error:
            problem = f"cannot be read ({error.strerror})"
        if path is None:
            shutil.rmtree(unpacked / id_, ignore_errors=True)
    return Entry(
        id=id_,
        students=piece.students,
        path=path,
        source=piece.source,
        problem=problem,
        submitted_at=piece.submitted_at,
        late=piece.late,
        attempt=attempt,
    )


def _path(piece: Piece, own: Path, entry: str) -> Path:
    if piece.paths and all(path.is_symlink() for path in piece.paths):
        raise Unreadable("is a symbolic link; links are not read")
    if len(piece.paths) == 1 and piece.paths[0].is_dir():
        return _in_folder(piece.paths[0], own, entry, nested=True)
    called = dict(zip(piece.paths, piece.names or [path.name for path in piece.paths], strict=True))
    files = [
        path
        for path, name in called.items()
        if path.is_file() and not path.is_symlink() and not is_junk(name)
    ]
    programs = [path for path in files if is_gradable(called[path])]
    archives = [path for path in files if is_archive(called[path])]
    if not programs:
        if len(archives) != 1:
            raise Unreadable(_nothing([called[path] for path in piece.paths]))
        return _unpacked(archives[0], called[archives[0]], own, entry)
    if not piece.names:
        return programs[0]
    return _copied(files, called, own, entry)


def _copied(files: list[Path], called: dict[Path, str], own: Path, entry: str) -> Path:
    """Copy files that the export renamed into a folder of their own, under the student's names."""
    if len(files) > FILE_CAP or sum(path.stat().st_size for path in files) > BYTES_CAP:
        raise Unreadable(f"holds more than {FILE_CAP} files or {BYTES_CAP >> 20} MiB")
    names = {path: called[path] for path in files}
    again = [path for path, name in names.items() if entry and _is_again(name, entry)]
    if entry not in names.values() and len(again) == 1:
        names[again[0]] = entry
    own.mkdir()
    own.chmod(0o755)
    for path, name in names.items():
        shutil.copyfile(path, own / name)
        (own / name).chmod(0o644)
    return own


def _is_again(name: str, entry: str) -> bool:
    """Say whether Canvas may have made `name` of `entry` when it was handed in again."""
    stem, dot, suffix = entry.rpartition(".")
    return re.fullmatch(rf"{re.escape(stem)}-[0-9]+{re.escape(dot + suffix)}", name) is not None


def _unpacked(archive: Path, name: str, own: Path, entry: str) -> Path:
    if not is_zip(name):
        raise Unreadable(f"{line(name)}: only .zip archives are read, or the .py file itself")
    try:
        unpack(archive, own, SUBMISSION)
    except ArchiveError as error:
        raise Unreadable(f"{line(name)}: {error}") from None
    return _in_folder(own, own, entry, nested=False)


def _in_folder(folder: Path, own: Path, entry: str, *, nested: bool) -> Path:
    """Return the folder in `folder` that holds the program.

    Args:
        nested: a zip is unpacked if there is nothing else to grade.
    """
    top = Listing.at(folder)
    if entry:
        if entry in top.files:
            return folder
        if entry in top.links:
            raise Unreadable(f"{line(entry)} is a symbolic link; links are not read")
    elif top.gradable:
        return folder
    programs = list[Path]()
    others = list[Path]()
    links = list[Path]()
    _walk(top, _DEPTH, programs, others, links)
    if entry and (found := [path.parent for path in programs if path.name == entry]):
        fewest = min(len(path.parts) for path in found)
        highest = [path for path in found if len(path.parts) == fewest]
        if len(highest) == 1:
            return highest[0]
    if programs:
        return _descended(folder, programs)
    zips = [path for path in others if is_archive(path.name)]
    if nested and len(zips) == 1:
        return _unpacked(zips[0], zips[0].name, own, entry)
    if links and not others:
        raise Unreadable(f"holds only symbolic links ({some(path.name for path in links)})")
    raise Unreadable(_nothing([path.name for path in others]))


def _descended(folder: Path, programs: Sequence[Path]) -> Path:
    """Go down while nothing to grade lies here and one folder holds all that there is."""
    while not any(path.parent == folder for path in programs):
        below = {path.relative_to(folder).parts[0] for path in programs}
        if len(below) > 1:
            return folder
        folder /= below.pop()
    return folder


def _walk(
    listing: Listing, depth: int, programs: list[Path], others: list[Path], links: list[Path]
) -> None:
    """Collect what lies in a folder and below; links are not followed."""
    links += [listing.root / name for name in listing.links]
    for name in listing.files:
        (programs if is_gradable(name) else others).append(listing.root / name)
    if len(programs) + len(others) > FILE_CAP:
        raise Unreadable(f"holds more than {FILE_CAP} files; hand in the source files only")
    if depth:
        for name in listing.folders:
            _walk(listing.within(name), depth - 1, programs, others, links)


def _nothing(names: Sequence[str]) -> str:
    return f"no .py file or notebook: found {some(names) or 'nothing'}"


def safe_id(text: str) -> str:
    """Return `text` as a name that a file may have on any system, in its own script."""
    kept = []
    for character in unicodedata.normalize("NFC", text):
        kind = unicodedata.category(character)
        if kind == "Cf":
            continue
        bad = kind in ("Cc", "Cs", "Cn", "Zl", "Zp", "Zs") or character in _UNSAFE
        kept.append("_" if bad else character)
    name = "".join(kept).lstrip(".-~").rstrip(". ")[:_ID_CHARACTERS]
    name = name.encode()[:_ID_BYTES].decode(errors="ignore").rstrip(". ")
    if _RESERVED.fullmatch(name):
        name = f"_{name}"
    return name or "submission"


def unique_ids(pieces: Sequence[tuple[str, Piece]]) -> list[str]:
    """Return an id for each piece, from the name it would like to have.

    Where names collide, all of them get a suffix that is made from where they lay: an id depends
    on its own piece and the set of names, never on the order of reading.
    """
    ids = [safe_id(name) for name, _ in pieces]
    # A name that was cut may hide another; it tells itself apart in any case.
    level = [int(_is_cut(name)) for name, _ in pieces]
    while True:
        for index, (name, piece) in enumerate(pieces):
            ids[index] = _suffixed(safe_id(name), piece, level[index], index)
        groups = defaultdict(list)
        for index, id_ in enumerate(ids):
            groups[unicodedata.normalize("NFKC", id_).casefold()].append(index)
        colliding = [index for group in groups.values() if len(group) > 1 for index in group]
        if not colliding:
            return ids
        for index in colliding:
            level[index] += 1


def _is_cut(name: str) -> bool:
    normal = unicodedata.normalize("NFC", name)
    return len(normal) > _ID_CHARACTERS or len(normal.encode(errors="replace")) > _ID_BYTES


def _suffixed(name: str, piece: Piece, level: int, index: int) -> str:
    """Add a hash: of the place in the export; of the place on the disk too; at last, a number."""
    if not level:
        return name
    place = piece.source
    if level > 1:
        # Not where it was unpacked: that changes from run to run.
        given = (
            (piece.export, *(path.name for path in piece.paths)) if piece.export else piece.paths
        )
        place = "\n".join([place, *map(str, given)])
    if level > 2:
        place += f"\n{level} {index}"
    digest = hashlib.sha256(place.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    room = name[: _ID_CHARACTERS - 9].encode()[: _ID_BYTES - 9].decode(errors="ignore")
    return f"{room}-{digest}"
