"""LG201: a loss gets one-hot targets where it expects class indices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lossgrade_checks import words
from lossgrade_checks.fixes import unsafe
from lossgrade_checks.meaning import values as v
from lossgrade_checks.rule import Example, Report, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable

    import libcst as cst

    from lossgrade_checks.finding import Fix
    from lossgrade_checks.fixes import Patch
    from lossgrade_checks.meaning.events import LossCall

FUNCTION = """\
import torch
import torch.nn.functional as F


def loss_of(logits, targets):
    return F.cross_entropy(logits, {})


loss = loss_of(torch.randn(4, 3), torch.tensor([0, 1, 2, 2]))
"""
NAMED = """\
import torch
from torch import nn
from torch.nn.functional import one_hot

criterion = nn.{0}()


def step(model, x, y):
    targets = one_hot(y, num_classes=3)
    log_probabilities = torch.log_softmax(model(x), dim=1)
    return criterion({1}, {2})
"""
TRAIN = """\
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

from encoding import encode

data = TensorDataset(torch.randn(64, 20), torch.randint(0, 3, (64,)))
model = torch.nn.Linear(20, 3)
for x, y in DataLoader(data, batch_size=16):
    loss = F.cross_entropy(model(x), {})
"""
ENCODING = """\
import torch.nn.functional as F


def encode(labels):
    return F.one_hot(labels, num_classes=3)
"""


class OneHotTarget(Rule):
    """Give `cross_entropy` and `nll_loss` class indices as targets, not one-hot vectors.

    Class indices are (N,) integers in [0, C). `F.one_hot` gives integers (N, C): `cross_entropy`
    takes a matrix for class probabilities, which are floating point, and raises "Expected
    floating point type for target with class probabilities, got Long". `nll_loss` knows no class
    probabilities at all and raises "0D or 1D target tensor expected". One-hot vectors that are
    cast to float are right for `cross_entropy` since PyTorch 1.10; the indices do the same work
    on C times less memory.

    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
    """

    code = "LG201"
    name = "one-hot-target"
    severity = "error"
    fix = "unsafe"
    needs = (
        words.CROSS_ENTROPY | words.NLL,
        frozenset({"one_hot", "eye", "identity", "scatter", "scatter_", "zeros", "zeros_like"}),
    )
    examples = (
        Example(
            bad=FUNCTION.format("F.one_hot(targets, 3)"),
            good=FUNCTION.format("targets"),
        ),
        Example(
            bad=FUNCTION.format("F.one_hot(targets % 3, num_classes=3).to(logits.device)"),
            good=FUNCTION.format(
                "F.one_hot(targets % 3, num_classes=3).to(logits.device).argmax(dim=-1)"
            ),
        ),
        Example(
            bad=FUNCTION.format("torch.eye(3, dtype=torch.long)[targets]"),
            good=FUNCTION.format("targets"),
        ),
        Example(
            bad=NAMED.format("CrossEntropyLoss", "model(x)", "targets"),
            good=NAMED.format("CrossEntropyLoss", "model(x)", "targets.argmax(dim=-1)"),
        ),
        Example(
            bad=NAMED.format("NLLLoss", "log_probabilities", "targets.float()"),
            good=NAMED.format("NLLLoss", "log_probabilities", "targets.float().argmax(dim=-1)"),
        ),
        Example(
            bad="""\
import torch
import torch.nn.functional as F

y = torch.tensor([0, 1, 2, 2])
targets = torch.zeros(4, 3)
targets.scatter_(1, y.unsqueeze(1), 1)
loss = F.nll_loss(torch.log_softmax(torch.randn(4, 3), dim=1), targets)
""",
            good="""\
import torch
import torch.nn.functional as F

y = torch.tensor([0, 1, 2, 2])
targets = torch.zeros(4, 3)
targets.scatter_(1, y.unsqueeze(1), 1)
loss = F.nll_loss(torch.log_softmax(torch.randn(4, 3), dim=1), targets.argmax(dim=-1))
""",
        ),
        Example(
            bad=TRAIN.format("encode(y)"),
            good=TRAIN.format("encode(y).argmax(dim=-1)"),
            files=(("encoding.py", ENCODING),),
        ),
    )
    near_misses = (
        FUNCTION.format("targets"),
        # Class probabilities are floating point.
        FUNCTION.format("F.one_hot(targets, 3).float()"),
        FUNCTION.format("F.one_hot(targets, num_classes=3).to(dtype=torch.float32)"),
        FUNCTION.format("F.one_hot(targets, 3).type_as(logits)"),
        FUNCTION.format("torch.eye(3)[targets]"),
        FUNCTION.format("0.9 * F.one_hot(targets, 3) + 0.1 / 3"),
        NAMED.format("NLLLoss", "log_probabilities", "targets.argmax(dim=1)"),
        # A binary loss for each class.
        FUNCTION.replace("F.cross_entropy", "F.binary_cross_entropy_with_logits").format(
            "F.one_hot(targets, 3).float()"
        ),
        """\
import torch
import torch.nn.functional as F


def loss_of(logits, targets):
    picked = (F.log_softmax(logits, dim=1) * F.one_hot(targets, 3)).sum(dim=1)
    return F.cross_entropy(logits, targets), -picked.mean()
""",
    )

    def loss(self, call: LossCall) -> Iterable[Report]:
        found, name = call.target, call.loss.name
        if not isinstance(found, v.Tensor) or found.meaning != v.ONE_HOT:
            return
        if name == "nll_loss" or (name == "cross_entropy" and found.dtype == "int"):
            what = "one-hot targets" if name == "nll_loss" else "one-hot targets of integers"
            message = f"`{name}` is given {what}: give it class indices"
            related = (("they are made here", found.origin),) if found.origin else ()
            yield Report(call, message, related, lambda patch: _fix(patch, call, found))


def _fix(patch: Patch, call: LossCall, found: v.Tensor) -> Fix | None:
    loss = patch.call(call.node)
    target = None if loss is None else patch.argument(loss, 1, "target")
    if target is None or found.note == "moved":
        return None
    indices = _indices(patch, target.value) if patch.node(found.origin) is target.value else None
    if indices is None:
        indices = patch.atom(target.value) + ".argmax(dim=-1)"
    return unsafe("Give it the class indices", patch.replace(target.value, indices))


def _indices(patch: Patch, made: cst.BaseExpression) -> str | None:
    """Return the class indices that one-hot vectors are made of: of `F.one_hot(y, 3)`, y."""
    import libcst as cst

    if isinstance(made, cst.Call):
        first = patch.argument(made, 0, "input") or patch.argument(made, 0, "tensor")
        return None if first is None else patch.source(first.value)
    if isinstance(made, cst.Subscript) and len(made.slice) == 1:
        index = made.slice[0].slice
        return patch.source(index.value) if isinstance(index, cst.Index) else None
    return None
