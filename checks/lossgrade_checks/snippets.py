"""Parts of programs that the examples of several rules are put together from."""

from __future__ import annotations

TORCH = "import torch\nfrom torch import nn\nimport torch.nn.functional as F\n\n"
# Eight examples of ten classes, and eight of one yes-or-no question.
BATCH = "logits = torch.randn(8, 10)\ntargets = torch.randint(0, 10, (8,))\n"
BINARY_BATCH = "logits = torch.randn(8, 1)\ntargets = torch.randint(0, 2, (8, 1)).float()\n"


def net(output: str, outputs: int = 10, base: str = "nn.Module") -> str:
    """Return a module of one linear layer; `output` is what `forward` returns of `self.fc(x)`."""
    return (
        f"class Net({base}):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        f"        self.fc = nn.Linear(20, {outputs})\n"
        "\n"
        "    def forward(self, x):\n"
        f"        return {output}\n"
    )


def train(criterion: str, targets: str = "torch.randint(0, 10, (8,))") -> str:
    """Return the training of `Net()` by a loss, for after its class."""
    return (
        "\n\nnet = Net()\n"
        f"criterion = {criterion}\n"
        "optimizer = torch.optim.SGD(net.parameters(), lr=0.1)\n"
        "for _ in range(5):\n"
        f"    x, y = torch.randn(8, 20), {targets}\n"
        "    loss = criterion(net(x), y)\n"
        "    optimizer.zero_grad()\n"
        "    loss.backward()\n"
        "    optimizer.step()\n"
    )


BINARY_TARGETS = "torch.randint(0, 2, (8, 1)).float()"
