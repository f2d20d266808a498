"""Comparisons that explain: shape before values, the worst entry, and what a mistake looks like."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lossgrade.assignment import parse_assignment
from lossgrade.criterion import Failure, criterion
from lossgrade.manifest import rubric
from lossgrade.student import Answer, CallError, Returned
from lossgrade.trial import Trial

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lossgrade.student import Student
    from support import Submit

SOFTMAX = parse_assignment(
    'name = "own"\nfunctions.softmax = {names = ["softmax"], points = 1}', "own.toml"
).graded["softmax"]


class Echo:
    """Stands where a `Student` does: gives the answers it was told to give."""

    def __init__(self, *answers: Answer | CallError) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[Any, ...]] = []

    def name(self, key: str) -> str:
        return f"my_{key}"

    def call(self, *request: Any, **options: Any) -> Answer:
        self.asked.append((*request, options))
        answer = self.answers.pop(0)
        if isinstance(answer, CallError):
            raise answer
        return answer


def trial(
    student: Echo | Student | None = None, tolerance: float = 1e-5, library: str = "numpy"
) -> Trial:
    rng = np.random.default_rng(1)
    asked: Any = student or Echo()
    return Trial(asked, "softmax", SOFTMAX, library, tolerance, rng, rubric("softmax"), "stat453")


def came(values: Any, container: str = "ndarray", items: Sequence[Returned] = ()) -> Returned:
    array = np.asarray(values)
    return Returned(array, str(array.dtype), container, "numpy", tuple(items))


def failed(run: Any, *arguments: Any, **options: Any) -> Failure:
    with pytest.raises(Failure) as caught:
        run(*arguments, **options)
    return caught.value


# --- calls ---------------------------------------------------------------------------------------

COUNTS = """
    import numpy as np
    n = 0
    def softmax(x):
        global n
        n += 1
        if x[0] < 0: raise ValueError("below 0")
        return x + n / 10
"""


def arrays_of(*values: float) -> list[tuple[Any]]:
    return [(np.array([float(value)]),) for value in values]


def test_answers_ahead_serve_the_same_calls_in_the_same_order(submit: Submit) -> None:
    made = trial(submit(COUNTS, "softmax"))
    first, second, third = arrays_of(1, 2, 3)
    made.call_ahead([first, second, third])
    assert made.call(*first).values == 1.1
    # An equal array is not the same: the function may have been told to change it.
    assert made.call(second[0].copy()).values == 2.4
    # Out of order, the others are forgotten.
    assert made.call(*third).values == 3.5
    assert made.call(*first).values == 1.6


def test_answers_ahead_are_no_gradients(submit: Submit) -> None:
    made = trial(submit(COUNTS, "softmax"))
    first, second = arrays_of(1, 2)
    made.call_ahead([first, second])
    found, after = made.call_and_see_inputs(*first)
    assert found.values == 1.3
    assert after[0].values == 1
    made.call_ahead([second, second])
    made.call_ahead([])
    assert made.call(*second).values == 2.6


def test_calls_fail_in_the_turn_of_the_one_that_fails(submit: Submit) -> None:
    made = trial(submit(COUNTS, "softmax"))
    found = made.calls(arrays_of(1, -1, 2))
    assert next(found).values == 1.1
    assert "raised ValueError: below 0" in failed(next, found).message


def test_one_call_alone_is_told_of_at_once(submit: Submit) -> None:
    [only] = trial(submit(COUNTS, "softmax")).calls(arrays_of(1))
    assert only.values == 1.1


# --- comparisons ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "expected", "says"),
    [
        ([0.5, 0.25], [0.5, 0.75], "x: example 1: found 0.25, expected 0.75 within 1e-05; 1 of 2"),
        ([[1, 2], [3, 9]], [[1, 2], [3, 4]], "x: row 1, column 1: found 9, expected 4 within"),
        (0.5, 0.75, "x: found 0.5, expected 0.75 within 1e-05"),
        ([math.nan, 5], [0, 0], "x: example 0: found nan, expected 0 within 1e-05; 2 of 2 entries"),
        ([-math.inf, 5], [0, 0], "x: example 0: found -inf, expected 0"),
        ([1.0], [math.inf], "x: example 0: found 1, expected inf"),
        ([math.inf], [-math.inf], "x: example 0: found inf, expected -inf"),
        ([math.nan], [math.inf], "x: example 0: found nan, expected inf"),
        ([0.0], [math.nan], "x: example 0: found 0, expected nan"),
        ([True, False], [0, 0], "x: example 0: found 1, expected 0"),
        ([[[1.0]]], [[[2.0]]], "x: found 1, expected 2"),
        ([[1.0], [2.0]], [1.0, 2.0], "x: found shape (2, 1), expected (2,)"),
        ([1.0, 2.0], 1.0, "x: found shape (2,), expected ()"),
        (1.0, [1.0], "x: found shape (), expected (1,)"),
        ([], [1.0], "x: found shape (0,), expected (1,)"),
    ],
)
def test_a_difference_is_told_at_its_worst_place(found: Any, expected: Any, says: str) -> None:
    assert failed(trial().expect, came(found), expected, "x").message.startswith(says)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([1.0, 2.0], [1.0, 2.0 + 9e-6]),
        ([math.inf, -math.inf, math.nan], [math.inf, -math.inf, math.nan]),
        ([1, 0], [1.0, 0.0]),
        ([True, False], [1, 0]),
        (np.float16(0.5), 0.5),
        ([], []),
        (np.empty((0, 3)), np.empty((0, 3))),
    ],
)
def test_what_is_within_tolerance_is_equal(found: Any, expected: Any) -> None:
    trial().expect(came(found), expected, "x")


@given(
    arrays.arrays(np.float64, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)),
    st.floats(1e-12, 0.1),
    st.data(),
)
def test_an_entry_beyond_the_tolerance_is_always_seen(
    expected: np.ndarray[Any, np.dtype[np.float64]], tolerance: float, data: st.DataObject
) -> None:
    judge = trial(tolerance=tolerance)
    judge.expect(came(expected.copy()), expected, "x")
    if expected.size == 0:
        return
    index = data.draw(st.integers(0, expected.size - 1))
    found = expected.copy()
    other = data.draw(st.floats(allow_nan=True, allow_infinity=True))
    before = found.flat[index]
    found.flat[index] = other
    same = (
        other == before
        or (math.isnan(other) and math.isnan(before))
        or abs(other - before) <= tolerance
    )
    if same:
        judge.expect(came(found), expected, "x")
    else:
        assert failed(judge.expect, came(found), expected, "x").message.isprintable()


def test_a_tolerance_of_its_own() -> None:
    trial().expect(came([1.0]), [1.01], "x", tolerance=0.1)
    said = failed(trial().expect, came([1.0]), [1.0 + 1e-9], "x", tolerance=0).message
    assert said == "x: example 0: found 1, expected 1"


def test_hints_name_what_is_likely() -> None:
    expect = trial().expect
    assert "NaN came up" in failed(expect, came([math.nan]), [1.0], "x").hint
    assert failed(expect, came([2.0]), [1.0], "x", hint="look here").hint == "look here"
    assert "Reduce over the class axis" in failed(expect, came([[2.0]]), [1.0], "x").hint
    assert failed(expect, came([[2.0]]), [[[1.0]]], "x").hint == ""


# --- calls ---------------------------------------------------------------------------------------


def test_what_is_no_array_fails_in_the_functions_name() -> None:
    none = came(np.empty(0), "None")
    said = failed(trial(Echo(Answer(none))).call)
    assert (said.message, said.hint) == (
        "`my_softmax` returned None", "Is a `return` missing at its end?"
    )  # fmt: skip
    pair = came(np.empty(0), "tuple", [came([1.0]), came(1.0, "float")])
    said = failed(trial(Echo(Answer(pair))).call_and_see_inputs)
    assert said.message == (
        "`my_softmax` returned a tuple of 2 (ndarray, float), expected one array"
    )


def test_a_lost_call_says_with_what_it_was_called() -> None:
    error = CallError("lost", "`f` ran longer than 5 seconds", "loop?")
    said = failed(
        trial(Echo(error)).call, np.zeros((3, 2), np.float32), np.arange(3), "x" * 90, None
    )
    assert said.message == (
        f"`f` ran longer than 5 seconds, called with float32 (3, 2), int64 (3,), '{'x' * 39}, None"
    )
    assert said.hint == "loop?"
    missing = CallError("missing", "no function named `f` was found")
    assert failed(trial(Echo(missing)).call, 3).message == "no function named `f` was found"


def test_a_gradient_is_asked_for_with_its_weights() -> None:
    echo = Echo(
        Answer(came([1.0]), (came(np.array([3.0], np.float32)),)),
        Answer(came([1.0]), (), "the result is cut off from its input"),
        Answer(came([1.0])),
    )
    judge = trial(echo, library="torch")
    weights = np.ones(1)
    assert judge.gradient(1.0, cotangent=weights, wrt=0).dtype == np.float64
    assert echo.asked == [("softmax", (1.0,), "torch", {"wrt": [0], "cotangent": weights})]
    said = failed(judge.gradient, 1.0, cotangent=weights)
    assert said.message == (
        "no gradient flows back through `my_softmax`: the result is cut off from its input"
    )
    assert "no gradient came back" in failed(judge.gradient, 1.0, cotangent=weights).message


def test_arrays_are_the_librarys_own_floats() -> None:
    assert trial().array([1, 2]).dtype == np.float64
    assert trial(library="torch").array([1, 2]).dtype == np.float32
    assert trial().array([1, 2], "float16").dtype == np.float16


def test_an_ordinary_case_is_what_was_drawn(submit: Submit) -> None:
    text = """
        import numpy as np
        def softmax(z):
            e = np.exp(z)
            z[:] = 0
            return e / e.sum(axis=1, keepdims=True)
        """
    judge = trial(submit(text, "softmax"))
    judge.shape = (6, 4)
    case = judge.ordinary()
    assert case.expected.shape == (6, 4)
    value, (after,) = judge.call_and_see_inputs(*case.arguments)
    judge.expect(value, case.expected, case.what)
    assert not after.values.any()
    assert case.arguments[0].any()
    assert judge.figures()
    assert judge.name == "`softmax`"


# --- criteria ------------------------------------------------------------------------------------


def test_a_criterion_is_told_by_its_docstring() -> None:
    @criterion(points=2.5, kind="robust")
    def holds(_: Trial) -> None:
        """It holds.

        More of it.
        """

    made = holds.__criterion__  # type: ignore[attr-defined]  # set by the decorator
    assert (made.name, made.title, made.weight, made.kind) == ("holds", "It holds", 2.5, "robust")
    with pytest.raises(ValueError, match="silent needs a docstring"):

        @criterion()
        def silent(_: Trial) -> None: ...


def test_failures_are_one_line() -> None:
    failure = Failure("a\n  b\tc", "d\n")
    assert (failure.message, failure.hint) == ("a b c", "d")
