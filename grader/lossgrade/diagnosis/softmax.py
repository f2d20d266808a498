"""Misconceptions about softmax: wrong formulas of net inputs z (N, C).

Sources name passages of the four lectures, in their own words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lossgrade import oracle
from lossgrade.diagnosis.bank import misconception

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from lossgrade.diagnosis.samples import Sample

    Array = NDArray[Any]

STAT453 = "STAT 453, lecture 8.7.2: softmax(z) of the net inputs, one example a row"
STABLE = "d2l.ai, softmax regression from scratch: exp(100) overflows in float32"
KEEPDIM = "d2l.ai, softmax regression from scratch: keepdim=True, so that the row sum broadcasts"
VECTOR = "PyTorch tutorial 11: exp(x) divided by the sum of exp(x)"
TWICE = "STAT 453, lecture 8.7.2: cross_entropy of a softmax takes the softmax twice"

# Where a sum nearly cancels, its rounding in float32 is magnified.
CANCELLED = 1e-3


def _exp(z: Array) -> Array:
    with np.errstate(over="ignore", under="ignore"):
        found: Array = np.exp(z)
    return found


def _over(numerator: Array, denominator: Array) -> Array:
    with np.errstate(all="ignore"):
        found: Array = numerator / denominator
    return found


def _rows(e: Array) -> Array:
    """Return the sum of each row, as a column."""
    with np.errstate(over="ignore"):
        total: Array = e.sum(axis=1, keepdims=True)
    return total


def _normalised(e: Array) -> Array:
    return _over(e, _rows(e))


@misconception(
    "softmax", "log_softmax", shown="softmax over the batch (dim=0)", source=STAT453, rule="LG302"
)
def softmax_over_batch_axis(z: Array) -> Array:
    """Each column of your result sums to 1: you normalised over the batch, so the probabilities of
    one example depend on the other examples.

    Fix: sum over the classes of each example: dim=1 in torch, axis=1 in NumPy, kept as a column.
    """
    return oracle.softmax(z, axis=0)


@misconception("softmax", "log_softmax", shown="softmax over all entries at once", source=STAT453)
def softmax_over_everything(z: Array) -> Array:
    """All entries of your result together sum to 1: you divided by the sum of the whole matrix.

    Fix: give the sum an axis, dim=1, so that each row is divided by its own sum.
    """
    return oracle.softmax(z.reshape(1, -1)).reshape(z.shape)


@misconception("softmax", "log_softmax", shown="softmax(softmax(z))", source=TWICE, rule="LG112")
def double_softmax(z: Array) -> Array:
    """This is the softmax of the softmax. The second one brings all probabilities close together:
    of three classes none can exceed 0.58.

    Fix: apply softmax once.
    """
    return oracle.softmax(oracle.softmax(z))


@misconception("softmax", shown="z / sum(z)", source=VECTOR, tolerance=CANCELLED)
def forgot_exp(z: Array) -> Iterator[Array]:
    """You divided the net inputs themselves by their sum. They can be negative, and so can what
    you return.

    Fix: take exp(z) first, then divide it by its sum over the classes.
    """
    yield _normalised(z)
    yield _normalised(np.abs(z))
    yield _over(z, _rows(_exp(z)))


@misconception("softmax", shown="log_softmax(z)", source=STAT453)
def returns_log_softmax(z: Array) -> Array:
    """This is the logarithm of the softmax: all entries are negative, and exp of them is right.

    Fix: return the probabilities; leave the logarithm to the loss.
    """
    return oracle.log_softmax(z)


@misconception("log_softmax", shown="softmax(z)", source=STAT453)
def returns_softmax(z: Array) -> Array:
    """This is the softmax: its logarithm was asked for.

    Fix: take the logarithm too, as z minus the logarithm of the sum of exp(z).
    """
    return oracle.softmax(z)


@misconception(
    "softmax",
    shown="sigmoid(z)",
    source="PyTorch tutorial 11: sigmoid for two classes, softmax for more",
)
def sigmoid_instead_of_softmax(z: Array) -> Array:
    """This is the sigmoid of each entry: 1 / (1 + exp(-z)). The entries of a row do not sum to 1.

    Fix: divide exp(z) by the sum of exp(z) over the classes of the example.
    """
    return oracle.sigmoid(z)


@misconception("softmax", shown="1 at the largest net input, 0 elsewhere", source=STAT453)
def hardmax(z: Array) -> Array:
    """You put a 1 at the largest net input and 0 elsewhere. That is the predicted class, not its
    probability, and no gradient flows through it.

    Fix: return exp(z) divided by its sum over the classes; argmax comes later, for the label.
    """
    return oracle.one_hot(oracle.class_label(z), z.shape[1])


@misconception("softmax", "log_softmax", shown="exp(z - max(z)) / sum(exp(z))", source=STABLE)
def shift_only_in_numerator(z: Array) -> Array:
    """You subtract the row maximum in the numerator alone. The shift cancels only where it stands
    in both: rows no longer sum to 1.

    Fix: shift first, `z = z - max`, and use the shifted z above and below.
    """
    return _over(_exp(z - z.max(axis=1, keepdims=True)), _rows(_exp(z)))


@misconception(
    "softmax",
    "log_softmax",
    shown="exp(z) / sum(exp(z), dim=1), broadcast over columns",
    source=KEEPDIM,
    rule="LG303",
)
def missing_keepdim(z: Array) -> Array:
    """The row sums have shape (N,), so they are divided into the columns, not the rows: an error
    unless there are as many classes as examples, and then wrong numbers.

    Fix: keep the axis: `sum(dim=1, keepdim=True)`, in NumPy `keepdims=True`.
    """
    e = _exp(z)
    return _over(e, e.sum(axis=1))


@misconception(
    "softmax", shown="exp of a quotient, a parenthesis too far", source=VECTOR, tolerance=CANCELLED
)
def misplaced_parenthesis(z: Array) -> Iterator[Array]:
    """A parenthesis is in the wrong place: the division, or the sum, stands inside the exponential.

    Fix: `exp(z) / sum(exp(z))`: first both exponentials, then the sum, then the division.
    """
    yield _exp(_over(z, _rows(_exp(z))))
    yield _over(_exp(z), _exp(_rows(z)))
    yield _exp(_over(z, _rows(z)))


@misconception("softmax", "log_softmax", shown="softmax(-z)", source=VECTOR)
def negated_exponent(z: Array) -> Array:
    """This is the softmax of -z: the class with the smallest net input gets the largest
    probability.

    Fix: use exp(z), without the minus.
    """
    return oracle.softmax(-z)


@misconception("softmax", "log_softmax", shown="2**z / sum(2**z)", source=VECTOR)
def base_2_instead_of_e(z: Array) -> Array:
    """The base is 2: you computed 2**z over its sum.

    Fix: use exp(z), the power of e = 2.718.
    """
    return oracle.softmax(z * np.log(2))


@misconception("softmax", "log_softmax", shown="10**z / sum(10**z)", source=VECTOR)
def base_10_instead_of_e(z: Array) -> Array:
    """The base is 10: you computed 10**z over its sum.

    Fix: use exp(z), the power of e = 2.718.
    """
    return oracle.softmax(z * np.log(10))


@misconception("softmax", "log_softmax", shown="exp(z) / max(exp(z))", source=VECTOR)
def max_instead_of_sum(z: Array) -> Array:
    """The largest entry of each row is 1: you divided by the largest exponential.

    Fix: divide by the sum of exp(z) over the classes.
    """
    return _over(_exp(z), _exp(z).max(axis=1, keepdims=True))


@misconception("softmax", shown="z**2 / sum(z**2)", source=VECTOR)
def squares_instead_of_exp(z: Array) -> Array:
    """You divided squares by their sum. They are positive, but -2 then counts as much as 2.

    Fix: use exp(z), which keeps the order of the net inputs.
    """
    return _normalised(z**2)


@misconception(
    "softmax", shown="exp(z) over the sum of the other classes", source=VECTOR, tolerance=CANCELLED
)
def sum_of_all_but_self(z: Array) -> Array:
    """You divided by the sum of the other classes. That gives the odds p / (1 - p), which
    can exceed 1.

    Fix: the sum in the denominator contains the class itself.
    """
    e = _exp(z)
    return _over(e, _rows(e) - e)


@misconception("softmax", shown="exp(z), undivided", source=VECTOR)
def not_normalised(z: Array) -> Array:
    """This is exp(z), not yet divided by its sum: the entries of a row do not sum to 1.

    Fix: divide by the sum of exp(z) over the classes.
    """
    return _exp(z)


@misconception("softmax", shown="exp(z) / mean(exp(z))", source=VECTOR)
def mean_instead_of_sum(z: Array) -> Array:
    """You divided by the mean of exp(z): each row sums to the number of classes.

    Fix: divide by the sum over the classes.
    """
    return np.asarray(oracle.softmax(z) * z.shape[1])


@misconception("softmax", shown="divided by the length (L2 norm) of each row", source=VECTOR)
def l2_scaling(z: Array) -> Iterator[Array]:
    """Each row has length 1: its squares sum to 1, not its entries. You divided by the L2 norm.

    Fix: divide exp(z) by its plain sum over the classes.
    """
    for each in (z, _exp(z)):
        yield _over(each, np.sqrt((each**2).sum(axis=1, keepdims=True)))


@misconception("softmax", shown="(z - min) / (max - min)", source=VECTOR)
def min_max_scaling(z: Array) -> Iterator[Array]:
    """You scaled each row to the range from 0 to 1. Its entries do not sum to 1, and the smallest
    always is 0.

    Fix: divide exp(z) by its sum over the classes.
    """
    for axis in (1, None):
        low, high = (f(z, axis=axis, keepdims=True) for f in (np.min, np.max))
        yield _over(z - low, high - low)
    low = z.min(axis=1, keepdims=True)
    yield _normalised(z - low)


@misconception("softmax", "log_softmax", shown="the transposed softmax", source=STAT453)
def softmax_transposed(z: Array) -> Array:
    """The numbers are right but rows and columns have changed places: you return one row a class.

    Fix: return one row for each example, as the net inputs have.
    """
    return oracle.softmax(z).T


def _is_half(values: Array, wrong: Array) -> bool:
    """Whether numbers are those of half precision, to a few units of its last place."""
    near = np.abs(values - wrong) <= 2e-3 * np.abs(wrong) + 1e-6
    exact = np.array_equal(values, values.astype(np.float16).astype(values.dtype))
    return bool(near.all()) and exact


@misconception(
    "softmax",
    shown="the softmax in half precision",
    source=STABLE,
    # A unit in the last place of float16, twice.
    tolerance=1e-3,
    confirm=_is_half,
)
def float16(z: Array) -> Array:
    """You compute in half precision: only about three digits of your results are right.

    Fix: keep the precision of the input: no `.half()`, no float16.
    """
    return oracle.softmax(z.astype(np.float16).astype(np.float64))


@misconception(
    "softmax", "log_softmax", shown="the softmax of z cut to whole numbers", source=STAT453
)
def integer_cast(z: Array) -> Iterator[Array]:
    """The net inputs were turned into whole numbers before the exponential: 0.9 counted as 0.

    Fix: leave them floats: no `.long()`, `.int()` or dtype=int.
    """
    yield oracle.softmax(np.trunc(z))
    yield oracle.softmax(np.round(z))
    yield oracle.softmax(np.floor(z))


# --- with a constant -----------------------------------------------------------------------------


def _digits(_: Sample) -> Iterable[float]:
    return (1, 2, 3, 4)


@misconception(
    "softmax",
    "log_softmax",
    shown="the softmax rounded to {constant:g} decimals",
    source=STAT453,
    parameter=_digits,
)
def rounded(z: Array, decimals: float) -> Array:
    """Your probabilities are rounded. Rows sum to 1 no longer, and a small one becomes 0, of which
    the logarithm is infinite.

    Fix: return what you computed; round only what you print.
    """
    return np.round(oracle.softmax(z), int(decimals))


def _epsilon(sample: Sample) -> Iterable[float]:
    """Return what the denominator has too much, where the result falls short."""
    z, found = np.asarray(sample.given[0], dtype=np.float64), _values(sample)
    if found is None or found.shape != z.shape:
        return
    with np.errstate(all="ignore"):
        share = oracle.softmax(z) / found - 1
        for e in (_exp(z), _exp(z - z.max(axis=1, keepdims=True))):
            eps = float(np.median(share * _rows(e)))
            if 0 < eps <= 1:
                yield eps


@misconception(
    "softmax", shown="exp(z) / (sum(exp(z)) + {constant:.3g})", source=VECTOR, parameter=_epsilon
)
def eps_in_denominator(z: Array, eps: float) -> Iterator[Array]:
    """A constant is added to the denominator: rows sum to less than 1. The sum of exponentials is
    never 0, so nothing needs to be added.

    Fix: divide by the sum alone; against overflow subtract the row maximum.
    """
    for e in (_exp(z), _exp(z - z.max(axis=1, keepdims=True))):
        yield _over(e, _rows(e) + eps)


def _temperature(sample: Sample) -> Iterable[float]:
    z, found = np.asarray(sample.given[0], dtype=np.float64), _values(sample)
    if found is None or found.shape != z.shape or z.shape[1] < 2 or not (found > 0).all():
        return
    apart = np.log(found[:, 0]) - np.log(found[:, 1])
    with np.errstate(all="ignore"):
        temperature = float(np.median((z[:, 0] - z[:, 1]) / apart))
    if temperature > 0:
        yield temperature


@misconception(
    "softmax", shown="softmax(z / T) with T = {constant:.4g}", source=VECTOR, parameter=_temperature
)
def temperature_left_in(z: Array, temperature: float) -> Array:
    """The net inputs are divided by a constant, a temperature, before the exponential: the
    probabilities come out flatter, or sharper.

    Fix: take the softmax of z itself.
    """
    return oracle.softmax(_over(z, np.asarray(temperature)))


def _bounds(_: Sample) -> Iterable[float]:
    return (0.1, 0.5, 1, 1.5, 2, 2.5, 3, 4, 5)


@misconception(
    "softmax",
    "log_softmax",
    shown="the softmax of z clipped at {constant:g}",
    source=STABLE,
    parameter=_bounds,
)
def clips_logits(z: Array, bound: float) -> Iterator[Array]:
    """The net inputs are clipped first, so that larger ones make no difference and get no gradient.

    Fix: against overflow subtract the row maximum: it changes nothing else.
    """
    yield oracle.softmax(np.clip(z, -bound, bound))
    yield oracle.softmax(np.minimum(z, bound))


def _values(sample: Sample) -> Array | None:
    return None if sample.found is None else sample.found.values.astype(np.float64)


# --- what ordinary numbers do not show -----------------------------------------------------------


@misconception(
    "softmax",
    "log_softmax",
    shown="exp(z) / sum(exp(z)) without a shift",
    source=STABLE,
    rule="LG403",
    extreme=True,
)
def naive_softmax(z: Array) -> Array:
    """exp(z) overflows: above 88 it is infinite in float32, and infinity over infinity is NaN.

    Fix: subtract the largest net input of each row first; the result is the same.
    """
    return _normalised(_exp(z))


@misconception(
    "softmax",
    "log_softmax",
    shown="exp(z - max of the batch) over its sum",
    source=STABLE,
    rule="LG403",
    extreme=True,
)
def one_maximum_for_the_batch(z: Array) -> Array:
    """You subtract one maximum for the whole batch. In a row far below it every exponential
    becomes 0, and 0 / 0 is NaN.

    Fix: subtract each row's own maximum: dim=1, keepdim=True.
    """
    return _normalised(_exp(z - z.max(initial=-np.inf)))


@misconception(
    "softmax",
    "log_softmax",
    shown="exp(z - min(z)) over its sum",
    source=STABLE,
    rule="LG403",
    extreme=True,
)
def subtracts_min(z: Array) -> Array:
    """You subtract the smallest net input of the row, which makes the others larger: exp still
    overflows.

    Fix: subtract the largest: then no exponent is above 0.
    """
    return _normalised(_exp(z - z.min(axis=1, keepdims=True)))
