"""JUnit XML: a test suite for each submission, a test case for each criterion."""

from __future__ import annotations

import datetime
import re
from collections import Counter
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from lossgrade.reports.feedback import penalties, printable
from lossgrade.reports.lines import explanation
from lossgrade.reports.summary import points

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from lossgrade.result import CriterionRecord, Result

# Characters that no XML file can hold, not even escaped.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAGS = {"failed": "failure", "not-graded": "error"}


def render(result: Result) -> str:
    """Return the XML file of one result."""
    return "".join(_file([result]))


def write_all(path: Path, results: Iterable[Result]) -> None:
    """Write one file for many submissions, whole or not at all; one result is in memory at a time.

    Raises:
        OSError: the file cannot be written.
    """
    from lossgrade.reports import shown, write_atomically

    write_atomically(path, _file(shown("junit", result) for result in results))


def _file(results: Iterable[Result]) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="utf-8"?>\n<testsuites name="lossgrade">\n'
    for result in results:
        yield _suite(printable(result))
    yield "</testsuites>\n"


def _suite(result: Result) -> str:
    cases = [_case(result, criterion) for criterion in result.criteria]
    cases += [_finding(result, line) for line in penalties(result)]
    counts = Counter(tag for tag, _ in cases)
    moment = datetime.datetime.fromisoformat(result.started_at).astimezone(datetime.UTC)
    told = {
        "assignment": result.assignment.name,
        "outcome": result.outcome,
        "score": points(result.score),
        "max_score": points(result.max_score),
        "bonus": points(result.bonus),
        "max_bonus": points(result.max_bonus),
        "penalty": points(result.penalty),
    }
    attributes = _attributes(
        name=result.submission.id,
        tests=len(cases),
        failures=counts["failure"],
        errors=counts["error"],
        skipped=counts["skipped"],
        time=f"{result.duration_s:.3f}",
        # Without a zone, which some readers refuse; it is UTC.
        timestamp=moment.strftime("%Y-%m-%dT%H:%M:%S"),
    )
    properties = [f"<property{_attributes(name=k, value=v)}/>\n" for k, v in told.items()]
    return "".join(
        [
            f"<testsuite{attributes}>\n<properties>\n",
            *properties,
            "</properties>\n",
            *(text for _, text in cases),
            "</testsuite>\n",
        ]
    )


def _case(result: Result, criterion: CriterionRecord) -> tuple[str, str]:
    """Return the tag that tells how a criterion ended, empty for a pass, and its test case."""
    named = _attributes(
        classname=f"{result.submission.id}.{criterion.function}",
        name=criterion.id.removeprefix(f"{criterion.function}."),
    )
    if criterion.outcome == "passed":
        return "", f"<testcase{named}/>\n"
    why = explanation(criterion)
    if criterion.advice:
        return "skipped", _ended(named, "skipped", why)
    tag = _TAGS[criterion.outcome]
    lost = f"{points(criterion.score)}/{points(criterion.max_score)}"
    return tag, _ended(named, tag, why, f"{criterion.title} ({lost})\n{why}", criterion.kind)


def _finding(result: Result, line: str) -> tuple[str, str]:
    """Return a test case for a finding that cost points."""
    named = _attributes(classname=f"{result.submission.id}.findings", name=line)
    return "failure", _ended(named, "failure", line, kind="finding")


def _ended(named: str, tag: str, message: str, text: str = "", kind: str = "advice") -> str:
    why = _attributes(type=kind, message=message)
    return f"<testcase{named}><{tag}{why}>{escape(_allowed(text))}</{tag}></testcase>\n"


def _attributes(**values: object) -> str:
    return "".join(f" {name}={quoteattr(_allowed(str(each)))}" for name, each in values.items())


def _allowed(text: str) -> str:
    """Return a text with what XML cannot hold written as in Python: `\\u0000`."""
    return _FORBIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
