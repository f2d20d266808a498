"""Follow calls of what the language defines: `super`, `zip`, `dict`, `functools.partial`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lossgrade_checks.meaning import (
    attributes,
    library,
    reductions,
)
from lossgrade_checks.meaning import expressions as e
from lossgrade_checks.meaning import program as p
from lossgrade_checks.meaning import values as v

if TYPE_CHECKING:
    from collections.abc import Callable

    from lossgrade_checks.meaning.calls import Arguments
    from lossgrade_checks.meaning.run import Run


def _super(run: Run, args: Arguments, _: p.Call | None) -> Any:
    frame = run.frame
    if len(args.positional) == 2 and isinstance(args.positional[0], v.ClassValue):
        return v.Super(args.positional[0], args.positional[1])
    if frame.cls is not None and frame.receiver is not None:
        return v.Super(frame.cls, frame.receiver)
    return v.Unknown()


def _getattr(run: Run, args: Arguments, _: p.Call | None) -> Any:
    if len(args.positional) < 2:
        return v.Unknown()
    holder, name = args.positional[:2]
    if isinstance(name, v.Constant) and isinstance(name.value, str):
        found = attributes.get(run, holder, name.value)
        return v.Unknown() if isinstance(found, v.Method) else found
    return v.Unknown()


def _setattr(run: Run, args: Arguments, _: p.Call | None) -> Any:
    if len(args.positional) == 3:
        holder, name, value = args.positional
        if isinstance(name, v.Constant) and isinstance(name.value, str):
            attributes.put(run, holder, name.value, value)
        elif isinstance(holder, v.Heap):
            for key, old in list(holder.slots.items()):
                run.trail.store(holder.slots, key, v.join(old, value))
    return v.NONE


def _list(_: Run, args: Arguments, __: p.Call | None) -> Any:
    if not args.positional:
        return v.Sequence("list", () if not args.open else None)
    return v.Sequence("list", e.items_of(args.positional[0]))


def _tuple(_: Run, args: Arguments, __: p.Call | None) -> Any:
    return v.Sequence("tuple", e.items_of(args.positional[0]) if args.positional else ())


def _dict(_: Run, args: Arguments, __: p.Call | None) -> Any:
    slots: dict[Any, Any] = {}
    complete = not args.open
    if args.positional:
        first = args.positional[0]
        known = pairs(first)
        if known is None:
            complete = False
        else:
            slots.update(known)
    slots.update(args.keywords)
    return v.Dictionary(slots, complete)


def pairs(value: Any) -> dict[Any, Any] | None:
    """Return the keys and values of a dict, or of a list of pairs; None when not known."""
    if isinstance(value, v.Dictionary):
        return dict(value.slots) if value.complete else None
    items = e.items_of(value)
    if items is None:
        return None
    found: dict[Any, Any] = {}
    for item in items:
        pair = e.items_of(item)
        if pair is None or len(pair) != 2 or not isinstance(pair[0], v.Constant):
            return None
        found[pair[0].value] = pair[1]
    return found


def _module_dict(run: Run, args: Arguments, node: p.Call | None) -> Any:
    made = _dict(run, args, node)
    made.of_modules = True
    return made


def _namespace(run: Run, args: Arguments, node: p.Call | None) -> Any:
    made = _dict(run, args, node)
    made.of_modules = True
    return made


def _enumerate(_: Run, args: Arguments, __: p.Call | None) -> Any:
    items = e.items_of(args.positional[0]) if args.positional else None
    if items is not None:
        pairs = [v.Sequence("tuple", (v.Constant(i), item)) for i, item in enumerate(items)]
        return v.Sequence("list", tuple(pairs))
    return v.Layer("builtins.enumerate", args.positional, {}, v.Site("", -1))


def _zip(_: Run, args: Arguments, __: p.Call | None) -> Any:
    columns = [e.items_of(value) for value in args.positional]
    known = [column for column in columns if column is not None]
    if len(known) != len(columns):
        return v.Unknown()
    rows = zip(*known, strict=False)
    return v.Sequence("list", tuple(v.Sequence("tuple", row) for row in rows))


def _iter(_: Run, args: Arguments, __: p.Call | None) -> Any:
    return args.positional[0] if args.positional else v.Unknown()


def _reversed(_: Run, args: Arguments, __: p.Call | None) -> Any:
    items = e.items_of(args.positional[0]) if args.positional else None
    return v.Sequence("list", None if items is None else items[::-1])


def _next(_: Run, args: Arguments, __: p.Call | None) -> Any:
    if not args.positional:
        return v.Unknown()
    iterable = args.positional[0]
    items = e.items_of(iterable)
    if items:
        return items[0]
    return e.element_of(iterable, p.Opaque(-1))


def _range(_: Run, args: Arguments, __: p.Call | None) -> Any:
    bounds = [x.value for x in args.positional if isinstance(x, v.Constant)]
    numbers = [x for x in bounds if isinstance(x, int)]
    if len(numbers) == len(args.positional) in (1, 2, 3) and 0 not in numbers[2:]:
        values = range(*numbers)
        # Longer ones are training loops: one round of them says it all.
        if len(values) <= 8:
            return v.Sequence("list", tuple(v.Constant(i) for i in values))
    return v.Sequence("list", None)


def _len(_: Run, args: Arguments, __: p.Call | None) -> Any:
    items = e.items_of(args.positional[0]) if args.positional else None
    return v.Constant(len(items)) if items is not None else v.Unknown()


def _sum(run: Run, args: Arguments, node: p.Call | None) -> Any:
    """`sum(losses)`: of losses, a loss. Of an array, it sums over the first axis."""
    first = args.positional[0] if args.positional else None
    if isinstance(first, v.Tensor) and first.meaning == v.EXP and node is not None:
        return v.Tensor(v.SUM, dim=0, of=first, origin=run.site(node.number), numpy=first.numpy)
    items = e.items_of(args.positional[0]) if args.positional else None
    losses: tuple[Any, ...] = ()
    for item in items or ():
        if not isinstance(item, v.Tensor) or item.meaning != v.LOSS:
            return v.Unknown()
        losses = v.together(losses, item.losses)
    return v.Tensor(v.LOSS, losses=losses) if losses else v.Unknown()


def _round(_: Run, args: Arguments, __: p.Call | None) -> Any:
    value = args.positional[0] if args.positional else None
    return reductions.rounded(value) if isinstance(value, v.Tensor) else v.Unknown()


def _float(run: Run, args: Arguments, node: p.Call | None) -> Any:
    """`float(loss)` cuts it off from the graph, as `loss.item()` does."""
    value = args.positional[0] if args.positional else None
    if isinstance(value, v.Tensor) and node is not None:
        return value._replace(cut="item", cut_site=run.site(node.number))
    return value if isinstance(value, v.Constant) else v.Unknown()


def _partial(_: Run, args: Arguments, __: p.Call | None) -> Any:
    if not args.positional:
        return v.Unknown()
    return v.Partial(args.positional[0], args.positional[1:], args.keywords)


def _namedtuple(run: Run, args: Arguments, _: p.Call | None) -> Any:
    """`namedtuple("Output", "logits probabilities")`: a class with these fields."""
    names = args.get(1, "field_names", "fields")
    fields: list[object] = []
    if isinstance(names, v.Constant) and isinstance(names.value, str):
        fields = list(names.value.replace(",", " ").split())
    for item in e.items_of(names) or ():
        # `NamedTuple("Output", [("logits", Tensor)])`
        name = (e.items_of(item) or (item,))[0]
        fields.append(name.value if isinstance(name, v.Constant) else None)
    made = v.ClassValue(p.Class(-1, "", (), (), ()), (v.External("typing.NamedTuple"),), run.module)
    made.fields = tuple(name for name in fields if isinstance(name, str))
    return made if made.fields and len(made.fields) == len(fields) else v.Unknown()


def _grad(run: Run, args: Arguments, node: p.Call | None) -> Any:
    library.backward(run, args.get(0, "outputs"), None)
    del node
    return v.Unknown()


BUILTINS: dict[str, Callable[[Run, Any, p.Call | None], Any]] = {
    "builtins.super": _super,
    "builtins.getattr": _getattr,
    "builtins.setattr": _setattr,
    "builtins.list": _list,
    "builtins.tuple": _tuple,
    "builtins.dict": _dict,
    "collections.OrderedDict": _dict,
    "torch.nn.ModuleDict": _module_dict,
    "types.SimpleNamespace": _namespace,
    "argparse.Namespace": _namespace,
    "builtins.enumerate": _enumerate,
    "builtins.zip": _zip,
    "builtins.iter": _iter,
    "builtins.reversed": _reversed,
    "builtins.next": _next,
    "builtins.range": _range,
    "builtins.len": _len,
    "builtins.sum": _sum,
    "builtins.round": _round,
    "builtins.float": _float,
    "functools.partial": _partial,
    "collections.namedtuple": _namedtuple,
    "typing.NamedTuple": _namedtuple,
    "torch.autograd.grad": _grad,
}
