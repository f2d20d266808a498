"""LG503: `backward` is called on what has been cut off from its graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lossgrade_checks.meaning import values as v
from lossgrade_checks.rule import Example, Report, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lossgrade_checks.meaning.events import Backward, LossCall

IMPORTS = "import torch\nimport torch.nn as nn\nimport torch.nn.functional as F\n\n\n"


class LossItemOrDetachBeforeBackward(Rule):
    """Call `backward` on the loss itself, before `item`, `detach` or `float` is taken of it.

    `loss.item()` and `float(loss)` are Python numbers: `backward` is no attribute of them.
    `loss.detach()`, `loss.data` and `torch.tensor(loss)` hold the value without the graph that led
    to it, and `backward` raises "element 0 of tensors does not require grad". With
    `torch.tensor(loss, requires_grad=True)` it raises nothing and does nothing: the gradient of
    every parameter stays None, so no step of the optimizer changes the network. The same holds
    for a loss of logits that were detached.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.Tensor.detach.html
    """

    code = "LG503"
    name = "loss-item-or-detach-before-backward"
    severity = "error"
    fix = "none"
    examples = (
        Example(
            IMPORTS + "def step(model, x, y):\n"
            "    loss = F.cross_entropy(model(x), y).item()\n"
            "    loss.backward()\n"
        ),
        Example(
            IMPORTS + "def step(model, x, y):\n"
            "    criterion = nn.CrossEntropyLoss()\n"
            "    loss = criterion(model(x), y)\n"
            "    loss.detach().backward()\n"
        ),
        Example(
            IMPORTS + "def step(model, x, y):\n"
            "    loss = F.cross_entropy(model(x), y)\n"
            "    loss = loss.data\n"
            "    loss.backward()\n"
        ),
        Example(
            IMPORTS + "def step(model, x, y):\n"
            "    loss = float(F.cross_entropy(model(x), y))\n"
            "    loss.backward()\n"
        ),
        Example(
            IMPORTS + "def step(model, x, y):\n"
            "    loss = torch.tensor(F.cross_entropy(model(x), y), requires_grad=True)\n"
            "    loss.backward()\n"
        ),
        Example(
            IMPORTS + "def step(model, x, y):\n"
            "    loss = F.cross_entropy(model(x).detach(), y)\n"
            "    loss.backward()\n"
        ),
        Example(
            IMPORTS + "def epoch(model, batches, optimizer):\n"
            "    total = 0.0\n"
            "    for x, y in batches:\n"
            "        total += F.cross_entropy(model(x), y).item()\n"
            "    optimizer.zero_grad()\n"
            "    total.backward()\n"
            "    optimizer.step()\n"
        ),
        Example(
            "import torch.nn as nn\n\n"
            "from network import Network\n\n"
            "criterion = nn.CrossEntropyLoss()\n\n\n"
            "def step(x, y):\n"
            "    network = Network()\n"
            "    loss = criterion(network(x), y)\n"
            "    loss.backward()\n"
            "    return network\n",
            files=(
                (
                    "network.py",
                    "import torch.nn as nn\n\n\n"
                    "class Network(nn.Module):\n"
                    "    def __init__(self):\n"
                    "        super().__init__()\n"
                    "        self.linear = nn.Linear(20, 10)\n\n"
                    "    def forward(self, x):\n"
                    "        return self.linear(x).detach()\n",
                ),
            ),
        ),
    )
    near_misses = (
        IMPORTS + "def step(model, x, y):\n"
        "    loss = F.cross_entropy(model(x), y)\n"
        "    loss.backward()\n"
        "    return loss.item(), float(loss), loss.detach()\n",
        IMPORTS + "def step(model, x, y, running):\n"
        "    loss = F.cross_entropy(model(x), y)\n"
        "    running += loss.item()\n"
        "    loss.backward()\n"
        "    return running\n",
        # A discriminator trains on what the generator made: its own parameters come after.
        IMPORTS + "def step(generator, discriminator, noise, real):\n"
        "    fake = generator(noise)\n"
        "    guess = discriminator(fake.detach())\n"
        "    loss = F.binary_cross_entropy_with_logits(guess, torch.zeros_like(guess))\n"
        "    loss.backward()\n",
        IMPORTS + "discriminator = nn.Sequential(nn.Flatten(), nn.Linear(784, 1), nn.Sigmoid())\n"
        "criterion = nn.BCELoss()\n\n\n"
        "def step(fake):\n"
        "    loss = criterion(discriminator(fake.detach()), torch.zeros(fake.size(0), 1))\n"
        "    loss.backward()\n",
        # The gradient flows through the second argument.
        IMPORTS + "def commitment(encoder, codebook, x):\n"
        "    encoded = encoder(x)\n"
        "    nearest = codebook(encoded)\n"
        "    loss = F.mse_loss(nearest.detach(), encoded) + F.mse_loss(nearest, encoded.detach())\n"
        "    loss.backward()\n",
        # A leaf of its own: its gradient is what is asked for.
        IMPORTS + "def adversarial(model, x, y):\n"
        "    x = x.detach().requires_grad_()\n"
        "    loss = F.cross_entropy(model(x), y)\n"
        "    loss.backward()\n"
        "    return x.grad.sign()\n",
        IMPORTS + "def gradient(logits, y):\n"
        "    logits = logits.detach()\n"
        "    logits.requires_grad = True\n"
        "    F.cross_entropy(logits, y).backward()\n"
        "    return logits.grad\n",
        # Calibration: the temperature is what learns.
        IMPORTS + "def calibrate(model, x, y):\n"
        "    temperature = nn.Parameter(torch.ones(1))\n"
        "    loss = F.cross_entropy(model(x).detach() / temperature, y)\n"
        "    loss.backward()\n"
        "    return temperature.grad\n",
        # Other terms of the loss have a graph.
        IMPORTS + "def regularized(model, x, y):\n"
        "    loss = F.cross_entropy(model(x).detach(), y) + model.penalty()\n"
        "    loss.backward()\n",
        # A weight that is learned has a graph, whatever it is multiplied with.
        IMPORTS + "def weigh(model, weight, x, y):\n"
        "    loss = F.cross_entropy(model(x), y)\n"
        "    (weight * loss.detach()).backward()\n",
    )
    needs = (
        frozenset({"backward", "manual_backward"}),
        frozenset({"item", "detach", "detach_", "data", "float", "tensor", "tolist", "as_tensor"}),
    )

    def backward(self, call: Backward) -> Iterable[Report]:
        value = call.value
        if not isinstance(value, v.Tensor):
            return
        if value.cut == "item":
            message = "This is a number, without `backward`: call it on the loss itself"
            yield Report(call, message, _related(value))
        elif value.cut:
            message = "`backward` on what is cut off from its graph: call it on the loss itself"
            yield Report(call, message, _related(value))
        elif value.whole and all(_is_cut(loss) for loss in value.losses):
            message = (
                "`backward` reaches no parameter, the input of the loss is cut off from its graph: "
                "give the loss the outputs themselves"
            )
            yield Report(call, message, _related(value.losses[0].input))


def _related(value: v.Tensor) -> tuple[tuple[str, v.Site], ...]:
    return (("it is cut off here", value.cut_site),) if value.cut_site else ()


def _is_cut(loss: LossCall) -> bool:
    """Whether no gradient flows through the loss: neither from its input nor from its target."""
    found, target = loss.input, loss.target
    if not isinstance(found, v.Tensor) or not found.cut:
        return False
    if loss.loss.name in TARGETS_OF_NO_GRADIENT:
        return not (isinstance(target, v.Tensor) and target.learned and not target.cut)
    return isinstance(target, v.Tensor) and bool(
        target.data or target.cut or target.meaning in {v.ONE_HOT, v.CLASS_INDICES}
    )


# Their targets are labels. That of a squared error may be what is trained.
TARGETS_OF_NO_GRADIENT = frozenset({"cross_entropy", "nll_loss", "binary_cross_entropy"})
