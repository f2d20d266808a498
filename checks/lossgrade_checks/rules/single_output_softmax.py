"""LG304: a softmax over one output, which is always 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lossgrade_checks import words
from lossgrade_checks.fixes import unsafe
from lossgrade_checks.meaning import values as v
from lossgrade_checks.rule import Example, Report, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lossgrade_checks.finding import Fix
    from lossgrade_checks.fixes import Patch
    from lossgrade_checks.meaning.events import Activation, LossCall

NET = """\
import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(20, 64)
        self.fc2 = nn.Linear(64, 1)

    def forward(self, x):
        x = torch.relu(self.fc1(x))
        return {}


probabilities = Net()(torch.randn(8, 20))
"""
TRAIN = """\
import torch
from torch import nn

model = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 1))
criterion = nn.{}()


def step(x, y):
    loss = criterion(model(x), {})
    loss.backward()
    return loss


loss = step(torch.randn(8, 20), torch.zeros(8, dtype=torch.long))
"""
FUNCTION = """\
import torch
from torch.nn.functional import {0}

head = torch.nn.Linear(20, 1)


def loss_of(features, targets):
    return {0}(head(features), targets{1})
"""


class SingleOutputSoftmax(Rule):
    """Give one output a sigmoid; the softmax of one number is 1, whatever it is.

    Softmax makes the outputs of an example sum to 1, and one output alone is that sum: 1.0 for
    every example, with a gradient of exactly 0. Cross entropy over one output is -log 1 = 0, its
    gradient 0, and nothing is ever learned; a target of 1 is out of bounds. For two classes take
    one output with a sigmoid (`binary_cross_entropy_with_logits` on the logits), or two outputs
    with a softmax.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html
    """

    code = "LG304"
    name = "single-output-softmax"
    severity = "error"
    fix = "unsafe"
    needs = (words.SOFTMAX | words.CROSS_ENTROPY | words.NLL | {"Softmax2d"}, words.OUTPUT_LAYERS)
    examples = (
        Example(
            bad=NET.format("F.softmax(self.fc2(x), dim=1)"),
            good=NET.format("F.sigmoid(self.fc2(x))"),
        ),
        Example(
            bad=NET.format("torch.softmax(self.fc2(x), -1)"),
            good=NET.format("torch.sigmoid(self.fc2(x))"),
        ),
        Example(
            bad=NET.format("self.fc2(x).softmax(dim=-1)"),
            good=NET.format("self.fc2(x).sigmoid()"),
        ),
        Example(
            bad="""\
import torch
import torch.nn as nn

net = nn.Sequential(
    nn.Linear(20, 1),
    nn.Softmax(dim=-1),
)
probabilities = net(torch.randn(8, 20))
""",
            good="""\
import torch
import torch.nn as nn

net = nn.Sequential(
    nn.Linear(20, 1),
    nn.Sigmoid(),
)
probabilities = net(torch.randn(8, 20))
""",
        ),
        Example(
            bad="""\
import torch
import torch.nn as nn


class Segmenter(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Conv2d(16, out_channels=1, kernel_size=1)
        self.activation = nn.Softmax(dim=1)

    def forward(self, features):
        return self.activation(self.head(features))


mask = Segmenter()(torch.randn(2, 16, 8, 8))
""",
            good="""\
import torch
import torch.nn as nn


class Segmenter(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Conv2d(16, out_channels=1, kernel_size=1)
        self.activation = nn.Sigmoid()

    def forward(self, features):
        return self.activation(self.head(features))


mask = Segmenter()(torch.randn(2, 16, 8, 8))
""",
        ),
        Example(
            bad=TRAIN.format("CrossEntropyLoss", "y"),
            good=TRAIN.format("BCEWithLogitsLoss", "y.unsqueeze(1).float()"),
        ),
        Example(
            bad=FUNCTION.format("cross_entropy", "[:, 0]"),
            good=FUNCTION.format("binary_cross_entropy_with_logits", "[:, 0].unsqueeze(1).float()"),
        ),
    )
    near_misses = (
        NET.format("torch.sigmoid(self.fc2(x))"),
        NET.replace("nn.Linear(64, 1)", "nn.Linear(64, 2)").format("F.softmax(self.fc2(x), dim=1)"),
        TRAIN.format("BCEWithLogitsLoss", "y.float().unsqueeze(1)"),
        # Attention pooling: one score for each step, a softmax over the steps.
        """\
import torch
import torch.nn.functional as F
from torch import nn


class Pooling(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.score = nn.Linear(width, 1)

    def forward(self, states):
        weights = F.softmax(self.score(states), dim=1)
        return (weights * states).sum(dim=1)
""",
        """\
import torch
from torch import nn

score = nn.Linear(64, 1)


def pool(states):
    weights = torch.softmax(score(states).squeeze(-1), dim=-1)
    return torch.einsum("bt,btd->bd", weights, states)
""",
        # One score for each candidate: the classes are the candidates.
        """\
import torch
import torch.nn.functional as F
from torch import nn

score = nn.Linear(64, 1)


def loss_of(candidates, chosen):
    return F.cross_entropy(score(candidates).squeeze(-1), chosen)
""",
        # A map of attention over the pixels of one channel.
        """\
import torch
from torch import nn

head = nn.Conv2d(16, 1, kernel_size=1)


def attention(features):
    return torch.softmax(head(features).flatten(2), dim=-1)
""",
        # How many outputs there are is not known.
        """\
import torch
from torch import nn


class Head(nn.Module):
    def __init__(self, width, classes=1):
        super().__init__()
        self.fc = nn.Linear(width, classes)

    def forward(self, x):
        return torch.softmax(self.fc(x), dim=-1)
""",
    )

    def activation(self, call: Activation) -> Iterable[Report]:
        found = call.operand
        if (
            isinstance(found, v.Tensor)
            and found.outputs == 1
            and isinstance(call.dim, int)
            and _runs_over_outputs(found, call.dim)
        ):
            value = {"log_softmax": "0"}.get(call.kind, "1")
            message = (
                f"`{call.kind}` over one output is always {value}: apply a sigmoid, "
                "or make two outputs"
            )
            yield Report(call, message, fix=lambda patch: _fix_activation(patch, call))

    def loss(self, call: LossCall) -> Iterable[Report]:
        found = call.input
        if (
            call.loss.name == "cross_entropy"
            and isinstance(found, v.Tensor)
            and found.meaning == v.LOGITS
            and found.outputs == 1
            # Of (batch, candidates, 1) the classes may be the candidates.
            and (found.outputs_axis == 1 or found.rank in (None, 2))
        ):
            message = (
                "`cross_entropy` over one output is always 0: use "
                "`binary_cross_entropy_with_logits`, or make two outputs"
            )
            unsure = found.outputs_axis == -1 and found.rank is None
            yield Report(call, message, fix=lambda patch: _fix_loss(patch, call), likely=unsure)


def _runs_over_outputs(found: v.Tensor, dim: int) -> bool:
    axis, rank = found.outputs_axis, found.rank
    if (axis < 0) is (dim < 0):
        return axis == dim
    return rank is not None and axis % rank == dim % rank


def _fix_activation(patch: Patch, activation: Activation) -> Fix | None:
    layer = activation.layer
    call = patch.call(activation.site if layer is None else layer.site)
    if call is None or activation.kind != "softmax" or any(arg.star for arg in call.args):
        return None
    if layer is not None:
        names = patch.call_instead(call, layer.path.rpartition(".")[2], "Sigmoid")
    else:
        names = patch.call_instead(call, "softmax", "sigmoid")
    if names is None:
        return None
    content = ""
    if activation.style == "function":
        operand = patch.argument(call, 0, "input")
        if operand is None:
            return None
        content = patch.source(operand.value)
    return unsafe("Apply a sigmoid", *names, patch.arguments(call, content))


def _fix_loss(patch: Patch, call: LossCall) -> Fix | None:
    if call.options.keys() - {"input", "target", "reduction"}:
        return None
    old, new = "cross_entropy", "binary_cross_entropy_with_logits"
    node: Any = call.node
    if call.layer is not None:
        old, new, node = "CrossEntropyLoss", "BCEWithLogitsLoss", call.layer.site
    made, used = patch.call(node), patch.call(call.node)
    target = None if used is None else patch.argument(used, 1, "target")
    edits = None if made is None else patch.call_instead(made, old, new)
    if edits is None or target is None:
        return None
    # Class indices (N,) become what the logits (N, 1) are compared with.
    targets = patch.atom(target.value) + ".unsqueeze(1).float()"
    cast = patch.replace(target.value, targets)
    return unsafe("Use the binary cross entropy of logits", *edits, cast)
