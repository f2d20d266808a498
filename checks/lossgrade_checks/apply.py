"""Apply fixes: all that do not touch each other, then lint again, until nothing is left to fix."""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, NamedTuple

from lossgrade_checks.source import Unreadable, read_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lossgrade_checks.finding import Applicability, Edit, Finding, Fix
    from lossgrade_checks.lint import Linted
    from lossgrade_checks.source import Source

# Fixes that touch each other wait for the next round. A round for each of some dozen imports
# that must be added, one by one, is the most that was thought of.
ROUNDS = 50


class FixFailed(Exception):
    """A fix is wrong: it leaves no program, or the fixes never come to an end."""


class Fixed(NamedTuple):
    """A file after its fixes: what is left in it, and how many of each code were fixed."""

    data: bytes
    linted: Linted
    counts: collections.Counter[str]


def fix(
    data: bytes, linted: Linted, lint: Callable[[Source], Linted], level: Applicability
) -> Fixed:
    """Return the content of a file after the fixes of `level` or safer.

    Args:
        data: the content of the file.
        linted: its findings.
        lint: finds them in what the fixes have made.
        level: "safe" for safe fixes alone.
    Raises:
        FixFailed: a fix leaves a file that cannot be read, or there is no end to them.
        Unwritable: the file's encoding cannot take a fix.
    """
    count: collections.Counter[str] = collections.Counter()
    unreadable = linted.unreadable
    seen = {data}
    for _ in range(ROUNDS):
        chosen = apart(linted.findings, level)
        if not chosen:
            return Fixed(data, linted, count)
        codes = ", ".join(sorted({finding.code for finding in chosen}))
        data = linted.source.with_edits([edit for each in chosen for edit in _edits(each)])
        if data in seen:
            raise FixFailed(f"the fixes of {codes} undo each other")
        seen.add(data)
        try:
            linted = lint(read_source(linted.source.path, data))
        except Unreadable as error:
            raise FixFailed(f"the fix of {codes} leaves what cannot be read: {error}") from error
        if linted.unreadable > unreadable:
            raise FixFailed(f"the fix of {codes} leaves what cannot be parsed")
        count.update(finding.code for finding in chosen)
    raise FixFailed(f"the fixes of {codes} have not come to an end after {ROUNDS} rounds")


def applicable(found: Fix | None, level: Applicability) -> bool:
    """Say whether there is a fix and `level` allows it."""
    return found is not None and (found.applicability == "safe" or level == "unsafe")


def apart(findings: Iterable[Finding], level: Applicability) -> list[Finding]:
    """Return findings whose fixes are allowed and do not touch each other, the first ones first."""
    chosen: list[Finding] = []
    taken: list[Edit] = []
    for finding in findings:
        edits = _edits(finding)
        if not applicable(finding.fix, level) or not edits:
            continue
        if not any(_touch(edit, other) for edit in edits for other in taken):
            chosen.append(finding)
            taken += edits
    return chosen


def _edits(finding: Finding) -> tuple[Edit, ...]:
    return finding.fix.edits if finding.fix else ()


def _touch(one: Edit, other: Edit) -> bool:
    """Say whether two edits overlap, or one inserts where the other stands.

    Two fixes that insert the same import thus do so in two rounds, of which the second finds it.
    """
    if one.start == one.end or other.start == other.end:
        return one.start <= other.end and other.start <= one.end
    return one.start < other.end and other.start < one.end
