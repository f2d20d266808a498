"""LG401: the logarithm of a softmax is taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lossgrade_checks import words
from lossgrade_checks.finding import Edit
from lossgrade_checks.fixes import safe, says_more
from lossgrade_checks.meaning import values as v
from lossgrade_checks.rule import Example, Report, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lossgrade_checks.finding import Fix
    from lossgrade_checks.fixes import Patch
    from lossgrade_checks.meaning.events import Logarithm

LOGARITHMS = words.LOG | {"log2", "log10"}
FUNCTION = """\
import torch
import torch.nn.functional as F


def loss_of(logits, targets):
    log_probabilities = {}
    return F.nll_loss(log_probabilities, targets)


loss = loss_of(torch.tensor([[0.0, 110.0]]), torch.tensor([0]))
"""
IMPORTED = """\
from torch import log, {0}


def entropy(logits):
    log_probabilities = {1}
    return -(log_probabilities.exp() * log_probabilities).sum(dim=-1)
"""
CROSS_ENTROPY = """\
import torch


def cross_entropy(probabilities, targets):
    return -(torch.log(probabilities){0} * targets).sum(dim=1)


logits = torch.tensor([[0.0, 110.0]])
loss = cross_entropy(torch.softmax(logits, dim=1), torch.tensor([[1.0, 0.0]]))
"""
MODEL = """\
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(20, 10)
        self.softmax = nn.Softmax(dim=1)

    def forward(self, x):
        return self.softmax(self.fc(x))
"""


class LogOfSoftmax(Rule):
    """Take `log_softmax` of the logits; never the logarithm of their softmax.

    A probability in float32 is exactly 0 once its logit lies 104 below the largest, 746 below in
    float64. Its logarithm is -inf, the loss inf, and the gradient NaN, for all classes: of
    [0, 110] the loss of class 0 is inf instead of 110, its gradient [nan, nan] instead of
    [-1, 1]. A small number added to the probability hides that: the loss stops growing at its
    logarithm, 18.4 for 1e-8, and so does the gradient. `log_softmax` subtracts the largest logit
    inside the logarithm and is exact.

    Source: Blanchard, Higham and Higham (2021), doi:10.1093/imanum/draa038.
    """

    code = "LG401"
    name = "log-of-softmax"
    severity = "warning"
    fix = "safe"
    needs = (LOGARITHMS, words.PROBABILITIES)
    examples = (
        Example(
            bad=FUNCTION.format("torch.log(F.softmax(logits, dim=1))"),
            good=FUNCTION.format("F.log_softmax(logits, dim=1)"),
        ),
        Example(
            bad=FUNCTION.format("torch.log(\n        torch.softmax(logits / 2, -1)\n    )"),
            good=FUNCTION.format("torch.log_softmax(logits / 2, -1)"),
        ),
        Example(
            bad=FUNCTION.format("logits.softmax(dim=1).log()"),
            good=FUNCTION.format("logits.log_softmax(dim=1)"),
        ),
        Example(
            bad=FUNCTION.format("F.softmax(input=logits, dim=1, dtype=torch.float64).log()"),
            good=FUNCTION.format("F.log_softmax(input=logits, dim=1, dtype=torch.float64)"),
        ),
        Example(
            bad=IMPORTED.format("softmax", "log(softmax(logits, dim=-1))"),
            good=IMPORTED.format("log_softmax", "log_softmax(logits, dim=-1)"),
        ),
        # A small number changes the values, so no fix leaves them as they are.
        Example(bad=FUNCTION.format("torch.log(F.softmax(logits, dim=1) + 1e-8)")),
        # Somebody else may use the probabilities too.
        Example(
            bad="""\
import torch


def predict(logits):
    probabilities = torch.softmax(logits, dim=1)
    return probabilities, torch.log(probabilities)


predict(torch.tensor([[0.0, 110.0]]))
"""
        ),
        Example(bad=CROSS_ENTROPY.format("")),
        # Written by hand, with its shift.
        Example(
            bad="""\
import numpy as np


def loss_of(logits, y):
    logits = logits - logits.max(axis=1, keepdims=True)
    exponentials = np.exp(logits)
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    return -np.log(probabilities[np.arange(len(y)), y]).mean()


loss = loss_of(np.array([[0.0, 1000.0]]), np.array([0]))
"""
        ),
        Example(
            bad="""\
import torch
import torch.nn.functional as F

from model import Net


def train(loader):
    net = Net()
    for x, y in loader:
        loss = F.nll_loss(torch.log(net(x)), y)
        loss.backward()
""",
            files=(("model.py", MODEL),),
        ),
    )
    near_misses = (
        FUNCTION.format("F.log_softmax(logits, dim=1)"),
        # Kept away from 0 by its author.
        FUNCTION.format("torch.log(F.softmax(logits, dim=1).clamp(min=1e-8))"),
        # A mixture of softmaxes has no logits of its own.
        """\
import torch


def mixture(weight, a, b):
    p, q = torch.softmax(a, dim=1), torch.softmax(b, dim=1)
    return torch.log(weight * p + (1 - weight) * q)
""",
        # An entropy whose logarithms are finite.
        """\
import torch


def entropy(logits):
    p = torch.softmax(logits, dim=-1)
    return -(p * torch.log(p + 1e-9)).sum(dim=-1)
""",
        # The logarithm of a mean: of an ensemble, of samples.
        """\
import torch


def ensemble(logits):
    return torch.log(torch.softmax(logits, dim=-1).mean(dim=0))
""",
        """\
import torch


def sample(logits):
    log_probabilities = torch.log_softmax(logits, dim=-1)
    probabilities = log_probabilities.exp()
    return torch.multinomial(probabilities, 1), log_probabilities
""",
        # Written by hand, and stable.
        """\
import numpy as np


def log_softmax(z):
    z = z - z.max(axis=1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))
""",
        # It only shares the name.
        """\
import torch


class Logger:
    def log(self, values):
        print(values)


def show(logits, logger: Logger):
    logger.log(torch.softmax(logits, dim=1))
""",
        """\
import math

import torch


def perplexity(logits, counts):
    probabilities = torch.softmax(logits, dim=1)
    return probabilities, math.log(counts) + torch.log(counts.sum())
""",
    )

    def logarithm(self, call: Logarithm) -> Iterable[Report]:
        found = call.operand
        if not isinstance(found, v.Tensor) or found.meaning != v.PROBABILITIES:
            return
        # 0 log 0 is 0 with a small number in it: an entropy is none the worse for it.
        if found.clamped or (found.guarded and call.entropy):
            return
        # The exponential of log-probabilities has them already.
        if isinstance(found.of, v.Tensor) and found.of.meaning == v.LOG_PROBABILITIES:
            return
        what = "a softmax plus a small number" if found.guarded else "a softmax"
        # NumPy has none of its own.
        better = "scipy.special.log_softmax" if call.path.startswith("numpy.") else "log_softmax"
        message = f"the log of {what} loses every small probability: take `{better}` of the logits"
        related = (("softmax is applied here", found.origin),) if found.origin else ()
        local = found.origin is not None and found.origin.path == call.site.path
        yield Report(call, message, related, lambda patch: _fix(patch, call, found), local=local)


def _fix(patch: Patch, call: Logarithm, found: v.Tensor) -> Fix | None:
    outer, inner = patch.call(call.node), patch.call(found.origin)
    if outer is None or inner is None or found.guarded or not call.path.endswith(".log"):
        return None
    if inner is not patch.node(call.operand_node) or says_more(outer):
        return None
    edits = patch.call_instead(inner, "softmax", "log_softmax")
    (start, end), (first, last) = patch.span(outer), patch.span(inner)
    if edits is None or patch.loses_comment(outer, patch.text[first:last]):
        return None
    # What stands around the softmax goes; it stays, under its new name.
    return safe("Take the log_softmax", Edit(start, first, ""), *edits, Edit(last, end, ""))
