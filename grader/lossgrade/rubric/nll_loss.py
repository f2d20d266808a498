"""`nll_loss(log_probabilities, targets)`: cross entropy of a prediction given as log-probabilities.

The conventions and most criteria are those of cross entropy, which reads the kind of prediction
from the function's settings; they count here because they are imported here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lossgrade import oracle
from lossgrade.criterion import criterion
from lossgrade.language import say
from lossgrade.rubric.cases import draw_labels, draw_probabilities
from lossgrade.rubric.cross_entropy import (
    CONTRACT,
    arguments,
    ask_each,
    class_permutation,
    compare,
    empty_batch,
    encoded,
    example_permutation,
    integer_targets,
    lecture_losses,
    many_classes,
    never_negative,
    one_example,
    only_true_class_counts,
    ordinary,
    prediction,
    random_float32,
    random_float64,
    reduction,
    repeated_batch,
    result_shape,
    square_batch,
    two_classes,
)
from lossgrade.rubric.gradients import cross_entropy_gradient

if TYPE_CHECKING:
    from lossgrade.trial import Trial

__all__ = [
    "CONTRACT",
    "class_permutation",
    "empty_batch",
    "example_permutation",
    "gradient",
    "impossible_classes",
    "integer_targets",
    "lecture_losses",
    "many_classes",
    "never_negative",
    "one_example",
    "only_true_class_counts",
    "ordinary",
    "random_float32",
    "random_float64",
    "reduction",
    "repeated_batch",
    "result_shape",
    "square_batch",
    "tiny_probabilities",
    "two_classes",
]


@criterion(points=2)
def gradient(trial: Trial) -> None:
    """The gradient of log-softmax and this loss together is probabilities - one-hot."""
    cross_entropy_gradient(trial, prediction, encoded, arguments, ask_each)


@criterion(points=1, kind="robust")
def tiny_probabilities(trial: Trial) -> None:
    """Log-probabilities as low as -20,000 have finite, right losses."""
    # Whole numbers and four examples: every sum and mean is exact in float32. A row sums to 1,
    # since exp(-200) is nothing beside exp(0).
    labels = draw_labels(trial, 4, 3)
    log_probabilities = -trial.rng.integers(200, 20_000, (4, 3)).astype(np.float64)
    certain = (labels + trial.rng.permutation([0, 0, 1, 2])) % 3
    log_probabilities[np.arange(4), certain] = 0
    # Among the mistakes that compare looks for is exp(loss), which overflows here.
    with np.errstate(over="ignore"):
        compare(
            trial,
            log_probabilities,
            oracle.one_hot(labels, 3),
            say("{name} of log-probabilities as low as -20,000", name=trial.name),
            say("They are logarithms already: take neither exp nor log of them."),
        )


@criterion(points=1, kind="robust")
def impossible_classes(trial: Trial) -> None:
    """A log-probability of minus infinity costs nothing at a wrong class, infinity at the true."""
    labels = draw_labels(trial, 3, 4)
    targets = oracle.one_hot(labels, 4)
    probabilities = draw_probabilities(trial, 3, 4, labels)
    with np.errstate(divide="ignore"):
        for shift, what in (
            (1, say("{name} with a wrong class at a log-probability of -inf", name=trial.name)),
            (0, say("{name} with the true class at a log-probability of -inf", name=trial.name)),
        ):
            probabilities[np.arange(3), (labels + shift) % 4] = 0
            log_probabilities = np.log(probabilities / probabilities.sum(axis=1, keepdims=True))
            compare(
                trial,
                log_probabilities,
                targets,
                what,
                say("0 * -inf is NaN in floating point: pick the true class by its index."),
            )
