"""What lies in a folder of an export, read once; and the words in which people are told of it."""

from __future__ import annotations

import os
import unicodedata
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from lossgrade.submission import LEFT_OUT, SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterable

ARCHIVES = (".zip",)
# What students send in place of a .zip; read by none of our means.
OTHER_ARCHIVES = (".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zipx")
_JUNK = {"__macosx", "thumbs.db", "desktop.ini", "$recycle.bin"}
# Left by people who prepare a class, beside what students handed in.
_OF_THE_CLASS = {"readme", "license", "notes", "roster", "grades", "gradebook", "requirements"}
_BIDI = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class LayoutError(Exception):
    """An export that cannot be read as it was asked; the text is one line for the instructor."""


@dataclass(frozen=True)
class Listing:
    """The names in one folder of an export, sorted, junk and the results of runs left out.

    Attributes:
        shown: how the folder is called in messages: `class.zip/week1`.
        links: symbolic links, and what is neither file nor folder: never read.
    """

    root: Path
    shown: str
    folders: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    links: tuple[str, ...] = ()

    @classmethod
    def at(cls, root: Path, shown: str = "", only: frozenset[str] | None = None) -> Listing:
        """Return what lies at `root`; of names in `only` if given.

        Raises:
            LayoutError: the folder cannot be read.
        """
        folders: list[str] = []
        files: list[str] = []
        links: list[str] = []
        try:
            with os.scandir(root) as entries:
                for entry in entries:
                    name = entry.name
                    if is_junk(name) or (only is not None and name not in only):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        if not is_output(root / name):
                            folders.append(name)
                    elif entry.is_file(follow_symlinks=False):
                        files.append(entry.name)
                    else:
                        links.append(entry.name)
        except OSError as error:
            raise LayoutError(f"{line(str(root))}: cannot be read ({error.strerror})") from None
        names = tuple(tuple(sorted(each)) for each in (folders, files, links))
        return cls(root, shown or line(root.name), *names)

    @classmethod
    def of_names(cls, root: Path, names: Iterable[str]) -> Listing:
        """Return what lies in a tree that is known by the paths of its files, junk left out.

        A folder that holds all of it is gone into: an archiver may have added it.
        """
        paths = [name.split("/") for name in names]
        while paths and all(len(parts) > 1 and parts[0] == paths[0][0] for parts in paths):
            paths = [parts[1:] for parts in paths]
        folders = sorted({parts[0] for parts in paths if len(parts) > 1})
        files = sorted({parts[0] for parts in paths if len(parts) == 1})
        return cls(root, line(root.name), tuple(folders), tuple(files))

    def source(self, name: str) -> str:
        """Return how a name in this folder is called in messages."""
        return f"{self.shown}/{line(name)}"

    def within(self, name: str) -> Listing:
        """Return the listing of one of the folders.

        Raises:
            LayoutError: the folder cannot be read.
        """
        return Listing.at(self.root / name, self.source(name))

    @property
    def is_empty(self) -> bool:
        """Whether it holds folders at most, and those are empty too."""
        return (
            not self.files
            and not self.links
            and all(self.within(name).is_empty for name in self.folders)
        )

    @property
    def gradable(self) -> list[str]:
        return [name for name in self.files if is_gradable(name)]

    @property
    def handed_in(self) -> list[str]:
        """The files that a student may have handed in as they are: programs and archives."""
        return [name for name in self.files if is_gradable(name) or is_archive(name)]


def is_junk(name: str) -> bool:
    """Say whether a name is one that systems and tools leave: never handed in on purpose."""
    return name.startswith(".") or name.casefold() in _JUNK or name in LEFT_OUT


def is_output(folder: Path) -> bool:
    """Say whether `folder` is what a run wrote to, and no student's that looks alike."""
    try:
        with (folder / "run.json").open("rb") as stream:
            return b'"lossgrade/run/' in stream.read(200) and (folder / "results").is_dir()
    except OSError:
        return False


def is_gradable(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def is_archive(name: str) -> bool:
    return name.lower().endswith(ARCHIVES + OTHER_ARCHIVES)


def is_zip(name: str) -> bool:
    return name.lower().endswith(ARCHIVES)


def is_of_the_class(name: str) -> bool:
    """Say whether a loose file is the instructor's: a README, a roster, a gradebook."""
    return not is_gradable(name) and PurePath(name).stem.casefold() in _OF_THE_CLASS


def stem(name: str) -> str:
    """Return a file's name without its suffix, both parts of `.tar.gz` taken off."""
    for suffix in (".tar.gz", ".tar.bz2", ".tar.xz"):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return PurePath(name).stem


def line(text: str) -> str:
    """Return text of the export as one line that any encoding can hold and that shows its order.

    Control characters, surrogates of names that are not UTF-8 and marks that reverse the
    direction of writing become U+FFFD; letters of every script stay.
    """
    if text.isascii() and text.isprintable():
        return text
    kept = (
        "\ufffd" if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or c in _BIDI else c
        for c in unicodedata.normalize("NFC", text)
    )
    return "".join(kept)


def some(names: Iterable[str], most: int = 3) -> str:
    """Return names for a message, the first few of many."""
    listed = [line(name) for name in names]
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more
