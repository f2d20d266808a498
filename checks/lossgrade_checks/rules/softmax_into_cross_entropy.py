"""LG101: probabilities go into a loss that applies softmax itself."""

from __future__ import annotations

from collections.abc import Iterable

from lossgrade_checks.finding import Fix
from lossgrade_checks.fixes import Patch, safe, unsafe
from lossgrade_checks.meaning import values as v
from lossgrade_checks.meaning.events import LossCall
from lossgrade_checks.rule import Example, Report, Rule

USES_F = "import torch.nn.functional as F\n\n\n"


class SoftmaxIntoCrossEntropy(Rule):
    """Give `cross_entropy` the logits: it applies softmax itself.

    Softmax of probabilities is nearly uniform, since they all lie between 0 and 1. Of C classes
    the right one has at most e / (e + C - 1), so the loss never falls below ln(1 + (C - 1) / e):
    1.461 for C = 10. The network trains, slowly, on gradients that are far too small.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
    """

    code = "LG101"
    name = "softmax-into-cross-entropy"
    severity = "error"
    fix = "safe or unsafe"
    examples = (
        Example(
            bad=USES_F + "def step(model, x, y):\n"
            "    return F.cross_entropy(F.softmax(model(x), dim=1), y)\n",
            good=USES_F + "def step(model, x, y):\n    return F.cross_entropy(model(x), y)\n",
        ),
    )
    near_misses = (
        USES_F + "def step(model, x, y):\n"
        "    logits = model(x)\n"
        "    probabilities = F.softmax(logits, dim=1)\n"
        "    return F.cross_entropy(logits, y), probabilities\n",
    )

    def loss(self, call: LossCall) -> Iterable[Report]:
        found = call.input
        if (
            call.loss.name == "cross_entropy"
            and isinstance(found, v.Tensor)
            and found.meaning == v.PROBABILITIES
        ):
            message = "`cross_entropy` applies softmax itself: give it logits, not probabilities"
            related = (("softmax is applied here", found.origin),) if found.origin else ()
            yield Report(call, message, related, lambda patch: _fix(patch, call, found))


def _fix(patch: Patch, call: LossCall, found: v.Tensor) -> Fix | None:
    activation = patch.call(found.origin)
    if activation is None:
        return None
    inline = patch.call(call.input_node) is activation
    make = safe if inline else unsafe
    return make("Remove the softmax", patch.keep_argument(activation))
