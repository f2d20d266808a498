"""The summary at the end of a pytest run: one screen, since pytest has shown the details."""

from __future__ import annotations

import shutil
import textwrap
from typing import TYPE_CHECKING, Any, NamedTuple

from lossgrade.language import say
from lossgrade.reports.feedback import (
    besides_line,
    chosen,
    failed_besides,
    joined,
    lost_points,
    worked,
)
from lossgrade.reports.summary import points, sandbox_line, total_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lossgrade.reports import Request
    from lossgrade.reports.feedback import Feedback, Mend
    from lossgrade.result import CriterionRecord, FunctionRecord, Result

BAR = 20
# A line of text reads well up to about this many characters.
WIDEST = 100
# What stands in a line of the table besides its name and its bar, at most.
FIGURES = 35
# One screen, with room for the prompt; a table of more functions than this leaves room for alone
# makes it longer.
SCREEN = 28
# Of one text, at most.
LINES = 4
REASONS = 3


class Line(NamedTuple):
    """A line of the summary, and how it looks."""

    text: str
    style: dict[str, bool] = {}  # noqa: RUF012 - never changed


def show(result: Result, terminal: Any, reports: Sequence[Request], *, quiet: bool = False) -> None:
    """Write points, what works, what to mend first, the rest, and where the reports are.

    Args:
        result: what was graded.
        terminal: pytest's terminal reporter, or whatever has its `write_sep` and `write_line`.
        reports: the files that were written.
        quiet: write the total alone.
    """
    columns = min(max(shutil.get_terminal_size().columns, 40), WIDEST)
    feedback = chosen(result)
    result = feedback.result
    if quiet:
        lines = [Line(f"{result.submission.id}: {total_line(result)}", {"bold": True})]
        lines += _ungraded(feedback, columns)
    else:
        terminal.write_sep("=", f"{result.submission.id}: {result.assignment.name}", bold=True)
        lines = _screen(feedback, columns)
        lines += [
            # Not wrapped: a path is there to be copied.
            Line(say("report ({format}): {path}", format=each.format, path=each.path))
            for each in reports
        ]
    for line in lines:
        terminal.write_line(line.text, **line.style)


def _screen(feedback: Feedback, columns: int) -> list[Line]:
    """Return the sections that find room, the most important ones first."""
    lines = [*_table(feedback.result, columns), *_ungraded(feedback, columns)]
    if feedback.works:
        lines += _wrapped(worked(feedback.works), columns, "", "  ", green=True)
    # How long the line on isolation is depends on the machine; what is told must not.
    left = SCREEN - len(lines) - 2
    for section in _sections(feedback, columns):
        kept = _shortened(section, left)
        lines += kept
        left -= len(kept)
    return [*lines, Line(""), *_wrapped(sandbox_line(feedback.result), columns, "", "  ")]


def _sections(feedback: Feedback, columns: int) -> Iterable[list[Line]]:
    mend = feedback.mend
    if mend:
        # What comes after them, and two lines of the rest, keeps its room.
        yield _mended(mend, columns, SCREEN - len(feedback.result.functions) - 8)
    yield _listed(say("Then:"), [_one_line(each) for each in feedback.rest], columns, most=1)
    yield _listed(say("Taken off:"), feedback.penalties, columns)
    yield _listed(say("Found in your code:"), feedback.findings, columns)
    yield _listed(say("Your own conventions:"), feedback.conventions, columns)
    yield _listed(say("Advice, no points lost:"), feedback.advice, columns)
    yield _listed(say("While the submission loaded:"), feedback.result.notes, columns)


def _mended(mend: Mend, columns: int, most: int) -> list[Line]:
    heading = say(
        "Mend this first: `{function}` ({lost})",
        function=mend.function,
        lost=lost_points(mend.lost),
    )
    lines = [Line(""), *_wrapped(heading, columns, "", "  ", most=2, bold=True)]
    lines += _wrapped(mend.says, columns, "  ", "  ", most=3)
    for cause in mend.causes[:1]:
        lines += _wrapped(cause, columns, "  ", "    ", most=2)
    if mend.fix:
        lines += _wrapped(mend.fix, columns, "    -> ", "       ", most=3)
    after = []
    if mend.reread:
        after += _wrapped(
            say("Read again: {source}", source=mend.reread), columns, "  ", "    ", most=2
        )
    besides = failed_besides(mend)
    if besides:
        after += _wrapped(f"({besides})", columns, "  ", "  ", most=1)
    left = most - len(lines) - len(after)
    for item in _optional(mend, columns):
        # Whole or not at all; what comes next may be shorter.
        if len(item) <= left:
            lines += item
            left -= len(item)
    return lines + after


def _optional(mend: Mend, columns: int) -> Iterable[list[Line]]:
    """Yield what is told of a function where there is room, the most telling first."""
    example = mend.example
    if example:
        told = [
            *example.input,
            say("found {found}", found=example.found),
            say("expected {expected}", expected=example.expected),
        ]
        yield [line for text in told for line in _wrapped(text, columns, "    ", "      ")]
        steps = [_wrapped(step, columns, "      ", "        ") for step in example.steps]
        yield [line for step in steps for line in step]
    for text in (*mend.known, mend.evidence, *map(besides_line, mend.besides)):
        yield _wrapped(text, columns, "  ", "    ")


def _one_line(mend: Mend) -> str:
    lost = lost_points(mend.lost)
    return say("`{function}` ({lost}): {says}", function=mend.function, lost=lost,
               says=joined(mend.says, mend.fix))  # fmt: skip


def _listed(heading: str, texts: Sequence[str], columns: int, most: int = LINES) -> list[Line]:
    if not texts:
        return []
    lines = [Line(""), Line(heading, {"bold": True})]
    for text in texts:
        lines += _wrapped(text, columns, "  ", "    ", most=most + 1)
    return lines


def _shortened(lines: list[Line], left: int) -> list[Line]:
    """Return as many lines of a section as there is room for, and none of a heading alone."""
    if len(lines) <= left:
        return lines
    return [*lines[: left - 1], Line(say("  (more in the reports)"))] if left > 3 else []


def _table(result: Result, columns: int) -> list[Line]:
    width = max([len(name) for name in result.functions] + [len(say("total"))])
    bars = width + BAR + FIGURES <= columns
    lines = []
    for name, part in result.functions.items():
        left = sum(c.max_score for c in result.criteria if c.function == name and _is_ungraded(c))
        full = part.score == part.max_score
        text = f"{name:<{width}}  {_bar(part) if bars else ''}{_figures(part, left)}"
        lines.append(Line(text, {"green": full, "yellow": not full}))
    if result.penalty:
        off = say("-{points} for what the linter found", points=points(result.penalty))
        lines.append(Line(f"{'':<{width}}  {off}", {"yellow": True}))
    return [*lines, Line(f"{say('total'):<{width}}  {total_line(result)}", {"bold": True})]


def _bar(part: FunctionRecord) -> str:
    share = part.score / part.max_score if part.max_score else 1.0
    return f"[{('#' * int(share * BAR)).ljust(BAR, '.')}] "


def _figures(part: FunctionRecord, ungraded: float) -> str:
    text = say("{score} of {most}", score=f"{points(part.score):>6}", most=points(part.max_score))
    if part.bonus:
        text += say("  + {bonus} bonus", bonus=points(part.bonus))
    if ungraded:
        text += say("  ({ungraded} not graded)", ungraded=points(ungraded))
    return text


def _is_ungraded(criterion: CriterionRecord) -> bool:
    return criterion.outcome == "not-graded"


def _ungraded(feedback: Feedback, columns: int) -> list[Line]:
    if not feedback.ungraded:
        return []
    count, *reasons = feedback.ungraded
    told = reasons[:REASONS]
    if len(reasons) > REASONS:
        told.append(say("and {count} other reasons", count=len(reasons) - REASONS))
    text = f"{count}: {'; '.join(told)}" if told else count
    return _wrapped(text, columns, "", "  ", red=True)


def _wrapped(
    text: str, columns: int, first: str, then: str, *, most: int = LINES, **style: bool
) -> list[Line]:
    """Return `text` in lines that fit; a word that does not, such as a path, is left whole."""
    lines = textwrap.wrap(
        text,
        columns,
        initial_indent=first,
        subsequent_indent=then,
        break_long_words=False,
        break_on_hyphens=False,
        max_lines=most,
        placeholder=" ...",
    )
    return [Line(line, style) for line in lines]
