"""LG405: a log-sum-exp is written by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lossgrade_checks import words
from lossgrade_checks.fixes import operand_of, safe, says_more
from lossgrade_checks.meaning import values as v
from lossgrade_checks.reduction_fixes import axis_argument, is_method
from lossgrade_checks.rule import Example, Report, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lossgrade_checks.finding import Fix
    from lossgrade_checks.fixes import Patch
    from lossgrade_checks.meaning.events import Logarithm

FUNCTION = """\
import torch


def cross_entropy(logits, targets):
    picked = logits.gather(1, targets.unsqueeze(1)).squeeze(1)
    return {} - picked


loss = cross_entropy(torch.tensor([[100.0, 0.0]]), torch.tensor([0]))
"""


class LogSumExp(Rule):
    """Take `torch.logsumexp`; a logarithm of a sum of exponentials overflows.

    In float32 exp(89) is inf, so the handwritten form is inf as soon as one logit lies above 88.7:
    of [100, 0] it gives inf instead of 100, and NaN gradients. Where all lie below -104 it gives
    -inf. `torch.logsumexp` subtracts the largest logit first and adds it afterwards.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.logsumexp.html
    """

    code = "LG405"
    name = "log-sum-exp"
    severity = "warning"
    fix = "safe"
    needs = (words.LOG, words.EXP, frozenset({"sum", "nansum"}))
    examples = (
        Example(
            bad=FUNCTION.format("torch.log(torch.sum(torch.exp(logits), dim=1))"),
            good=FUNCTION.format("torch.logsumexp(logits, dim=1)"),
        ),
        Example(
            bad=FUNCTION.format("logits.exp().sum(1).log()"),
            good=FUNCTION.format("torch.logsumexp(logits, 1)"),
        ),
        Example(
            bad=FUNCTION.format("torch.log((logits / 2).exp().sum(-1, keepdim=True)).squeeze(1)"),
            good=FUNCTION.format("torch.logsumexp(logits / 2, -1, keepdim=True).squeeze(1)"),
        ),
        Example(
            bad="""\
from torch import exp, log


def free_energy(logits):
    return -log(exp(logits).sum(dim=-1))
""",
            good="""\
import torch
from torch import exp, log


def free_energy(logits):
    return -torch.logsumexp(logits, dim=-1)
""",
        ),
        # Over all axes: which ones there are is not known.
        Example(bad=FUNCTION.format("torch.log(torch.exp(logits).sum())")),
        Example(
            bad="""\
import torch


def loss_of(logits, y):
    exponentials = torch.exp(logits)
    total = exponentials.sum(dim=1)
    return (torch.log(total) - logits[range(len(y)), y]).mean()


loss = loss_of(torch.tensor([[100.0, 0.0]]), torch.tensor([0]))
"""
        ),
        Example(
            bad="""\
import numpy as np


def log_partition(energies):
    return np.log(np.sum(np.exp(energies), axis=1))


print(log_partition(np.array([[1000.0, 0.0]])))
"""
        ),
    )
    near_misses = (
        FUNCTION.format("torch.logsumexp(logits, dim=1)"),
        # The stable form, by hand.
        """\
import numpy as np


def logsumexp(z):
    c = z.max(axis=1, keepdims=True)
    return c + np.log(np.exp(z - c).sum(axis=1, keepdims=True))
""",
        """\
import torch


def log_softmax(z):
    m, _ = torch.max(z, dim=-1, keepdim=True)
    z = z - m
    return z - torch.log(torch.exp(z).sum(-1, keepdim=True))
""",
        """\
import numpy as np


def log_add(values, largest):
    return largest + np.log(np.sum(np.exp(values - largest)))
""",
        # Of distances: every exponent is at most 0.
        """\
import numpy as np


def perplexity(distances, beta):
    kernel = np.exp(-distances.copy() * beta)
    return np.log(np.sum(kernel, axis=1))
""",
        # A sum of some of them, and of probabilities.
        """\
import torch


def contrast(similarity, negatives):
    exponentials = torch.exp(similarity)
    return torch.log((exponentials * negatives).sum(dim=1))
""",
        """\
import torch


def marginal(logits):
    log_probabilities = torch.log_softmax(logits, dim=-1)
    return torch.log(log_probabilities.exp()[:, :3].sum(dim=-1))
""",
    )

    def logarithm(self, call: Logarithm) -> Iterable[Report]:
        total = call.operand
        if not isinstance(total, v.Tensor) or total.meaning != v.SUM:
            return
        exponentials = total.of
        if not isinstance(exponentials, v.Tensor) or exponentials.meaning != v.EXP:
            return
        if not _may_overflow(exponentials.of) or not call.path.endswith((".log", ".log_")):
            return
        message = (
            "the log of a sum of exponentials overflows: take `logsumexp`"
            if not exponentials.numpy
            else "the log of a sum of exponentials overflows: subtract the maximum first, and add "
            "it after the log (`scipy.special.logsumexp`)"
        )
        yield Report(call, message, fix=lambda patch: _fix(patch, call, total), local=True)


def _may_overflow(operand: Any) -> bool:
    """Whether nothing was subtracted from what the exponentials are of, and nothing bounds it."""
    if isinstance(operand, v.Unknown):
        return operand.source != "difference"
    if not isinstance(operand, v.Tensor):
        return isinstance(operand, v.Method)
    return operand.meaning in {v.PLAIN, v.LOGITS} and not operand.guarded and operand.event is None


def _fix(patch: Patch, call: Logarithm, total: v.Tensor) -> Fix | None:
    """`torch.log(torch.sum(torch.exp(z), dim=1))`, in one expression, with its axis."""
    outer, middle = patch.call(call.node), patch.call(total.origin)
    inner = patch.call(total.of.origin)
    if outer is None or middle is None or inner is None or total.guarded or total.of.numpy:
        return None
    if operand_of(outer) is not middle or operand_of(middle) is not inner:
        return None
    if says_more(outer) or says_more(inner):
        return None
    operand = operand_of(inner)
    method = is_method(middle)
    axis = axis_argument(patch, middle, method=method)
    if operand is None or axis is None or total.dim == "all" or total.note == "moved":
        return None
    rest = [arg for arg in middle.args if arg.value is not inner]
    named = {arg.keyword.value for arg in rest if arg.keyword is not None}
    if named - {"dim", "axis", "keepdim", "keepdims"} or any(arg.star for arg in rest):
        return None
    start, end = patch.span_of_argument(rest[0])[0], patch.span_of_argument(rest[-1])[1]
    function, added = patch.of_torch("logsumexp")
    # Without the parentheses that a method needed: it is an argument now.
    first, last = patch.span(operand)
    content = f"{function}({patch.text[first:last]}, {patch.text[start:end]})"
    if patch.loses_comment(outer, content):
        return None
    return safe("Take the logsumexp", *added, patch.replace(outer, content))
