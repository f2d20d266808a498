"""Which paths a worker may read: the interpreter, its packages, little of the system.

`lossgrade` itself is left out however it was installed, so that no expected value can
be read from its source. A worker's own modules are imported before it goes in.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# Shared libraries and their cache, time zones, locales. All of them hold what a
# distribution ships, nothing of the machine's users.
_SYSTEM = (
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/share/locale",
    "/usr/share/zoneinfo",
    "/etc/ld.so.cache",
    "/etc/locale.alias",
    "/etc/localtime",
    "/etc/mime.types",  # `mimetypes` raises if it exists and cannot be read
    "/dev/random",
    "/dev/urandom",
    "/dev/zero",
    # What torch, OpenBLAS and the C library ask to choose kernels and thread counts.
    # Of /proc nothing that belongs to a process, not even the worker's own.
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
    "/sys/kernel/mm/transparent_hugepage",
)

OURS = "lossgrade"


def is_ours(name: str) -> bool:
    """Say whether a file of this name, where packages are installed, belongs to lossgrade."""
    plain = name.lower()
    return plain.lstrip("_").startswith(OURS) or (
        plain.startswith("__editable__") and OURS in plain
    )


@dataclass
class AllowList:
    """Resolved paths, none of them above or beneath what is hidden."""

    readable: list[str] = field(default_factory=list)
    # Directories with something hidden in them: names may be listed (an import needs
    # to), but only those of their files that `readable` names can be read.
    listed: list[str] = field(default_factory=list)


def interpreter_paths() -> list[str]:
    """Return the directories that the running interpreter imports from."""
    here = str(Path.cwd())
    # An entry for the directory it was started in is an accident of how it was started,
    # and holds the course's files.
    return [path for path in sys.path if Path(path).is_absolute() and path != here]


def _prefixes() -> set[str]:
    return {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}


def _hidden() -> set[str]:
    """Return every lossgrade that lies where Python packages lie on this machine."""
    places = {*interpreter_paths(), str(Path(__file__).parents[3])}
    for prefix in {*_prefixes(), "/usr", "/usr/local"}:
        places.update(_package_directories(prefix))
    hidden = {str(Path(__file__).resolve().parents[2])}
    for place in places:
        for entry in _entries(place):
            if is_ours(Path(entry).name):
                hidden.add(os.path.realpath(entry))
    return hidden


def _package_directories(prefix: str) -> list[str]:
    # By hand: Path.glob raises at a directory that cannot be read.
    libraries = [entry for entry in _entries(prefix) if Path(entry).name.startswith("lib")]
    pythons = [e for lib in libraries for e in _entries(lib) if Path(e).name.startswith("python")]
    return [e for python in pythons for e in _entries(python) if e.endswith("-packages")]


def _entries(directory: str) -> list[str]:
    try:
        return [entry.path for entry in os.scandir(directory)]
    except OSError:
        return []


def _reachable(path: str) -> bool:
    try:
        return bool(Path(path).stat())
    except OSError:
        return False


def _above(path: str) -> set[str]:
    return set(map(str, Path(path).parents))


def allow_list(more: Iterable[str] = ()) -> AllowList:
    """Return what a worker of this interpreter may read, and beneath `more`."""
    hidden = _hidden()
    above_hidden = set().union(*map(_above, hidden))
    libraries = [str(Path(prefix, lib)) for prefix in _prefixes() for lib in ("lib", "lib64")]
    waiting = [*_SYSTEM, *interpreter_paths(), *libraries, *more]
    seen: set[str] = set()
    split: set[str] = set()
    whole: set[str] = set()
    while waiting:
        path = os.path.realpath(waiting.pop())
        # Once more for each: an entry can be a link to something hidden, or above it.
        if path in seen or path in hidden or _above(path) & hidden or not _reachable(path):
            continue
        seen.add(path)
        if path in above_hidden:
            split.add(path)
            waiting += [entry for entry in _entries(path) if not is_ours(Path(entry).name)]
        else:
            whole.add(path)
    readable = sorted(path for path in whole if not _above(path) & whole)
    holds_readable = set().union(*map(_above, readable)) if readable else set()
    return AllowList(readable, sorted(split & holds_readable))
