"""Misconceptions about one-hot encoding: wrong matrices of labels y (N,) and C classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lossgrade import oracle
from lossgrade.diagnosis.bank import misconception

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Array = NDArray[Any]

STAT453 = "STAT 453, lecture 8.7.2: to_onehot(y, num_classes), labels start at 0"


@misconception("one_hot", shown="label k in a column beside its own", source=STAT453)
def one_hot_off_by_one(y: Array, c: int) -> Iterator[Array]:
    """Every 1 stands one column beside the right one, as if labels did not start at 0.

    Fix: label 0 belongs in column 0, label k in column k.
    """
    rows = oracle.one_hot(y, c)
    yield np.roll(rows, -1, axis=1)
    yield np.concatenate([rows[:, 1:], np.zeros((len(y), 1))], axis=1)
    yield np.roll(rows, 1, axis=1)
    yield np.concatenate([np.zeros((len(y), 1)), rows[:, :-1]], axis=1)


@misconception("one_hot", shown="the transposed matrix", source=STAT453)
def one_hot_transposed(y: Array, c: int) -> Array:
    """Rows and columns have changed places: you return one row for each class.

    Fix: one row for each example, one column for each class.
    """
    return oracle.one_hot(y, c).T


@misconception("one_hot", shown="as many columns as the largest label + 1", source=STAT453)
def classes_from_data(y: Array, c: int) -> Iterator[Array]:
    """You count the classes in the labels. A batch without the last class gets a matrix that is too
    narrow.

    Fix: make `num_classes` columns, whatever labels occur.
    """
    yield oracle.one_hot(y, int(y.max()) + 1)
    found = np.unique(y)
    yield oracle.one_hot(np.searchsorted(found, y), len(found))


@misconception("one_hot", shown="columns in the order in which labels appear", source=STAT453)
def order_of_appearance(y: Array, c: int) -> Iterator[Array]:
    """Columns go to the labels in the order in which they appear: the same label gets another
    column in another batch.

    Fix: label k belongs in column k.
    """
    numbers = {label: place for place, label in enumerate(dict.fromkeys(y.tolist()))}
    places = np.array([numbers[label] for label in y.tolist()])
    yield oracle.one_hot(places, c)
    yield oracle.one_hot(places, len(numbers))


@misconception("one_hot", shown="a whole column of ones for each label", source=STAT453)
def fills_a_column(y: Array, c: int) -> Array:
    """`out[:, y] = 1` fills whole columns: every row has a 1 for every label of the batch.

    Fix: name the row too: `out[range(n), y] = 1`.
    """
    rows = np.zeros((len(y), c))
    rows[:, y] = 1
    return rows


@misconception("one_hot", shown="the label itself in place of the 1", source=STAT453)
def stores_label_value(y: Array, c: int) -> Iterator[Array]:
    """The label itself stands where the 1 belongs; label 0 leaves no trace.

    Fix: put a 1 there.
    """
    rows = oracle.one_hot(y, c)
    yield rows * y[:, np.newaxis]
    yield rows * (y[:, np.newaxis] + 1)


@misconception("one_hot", shown="ones up to the label", source=STAT453)
def ordinal_encoding(y: Array, c: int) -> Iterator[Array]:
    """Every column up to the label is 1: an ordinal, or thermometer, encoding. A row must sum to 1.

    Fix: set the label's own column alone.
    """
    columns = np.arange(c)
    yield (columns <= y[:, np.newaxis]).astype(float)
    yield (columns < y[:, np.newaxis]).astype(float)


@misconception("one_hot", shown="one column more than there are classes", source=STAT453)
def extra_column(y: Array, c: int) -> Iterator[Array]:
    """There is a column too many, for a class that does not exist.

    Fix: make `num_classes` columns, 0 to num_classes - 1.
    """
    yield oracle.one_hot(y, c + 1)
    yield oracle.one_hot(y + 1, c + 1)
