"""What platforms are told of a result, line by line: each criterion, and what findings cost.

The formats differ in their keys and limits. What stands in a line, and that the lines add up to
the grade, is decided here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lossgrade.language import say
from lossgrade.reports.feedback import joined, penalties

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lossgrade.result import CriterionRecord, Outcome, Result

# A test's title may be a whole docstring.
NAME_CAP = 200


@dataclass(frozen=True)
class Line:
    """One line of a report.

    Attributes:
        name: what was graded: one line of text.
        score: with the bonus; below 0 for a finding of the linter that cost points.
        text: why it is no better, empty if it passed.
        advice: nothing was lost by it.
    """

    function: str
    name: str
    outcome: Outcome
    score: float
    max_score: float
    text: str
    advice: bool = False


def lines(result: Result) -> list[Line]:
    """Return a line for each criterion and each finding that cost points.

    Their scores add up to `result.score + result.bonus`, their `max_score` to the result's.
    """
    graded = [
        Line(
            function=each.function,
            name=f"{each.function}: {each.title}",
            outcome=each.outcome,
            score=round(each.score + each.bonus, 2),
            max_score=each.max_score,
            text=explanation(each),
            advice=each.advice,
        )
        for each in result.criteria
    ]
    costs = [finding["penalty"] for finding in result.findings if finding.get("penalty")]
    taken = [
        Line(function="", name=name, outcome="failed", score=-cost, max_score=0, text="")
        for name, cost in zip(penalties(result), costs, strict=True)
    ]
    return [replace(line, name=_cut(line.name, NAME_CAP)) for line in [*graded, *taken]]


def explanation(criterion: CriterionRecord) -> str:
    """Return why a criterion did not pass, whose fault that is, and what to do; else nothing."""
    if criterion.outcome == "passed":
        return ""
    why = joined(criterion.message, criterion.hint)
    if criterion.outcome == "not-graded":
        return say("Not graded, through no fault of yours: {why}", why=why)
    return say("Advice, no points lost: {why}", why=why) if criterion.advice else why


def fitted(told: Sequence[Line], write: Callable[[Sequence[Line]], str], limit: int) -> str:
    """Return what `write` makes of the lines, in `limit` bytes of UTF-8 at most.

    The longest texts are shortened first. Where even lines without a text are too many, each
    function has one.
    """
    text = write(told)
    if len(text.encode()) <= limit:
        return text
    shortest, longest = -1, max(len(line.text) for line in told)
    while longest - shortest > 1:
        middle = (shortest + longest) // 2
        if len(write(_shortened(told, middle)).encode()) <= limit:
            shortest = middle
        else:
            longest = middle
    return write(_shortened(told, shortest) if shortest >= 0 else _together(told))


def _shortened(told: Sequence[Line], length: int) -> list[Line]:
    return [
        replace(line, text=say("{text} ... (shortened)", text=line.text[:length]))
        if len(line.text) > length
        else line
        for line in told
    ]


def _together(told: Sequence[Line]) -> list[Line]:
    """Return one line for each function, and one for all findings."""
    parts: dict[str, list[Line]] = {}
    for line in told:
        parts.setdefault(line.function, []).append(line)
    return [
        Line(
            function=function,
            name=_cut(function or say("what the linter found"), NAME_CAP),
            outcome=_worst(part),
            score=sum(round(line.score * 100) for line in part) / 100,
            max_score=sum(round(line.max_score * 100) for line in part) / 100,
            text="",
            advice=all(line.advice for line in part),
        )
        for function, part in parts.items()
    ]


def _worst(part: Sequence[Line]) -> Outcome:
    outcomes = {line.outcome for line in part if not line.advice}
    if "not-graded" in outcomes:
        return "not-graded"
    return "failed" if "failed" in outcomes else "passed"


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."
