"""The state of following one file: what is bound, what has happened, how deep the calls are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lossgrade_checks.meaning.trail import Changes, Trail
from lossgrade_checks.meaning.values import (
    ClassValue,
    FunctionValue,
    ModuleValue,
    Scope,
    Site,
    Unknown,
)

if TYPE_CHECKING:
    from lossgrade_checks.meaning.events import Event
    from lossgrade_checks.project import Project

# How deep calls are followed into each other. Programs of courses need four: main, train, step,
# forward; libraries of layers some more.
DEPTH = 12
# Statements and calls that are followed for one function as an entry, and for each node of a file
# together, so that the cost of a file grows with its length alone. When those of a file are spent,
# each function that is left has some to be followed by itself.
STEPS = 3000
STEPS_A_NODE = 20
FEWEST = 200


class Exhausted(Exception):
    """The budget of steps is spent: what follows is not known, so nothing more may be said."""


class Frame:
    """One call of a function, or the body of a module."""

    __slots__ = (
        "cls",
        "exits",
        "function",
        "last",
        "loops",
        "made",
        "mark",
        "receiver",
        "returns",
        "scope",
        "yields",
    )

    def __init__(self, scope: Scope, function: FunctionValue | None = None) -> None:
        self.scope = scope
        self.function = function
        self.cls: ClassValue | None = function.owner if function else None
        self.receiver: Any = None
        self.returns: list[Any] = []
        self.yields: list[Any] = []
        # The state at its beginning, and what has changed since then at each `return`.
        self.mark = 0
        self.exits: list[Changes] = []
        # The last statement of the body of a function.
        self.last = function.code.body[-1] if function and function.code.body else None
        self.loops: list[Loop] = []
        # Functions that were made in this call: those that nobody calls are followed at its end.
        self.made: list[FunctionValue] = []


class Loop:
    """A loop that is being followed: the state at its start, and at its jumps."""

    __slots__ = ("breaks", "continues", "mark")

    def __init__(self, mark: int) -> None:
        self.mark = mark
        self.breaks: list[Changes] = []
        self.continues: list[Changes] = []


class Run:
    """Following one file, and what it imports."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.trail = Trail()
        self.events: list[Event] = []
        self.frames: list[Frame] = []
        # The calls that led to where we are, outermost first.
        self.calls: list[Site] = []
        # Functions that somebody calls, and classes, of the file that is followed.
        self.called: set[int] = set()
        self.classes: list[ClassValue] = []
        self.no_grad = 0
        # Values, by identity, that a test around has found not to be 0.
        self.nonzero: frozenset[int] = frozenset()
        self.likely = 0
        self.steps = self.total = STEPS

    def step(self) -> None:
        """Spend a step.

        Raises:
            Exhausted: there are none left.
        """
        self.steps -= 1
        if self.steps < 0:
            raise Exhausted

    @property
    def frame(self) -> Frame:
        """The innermost call."""
        return self.frames[-1]

    @property
    def module(self) -> ModuleValue:
        """The file whose code is being followed."""
        return self.frames[-1].scope.module

    def site(self, number: int) -> Site:
        """Return the site of a numbered part of the file whose code is being followed."""
        return Site(self.frames[-1].scope.module.path, number)

    def context(self, number: int) -> tuple[Site, tuple[Site, ...], bool]:
        """Return the first three fields of an event at the part `number`."""
        return self.site(number), tuple(self.calls), bool(self.likely)

    def lookup(self, name: str) -> Any:
        """Return what `name` is bound to where we are, or None."""
        scope: Scope | None = self.frames[-1].scope
        while scope is not None:
            found = scope.names.get(name)
            if found is not None:
                return found
            scope = scope.parent
        return None

    def bind(self, name: str, value: Any) -> None:
        """Assign to a name where we are."""
        scope = self.frames[-1].scope
        code = scope.function
        if code is not None:
            if name in code.globals:
                scope = scope.module.scope
            elif name in code.nonlocals:
                outer = scope.parent
                while outer is not None and name not in outer.names:
                    outer = outer.parent
                scope = outer or scope
        self.trail.store(scope.names, name, value)


def unknown(*_: Any) -> Unknown:
    """Return a value of which nothing is known."""
    return Unknown()
