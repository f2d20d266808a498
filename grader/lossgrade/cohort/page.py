"""The class on one page: report.html, for instructors.

One file that needs no network. What students wrote (names, files, messages) is hostile input: the
template engine escapes it, the table's script sets it as text alone, and a content security policy
allows that one script, by its hash, and nothing else.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

from markupsafe import Markup

from lossgrade.cohort import tally
from lossgrade.cohort.page_table import STATUS_NAMES, table
from lossgrade.cohort.page_text import link, moment, name, percent, plain, rich
from lossgrade.findings import SENTENCES
from lossgrade.reports.html import TEMPLATES, environment
from lossgrade.reports.summary import points

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import jinja2

    from lossgrade.cohort.graded import GradedCohort, Row

# So that the page of 10,000 students stays quick to open; the table has the rest.
LISTED_GROUPS = 50
LISTED_MEMBERS = 30
EXAMPLES = 3

_VISIBILITY = {
    "hidden": "hidden",
    "after_due_date": "shown after the due date",
    "after_published": "shown once published",
}


def render(cohort: GradedCohort) -> str:
    """Return the page."""
    rows = tally.newest(cohort.rows)
    graded = tally.graded(rows)
    functions = tally.by_function(cohort.lines, graded)
    groups = tally.equal_outputs(graded)
    marks = tally.marks(graded)
    return _template().render(
        cohort=cohort,
        title=cohort.title or cohort.assignment,
        graded_at=moment(cohort.graded_at),
        students=len(rows),
        earlier=len(cohort.rows) - len(rows),
        graded=len(graded),
        statuses={STATUS_NAMES[each]: count for each, count in tally.statuses(rows).items()},
        marks=marks,
        bars=_bars(marks.bins),
        functions=list(_functions(functions)),
        misconceptions=list(_frequencies(tally.misconceptions(graded), graded, cohort.feedback)),
        findings=list(_frequencies(tally.findings(graded), graded, cohort.feedback)),
        sentences=SENTENCES,
        groups=list(_groups(groups, cohort.feedback)),
        table=table(cohort, groups, [line for each in functions for line, _ in each.passed]),
    )


@functools.cache
def _template() -> jinja2.Template:
    made = environment()
    made.filters |= {"plain": plain, "rich": rich, "points": points, "percent": percent}
    script = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    made.globals |= {
        # Ours, and it has to arrive as it was hashed.
        "script": Markup(script),  # noqa: S704
        "script_hash": f"sha256-{digest}",
    }
    return made.get_template("report.html")


def _bars(bins: Sequence[int]) -> list[dict[str, Any]]:
    """Return the bars of the histogram; the last is that of full marks."""
    ranges = [f"{10 * low} % to below {10 * low + 10} %" for low in range(len(bins) - 1)]
    return [
        {"range": stretch, "count": count}
        for stretch, count in zip([*ranges, "100 %"], bins, strict=True)
    ]


def _functions(functions: Iterable[tally.FunctionTally]) -> Iterator[dict[str, Any]]:
    first = 0
    for each in functions:
        places = range(first, first + len(each.passed))
        first = places.stop
        yield {
            "name": each.function,
            "full": each.full,
            "places": " ".join(map(str, places)),
            "criteria": [
                {
                    "place": place,
                    "title": line.title or line.id,
                    "worth": line.max_score,
                    "visibility": _VISIBILITY.get(line.visibility, ""),
                    "passed": passed,
                }
                for place, (line, passed) in zip(places, each.passed, strict=True)
            ],
        }


class Member(NamedTuple):
    """Who handed in a submission, and where its feedback lies, if anywhere."""

    names: tuple[str, ...]
    link: str | None


def _member(rows: Sequence[Row], feedback: Mapping[str, str]) -> Member:
    return Member(tuple(map(name, rows)), link(rows[0], feedback))


def _frequencies(
    found: Iterable[tally.Frequency], graded: Sequence[tally.Graded], feedback: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    for each in found:
        yield {
            "name": each.name,
            "count": len(each.rows),
            "share": percent(len(each.rows), len(graded)),
            "examples": [_member([row], feedback) for row in each.rows[:EXAMPLES]],
        }


def _groups(
    groups: Sequence[tally.EqualOutputs], feedback: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """Yield the groups that no misconception explains, and then those that one does."""
    for explained in (False, True):
        kind = [each for each in groups if bool(each.misconception) == explained]
        yield {
            "explained": explained,
            "unlisted": len(kind[LISTED_GROUPS:]),
            "listed": [
                {
                    "number": each.number,
                    "function": each.function,
                    "misconception": each.misconception,
                    "size": len(each.submissions),
                    "members": [
                        _member(rows, feedback) for rows in each.submissions[:LISTED_MEMBERS]
                    ],
                }
                for each in kind[:LISTED_GROUPS]
            ],
        }
