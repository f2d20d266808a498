"""LG403: a handwritten softmax does not subtract the maximum of each row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lossgrade_checks import words
from lossgrade_checks.fixes import operand_of, unsafe
from lossgrade_checks.meaning import values as v
from lossgrade_checks.reduction_fixes import is_method, maximum_of
from lossgrade_checks.rule import Example, Report, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lossgrade_checks.finding import Fix
    from lossgrade_checks.fixes import Patch
    from lossgrade_checks.meaning.events import Quotient

TORCH = """\
import torch


def softmax(z):
    return {}


probabilities = softmax(torch.tensor([[1.0, 1.0], [1.0, 1000.0]]))
"""
TWO_STEPS = """\
import torch


def softmax(X):
    X_exp = torch.exp({})
    partition = X_exp.sum(1, keepdim=True)
    return X_exp / partition


probabilities = softmax(torch.tensor([[1.0, 1.0], [1.0, 1000.0]]))
"""
NUMPY = """\
import numpy as np


def softmax(z):
    return np.exp({0}) / np.sum(np.exp({0}), {1})


probabilities = softmax(np.array([[0.0, 0.0], [1000.0, 999.0]]))
"""
ROWS = "axis=1, keepdims=True"
NET = """\
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(20, 10)

    def forward(self, x):
        scores = self.fc(x){}
        weights = scores.exp()
        weights = weights / weights.sum(dim=-1, keepdim=True)
        return weights


probabilities = Net()(1000 * torch.randn(4, 20))
"""


class NaiveSoftmax(Rule):
    """Subtract the largest logit of each row before the exponential of a softmax.

    exp overflows: in float32 exp(89) is inf, in float64 exp(710), and inf / inf is NaN. Of the
    rows [1, 1] and [1, 1000] the second becomes [0, NaN]. Shifting a row by its maximum changes no
    probability, since the factor cancels, and the largest exponent is then 0. The maximum of the
    WHOLE array does not do: where one row lies 746 below another (104 in float32), all its
    exponentials are 0, and 0 / 0 is NaN: rows [0, 0] and [1000, 999] give [NaN, NaN] first.

    Source: Blanchard, Higham and Higham (2021), doi:10.1093/imanum/draa038.
    """

    code = "LG403"
    name = "naive-softmax"
    severity = "warning"
    fix = "unsafe"
    needs = (words.EXP, frozenset({"sum", "nansum"}))
    examples = (
        Example(
            bad=TORCH.format("torch.exp(z) / torch.exp(z).sum(dim=1, keepdim=True)"),
            good=TORCH.format("torch.softmax(z, dim=1)"),
        ),
        Example(
            bad=TORCH.format("z.exp() / torch.sum(z.exp(), -1, keepdim=True)"),
            good=TORCH.format("torch.softmax(z, dim=-1)"),
        ),
        Example(
            bad=TWO_STEPS.format("X"),
            good=TWO_STEPS.format("X - X.amax(dim=1, keepdim=True)"),
        ),
        Example(
            bad=NUMPY.format("z", ROWS),
            good=NUMPY.format(f"z - np.max(z, {ROWS})", ROWS),
        ),
        # A vector.
        Example(
            bad="""\
import numpy as np


def softmax(z):
    exponentials = np.exp(z)
    return exponentials / exponentials.sum()


probabilities = softmax(np.array([1.0, 1000.0]))
""",
            good="""\
import numpy as np


def softmax(z):
    exponentials = np.exp(z - np.max(z))
    return exponentials / exponentials.sum()


probabilities = softmax(np.array([1.0, 1000.0]))
""",
        ),
        # The maximum of all rows.
        Example(
            bad=NUMPY.format("z - np.max(z)", ROWS)
            .replace("    return", "    z = z - np.max(z)\n    return")
            .replace("(z - np.max(z))", "(z)"),
            good=NUMPY.format("z", ROWS).replace(
                "    return", f"    z = z - np.max(z, {ROWS})\n    return"
            ),
        ),
        Example(
            bad=TWO_STEPS.format("X - X.max()"),
            good=TWO_STEPS.format("X - X.amax(dim=1, keepdim=True)"),
        ),
        Example(
            bad=NET.format(""),
            good=NET.format("").replace(
                "scores.exp()", "(scores - scores.amax(dim=-1, keepdim=True)).exp()"
            ),
        ),
    )
    near_misses = (
        TORCH.format("torch.softmax(z, dim=1)"),
        TWO_STEPS.format("X - X.max(dim=1, keepdim=True).values"),
        TWO_STEPS.format("X - torch.max(X, 1, keepdim=True)[0]"),
        NUMPY.format(f"z - z.max({ROWS})", ROWS),
        NET.format(".clamp(-50, 50)"),
        # The probabilities of log-probabilities, and of a sigmoid, are bounded.
        TORCH.replace("def softmax(z):\n", "def softmax(z):\n    z = torch.sigmoid(z)\n").format(
            "z.exp() / z.exp().sum(dim=1, keepdim=True)"
        ),
        NET.format(".log_softmax(dim=-1)"),
        # The maximum of a vector is that of its only row.
        """\
import numpy as np


def softmax(z):
    exponentials = np.exp(z - np.max(z))
    return exponentials / np.sum(exponentials)
""",
        # What is subtracted may be the maximum.
        """\
import numpy as np


def softmax(z, largest):
    exponentials = np.exp(z - largest)
    return exponentials / exponentials.sum(axis=1, keepdims=True)
""",
        """\
import numpy as np


def normalised(shifted):
    exponentials = np.exp(shifted)
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def softmax(z):
    return normalised(z - z.max(axis=1, keepdims=True))
""",
        # Distances: every exponent is at most 0.
        """\
import torch


def weights(distances, width):
    kernel = torch.exp(-(distances**2) / width)
    return kernel / kernel.sum(dim=1, keepdim=True)
""",
        # Nothing is known of what somebody else's function returns.
        """\
import torch


def probabilities(model, x):
    exponentials = torch.exp(model(x))
    return exponentials / exponentials.sum(dim=1, keepdim=True)
""",
    )

    def __init__(self) -> None:
        self._found: dict[v.Site, Report] = {}
        self._shifted: set[v.Site] = set()

    def quotient(self, made: Quotient) -> Iterable[Report]:
        operand = made.exponentials.of
        if _is_unshifted(operand):
            message = (
                "a softmax without its shift overflows: subtract the maximum of each row "
                "before the exponential"
            )
            report = Report(made, message, fix=lambda patch: _fix(patch, made), local=True)
            self._found.setdefault(made.site, report)
        elif isinstance(operand, v.Tensor) and operand.meaning == v.SHIFTED:
            maximum = operand.of
            if maximum.dim == "all" and _over_rows(made):
                message = (
                    "the maximum of the whole array leaves rows whose exponentials are all 0: "
                    "subtract the maximum of each row"
                )
                related = (("this is the maximum of all rows", maximum.origin),)
                yield Report(
                    made, message, related, lambda patch: _fix_maximum(patch, made), local=True
                )
            elif made.calls:
                self._shifted.add(made.site)

    def finish(self) -> Iterable[Report]:
        for site, report in self._found.items():
            # A function that is called with shifted logits does its part of the work.
            if site not in self._shifted:
                yield report


def _is_unshifted(operand: Any) -> bool:
    if isinstance(operand, v.Unknown):
        return (operand.base or operand).source in {"parameter", "scaled"}
    if not isinstance(operand, v.Tensor) or operand.guarded:
        return False
    return operand.meaning == v.LOGITS


def _over_rows(made: Quotient) -> bool:
    """Whether the sum surely runs over rows, of which there are several."""
    dim, rank = made.total.dim, made.exponentials.rank
    if not isinstance(dim, int):
        return False
    return dim >= 1 or (dim < 0 and rank is not None and rank > 1)


def _fix(patch: Patch, made: Quotient) -> Fix | None:
    import libcst as cst

    whole = patch.node(made.site)
    exps = [patch.call(made.exponentials.origin), patch.call(made.total.of.origin)]
    total = patch.call(made.total.origin)
    dim = made.total.dim
    if made.exponentials.note or made.total.note:
        return None
    if (
        isinstance(whole, cst.BinaryOperation)
        and whole.left is exps[0]
        and whole.right is total
        and not made.exponentials.numpy
        and isinstance(dim, int)
        and made.total.keepdim
    ):
        operand = operand_of(exps[0])
        if operand is None:
            return None
        function, added = patch.of_torch("softmax")
        start, end = patch.span(operand)
        content = f"{function}({patch.text[start:end]}, dim={dim})"
        return unsafe("Take the softmax", *added, patch.replace(whole, content))
    edits = []
    for call in dict.fromkeys(exps):
        if call is None or (operand := operand_of(call)) is None:
            return None
        maximum = maximum_of(patch, call, operand, dim, numpy=made.exponentials.numpy)
        if maximum is None:
            return None
        content = f"{patch.source(operand)} - {maximum}"
        # A method is called on it.
        content = f"({content})" if is_method(call) else content
        edits.append(patch.replace(operand, content))
    return unsafe("Subtract the maximum of each row", *edits)


def _fix_maximum(patch: Patch, made: Quotient) -> Fix | None:
    maximum = made.exponentials.of.of
    call = patch.call(maximum.origin)
    operand = None if call is None else operand_of(call)
    if call is None or operand is None or len(call.args) > (0 if is_method(call) else 1):
        return None
    numpy = made.exponentials.numpy
    function = maximum_of(patch, call, operand, made.total.dim, numpy=numpy)
    edit = None if function is None else patch.replace(call, function)
    return unsafe("Subtract the maximum of each row", edit)
