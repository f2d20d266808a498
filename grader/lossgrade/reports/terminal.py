"""The summary at the end of a pytest run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lossgrade.reports.summary import advice, points, sandbox_line, to_mend

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lossgrade.reports import Request
    from lossgrade.result import Result

BAR = 20


def show(result: Result, terminal: Any, reports: Sequence[Request]) -> None:
    """Write points per function, what to mend first, advice, and where the reports are.

    Args:
        result: what was graded.
        terminal: pytest's terminal reporter, or whatever has its `write_sep` and `write_line`.
        reports: the files that were written.
    """
    terminal.write_sep("=", f"{result.submission.id}: {result.assignment.name}", bold=True)
    width = max([len(name) for name in result.functions] + [len("total")])
    for name, part in result.functions.items():
        full = part.score == part.max_score
        share = part.score / part.max_score if part.max_score else 1.0
        bar = ("#" * int(share * BAR)).ljust(BAR, ".")
        bonus = f"  + {points(part.bonus)} bonus" if part.bonus else ""
        line = (
            f"{name:<{width}}  [{bar}] {points(part.score):>6} of {points(part.max_score)}{bonus}"
        )
        terminal.write_line(line, green=full, yellow=not full)
    bonus = f", and {points(result.bonus)} of {points(result.max_bonus)} bonus points"
    terminal.write_line(
        f"{'total':<{width}}  {points(result.score)} of {points(result.max_score)} points"
        + (bonus if result.max_bonus else ""),
        bold=True,
    )
    ungraded = [c for c in result.criteria if c.outcome == "not-graded"]
    if ungraded:
        reasons = list(dict.fromkeys(c.message for c in ungraded))
        terminal.write_line(
            f"{len(ungraded)} criteria not graded: {'; '.join(reasons[:3])}", red=True
        )
    mend = to_mend(result)
    if mend:
        terminal.write_line("")
        terminal.write_line("To mend first:", bold=True)
    for criterion, more in mend:
        also = f" ({more} more of {criterion.function} with it)" if more else ""
        terminal.write_line(f"  {criterion.message}{also}")
        if criterion.hint:
            terminal.write_line(f"    -> {criterion.hint}")
    advised = advice(result)
    if advised:
        terminal.write_line("")
        terminal.write_line("Advice, no points lost:", bold=True)
    for criterion in advised:
        terminal.write_line(f"  {criterion.message}")
        if criterion.hint:
            terminal.write_line(f"    -> {criterion.hint}")
    if result.notes:
        terminal.write_line("")
        terminal.write_line("While the submission loaded:", bold=True)
    for note in result.notes[:5]:
        terminal.write_line(f"  {note}")
    terminal.write_line("")
    terminal.write_line(sandbox_line(result))
    for request in reports:
        terminal.write_line(f"report ({request.format}): {request.path}")
