"""LG108: probabilities or logits go where `kl_div` expects log-probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lossgrade_checks import words
from lossgrade_checks.activation_fixes import instead
from lossgrade_checks.evidence import swapped
from lossgrade_checks.fixes import unsafe
from lossgrade_checks.meaning import values as v
from lossgrade_checks.rule import Example, Report, Rule
from lossgrade_checks.snippets import TORCH

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lossgrade_checks.finding import Fix
    from lossgrade_checks.fixes import Patch
    from lossgrade_checks.meaning.events import LossCall

LOGITS = "student = torch.randn(8, 10)\nteacher = torch.randn(8, 10)\n"
WANTED = "target = F.softmax(teacher, dim=1)\n"
FOUND = {v.PROBABILITIES: "probabilities", v.SIGMOID: "probabilities", v.LOGITS: "logits"}


class ProbsIntoKlDiv(Rule):
    """Give `kl_div` log-probabilities first, and probabilities second.

    `kl_div` computes target * (log(target) - input): it takes the logarithm of the target, not of
    the input. With probabilities as its input the result is no divergence. For two equal uniform
    distributions over 10 classes it is -2.40 instead of 0, and it falls further the larger the
    probabilities are, so it is smallest where all rows are the most likely class of the target.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.KLDivLoss.html
    """

    code = "LG108"
    name = "probs-into-kl-div"
    severity = "error"
    fix = "unsafe"
    needs = (words.KL_DIV, words.PROBABILITIES | words.SIGMOID | words.OUTPUT_LAYERS)
    examples = (
        Example(
            bad=TORCH
            + LOGITS
            + WANTED
            + "loss = F.kl_div(F.softmax(student, dim=1), target, reduction='batchmean')\n",
            good=TORCH
            + LOGITS
            + WANTED
            + "loss = F.kl_div(F.log_softmax(student, dim=1), target, reduction='batchmean')\n",
        ),
        Example(
            bad=TORCH + LOGITS + WANTED + "p = (student / 4).softmax(dim=-1)\n"
            "loss = nn.KLDivLoss(reduction='batchmean')(p, target)\n",
            good=TORCH + LOGITS + WANTED + "p = (student / 4).log_softmax(dim=-1)\n"
            "loss = nn.KLDivLoss(reduction='batchmean')(p, target)\n",
        ),
        Example(
            bad=TORCH + "class Distillation(nn.Module):\n    def __init__(self):\n"
            "        super().__init__()\n        self.softmax = nn.Softmax(dim=1)\n"
            "        self.divergence = nn.KLDivLoss(reduction='sum')\n\n"
            "    def forward(self, student, target):\n"
            "        return self.divergence(self.softmax(student), target)\n",
            good=TORCH + "class Distillation(nn.Module):\n    def __init__(self):\n"
            "        super().__init__()\n        self.softmax = nn.LogSoftmax(dim=1)\n"
            "        self.divergence = nn.KLDivLoss(reduction='sum')\n\n"
            "    def forward(self, student, target):\n"
            "        return self.divergence(self.softmax(student), target)\n",
        ),
        Example(
            bad=TORCH + LOGITS + "loss = F.kl_div(\n    F.softmax(student, dim=1),\n"
            "    F.log_softmax(teacher, dim=1),\n"
            "    reduction='batchmean',\n    log_target=True,\n)\n",
            good=TORCH + LOGITS + "loss = F.kl_div(\n    F.log_softmax(student, dim=1),\n"
            "    F.log_softmax(teacher, dim=1),\n"
            "    reduction='batchmean',\n    log_target=True,\n)\n",
        ),
        Example(
            bad=TORCH + LOGITS + WANTED + "head = nn.Linear(10, 10)\n"
            "loss = F.kl_div(head(student), target, reduction='batchmean')\n",
        ),
    )
    near_misses = (
        TORCH + LOGITS + "temperature = 4.0\nloss = F.kl_div(\n"
        "    F.log_softmax(student / temperature, dim=1),\n"
        "    F.softmax(teacher / temperature, dim=1),\n    reduction='batchmean',\n"
        ") * temperature**2\n",
        TORCH + LOGITS + WANTED + "p = F.softmax(student, dim=1).clamp(min=1e-6)\n"
        "loss = F.kl_div(p.log(), target, reduction='batchmean')\n",
        TORCH + LOGITS + "loss = F.kl_div(\n    F.log_softmax(student, dim=1),\n"
        "    F.log_softmax(teacher, dim=1),\n"
        "    reduction='batchmean',\n    log_target=True,\n)\n",
        TORCH + "def loss(student, target):\n"
        "    return F.kl_div(student, target, reduction='batchmean')\n",
    )

    def loss(self, call: LossCall) -> Iterable[Report]:
        found = call.input
        if call.loss.name == "kl_div" and isinstance(found, v.Tensor) and not swapped(call):
            what = FOUND.get(found.meaning)
            if what is None or (found.meaning == v.LOGITS and found.guarded):
                return
            message = (
                f"`kl_div` expects log-probabilities as its input, not {what}: apply `log_softmax`"
            )
            related = (("they come from here", found.origin),) if found.origin else ()
            yield Report(call, message, related, lambda patch: _fix(patch, found))


def _fix(patch: Patch, found: v.Tensor) -> Fix | None:
    activation = found.activation
    if activation is None or activation.kind != "softmax":
        return None
    edits = instead(patch, activation, "log_softmax")
    return unsafe("Apply `log_softmax`", *edits) if edits else None
