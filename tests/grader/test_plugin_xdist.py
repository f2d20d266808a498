"""The plugin under pytest-xdist: the same scores, one report, nothing lost with a process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("xdist")

MINUS = "missing-minus-sign/stat453_numpy.py"
OWN = """
    import os
    import numpy as np
    import pytest

    @pytest.mark.points(3)
    def test_uniform(student):
        assert student.softmax(np.zeros((1, 2))).tolist() == [[0.5, 0.5]]

    @pytest.mark.points(2)
    @pytest.mark.visibility("hidden")
    def test_wrong(student):
        assert student.softmax(np.zeros((1, 2))).tolist() == [[1, 0]]

    @pytest.mark.points(1)
    def test_crash(student):
        if os.environ.get("CRASH"):
            os._exit(3)
"""


def comparable(record: dict[str, Any]) -> dict[str, Any]:
    # The user that a worker becomes is another each time.
    layers = [{**layer, "note": ""} for layer in record["sandbox"]["layers"]]
    kept = {k: v for k, v in record.items() if k not in ("started_at", "duration_s")}
    return {**kept, "sandbox": {**record["sandbox"], "layers": layers}}


def test_scores_are_those_of_one_process(grade: Any, hand_in: Any) -> None:
    hand_in(MINUS)
    alone = grade("--lossgrade-seed", "ab12", "--tb=no")
    spread = grade("--lossgrade-seed", "ab12", "--tb=no", "-n", "2")
    assert (alone.code, spread.code) == (1, 1)
    assert comparable(spread.result) == comparable(alone.result)
    assert "= hw: stat453 =" in spread.out


def test_processes_share_a_seed_that_nobody_chose(grade: Any, hand_in: Any) -> None:
    hand_in(MINUS)
    spread = grade("--tb=no", "-n", "2")
    again = grade("--tb=no", "--lossgrade-seed", spread.result["seed"])
    assert again.criteria == spread.criteria


def test_instructors_tests_count_once(grade: Any, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(**{"tests/test_own": OWN})
    spread = grade("-n", "2", "-k", "test_ or one_hot", "tests", "hw.py")
    assert {name: (t["score"], t["max_score"]) for name, t in spread.tests.items()} == {
        "test_uniform": (3, 3),
        "test_wrong": (0, 2),
        "test_crash": (1, 1),
    }
    assert spread.result["max_score"] == 106
    assert len(spread.result["criteria"]) == len(spread.criteria)
    assert spread.result["sandbox"]["layers"]


def test_a_criterion_selected_by_its_id(grade: Any) -> None:
    spread = grade("-n", "1", "hw.py::softmax::gradient")
    assert [k for k, c in spread.criteria.items() if c["outcome"] != "not-graded"] == [
        "softmax.gradient"
    ]


def test_a_crash_of_a_process_costs_that_test_alone(
    grade: Any, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRASH", "1")
    pytester.makepyfile(**{"tests/test_own": OWN})
    spread = grade("-n", "2", "-k", "test_ or one_hot", "tests", "--lossgrade-report=gradescope:g")
    assert spread.tests["test_uniform"]["outcome"] == "passed"
    crashed = spread.tests["test_crash"]
    assert (crashed["outcome"], crashed["score"], crashed["max_score"]) == ("failed", 0, 1)
    assert "crashed" in crashed["message"]
    assert spread.result["functions"]["one_hot"]["score"] == 20
    assert len(json.loads(Path("g").read_text(encoding="utf-8"))["tests"]) == len(spread.criteria)
