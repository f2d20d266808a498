"""LG111: a squared error on class probabilities is what a network is trained by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lossgrade_checks import words
from lossgrade_checks.evidence import named
from lossgrade_checks.meaning import values as v
from lossgrade_checks.rule import Example, Report, Rule
from lossgrade_checks.snippets import TORCH, net, train

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lossgrade_checks.meaning.events import Backward, LossCall

ONE_HOT = "F.one_hot(torch.randint(0, 10, (8,)), 10).float()"
CLASSES = frozenset({"label", "labels", "class", "classes", "onehot", "hot"})
MESSAGE = (
    "the gradient of a squared error on class probabilities vanishes where they are most wrong: "
    "train with `{loss}` on the logits"
)


class SoftmaxThenMse(Rule):
    """Train a classifier with cross entropy, not with the squared error of its probabilities.

    The derivative of softmax and of the sigmoid is p (1 - p), and the squared error has nothing to
    cancel it. Of two classes, where the right one has the probability 0.000911, the gradient of
    `mse_loss` at its logit is -0.0018; that of `cross_entropy` is -0.999. A network that starts
    out sure and wrong stays so. As a measure, without `backward`, the squared error of
    probabilities is the Brier score, which is fine.

    Source: Golik, Doetsch and Ney (2013), "Cross-entropy vs. squared error training".
    """

    code = "LG111"
    name = "softmax-then-mse"
    severity = "warning"
    fix = "none"
    needs = (words.PROBABILITIES | words.SIGMOID, words.TRAINS)
    examples = (
        Example(bad=TORCH + net("F.softmax(self.fc(x), dim=1)") + train("nn.MSELoss()", ONE_HOT)),
        Example(
            bad=TORCH + "head = nn.Linear(20, 10)\nlabels = torch.randint(0, 10, (8,))\n"
            "probabilities = head(torch.randn(8, 20)).softmax(dim=1)\n"
            "loss = F.mse_loss(probabilities, torch.eye(10)[labels])\nloss.backward()\n"
        ),
        Example(bad=TORCH + net("torch.sigmoid(self.fc(x))") + train("nn.MSELoss()", ONE_HOT)),
        Example(
            bad=TORCH + "head = nn.Linear(20, 10)\n"
            "one_hot = F.one_hot(torch.randint(0, 10, (8,)), 10)\n"
            "probabilities = F.softmax(head(torch.randn(8, 20)), dim=1)\n"
            "loss = ((probabilities - one_hot) ** 2).sum(dim=1).mean()\nloss.backward()\n"
        ),
    )
    near_misses = (
        # The Brier score.
        TORCH + "logits, labels = torch.randn(8, 10), torch.randint(0, 10, (8,))\n"
        "probabilities = F.softmax(logits, dim=1)\n"
        "brier = F.mse_loss(probabilities, F.one_hot(labels, 10).float())\n"
        "loss = F.cross_entropy(logits, labels)\n",
        # Pixels between 0 and 1.
        TORCH + "decoder = nn.Sequential(nn.Linear(20, 784), nn.Sigmoid())\n"
        "images = torch.rand(8, 784)\nloss = F.mse_loss(decoder(torch.randn(8, 20)), images)\n"
        "loss.backward()\n",
        # A value between 0 and 1 is estimated, no class.
        TORCH + net("torch.sigmoid(self.fc(x))", 1) + train("nn.MSELoss()", "torch.rand(8, 1)"),
        # Consistency of two networks.
        TORCH + "student, teacher = nn.Linear(20, 10), nn.Linear(20, 10)\nx = torch.randn(8, 20)\n"
        "loss = F.mse_loss(F.softmax(student(x), dim=1), F.softmax(teacher(x), dim=1))\n"
        "loss.backward()\n",
    )

    def loss(self, call: LossCall) -> Iterable[Report]:
        if call.loss.name == "mse_loss" and call.trained and not call.no_grad:
            found = _probabilities(call.input, call.target)
            if found is not None:
                yield Report(call, _message(found), _related(found))

    def backward(self, call: Backward) -> Iterable[Report]:
        value = call.value
        if isinstance(value, v.Tensor) and value.meaning == "squared error":
            found = _probabilities(*value.of)
            if found is not None:
                yield Report(call, _message(found), _related(found))


def _probabilities(left: Any, right: Any) -> v.Tensor | None:
    """Return which of two values are class probabilities, if the other says the class."""
    for found, target in ((left, right), (right, left)):
        if isinstance(found, v.Tensor) and not found.cut:
            if found.meaning == v.PROBABILITIES and (_says_class(target) or named(target, CLASSES)):
                return found
            if found.meaning == v.SIGMOID and found.outputs != 1 and _says_class(target):
                several = found.outputs is not None or target.meaning == v.ONE_HOT
                return found if several else None
    return None


def _says_class(target: Any) -> bool:
    return isinstance(target, v.Tensor) and target.meaning in {v.ONE_HOT, v.CLASS_INDICES}


def _message(found: v.Tensor) -> str:
    softmax = found.meaning == v.PROBABILITIES
    return MESSAGE.format(loss="cross_entropy" if softmax else "binary_cross_entropy_with_logits")


def _related(found: v.Tensor) -> tuple[tuple[str, v.Site], ...]:
    return (("the probabilities are made here", found.origin),) if found.origin else ()
