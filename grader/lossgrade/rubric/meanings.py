"""What the outputs of a model mean, and what a loss does with them: found from values alone.

Outputs (N, C) are logits, probabilities, log-probabilities, sigmoids, or probabilities that sum
to 1 down the columns; of a binary model (N,) logits or probabilities. A loss is recognised by
computing every usual formula from the same outputs and targets, in float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lossgrade import oracle

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Pair = tuple[Floats, NDArray[np.int64], float]

# Outputs are float32, their sums of a few terms: what is off by more has another meaning.
SUM_TOLERANCE = 1e-4
# A loss is a mean over a dozen float32 terms.
LOSS_TOLERANCE = 2e-4


def multi_class_meaning(outputs: Sequence[Floats]) -> str:
    """Return the meaning of batches of outputs (N, C): what holds for every one of them."""
    if all(((o >= 0) & (o <= 1 + SUM_TOLERANCE)).all() for o in outputs):
        if all(_are_1(o.sum(axis=1)) for o in outputs):
            return "probabilities"
        if all(_are_1(o.sum(axis=0)) for o in outputs):
            return "column-probabilities"
        if not all((o == 0).all() for o in outputs):
            return "sigmoids"
    with np.errstate(all="ignore"):
        if all(_are_1(np.exp(o).sum(axis=1)) for o in outputs):
            return "log-probabilities"
    return "logits"


def binary_meaning(outputs: Sequence[Floats]) -> str:
    """Return the meaning of batches of outputs (N,)."""
    if all((o == 1).all() for o in outputs):
        return "ones"
    if all((o == 0).all() for o in outputs):
        return "logits"
    inside = all(((o >= 0) & (o <= 1)).all() for o in outputs)
    return "probabilities" if inside else "logits"


def _are_1(sums: Floats) -> bool:
    return bool((np.abs(sums - 1) <= SUM_TOLERANCE).all())


@dataclass(frozen=True)
class Formula:
    """A loss of each example; `takes` are the outputs for which it is the cross entropy."""

    name: str
    takes: tuple[str, ...]
    losses: Callable[[Floats, NDArray[np.int64]], Floats]


def _one_hot(o: Floats, y: NDArray[np.int64]) -> Floats:
    return oracle.one_hot(y, o.shape[1])


def _minus_log(o: Floats, y: NDArray[np.int64]) -> Floats:
    # A term of 1e-8 or a clamp inside the logarithm is ordinary.
    picked = o[np.arange(len(y)), y]
    return -np.log(np.maximum(picked, 1e-12))


MULTI_CLASS = (
    Formula("cross_entropy", ("logits", "log-probabilities"), oracle.cross_entropy_from_logits),
    Formula("nll_loss", ("log-probabilities",), oracle.nll_loss),
    Formula("-log", ("probabilities",), _minus_log),
    Formula(
        "cross_entropy of softmax",
        (),
        lambda o, y: oracle.cross_entropy_from_logits(oracle.softmax(o), y),
    ),
    Formula("nll_loss of softmax", (), lambda o, y: oracle.nll_loss(oracle.softmax(o), y)),
    Formula("mse_loss", (), lambda o, y: ((o - _one_hot(o, y)) ** 2).sum(axis=1)),
    Formula(
        "mse_loss of softmax",
        (),
        lambda o, y: ((oracle.softmax(o) - _one_hot(o, y)) ** 2).sum(axis=1),
    ),
    Formula(
        "binary_cross_entropy",
        (),
        lambda o, y: oracle.binary_cross_entropy(o, _one_hot(o, y)).sum(axis=1),
    ),
    Formula(
        "binary_cross_entropy_with_logits",
        (),
        lambda o, y: oracle.binary_cross_entropy(oracle.sigmoid(o), _one_hot(o, y)).sum(axis=1),
    ),
)


def _bce(p: Floats, y: NDArray[np.int64]) -> Floats:
    # As torch does: a logarithm is at least -100.
    return np.minimum(oracle.binary_cross_entropy(p, y), 100.0)


def _with_logits(o: Floats, y: NDArray[np.int64]) -> Floats:
    losses: Floats = np.logaddexp(0, o) - o * y
    return losses


BINARY = (
    Formula("binary_cross_entropy_with_logits", ("logits",), _with_logits),
    Formula("binary_cross_entropy", ("probabilities",), _bce),
    Formula(
        "binary_cross_entropy_with_logits of sigmoid",
        (),
        lambda o, y: _with_logits(oracle.sigmoid(o), y),
    ),
    Formula("mse_loss", (), lambda o, y: (o - y) ** 2),
    Formula("mse_loss of sigmoid", (), lambda o, y: (oracle.sigmoid(o) - y) ** 2),
)

# What is done with the losses of the examples, and what a student is told of it.
REDUCTIONS: dict[str, Callable[[Floats, int], float]] = {
    "mean": lambda losses, _: float(losses.mean()),
    "sum": lambda losses, _: float(losses.sum()),
    "mean over classes": lambda losses, c: float(losses.mean()) / c,
    "minus": lambda losses, _: -float(losses.mean()),
    "log2": lambda losses, _: float(losses.mean()) / math.log(2),
    "log10": lambda losses, _: float(losses.mean()) / math.log(10),
}


@dataclass(frozen=True)
class Recognised:
    """A formula and a reduction that give every loss found."""

    formula: Formula
    reduction: str


def recognised(pairs: Sequence[Pair], formulas: Sequence[Formula]) -> list[Recognised]:
    """Return what gives the loss of every (outputs, targets, loss), the likeliest first."""
    with np.errstate(all="ignore"):
        return [
            Recognised(formula, reduction)
            for reduction, reduce in REDUCTIONS.items()
            for formula in formulas
            if all(_agree(loss, formula, reduce, o, y) for o, y, loss in pairs)
        ]


def _agree(
    loss: float,
    formula: Formula,
    reduce: Callable[[Floats, int], float],
    outputs: Floats,
    targets: NDArray[np.int64],
) -> bool:
    classes = outputs.shape[1] if outputs.ndim == 2 else 1
    return near(loss, reduce(formula.losses(outputs, targets), classes))


def near(found: float, expected: float) -> bool:
    """Say whether two losses are the same, float32 rounding apart."""
    return abs(found - expected) <= LOSS_TOLERANCE * max(1.0, abs(expected))


def right_losses(outputs: Floats, targets: NDArray[np.int64], meaning: str) -> Floats:
    """Return the cross entropy (N,) of outputs of that meaning."""
    with np.errstate(all="ignore"):
        if outputs.ndim == 1:
            return (_with_logits if meaning == "logits" else _bce)(outputs, targets)
        if meaning in ("probabilities", "sigmoids", "column-probabilities"):
            return _minus_log(outputs, targets)
        return oracle.cross_entropy_from_logits(outputs, targets)
