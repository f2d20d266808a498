"""Criteria that are not visible: no input, no value and no traceback of theirs in any output."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

import pytest

from lossgrade.result import CounterexampleRecord, CriterionRecord
from lossgrade.visibility import immediate, stored

if TYPE_CHECKING:
    from collections.abc import Callable

    Outputs = dict[str, str]

# Numbers that nothing else prints: inputs, what is expected of them, and what the function returns.
SECRETS = ("73519.25", "73519", "86420.5", "86420", "0.8675309", "867530", "4815162", "4.81516",
           "0.867531", "31415926")  # fmt: skip
HIDDEN = '''
import numpy as np
from lossgrade.criterion import Failure, NotGraded, criterion

def compare(trial):
    logits = trial.array([[73519.25, 86420.5]])
    found = trial.call(logits)
    trial.expect(found, np.array([[0.8675309, 4815162.0]]), f"softmax of {logits.tolist()}",
                 hint="Is it 31415926?")

@criterion(points=1, kind="values", function="softmax")
def differs(trial):
    """Something is compared."""
    compare(trial)

@criterion(points=1, kind="values", function="softmax")
def raises(trial):
    """Something is called."""
    trial.call(trial.array([[73519.25, -1.0]]))

@criterion(points=1, kind="values", function="softmax")
def unsure(trial):
    """Cannot be judged."""
    raise NotGraded("the value 4815162 is missing")

@criterion(points=1, kind="values", function="softmax")
def broken(trial):
    """Has a mistake of its own."""
    raise ValueError("86420.5 and 31415926")

@criterion(points=0, kind="robust", function="softmax")
def advice(trial):
    """Is advice."""
    compare(trial)
'''
NAMES = ("differs", "raises", "unsure", "broken", "advice")
# Right, but for what the hidden criteria ask; it quotes its input when it raises.
HOMEWORK = """
import numpy as np
def softmax(z):
    if z.size and z.max() > 70000:
        if z.min() < 0:
            raise ValueError(f"cannot take {z.tolist()}")
        return z * 1.0
    e = np.exp(z - z.max(axis=1, keepdims=True, initial=-np.inf))
    return e / e.sum(axis=1, keepdims=True)
"""
ASSIGNMENT = """
name = "own"
library = "numpy"
extra_criteria = ["hidden.py"]
[functions.softmax]
names = ["softmax"]
points = 20
{criteria}
"""
TESTS = '''
import numpy as np
import pytest

pytestmark = pytest.mark.visibility("{visibility}")

@pytest.fixture
def secret():
    raise RuntimeError("no 4815162 today")

@pytest.mark.points(2)
@pytest.mark.hint("Is it 31415926?")
def test_assertion(student):
    """Something is compared."""
    print("printed 86420.5")
    found = student.softmax(np.array([[73519.25, 1.0]]))
    assert found.tolist() == [[0.8675309, 4815162.0]]

@pytest.mark.points(1)
def test_error(student, secret):
    pass

@pytest.mark.points(1)
def test_skipped(student):
    pytest.skip("only for 4815162")

@pytest.mark.points(1)
def test_expected_to_fail(student):
    pytest.xfail("until 4815162")

@pytest.mark.points(1)
def test_passes(student):
    print("printed 86420.5")
'''
REPORTS = ("json", "gradescope", "markdown", "html")


def found_in(text: str) -> list[str]:
    """Return the secrets that a text holds, however their digits are grouped or cut."""
    bare = re.sub(r"(?<=\d)[,_ ](?=\d{3})", "", text)
    return [secret for secret in SECRETS if secret in bare]


@pytest.fixture
def outputs(pytester: pytest.Pytester) -> Callable[..., Outputs]:
    """Grade under criteria of a visibility; return everything that came out, by name."""

    def run(visibility: str, *options: str, tests: str = "") -> Outputs:
        pytester.makepyfile(hw=HOMEWORK, hidden=HIDDEN)
        criteria = "" if tests else "\n".join(
            f'criteria.{name}.visibility = "{visibility}"' for name in NAMES
        )  # fmt: skip
        text = ASSIGNMENT.format(criteria=criteria)
        if tests:
            text = text.replace('extra_criteria = ["hidden.py"]\n', "")
            pytester.makepyfile(test_own=tests.format(visibility=visibility))
        (pytester.path / "own.toml").write_text(text, encoding="utf-8")
        folder = pytester.path / "out"
        reports = [f"--lossgrade-report={name}:{folder / name}" for name in REPORTS]
        ran = pytester.runpytest_subprocess(
            "--submission", "hw.py", "--assignment", "own.toml", "--lossgrade-seed", "ab",
            f"--junitxml={folder / 'junit'}", *reports, *options,
            *(["test_own.py"] if tests else []),
        )  # fmt: skip
        files = {name: (folder / name).read_text("utf-8") for name in (*REPORTS, "junit")}
        return {**files, "stdout": ran.stdout.str(), "stderr": ran.stderr.str()}

    return run


def judged(told: Outputs) -> dict[str, dict[str, Any]]:
    return {c["id"].rpartition(".")[2]: c for c in json.loads(told["json"])["criteria"]}


OPTIONS = [
    pytest.param(["-v"], id="-v"),
    pytest.param(["-q", "--tb=short"], id="quiet"),
    pytest.param(["-rA", "--tb=long", "-vv", "--showlocals"], id="everything shown"),
    pytest.param(["--tb=native", "--full-trace", "-s"], id="full trace"),
    pytest.param(["--runxfail", "-rA"], id="runxfail"),
    pytest.param(["-n2", "-rA", "-v"], id="xdist"),
]


@pytest.mark.parametrize("options", OPTIONS)
def test_hidden_criteria_are_told_nowhere(
    options: list[str], outputs: Callable[..., Outputs]
) -> None:
    told = outputs("hidden", *options)
    for name, text in told.items():
        assert not found_in(text), name
    records = judged(told)
    for name, says in (
        ("differs", "a hidden criterion failed"),
        ("raises", "a hidden criterion failed"),
        ("unsure", "a hidden criterion was not graded"),
        ("broken", "a hidden criterion was not graded"),
        ("advice", "a hidden criterion failed"),
    ):
        assert (records[name]["message"], records[name]["hint"]) == (says, "")
    # Points are lost all the same, and other criteria are told.
    assert records["differs"]["score"] == 0 < records["differs"]["max_score"]
    assert records["random_float64"]["outcome"] == "passed"
    assert "a hidden criterion failed" in told["stdout"] + told["junit"]
    # What draws the inputs again is for instructors.
    assert json.loads(told["json"])["seed"] == "ab"
    assert "seed" not in told["markdown"]
    assert "seed" not in told["html"]


@pytest.mark.parametrize("options", [OPTIONS[2], OPTIONS[5]])
@pytest.mark.parametrize("visibility", ["after_due_date", "after_published"])
def test_what_is_shown_later_is_told_to_gradescope_alone(
    visibility: str, options: list[str], outputs: Callable[..., Outputs]
) -> None:
    told = outputs(visibility, *options)
    for name in ("stdout", "stderr", "junit", "markdown", "html"):
        assert not found_in(told[name]), name
    assert "a criterion that is shown later failed" in told["stdout"]
    tests = {t["extra_data"]["id"]: t for t in json.loads(told["gradescope"])["tests"]}
    differs = tests["softmax.differs"]
    assert differs["visibility"] == visibility
    assert "86420" in differs["output"]
    assert "31415926" in differs["output"]
    assert "86420" in judged(told)["differs"]["message"]


def test_visible_criteria_are_told(outputs: Callable[..., Outputs]) -> None:
    told = outputs("visible", "-rA")
    for name in ("stdout", "junit", "json", "gradescope", "markdown", "html"):
        assert found_in(told[name]), name
    assert "seed ab" in told["markdown"]


def test_an_instructor_can_ask(outputs: Callable[..., Outputs]) -> None:
    told = outputs("hidden", "--lossgrade-show-hidden", "-rA")
    for name in ("stdout", "junit", "json", "gradescope"):
        assert found_in(told[name]), name
    assert "Is it 31415926?" in judged(told)["differs"]["hint"]
    assert "the value 4815162 is missing" in judged(told)["unsure"]["message"]
    # Pages are for students, whoever asks for them.
    for name in ("markdown", "html"):
        assert not found_in(told[name]), name


@pytest.mark.parametrize("options", [["-rA", "-o", "junit_logging=all"], ["-n2", "-v"]])
@pytest.mark.parametrize("visibility", ["hidden", "after_due_date"])
def test_hidden_tests_of_an_instructor_stay_out_of_files(
    visibility: str, options: list[str], outputs: Callable[..., Outputs]
) -> None:
    told = outputs(visibility, *options, tests=TESTS)
    # The terminal shows pytest's own traceback, and a word on it in what we add.
    assert "4815162" in told["stdout"]
    for name in ("markdown", "html"):
        assert not found_in(told[name]), name
    assert not found_in(told["junit"])
    records = {key.rpartition("::")[2]: record for key, record in judged(told).items()}
    for name in ("gradescope", "json"):
        assert bool(found_in(told[name])) == (visibility != "hidden"), name
    if visibility == "hidden":
        for name in ("test_assertion", "test_error", "test_skipped"):
            assert records[name]["message"] == "a hidden criterion failed"
            assert records[name]["hint"] == ""
    assert records["test_passes"]["outcome"] == "passed"
    assert records["test_assertion"]["max_score"] == 2
    cases = {case.get("name"): case for case in ET.fromstring(told["junit"]).iter("testcase")}
    assert cases["test_assertion"].find("failure") is not None
    assert cases["test_error"].find("error") is not None
    assert cases["test_skipped"].find("skipped") is not None


def test_hidden_tests_are_told_where_an_instructor_asks(outputs: Callable[..., Outputs]) -> None:
    told = outputs("hidden", "--lossgrade-show-hidden", tests=TESTS)
    for name in ("stdout", "junit", "json", "gradescope"):
        assert found_in(told[name]), name


# --- the rule ------------------------------------------------------------------------------------


def criterion(visibility: str, outcome: str) -> CriterionRecord:
    shown = CounterexampleRecord(input=["z = [[73519.25]]"], expected="1", found="2")
    return CriterionRecord(
        id="softmax.differs", function="softmax", title="Something is compared", kind="values",
        outcome=outcome, score=0, max_score=2, visibility=visibility, message="found 73519.25",
        hint="Is it 31415926?", counterexample=shown,
    )  # fmt: skip


@pytest.mark.parametrize("outcome", ["failed", "not-graded"])
@pytest.mark.parametrize("visibility", ["visible", "hidden", "after_due_date", "after_published"])
def test_what_a_record_holds(visibility: str, outcome: str) -> None:
    made = criterion(visibility, outcome)
    kept = stored(made)
    assert (kept == made) == (visibility != "hidden")
    assert kept.message
    assert kept.max_score == 2
    assert bool(found_in(kept.model_dump_json())) == (visibility != "hidden")


def test_nothing_changes_where_all_is_visible() -> None:
    from lossgrade.assignment import load_assignment
    from lossgrade.engine import make_result
    from lossgrade.result import SandboxRecord, SubmissionRecord

    def result(*visibilities: str) -> Any:
        criteria = [criterion(each, "failed") for each in visibilities]
        return make_result(
            (), {str(n): c for n, c in enumerate(criteria)},
            assignment=load_assignment("stat453")[0], duration_s=0.5, seed="ab",
            submission=SubmissionRecord(id="hw", path="hw.py"), started_at="2026-01-01",
            sandbox=SandboxRecord(level="limits"),
        )  # fmt: skip

    shown = result("visible", "visible")
    assert immediate(shown) is shown
    later = immediate(result("visible", "after_due_date", "hidden"))
    assert later.seed == ""
    assert [bool(found_in(c.model_dump_json())) for c in later.criteria] == [True, False, False]
