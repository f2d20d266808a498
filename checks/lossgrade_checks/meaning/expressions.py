"""Follow expressions: what is the value of each, and what is bound by an assignment."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from lossgrade_checks.meaning import arithmetic, attributes, calls, library, tables, tensors
from lossgrade_checks.meaning import program as p
from lossgrade_checks.meaning import values as v

if TYPE_CHECKING:
    from collections.abc import Callable

    from lossgrade_checks.meaning.run import Run


def evaluate(run: Run, node: p.Expression) -> Any:
    """Return the abstract value of `node`, with all that happens on the way.

    Where most expressions are evaluated it is written out, which spares half of these calls.
    """
    return EXPRESSIONS[type(node)](run, node)


def _opaque(run: Run, node: p.Opaque) -> Any:
    for part in node.parts:
        evaluate(run, part)
    return v.Unknown()


def _constant(_: Run, node: p.Constant) -> Any:
    return v.Constant(node.value)


def _name(run: Run, node: p.Name) -> Any:
    name = node.id
    # What `run.lookup` does, written out: names are nearly half of all expressions.
    scope: v.Scope | None = run.frames[-1].scope
    while scope is not None:
        found = scope.names.get(name)
        if found is not None:
            return found
        scope = scope.parent
    return _builtin(name)


@functools.cache
def _builtin(name: str) -> v.External:
    return v.External(f"builtins.{name}")


def _attribute(run: Run, node: p.Attribute) -> Any:
    inner = node.value
    found = attributes.get(run, EXPRESSIONS[type(inner)](run, inner), node.name)
    if node.name == "data" and isinstance(found, v.Tensor):
        return found._replace(cut_site=run.site(node.number))
    return found


def _call(run: Run, node: p.Call) -> Any:
    target = node.function
    function = EXPRESSIONS[type(target)](run, target)
    arguments = calls.arguments(run, node)
    result = calls.call(run, function, arguments, node)
    # A method whose name ends in one underscore changes its tensor in place.
    if (
        type(target) is p.Attribute
        and target.name.endswith("_")
        and not target.name.endswith("__")
        and isinstance(function, v.Method)
        and type(target.value) in (p.Name, p.Attribute)
        and isinstance(function.receiver, v.Tensor | v.Unknown)
    ):
        assign(run, target.value, result)
    return result


def _subscript(run: Run, node: p.Subscript) -> Any:
    inner = node.value
    value = EXPRESSIONS[type(inner)](run, inner)
    index = [EXPRESSIONS[type(item)](run, item) for item in node.index]
    library.note_tensor_use(run, value, node.number)
    return attributes.item(run, value, index, node)


def _slice(run: Run, node: p.Slice) -> Any:
    for part in (node.lower, node.upper, node.step):
        if part is not None:
            evaluate(run, part)
    return v.Unknown()


def _binary(run: Run, node: p.Binary) -> Any:
    left, right = node.left, node.right
    first = EXPRESSIONS[type(left)](run, left)
    return binary(run, node, first, EXPRESSIONS[type(right)](run, right))


def binary(run: Run, node: p.Binary | p.Augment, left: Any, right: Any) -> Any:
    """Return `left operator right`."""
    if isinstance(left, v.Constant) and isinstance(right, v.Constant):
        return _fold(node.operator, left.value, right.value)
    if node.operator == "+" and isinstance(left, v.Sequence) and isinstance(right, v.Sequence):
        if left.kind == right.kind and left.items is not None and right.items is not None:
            return v.Sequence(left.kind, left.items + right.items)
        return v.Unknown()
    for value in (left, right):
        library.note_tensor_use(run, value, node.number)
    effect = arithmetic.OPERATORS.get(node.operator)
    return effect(run, node, left, right) if effect else v.Unknown()


def _fold(operator: str, left: object, right: object) -> Any:
    if not isinstance(left, int | float) or not isinstance(right, int | float):
        return v.Unknown()
    # Larger ones only ever grow.
    if operator not in FOLDED or max(abs(left), abs(right)) > LARGEST:
        return v.Unknown()
    try:
        return v.Constant(FOLDED[operator](left, right))
    except (ArithmeticError, ValueError):
        return v.Unknown()


LARGEST = 2**53


FOLDED: dict[str, Callable[[Any, Any], object]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "//": lambda a, b: a // b,
}


def _unary(run: Run, node: p.Unary) -> Any:
    operand = evaluate(run, node.operand)
    if node.operator == "not":
        known = _known_truth(operand)
        return v.Unknown() if known is None else v.Constant(not known)
    if node.operator == "-":
        return arithmetic.negate(run, node, operand)
    return v.Unknown()


def _boolean(run: Run, node: p.Boolean) -> Any:
    left = evaluate(run, node.left)
    known = _known_truth(left)
    if known is not None and known is (node.operator == "or"):
        return left
    right = evaluate(run, node.right)
    if known is not None:
        return right
    if isinstance(left, v.Unknown) or isinstance(right, v.Unknown):
        return v.Unknown()
    return v.join(left, right)


def _comparison(run: Run, node: p.Comparison) -> Any:
    left = evaluate(run, node.left)
    rights = [evaluate(run, right) for right in node.rights]
    if len(rights) > 1:
        return v.Unknown()
    operator, right = node.operators[0], rights[0]
    if operator in {"is", "is not", "==", "!="}:
        same = _same(left, right)
        if same is not None:
            return v.Constant(same is (operator in {"is", "=="}))
    return arithmetic.compare(run, node, operator, left, right)


def _same(left: Any, right: Any) -> bool | None:
    """Return whether two values are the same, or None when it is not known."""
    if isinstance(left, v.Constant) and isinstance(right, v.Constant):
        return left == right
    if right == v.NONE and isinstance(left, v.Tensor | v.Heap):
        return None if left.optional else False
    return None


def _conditional(run: Run, node: p.Conditional) -> Any:
    known = truth(run, node.test)
    if known is not None:
        return evaluate(run, node.body if known else node.orelse)
    found: list[Any] = []

    before = run.nonzero

    def branch(part: p.Expression, holds: bool) -> Callable[[], bool]:
        def follow() -> bool:
            run.nonzero = before | found_nonzero(run, node.test, holds)
            found.append(evaluate(run, part))
            return False

        return follow

    run.trail.fork(branch(node.body, True), branch(node.orelse, False))
    run.nonzero = before
    body, orelse = found
    if isinstance(body, v.Unknown) or isinstance(orelse, v.Unknown):
        return v.Unknown()
    return v.join(body, orelse)


def found_nonzero(run: Run, test: p.Expression, holds: bool) -> frozenset[int]:
    """Return the values, by identity, that are not 0 where `test` holds, or where it does not."""
    if type(test) is p.Unary and test.operator == "not":
        return found_nonzero(run, test.operand, not holds)
    if type(test) is p.Boolean and holds is (test.operator == "and"):
        return found_nonzero(run, test.left, holds) | found_nonzero(run, test.right, holds)
    name, away = test, holds
    if type(test) is p.Comparison:
        name, bound = test.left, test.rights[0]
        number = bound.value if type(bound) is p.Constant else None
        if len(test.rights) > 1 or not isinstance(number, int | float):
            return frozenset()
        away = _away_from_zero(test.operators[0], number, holds)
    value = run.lookup(name.id) if away and type(name) is p.Name else None
    return frozenset([id(value)] if isinstance(value, v.Unknown | v.Tensor) else ())


def _away_from_zero(operator: str, bound: float, holds: bool) -> bool:
    """Whether a number for which `number operator bound` holds, or does not, cannot be 0."""
    if operator in {"!=", "=="}:
        return bound == 0 and holds is (operator == "!=")
    if operator in {">", "<="}:
        return bound >= 0 and holds is (operator == ">")
    return bound > 0 and holds is (operator == ">=") and operator in {">=", "<"}


def truth(run: Run, node: p.Expression) -> bool | None:
    """Return whether a test holds, or None when it is not known."""
    return _known_truth(evaluate(run, node))


def _known_truth(value: Any) -> bool | None:
    if isinstance(value, v.Constant):
        return bool(value.value)
    if isinstance(value, v.Layer | v.Instance):
        return None if value.optional else True
    if isinstance(value, v.ClassValue):
        return True
    if isinstance(value, v.External):
        # What a library's name holds may be false: `torch.cuda.is_available` is called first,
        # and `typing.TYPE_CHECKING` is.
        return False if value.path == "typing.TYPE_CHECKING" else None
    if isinstance(value, v.Sequence) and value.items is not None:
        return bool(value.items)
    return None


def _display(run: Run, node: p.Display) -> Any:
    items: list[Any] | None = []
    for argument in node.items:
        part = argument.value
        value = EXPRESSIONS[type(part)](run, part)
        if argument.star:
            inner = items_of(value)
            items = None if items is None or inner is None else [*items, *inner]
        elif items is not None:
            items.append(value)
    return v.Sequence(node.kind, None if items is None else tuple(items))


def _mapping(run: Run, node: p.Mapping) -> Any:
    slots: dict[Any, Any] = {}
    complete = True
    for key, value in node.items:
        name = None if key is None else evaluate(run, key)
        found = evaluate(run, value)
        if isinstance(name, v.Constant):
            slots[name.value] = found
        elif key is None and isinstance(found, v.Dictionary) and found.complete:
            slots.update(found.slots)
        else:
            # It may replace what stands before it.
            slots, complete = {}, False
    return v.Dictionary(slots, complete)


def _comprehension(run: Run, node: p.Comprehension) -> Any:
    iterable = evaluate(run, node.iterable)
    items = items_of(iterable)
    scope = v.Scope(run.module, run.frame.scope, run.frame.scope.function)
    scope.inner = True
    outer = run.frame.scope
    before = run.nonzero
    run.frame.scope = scope
    try:
        if items is not None and len(items) <= 64 and not node.conditions:
            return _each(run, node, items)
        assign(run, node.target, element_of(iterable, node.target))
        for condition in node.conditions:
            evaluate(run, condition)
            run.nonzero |= found_nonzero(run, condition, True)
        if node.key is not None:
            evaluate(run, node.key)
        return _of_unknown(node.kind, evaluate(run, node.element))
    finally:
        run.frame.scope = outer
        run.nonzero = before


def _of_unknown(kind: str, element: Any) -> Any:
    """Return a comprehension of not known how many items, each of which is `element`."""
    if kind == "nested":
        return element
    return v.listed(element) if kind in {"list", "generator"} else v.Unknown()


def _each(run: Run, node: p.Comprehension, items: tuple[Any, ...]) -> Any:
    found = []
    keys = []
    for item in items:
        run.step()
        assign(run, node.target, item)
        found.append(evaluate(run, node.element))
        keys.append(evaluate(run, node.key) if node.key else None)
    if node.kind == "dict":
        if all(isinstance(key, v.Constant) for key in keys):
            named = {key.value: value for key, value in zip(keys, found, strict=True) if key}
            return v.Dictionary(named, True)
        return v.Unknown()
    if node.kind == "nested":
        parts = [items_of(part) for part in found]
        if any(part is None for part in parts):
            return v.Unknown()
        found = [item for part in parts for item in part or ()]
    return v.Sequence("list", tuple(found))


def _walrus(run: Run, node: p.Walrus) -> Any:
    value = evaluate(run, node.value)
    inner = run.frame.scope
    while run.frame.scope.inner and run.frame.scope.parent is not None:
        run.frame.scope = run.frame.scope.parent
    assign(run, node.target, value)
    run.frame.scope = inner
    return value


def _yield(run: Run, node: p.Yield) -> Any:
    if node.value is not None:
        run.frame.yields.append(evaluate(run, node.value))
    return v.Unknown()


def _lambda(run: Run, node: p.Function) -> Any:
    return calls.make_function(run, node)


# --- assignment ---------------------------------------------------------------------------------


def assign(run: Run, target: p.Expression, value: Any) -> None:
    """Bind `value` to a name, an attribute, an item, or to several by unpacking."""
    if type(target) is p.Name:
        run.bind(target.id, value)
    elif type(target) is p.Attribute:
        holder = evaluate(run, target.value)
        if target.name == "requires_grad" and isinstance(holder, v.Tensor):
            assign(run, target.value, tensors.requiring_grad(holder))
        attributes.put(run, holder, target.name, value)
    elif type(target) is p.Subscript:
        holder = evaluate(run, target.value)
        index = [evaluate(run, item) for item in target.index]
        changed = attributes.put_item(run, holder, index, value)
        if changed is not None and type(target.value) in (p.Name, p.Attribute):
            assign(run, target.value, changed)
    elif type(target) is p.Display:
        _unpack(run, target, value)


def _unpack(run: Run, target: p.Display, value: Any) -> None:
    count = len(target.items)
    items = items_of(value)
    star = next((i for i, item in enumerate(target.items) if item.star), None)
    if items is not None and star is None and len(items) == count:
        parts: list[Any] = list(items)
    elif items is not None and star is not None and len(items) >= count - 1:
        rest = len(items) - (count - 1)
        parts = list(items[:star])
        parts.append(v.Sequence("list", items[star : star + rest]))
        parts += items[star + rest :]
    else:
        data = isinstance(value, v.Tensor) and value.data
        parts = [part_of_batch() if data else element_named(item) for item in target.items]
    for item, part in zip(target.items, parts, strict=True):
        assign(run, item.value, part)


def part_of_batch() -> v.Tensor:
    """Return an item of what a DataLoader yields: axis 0 of each runs over examples."""
    return v.Tensor(rows=True, data=True)


def element_named(item: p.Argument) -> v.Unknown:
    """Return an unknown value that remembers the name it is unpacked into."""
    name = item.value.id if type(item.value) is p.Name else ""
    return v.Unknown("element", name)


# --- iteration ----------------------------------------------------------------------------------


def items_of(value: Any) -> tuple[Any, ...] | None:
    """Return the items that iterating over `value` gives, or None when they are not known."""
    if isinstance(value, v.Sequence):
        return value.items
    if isinstance(value, v.Dictionary) and value.complete:
        return tuple(v.Constant(key) for key in value.slots)
    if isinstance(value, v.Instance) and isinstance(value.slots.get("children"), v.Sequence):
        return items_of(value.slots["children"])
    if isinstance(value, v.Instance) and "typing.NamedTuple" in value.cls.outside():
        return tuple(value.slots.get(name) or v.Unknown() for name in value.cls.fields)
    return None


def element_of(iterable: Any, target: p.Expression) -> Any:
    """Return what one round of a loop over `iterable` binds."""
    if isinstance(iterable, v.Layer) and iterable.path in tables.LOADERS:
        return v.Tensor(rows=True, data=True)
    if isinstance(iterable, v.Layer) and iterable.path == "builtins.enumerate":
        inner = iterable.positional[0] if iterable.positional else v.Unknown()
        return v.Sequence("tuple", (v.Unknown(), element_of(inner, target)))
    if isinstance(iterable, v.Sequence):
        element = iterable.element
        return v.Unknown("element") if element is v.MISSING else element
    name = target.id if type(target) is p.Name else ""
    return v.Unknown("element", name)


# `Any`: each function takes the node class that is its key, which a dict cannot say.
EXPRESSIONS: dict[type[p.Expression], Callable[[Run, Any], Any]] = {
    p.Opaque: _opaque,
    p.Constant: _constant,
    p.Name: _name,
    p.Attribute: _attribute,
    p.Call: _call,
    p.Subscript: _subscript,
    p.Slice: _slice,
    p.Binary: _binary,
    p.Unary: _unary,
    p.Boolean: _boolean,
    p.Comparison: _comparison,
    p.Conditional: _conditional,
    p.Display: _display,
    p.Mapping: _mapping,
    p.Comprehension: _comprehension,
    p.Walrus: _walrus,
    p.Yield: _yield,
    p.Function: _lambda,
}
