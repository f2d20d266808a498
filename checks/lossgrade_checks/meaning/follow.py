"""Follow a file: its top level first, then each function and class that others may use."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from lossgrade_checks.meaning import calls, library, statements, tables
from lossgrade_checks.meaning import expressions as e
from lossgrade_checks.meaning import program as p
from lossgrade_checks.meaning import values as v
from lossgrade_checks.meaning.run import (
    FEWEST,
    STEPS,
    STEPS_A_NODE,
    Exhausted,
    Frame,
    Run,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from lossgrade_checks.meaning.events import Event
    from lossgrade_checks.project import Project

T = TypeVar("T")

TRAINING_STEPS = frozenset({"training_step", "compute_loss"})


def follow(project: Project, path: str, program: p.Program) -> list[Event]:
    """Return all that happens in the file at `path`, whose program is `program`."""
    run = Run(project)
    module = v.ModuleValue(path)
    _top_level(run, module, program, "__main__")
    entries = _Entries(run)
    entries.classes()
    entries.functions(run.frames[0].made)
    # What was changed in imported files is put back: the next file starts from them as they are.
    run.trail.undo(0)
    return run.events


def follow_import(project: Project, module: v.ModuleValue, program: p.Program) -> None:
    """Bind the names of `module`, a file that is imported; what happens in it is not reported."""
    # Its name is not needed, but that it is not the program that was started.
    _top_level(Run(project), module, program, "")


def _top_level(run: Run, module: v.ModuleValue, program: p.Program, name: str) -> None:
    run.total = STEPS + STEPS_A_NODE * program.size
    run.frames.append(Frame(module.scope))
    run.trail.store(module.scope.names, "__name__", v.Constant(name))
    for statement in program.body:
        if bounded(run, partial(statements.block, run, (statement,))):
            break


def bounded(run: Run, follow: Callable[[], T]) -> T | None:
    """Follow something with a budget of its own, in the body of the module.

    Where the budget ends before it does, nothing is known of what it has changed so far.
    """
    mark = run.trail.mark()
    no_grad, likely = run.no_grad, run.likely
    run.steps = budget = max(min(STEPS, run.total), FEWEST)
    try:
        return follow()
    except (Exhausted, RecursionError):
        del run.frames[1:], run.frames[0].loops[:], run.calls[:]
        run.no_grad, run.likely = no_grad, likely
        run.nonzero = frozenset()
        changed = run.trail.changes(mark)
        run.trail.undo(mark)
        for slots, key, _ in changed.values():
            run.trail.store(slots, key, v.Unknown())
        return None
    finally:
        run.total -= budget - run.steps


class _Entries:
    """Follows each function as if somebody called it with anything."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.entered: set[tuple[int, int]] = set()
        self.instances: dict[int, v.Instance] = {}

    def classes(self) -> None:
        """Make one object of each class, and follow its methods."""
        for cls in list(self.run.classes):
            self._instance(cls)
        for cls in list(self.run.classes):
            for base in cls.order:
                # What is inherited is followed for each class, until the budget is spent.
                if not isinstance(base, v.ClassValue) or (base is not cls and self.run.total <= 0):
                    continue
                for name, method in list(base.slots.items()):
                    if isinstance(method, v.FunctionValue) and cls.lookup(name) is method:
                        self._method(cls, method)

    def functions(self, made: list[v.FunctionValue]) -> None:
        """Follow functions; those inside others only where nobody calls them."""
        for function in made:
            if function.owner is not None:
                # A method whose decorator hid it from its class.
                if (id(function.code), id(function.owner)) not in self.entered:
                    self._method(function.owner, function)
                continue
            nested = function.scope.function is not None or function.code.name == "<lambda>"
            if nested and id(function.code) in self.run.called:
                continue
            if (id(function.code), 0) not in self.entered:
                self.entered.add((id(function.code), 0))
                self._enter(function, None)

    def _method(self, cls: v.ClassValue, method: v.FunctionValue) -> None:
        key = (id(method.code), id(cls))
        if key in self.entered or method.code.name == "__init__":
            return
        self.entered.add(key)
        if "static" in method.flags:
            self._enter(method, None)
        elif "class" in method.flags:
            self._enter(method, cls)
        else:
            self._enter(method, self._instance(cls))

    def _enter(self, function: v.FunctionValue, receiver: Any) -> None:
        run = self.run
        mark = run.trail.mark()
        made = run.frames[0].made
        before = len(made)
        self._follow(function, receiver)
        # Functions that were made inside see names that the undoing takes away.
        inner = made[before:]
        del made[before:]
        self.functions(inner)
        run.trail.undo(mark)

    def _follow(self, function: v.FunctionValue, receiver: Any) -> None:
        run = self.run
        names, assumed = self._parameters(function, receiver)
        run.likely += assumed
        result = bounded(run, lambda: calls.follow(run, function, names, receiver))
        run.likely -= assumed
        if function.code.name == "forward":
            library.note_tensor_use(run, result, -1)
        if function.code.name in TRAINING_STEPS:
            if isinstance(result, v.Dictionary):
                result = result.slots.get("loss")
            library.backward(run, result, None)

    def _parameters(self, function: v.FunctionValue, receiver: Any) -> tuple[dict[str, Any], bool]:
        """Return a value for each parameter, and whether a default value was assumed."""
        names: dict[str, Any] = {}
        assumed = False
        for position, parameter in enumerate(function.code.parameters):
            name = parameter.name
            if position == 0 and receiver is not None:
                names[name] = receiver
            elif parameter.kind == "*":
                names[name] = v.Sequence("tuple", None)
            elif parameter.kind == "**":
                names[name] = v.Dictionary({}, False)
            else:
                value = self._assumed(function, parameter)
                assumed = assumed or value is not None
                names[name] = value if value is not None else v.Unknown("parameter", name)
        return names, assumed

    def _assumed(self, function: v.FunctionValue, parameter: p.Parameter) -> Any:
        """Return what a parameter most likely is: its default, or an object of its annotation."""
        default = function.defaults.get(parameter.name)
        if isinstance(default, v.Layer | v.FunctionValue | v.Instance | v.Partial):
            return default
        if isinstance(default, v.External) and tables.effect_of(default.path)[0]:
            return default
        if isinstance(default, v.External) and default.path in tables.LOSSES:
            return default
        return self._annotated(function, parameter.annotation)

    def _annotated(self, function: v.FunctionValue, annotation: p.Expression | None) -> Any:
        if annotation is None:
            return None
        if type(annotation) is p.Constant and isinstance(annotation.value, str):
            if not annotation.value.isidentifier():
                return None
            annotation = p.Name(-1, annotation.value)
        self.run.frames.append(Frame(function.scope))
        found = e.evaluate(self.run, annotation)
        self.run.frames.pop()
        if isinstance(found, v.ClassValue):
            return self._instance(found)
        if isinstance(found, v.External) and found.path in tables.LOSSES:
            return v.Layer(found.path, (), {}, v.Site("", -1))
        return None

    def _instance(self, cls: v.ClassValue) -> v.Instance:
        """Return an object of `cls` as its constructor and its other methods leave it."""
        made = self.instances.get(id(cls))
        if made is not None:
            return made
        made = self.instances[id(cls)] = v.Instance(cls)
        constructor = cls.lookup("__init__")
        if isinstance(constructor, v.FunctionValue):
            self.entered.add((id(constructor.code), id(cls)))
            self._follow(constructor, made)
        else:
            for name in cls.fields:
                value = calls.field_default(self.run, cls.lookup(name))
                if value is not None and not isinstance(value, v.Constant):
                    self.run.trail.store(made.slots, name, value)
        self._later_stores(cls, made)
        return made

    def _later_stores(self, cls: v.ClassValue, made: v.Instance) -> None:
        """Join in what methods other than the constructor assign: they may have been called."""
        run = self.run
        for base in cls.order:
            if not isinstance(base, v.ClassValue):
                continue
            for name, method in list(base.slots.items()):
                if (
                    isinstance(method, v.FunctionValue)
                    and method.code.stores
                    and method.code.name != "__init__"
                    and cls.lookup(name) is method
                    and not method.flags & {"static", "class"}
                ):
                    events = len(run.events)

                    def call(method: v.FunctionValue = method) -> bool:
                        self._follow(method, made)
                        return False

                    run.trail.fork(call, lambda: False)
                    del run.events[events:]
