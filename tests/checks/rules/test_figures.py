"""The figures on the pages of the rules, each computed with PyTorch as its page says."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)
from torch import tensor

from lossgrade_checks.rules import all_rules

if TYPE_CHECKING:
    from collections.abc import Callable

    from lossgrade_checks.rule import Rule

Figures = list[tuple[str, float]]
RULES = [pytest.param(rule, id=rule.code) for rule in all_rules()]
# What a page says of a version, or gives instead of computing.
VERSION = re.compile(r"(?:PyTorch |since PyTorch )\d[\d.]*\d")


def gradient(loss: Callable[[torch.Tensor], torch.Tensor], *logits: float) -> torch.Tensor:
    """Return the gradient of a loss at one row of `logits`."""
    row = tensor([logits], requires_grad=True)
    loss(row).backward()
    assert row.grad is not None
    return row.grad[0]


def floor(classes: int) -> float:
    """Return the cross entropy of the softmax of logits that could not be surer."""
    row = torch.zeros(1, classes)
    row[0, 0] = 1000.0
    loss: float = F.cross_entropy(row.softmax(dim=1), tensor([0])).item()
    return loss


def softmax_into_cross_entropy() -> Figures:
    alike = torch.zeros(10).tolist()
    once = gradient(lambda z: F.cross_entropy(z, tensor([0])), *alike)
    twice = gradient(lambda z: F.cross_entropy(z.softmax(1), tensor([0])), *alike)
    # "C times smaller than it should be"
    assert (once[0] / twice[0]).item() == pytest.approx(10, rel=1e-5)
    assert math.log(1 + 9 / math.e) == pytest.approx(floor(10), rel=1e-6)
    return [("0.313", floor(2)), ("1.461", floor(10)), ("5.909", floor(1000))]


def log_softmax_into_cross_entropy() -> Figures:
    torch.manual_seed(0)
    logits, targets = 40 * torch.rand(192_000, 10) - 20, torch.randint(0, 10, (192_000,))
    once = F.cross_entropy(logits, targets)
    twice = F.cross_entropy(logits.log_softmax(dim=1), targets)
    assert abs(once - twice).item() <= 1e-6
    return []


def sigmoid_into_cross_entropy() -> Figures:
    sure = F.cross_entropy(torch.sigmoid(1000 * torch.eye(10)[:1] - 500), tensor([0])).item()
    alike = torch.zeros(10).tolist()
    once = gradient(lambda z: F.cross_entropy(z, tensor([0])), *alike)
    through = gradient(lambda z: F.cross_entropy(torch.sigmoid(z), tensor([0])), *alike)
    # "at equal logits the gradient is a quarter of what it should be"
    assert (through / once).tolist() == pytest.approx([0.25] * 10)
    return [("1.461", sure)]


def softmax_into_nll() -> Figures:
    wrong = (0.0, 7.0)
    p = torch.softmax(tensor(wrong), 0)[0].item()
    plain = gradient(lambda z: F.nll_loss(z.softmax(1), tensor([0])), *wrong)[0].item()
    right = gradient(lambda z: F.nll_loss(z.log_softmax(1), tensor([0])), *wrong)[0].item()
    return [("0.000911", p), ("-0.000910", plain), ("-0.999", right)]


def logits_into_nll() -> Figures:
    targets = tensor([0, 0, 1])
    row = torch.zeros(1, 3, requires_grad=True)
    optimizer = torch.optim.SGD([row], lr=0.1)
    losses, entropies = [], []
    for _ in range(1001):
        logits = row.expand(3, 3)
        loss = F.nll_loss(logits, targets)
        losses.append(loss.item())
        entropies.append(F.cross_entropy(logits, targets).item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return [
        ("0.1", optimizer.param_groups[0]["lr"]),
        ("-5.6", losses[100]),
        ("-55.6", losses[1000]),
        ("1.1", entropies[0]),
        ("11.1", entropies[1000]),
    ]


def sigmoid_into_bce_with_logits() -> Figures:
    ends = torch.sigmoid(torch.sigmoid(tensor([-1000.0, 1000.0])))
    no = F.binary_cross_entropy_with_logits(torch.sigmoid(tensor([-1000.0])), tensor([0.0]))
    yes = F.binary_cross_entropy_with_logits(torch.sigmoid(tensor([1000.0])), tensor([1.0]))
    assert no.item() == pytest.approx(math.log(2))
    assert yes.item() == pytest.approx(math.log(1 + 1 / math.e))
    return [
        ("0.5", ends[0].item()),
        ("0.731", ends[1].item()),
        ("0.693", no.item()),
        ("0.313", yes.item()),
    ]


def probs_into_kl_div() -> Figures:
    uniform = torch.full((1, 10), 0.1)
    loss = F.kl_div(uniform, uniform, reduction="batchmean").item()
    assert F.kl_div(uniform.log(), uniform, reduction="batchmean").item() == pytest.approx(
        0, abs=1e-6
    )
    # "smallest where all rows are the most likely class of the target"
    target = tensor([[0.5, 0.3, 0.2]])
    rows = [*torch.eye(3), *torch.rand(100, 3).softmax(dim=1)]
    values = [F.kl_div(row[None], target, reduction="batchmean").item() for row in rows]
    assert min(values) == values[0]
    return [("-2.40", loss)]


def swapped_arguments() -> Figures:
    p, yes = tensor([0.9]), tensor([1.0])
    wrong = F.binary_cross_entropy(yes, p)
    row = tensor([1.0], requires_grad=True)
    F.binary_cross_entropy(row, p).backward()
    # "it is 10, from a logarithm of 0 that is cut off at -100"
    assert wrong.item() == pytest.approx(10, abs=1e-4)
    logit = F.binary_cross_entropy_with_logits(tensor([1.0]), tensor([3.0])).item()
    log_q = tensor([[0.2, 0.8]]).log()
    assert F.kl_div(tensor([[0.5, 0.5]]), log_q, reduction="batchmean").isnan()
    return [
        ("0.9", p.item()),
        ("0.105", F.binary_cross_entropy(p, yes).item()),
        ("-1.69", logit),
    ]


def softmax_then_mse() -> Figures:
    wrong = (0.0, 7.0)
    one_hot = tensor([[1.0, 0.0]])
    p = torch.softmax(tensor(wrong), 0)[0].item()
    squared = gradient(lambda z: F.mse_loss(z.softmax(1), one_hot), *wrong)[0].item()
    right = gradient(lambda z: F.cross_entropy(z, tensor([0])), *wrong)[0].item()
    return [("0.000911", p), ("-0.0018", squared), ("-0.999", right)]


def double_activation() -> Figures:
    twice = (1000 * torch.eye(10)[0]).softmax(0).softmax(0)[0].item()
    ends = torch.sigmoid(torch.sigmoid(tensor([-1000.0, 1000.0])))
    assert twice == pytest.approx(math.e / (math.e + 9))
    return [("0.232", twice), ("0.5", ends[0].item()), ("0.731", ends[1].item())]


def softmax_wrong_dim() -> Figures:
    row = tensor([2.0, 1.0, 0.1])
    both = torch.softmax(torch.stack([row, row]), dim=0)
    assert (both == 0.5).all()
    alone = row.softmax(0).tolist()
    given = [("2.0", row[0].item()), ("1.0", row[1].item()), ("0.1", row[2].item())]
    return [*given, ("0.5", 0.5), *zip(("0.659", "0.242", "0.099"), alone, strict=True)]


def missing_keepdim() -> Figures:
    exponentials = torch.exp(tensor([[1.0, 2.0], [3.0, 5.0]]))
    sums = (exponentials / exponentials.sum(dim=1)).sum(dim=1).tolist()
    return [("0.313", sums[0]), ("2.868", sums[1])]


def first(holds: Callable[[int], bool]) -> int:
    """Return the first whole number from 0 for which `holds` is true."""
    return next(n for n in range(2000) if holds(n))


def log_of_softmax() -> Figures:
    def zero_from(dtype: torch.dtype) -> int:
        return first(lambda n: tensor([0.0, n], dtype=dtype).softmax(0)[0].item() == 0)

    assert (zero_from(torch.float32), zero_from(torch.float64)) == (104, 746)
    lost = gradient(lambda z: -z.softmax(1).log()[0, 0], 0.0, 110.0)
    kept = gradient(lambda z: F.cross_entropy(z, tensor([0])), 0.0, 110.0)
    assert lost.isnan().all()
    assert kept.tolist() == [-1, 1]
    stuck = -torch.log(tensor([0.0, 110.0]).softmax(0) + 1e-8)[0].item()
    assert F.cross_entropy(tensor([[0.0, 110.0]]), tensor([0])).item() == 110
    return [("18.4", stuck)]


def log_of_sigmoid() -> Figures:
    assert first(lambda n: torch.sigmoid(tensor(-float(n))).item() == 0) == 89
    assert first(lambda n: torch.sigmoid(tensor(float(n))).item() == 1) == 17
    assert F.logsigmoid(tensor(-89.0)).item() == -89
    assert F.logsigmoid(tensor(-17.0)).item() == pytest.approx(-17, rel=1e-7)
    return []


def naive_softmax() -> Figures:
    assert first(lambda n: torch.exp(tensor(float(n))).isinf().item()) == 89
    assert first(lambda n: torch.exp(tensor(float(n), dtype=torch.float64)).isinf().item()) == 710
    exponentials = torch.exp(tensor([[1.0, 1.0], [1.0, 1000.0]]))
    unshifted = (exponentials / exponentials.sum(dim=1, keepdim=True))[1]
    assert unshifted[0] == 0
    assert unshifted[1].isnan()
    z = tensor([[0.0, 0.0], [1000.0, 999.0]], dtype=torch.float64)
    exponentials = torch.exp(z - z.max())
    assert (exponentials / exponentials.sum(dim=1, keepdim=True))[0].isnan().all()
    return []


def log_unclamped() -> Figures:
    assert math.log(1e-15) == pytest.approx(-34.5, abs=0.05)
    p = tensor([1.0, 0.0])
    assert (p * p.log()).sum().isnan()
    return [("34.5", -math.log(1e-15))]


def log_sum_exp() -> Figures:
    row = tensor([100.0, 0.0])
    assert row.exp().sum().log().isinf()
    assert row.logsumexp(0).item() == 100
    assert gradient(lambda z: z.exp().sum().log(), 100.0, 0.0).isnan().any()
    assert tensor([-104.0, -110.0]).exp().sum().log().item() == -math.inf
    # The logarithm of the largest number there is.
    return [("88.7", math.log(torch.finfo(torch.float32).max))]


def kl_div_mean_reduction() -> Figures:
    p, q = tensor([[0.9, 0.1], [0.3, 0.7]]), tensor([[0.5, 0.5], [0.1, 0.9]])
    right = (p * (p / q).log()).sum(dim=1).mean().item()
    assert F.kl_div(q.log(), p, reduction="batchmean").item() == pytest.approx(right)
    with pytest.warns(UserWarning, match="batchmean"):
        mean = F.kl_div(q.log(), p, reduction="mean").item()
    given = [(str(round(x, 1)), x) for x in [*p.flatten().tolist(), *q.flatten().tolist()]]
    return [*given, ("0.261", right), ("0.130", mean)]


def deprecated_reduction_args() -> Figures:
    logits, targets = torch.randn(64, 3), torch.randint(0, 3, (64,))
    with pytest.warns(UserWarning, match="size_average"):
        total = F.cross_entropy(logits, targets, size_average=False, reduction="mean")
    # "the sum, for a batch of 64 some 64 times the mean"
    mean = F.cross_entropy(logits, targets)
    assert (total / mean).item() == pytest.approx(64, rel=1e-5)
    return []


FIGURES: dict[str, Callable[[], Figures]] = {
    "LG101": softmax_into_cross_entropy,
    "LG102": log_softmax_into_cross_entropy,
    "LG103": sigmoid_into_cross_entropy,
    "LG104": softmax_into_nll,
    "LG105": logits_into_nll,
    "LG106": sigmoid_into_bce_with_logits,
    "LG108": probs_into_kl_div,
    "LG110": swapped_arguments,
    "LG111": softmax_then_mse,
    "LG112": double_activation,
    "LG302": softmax_wrong_dim,
    "LG303": missing_keepdim,
    "LG401": log_of_softmax,
    "LG402": log_of_sigmoid,
    "LG403": naive_softmax,
    "LG404": log_unclamped,
    "LG405": log_sum_exp,
    "LG501": kl_div_mean_reduction,
    "LG502": deprecated_reduction_args,
}


@pytest.mark.parametrize("rule", RULES)
def test_every_figure_on_the_page_is_computed(rule: type[Rule]) -> None:
    page = VERSION.sub("", (rule.__doc__ or "").partition("Source:")[0])
    said = set(re.findall(r"-?\d+\.\d+", page))
    computed = FIGURES[rule.code]() if rule.code in FIGURES else []
    for figure, value in computed:
        decimals = len(figure.partition(".")[2])
        assert value == pytest.approx(float(figure), abs=0.5 * 10**-decimals + 1e-9), figure
    # 0.0 and 1.0 stand for themselves: probabilities that are certain.
    assert said - {"0.0", "1.0"} == {figure for figure, _ in computed} - {"0.0", "1.0"}
