"""Misconceptions about class labels: wrong answers for net inputs or probabilities z (N, C)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lossgrade import oracle
from lossgrade.diagnosis.bank import misconception

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Array = NDArray[Any]

STAT453 = "STAT 453, lecture 8.7.2: to_classlabel(z), the index of the largest entry of each row"
TIES = "STAT 453, lecture 8.7.2: argmax of a tie is the lowest index"
BINARY = "PyTorch tutorial 11: yes where the probability is above 0.5, for two classes alone"


@misconception("class_label", shown="argmin over the classes", source=STAT453)
def argmin(z: Array) -> Array:
    """These are the smallest entries of the rows.

    Fix: take the largest: argmax.
    """
    return oracle.class_label(-z)


@misconception("class_label", shown="the argmax of the whole matrix", source=STAT453)
def global_argmax(z: Array) -> Iterator[Array]:
    """This is one index into the whole matrix.

    Fix: give argmax its axis: dim=1, one label for each example.
    """
    best = int(np.argmax(z))
    yield np.asarray(best)
    yield np.full(len(z), best)


@misconception("class_label", shown="argmax over the batch (dim=0)", source=STAT453)
def argmax_over_batch_axis(z: Array) -> Array:
    """You look down the columns: for each class you return the example where it is largest.

    Fix: look along the rows: dim=1, axis=1.
    """
    return oracle.class_label(z, axis=0)


@misconception("class_label", shown="a comparison with 0.5", source=BINARY)
def threshold_at_half(z: Array) -> Iterator[Array]:
    """You compare with 0.5. That decides between two classes; of more, none may reach a half.

    Fix: take the index of the largest entry of each row, whatever its size.
    """
    above = z > 0.5
    yield above.argmax(axis=1)
    yield (above[:, 1]).astype(np.int64) if z.shape[1] > 1 else above[:, 0].astype(np.int64)
    yield above.astype(np.int64)


@misconception("class_label", shown="the largest entry itself", source=STAT453)
def returns_maximum(z: Array) -> Array:
    """This is the largest entry of each row itself.

    Fix: return its index: argmax, or the second thing that torch.max gives.
    """
    return np.asarray(z.max(axis=1))


@misconception("class_label", shown="the label + 1", source=STAT453)
def counts_from_one(z: Array) -> Array:
    """Your labels start at 1.

    Fix: classes are numbered from 0, as argmax does.
    """
    return np.asarray(oracle.class_label(z) + 1)


@misconception("class_label", shown="the last of equal entries", source=TIES, extreme=True)
def tie_picks_last(z: Array) -> Array:
    """Where two entries are equally large you return the last.

    Fix: return the lowest index, as argmax does: compare with `>`, not `>=`.
    """
    return np.asarray(z.shape[1] - 1 - oracle.class_label(z[:, ::-1]))
