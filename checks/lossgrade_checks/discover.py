"""Which files a run is about: those named, and the programs and notebooks in the folders named."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lossgrade_checks.patterns import GitIgnored, Patterns

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lossgrade_checks.config import Configurations, Settings

SUFFIXES = (".py", ".pyi", ".ipynb")


class Found(NamedTuple):
    """The files, sorted by path and each once, and a line for each path that gave none."""

    files: list[Path]
    errors: list[str]


class Discovery:
    """A search for files. `exclude` and `force_exclude` add to what is configured."""

    def __init__(
        self,
        configurations: Configurations,
        exclude: Sequence[str] = (),
        *,
        force_exclude: bool = False,
    ) -> None:
        self._configurations = configurations
        self._own_exclude = exclude
        self._force_exclude = force_exclude
        self._patterns: dict[tuple[str, str], tuple[Patterns, ...]] = {}
        self._files: dict[str, str] = {}
        self._errors: list[str] = []

    def find(self, paths: Iterable[str]) -> Found:
        """Return the files that `paths` name or hold.

        Raises:
            ConfigError: the configuration of a folder is no configuration.
        """
        for path in paths:
            try:
                mode = os.stat(path).st_mode
            except FileNotFoundError:
                self._errors.append(f"{path}: no such file or folder")
                continue
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or error
                self._errors.append(f"{path}: cannot be read: {reason}")
                continue
            if stat.S_ISDIR(mode):
                if not self._is_excluded(path, folder=True):
                    self._walk(path)
            elif not stat.S_ISREG(mode):
                self._errors.append(f"{path}: is no regular file; `-` reads standard input")
            elif not self._is_excluded(path):
                self._add(path)
        names = sorted(self._files.values(), key=lambda name: name.split(os.sep))
        return Found([Path(name) for name in names], self._errors)

    def is_excluded(self, path: str) -> bool:
        """Say whether a path that was named is to be left out: only if exclusion is forced."""
        return self._is_excluded(path)

    def _add(self, path: str) -> None:
        # A file that has two names is linted once, under the first.
        self._files.setdefault(os.path.realpath(path), os.path.normpath(path))

    def _is_excluded(self, path: str, *, folder: bool = False) -> bool:
        path = os.path.abspath(path)
        settings = self._configurations.for_folder(path if folder else os.path.dirname(path))
        if not (self._force_exclude or settings.force_exclude):
            return False
        return any(patterns.match_upwards(path) for patterns in self._excluded(settings))

    def _excluded(self, settings: Settings) -> tuple[Patterns, ...]:
        key = settings.root, settings.origin
        if key not in self._patterns:
            configured = Patterns(settings.root, settings.exclude)
            self._patterns[key] = (configured, Patterns(str(Path.cwd()), self._own_exclude))
        return self._patterns[key]

    def _walk(self, folder: str) -> None:
        top = os.path.abspath(folder)
        ignored = GitIgnored.at(top)
        if ignored.ignores(top, folder=True):
            # What is named is meant, whatever the folders above it say.
            ignored = GitIgnored()
        waiting = [(folder, top, ignored)]
        while waiting:
            folder, full, above = waiting.pop()
            settings = self._configurations.for_folder(full)
            inside = above.inside(full) if settings.respect_gitignore else above
            try:
                with os.scandir(folder) as entries:
                    # Of a file and a link to it the file is told, whatever the order on disk.
                    listed = sorted(entries, key=lambda each: (each.is_symlink(), each.name))
            except OSError as error:
                self._errors.append(f"{folder}: cannot be read: {error.strerror}")
                continue
            for entry in listed:
                below = os.path.join(full, entry.name)
                kind = self._kind(entry)
                if kind and not self._left_out(below, kind == "folder", settings, inside):
                    if kind == "folder":
                        waiting.append((os.path.join(folder, entry.name), below, inside))
                    else:
                        self._add(os.path.join(folder, entry.name))

    def _left_out(self, path: str, folder: bool, settings: Settings, ignored: GitIgnored) -> bool:
        if any(patterns.match(path, folder=folder) for patterns in self._excluded(settings)):
            return True
        return settings.respect_gitignore and ignored.ignores(path, folder=folder)

    @staticmethod
    def _kind(entry: os.DirEntry[str]) -> str:
        """Return "folder", "file" or, of what is not linted, "". Links to folders are left."""
        try:
            if entry.is_dir(follow_symlinks=False):
                return "folder"
            return "file" if entry.name.endswith(SUFFIXES) and entry.is_file() else ""
        except OSError:
            return ""
