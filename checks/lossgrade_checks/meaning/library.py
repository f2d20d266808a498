"""Follow calls of what a library or the language defines: functions, layers, losses, containers."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from lossgrade_checks.meaning import (
    attributes,
    calls,
    effects,
    language,
    tables,
    tensors,
)
from lossgrade_checks.meaning import expressions as e
from lossgrade_checks.meaning import program as p
from lossgrade_checks.meaning import values as v
from lossgrade_checks.meaning.events import Backward, Construction, LossCall

if TYPE_CHECKING:
    from lossgrade_checks.meaning.calls import Arguments
    from lossgrade_checks.meaning.run import Run


def call_external(run: Run, function: v.External, args: Arguments, node: p.Call | None) -> Any:
    """Return what calling `function`, of a library, gives."""
    path = function.path
    builtin = language.BUILTINS.get(path)
    if builtin is not None:
        return builtin(run, args, node)
    if _is_foreign(path):
        return v.Unknown()
    if path in tables.LOSSES and path.startswith("torch.nn.functional."):
        return _loss(run, tables.LOSSES[path], args, node, None)
    if path in tables.WRAPPERS:
        return args.get(0, "model", "module", "iterable") or v.Unknown()
    if path in tables.CONTAINERS:
        return _container(path, args)
    effect, name, name_of_library = tables.effect_of(path)
    if effect and node is not None:
        operand = args.get(0, *OPERAND_NAMES)
        note_tensor_use(run, operand, node.number)
        rest = args._replace(positional=args.positional[1:], nodes=args.nodes[1:])
        use = tensors.Use(
            effect, name, path, "function", name_of_library == "numpy",
            v.Unknown() if operand is None else operand,
            args.node(0, *OPERAND_NAMES), rest, node,
        )  # fmt: skip
        return effects.apply(run, use)
    return _construct(run, path, args, node)


@functools.cache
def _is_foreign(path: str) -> bool:
    """Whether no table speaks of a function: so it is with three calls of ten."""
    return not (
        path in tables.LOSSES
        or path in tables.WRAPPERS
        or path in tables.CONTAINERS
        or tables.effect_of(path)[0]
        or _makes_object(path)
    )


OPERAND_NAMES = ("input", "a", "x", "tensor", "object", "data")


def _container(path: str, args: Arguments) -> v.Sequence:
    made = _contained(path, args)
    for item in made.items or ():
        _note_call(item)
    return made


def _note_call(value: Any) -> None:
    """Note that a layer is called, or stands in a container that calls it."""
    if isinstance(value, v.Layer) and value.made is not None:
        value.made.called = True


def _contained(path: str, args: Arguments) -> v.Sequence:
    items: tuple[Any, ...] | None = args.positional
    if args.open:
        items = None
    elif len(args.positional) == 1:
        only = args.positional[0]
        if isinstance(only, v.Dictionary):
            items = tuple(only.slots.values()) if only.complete else None
        elif isinstance(only, v.Sequence) and only.kind not in tables.CONTAINERS:
            items = only.items
        elif path != "torch.nn.Sequential":
            items = None
    return v.Sequence(path, items)


def _construct(run: Run, path: str, args: Arguments, node: p.Call | None) -> Any:
    """Return an object of a library's class, or what an unknown function returns."""
    if not _makes_object(path):
        return v.Unknown()
    number = node.number if node is not None else -1
    layer = v.Layer(path, args.positional, args.keywords, run.site(number))
    layer.open = args.open
    if node is not None and _is_told(path):
        layer.made = Construction(*run.context(number), layer, node)
        run.events.append(layer.made)
    return layer


@functools.cache
def _makes_object(path: str) -> bool:
    known = path.startswith("torch.") or path in tables.NO_GRAD or path in _OBJECTS
    return known or path.rpartition(".")[2][:1].isupper()


@functools.cache
def _is_told(path: str) -> bool:
    """Whether rules may have an opinion on how such an object is made."""
    is_loss = path.startswith("torch.nn.") and path.endswith(("Loss", "Loss2d"))
    return is_loss or path in tables.LAYER_ACTIVATIONS


def note_tensor_use(run: Run, value: Any, number: int) -> None:
    """Note that an object of a library's class is used, at `number`, as if it were a tensor."""
    if isinstance(value, v.Layer) and value.made is not None:
        value.made.used_as_tensor.append(run.site(number))


_OBJECTS = {"dataclasses.field", "builtins.enumerate"}


def fill(run: Run, made: v.Instance, args: Arguments) -> None:
    """Follow the constructor of a class of the project that inherits from a container."""
    path = next(path for path in made.cls.outside() if path in tables.CONTAINERS)
    run.trail.store(made.slots, "children", _container(path, args))


# --- layers -------------------------------------------------------------------------------------


def call_layer(run: Run, layer: v.Layer, args: Arguments, node: p.Call | None) -> Any:
    """Return what calling an object of a library's class gives."""
    _note_call(layer)
    loss = tables.LOSSES.get(layer.path)
    if loss is not None:
        return _loss(run, loss, args, node, layer)
    operand = args.get(0, "input")
    operand = v.Unknown() if operand is None else operand
    kind = tables.LAYER_ACTIVATIONS.get(layer.path)
    if kind is not None:
        dim = v.Constant(1) if layer.path.endswith("2d") else layer.argument(0, "dim")
        if dim is None and layer.open:
            dim = v.Unknown()
        return effects.activate(
            run, kind, layer.path, "layer", operand, args.node(0, "input"), dim, layer, node
        )
    if layer.path in tables.LAYER_OUTPUTS:
        return _outputs(layer, operand)
    if layer.path in tables.LAYERS_THAT_KEEP:
        return operand
    if layer.path == "torch.nn.Flatten":
        return effects.flattened(operand, layer.argument(0, "start_dim"))
    if layer.path.startswith("torch.nn."):
        base = operand if isinstance(operand, v.Tensor) else v.Tensor()
        return v.Tensor(rows=base.rows, rank=base.rank, learned=True)
    return v.Unknown()


def _outputs(layer: v.Layer, operand: Any) -> v.Tensor:
    position, name, axis = tables.LAYER_OUTPUTS[layer.path]
    count = layer.argument(position, name)
    known = count.value if isinstance(count, v.Constant) and isinstance(count.value, int) else 0
    base = operand if isinstance(operand, v.Tensor) else v.Tensor()
    return v.Tensor(
        v.LOGITS,
        outputs=known,
        outputs_axis=axis,
        rank=base.rank,
        rows=base.rows,
        learned=True,
        dtype="float",
    )


def call_container(run: Run, layers: v.Sequence, args: Arguments, node: p.Call | None) -> Any:
    """Return what calling an nn.Sequential gives: each of its layers applied in turn."""
    if layers.kind != "torch.nn.Sequential":
        return v.Unknown()
    return apply_all(run, layers, args, node)


def apply_all(run: Run, layers: Any, args: Arguments, node: p.Call | None) -> Any:
    """Apply `layers` in turn to the first argument."""
    value = args.get(0, "input", "x")
    value = v.Unknown() if value is None else value
    if not isinstance(layers, v.Sequence) or layers.items is None:
        return v.Unknown()
    for layer in layers.items:
        run.step()
        value = calls.call(run, layer, calls.Arguments((value,)), node)
    return value


# --- losses -------------------------------------------------------------------------------------


def _loss(
    run: Run, loss: tables.Loss, args: Arguments, node: p.Call | None, layer: v.Layer | None
) -> Any:
    if node is None:
        return v.Tensor(v.LOSS)
    options: dict[str, Any] = {}
    if layer is None:
        for position, name in enumerate(loss.parameters):
            value = args.get(position, name)
            if value is not None:
                options[name] = value
    else:
        for position, name in enumerate(loss.constructor):
            value = layer.argument(position, name)
            if value is not None:
                options[name] = value
    found = args.get(0, "input")
    target = args.get(1, "target")
    note_tensor_use(run, found, node.number)
    event = LossCall(
        *run.context(node.number),
        loss,
        node,
        v.Unknown() if found is None else found,
        v.Unknown() if target is None else target,
        options,
        layer,
        args.node(0, "input"),
        no_grad=bool(run.no_grad),
    )
    run.events.append(event)
    return v.Tensor(v.LOSS, losses=(event,), whole=True, learned=True, dtype="float")


def backward(run: Run, value: Any, node: p.Call | None) -> None:
    """Follow `value.backward()`: the losses that `value` is made of train something."""
    if isinstance(value, v.Tensor):
        for event in value.losses:
            event.trained = True
    if node is not None:
        run.events.append(Backward(*run.context(node.number), value, node))


# --- methods ------------------------------------------------------------------------------------


def call_method(run: Run, method: v.Method, args: Arguments, node: p.Call | None) -> Any:
    """Return `receiver.name(...)` of a tensor, a container or a library's object."""
    receiver, name = method
    if isinstance(receiver, v.Sequence):
        return _sequence_method(run, receiver, name, args, node)
    if isinstance(receiver, v.Dictionary):
        return _dictionary_method(run, receiver, name, args)
    if name in tables.TENSOR and name not in tables.RETURNS_SELF:
        note_tensor_use(run, receiver, node.number if node is not None else -1)
    if name == "backward":
        backward(run, receiver, node)
        # `accelerator.backward(loss)`, `fabric.backward(loss)`.
        for value in args.positional[:1]:
            backward(run, value, None)
        return v.NONE
    if isinstance(receiver, v.Layer):
        return _layer_method(run, receiver, name, args, node)
    if isinstance(receiver, v.Tensor | v.Unknown | v.Method):
        return _tensor_method(run, receiver, name, args, node)
    return v.Unknown()


def _tensor_method(run: Run, receiver: Any, name: str, args: Arguments, node: p.Call | None) -> Any:
    effect = tables.TENSOR.get(name, "")
    known = isinstance(receiver, v.Tensor)
    if node is None:
        return v.Unknown()
    if known and isinstance(receiver, v.Tensor) and receiver.meaning == v.LOSS:
        return effects.loss_method(receiver, name, run.site(node.number))
    if not known:
        if name in tables.RETURNS_SELF:
            # A model or a tensor, moved or cast: what it is stays.
            return effects.cast_unknown(receiver, name, args)
        if not effect or not _looks_like_tensor(name, args):
            # `scaler.scale(loss)`
            scaled = args.positional[0] if name == "scale" and args.positional else None
            return scaled if isinstance(scaled, v.Tensor) else v.Unknown()
    if not effect:
        return v.Unknown()
    operand_node = node.function.value if type(node.function) is p.Attribute else None
    numpy = isinstance(receiver, v.Tensor) and receiver.numpy
    use = tensors.Use(
        effect, name, f"torch.Tensor.{name}", "method", numpy, receiver, operand_node, args, node
    )
    return effects.apply(run, use)


def _looks_like_tensor(name: str, args: Arguments) -> bool:
    """Whether `x.name(...)` is enough to take x, of which nothing is known, for a tensor."""
    if name in {"softmax", "log_softmax", "softmin"}:
        dim = args.get(0, "dim")
        return isinstance(dim, v.Constant) and isinstance(dim.value, int)
    if name in {"sigmoid", "exp", "log", "logsigmoid", "log1p"}:
        return not args.positional and not args.keywords
    if name in {"sum", "max", "min", "mean", "argmax", "amax"}:
        first = args.get(0, "dim", "axis")
        return first is None or isinstance(first, v.Constant | v.Sequence)
    return True


def _sequence_method(
    run: Run, receiver: v.Sequence, name: str, args: Arguments, node: p.Call | None
) -> Any:
    items = receiver.items
    if name in tables.RETURNS_SELF and receiver.kind in tables.CONTAINERS:
        return receiver
    if name in {"forward", "__call__"}:
        return call_container(run, receiver, args, node)
    if name in GROWS:
        _grow(run, receiver, name, args)
    elif name == "pop" and items:
        return _pop(run, receiver, items, args)
    elif name in {"pop", "remove", "clear", "reverse", "sort"}:
        element = receiver.element
        run.trail.store(receiver.slots, "items", None)
        run.trail.store(receiver.slots, "element", element)
        return element if name == "pop" and element is not v.MISSING else v.Unknown()
    if name in {"children", "modules", "values"}:
        return v.Sequence("list", items)
    return receiver if name in {"append", "extend"} else v.Unknown()


# The position of what each puts into a list.
GROWS = {"append": 0, "add_module": 1, "insert": 1, "extend": 0}


def _grow(run: Run, receiver: v.Sequence, name: str, args: Arguments) -> None:
    """Follow what puts one or more items into a list or a container."""
    found = args.get(GROWS[name], "module")
    found = v.Unknown() if found is None else found
    _note_call(found)
    more: tuple[Any, ...] | None = (found,)
    element = found
    if name == "extend":
        more = e.items_of(found)
        element = e.element_of(found, p.Opaque(-1))
    items = receiver.items
    # First what all have in common, while the items are still as they were.
    run.trail.store(receiver.slots, "element", v.join(receiver.element, element))
    at: object = None if items is None else len(items)
    if name == "insert":
        index = args.get(0)
        at = index.value if isinstance(index, v.Constant) else None
    changed = None
    known = items is not None and more is not None and len(items) + len(more) <= v.LONG
    if known and items is not None and more is not None and isinstance(at, int):
        changed = (*items[:at], *more, *items[at:])
    run.trail.store(receiver.slots, "items", changed)


def _pop(run: Run, receiver: v.Sequence, items: tuple[Any, ...], args: Arguments) -> Any:
    """Follow `pop()` or `pop(index)` of a list whose items are known."""
    index = args.get(0)
    at = -1 if index is None else index.value if isinstance(index, v.Constant) else None
    if not isinstance(at, int) or not -len(items) <= at < len(items):
        element = receiver.element
        run.trail.store(receiver.slots, "items", None)
        run.trail.store(receiver.slots, "element", element)
        return element
    left = list(items)
    popped = left.pop(at)
    run.trail.store(receiver.slots, "items", tuple(left))
    return popped


def _dictionary_method(run: Run, receiver: v.Dictionary, name: str, args: Arguments) -> Any:
    values = tuple(receiver.slots.values()) if receiver.complete else None
    keys = tuple(v.Constant(key) for key in receiver.slots) if receiver.complete else None
    if name in tables.RETURNS_SELF and receiver.of_modules:
        return receiver
    if name in {"get", "pop", "setdefault"}:
        return _dictionary_item(run, receiver, name, args)
    if name == "values":
        return v.Sequence("list", values)
    if name == "keys":
        return v.Sequence("list", keys)
    if name == "items":
        if values is None or keys is None:
            return v.Sequence("list", None)
        pairs = zip(keys, values, strict=True)
        return v.Sequence("list", tuple(v.Sequence("tuple", pair) for pair in pairs))
    if name == "update":
        other = args.get(0)
        if args.open or (other is not None and language.pairs(other) is None):
            attributes.forget_items(run, receiver)
        for key, value in (language.pairs(other) or {}).items():
            run.trail.store(receiver.slots, key, value)
        for key, value in args.keywords.items():
            run.trail.store(receiver.slots, key, value)
    return v.Unknown()


def _dictionary_item(run: Run, receiver: v.Dictionary, name: str, args: Arguments) -> Any:
    """Follow `get`, `pop` and `setdefault`."""
    key = args.get(0)
    if not isinstance(key, v.Constant):
        if name != "get":
            attributes.forget_items(run, receiver)
        return v.Unknown()
    found = receiver.slots.get(key.value)
    if found is None:
        default = args.get(1, "default") or v.NONE
        if name == "setdefault":
            run.trail.store(receiver.slots, key.value, default)
        return default if receiver.complete else v.Unknown()
    if name == "pop":
        run.trail.store(receiver.slots, key.value, v.MISSING)
    return found


def _layer_method(
    run: Run, receiver: v.Layer, name: str, args: Arguments, node: p.Call | None
) -> Any:
    if name in tables.RETURNS_SELF:
        return receiver
    if name in {"forward", "__call__"}:
        return call_layer(run, receiver, args, node)
    if receiver.path in {"torch.distributions.Categorical"}:
        return v.Unknown()
    if name == "item" or name == "mean":
        return v.Unknown()
    return v.Unknown()
