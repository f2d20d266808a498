"""LG102: log-probabilities go into a loss that applies log-softmax itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lossgrade_checks import words
from lossgrade_checks.activation_fixes import is_inline, without
from lossgrade_checks.fixes import safe
from lossgrade_checks.meaning import values as v
from lossgrade_checks.rule import Example, Report, Rule
from lossgrade_checks.snippets import BATCH, TORCH, net, train

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lossgrade_checks.finding import Fix
    from lossgrade_checks.fixes import Patch
    from lossgrade_checks.meaning.events import LossCall


class LogSoftmaxIntoCrossEntropy(Rule):
    """Give `cross_entropy` the logits, and `nll_loss` the log-probabilities.

    Log-softmax of log-probabilities changes nothing: their exponentials already sum to 1. The
    loss is the same, within 1e-6 for 192,000 rows of 10 logits between -20 and 20 in float32, but
    the work is done twice, and the reader takes the outputs of the network for logits. One step
    away is softmax there, which does change the loss.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
    """

    code = "LG102"
    name = "log-softmax-into-cross-entropy"
    severity = "warning"
    fix = "safe"
    needs = (words.CROSS_ENTROPY, words.LOG_PROBABILITIES)
    examples = (
        Example(
            bad=TORCH + BATCH + "loss = F.cross_entropy(F.log_softmax(logits, dim=1), targets)\n",
            good=TORCH + BATCH + "loss = F.cross_entropy(logits, targets)\n",
        ),
        Example(
            bad=TORCH + BATCH + "criterion = nn.CrossEntropyLoss()\n"
            "loss = criterion(logits.log_softmax(dim=-1), targets)\n",
            good=TORCH + BATCH + "criterion = nn.CrossEntropyLoss()\n"
            "loss = criterion(logits, targets)\n",
        ),
        Example(
            bad=TORCH + BATCH + "log_softmax = nn.LogSoftmax(dim=1)\n"
            "loss = F.cross_entropy(log_softmax(logits), targets)\n",
            good=TORCH + BATCH + "log_softmax = nn.LogSoftmax(dim=1)\n"
            "loss = F.cross_entropy(logits, targets)\n",
        ),
        Example(
            bad=TORCH + net("F.log_softmax(self.fc(x), dim=1)") + train("nn.CrossEntropyLoss()")
        ),
        Example(
            bad=TORCH
            + "net = nn.Sequential(nn.Linear(20, 10), nn.LogSoftmax(dim=1))\n"
            + BATCH
            # The network is used elsewhere too, so what it ends in is not for a fix to change.
            + "loss = nn.CrossEntropyLoss()(net(torch.randn(8, 20)), targets)\n"
        ),
    )
    near_misses = (
        TORCH + BATCH + "loss = F.nll_loss(F.log_softmax(logits, dim=1), targets)\n",
        TORCH + net("F.log_softmax(self.fc(x), dim=1)") + train("nn.NLLLoss()"),
        # Over positions instead of classes it is no repetition.
        TORCH + "logits = torch.randn(8, 10, 5)\ntargets = torch.randint(0, 10, (8, 5))\n"
        "loss = F.cross_entropy(F.log_softmax(logits, dim=2), targets)\n",
        # Logit adjustment: a prior is added to the log-probabilities.
        TORCH + BATCH + "prior = torch.full((10,), 0.1)\n"
        "loss = F.cross_entropy(F.log_softmax(logits, dim=1) + prior.log(), targets)\n",
    )

    def loss(self, call: LossCall) -> Iterable[Report]:
        found = call.input
        if (
            call.loss.name == "cross_entropy"
            and isinstance(found, v.Tensor)
            and found.meaning == v.LOG_PROBABILITIES
            and found.dim in {1, -1, None}
            and not (found.dim == -1 and (found.rank or 2) > 2)
        ):
            message = (
                "`cross_entropy` applies log-softmax itself: give it the logits, or give these "
                "log-probabilities to `nll_loss`"
            )
            related = (("log-softmax is applied here", found.origin),) if found.origin else ()
            yield Report(call, message, related, lambda patch: _fix(patch, call, found))


def _fix(patch: Patch, call: LossCall, found: v.Tensor) -> Fix | None:
    activation = found.activation
    if activation is None or activation.kind != "log_softmax":
        return None
    if not is_inline(patch, call, activation):
        return None
    return safe("Remove the log-softmax", without(patch, activation))
