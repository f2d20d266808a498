"""The examples on the rules are what their pages show; here they are held to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from linting import codes, lint, mended
from lossgrade_checks.rules import all_rules

if TYPE_CHECKING:
    from pathlib import Path

    from lossgrade_checks.rule import Example, Rule

EXAMPLES = [
    pytest.param(rule, example, id=f"{rule.code}-{number}")
    for rule in all_rules()
    for number, example in enumerate(rule.examples)
]
NEAR_MISSES = [
    pytest.param(text, id=f"{rule.code}-{number}")
    for rule in all_rules()
    for number, text in enumerate(rule.near_misses)
]


@pytest.mark.parametrize(("rule", "example"), EXAMPLES)
def test_the_bad_program_is_reported_once_and_mended(
    rule: type[Rule], example: Example, tmp_path: Path
) -> None:
    findings = lint(example.bad, tmp_path, example.files)
    assert codes(findings) == [rule.code]
    if example.good is None:
        assert findings[0].fix is None
    else:
        assert mended(example.bad, findings[0]) == example.good
        assert codes(lint(example.good, tmp_path, example.files)) == []


@pytest.mark.parametrize("text", NEAR_MISSES)
def test_a_near_miss_is_quiet(text: str, tmp_path: Path) -> None:
    assert codes(lint(text, tmp_path)) == []
