"""Lint a program given as text, in the process of the test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lossgrade_checks.engine import Project, check
from lossgrade_checks.rules import all_rules
from lossgrade_checks.source import Source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lossgrade_checks.finding import Edit, Finding
    from lossgrade_checks.rule import Rule


def lint(
    text: str,
    folder: Path,
    files: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    rules: Sequence[type[Rule]] | None = None,
) -> list[Finding]:
    """Return the findings in `text`, a file of `folder` beside the other `files`."""
    for name, content in dict(files).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    path = folder / "main.py"
    path.write_text(text, encoding="utf-8")
    return check(Source(path, text), all_rules() if rules is None else rules, Project())


def codes(findings: Sequence[Finding]) -> list[str]:
    """Return the codes of `findings`, in order."""
    return [finding.code for finding in findings]


def mended(text: str, finding: Finding) -> str:
    """Return `text` after the fix of `finding`."""
    assert finding.fix is not None, f"{finding.code} has no fix: {finding.message}"
    edits: list[Edit] = sorted(finding.fix.edits, reverse=True)
    for start, end, content in edits:
        text = text[:start] + content + text[end:]
    return text
