"""What a layer says about itself, and the levels that the layers add up to."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection


class State(NamedTuple):
    """One layer in one worker: is it on, and in plain words how far or why not."""

    name: str
    on: bool
    note: str

    def __str__(self) -> str:
        return f"{self.name}: {'on' if self.on else 'off'}, {self.note}"


# The names of the layers, as every report prints them.
LIMITS = "limits"
UID_DROP = "uid drop"
NO_CAPABILITIES = "no capabilities"
NO_NEW_PRIVILEGES = "no new privileges"
NOT_DUMPABLE = "not dumpable"
DIES_WITH_PARENT = "dies with its parent"
FILES = "files"
TCP = "tcp"
SIGNALS = "signals"
SYSTEM_CALLS = "system calls"

# From weakest to strongest; each also needs everything that those before it need.
LEVELS = ("process", "limits", "contained")

# TCP and SIGNALS are a second lock on doors that SYSTEM_CALLS closes on every kernel.
_NEEDED = {
    "process": frozenset[str](),
    "limits": frozenset({LIMITS}),
    "contained": frozenset(
        {LIMITS, NO_CAPABILITIES, NO_NEW_PRIVILEGES, NOT_DUMPABLE, FILES, SYSTEM_CALLS}
    ),
}


def level(on: Collection[str]) -> str:
    """Return the strongest of LEVELS that the layers named in `on` reach."""
    return next(name for name in reversed(LEVELS) if _NEEDED[name] <= set(on))


def reaches(reached: str, required: str) -> bool:
    """Say whether level `reached` is at least `required`.

    Raises:
        ValueError: one of them is not a level.
    """
    return LEVELS.index(reached) >= LEVELS.index(required)
