"""LG601: the constructor of a loss is given what the loss itself should get."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lossgrade_checks.finding import Edit
from lossgrade_checks.fixes import Patch, safe
from lossgrade_checks.meaning import program as p
from lossgrade_checks.meaning import tables
from lossgrade_checks.meaning import values as v
from lossgrade_checks.rule import Example, Report, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lossgrade_checks.finding import Fix
    from lossgrade_checks.meaning.events import Construction

IMPORTS = "import torch\nimport torch.nn as nn\n\n\n"


class TensorsToLossConstructor(Rule):
    """Make the loss first, then call it: `nn.CrossEntropyLoss()(logits, targets)`.

    `nn.CrossEntropyLoss(logits, targets)` makes an object whose class weights are the logits and
    whose `size_average` is the targets. For more than one target that raises "Boolean value of
    Tensor with more than one value is ambiguous"; for a single one it gives an object, not a
    loss, which has no `backward`. No loss is computed in either case.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
    """

    code = "LG601"
    name = "tensors-to-loss-constructor"
    severity = "error"
    fix = "safe"
    examples = (
        Example(
            bad=IMPORTS + "def step(model, x, y):\n"
            "    loss = nn.CrossEntropyLoss(model(x), y)\n"
            "    loss.backward()\n",
            good=IMPORTS + "def step(model, x, y):\n"
            "    loss = nn.CrossEntropyLoss()(model(x), y)\n"
            "    loss.backward()\n",
        ),
        Example(
            bad="from torch.nn import MSELoss\n\n\n"
            "def error(outputs, targets):\n"
            "    return MSELoss(outputs, targets)\n",
            good="from torch.nn import MSELoss\n\n\n"
            "def error(outputs, targets):\n"
            "    return MSELoss()(outputs, targets)\n",
        ),
        Example(
            bad=IMPORTS + "def total(model, x, y):\n"
            '    return nn.CrossEntropyLoss(model(x), y, reduction="sum")\n',
            good=IMPORTS + "def total(model, x, y):\n"
            '    return nn.CrossEntropyLoss(reduction="sum")(model(x), y)\n',
        ),
        Example(
            bad=IMPORTS + "def loss(outputs, targets):\n"
            "    return nn.BCEWithLogitsLoss(input=outputs, target=targets)\n",
            good=IMPORTS + "def loss(outputs, targets):\n"
            "    return nn.BCEWithLogitsLoss()(input=outputs, target=targets)\n",
        ),
        Example(
            bad=IMPORTS + "class Classifier(nn.Module):\n"
            "    def __init__(self):\n"
            "        super().__init__()\n"
            "        self.linear = nn.Linear(4, 3)\n\n"
            "    def loss(self, x, y):\n"
            "        logits = self.linear(x)\n"
            "        return nn.CrossEntropyLoss(\n"
            "            logits,\n"
            "            y,\n"
            "        )\n",
            good=IMPORTS + "class Classifier(nn.Module):\n"
            "    def __init__(self):\n"
            "        super().__init__()\n"
            "        self.linear = nn.Linear(4, 3)\n\n"
            "    def loss(self, x, y):\n"
            "        logits = self.linear(x)\n"
            "        return nn.CrossEntropyLoss()(\n"
            "            logits,\n"
            "            y,\n"
            "        )\n",
        ),
    )
    near_misses = (
        IMPORTS + "def step(model, x, y):\n    return nn.CrossEntropyLoss()(model(x), y)\n",
        # Weights of the classes are for the constructor.
        IMPORTS + "weights = torch.tensor([1.0, 2.0, 0.5])\n"
        "criterion = nn.CrossEntropyLoss(weights)\n"
        "by_name = nn.BCEWithLogitsLoss(weight=weights, pos_weight=weights)\n",
        IMPORTS + "def criterion(counts, device):\n"
        "    weights = (counts.sum() / counts).to(device)\n"
        '    return nn.CrossEntropyLoss(weights, reduction="none")\n',
        # Options, not tensors.
        IMPORTS + "hinge = nn.MultiMarginLoss(1, 0.5)\n"
        'huber = nn.HuberLoss("sum", 2.0)\n'
        "ranking = nn.TripletMarginLoss(1.0, 2)\n",
        IMPORTS + "def make(margin, exponent, delta, how):\n"
        "    return nn.MultiMarginLoss(exponent, margin), nn.HuberLoss(how, delta)\n",
        # It is called: what it was made with are its options, whatever they are called.
        IMPORTS + "def loss(first, second, x, y):\n"
        "    criterion = nn.NLLLoss(first, second)\n"
        "    return criterion(x, y)\n",
        # A class of the project.
        IMPORTS + "class PairLoss(nn.Module):\n"
        "    def __init__(self, a, b):\n"
        "        super().__init__()\n"
        "        self.a, self.b = a, b\n\n\n"
        "def make(model, x, y):\n"
        "    return PairLoss(model(x), y)\n",
    )
    needs = (frozenset(path.rpartition(".")[2] for path in tables.LOSSES),)

    def construction(self, made: Construction) -> Iterable[Report]:
        loss = tables.LOSSES.get(made.layer.path)
        if loss is None or made.layer.path.startswith("torch.nn.functional."):
            return
        given = made.layer.positional
        tensors = len(given) >= 2 and v.is_tensor(given[1])
        named = made.layer.keywords.keys() & {"input", "target"}
        if tensors or named or _must_be_tensors(made, loss):
            cls = made.layer.path.rpartition(".")[2]
            message = (
                f"`{cls}` is made without what it compares: make the loss, then call it, "
                f"`{cls}()(input, target)`"
            )
            yield Report(
                made,
                message,
                fix=lambda patch: _fix(patch, made, loss),
                likely=not (tensors or named or made.used_as_tensor),
            )


# What else than tensors is given to a constructor in the first two places.
OPTION = re.compile(r"weight|average|avg|reduc|mean|sum|size|batch", re.IGNORECASE)


def _must_be_tensors(made: Construction, loss: tables.Loss) -> bool:
    """Whether two arguments of which nothing is known can be no options.

    In the second place is an argument that is deprecated, and True or False.
    """
    if len(made.layer.positional) != 2 or made.layer.open or made.called:
        return False
    if loss.constructor[1] not in {"size_average", "reduce"}:
        return False
    known = [isinstance(x, v.Tensor | v.Unknown | v.Method) for x in made.layer.positional]
    names = [_name(argument.value) for argument in made.node.arguments[:2]]
    names += [x.name for x in made.layer.positional if isinstance(x, v.Unknown | v.Method)]
    return all(known) and not any(OPTION.search(name) for name in names)


def _name(node: p.Expression) -> str:
    if isinstance(node, p.Name):
        return node.id
    if isinstance(node, p.Subscript) and isinstance(node.index[0], p.Constant):
        return str(node.index[0].value)
    return node.name if isinstance(node, p.Attribute) else ""


def _fix(patch: Patch, made: Construction, loss: tables.Loss) -> Fix | None:
    call = patch.call(made.node)
    if call is None or any(arg.star for arg in call.args) or len(made.layer.positional) > 2:
        return None
    options = [arg for arg in call.args if arg.keyword and arg.keyword.value in loss.constructor]
    if len(call.args) - len(options) != 2 or options != list(call.args[2:]):
        return None
    moved = ""
    edits = []
    if options:
        start = patch.span_of_argument(call.args[1])[1]
        end = patch.span_of_argument(options[-1])[1]
        moved = patch.text[patch.span_of_argument(options[0])[0] : end]
        edits.append(Edit(start, end, ""))
    return safe("Make the loss, then call it", patch.insert_after(call.func, f"({moved})"), *edits)
