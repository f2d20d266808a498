"""Which paths a list of patterns means: those of a configuration, and those of .gitignore files.

Both are written as in .gitignore. Their library is imported when a pattern needs it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pathspec import GitIgnoreSpec

_SPECIAL = frozenset("*?[]!\\/# ")


class Patterns:
    """Patterns relative to a folder, an absolute path."""

    def __init__(self, root: str, patterns: Iterable[str]) -> None:
        self._root = root
        patterns = tuple(patterns)
        # Mostly all are the names of folders, as `build`; a set of names is as good then.
        self._names = {p for p in patterns if p and _SPECIAL.isdisjoint(p)}
        self._spec = None
        if rest := [p for p in patterns if p not in self._names]:
            self._spec = _spec(rest)

    def match(self, path: str, *, folder: bool = False) -> bool:
        """Say whether the file (or `folder`) at an absolute path is meant, itself alone."""
        if os.path.basename(path) in self._names:
            return True
        return self._spec is not None and bool(_decision(self._spec, self._root, path, folder))

    def match_upwards(self, path: str) -> bool:
        """Say whether a file is meant, or a folder above it, up to the patterns' own folder."""
        if self.match(path):
            return True
        if not path.startswith(self._root):
            # What the folders above are called is not the project's choice.
            return False
        above = os.path.dirname(path)
        while above not in (self._root, path):
            if self.match(above, folder=True):
                return True
            path, above = above, os.path.dirname(above)
        return False


class _Level(NamedTuple):
    folder: str
    spec: GitIgnoreSpec


class GitIgnored:
    """What git ignores in a folder and below, after the .gitignore files there and above it.

    Those above count as far as the folder that holds `.git`, and so does its `info/exclude`. A
    user's own `core.excludesFile` does not: a run is to find the same on every machine.
    """

    def __init__(self, levels: tuple[_Level, ...] = ()) -> None:
        self._levels = levels

    @classmethod
    def at(cls, folder: str) -> GitIgnored:
        """Return what counts in `folder`, an absolute path, before its own .gitignore."""
        above = []
        at = folder
        while not os.path.lexists(os.path.join(at, ".git")):
            parent = os.path.dirname(at)
            if parent == at:
                # There is no repository: a .gitignore above is of something else.
                return cls()
            at = parent
            above.append(at)
        levels = cls()._with(at, os.path.join(at, ".git", "info", "exclude"))
        for each in reversed(above):
            levels = levels.inside(each)
        return levels

    def inside(self, folder: str) -> GitIgnored:
        """Return what counts in `folder`, which stands in the last one or is the first."""
        return self._with(folder, os.path.join(folder, ".gitignore"))

    def ignores(self, path: str, *, folder: bool = False) -> bool:
        """Say whether git ignores the file (or `folder`) at an absolute path, itself alone."""
        for level in reversed(self._levels):
            decision = _decision(level.spec, level.folder, path, folder)
            if decision is not None:
                return decision
        return False

    def _with(self, folder: str, file: str) -> GitIgnored:
        try:
            lines = Path(file).read_bytes().decode("utf-8", "surrogateescape").split("\n")
        except OSError:
            return self
        lines = [line.removesuffix("\r") for line in lines]
        lines = [line for line in lines if line and not line.startswith("#")]
        return GitIgnored((*self._levels, _Level(folder, _spec(lines)))) if lines else self


# A path is matched with a last part of its own, which says what it is. A pattern ends in that part
# too, so it matches what it names and not all that is below: a row such as `!*/` then brings back
# folders alone, as with git, and not their files.
_FILE, _FOLDER = "\x01", "\x02"


def _spec(lines: Iterable[str]) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec

    patterns = [_itself(line) for line in lines]
    try:
        return GitIgnoreSpec.from_lines(patterns)
    except ValueError:
        # As git does, pass over a row that says nothing.
        return GitIgnoreSpec.from_lines(pattern for pattern in patterns if _sensible(pattern))


def _itself(line: str) -> str:
    """Return a pattern for the last part of paths, from a row of .gitignore; "" if it has none."""
    if line.startswith("#"):
        return ""
    while line.endswith(" ") and not line.endswith("\\ "):
        line = line[:-1]
    negation = "!" if line.startswith("!") else ""
    pattern = line.removeprefix("!")
    kind = _FOLDER if pattern.endswith("/") else f"[{_FILE}{_FOLDER}]"
    pattern = pattern.removesuffix("/")
    if not pattern:
        return ""
    if "/" not in pattern:
        pattern = f"**/{pattern}"
    if pattern.endswith("/**"):
        # All that is in a folder, and not the folder.
        pattern += "/*"
    return f"{negation}{pattern}/{kind}"


def _sensible(pattern: str) -> bool:
    from pathspec import GitIgnoreSpec

    try:
        GitIgnoreSpec.from_lines([pattern])
    except ValueError:
        return False
    return True


def _decision(spec: GitIgnoreSpec, root: str, path: str, folder: bool) -> bool | None:
    """Return whether `spec` takes a path in or out; None if it says nothing of it."""
    relative = os.path.relpath(path, root).replace(os.sep, "/")
    if relative.startswith("../") or relative in ("..", "."):
        return None
    return spec.check_file(f"{relative}/{_FOLDER if folder else _FILE}").include
