"""LG106: sigmoid outputs go into a loss that applies the sigmoid itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lossgrade_checks import words
from lossgrade_checks.activation_fixes import is_inline, without
from lossgrade_checks.fixes import safe, unsafe
from lossgrade_checks.meaning import values as v
from lossgrade_checks.rule import Example, Report, Rule
from lossgrade_checks.snippets import BINARY_BATCH, BINARY_TARGETS, TORCH, net, train

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lossgrade_checks.finding import Fix
    from lossgrade_checks.fixes import Patch
    from lossgrade_checks.meaning.events import LossCall

TRAIN = train("nn.BCEWithLogitsLoss()", BINARY_TARGETS)
SEQUENTIAL = "net = nn.Sequential(nn.Linear(20, 1), nn.Sigmoid())\n"


class SigmoidIntoBceWithLogits(Rule):
    """Give `binary_cross_entropy_with_logits` the logits: it applies the sigmoid itself.

    Sigmoid of a sigmoid lies between 0.5 and 0.731. So the loss of an example whose target is 0
    never falls below ln 2 = 0.693, however sure the network is, and where the target is 1 it
    never falls below ln(1 + 1/e) = 0.313.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html
    """

    code = "LG106"
    name = "sigmoid-into-bce-with-logits"
    severity = "error"
    fix = "safe or unsafe"
    needs = (words.BINARY_LOGITS, words.SIGMOID)
    examples = (
        Example(
            bad=TORCH
            + BINARY_BATCH
            + "loss = F.binary_cross_entropy_with_logits(torch.sigmoid(logits), targets)\n",
            good=TORCH
            + BINARY_BATCH
            + "loss = F.binary_cross_entropy_with_logits(logits, targets)\n",
        ),
        Example(
            bad=TORCH + BINARY_BATCH + "loss = nn.BCEWithLogitsLoss()(logits.sigmoid(), targets)\n",
            good=TORCH + BINARY_BATCH + "loss = nn.BCEWithLogitsLoss()(logits, targets)\n",
        ),
        Example(
            bad=TORCH + BINARY_BATCH + "probabilities = F.sigmoid(logits + 0.5)\n"
            "loss = F.binary_cross_entropy_with_logits(probabilities.squeeze(1), targets[:, 0])\n",
            good=TORCH + BINARY_BATCH + "probabilities = logits + 0.5\n"
            "loss = F.binary_cross_entropy_with_logits(probabilities.squeeze(1), targets[:, 0])\n",
        ),
        Example(
            bad=TORCH + net("torch.sigmoid(self.fc(x))", 1) + TRAIN,
            good=TORCH + net("self.fc(x)", 1) + TRAIN,
        ),
        Example(
            bad=TORCH
            + SEQUENTIAL
            + BINARY_BATCH
            + "loss = nn.BCEWithLogitsLoss()(net(torch.randn(8, 20)), targets)\n",
            good=TORCH
            + "net = nn.Sequential(nn.Linear(20, 1))\n"
            + BINARY_BATCH
            + "loss = nn.BCEWithLogitsLoss()(net(torch.randn(8, 20)), targets)\n",
        ),
        Example(
            bad="import torch\nfrom torch import nn\nfrom model import Net\n" + TRAIN,
            files=(("model.py", TORCH + net("torch.sigmoid(self.fc(x))", 1)),),
        ),
        Example(
            bad=TORCH + "logits = torch.randn(8, 5)\n"
            "labels = torch.randint(0, 2, (8, 5)).float()\n"
            "loss = nn.MultiLabelSoftMarginLoss()(torch.sigmoid(logits), labels)\n",
            good=TORCH + "logits = torch.randn(8, 5)\n"
            "labels = torch.randint(0, 2, (8, 5)).float()\n"
            "loss = nn.MultiLabelSoftMarginLoss()(logits, labels)\n",
        ),
    )
    near_misses = (
        TORCH
        + SEQUENTIAL
        + BINARY_BATCH
        + "loss = nn.BCELoss()(net(torch.randn(8, 20)), targets)\n",
        TORCH + net("self.fc(x)", 1) + TRAIN + "predicted = torch.sigmoid(net(x)) > 0.5\n",
        # Soft labels: the sigmoid is in the target.
        TORCH + BINARY_BATCH + "teacher = torch.randn(8, 1)\n"
        "loss = F.binary_cross_entropy_with_logits(logits, torch.sigmoid(teacher))\n",
        TORCH + BINARY_BATCH + "y_logits = logits\ny_scores = torch.sigmoid(y_logits)\n"
        "loss = F.binary_cross_entropy_with_logits(y_logits, targets)\n",
    )

    def loss(self, call: LossCall) -> Iterable[Report]:
        found = call.input
        if (
            call.loss.expects == "binary logits"
            and isinstance(found, v.Tensor)
            and found.meaning == v.SIGMOID
        ):
            message = (
                f"`{call.loss.name}` applies the sigmoid itself: give it logits, not probabilities"
            )
            related = (("the sigmoid is applied here", found.origin),) if found.origin else ()
            yield Report(call, message, related, lambda patch: _fix(patch, call, found))


def _fix(patch: Patch, call: LossCall, found: v.Tensor) -> Fix | None:
    activation = found.activation
    if activation is None or activation.kind not in {"sigmoid", "expit"}:
        return None
    make = safe if is_inline(patch, call, activation) else unsafe
    return make("Remove the sigmoid", without(patch, activation))
