"""`watch_losses`: what is reported, what is not, and that the watched program does not notice."""

from __future__ import annotations

import copy
import gc
import io
import math
import pickle
import subprocess
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - as everybody writes it
from torch import nn
from torch.overrides import TorchFunctionMode

import lossgrade
from lossgrade.watch import LossMisuse, LossMisuseWarning, Watch, WatchReport, watch_losses
from lossgrade.watch_axes import axis_after
from lossgrade.watch_mode import Follow, effects
from lossgrade.watch_rules import floor_of
from lossgrade.watch_tables import EFFECTS, RULES
from lossgrade_checks.rules import all_rules

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = __file__


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Tensors here are tiny: on a busy machine, a second thread costs 50 ms a softmax."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def names() -> dict[str, Any]:
    """Return what the one-line programs below work with."""
    torch.manual_seed(0)
    images = torch.randn(2, 5, 3, 3)
    return {
        "torch": torch, "nn": nn, "F": F, "copy": copy,
        "x": torch.randn(8, 5, requires_grad=True), "t": torch.randint(0, 5, (8,)),
        "q": torch.randn(8, 5).softmax(1), "b": torch.randint(0, 2, (8, 5)).float(),
        "z": torch.randn(8, 1), "y": torch.randint(0, 2, (8, 1)).float(),
        "image": images, "mask": torch.randint(0, 5, (2, 3, 3)),
        "linear": nn.Linear(5, 5), "sure": torch.eye(5),
    }  # fmt: skip


def watched(program: str) -> list[WatchReport]:
    with watch_losses(on_misuse="record") as watch:
        exec(program, names())  # the programs of the tables in this file
    return watch.reports


def found_in(program: str) -> list[str]:
    return [report.code for report in watched(program)]


# ---- what is reported -------------------------------------------------------------------

REPORTED = [
    ("LG101", "F.cross_entropy(F.softmax(x, dim=1), t)", "F.softmax"),
    ("LG101", "F.cross_entropy(torch.softmax(x, 1), t)", "torch.softmax"),
    ("LG101", "F.cross_entropy(x.softmax(-1), t)", "the method"),
    ("LG101", "F.cross_entropy(torch.special.softmax(x, 1), t)", "torch.special"),
    ("LG101", "F.cross_entropy(nn.Softmax(dim=1)(x), t)", "a layer"),
    ("LG101", "F.cross_entropy(F.softmin(x, dim=1), t)", "softmin"),
    ("LG101", "nn.CrossEntropyLoss()(x.softmax(1), t)", "the loss as a layer"),
    ("LG101", "F.cross_entropy(target=t, input=x.softmax(1))", "arguments by name"),
    ("LG101", "F.cross_entropy(x.softmax(1), q)", "targets are class probabilities"),
    ("LG101", "getattr(nn, 'CrossEntropyLoss')()(getattr(x, 'softmax')(1), t)", "dynamic names"),
    ("LG101", "d = {'out': [x.softmax(1)]}\nF.cross_entropy(d['out'][0], t)", "a container"),
    ("LG101", "F.cross_entropy(x.log_softmax(1).exp(), t)", "exp of log_softmax"),
    ("LG101", "e = x.exp()\nF.cross_entropy(e / e.sum(1, keepdim=True), t)", "softmax by hand"),
    ("LG101", "e = (x - 3).exp()\ns = e.sum(1)\nF.cross_entropy(e / s[:, None], t)", "by hand"),
    ("LG101", "out = torch.empty(8, 5)\nw = x.detach()\ntorch.softmax(w, 1, out=out)\n"
     "F.cross_entropy(out, t)", "out="),
    ("LG101", "with torch.no_grad():\n    F.cross_entropy(x.softmax(1), t)", "no_grad"),
    ("LG101", "with torch.inference_mode():\n    F.cross_entropy(x.softmax(1), t)", "inference"),
    ("LG101", "F.cross_entropy(x.softmax(0), t)", "over the batch: wrong twice"),
    ("LG101", "F.cross_entropy(x[0].softmax(0), t[0])", "a single example"),
    ("LG101", "F.cross_entropy(image.softmax(1), mask)", "pixels"),
    ("LG101", "p = image.softmax(1).permute(0, 2, 3, 1).reshape(-1, 5)\n"
     "F.cross_entropy(p, mask.flatten())", "pixels as rows"),
    ("LG101", "p = x.softmax(1)\np += 1e-8\nF.cross_entropy(p, t)", "a small number is added"),
    ("LG101", "F.cross_entropy(x.softmax(1) + torch.tensor(1e-8), t)", "a small scalar tensor"),
    ("LG101", "F.cross_entropy(x.softmax(1).clamp(1e-7, 1), t)", "clamp"),
    ("LG101", "F.cross_entropy(x.softmax(1).detach().double().clone(), t)", "detach, double"),
    ("LG101", "F.cross_entropy(copy.deepcopy(x.detach().softmax(1)), t)", "deepcopy"),
    ("LG101", "F.cross_entropy(torch.cat([x.softmax(1), x.softmax(1)]), t.repeat(2))", "cat"),
    ("LG101", "F.cross_entropy(torch.stack(list(x.softmax(1))), t)", "unbind and stack"),
    ("LG101", "F.cross_entropy(x.softmax(1)[t > 1], t[t > 1])", "a mask over rows"),
    ("LG101", "F.cross_entropy(x.T.softmax(0).T, t)", "transposed twice"),
    ("LG101", "F.cross_entropy(F.dropout(x.softmax(1), 0.1), t)", "dropout"),
    ("LG102", "F.cross_entropy(x.log_softmax(1), t)", "log_softmax"),
    ("LG102", "F.cross_entropy(x.softmax(1).log(), t)", "log of softmax"),
    ("LG103", "F.cross_entropy(x.sigmoid(), t)", "sigmoid"),
    ("LG103", "w = x.detach().clone()\nw.sigmoid_()\nF.cross_entropy(w, t)", "sigmoid_"),
    ("LG103", "F.cross_entropy(nn.Sequential(linear, nn.Sigmoid())(x), t)", "a layer"),
    ("LG104", "F.nll_loss(x.softmax(1), t)", "softmax"),
    ("LG104", "nn.NLLLoss()(nn.Softmax(1)(x), t)", "layers"),
    ("LG104", "F.nll_loss(image.softmax(1), mask)", "pixels"),
    ("LG105", "F.nll_loss(linear(x), t)", "outputs of a layer"),
    ("LG105", "nn.NLLLoss()(nn.Sequential(nn.ReLU(), linear)(x), t)", "of a network"),
    ("LG105", "F.nll_loss(linear(x) / 0.7, t)", "divided by a temperature"),
    ("LG106", "F.binary_cross_entropy_with_logits(z.sigmoid(), y)", "sigmoid"),
    ("LG106", "nn.BCEWithLogitsLoss()(nn.Sigmoid()(z), y)", "layers"),
    ("LG106", "F.binary_cross_entropy_with_logits(torch.special.expit(z).squeeze(1), y[:, 0])",
     "expit, squeezed"),
    ("LG106", "nn.MultiLabelSoftMarginLoss()(x.sigmoid(), b)", "multilabel"),
    ("LG106", "F.binary_cross_entropy_with_logits(F.logsigmoid(z).exp(), y)", "exp of logsigmoid"),
    ("LG107", "try:\n    F.binary_cross_entropy(linear(x) * 9, b)\nexcept RuntimeError: pass",
     "a value outside [0, 1]"),
    ("LG108", "F.kl_div(x.softmax(1), q, reduction='sum')", "softmax"),
    ("LG108", "nn.KLDivLoss(reduction='sum')(x.softmax(1), q)", "the loss as a layer"),
    ("LG108", "F.kl_div(x.sigmoid(), q, reduction='sum')", "sigmoid"),
    ("LG108", "F.kl_div(linear(x), q, reduction='sum')", "outputs of a layer"),
    ("LG108", "F.kl_div(x.softmax(1), q.log(), reduction='sum', log_target=True)", "log_target"),
    ("LG110", "F.kl_div(x.softmax(1), x.log_softmax(1), reduction='sum')", "kl_div swapped"),
    ("LG112", "x.softmax(1).softmax(1)", "softmax twice"),
    ("LG112", "x.softmax(-1).log_softmax(dim=1)", "log_softmax of softmax"),
    ("LG112", "z.sigmoid().sigmoid()", "sigmoid twice"),
    ("LG112", "F.logsigmoid(torch.sigmoid(z))", "logsigmoid of sigmoid"),
    ("LG112", "nn.Sequential(nn.Softmax(1), nn.Softmax(1))(x)", "layers"),
    ("LG112", "w = z.clone().sigmoid_().sigmoid_()", "in place"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "program"), [pytest.param(c, p, id=f"{c} {why}") for c, p, why in REPORTED]
)
def test_is_reported(code: str, program: str) -> None:
    reports = watched(program)
    assert [each.code for each in reports] == [code]
    (report,) = reports
    assert (report.name, report.severity) == RULES[code]
    assert report.count == 1
    assert report.loss_line > 0
    assert report.activation_line > 0


# ---- near misses ------------------------------------------------------------------------

QUIET = [
    ("F.cross_entropy(x, t)", "logits"),
    ("F.cross_entropy(linear(x), t)", "outputs of a layer"),
    ("F.cross_entropy(x, x.detach().softmax(1))", "soft targets"),
    ("F.cross_entropy(x, 0.3 * q + 0.7 * q.flip(0))", "mixup"),
    ("F.binary_cross_entropy_with_logits(z, (z + 1).sigmoid())", "soft binary targets"),
    ("F.kl_div((x / 4).log_softmax(1), (x / 2).softmax(1), reduction='batchmean')", "distillation"),
    ("F.kl_div(x.log_softmax(1), q.log().log_softmax(1), reduction='sum', log_target=True)",
     "distillation, log_target"),
    ("F.cross_entropy(x.softmax(1) @ sure, t)", "attention: the product is no probability"),
    ("a = (x @ x.T).softmax(-1)\nF.cross_entropy(torch.matmul(a, x), t)", "attention over rows"),
    ("F.cross_entropy(image.softmax(3), mask)", "over positions, not classes"),
    ("F.cross_entropy(F.scaled_dot_product_attention(x, x, x), t)", "built-in attention"),
    ("F.cross_entropy(nn.MultiheadAttention(5, 1)(x, x, x)[0], t)", "attention layer"),
    ("x.softmax(1).argmax(1).eq(t).float().mean()\nF.cross_entropy(x, t)", "metrics"),
    ("x.softmax(1).max(1).values.mean()\nF.cross_entropy(x, t)", "confidence"),
    ("F.cross_entropy(x.softmax(1) * 2, t)", "multiplied: unknown"),
    ("F.cross_entropy(x.softmax(1) * x, t)", "a gate"),
    ("F.cross_entropy(x.sigmoid() * x, t)", "swish"),
    ("F.cross_entropy(x.softmax(1) + 1, t)", "a large number is added"),
    ("F.cross_entropy(x.softmax(1) + x.softmax(1), t)", "a sum of two"),
    ("F.cross_entropy(torch.logit(x.sigmoid()), t)", "logit undoes the sigmoid"),
    ("F.cross_entropy(-x.softmax(1), t)", "negated"),
    ("F.cross_entropy(1 - x.softmax(1), t)", "complement"),
    ("F.cross_entropy(torch.cat([x.softmax(1), x]), t.repeat(2))", "cat with logits"),
    ("F.cross_entropy(image.log_softmax(3), mask)", "log-softmax over positions"),
    ("F.cross_entropy(x.log_softmax(1) + q.log(), t)", "logit adjustment"),
    ("p = x.detach().softmax(1)\np.mul_(9)\nF.cross_entropy(p, t)", "changed in place"),
    ("p = x.detach().softmax(1)\np[0] = 7\nF.cross_entropy(p, t)", "an item is set"),
    ("p = x.detach().softmax(1)\nv = p[0]\nv.zero_()\nF.cross_entropy(p, t)", "a view is changed"),
    ("p = x.detach().softmax(1)\ntorch.exp(x.detach(), out=p)\nF.cross_entropy(p, t)", "out="),
    ("p = x.detach().softmax(1)\np.data = x.detach()\nF.cross_entropy(p, t)", "data is set"),
    ("with torch.inference_mode():\n    p = x.softmax(1)\n    p.mul_(9)\n"
     "    F.cross_entropy(p, t)", "changed in place, uncounted"),
    ("F.nll_loss(x.log_softmax(1), t)", "log-probabilities"),
    ("F.nll_loss(x.softmax(1).log(), t)", "log of softmax"),
    ("F.nll_loss((x.softmax(1) + 1e-9).log(), t)", "guarded log"),
    ("w = x.detach().softmax(1)\nw.log_()\nF.nll_loss(w, t)", "log_"),
    ("F.nll_loss(x, t)", "of unknown origin"),
    ("F.nll_loss(F.linear(x, sure), t)", "not of a layer"),
    ("o = linear(x)\nF.nll_loss(o - o.logsumexp(1, keepdim=True), t)", "normalised by hand"),
    ("i = nn.Linear(5, 5, bias=False)\ni.weight.data = sure\nF.nll_loss(i(x.log_softmax(1)), t)",
     "outputs whose exponentials do sum to 1"),
    ("F.nll_loss(linear(x).clamp(max=0), t)", "outputs clamped on purpose"),
    ("F.binary_cross_entropy(z.sigmoid(), y)", "sigmoid"),
    ("F.binary_cross_entropy(x.softmax(1)[:, 1], b[:, 0])", "a probability of softmax"),
    ("i = nn.Linear(5, 5, bias=False)\ni.weight.data = sure\nF.binary_cross_entropy(i(q), b)",
     "outputs that are in [0, 1]"),
    ("F.binary_cross_entropy_with_logits(linear(x), b)", "logits"),
    ("F.binary_cross_entropy_with_logits(nn.Linear(1, 1)(z.sigmoid()), y)", "a hidden sigmoid"),
    ("image.softmax(1).softmax(2)", "over two axes"),
    ("x.softmax(1).topk(2, 1).values.softmax(1)", "the best experts again"),
    ("x.softmax(1)[:, :2].softmax(1)", "of some classes again"),
    ("x.log_softmax(1).softmax(1)", "softmax of log-probabilities"),
    ("(x.softmax(1).log() / 0.5).softmax(1)", "sharpened"),
    ("nn.Sequential(nn.Sigmoid(), linear, nn.Sigmoid())(x)", "a layer between"),
    ("F.mse_loss(x.softmax(1), q)", "no loss of these"),
    ("e = x.exp()\nF.cross_entropy(e / e.sum(), t)", "by hand, over everything"),
    ("e, o = x.exp(), (x + 1).exp()\nF.cross_entropy(e / o.sum(1, keepdim=True), t)",
     "exponentials over another sum"),
    ("p = torch.distributions.Categorical(logits=x)\nF.nll_loss(p.logits, t)", "a policy"),
]  # fmt: skip


@pytest.mark.parametrize("program", [pytest.param(p, id=why) for p, why in QUIET])
def test_is_quiet(program: str) -> None:
    assert found_in(program) == []


# ---- the linter's own examples -----------------------------------------------------------

# Run, these do what the linter foresees without running: nothing, or an error of torch's.
NEVER_CALLED = {("LG101", 11), ("LG108", 2)}
EXAMPLES = [
    pytest.param(rule.code, kind, program, id=f"{rule.code} {kind} {number}")
    for rule in all_rules()
    if rule.code in RULES and rule.code != "LG110"
    for kind, programs in (
        ("bad", [each.bad for each in rule.examples if not each.files]),
        ("good", [each.good for each in rule.examples if not each.files and each.good]),
        ("near miss", rule.near_misses),
    )
    for number, program in enumerate(programs)
    if not (kind == "bad" and (rule.code, number) in NEVER_CALLED)
]


@pytest.mark.parametrize(("code", "kind", "program"), EXAMPLES)
@pytest.mark.filterwarnings("ignore")
def test_agrees_with_the_linter(code: str, kind: str, program: str) -> None:
    torch.manual_seed(0)
    with watch_losses(on_misuse="record") as watch:
        try:
            exec(compile(program, "program.py", "exec"), {"__name__": "program"})
        except RuntimeError:
            assert code == "LG107"  # torch itself refuses values outside [0, 1]
    assert (code in [each.code for each in watch.reports]) == (kind == "bad")


def test_the_rules_are_the_linters() -> None:
    theirs = {rule.code: (rule.name, rule.severity) for rule in all_rules()}
    assert {code: theirs[code] for code in RULES} == RULES


# ---- messages ---------------------------------------------------------------------------


class Net(nn.Module):  # type: ignore[misc]  # torch's types are not read here
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(5, 10)

    def forward(self, x: Any) -> Any:
        return F.softmax(self.fc(x), dim=1)


NET_LINE = Net.forward.__code__.co_firstlineno + 1


def line_of(code: Any, below: int) -> int:
    first: int = code.__code__.co_firstlineno
    return first + below


def test_a_report_names_both_lines() -> None:
    with watch_losses(on_misuse="record") as watch:
        nn.CrossEntropyLoss()(Net()(torch.ones(2, 5)), torch.tensor([0, 1]))
    (report,) = watch.reports
    assert (report.loss_file, report.activation_file) == (HERE, HERE)
    assert report.loss_line == line_of(test_a_report_names_both_lines, 2)
    assert report.activation_line == NET_LINE
    assert report.message == (
        "`cross_entropy` applies softmax itself: give it logits, not probabilities; "
        "of 10 classes, its loss cannot fall below 1.461"
    )
    lines = str(report).splitlines()
    assert lines[0].endswith(f"test_watch.py:{report.loss_line} LG101 {report.message}")
    assert lines[1].strip().startswith("nn.CrossEntropyLoss()(Net()")
    assert lines[2].endswith(f"test_watch.py:{NET_LINE} softmax is applied here")
    assert lines[3].strip() == "return F.softmax(self.fc(x), dim=1)"


def test_a_layer_is_named_where_it_has_no_line_of_its_own() -> None:
    (report,) = watched("F.cross_entropy(nn.Sequential(linear, nn.Softmax(1))(x), t)")
    assert report.related == "softmax is applied here, by the layer Softmax"
    (report,) = watched("F.nll_loss(linear(x), t)")
    assert report.related == "the layer Linear gives logits here"


@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_the_floor_of_cross_entropy_is_reached_by_the_best_probabilities(classes: int) -> None:
    best = torch.eye(classes, dtype=torch.float64)
    loss = F.cross_entropy(best, torch.arange(classes))
    # Both in float64: a handful of roundings.
    assert math.isclose(loss.item(), floor_of(classes), rel_tol=1e-12)


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("F.cross_entropy(x.softmax(1), t, torch.ones(5))", "not probabilities"),
        ("F.binary_cross_entropy_with_logits(z.sigmoid(), y, weight=y)", "not probabilities"),
        ("F.cross_entropy(x.sigmoid(), t, weight=torch.ones(5))", "_with_logits`"),
    ],
    ids=["cross_entropy", "bce", "sigmoid"],
)
def test_no_floor_is_told_where_weights_scale_the_loss(program: str, says: str) -> None:
    (report,) = watched(program)
    assert report.message.endswith(says)
    assert "fall below" not in report.message


def test_the_figures_of_messages_are_right() -> None:
    uniform = torch.full((1, 10), 0.1, dtype=torch.float64)
    told = f"{F.kl_div(uniform, uniform, reduction='sum').item():.3f}"
    with watch_losses(on_misuse="record") as watch:
        F.kl_div(torch.zeros(1, 10).softmax(1), uniform, reduction="sum")
        torch.eye(10).mul(99).softmax(1).softmax(1)
        zero = torch.zeros(3, 3)
        layer = nn.Linear(3, 2)
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
        F.nll_loss(layer(zero), torch.tensor([0, 1, 1]))
    first, second, third = (each.message for each in watch.reports)
    assert f"over 10 classes it gives {told}, not 0" in first
    most = torch.eye(10).softmax(1).max().item()
    assert f"gives none more than {most:.3f}" in second
    assert "the exponentials of a row sum to 2, not to 1" in third


# ---- raise, warn, record -----------------------------------------------------------------


def test_raise_raises_at_the_loss_before_it_computes() -> None:
    x = torch.randn(2, 3)
    after = False
    with pytest.raises(LossMisuse, match="LG101") as caught, watch_losses():  # noqa: PT012 - the
        # line that is not reached is what is tested
        F.cross_entropy(x.softmax(1), torch.tensor([0, 1]))
        after = True
    assert not after
    assert isinstance(caught.value, AssertionError)
    assert caught.value.report.code == "LG101"
    assert torch._C._len_torch_function_stack() == 0


def test_raise_only_warns_of_what_is_redundant() -> None:
    with pytest.warns(LossMisuseWarning, match="LG102"), watch_losses():
        loss = F.cross_entropy(torch.zeros(1, 2).log_softmax(1), torch.tensor([0]))
    assert math.isclose(loss.item(), math.log(2), rel_tol=1e-6)


def test_warn_warns_once_for_a_pair_of_lines_and_counts() -> None:
    x, t = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    with warnings.catch_warnings(record=True) as caught, watch_losses(on_misuse="warn") as watch:
        warnings.simplefilter("always")
        for _ in range(5):
            F.cross_entropy(x.softmax(1), t)
        F.cross_entropy(x.softmax(1), t)
    assert [each.category for each in caught] == [LossMisuseWarning] * 2
    assert [each.count for each in watch.reports] == [5, 1]
    assert caught[0].filename == HERE
    assert caught[0].lineno == watch.reports[0].loss_line
    assert "(5 times)" in str(watch.reports[0])


def test_what_is_allowed_is_not_reported() -> None:
    x, t = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    with watch_losses(allow=["LG101", "double-activation"]) as watch:
        F.cross_entropy(x.softmax(1).softmax(1), t)
    assert watch.reports == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param({"on_misuse": "shout"}, "on_misuse='shout'", id="on_misuse"),
        pytest.param({"allow": ["LG999"]}, "LG999: expected codes or names", id="a code"),
    ],
)
def test_a_wrong_argument_is_told(arguments: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says), watch_losses(**arguments):
        pass


def test_a_misuse_can_be_pickled() -> None:
    report = WatchReport("LG101", "softmax-into-cross-entropy", "m", "a.py", 1, "b.py", 2)
    error = pickle.loads(pickle.dumps(LossMisuse(report)))
    assert error.report == report


# ---- the watched program does not notice -------------------------------------------------


def training(watch: bool) -> list[float]:
    torch.manual_seed(3)
    net = nn.Sequential(nn.Linear(5, 8), nn.Sigmoid(), nn.Dropout(0.2), nn.Linear(8, 3))
    optimizer = torch.optim.Adam(net.parameters())
    x, t = torch.randn(16, 5), torch.randint(0, 3, (16,))
    losses = []
    mode = Follow(Watch("raise"))
    if watch:
        mode.enter()
    for _ in range(5):
        loss = F.cross_entropy(net(x), t)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    mode.leave()
    return losses


def test_training_is_the_same() -> None:
    assert training(watch=True) == training(watch=False)


def test_meanings_go_with_their_tensors() -> None:
    mode = Follow(Watch("record"))
    mode.enter()
    try:
        x = torch.randn(4, 3)
        for _ in range(1000):
            p = x.softmax(1)
            q = p.detach()[:2]
            assert len(mode._known) <= 4
        del p, q
        gc.collect()
        assert not mode._known
        kept = x.softmax(1)
        assert len(mode._known) == 1
        del kept
    finally:
        mode.leave()


def test_a_number_that_is_used_again_means_nothing() -> None:
    """A tensor at the address of one that is gone has no meaning of it."""
    t = torch.tensor([0, 1])
    with watch_losses():
        for _ in range(300):
            number = id(torch.randn(2, 3).softmax(1))
            fresh = torch.randn(2, 3)
            if id(fresh) == number:
                F.cross_entropy(fresh, t)


def test_our_own_mistakes_never_surface(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("a mistake of ours")

    x, t = torch.randn(2, 3), torch.tensor([0, 1])
    for name in ("judge_loss", "judge_activation", "axis_after", "place", "_version"):
        with monkeypatch.context() as patch, watch_losses(on_misuse="record"):
            patch.setattr(f"lossgrade.watch_mode.{name}", broken)
            loss = F.cross_entropy(x.softmax(1).clamp(0, 1).softmax(1)[:], t)
            assert loss.isfinite()


class Counting(TorchFunctionMode):  # type: ignore[misc]  # torch's types are not read here
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def __torch_function__(self, func: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls.append(func.__name__)
        return func(*args, **(kwargs or {}))


def test_another_mode_sees_the_same_calls() -> None:
    x, t = torch.randn(2, 3), torch.tensor([0, 1])
    layer = nn.Linear(3, 3)

    def run() -> None:
        F.cross_entropy(x.softmax(1).clamp(0, 1)[:] + 1e-9, t)
        F.nll_loss(layer(x), t)
        (x + torch.tensor(1.0)).exp().sum()

    with Counting() as alone:
        run()
    with Counting() as outside, watch_losses(on_misuse="record") as inner:
        run()
    with watch_losses(on_misuse="record") as outer, Counting() as inside:
        run()
    assert alone.calls == outside.calls == inside.calls
    assert [[r.code for r in w.reports] for w in (inner, outer)] == [["LG101", "LG105"]] * 2


def test_leaving_out_of_order_takes_away_our_mode_alone() -> None:
    ours, other = Follow(Watch("record")), Counting()
    ours.enter()
    other.__enter__()
    ours.leave()
    assert torch._C._len_torch_function_stack() == 1
    torch.zeros(2).relu()
    assert "relu" in other.calls
    other.__exit__(None, None, None)
    assert torch._C._len_torch_function_stack() == 0


def test_the_innermost_watch_answers() -> None:
    x, t = torch.randn(2, 3), torch.tensor([0, 1])
    with watch_losses() as outer, watch_losses(on_misuse="record") as inner:
        F.cross_entropy(x.softmax(1), t)
    assert (len(outer.reports), len(inner.reports)) == (0, 1)
    with watch_losses(on_misuse="record") as outer:
        p = x.softmax(1)
        with watch_losses() as inner:
            F.cross_entropy(p, t)
    assert (len(outer.reports), len(inner.reports)) == (1, 0), "only the outer one saw the softmax"


def test_a_default_device_that_is_set_inside_stays() -> None:
    with watch_losses(on_misuse="record"):
        torch.set_default_device("cpu")
    try:
        assert torch._C._len_torch_function_stack() == 1
    finally:
        torch.set_default_device(None)
    assert torch._C._len_torch_function_stack() == 0


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.filterwarnings("ignore")
def test_compiled_code_works(backend: str) -> None:
    def compute(x: Any, t: Any) -> Any:
        return F.cross_entropy(F.softmax(x, dim=1), t)

    x, t = torch.randn(4, 3, requires_grad=True), torch.tensor([0, 1, 2, 0])
    torch._dynamo.reset()
    compiled = torch.compile(compute, backend=backend, fullgraph=True)
    with watch_losses(on_misuse="record"):
        loss = compiled(x, t)
        loss.backward()
    torch.testing.assert_close(loss, compute(x, t))
    assert x.grad is not None


@pytest.mark.filterwarnings("ignore")  # torch.func uses what torch deprecates
def test_functional_transforms_work() -> None:
    x, t = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    layer = nn.Linear(3, 3)

    def compute(row: Any, target: Any) -> Any:
        return F.nll_loss(layer(row).softmax(0).log_softmax(0), target)

    alone = torch.func.vmap(torch.func.grad(compute))(x, t)
    with watch_losses(on_misuse="record") as watch:
        seen = torch.func.vmap(torch.func.grad(compute))(x, t)
        torch.func.hessian(lambda row: compute(row, t[0]))(x[0])
    torch.testing.assert_close(seen, alone)
    assert {each.code for each in watch.reports} == {"LG112"}


def test_double_backward_works() -> None:
    x = torch.randn(4, 3, requires_grad=True)
    with watch_losses(on_misuse="record") as watch:
        loss = F.cross_entropy(x.softmax(1), torch.tensor([0, 1, 2, 0]))
        (gradient,) = torch.autograd.grad(loss, x, create_graph=True)
        gradient.square().sum().backward()
    assert x.grad is not None
    assert len(watch.reports) == 1


class Own(torch.Tensor):  # type: ignore[misc]  # torch's types are not read here
    """A subclass as users write them."""


def test_a_tensor_subclass_is_followed() -> None:
    with watch_losses(on_misuse="record") as watch:
        p = torch.randn(2, 3).as_subclass(Own).softmax(1)
        assert isinstance(p, Own)
        F.cross_entropy(p, torch.tensor([0, 1]))
    assert [each.code for each in watch.reports] == ["LG101"]


def test_tensors_on_meta_and_pickled_ones_work() -> None:
    with watch_losses(on_misuse="record") as watch:
        with torch.device("meta"):
            F.nll_loss(nn.Linear(3, 3)(torch.randn(2, 3)), torch.zeros(2, dtype=torch.long))
        file = io.BytesIO()
        torch.save(torch.randn(2, 3).softmax(1), file)
        file.seek(0)
        F.cross_entropy(torch.load(file), torch.tensor([0, 1]))
    assert watch.reports == []


def test_other_threads_are_not_watched() -> None:
    def wrong() -> None:
        F.cross_entropy(torch.randn(2, 3).softmax(1), torch.tensor([0, 1]))

    with watch_losses() as watch:
        thread = threading.Thread(target=wrong)
        thread.start()
        thread.join()
    assert watch.reports == []


def test_functions_that_cannot_be_hashed_pass() -> None:
    class Unhashable:
        __hash__ = None  # type: ignore[assignment]  # what is tested

        def __call__(self, x: Any) -> Any:
            return x

    with watch_losses():
        result = torch.overrides.handle_torch_function(Unhashable(), (torch.ones(1),), 3)
    assert result == 3


# ---- tables and imports ------------------------------------------------------------------


def test_every_name_of_the_tables_is_a_function_of_torch() -> None:
    known = {name for _, name in effects().values()}
    missing = {path for path in EFFECTS if path.partition(".")[0] not in known}
    assert missing <= {"dropout_", "xpu", "true_divide_"}


SHAPE = (2, 3, 5)


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize(
    ("effect", "call"),
    [
        ("permute", "permute(2, 0, 1)"), ("permute", "permute((1, -1, 0))"),
        ("transpose", "transpose(0, -1)"), ("swap_last", "mT"), ("move", "movedim(0, 2)"),
        ("unsqueeze", "unsqueeze(1)"), ("unsqueeze", "unsqueeze(-1)"), ("select", "select(1, 0)"),
        ("index", "__getitem__(0)"), ("index", "__getitem__((slice(None), 1))"),
        ("index", "__getitem__((..., None, 0))"), ("index", "__getitem__((None, slice(None), 0))"),
        ("index", "__getitem__([1, 1])"), ("narrow", "narrow(1, 0, 2)"), ("shape", "view(-1, 5)"),
        ("shape", "flatten(0, 1)"), ("shape", "expand(4, 2, 3, 5)"),
        ("shape", "unflatten(2, (5, 1))"),
    ],
)  # fmt: skip
def test_the_axis_is_followed(effect: str, call: str, axis: int) -> None:
    """Where an axis is said to lie afterwards, sums over it are still 1."""
    p = torch.randn(SHAPE, dtype=torch.float64).softmax(axis)
    name, _, rest = call.partition("(")
    arguments = eval(f"({rest[:-1]},)") if rest else ()
    after = getattr(p, name)(*arguments) if rest else getattr(p, name)
    found = axis_after(effect, name, axis, SHAPE, tuple(after.shape), (p, *arguments), {})
    sums = [bool(after.sum(each).sub(1).abs().max() < 1e-12) for each in range(after.dim())]
    if found is None:
        assert not any(size > 1 and ok for size, ok in zip(after.shape, sums, strict=True))
    else:
        assert sums[found]


def test_importing_lossgrade_imports_neither_torch_nor_anything_of_the_watch() -> None:
    code = (
        "import sys, lossgrade\n"
        "assert not {'torch', 'numpy', 'lossgrade.watch'} & set(sys.modules)\n"
        "from lossgrade import watch_losses, Watch, WatchReport, LossMisuse, LossMisuseWarning\n"
        "assert not {'torch', 'numpy'} & set(sys.modules)\n"
        "assert lossgrade.watch_losses is watch_losses\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'watch_loses'"):
        getattr(lossgrade, "watch_loses")  # noqa: B009 - what is tested
