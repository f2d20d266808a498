"""Gradescope's "Download Submissions": a folder a submission, and an index in YAML.

    assignment_9100_export/
        submission_metadata.yml
        submission_123/hw.py

The index has the folders' names as keys and Ruby symbols below them: `:submitters` (a list of
`:name`, `:sid`, `:email`, each of which may be absent) and `:created_at`. It also holds all
results that Gradescope's autograder ever gave, so it is read as a stream of which only those two
keys are kept: measured, 44 MB take 1 second, where loading it all takes 4.

The export has the active submission of each student or group alone, so there are no attempts
within it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lossgrade.cohort.entry import Student
from lossgrade.cohort.layouts.listing import LayoutError, line, stem
from lossgrade.cohort.layouts.piece import Found, Piece, strays

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lossgrade.cohort.layouts.listing import Listing

INDEX = "submission_metadata.yml"
_KEPT = (":submitters", ":created_at")


def fits(listing: Listing) -> bool:
    """The index is there."""
    return INDEX in listing.files


def read(listing: Listing) -> Found:
    """Return the submissions of an export.

    Raises:
        LayoutError: the index is missing or cannot be read.
    """
    if not fits(listing):
        raise LayoutError(f"{listing.shown}: has no {INDEX}, which a Gradescope export has")
    index = _index(listing)
    folders = frozenset(listing.folders)
    present = {*folders, *listing.files, *listing.links}
    names = [*index, *(name for name in listing.folders if name not in index)]
    pieces: list[Piece] = []
    notes: list[str] = []
    for name in names:
        about = index.get(name, {})
        if name not in index:
            notes.append(f"{listing.source(name)}: {INDEX} does not say whose it is")
        students = _students(about.get(":submitters"))
        there = name in present
        number = "".join(c for c in name if c in "0123456789")[:18]
        pieces.append(
            Piece(
                name=name if name in folders else stem(name),
                paths=(listing.root / name,) if there else (),
                source=listing.source(name),
                students=students,
                problem="" if there else f"{INDEX} names it, but the export does not hold it",
                submitted_at=_time(about.get(":created_at")),
                number=int(number or 0),
                key=_key(students),
            )
        )
    loose = strays(listing, frozenset({INDEX, *index}))
    return Found((*pieces, *loose.pieces), (*notes, *loose.notes))


def _students(submitters: object) -> tuple[Student, ...]:
    listed = submitters if isinstance(submitters, list) else []
    found = (
        Student(*(_text(each.get(key)) for key in (":sid", ":name", ":email")))
        for each in listed
        if isinstance(each, dict)
    )
    return tuple(student for student in found if student != Student())


def _key(students: tuple[Student, ...]) -> str:
    """Return what attempts of one student or group share: not a name alone, which two may have."""
    keys = [f"{each.id}\t{each.email}".strip() for each in students]
    return "\n".join(sorted(keys)) if all(keys) else ""


def _text(value: object) -> str:
    text = line(value).strip() if isinstance(value, str) else ""
    return "" if text in ("~", "null") else text


def _time(value: object) -> str:
    """Return `2026-04-26 17:34:00.861687000 Z` as ISO 8601 knows it: "T", at most 6 digits."""
    day, _, rest = _text(value).partition(" ")
    clock, _, zone = rest.partition(" ")
    whole, dot, fraction = clock.partition(".")
    zone = "+00:00" if zone in ("Z", "UTC") else zone
    return f"{day}T{whole}{dot}{fraction[:6]}{zone}" if whole else day


def _index(listing: Listing) -> dict[str, dict[str, Any]]:
    # Only this layout needs it, and only when it is met.
    import yaml

    path = listing.root / INDEX
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        with path.open("rb") as stream:
            return _Reader(yaml.parse(stream, Loader=loader)).index()
    except (OSError, yaml.YAMLError, UnicodeError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or getattr(error, "strerror", None) or error
        raise LayoutError(
            f"{listing.source(INDEX)}{where}: cannot be read as YAML ({line(str(reason))})"
        ) from None


class _Reader:
    """Makes the index from YAML's events: texts, lists and mappings alone, whatever the tags."""

    def __init__(self, events: Iterator[Any]) -> None:
        self.events = events
        self.anchors: dict[str, Any] = {}

    def index(self) -> dict[str, dict[str, Any]]:
        """Return the kept keys of each submission.

        Raises:
            ValueError: it is not a mapping of mappings.
        """
        found: dict[str, dict[str, Any]] = {}
        for event in self.events:
            kind = type(event).__name__
            if kind == "MappingStartEvent":
                for name in self.keys():
                    found[name] = self.submission(next(self.events))
                return found
            if kind not in ("StreamStartEvent", "DocumentStartEvent"):
                break
        raise ValueError("expected a mapping of submissions")

    def keys(self) -> Iterator[str]:
        """Yield the keys of a mapping that has started; the caller reads each value."""
        for event in self.events:
            if type(event).__name__ == "MappingEndEvent":
                return
            yield str(self.value(event))

    def submission(self, event: Any) -> dict[str, Any]:
        if type(event).__name__ != "MappingStartEvent":
            self.value(event)
            return {}
        kept: dict[str, Any] = {}
        for key in self.keys():
            value = next(self.events)
            if key in _KEPT:
                kept[key] = self.value(value)
            else:
                self.skip(value)
        return kept

    def skip(self, event: Any) -> None:
        """Read past a value, keeping what an alias may name later."""
        depth = 0
        while True:
            kind = type(event).__name__
            if getattr(event, "anchor", None) and kind != "AliasEvent":
                self.value(event)
            elif kind.endswith("StartEvent"):
                depth += 1
            elif kind.endswith("EndEvent"):
                depth -= 1
            if depth == 0:
                return
            event = next(self.events)

    def value(self, event: Any) -> Any:
        kind = type(event).__name__
        if kind == "AliasEvent":
            return self.anchors.get(event.anchor, "")
        made: Any
        if kind == "ScalarEvent":
            made = event.value
        elif kind == "SequenceStartEvent":
            made = []
            while type(item := next(self.events)).__name__ != "SequenceEndEvent":
                made.append(self.value(item))
        else:
            made = {}
            for key in self.keys():
                made[key] = self.value(next(self.events))
        if event.anchor:
            self.anchors[event.anchor] = made
        return made
