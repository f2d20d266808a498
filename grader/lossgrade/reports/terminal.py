"""The summary at the end of a pytest run."""

from __future__ import annotations

import shutil
import textwrap
from typing import TYPE_CHECKING, Any

from lossgrade.reports.summary import advice, points, sandbox_line, to_mend, told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lossgrade.reports import Request
    from lossgrade.result import CriterionRecord, Result

BAR = 20
# A line of text reads well up to about this many characters.
WIDEST = 100
# What stands in a line of the table besides its name and its bar, at most.
FIGURES = 35
REASONS = 3
NOTES = 5


def show(result: Result, terminal: Any, reports: Sequence[Request], *, quiet: bool = False) -> None:
    """Write points per function, what to mend first, advice, and where the reports are.

    Args:
        result: what was graded.
        terminal: pytest's terminal reporter, or whatever has its `write_sep` and `write_line`.
        reports: the files that were written.
        quiet: write the total alone.
    """
    columns = min(max(shutil.get_terminal_size().columns, 40), WIDEST)
    if quiet:
        terminal.write_line(f"{result.submission.id}: {_total(result)}", bold=True)
        _ungraded(result, terminal, columns)
        return
    terminal.write_sep("=", f"{result.submission.id}: {result.assignment.name}", bold=True)
    _table(result, terminal, columns)
    _ungraded(result, terminal, columns)
    mend = to_mend(result)
    if mend:
        _heading(terminal, "To mend first:")
    for criterion, more in mend:
        _told(criterion, terminal, columns)
        if more:
            terminal.write_line(f"    ({more} more of {criterion.function} failed)")
    advised = advice(result)
    if advised:
        _heading(terminal, "Advice, no points lost:")
    for criterion in advised:
        _told(criterion, terminal, columns)
    if result.notes:
        _heading(terminal, "While the submission loaded:")
    for note in result.notes[:NOTES]:
        _wrapped(terminal, columns, note, "  ", "    ")
    if len(result.notes) > NOTES:
        terminal.write_line(f"  ({len(result.notes) - NOTES} more in the reports)")
    terminal.write_line("")
    _wrapped(terminal, columns, sandbox_line(result), "", "  ")
    for request in reports:
        # Not wrapped: a path is there to be copied.
        terminal.write_line(f"report ({request.format}): {request.path}")


def _table(result: Result, terminal: Any, columns: int) -> None:
    width = max([len(name) for name in result.functions] + [len("total")])
    bars = width + BAR + FIGURES <= columns
    for name, part in result.functions.items():
        full = part.score == part.max_score
        share = part.score / part.max_score if part.max_score else 1.0
        bar = f"[{('#' * int(share * BAR)).ljust(BAR, '.')}] " if bars else ""
        bonus = f"  + {points(part.bonus)} bonus" if part.bonus else ""
        left = sum(c.max_score for c in result.criteria if c.function == name and _is_ungraded(c))
        unknown = f"  ({points(left)} not graded)" if left else ""
        line = f"{name:<{width}}  {bar}{points(part.score):>6} of {points(part.max_score)}"
        terminal.write_line(line + bonus + unknown, green=full, yellow=not full)
    terminal.write_line(f"{'total':<{width}}  {_total(result)}", bold=True)


def _total(result: Result) -> str:
    bonus = f", and {points(result.bonus)} of {points(result.max_bonus)} bonus points"
    total = f"{points(result.score)} of {points(result.max_score)} points"
    return total + (bonus if result.max_bonus else "")


def _is_ungraded(criterion: CriterionRecord) -> bool:
    return criterion.outcome == "not-graded"


def _ungraded(result: Result, terminal: Any, columns: int) -> None:
    reasons = [c.message for c in result.criteria if _is_ungraded(c)]
    if not reasons:
        return
    different = list(dict.fromkeys(reasons))
    more = f"; and {len(different) - REASONS} other reasons" if len(different) > REASONS else ""
    what = "criterion" if len(reasons) == 1 else "criteria"
    text = f"{len(reasons)} {what} not graded: {'; '.join(different[:REASONS])}{more}"
    _wrapped(terminal, columns, text, "", "  ", red=True)


def _heading(terminal: Any, text: str) -> None:
    terminal.write_line("")
    terminal.write_line(text, bold=True)


def _told(criterion: CriterionRecord, terminal: Any, columns: int) -> None:
    _wrapped(terminal, columns, told(criterion), "  ", "    ")
    if criterion.hint:
        _wrapped(terminal, columns, criterion.hint, "    -> ", "       ")


def _wrapped(terminal: Any, columns: int, text: str, first: str, then: str, **style: bool) -> None:
    """Write `text` in lines that fit; a word that does not, such as a path, is left whole."""
    lines = textwrap.wrap(
        text,
        columns,
        initial_indent=first,
        subsequent_indent=then,
        break_long_words=False,
        break_on_hyphens=False,
    )
    for line in lines:
        terminal.write_line(line, **style)
