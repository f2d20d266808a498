"""All layers together: `prepare` once in the zygote, `enter` in every worker.

The caller has made the worker's process group, closed its descriptors and imported what
lossgrade code the worker runs, since afterwards none can be read.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import dumpable, landlock, privileges, readable, seccomp
from . import limits as resource_limits
from .limits import Limits
from .state import FILES, SIGNALS, SYSTEM_CALLS, TCP, State, level

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .landlock import Landlock
    from .privileges import Plan
    from .seccomp import Filter


@dataclass(frozen=True)
class Entered:
    """What one worker is held by: every layer, on or off with the reason."""

    layers: tuple[State, ...]

    @property
    def on(self) -> list[str]:
        """The names of the layers that are on."""
        return [state.name for state in self.layers if state.on]

    @property
    def level(self) -> str:
        """The strongest of `state.LEVELS` that they reach."""
        return level(self.on)

    def lines(self) -> list[str]:
        """One line for each layer, for a report."""
        return [str(state) for state in self.layers]


@dataclass(frozen=True)
class Prepared:
    """What this machine offers, found out once."""

    pid: int
    parent: int
    scratch_parent: str
    plan: Plan
    landlock: Landlock
    filter: Filter

    def enter(self, scratch: str, limits: Limits | None = None) -> Entered:
        """Put this process, a fresh fork of the one that prepared, under every layer.

        Args:
            scratch: the one directory it may write to, made for this worker beneath
                `scratch_parent`. The worker becomes its owner; what it holds must be
                readable to everyone.
            limits: how much it may use.
        Raises:
            ValueError: `scratch` is not a directory beneath `scratch_parent`.
        """
        place = os.path.realpath(scratch)
        if Path(self.scratch_parent) not in Path(place).parents or not Path(place).is_dir():
            raise ValueError(f"{scratch} is not a directory beneath {self.scratch_parent}")
        threads = _threads()
        parent = self.parent if os.getpid() == self.pid else self.pid
        states = [resource_limits.apply(limits or Limits(), own_uid=self.plan.own_uid)]
        states += privileges.apply(self.plan, scratch=place, parent=parent)
        # After the change of user, which sets it to the system's default.
        states.append(dumpable.make_undumpable())
        states += self.landlock.apply(place)
        states.append(self.filter.apply(os.getpid()))
        if threads > 1:
            # Both hold the thread that asks and those it starts, not those that run already.
            why = f"it came too late for {threads - 1} other threads of the worker"
            late = (FILES, TCP, SIGNALS, SYSTEM_CALLS)
            states = [State(s.name, False, why) if s.name in late else s for s in states]
        return Entered(tuple(states))

    def close(self) -> None:
        """Close the descriptors that are kept for workers."""
        self.landlock.close()


def _threads() -> int:
    try:
        return sum(1 for _ in os.scandir("/proc/self/task"))
    except OSError:
        return 1


def prepare(scratch_parent: str | None = None, *, read: Iterable[str] = ()) -> Prepared:
    """Probe the machine, in a process with one thread, for workers forked from this one.

    Args:
        scratch_parent: the directory beneath which every worker has its scratch, by
            default the one for temporary files. Other users must be able to enter it, or
            workers of root keep its user id.
        read: further files or directories that a worker may read.
    """
    scratch_parent = os.path.realpath(scratch_parent or tempfile.gettempdir())
    needed = [*readable.interpreter_paths(), os.__file__]
    return Prepared(
        os.getpid(),
        os.getppid(),
        scratch_parent,
        privileges.probe(needed, scratch_parent),
        landlock.prepare(readable.allow_list(read), scratch_parent),
        seccomp.prepare(),
    )
