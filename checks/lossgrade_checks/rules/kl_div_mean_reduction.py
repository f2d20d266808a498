"""LG501: a KL divergence is averaged over classes too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lossgrade_checks.fixes import Patch, unsafe
from lossgrade_checks.meaning import values as v
from lossgrade_checks.rule import Example, Report, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lossgrade_checks.finding import Fix
    from lossgrade_checks.meaning.events import Construction, Event, LossCall

USES_F = "import torch.nn.functional as F\n\n\n"
USES_NN = "import torch.nn as nn\nimport torch.nn.functional as F\n\n\n"


class KlDivMeanReduction(Rule):
    """Reduce `kl_div` with "batchmean"; its "mean" divides by the number of classes too.

    The divergence of one distribution from another is a sum over classes. `reduction="mean"`,
    which is the default, divides the total by examples times classes, "batchmean" by examples
    alone. With C classes "mean" gives 1/C of the divergence: a tenth for 10, a thousandth for
    1000. Of P = [[0.9, 0.1], [0.3, 0.7]] from Q = [[0.5, 0.5], [0.1, 0.9]] the mean divergence is
    0.261; "mean" says 0.130. Beside another loss, as in distillation, the divergence then weighs
    too little. PyTorch warns at each call.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.KLDivLoss.html
    """

    code = "LG501"
    name = "kl-div-mean-reduction"
    severity = "warning"
    fix = "unsafe"
    examples = (
        Example(
            bad=USES_F + "def divergence(logits, targets):\n"
            "    return F.kl_div(F.log_softmax(logits, dim=1), targets)\n",
            good=USES_F + "def divergence(logits, targets):\n"
            "    return F.kl_div(F.log_softmax(logits, dim=1), targets, "
            'reduction="batchmean")\n',
        ),
        Example(
            bad=USES_F + "def divergence(logits, targets):\n"
            '    return F.kl_div(F.log_softmax(logits, dim=1), targets, reduction="mean")\n',
            good=USES_F + "def divergence(logits, targets):\n"
            "    return F.kl_div(F.log_softmax(logits, dim=1), targets, "
            'reduction="batchmean")\n',
        ),
        Example(
            bad=USES_NN + "class Distillation(nn.Module):\n"
            "    def __init__(self, temperature=4.0):\n"
            "        super().__init__()\n"
            "        self.temperature = temperature\n"
            "        self.divergence = nn.KLDivLoss()\n\n"
            "    def forward(self, student, teacher):\n"
            "        student = F.log_softmax(student / self.temperature, dim=1)\n"
            "        teacher = F.softmax(teacher / self.temperature, dim=1)\n"
            "        return self.divergence(student, teacher) * self.temperature**2\n",
            good=USES_NN + "class Distillation(nn.Module):\n"
            "    def __init__(self, temperature=4.0):\n"
            "        super().__init__()\n"
            "        self.temperature = temperature\n"
            '        self.divergence = nn.KLDivLoss(reduction="batchmean")\n\n'
            "    def forward(self, student, teacher):\n"
            "        student = F.log_softmax(student / self.temperature, dim=1)\n"
            "        teacher = F.softmax(teacher / self.temperature, dim=1)\n"
            "        return self.divergence(student, teacher) * self.temperature**2\n",
        ),
        Example(
            bad="import torch.nn as nn\n\ncriterion = nn.KLDivLoss(log_target=True)\n",
            good="import torch.nn as nn\n\n"
            'criterion = nn.KLDivLoss(log_target=True, reduction="batchmean")\n',
        ),
    )
    near_misses = (
        USES_F + "def divergence(logits, targets):\n"
        '    return F.kl_div(F.log_softmax(logits, dim=1), targets, reduction="batchmean")\n',
        "import torch.nn as nn\n\n"
        'criterion = nn.KLDivLoss(reduction="sum")\n'
        'by_class = nn.KLDivLoss(reduction="none")\n',
        # Nothing is known of how it is reduced.
        USES_NN + "def divergence(logits, targets, **options):\n"
        "    return F.kl_div(F.log_softmax(logits, dim=1), targets, **options)\n\n\n"
        "def criterion(options, how):\n"
        "    return nn.KLDivLoss(**options), nn.KLDivLoss(reduction=how)\n",
        USES_F + "def divergence(logits, targets):\n"
        '    by_class = F.kl_div(F.log_softmax(logits, dim=1), targets, reduction="none")\n'
        "    return by_class.sum(dim=1).mean()\n",
    )
    needs = (frozenset({"kl_div", "KLDivLoss"}),)

    def loss(self, call: LossCall) -> Iterable[Report]:
        is_open = any(argument.star for argument in call.node.arguments)
        if call.loss.name == "kl_div" and call.layer is None and not is_open:
            yield from _report(call, call.node, 4, call.options.get)

    def construction(self, made: Construction) -> Iterable[Report]:
        layer = made.layer
        if layer.path in KL_DIV_LOSSES and not layer.open:
            given = dict(zip(POSITIONAL, layer.positional, strict=False)) | layer.keywords
            yield from _report(made, made.node, 2, given.get)


KL_DIV_LOSSES = {"torch.nn.KLDivLoss", "torch.nn.modules.loss.KLDivLoss"}
POSITIONAL = ("size_average", "reduce", "reduction", "log_target")


def _report(event: Event, node: Any, position: int, given: Any) -> Iterable[Report]:
    """Report a call at `node` whose argument at `position` is the reduction."""
    # The two old arguments decide where they are given, and have a rule of their own.
    old = any(given(name) not in (None, v.NONE) for name in ("size_average", "reduce"))
    if not old and given("reduction") in (None, v.Constant("mean")):
        message = (
            '`reduction="mean"` divides the divergence by the number of classes too: '
            'reduce with "batchmean"'
        )
        yield Report(event, message, fix=lambda patch: _fix(patch, node, position))


def _fix(patch: Patch, node: Any, position: int) -> Fix | None:
    call = patch.call(node)
    if call is None:
        return None
    found = patch.argument(call, position, "reduction")
    edit = (
        patch.set_keyword(call, "reduction", '"batchmean"')
        if found is None
        else patch.replace(found.value, '"batchmean"')
    )
    return unsafe("Reduce with batchmean", edit)
