"""What operations do to the meaning of a tensor: the effects that the tables name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from lossgrade_checks.meaning import library, tables
from lossgrade_checks.meaning import program as p
from lossgrade_checks.meaning import values as v
from lossgrade_checks.meaning.events import (
    Activation,
    Difference,
    Logarithm,
    NegativeLog,
    Pick,
    Quotient,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from lossgrade_checks.meaning.run import Run

# A number up to this that is added to probabilities is there to guard a logarithm.
SMALL = 1e-2
KEEPS_UNDER_SCALING = frozenset(
    {v.LOGITS, v.LOG_PROBABILITIES, v.LOG, v.LOSS, v.ONE_HOT, "squared error"}
)


class Use(NamedTuple):
    """A use of a function or method that the tables know; `args` are those after `operand`."""

    effect: str
    name: str
    path: str
    style: str
    numpy: bool
    operand: Any
    operand_node: p.Expression | None
    args: Any
    node: p.Call


def apply(run: Run, use: Use) -> Any:
    """Return the value of a use."""
    return EFFECTS[use.effect](run, use)


def tensor(value: Any) -> v.Tensor:
    """Return what is known of `value` as a tensor."""
    return value if isinstance(value, v.Tensor) else v.Tensor()


def number(value: Any) -> float | None:
    """Return the number that `value` is, or None."""
    if isinstance(value, v.Constant) and isinstance(value.value, int | float):
        return value.value
    return None


# --- activations --------------------------------------------------------------------------------


def activate(
    run: Run,
    kind: str,
    path: str,
    style: str,
    operand: Any,
    operand_node: p.Expression | None,
    dim: Any,
    layer: v.Layer | None,
    node: p.Call | None,
) -> v.Tensor:
    """Return the value of an activation, and note that it was applied."""
    meaning, has_dim = tables.ACTIVATIONS[kind]
    axis: int | str | None = axis_of(dim) if has_dim else None
    if has_dim and (dim is None or dim == v.NONE):
        axis = "missing"
    # In an nn.Sequential there is no call of the activation: it stands where it was made.
    inside = layer is not None and (node is None or operand_node is None)
    site = layer.site if inside and layer is not None else run.site(node.number if node else -1)
    _, calls, likely = run.context(-1)
    event = Activation(
        site, calls, likely, kind, path, style, operand, operand_node, axis, layer, node
    )
    run.events.append(event)
    base = tensor(operand)
    return v.Tensor(
        meaning,
        dim=axis if isinstance(axis, int) else None,
        origin=site,
        of=operand,
        outputs=base.outputs,
        outputs_axis=base.outputs_axis,
        rank=base.rank,
        rows=base.rows,
        dtype="float",
        learned=base.learned,
        numpy=base.numpy,
        cut=base.cut,
        cut_site=base.cut_site,
        activation=event,
    )


def axis_of(value: Any) -> int | None:
    """Return the axis that an argument names, or None when it is not known."""
    found = value.value if isinstance(value, v.Constant) else None
    return found if isinstance(found, int) else None


def _activation(run: Run, use: Use) -> Any:
    # SciPy's softmax runs over every axis unless told.
    dim = use.args.get(0, "dim", "axis")
    if dim is None and (use.numpy or use.args.open):
        dim = v.Unknown()
    return activate(
        run, use.name.rstrip("_"), use.path, use.style, use.operand, use.operand_node, dim, None,
        use.node,
    )  # fmt: skip


# --- operations that keep a meaning --------------------------------------------------------------


def _same(_: Run, use: Use) -> Any:
    if use.name in {"to", "type_as"}:
        return _cast(use.operand, use.args)
    if use.name == "requires_grad_" or "requires_grad" in use.args.keywords:
        return requiring_grad(use.operand)
    if use.name in {"asarray", "as_tensor"} and not isinstance(use.operand, v.Tensor | v.Unknown):
        return literal(use.operand, use.args, use.numpy)
    if "dtype" in use.args.keywords and isinstance(use.operand, v.Tensor):
        return use.operand._replace(dtype=dtype_of(use.args.keywords["dtype"]))
    return use.operand


def requiring_grad(value: Any) -> Any:
    """Return a tensor that collects a gradient from here on: a leaf, whatever it was cut from.

    A loss that was cut stays so: the parameters that it was made of get nothing.
    """
    if isinstance(value, v.Tensor) and value.meaning != v.LOSS:
        return value._replace(cut="", cut_site=None)
    return value


def _cast(operand: Any, args: Any) -> Any:
    for argument in (*args.positional, args.keywords.get("dtype")):
        dtype = dtype_of(argument)
        if dtype:
            return with_dtype(operand, dtype)
    unknown = [x for x in (*args.positional, *args.keywords.values()) if _may_be_dtype(x)]
    if unknown and isinstance(operand, v.Tensor):
        return operand._replace(dtype=tensor(unknown[0]).dtype)
    return operand


def _may_be_dtype(value: Any) -> bool:
    """Whether `x.to(value)` may cast x: `other.dtype`, `other`; a device does not."""
    if isinstance(value, v.Method):
        return value.name == "dtype"
    if isinstance(value, v.Unknown):
        return value.name != "" and "dev" not in value.name.lower()
    return isinstance(value, v.Tensor)


def dtype_of(value: Any) -> str | None:
    """Return "float", "int" or "bool" for a dtype, or None."""
    path = value.path if isinstance(value, v.External) else ""
    if isinstance(value, v.Constant) and isinstance(value.value, str):
        path = value.value
    return tables.DTYPES.get(path.rpartition(".")[2])


def with_dtype(operand: Any, dtype: str) -> Any:
    """Return `operand` cast to `dtype`."""
    if not isinstance(operand, v.Tensor):
        return v.Tensor(dtype=dtype, of=operand)
    if operand.meaning in {v.PROBABILITIES, v.SIGMOID} and dtype != "float":
        return v.Tensor(v.DECISIONS, of=operand, dtype=dtype, learned=operand.learned)
    return operand._replace(dtype=dtype)


def cast_unknown(receiver: Any, name: str, args: Any) -> Any:
    """Return a model or a tensor, not known which, after `.cuda()`, `.float()` and the like."""
    dtype = tables.DTYPES.get(name)
    for argument in (*args.positional, args.keywords.get("dtype")):
        dtype = dtype or dtype_of(argument)
    if dtype is not None and isinstance(receiver, v.Unknown) and receiver.source != "":
        return v.Tensor(dtype=dtype, of=receiver)
    return receiver


def _dtype(_: Run, use: Use) -> Any:
    if use.name in {"type", "astype"}:
        dtype = dtype_of(use.args.get(0, "dtype"))
        if dtype is None and isinstance(use.operand, v.Tensor):
            return use.operand._replace(dtype=None)
        return with_dtype(use.operand, dtype) if dtype else use.operand
    return with_dtype(use.operand, tables.DTYPES[use.name])


def _detach(run: Run, use: Use) -> Any:
    if not isinstance(use.operand, v.Tensor):
        return v.Tensor(of=use.operand, cut="detach", cut_site=run.site(use.node.number))
    return use.operand._replace(cut="detach", cut_site=run.site(use.node.number))


def _item(run: Run, use: Use) -> Any:
    return tensor(use.operand)._replace(cut="item", cut_site=run.site(use.node.number))


def loss_method(loss: v.Tensor, name: str, site: v.Site) -> Any:
    """Return what a method of a loss gives: mostly another form of the loss."""
    if name in {"item", "tolist"}:
        return loss._replace(cut="item", cut_site=site)
    if name in {"detach", "detach_"}:
        return loss._replace(cut="detach", cut_site=site)
    if name in {"mean", "sum", "to", "cuda", "float", "double", "view", "reshape", "squeeze"}:
        return loss
    if name in {"mul", "div", "add", "sub", "clone", "unsqueeze", "cpu", "masked_select"}:
        return loss
    return v.Unknown()


def _guard(_: Run, use: Use) -> Any:
    # `clamp(max=1)` leaves zeros; any lower bound, known or not, is meant to guard.
    low = use.args.get(0, "min", "a_min")
    guards = use.name not in {"clamp", "clip", "clamp_", "clip_"} or low not in (None, v.NONE)
    if isinstance(tensor(use.operand).event, NegativeLog) and use.name.startswith("nan_to_num"):
        use.operand.event.guarded = True
    if not isinstance(use.operand, v.Tensor):
        return v.Tensor(of=use.operand, guarded=guards)
    return use.operand._replace(
        guarded=use.operand.guarded or guards, clamped=use.operand.clamped or guards
    )


def _maximum_of_two(_: Run, use: Use) -> Any:
    other = number(use.args.get(0, "other", "x2"))
    if other is not None and 0 < other <= SMALL:
        return tensor(use.operand)._replace(guarded=True, clamped=True)
    return v.Unknown()


def moved(value: v.Tensor) -> v.Tensor:
    """Return a tensor whose axes have changed places: its axis numbers are not known any more."""
    return value._replace(
        dim=None, rank=None, rows=False, outputs=None, keepdim=value.keepdim or _per_row(value),
        note="moved",
    )  # fmt: skip


def _per_row(value: v.Tensor) -> bool:
    """Whether it is a sum or maximum over an axis, whose shape is now up to the program."""
    return value.meaning in {v.SUM, v.MAX}


def _reshape(_: Run, use: Use) -> Any:
    sizes = use.args.positional
    if len(sizes) == 1 and isinstance(sizes[0], v.Sequence) and sizes[0].items is not None:
        sizes = sizes[0].items
    numbers = [number(size) for size in sizes]
    rank = len(sizes) if sizes and not use.args.open else None
    base = tensor(use.operand)
    # `view(-1, 784)` and `view(x.size(0), -1)`: a row for each example.
    rows = rank == 2 and (
        (numbers[0] == -1 and (numbers[1] or 0) > 1) or (numbers[1] == -1 and numbers[0] is None)
    )
    same = rank == 2 and base.outputs is not None and numbers[1] == base.outputs
    return base._replace(
        dim=base.dim if same or base.dim == -1 or _per_row(base) else None,
        rank=rank,
        rows=rows,
        outputs=base.outputs if same else None,
        keepdim=base.keepdim or _per_row(base),
    )


def flattened(operand: Any, start: Any) -> Any:
    """Return the value of `flatten(start_dim)`; from axis 1 on, a row for each example."""
    first = number(start)
    base = tensor(operand)
    if first == 1 or start is None:
        return base._replace(rank=2, rows=True, outputs=None, dim=None)
    return moved(base)


def _flatten(_: Run, use: Use) -> Any:
    start = use.args.get(0, "start_dim")
    if number(start) == 1:
        return flattened(use.operand, start)
    return moved(use.operand) if isinstance(use.operand, v.Tensor) else v.Unknown()


def _axes(_: Run, use: Use) -> Any:
    if isinstance(use.operand, v.Unknown) and use.name in {"t", "transpose", "permute", "swapaxes"}:
        return moved_unknown(use.operand)
    return moved(use.operand) if isinstance(use.operand, v.Tensor) else v.Unknown()


def moved_unknown(value: v.Unknown) -> v.Unknown:
    """Return a value whose axes have changed places, of which nothing else is known."""
    return v.Unknown("moved", base=value.base or value)


def _squeeze(_: Run, use: Use) -> Any:
    base = tensor(use.operand)
    if not isinstance(use.operand, v.Tensor):
        return v.Unknown()
    axis = axis_of(use.args.get(0, "dim", "axis"))
    rows = base.rows and axis not in (None, 0)
    dim = base.dim if base.dim == -1 and axis not in (None, -1) else None
    return base._replace(outputs=None, rank=None, rows=rows, dim=dim)


def _unsqueeze(_: Run, use: Use) -> Any:
    if not isinstance(use.operand, v.Tensor):
        return v.Unknown()
    rank = None if use.operand.rank is None else use.operand.rank + 1
    return use.operand._replace(
        keepdim=use.operand.keepdim or _per_row(use.operand),
        dim=use.operand.dim if _per_row(use.operand) else None,
        rank=rank,
        rows=False,
        outputs=None,
    )


def _select(_: Run, use: Use) -> Any:
    if not isinstance(use.operand, v.Tensor):
        picks = use.name in {"gather", "take_along_dim", "take_along_axis"}
        if picks and isinstance(use.operand, v.Unknown) and use.operand.source == "parameter":
            return v.Unknown("picked", use.operand.name)
        return v.Unknown()
    if use.operand.meaning == v.LOG:
        return use.operand._replace(rank=None, note="picked")
    return use.operand._replace(rank=None, outputs=None, rows=False)


def indexed(run: Run, value: Any, index: list[Any], node: p.Subscript) -> Any:
    """Return `value[index]` of a tensor, or of something unknown."""
    picks = _picks(node.index, index)
    if not isinstance(value, v.Tensor):
        known = picks and isinstance(value, v.Unknown) and value.source == "parameter"
        return v.Unknown("picked", value.name) if known else v.Unknown()
    if picks:
        run.events.append(Pick(*run.context(node.number), value))
        if value.meaning == v.LOG:
            return value._replace(rank=None, note="picked")
    if value.meaning == "eye":
        # The rows of an identity matrix by class: one-hot.
        return v.Tensor(v.ONE_HOT, origin=run.site(node.number), dtype=value.dtype, rank=None)
    # `[:, None]` gives a sum its axis back; `[:, 0]` and masks keep the meaning of the numbers.
    parts = node.index
    if all(_keeps_all(part, item) for part, item in zip(parts, index, strict=True)):
        return value._replace(
            keepdim=value.keepdim or _per_row(value), rank=None, rows=value.rows, outputs=None
        )
    if value.data:
        return v.Tensor(rows=True, data=True)
    note = "picked" if picks else "part"
    return value._replace(rank=None, outputs=None, rows=False, dim=None, note=note)


def _picks(parts: tuple[p.Expression, ...], index: list[Any]) -> bool:
    """Whether it is `[range(n), y]` or `[i, y[i]]`: an item of each row, its number in `y`."""
    if len(parts) != 2 or any(type(part) is p.Slice for part in parts):
        return False
    if any(isinstance(item, v.Constant | v.External) for item in index):
        return False
    # Any other two indices may be those of a loop over all items.
    counted = isinstance(index[0], v.Sequence) or tensor(index[0]).rank == 1
    return counted or type(parts[1]) is p.Subscript


def _keeps_all(part: p.Expression, item: Any) -> bool:
    whole = type(part) is p.Slice and part.lower is part.upper is part.step is None
    new_axis = item in (v.NONE, v.External("numpy.newaxis"))
    return whole or new_axis or item == v.Constant(...)


def with_items(value: v.Tensor, index: list[Any], new: Any) -> Any:
    """Return a tensor after `value[index] = new`."""
    if value.meaning == "zeros" and number(new) == 1 and len(index) == 2:
        return v.Tensor(v.ONE_HOT, dtype=value.dtype, rank=2)
    if value.meaning == v.SHIFTED or value.meaning in {v.PROBABILITIES, v.SIGMOID}:
        return value._replace(guarded=True)
    return v.Unknown()


# --- sums, maxima, indices ----------------------------------------------------------------------


def _dims(use: Use) -> tuple[int | str | None, bool]:
    """Return the axis and the keepdim of a reduction; "all" when no axis is given."""
    found = use.args.get(0, "dim", "axis")
    keep = use.args.get(1, "keepdim", "keepdims")
    if keep is None and use.numpy:
        keep = use.args.keywords.get("keepdims")
    kept = not (keep is None or keep == v.Constant(False))
    if isinstance(found, v.Sequence) and found.items is not None and len(found.items) == 1:
        found = found.items[0]
    if found is None or found == v.NONE:
        return ("all" if not use.args.open else None), kept
    return axis_of(found), kept


def _sum(run: Run, use: Use) -> Any:
    base = tensor(use.operand)
    if base.meaning in {v.LOSS, v.LOG, "squared error"}:
        return base._replace(rank=None)
    if use.name == "sum" and isinstance(use.operand, v.Sequence):
        return library.call_external(run, v.External("builtins.sum"), use.args, None)
    dim, keep = _dims(use)
    rank = base.rank if keep or base.rank is None else base.rank - 1
    return v.Tensor(
        v.SUM, dim=dim, keepdim=keep, of=use.operand, rank=rank, learned=base.learned,
        origin=run.site(use.node.number), numpy=base.numpy,
    )  # fmt: skip


def _mean(_: Run, use: Use) -> Any:
    base = tensor(use.operand)
    if base.meaning in {v.LOSS, v.LOG}:
        return base._replace(rank=None)
    if base.meaning == "squared error":
        return base
    return v.Tensor(learned=base.learned)


def _max(run: Run, use: Use) -> Any:
    dim, keep = _dims(use)
    found = v.Tensor(
        v.MAX,
        dim=dim,
        keepdim=keep,
        of=use.operand,
        learned=tensor(use.operand).learned,
        rank=tensor(use.operand).rank,
        origin=run.site(use.node.number),
        numpy=use.numpy,
    )
    if use.numpy or use.name == "amax" or dim == "all":
        return found
    if not isinstance(use.args.get(0, "dim", "axis"), v.Constant):
        # `torch.max(a, b)` is a maximum of two.
        return v.Unknown()
    return v.Sequence("max", (found, _indices(run, use)))


def _min(_: Run, use: Use) -> Any:
    del use
    return v.Unknown()


def _indices(run: Run, use: Use) -> v.Tensor:
    base = tensor(use.operand)
    return v.Tensor(
        v.CLASS_INDICES,
        origin=run.site(use.node.number),
        of=use.operand,
        dtype="int",
        learned=base.learned,
        rank=None if base.rank is None else base.rank - 1,
    )


def _argmax(run: Run, use: Use) -> Any:
    if isinstance(use.operand, v.Tensor) and number(use.args.get(0, "dim", "axis")) == 1:
        run.events.append(Pick(*run.context(use.node.number), use.operand))
    return _indices(run, use)


def _topk(run: Run, use: Use) -> Any:
    return v.Sequence("max", (v.Unknown(), _indices(run, use)))


def rounded(value: v.Tensor) -> v.Tensor:
    """Return a tensor after rounding: what was a probability is a decision."""
    return v.Tensor(v.DECISIONS, of=value, dtype=value.dtype, learned=value.learned)


def _round(run: Run, use: Use) -> Any:
    return rounded(tensor(use.operand))._replace(origin=run.site(use.node.number))


# --- exponentials and logarithms ----------------------------------------------------------------


def _exp(run: Run, use: Use) -> Any:
    base = tensor(use.operand)
    if base.meaning == v.LOG_PROBABILITIES:
        return base._replace(meaning=v.PROBABILITIES, of=use.operand)
    if isinstance(base.event, Difference):
        base.event.exponentiated = True
    is_moved = isinstance(use.operand, v.Unknown) and use.operand.source == "moved"
    return v.Tensor(
        v.EXP, of=use.operand, rank=base.rank, rows=base.rows, learned=base.learned, dtype="float",
        numpy=use.numpy, origin=run.site(use.node.number),
        note="moved" if is_moved else base.note,
    )  # fmt: skip


def _log(run: Run, use: Use) -> Any:
    if id(use.operand) in run.nonzero:
        use = use._replace(operand=tensor(use.operand)._replace(guarded=True))
    base = tensor(use.operand)
    if "where" in use.args.keywords:
        # NumPy takes it there alone.
        return v.Tensor(v.LOG, of=v.Tensor(guarded=True), rank=base.rank)
    event = Logarithm(
        *run.context(use.node.number), use.operand, use.operand_node, use.node, use.path
    )
    run.events.append(event)
    if base.meaning in {v.PROBABILITIES, v.SIGMOID} and use.name.rstrip("_") == "log":
        meaning = v.LOG_PROBABILITIES if base.meaning == v.PROBABILITIES else v.LOG_SIGMOID
        return base._replace(meaning=meaning, of=use.operand, event=event)
    return v.Tensor(v.LOG, of=use.operand, origin=run.site(use.node.number), rank=base.rank)


def _log1p(run: Run, use: Use) -> Any:
    base = tensor(use.operand)
    if base.meaning == "negated" and tensor(base.of).meaning == v.SIGMOID:
        # log(1 - p)
        found = v.Tensor(v.COMPLEMENT, of=base.of, origin=base.of.origin)
        context = run.context(use.node.number)
        run.events.append(Logarithm(*context, found, use.operand_node, use.node, use.path))
    return v.Tensor(v.LOG, of=v.Tensor(guarded=True), rank=tensor(use.operand).rank)


def _logsumexp(_: Run, use: Use) -> Any:
    dim, keep = _dims(use)
    return v.Tensor(v.LOG_SUM_EXP, dim=dim, keepdim=keep, of=use.operand)


# --- making tensors -----------------------------------------------------------------------------


def _literal(run: Run, use: Use) -> Any:
    found = literal(use.operand, use.args, use.numpy)
    if isinstance(found, v.Tensor) and found.cut and found.cut_site is None:
        found = found._replace(cut_site=run.site(use.node.number))
    if "requires_grad" in use.args.keywords:
        found = requiring_grad(found)
    dtype = tables.DTYPES.get(use.name)
    return with_dtype(found, dtype) if dtype and isinstance(found, v.Tensor) else found


def literal(operand: Any, args: Any, numpy: bool) -> Any:
    """Return the tensor of a nested list of numbers; a tensor stays what it is."""
    if isinstance(operand, v.Tensor):
        given = args.get(0, "dtype")
        if given is not None:
            operand = operand._replace(dtype=dtype_of(given))
        return operand._replace(cut=operand.cut or "detach") if not numpy else operand
    if not isinstance(operand, v.Sequence):
        return v.Tensor(of=operand, cut="detach") if isinstance(operand, v.Unknown) else v.Tensor()
    rank = 0
    numbers: Any = operand
    while isinstance(numbers, v.Sequence) and numbers.items and rank < MOST_AXES:
        rank, numbers = rank + 1, numbers.items[0]
    flat = _flat(operand)
    dtype = dtype_of(args.get(0, "dtype"))
    meaning = v.PLAIN
    if flat and rank == 1 and all(x >= 0 and x % 1 == 0 for x in flat):
        meaning = v.CLASS_INDICES if max(flat) > 1 else "zeros and ones"
    if flat and dtype is None:
        dtype = "int" if all(isinstance(x, int) for x in flat) else "float"
    return v.Tensor(meaning, rank=rank or None, dtype=dtype, numpy=numpy, rows=rank == 2)


# A list may hold itself.
MOST_AXES = 8


def _flat(value: Any, axes: int = MOST_AXES) -> list[float]:
    if isinstance(value, v.Sequence):
        parts = [_flat(item, axes - 1) for item in value.items or ()] if axes else []
        return [x for part in parts for x in part] if all(parts) else []
    found = number(value)
    return [] if found is None else [found]


def _size(use: Use) -> int | None:
    """Return the rank of a tensor that is made of given sizes."""
    sizes = (use.operand, *use.args.positional)
    if isinstance(sizes[0], v.Sequence):
        return len(sizes[0].items) if sizes[0].items is not None else None
    size = use.args.keywords.get("size")
    if isinstance(size, v.Sequence) and size.items is not None:
        return len(size.items)
    return None if use.args.open else len(sizes)


def _drawn(_: Run, use: Use) -> Any:
    if use.name in {"normal", "uniform"}:
        return v.Tensor(numpy=use.numpy)
    rank = _size(use)
    return v.Tensor(rank=rank, rows=rank == 2, dtype="float", numpy=use.numpy)


def _drawn_int(_: Run, use: Use) -> Any:
    size = use.args.get(1, "size")
    if not isinstance(size, v.Sequence):
        size = use.args.get(0, "size")
    rank = len(size.items) if isinstance(size, v.Sequence) and size.items is not None else None
    dtype = dtype_of(use.args.keywords.get("dtype")) or "int"
    if use.name == "randperm":
        return v.Tensor(dtype="int", rank=1)
    meaning = v.CLASS_INDICES if rank == 1 else v.PLAIN
    return v.Tensor(meaning, dtype=dtype, rank=rank, numpy=use.numpy)


def _arange(_: Run, use: Use) -> Any:
    bounds = [number(bound) for bound in (use.operand, *use.args.positional)]
    kind = "float" if any(isinstance(bound, float) for bound in bounds) else None
    default = "int" if all(isinstance(bound, int) for bound in bounds) else kind
    given = use.args.keywords.get("dtype")
    return v.Tensor(dtype=default if given is None else dtype_of(given), rank=1)


def _filled(_: Run, use: Use) -> Any:
    meaning = use.name if use.name == "zeros" else v.PLAIN
    default = "float" if use.name != "full" else None
    dtype = dtype_of(use.args.keywords.get("dtype")) or default
    return v.Tensor(meaning, rank=_size(use), dtype=dtype, numpy=use.numpy)


def _like(_: Run, use: Use) -> Any:
    base = tensor(use.operand)
    meaning = "zeros" if use.name == "zeros_like" else v.PLAIN
    dtype = dtype_of(use.args.keywords.get("dtype")) or base.dtype
    return v.Tensor(meaning, rank=base.rank, rows=base.rows, dtype=dtype)


def _eye(_: Run, use: Use) -> Any:
    dtype = dtype_of(use.args.keywords.get("dtype")) or "float"
    return v.Tensor("eye", rank=2, dtype=dtype, numpy=use.numpy)


def _one_hot(run: Run, use: Use) -> Any:
    return v.Tensor(v.ONE_HOT, origin=run.site(use.node.number), dtype="int")


def _scatter(_: Run, use: Use) -> Any:
    base = tensor(use.operand)
    value = use.args.get(2, "src", "value")
    if base.meaning == "zeros" and number(value) == 1:
        return v.Tensor(v.ONE_HOT, dtype=base.dtype, rank=base.rank)
    return v.Unknown()


def _joined(_: Run, use: Use) -> Any:
    joined = use.operand.element if isinstance(use.operand, v.Sequence) else None
    return moved(joined) if isinstance(joined, v.Tensor) else v.Unknown()


def _where(_: Run, __: Use) -> Any:
    return v.Unknown()


def _plain(_: Run, use: Use) -> Any:
    base = tensor(use.operand)
    meaning = v.PLAIN
    if use.name in {"square", "pow"} and base.meaning == "difference":
        meaning = "squared error"
    return v.Tensor(
        meaning, rank=base.rank, rows=base.rows, learned=base.learned, of=base.of, guarded=False
    )


def _product(_: Run, use: Use) -> Any:
    return product(use.operand, use.args.get(0, "other", "mat2", "weight", "b"))


def product(left: Any, right: Any) -> v.Tensor:
    """Return a matrix product: a row of it for each row on the left."""
    a, b = tensor(left), tensor(right)
    for value in (a, b):
        if value.meaning == v.LOG:
            return value._replace(rank=None, note="weighted")
    rank = 2 if a.rank == b.rank == 2 else None
    # `W @ X` has its examples in columns: only data and what a layer makes of it are rows.
    rows = rank == 2 and a.rows and (a.data or a.learned)
    return v.Tensor(rank=rank, rows=rows, learned=a.learned or b.learned, numpy=a.numpy)


def _backward(run: Run, use: Use) -> Any:
    library.backward(run, use.operand, use.node)
    return v.NONE


def _negate(run: Run, use: Use) -> Any:
    return negate(run, use.node, use.operand)


def _divide(run: Run, use: Use) -> Any:
    return divide(run, use.node, use.operand, use.args.get(0, "other", "x2"))


def _multiply(run: Run, use: Use) -> Any:
    return _times(run, use.node, use.operand, use.args.get(0, "other", "x2"))


def _add(run: Run, use: Use) -> Any:
    return _plus(run, use.node, use.operand, use.args.get(0, "other", "x2"))


def _subtract(run: Run, use: Use) -> Any:
    return _minus(run, use.node, use.operand, use.args.get(0, "other", "x2"))


EFFECTS: dict[str, Callable[[Run, Use], Any]] = {
    "activation": _activation,
    "same": _same,
    "dtype": _dtype,
    "detach": _detach,
    "item": _item,
    "guard": _guard,
    "maximum_of_two": _maximum_of_two,
    "reshape": _reshape,
    "flatten": _flatten,
    "axes": _axes,
    "squeeze": _squeeze,
    "unsqueeze": _unsqueeze,
    "select": _select,
    "sum": _sum,
    "mean": _mean,
    "max": _max,
    "min": _min,
    "argmax": _argmax,
    "topk": _topk,
    "round": _round,
    "exp": _exp,
    "log": _log,
    "log1p": _log1p,
    "logsumexp": _logsumexp,
    "negate": _negate,
    "divide": _divide,
    "multiply": _multiply,
    "add": _add,
    "subtract": _subtract,
    "product": _product,
    "one_hot": _one_hot,
    "scatter": _scatter,
    "plain": _plain,
    "backward": _backward,
    "literal": _literal,
    "drawn": _drawn,
    "drawn_int": _drawn_int,
    "arange": _arange,
    "filled": _filled,
    "like": _like,
    "eye": _eye,
    "joined": _joined,
    "where": _where,
}


# --- operators ----------------------------------------------------------------------------------


def _losses(left: Any, right: Any) -> v.Tensor | None:
    """Return the loss that a sum, product or quotient with a loss in it is."""
    found = [x for x in (left, right) if isinstance(x, v.Tensor) and x.meaning == v.LOSS]
    if not found:
        return None
    together = tuple(loss for x in found for loss in x.losses)
    # `loss.item() * w` has a graph again if w has one: only numbers surely have none.
    others = [x for x in (left, right) if not (isinstance(x, v.Tensor) and x.meaning == v.LOSS)]
    alone = all(number(x) is not None for x in others)
    cut = alone and all(x.cut for x in found)
    return found[0]._replace(
        losses=together,
        whole=alone and all(x.whole for x in found),
        cut=found[0].cut if cut else "",
        cut_site=found[0].cut_site if cut else None,
    )


def _plus(run: Run, node: Any, left: Any, right: Any) -> Any:
    del run, node
    loss = _losses(left, right)
    if loss is not None:
        return loss
    for value, other in ((left, right), (right, left)):
        small = number(other)
        if isinstance(value, v.Tensor) and small is not None:
            guarded = value.guarded or small > 0
            if abs(small) <= SMALL or value.meaning == v.LOG:
                return value._replace(guarded=guarded)
            return v.Tensor(guarded=guarded, rank=value.rank, rows=value.rows, numpy=value.numpy)
        if isinstance(value, v.Unknown | v.Method) and small is not None:
            return v.Tensor(of=value, guarded=small > 0)
    a, b = tensor(left), tensor(right)
    named_guard = any(isinstance(x, v.Unknown) and "eps" in x.name.lower() for x in (left, right))
    for value in (left, right):
        if isinstance(value, v.Tensor) and value.meaning in {v.PROBABILITIES, v.SIGMOID, v.SUM}:
            # `p + eps` with an eps from elsewhere; anything else that is added loses the meaning.
            return value._replace(guarded=True) if named_guard else v.Unknown()
        if isinstance(value, v.Tensor) and value.meaning == v.LOG:
            return value._replace(cut="", cut_site=None)
    if a.learned or b.learned or a.rank or b.rank:
        # A bias added to a product leaves rows rows.
        rows = a.rows or b.rows
        return v.Tensor(rank=a.rank or b.rank, rows=rows, learned=a.learned or b.learned)
    return v.Unknown()


def _minus(run: Run, node: Any, left: Any, right: Any) -> Any:
    if isinstance(right, v.Sequence) and right.kind == "max" and right.items:
        # Of PyTorch it were a pair, from which nothing can be subtracted: it is NumPy's.
        right = right.items[0]
    loss = _losses(left, right)
    if loss is not None:
        return loss
    a, b = tensor(left), tensor(right)
    if b.meaning == v.MAX and same(b.of, left):
        shift = Difference(*run.context(node.number), left, b, node)
        run.events.append(shift)
        return v.Tensor(v.SHIFTED, of=b, rank=a.rank, rows=a.rows, learned=a.learned, event=shift)
    if b.meaning == v.LOG_SUM_EXP and same(b.of, left):
        return v.Tensor(v.LOG_PROBABILITIES, dim=b.dim, of=left, rank=a.rank, rows=a.rows)
    if number(left) == 1 and b.meaning in {v.PROBABILITIES, v.SIGMOID, v.PLAIN}:
        return v.Tensor(v.COMPLEMENT, of=right, guarded=b.guarded, origin=b.origin)
    if number(left) == 1:
        # Who looks whether p is 0 looks at 1 - p too.
        inner = v.Tensor(guarded=True) if id(right) in run.nonzero else right
        return v.Tensor(v.COMPLEMENT, of=inner)
    if number(right) is not None and isinstance(left, v.Tensor):
        return v.Tensor(rank=a.rank, rows=a.rows, learned=a.learned)
    for value in (left, right):
        if tensor(value).meaning in {v.PROBABILITIES, v.SIGMOID}:
            return v.Tensor("difference", of=(left, right), learned=a.learned or b.learned)
    if b.meaning in {v.LOG, v.LOG_PROBABILITIES, v.LOG_SIGMOID} and type(node) is p.Augment:
        # `total -= log(p[i, y[i]])`
        return v.Tensor(event=_negated(run, node, b))
    if isinstance(a.event, NegativeLog):
        return v.Tensor(event=a.event)
    return v.Unknown("difference")


def _times(run: Run, node: Any, left: Any, right: Any) -> Any:
    loss = _losses(left, right)
    if loss is not None:
        return loss
    for value, other in ((left, right), (right, left)):
        base = tensor(value)
        if base.meaning in {v.LOG, v.LOG_PROBABILITIES, v.LOG_SIGMOID}:
            factor = number(other)
            negative = (factor is not None and factor < 0) or tensor(other).meaning == "negated"
            if isinstance(base.event, Logarithm) and base.origin == tensor(other).origin:
                base.event.entropy = True
            scalar = factor is not None or number(tensor(other).of) is not None
            if base.meaning == v.LOG and not scalar and base.note != "picked":
                base = base._replace(note="weighted")
            if negative:
                return v.Tensor(event=_negated(run, node, base))
            if factor is None:
                # What it is multiplied with may have a graph.
                base = base._replace(cut="", cut_site=None)
            if base.meaning == v.LOG:
                return base._replace(rank=None)
            if factor is None:
                # `y * log_softmax(z)`: a weighted logarithm; its sum is negated to be a loss.
                return base._replace(meaning=v.LOG, of=v.Tensor(guarded=True), rank=None)
            return v.Tensor()
        if base.meaning in {v.LOGITS, "squared error"} and number(other) is not None:
            return base
    if left is right and tensor(left).meaning == "difference":
        return tensor(left)._replace(meaning="squared error")
    a, b = tensor(left), tensor(right)
    if isinstance(left, v.Tensor) or isinstance(right, v.Tensor):
        negative = (a.meaning == "negated") is not (b.meaning == "negated")
        meaning = "negated" if negative else v.PLAIN
        return v.Tensor(meaning, rank=a.rank or b.rank, learned=a.learned or b.learned)
    if number(left) is not None or number(right) is not None:
        return v.Tensor(of=right if number(left) is not None else left)
    return v.Unknown()


def divide(run: Run, node: Any, left: Any, right: Any) -> Any:
    """Return `left / right`: exponentials by their sum are probabilities."""
    loss = _losses(left, right)
    if loss is not None:
        return loss
    a, b = tensor(left), tensor(right)
    if a.meaning == v.EXP and b.meaning == v.SUM and same(b.of, left):
        run.events.append(Quotient(*run.context(node.number), a, b, node))
        dim = b.dim if isinstance(b.dim, int) and not a.note else None
        return v.Tensor(
            v.PROBABILITIES, dim=dim, origin=run.site(node.number), of=a.of, rank=a.rank,
            rows=a.rows, learned=a.learned, dtype="float", numpy=a.numpy,
        )  # fmt: skip
    if b.meaning in {v.SUM, v.MAX}:
        return v.Tensor(rank=a.rank, rows=a.rows, learned=a.learned)
    negative = number(left)
    if negative is not None and negative < 0 and isinstance(right, v.Unknown | v.Method):
        # `-1 / n * sum(...)`
        return v.Tensor("negated", of=left)
    if a.meaning in KEEPS_UNDER_SCALING and (
        number(right) is not None or isinstance(right, v.Unknown | v.Method)
    ):
        # A temperature that is learned gives `logits.detach() / temperature` a graph.
        return a if number(right) is not None else a._replace(cut="", cut_site=None)
    if isinstance(left, v.Tensor):
        meaning = "negated" if a.meaning == "negated" else v.PLAIN
        return v.Tensor(meaning, rank=a.rank, rows=a.rows, learned=a.learned)
    if isinstance(left, v.Unknown) and left.source in {"parameter", "scaled"}:
        return v.Unknown("scaled", left.name)
    return v.Unknown()


def same(a: Any, b: Any) -> bool:
    """Whether two values are surely one: the same object, or made alike of the same."""
    if isinstance(a, v.Unknown) and isinstance(b, v.Unknown):
        return (a.base or a) is (b.base or b)
    if a is b:
        return True
    if isinstance(a, v.Tensor) and isinstance(b, v.Tensor):
        known = a.of is not None or a.origin is not None
        return known and a.meaning == b.meaning and a.dim == b.dim and same(a.of, b.of)
    if isinstance(a, v.Method) and isinstance(b, v.Method):
        return a.name == b.name and same(a.receiver, b.receiver)
    return False


def negate(run: Run, node: Any, operand: Any) -> Any:
    """Return `-operand`; of a logarithm, it is what a handwritten loss is made of."""
    base = tensor(operand)
    if base.meaning in {v.LOG, v.LOG_PROBABILITIES, v.LOG_SIGMOID}:
        return v.Tensor(rank=base.rank, event=_negated(run, node, base))
    if base.meaning == v.LOSS:
        return operand
    if base.meaning == v.LOGITS:
        return operand
    return v.Tensor("negated", of=operand, rank=base.rank, rows=base.rows)


def _negated(run: Run, node: Any, logarithm: v.Tensor) -> NegativeLog:
    made = NegativeLog(*run.context(node.number), logarithm)
    run.events.append(made)
    return made


def _power(run: Run, node: Any, left: Any, right: Any) -> Any:
    del run, node
    if tensor(left).meaning == "difference" and number(right) == 2:
        return tensor(left)._replace(meaning="squared error")
    return v.Unknown()


def _matrix_product(run: Run, node: Any, left: Any, right: Any) -> Any:
    del run, node
    return product(left, right)


OPERATORS: dict[str, Callable[[Run, Any, Any, Any], Any]] = {
    "+": _plus,
    "-": _minus,
    "*": _times,
    "/": divide,
    "**": _power,
    "@": _matrix_product,
}


def compare(run: Run, node: p.Comparison, operator: str, left: Any, right: Any) -> Any:
    """Return a comparison: of a tensor with a threshold, decisions."""
    del operator
    if isinstance(left, v.Tensor) and number(right) is not None:
        return v.Tensor(
            v.DECISIONS, origin=run.site(node.number), of=left, dtype="bool", learned=left.learned
        )
    return v.Unknown()
