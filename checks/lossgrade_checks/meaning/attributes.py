"""Follow attributes and items: `self.criterion`, `losses["ce"]`, `probabilities[:, 0]`."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from lossgrade_checks.meaning import calls, effects, expressions, tensors
from lossgrade_checks.meaning import program as p
from lossgrade_checks.meaning import values as v

if TYPE_CHECKING:
    from lossgrade_checks.meaning.run import Run


def get(run: Run, value: Any, name: str) -> Any:
    """Return `value.name`."""
    getter = GETTERS.get(type(value))
    return getter(run, value, name) if getter else v.Method(value, name)


def _external(_: Run, value: v.External, name: str) -> Any:
    return _member(value, name)


@functools.cache
def _member(value: v.External, name: str) -> v.External:
    return v.External(f"{value.path}.{name}")


def _module(run: Run, value: v.ModuleValue, name: str) -> Any:
    found = value.scope.names.get(name)
    if found is None:
        found = run.project.submodule(value, name)
    return v.Unknown() if found is None else found


def _instance(run: Run, value: v.Instance, name: str) -> Any:
    if name in value.slots:
        return value.slots[name]
    found = value.cls.lookup(name)
    if found is None:
        if name == "__class__":
            return value.cls
        if name == "module":
            # What DataParallel wraps: the wrapper is followed as the model itself.
            return value
        return v.Method(value, name)
    return _taken_from(run, found, value)


def _taken_from(run: Run, found: Any, receiver: Any) -> Any:
    """Return what `found`, an attribute of a class, is when taken from an object."""
    if not isinstance(found, v.FunctionValue):
        return found
    if "static" in found.flags:
        return found
    if "class" in found.flags and isinstance(receiver, v.Instance):
        return v.Bound(found, receiver.cls)
    bound = v.Bound(found, receiver)
    if "property" in found.flags:
        return calls.call(run, bound, calls.NO_ARGUMENTS, None)
    return bound


def _class(_: Run, value: v.ClassValue, name: str) -> Any:
    found = value.lookup(name)
    if found is None:
        return v.Method(value, name)
    if isinstance(found, v.FunctionValue) and "class" in found.flags:
        return v.Bound(found, value)
    return found


def _super(run: Run, value: v.Super, name: str) -> Any:
    receiver = value.receiver
    cls = receiver.cls if isinstance(receiver, v.Instance) else value.cls
    found = cls.lookup(name, after=value.cls)
    return v.Method(value, name) if found is None else _taken_from(run, found, receiver)


def _tensor(_: Run, value: v.Tensor, name: str) -> Any:
    if name == "data":
        return value._replace(cut="detach")
    if name in {"T", "mT", "H"}:
        return tensors.moved(value)
    return v.Method(value, name)


def _unknown(_: Run, value: v.Unknown, name: str) -> Any:
    if name in {"T", "mT"}:
        return effects.moved_unknown(value)
    if name == "data":
        return v.Unknown()
    return v.Method(value, name)


def _sequence(_: Run, value: v.Sequence, name: str) -> Any:
    # What `torch.max(x, dim)` returns has named items.
    if value.kind == "max" and value.items is not None and name in {"values", "indices"}:
        return value.items[name == "indices"]
    return value.slots.get(name) or v.Method(value, name)


def _layer(_: Run, value: v.Layer, name: str) -> Any:
    return value.slots.get(name) or v.Method(value, name)


def _dictionary(_: Run, value: v.Dictionary, name: str) -> Any:
    if value.of_modules and name in value.slots:
        return value.slots[name]
    return v.Method(value, name)


GETTERS: dict[type, Any] = {
    v.External: _external,
    v.ModuleValue: _module,
    v.Instance: _instance,
    v.ClassValue: _class,
    v.Super: _super,
    v.Tensor: _tensor,
    v.Unknown: _unknown,
    v.Sequence: _sequence,
    v.Layer: _layer,
    v.Dictionary: _dictionary,
}


def put(run: Run, holder: Any, name: str, value: Any) -> None:
    """Follow `holder.name = value`."""
    if isinstance(holder, v.Instance):
        setter = holder.cls.lookup(f"{name}.setter")
        if isinstance(setter, v.FunctionValue):
            calls.call(run, v.Bound(setter, holder), calls.Arguments((value,)), None)
            return
        if "children" in holder.slots:
            # A layer assigned to an attribute of a Sequential would be one of its layers.
            _forget_children(run, holder, value)
        default = holder.cls.lookup(name)
        if not isinstance(default, v.FunctionValue | None) and name not in holder.slots:
            # So that it is known what it is where this assignment is not made.
            holder.slots[name] = default
        run.trail.store(holder.slots, name, value)
    elif isinstance(holder, v.Heap):
        run.trail.store(holder.slots, name, value)
    elif isinstance(holder, v.ModuleValue):
        run.trail.store(holder.scope.names, name, value)


def _forget_children(run: Run, holder: v.Instance, value: Any) -> None:
    if not isinstance(value, v.Constant | v.Tensor):
        kind = getattr(holder.slots["children"], "kind", "list")
        run.trail.store(holder.slots, "children", v.Sequence(kind, None))


# --- items --------------------------------------------------------------------------------------


def item(run: Run, value: Any, index: list[Any], node: p.Subscript) -> Any:
    """Return `value[index]`."""
    if isinstance(value, v.Instance):
        return _item_of_instance(run, value, index, node)
    if isinstance(value, v.Sequence) and len(index) == 1:
        return _item_of_sequence(value, index[0], node)
    if isinstance(value, v.Dictionary) and len(index) == 1:
        key = index[0]
        if isinstance(key, v.Constant):
            if key.value in value.slots:
                return value.slots[key.value]
            return v.Unknown()
        return _any_of(tuple(value.slots.values())) if value.complete else v.Unknown()
    if isinstance(value, v.External):
        return value
    return effects.indexed(run, value, index, node)


def _item_of_instance(run: Run, value: v.Instance, index: list[Any], node: p.Subscript) -> Any:
    """Return an item of an object of the project: a named tuple, or what `__getitem__` gives."""
    method = value.cls.lookup("__getitem__")
    if isinstance(method, v.FunctionValue):
        key = index[0] if len(index) == 1 else v.Sequence("tuple", tuple(index))
        return calls.call(run, v.Bound(method, value), calls.Arguments((key,)), None)
    children = value.slots.get("children")
    if isinstance(children, v.Sequence):
        return item(run, children, index, node)
    items = expressions.items_of(value)
    if items is not None and len(index) == 1:
        return _item_of_sequence(v.Sequence("tuple", items), index[0], node)
    return v.Unknown()


def _any_of(values: tuple[Any, ...]) -> Any:
    """Return what all values have in common, when one of them is taken but not known which."""
    if not values:
        return v.Unknown()
    joined = values[0]
    for value in values[1:]:
        joined = v.join(joined, value)
    return joined


def _item_of_sequence(value: v.Sequence, key: Any, node: p.Subscript) -> Any:
    items = value.items
    if items is None:
        # One item, or several of them.
        return value.element if type(node.index[0]) is not p.Slice else value
    if isinstance(key, v.Constant) and isinstance(key.value, int):
        try:
            return items[key.value]
        except IndexError:
            return v.Unknown()
    part = node.index[0]
    if type(part) is p.Slice:
        lower, upper, step = _bound(part.lower), _bound(part.upper), _bound(part.step)
        if v.MISSING not in (lower, upper, step) and step != 0:
            return v.Sequence(value.kind, items[lower:upper:step])
        return v.Sequence(value.kind, None)
    return _any_of(items)


def _bound(node: p.Expression | None) -> Any:
    if node is None:
        return None
    if type(node) is p.Constant and isinstance(node.value, int):
        return node.value
    return v.MISSING


def forget_items(run: Run, holder: Any) -> None:
    """Follow that somebody unknown was given `holder`: a list or dict may hold anything now."""
    if isinstance(holder, v.Dictionary) and not holder.of_modules:
        holder.complete = False
        for name in list(holder.slots):
            run.trail.store(holder.slots, name, v.Unknown())
    elif isinstance(holder, v.Sequence) and holder.kind == "list":
        run.trail.store(holder.slots, "items", None)
        run.trail.store(holder.slots, "element", v.Unknown())


def delete(run: Run, holder: Any, name: str) -> None:
    """Follow `del holder.name`."""
    if isinstance(holder, v.Heap):
        run.trail.store(holder.slots, name, v.MISSING)


def delete_item(run: Run, holder: Any, index: list[Any]) -> None:
    """Follow `del holder[index]`."""
    key = index[0] if len(index) == 1 else None
    items = holder.items if isinstance(holder, v.Sequence) else None
    if not isinstance(key, v.Constant):
        forget_items(run, holder)
    elif isinstance(holder, v.Dictionary):
        run.trail.store(holder.slots, key.value, v.MISSING)
    elif items is not None and isinstance(key.value, int) and -len(items) <= key.value < len(items):
        left = list(items)
        del left[key.value]
        run.trail.store(holder.slots, "items", tuple(left))
    else:
        forget_items(run, holder)


def put_item(run: Run, holder: Any, index: list[Any], value: Any) -> Any:
    """Follow `holder[index] = value`; return the new value of a tensor, or None."""
    key = index[0] if len(index) == 1 else None
    if isinstance(holder, v.Dictionary):
        if isinstance(key, v.Constant):
            run.trail.store(holder.slots, key.value, value)
        else:
            holder.complete = False
            for name in list(holder.slots):
                run.trail.store(holder.slots, name, v.join(holder.slots[name], value))
        return None
    if isinstance(holder, v.Sequence):
        items = holder.items
        run.trail.store(holder.slots, "element", v.join(holder.element, value))
        if (
            items is not None
            and isinstance(key, v.Constant)
            and isinstance(key.value, int)
            and -len(items) <= key.value < len(items)
        ):
            changed = list(items)
            changed[key.value] = value
            run.trail.store(holder.slots, "items", tuple(changed))
        else:
            run.trail.store(holder.slots, "items", None)
        return None
    if isinstance(holder, v.Tensor):
        return effects.with_items(holder, index, value)
    if isinstance(holder, v.Unknown):
        return v.Unknown()
    return None
