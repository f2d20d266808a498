"""The reference implementations, against the lectures and against mpmath at 60 digits."""

import math
import tomllib
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf  # type: ignore[import-untyped]  # mpmath ships no types

from lossgrade import oracle
from lossgrade.oracle import FloatArray

INF, NAN = math.inf, math.nan
# Half the distance from 1 to the next float64: the relative error of one rounding.
UNIT = 2.0**-53

REFERENCES: list[dict[str, Any]] = [
    reference
    for path in sorted((files("lossgrade_fixtures") / "lectures").iterdir(), key=str)
    if path.name.endswith(".toml")
    for reference in tomllib.loads(path.read_text(encoding="utf-8"))["reference"]
]


@pytest.fixture(autouse=True)
def _no_floating_point_error_escapes() -> Any:
    # Louder than a warning: an error NumPy would keep to itself (underflow) fails as well.
    with np.errstate(all="raise"):
        yield


@pytest.fixture(autouse=True, scope="module")
def _sixty_digits() -> Any:
    with mp.workdps(60):
        yield


def close(found: FloatArray, exact: Any, relative: float = 0.0, absolute: float = 0.0) -> None:
    """Assert shape and values: within |exact| * relative + absolute, inf and NaN alike."""
    wanted = np.asarray(exact, dtype=object)
    assert found.dtype == np.float64
    assert found.shape == wanted.shape
    for value, target in zip(found.ravel().tolist(), wanted.ravel().tolist(), strict=True):
        if not mp.isfinite(target):
            assert repr(value) == repr(float(target))
        else:
            assert abs(mpf(value) - target) <= abs(target) * relative + absolute, (value, target)


# --- The definitions in mpmath, one row at a time


def exact(values: Any) -> list[Any]:
    return [mpf(value) for value in np.asarray(values, dtype=np.float64).tolist()]


def exact_log_softmax(row: Any) -> list[Any]:
    logits = exact(row)
    # 1 + exp(-2e4) is 1 at 60 digits; log1p of the other terms keeps them.
    first = logits.index(max(logits))
    others = mp.fsum(mp.exp(z - logits[first]) for k, z in enumerate(logits) if k != first)
    return [-INF if z == -INF else z - logits[first] - mp.log1p(others) for z in logits]


def exact_softmax(row: Any) -> list[Any]:
    logits = exact(row)
    total = mp.fsum(mp.exp(z) for z in logits)
    return [mp.exp(z) / total for z in logits]


def exact_cross_entropy(weights: Any, logs: list[Any]) -> Any:
    return -mp.fsum(w * log for w, log in zip(exact(weights), logs, strict=True) if w != 0)


# --- The lectures

PREDICTIONS = {
    "logits": oracle.cross_entropy_from_logits,
    "probabilities": oracle.cross_entropy,
}


def of_oracle(reference: dict[str, Any]) -> Any:
    """Return what the oracle says to a reference, with its mistake if it has one."""
    inputs, convention = reference["inputs"], reference["convention"]
    passed = next(
        inputs[name]
        for name in ("logits", "probabilities", "log_probabilities", "targets")
        if name in inputs
    )
    match reference["function"]:
        case "one_hot":
            return oracle.one_hot(**inputs)
        case "softmax":
            return oracle.softmax(passed, axis=convention["axis"])
        case "log_softmax":
            return oracle.log_softmax(passed, axis=convention["axis"])
        case "class_label":
            return oracle.class_label(passed, axis=convention["axis"])
        case "accuracy":
            return oracle.accuracy(passed, inputs["targets"])
        case "entropy":
            return oracle.entropy(passed, base={"e": math.e, "2": 2}[convention["log_base"]])
        case "kl_divergence":
            return oracle.kl_divergence(inputs["targets"], passed)
        case "mean_squared_error":
            return oracle.mean_squared_error(passed, inputs["targets"])
        case "nll_loss":
            losses = oracle.nll_loss(passed, inputs["targets"])
        case "cross_entropy":
            losses = PREDICTIONS[convention["prediction"]](passed, inputs["targets"])
    return oracle.reduce(losses, convention["reduction"])


@pytest.mark.parametrize(
    "reference",
    [
        pytest.param(reference, id=reference["id"])
        for reference in REFERENCES
        # What float32 makes of a formula is nothing a float64 reference could say.
        if reference["convention"].get("dtype") != "float32"
    ],
)
def test_lectures(reference: dict[str, Any]) -> None:
    found = of_oracle(reference)
    if reference["function"] == "class_label":
        assert found.dtype == np.int64
        assert found.tolist() == reference["expected"]
        return
    # Eight roundings: logits of size 1 and four terms. exp(-99) of the d2l rows is exact
    # in its argument, since 1 - 100 is.
    expected = np.asarray(reference["expected"], dtype=np.float64)
    close(found, expected.astype(object), relative=8 * UNIT)


# --- Softmax and log-softmax

finite_logits = st.floats(-1e4, 1e4)
rows_of_logits = st.lists(finite_logits, min_size=1, max_size=12)
rows_with_gaps = st.tuples(
    st.lists(finite_logits | st.just(-INF), max_size=8), finite_logits, st.randoms()
).map(lambda parts: sorted([*parts[0], parts[1]], key=lambda _: parts[2].random()))
# A double below 2**-1022 has fewer digits: no relative error can be promised there.
SUBNORMAL = 2.0**-1022


@given(rows_with_gaps)
def test_softmax_within_its_stated_error(row: list[float]) -> None:
    found = oracle.softmax([row])
    exact_row = exact_softmax(row)
    for value, p in zip(found[0].tolist(), exact_row, strict=True):
        # The shifted logit d is rounded, which costs |d| units; exp, sum and division cost
        # at most C + 4 more. Where d is below -745, both are 0 or subnormal.
        shift = 0.0 if p == 0 else min(float(-mp.log(p)), 800.0)
        assert abs(mpf(value) - p) <= p * (shift + len(row) + 4) * UNIT + SUBNORMAL


@given(rows_with_gaps)
def test_log_softmax_within_a_few_units(row: list[float]) -> None:
    # d - log1p(rest): both have one sign, so the digits survive even next to 0. There rest
    # may be a single exp(d) with |d| up to 745, whose rounded argument costs |d| units.
    exact_row = exact_log_softmax(row)
    close(oracle.log_softmax([row]), [exact_row], (745 + 8 + len(row)) * UNIT, SUBNORMAL)
    # Away from 0 the weight exp(d) of such a term is small: 4 units, and C + 4 of 1.
    close(oracle.log_softmax([row]), [exact_row], 4 * UNIT, (len(row) + 4) * UNIT)


@given(rows_of_logits, st.integers(-(2**20), 2**20))
def test_softmax_does_not_see_a_shift(row: list[float], shift: int) -> None:
    # Multiples of 2**-20 below 2**21 add up exactly, so that the results are the same bits.
    logits = np.round(np.asarray(row) * 2**20) / 2**20
    assert oracle.softmax(logits + shift).tolist() == oracle.softmax(logits).tolist()
    assert oracle.log_softmax(logits + shift).tolist() == oracle.log_softmax(logits).tolist()


@pytest.mark.parametrize(
    ("logits", "probabilities", "log_probabilities"),
    [
        pytest.param([1e4, 0.0], [1.0, 0.0], [0.0, -1e4], id="large positive logit"),
        pytest.param([-1e4, -1e4], [0.5, 0.5], [-math.log(2)] * 2, id="large negative logits"),
        pytest.param([-INF, 3.0], [0.0, 1.0], [-INF, 0.0], id="masked class"),
        pytest.param(
            [-INF, 0.0, 0.0], [0, 0.5, 0.5], [-INF, *[-math.log(2)] * 2], id="masked of 3"
        ),
        pytest.param([7.5], [1.0], [0.0], id="one class"),
        pytest.param([-INF, -INF], [NAN, NAN], [NAN, NAN], id="every class masked"),
        pytest.param([-INF], [NAN], [NAN], id="the only class masked"),
        pytest.param([INF, 0.0], [NAN, NAN], [NAN, NAN], id="infinite logit"),
        pytest.param([NAN, 0.0], [NAN, NAN], [NAN, NAN], id="NaN logit"),
        pytest.param(
            [0.0, -100.0],
            [1.0, 3.720075976020836e-44],
            [-3.720075976020836e-44, -100.0],
            id="log-probability near 0 keeps its digits",
        ),
    ],
)
def test_softmax_at_the_edges(
    logits: list[float], probabilities: list[float], log_probabilities: list[float]
) -> None:
    # Two roundings: of the exact value, written here in float64, and of exp.
    close(oracle.softmax(logits), np.asarray(probabilities, dtype=object), 2 * UNIT)
    close(oracle.log_softmax(logits), np.asarray(log_probabilities, dtype=object), 2 * UNIT)


@pytest.mark.parametrize("function", [oracle.softmax, oracle.log_softmax])
def test_axis_is_the_axis(function: Callable[..., FloatArray]) -> None:
    logits = np.random.default_rng(8).normal(size=(3, 4, 5)) * 10
    for axis in range(3):
        along_last = np.moveaxis(function(np.moveaxis(logits, axis, -1)), -1, axis)
        # Sums of up to five terms, in whatever order NumPy takes them.
        np.testing.assert_allclose(function(logits, axis=axis), along_last, rtol=8 * UNIT)


def test_many_classes() -> None:
    classes = 50_000
    logits = np.random.default_rng(1).normal(size=classes) * 5
    # NumPy sums pairwise: log2(C) roundings, not C; 64 leaves room for blocks of 128.
    total = mp.fsum(mp.exp(mpf(z)) for z in logits.tolist())
    for c in range(0, classes, 5_000):
        p = mp.exp(mpf(float(logits[c]))) / total
        close(oracle.softmax(logits)[c : c + 1], [p], relative=(64 + 40) * UNIT)
        close(oracle.log_softmax(logits)[c : c + 1], [mp.log(p)], relative=64 * UNIT)


def test_float32_and_integers_are_computed_in_float64() -> None:
    logits = np.asarray([[1, 100], [3, 5]])
    for dtype in (np.float16, np.float32, np.int8, np.uint16):
        found = oracle.softmax(logits.astype(dtype))
        assert found.dtype == np.float64
        assert found.tolist() == oracle.softmax(logits.astype(np.float64)).tolist()


# --- Cross-entropy


@given(rows_of_logits, st.data())
def test_cross_entropy_from_logits_is_logsumexp_less_the_logit(
    row: list[float], data: st.DataObject
) -> None:
    target = data.draw(st.integers(0, len(row) - 1))
    loss = -exact_log_softmax(row)[target]
    # As for log_softmax: a few units of the loss, and of 1 where the classes compete.
    close(oracle.cross_entropy_from_logits([row], [target]), [loss], 4 * UNIT, 16 * UNIT)


@given(rows_of_logits, st.data())
def test_soft_targets(row: list[float], data: st.DataObject) -> None:
    weights = data.draw(
        st.lists(st.floats(0, 1) | st.just(0.0), min_size=len(row), max_size=len(row))
    )
    loss = exact_cross_entropy(weights, exact_log_softmax(row))
    # All terms have one sign: C sums and products, and log_softmax with its C + 4 units of
    # 1 at each of C classes.
    classes = len(row)
    found = oracle.cross_entropy_from_logits([row], [weights])
    close(found, [loss], (classes + 6) * UNIT, classes * (classes + 4) * UNIT)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.data())
def test_cross_entropy_of_probabilities(row: list[float], data: st.DataObject) -> None:
    target = data.draw(st.integers(0, len(row) - 1))
    p = row[target]
    # One logarithm, one unit in the last place.
    close(oracle.cross_entropy([row], [target]), [INF if p == 0 else -mp.log(mpf(p))], 2 * UNIT)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.data())
def test_picking_equals_multiplying_by_the_one_hot_row(
    row: list[float], data: st.DataObject
) -> None:
    target = [data.draw(st.integers(0, len(row) - 1))]
    rows = oracle.one_hot(target, len(row))
    # The same bits: every other term is 0.
    assert (
        oracle.cross_entropy([row], target).tolist() == oracle.cross_entropy([row], rows).tolist()
    )


@pytest.mark.parametrize(
    ("probabilities", "targets", "loss"),
    [
        pytest.param([0.0, 1.0], [0.0, 1.0], 0.0, id="0 log 0 is 0"),
        pytest.param([0.0, 1.0], [1.0, 0.0], INF, id="certain and wrong"),
        pytest.param([0.0, 1.0], [0.5, 0.5], INF, id="half wrong"),
        pytest.param([0.0, 1.0], 0, INF, id="certain and wrong, by index"),
        pytest.param([0.5, 0.5], [0.0, 0.0], 0.0, id="no target"),
        pytest.param([-0.5, 1.5], 0, NAN, id="negative probability"),
        pytest.param([NAN, 0.5], [0.0, 1.0], NAN, id="NaN elsewhere in the row"),
        pytest.param([5e-324, 1.0], 0, 744.4400719213812, id="smallest probability"),
    ],
)
def test_cross_entropy_at_the_edges(probabilities: list[float], targets: Any, loss: float) -> None:
    one = oracle.cross_entropy(probabilities, targets)
    close(one, loss, relative=2 * UNIT)
    close(oracle.cross_entropy([probabilities], [targets]), [loss], relative=2 * UNIT)
    assert math.isnan(loss) or not np.signbit(one)  # 0, never -0


def test_masked_logits_with_soft_targets_are_finite() -> None:
    # PyTorch gives NaN for both: 0 * -inf.
    close(oracle.cross_entropy_from_logits([[0.0, -INF]], [[1.0, 0.0]]), [mpf(0)])
    close(oracle.nll_loss([[-1.0, -INF]], [[1.0, 0.0]]), [mpf(1)])
    close(oracle.cross_entropy_from_logits([[0.0, -INF]], [1]), [INF])


def test_reductions() -> None:
    losses = np.asarray([0.5, 1.5, 4.0])
    assert oracle.reduce(losses, "none").tolist() == [0.5, 1.5, 4.0]
    assert oracle.reduce(losses, "none") is not losses
    assert oracle.reduce(losses, "sum").shape == oracle.reduce(losses, "mean").shape == ()
    assert oracle.reduce(losses, "sum") == 6.0
    assert oracle.reduce(losses, "mean") == 2.0
    assert oracle.reduce([1.0, INF], "mean") == INF
    with pytest.raises(ValueError, match="reduction is 'average', expected \"none\""):
        oracle.reduce(losses, "average")  # type: ignore[arg-type]  # the error is the subject


def test_empty_batch() -> None:
    logits: FloatArray = np.zeros((0, 3))
    assert oracle.one_hot([], 3).shape == (0, 3)
    assert oracle.softmax(logits).shape == oracle.log_softmax(logits).shape == (0, 3)
    assert oracle.class_label(logits).shape == (0,)
    for losses in (
        oracle.cross_entropy(logits, []),
        oracle.cross_entropy(logits, logits),
        oracle.cross_entropy_from_logits(logits, []),
        oracle.nll_loss(logits, []),
    ):
        assert losses.shape == (0,)
        assert oracle.reduce(losses, "sum") == 0
        assert np.isnan(oracle.reduce(losses, "mean"))
    assert np.isnan(oracle.accuracy(logits, []))
    assert np.isnan(oracle.mean_squared_error([], []))
    assert oracle.hinge_loss([], []) == 0
    assert oracle.softmax_vjp(logits, logits).shape == (0, 3)
    assert oracle.cross_entropy_logits_gradient(logits, []).shape == (0, 3)


# --- Labels and accuracy


def test_one_hot_of_any_shape() -> None:
    rows = oracle.one_hot([[0, 2], [1, 1]], 3)
    assert rows.tolist() == [[[1, 0, 0], [0, 0, 1]], [[0, 1, 0], [0, 1, 0]]]
    assert oracle.one_hot(1, 2).tolist() == [0, 1]


def test_class_label_takes_the_lowest_of_a_tie() -> None:
    assert oracle.class_label([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]]).tolist() == [1, 0]
    assert oracle.class_label([[0.0, NAN, 3.0]]).tolist() == [1]
    assert oracle.class_label([[1.0, 3.0], [2.0, 2.0]], axis=0).tolist() == [1, 0]


def test_accuracy_takes_rows_or_labels() -> None:
    assert oracle.accuracy([[0.1, 0.9], [0.8, 0.2]], [1, 1]) == 0.5
    assert oracle.accuracy([1, 0], [1, 1]) == 0.5


# --- The other functions


@given(st.floats(-1e4, 1e4))
def test_sigmoid(logit: float) -> None:
    # exp, sum and division; the argument of exp is exact.
    close(oracle.sigmoid([logit]), [1 / (1 + mp.exp(-mpf(logit)))], 4 * UNIT, SUBNORMAL)


def test_sigmoid_at_the_edges() -> None:
    assert oracle.sigmoid([-INF, INF, 0.0]).tolist() == [0.0, 1.0, 0.5]
    assert np.isnan(oracle.sigmoid(NAN))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.sampled_from([math.e, 2.0, 10.0]))
def test_entropy(row: list[float], base: float) -> None:
    nats = exact_cross_entropy(row, [mp.log(mpf(p)) if p else -INF for p in row])
    unit = mpf(1) if base == math.e else mp.log(mpf(base))
    # All terms have one sign: C sums, and product, logarithm and division.
    close(oracle.entropy([row], base), [nats / unit], (len(row) + 5) * UNIT, 12 * SUBNORMAL)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(1e-300, 1)), min_size=1, max_size=12))
def test_kl_divergence(pairs: list[tuple[float, float]]) -> None:
    p, q = zip(*pairs, strict=True)
    terms = [(mpf(a) * mp.log(mpf(a)), mpf(a) * mp.log(mpf(b))) for a, b in pairs if a > 0]
    size = float(mp.fsum(abs(term) for both in terms for term in both))
    # The terms cancel: the error is relative to their size.
    absolute = (len(p) + 4) * UNIT * size + 12 * SUBNORMAL
    close(oracle.kl_divergence([p], [q]), [mp.fsum(a - b for a, b in terms)], absolute=absolute)
    assert oracle.kl_divergence([p], [p]).tolist() == [0.0]


def test_kl_divergence_at_the_edges() -> None:
    assert oracle.kl_divergence([0.0, 1.0], [0.0, 1.0]) == 0
    assert oracle.kl_divergence([0.5, 0.5], [0.0, 1.0]) == INF
    assert oracle.kl_divergence([0.0, 1.0], [0.5, 0.5]) == math.log(2)


@given(st.floats(0, 1), st.floats(0, 1) | st.sampled_from([0.0, 1.0]))
def test_binary_cross_entropy(p: float, y: float) -> None:
    logs = (mp.log1p(-mpf(p)) if p < 1 else -INF, mp.log(mpf(p)) if p > 0 else -INF)
    pairs = [(w, log) for w, log in zip((1 - mpf(y), mpf(y)), logs, strict=True) if w > 0]
    wrong = any(log == -INF for _, log in pairs)
    loss = INF if wrong else -mp.fsum(w * log for w, log in pairs)
    # Both terms have one sign, and log1p keeps the digits of p next to 0.
    close(oracle.binary_cross_entropy([p], [y]), [loss], 6 * UNIT, SUBNORMAL)


def test_binary_cross_entropy_is_the_two_class_cross_entropy() -> None:
    p, y = [0.125, 0.75, 1.0, 0.0], [0, 1, 1, 1]
    rows = [[1 - x, x] for x in p]
    assert oracle.binary_cross_entropy(p, y).tolist() == oracle.cross_entropy(rows, y).tolist()


@given(st.lists(st.tuples(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4)), min_size=1, max_size=12))
def test_mean_squared_error(pairs: list[tuple[float, float]]) -> None:
    left, right = zip(*pairs, strict=True)
    squares = [(mpf(a) - mpf(b)) ** 2 for a, b in pairs]
    # Squares do not cancel: difference twice, square, C sums, division.
    relative = (len(pairs) + 5) * UNIT
    found = oracle.mean_squared_error(left, right)
    close(found, mp.fsum(squares) / len(squares), relative, SUBNORMAL)


@given(st.lists(st.tuples(st.floats(-1e4, 1e4), st.sampled_from([-1, 1])), max_size=12))
def test_hinge_loss(pairs: list[tuple[float, int]]) -> None:
    h, y = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    terms = [max(mpf(0), 1 - mpf(a) * b) for a, b in pairs]
    close(oracle.hinge_loss(h, y), mp.fsum(terms), relative=(len(pairs) + 2) * UNIT)


# --- Gradients

moderate_rows = st.lists(st.floats(-30, 30), min_size=1, max_size=8)


def derivative(function: Callable[[list[Any]], Any], row: list[float], c: int) -> Any:
    """Return the central difference, good to 40 digits: the step is 1e-21 at 80 digits."""
    with mp.workdps(80):
        step = mpf(10) ** -21

        def moved(by: Any) -> Any:
            return function([mpf(z) + (by if k == c else 0) for k, z in enumerate(row)])

        return (moved(step) - moved(-step)) / (2 * step)


def mp_softmax(row: list[Any]) -> list[Any]:
    total = mp.fsum(mp.exp(z) for z in row)
    return [mp.exp(z) / total for z in row]


@settings(max_examples=50)
@given(moderate_rows, st.data())
def test_softmax_vjp(row: list[float], data: st.DataObject) -> None:
    cotangent = data.draw(st.lists(st.floats(-10, 10), min_size=len(row), max_size=len(row)))

    def weighted(z: list[Any]) -> Any:
        return mp.fsum(mpf(g) * p for g, p in zip(cotangent, mp_softmax(z), strict=True))

    numeric = [derivative(weighted, row, c) for c in range(len(row))]
    # An inner product of C terms of size 10; p is off by at most p * |log p| < 1 unit.
    close(oracle.softmax_vjp([row], [cotangent]), [numeric], absolute=10 * (len(row) + 8) * UNIT)


@settings(max_examples=50)
@given(moderate_rows, st.data())
def test_cross_entropy_logits_gradient(row: list[float], data: st.DataObject) -> None:
    target = data.draw(st.integers(0, len(row) - 1))
    weights = data.draw(st.lists(st.floats(0, 1), min_size=len(row), max_size=len(row)))

    def soft(z: list[Any]) -> Any:
        return -mp.fsum(mpf(w) * mp.log(p) for w, p in zip(weights, mp_softmax(z), strict=True))

    def hard(z: list[Any]) -> Any:
        return -mp.log(mp_softmax(z)[target])

    numeric = [derivative(hard, row, c) for c in range(len(row))]
    # A probability, good to C + 4 units of itself, less 0 or 1.
    absolute = (len(row) + 6) * UNIT
    close(oracle.cross_entropy_logits_gradient([row], [target]), [numeric], absolute=absolute)
    numeric = [derivative(soft, row, c) for c in range(len(row))]
    # The weights add up to at most C.
    absolute *= max(1.0, 2 * sum(weights))
    close(oracle.cross_entropy_logits_gradient([row], [weights]), [numeric], absolute=absolute)


def test_gradients_at_the_edges() -> None:
    gradient = oracle.cross_entropy_logits_gradient([[1e4, -1e4], [0.0, -INF]], [1, 0])
    assert gradient.tolist() == [[1.0, -1.0], [0.0, 0.0]]
    assert oracle.cross_entropy_logits_gradient([0.0, 0.0], 1).tolist() == [0.5, -0.5]
    assert oracle.softmax_vjp([[1e4, 0.0], [0.0, -INF]], [[3.0, 5.0]] * 2).tolist() == [[0, 0]] * 2


def test_vjp_axis_is_the_axis() -> None:
    generator = np.random.default_rng(3)
    logits, cotangent = generator.normal(size=(2, 4, 3)), generator.normal(size=(2, 4, 3))
    found = oracle.softmax_vjp(logits, cotangent, axis=1)
    moved = oracle.softmax_vjp(np.moveaxis(logits, 1, -1), np.moveaxis(cotangent, 1, -1))
    # Cotangents of size 3, sums of four terms in either order.
    np.testing.assert_allclose(found, np.moveaxis(moved, -1, 1), rtol=0, atol=32 * UNIT)


# --- Errors


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        pytest.param(
            lambda: oracle.one_hot([0, 3], 3),
            ValueError,
            r"target is 3, expected a class in \[0, 3\)",
            id="label counted from one",
        ),
        pytest.param(
            lambda: oracle.one_hot([-1], 3),
            ValueError,
            r"target is -1, expected a class in \[0, 3\)",
            id="negative label",
        ),
        pytest.param(
            lambda: oracle.one_hot([0.0, 1.0], 3),
            TypeError,
            "targets have dtype float64, expected integer",
            id="labels as floats",
        ),
        pytest.param(
            lambda: oracle.cross_entropy([[0.5, 0.5]], [2]),
            ValueError,
            r"target is 2, expected a class in \[0, 2\)",
            id="target beyond the classes",
        ),
        pytest.param(
            lambda: oracle.cross_entropy([[0.5, 0.5]], [0, 1]),
            ValueError,
            r"targets have shape \(2,\), expected \(1,\)",
            id="more targets than rows",
        ),
        pytest.param(
            lambda: oracle.cross_entropy([[0.5, 0.5]], [[1]]),
            ValueError,
            r"targets have shape \(1, 1\), expected \(1, 2\)",
            id="targets as a column",
        ),
        pytest.param(
            lambda: oracle.mean_squared_error([1.0, 2.0], [[1.0], [2.0]]),
            ValueError,
            r"targets have shape \(2, 1\), expected \(2,\)",
            id="squares that broadcast",
        ),
        pytest.param(
            lambda: oracle.accuracy([0, 1, 2], [0, 1]),
            ValueError,
            r"targets have shape \(2,\), expected \(3,\)",
            id="too few true labels",
        ),
        pytest.param(
            lambda: oracle.hinge_loss([0.5], [0]),
            ValueError,
            "target is 0, expected -1 or 1",
            id="hinge targets 0 and 1",
        ),
        pytest.param(
            lambda: oracle.entropy([1.0], base=1),
            ValueError,
            "base is 1, expected more than 1",
            id="logarithm to base 1",
        ),
        pytest.param(
            lambda: oracle.cross_entropy_logits_gradient([[0.0]], [0, 0]),
            ValueError,
            r"targets have shape \(2,\), expected \(1,\)",
            id="gradient, two targets",
        ),
        pytest.param(
            lambda: oracle.softmax([1j]),
            TypeError,
            "dtype is complex128, expected real numbers",
            id="complex logits",
        ),
    ],
)
def test_errors_say_what_was_found_and_expected(
    call: Callable[[], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call()


def test_inputs_are_left_alone() -> None:
    logits = np.asarray([[0.0, 3.0, -INF], [1.0, 2.0, 3.0]])
    before = logits.tobytes()
    logits.flags.writeable = False
    oracle.softmax(logits)
    oracle.log_softmax(logits)
    oracle.cross_entropy_from_logits(logits, [1, 2])
    oracle.cross_entropy_logits_gradient(logits, [1, 2])
    oracle.softmax_vjp(logits, np.ones((2, 3)))
    assert logits.tobytes() == before
