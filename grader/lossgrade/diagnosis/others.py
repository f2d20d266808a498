"""Misconceptions about the other functions of the lectures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lossgrade import oracle
from lossgrade.diagnosis.bank import misconception

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Array = NDArray[Any]

SLIDES = "Slides on cross entropy: the entropy is in bits"
DIVERGENCE = "Slides on cross entropy: H(p, q) = H(p) + KL(p || q)"
BINARY = "Slides on cross entropy: -(y log p + (1 - y) log(1 - p))"
SQUARES = "Slides on cross entropy: the mean squared error over all entries"
HINGE = "Slides on cross entropy: sum max(0, 1 - y * h), y is -1 or 1"


@misconception("entropy", shown="the entropy in nats", source=SLIDES)
def ln_instead_of_log2(p: Array) -> Array:
    """This is the entropy in nats: you used the natural logarithm.

    Fix: use log2, so that a fair coin has 1 bit.
    """
    return oracle.entropy(p)


@misconception("entropy", shown="the entropy in bits", source=SLIDES)
def log2_instead_of_ln(p: Array) -> Array:
    """This is the entropy in bits: you used log2.

    Fix: use the natural logarithm.
    """
    return oracle.entropy(p, 2)


@misconception("entropy", shown="the sum of p * log(p)", source=SLIDES)
def missing_minus_sign(p: Array) -> Iterator[Array]:
    """The minus is missing: an entropy is never negative.

    Fix: put a minus before the sum.
    """
    yield -oracle.entropy(p, 2)
    yield -oracle.entropy(p)


@misconception("kl_divergence", shown="KL(q || p)", source=DIVERGENCE, rule="LG110")
def arguments_swapped(p: Array, q: Array) -> Array:
    """The arguments are swapped: KL(q || p) is another number than KL(p || q).

    Fix: weight with p: sum p log(p / q).
    """
    return oracle.kl_divergence(q, p)


@misconception("kl_divergence", shown="the cross entropy of p and q", source=DIVERGENCE)
def entropy_not_subtracted(p: Array, q: Array) -> Array:
    """This is the cross entropy: the entropy of p is not subtracted, so KL(p || p) is not 0.

    Fix: sum p log(p / q).
    """
    return np.asarray(oracle.cross_entropy(q[np.newaxis], p[np.newaxis])[0])


@misconception("binary_cross_entropy", shown="-y log(p) alone", source=BINARY)
def only_true_term(p: Array, y: Array) -> Array:
    """The second term is missing: where y is 0 your loss is 0, whatever is predicted.

    Fix: add (1 - y) log(1 - p) before the minus.
    """
    return -y * np.log(p)


@misconception("mean_squared_error", shown="the sum of squares", source=SQUARES)
def sum_instead_of_mean(y: Array, predicted: Array) -> Array:
    """This is the sum of the squares, not their mean: it grows with the number of entries.

    Fix: divide by the number of entries.
    """
    return np.asarray(((y - predicted) ** 2).sum())


@misconception("hinge_loss", shown="the hinge loss of targets 2y - 1", source=HINGE)
def labels_zero_one(y: Array, h: Array) -> Array:
    """You turn targets 0 and 1 into -1 and 1, and they are -1 and 1 already.

    Fix: use y as it is.
    """
    return np.asarray(np.maximum(0, 1 - (2 * y - 1) * h).sum())
