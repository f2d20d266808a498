"""LG202: the targets of a loss have a type that it does not take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lossgrade_checks import words
from lossgrade_checks.evidence import swapped
from lossgrade_checks.fixes import unsafe
from lossgrade_checks.meaning import tables
from lossgrade_checks.meaning import values as v
from lossgrade_checks.rule import Example, Report, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lossgrade_checks.finding import Fix
    from lossgrade_checks.fixes import Patch
    from lossgrade_checks.meaning.events import LossCall

CLASSES = """\
import torch
import torch.nn.functional as F

logits = torch.randn(4, 3)
y = torch.tensor([0, 1, 2, 2])
loss = F.cross_entropy(logits, {})
"""
BINARY = """\
import torch
from torch import nn

model = nn.Sequential(nn.Linear(20, 1), nn.Flatten(0){0})
criterion = nn.{1}()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(5):
    x, y = torch.randn(8, 20), {2}
    loss = criterion(model(x), {3})
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
DRAWN = "torch.randint(0, 2, (8,))"
STEP = """\
import torch
import torch.nn.functional as F


class Trainer:
    def __init__(self, model):
        self.model = model

    def step(self, x, y):
        logits = self.model(x)
        y = y.{}()
        return F.{}(logits, y)
"""


class TargetDtype(Rule):
    """Give `cross_entropy` class indices as integers, a binary loss its targets as floats.

    Class indices choose a column, so they are int64: `cross_entropy` with [0., 1., 2.] raises
    "expected target dtype to be Long or Byte, but got Float", for a vector of floats can be no
    class indices and is no (N, C) matrix of class probabilities. The targets of a binary loss are
    the probabilities 0.0 and 1.0: with int64, `binary_cross_entropy` raises "Found dtype Long but
    expected Float", and the one with logits "result type Float can't be cast to ... Long".

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html
    """

    code = "LG202"
    name = "target-dtype"
    severity = "error"
    fix = "unsafe"
    needs = (
        words.CROSS_ENTROPY | words.NLL | words.BCE | words.BINARY_LOGITS,
        # Whatever gives a tensor a type; any literal does.
        frozenset(tables.CREATION)
        | frozenset(tables.DTYPES)
        | {"type", "astype", "one_hot", "argmax"},
    )
    examples = (
        Example(bad=CLASSES.format("y.float()"), good=CLASSES.format("y.long()")),
        Example(
            bad=CLASSES.format("y.to(torch.float32)"),
            good=CLASSES.format("y.to(torch.float32).long()"),
        ),
        Example(
            bad="""\
import numpy as np
import torch
import torch.nn as nn

labels = torch.FloatTensor([0, 1, 2, 2])
loss = nn.CrossEntropyLoss()(torch.randn(4, 3), labels)
""",
            good="""\
import numpy as np
import torch
import torch.nn as nn

labels = torch.FloatTensor([0, 1, 2, 2])
loss = nn.CrossEntropyLoss()(torch.randn(4, 3), labels.long())
""",
        ),
        Example(
            bad=BINARY.format(", nn.Sigmoid()", "BCELoss", DRAWN, "y"),
            good=BINARY.format(", nn.Sigmoid()", "BCELoss", DRAWN, "y.float()"),
        ),
        Example(
            bad=BINARY.format("", "BCEWithLogitsLoss", DRAWN, "y.long()"),
            good=BINARY.format("", "BCEWithLogitsLoss", DRAWN, "y.float()"),
        ),
        Example(
            bad=STEP.format("long", "binary_cross_entropy_with_logits"),
            good=STEP.format("long", "binary_cross_entropy_with_logits").replace(
                "(logits, y)", "(logits, y.float())"
            ),
        ),
        Example(
            bad="""\
import torch
import torch.nn.functional as F


def loss_of(logits, labels):
    return F.binary_cross_entropy_with_logits(logits, F.one_hot(labels, 3))
""",
            good="""\
import torch
import torch.nn.functional as F


def loss_of(logits, labels):
    return F.binary_cross_entropy_with_logits(logits, F.one_hot(labels, 3).float())
""",
        ),
    )
    near_misses = (
        CLASSES.format("y"),
        CLASSES.format("y.float().long()"),
        # Class probabilities are floats.
        CLASSES.format("F.one_hot(y, 3).float()"),
        CLASSES.format("torch.softmax(torch.randn(4, 3), dim=1)"),
        BINARY.format("", "BCEWithLogitsLoss", DRAWN, "y.float()"),
        BINARY.format("", "BCEWithLogitsLoss", "torch.randint(0, 2, (8,), dtype=torch.float)", "y"),
        BINARY.format(", nn.Sigmoid()", "BCELoss", "torch.tensor([0.0, 1.0] * 4)", "y"),
        # Soft labels may be floats already.
        STEP.format("float", "cross_entropy"),
        STEP.format("long", "cross_entropy"),
        STEP.format("float", "binary_cross_entropy_with_logits"),
    )

    def loss(self, call: LossCall) -> Iterable[Report]:
        found, name = call.target, call.loss.name
        if not isinstance(found, v.Tensor) or found.numpy or swapped(call):
            return
        if name in {"cross_entropy", "nll_loss"} and _are_float_indices(found, name):
            message = (
                f"`{name}` expects class indices as integers, not floats: cast them with `.long()`"
            )
            yield Report(call, message, fix=lambda patch: _fix(patch, call, "long"))
        if name in BINARY_LOSSES and found.dtype in {"int", "bool"}:
            kind = "integers" if found.dtype == "int" else "booleans"
            message = f"`{name}` expects targets as floats, not {kind}: cast them with `.float()`"
            yield Report(call, message, fix=lambda patch: _fix(patch, call, "float"))


BINARY_LOSSES = {"binary_cross_entropy", "binary_cross_entropy_with_logits"}


def _are_float_indices(found: v.Tensor, name: str) -> bool:
    # One-hot vectors have a rule of their own.
    if found.dtype != "float" or found.meaning == v.ONE_HOT:
        return False
    return name == "nll_loss" or found.meaning == v.CLASS_INDICES


def _fix(patch: Patch, call: LossCall, cast: str) -> Fix | None:
    import libcst as cst

    loss = patch.call(call.node)
    target = None if loss is None else patch.argument(loss, 1, "target")
    if target is None:
        return None
    value = target.value
    # `y.long()` is called otherwise; anything else is cast once more.
    if (
        isinstance(value, cst.Call)
        and isinstance(value.func, cst.Attribute)
        and value.func.attr.value in {"float", "double", "long", "int", "bool"}
        and not value.args
    ):
        return unsafe("Cast the targets", patch.rename(value, cast))
    return unsafe("Cast the targets", patch.replace(value, f"{patch.atom(value)}.{cast}()"))
