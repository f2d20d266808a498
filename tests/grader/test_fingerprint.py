"""The fingerprint of wrong results: equal where two submissions give the same ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lossgrade.assignment import load_assignment, parse_assignment
from lossgrade.diagnosis.fingerprint import digest, fingerprint
from lossgrade.engine import Grading
from lossgrade.sandbox.host import Zygote
from lossgrade.student import frameworks
from lossgrade.submission import Submission
from support import FIXTURES, entries

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support import Engine

FOLDER = FIXTURES / "submissions"
SUBMISSIONS = [
    entry
    for entry in entries("submissions/index.toml", "submission")
    if not entry["assignment"].endswith("-net")
]
# One idea, and two formulas or two constants: one divides by sum + 0.01, one by sum + 0.001.
APART = set(
    """misplaced-parenthesis eps-in-denominator rounded l2-scaling arguments-swapped hinge
    label-smoothing class-weights eps-shifts-values clamp-shifts-values one-hot-off-by-one
    threshold-at-half""".split()
)


@pytest.fixture(scope="module")
def taken(zygotes: dict[tuple[str, ...], Zygote]) -> Callable[..., str]:
    """Take the fingerprint of one function of a file, whether it lost points or not."""

    def take(path: Path, assignment: str, key: str, entry: str = "", seed: str = "1") -> str:
        asked, folder = load_assignment(assignment)
        submission = Submission.at(path, entry)
        libraries = tuple(frameworks(submission, asked))
        if libraries not in zygotes:
            zygotes[libraries] = Zygote(libraries)
        grading = Grading(submission, asked, zygotes[libraries], folder=folder, seed=seed)
        try:
            with np.errstate(all="ignore"):
                return fingerprint(grading.probe, key)
        finally:
            grading.close()

    return take


def test_the_wrong_examples_share_it_where_their_results_are_equal(
    taken: Callable[..., str],
) -> None:
    """NumPy and torch, loops and none: one formula has one fingerprint, and no two have one."""
    found: dict[tuple[str, str, str], dict[str, str]] = {}
    for entry in SUBMISSIONS:
        if entry["verdict"] == "wrong":
            group = entry["assignment"], entry["function"], entry["misconception"]
            path = FOLDER / entry["path"]
            digits = taken(path, *group[:2])
            if digits:
                found.setdefault(group, {})[entry["path"]] = digits
    apart = {group[2] for group, each in found.items() if len(set(each.values())) > 1}
    assert apart == APART
    together = [group for group, each in found.items() if len(each) > 1 and group[2] not in APART]
    assert len(together) > 50
    ideas: dict[tuple[str, str, str], set[str]] = {}
    for (assignment, function, idea), each in found.items():
        for digits in each.values():
            ideas.setdefault((assignment, function, digits), set()).add(idea)
    assert [several for several in ideas.values() if len(several) > 1] == []


@pytest.mark.parametrize(
    "path",
    ["softmax-over-batch-axis/stat453_torch.py", "missing-minus-sign/stat453_numpy.py"],
)
def test_it_does_not_depend_on_the_seed(path: str, taken: Callable[..., str]) -> None:
    entry = next(each for each in SUBMISSIONS if each["path"] == path)
    one, other = (taken(FOLDER / path, "stat453", entry["function"], seed=s) for s in "12")
    assert one == other
    assert len(one) == 12


def test_ties_are_among_the_inputs_of_class_labels(taken: Callable[..., str]) -> None:
    paths = [FOLDER / "tie-picks-last" / f"stat453_{name}.py" for name in ("numpy", "torch")]
    one, other = (taken(path, "stat453", "class_label") for path in paths)
    assert one == other != ""


def test_right_functions_have_none(taken: Callable[..., str]) -> None:
    for entry in SUBMISSIONS:
        if entry["verdict"] == "right":
            for key in load_assignment(entry["assignment"])[0].graded:
                path = FOLDER / entry["path"]
                assert not taken(path, entry["assignment"], key, entry.get("entry", "")), path


# --- in the record ------------------------------------------------------------------------------

SOFTMAX = """
name = "softmax-only"
library = "numpy"
[functions.softmax]
names = ["softmax"]
points = 10
"""
START = "import os, random\nimport numpy as np\ncalls = []\nright = lambda z, axis=1: "
START += "np.exp(z) / np.exp(z).sum(axis=axis, keepdims=True)\n"


@pytest.mark.parametrize(
    ("body", "has"),
    [
        pytest.param("right(z, 0)", True, id="wrong"),
        pytest.param("0 * z", True, id="constant"),
        pytest.param("z[:0]", True, id="empty"),
        pytest.param("z / 0", True, id="infinite"),
        pytest.param("right(z)", False, id="right"),
        pytest.param("right(z).tolist()", False, id="right values in a list"),
        pytest.param("right(z) * random.random()", False, id="chance"),
        pytest.param("(calls.append(0), right(z) * len(calls))[1]", False, id="state"),
        pytest.param(
            "(calls.append(0), right(z) * (1 + len(calls) % 3))[1]", False, id="every third call"
        ),
        pytest.param(
            "(right(z) if z.shape != (4, 5) else z).tolist()", False, id="contract lost alone"
        ),
        pytest.param("right(z) if len(z) != 4 else 1 / 0", False, id="raises for 4 examples"),
        pytest.param("os._exit(1)", False, id="crashes"),
        pytest.param("np.zeros((200, 200))", False, id="huge"),
        pytest.param("None", False, id="nothing"),
    ],
)
def test_what_has_a_fingerprint(body: str, has: bool, engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "hw.py"
    path.write_text(f"{START}\ndef softmax(z):\n    return {body}\n")
    asked = parse_assignment(SOFTMAX, "softmax-only.toml")
    found = engine(path, asked, explained=True).functions["softmax"]
    assert bool(found.fingerprint) is has


def test_a_slow_function_has_none(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is too slow to be diagnosed is asked for nothing more."""
    monkeypatch.setattr("lossgrade.diagnosis.samples.SECONDS", 0)
    path = tmp_path / "hw.py"
    path.write_text(f"{START}\ndef softmax(z):\n    return right(z, 0)\n")
    asked = parse_assignment(SOFTMAX, "softmax-only.toml")
    assert not engine(path, asked, explained=True).functions["softmax"].fingerprint


def test_what_is_hidden_has_none(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "hw.py"
    path.write_text(f"{START}\ndef softmax(z):\n    return right(z, 0)\n")
    asked = parse_assignment(SOFTMAX + 'visibility = "hidden"\n', "softmax-only.toml")
    assert not engine(path, asked, explained=True).functions["softmax"].fingerprint


# --- digests ------------------------------------------------------------------------------------

VALUES = np.random.default_rng(5).normal(0, 3, (6, 7))


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        pytest.param(VALUES, VALUES.astype(np.float32), True, id="float32"),
        pytest.param(VALUES * 1e20, (VALUES * 1e20).astype(np.float32), True, id="large float32"),
        pytest.param(VALUES * 1e-9, VALUES * 0, True, id="noise around 0"),
        pytest.param(np.zeros(3), -np.zeros(3), True, id="-0"),
        pytest.param(np.array([np.nan, 1]), np.array([-np.nan, 1]), True, id="NaN of either sign"),
        pytest.param(np.arange(3), np.arange(3, dtype=np.int32), True, id="int32"),
        pytest.param(np.arange(3), np.arange(3.0), False, id="integers and floats"),
        pytest.param(np.array([0, 1]), np.array([False, True]), False, id="integers and booleans"),
        pytest.param(VALUES, VALUES.T, False, id="transposed"),
        pytest.param(VALUES, VALUES.ravel(), False, id="flat"),
        pytest.param(VALUES, VALUES[::-1], False, id="another order"),
        pytest.param(VALUES, VALUES + 0.01, False, id="plus 0.01"),
        pytest.param(VALUES * 1e20, VALUES * 1.01e20, False, id="large, times 1.01"),
        pytest.param(np.zeros((0, 3)), np.zeros((0, 4)), False, id="empty, of two shapes"),
        pytest.param(np.array([np.nan]), np.array([np.inf]), False, id="NaN and infinity"),
        pytest.param(np.array([np.inf]), np.array([-np.inf]), False, id="either infinity"),
        pytest.param(np.array([np.inf]), np.array([0.0]), False, id="infinity and 0"),
    ],
)
def test_digests(one: Any, other: Any, equal: bool) -> None:
    assert (digest([one]) == digest([other])) is equal


def test_noise_seldom_tells_apart() -> None:
    rng = np.random.default_rng(11)
    pairs = [rng.normal(0, 2, (9, 9)) for _ in range(400)]
    apart = sum(digest([each]) != digest([each.astype(np.float32)]) for each in pairs)
    assert apart <= 4
