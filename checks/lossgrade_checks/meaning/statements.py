"""Follow statements. Each returns whether it stops: nothing after it in its block runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lossgrade_checks.meaning import attributes, calls, imports
from lossgrade_checks.meaning import expressions as e
from lossgrade_checks.meaning import program as p
from lossgrade_checks.meaning import values as v
from lossgrade_checks.meaning.run import Exhausted, Frame, Loop, Run

if TYPE_CHECKING:
    from collections.abc import Callable

    from lossgrade_checks.meaning.trail import Changes

# A loop over a list of layers is followed item by item up to this many.
UNROLLED = 64


def block(run: Run, statements: tuple[p.Statement, ...]) -> bool:
    """Follow statements in order; return whether the block stops before its end."""
    for statement in statements:
        # What `run.step` does, written out: a fifth of all calls would be of it.
        run.steps -= 1
        if run.steps < 0:
            raise Exhausted
        if STATEMENTS[type(statement)](run, statement):
            return True
    return False


def _evaluate(run: Run, statement: p.Evaluate) -> bool:
    node = statement.value
    e.EXPRESSIONS[type(node)](run, node)
    return False


def _assign(run: Run, statement: p.Assign) -> bool:
    node = statement.value
    value = e.EXPRESSIONS[type(node)](run, node)
    for target in statement.targets:
        e.assign(run, target, value)
    return False


def _declare(run: Run, statement: p.Declare) -> bool:
    # In the body of a class it is a field of a dataclass, without a default.
    if type(statement.target) is p.Name and run.frame.scope.names.get("__fields__") is not None:
        run.frame.scope.names["__fields__"].append(statement.target.id)
    return False


def _augment(run: Run, statement: p.Augment) -> bool:
    current = e.evaluate(run, statement.target)
    value = e.evaluate(run, statement.value)
    e.assign(run, statement.target, e.binary(run, statement, current, value))
    return False


def _define(run: Run, statement: p.Define) -> bool:
    code = statement.function
    function = calls.make_function(run, code)
    value: Any = function
    for decorator in reversed(code.decorators):
        value = calls.decorate(run, decorator, value)
    run.bind(code.name, value)
    return False


def _class(run: Run, statement: p.Class) -> bool:
    bases = [
        e.evaluate(run, argument.value)
        for argument in statement.bases
        if not argument.keyword and not argument.star
    ]
    cls = v.ClassValue(statement, tuple(bases), run.module)
    outer = run.frame.scope
    # Functions in the body do not see its names, so its scope is not their parent.
    scope = v.Scope(run.module, outer)
    scope.names = cls.slots
    fields: list[str] = []
    cls.slots["__fields__"] = fields
    run.frames.append(frame := Frame(scope))
    frame.cls = cls
    block(run, statement.body)
    run.frames.pop()
    run.frame.made.extend(frame.made)
    del cls.slots["__fields__"]
    for function in frame.made:
        if function.owner is None and function.scope is scope:
            function.owner = cls
            function.scope = outer
    cls.fields = tuple(fields)
    value = calls.decorate_class(run, statement, cls)
    run.bind(statement.name, value)
    run.classes.append(cls)
    return False


def _return(run: Run, statement: p.Return) -> bool:
    value = e.evaluate(run, statement.value) if statement.value else v.NONE
    frame = run.frame
    frame.returns.append(value)
    if frame.exits or statement is not frame.last:
        # Where no function was made that can see them, the names end with the call.
        names = None if frame.made else frame.scope.names
        frame.exits.append(run.trail.changes(frame.mark, names))
    # Else it is the only one, and the state stays as it is: so it is with nine of ten.
    return True


def _if(run: Run, statement: p.If) -> bool:
    truth = e.truth(run, statement.test)
    if truth is not None:
        return block(run, statement.body if truth else statement.orelse)
    before = run.nonzero
    alive: list[frozenset[int]] = []

    def branch(body: tuple[p.Statement, ...], holds: bool) -> Callable[[], bool]:
        def follow() -> bool:
            run.nonzero = before | e.found_nonzero(run, statement.test, holds)
            stopped = block(run, body)
            if not stopped:
                alive.append(run.nonzero)
            return stopped

        return follow

    stopped = run.trail.fork(branch(statement.body, True), branch(statement.orelse, False))
    # After `if p == 0: return`, p is not 0.
    run.nonzero = frozenset.intersection(*alive) if alive else before
    return stopped


def _for(run: Run, statement: p.For) -> bool:
    iterable = e.evaluate(run, statement.iterable)
    items = e.items_of(iterable)
    loop = Loop(run.trail.mark())
    run.frame.loops.append(loop)
    if items is not None and len(items) <= UNROLLED:
        ends = _unrolled(run, statement, loop, items)
    else:
        _widen(run, statement.stores)
        e.assign(run, statement.target, e.element_of(iterable, statement.target))
        ends = [*_round(run, loop, statement.body), {}]
    run.frame.loops.pop()
    return _after(run, loop, ends, statement.orelse)


def _unrolled(run: Run, statement: p.For, loop: Loop, items: tuple[Any, ...]) -> list[Changes]:
    """Follow a loop item by item; return the states in which it may come to its end."""
    for item in items:
        e.assign(run, statement.target, item)
        loop.continues = []
        stopped = block(run, statement.body)
        if loop.continues:
            ends = _ends(run, loop, stopped)
            run.trail.undo(loop.mark)
            run.trail.merge(ends)
        elif stopped:
            return []
        # Else the next round starts from the state as it is: to undo and store again what all
        # rounds have changed was nearly half of all that was stored.
    return [run.trail.changes(loop.mark)]


def _while(run: Run, statement: p.While) -> bool:
    truth = e.truth(run, statement.test)
    if truth is False:
        return block(run, statement.orelse)
    loop = Loop(run.trail.mark())
    run.frame.loops.append(loop)
    _widen(run, statement.stores)
    ends = _round(run, loop, statement.body)
    run.frame.loops.pop()
    if type(statement.test) is p.Constant:
        # `while True`: it ends by a break alone.
        ends = []
    elif truth is None:
        ends.append({})
    return _after(run, loop, ends, statement.orelse)


def _widen(run: Run, stores: frozenset[str]) -> None:
    """Forget the flags that the loop changes: `first = True` holds in its first round alone.

    Numbers stay: they are what losses are added to, and seldom tested.
    """
    names = run.frame.scope.names
    for name in stores & names.keys():
        found = names[name]
        if isinstance(found, v.Constant) and type(found.value) in (bool, str, type(None)):
            run.trail.store(names, name, v.Unknown())


def _round(run: Run, loop: Loop, body: tuple[p.Statement, ...]) -> list[Changes]:
    """Follow one round of a loop; return the states in which the next may start."""
    loop.continues = []
    return _ends(run, loop, block(run, body))


def _ends(run: Run, loop: Loop, stopped: bool) -> list[Changes]:
    return loop.continues if stopped else [*loop.continues, run.trail.changes(loop.mark)]


def _after(run: Run, loop: Loop, ends: list[Changes], orelse: tuple[p.Statement, ...]) -> bool:
    """Go on after a loop: from one of its `ends` through its `else`, or from its breaks."""
    run.trail.undo(loop.mark)
    outcomes = list(loop.breaks)
    if ends:
        run.trail.merge(ends)
        if not loop.breaks:
            return block(run, orelse)
        if not block(run, orelse):
            outcomes.append(run.trail.changes(loop.mark))
        run.trail.undo(loop.mark)
    run.trail.merge(outcomes)
    return not outcomes


def _with(run: Run, statement: p.With) -> bool:
    no_grad = 0
    for item, target in statement.items:
        manager = e.evaluate(run, item)
        no_grad += calls.is_no_grad(manager)
        if target is not None:
            e.assign(run, target, v.Unknown())
    run.no_grad += no_grad
    stopped = block(run, statement.body)
    run.no_grad -= no_grad
    return stopped


def _try(run: Run, statement: p.Try) -> bool:
    done: Changes = {}

    def normally() -> bool:
        mark = run.trail.mark()
        stopped = block(run, statement.body)
        done.update(run.trail.changes(mark))
        return stopped or block(run, statement.orelse)

    def handler(name: str, body: tuple[p.Statement, ...]) -> Callable[[], bool]:
        def follow() -> bool:
            # It may have failed anywhere: before the first change, or after the last.
            run.trail.merge([{}, done])
            if name:
                run.bind(name, v.Unknown())
            return block(run, body)

        return follow

    handlers = [handler(name, body) for name, body in statement.handlers]
    stopped = run.trail.fork(normally, *handlers)
    return block(run, statement.final) or stopped


def _match(run: Run, statement: p.Match) -> bool:
    e.evaluate(run, statement.subject)

    def case(names: tuple[str, ...], body: tuple[p.Statement, ...]) -> Callable[[], bool]:
        def follow() -> bool:
            for name in names:
                run.bind(name, v.Unknown())
            return block(run, body)

        return follow

    return run.trail.fork(*[case(*item) for item in statement.cases], lambda: False)


def _import(run: Run, statement: p.Import) -> bool:
    imports.import_module(run, statement)
    return False


def _import_from(run: Run, statement: p.ImportFrom) -> bool:
    imports.import_from(run, statement)
    return False


def _delete(run: Run, statement: p.Delete) -> bool:
    for target in statement.targets:
        if type(target) is p.Name:
            run.trail.store(run.frame.scope.names, target.id, v.MISSING)
        elif type(target) is p.Attribute:
            attributes.delete(run, e.evaluate(run, target.value), target.name)
        elif type(target) is p.Subscript:
            holder = e.evaluate(run, target.value)
            attributes.delete_item(run, holder, [e.evaluate(run, i) for i in target.index])
    return False


def _leave(run: Run, statement: p.Leave) -> bool:
    if statement.value is not None:
        e.evaluate(run, statement.value)
    if statement.how != "raise" and run.frame.loops:
        loop = run.frame.loops[-1]
        state = run.trail.changes(loop.mark)
        (loop.breaks if statement.how == "break" else loop.continues).append(state)
    return True


# `Any`: each function takes the node class that is its key, which a dict cannot say.
STATEMENTS: dict[type[p.Statement], Callable[[Run, Any], bool]] = {
    p.Evaluate: _evaluate,
    p.Assign: _assign,
    p.Declare: _declare,
    p.Augment: _augment,
    p.Define: _define,
    p.Class: _class,
    p.Return: _return,
    p.If: _if,
    p.For: _for,
    p.While: _while,
    p.With: _with,
    p.Try: _try,
    p.Match: _match,
    p.Import: _import,
    p.ImportFrom: _import_from,
    p.Delete: _delete,
    p.Leave: _leave,
}
