"""LG301: a softmax is not told its axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lossgrade_checks import words
from lossgrade_checks.meaning import tables
from lossgrade_checks.meaning import values as v
from lossgrade_checks.rule import Example, Report, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lossgrade_checks.meaning.events import Activation, Construction


class SoftmaxMissingDim(Rule):
    """Tell a softmax its axis: `dim=1` for a batch of rows, `dim=-1` for the last axis.

    `F.softmax` and `nn.Softmax` without `dim` guess the axis, with a warning that a notebook soon
    hides: axis 0 where there are 0, 1 or 3 axes, else axis 1. The logits of a batch of sequences
    have three axes, (batch, time, classes): of a batch of 3 equal rows each class then gets 1/3,
    and what sums to 1 is the batch. `torch.softmax(x)` and `x.softmax()` raise a TypeError.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.softmax.html
    """

    code = "LG301"
    name = "softmax-missing-dim"
    severity = "warning"
    # The right axis is known to the author alone: 1, -1 and 0 all occur.
    fix = "none"
    needs = (words.SOFTMAX,)
    examples = (
        Example(
            bad="""\
import torch
import torch.nn.functional as F

logits = torch.randn(3, 5, 7)
probabilities = F.softmax(logits)
"""
        ),
        Example(
            bad="""\
import torch
from torch.nn.functional import log_softmax as lsm


def predict(model, x):
    return lsm(model(x))


log_probabilities = predict(torch.nn.Flatten(), torch.randn(2, 3))
"""
        ),
        Example(
            bad="""\
import torch
from torch import nn


class Tagger(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.fc = nn.Linear(16, classes)
        self.softmax = nn.Softmax()

    def forward(self, words):
        return self.softmax(self.fc(words))


probabilities = Tagger(5)(torch.randn(4, 9, 16))
"""
        ),
        Example(
            bad="""\
import torch.nn as nn

net = nn.Sequential(
    nn.Linear(784, 10),
    nn.LogSoftmax(dim=None),
)
"""
        ),
        Example(
            bad="""\
import torch

logits = torch.randn(4, 3)
nearest = torch.nn.functional.softmin(logits)
"""
        ),
        Example(
            bad="""\
import torch


def probabilities():
    logits = torch.tensor([[2.0, 1.0, 0.1], [0.5, 2.0, 0.3]])
    return torch.softmax(logits, dtype=torch.float64)
"""
        ),
    )
    near_misses = (
        """\
import torch
import torch.nn as nn
import torch.nn.functional as F

logits = torch.randn(3, 5)
a = F.softmax(logits, 1)
b = F.log_softmax(input=logits, dim=-1)
c = logits.softmax(1)
d = nn.Softmax(1)(logits)
e = nn.Softmin(dim=0)(logits[0])
""",
        # It runs over the channels of an image: there is nothing to tell it.
        """\
import torch
import torch.nn as nn

maps = nn.Softmax2d()(torch.randn(2, 3, 4, 4))
""",
        # SciPy's runs over all axes, as documented.
        """\
import numpy as np
from scipy.special import softmax

probabilities = softmax(np.array([2.0, 1.0, 0.1]))
""",
        """\
import torch.nn as nn
import torch.nn.functional as F


def probabilities(logits, options):
    return F.softmax(logits, **options), nn.Softmax(**options)(logits)
""",
        # A softmax of one's own.
        """\
import torch


def softmax(z):
    shifted = z - z.max(dim=1, keepdim=True).values
    exponentials = torch.exp(shifted)
    return exponentials / exponentials.sum(dim=1, keepdim=True)


probabilities = softmax(torch.randn(3, 5))
""",
        # It is never called.
        """\
import torch.nn as nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(784, 10)
        self.softmax = nn.Softmax()

    def forward(self, x):
        return self.fc(x)
""",
        # Nobody knows whether `policy` is a tensor.
        """\
def act(policy, state):
    return policy(state).softmax()
""",
    )

    def __init__(self) -> None:
        self._made: list[Construction] = []

    def activation(self, call: Activation) -> Iterable[Report]:
        # A layer is reported where it is made.
        if call.dim == "missing" and call.layer is None:
            yield Report(call, _message(call.kind, call.style), local=True)

    def construction(self, made: Construction) -> Iterable[Report]:
        layer = made.layer
        kind = tables.LAYER_ACTIVATIONS.get(layer.path, "")
        has_dim = tables.ACTIVATIONS.get(kind, ("", False))[1] and not layer.path.endswith("2d")
        if has_dim and not layer.open and layer.argument(0, "dim") in (None, v.NONE):
            self._made.append(made)
        return ()

    def finish(self) -> Iterable[Report]:
        # A layer that nobody calls does no harm.
        for made in self._made:
            if made.called:
                name = made.layer.path.rpartition(".")[2]
                yield Report(made, _message(name, "layer"), local=True)


def _message(name: str, style: str) -> str:
    found = "is called" if style != "layer" else "is made"
    return (
        f"`{name}` {found} without `dim` and guesses its axis: "
        "give it the axis of the classes, such as `dim=1` or `dim=-1`"
    )
