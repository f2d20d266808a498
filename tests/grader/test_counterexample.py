"""The smallest input on which a function is wrong: small, really wrong, and right arithmetic."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import find, settings
from hypothesis.errors import NoSuchExample

from lossgrade import oracle
from lossgrade.assignment import Assignment, load_assignment, parse_assignment
from lossgrade.counterexample import find_counterexample, search
from lossgrade.counterexample.literal import literal, number, telling_digits
from lossgrade.counterexample.pools import pools
from lossgrade.counterexample.search import QUIET, size
from lossgrade.criterion import Failure
from lossgrade.engine import Grading
from lossgrade.sandbox.host import Zygote
from lossgrade.student import frameworks
from lossgrade.submission import Submission
from support import FIXTURES, entries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lossgrade.result import CounterexampleRecord

    Start = Callable[..., Grading]

SUBMISSIONS = FIXTURES / "submissions"
# Their results are right: what is wrong with them is no value.
VALUELESS = frozenset(
    {"int-one-hot", "bool-one-hot", "float-labels", "mutates-its-input", "breaks-autograd",
     "returns-float", "returns-list", "returns-numpy", "returns-torch", "returns-tuple"}
)  # fmt: skip
LECTURES = ("stat453", "pytorch-tutorial", "cross-entropy-slides", "d2l")
WRONG = [
    entry
    for entry in entries("submissions/index.toml", "submission")
    if entry["verdict"] == "wrong" and entry["misconception"] not in VALUELESS
    if entry["assignment"] in LECTURES
]
MOVING = ("random", "state-between-calls")
STEADY = [entry for entry in WRONG if entry["misconception"] not in MOVING]
# The search as a whole, with what confirms its find.
MOST_CALLS = 150


@pytest.fixture
def start(zygotes: dict[tuple[str, ...], Zygote]) -> Iterator[Start]:
    started: list[Grading] = []

    def make(
        path: Path, assignment: Assignment | str, *, entry: str = "", seed: str = ""
    ) -> Grading:
        asked = load_assignment(assignment)[0] if isinstance(assignment, str) else assignment
        submission = Submission.at(path, entry)
        libraries = tuple(frameworks(submission, asked))
        if libraries not in zygotes:
            zygotes[libraries] = Zygote(libraries)
        started.append(Grading(submission, asked, zygotes[libraries], seed=seed))
        return started[-1]

    yield make
    for grading in started:
        grading.close()


def example(grading: Grading, key: str, **more: Any) -> CounterexampleRecord:
    found = find_counterexample(grading.probe, key, 5.0, **more)
    assert found is not None
    return found


def read(text: str) -> Any:
    """Read a literal as a person who pastes it into Python would."""
    names = {"inf": math.inf, "nan": math.nan, "empty": np.empty}
    value = eval(text.partition("#")[0], {"__builtins__": {"int": int}}, names)
    return np.array(value) if isinstance(value, list | np.ndarray) else value


def arguments(record: CounterexampleRecord) -> dict[str, Any]:
    pairs = (line.partition(" = ") for line in record.input)
    return {name: read(value) for name, _, value in pairs}


def truth(key: str, assignment: str, given: dict[str, Any]) -> Any:
    """Return what the assignment expects, from its own words alone."""
    if key == "softmax":
        return oracle.softmax(given["z"])
    if key == "class_label":
        return oracle.class_label(given["z"])
    if key == "one_hot":
        return oracle.one_hot(given["y"], given["num_classes"])
    if key == "cross_entropy":
        if assignment == "cross-entropy-slides":
            return oracle.cross_entropy(given["q"], given["p"])
        targets = given["y_onehot"] if "y_onehot" in given else given["y"]
        return oracle.cross_entropy(given["softmax"], targets)
    if key == "entropy":
        return oracle.entropy(given["p"], 2)
    if key == "kl_divergence":
        return oracle.kl_divergence(given["p"], given["q"])
    if key == "binary_cross_entropy":
        return oracle.binary_cross_entropy(given["p"], given["y"])
    if key == "mean_squared_error":
        return oracle.mean_squared_error(given["y_hat"], given["y"])
    assert key == "hinge_loss"
    return oracle.hinge_loss(given["h"], given["y"])


# What a pocket calculator knows.
CALCULATOR = {
    "exp": math.exp,
    "log": lambda x: math.log(x) if x > 0 else -math.inf,
    "log2": math.log2,
    "log10": math.log10,
    "max": max,
    "inf": math.inf,
}


def apart(text: str) -> list[str]:
    """Split at commas and semicolons, but for those in brackets."""
    pieces, depth = [""], 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if character in ",;" and not depth:
            pieces.append("")
        else:
            pieces[-1] += character
    return [piece.strip() for piece in pieces]


def check_steps(steps: list[str]) -> None:
    """Every `a = b` of the steps holds, as far as the digits go that are shown."""
    checked = 0
    for fragment in apart("; ".join(steps)):
        sides = fragment.rpartition(": ")[2].split(" = ")
        if len(sides) == 1:
            continue
        values = [eval(s.replace("^", "**"), {"__builtins__": {}}, CALCULATOR) for s in sides]
        for value in values[1:]:
            # Each side is computed from numbers of four digits, at most six of them.
            assert value == pytest.approx(values[0], rel=3e-3, abs=1.5e-3), fragment
            checked += 1
    words = ("label", "largest", "no examples", "target")
    assert checked or any(word in step for word in words for step in steps), steps


def numbers(text: str) -> list[float]:
    return [float(n) for n in re.findall(r"-?(?:\d+\.?\d*(?:e-?\d+)?|inf|nan)", text)]


@pytest.mark.parametrize("entry", STEADY, ids=[e["path"] for e in STEADY])
def test_a_misconception_has_a_small_counter_example(entry: dict[str, Any], start: Start) -> None:
    key, assignment = entry["function"], entry["assignment"]
    grading = start(SUBMISSIONS / entry["path"], assignment, seed="ab")
    student, calls = grading.student, []
    call = student.call
    student.call = lambda *a, **k: (calls.append(a[0]), call(*a, **k))[1]  # type: ignore[method-assign, func-returns-value]  # it counts, and calls
    grading.probe.trial(key, "before")
    calls.clear()
    record = example(grading, key)
    assert len(calls) <= MOST_CALLS

    given = arguments(record)
    assert sum(np.size(value) for value in given.values()) <= 12
    expected = np.asarray(truth(key, assignment, given), dtype=np.float64)
    if entry.get("reduction", "none") != "none":
        expected = oracle.reduce(expected, entry["reduction"])
    shown = read(record.expected)
    assert np.shape(shown) == expected.shape
    np.testing.assert_allclose(shown, expected, rtol=6e-4, atol=1e-6)
    check_steps(record.steps)
    if key not in ("one_hot", "class_label") and expected.size:
        worked_out = [n for step in record.steps for n in numbers(step)]
        for value in numbers(record.expected):
            assert any(value == pytest.approx(n, rel=1e-9) for n in worked_out), record

    # Called by hand, in a process that was never called before, it is as wrong as it says.
    again = start(SUBMISSIONS / entry["path"], assignment, seed="cd")
    trial = again.probe.trial(key, "by hand")
    values = [
        trial.array(v) if isinstance(v, np.ndarray) and v.dtype.kind == "f" else v
        for v in given.values()
    ]
    again.close()
    if record.found.startswith("`"):
        assert record.found.startswith(f"{trial.name} raised")
        with pytest.raises(Failure, match="raised"):
            trial.answer(values)
        return
    found = trial.answer(values).value
    assert literal(found.values, telling_digits(expected, found.values)) == record.found
    if found.shape == expected.shape:
        wrong = ~(np.abs(found.values.astype(np.float64) - expected) <= trial.tolerance)
        assert (wrong | np.isnan(found.values.astype(np.float64))).any()
        assert record.found != record.expected


@pytest.mark.parametrize("entry", STEADY[::6], ids=[e["path"] for e in STEADY[::6]])
def test_it_is_the_same_under_every_seed_and_in_any_order(
    entry: dict[str, Any], start: Start
) -> None:
    path, key = SUBMISSIONS / entry["path"], entry["function"]
    first = start(path, entry["assignment"], seed="ab")
    record = example(first, key)
    other = start(path, entry["assignment"], seed="cd")
    others = [k for k in other.assignment.graded if k != key]
    for each in others[::-1]:
        find_counterexample(other.probe, each, 5.0)
    assert example(other, key) == record
    assert example(other, key) == record


def test_it_is_the_same_in_another_process(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from lossgrade.assignment import load_assignment
from lossgrade.counterexample import find_counterexample
from lossgrade.engine import Grading
from lossgrade.sandbox.host import Zygote
from lossgrade.submission import Submission

assert "hypothesis" not in sys.modules
with_values = Path(sys.argv[1])
zygote = Zygote(["numpy"])
grading = Grading(Submission.at(with_values), load_assignment("stat453")[0], zygote)
print(find_counterexample(grading.probe, "cross_entropy", 5.0))
assert find_counterexample(grading.probe, "softmax", 5.0, failed=["keeps_library"]) is None
grading.close()
zygote.close()
"""
    path = SUBMISSIONS / "grouped-by-class/stat453_numpy.py"
    said = set()
    for seed in ("0", "1"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        ran = subprocess.run(
            [sys.executable, "-W", "error", "-c", program, path],
            check=True, capture_output=True, text=True, cwd=tmp_path, env=environment,
        )  # fmt: skip
        said.add(ran.stdout)
        assert not ran.stderr
    assert len(said) == 1
    assert "input=" in said.pop()
    # Hypothesis leaves nothing behind where the student's file may lie.
    assert list(tmp_path.iterdir()) == []


def test_a_function_without_a_failure_costs_nothing() -> None:
    """Hypothesis is imported at the first search, not with the module."""
    program = (
        "import sys, lossgrade.counterexample, lossgrade.engine; print('hypothesis' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert ran.stdout == "False\n"


@pytest.mark.parametrize(
    ("path", "function"),
    [
        ("float-labels/stat453_torch.py", "class_label"),
        ("returns-tuple/stat453_numpy.py", "cross_entropy"),
        ("mutates-its-input/stat453_numpy.py", "softmax"),
    ],
)
def test_what_is_no_value_has_none(path: str, function: str, start: Start) -> None:
    grading = start(SUBMISSIONS / path, "stat453", seed="ab")
    failed = [
        line.criterion.name
        for line in grading.manifest
        if line.function == function and grading.run(line).outcome == "failed"
        if line.criterion.kind != "robust"
    ]
    assert failed
    assert find_counterexample(grading.probe, function, 5.0, failed=failed) is None


# --- state, chance, time, crashes ----------------------------------------------------------------


@pytest.fixture
def own(tmp_path: Path, start: Start) -> Callable[..., Grading]:
    """Start the grading of one function `f`, under an assignment of its own."""

    def make(text: str, settings: str = 'rubric = "softmax"') -> Grading:
        (tmp_path / "hw.py").write_text(f"import numpy as np\n{text}\n", encoding="utf-8")
        asked = (
            f'name = "own"\nlibrary = "numpy"\n[functions.f]\nnames = ["f"]\npoints = 1\n{settings}'
        )
        return start(tmp_path / "hw.py", parse_assignment(asked, "own.toml"), seed="ab")

    return make


@pytest.mark.parametrize(
    "entry",
    [e for e in WRONG if e["misconception"] == "state-between-calls"],
    ids=lambda entry: str(entry["path"]),
)
def test_a_memory_shows_in_two_calls(entry: dict[str, Any], start: Start) -> None:
    path, key = SUBMISSIONS / entry["path"], entry["function"]
    record = example(start(path, entry["assignment"], seed="ab"), key)
    assert record == example(start(path, entry["assignment"], seed="cd"), key)
    calls: dict[str, list[Any]] = {"first call": [], "second call": []}
    for line in record.input:
        which, _, rest = line.partition(": ")
        calls[which].append(read(rest.partition(" = ")[2]))
    trial = start(path, entry["assignment"], seed="ef").probe.trial(key, "by hand")
    trial.student.close()
    answers = []
    for values in calls.values():
        given = [trial.array(v) if np.size(v) > 1 and v.dtype.kind == "f" else v for v in values]
        answers.append(trial.answer(given).value.values)
    assert literal(answers[1], 4) == record.found != record.expected
    check_steps(record.steps)


def test_chance_is_shown_as_it_came(start: Start) -> None:
    grading = start(SUBMISSIONS / "random/stat453_torch.py", "stat453", seed="ab")
    record = example(grading, "softmax")
    assert np.shape(read(record.found)) == np.shape(read(record.expected))
    assert record.found != record.expected


def test_time_and_crashes_are_bounded(own: Callable[..., Grading]) -> None:
    slow = own("import time\ndef f(z):\n    time.sleep(0.05)\n    return z")
    slow.probe.trial("f", "before")
    begun = time.monotonic()
    assert find_counterexample(slow.probe, "f", 0.2) is not None
    assert time.monotonic() - begun < 1.0
    crashed = own("import os\ndef f(z):\n    os._exit(3)")
    assert "exit code 3" in example(crashed, "f").found
    assert crashed.student._crashes.get("f", 0) <= 4
    endless = own("def f(z):\n    while True: pass")
    endless.student._endless["f"] = 1
    assert find_counterexample(endless.probe, "f", 0.2) is None
    assert find_counterexample(own("").probe, "f", 0.2) is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("def f(z): return None", "`f` returned None"),
        ("def f(z): return [1, [2, 3]]", "`f` returned"),
        ("def f(z): return z.nothing", "`f` raised AttributeError: "),
    ],
)
def test_what_is_no_array_is_told_in_words(
    text: str, says: str, own: Callable[..., Grading]
) -> None:
    assert example(own(text), "f").found.startswith(says)


# --- conventions ---------------------------------------------------------------------------------

CE = 'rubric = "cross_entropy"\n'
CONVENTIONS = [
    (
        'rubric = "softmax"\naxis = 0',
        "def f(z): return np.exp(z) / np.exp(z).sum()",
        ["z = [[0., 0.], [0., 0.]]"], "[[0.5, 0.5], [0.5, 0.5]]", "[[0.25, 0.25], [0.25, 0.25]]",
    ),
    (
        'rubric = "softmax"\nexamples = "single"',
        "def f(z): return z / z.sum() if z.any() else np.full(z.shape, 1 / z.size)",
        ["z = [0., 1.]"], "[0.2689, 0.7311]", "[0., 1.]",
    ),
    (
        'rubric = "log_softmax"',
        "def f(z):\n  with np.errstate(all='ignore'):\n"
        "    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))",
        ["z = [[0., 1000.]]"], "[[-1000., 0.]]", "[[-inf, -inf]]",
    ),
    (
        'rubric = "sigmoid"',
        "def f(z): return 1 / (1 + np.exp(z))",
        ["z = [1.]"], "[0.7311]", "[0.2689]",
    ),
    (
        'rubric = "one_hot"\norder = "classes-first"\naxis = 0',
        "def f(c, y): return np.eye(c)[y]",
        ["num_classes = 2", "y = [0, 0]"], "[[1., 1.], [0., 0.]]", "[[1., 0.], [1., 0.]]",
    ),
    (
        'rubric = "one_hot"\nexamples = "single"',
        "def f(y, c): return np.eye(c)[y - 1]",
        ["y = 0", "num_classes = 2"], "[1., 0.]", "[0., 1.]",
    ),
    (
        'rubric = "class_label"\naxis = 0\nresult = "column"',
        "def f(z): return z.argmin(axis=0)[np.newaxis]",
        ["z = [[0.], [1.]]"], "[[1]]", "[[0]]",
    ),
    (
        'rubric = "accuracy"\nresult = "percent"',
        "def f(z, y): return (z.argmax(axis=1) != y).mean() * 100",
        ["z = [[0., 1.]]", "y = [0]"], "0.", "100.",
    ),
    (
        f'{CE}prediction = "logits"\ntargets = "class-indices"\nreduction = "mean"\nlog_base = "2"',
        "def f(z, y): return (np.log(np.exp(z).sum(1)) - z[np.arange(len(y)), y]).mean()",
        ["z = [[0., 0.]]", "y = [0]"], "1.", "0.6931",
    ),
    (
        f'{CE}axis = 0\nresult = "column"\nreturns = "loss-and-gradient"',
        "def f(p, t): return (t * np.log(p)).sum(axis=0, keepdims=True), 0",
        ["softmax = [[0.5], [0.5]]", "y_onehot = [[1.], [0.]]"], "[[0.6931]]", "[[-0.6931]]",
    ),
    (
        f'{CE}targets = "class-probabilities"\nlog_base = "10"\norder = "targets-first"',
        "def f(p, q): return -(p * np.log(q)).sum(axis=1)",
        ["p = [[1., 0.]]", "q = [[0.5, 0.5]]"], "[0.301]", "[0.6931]",
    ),
    (
        'rubric = "nll_loss"\nreduction = "sum"',
        "def f(l, y): return l[np.arange(len(y)), y].sum()",
        ["log_softmax = [[-0.693147, -0.693147]]", "y = [0]"], "0.6931", "-0.6931",
    ),
    (
        'rubric = "binary_cross_entropy"\nreduction = "mean"\norder = "prediction-first"',
        "def f(p, y): return -(y * np.log(p) + (1 - y) * np.log(1 - p)).sum()",
        ["p = [0.5, 0.5]", "y = [0., 0.]"], "0.6931", "1.386",
    ),
    (
        'rubric = "entropy"',
        "def f(p):\n  with np.errstate(all='ignore'):\n    return -(p * np.log2(p)).sum()",
        ["p = [0., 1.]"], "0.", "nan",
    ),
    (
        'rubric = "kl_divergence"',
        "def f(p, q): return (q * np.log(q / p)).sum()",
        ["p = [0.5, 0.5]", "q = [0.4, 0.6]"], "0.02041", "0.02014",
    ),
    (
        'rubric = "mean_squared_error"',
        "def f(y, h): return np.abs(y - h).mean()",
        ["y = [0.]", "y_hat = [2.]"], "4.", "2.",
    ),
    (
        'rubric = "hinge_loss"',
        "def f(y, h): return (1 - y * h).sum()",
        ["y = [1.]", "h = [2.]"], "0.", "-1.",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "text", "given", "expected", "found"),
    CONVENTIONS,
    ids=[settings.replace("\n", ", ") for settings, *_ in CONVENTIONS],
)
def test_the_assignments_conventions_are_kept(
    settings: str,
    text: str,
    given: list[str],
    expected: str,
    found: str,
    own: Callable[..., Grading],
) -> None:
    record = example(own(text, settings), "f")
    assert (record.input, record.expected, record.found) == (given, expected, found)
    check_steps(record.steps)


RIGHT = """
def f(z):
    if z.dtype.kind == "i":
        {integers}
    z = np.where(np.isnan(z), 0, z)
    e = np.exp(z - z.max(axis=1, keepdims=True, initial=-1e30))
    return {result}
"""


@pytest.mark.parametrize(
    ("integers", "result", "failed", "given"),
    [
        ("return z", "e / e.sum(axis=1, keepdims=True)", "integer_logits", "z = [[0, 0]]"),
        (
            "pass",
            "(e / e.sum(axis=1, keepdims=True))[: len(z) or None] if len(z) else np.empty(0)",
            "empty_batch",
            "z = empty((0, 3))",
        ),
        (
            "pass",
            "e / e.sum(axis=1, keepdims=True) if z.shape[1] > 1 else z",
            "one_class",
            "z = [[0.]]",
        ),
    ],
    ids=["integers", "an empty batch", "one class"],
)
def test_what_fails_says_where_to_search(
    integers: str, result: str, failed: str, given: str, own: Callable[..., Grading]
) -> None:
    grading = own(RIGHT.format(integers=integers, result=result))
    assert example(grading, "f", failed=[failed]).input == [given]
    assert find_counterexample(grading.probe, "f", 5.0, failed=["large_logits"]) is None


# --- how numbers are written ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "assignment", "key"),
    [
        ("right/numpy_eye.py", "stat453", "softmax"),
        ("right/numpy_eye.py", "stat453", "one_hot"),
        ("right/numpy_eye.py", "stat453", "class_label"),
        ("right/numpy_eye.py", "stat453", "cross_entropy"),
        ("right/d2l_torch.py", "d2l", "cross_entropy"),
    ],
)
def test_nothing_left_out_is_smaller_than_the_smallest(
    path: str, assignment: str, key: str, start: Start
) -> None:
    """Else the search could end at one of them though a smaller input is wrong as well."""
    trial = start(SUBMISSIONS / path, assignment).probe.trial(key, "smallest")
    for pool in pools(trial):
        listed = [size(each) for each in pool.smallest()]
        if not listed:
            continue
        drawn: list[Any] = []

        def see(each: Any, drawn: list[Any] = drawn) -> bool:
            drawn.append(size(each))
            return False

        with suppress(NoSuchExample):
            find(pool.examples, see, settings=settings(QUIET, max_examples=300))
        assert drawn[0][:4] == listed[0][:4], "the simplest of all comes first"
        assert all(each in listed or each[:4] >= max(listed)[:4] for each in drawn)


def test_most_faults_need_no_hypothesis(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise AssertionError("searched by Hypothesis")

    monkeypatch.setattr(search, "find", refused)
    simplest = start(SUBMISSIONS / "softmax-over-batch-axis/stat453_torch.py", "stat453")
    assert example(simplest, "softmax").input == ["z = [[0., 0.]]"]
    later = start(SUBMISSIONS / "base-2-instead-of-e/stat453_torch.py", "stat453")
    assert example(later, "softmax").input == ["z = [[0., 1.]]"]
    of_its_own = start(SUBMISSIONS / "tie-picks-last/stat453_torch.py", "stat453")
    tied = example(of_its_own, "class_label", failed={"ties_lowest_index"})
    assert tied.input == ["z = [[0., 0.]]"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.268941, "0.2689"), (1, "1"), (-0.0, "0"), (2.71828, "2.718"), (1000.69, "1001"),
     (12345.6, "12346"), (1e-9, "1.000e-09"), (math.inf, "inf"), (0.5, "0.5")],
)  # fmt: skip
def test_numbers_have_four_digits(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (np.array([[0.0, 1.0]]), "[[0., 1.]]"),
        (np.array([0.1, -2.5], dtype=np.float32), "[0.1, -2.5]"),
        (np.array([1, 2]), "[1, 2]"),
        (np.array(3.0), "3."),
        (np.array([True]), "[True]"),
        (np.array([1e-9, math.inf, math.nan]), "[1e-09, inf, nan]"),
        (np.empty((0, 3)), "empty((0, 3))"),
    ],
)
def test_arrays_are_literals(values: Any, text: str) -> None:
    assert literal(values) == text
    np.testing.assert_allclose(read(text), values.astype(np.float64), rtol=1e-6)


def test_numbers_that_differ_look_different() -> None:
    close = np.array([0.69312, 0.5]), np.array([0.69314, 0.5])
    digits = telling_digits(*close)
    assert literal(close[0], digits) != literal(close[1], digits)
    assert digits == 5
