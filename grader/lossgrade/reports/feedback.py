"""What one student reads, chosen and ordered once for the terminal, Markdown and HTML.

What works comes first, then the one thing to mend next, then the rest. Of criteria that are not
visible nothing is told but how many there are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lossgrade.findings import shows_in, told
from lossgrade.language import say
from lossgrade.reports.summary import points

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lossgrade.result import (
        ChartRecord,
        ConventionRecord,
        CounterexampleRecord,
        CriterionRecord,
        FunctionRecord,
        Result,
    )

# A wrong value explains more than a broken law, and a broken law more than a breach.
_ORDER = ("test", "values", "law", "contract", "robust")
# Ends of sentences, Chinese ones among them.
_STOPS = (".", "!", "?", "\u3002", "\uff01", "\uff1f")
# Characters that change what a terminal or a browser shows of those around them: controls, and
# those that turn the direction of writing.
_UNSEEN = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_BREAKS = re.compile("[\t-\r\u2028\u2029]")


@dataclass(frozen=True)
class Mend:
    """A function that lost points where the student may see it, and what is known of why.

    Attributes:
        function: its key in the result.
        lost: points, of visible criteria.
        says: what is wrong, in a sentence or two.
        fix: what to do about it.
        evidence: what was compared, on how many inputs.
        example: the smallest input found on which it is wrong.
        reread: the passage of a lecture.
        known: what else can be said where no misconception explains the results.
        causes: lines of the student's file that the linter holds for the same mistake.
        besides: what else the linter found in this function.
        more: how many visible criteria failed besides the one that is told.
    """

    function: str
    lost: float
    says: str
    fix: str
    evidence: str
    example: CounterexampleRecord | None
    reread: str
    known: tuple[str, ...]
    causes: tuple[str, ...]
    besides: tuple[str, ...]
    more: int


@dataclass(frozen=True)
class Feedback:
    """Everything that is read before the details, in order."""

    result: Result
    works: tuple[str, ...]
    mend: Mend | None
    rest: tuple[Mend, ...]
    conventions: tuple[str, ...]
    advice: tuple[str, ...]
    findings: tuple[str, ...]
    penalties: tuple[str, ...]
    ungraded: tuple[str, ...]
    charts: tuple[ChartRecord, ...]


def chosen(result: Result) -> Feedback:
    """Choose from a result what its student reads."""
    result = printable(result)
    groups = _failed(result)
    mends: list[Mend] = []
    named = _named(result)
    for function, failed in groups:
        mends.append(_mend(result, function, failed, named))
    mends = _together(mends)
    # What is told elsewhere, with the function it explains or as points taken off.
    tied = {line for mend in mends for line in mend.causes} | set(mends[0].besides if mends else ())
    lines = [told(f, named=named) for f in result.findings if not f.get("penalty")]
    return Feedback(
        result=result,
        works=tuple(_works(result)),
        mend=mends[0] if mends else None,
        rest=tuple(mends[1:]),
        conventions=tuple(_conventions(result)),
        advice=tuple(_advice(result)),
        findings=tuple(dict.fromkeys(line for line in lines if line not in tied)),
        penalties=tuple(penalties(result)),
        ungraded=tuple(ungraded(result)),
        charts=tuple(result.charts),
    )


def is_shown(criterion: CriterionRecord) -> bool:
    """Say whether a student may read of this criterion now."""
    return criterion.visibility == "visible"


def told_of(criterion: CriterionRecord) -> str:
    """Return what went wrong, in one line that also says what was tested."""
    if criterion.kind == "test" and criterion.message:
        return f"{criterion.title}: {criterion.message}"
    return criterion.message or criterion.title


def joined(*sentences: str) -> str:
    """Return sentences in one line, each with a full stop at its end."""
    kept = [sentence for sentence in sentences if sentence]
    ended = [s if s.endswith(_STOPS) else f"{s}." for s in kept[:-1]]
    return " ".join([*ended, *kept[-1:]])


def worked(works: Sequence[str]) -> str:
    """Return the line on what works."""
    names = ", ".join(f"`{name}`" for name in works)
    return say("What works: {names}.", names=names)


def unshown(count: int) -> str:
    """Return the line on criteria that are not shown."""
    if count == 1:
        return say("1 criterion that is not shown")
    return say("{count} criteria that are not shown", count=count)


def failed_besides(mend: Mend) -> str:
    """Return the line on what else of a function failed, empty for nothing."""
    if mend.more == 1:
        return say("1 more of `{function}` failed", function=mend.function)
    if mend.more:
        return say("{count} more of `{function}` failed", count=mend.more, function=mend.function)
    return ""


def besides_line(finding: str) -> str:
    """Return the line on a finding that does not explain what failed."""
    return say("besides, {finding}", finding=finding)


def lost_points(lost: float) -> str:
    """Return how many points something cost."""
    return say("1 point lost") if lost == 1 else say("{lost} points lost", lost=points(lost))


# --- choosing -------------------------------------------------------------------------------------


def _failed(result: Result) -> list[tuple[str, list[CriterionRecord]]]:
    """Return the visible criteria that lost points by function, the costliest function first."""
    lost: dict[str, list[CriterionRecord]] = {}
    for criterion in result.criteria:
        if criterion.outcome == "failed" and not criterion.advice and is_shown(criterion):
            lost.setdefault(criterion.function, []).append(criterion)
    return sorted(lost.items(), key=lambda pair: -_lost(pair[1]))


def _lost(failed: Sequence[CriterionRecord]) -> float:
    return sum(c.max_score - c.score for c in failed)


def _mend(result: Result, function: str, failed: list[CriterionRecord], named: bool) -> Mend:
    # A hint says more than none, and the lecture's own example is the one students know.
    first = min(failed, key=lambda c: (_ORDER.index(c.kind), not c.hint, ".lecture_" not in c.id))
    part: FunctionRecord | None = result.functions.get(function)
    diagnosis = first.diagnosis or (part.diagnosis if part else None)
    example = (part.counterexample if part else None) or first.counterexample
    says, fix, evidence, reread = told_of(first), first.hint, "", ""
    if diagnosis:
        says, reread = diagnosis.explanation or says, diagnosis.source
        fix, evidence = diagnosis.fix or fix, diagnosis.evidence
    causes, besides = _tied(result, function, diagnosis.rule if diagnosis else "", named)
    return Mend(
        function=function,
        lost=round(_lost(failed), 2),
        says=says,
        fix=fix,
        evidence=evidence,
        example=example,
        reread=reread,
        known=() if diagnosis or part is None else tuple(part.known),
        causes=causes,
        besides=besides,
        more=len(failed) - 1,
    )


def _tied(
    result: Result, function: str, rule: str, named: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the findings that explain what failed in this function, and the others in it.

    A warning is about numbers that are out of the ordinary: it explains no wrong value.
    """
    causes, besides = dict[str, bool](), dict[str, bool]()
    for finding in result.findings:
        line = told(finding, named=named)
        if finding["code"] == rule:
            causes[line] = True
        elif function in shows_in(finding["code"]):
            (causes if finding["severity"] == "error" else besides)[line] = True
    return tuple(causes), tuple(line for line in besides if line not in causes)


def _named(result: Result) -> bool:
    """Say whether findings name their file: not where the submission is that file."""
    path = result.submission.path.replace("\\", "/").rpartition("/")[2]
    return any(finding["filename"] != path for finding in result.findings)


def _together(mends: list[Mend]) -> list[Mend]:
    """Return one entry for functions that failed for the same reason: a file that does not load."""
    kept: dict[tuple[str, str], Mend] = {}
    for mend in mends:
        known = kept.setdefault((mend.says, mend.fix), mend)
        if known is not mend:
            kept[mend.says, mend.fix] = Mend(
                **{
                    **vars(known),
                    "function": f"{known.function}, {mend.function}",
                    "lost": round(known.lost + mend.lost, 2),
                    "more": known.more + mend.more + 1,
                }
            )
    return sorted(kept.values(), key=lambda mend: -mend.lost)


def _works(result: Result) -> list[str]:
    """Return the functions with full marks."""
    left = {c.function for c in result.criteria if c.outcome != "passed" and not c.advice}
    return [
        name
        for name, part in result.functions.items()
        if part.max_score and part.score == part.max_score and name not in left
    ]


def _conventions(result: Result) -> list[str]:
    shown = {c.function for c in result.criteria if is_shown(c)}
    return [
        _convention(name, part.convention)
        for name, part in result.functions.items()
        if part.convention and name in shown
    ]


def _convention(name: str, convention: ConventionRecord) -> str:
    says = "; ".join(difference.says for difference in convention.differences)
    if convention.graded:
        return say("`{name}` was graded under its own convention: {says}", name=name, says=says)
    line = say("`{name}` is right under another convention: {says}", name=name, says=says)
    return joined(line, *(difference.change for difference in convention.differences))


def _advice(result: Result) -> list[str]:
    """Return the failed criteria that cost no points, of functions that are right otherwise."""
    right = {name for name, part in result.functions.items() if part.score == part.max_score}
    return [
        joined(told_of(c), c.hint)
        for c in result.criteria
        if c.outcome == "failed" and c.advice and c.function in right and is_shown(c)
    ]


def penalties(result: Result) -> list[str]:
    """Return a line for each finding that cost points."""
    named, lines = _named(result), []
    for finding in result.findings:
        off = finding.get("penalty", 0)
        if off == 1:
            lines.append(say("1 point off: {finding}", finding=told(finding, named=named)))
        elif off:
            lines.append(
                say(
                    "{points} points off: {finding}",
                    points=points(off),
                    finding=told(finding, named=named),
                )
            )
    return lines


def ungraded(result: Result) -> list[str]:
    """Return how many criteria were not graded, and why where that may be told."""
    ungraded = [c for c in result.criteria if c.outcome == "not-graded"]
    if not ungraded:
        return []
    count = (
        say("1 criterion not graded")
        if len(ungraded) == 1
        else say("{count} criteria not graded", count=len(ungraded))
    )
    reasons = dict.fromkeys(c.message for c in ungraded if is_shown(c) and c.message)
    return [count, *reasons]


# --- text that others wrote -----------------------------------------------------------------------


def printable(result: Result) -> Result:
    """Return the result without characters that change how the text around them is shown."""
    document = result.model_dump(by_alias=True)
    cleaned = _cleaned(document)
    return result if cleaned == document else type(result).model_validate(cleaned)


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        if value.isascii() and value.isprintable():
            return value
        line = _BREAKS.sub(" ", value)
        return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", line)
    if isinstance(value, dict):
        return {_cleaned(key): _cleaned(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(inner) for inner in value]
    return value
