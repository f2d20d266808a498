"""What operations do to the meaning of a tensor: the effects that the tables name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lossgrade_checks.meaning import library, tables
from lossgrade_checks.meaning import program as p
from lossgrade_checks.meaning import values as v
from lossgrade_checks.meaning.arithmetic import SMALL, divide, minus, negate, plus, product, times
from lossgrade_checks.meaning.events import (
    Activation,
    NegativeLog,
    Pick,
)
from lossgrade_checks.meaning.making import (
    arange,
    drawn,
    drawn_int,
    eye,
    filled,
    joined,
    like,
    literal,
    literal_of,
    one_hot,
    scatter,
)
from lossgrade_checks.meaning.reductions import (
    argmax,
    exp,
    largest,
    log,
    log1p,
    logsumexp,
    mean,
    rounding,
    smallest,
    topk,
    total,
)
from lossgrade_checks.meaning.tensors import (
    Use,
    axis_of,
    dtype_of,
    may_be_dtype,
    moved,
    number,
    per_row,
    requiring_grad,
    tensor,
    with_dtype,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from lossgrade_checks.meaning.run import Run


def apply(run: Run, use: Use) -> Any:
    """Return the value of a use."""
    return EFFECTS[use.effect](run, use)


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


def _cast(operand: Any, args: Any) -> Any:
    for argument in (*args.positional, args.keywords.get("dtype")):
        dtype = dtype_of(argument)
        if dtype:
            return with_dtype(operand, dtype)
    unknown = [x for x in (*args.positional, *args.keywords.values()) if may_be_dtype(x)]
    if unknown and isinstance(operand, v.Tensor):
        return operand._replace(dtype=tensor(unknown[0]).dtype)
    return operand


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
        dim=base.dim if same or base.dim == -1 or per_row(base) else None,
        rank=rank,
        rows=rows,
        outputs=base.outputs if same else None,
        keepdim=base.keepdim or per_row(base),
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
        keepdim=use.operand.keepdim or per_row(use.operand),
        dim=use.operand.dim if per_row(use.operand) else None,
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
            keepdim=value.keepdim or per_row(value), rank=None, rows=value.rows, outputs=None
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


def _backward(run: Run, use: Use) -> Any:
    library.backward(run, use.operand, use.node)
    return v.NONE


def _negate(run: Run, use: Use) -> Any:
    return negate(run, use.node, use.operand)


def _divide(run: Run, use: Use) -> Any:
    return divide(run, use.node, use.operand, use.args.get(0, "other", "x2"))


def _multiply(run: Run, use: Use) -> Any:
    return times(run, use.node, use.operand, use.args.get(0, "other", "x2"))


def _add(run: Run, use: Use) -> Any:
    return plus(run, use.node, use.operand, use.args.get(0, "other", "x2"))


def _subtract(run: Run, use: Use) -> Any:
    return minus(run, use.node, use.operand, use.args.get(0, "other", "x2"))


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
    "sum": total,
    "mean": mean,
    "max": largest,
    "min": smallest,
    "argmax": argmax,
    "topk": topk,
    "round": rounding,
    "exp": exp,
    "log": log,
    "log1p": log1p,
    "logsumexp": logsumexp,
    "negate": _negate,
    "divide": _divide,
    "multiply": _multiply,
    "add": _add,
    "subtract": _subtract,
    "product": _product,
    "one_hot": one_hot,
    "scatter": scatter,
    "plain": _plain,
    "backward": _backward,
    "literal": literal_of,
    "drawn": drawn,
    "drawn_int": drawn_int,
    "arange": arange,
    "filled": filled,
    "like": like,
    "eye": eye,
    "joined": joined,
    "where": _where,
}
