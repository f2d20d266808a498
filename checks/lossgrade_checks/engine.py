"""Read, parse, follow meanings, collect findings: one file at a time."""

from __future__ import annotations

import functools
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lossgrade_checks.finding import Finding, Fix, Place, Related
from lossgrade_checks.project import Project
from lossgrade_checks.rule import Report, Rule
from lossgrade_checks.source import Source, Unreadable, read_source
from lossgrade_checks.syntax import PythonSyntax

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from lossgrade_checks.fixes import Patch
    from lossgrade_checks.meaning.events import Event
    from lossgrade_checks.meaning.program import Program
    from lossgrade_checks.meaning.values import Site
    from lossgrade_checks.syntax import Syntax

__all__ = ["Project", "check"]


@contextmanager
def _deeply() -> Iterator[None]:
    """Let programs be nested as deep as a sum of thousands of terms is."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, DEEPEST))
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


# The interpreter's own limit, 1000, is met by an `elif` chain of 120 branches. LibCST's parser ends
# the process at about 6,000 attributes in a row; this limit is met before, at about 4,000.
DEEPEST = 8_000


@_deeply()
def check(source: Source, rules: Sequence[type[Rule]], project: Project) -> list[Finding]:
    """Return the findings of `rules` in `source`, in the order in which they stand.

    A program that cannot be parsed gives one finding, LG000.
    """
    active = project.gate.open_for(source, rules)
    syntax: Syntax | None = None
    try:
        program = project.known(source)
        if program is None:
            syntax = _syntax(source)
            program = syntax.program
            project.keep(source, program)
        if not active:
            return []
        reports = _reports(active, source, program, project)
        return _findings(reports, source, syntax or _syntax(source)) if reports else []
    except RecursionError:
        return [_unparsed(source, "nested too deeply to be followed: split the expression", 1, 1)]
    except SyntaxError as error:
        # Python's parser says best where and why.
        message = f"cannot be parsed: {error.msg}"
        return [_unparsed(source, message, error.lineno or 1, error.offset or 1)]


def _syntax(source: Source) -> Syntax:
    """Return the syntax of a program, which may be of a newer Python than the one that runs.

    Raises:
        SyntaxError: Python's parser cannot parse it, nor can LibCST's.
    """
    try:
        return PythonSyntax(source.text)
    except SyntaxError as error:
        if str(error.msg).startswith(REFUSED):
            raise
        import libcst as cst

        from lossgrade_checks.syntax import LibcstSyntax

        try:
            return LibcstSyntax(source.text)
        except (cst.ParserSyntaxError, cst.CSTValidationError):
            raise error from None


# What no Python takes. LibCST would follow the brackets until its stack is full, and the process
# ends; a null byte it reads on.
REFUSED = ("too many nested", "source code string cannot contain null bytes")


def _unparsed(source: Source, message: str, row: int, column: int) -> Finding:
    lines = source.text.split("\n")
    row = max(1, min(row, len(lines)))
    offset = sum(len(line) + 1 for line in lines[: row - 1])
    offset += max(0, min(column - 1, len(lines[row - 1])))
    return Finding("LG000", "syntax-error", message, "error", source.place(offset, offset))


def _reports(
    rules: Sequence[type[Rule]], source: Source, program: Program, project: Project
) -> list[tuple[Rule, Report, int]]:
    """Return what the rules report in this file, each with the part of it where that stands."""
    from lossgrade_checks.meaning.follow import follow

    made = [rule() for rule in rules]
    listeners: dict[str, list[tuple[Rule, Callable[[Event], Iterable[Report]]]]] = {
        kind: [
            (rule, getattr(rule, method))
            for rule in made
            if getattr(type(rule), method) is not getattr(Rule, method)
        ]
        for kind, method in HANDLERS.items()
    }
    path = str(source.path)
    events = follow(project, path, program)
    reports = [
        (rule, report)
        for event in events
        for rule, listen in listeners[type(event).__name__]
        for report in listen(event)
    ]
    reports += [(rule, report) for rule in made for report in rule.finish()]
    return [
        (rule, report, number)
        for rule, report in reports
        if (number := _stands_at(path, report, events)) is not None
    ]


# The method of a rule that is called for each kind of event.
HANDLERS = {
    "LossCall": "loss",
    "Activation": "activation",
    "Construction": "construction",
    "Logarithm": "logarithm",
    "NegativeLog": "negative_log",
    "Quotient": "quotient",
    "Difference": "difference",
    "Pick": "pick",
    "Backward": "backward",
}


def _findings(
    reports: Sequence[tuple[Rule, Report, int]], source: Source, syntax: Syntax
) -> list[Finding]:
    """Return a finding for each place where something is reported."""
    places = _Places(source, syntax)
    fixes = _Fixes(reports, source, syntax)
    found: dict[tuple[str, int], Finding] = {}
    for rule, report, number in reports:
        finding = _finding(rule, report, number, places, fixes)
        known = found.get((rule.code, number))
        # Reached on several ways, it is certain if one of them is.
        if known is None or (known.certainty == "likely" and finding.certainty == "certain"):
            found[rule.code, number] = finding
    return sorted(found.values(), key=lambda f: (f.place.cell or 0, *f.place[2:4], f.code))


class _Fixes:
    """Builds the fixes of one file; LibCST parses what the first of them needs."""

    def __init__(
        self, reports: Sequence[tuple[Rule, Report, int]], source: Source, syntax: Syntax
    ) -> None:
        self._path = path = str(source.path)
        self._syntax = syntax
        self._numbers: Iterable[int] = {
            site.number
            for _, report, _ in reports
            if report.fix is not None
            for site in (report.event.site, *(site for _, site in report.related))
            if site.path == path and site.number >= 0
        }

    @functools.cached_property
    def _patch(self) -> Patch | None:
        return self._syntax.patch(self._path, self._numbers)

    def of(self, report: Report) -> Fix | None:
        """Return the fix of a report, or None."""
        if report.fix is None or report.event.site.path != self._path or self._patch is None:
            return None
        from lossgrade_checks.fixes import NotParsed

        try:
            return self._patch.checked(report.fix(self._patch))
        except NotParsed:
            self._numbers = range(self._syntax.program.size)
            del self._patch
            return self.of(report)


def _stands_at(path: str, report: Report, events: Sequence[Event]) -> int | None:
    """Return the part of the linted file at which a finding stands, or None.

    It stands at the event; where that is in another file, at the call that leads there.
    """
    event = report.event
    here = [site for site in event.calls if site.path == path and site.number >= 0]
    if event.site.path == path and event.site.number >= 0:
        return event.site.number
    if report.local:
        return None
    related = [site for _, site in report.related]
    for site in related:
        if site.path == path and site.number >= 0:
            return here[-1].number if here else site.number
    if not here or (related and not any(_made_outside(here[-1], s, events) for s in related)):
        return None
    return here[-1].number


def _made_outside(call: Site, site: Site, events: Sequence[Event]) -> bool:
    """Whether what happens at `site`, in another file, happens without `call` of this file.

    Where one call leads to both the activation and the loss, the mistake is in the file that it
    leads to, and is reported there.
    """
    return any(event.site == site and call not in event.calls for event in events)


def _finding(rule: Rule, report: Report, number: int, places: _Places, fixes: _Fixes) -> Finding:
    event = report.event
    related = [
        Related(message, place)
        for message, site in report.related
        if (place := places.of(site)) is not None
    ]
    if event.site.path != places.path and (place := places.of(event.site)) is not None:
        related.append(Related("it happens here", place))
    return Finding(
        rule.code,
        rule.name,
        report.message,
        report.severity or rule.severity,
        places.here(number),
        tuple(related),
        fixes.of(report),
        "likely" if event.likely or report.likely else "certain",
    )


class _Places:
    """The places of sites, in the linted file and in others."""

    def __init__(self, source: Source, syntax: Syntax) -> None:
        self.path = str(source.path)
        self._source = source
        self._syntax = syntax
        self._others: dict[str, _Places | None] = {}

    def here(self, number: int) -> Place:
        """Return the place of a part of this file."""
        return self._source.place(*self._syntax.span(number))

    def of(self, site: Site) -> Place | None:
        """Return the place of a part of any file; None when that can no longer be read."""
        if site.number < 0:
            return None
        if site.path == self.path:
            return self.here(site.number)
        if site.path not in self._others:
            self._others[site.path] = _read_places(Path(site.path))
        other = self._others[site.path]
        return other.here(site.number) if other is not None else None


def _read_places(path: Path) -> _Places | None:
    """Return the places of an imported file, which is parsed again for it."""
    try:
        source = read_source(path, path.read_bytes())
        return _Places(source, PythonSyntax(source.text))
    except (OSError, Unreadable, SyntaxError, RecursionError):
        return None
