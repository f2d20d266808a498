"""Follow functions that make tensors: literals, random numbers, zeros, one-hot vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lossgrade_checks.meaning import tables
from lossgrade_checks.meaning import values as v
from lossgrade_checks.meaning.tensors import Use, dtype_of, moved, number, tensor, with_dtype

if TYPE_CHECKING:
    from lossgrade_checks.meaning.run import Run
from lossgrade_checks.meaning.tensors import requiring_grad


def literal_of(run: Run, use: Use) -> Any:
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


def drawn(_: Run, use: Use) -> Any:
    if use.name in {"normal", "uniform"}:
        return v.Tensor(numpy=use.numpy)
    rank = _size(use)
    return v.Tensor(rank=rank, rows=rank == 2, dtype="float", numpy=use.numpy)


def drawn_int(_: Run, use: Use) -> Any:
    size = use.args.get(1, "size")
    if not isinstance(size, v.Sequence):
        size = use.args.get(0, "size")
    rank = len(size.items) if isinstance(size, v.Sequence) and size.items is not None else None
    dtype = dtype_of(use.args.keywords.get("dtype")) or "int"
    if use.name == "randperm":
        return v.Tensor(dtype="int", rank=1)
    meaning = v.CLASS_INDICES if rank == 1 else v.PLAIN
    return v.Tensor(meaning, dtype=dtype, rank=rank, numpy=use.numpy)


def arange(_: Run, use: Use) -> Any:
    bounds = [number(bound) for bound in (use.operand, *use.args.positional)]
    kind = "float" if any(isinstance(bound, float) for bound in bounds) else None
    default = "int" if all(isinstance(bound, int) for bound in bounds) else kind
    given = use.args.keywords.get("dtype")
    return v.Tensor(dtype=default if given is None else dtype_of(given), rank=1)


def filled(_: Run, use: Use) -> Any:
    meaning = use.name if use.name == "zeros" else v.PLAIN
    default = "float" if use.name != "full" else None
    dtype = dtype_of(use.args.keywords.get("dtype")) or default
    return v.Tensor(meaning, rank=_size(use), dtype=dtype, numpy=use.numpy)


def like(_: Run, use: Use) -> Any:
    base = tensor(use.operand)
    meaning = "zeros" if use.name == "zeros_like" else v.PLAIN
    dtype = dtype_of(use.args.keywords.get("dtype")) or base.dtype
    return v.Tensor(meaning, rank=base.rank, rows=base.rows, dtype=dtype)


def eye(_: Run, use: Use) -> Any:
    dtype = dtype_of(use.args.keywords.get("dtype")) or "float"
    return v.Tensor("eye", rank=2, dtype=dtype, numpy=use.numpy)


def one_hot(run: Run, use: Use) -> Any:
    return v.Tensor(v.ONE_HOT, origin=run.site(use.node.number), dtype="int")


def scatter(_: Run, use: Use) -> Any:
    base = tensor(use.operand)
    value = use.args.get(2, "src", "value")
    if base.meaning == "zeros" and number(value) == 1:
        return v.Tensor(v.ONE_HOT, dtype=base.dtype, rank=base.rank)
    return v.Unknown()


def joined(_: Run, use: Use) -> Any:
    joined = use.operand.element if isinstance(use.operand, v.Sequence) else None
    return moved(joined) if isinstance(joined, v.Tensor) else v.Unknown()
