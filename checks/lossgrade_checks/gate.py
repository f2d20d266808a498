"""Which rules can have anything to report in a file, told from the words in it and its imports.

Parsing is nearly all of the cost of linting, and a word is found at a hundredth of it. The gate
may let through too much; it never holds back a finding.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from lossgrade_checks.prefilter import SPACED
from lossgrade_checks.source import Source, Unreadable, read_source

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from lossgrade_checks.project import Project
    from lossgrade_checks.rule import Rule

_WORD = re.compile(r"[^\W\d]\w*")
# Each way begins with a letter, and looks back for the end of a word only after it: then `re` skips
# from one such letter to the next, in a third of the time.
_IMPORT = re.compile(
    r"f(?<!\wf)rom\b[ \t\\\n]*(?P<dots>\.*)[ \t]*(?P<module>[\w.]*)[ \t\\\n]*\bimport\b"
    r"[ \t]*(?P<names>\([^)]*\)|[^\n;#]*(?:\\\n[^\n;#]*)*)"
    r"|i(?<!\wi)mport\b[ \t]*(?P<modules>[^\n;#(]*(?:\\\n[^\n;#]*)*)"
)


class Imported(NamedTuple):
    """A module that a file may import: the number of dots before it, and its dotted name."""

    level: int
    module: str


class _File(NamedTuple):
    # The hash of its text, by which it is known to be as it was.
    text: int
    words: frozenset[str]
    imports: tuple[Path, ...]


class Gate:
    """Reads the words of files, and follows their imports."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._files: dict[Path, _File] = {}

    def open_for(self, source: Source, rules: Sequence[type[Rule]]) -> list[type[Rule]]:
        """Return those of `rules` that can have something to report in `source`."""
        words = self._words(source)
        return [rule for rule in rules if all(not words.isdisjoint(one) for one in rule.needs)]

    def _words(self, source: Source) -> set[str]:
        """Return the words of a file and of all files of the project that it imports."""
        root = self._files.get(source.path)
        if root is None or root.text != hash(source.text):
            root = self._files[source.path] = self._read(source.path, source.text)
        words = set(root.words)
        seen = {source.path}
        waiting = list(root.imports)
        while waiting:
            path = waiting.pop()
            if path not in seen:
                seen.add(path)
                found = self._file(path)
                words |= found.words
                waiting += found.imports
        return words

    def _file(self, path: Path) -> _File:
        known = self._files.get(path)
        if known is None:
            try:
                text = read_source(path, path.read_bytes()).text
            except (OSError, Unreadable):
                text = ""
            known = self._files[path] = self._read(path, text)
        return known

    def _read(self, path: Path, text: str) -> _File:
        found = []
        for imported in imports(text):
            at = self._project.find(path, imported.level, imported.module)
            if at is not None:
                found.append(at)
        # Where a letter beyond ASCII splits a word, its pieces are words: too many, never too few.
        words = text.encode("ascii", "replace").translate(SPACED).decode("ascii").split()
        return _File(hash(text), frozenset(words), tuple(dict.fromkeys(found)))


def imports(text: str) -> Iterable[Imported]:
    """Return every module that a program may import, and some that it does not.

    A name that is imported from a package may be a module in it, so both are given.
    """
    for match in _IMPORT.finditer(text):
        if match["module"] is not None:
            level, module = len(match["dots"]), match["module"]
            yield Imported(level, module)
            for name in _WORD.findall(match["names"]):
                yield Imported(level, f"{module}.{name}" if module else name)
        else:
            for part in match["modules"].split(","):
                parts = part.split()[0].split(".") if part.split() else []
                for end in range(1, len(parts) + 1):
                    yield Imported(0, ".".join(parts[:end]))
