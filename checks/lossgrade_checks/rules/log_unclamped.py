"""LG404: a handwritten loss takes the logarithm of a probability that may be 0."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from lossgrade_checks import words
from lossgrade_checks.meaning import values as v
from lossgrade_checks.rule import Example, Report, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lossgrade_checks.meaning.events import Logarithm, NegativeLog

NUMPY = """\
import numpy as np


def cross_entropy(actual, predicted):
    return {}


loss = cross_entropy(np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0]))
"""
TORCH = """\
import torch


def cross_entropy(y_hat, y):
    return {}


y_hat = torch.tensor([[0.0, 1.0, 0.0], [0.3, 0.2, 0.5]])
loss = cross_entropy(y_hat, torch.tensor([0, 2]))
"""
BINARY = """\
import numpy as np


class LogisticLoss:
    def __call__(self, p, y):
        m = len(y)
        return {} * np.sum(y * np.log(p) + (1 - y) * np.log(1 - p{}))


loss = LogisticLoss()(np.array([0.0, 0.5]), np.array([1, 0]))
"""
LOOP = """\
import numpy as np


def total_loss(probabilities, y):
    total = 0.0
    for i in range(len(y)):
        total -= np.log({}[i, y[i]])
    return total


loss = total_loss(np.array([[0.0, 1.0], [0.5, 0.5]]), [0, 1])
"""


class LogUnclamped(Rule):
    """Keep a probability away from 0 before its logarithm, or compute with logits.

    A probability of exactly 0 is common: softmax in float32 gives it to every logit 104 below the
    largest. The logarithm of 0 is -inf, so a single example makes the mean loss inf; where the
    target is 0 as well, 0 * -inf is NaN, as in the entropy of a one-hot vector. Clamped at 1e-15 an
    example costs at most 34.5. Better still is the cross entropy of logits, which takes no
    logarithm of a probability at all.

    Source: https://scikit-learn.org/stable/modules/generated/sklearn.metrics.log_loss.html
    """

    code = "LG404"
    name = "log-unclamped"
    severity = "warning"
    # Where to clamp, or whether to go over to logits, is a question of the whole program.
    fix = "none"
    needs = (words.LOG | {"log2", "log10"},)
    examples = (
        Example(bad=NUMPY.format("-np.sum(actual * np.log(predicted))")),
        Example(bad=NUMPY.format("-(np.log2(predicted) * actual).sum()")),
        Example(bad=NUMPY.format("np.sum(-actual * np.log(predicted)) / len(actual)")),
        Example(bad=TORCH.format("-torch.log(y_hat[range(len(y)), y])")),
        Example(bad=TORCH.format("-torch.log(y_hat)[torch.arange(len(y)), y].mean()")),
        Example(bad=TORCH.format("y_hat.gather(1, y.unsqueeze(1)).log().neg().mean()")),
        Example(bad=BINARY.format("-1 / m", " + 1e-12")),
        Example(bad=LOOP.format("probabilities")),
        Example(
            bad="""\
import torch


def uncertainty(logits):
    probabilities = torch.softmax(logits, dim=1)
    others = 1 - probabilities
    return -(torch.log(others) * others).sum(dim=1)


loss = uncertainty(torch.tensor([[0.0, 110.0]]))
"""
        ),
    )
    near_misses = (
        # A probability of 0 is looked for first.
        """\
import numpy as np


def entropy(p):
    return -p * np.log2(p) - (1 - p) * np.log2(1 - p)


curve = [entropy(p) if p != 0 else None for p in np.arange(0.0, 1.0, 0.01)]
""",
        """\
import numpy as np


def surprise(p, y):
    if p == 0:
        return np.inf
    return -(y * np.log(p)).sum()


def weighed(p, y):
    return -y * np.log(p) if p > 0 else 0.0
""",
        NUMPY.format("-np.sum(actual * np.log(predicted + 1e-15))"),
        NUMPY.format("-np.sum(actual * np.log(np.clip(predicted, 1e-15, 1)))"),
        NUMPY.format("-np.sum(actual * np.log(np.maximum(predicted, 1e-15)))"),
        NUMPY.format("-np.sum(actual * np.log(predicted, where=predicted > 0))"),
        NUMPY.format("np.sum(np.nan_to_num(-actual * np.log(predicted)))"),
        NUMPY.format("-np.sum(actual * np.log(1 + predicted))"),
        NUMPY.format("-np.sum(actual * np.log(1 + np.exp(-predicted)))"),
        TORCH.format("-torch.log(torch.nn.functional.softplus(y_hat)[range(len(y)), y])"),
        TORCH.format("-torch.log_softmax(y_hat, dim=1)[range(len(y)), y]"),
        LOOP.format("np.clip(probabilities, 1e-15, 1)"),
        # Noise, a scale, a count: no probabilities, and no loss.
        """\
import torch


def gumbel(uniform):
    return -torch.log(-torch.log(uniform))


def gaussian(x, mean, sigma):
    return -(torch.log(sigma) + (x - mean) ** 2 / (2 * sigma**2)).sum()


def information(count):
    return -torch.log(count)
""",
        # Clamped by whoever calls it.
        """\
import numpy as np


def nll(p, y):
    return -np.sum(y * np.log(p))


def loss_of(p, y):
    return nll(np.clip(p, 1e-12, 1 - 1e-12), y)
""",
    )

    def __init__(self) -> None:
        self._found: dict[v.Site, Report] = {}
        # Logarithms that are safe where somebody calls them, or have a rule of their own.
        self._others: set[v.Site] = set()

    def logarithm(self, call: Logarithm) -> Iterable[Report]:
        if call.calls and _is_settled(call.operand):
            self._others.add(call.site)
        return ()

    def negative_log(self, made: NegativeLog) -> Iterable[Report]:
        logarithm = made.logarithm
        found, site = logarithm.of, logarithm.origin
        if logarithm.meaning != v.LOG or site is None or made.guarded or not _may_be_zero(found):
            return ()
        if not (logarithm.note or getattr(found, "source", "") == "picked"):
            # Only negated: it may be noise or a count. A loss weighs it with targets.
            return ()
        message = (
            "the log of a probability that may be 0 is -inf: clamp it first, "
            "or compute the loss from logits"
        )
        event = dataclasses.replace(made, site=site)
        self._found.setdefault(site, Report(event, message, local=True))
        return ()

    def finish(self) -> Iterable[Report]:
        for site, report in self._found.items():
            if site not in self._others:
                yield report


def _is_settled(value: Any) -> bool:
    """Whether a value is surely not 0, or comes from an activation."""
    if not isinstance(value, v.Tensor):
        return False
    if value.meaning == v.COMPLEMENT:
        inner = value.of
        return isinstance(inner, v.Tensor) and (inner.guarded or inner.meaning == v.SIGMOID)
    return value.guarded or value.meaning in {v.EXP, v.PROBABILITIES, v.SIGMOID}


# Parameters of these names are positive, and no probabilities.
POSITIVE = (
    "sigma",
    "std",
    "scale",
    "var",
    "rate",
    "temp",
    "count",
    "alpha",
    "beta",
    "lam",
    "det",
    "freq",
    "quant",
    "num",
    "size",
    "bins",
)


def _may_be_zero(value: Any) -> bool:
    """Whether a value may be a probability of 0: what a caller gives, unless it is clamped."""
    if isinstance(value, v.Unknown):
        name = value.name.lower()
        given = value.source in {"parameter", "picked"}
        return given and not any(part in name for part in POSITIVE)
    if not isinstance(value, v.Tensor) or value.guarded:
        return False
    if value.meaning == v.COMPLEMENT:
        # Of a sigmoid it is a mistake of its own.
        inner = value.of
        softmax = isinstance(inner, v.Tensor) and inner.meaning == v.PROBABILITIES
        guarded = softmax and inner.guarded
        return (softmax and not guarded) or _may_be_zero(inner)
    return False
