"""Inputs that the criteria draw, and the case of one ordinary call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lossgrade import oracle
from lossgrade.language import say

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lossgrade.trial import Trial


@dataclass(frozen=True)
class Case:
    """The arguments of one call, and the float64 result it should give."""

    arguments: tuple[Any, ...]
    expected: NDArray[Any]
    what: str


# (examples, classes): never square, so that rows and columns cannot be mistaken for each other.
ORDINARY = ((5, 3), (3, 7), (6, 4), (2, 5), (8, 12))


def ordinary_shape(trial: Trial) -> tuple[int, int]:
    """Return (N, C) with N and C apart: the one that the trial asks for, or any."""
    n, c = trial.shape or ORDINARY[trial.rng.integers(len(ORDINARY))]
    return n, c


def draw_logits(trial: Trial, n: int, c: int) -> NDArray[np.float64]:
    """Return (N, C) net inputs of ordinary size: standard deviation 1.5."""
    return trial.rng.normal(0, 1.5, (n, c))


def draw_labels(trial: Trial, n: int, c: int) -> NDArray[np.int64]:
    """Return (N,) class indices, never sorted and never without variety where N and C allow."""
    labels = trial.rng.integers(0, c, n)
    if n >= 2 and c >= 2:
        # A falling pair: the lecture's own labels happen to be sorted.
        labels[0], labels[1] = trial.rng.integers(1, c), 0
    return labels


def draw_probabilities(
    trial: Trial, n: int, c: int, labels: NDArray[np.int64] | None = None
) -> NDArray[np.float64]:
    """Return (N, C) rows that sum to 1, every entry at least 0.2 / C.

    The entries of `labels`, if given, are at least 0.05: there a term of 1e-8 inside the
    logarithm, which is right, shifts the loss by less than 2e-7.
    """
    rows = 0.2 / c + 0.8 * oracle.softmax(draw_logits(trial, n, c))
    if labels is not None:
        picked = oracle.one_hot(labels, c)
        rows = 0.95 * rows + 0.05 * picked
    normalised: NDArray[np.float64] = rows / rows.sum(axis=1, keepdims=True)
    return normalised


def stack_of(rows: int, columns: int) -> str:
    """Describe a batch for a message."""
    if columns == 1:
        one, many = say("1 example of 1 class"), say("{rows} examples of 1 class", rows=rows)
    else:
        one, many = (
            say("1 example of {columns} classes", columns=columns),
            say("{rows} examples of {columns} classes", rows=rows, columns=columns),
        )
    return one if rows == 1 else many
