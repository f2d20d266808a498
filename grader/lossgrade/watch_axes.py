"""Where the axis of the classes lies after an operation that moves axes or takes a part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Shape = tuple[int, ...]

# An axis is a number from 0; None says that it is not known, or that only a part of it is left.


def axis_after(
    effect: str, name: str, axis: int | None, before: Shape, after: Shape, args: Any, kwargs: Any
) -> int | None:
    """Return the axis of the classes after `effect`, given the one before."""
    if axis is None or effect == "pick":
        return None
    move = _MOVES.get(effect)
    found = axis if move is None else move(name, axis, before, after, args[1:], kwargs)
    return found if found is not None and 0 <= found < len(after) else None


def normal(axis: Any, ndim: int) -> int | None:
    """Return an axis counted from 0; None if it is no number or out of range."""
    if isinstance(axis, bool) or not isinstance(axis, int):
        return None
    axis += ndim if axis < 0 else 0
    return axis if 0 <= axis < ndim else None


def given(args: Sequence[Any], kwargs: dict[str, Any], place: int, *names: str) -> Any:
    """Return the argument at `place` or by one of its names, or None."""
    if place < len(args):
        return args[place]
    return next((kwargs[name] for name in names if name in kwargs), None)


def _shape(_: str, axis: int, before: Shape, after: Shape, __: Any, ___: Any) -> int | None:
    # The axes behind it, and itself, are as they were: `view(-1, C)`, `expand`.
    behind = len(before) - axis
    if after[-behind:] == before[axis:]:
        return len(after) - behind
    return axis if after[: axis + 1] == before[: axis + 1] else None


def _permute(_: str, axis: int, before: Shape, __: Shape, args: Any, kwargs: Any) -> int | None:
    order = args or kwargs.get("dims", ())
    order = order[0] if len(order) == 1 and not isinstance(order[0], int) else order
    places = [normal(each, len(before)) for each in order]
    return places.index(axis) if axis in places else None


def _swapped(axis: int, one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return None
    return {one: other, other: one}.get(axis, axis)


def _transpose(_: str, axis: int, before: Shape, __: Shape, args: Any, kwargs: Any) -> int | None:
    one = normal(given(args, kwargs, 0, "dim0", "axis0"), len(before))
    other = normal(given(args, kwargs, 1, "dim1", "axis1"), len(before))
    return _swapped(axis, one, other)


def _reverse(_: str, axis: int, before: Shape, *__: Any) -> int | None:
    return len(before) - 1 - axis


def _swap_last(_: str, axis: int, before: Shape, *__: Any) -> int | None:
    return _swapped(axis, len(before) - 1, len(before) - 2)


def _move(_: str, axis: int, before: Shape, __: Shape, args: Any, kwargs: Any) -> int | None:
    source = normal(given(args, kwargs, 0, "source"), len(before))
    target = normal(given(args, kwargs, 1, "destination"), len(before))
    if source is None or target is None:
        return None
    order = [each for each in range(len(before)) if each != source]
    order.insert(target, source)
    return order.index(axis)


def _squeeze(_: str, axis: int, before: Shape, __: Shape, args: Any, kwargs: Any) -> int | None:
    asked = given(args, kwargs, 0, "dim")
    if asked is None:
        asked = range(len(before))
    places = {normal(each, len(before)) for each in ([asked] if isinstance(asked, int) else asked)}
    gone = {each for each in places if each is not None and before[each] == 1}
    return None if axis in gone else axis - sum(each < axis for each in gone)


def _unsqueeze(_: str, axis: int, before: Shape, __: Shape, args: Any, kwargs: Any) -> int | None:
    place = normal(given(args, kwargs, 0, "dim"), len(before) + 1)
    return None if place is None else axis + (place <= axis)


def _stack(_: str, axis: int, before: Shape, __: Shape, args: Any, kwargs: Any) -> int | None:
    place = normal(given(args, kwargs, 0, "dim", "axis") or 0, len(before) + 1)
    return None if place is None else axis + (place <= axis)


def _without(axis: int, place: int | None) -> int | None:
    return None if place is None or place == axis else axis - (place < axis)


def _select(_: str, axis: int, before: Shape, __: Shape, args: Any, kwargs: Any) -> int | None:
    return _without(axis, normal(given(args, kwargs, 0, "dim"), len(before)))


def _unbind(_: str, axis: int, before: Shape, __: Shape, args: Any, kwargs: Any) -> int | None:
    return _without(axis, normal(given(args, kwargs, 0, "dim") or 0, len(before)))


def _along(axis: int, place: int | None) -> int | None:
    return None if place is None or place == axis else axis


def _narrow(name: str, axis: int, before: Shape, __: Shape, args: Any, kwargs: Any) -> int | None:
    place = given(args, kwargs, 0, "dim")
    return _along(axis, normal(-1 if place is None and name == "sort" else place, len(before)))


def _pieces(_: str, axis: int, before: Shape, __: Shape, args: Any, kwargs: Any) -> int | None:
    return _along(axis, normal(given(args, kwargs, 1, "dim") or 0, len(before)))


def _cat(_: str, axis: int, before: Shape, __: Shape, args: Any, kwargs: Any) -> int | None:
    return _along(axis, normal(given(args, kwargs, 0, "dim", "axis") or 0, len(before)))


def _attach(name: str, axis: int, before: Shape, *_: Any) -> int | None:
    return _along(axis, int(name == "hstack")) if len(before) > 1 else None


def _index(_: str, axis: int, before: Shape, after: Shape, args: Any, __: Any) -> int | None:
    """Return it after `x[...]`: whole slices, numbers and new axes are followed, else None."""
    items = list(args[0]) if isinstance(args[0], tuple) else [args[0]]
    plain = all(
        each is None or each is Ellipsis or (isinstance(each, int | slice) and each is not True)
        for each in items
    )
    if not plain:
        # A mask or numbers of rows in front of it leave what comes behind as it was.
        in_front = len(items) == 1 and axis > 0
        return _shape("", axis, before, after, (), {}) if in_front else None
    taken = sum(isinstance(each, int | slice) for each in items)
    if Ellipsis not in items:
        items.append(Ellipsis)
    spot = next(i for i, each in enumerate(items) if each is Ellipsis)
    items[spot : spot + 1] = [slice(None)] * (len(before) - taken)
    place = result = 0
    for each in items:
        if each is None:
            result += 1
        elif place == axis:
            return result if each == slice(None) else None
        else:
            place += 1
            result += isinstance(each, slice)
    return None


_MOVES: dict[str, Callable[..., int | None]] = {
    "shape": _shape,
    "permute": _permute,
    "transpose": _transpose,
    "reverse": _reverse,
    "swap_last": _swap_last,
    "move": _move,
    "squeeze": _squeeze,
    "unsqueeze": _unsqueeze,
    "stack": _stack,
    "select": _select,
    "unbind": _unbind,
    "narrow": _narrow,
    "pieces": _pieces,
    "cat": _cat,
    "attach": _attach,
    "index": _index,
}
