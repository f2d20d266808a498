"""LG302: a softmax runs over the examples of a batch, not over their classes."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from lossgrade_checks import words
from lossgrade_checks.fixes import unsafe
from lossgrade_checks.meaning import program as p
from lossgrade_checks.meaning import values as v
from lossgrade_checks.reduction_fixes import along_rows, axis_argument
from lossgrade_checks.rule import Example, Report, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lossgrade_checks.finding import Edit, Fix
    from lossgrade_checks.fixes import Patch
    from lossgrade_checks.meaning.events import Activation, Event, Pick, Quotient

NET = """\
import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(784, 10)

    def forward(self, images):
        return {}


probabilities = Net()(torch.randn(4, 1, 28, 28))
"""
NUMPY = """\
import numpy as np


def softmax(z):
    exponentials = np.exp(z - z.max({0}))
    return exponentials / exponentials.sum({0})


def predict(logits):
    return softmax(logits).argmax(axis=1)


predictions = predict(np.array([[2.0, 1.0, 0.1], [0.3, 0.2, 4.0], [9.0, 8.0, 9.5]]))
"""


class SoftmaxWrongDim(Rule):
    """Run a softmax over the classes, `dim=1` of a batch of rows; never over the batch.

    With `dim=0` the numbers of a column sum to 1, one class over all examples. What an example
    gets then depends on which others share its batch: of two equal rows [2.0, 1.0, 0.1] each
    class of both gets exactly 0.5, where the row alone has 0.659, 0.242 and 0.099. The sums over
    the batch are all 1, so a glance at `sum()` shows nothing wrong.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Softmax.html
    """

    code = "LG302"
    name = "softmax-wrong-dim"
    severity = "error"
    fix = "unsafe"
    needs = (words.SOFTMAX | words.EXP,)
    examples = (
        Example(
            bad=NET.format("F.softmax(self.fc(self.flatten(images)), dim=0)"),
            good=NET.format("F.softmax(self.fc(self.flatten(images)), dim=1)"),
        ),
        Example(
            bad=NET.format("self.fc(images.view(-1, 784)).log_softmax(0)"),
            good=NET.format("self.fc(images.view(-1, 784)).log_softmax(1)"),
        ),
        Example(
            bad="""\
import torch
from torch import nn

net = nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10), nn.Softmax(0))
probabilities = net(torch.randn(4, 1, 28, 28))
""",
            good="""\
import torch
from torch import nn

net = nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10), nn.Softmax(1))
probabilities = net(torch.randn(4, 1, 28, 28))
""",
        ),
        Example(
            bad="""\
import torch

logits = torch.tensor([[2.0, 1.0, 0.1], [2.0, 1.0, 0.1]])
probabilities = torch.softmax(logits, dim=0)
""",
            good="""\
import torch

logits = torch.tensor([[2.0, 1.0, 0.1], [2.0, 1.0, 0.1]])
probabilities = torch.softmax(logits, dim=1)
""",
        ),
        Example(
            bad="""\
import torch
from torch import nn

fc = nn.Linear(20, 3)
exponentials = torch.exp(fc(torch.randn(8, 20)).clamp(-30, 30))
probabilities = exponentials / exponentials.sum(dim=0)
""",
            good="""\
import torch
from torch import nn

fc = nn.Linear(20, 3)
exponentials = torch.exp(fc(torch.randn(8, 20)).clamp(-30, 30))
probabilities = exponentials / exponentials.sum(dim=1, keepdim=True)
""",
        ),
        # Each row is asked for its largest class: rows are examples.
        Example(bad=NUMPY.format("axis=0"), good=NUMPY.format("axis=1, keepdims=True")),
        Example(
            bad="""\
from helper import probabilities_of
import torch
from torch import nn

probabilities = probabilities_of(nn.Linear(20, 3)(torch.randn(8, 20)))
""",
            files=(
                (
                    "helper.py",
                    """\
import torch


def probabilities_of(logits):
    return torch.softmax(logits, dim=0)
""",
                ),
            ),
        ),
    )
    near_misses = (
        # One example: its only axis is that of the classes.
        """\
import torch

logits = torch.tensor([2.0, 1.0, 0.1])
probabilities = torch.softmax(logits, dim=0)
""",
        # Examples in columns, as some courses have them.
        """\
import numpy as np

W, X = np.random.randn(10, 784), np.random.randn(784, 32)
Z = np.dot(W, X)
Z = Z - np.max(Z, axis=0)
A = np.exp(Z) / np.sum(np.exp(Z), axis=0)
""",
        """\
import torch
from torch import nn

columns = nn.Linear(20, 3)(torch.randn(8, 20)).t()
probabilities = torch.softmax(columns, dim=0)
""",
        # Both axes, to show the difference.
        """\
import torch

logits = torch.tensor([[2.0, 1.0, 0.1], [0.5, 2.0, 0.3]])
print(torch.softmax(logits, dim=0))
print(torch.softmax(logits, dim=1))
""",
        # Attention over the instances of a bag: each has one score.
        """\
import torch
from torch import nn

score = nn.Linear(64, 1)
instances = torch.randn(12, 64)
weights = torch.softmax(score(instances), dim=0)
bag = (weights * instances).sum(dim=0)
""",
        # Slots share out the tokens, and tokens the slots.
        """\
import torch
from torch import nn

slots = nn.Linear(64, 8)
logits = slots(torch.randn(12, 64))
dispatch, combine = logits.softmax(dim=0), logits.softmax(dim=1)
""",
        # Attention: any item of it may be looked at.
        """\
import torch


def show(scores):
    attention = torch.softmax(scores, dim=0)
    for i in range(len(scores)):
        for j in range(len(scores)):
            print(attention[i, j])
""",
        # Nothing is known of the axes.
        """\
import numpy as np


def softmax(x):
    exponentials = np.exp(x - np.max(x, axis=0))
    return exponentials / np.sum(exponentials, axis=0)


print(softmax(np.array([[1, 2, 3, 6], [2, 4, 5, 6], [3, 8, 7, 6]])))
""",
    )

    def __init__(self) -> None:
        self._found: dict[v.Site, tuple[Any, Report]] = {}
        # What a softmax runs over another axis of: whoever does both, means both.
        self._other_axes: list[Any] = []
        self._quotients: dict[v.Site, Quotient] = {}

    def activation(self, call: Activation) -> Iterable[Report]:
        node = call.operand_node
        named = isinstance(node, p.Name) and "logit" in node.id.lower()
        if call.dim == 0 and _is_batch(call.operand, named):
            self._note(call, call.operand, lambda patch: _fix_activation(patch, call))
        elif isinstance(call.dim, int) and call.dim != 0:
            self._other_axes.append(call.operand)
        return ()

    def quotient(self, made: Quotient) -> Iterable[Report]:
        operand = _operand(made.exponentials)
        self._quotients[made.site] = made
        straight = not made.exponentials.note
        if made.total.dim == 0 and straight and _is_batch(operand, named=False):
            self._note(made, operand, lambda patch: _fix_quotient(patch, made))
        elif isinstance(made.total.dim, int) and made.total.dim != 0:
            self._other_axes.append(operand)
        return ()

    def pick(self, made: Pick) -> Iterable[Report]:
        values = made.values
        if (
            values.meaning in {v.PROBABILITIES, v.LOG_PROBABILITIES}
            and values.dim == 0
            and values.origin is not None
            and values.rank in (None, 2)
        ):
            event = dataclasses.replace(made, site=values.origin, calls=())
            related = (("here each row is an example", made.site),)
            activation, quotient = values.activation, self._quotients.get(values.origin)
            if activation is not None:
                self._note(
                    event, values.of, lambda patch: _fix_activation(patch, activation), related
                )
            elif quotient is not None:
                operand = _operand(quotient.exponentials)
                self._note(event, operand, lambda patch: _fix_quotient(patch, quotient), related)
        return ()

    def finish(self) -> Iterable[Report]:
        for operand, report in self._found.values():
            if not any(operand is other for other in self._other_axes):
                yield report

    def _note(self, event: Event, operand: Any, fix: Any, related: Any = ()) -> None:
        message = (
            "the softmax runs over the batch, axis 0, so that each column sums to 1: "
            "run it over the classes, `dim=1`"
        )
        self._found.setdefault(event.site, (operand, Report(event, message, related, fix)))


def _operand(exponentials: v.Tensor) -> Any:
    """Return what the exponentials are of, before it was shifted by its maximum."""
    operand = exponentials.of
    return operand.event.operand if _shift(exponentials) is not None else operand


def _shift(exponentials: v.Tensor) -> v.Tensor | None:
    """Return the maximum that was subtracted before, or None."""
    shifted = exponentials.of
    is_shifted = isinstance(shifted, v.Tensor) and shifted.meaning == v.SHIFTED
    return shifted.event.maximum if is_shifted else None


def _is_batch(operand: Any, named: bool) -> bool:
    """Whether axis 0 of `operand` surely runs over examples, and axis 1 over several classes.

    A layer makes a row of logits for each row that it gets. A matrix that is written down or drawn
    may hold its examples in columns: it is one of rows only where it is `named` logits.
    """
    if not isinstance(operand, v.Tensor) or operand.rank != 2 or not operand.rows:
        return False
    if operand.meaning == v.LOGITS:
        return operand.outputs != 1
    return operand.meaning == v.PLAIN and not operand.numpy and (named or operand.learned)


def _fix_activation(patch: Patch, activation: Activation) -> Fix | None:
    layer = activation.layer
    call = patch.call(activation.site if layer is None else layer.site)
    if call is None:
        return None
    method = activation.style in {"method", "layer"}
    axis = axis_argument(patch, call, method=method)
    return None if axis is None else unsafe(MENDED, patch.replace(axis.value, "1"))


def _fix_quotient(patch: Patch, made: Quotient) -> Fix | None:
    reductions = [made.total]
    shift = _shift(made.exponentials)
    if shift is not None and shift.dim == 0:
        reductions.append(shift)
    edits: list[Edit] = []
    for reduction in reductions:
        found = along_rows(patch, reduction.origin, numpy=made.exponentials.numpy)
        if found is None:
            return None
        edits += found
    return unsafe(MENDED, *edits)


MENDED = "Run it over the classes"
