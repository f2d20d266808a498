"""LG112: the same activation is applied to what it gave."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lossgrade_checks import words
from lossgrade_checks.activation_fixes import without
from lossgrade_checks.fixes import safe
from lossgrade_checks.meaning import values as v
from lossgrade_checks.rule import Example, Report, Rule
from lossgrade_checks.snippets import BATCH, BINARY_BATCH, BINARY_TARGETS, TORCH, net, train

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lossgrade_checks.finding import Fix
    from lossgrade_checks.fixes import Patch
    from lossgrade_checks.meaning.events import Activation

AGAIN = {
    v.PROBABILITIES: frozenset({"softmax", "softmin", "log_softmax"}),
    v.SIGMOID: frozenset({"sigmoid", "expit", "logsigmoid", "log_expit"}),
}


class DoubleActivation(Rule):
    """Apply softmax or a sigmoid once.

    Both expect logits, of any size; what they give lies between 0 and 1. So the second softmax
    gives the most likely of 10 classes at most e / (e + 9) = 0.232, and the second sigmoid gives
    0.5 to 0.731: after a threshold of 0.5 everything is predicted to be positive.

    Source: Goodfellow, Bengio and Courville (2016), Deep Learning, section 6.2.2.
    """

    code = "LG112"
    name = "double-activation"
    severity = "error"
    fix = "safe"
    needs = (words.PROBABILITIES | words.SIGMOID,)
    examples = (
        Example(
            bad=TORCH + BATCH + "p = F.softmax(F.softmax(logits, dim=1), dim=1)\n",
            good=TORCH + BATCH + "p = F.softmax(logits, dim=1)\n",
        ),
        Example(
            bad=TORCH
            + BATCH
            + "loss = F.nll_loss(torch.softmax(logits, 1).log_softmax(1), targets)\n",
            good=TORCH + BATCH + "loss = F.nll_loss(logits.log_softmax(1), targets)\n",
        ),
        Example(
            bad=TORCH
            + net("torch.sigmoid(self.fc(x))", 1)
            + train("nn.BCELoss()", BINARY_TARGETS)
            + "predicted = torch.sigmoid(net(x)) > 0.5\n",
        ),
        Example(
            bad=TORCH
            + BINARY_BATCH
            + "loss = nn.BCELoss()(torch.sigmoid(torch.sigmoid(logits)), targets)\n",
            good=TORCH + BINARY_BATCH + "loss = nn.BCELoss()(torch.sigmoid(logits), targets)\n",
        ),
        Example(
            bad=TORCH + "net = nn.Sequential(\n    nn.Linear(20, 10),\n    nn.Softmax(dim=1),\n"
            "    nn.LogSoftmax(dim=1),\n)\n"
            + BATCH
            + "loss = F.nll_loss(net(torch.randn(8, 20)), targets)\n",
            good=TORCH + "net = nn.Sequential(\n    nn.Linear(20, 10),\n"
            "    nn.LogSoftmax(dim=1),\n)\n"
            + BATCH
            + "loss = F.nll_loss(net(torch.randn(8, 20)), targets)\n",
        ),
        Example(
            bad="import torch\nfrom model import Net\n\nnet = Net()\n"
            "p = torch.softmax(net(torch.randn(8, 20)), dim=1)\n",
            files=(("model.py", TORCH + net("F.softmax(self.fc(x), dim=1)")),),
        ),
    )
    near_misses = (
        # Softmax of log-probabilities gives the probabilities.
        TORCH + BATCH + "p = F.softmax(F.log_softmax(logits, dim=1), dim=1)\n",
        # Attention, then the classes.
        TORCH + BATCH + "weights = F.softmax(logits, dim=1)\nvalues = torch.randn(10, 5)\n"
        "p = F.softmax(weights @ values, dim=1)\n",
        # Layers between.
        TORCH
        + "net = nn.Sequential(nn.Linear(20, 10), nn.Sigmoid(), nn.Linear(10, 1), nn.Sigmoid())\n"
        + BINARY_BATCH
        + "loss = nn.BCELoss()(net(torch.randn(8, 20)), targets)\n",
        # Over rows, then over columns.
        TORCH + "scores = torch.randn(8, 10, 5)\np = F.softmax(F.softmax(scores, dim=1), dim=2)\n",
        # The weights of the best experts are normalised again.
        TORCH + BATCH + "best, chosen = torch.topk(F.softmax(logits, dim=1), 2, dim=1)\n"
        "weights = F.softmax(best, dim=1)\n",
    )

    def activation(self, call: Activation) -> Iterable[Report]:
        found = call.operand
        if not isinstance(found, v.Tensor) or call.kind not in AGAIN.get(found.meaning, ()):
            return
        certain = found.meaning == v.SIGMOID or _same_axis(call, found)
        if certain is None:
            return
        what = "softmax" if found.meaning == v.PROBABILITIES else "a sigmoid"
        message = (
            f"`{call.kind}` expects logits, but {what} has already been applied: apply it once"
        )
        related = (("it is first applied here", found.origin),) if found.origin else ()
        yield Report(
            call, message, related, lambda patch: _fix(patch, call, found), likely=not certain
        )


def _same_axis(call: Activation, found: v.Tensor) -> bool | None:
    """Return whether both run over one axis; None when they may well not."""
    inner = found.activation.dim if found.activation is not None else found.dim
    if found.dim is None and isinstance(inner, int):
        # The axes have been moved since.
        return None
    if call.dim == inner:
        return True if isinstance(inner, int | str) else None
    # Of rows of classes, which are by far the most, the axes 1, -1 and the missing one are one.
    if found.rank == 2:
        return True
    if {call.dim, inner} <= {1, -1, "missing"} and found.rank is None:
        return False
    return None


def _fix(patch: Patch, call: Activation, found: v.Tensor) -> Fix | None:
    """Return the fix that removes the inner one where the outer one is all that uses it."""
    first = found.activation
    if first is None or (inner := patch.call(first.site)) is None:
        return None
    if call.operand_node is None:
        # Layers of one nn.Sequential.
        beside = patch.beside(inner, patch.call(call.site))
        return safe("Remove the first", without(patch, first)) if beside else None
    if patch.node(call.operand_node) is not inner:
        return None
    return safe("Remove the first", without(patch, first))
