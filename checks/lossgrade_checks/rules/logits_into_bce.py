"""LG107: logits go into a loss that expects probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lossgrade_checks import words
from lossgrade_checks.activation_fixes import other_loss
from lossgrade_checks.fixes import unsafe
from lossgrade_checks.meaning import values as v
from lossgrade_checks.rule import Example, Report, Rule
from lossgrade_checks.snippets import BINARY_BATCH, BINARY_TARGETS, TORCH, net, train

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lossgrade_checks.finding import Fix
    from lossgrade_checks.fixes import Patch
    from lossgrade_checks.meaning.events import LossCall

HEAD = "head = nn.Linear(20, 1)\n"


class LogitsIntoBce(Rule):
    """Give logits to `binary_cross_entropy_with_logits`; without it, apply a sigmoid.

    `binary_cross_entropy` takes the logarithm of what it gets. At the first output above 1 or
    below 0 it raises "all elements of input should be between 0 and 1"; on a GPU that is an
    assertion of the device, after which every further call fails.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.BCELoss.html
    """

    code = "LG107"
    name = "logits-into-bce"
    severity = "error"
    fix = "unsafe"
    needs = (words.BCE, words.OUTPUT_LAYERS)
    examples = (
        Example(
            bad=TORCH
            + HEAD
            + BINARY_BATCH
            + "loss = F.binary_cross_entropy(head(torch.randn(8, 20)), targets)\n",
            good=TORCH
            + HEAD
            + BINARY_BATCH
            + "loss = F.binary_cross_entropy_with_logits(head(torch.randn(8, 20)), targets)\n",
        ),
        Example(
            bad=TORCH + net("self.fc(x)", 1) + train("nn.BCELoss()", BINARY_TARGETS),
            good=TORCH + net("self.fc(x)", 1) + train("nn.BCEWithLogitsLoss()", BINARY_TARGETS),
        ),
        Example(
            bad=TORCH
            + "net = nn.Sequential(nn.Linear(20, 8), nn.ReLU(), nn.Linear(8, 1))\n"
            + BINARY_BATCH
            + "criterion = nn.BCELoss(reduction='sum')\n"
            "loss = criterion(net(torch.randn(8, 20)).squeeze(1), targets[:, 0])\n",
            good=TORCH
            + "net = nn.Sequential(nn.Linear(20, 8), nn.ReLU(), nn.Linear(8, 1))\n"
            + BINARY_BATCH
            + "criterion = nn.BCEWithLogitsLoss(reduction='sum')\n"
            "loss = criterion(net(torch.randn(8, 20)).squeeze(1), targets[:, 0])\n",
        ),
        Example(
            bad="import torch\nfrom model import Net\n"
            "from torch.nn.functional import binary_cross_entropy\n\n"
            + BINARY_BATCH
            + "loss = binary_cross_entropy(Net()(torch.randn(8, 20)), targets)\n",
            good="import torch\nfrom model import Net\n"
            "from torch.nn.functional import binary_cross_entropy_with_logits\n\n"
            + BINARY_BATCH
            + "loss = binary_cross_entropy_with_logits(Net()(torch.randn(8, 20)), targets)\n",
            files=(("model.py", TORCH + net("self.fc(x)", 1)),),
        ),
    )
    near_misses = (
        TORCH + HEAD + BINARY_BATCH + "outputs = head(torch.randn(8, 20))\n"
        "loss = F.binary_cross_entropy(torch.sigmoid(outputs), targets)\n",
        TORCH
        + "net = nn.Sequential(nn.Linear(20, 1), nn.Sigmoid())\n"
        + BINARY_BATCH
        + "loss = nn.BCELoss()(net(torch.randn(8, 20)), targets)\n",
        TORCH + HEAD + BINARY_BATCH + "outputs = head(torch.randn(8, 20)).clamp(0.01, 0.99)\n"
        "loss = F.binary_cross_entropy(outputs, targets)\n",
        # A sigmoid under a flag.
        TORCH
        + net("torch.sigmoid(self.fc(x)) if x.dim() == 2 else self.fc(x)", 1)
        + train("nn.BCELoss()", BINARY_TARGETS),
    )

    def loss(self, call: LossCall) -> Iterable[Report]:
        found = call.input
        if (
            call.loss.name == "binary_cross_entropy"
            and isinstance(found, v.Tensor)
            and found.meaning == v.LOGITS
            and not found.guarded
        ):
            message = (
                "`binary_cross_entropy` expects probabilities, not the logits of a layer: "
                "call `binary_cross_entropy_with_logits`, or apply a sigmoid first"
            )
            yield Report(call, message, fix=lambda patch: _fix(patch, call))


def _fix(patch: Patch, call: LossCall) -> Fix | None:
    edits = other_loss(patch, call, "binary_cross_entropy_with_logits", "BCEWithLogitsLoss")
    return unsafe("Call `binary_cross_entropy_with_logits`", *edits) if edits else None
