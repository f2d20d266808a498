"""Follow operators: sums, products, quotients and differences of tensors, and comparisons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lossgrade_checks.meaning import program as p
from lossgrade_checks.meaning import values as v
from lossgrade_checks.meaning.events import (
    Difference,
    Logarithm,
    NegativeLog,
    Quotient,
)
from lossgrade_checks.meaning.tensors import number, same, tensor

if TYPE_CHECKING:
    from collections.abc import Callable

    from lossgrade_checks.meaning.run import Run

# A number up to this that is added to probabilities is there to guard a logarithm.
SMALL = 1e-2


KEEPS_UNDER_SCALING = frozenset(
    {v.LOGITS, v.LOG_PROBABILITIES, v.LOG, v.LOSS, v.ONE_HOT, "squared error"}
)


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


def _losses(left: Any, right: Any) -> v.Tensor | None:
    """Return the loss that a sum, product or quotient with a loss in it is."""
    found = [x for x in (left, right) if isinstance(x, v.Tensor) and x.meaning == v.LOSS]
    if not found:
        return None
    together = v.together(*[x.losses for x in found])
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


def plus(run: Run, node: Any, left: Any, right: Any) -> Any:
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


def minus(run: Run, node: Any, left: Any, right: Any) -> Any:
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


def times(run: Run, node: Any, left: Any, right: Any) -> Any:
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
    "+": plus,
    "-": minus,
    "*": times,
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
