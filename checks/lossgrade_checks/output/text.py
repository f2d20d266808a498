"""Findings for people: `path:line:col CODE message`, the row of source, and the related place."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from lossgrade_checks.apply import applicable
from lossgrade_checks.output.excerpt import excerpt
from lossgrade_checks.output.terminal import Style, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lossgrade_checks.files import Report
    from lossgrade_checks.finding import Place, Severity


_WORDS: dict[Severity, str] = {"error": "error", "warning": "warning", "info": "note"}


def render(reports: Iterable[Report], style: Style) -> Iterator[str]:
    """Yield the text of each finding, `[*]` where there is a safe fix, each ending its row."""
    for report in reports:
        finding = report.finding
        mark = "[*] " if applicable(finding.fix, "safe") else ""
        rows = [
            f"{style(where(finding.place), 'bold')} {style(finding.code, finding.severity)} "
            f"{mark}{plain(finding.message)}",
            *_source(finding.place, report.line, style, finding.severity),
        ]
        for related, line in zip(finding.related, report.related_lines, strict=True):
            rows.append(f"  {style(where(related.place), 'bold')} {plain(related.message)}")
            rows += _source(related.place, line, style, "info")
        yield "".join(f"{row}\n" for row in rows)


def where(place: Place) -> str:
    """Return `path:line:col`, of a notebook `path:cell N:line:col`."""
    cell = "" if place.cell is None else f"cell {place.cell}:"
    return f"{plain(place.filename)}:{cell}{place.row}:{place.column}"


def summary(reports: Sequence[Report], fixed: Counter[str], *, fixing: bool) -> str:
    """Return the last row of a run: how many findings there are and can be fixed."""
    severities = Counter(report.finding.severity for report in reports)
    parts = [counted(severities[s], word) for s, word in _WORDS.items() if severities[s]]
    done = fixed.total()
    if fixing and done:
        rest = f"; {', '.join(parts)} left" if parts else ""
        return f"Fixed {counted(done, 'mistake')}{rest}{_fixable(reports, fixing=True)}"
    return f"Found {', '.join(parts)}{_fixable(reports, fixing=fixing)}"


def counted(number: int, word: str) -> str:
    """Return "1 error" or "2 errors"."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def _fixable(reports: Sequence[Report], *, fixing: bool) -> str:
    safe = sum(applicable(report.finding.fix, "safe") for report in reports)
    unsafe = sum(applicable(report.finding.fix, "unsafe") for report in reports) - safe
    if safe and not fixing:
        more = f" ({unsafe} more with --unsafe-fixes)" if unsafe else ""
        return f"; {safe} can be fixed with --fix{more}"
    return f"; {unsafe} can be fixed with --fix --unsafe-fixes" if unsafe else ""


def _source(place: Place, line: str, style: Style, severity: str) -> list[str]:
    row, carets = excerpt(line, place)
    if not row:
        return []
    number = str(place.row)
    bar = style("|", "dim")
    return [
        f"    {style(number, 'dim')} {bar} {row}",
        f"    {' ' * len(number)} {bar} {_carets(carets, style, severity)}",
    ]


def _carets(carets: str, style: Style, severity: str) -> str:
    """Return the carets coloured, without the spaces before them."""
    marks = carets.lstrip()
    return carets[: len(carets) - len(marks)] + style(marks, severity)
