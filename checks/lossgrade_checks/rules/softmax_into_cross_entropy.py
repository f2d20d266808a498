"""LG101: probabilities go into a loss that applies softmax itself."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lossgrade_checks import words
from lossgrade_checks.activation_fixes import is_inline, without
from lossgrade_checks.fixes import safe, unsafe
from lossgrade_checks.meaning import values as v
from lossgrade_checks.rule import Example, Report, Rule
from lossgrade_checks.snippets import BATCH, TORCH, net, train

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lossgrade_checks.finding import Fix
    from lossgrade_checks.fixes import Patch
    from lossgrade_checks.meaning.events import LossCall

NET = net("F.softmax(self.fc(x), dim=1)")
TRAIN = train("nn.CrossEntropyLoss()")
NOTEBOOK = """X, y = torch.randn(100, 20), torch.randint(0, 3, (100,))
model = nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 3))
optimizer = torch.optim.Adam(model.parameters())

for epoch in range(5):
    y_pred = {}
    loss = F.cross_entropy(y_pred, y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print((y_pred.argmax(dim=1) == y).float().mean())
"""


class SoftmaxIntoCrossEntropy(Rule):
    """Give `cross_entropy` the logits: it applies softmax itself.

    Softmax of probabilities is nearly uniform, since they all lie between 0 and 1. Of C classes
    the right one gets at most e / (e + C - 1), so the loss of no example falls below
    ln(1 + (C - 1) / e): 0.313 for C = 2, 1.461 for C = 10, 5.909 for C = 1000. At the start of
    training, where all logits are alike, the gradient is C times smaller than it should be. The
    network still learns, slowly, which is why the mistake is hard to see.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
    """

    code = "LG101"
    name = "softmax-into-cross-entropy"
    severity = "error"
    fix = "safe or unsafe"
    needs = (words.CROSS_ENTROPY, words.PROBABILITIES)
    examples = (
        Example(
            bad=TORCH + BATCH + "loss = F.cross_entropy(F.softmax(logits, dim=1), targets)\n",
            good=TORCH + BATCH + "loss = F.cross_entropy(logits, targets)\n",
        ),
        Example(
            bad=TORCH + BATCH + "loss = nn.CrossEntropyLoss()(logits.softmax(-1), targets)\n",
            good=TORCH + BATCH + "loss = nn.CrossEntropyLoss()(logits, targets)\n",
        ),
        Example(
            bad=TORCH + BATCH + "probabilities = torch.softmax(logits / 0.5, dim=1)\n"
            "loss = F.cross_entropy(input=probabilities, target=targets)\n",
            good=TORCH + BATCH + "probabilities = logits / 0.5\n"
            "loss = F.cross_entropy(input=probabilities, target=targets)\n",
        ),
        # The cells of a notebook, one after the other.
        Example(
            bad=TORCH + NOTEBOOK.format("F.softmax(model(X), dim=1)"),
            good=TORCH + NOTEBOOK.format("model(X)"),
        ),
        Example(
            bad=TORCH + BATCH + "out = logits * 2\nout = F.softmax(out, dim=1)\n"
            "loss = F.cross_entropy(out, targets)\n",
            good=TORCH + BATCH + "out = logits * 2\nloss = F.cross_entropy(out, targets)\n",
        ),
        Example(bad=TORCH + NET + TRAIN, good=TORCH + net("self.fc(x)") + TRAIN),
        Example(
            bad="import torch\nfrom model import Net\nfrom torch import nn\n" + TRAIN,
            good=None,
            files=(("model.py", TORCH + NET),),
        ),
        Example(
            bad=TORCH + BATCH + "net = nn.Sequential(\n    nn.Linear(10, 32),\n    nn.ReLU(),\n"
            "    nn.Linear(32, 10),\n    nn.Softmax(dim=1),\n)\n"
            "criterion = nn.CrossEntropyLoss(label_smoothing=0.1)\n"
            "loss = criterion(net(logits), targets)\n",
            good=TORCH + BATCH + "net = nn.Sequential(\n    nn.Linear(10, 32),\n    nn.ReLU(),\n"
            "    nn.Linear(32, 10),\n)\n"
            "criterion = nn.CrossEntropyLoss(label_smoothing=0.1)\n"
            "loss = criterion(net(logits), targets)\n",
        ),
        Example(
            bad=TORCH + BATCH + "net = nn.Sequential(nn.Linear(10, 10), nn.Softmax(dim=1))\n"
            "loss = F.cross_entropy(net(logits), targets)\n",
            good=TORCH + BATCH + "net = nn.Sequential(nn.Linear(10, 10))\n"
            "loss = F.cross_entropy(net(logits), targets)\n",
        ),
        Example(
            bad="from functools import partial\n"
            + TORCH
            + BATCH
            + "activation = partial(F.softmax, dim=1)\n"
            "smoothed = partial(F.cross_entropy, label_smoothing=0.1)\n"
            "loss = smoothed(activation(logits), targets)\n",
            good="from functools import partial\n"
            + TORCH
            + BATCH
            + "activation = partial(F.softmax, dim=1)\n"
            "smoothed = partial(F.cross_entropy, label_smoothing=0.1)\n"
            "loss = smoothed(logits, targets)\n",
        ),
        Example(
            bad=TORCH + "def classify(head, x):\n    out = head(x)\n"
            "    return torch.exp(F.log_softmax(out, dim=1))\n\n\n"
            + BATCH
            + "loss = F.cross_entropy(classify(nn.Linear(10, 10), logits), targets)\n",
        ),
        Example(
            bad=TORCH + BATCH + "exponentials = torch.exp(logits)\n"
            "probabilities = exponentials / exponentials.sum(dim=1, keepdim=True)\n"
            "loss = F.cross_entropy(probabilities, targets)\n",
        ),
        Example(
            bad=TORCH + "class Trainer:\n    def __init__(self):\n"
            "        self.softmax = nn.Softmax(dim=1)\n"
            "        self.criterion = nn.CrossEntropyLoss()\n\n"
            "    def loss(self, logits, targets):\n"
            "        return self.criterion(self.softmax(logits), targets)\n",
            good=TORCH + "class Trainer:\n    def __init__(self):\n"
            "        self.softmax = nn.Softmax(dim=1)\n"
            "        self.criterion = nn.CrossEntropyLoss()\n\n"
            "    def loss(self, logits, targets):\n"
            "        return self.criterion(logits, targets)\n",
        ),
    )
    near_misses = (
        TORCH + BATCH + "probabilities = F.softmax(logits, dim=1)\n"
        "loss = F.cross_entropy(logits, targets)\n"
        "confidence = probabilities.max(dim=1).values\n",
        TORCH + BATCH + "teacher = torch.randn(8, 10)\n"
        "loss = F.cross_entropy(logits, F.softmax(teacher, dim=1))\n",
        # Attention: the softmax is over positions, and its result is multiplied with values.
        TORCH + "class Pooling(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.score, self.head = nn.Linear(16, 1), nn.Linear(16, 10)\n\n"
        "    def forward(self, x):\n        weights = F.softmax(self.score(x).squeeze(-1), dim=1)\n"
        "        return self.head(torch.bmm(weights.unsqueeze(1), x).squeeze(1))\n\n\n"
        "loss = F.cross_entropy(Pooling()(torch.randn(8, 5, 16)), torch.randint(0, 10, (8,)))\n",
        TORCH + "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.fc = nn.Linear(20, 10)\n\n    def forward(self, x):\n"
        "        logits = self.fc(x)\n"
        "        return logits if self.training else F.softmax(logits, dim=1)\n" + TRAIN,
        TORCH + "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.fc = nn.Linear(20, 10)\n\n    def forward(self, x):\n"
        "        logits = self.fc(x)\n        return logits, F.softmax(logits, dim=1)\n\n\n"
        "logits, probabilities = Net()(torch.randn(8, 20))\n"
        "loss = F.cross_entropy(logits, torch.randint(0, 10, (8,)))\n",
        # A name that is bound again before the loss and after it.
        TORCH + BATCH + "out = F.softmax(logits, dim=1)\nout = logits\n"
        "loss = F.cross_entropy(out, targets)\nout = F.softmax(out, dim=1)\n",
        # Somebody else's `softmax` and `cross_entropy`.
        "def softmax(x):\n    return x\n\n\n"
        "def cross_entropy(p, y):\n    return -(p * y).sum()\n\n\n"
        "def loss(x, y):\n    return cross_entropy(softmax(x), y)\n",
    )

    def loss(self, call: LossCall) -> Iterable[Report]:
        found = call.input
        if (
            call.loss.name == "cross_entropy"
            and isinstance(found, v.Tensor)
            and found.meaning == v.PROBABILITIES
        ):
            message = "`cross_entropy` applies softmax itself: give it logits, not probabilities"
            if found.outputs is not None and found.outputs > 1:
                floor = math.log1p((found.outputs - 1) / math.e)
                message += f"; of {found.outputs} classes, its loss cannot fall below {floor:.3f}"
            related = (("softmax is applied here", found.origin),) if found.origin else ()
            yield Report(call, message, related, lambda patch: _fix(patch, call, found))


def _fix(patch: Patch, call: LossCall, found: v.Tensor) -> Fix | None:
    activation = found.activation
    if activation is None or activation.kind != "softmax":
        return None
    make = safe if is_inline(patch, call, activation) else unsafe
    return make("Remove the softmax", without(patch, activation))
