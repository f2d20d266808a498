"""LG104: probabilities go into a loss that expects their logarithms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lossgrade_checks import words
from lossgrade_checks.activation_fixes import instead
from lossgrade_checks.fixes import unsafe
from lossgrade_checks.meaning import values as v
from lossgrade_checks.rule import Example, Report, Rule
from lossgrade_checks.snippets import BATCH, TORCH, net, train

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lossgrade_checks.finding import Fix
    from lossgrade_checks.fixes import Patch
    from lossgrade_checks.meaning.events import LossCall


class SoftmaxIntoNll(Rule):
    """Give `nll_loss` log-probabilities: it takes no logarithm itself.

    `nll_loss` picks the entry of the right class and changes its sign, nothing more. Of
    probabilities that is -p, between -1 and 0: the loss is negative, and where the network is most
    wrong it learns least. With p = 0.000911 the gradient at the logit of the right class is
    -0.000910; of `log_softmax` it is -0.999.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.NLLLoss.html
    """

    code = "LG104"
    name = "softmax-into-nll"
    severity = "error"
    fix = "unsafe"
    needs = (words.NLL, words.PROBABILITIES)
    examples = (
        Example(
            bad=TORCH + BATCH + "loss = F.nll_loss(F.softmax(logits, dim=1), targets)\n",
            good=TORCH + BATCH + "loss = F.nll_loss(F.log_softmax(logits, dim=1), targets)\n",
        ),
        Example(
            bad=TORCH + BATCH + "probabilities = logits.softmax(1)\n"
            "loss = nn.NLLLoss()(probabilities, targets)\n",
            good=TORCH + BATCH + "probabilities = logits.log_softmax(1)\n"
            "loss = nn.NLLLoss()(probabilities, targets)\n",
        ),
        Example(
            bad=TORCH + net("F.softmax(self.fc(x), dim=1)") + train("nn.NLLLoss()"),
            good=TORCH + net("F.log_softmax(self.fc(x), dim=1)") + train("nn.NLLLoss()"),
        ),
        Example(
            bad=TORCH
            + "net = nn.Sequential(nn.Linear(20, 10), nn.Softmax(dim=1))\n"
            + BATCH
            + "loss = F.nll_loss(net(torch.randn(8, 20)), targets, reduction='sum')\n",
            good=TORCH
            + "net = nn.Sequential(nn.Linear(20, 10), nn.LogSoftmax(dim=1))\n"
            + BATCH
            + "loss = F.nll_loss(net(torch.randn(8, 20)), targets, reduction='sum')\n",
        ),
        Example(
            bad="import torch\nfrom torch.nn.functional import nll_loss, softmax\n\n"
            + BATCH
            + "loss = nll_loss(softmax(logits, dim=1), targets)\n",
            good="import torch\nfrom torch.nn.functional import nll_loss, log_softmax\n\n"
            + BATCH
            + "loss = nll_loss(log_softmax(logits, dim=1), targets)\n",
        ),
        Example(
            bad="import torch\nfrom torch import nn\nfrom model import Net\n"
            + train("nn.NLLLoss()"),
            files=(("model.py", TORCH + net("torch.softmax(self.fc(x), -1)")),),
        ),
    )
    near_misses = (
        TORCH + BATCH + "probabilities = F.softmax(logits, dim=1)\n"
        "loss = F.nll_loss(probabilities.clamp(min=1e-6).log(), targets)\n",
        TORCH + BATCH + "log_probabilities = F.log_softmax(logits, dim=1)\n"
        "loss = F.nll_loss(log_probabilities, targets)\n"
        "confidence = log_probabilities.exp().max(dim=1).values\n",
        TORCH
        + net("F.log_softmax(self.fc(x), dim=1)")
        + train("nn.NLLLoss()")
        + "probabilities = torch.softmax(net(x), dim=1)\n",
        # A mixture of softmaxes: the logarithm is taken of the weighted sum.
        TORCH + BATCH + "other = torch.randn(8, 10)\n"
        "mixed = 0.5 * F.softmax(logits, dim=1) + 0.5 * F.softmax(other, dim=1)\n"
        "loss = F.nll_loss(torch.log(mixed + 1e-8), targets)\n",
    )

    def loss(self, call: LossCall) -> Iterable[Report]:
        found = call.input
        if (
            call.loss.name == "nll_loss"
            and isinstance(found, v.Tensor)
            and found.meaning == v.PROBABILITIES
        ):
            message = (
                "`nll_loss` expects log-probabilities, not probabilities: apply `log_softmax` "
                "in the place of softmax"
            )
            related = (("softmax is applied here", found.origin),) if found.origin else ()
            yield Report(call, message, related, lambda patch: _fix(patch, found))


def _fix(patch: Patch, found: v.Tensor) -> Fix | None:
    activation = found.activation
    if activation is None or activation.kind != "softmax":
        return None
    edits = instead(patch, activation, "log_softmax")
    return unsafe("Apply `log_softmax`", *edits) if edits else None
