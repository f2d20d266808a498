"""LG402: the logarithm of a sigmoid is taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lossgrade_checks import words
from lossgrade_checks.fixes import operand_of, safe, says_more
from lossgrade_checks.meaning import values as v
from lossgrade_checks.rule import Example, Report, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable

    import libcst as cst

    from lossgrade_checks.finding import Fix
    from lossgrade_checks.fixes import Patch
    from lossgrade_checks.meaning.events import Logarithm

FUNCTION = """\
import torch
import torch.nn.functional as F


def generator_loss(discriminator, images):
    logits = discriminator(images)
    return -{}.mean()


loss = generator_loss(torch.nn.Identity(), torch.tensor([-110.0, 20.0]))
"""
NO_F = """\
# Losses.
import torch
{0}

def loss_of(logits):
    return {1}.mean()
"""
DISCRIMINATOR = """\
from torch import nn


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(784, 1), nn.Sigmoid())

    def forward(self, images):
        return self.layers(images)
"""


class LogOfSigmoid(Rule):
    """Take `logsigmoid` of the logits; never the logarithm of their sigmoid.

    In float32 the sigmoid of -89 is 0, since exp(89) is inf, and its logarithm -inf; for
    log(1 - sigmoid(z)) it ends sooner, since the sigmoid of 17 is already exactly 1. The loss is
    then inf and the gradient NaN. `F.logsigmoid(-89)` is -89, and the logarithm of 1 - sigmoid(z)
    is `F.logsigmoid(-z)`, -17 for z = 17: both are exact for every z.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.logsigmoid.html
    """

    code = "LG402"
    name = "log-of-sigmoid"
    severity = "warning"
    fix = "safe"
    needs = (words.LOG | {"log2", "log10"}, words.SIGMOID)
    examples = (
        Example(
            bad=FUNCTION.format("torch.log(torch.sigmoid(logits))"),
            good=FUNCTION.format("F.logsigmoid(logits)"),
        ),
        Example(
            bad=FUNCTION.format("logits.sigmoid().log()"),
            good=FUNCTION.format("F.logsigmoid(logits)"),
        ),
        Example(
            bad=FUNCTION.format("torch.log(1 - F.sigmoid(logits))"),
            good=FUNCTION.format("F.logsigmoid(-logits)"),
        ),
        Example(
            bad=FUNCTION.format("(1.0 - (logits + 1).sigmoid()).log()"),
            good=FUNCTION.format("F.logsigmoid(-(logits + 1))"),
        ),
        Example(
            bad=NO_F.format("", "torch.log(torch.sigmoid(logits))"),
            good=NO_F.format("", "torch.nn.functional.logsigmoid(logits)"),
        ),
        Example(
            bad=NO_F.format("from torch import nn\n", "torch.log(torch.sigmoid(logits))"),
            good=NO_F.format("from torch import nn\n", "nn.functional.logsigmoid(logits)"),
        ),
        Example(
            bad="""\
from torch import log, sigmoid


def loss_of(logits):
    return -log(sigmoid(logits)).mean()
""",
            good="""\
import torch
from torch import log, sigmoid


def loss_of(logits):
    return -torch.nn.functional.logsigmoid(logits).mean()
""",
        ),
        # A small number changes the values.
        Example(bad=FUNCTION.format("torch.log(torch.sigmoid(logits) + 1e-8)")),
        Example(
            bad="""\
import torch


def loss_of(logits):
    probabilities = torch.sigmoid(logits)
    confident = probabilities > 0.9
    return -torch.log(1 - probabilities).mean(), confident


loss = loss_of(torch.tensor([20.0]))
"""
        ),
        Example(
            bad="""\
import torch

from discriminator import Discriminator

discriminator = Discriminator()


def generator_loss(generator, noise):
    return torch.log(1 - discriminator(generator(noise))).mean()


loss = generator_loss(torch.nn.Identity(), 1e4 * torch.randn(64, 784))
""",
            files=(("discriminator.py", DISCRIMINATOR),),
        ),
    )
    near_misses = (
        FUNCTION.format("F.logsigmoid(logits)"),
        # Kept away from 0 by its author.
        FUNCTION.format("torch.log(torch.sigmoid(logits).clamp(1e-7, 1 - 1e-7))"),
        # Of several probabilities together there is no one logit.
        FUNCTION.format("torch.log(torch.sigmoid(logits).mean())"),
        FUNCTION.format("torch.log(1 - torch.sigmoid(logits).prod(dim=-1))"),
        FUNCTION.format("torch.log(1 + torch.sigmoid(logits))"),
        FUNCTION.format("torch.log(1 - torch.tanh(logits) ** 2 + 1e-6)"),
        # The gate of a layer.
        """\
import torch


def gated(x, gate):
    return torch.log(x.abs() * torch.sigmoid(gate) + 1)
""",
    )

    def logarithm(self, call: Logarithm) -> Iterable[Report]:
        found = call.operand
        if not isinstance(found, v.Tensor):
            return
        inner = found.of if found.meaning == v.COMPLEMENT else found
        if not isinstance(inner, v.Tensor) or inner.meaning != v.SIGMOID:
            return
        if inner.clamped or found.clamped:
            return
        sign = "-" if inner is not found else ""
        of = "1 minus a sigmoid" if sign else "a sigmoid"
        message = f"the log of {of} loses every small probability: take `logsigmoid({sign}logits)`"
        related = (("sigmoid is applied here", inner.origin),) if inner.origin else ()
        local = inner.origin is not None and inner.origin.path == call.site.path
        yield Report(
            call, message, related, lambda patch: _fix(patch, call, inner, sign), local=local
        )


def _fix(patch: Patch, call: Logarithm, inner: v.Tensor, sign: str) -> Fix | None:
    import libcst as cst

    outer, sigmoid = patch.call(call.node), patch.call(inner.origin)
    whole = _operand_of_log(outer)
    if outer is None or sigmoid is None or inner.guarded or not call.path.endswith(".log"):
        return None
    if sign:
        # `1 - sigmoid(z)`
        whole = whole.right if isinstance(whole, cst.BinaryOperation) else None
    operand = operand_of(sigmoid) if whole is sigmoid else None
    name = _name(sigmoid)
    if says_more(outer) or says_more(sigmoid):
        return None
    if operand is None or name not in {"sigmoid", "expit"} or inner.activation is None:
        return None
    if inner.activation.layer is not None or inner.activation.path.startswith("scipy"):
        return None
    function, added = patch.functional("logsigmoid")
    content = sign + patch.atom(operand) if sign else patch.source(operand)
    if patch.loses_comment(outer, content):
        return None
    return safe("Take the logsigmoid", *added, patch.replace(outer, f"{function}({content})"))


def _operand_of_log(call: cst.Call | None) -> cst.BaseExpression | None:
    return None if call is None else operand_of(call)


def _name(call: cst.Call) -> str:
    function = getattr(call.func, "attr", call.func)
    return str(getattr(function, "value", ""))
