"""Submissions that try to get points they did not earn, run against the real sandbox."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support import FIXTURES, entries

if TYPE_CHECKING:
    from support import Engine

ATTACKS = entries("attacks/index.toml", "attack")
# An honest call takes a millisecond; what hangs on purpose shall not hold up the suite.
LIMITS = {"call_seconds": 2.0, "load_seconds": 6.0}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack["path"])
def test_an_attack_earns_nothing(attack: dict[str, Any], engine: Engine) -> None:
    result = engine(FIXTURES / "attacks" / attack["path"], limits=LIMITS)
    earned = {
        c.id
        for c in result.criteria
        if c.function in attack["touches"] and c.outcome == "passed" and c.max_score
    }
    assert earned - set(attack.get("earns", ())) == set()
    for function in attack["right"]:
        assert result.functions[function].score == result.functions[function].max_score
    # Whatever the code did, every criterion was judged and the maximum stands.
    assert {c.outcome for c in result.criteria} <= {"passed", "failed"}
    assert result.max_score == 100
    result.to_json().encode("utf-8")


def test_an_attack_leaves_nothing_behind(engine: Engine) -> None:
    for attack in ("overwrite_results.py", "plant_startup_files.py", "daemon_writes_later.py"):
        engine(FIXTURES / "attacks" / attack, limits=LIMITS)
    places = (Path(), Path.home(), Path(tempfile.gettempdir()), FIXTURES, FIXTURES / "attacks")
    assert [p for place in places for p in place.glob("*lossgrade-attack-marker*")] == []


def test_the_index_lists_every_attack() -> None:
    there = {path.name for path in (FIXTURES / "attacks").glob("*.py")}
    assert there == {attack["path"] for attack in ATTACKS}
