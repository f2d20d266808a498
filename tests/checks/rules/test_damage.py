"""Every bad example is executed with PyTorch, and does the damage that its rule's page claims."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)
from torch import nn

from executing import Ran
from lossgrade_checks.rules import all_rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from executing import LossCall
    from lossgrade_checks.rule import Example, Rule

EXAMPLES = [
    pytest.param(rule, example, id=f"{rule.code}-{number}")
    for rule in all_rules()
    for number, example in enumerate(rule.examples)
]
MENDED = [
    pytest.param(rule, example, id=f"{rule.code}-{number}")
    for rule in all_rules()
    for number, example in enumerate(rule.examples)
    if example.good is not None
]
# Of one float32 operation; the sums below are of ten terms of at most 1.
CLOSE = 1e-5


class Proof(NamedTuple):
    """`holds` asserts the damage; `arguments` are what functions are called with, by parameter.

    `raises`: that the example raises an error is no mistake of the example, it is the damage.
    """

    holds: Callable[[Ran], None]
    arguments: Mapping[str, Callable[[], Any]] = {}
    raises: bool = False


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Small tensors in one thread, and the same random numbers each time."""
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)
    torch.set_rng_state(state)


@pytest.mark.parametrize(("rule", "example"), EXAMPLES)
def test_the_bad_example_does_the_damage(
    rule: type[Rule], example: Example, tmp_path: Path
) -> None:
    proof = PROOFS[rule.code]
    ran = Ran(tmp_path, example, proof.arguments)
    if ran.errors and not proof.raises:
        raise ran.errors[0]
    proof.holds(ran)


@pytest.mark.parametrize(("rule", "example"), MENDED)
def test_the_mended_example_does_not(rule: type[Rule], example: Example, tmp_path: Path) -> None:
    assert example.good is not None
    proof = PROOFS[rule.code]
    ran = Ran(tmp_path, example._replace(bad=example.good), proof.arguments)
    assert not ran.errors
    with pytest.raises((AssertionError, IndexError, pytest.fail.Exception)):
        proof.holds(ran)


def test_every_rule_has_a_proof() -> None:
    assert sorted(PROOFS) == [rule.code for rule in all_rules()]


# --- LG1xx: what goes into a loss ----------------------------------------------------------------


def calls(ran: Ran, *names: str) -> list[LossCall]:
    """Return the calls of a loss, of which there must be one."""
    found = [call for call in ran.losses if call.name in names]
    assert found
    return found


def softmax_is_applied_twice(ran: Ran) -> None:
    for call in calls(ran, "cross_entropy"):
        assert torch.allclose(call.input.sum(dim=1), torch.ones(()), atol=CLOSE)
        loss_has_a_floor(call)


def sigmoids_are_taken_for_logits(ran: Ran) -> None:
    for call in calls(ran, "cross_entropy"):
        assert 0 <= call.input.min() <= call.input.max() <= 1
        loss_has_a_floor(call)


def loss_has_a_floor(call: LossCall) -> None:
    """Of inputs between 0 and 1 the loss of no example falls below ln(1 + (C - 1) / e)."""
    classes = call.input.shape[1]
    floor = math.log1p((classes - 1) / math.e)
    losses = F.cross_entropy(call.input, call.target, reduction="none")
    assert losses.min() >= floor - CLOSE
    surest = F.one_hot(call.target, classes).float()
    assert F.cross_entropy(surest, call.target).item() == pytest.approx(floor, abs=CLOSE)


def softmax_changes_nothing(ran: Ran) -> None:
    for call in calls(ran, "cross_entropy"):
        right = F.nll_loss(call.input, call.target)
        assert call.value.item() == pytest.approx(right.item(), abs=CLOSE)


def the_loss_is_a_negative_probability(ran: Ran) -> None:
    for call in calls(ran, "nll_loss"):
        losses = F.nll_loss(call.input, call.target, reduction="none")
        assert -1 <= losses.min() <= losses.max() < 0
        assert torch.equal(losses, -call.input.gather(1, call.target[:, None])[:, 0])


def the_loss_has_no_bound(ran: Ran) -> None:
    for call in calls(ran, "nll_loss"):
        lower = call.again(input=call.input + 1000)
        assert lower.item() == pytest.approx(call.value.item() - 1000, abs=1e-2)
        # Cross entropy does not care for a number that is added to all logits.
        same = [F.cross_entropy(call.input + shift, call.target).item() for shift in (0, 10)]
        assert same[0] == pytest.approx(same[1], abs=CLOSE)


def sigmoid_is_applied_twice(ran: Ran) -> None:
    for call in calls(ran, "binary_cross_entropy_with_logits", "multilabel_soft_margin_loss"):
        probabilities = torch.sigmoid(call.input)
        assert 0.5 <= probabilities.min() <= probabilities.max() <= 0.7311
        losses = F.binary_cross_entropy_with_logits(call.input, call.target, reduction="none")
        assert losses[call.target == 0].min() >= math.log(2) - CLOSE
        assert losses[call.target == 1].min() >= math.log1p(1 / math.e) - CLOSE


def binary_cross_entropy_raises(ran: Ran) -> None:
    assert calls(ran, "binary_cross_entropy")[-1].value is None
    assert "all elements of input should be between 0 and 1" in str(ran.errors[0])


def the_result_is_no_divergence(ran: Ran) -> None:
    for call in calls(ran, "kl_div"):
        # What are taken for the logarithms of probabilities belong to a total far above 1.
        assert call.input.exp().sum(dim=1).min() > 1.5
        right = call.again(input=F.log_softmax(call.input, dim=1))
        assert right.item() >= 0
        assert call.value.item() < right.item() - 1
        if torch.allclose(call.input.sum(dim=1), torch.ones(()), atol=CLOSE):
            assert call.value.item() < 0


def nothing_is_learned(ran: Ran) -> None:
    if ran.errors:
        # The backward pass, or cross entropy of class indices.
        assert isinstance(ran.errors[0], RuntimeError | ValueError | IndexError)
    else:
        gradients = [gradient for gradient in ran.gradients() if gradient is not None]
        assert gradients
        assert all(not gradient.any() for gradient in gradients)


def the_target_comes_first(ran: Ran) -> None:
    [call] = calls(ran, *{call.name for call in ran.losses})[-1:]
    if call.name in {"cross_entropy", "nll_loss"}:
        # Class indices for logits.
        assert isinstance(ran.errors[-1], RuntimeError | ValueError | IndexError)
        return
    right = call.again(input=call.target, target=call.input).item()
    if call.name == "binary_cross_entropy":
        assert set(call.input.unique().tolist()) <= {0.0, 1.0}
        # Whatever lies on the wrong side of a target costs up to 100.
        assert call.value.item() > 10 > right
    elif call.name == "kl_div":
        assert call.target.max() <= 0 <= right
        assert call.value.isnan()
    else:
        # No damage: a squared error is symmetric, and the finding a remark.
        assert call.name == "mse_loss"
        assert call.value.item() == right
        assert call.learned == {"target"}


def the_gradient_vanishes(ran: Ran) -> None:
    [net] = [x for x in ran.names.values() if isinstance(x, nn.Module) and _ends(x) is not None]
    last = _ends(net)
    assert last is not None
    # Sure of class 0, and wrong: it is class 1.
    target = F.one_hot(torch.tensor([1]), last.out_features).float()
    with torch.no_grad():
        last.weight.zero_()
        last.bias.fill_(-100.0)[0] = 100.0
    outputs = net(torch.randn(1, 20))
    probabilities = outputs.softmax(dim=1) if net is last else outputs
    (squared_error,) = torch.autograd.grad(F.mse_loss(probabilities, target), last.bias)
    assert squared_error.abs().max() < 1e-6
    logits = last(torch.randn(1, 20))
    (cross_entropy,) = torch.autograd.grad(F.cross_entropy(logits, target), last.bias)
    assert cross_entropy.abs().max() > 0.99


def _ends(module: nn.Module) -> Any:
    """Return the last linear layer of a network, or None."""
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    return layers[-1] if layers else None


def probabilities_are_nearly_uniform(ran: Ran) -> None:
    most = math.e / (math.e + 9)
    if "predicted" in ran.names:
        assert ran.names["predicted"].all()
    elif "p" in ran.names:
        assert ran.names["p"].max().item() <= most + CLOSE
    else:
        for call in calls(ran, "nll_loss", "binary_cross_entropy"):
            if call.name == "nll_loss":
                assert call.input.max().item() <= math.log(most) + CLOSE
            else:
                assert 0.5 <= call.input.min() <= call.input.max() <= 0.7311


# --- LG2xx, LG3xx: targets and axes --------------------------------------------------------------


def the_loss_raises(ran: Ran) -> None:
    assert ran.losses[-1].value is None
    message = str(ran.errors[-1])
    expected = (
        "Expected floating point type for target with class probabilities",
        "0D or 1D target tensor expected",
        "expected target dtype to be Long or Byte",
        "expected scalar type Long but found Float",
        "Found dtype Long but expected Float",
        "result type Float can't be cast",
    )
    assert any(part in message for part in expected), message


def the_axis_is_a_guess(ran: Ran) -> None:
    guessed = any("Implicit dimension choice" in warning for warning in ran.warnings)
    refused = any(isinstance(error, TypeError) for error in ran.errors)
    if not guessed and not refused:
        with pytest.warns(UserWarning, match="Implicit dimension choice"):
            ran.names["net"](torch.randn(2, 784))


def columns_sum_to_one(ran: Ran) -> None:
    found = ran.names.get("probabilities")
    if found is None:
        found = ran.names["softmax"](np.array([[2.0, 1.0, 0.1], [2.0, 1.0, 0.1]]))
    found = np.asarray(found.detach() if isinstance(found, torch.Tensor) else found, dtype=float)
    found = np.exp(found) if found.max() <= 0 else found
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=CLOSE)
    assert np.abs(found.sum(axis=1) - 1).max() > 0.1


def sums_belong_to_other_rows(ran: Ran) -> None:
    right = torch.tensor([[1.0, 2.0], [3.0, 5.0]], dtype=torch.float64).softmax(dim=1).numpy()
    found = np.asarray(ran.names["probabilities"])
    assert np.abs(found - right).max() > 0.05
    for name in ("softmax", "Softmax"):
        if name in ran.names:
            function = ran.names[name] if name == "softmax" else ran.names[name]()
            make = np.zeros if "numpy" in ran.text else torch.zeros
            with pytest.raises((RuntimeError, ValueError)):
                function(make((3, 2)))


def one_output_is_always_one(ran: Ran) -> None:
    for name in ("probabilities", "mask"):
        if name in ran.names:
            assert torch.equal(ran.names[name], torch.ones_like(ran.names[name]))
            return
    for call in calls(ran, "cross_entropy"):
        assert call.value.item() == 0
    assert all(gradient is None or not gradient.any() for gradient in ran.gradients())


# --- LG4xx: what cannot be computed --------------------------------------------------------------


def the_logarithm_is_lost(ran: Ran) -> None:
    """Far from the largest logit the loss is infinite, or stops growing at what was added."""
    if "1e-8" in ran.text:
        assert ran.names["loss"].item() < -math.log(1e-8) + 0.01 < 110
        return
    values = ran.values()
    if not any_infinite(values):
        # Halved, or in float64, it takes more.
        far = torch.tensor([[0.0, 2000.0]])
        values = [x.numpy() for x in ran.again(logits=far, targets=torch.tensor([0]))]
    assert any_infinite(values)


def any_infinite(values: list[Any]) -> bool:
    """Whether one of the numbers is infinite or NaN."""
    return any(not np.isfinite(value).all() for value in values)


def a_number_is_lost(ran: Ran) -> None:
    values = ran.values()
    if not any_infinite(values):
        far = torch.tensor([[1000.0, 0.0]])
        values = [x.numpy() for x in ran.again(logits=far, targets=torch.tensor([0]))]
    assert any_infinite(values)


def the_quotient_is_lost(ran: Ran) -> None:
    if any_infinite(ran.values()):
        return
    # The maximum of the whole array keeps the largest row alone.
    rows: Any = np.array([[0.0, 0.0], [1000.0, 999.0]], dtype=np.float32)
    rows = rows if "numpy" in ran.text else torch.from_numpy(rows)
    results = ran.again(X=rows, z=rows)
    assert results
    assert np.isnan(np.asarray(results[0])[0]).all()


# --- LG5xx, LG6xx: reductions and calls ----------------------------------------------------------


def the_mean_is_over_classes_too(ran: Ran) -> None:
    log_p, log_q = (torch.randn(8, 10).log_softmax(dim=1) for _ in range(2))
    value = None
    for module in ran.models:
        if isinstance(module, nn.KLDivLoss):
            with pytest.warns(UserWarning, match="'batchmean' divides only by the batch size"):
                value = module(log_p, log_q)
            right = F.kl_div(log_p, log_q, reduction="batchmean", log_target=True)
    if value is None:
        [call] = calls(ran, "kl_div")
        value, right = call.value, call.again(reduction="batchmean")
        assert any("'batchmean' divides only by the batch size" in text for text in ran.warnings)
    assert value.item() * 10 == pytest.approx(right.item(), rel=1e-4)


def pytorch_warns(ran: Ran) -> None:
    assert any("size_average and reduce args will be deprecated" in text for text in ran.warnings)


def backward_reaches_nothing(ran: Ran) -> None:
    if ran.errors:
        [error] = ran.errors
        expected = ("has no attribute 'backward'", "does not require grad")
        assert any(part in str(error) for part in expected)
    else:
        assert ran.models
        assert all(gradient is None for gradient in ran.gradients())


def no_loss_is_computed(ran: Ran) -> None:
    assert not ran.losses
    expected = (
        "Boolean value of Tensor with more than one value is ambiguous",
        "got an unexpected keyword argument",
    )
    assert any(part in str(ran.errors[0]) for part in expected)


def no_activation_is_applied(ran: Ran) -> None:
    if ran.errors:
        assert isinstance(ran.errors[0], TypeError | AttributeError)
    else:
        assert any(isinstance(value, nn.Softmax) for value in ran.returned)


def probabilities() -> Any:
    """Return a batch of rows that sum to 1."""
    return torch.randn(8, 10).softmax(dim=1)


PROOFS: dict[str, Proof] = {
    "LG101": Proof(softmax_is_applied_twice),
    "LG102": Proof(softmax_changes_nothing),
    "LG103": Proof(sigmoids_are_taken_for_logits),
    "LG104": Proof(the_loss_is_a_negative_probability),
    "LG105": Proof(the_loss_has_no_bound),
    "LG106": Proof(sigmoid_is_applied_twice),
    "LG107": Proof(binary_cross_entropy_raises, raises=True),
    "LG108": Proof(the_result_is_no_divergence, {"target": probabilities}),
    "LG109": Proof(nothing_is_learned, raises=True),
    "LG110": Proof(
        the_target_comes_first,
        {
            "loader": lambda: [(torch.randn(8, 20), torch.randint(0, 2, (8, 1)))],
            "target": lambda: torch.randn(8, 10),
        },
        raises=True,
    ),
    "LG111": Proof(the_gradient_vanishes),
    "LG112": Proof(probabilities_are_nearly_uniform),
    "LG201": Proof(
        the_loss_raises,
        {"model": lambda: nn.Linear(20, 3), "y": lambda: torch.randint(0, 3, (8,))},
        raises=True,
    ),
    "LG202": Proof(
        the_loss_raises,
        {
            "logits": lambda: torch.randn(8, 3),
            "labels": lambda: torch.randint(0, 3, (8,)),
            "model": lambda: nn.Linear(20, 1),
            "y": lambda: torch.randint(0, 2, (8, 1)),
        },
        raises=True,
    ),
    "LG301": Proof(the_axis_is_a_guess, raises=True),
    "LG302": Proof(columns_sum_to_one),
    "LG303": Proof(sums_belong_to_other_rows),
    "LG304": Proof(
        one_output_is_always_one, {"targets": lambda: torch.zeros(8, 1, dtype=torch.long)}
    ),
    "LG401": Proof(
        the_logarithm_is_lost,
        {
            "logits": lambda: torch.tensor([[0.0, 2000.0]]),
            "loader": lambda: [(1e4 * torch.randn(4, 20), torch.randint(0, 10, (4,)))],
        },
    ),
    "LG402": Proof(
        the_logarithm_is_lost,
        {
            "logits": lambda: torch.tensor([-110.0, 20.0]),
            "generator": nn.Identity,
            "noise": lambda: 1e4 * torch.randn(64, 784),
        },
    ),
    "LG403": Proof(the_quotient_is_lost),
    "LG404": Proof(a_number_is_lost),
    "LG405": Proof(a_number_is_lost, {"logits": lambda: torch.tensor([[100.0, 0.0]])}),
    "LG501": Proof(
        the_mean_is_over_classes_too,
        {"targets": probabilities},
    ),
    "LG502": Proof(pytorch_warns),
    "LG503": Proof(backward_reaches_nothing, raises=True),
    "LG601": Proof(
        no_loss_is_computed,
        {
            "model": lambda: nn.Linear(20, 3),
            "y": lambda: torch.randint(0, 3, (8,)),
            "targets": lambda: torch.rand(8, 10),
        },
        raises=True,
    ),
    "LG602": Proof(no_activation_is_applied, raises=True),
}
