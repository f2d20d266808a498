"""One submission has one score, whichever seed its inputs are drawn from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lossgrade.assignment import BUILT_IN, built_in_text, parse_assignment
from support import FIXTURES

if TYPE_CHECKING:
    from pathlib import Path

    from support import Engine

SEEDS = ("a1", "b2", "c3", "d4", "e5", "f6", "07", "18")


@pytest.mark.parametrize(
    "path",
    [
        "softmax-over-batch-axis/stat453_torch.py",
        "double-softmax/stat453_torch.py",
        "missing-minus-sign/stat453_numpy.py",
        "log2-instead-of-ln/stat453_numpy.py",
        "mean-instead-of-per-example/stat453_numpy.py",
        "hard-coded-lecture-losses/stat453_numpy.py",
        "classes-from-data/stat453_numpy.py",
        "order-of-appearance/stat453_numpy.py",
        "stores-label-value/stat453_numpy.py",
        "shift-only-in-numerator/stat453_numpy.py",
        "uses-predicted-class/stat453_numpy.py",
    ],
)
def test_the_seed_changes_no_score(path: str, engine: Engine) -> None:
    submission = FIXTURES / "submissions" / path
    assert len({engine(submission, seed=seed).score for seed in SEEDS}) == 1


@pytest.mark.parametrize(
    ("function", "body"),
    [
        pytest.param("class_label", "np.argmax(np.round(z, 1), axis=1)", id="rounded"),
        pytest.param("softmax", "clipped / clipped.sum(axis=1, keepdims=True)", id="clipped"),
    ],
)
def test_a_fault_in_few_cases_is_found_under_every_seed(
    function: str, body: str, tmp_path: Path, engine: Engine
) -> None:
    name = {"class_label": "to_classlabel", "softmax": "softmax"}[function]
    source = (FIXTURES / "submissions" / "right" / "numpy_eye.py").read_text()
    submission = tmp_path / "hw.py"
    submission.write_text(
        f"{source}\n\nimport numpy as np\n\n\ndef {name}(z):\n"
        f"    clipped = np.exp(np.clip(z, -2, 2))\n    return {body}\n"
    )
    for seed in SEEDS:
        part = engine(submission, seed=seed).functions[function]
        assert part.score < part.max_score


@pytest.mark.parametrize("strictness", ["lecture", "strict"])
@pytest.mark.parametrize("name", BUILT_IN)
def test_a_function_that_returns_none_passes_nothing(
    name: str, strictness: str, tmp_path: Path, engine: Engine
) -> None:
    text = built_in_text(name).replace("enabled = false", "enabled = true")
    for other in ("lecture", "strict"):
        text = text.replace(f'strictness = "{other}"', f'strictness = "{strictness}"')
    asked = parse_assignment(text, name)
    submission = tmp_path / "hw.py"
    submission.write_text(
        "# torch\n"
        + "".join(f"def {f.names[0]}(*a):\n    return None\n" for f in asked.graded.values())
    )
    result = engine(submission, asked)
    assert [c.id for c in result.criteria if c.outcome == "passed"] == []
    assert (result.score, result.bonus) == (0, 0)
