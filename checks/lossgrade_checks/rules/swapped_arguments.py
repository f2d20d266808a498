"""LG110: the target stands where the prediction belongs, and the other way round."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lossgrade_checks import words
from lossgrade_checks.evidence import swapped
from lossgrade_checks.fixes import unsafe
from lossgrade_checks.meaning import tables
from lossgrade_checks.rule import Example, Report, Rule
from lossgrade_checks.snippets import BATCH, TORCH, net

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lossgrade_checks.finding import Fix
    from lossgrade_checks.fixes import Patch
    from lossgrade_checks.meaning.events import LossCall

HEAD = "head = nn.Linear(10, 10)\n"
LOOP = "\n\ndef train(net, loader):\n    for x, y in loader:\n"


class SwappedArguments(Rule):
    """Give a loss the prediction first and the target second.

    Losses are not symmetric in the two. `binary_cross_entropy` of a prediction of 0.9 for the
    target 1 is 0.105; the other way round it is 10, from a logarithm of 0 that is cut off at -100,
    and the gradient is -inf. `binary_cross_entropy_with_logits` of a logit of 3 becomes -1.69,
    `kl_div` of log-probabilities as the target is NaN, and `cross_entropy` and `nll_loss` fail
    when the class indices come first. Where a loss is symmetric, as the squared error, the order
    is a matter of convention, and the finding no more than a remark.

    Source: https://docs.pytorch.org/docs/stable/nn.functional.html#loss-functions
    """

    code = "LG110"
    name = "swapped-arguments"
    severity = "error"
    fix = "unsafe"
    needs = (words.LOSSES, words.SCORES)
    examples = (
        Example(
            bad=TORCH + HEAD + BATCH + "loss = F.cross_entropy(targets, head(logits))\n",
            good=TORCH + HEAD + BATCH + "loss = F.cross_entropy(head(logits), targets)\n",
        ),
        Example(
            bad=TORCH
            + net("torch.sigmoid(self.fc(x))", 1)
            + "\n\ndef train(loader, criterion=nn.BCELoss()):\n    net = Net()\n"
            "    for x, y in loader:\n        loss = criterion(y.float(), net(x))\n"
            "        loss.backward()\n",
            good=TORCH
            + net("torch.sigmoid(self.fc(x))", 1)
            + "\n\ndef train(loader, criterion=nn.BCELoss()):\n    net = Net()\n"
            "    for x, y in loader:\n        loss = criterion(net(x), y.float())\n"
            "        loss.backward()\n",
        ),
        Example(
            bad=TORCH + BATCH + "loss = F.nll_loss(targets, F.log_softmax(logits, dim=1))\n",
            good=TORCH + BATCH + "loss = F.nll_loss(F.log_softmax(logits, dim=1), targets)\n",
        ),
        Example(
            bad=TORCH + "student, teacher = torch.randn(8, 10), torch.randn(8, 10)\n"
            "p = F.softmax(teacher, dim=1)\n"
            "loss = F.kl_div(p, F.log_softmax(student, dim=1), reduction='batchmean')\n",
            good=TORCH + "student, teacher = torch.randn(8, 10), torch.randn(8, 10)\n"
            "p = F.softmax(teacher, dim=1)\n"
            "loss = F.kl_div(F.log_softmax(student, dim=1), p, reduction='batchmean')\n",
        ),
        Example(
            bad=TORCH
            + net("self.fc(x)")
            + "\n\ndef step(net: Net, x, labels):\n    outputs = net(x)\n"
            "    return F.cross_entropy(target=outputs, input=labels)\n",
            good=TORCH
            + net("self.fc(x)")
            + "\n\ndef step(net: Net, x, labels):\n    outputs = net(x)\n"
            "    return F.cross_entropy(target=labels, input=outputs)\n",
        ),
        # Symmetric: severity "info".
        Example(
            bad=TORCH + HEAD + "def step(x, target):\n    return F.mse_loss(target, head(x))\n",
            good=TORCH + HEAD + "def step(x, target):\n    return F.mse_loss(head(x), target)\n",
        ),
    )
    near_misses = (
        TORCH + HEAD + BATCH + "loss = F.cross_entropy(head(logits), targets)\n",
        # Soft targets from a network that is not trained here.
        TORCH + HEAD + "teacher = nn.Linear(10, 10)\n"
        "def step(x):\n    with torch.no_grad():\n        target = F.softmax(teacher(x), dim=1)\n"
        "    return F.cross_entropy(head(x), target)\n",
        # What the caller gives may be a prediction.
        TORCH + "teacher = nn.Linear(10, 10)\n\n\ndef loss(student, x):\n"
        "    return F.cross_entropy(student, F.softmax(teacher(x), dim=1))\n",
        # A handwritten loss with the target first, as in some lectures.
        "import numpy as np\n\n\ndef cross_entropy(target, probabilities):\n"
        "    return -np.sum(target * np.log(np.clip(probabilities, 1e-15, 1)))\n",
        # Two networks that learn from each other.
        TORCH + "def mutual(a, b):\n"
        "    log_p, q = F.log_softmax(a, dim=1), F.softmax(b, dim=1)\n"
        "    return F.kl_div(log_p, q, reduction='batchmean')\n",
    )

    def loss(self, call: LossCall) -> Iterable[Report]:
        if not swapped(call):
            return
        name = call.loss.name
        origin = call.target.origin
        related = (("the prediction is made here", origin),) if origin else ()
        if name in tables.SYMMETRIC:
            message = (
                f"`{name}` is given the target first: its value is the same, but losses take "
                "the prediction first"
            )
            yield Report(call, message, related, lambda patch: _fix(patch, call), severity="info")
        else:
            message = (
                f"`{name}` takes the prediction first and the target second: "
                "the two are the other way round"
            )
            yield Report(call, message, related, lambda patch: _fix(patch, call))


def _fix(patch: Patch, call: LossCall) -> Fix | None:
    made = patch.call(call.site)
    if made is None:
        return None
    first = patch.argument(made, 0, "input")
    second = patch.argument(made, 1, "target")
    if first is None or second is None:
        return None
    return unsafe(
        "Swap the arguments",
        patch.replace(first.value, patch.source(second.value)),
        patch.replace(second.value, patch.source(first.value)),
    )
