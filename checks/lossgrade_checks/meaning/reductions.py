"""Follow sums, maxima and their indices, exponentials and logarithms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lossgrade_checks.meaning import library
from lossgrade_checks.meaning import values as v
from lossgrade_checks.meaning.events import (
    Difference,
    Logarithm,
    Pick,
)
from lossgrade_checks.meaning.tensors import Use, axis_of, number, tensor

if TYPE_CHECKING:
    from lossgrade_checks.meaning.run import Run


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


def total(run: Run, use: Use) -> Any:
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


def mean(_: Run, use: Use) -> Any:
    base = tensor(use.operand)
    if base.meaning in {v.LOSS, v.LOG}:
        return base._replace(rank=None)
    if base.meaning == "squared error":
        return base
    return v.Tensor(learned=base.learned)


def largest(run: Run, use: Use) -> Any:
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


def smallest(_: Run, use: Use) -> Any:
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


def argmax(run: Run, use: Use) -> Any:
    if isinstance(use.operand, v.Tensor) and number(use.args.get(0, "dim", "axis")) == 1:
        run.events.append(Pick(*run.context(use.node.number), use.operand))
    return _indices(run, use)


def topk(run: Run, use: Use) -> Any:
    return v.Sequence("max", (v.Unknown(), _indices(run, use)))


def rounded(value: v.Tensor) -> v.Tensor:
    """Return a tensor after rounding: what was a probability is a decision."""
    return v.Tensor(v.DECISIONS, of=value, dtype=value.dtype, learned=value.learned)


def rounding(run: Run, use: Use) -> Any:
    return rounded(tensor(use.operand))._replace(origin=run.site(use.node.number))


def exp(run: Run, use: Use) -> Any:
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


def log(run: Run, use: Use) -> Any:
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


def log1p(run: Run, use: Use) -> Any:
    base = tensor(use.operand)
    if base.meaning == "negated" and tensor(base.of).meaning == v.SIGMOID:
        # log(1 - p)
        found = v.Tensor(v.COMPLEMENT, of=base.of, origin=base.of.origin)
        context = run.context(use.node.number)
        run.events.append(Logarithm(*context, found, use.operand_node, use.node, use.path))
    return v.Tensor(v.LOG, of=v.Tensor(guarded=True), rank=tensor(use.operand).rank)


def logsumexp(_: Run, use: Use) -> Any:
    dim, keep = _dims(use)
    return v.Tensor(v.LOG_SUM_EXP, dim=dim, keepdim=keep, of=use.operand)
