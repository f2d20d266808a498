"""What a function gave on the inputs that it is diagnosed with.

Formulas take arguments in canonical form, whatever the assignment's convention: net inputs or
probabilities (N, C), one row an example; one-hot targets (N, C); class indices (N,).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lossgrade import oracle
from lossgrade.criterion import Failure
from lossgrade.rubric import cross_entropy, one_hot, softmax
from lossgrade.rubric.cases import draw_labels, draw_logits, draw_probabilities

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from lossgrade.student import Returned
    from lossgrade.trial import Trial

# (examples, classes). 4 examples and 3 classes are the lecture's: there a function may be right
# that is right nowhere else.
SHAPES = (
    (5, 3), (3, 7), (6, 4), (2, 5), (8, 12), (4, 3), (4, 5), (7, 3), (1, 4), (4, 4), (6, 2), (9, 3),
    (5, 4),
)  # fmt: skip


# No function is tried for longer; what is slow is told of by fewer inputs, or by none.
SECONDS = 1.0


@dataclass(frozen=True, eq=False)
class Sample:
    """One input, and what came of it.

    Attributes:
        given: the arguments in canonical form.
        shape: (N, C).
        expected: the reference values.
        found: what came back; None for an error, or for no array.
        problem: why nothing came back.
        lecture: whether the input is the lecture's own.
    """

    given: tuple[Any, ...]
    shape: tuple[int, int]
    expected: NDArray[Any]
    found: Returned | None
    problem: str = ""
    lecture: bool = False

    def right(self, tolerance: float) -> bool:
        """Whether the right values came back."""
        return self.found is not None and close(self.found.values, self.expected, tolerance)


def close(found: NDArray[Any], wanted: NDArray[Any], tolerance: float) -> bool:
    """Whether two arrays are of one shape and equal within `tolerance` of 1 + |wanted|.

    NaN equals NaN here: who computes the same formula gets the same NaN.
    """
    wanted = np.asarray(wanted)
    if found.shape != wanted.shape:
        return False
    values, wanted = found.astype(np.float64), wanted.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        near = np.isfinite(wanted) & (np.abs(values - wanted) <= tolerance * (1 + np.abs(wanted)))
    return bool((near | (values == wanted) | (np.isnan(values) & np.isnan(wanted))).all())


class Asked(NamedTuple):
    """A call: the arguments as the function got them, the reference, and what came of it."""

    given: tuple[Any, ...]
    expected: NDArray[Any]
    found: Returned | None
    problem: str


def _nothing(_: Trial) -> Iterator[tuple[Any, ...]]:
    return iter(())


@dataclass(frozen=True)
class Family:
    """How the inputs of one kind of function are drawn, passed and judged.

    Attributes:
        draw: (N, C) to canonical arguments.
        ask: passes canonical arguments under the function's convention.
        lecture: the lecture's own arguments, if it has some.
        extreme: arguments where numbers overflow, tie or are 0.
        special: arguments that tell formulas apart and that are not asked for otherwise.
    """

    draw: Callable[[Trial, int, int], tuple[Any, ...]]
    ask: Callable[[Trial, tuple[Any, ...]], Asked]
    lecture: Callable[[Trial], tuple[Any, ...] | None] = lambda _: None
    extreme: Callable[[Trial], Iterator[tuple[Any, ...]]] = _nothing
    special: Callable[[Trial], Iterator[tuple[Any, ...]]] = _nothing

    def sample(
        self, trial: Trial, given: tuple[Any, ...], shape: tuple[int, int], *, lecture: bool = False
    ) -> Sample:
        """Call the function on canonical arguments."""
        asked = self.ask(trial, given)
        return Sample(asked.given, shape, asked.expected, asked.found, asked.problem, lecture)


def ordinary(trial: Trial) -> list[Sample]:
    """Return what the function gives for the lecture's input and for fresh ones of all shapes."""
    family = FAMILIES[trial.spec.rubric]
    start = time.monotonic()
    samples = []
    lecture = family.lecture(trial)
    if lecture is not None:
        samples.append(family.sample(trial, lecture, _shape(lecture), lecture=True))
    for n, c in SHAPES:
        if trial.student.gave_up(trial.key) or time.monotonic() - start > SECONDS:
            break
        samples.append(family.sample(trial, family.draw(trial, n, c), (n, c)))
    return samples


def of_shapes(trial: Trial, shapes: Iterable[tuple[int, int]]) -> list[Sample]:
    """Return what the function gives for fresh inputs of these shapes."""
    family = FAMILIES[trial.spec.rubric]
    return [family.sample(trial, family.draw(trial, n, c), (n, c)) for n, c in shapes]


def extreme(trial: Trial) -> list[Sample]:
    """Return what the function gives where numbers overflow, tie or are 0."""
    family = FAMILIES[trial.spec.rubric]
    return [family.sample(trial, given, _shape(given)) for given in family.extreme(trial)]


def special(trial: Trial) -> list[Sample]:
    """Return what it gives for inputs that tell formulas apart and are not asked for otherwise."""
    family = FAMILIES[trial.spec.rubric]
    return [family.sample(trial, given, _shape(given)) for given in family.special(trial)]


def _shape(given: tuple[Any, ...]) -> tuple[int, int]:
    """Return (N, C) of canonical arguments: of a matrix, or of labels and the number of classes."""
    first = np.asarray(given[0])
    return (first.shape[0], first.shape[1]) if first.ndim == 2 else (len(first), int(given[1]))


def _called(call: Callable[[], Returned]) -> tuple[Returned | None, str]:
    try:
        return call(), ""
    except Failure as failure:
        return None, failure.message


# --- softmax and log-softmax ---------------------------------------------------------------------


def _ask_softmax(trial: Trial, given: tuple[Any, ...]) -> Asked:
    logits = trial.array(given[0])
    found, problem = _called(lambda: softmax.ask(trial, logits))
    # Formulas get what the function got, rounding to its dtype included.
    return Asked((logits,), softmax.reference(trial, logits), found, problem)


def _large_logits(trial: Trial) -> Iterator[tuple[Any, ...]]:
    for scale in (100.0, 1000.0, 10_000.0):
        logits = np.round(np.clip(draw_logits(trial, 3, 4), -1, 1) * scale)
        logits[0] = (scale, scale, -scale, 0)
        logits[1] = (-scale, 1 - scale, -scale, 2 - scale)
        yield (logits,)
    yield (draw_logits(trial, 3, 4) + 1000.0,)
    yield (draw_logits(trial, 3, 4) - 1000.0,)
    yield (np.array([[0.0, 1.0, 2.0, 3.0], [300.0, 301.0, 302.0, 299.0]]),)


def _lecture_logits(trial: Trial) -> tuple[Any, ...] | None:
    for figure in trial.figures():
        logits = np.atleast_2d(
            figure.inputs["logits" if "logits" in figure.inputs else "probabilities"]
        )
        if np.abs(logits).max() <= 80:
            return (logits.astype(np.float64),)
    return None


# --- cross entropy and nll_loss ------------------------------------------------------------------


def _draw_cross_entropy(trial: Trial, n: int, c: int) -> tuple[Any, ...]:
    log_probabilities, targets = cross_entropy.draw(trial, n, c)
    return np.exp(log_probabilities), targets


def _ask_cross_entropy(trial: Trial, given: tuple[Any, ...]) -> Asked:
    with np.errstate(divide="ignore"):
        predicted = cross_entropy.prediction(trial, np.log(given[0]))
    encoded = cross_entropy.encoded(trial, given[1])
    found, problem = _called(lambda: cross_entropy.ask(trial, predicted, encoded))
    expected = cross_entropy.due(trial, cross_entropy.reference(trial, predicted, encoded))
    logits = predicted.astype(np.float64)
    probabilities = logits if trial.spec.prediction == "probabilities" else oracle.softmax(logits)
    targets = encoded.astype(np.float64)
    if encoded.ndim == 1:
        targets = oracle.one_hot(encoded, logits.shape[1])
    return Asked((probabilities, targets), np.asarray(expected), found, problem)


def _zeros(trial: Trial) -> Iterator[tuple[Any, ...]]:
    """Probabilities of which some are exactly 0, and one is 1."""
    if trial.spec.prediction != "probabilities":
        return
    for _ in range(3):
        probabilities = draw_probabilities(trial, 4, 4)
        probabilities[0] = (0.98, 0.01, 0.01, 0.0)
        probabilities[1] = (0.0, 1.0, 0.0, 0.0)
        probabilities[2] = (0.0, 0.5, 0.5, 0.0)
        yield probabilities, oracle.one_hot([0, 1, 2, 3], 4)


def _soft_targets(trial: Trial) -> Iterator[tuple[Any, ...]]:
    if trial.spec.targets != "class-indices":
        for n, c in ((5, 3), (3, 4), (6, 5)):
            yield draw_probabilities(trial, n, c), draw_probabilities(trial, n, c)


def _lecture_losses(trial: Trial) -> tuple[Any, ...] | None:
    for figure in trial.figures():
        inputs = figure.inputs
        if "probabilities" in inputs:
            probabilities = np.atleast_2d(inputs["probabilities"]).astype(np.float64)
        else:
            logits = inputs["logits"] if "logits" in inputs else inputs["log_probabilities"]
            probabilities = oracle.softmax(np.atleast_2d(logits))
        targets = np.array(inputs["targets"])
        if targets.dtype.kind == "i" and targets.shape == probabilities.shape[:1]:
            targets = oracle.one_hot(targets, probabilities.shape[1])
        if (probabilities > 0).all():
            return probabilities, np.atleast_2d(targets).astype(np.float64)
    return None


# --- one-hot encoding ----------------------------------------------------------------------------


def _draw_one_hot(trial: Trial, n: int, c: int) -> tuple[Any, ...]:
    labels = draw_labels(trial, n, c)
    if n % 2:
        # The last class is missing from half of the batches.
        labels[labels == c - 1] = 0
    return labels, c


def _ask_one_hot(trial: Trial, given: tuple[Any, ...]) -> Asked:
    targets, num_classes = given
    columns = one_hot.classes(trial, targets, num_classes)
    found, problem = _called(lambda: one_hot.encode(trial, targets, num_classes)[0])
    return Asked((targets, columns), oracle.one_hot(targets, columns), found, problem)


def _lecture_one_hot(trial: Trial) -> tuple[Any, ...] | None:
    for figure in trial.figures():
        return np.array(figure.inputs["targets"]), int(figure.inputs["num_classes"])
    return None


# --- class labels --------------------------------------------------------------------------------


def _draw_rows(trial: Trial, n: int, c: int) -> tuple[Any, ...]:
    rows = draw_logits(trial, n, c)
    # Among them probabilities, of which none may reach a half.
    return (rows if trial.rng.random() < 0.6 else draw_probabilities(trial, n, c),)


def _ask_class_label(trial: Trial, given: tuple[Any, ...]) -> Asked:
    rows = trial.array(given[0])
    found, problem = _called(lambda: trial.call(rows))
    if found is not None and found.shape == (len(rows), 1):
        found = replace(found, values=found.values[:, 0])
    return Asked((rows.astype(np.float64),), oracle.class_label(rows), found, problem)


def _ties(trial: Trial) -> Iterator[tuple[Any, ...]]:
    for n, c in ((5, 3), (4, 4), (6, 2), (3, 5)):
        rows = np.round(draw_logits(trial, n, c))
        first, second = trial.rng.choice(c, 2, replace=False)
        rows[0, first] = rows[0, second] = rows.max() + 1
        yield (rows,)


# --- functions whose rubric draws whole cases ----------------------------------------------------


def _draw_case(trial: Trial, n: int, c: int) -> tuple[Any, ...]:
    trial.shape = n, c
    return (trial.ordinary(),)


def _ask_case(trial: Trial, given: tuple[Any, ...]) -> Asked:
    case = given[0]
    found, problem = _called(lambda: trial.call(*case.arguments))
    arguments = [np.asarray(each, dtype=np.float64) for each in case.arguments]
    if getattr(trial.spec, "order", "") == "targets-first":
        # In formulas predictions come first.
        arguments.reverse()
    return Asked(tuple(arguments), np.asarray(case.expected), found, problem)


SOFTMAX = Family(
    lambda trial, n, c: (draw_logits(trial, n, c),), _ask_softmax, _lecture_logits, _large_logits
)
CROSS_ENTROPY = Family(
    _draw_cross_entropy, _ask_cross_entropy, _lecture_losses, _zeros, _soft_targets
)
CASES = Family(_draw_case, _ask_case)
FAMILIES = {
    "softmax": SOFTMAX,
    "log_softmax": SOFTMAX,
    "cross_entropy": CROSS_ENTROPY,
    "nll_loss": CROSS_ENTROPY,
    "one_hot": Family(_draw_one_hot, _ask_one_hot, _lecture_one_hot),
    "class_label": Family(_draw_rows, _ask_class_label, _lecture_logits, _ties),
    "sigmoid": CASES,
    "accuracy": CASES,
    "entropy": CASES,
    "kl_divergence": CASES,
    "binary_cross_entropy": CASES,
    "mean_squared_error": CASES,
    "hinge_loss": CASES,
}
