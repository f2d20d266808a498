"""Read what a learning platform exports: detect the layout, find the hand-ins, name them.

How a layout is detected: the export's folder, and while there is nothing else in it the one
folder inside it, is shown to each layout of `_LAYOUTS` in turn; the first that fits is taken.
The order is from what is certain to what is left over:

1. gradescope: `submission_metadata.yml` is there
2. nbgrader: a folder `submitted`, or folders of folders with a `timestamp.txt`
3. moodle: most names have `_assignsubmission_`
4. canvas: nearly all names are Canvas', with numbers that can be attachments'
5. github-classroom: most folders are clones, or the folder is called `SLUG-submissions`
6. folders: more folders than programs and archives
7. files: anything else

Several paths are each detected on their own, unless they lie side by side and each looks like
one submission (`class/*`): then they are read as one folder that holds them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from lossgrade.cohort.archives import CLASS, ArchiveError, names, unpack
from lossgrade.cohort.entry import Cohort
from lossgrade.cohort.layouts import canvas, github, gradescope, moodle, nbgrader, plain
from lossgrade.cohort.layouts.arrange import arrange, safe_id, unique_ids
from lossgrade.cohort.layouts.listing import (
    LayoutError,
    Listing,
    is_archive,
    is_output,
    is_zip,
    line,
    some,
    stem,
)
from lossgrade.cohort.layouts.piece import Found, Piece
from lossgrade.cohort.roster import match_roster, read_roster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence, Set
    from pathlib import Path

    from lossgrade.cohort.entry import Student

Attempts = Literal["newest", "all"]


@dataclass(frozen=True)
class _Layout:
    fits: Callable[[Listing], bool]
    read: Callable[[Listing], Found]


_LAYOUTS = {
    "gradescope": _Layout(gradescope.fits, gradescope.read),
    "nbgrader": _Layout(nbgrader.fits, nbgrader.read),
    "moodle": _Layout(moodle.fits, moodle.read),
    "canvas": _Layout(canvas.fits, canvas.read),
    "github-classroom": _Layout(github.fits, github.read),
    "folders": _Layout(plain.are_folders, plain.folders),
    "files": _Layout(plain.are_files, plain.files),
    "otter": _Layout(plain.never, plain.otter),
}
_PLAIN = ("folders", "files", "otter")
_BY_NAMES = ("gradescope", "moodle", "canvas")
LAYOUTS = (
    "files", "folders", "gradescope", "github-classroom", "canvas", "moodle", "nbgrader", "otter",
)  # fmt: skip
# An export is wrapped in a folder of its own, and an archiver may add another.
_WRAPPINGS = 3


def read_cohort(
    paths: Sequence[Path],
    unpacked: Path,
    *,
    layout: str = "",
    attempts: Attempts = "newest",
    roster: Path | None = None,
    entry: str = "",
) -> Cohort:
    """Return what a class handed in. Nothing is run and nothing of the export is changed.

    Args:
        paths: folders, zips and files, as platforms export them.
        unpacked: an empty folder of ours, for archives and for files that the export renamed.
        layout: one of LAYOUTS; "": it is detected.
        attempts: "newest" leaves out a student's older attempts, where the export has several.
        roster: a CSV file of the students.
        entry: the name of the file that the assignment asks for, if it names one.
    Raises:
        LayoutError: no such path, an unknown layout, nothing to grade, an index or a roster that
            cannot be read.
    """
    if layout and layout not in LAYOUTS:
        raise LayoutError(f"{layout}: unknown layout, expected one of {', '.join(LAYOUTS)}")
    lines = read_roster(roster) if roster else []
    pieces: list[Piece] = []
    notes: list[str] = []
    for name, found in _exports(paths, unpacked / ".exports", layout, entry):
        pieces += [replace(piece, layout=name) for piece in found.pieces]
        notes += found.notes
    if not pieces:
        shown = some(str(path) for path in paths) or "no path"
        raise LayoutError(
            f"{shown}: no submission found; expected folders, .py files, notebooks or zips"
        )
    chosen = _chosen(pieces, attempts, notes)
    wanted = [
        (f"{piece.name}_attempt{attempt}" if attempts == "all" and several else piece.name, piece)
        for piece, attempt, several in chosen
    ]
    entries = [
        arrange(piece, id_, attempt, unpacked, entry)
        for (piece, attempt, _), id_ in zip(chosen, unique_ids(wanted), strict=True)
    ]
    missing: tuple[Student, ...] = ()
    if roster:
        entries, missing, unmatched = match_roster(entries, lines)
        notes += unmatched
    return Cohort(
        layout=", ".join(dict.fromkeys(piece.layout for piece in pieces)),
        entries=tuple(sorted(entries, key=lambda each: (each.id.casefold(), each.id))),
        missing=missing,
        notes=tuple(dict.fromkeys(notes)),
    )


def _exports(
    paths: Sequence[Path], unpacked: Path, layout: str, entry: str
) -> Iterator[tuple[str, Found]]:
    """Yield each export with the name of its layout."""
    above = {*unpacked.absolute().parents, *unpacked.resolve().parents}
    beside: dict[Path, list[Path]] = defaultdict(list)
    for path in dict.fromkeys(_whole(path) for path in paths):
        if _is_ours(path, above):
            if len(paths) > 1:
                continue
            raise LayoutError(f"{line(str(path))}: is what a run wrote; give what was handed in")
        if len(paths) == 1 and is_archive(path.name) and not is_zip(path.name) and path.is_file():
            raise LayoutError(f"{line(str(path))}: of archives only .zip is read; unpack it first")
        if (
            path.parent.parent.name == nbgrader.STEP
            and path.is_dir()
            and layout in ("", "nbgrader")
        ):
            source, student = line("/".join(path.parts[-3:])), line(path.parent.name)
            yield "nbgrader", Found((nbgrader.piece(path, source, student),))
        else:
            beside[path.parent].append(path)
    whole: list[Path] = []
    for parent, siblings in beside.items():
        single = _submissions(siblings, entry)
        whole += [path for path in siblings if path not in single]
        if single:
            listing = Listing.at(parent, only=frozenset(path.name for path in single))
            name = layout or _detected(listing) or _plain(listing)
            yield name, _read(name, listing, entry)
    for number, path in enumerate(whole):
        notes: list[str] = []
        root = path
        if not path.is_dir():
            # Named as the zip, whose name may tell the layout as a folder's does.
            root = unpacked / str(number) / safe_id(stem(path.name))
            try:
                notes = unpack(path, root, CLASS, lenient=True)
            except ArchiveError as error:
                raise LayoutError(f"{line(str(path))}: {error}") from None
        listing = Listing.at(root.resolve(), line(path.name))
        folders = tuple(name for name in listing.folders if not _is_ours(root / name, above))
        name, found = _located(replace(listing, folders=folders), layout, entry)
        notes = [f"{line(path.name)}/{each}; left out" for each in notes]
        pieces = (replace(piece, export=path) for piece in found.pieces)
        yield name, Found(tuple(pieces), (*notes, *found.notes))


def _is_ours(folder: Path, above: Set[Path]) -> bool:
    """Say whether a run wrote to a folder, or this one does below it, as to `results/week1`."""
    return is_output(folder) or (folder in above and Listing.at(folder).is_empty)


def _whole(path: Path) -> Path:
    """Return the absolute path, without dots, of a file or folder that is there."""
    try:
        if path.exists():
            return path.resolve() if ".." in path.parts else path.absolute()
        reason = "no such file or folder"
    except OSError as error:
        reason = f"cannot be read ({error.strerror})"
    raise LayoutError(f"{line(str(path))}: {reason}")


def _submissions(siblings: Sequence[Path], entry: str) -> set[Path]:
    """Return those of the given paths, all of one folder, that are one submission each.

    A folder or zip is, if it holds the file that is asked for and none of its folders does too, as
    in a class with a template; and among several, if it holds one program alone, or mostly programs
    that most of the others hold too.
    """
    loose = {path for path in siblings if path.is_file() and not is_zip(path.name)}
    programs: dict[Path, set[str]] = {}
    for path in siblings:
        if path not in loose:
            listing = _inside(path)
            if not any(_LAYOUTS[name].fits(listing) for name in _BY_NAMES):
                programs[path] = set(listing.gradable)
    counts = Counter(name for found in programs.values() for name in found)
    single = set()
    for path, found in programs.items():
        common = sum(counts[name] > len(siblings) / 2 for name in found)
        alike = len(siblings) > 1 and (len(found) == 1 or 0 < len(found) <= 2 * common)
        asked = entry and entry in found and not _holds_several(path, entry)
        # A folder with one student's folder in it is a class of one.
        if len(siblings) == 1 and path.is_dir():
            asked = asked and (path / entry).is_file()
        if alike or asked:
            single.add(path)
    if single:
        # What holds nothing to grade is a submission too, as those beside it are.
        single |= {path for path, found in programs.items() if not found}
    return single | loose


def _holds_several(path: Path, entry: str) -> bool:
    if path.is_dir():
        listing = _inside(path)
        return any((listing.root / name / entry).is_file() for name in listing.folders)
    return sum(name.rpartition("/")[2] == entry for name in names(path)) > 1


def _inside(path: Path) -> Listing:
    """Return what lies in a folder or zip, below folders that hold nothing else."""
    return _unwrapped(Listing.at(path)) if path.is_dir() else Listing.of_names(path, names(path))


def _located(listing: Listing, layout: str, entry: str) -> tuple[str, Found]:
    """Find the folder of the export in which the hand-ins lie, and read it.

    Raises:
        LayoutError: `layout` does not fit at all, or the export's index cannot be read.
    """
    level = listing
    for _ in range(_WRAPPINGS):
        name = _detected(level, layout)
        if name:
            return name, _read(name, level, entry)
        if len(level.folders) != 1 or level.handed_in:
            break
        level = level.within(level.folders[0])
    level = _unwrapped(listing, keep=1)
    name = layout or _plain(level)
    found = _read(name, level, entry)
    if name not in _PLAIN and not any(piece.students for piece in found.pieces):
        sign = (_LAYOUTS[name].fits.__doc__ or "").split("\n")[0]
        raise LayoutError(f"{listing.shown}: is not laid out as {name}, whose sign is: {sign}")
    return name, found


def _unwrapped(listing: Listing, *, keep: int = 0) -> Listing:
    """Return the folder inside folders that hold nothing else.

    Args:
        keep: the fewest programs, archives and folders that the folder inside must exceed; 1
            leaves a class of one student as it is.
    """
    for _ in range(_WRAPPINGS):
        if len(listing.folders) != 1 or listing.handed_in:
            break
        inner = listing.within(listing.folders[0])
        if len(inner.folders) + len(inner.handed_in) <= keep:
            break
        listing = inner
    return listing


def _detected(listing: Listing, layout: str = "") -> str:
    """Return the platform's layout that fits, or "" for none."""
    candidates = [layout] if layout else [name for name in _LAYOUTS if name not in _PLAIN]
    return next((name for name in candidates if _LAYOUTS[name].fits(listing)), "")


def _plain(listing: Listing) -> str:
    return "folders" if _LAYOUTS["folders"].fits(listing) else "files"


def _read(name: str, listing: Listing, entry: str) -> Found:
    if name == "nbgrader":
        return nbgrader.read(listing, entry)
    return _LAYOUTS[name].read(listing)


def _chosen(
    pieces: Sequence[Piece], attempts: Attempts, notes: list[str]
) -> list[tuple[Piece, int, bool]]:
    """Return the pieces that are graded, each with its attempt and whether there are several."""
    groups: dict[tuple[str, str], list[Piece]] = defaultdict(list)
    for index, piece in enumerate(pieces):
        groups[piece.layout, f"={piece.key}" if piece.key else str(index)].append(piece)
    chosen = []
    older = []
    for group in groups.values():
        group.sort(key=Piece.age)
        kept = [(piece, number, len(group) > 1) for number, piece in enumerate(group, 1)]
        chosen += kept if attempts == "all" else kept[-1:]
        older += [] if attempts == "all" else group[:-1]
    if older:
        notes.append(
            f"{len(older)} older attempts left out, the newest of each student counts: "
            f"{some(piece.source for piece in older)}"
        )
    places: dict[str, list[str]] = defaultdict(list)
    for piece, number, _ in chosen:
        for student in piece.students:
            if student.id and (number == 1 or attempts == "newest"):
                places[student.id].append(piece.source)
    notes += [
        f"student {line(student)} is in several submissions, each of which is graded: {some(found)}"
        for student, found in places.items()
        if len(found) > 1
    ]
    return chosen
