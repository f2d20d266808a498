"""Small inputs for each rubric, from which Hypothesis searches: simple ones first.

Every choice stands in a list whose first entry is the simplest, since that is where shrinking
leads. What a function is called with, and what it should return, comes from its rubric.

The smallest inputs stand in order too, so that most faults show without a search.

The first pool of a rubric holds ordinary inputs. The others stand for criteria of their own, such
as large net inputs, and are searched for a function that fails one of these.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from lossgrade import oracle
from lossgrade.counterexample import arithmetic
from lossgrade.rubric import accuracy as accuracies
from lossgrade.rubric import binary_cross_entropy as binary
from lossgrade.rubric import class_label as labelling
from lossgrade.rubric import cross_entropy as losses
from lossgrade.rubric import entropy as entropies
from lossgrade.rubric import one_hot as encoding
from lossgrade.rubric import softmax as activations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from hypothesis.strategies import SearchStrategy
    from numpy.typing import NDArray

    from lossgrade.trial import Trial

# Shrinking goes down by one: a sign and its sizes stand together.
ENTRIES = (0, 1, 2, 3, 5, -1, -2, -3, -5)
LARGE = (0, 1000, -1000)
SHAPES = ((1, 2), (2, 2), (1, 3), (2, 3), (3, 2), (3, 3), (3, 4))
FEW = ((1, 2), (2, 2), (1, 3), (2, 3))
SIZES = (1, 2, 3, 4)
# How many of the smallest matrices are tried before Hypothesis searches.
SMALLEST = 16
# Where other dtypes than the usual one are asked for.
RETYPED = frozenset({"random_float32", "random_float64"})


@dataclass(frozen=True)
class Example:
    """One call: its arguments by the names that the lecture gives them, and what is expected.

    Attributes:
        steps: the arithmetic of `expected`, with as many significant digits as it is told.
        dtype: whether the dtype of the arguments is worth a remark.
    """

    names: tuple[str, ...]
    arguments: tuple[Any, ...]
    expected: NDArray[Any]
    steps: Callable[[int], list[str]]
    tolerance: float
    dtype: bool = False


@dataclass(frozen=True)
class Pool:
    """Where to search, for functions that fail one of the criteria `names`; none means any.

    Attributes:
        smallest: the simplest example, at which shrinking would end, then others: none that is
            left out is smaller than one of them.
    """

    examples: SearchStrategy[Example]
    names: frozenset[str] = frozenset()
    smallest: Callable[[], Iterable[Example]] = tuple


def pools(trial: Trial) -> list[Pool]:
    """Return the pools of the trial's function, the ordinary one first."""
    made: list[Pool] = MAKERS[trial.spec.rubric](trial)
    return made


# --- what is drawn -------------------------------------------------------------------------------


def _matrices(
    shapes: Iterable[tuple[int, ...]], entries: Sequence[float]
) -> SearchStrategy[NDArray[np.float64]]:
    entry = st.sampled_from(entries)

    def filled(shape: tuple[int, ...]) -> SearchStrategy[NDArray[np.float64]]:
        size = int(np.prod(shape))
        return st.tuples(*[entry] * size).map(
            lambda drawn: np.array(drawn, dtype=np.float64).reshape(shape)
        )

    return st.sampled_from(tuple(shapes)).flatmap(filled)


@cache
def _smallest(entries: Sequence[float]) -> list[NDArray[np.float64]]:
    """Return the smallest matrices (1, 2) of `entries`, as `search.size` orders them."""
    rows = sorted(
        product(entries, repeat=2),
        key=lambda row: (sum(map(abs, row)), sum(x * x for x in row), sum(x < 0 for x in row), row),
    )
    return [np.array([row], dtype=np.float64) for row in rows[:SMALLEST]]


@cache
def _distributions(c: int, least: int = 1, parts: int = 10) -> tuple[tuple[float, ...], ...]:
    """Return the rows of `c` tenths that sum to 1, the most even first."""
    rows = [
        row for row in product(range(least, parts + 1), repeat=c) if sum(row) == parts
    ]  # at most 11 ** 4
    rows.sort(key=lambda row: (max(row) - min(row), row))
    return tuple(tuple(tenths / parts for tenths in row) for row in rows)


SMALL = ((0.01, 0.99), (0.99, 0.01), (0.001, 0.999), (0.999, 0.001))


def _rows(c: int, kind: str = "tenths") -> SearchStrategy[tuple[float, ...]]:
    if kind == "small":
        return st.sampled_from(SMALL)
    if kind == "zeros":
        return st.sampled_from([row for row in _distributions(c, 0) if 0 in row])
    return st.sampled_from(_distributions(c))


def _batches(
    shapes: Sequence[tuple[int, int]],
    row: Callable[[int], SearchStrategy[Any]],
    target: Callable[[int], SearchStrategy[Any]],
) -> SearchStrategy[tuple[NDArray[np.float64], list[Any]]]:
    """Draw rows (N, C) and a target for each of them."""

    def filled(shape: tuple[int, int]) -> SearchStrategy[Any]:
        n, c = shape
        both = st.tuples(st.tuples(*[row(c)] * n), st.tuples(*[target(c)] * n))
        return both.map(lambda drawn: (np.array(drawn[0], dtype=np.float64), list(drawn[1])))

    return st.sampled_from(tuple(shapes)).flatmap(filled)


def _labels(c: int) -> SearchStrategy[int]:
    return st.sampled_from(range(c))


def _retyped(trial: Trial, example: Example) -> Example:
    """Return the example in the float type that is not the library's own."""
    other = "float64" if trial.dtype == "float32" else "float32"
    given = tuple(
        value.astype(other) if isinstance(value, np.ndarray) and value.dtype.kind == "f" else value
        for value in example.arguments
    )
    return replace(example, arguments=given, dtype=True)


def _whole(example: Example, places: Sequence[int], dtype: str) -> Example:
    """Return the example with the arguments at `places` in an integer type."""
    given = tuple(
        value.astype(dtype) if place in places and isinstance(value, np.ndarray) else value
        for place, value in enumerate(example.arguments)
    )
    return replace(example, arguments=given, dtype=True)


def _ordered(trial: Trial, prediction: str, targets: str) -> tuple[str, str]:
    """Return the names of both arguments in the order of the arguments."""
    first = trial.spec.order == "prediction-first"
    return (prediction, targets) if first else (targets, prediction)


def _also_retyped(trial: Trial, ordinary: SearchStrategy[Example]) -> Pool:
    return Pool(ordinary.map(partial(_retyped, trial)), RETYPED)


# --- softmax, log_softmax, sigmoid ---------------------------------------------------------------


def _softmax(trial: Trial) -> list[Pool]:
    single, columns = trial.spec.examples == "single", trial.spec.axis == 0
    log = trial.spec.rubric == "log_softmax"
    row_steps = arithmetic.log_softmax if log else arithmetic.softmax

    def turned(rows: NDArray[Any]) -> NDArray[Any]:
        return rows[0] if single else np.ascontiguousarray(rows.T) if columns else rows

    def built(rows: NDArray[Any]) -> Example:
        given = rows if rows.dtype.kind == "i" else trial.array(rows)
        expected = activations.reference(trial, given)
        exact = given.astype(np.float64)

        def steps(digits: int) -> list[str]:
            return arithmetic.in_place([row_steps(row, digits) for row in exact], columns=columns)

        largest = float(np.abs(exact[np.isfinite(exact)]).max(initial=0))
        # As the rubric allows it: float32 rounds a log-probability as large as that.
        tolerance = max(trial.tolerance, 5e-7 * largest) if log else trial.tolerance
        return Example(("z",), (turned(given),), turned(expected), steps, tolerance)

    def of(shapes: Iterable[tuple[int, int]], entries: Sequence[float]) -> SearchStrategy[Example]:
        fitting = [shape for shape in shapes if shape[0] == 1 or not single]
        return _matrices(fitting, entries).map(built)

    def smallest(entries: Sequence[float]) -> Callable[[], Iterable[Example]]:
        return lambda: map(built, _smallest(entries))

    finite = _matrices([s for s in FEW if s[0] == 1 or not single], (0, 1, -np.inf)).map(
        lambda rows: np.where(np.isinf(rows).all(axis=1, keepdims=True), 0.0, rows)
    )
    whole = _matrices([s for s in FEW if s[0] == 1 or not single], ENTRIES)
    ordinary = of(SHAPES, ENTRIES)
    return [
        Pool(ordinary, smallest=smallest(ENTRIES)),
        Pool(of(((1, 1), (2, 1)), ENTRIES), frozenset({"one_class"})),
        Pool(of(FEW, LARGE), frozenset({"large_logits"}), smallest(LARGE)),
        Pool(finite.map(built), frozenset({"infinite_logits"})),
        Pool(whole.map(lambda rows: built(rows.astype(np.int64))), frozenset({"integer_logits"})),
        Pool(of(((0, 3),), (0,)), frozenset({"empty_batch"})),
        _also_retyped(trial, ordinary),
    ]


def _sigmoid(trial: Trial) -> list[Pool]:
    def built(values: NDArray[Any]) -> Example:
        given = values if values.dtype.kind == "i" else trial.array(values)
        exact = given.astype(np.float64)
        steps = partial(arithmetic.sigmoid, exact)
        return Example(("z",), (given,), oracle.sigmoid(exact), steps, trial.tolerance)

    shapes = ((1,), (2,), (3,), (1, 2), (2, 1), (2, 2), (1, 1, 2))
    ordinary = _matrices(shapes, ENTRIES).map(built)
    extreme = frozenset({"large_logits", "small_probabilities"})
    return [
        Pool(ordinary),
        Pool(_matrices(((),), ENTRIES).map(built), frozenset({"one_number"})),
        Pool(_matrices(shapes[:3], LARGE).map(built), extreme),
        Pool(
            _matrices(shapes[:3], (0, np.inf, -np.inf)).map(built), frozenset({"infinite_logits"})
        ),
        Pool(
            _matrices(shapes[:3], ENTRIES).map(lambda z: built(z.astype(np.int64))),
            frozenset({"integer_logits"}),
        ),
        Pool(_matrices(((0,),), (0,)).map(built), frozenset({"empty"})),
        _also_retyped(trial, ordinary),
    ]


# --- labels --------------------------------------------------------------------------------------


def _one_hot(trial: Trial) -> list[Pool]:
    single, flipped = trial.spec.examples == "single", trial.spec.axis == 0
    sizes = (1,) if single else SIZES

    def built(drawn: tuple[int, list[int]], dtype: str = "int64") -> Example:
        given = np.array(drawn[1], dtype=dtype)
        columns = encoding.classes(trial, given, drawn[0])
        expected = oracle.one_hot(given, columns)
        classes_first = trial.spec.order == "classes-first"
        return Example(
            ("num_classes", "y") if classes_first else ("y", "num_classes"),
            encoding.arguments(trial, given[0] if single else given, drawn[0]),
            expected[0] if single else expected.T if flipped else expected,
            lambda _: arithmetic.one_hot(given, single=single, flipped=flipped),
            trial.tolerance,
            dtype=dtype != "int64",
        )

    def labels() -> SearchStrategy[tuple[int, list[int]]]:
        each = st.sampled_from([(n, c) for c in (2, 3, 4) for n in sizes])
        return each.flatmap(
            lambda nc: st.tuples(*[_labels(nc[1])] * nc[0]).map(lambda y: (nc[1], list(y)))
        )

    def smallest() -> Iterable[Example]:
        return (built((c, [y])) for c in (2, 3, 4) for y in range(c))

    made = [Pool(labels().map(built), smallest=smallest)]
    if not single:
        small = labels().map(partial(built, dtype="int32"))
        made.append(Pool(small, frozenset({"small_integer_labels"})))
        if trial.spec.classes == "argument":
            made.append(Pool(st.just((3, [])).map(built), frozenset({"empty_batch"})))
    return made


def _class_label(trial: Trial) -> list[Pool]:
    single = trial.spec.examples == "single"
    shapes = [shape for shape in SHAPES if shape[0] == 1 or not single]
    few = [shape for shape in FEW if shape[0] == 1 or not single]

    def built(rows: NDArray[Any]) -> Example:
        given = rows if rows.dtype.kind == "i" else trial.array(rows)
        expected: NDArray[Any] = oracle.class_label(given)

        def steps(_: int) -> list[str]:
            return arithmetic.class_label(given, single=single, flipped=trial.spec.axis == 0)

        if single:
            return Example(("z",), (given[0],), expected[0], steps, 0)
        if trial.spec.result == "column":
            expected = expected.reshape(labelling.column(trial, len(given)))
        return Example(("z",), (labelling.turned(trial, given),), expected, steps, 0)

    def distinct(rows: NDArray[Any]) -> bool:
        return bool(((rows == rows.max(axis=1, keepdims=True)).sum(axis=1) == 1).all())

    def smallest() -> Iterable[Example]:
        return map(built, filter(distinct, _smallest(ENTRIES)))

    def ties() -> Iterable[Example]:
        return map(built, _smallest((0, 1, -1)))

    ordinary = _matrices(shapes, ENTRIES).filter(distinct).map(built)
    probabilities = _batches(few, _rows, lambda _: st.just(0)).map(lambda drawn: drawn[0])
    infinite = _matrices(few, (0, 1, -np.inf, np.inf)).filter(distinct)
    return [
        Pool(ordinary, smallest=smallest),
        Pool(probabilities.filter(distinct).map(built), frozenset({"random_probabilities"})),
        Pool(_matrices(few, (0, 1, -1)).map(built), frozenset({"ties_lowest_index"}), ties),
        Pool(infinite.map(built), frozenset({"infinite_logits"})),
        Pool(
            _matrices(few, ENTRIES).filter(distinct).map(lambda z: built(z.astype(np.int64))),
            frozenset({"integer_logits"}),
        ),
        *(
            []
            if single
            else [Pool(_matrices(((0, 3),), (0,)).map(built), frozenset({"empty_batch"}))]
        ),
    ]


def _accuracy(trial: Trial) -> list[Pool]:
    rows = accuracies.from_logits(trial.spec)

    def built(drawn: tuple[NDArray[Any], list[int]]) -> Example:
        predicted = drawn[0]
        if rows and predicted.dtype.kind == "f":
            predicted = trial.array(predicted)
        elif not rows:
            predicted = predicted[:, 0].astype(np.int64)
        targets = np.array(drawn[1], dtype=np.int64)
        expected = oracle.accuracy(predicted, targets) * accuracies.full(trial, len(targets))
        return Example(
            _ordered(trial, "z" if rows else "predicted", "y"),
            losses.arguments(trial, predicted, targets),
            np.asarray(expected),
            lambda digits: arithmetic.accuracy(predicted, targets, trial.spec.result, digits),
            accuracies.tolerance(trial),
        )

    def of(entries: Sequence[float]) -> SearchStrategy[tuple[NDArray[np.float64], list[int]]]:
        # A label of two or three classes, in the first column, where no net inputs are taken.
        def row(c: int) -> SearchStrategy[Any]:
            if not rows:
                return st.tuples(*[_labels(c)] * c)
            # No ties: of them the assignment says nothing.
            entry = st.sampled_from(entries)
            return st.tuples(*[entry] * c).filter(lambda drawn: drawn.count(max(drawn)) == 1)

        return _batches(SHAPES, row, _labels)

    def whole(drawn: tuple[NDArray[Any], list[int]]) -> Example:
        return built((drawn[0].astype(np.int64), drawn[1]))

    ordinary = of(ENTRIES).map(built)
    places = [1 if trial.spec.order == "prediction-first" else 0]
    made = [Pool(ordinary)]
    if rows:
        extreme = of((0, 1000, -1000, np.inf, -np.inf)).map(built)
        made += [
            Pool(extreme, frozenset({"extreme_logits"})),
            Pool(of(ENTRIES).map(whole), frozenset({"integer_logits"})),
        ]
    small = ordinary.map(lambda example: _whole(example, places, "int32"))
    return [
        *made,
        Pool(small, frozenset({"small_integer_targets"})),
        _also_retyped(trial, ordinary),
    ]


# --- losses --------------------------------------------------------------------------------------

NAMES = {"probabilities": "softmax", "logits": "z", "log-probabilities": "log_softmax"}
TARGETS = {"one-hot": "y_onehot", "class-indices": "y"}


def _cross_entropy(trial: Trial) -> list[Pool]:
    spec = trial.spec
    single = not losses.batched(spec)
    soft = spec.targets == "class-probabilities"
    # As the slides write it: p is what is true, q what is predicted.
    names = ("q", "p") if soft else (NAMES[spec.prediction], TARGETS[spec.targets])

    def built(drawn: tuple[NDArray[np.float64], list[Any]]) -> Example:
        rows, targets = drawn
        n, c = rows.shape
        weights = [oracle.one_hot([t], c)[0] if isinstance(t, int) else t for t in targets]
        predicted = trial.array(rows)
        given = losses.encoded(trial, np.array(weights, dtype=np.float64).reshape(n, c))
        each = losses.reference(trial, predicted, given)
        expected = losses.due(trial, each)

        def steps(digits: int) -> list[str]:
            every = [
                arithmetic.cross_entropy(
                    predicted[row].astype(np.float64),
                    int(given[row]) if given.ndim == 1 else given[row].astype(np.float64),
                    spec.prediction,
                    spec.log_base,
                    float(each[row]),
                    digits,
                )
                for row in range(n)
            ]
            how = "none" if single else trial.reduction
            lines = arithmetic.in_place(every, columns=spec.axis == 0)
            return [*lines, *arithmetic.reduction(each, how, digits)]

        if single:
            predicted_one, given_one, expected = predicted[0], given[0], each[0]
            arguments = losses.arguments(trial, predicted_one, given_one)
        else:
            arguments = losses.arguments(trial, predicted, given)
            if spec.result == "column" and trial.reduction == "none":
                expected = expected.reshape(losses.column(trial, n))
        largest = float(np.abs(rows[np.isfinite(rows)]).max(initial=0))
        tolerance = max(trial.tolerance, 2e-6 * largest) if largest > 20 else trial.tolerance
        return Example(
            _ordered(trial, *names),
            arguments,
            np.asarray(expected),
            steps,
            tolerance,
        )

    def row(c: int, kind: str = "tenths") -> SearchStrategy[Any]:
        if spec.prediction == "logits":
            return st.tuples(*[st.sampled_from(LARGE if kind == "small" else ENTRIES)] * c)
        drawn = _rows(c, kind)
        if spec.prediction == "probabilities":
            return drawn
        with np.errstate(divide="ignore"):
            # As many digits as are shown, and no more.
            return drawn.map(lambda p: tuple(_rounded_logs(p)))

    def target(c: int) -> SearchStrategy[Any]:
        if not soft:
            return _labels(c)
        return _labels(c) | st.sampled_from(_distributions(c))

    def of(shapes: Sequence[tuple[int, int]], kind: str = "tenths") -> SearchStrategy[Example]:
        fitting = [shape for shape in shapes if shape[0] == 1 or not single]
        return _batches(fitting, partial(row, kind=kind), target).map(built)

    def possible(example: Example) -> bool:
        return bool(np.isfinite(example.expected).all())

    def smallest() -> Iterable[Example]:
        if spec.prediction == "probabilities" and not soft:
            for p, label in product(_distributions(2), range(2)):
                yield built((np.array([p]), [label]))

    ordinary = of(SHAPES)
    place = 1 if spec.order == "prediction-first" else 0
    whole = ordinary.map(
        lambda e: _whole(e, [place], "int32" if spec.targets == "class-indices" else "int64")
    )
    made = [Pool(ordinary, smallest=smallest)]
    if spec.prediction == "logits":
        made.append(Pool(of(FEW, "small"), frozenset({"large_logits"})))
    else:
        zeros = of(FEW, "zeros").filter(possible)
        small = frozenset(
            {"zero_at_certainty", "tiny_probabilities", "many_classes", "random_float32"}
        )
        made += [
            Pool(zeros, frozenset({"zero_probabilities", "impossible_classes"})),
            Pool(of(((1, 2), (2, 2)), "small"), small),
        ]
    made.append(_also_retyped(trial, ordinary))
    if not soft:
        made.append(Pool(whole, frozenset({"integer_targets"})))
    if not single and trial.reduction != "mean":
        empty = st.just((np.empty((0, 3)), [])).map(built)
        made.append(Pool(empty, frozenset({"empty_batch"})))
    return made


def _rounded_logs(p: Sequence[float]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore"):
        logs: NDArray[np.float64] = np.round(np.log(np.array(p)), 6)
    return logs


def _binary_cross_entropy(trial: Trial) -> list[Pool]:
    def built(pairs: Sequence[tuple[float, float]]) -> Example:
        both = np.array(pairs, dtype=np.float64).reshape(-1, 2)
        p, y = trial.array(both[:, 0]), trial.array(both[:, 1])
        expected = np.asarray(binary.reference(trial, p, y))
        each = oracle.binary_cross_entropy(p.astype(np.float64), y.astype(np.float64))

        def steps(digits: int) -> list[str]:
            lines = [
                arithmetic.binary_cross_entropy(float(a), float(b), float(loss), digits)
                for a, b, loss in zip(p, y, each, strict=True)
            ]
            reduced = arithmetic.reduction(each, trial.reduction, digits)
            return [*lines, *reduced] or arithmetic.nothing()

        names = _ordered(trial, "p", "y")
        return Example(names, losses.arguments(trial, p, y), expected, steps, trial.tolerance)

    def of(probabilities: Sequence[float]) -> SearchStrategy[Any]:
        pair = st.tuples(st.sampled_from(probabilities), st.sampled_from((0.0, 1.0)))
        return st.sampled_from(SIZES).flatmap(lambda n: st.tuples(*[pair] * n))

    tenths = sorted((k / 10 for k in range(1, 10)), key=lambda p: (abs(p - 0.5), p))
    ordinary = of(tenths).map(built)
    certain = of((0.0, 1.0, 0.5)).filter(lambda pairs: all(abs(p - y) < 1 for p, y in pairs))
    sizes = frozenset({"zero_at_certainty", "random_float32", "random_float64"})
    place = 1 if trial.spec.order == "prediction-first" else 0
    return [
        Pool(ordinary),
        Pool(certain.map(built), frozenset({"zero_probabilities"})),
        Pool(of((0.01, 0.99, 0.001, 0.999)).map(built), sizes),
        Pool(ordinary.map(lambda e: _whole(e, [place], "int64")), frozenset({"integer_targets"})),
        *(
            []
            if trial.reduction == "mean"
            else [Pool(st.just(()).map(built), frozenset({"empty_batch"}))]
        ),
        _also_retyped(trial, ordinary),
    ]


def _entropy(trial: Trial) -> list[Pool]:
    def built(row: Sequence[float]) -> Example:
        given = trial.array(row)
        exact = given.astype(np.float64)
        steps = partial(arithmetic.entropy, exact, trial.spec.log_base)
        expected = entropies.reference(trial, given)
        return Example(("p",), (given,), expected, steps, trial.tolerance)

    sizes = st.sampled_from((2, 3, 4))
    ordinary = sizes.flatmap(_rows).map(built)
    zeros = sizes.flatmap(lambda c: _rows(c, "zeros"))
    return [
        Pool(ordinary),
        Pool(zeros.map(built), frozenset({"zero_probabilities", "certainty_is_zero"})),
        Pool(_rows(2, "small").map(built), frozenset({"tiny_probabilities", "many_outcomes"})),
        _also_retyped(trial, ordinary),
    ]


def _kl_divergence(trial: Trial) -> list[Pool]:
    def built(rows: Sequence[Sequence[float]]) -> Example:
        p, q = trial.array(rows[0]), trial.array(rows[1])
        exact = p.astype(np.float64), q.astype(np.float64)
        steps = partial(arithmetic.kl_divergence, *exact)
        expected = np.asarray(oracle.kl_divergence(*exact))
        return Example(("p", "q"), (p, q), expected, steps, trial.tolerance)

    sizes = st.sampled_from((2, 3, 4))
    ordinary = sizes.flatmap(lambda c: st.tuples(_rows(c), _rows(c))).map(built)
    zeros = sizes.flatmap(lambda c: st.tuples(_rows(c, "zeros"), _rows(c) | _rows(c, "zeros")))
    allowed = zeros.filter(lambda pq: all(b or not a for a, b in zip(*pq, strict=True)))
    return [
        Pool(ordinary),
        Pool(allowed.map(built), frozenset({"zero_probabilities", "certain_p"})),
        _also_retyped(trial, ordinary),
    ]


def _pairs(trial: Trial, entries: Sequence[float], shapes: Sequence[tuple[int, ...]]) -> Any:
    """Draw two arrays of one shape."""
    both = _matrices([(2, *shape) for shape in shapes], entries)
    return both.map(lambda pair: (trial.array(pair[0]), trial.array(pair[1])))


def _mean_squared_error(trial: Trial) -> list[Pool]:
    def built(pair: tuple[NDArray[Any], NDArray[Any]]) -> Example:
        y, h = (each.astype(np.float64) for each in pair)
        steps = partial(arithmetic.mean_squared_error, y, h)
        expected = np.asarray(oracle.mean_squared_error(h, y))
        return Example(("y", "y_hat"), pair, expected, steps, trial.tolerance)

    ordinary = _pairs(trial, ENTRIES, ((1,), (2,), (3,), (1, 2), (2, 1), (2, 2))).map(built)
    deep = _pairs(trial, ENTRIES, ((1, 1, 2), (1, 2, 1), (2, 1, 1), (1, 2, 2))).map(built)
    return [
        Pool(ordinary),
        Pool(deep, frozenset({"three_axes"})),
        Pool(ordinary.map(lambda e: _whole(e, [0, 1], "int64")), frozenset({"integer_arguments"})),
        _also_retyped(trial, ordinary),
    ]


def _hinge_loss(trial: Trial) -> list[Pool]:
    def built(pairs: Sequence[tuple[float, float]]) -> Example:
        both = np.array(pairs, dtype=np.float64).reshape(-1, 2)
        # Drawn as y and y * h, on which the loss depends: both targets are as simple to reach.
        y = both[:, 0].copy()
        h = y * both[:, 1] + 0.0
        steps = partial(arithmetic.hinge_loss, y, h)
        expected = np.asarray(oracle.hinge_loss(h, y))
        given = (trial.array(y), trial.array(h))
        return Example(("y", "h"), given, expected, steps, trial.tolerance)

    def of(outputs: Sequence[float]) -> SearchStrategy[Any]:
        pair = st.tuples(st.sampled_from((1.0, -1.0)), st.sampled_from(outputs))
        return st.sampled_from(SIZES).flatmap(lambda n: st.tuples(*[pair] * n))

    ordinary = of((0, 0.5, 1, 2, 3, -0.5, -1, -2, -3)).map(built)
    infinite = st.sampled_from((1.0, -1.0)).map(lambda y: built([(y, np.inf)]))
    return [
        Pool(ordinary),
        Pool(of((0, 100, -100)).map(built), frozenset({"large_outputs"})),
        Pool(infinite, frozenset({"infinite_outputs"})),
        Pool(ordinary.map(lambda e: _whole(e, [0], "int64")), frozenset({"integer_targets"})),
        Pool(st.just(()).map(built), frozenset({"empty_batch"})),
        _also_retyped(trial, ordinary),
    ]


MAKERS: dict[str, Callable[[Trial], list[Pool]]] = {
    "softmax": _softmax,
    "log_softmax": _softmax,
    "sigmoid": _sigmoid,
    "one_hot": _one_hot,
    "class_label": _class_label,
    "accuracy": _accuracy,
    "cross_entropy": _cross_entropy,
    "nll_loss": _cross_entropy,
    "binary_cross_entropy": _binary_cross_entropy,
    "entropy": _entropy,
    "kl_divergence": _kl_divergence,
    "mean_squared_error": _mean_squared_error,
    "hinge_loss": _hinge_loss,
}
