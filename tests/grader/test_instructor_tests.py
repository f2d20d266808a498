"""An instructor's own tests: the fixture `student`, points, visibility and hints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

# One run for each of these modules; each test function is one row of what is expected below.
CALLS = '''
    import math

    import numpy as np
    import pytest

    Z = np.array([[0.0, 0.0], [0.0, 1.0]])

    def test_numpy_in_numpy_out(student):
        """NumPy arrays give NumPy arrays."""
        found = student.softmax(Z)
        assert type(found) is np.ndarray
        assert found.dtype == np.float64
        np.testing.assert_allclose(found[1, 1], 1 / (1 + math.exp(-1)), atol=1e-12)

    def test_what_comes_back_is_mine_to_change(student):
        found = student.softmax(Z)
        found += 1

    def test_arguments_stay_as_they_were(student):
        before = Z.copy()
        student.writes_into(Z)
        assert (Z == before).all()

    def test_by_an_accepted_name_and_by_keyword(student):
        assert student.one_hot(np.array([1]), num_classes=3).tolist() == [[0, 1, 0]]

    def test_numbers_lists_text_and_none(student):
        assert student.echo(3, "a", None, [1, 2]) is None
        assert student.number(np.float64(2.5)) == 5.0
        first, second = student.pair(Z)
        assert first.shape == (2, 2) and second == 3

    def test_call_by_a_name_that_is_no_attribute(student):
        assert student.call("_private", 2) == 3

    def test_float32_stays_float32(student):
        assert student.same(Z.astype(np.float32)).dtype == np.float32

    def test_raises(student):
        student.raises(Z)

    def test_missing(student):
        student.softmaxx(Z)

    def test_dies(student):
        student.dies(1)

    def test_next_call_after_a_death(student):
        assert student.number(1) == 2

    def test_returns_an_object(student):
        student.object(1)

    def test_argument_that_cannot_cross(student):
        student.number({1, 2})

    def test_argument_with_arrays_in_a_list(student):
        student.number([Z, Z])

    def test_argument_of_objects(student):
        student.number(np.array([object()]))

    def test_big_endian(student):
        assert student.same(np.array([1.0, 2.0], ">f8")).tolist() == [1.0, 2.0]

    def test_transposed(student):
        turned = np.arange(6.0).reshape(2, 3).T
        assert (student.same(turned) == turned).all()

    def test_parameter_called_name(student):
        assert student.named(name=4) == 4

    def test_no_private_attributes(student):
        assert not hasattr(student, "__array__")
'''
FUNCTIONS = """
import os
import numpy as np

def to_onehot(y, num_classes):
    return np.eye(num_classes)[y]

def softmax(z):
    e = np.exp(z)
    return e / e.sum(axis=1, keepdims=True)

def writes_into(z):
    z[:] = 7
    return z

def echo(*values):
    return None

def number(x):
    return 2 * x

def pair(z):
    return z, 3

def named(name):
    return name

def _private(x):
    return x + 1

def same(z):
    return z

def raises(z):
    raise ValueError("no " + "logits")

def dies(x):
    os._exit(3)

class Thing: ...

def object(x):
    return Thing()
"""


def test_calls(grade: Any, hand_in: Any, pytester: pytest.Pytester) -> None:
    hand_in(text=FUNCTIONS)
    pytester.makepyfile(**{"tests/test_own": CALLS})
    run = grade("-k", "test_", "tests")
    told = {name: test["message"] for name, test in run.tests.items() if test["message"]}
    assert told.pop("test_raises").startswith("Failed: `raises` raised ValueError: no logits")
    assert "`softmaxx` is not defined" in told.pop("test_missing")
    assert "`dies` ended the Python process (exit code 3)" in told.pop("test_dies")
    assert "`object` returned" in told.pop("test_returns_an_object")
    cannot = "cannot be given to the submission"
    for name, what in (
        ("test_argument_that_cannot_cross", "argument 1 of number: set"),
        ("test_argument_with_arrays_in_a_list", "argument 1 of number: ndarray in a list"),
        ("test_argument_of_objects", "argument 1 of number: an array of object"),
    ):
        assert told.pop(name).startswith(f"TypeError: {what} {cannot}")
    assert told == {}
    for name, test in run.tests.items():
        assert test["max_score"] == 0, name
    # A student's mistake is one line, not a traceback through the grader.
    assert "lossgrade/instructor.py" not in run.out
    assert "lossgrade/session.py" not in run.out


TORCH = """
    import numpy as np
    import pytest
    import torch

    def test_torch_in_torch_out(student):
        z = torch.zeros(2, 4)
        found = student.softmax(z)
        assert isinstance(found, torch.Tensor) and found.dtype == torch.float32
        torch.testing.assert_close(found, torch.full((2, 4), 0.25))

    def test_gradient(student):
        z = torch.tensor([[1.0, 2.0], [0.0, 3.0]])
        value, (gradient,) = student.call("square", z, grad=True)
        torch.testing.assert_close(gradient, 2 * z)
        torch.testing.assert_close(value, z ** 2)

    def test_gradient_of_arrays(student):
        value, (gradient,) = student.call("square", np.array([1.0, 2.0]), grad=True)
        assert isinstance(gradient, np.ndarray) and gradient.tolist() == [2.0, 4.0]

    def test_gradient_by_floats_alone(student):
        value, gradients = student.call("pick", torch.ones(2, 2), torch.tensor([0, 1]), grad=True)
        assert len(gradients) == 1

    def test_no_gradient(student):
        student.call("detached", torch.ones(2), grad=True)
"""
TORCH_FUNCTIONS = """
import torch

def softmax(z):
    return torch.exp(z) / torch.exp(z).sum(dim=1, keepdim=True)

def square(z):
    return z ** 2

def pick(z, y):
    return z[torch.arange(len(y)), y]

def detached(z):
    return (2 * z).detach()
"""


def test_calls_with_torch(grade: Any, hand_in: Any, pytester: pytest.Pytester) -> None:
    hand_in(text=TORCH_FUNCTIONS)
    pytester.makepyfile(**{"tests/test_own": TORCH})
    run = grade("-k", "test_", "tests")
    told = {name: test["message"] for name, test in run.tests.items() if test["message"]}
    assert "no gradient flows back through detached" in told.pop("test_no_gradient")
    assert told == {}


OUTCOMES = '''
    import numpy as np
    import pytest

    @pytest.fixture
    def breaks(): raise RuntimeError("no ground truth")

    @pytest.fixture
    def breaks_late():
        yield
        raise RuntimeError("cannot tidy up")

    @pytest.mark.points(3)
    @pytest.mark.hint("never shown when it passes")
    def test_right(student):
        """The softmax of zeros is uniform.

        More is in the lecture.
        """
        assert (student.softmax(np.zeros((1, 4))) == 0.25).all()

    @pytest.mark.points(2)
    @pytest.mark.hint("Divide by the sum.")
    @pytest.mark.visibility("hidden")
    def test_wrong(student):
        assert student.softmax(np.zeros((1, 4)))[0, 0] == 1, "not one"

    @pytest.mark.points(1)
    def test_setup(breaks): ...

    @pytest.mark.points(1)
    def test_teardown(breaks_late): ...

    @pytest.mark.points(1)
    def test_no_such_fixture(nobody): ...

    @pytest.mark.points(1)
    def test_skips_itself():
        pytest.skip("not today")

    @pytest.mark.points(1)
    @pytest.mark.skipif(True, reason="never here")
    def test_skipped(): ...

    @pytest.mark.points(1)
    @pytest.mark.xfail(reason="known")
    def test_xfail(): assert False

    @pytest.mark.points(1)
    @pytest.mark.parametrize("classes", [2, 3])
    def test_cases(student, classes):
        """The probabilities of two classes are halves."""
        assert student.softmax(np.zeros((1, classes)))[0, 0] == 0.5

    @pytest.mark.points(0.335)
    def test_parts_of_a_point(): ...

    def test_free_of_charge(student):
        assert False

    def test_of_something_else(): ...

    @pytest.mark.points(1)
    def test_left_out(): ...

    @pytest.mark.points(1)
    def test_strange_text(): raise ValueError("\\ud800 \\x1b[31m red\\nsecond line")
'''


@pytest.fixture
def outcomes(grade: Any, pytester: pytest.Pytester) -> Any:
    pytester.makepyfile(**{"tests/test_own": OUTCOMES})
    return grade(
        "-k", "test_ and not left_out", "--lossgrade-report=gradescope:out.json",
        "--lossgrade-report=markdown:out.md", "tests",
    )  # fmt: skip


def test_outcomes(outcomes: Any) -> None:
    tests = outcomes.tests
    found = {n: (t["outcome"], t["score"], t["max_score"], t["message"]) for n, t in tests.items()}
    assert found == {
        "test_right": ("passed", 3, 3, ""),
        "test_wrong": ("failed", 0, 2, "a hidden criterion failed"),
        "test_setup": ("failed", 0, 1, "error in setup: RuntimeError: no ground truth"),
        "test_teardown": ("failed", 0, 1, "error in teardown: RuntimeError: cannot tidy up"),
        "test_no_such_fixture": ("failed", 0, 1, "error in setup: fixture 'nobody' not found"),
        "test_skips_itself": ("failed", 0, 1, "was skipped: not today"),
        "test_skipped": ("failed", 0, 1, "was skipped: never here"),
        "test_xfail": ("failed", 0, 1, "was skipped: known"),
        "test_cases[2]": ("passed", 1, 1, ""),
        "test_cases[3]": ("failed", 0, 1, found["test_cases[3]"][3]),
        "test_parts_of_a_point": ("passed", 0.34, 0.34, ""),
        "test_free_of_charge": ("failed", 0, 0, "assert False"),
        "test_left_out": (
            "not-graded", 0, 1, "was not run: pytest was stopped or told to leave it out",
        ),
        "test_strange_text": ("failed", 0, 1, r"ValueError: \ud800 [31m red"),
    }  # fmt: skip
    assert tests["test_wrong"]["visibility"] == "hidden"
    assert tests["test_wrong"]["hint"] == ""
    assert tests["test_right"]["hint"] == ""
    assert tests["test_right"]["title"] == "The softmax of zeros is uniform"
    assert tests["test_cases[3]"]["title"] == "The probabilities of two classes are halves [3]"
    assert tests["test_skipped"]["title"] == "test_skipped"
    part = outcomes.result["functions"]["tests/test_own.py"]
    assert (part["score"], part["max_score"]) == (4.34, 15.34)
    assert outcomes.result["max_score"] == 115.34
    assert "The softmax of zeros" not in outcomes.out
    # What the hidden test is called and what it said stay away from the student.
    feedback = Path("out.md").read_text(encoding="utf-8")
    assert "not one" not in feedback
    assert "test\\_wrong" not in feedback
    hidden = [
        test
        for test in json.loads(Path("out.json").read_text(encoding="utf-8"))["tests"]
        if "test_wrong" in test["name"]
    ]
    assert [test["visibility"] for test in hidden] == ["hidden"]


def test_isolation_that_is_not_there_is_not_the_students_fault(
    grade: Any, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(
        **{
            "weak": """
            def pytest_configure(config):
                import lossgrade.student
                lossgrade.student.reaches = lambda reached, required: False
            """,
            "tests/test_own": """
            import pytest

            @pytest.mark.points(1)
            def test_it(student):
                student.softmax([[0.0]])
            """,
        }
    )
    run = grade("-p", "weak", "--require-sandbox", "contained", "-k", "test_it", "tests")
    assert run.code == 1
    assert run.tests["test_it"]["outcome"] == "not-graded"
    assert "'contained' was required" in run.tests["test_it"]["message"]
    assert "Traceback" not in run.out
    assert "lossgrade/student.py" not in run.out


BROKEN = """
    import a_module_that_does_not_exist
    import pytest

    pytestmark = [pytest.mark.visibility("hidden"), pytest.mark.slow]
    EACH = 2

    @pytest.mark.points(3)
    def test_one(student): ...

    @pytest.mark.points(1)
    @pytest.mark.visibility("visible")
    def test_two(): ...

    @pytest.mark.points(EACH)
    def test_points_that_only_running_it_tells(): ...

    def test_without_points(): ...

    def helper(): ...

    @pytest.mark.points(0.5)
    class TestGroup:
        def test_three(self): ...

        @pytest.mark.points(2)
        def test_four(self): ...

        def helper(self): ...
"""


@pytest.mark.parametrize("go_on", [True, False])
def test_a_module_that_cannot_be_imported_keeps_its_points(
    go_on: bool, grade: Any, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(**{"tests/test_broken": BROKEN})
    run = grade("tests", *(["--continue-on-collection-errors"] if go_on else []))
    assert run.code == (1 if go_on else 2)
    assert {name: t["max_score"] for name, t in run.tests.items()} == {
        "test_one": 3,
        "test_two": 1,
        "TestGroup::test_three": 0.5,
        "TestGroup::test_four": 2,
    }
    assert {t["outcome"] for t in run.tests.values()} == {"not-graded"}
    assert run.tests["test_one"]["visibility"] == "hidden"
    assert run.tests["test_two"]["visibility"] == "visible"
    assert run.tests["test_one"]["message"] == (
        "was not run: tests/test_broken.py cannot be imported "
        "(ModuleNotFoundError: No module named 'a_module_that_does_not_exist')"
    )
    assert run.result["max_score"] == 106.5
    assert run.result["score"] == (100 if go_on else 0)
    assert run.result["outcome"] == "not-graded"


def test_a_module_that_is_no_python_is_told_of(grade: Any, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(**{"tests/test_broken": "def test_one(:\n    pass"})
    run = grade("tests")
    assert run.code == 2
    broken = run.criteria["tests/test_broken.py"]
    assert broken["outcome"] == "not-graded"
    assert "SyntaxError" in broken["message"]


@pytest.mark.parametrize(
    ("marker", "says"),
    [
        ("points('three')", "points('three'), expected a number from 0 to 10000"),
        ("points(-1)", "points(-1), expected a number"),
        ("points(True)", "points(True), expected a number"),
        ("points(float('nan'))", "points(nan), expected a number"),
        ("points(1e9)", "points(1000000000.0), expected a number"),
        ("points()", "points(), expected one argument"),
        ("points(1, 2)", "points(1, 2), expected one argument"),
        ("points(number=3)", "points(number=...), expected one argument and no name for it"),
        ("visibility('secret')", "visibility('secret'), expected one of visible, hidden, "),
        ("visibility(['hidden'])", "visibility(['hidden']), expected one of"),
        ("hint(3)", "hint(3), expected a text"),
    ],
)
def test_a_wrong_marker_is_one_line(
    marker: str, says: str, grade: Any, pytester: pytest.Pytester
) -> None:
    source = f"import pytest\n@pytest.mark.points(1)\n@pytest.mark.{marker}\ndef test_it(): ..."
    if marker.startswith("points"):
        source = f"import pytest\n@pytest.mark.{marker}\ndef test_it(): ..."
    pytester.makepyfile(**{"tests/test_own": source})
    run = grade("tests", "-k", "test_it")
    assert run.code == 4
    lines = [line for line in run.err.splitlines() if line]
    assert len(lines) == 1
    assert lines[0].startswith("ERROR: tests/test_own.py::test_it: ")
    assert says in lines[0]
    assert run.result["max_score"] == 100


def test_the_fixture_says_what_it_needs(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(student):\n    student.softmax(1)")
    ran = pytester.runpytest_subprocess()
    assert ran.ret == 1
    ran.assert_outcomes(errors=1)
    ran.stdout.fnmatch_lines(["*the `student` fixture needs pytest --submission PATH"])
    assert "Traceback" not in ran.stdout.str()


def test_markers_are_known_without_a_submission(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.points(1)
        @pytest.mark.visibility("hidden")
        @pytest.mark.hint("x")
        def test_it(): ...
        """
    )
    assert pytester.runpytest_subprocess("--strict-markers", "-W", "error").ret == 0
    ran = pytester.runpytest_subprocess("--markers")
    for name in ("points(number)", "visibility(name)", "hint(text)"):
        ran.stdout.fnmatch_lines([f"@pytest.mark.{name}: *"])


def test_tests_run_after_the_criteria_and_may_change_folder(
    grade: Any, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(
        **{
            "tests/test_own": """
            import pytest

            @pytest.mark.points(1)
            def test_it(student, monkeypatch, tmp_path):
                monkeypatch.chdir(tmp_path)
                assert student.softmax([[0.0, 0.0]]) is not None
            """
        }
    )
    run = grade("-v", "-k", "test_it or one_hot", "tests")
    order = [line.split()[0] for line in run.out.splitlines() if "::" in line and "%" in line]
    assert order[-1] == "tests/test_own.py::test_it"
    assert run.result["score"] > 20
