"""Rules without an analysis: each finds a word, so that what is around the rules can be tested."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from lossgrade_checks.finding import Edit, Finding, Fix, Related
from lossgrade_checks.rule import Example, Rule
from lossgrade_checks.syntax import parse

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from lossgrade_checks.source import Source


class BadLoss(Rule):
    """Write `good_loss`.

    The other word is bad.
    """

    code = "LG101"
    name = "bad-loss"
    fix = "safe"
    examples = (Example("bad_loss\n", "good_loss\n"),)
    near_misses = ("good_loss\n",)


class WorseLoss(Rule):
    """Never write `worse_loss`."""

    code = "LG102"
    name = "worse-loss"
    severity = "warning"
    fix = "unsafe"
    examples = (Example("worse_loss\n", "good_loss\n", (("other.py", "x = 1\n"),)),)


class WorstLoss(Rule):
    """There is no way out of `worst_loss`."""

    code = "LG201"
    name = "worst-loss"
    severity = "info"
    examples = (Example("worst_loss\n"),)


RULES = (BadLoss, WorseLoss, WorstLoss)
APPLICABILITY: dict[str, Any] = {"LG101": "safe", "LG102": "unsafe"}


def check(source: Source, rules: Sequence[type[Rule]], project: object) -> list[Finding]:
    """Report the words; a row `# import x` at the top is what some fixes add."""
    try:
        parse(source.text)
    except SyntaxError as error:
        offset = source.offset(error.lineno or 1, error.offset or 1)
        place = source.place(offset, offset)
        return [Finding("LG000", "syntax-error", str(error.msg), "error", place)]
    if "crash_loss" in source.text:
        raise KeyError("no\nsuch meaning")
    found = []
    for rule in rules:
        word = rule.name.replace("-", "_")
        for match in re.finditer(rf"\b{word}(_\w+)?", source.text):
            place = source.place(*match.span())
            related = (
                (Related("because of this", source.place(0, 1)),) if "_related" in match[0] else ()
            )
            fix = _fix(rule.code, source.text, match)
            message = f"found {match[0]}"
            found.append(Finding(rule.code, rule.name, message, rule.severity, place, related, fix))
    return sorted(found, key=lambda finding: (finding.place.cell or 0, finding.place.row))


def _fix(code: str, text: str, match: re.Match[str]) -> Fix | None:
    if code not in APPLICABILITY:
        return None
    content = {
        "_breaks": "good_loss(",
        "_loops": "bad_loss_loops_back",
        "_loops_back": "bad_loss_loops",
        "_kanji": "good_字",
    }.get(match[1] or "", "good_loss")
    if match[0].endswith("_grows"):
        content = match[0] + "_grows"
    edits = [Edit(*match.span(), content)]
    if match[1] == "_imports" and "# import x\n" not in text:
        edits.insert(0, Edit(0, 0, "# import x\n"))
    return Fix(APPLICABILITY[code], "Write good_loss", tuple(edits))


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the fake rules in the place of the real ones, in this process and in its forks."""
    monkeypatch.setattr("lossgrade_checks.lint.check", check)
    for module in ("command", "runner", "rule_page"):
        monkeypatch.setattr(f"lossgrade_checks.{module}.all_rules", lambda: RULES)


def notebook(*cells: str) -> str:
    """Return a notebook with these code cells, a row each in its list."""
    made = [{"cell_type": "code", "source": cell.splitlines(keepends=True)} for cell in cells]
    return json.dumps({"cells": made, "nbformat": 4, "nbformat_minor": 5}, indent=1) + "\n"
