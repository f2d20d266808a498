"""How report.html writes what others wrote, and numbers: as text of one line, and as links."""

from __future__ import annotations

import datetime
import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from lossgrade.reports.html import with_code

if TYPE_CHECKING:
    from collections.abc import Mapping

    from markupsafe import Markup

    from lossgrade.cohort.graded import Row

# What is longer was not written to be read; the gradebook has it whole.
NAME_CAP = 80
TEXT_CAP = 300

# Controls, and what turns the direction of writing by force: no script needs those for a name.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def plain(text: str, cap: int = TEXT_CAP) -> str:
    """Return text in one line that any file can hold, cut at `cap` characters."""
    line = " ".join(text[: 2 * cap].encode("utf-8", "backslashreplace").decode().split())
    line = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", line)
    return line if len(line) <= cap and len(text) <= 2 * cap else f"{line[: cap - 1]}…"


def rich(text: str) -> Markup:
    """Return `plain` text with what stands between backticks in code type."""
    return with_code(plain(text))


def name(row: Row) -> str:
    """Return what the student of the row is called, as far as anything is known."""
    student = row.student
    known = student.name or student.id or student.email or (row.entry.id if row.entry else "")
    return plain(known, NAME_CAP)


def link(row: Row, feedback: Mapping[str, str]) -> str | None:
    r"""Return where the feedback lies, as a reference that can only be a relative one.

    Every `:`, `\` and `?` is percent-encoded, and what starts with `./` names no other machine.
    """
    path = feedback.get(row.entry.id) if row.entry else None
    return f"./{quote(path, errors='backslashreplace')}" if path else None


def percent(part: int, whole: int) -> str:
    """Return `part` of `whole` in per cent: 100 only for all of them, 0 only for none."""
    if part in (0, whole):
        whole_percents = 100 if part else 0
    else:
        whole_percents = min(99, max(1, round(100 * part / whole)))
    return f"{whole_percents}\N{NO-BREAK SPACE}%"


def moment(text: str) -> str:
    """Return a moment of ISO 8601 to the minute, and what is none as it is."""
    try:
        read = datetime.datetime.fromisoformat(text)
    except ValueError:
        return plain(text)
    return f"{read:%Y-%m-%d %H:%M} {read.tzname() or ''}".strip()
