"""Feedback for one student, in Markdown: one screen to act on, then every criterion."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lossgrade.language import say
from lossgrade.reports.feedback import (
    besides_line,
    chosen,
    failed_besides,
    is_shown,
    joined,
    lost_points,
    unshown,
    worked,
)
from lossgrade.reports.summary import points, sandbox_line, total_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lossgrade.reports.feedback import Feedback, Mend
    from lossgrade.result import CounterexampleRecord, Result

_SIGN = {"passed": "✓", "failed": "✗", "not-graded": "?"}


def render(result: Result) -> str:
    """Return the page; hidden criteria are counted in the points and told of no further."""
    feedback = chosen(result)
    lines = [*_head(feedback), *_mend(feedback), *_rest(feedback), *_details(feedback.result)]
    return "\n".join(lines)


def _head(feedback: Feedback) -> Iterable[str]:
    result = feedback.result
    title = result.assignment.title or result.assignment.name
    yield from (f"# {_text(result.submission.id)}", "")
    yield from (f"{_text(title)}: **{total_line(result)}**", "")
    yield from (f"| {say('function')} | {say('points')} |", "|---|---:|")
    for name, part in result.functions.items():
        worth = say("{score} of {most}", score=points(part.score), most=points(part.max_score))
        bonus = say("  + {bonus} bonus", bonus=points(part.bonus)) if part.bonus else ""
        yield f"| {_code(name)} | {worth}{bonus} |"
    if result.penalty:
        yield f"| {say('what the linter found')} | -{points(result.penalty)} |"
    if feedback.works:
        yield from ("", _text(worked(feedback.works)))
    if feedback.ungraded:
        count, *reasons = feedback.ungraded
        yield from ("", _text(f"{count}: {'; '.join(reasons)}" if reasons else count))


def _mend(feedback: Feedback) -> Iterable[str]:
    mend = feedback.mend
    if mend is None:
        return
    yield from ("", "## " + say("Mend this first"), "")
    yield f"{_code(mend.function)} ({lost_points(mend.lost)}). {_text(joined(mend.says, mend.fix))}"
    for text in (*mend.causes, *mend.known):
        yield from ("", _text(text))
    if mend.example:
        yield from _example(mend.example)
    told = [mend.evidence, *map(besides_line, mend.besides)]
    told += [say("Read again: {source}", source=mend.reread)] if mend.reread else []
    told = [text for text in (*told, failed_besides(mend)) if text]
    if told:
        yield ""
        yield from (f"- {_text(text)}" for text in told)


def _example(example: CounterexampleRecord) -> Iterable[str]:
    yield from ("", say("The smallest input found on which it is wrong, to check by hand:"), "")
    yield from (f"1. {_literal(text)}" for text in example.input)
    yield "1. " + say("found {found}", found=_literal(example.found))
    yield "1. " + say("expected {expected}", expected=_literal(example.expected))
    yield from (f"   - {_literal(step)}" for step in example.steps)


def _rest(feedback: Feedback) -> Iterable[str]:
    yield from _listed(say("Then"), [_one_line(mend) for mend in feedback.rest])
    yield from _listed(say("Taken off"), [_text(line) for line in feedback.penalties])
    for heading, lines in (
        (say("Found in your code"), feedback.findings),
        (say("Your own conventions"), feedback.conventions),
        (say("Advice, no points lost"), feedback.advice),
        (say("While the file ran"), feedback.result.notes),
    ):
        yield from _listed(heading, [_text(line) for line in lines])


def _one_line(mend: Mend) -> str:
    more = f" *({_text(failed_besides(mend))})*" if mend.more else ""
    told = joined(mend.says, mend.fix, *mend.causes)
    return f"{_code(mend.function)} ({lost_points(mend.lost)}): {_text(told)}{more}"


def _listed(heading: str, lines: Sequence[str]) -> Iterable[str]:
    if lines:
        yield from ("", f"## {heading}", "")
        yield from (f"- {line}" for line in lines)


def _details(result: Result) -> Iterable[str]:
    yield from ("", "## " + say("Everything"), "")
    for name in result.functions:
        shown = [c for c in result.criteria if c.function == name and is_shown(c)]
        hidden = sum(c.function == name for c in result.criteria) - len(shown)
        yield from (f"### {_text(name)}", "")
        said = set[str]()
        for criterion in shown:
            worth = say("{score} of {most}", score=points(criterion.score),
                        most=points(criterion.max_score))  # fmt: skip
            if criterion.advice:
                worth = say("bonus {score} of {most}", score=points(criterion.bonus),
                            most=points(criterion.max_bonus))  # fmt: skip
            yield f"- {_SIGN[criterion.outcome]} {_text(criterion.title)} ({worth})"
            message = "" if criterion.outcome == "passed" else criterion.message
            if message and message not in said:
                said.add(message)
                yield f"  - {_text(joined(criterion.message, criterion.hint))}"
        if hidden:
            yield f"- {unshown(hidden)}"
        yield ""
    seed = say("seed {seed}", seed=result.seed) if result.seed else ""
    footer = "; ".join(_text(part) for part in (sandbox_line(result), seed) if part)
    yield from (f"<sub>{footer}</sub>", "")


def _code(name: str) -> str:
    """Return a name in code type; one that would break out of it or of a table, as text."""
    return f"`{name}`" if re.fullmatch(r"[\w./-]+(,? [\w./-]+)*", name) else _text(name)


def _literal(text: str) -> str:
    """Return values or arithmetic in code type, or as text where that cannot hold them."""
    text = " ".join(text.split())
    return f"`{text}`" if text and "`" not in text else _text(text)


def _text(text: str) -> str:
    """Escape what Markdown or HTML would take for markup, outside of code between backticks."""
    pieces = re.split(r"(`[^`\n]+`)", " ".join(text.split()))
    escaped = "".join(
        piece if place % 2 else re.sub(r"([\\`*_{}\[\]<>#|~&!])", r"\\\1", piece)
        for place, piece in enumerate(pieces)
    )
    # At the start of a line these open a list, a heading or a rule.
    return re.sub(r"^(\d*)([-+=.)])", r"\1\\\2", escaped)
