"""LG103: sigmoid outputs go into the loss of exclusive classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lossgrade_checks import words
from lossgrade_checks.meaning import values as v
from lossgrade_checks.rule import Example, Report, Rule
from lossgrade_checks.snippets import BATCH, BINARY_BATCH, TORCH, net, train

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lossgrade_checks.meaning.events import LossCall


class SigmoidIntoCrossEntropy(Rule):
    """Give `cross_entropy` the logits; a sigmoid belongs to binary cross entropy.

    `cross_entropy` applies softmax to what it gets. Sigmoids lie between 0 and 1, so of C classes
    the right one gets at most e / (e + C - 1): the loss of no example falls below
    ln(1 + (C - 1) / e), which is 1.461 for C = 10, and at equal logits the gradient is a quarter
    of what it should be. Classes that exclude each other need the logits alone; questions that
    are answered independently need `binary_cross_entropy_with_logits`.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
    """

    code = "LG103"
    name = "sigmoid-into-cross-entropy"
    severity = "error"
    fix = "none"
    needs = (words.CROSS_ENTROPY, words.SIGMOID)
    examples = (
        Example(bad=TORCH + BATCH + "loss = F.cross_entropy(torch.sigmoid(logits), targets)\n"),
        Example(bad=TORCH + BATCH + "loss = nn.CrossEntropyLoss()(logits.sigmoid(), targets)\n"),
        Example(bad=TORCH + net("torch.sigmoid(self.fc(x))") + train("nn.CrossEntropyLoss()")),
        Example(
            bad=TORCH + BATCH + "net = nn.Sequential(nn.Linear(10, 10), nn.Sigmoid())\n"
            "outputs = net(logits)\nloss = F.cross_entropy(outputs, targets)\n"
        ),
        Example(
            bad="import torch\nfrom torch import nn\nfrom model import Net\n"
            + train("nn.CrossEntropyLoss()"),
            files=(("model.py", TORCH + net("F.sigmoid(self.fc(x))")),),
        ),
    )
    near_misses = (
        TORCH + BINARY_BATCH + "loss = F.binary_cross_entropy(torch.sigmoid(logits), targets)\n",
        TORCH + net("self.fc(torch.sigmoid(x))") + train("nn.CrossEntropyLoss()"),
        # A gate.
        TORCH + BATCH + "gate = torch.sigmoid(torch.randn(8, 10))\n"
        "loss = F.cross_entropy(gate * logits, targets)\n",
        TORCH + BATCH + "loss = F.cross_entropy(logits, targets)\n"
        "above = torch.sigmoid(logits) > 0.5\n",
    )

    def loss(self, call: LossCall) -> Iterable[Report]:
        found = call.input
        if (
            call.loss.name == "cross_entropy"
            and isinstance(found, v.Tensor)
            and found.meaning == v.SIGMOID
        ):
            message = (
                "`cross_entropy` applies softmax itself: give it logits, not the probabilities "
                "of a sigmoid; for independent labels use `binary_cross_entropy_with_logits`"
            )
            related = (("the sigmoid is applied here", found.origin),) if found.origin else ()
            yield Report(call, message, related)
