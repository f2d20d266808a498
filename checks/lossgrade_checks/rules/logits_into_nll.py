"""LG105: logits go into a loss that expects log-probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lossgrade_checks import words
from lossgrade_checks.activation_fixes import other_loss
from lossgrade_checks.fixes import unsafe
from lossgrade_checks.meaning import values as v
from lossgrade_checks.rule import Example, Report, Rule
from lossgrade_checks.snippets import BATCH, TORCH, net, train

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lossgrade_checks.finding import Fix
    from lossgrade_checks.fixes import Patch
    from lossgrade_checks.meaning.events import LossCall

HEAD = "head = nn.Linear(20, 10)\n"


class LogitsIntoNll(Rule):
    """Give logits to `cross_entropy`; `nll_loss` expects log-probabilities.

    `nll_loss` picks the entry of the right class and changes its sign, nothing more. Of logits
    that has no lower bound: every logit that is ever right grows for ever. Three equal examples of
    3 classes, labelled 0, 0 and 1, take the loss from 0 to -5.6 in 100 steps of SGD at rate 0.1
    and to -55.6 in 1000, while their true cross entropy rises from 1.1 to 11.1.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.NLLLoss.html
    """

    code = "LG105"
    name = "logits-into-nll"
    severity = "error"
    fix = "unsafe"
    needs = (words.NLL, words.OUTPUT_LAYERS)
    examples = (
        Example(
            bad=TORCH + HEAD + BATCH + "loss = F.nll_loss(head(torch.randn(8, 20)), targets)\n",
            good=TORCH
            + HEAD
            + BATCH
            + "loss = F.cross_entropy(head(torch.randn(8, 20)), targets)\n",
        ),
        Example(
            bad=TORCH + net("self.fc(x)") + train("nn.NLLLoss(ignore_index=-1)"),
            good=TORCH + net("self.fc(x)") + train("nn.CrossEntropyLoss(ignore_index=-1)"),
        ),
        Example(
            bad="import torch\nfrom torch.nn import Linear, NLLLoss\n\n"
            + BATCH
            + "logits = Linear(20, 10)(torch.randn(8, 20))\nloss = NLLLoss()(logits, targets)\n",
            good="import torch\nfrom torch.nn import Linear, CrossEntropyLoss\n\n"
            + BATCH
            + "logits = Linear(20, 10)(torch.randn(8, 20))\n"
            "loss = CrossEntropyLoss()(logits, targets)\n",
        ),
        Example(
            bad="import torch\nfrom model import Net\nfrom torch.nn.functional import nll_loss\n\n"
            + BATCH
            + "loss = nll_loss(Net()(torch.randn(8, 20)), targets)\n",
            good="import torch\nfrom model import Net\n"
            "from torch.nn.functional import cross_entropy\n\n"
            + BATCH
            + "loss = cross_entropy(Net()(torch.randn(8, 20)), targets)\n",
            files=(("model.py", TORCH + net("self.fc(x)")),),
        ),
    )
    near_misses = (
        TORCH + HEAD + BATCH + "outputs = head(torch.randn(8, 20))\n"
        "loss = F.nll_loss(F.log_softmax(outputs, dim=1), targets)\n",
        TORCH
        + "net = nn.Sequential(nn.Linear(20, 10), nn.LogSoftmax(dim=1))\n"
        + BATCH
        + "loss = F.nll_loss(net(torch.randn(8, 20)), targets)\n",
        TORCH + HEAD + BATCH + "loss = F.cross_entropy(head(torch.randn(8, 20)), targets)\n",
        # What the caller gives may be log-probabilities.
        TORCH + "def loss(outputs, targets):\n    return F.nll_loss(outputs, targets)\n",
        # Normalised by hand.
        TORCH + HEAD + BATCH + "outputs = head(torch.randn(8, 20))\n"
        "outputs = outputs - outputs.logsumexp(dim=1, keepdim=True)\n"
        "loss = F.nll_loss(outputs, targets)\n",
    )

    def loss(self, call: LossCall) -> Iterable[Report]:
        found = call.input
        if (
            call.loss.name == "nll_loss"
            and isinstance(found, v.Tensor)
            and found.meaning == v.LOGITS
            and not found.guarded
        ):
            message = (
                "`nll_loss` expects log-probabilities, not the logits of a layer: "
                "call `cross_entropy`, or apply `log_softmax` first"
            )
            yield Report(call, message, fix=lambda patch: _fix(patch, call))


def _fix(patch: Patch, call: LossCall) -> Fix | None:
    edits = other_loss(patch, call, "cross_entropy", "CrossEntropyLoss")
    return unsafe("Call `cross_entropy`", *edits) if edits else None
