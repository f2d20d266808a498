"""Each convention of the built-in functions: a right solution has full marks, also in strict."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from lossgrade.assignment import parse_assignment

if TYPE_CHECKING:
    from pathlib import Path

    from support import Engine


def assignment(library: str, function: str, **conventions: str) -> str:
    """Return the TOML of a strict assignment of one function."""
    told = "".join(f'{key} = "{value}"\n' for key, value in conventions.items())
    return (
        f'name = "one"\nstrictness = "strict"\nlibrary = "{library}"\n'
        f'[functions.{function}]\nnames = ["f"]\npoints = 10\n{told}'
    )


TO_LOG = {
    "torch": {
        "logits": "torch.log_softmax(p, -1)",
        "log-probabilities": "p",
        "probabilities": "torch.log(p)",
    },
    "numpy": {
        "logits": "stable - np.log(np.exp(stable).sum(-1, keepdims=True))",
        "log-probabilities": "p",
        "probabilities": "np.log(p)",
    },
}
# Picking by the class never multiplies 0 by -inf.
TO_LOSSES = {
    "class-indices": "-logs[rows, t]",
    "one-hot": "-logs[rows, t.argmax(-1)]",
    "class-probabilities": "-xp.where(t > 0, t * logs, xp.zeros_like(logs)).sum(-1)",
}


def cross_entropy(
    library: str,
    prediction: str,
    targets: str,
    order: str,
    reduction: str,
    examples: str,
    log_base: str,
) -> str:
    """Return a right solution under these conventions."""
    reduced = "losses" if examples == "single" or reduction == "none" else f"losses.{reduction}()"
    lines = [
        "import math",
        "import torch as xp, torch" if library == "torch" else "import numpy as xp, numpy as np",
        "" if library == "torch" else "np.seterr(all='ignore')",
        "def f(p, t):" if order == "prediction-first" else "def f(t, p):",
        "    rows = ..." if examples == "single" else "    rows = xp.arange(len(t))",
        "    stable = p" if library == "torch" else "    stable = p - p.max(-1, keepdims=True)",
        f"    logs = {TO_LOG[library][prediction]}",
        f"    losses = {TO_LOSSES[targets]}",
        "" if log_base == "e" else f"    losses = losses / math.log({log_base})",
        f"    return {reduced}",
    ]
    return "\n".join(lines)


CONVENTIONS = [
    pytest.param(library, *choice, id="-".join((library, *choice)))
    for library in ("torch", "numpy")
    for choice in itertools.chain(
        itertools.product(
            ("probabilities", "logits", "log-probabilities"),
            ("one-hot", "class-indices", "class-probabilities"),
            ("prediction-first", "targets-first"),
            ("none", "mean", "sum"),
            ("batch",),
            ("e",),
        ),
        itertools.product(
            ("probabilities", "logits", "log-probabilities"),
            ("one-hot", "class-indices", "class-probabilities"),
            ("targets-first",),
            ("sum",),
            ("single",),
            ("e", "2"),
        ),
        [("probabilities", "one-hot", "prediction-first", "none", "batch", "10")],
    )
]


@pytest.mark.parametrize(
    ("library", "prediction", "targets", "order", "reduction", "examples", "log_base"), CONVENTIONS
)
def test_cross_entropy(
    library: str,
    prediction: str,
    targets: str,
    order: str,
    reduction: str,
    examples: str,
    log_base: str,
    tmp_path: Path,
    engine: Engine,
) -> None:
    submission = tmp_path / "hw.py"
    submission.write_text(
        cross_entropy(library, prediction, targets, order, reduction, examples, log_base)
    )
    text = assignment(
        library,
        "cross_entropy",
        prediction=prediction,
        targets=targets,
        order=order,
        reduction=reduction,
        examples=examples,
        log_base=log_base,
    )
    result = engine(submission, parse_assignment(text, "one.toml"))
    told = [(c.id, c.message) for c in result.criteria if c.outcome != "passed"]
    assert (told, result.score) == ([], 10)


def softmax(library: str, function: str, axis: str) -> str:
    """Return a right, stable solution along `axis`."""
    if library == "torch":
        return f"import torch\ndef f(z):\n    return torch.{function}(z.double(), dim={axis})\n"
    end = (
        f"z - np.log(np.exp(z).sum(axis={axis}, keepdims=True))"
        if function == "log_softmax"
        else f"np.exp(z) / np.exp(z).sum(axis={axis}, keepdims=True)"
    )
    shift = f"z - z.max(axis={axis}, keepdims=True)"
    return f"import numpy as np\ndef f(z):\n    z = {shift}\n    return {end}\n"


@pytest.mark.parametrize("library", ["torch", "numpy"])
@pytest.mark.parametrize("function", ["softmax", "log_softmax"])
@pytest.mark.parametrize(
    ("examples", "axis"), [("batch", 1), ("batch", 0), ("single", 0), ("single", 1)]
)
def test_softmax(
    library: str, function: str, examples: str, axis: int, tmp_path: Path, engine: Engine
) -> None:
    submission = tmp_path / "hw.py"
    submission.write_text(softmax(library, function, "-1" if examples == "single" else str(axis)))
    text = assignment(library, function, examples=examples) + f"axis = {axis}\n"
    result = engine(submission, parse_assignment(text, "one.toml"))
    told = [(c.id, c.message) for c in result.criteria if c.outcome != "passed"]
    assert (told, result.score) == ([], 10)


@pytest.mark.parametrize(
    "source",
    [
        "import torch\ndef f(y):\n"
        "    return torch.nn.functional.one_hot(y.long(), int(y.max()) + 1).float()\n",
        "import numpy as np\ndef f(y):\n    return np.eye(y.max() + 1)[y]\n",
    ],
    ids=["torch", "numpy"],
)
def test_one_hot_of_as_many_classes_as_the_labels_name(
    source: str, tmp_path: Path, engine: Engine
) -> None:
    submission = tmp_path / "hw.py"
    submission.write_text(source)
    text = assignment("either", "one_hot", classes="from-targets")
    result = engine(submission, parse_assignment(text, "one.toml"))
    told = [(c.id, c.message) for c in result.criteria if c.outcome != "passed"]
    assert (told, result.score) == ([], 10)
