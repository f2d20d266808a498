"""LG602: the constructor of an activation is given the tensor that the layer should get."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lossgrade_checks.finding import Edit
from lossgrade_checks.fixes import Patch, safe
from lossgrade_checks.meaning import values as v
from lossgrade_checks.rule import Example, Report, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lossgrade_checks.finding import Fix
    from lossgrade_checks.meaning.events import Construction

NET = """\
import torch
import torch.nn as nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x):
"""


class TensorToSoftmaxConstructor(Rule):
    """Make the layer first, then call it: `nn.Softmax(dim=1)(x)`.

    `nn.Softmax(x)` makes a layer that should run over the axis x. It computes nothing: what
    follows fails with "'Softmax' object has no attribute ...", or where a tensor was expected.
    `nn.Softmax(x, dim=1)` and `nn.Sigmoid(x)` raise TypeError at once.

    The fix keeps the `dim` that was given. Where none was, it writes the axis only if there is no
    doubt of it: the last for what comes from a linear layer, the channels (1) for a convolution,
    1 for a matrix with a row for each example. Of anything else you must choose the axis.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Softmax.html
    """

    code = "LG602"
    name = "tensor-to-softmax-constructor"
    severity = "error"
    fix = "safe"
    examples = (
        Example(
            bad=NET + "        return nn.Softmax(self.linear(x))\n",
            good=NET + "        return nn.Softmax(dim=-1)(self.linear(x))\n",
        ),
        Example(
            bad=NET + "        return nn.LogSoftmax(self.linear(x), dim=1)\n",
            good=NET + "        return nn.LogSoftmax(dim=1)(self.linear(x))\n",
        ),
        Example(
            bad=NET + "        x = self.linear(x)\n        return nn.Sigmoid(x)\n",
            good=NET + "        x = self.linear(x)\n        return nn.Sigmoid()(x)\n",
        ),
        Example(
            bad="from torch.nn import Sigmoid\n\n\n"
            "def probabilities(logits):\n"
            "    return Sigmoid(logits)\n",
            good="from torch.nn import Sigmoid\n\n\n"
            "def probabilities(logits):\n"
            "    return Sigmoid()(logits)\n",
        ),
        Example(
            bad="import torch.nn as nn\n\n\n"
            "def predict(logits):\n"
            "    return nn.Softmax(logits, 1).argmax(1)\n",
            good="import torch.nn as nn\n\n\n"
            "def predict(logits):\n"
            "    return nn.Softmax(1)(logits).argmax(1)\n",
        ),
        # Used as a tensor, it was meant to be one; its axes are not known.
        Example(
            bad="import torch.nn as nn\n\n\n"
            "def predict(model, x):\n"
            "    probabilities = nn.Softmax(model(x))\n"
            "    return probabilities.argmax(1)\n",
        ),
        Example(
            bad=NET.replace("Linear(4, 3)", "Conv2d(4, 3, 1)")
            + "        x = self.linear(x)\n        return nn.Softmax(x)\n",
            good=NET.replace("Linear(4, 3)", "Conv2d(4, 3, 1)")
            + "        x = self.linear(x)\n        return nn.Softmax(dim=1)(x)\n",
        ),
    )
    near_misses = (
        NET + "        return nn.Softmax(dim=-1)(self.linear(x))\n",
        # The axis is given, though not as a constant.
        "import torch.nn as nn\n\n\n"
        "def head(dim, shape):\n"
        "    return nn.Softmax(dim), nn.Softmax(len(shape) - 1), nn.LogSoftmax(dim + 1)\n",
        "import torch.nn as nn\n\n\n"
        "def predict(x, axis):\n"
        "    softmax = nn.Softmax(axis)\n"
        "    return softmax(x).argmax(1)\n",
        "import torch.nn as nn\n\n"
        "layers = nn.Sequential(nn.Linear(4, 3), nn.Softmax(-1), nn.Softmax2d())\n"
        "gate = nn.Sigmoid()\n",
        # A class of the project.
        "import torch.nn as nn\n\n\n"
        "class Softmax(nn.Module):\n"
        "    def __init__(self, network, dim=1):\n"
        "        super().__init__()\n"
        "        self.network, self.dim = network, dim\n\n\n"
        "model = Softmax(nn.Linear(4, 3), dim=1)\n",
    )
    needs = (frozenset({"Softmax", "LogSoftmax", "Softmin", "Softmax2d", "Sigmoid", "LogSigmoid"}),)

    def construction(self, made: Construction) -> Iterable[Report]:
        layer = made.layer
        home, _, cls = layer.path.rpartition(".")
        if home not in HOMES or cls not in WITH_AXIS | WITHOUT or not layer.positional:
            return
        if cls in WITHOUT:
            example = f"{cls}()(input)"
        elif len(layer.positional) + len(layer.keywords) > 1 or _is_meant_for_tensor(made):
            example = f"{cls}(dim=...)(input)"
        else:
            return
        message = (
            f"`{cls}` takes no tensor when it is made: make the layer, then call it, `{example}`"
        )
        yield Report(made, message, fix=lambda patch: _fix(patch, made, cls in WITHOUT))


HOMES = {"torch.nn", "torch.nn.modules.activation"}
WITH_AXIS = {"Softmax", "LogSoftmax", "Softmin"}
# Their constructors take nothing at all.
WITHOUT = {"Softmax2d", "Sigmoid", "LogSigmoid"}


def _is_meant_for_tensor(made: Construction) -> bool:
    """Whether the only argument is surely a tensor, or what was made is used as one."""
    only = made.layer.positional[0]
    if v.is_tensor(only):
        return True
    number = isinstance(only, v.Constant)
    return bool(made.used_as_tensor) and not made.called and not number


def _fix(patch: Patch, made: Construction, without: bool) -> Fix | None:
    call = patch.call(made.node)
    if call is None or any(arg.star for arg in call.args) or call.args[0].keyword:
        return None
    edits = []
    axis = None
    if without:
        axis = "" if len(call.args) == 1 else None
    elif len(call.args) == 2:
        # Of two arguments the second is the axis.
        start, end = patch.span_of_argument(call.args[1])
        axis = patch.text[start:end]
        edits.append(Edit(patch.span_of_argument(call.args[0])[1], end, ""))
    elif len(call.args) == 1:
        axis = _axis(made.layer.positional[0])
    if axis is None:
        return None
    return safe("Make the layer, then call it", patch.insert_after(call.func, f"({axis})"), *edits)


def _axis(operand: Any) -> str | None:
    """Return the argument that names the axis of the classes, where there is no doubt of it."""
    if isinstance(operand, v.Tensor):
        if operand.meaning == v.LOGITS and operand.outputs is not None:
            return f"dim={operand.outputs_axis}"
        if operand.rank == 2 and operand.rows:
            return "dim=1"
    return None
