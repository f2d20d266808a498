"""The findings of one program: read, analysed, and without what its comments silence."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lossgrade_checks.engine import check
from lossgrade_checks.finding import Finding, Place
from lossgrade_checks.prefilter import might_matter
from lossgrade_checks.source import SYNTAX_ERROR, Source, Unreadable
from lossgrade_checks.suppress import not_suppressed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lossgrade_checks.engine import Project
    from lossgrade_checks.rule import Rule


class Linted(NamedTuple):
    """Findings, and the program that the offsets in their fixes refer to."""

    source: Source
    findings: list[Finding]

    @property
    def unreadable(self) -> int:
        """How many parts of the file could not be read: 1 at most, but for notebooks."""
        return sum(finding.code == SYNTAX_ERROR for finding in self.findings)


def lint(source: Source, rules: Sequence[type[Rule]], project: Project) -> Linted:
    """Return the findings in `source`, in the order in which they stand.

    A cell of a notebook that is no Python is one finding, and the others are linted without it.
    """
    if not might_matter(source.text.encode("utf-8", "replace")):
        # So may be a notebook whose outputs held a marker.
        return Linted(source, [unreadable(source, fault) for fault in source.faults])
    findings = check(source, rules, project)
    faults = [unreadable(source, fault) for fault in source.faults]
    if any(finding.code == SYNTAX_ERROR for finding in findings):
        source, findings = _by_cell(source, findings, rules, project)
    findings = [_fixable(source, finding) for finding in not_suppressed(source, findings)]
    findings += faults
    return Linted(source, sorted(findings, key=_standing))


def _standing(finding: Finding) -> tuple[int, int, int, str]:
    place = finding.place
    return place.cell or 0, place.row, place.column, finding.code


def unreadable(source: Source | str, fault: Unreadable) -> Finding:
    """Return the finding for a file, or a part of one, that cannot be read."""
    name = source if isinstance(source, str) else str(source.path)
    place = Place(name, fault.cell, fault.row, fault.column, fault.row, fault.column)
    return Finding(SYNTAX_ERROR, "syntax-error", str(fault), "error", place)


def _by_cell(
    source: Source, findings: list[Finding], rules: Sequence[type[Rule]], project: Project
) -> tuple[Source, list[Finding]]:
    """Return the findings of a notebook without its faulty cells, and those of these cells."""
    from lossgrade_checks.notebook import NotebookSource

    if not isinstance(source, NotebookSource):
        return source, findings
    faults: list[Finding] = []
    for number in source.faulty_cells():
        found = check(source.only({number}), (), project)
        # The parser may know a newer Python than the one that runs it.
        if found:
            faults += found
    if not faults:
        return source, findings
    faulty = {fault.place.cell for fault in faults}
    sound = source.only({cell.number for cell in source.cells} - faulty)
    return sound, check(sound, rules, project) + faults


def _fixable(source: Source, finding: Finding) -> Finding:
    """Return `finding` without its fix if that cannot be written, as in a magic of a notebook."""
    if finding.fix is None or source.editable(finding.fix.edits):
        return finding
    return finding._replace(fix=None)
