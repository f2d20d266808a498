"""Feedback for one student, in Markdown: what was reached, what to mend first, the rest."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lossgrade.reports.summary import advice, points, sandbox_line, to_mend, told

if TYPE_CHECKING:
    from lossgrade.result import CriterionRecord, Result

# A student's page shows nothing of criteria that are hidden, or not visible yet.
SHOWN = ("visible",)
_SIGN = {"passed": "✓", "failed": "✗", "not-graded": "?"}


def render(result: Result) -> str:
    """Return the page; hidden criteria are counted in the points and told of no further."""
    title = result.assignment.title or result.assignment.name
    total = f"**{points(result.score)} of {points(result.max_score)} points**"
    if result.max_bonus:
        total += f", and {points(result.bonus)} of {points(result.max_bonus)} bonus points"
    lines = [f"# {_text(result.submission.id)}", "", f"{_text(title)}: {total}", ""]
    lines += ["| function | points |", "|---|---:|"]
    for name, part in result.functions.items():
        bonus = f" + {points(part.bonus)}" if part.bonus else ""
        lines.append(f"| {_code(name)} | {points(part.score)}{bonus} of {points(part.max_score)} |")

    mend = to_mend(result, SHOWN)
    if mend:
        lines += ["", "## To mend first", ""]
        for criterion, more in mend:
            also = f" *({more} more of {_code(criterion.function)} with it)*" if more else ""
            lines.append(f"- {_told(criterion)}{also}")
    advised = advice(result, SHOWN)
    if advised:
        lines += ["", "## Advice, no points lost", ""]
        lines += [f"- {_told(criterion)}" for criterion in advised]
    if result.notes:
        lines += ["", "## While the file ran", ""]
        lines += [f"- {_text(note)}" for note in result.notes]

    lines += ["", "## Everything", ""]
    for name in result.functions:
        shown = [c for c in result.criteria if c.function == name and c.visibility in SHOWN]
        hidden = sum(c.function == name for c in result.criteria) - len(shown)
        lines += [f"### {_text(name)}", ""]
        for criterion in shown:
            worth = f"{points(criterion.score)} of {points(criterion.max_score)}"
            if criterion.advice:
                worth = f"bonus {points(criterion.bonus)} of {points(criterion.max_bonus)}"
            lines.append(f"- {_SIGN[criterion.outcome]} {_text(criterion.title)} ({worth})")
        if hidden:
            plural = "criterion that is" if hidden == 1 else "criteria that are"
            lines.append(f"- {hidden} {plural} not shown")
        lines.append("")
    lines += [f"<sub>{_text(sandbox_line(result))}; seed {result.seed}</sub>", ""]
    return "\n".join(lines)


def _told(criterion: CriterionRecord) -> str:
    message = _text(told(criterion))
    if not criterion.hint:
        return message
    stop = "" if message.endswith((".", "!", "?")) else "."
    return f"{message}{stop} {_text(criterion.hint)}"


def _code(name: str) -> str:
    """Return a name in code type; one that would break out of it or of a table, as text."""
    return f"`{name}`" if re.fullmatch(r"[\w./-]+( [\w./-]+)*", name) else _text(name)


def _text(text: str) -> str:
    """Escape what Markdown or HTML would take for markup, outside of code between backticks."""
    pieces = re.split(r"(`[^`\n]+`)", " ".join(text.split()))
    escaped = "".join(
        piece if place % 2 else re.sub(r"([\\`*_{}\[\]<>#|~&!])", r"\\\1", piece)
        for place, piece in enumerate(pieces)
    )
    # At the start of a line these open a list, a heading or a rule.
    return re.sub(r"^(\d*)([-+=.)])", r"\1\\\2", escaped)
