"""Changes that can be undone, so that each branch of a program is followed from the same state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lossgrade_checks.meaning.values import MISSING, join

if TYPE_CHECKING:
    from collections.abc import Callable

# What a branch changed: (identity of the dict, key) -> (the dict, key, its value at the end).
Changes = dict[tuple[int, Any], tuple[dict[Any, Any], Any, Any]]


class Trail:
    """Every change of a name or an attribute goes through `store`, which remembers what was."""

    def __init__(self) -> None:
        self._past: list[tuple[dict[Any, Any], Any, Any]] = []

    def store(self, slots: dict[Any, Any], key: Any, value: Any) -> None:
        """Set `slots[key]`; `value` may be MISSING, which removes it."""
        self._past.append((slots, key, slots.get(key, MISSING)))
        if value is MISSING:
            slots.pop(key, None)
        else:
            slots[key] = value

    def mark(self) -> int:
        """Return a mark of the present state, for `changes` and `undo`."""
        return len(self._past)

    def changes(self, mark: int, but: dict[Any, Any] | None = None) -> Changes:
        """Return what has been changed since `mark`, with the present values.

        `but` are names whose changes nobody will see.
        """
        return {
            (id(slots), key): (slots, key, slots.get(key, MISSING))
            for slots, key, _ in self._past[mark:]
            if slots is not but
        }

    def undo(self, mark: int) -> None:
        """Go back to the state at `mark`."""
        past = self._past
        if len(past) == mark:
            return
        for slots, key, value in reversed(past[mark:]):
            if value is MISSING:
                slots.pop(key, None)
            else:
                slots[key] = value
        del past[mark:]

    def merge(self, outcomes: list[Changes]) -> None:
        """Store what all `outcomes` have in common: the program may be in any of them."""
        if len(outcomes) == 1:
            for slots, name, value in outcomes[0].values():
                self.store(slots, name, value)
            return
        past = self._past
        changed: Changes = {}
        for outcome in outcomes:
            changed |= outcome
        for key, (slots, name, _) in changed.items():
            before = slots.get(name, MISSING)
            joined = MISSING
            for outcome in outcomes:
                value = outcome[key][2] if key in outcome else before
                # What `join` would say itself, and below what `store` does: calls of these two
                # took half of the time of merging.
                if joined is MISSING:
                    joined = value
                elif value is not joined:
                    joined = join(joined, value)
            if joined is not before:
                past.append((slots, name, before))
                if joined is MISSING:
                    del slots[name]
                else:
                    slots[name] = joined

    def fork(self, *branches: Callable[[], bool]) -> bool:
        """Follow each branch from the present state; go on from what they have in common.

        A branch returns whether it stops (returns, raises): its state then goes no further.
        Returns whether all of them stop.
        """
        mark = self.mark()
        outcomes = []
        for branch in branches:
            if not branch():
                outcomes.append(self.changes(mark))
            self.undo(mark)
        self.merge(outcomes)
        return not outcomes
