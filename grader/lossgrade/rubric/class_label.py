"""`to_classlabel(logits)`: the class of the largest entry of each row."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lossgrade import oracle
from lossgrade.criterion import Failure, criterion
from lossgrade.language import say
from lossgrade.rubric import contract
from lossgrade.rubric.cases import (
    Case,
    draw_labels,
    draw_logits,
    draw_probabilities,
    ordinary_shape,
    stack_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from lossgrade.student import Returned
    from lossgrade.trial import Trial

CONTRACT = (contract.keeps_library, contract.input_unchanged, contract.no_memory)


def ask_each(trial: Trial, batches: Sequence[NDArray[Any]]) -> Iterator[Returned]:
    """Call the function on batches (N, C) under its convention; a column of labels counts too."""
    if trial.spec.examples == "single":
        for rows in batches:
            each = list(trial.calls([(row,) for row in rows]))
            for one in each:
                trial.expect_shape(one, (), say("{name} of one example", name=trial.name))
            yield replace(each[0], values=np.array([one.values for one in each]))
        return
    cases = [(turned(trial, rows),) for rows in batches]
    for rows, found in zip(batches, trial.calls(cases), strict=True):
        if found.shape == column(trial, len(rows)):
            yield replace(found, values=found.values.reshape(-1))
        else:
            yield found


def turned(trial: Trial, rows: NDArray[Any]) -> NDArray[Any]:
    """Return (N, C) rows with the classes on the axis that the function looks along."""
    return rows if trial.spec.axis == 1 else np.ascontiguousarray(rows.T)


def column(trial: Trial, n: int) -> tuple[int, int]:
    """Return the shape of N labels whose class axis is kept."""
    return (n, 1) if trial.spec.axis == 1 else (1, n)


def compare(trial: Trial, rows: NDArray[Any], what: str = "", hint: str = "") -> None:
    """Expect the class index of the largest entry of each row; a column of them counts too."""
    compare_each(trial, [rows], what, hint)


def compare_each(
    trial: Trial, batches: Sequence[NDArray[Any]], what: str = "", hint: str = ""
) -> None:
    """Expect the labels of each of several batches."""
    for rows, found in zip(batches, ask_each(trial, batches), strict=True):
        told = what or say("{name} of {batch}", name=trial.name, batch=stack_of(*rows.shape))
        trial.expect(found, oracle.class_label(rows), told, hint=hint, tolerance=0)


def ordinary(trial: Trial) -> Case:
    """Draw the net inputs of one call."""
    n, c = ordinary_shape(trial)
    rows = trial.array(draw_logits(trial, n, c))
    # Two classes at least win a row, so that a constant is told from an answer.
    while n > 1 and len(set(oracle.class_label(rows).tolist())) == 1:
        rows = trial.array(draw_logits(trial, n, c))
    labels = oracle.class_label(rows)
    what = say("{name} of {batch}", name=trial.name, batch=stack_of(n, c))
    if trial.spec.examples == "single":
        return Case((rows[0],), labels[0], what)
    if trial.spec.result == "column":
        return Case((turned(trial, rows),), labels.reshape(column(trial, n)), what)
    return Case((turned(trial, rows),), labels, what)


@criterion(points=2, kind="values")
def lecture_example(trial: Trial) -> None:
    """The lecture's net inputs get the lecture's labels."""
    told = [figure.inputs for figure in trial.figures()]
    rows = [each["logits"] if "logits" in each else each["probabilities"] for each in told]
    compare_each(
        trial,
        [trial.array(np.atleast_2d(each)) for each in rows],
        say("{name} of the lecture's example", name=trial.name),
    )


@criterion(points=3, kind="values")
def random_logits(trial: Trial) -> None:
    """Fresh net inputs get the label of their largest entry, negative ones too."""
    ordinary_rows = draw_logits(trial, 24, 4)
    negative = -1 - np.abs(draw_logits(trial, 12, 7))
    # The two largest a thousandth apart: rounding makes a tie of them.
    near = draw_logits(trial, 12, 5)
    first, second = np.argsort(near, axis=1)[:, -2:][:, ::-1].T
    low, high = np.minimum(first, second), np.maximum(first, second)
    rows = np.arange(12)
    near[rows, high] = np.round(near.max(axis=1), 1) + 0.001
    near[rows, low] = near[rows, high] - 0.001
    compare_each(trial, [trial.array(each) for each in (ordinary_rows, negative, near)])


@criterion(points=2, kind="values")
def random_probabilities(trial: Trial) -> None:
    """Probabilities get the label of their largest entry, also where none reaches 0.5."""
    compare(trial, trial.array(draw_probabilities(trial, 16, 6)))


@criterion(points=1, kind="values")
def one_hot_rows(trial: Trial) -> None:
    """One-hot rows get their labels back."""
    labels = draw_labels(trial, 12, 4)
    compare(trial, trial.array(oracle.one_hot(labels, 4)))


@criterion(points=1, kind="values")
def one_example(trial: Trial) -> None:
    """A batch of one example gets one label."""
    # A guess is right once in 7.
    compare_each(trial, [trial.array(draw_logits(trial, 1, 7)) for _ in range(4)])


@criterion(points=1, kind="values")
def square_batch(trial: Trial) -> None:
    """As many examples as classes get a label for each example."""
    compare_each(trial, [trial.array(draw_logits(trial, n, n)) for n in (5, 8)])


@criterion(points=1, kind="values")
def two_classes(trial: Trial) -> None:
    """Two classes are told apart."""
    compare(trial, trial.array(draw_logits(trial, 24, 2)))


@criterion(points=1, kind="values")
def many_classes(trial: Trial) -> None:
    """A hundred classes are told apart."""
    compare(trial, trial.array(draw_logits(trial, 8, 100)))


@criterion(points=2, kind="values")
def ties_lowest_index(trial: Trial) -> None:
    """Of equally large entries the lowest index wins."""
    fixed = [[1, 3, 3, 0], [2, 2, 2, 2], [0, -1, -1, 0], [1, 5, 0, 5]]
    # Among three values four entries tie more often than not.
    drawn = trial.rng.integers(0, 3, (16, 4))
    rows = trial.array(np.concatenate([fixed, drawn]))
    compare(
        trial,
        rows[trial.rng.permutation(len(rows))],
        say("{name} of rows with ties", name=trial.name),
        say("On a tie take the first of the largest entries, as argmax does."),
    )


@criterion(points=1, kind="contract")
def result_shape(trial: Trial) -> None:
    """There is one label for each example, in shape (N,)."""
    for trial.shape in ((5, 3), (1, 4)):
        case = trial.ordinary()
        trial.expect_shape(trial.call(*case.arguments), np.shape(case.expected), case.what)


@criterion(points=1, kind="contract")
def integer_result(trial: Trial) -> None:
    """Labels are integers."""
    case = trial.ordinary()
    found = trial.call(*case.arguments)
    if not found.dtype.lstrip("u").startswith("int"):
        raise Failure(
            say(
                "{what}: found dtype {dtype}, expected an integer dtype",
                what=case.what,
                dtype=found.dtype,
            ),
            say("Class labels are indices: return integers."),
        )


@criterion(points=1, kind="robust")
def infinite_logits(trial: Trial) -> None:
    """Entries of minus infinity never win, entries of infinity always."""
    rows = trial.array(draw_logits(trial, 3, 4))
    rows[0, 0], rows[1, 2], rows[2, 3] = -np.inf, np.inf, -np.inf
    compare(trial, rows)


@criterion(points=1, kind="robust", when=lambda spec: spec.examples == "batch")
def empty_batch(trial: Trial) -> None:
    """A batch of no examples gets no labels."""
    compare(trial, trial.array(np.empty((0, 3))), say("{name} of an empty batch", name=trial.name))


@criterion(points=1, kind="robust")
def integer_logits(trial: Trial) -> None:
    """Integer net inputs get their labels too."""
    compare(trial, trial.rng.permuted(np.tile(np.arange(5), (4, 1)), axis=1))
