"""Pairs of programs: one in which a softmax reaches a loss, and one like it in which none does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from linting import codes, lint
from lossgrade_checks.rules.softmax_into_cross_entropy import SoftmaxIntoCrossEntropy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lossgrade_checks.finding import Place

PRELUDE = "import torch\nimport torch.nn as nn\nimport torch.nn.functional as F\n\n"
# The rule by which it is seen where the analysis says that probabilities go.
PROBE = (SoftmaxIntoCrossEntropy,)


def assert_found(program: str, folder: Path, files: Mapping[str, str] | None = None) -> None:
    """Assert that `program` has one finding, at a loss or a call to it, from a softmax."""
    findings = lint(program, folder, files or {}, PROBE)
    assert codes(findings) == ["LG101"], f"{len(findings)} findings in:\n{program}"
    (finding,) = findings
    assert finding.related, "it does not say where softmax is applied"


def assert_quiet(program: str, folder: Path, files: Mapping[str, str] | None = None) -> None:
    """Assert that `program` has no finding, but for how a logarithm is written (LG4)."""
    findings = [f for f in lint(program, folder, files or {}) if not f.code.startswith("LG4")]
    shown = [f"line {f.place.row}: {f.code} {f.message}" for f in findings]
    assert not shown, "\n".join([*shown, "in:", program])


def text_at(place: Place) -> str:
    """Return the line on which `place` starts, from there on."""
    lines = Path(place.filename).read_text(encoding="utf-8").splitlines()
    return lines[place.row - 1][place.column - 1 :]
