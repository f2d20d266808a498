"""LG109: decisions, which have no gradient, go into a loss as its input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lossgrade_checks import words
from lossgrade_checks.evidence import SCORES, is_label, swapped
from lossgrade_checks.meaning import tables
from lossgrade_checks.meaning import values as v
from lossgrade_checks.rule import Example, Report, Rule
from lossgrade_checks.snippets import BATCH, BINARY_BATCH, BINARY_TARGETS, TORCH, net

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lossgrade_checks.meaning.events import LossCall

# Losses that are also measured without training on them, between decisions and labels.
ALSO_METRICS = tables.SYMMETRIC | {"binary_cross_entropy", "binary_cross_entropy_with_logits"}
EXPECTED = {
    v.LOGITS: "the logits",
    v.LOG_PROBABILITIES: "the log-probabilities",
    v.SIGMOID: "the probabilities",
    "binary logits": "the logits",
}
LEARNED = "head = nn.Linear(10, 10)\n"
STEP = "\n\nnet = Net()\nx, y = torch.randn(8, 20), " + BINARY_TARGETS + "\n"


class ArgmaxIntoLoss(Rule):
    """Give a loss the outputs of the network, not the decisions made from them.

    The argmax, rounding and thresholds are constant wherever they are not discontinuous: their
    gradient is 0. `backward` raises "element 0 of tensors does not require grad and does not have
    a grad_fn" after argmax or a comparison, and after `round` every gradient is 0, so nothing is
    learned and nothing is said. `cross_entropy` of the class indices that argmax gives fails
    before that: it takes them for one example of N classes.

    Decisions are for the accuracy; and on the target, argmax rightly turns one-hot rows into
    class indices.

    Source: https://docs.pytorch.org/docs/stable/notes/autograd.html
    """

    code = "LG109"
    name = "argmax-into-loss"
    severity = "error"
    fix = "none"
    # A comparison makes decisions without any word.
    needs = (words.LOSSES,)
    examples = (
        Example(
            bad=TORCH + BATCH + "predicted = logits.argmax(dim=1).float()\n"
            "loss = F.cross_entropy(predicted, targets)\n"
        ),
        Example(
            bad=TORCH + BATCH + "_, predicted = torch.max(logits, 1)\n"
            "loss = nn.CrossEntropyLoss()(predicted, targets)\n"
        ),
        Example(
            bad=TORCH + LEARNED + BATCH + "predicted = head(logits).argmax(dim=1).float()\n"
            "loss = F.mse_loss(predicted, targets.float())\nloss.backward()\n"
        ),
        Example(
            bad=TORCH
            + net("torch.sigmoid(self.fc(x))", 1)
            + STEP
            + "loss = F.binary_cross_entropy(torch.round(net(x)), y)\nloss.backward()\n"
        ),
        Example(
            bad=TORCH
            + net("(torch.sigmoid(self.fc(x)) > 0.5).float()", 1)
            + STEP
            + "criterion = nn.BCELoss()\nloss = criterion(net(x), y)\nloss.backward()\n"
        ),
    )
    near_misses = (
        # On the target it is right.
        TORCH + BATCH + "one_hot = F.one_hot(targets, 10)\n"
        "loss = F.cross_entropy(logits, one_hot.argmax(dim=1))\n",
        # Pseudo-labels.
        TORCH + LEARNED + BATCH + "with torch.no_grad():\n"
        "    guessed = head(logits).argmax(dim=1)\nloss = F.cross_entropy(head(logits), guessed)\n",
        # A metric.
        TORCH + LEARNED + BATCH + "with torch.no_grad():\n"
        "    predicted = head(logits).argmax(dim=1)\n"
        "    error = F.l1_loss(predicted.float(), targets.float())\n",
        # The straight-through estimator.
        TORCH + BINARY_BATCH + "p = torch.sigmoid(nn.Linear(1, 1)(logits))\n"
        "hard = (p > 0.5).float() + p - p.detach()\n"
        "loss = F.binary_cross_entropy(hard.clamp(0.01, 0.99), targets)\nloss.backward()\n",
        TORCH + LEARNED + BATCH + "outputs = head(logits)\n"
        "loss = F.cross_entropy(outputs, targets)\nloss.backward()\n"
        "accuracy = (outputs.argmax(1) == targets).float().mean()\n",
    )

    def loss(self, call: LossCall) -> Iterable[Report]:
        found = call.input
        if not isinstance(found, v.Tensor) or not _decided(found) or swapped(call):
            return
        name = call.loss.name
        if name in ALSO_METRICS and (not call.trained or call.no_grad):
            return
        if name in tables.SYMMETRIC and not is_label(call.target):
            # The gradient may flow through the other one.
            return
        what = "an argmax" if found.meaning == v.CLASS_INDICES else "a rounded or compared value"
        wanted = EXPECTED.get(call.loss.expects, "the outputs of the network")
        message = f"{what} has no gradient, so nothing is learned: give `{name}` {wanted}"
        related = (("the decision is made here", found.origin),) if found.origin else ()
        yield Report(call, message, related)


def _decided(found: v.Tensor) -> bool:
    """Whether a tensor is a decision made from what a network gave."""
    if found.meaning == v.CLASS_INDICES:
        return found.origin is not None and _predicted(found.of)
    return found.meaning == v.DECISIONS and _predicted(found.of) and found.of is not None


def _predicted(source: Any) -> bool:
    if isinstance(source, v.Tensor):
        return source.learned or source.meaning in SCORES or source.meaning == v.PLAIN
    return isinstance(source, v.Unknown) and not is_label(source)
