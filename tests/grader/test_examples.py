"""Every example submission: right ones have full marks, wrong ones lose where they are wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from support import FIXTURES, entries, lost

if TYPE_CHECKING:
    from support import Engine

SUBMISSIONS = entries("submissions/index.toml", "submission")
RIGHT = [entry for entry in SUBMISSIONS if entry["verdict"] == "right"]
WRONG = [entry for entry in SUBMISSIONS if entry["verdict"] == "wrong"]


def by_path(entry: dict[str, Any]) -> str:
    return f"{entry['assignment']}:{entry['path']}"


@pytest.mark.parametrize("entry", RIGHT, ids=by_path)
def test_a_right_submission_has_full_marks(entry: dict[str, Any], engine: Engine) -> None:
    path = FIXTURES / "submissions" / entry["path"]
    result = engine(path, entry["assignment"], entry=entry.get("entry", ""))
    told = [(c.id, c.message) for c in result.criteria if c.score < c.max_score]
    assert (told, result.outcome) == ([], "passed")
    assert result.score == result.max_score > 0


@pytest.mark.parametrize("entry", WRONG, ids=by_path)
def test_a_wrong_submission_loses_on_its_faulty_function(
    entry: dict[str, Any], engine: Engine
) -> None:
    path = FIXTURES / "submissions" / entry["path"]
    result = engine(path, entry["assignment"], entry=entry.get("entry", ""), explained=True)
    failed = lost(result)
    assert {id_.partition(".")[0] for id_ in failed} == {entry["function"]}
    assert set(entry["caught_by"]) <= failed
    assert result.outcome == "failed"
    if result.functions[entry["function"]].diagnosis or not entry["assignment"].endswith("-net"):
        told = {key: each.diagnosis for key, each in result.functions.items() if each.diagnosis}
        assert {k: d.misconception for k, d in told.items()} == {
            entry["function"]: entry["misconception"]
        }


def test_there_are_enough_examples() -> None:
    right = [entry for entry in RIGHT if entry["assignment"] == "stat453"]
    assert len(right) >= 25
    assert {entry["library"] for entry in right} == {"torch", "numpy"}
    assert len({entry["misconception"] for entry in WRONG}) >= 40


def test_the_index_lists_every_file() -> None:
    root = FIXTURES / "submissions"
    listed = {entry["path"] for entry in SUBMISSIONS}
    folders = tuple(f"{entry['path']}/" for entry in SUBMISSIONS if "entry" in entry)
    there = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.is_file() and path.suffix in (".py", ".ipynb") and "__pycache__" not in path.parts
    }
    there = {path for path in there if not path.startswith(("broken/", *folders))}
    assert there == {path for path in listed if f"{path}/" not in folders}


@pytest.mark.parametrize(
    ("misconception", "says"),
    [
        ("softmax-over-batch-axis", "normalised over the batch"),
        ("double-softmax", "softmax of the softmax"),
        ("missing-minus-sign", "The minus is missing"),
        ("log2-instead-of-ln", "you used log2"),
        ("mean-instead-of-per-example", "mean over the batch"),
        ("hard-coded-lecture-losses", "lecture's own losses, whatever the input"),
    ],
)
def test_the_hint_names_the_mistake(misconception: str, says: str, engine: Engine) -> None:
    path = FIXTURES / "submissions" / misconception / "stat453_torch.py"
    result = engine(path, explained=True)
    values = [c for c in result.criteria if c.kind == "values" and c.outcome == "failed"]
    assert any(says in criterion.hint for criterion in values)
