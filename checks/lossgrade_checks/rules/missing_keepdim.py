"""LG303: the row sum of a handwritten softmax cannot broadcast over its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lossgrade_checks import words
from lossgrade_checks.fixes import unsafe
from lossgrade_checks.reduction_fixes import keeping
from lossgrade_checks.rule import Example, Report, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lossgrade_checks.finding import Fix
    from lossgrade_checks.fixes import Patch
    from lossgrade_checks.meaning import values as v
    from lossgrade_checks.meaning.events import Difference, Event, Quotient

TORCH = """\
import torch


def softmax(z):
    exponentials = torch.exp(z - torch.amax(z, dim=1, keepdim=True))
    return exponentials / {}


probabilities = softmax(torch.tensor([[1.0, 2.0], [3.0, 5.0]]))
"""
NUMPY = """\
import numpy as np


def softmax(z):
    shifted = z - np.max(z, {})
    exponentials = np.exp(shifted)
    total = np.sum(exponentials, {})
    return exponentials / total


probabilities = softmax(np.array([[1.0, 2.0], [3.0, 5.0]]))
"""
ROW, KEPT = "axis=1", "axis=1, keepdims=True"
LAYER = """\
import torch
from torch import nn


class Softmax(nn.Module):
    def forward(self, z):
        z = z - z.max(dim=1, keepdim=True)[0]
        exponentials = z.exp()
        exponentials /= exponentials.sum({})
        return exponentials


probabilities = Softmax()(torch.tensor([[1.0, 2.0], [3.0, 5.0]]))
"""


class MissingKeepdim(Rule):
    """Keep the axis of a row sum that the rows are divided by: `keepdim=True`.

    The sums of N rows over `dim=1` have the shape (N,). Against a matrix (N, C) they line up with
    its columns: each number is divided by the sum of another row. For C other than N this raises
    an error; for a square batch it passes, and the rows of softmax([[1, 2], [3, 5]]) sum to 0.313
    and 2.868. With the axis kept, the sums are a column (N, 1), one for each row. The same holds
    for the row maximum that is subtracted before.

    Source: https://d2l.ai/chapter_linear-classification/softmax-regression-scratch.html
    """

    code = "LG303"
    name = "missing-keepdim"
    severity = "error"
    fix = "unsafe"
    needs = (words.EXP, frozenset({"sum", "nansum", "max", "amax", "nanmax"}))
    examples = (
        Example(
            bad=TORCH.format("exponentials.sum(dim=1)"),
            good=TORCH.format("exponentials.sum(dim=1, keepdim=True)"),
        ),
        Example(
            bad=TORCH.format("torch.sum(exponentials, 1)"),
            good=TORCH.format("torch.sum(exponentials, 1, keepdim=True)"),
        ),
        Example(
            bad=TORCH.format("torch.sum(exponentials, dim=1, keepdim=False)"),
            good=TORCH.format("torch.sum(exponentials, dim=1, keepdim=True)"),
        ),
        Example(bad=NUMPY.format(KEPT, ROW), good=NUMPY.format(KEPT, KEPT)),
        # The maximum of each row, likewise.
        Example(bad=NUMPY.format(ROW, KEPT), good=NUMPY.format(KEPT, KEPT)),
        Example(bad=LAYER.format("1"), good=LAYER.format("1, keepdim=True")),
        Example(
            bad="""\
import numpy as np

z = np.array([[1.0, 2.0], [3.0, 5.0]])
z -= z.max(axis=-1, keepdims=True)
probabilities = np.exp(z) / np.exp(z).sum(axis=-1)
""",
            good="""\
import numpy as np

z = np.array([[1.0, 2.0], [3.0, 5.0]])
z -= z.max(axis=-1, keepdims=True)
probabilities = np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True)
""",
        ),
    )
    near_misses = (
        TORCH.format("exponentials.sum(dim=1, keepdim=True)"),
        TORCH.format("exponentials.sum(dim=1)[:, None]"),
        TORCH.format("exponentials.sum(1).unsqueeze(1)"),
        TORCH.format("exponentials.sum(1).view(-1, 1).expand_as(exponentials)"),
        NUMPY.format(KEPT, KEPT).replace("/ total", "/ total.reshape(-1, 1)"),
        NUMPY.format(KEPT, ROW).replace("/ total", "/ np.expand_dims(total, 1)"),
        NUMPY.format(KEPT, ROW).replace("/ total", "/ total[:, np.newaxis]"),
        # Transposed, so that the rows are columns.
        NUMPY.format(KEPT, ROW).replace("exponentials / total", "(exponentials.T / total).T"),
        # The sums over axis 0 line up with the columns that they are of.
        NUMPY.format("axis=0", "axis=0"),
        # `z` may be one vector, whose only axis is the last one.
        NUMPY.format("axis=-1", "axis=-1").replace("[[1.0, 2.0], [3.0, 5.0]]", "[1.0, 2.0]"),
        # How far each value lies below the best of its row is no softmax.
        """\
def regret(values):
    return values - values.max(axis=1).reshape(-1, 1)
""",
    )

    def quotient(self, made: Quotient) -> Iterable[Report]:
        # Of a part of them, or transposed, they may line up.
        if not made.exponentials.note and _loses_axis(made.total, made.exponentials.rank):
            yield _report(made, "sum", "divided by", made.total, made.exponentials.numpy)

    def difference(self, made: Difference) -> Iterable[Report]:
        maximum, rank = made.maximum, getattr(made.operand, "rank", None)
        straight = not getattr(made.operand, "note", getattr(made.operand, "base", None))
        if made.exponentiated and straight and _loses_axis(maximum, rank):
            yield _report(made, "maximum", "shifted by", maximum, maximum.numpy)


def _loses_axis(reduction: v.Tensor, rank: int | None) -> bool:
    """Whether a reduction is over an axis after the first, and the axis is gone."""
    dim = reduction.dim
    if not isinstance(dim, int) or reduction.keepdim or reduction.note == "moved":
        return False
    # The last axis of what may be a vector is its first.
    return dim >= 1 or (dim < 0 and rank is not None and rank + dim >= 1)


def _report(event: Event, what: str, how: str, reduction: v.Tensor, numpy: bool) -> Report:
    message = (
        f"the {what} over axis {reduction.dim} loses that axis, so rows are {how} the {what} of "
        "other rows: keep it with `keepdim=True` (`keepdims=True` in NumPy)"
    )
    related: Any = ()
    if reduction.origin is not None:
        related = ((f"the {what} is taken here", reduction.origin),)
    return Report(event, message, related, lambda p: _fix(p, reduction, numpy), local=True)


def _fix(patch: Patch, reduction: v.Tensor, numpy: bool) -> Fix | None:
    edits = keeping(patch, reduction.origin, numpy=numpy)
    return None if edits is None else unsafe("Keep the axis", *edits)
