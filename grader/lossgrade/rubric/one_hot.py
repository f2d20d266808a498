"""`to_onehot(targets, num_classes)`: class indices (N,) to a float matrix (N, C)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lossgrade import oracle
from lossgrade.criterion import Failure, criterion
from lossgrade.language import say
from lossgrade.rubric import contract
from lossgrade.rubric.cases import Case, draw_labels, ordinary_shape, stack_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lossgrade.student import Returned
    from lossgrade.trial import Trial

CONTRACT = (
    contract.keeps_library,
    contract.float_result,
    contract.input_unchanged,
    contract.no_memory,
)


def arguments(trial: Trial, targets: NDArray[Any], num_classes: int) -> tuple[Any, ...]:
    """Return what the function is called with under the assignment's convention."""
    given = int(targets) if np.ndim(targets) == 0 else targets
    if trial.spec.classes == "from-targets":
        return (given,)
    first = trial.spec.order == "targets-first"
    return (given, num_classes) if first else (num_classes, given)


def classes(trial: Trial, targets: NDArray[Any], num_classes: int) -> int:
    """Return how many columns are due."""
    return num_classes if trial.spec.classes == "argument" else int(targets.max()) + 1


def encode(trial: Trial, targets: NDArray[Any], num_classes: int) -> tuple[Returned, int]:
    """Call the function; return its matrix and how many columns are due."""
    columns = classes(trial, targets, num_classes)
    if trial.spec.examples == "single":
        rows = list(trial.calls([arguments(trial, each, num_classes) for each in targets]))
        for row in rows:
            trial.expect_shape(row, (columns,), say("{name} of one label", name=trial.name))
        return replace(rows[0], values=np.stack([row.values for row in rows])), columns
    found = trial.call(*arguments(trial, targets, num_classes))
    return (replace(found, values=found.values.T) if trial.spec.axis == 0 else found), columns


def compare_each(trial: Trial, batches: Sequence[tuple[NDArray[Any], int]]) -> None:
    """Expect the one-hot rows of several batches, each of targets and a number of classes."""
    if trial.spec.examples == "batch":
        trial.call_ahead([arguments(trial, *batch) for batch in batches])
    for targets, num_classes in batches:
        compare(trial, targets, num_classes)


def compare(trial: Trial, targets: NDArray[Any], num_classes: int) -> None:
    """Expect the one-hot rows of `targets`."""
    found, columns = encode(trial, targets, num_classes)
    rows = oracle.one_hot(targets, columns)
    if targets.size <= 8:
        what = say(
            "{name} of labels {labels}, C={columns}",
            name=trial.name,
            labels=targets.tolist(),
            columns=columns,
        )
    else:
        what = say(
            "{name} of {batch}, C={columns}",
            name=trial.name,
            batch=stack_of(targets.size, columns),
            columns=columns,
        )
    trial.expect(found, rows, what)


def ordinary(trial: Trial) -> Case:
    """Draw the labels of one call."""
    n, c = ordinary_shape(trial)
    targets = draw_labels(trial, n, c)
    columns = classes(trial, targets, c)
    what = say(
        "{name} of labels {labels}, C={columns}",
        name=trial.name,
        labels=targets.tolist(),
        columns=columns,
    )
    rows = oracle.one_hot(targets, columns)
    if trial.spec.examples == "single":
        return Case(arguments(trial, targets[0], c), rows[0], what)
    return Case(arguments(trial, targets, c), rows.T if trial.spec.axis == 0 else rows, what)


@criterion(points=2, kind="values")
def lecture_example(trial: Trial) -> None:
    """The lecture's labels become the lecture's matrix."""
    told = [figure.inputs for figure in trial.figures()]
    compare_each(trial, [(np.array(each["targets"]), each["num_classes"]) for each in told])


@criterion(points=3, kind="values")
def shuffled_labels(trial: Trial) -> None:
    """Labels in any order are encoded, more or fewer of them than classes."""
    batches = [(draw_labels(trial, n, c), c) for n, c in ((5, 3), (3, 7), (9, 4))]
    for labels, c in batches:
        labels[2] = c - 1  # a missing top class is a criterion of its own
    compare_each(trial, batches)


@criterion(points=2, kind="values")
def missing_top_class(trial: Trial) -> None:
    """There is a column for each class, also for one that no label names."""
    first, second = trial.rng.permutation([0, 1, 1, 2]), trial.rng.permutation([1, 3, 3])
    compare_each(trial, [(first, 5), (second, 6)])


@criterion(points=1, kind="values")
def one_example(trial: Trial) -> None:
    """A batch of one example gives a matrix of one row."""
    compare_each(trial, [(np.array([label]), 4) for label in trial.rng.permutation([1, 2, 3])])


@criterion(points=1, kind="values")
def square_batch(trial: Trial) -> None:
    """As many examples as classes are encoded by rows, not by columns."""
    drawn = trial.rng.permutation([0, 1, 2, 2, 4])
    compare_each(trial, [(np.array([1, 2, 0, 1]), 4), (drawn, 5)])


@criterion(points=1, kind="values")
def two_classes(trial: Trial) -> None:
    """Two classes are encoded in two columns."""
    starts = (1, 0), (0, 1)
    compare_each(trial, [(np.array([*s, *trial.rng.permutation([0, 1])]), 2) for s in starts])


@criterion(points=1, kind="values")
def many_classes(trial: Trial) -> None:
    """A hundred classes are encoded."""
    labels = draw_labels(trial, 12, 100)
    labels[2] = 99
    compare(trial, labels, 100)


@criterion(points=1)
def one_1_per_row(trial: Trial) -> None:
    """Each row holds exactly one 1, and 0 everywhere else."""
    n, c = ordinary_shape(trial)
    found, _ = encode(trial, draw_labels(trial, n, c), c)
    if len(found.shape) != 2 or found.shape[0] != n:
        raise Failure(
            say(
                "{name} of {n} labels: found shape {shape}, expected {n} rows",
                name=trial.name,
                n=n,
                shape=found.shape,
            )
        )
    for row, entries in enumerate(found.values.astype(np.float64)):
        ones, zeros = int((entries == 1).sum()), int((entries == 0).sum())
        if ones != 1 or ones + zeros != entries.size:
            raise Failure(
                say(
                    "{name}, row {row}: found {ones} ones and {others} entries "
                    "that are neither 0 nor 1, expected exactly one 1 among zeros",
                    name=trial.name,
                    row=row,
                    ones=ones,
                    others=entries.size - ones - zeros,
                ),
                say("Put a 1 at the label's column of each row."),
            )


@criterion(points=1)
def argmax_gives_labels_back(trial: Trial) -> None:
    """The place of the largest entry of each row is the label."""
    n, c = ordinary_shape(trial)
    targets = draw_labels(trial, n, c)
    found, _ = encode(trial, targets, c)
    if len(found.shape) != 2 or 0 in found.shape:
        raise Failure(
            say(
                "{name} of {n} labels: found shape {shape}, expected {expected}",
                name=trial.name,
                n=n,
                shape=found.shape,
                expected=(n, c),
            )
        )
    back = np.argmax(found.values, axis=1)
    if not np.array_equal(back, targets):
        raise Failure(
            say(
                "{name} of labels {labels}: the largest entries stand in columns "
                "{columns}, expected the labels themselves",
                name=trial.name,
                labels=targets.tolist(),
                columns=back.tolist(),
            ),
            say("Labels start at 0: label k belongs in column k."),
        )


@criterion(points=1, kind="robust", when=lambda spec: spec.examples == "batch")
def empty_batch(trial: Trial) -> None:
    """No labels give a matrix of no rows."""
    if trial.spec.classes == "argument":
        compare(trial, np.empty(0, dtype=np.int64), 3)


@criterion(points=1, kind="robust")
def small_integer_labels(trial: Trial) -> None:
    """Labels of type int32 are encoded as those of int64 are."""
    compare(trial, draw_labels(trial, 5, 3).astype(np.int32), 3)
