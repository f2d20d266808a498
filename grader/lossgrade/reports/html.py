"""Feedback for one student as one HTML file: no script, nothing from elsewhere, pictures inside.

What students and their files say is escaped by the template engine, and isolated where it could
turn the direction of writing; the page forbids scripts on top.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup, escape

from lossgrade.language import say
from lossgrade.reports.feedback import (
    besides_line,
    chosen,
    failed_besides,
    is_shown,
    joined,
    lost_points,
    unshown,
    worked,
)
from lossgrade.reports.summary import points, sandbox_line, total_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lossgrade.reports.feedback import Feedback
    from lossgrade.result import CriterionRecord, Result

TEMPLATES = Path(__file__).parent / "templates"
_SIGN = {"passed": "✓", "failed": "✗", "not-graded": "?"}
_CLASS = {"passed": "full", "failed": "part", "not-graded": "soft"}


def render(result: Result) -> str:
    """Return the page."""
    feedback = chosen(result)
    result, mend = feedback.result, feedback.mend
    return _template().render(
        feedback=feedback,
        result=result,
        mend=mend,
        language=result.language,
        title=result.assignment.title or result.assignment.name,
        total=total_line(result),
        works=worked(feedback.works),
        rows=[
            {"name": name, "full": part.score == part.max_score, "worth": _worth(part)}
            for name, part in result.functions.items()
        ],
        penalty=f"-{points(result.penalty)}" if result.penalty else "",
        ungraded=": ".join(
            filter(None, (*feedback.ungraded[:1], "; ".join(feedback.ungraded[1:])))
        ),
        mend_lost=lost_points(mend.lost) if mend else "",
        reread=say("Read again: {source}", source=mend.reread) if mend and mend.reread else "",
        besides=[*map(besides_line, mend.besides), *filter(None, [failed_besides(mend)])]
        if mend
        else [],
        pictures=_pictures(feedback),
        sections=[each for each in _sections(feedback) if each["lines"]],
        parts=list(_parts(result)),
        footer=sandbox_line(result)
        + (f"; {say('seed {seed}', seed=result.seed)}" if result.seed else ""),
        words={
            "points": say("points"),
            "function": say("function"),
            "found": say("what the linter found"),
            "mend": say("Mend this first"),
            "example": say("The smallest input found on which it is wrong, to check by hand"),
            "input": say("input"),
            "yours": say("yours"),
            "expected": say("expected"),
            "everything": say("Everything"),
        },
    )


@functools.cache
def _template() -> jinja2.Template:
    made = environment()
    made.filters |= {"plain": _plain, "rich": lambda text: with_code(_plain(text))}
    return made.get_template("feedback.html")


def environment() -> jinja2.Environment:
    """Return a fresh environment of the pages' templates: what is put in is escaped."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def with_code(text: str) -> Markup:
    """Return text with what stands between backticks in code type, everything else as text."""
    pieces = re.split(r"`([^`\n]+)`", text)
    return Markup("").join(
        Markup("<code>{}</code>").format(piece) if place % 2 else escape(piece)
        for place, piece in enumerate(pieces)
    )


def _plain(text: str) -> str:
    return " ".join(text.split())


def _pictures(feedback: Feedback) -> list[dict[str, Any]]:
    """Return the pictures that can be drawn; without one the page is a page all the same."""
    drawn = []
    for chart in feedback.charts:
        try:
            from lossgrade.reports import pictures

            # Made by matplotlib from numbers; its texts are escaped there.
            drawn.append({"title": chart.title, "svg": Markup(pictures.svg(chart))})  # noqa: S704
        except Exception:  # noqa: S112 - of matplotlib, which may not even be installed
            continue
    return drawn


def _sections(feedback: Feedback) -> Iterator[dict[str, Any]]:
    rest = [
        say(
            "`{function}` ({lost}): {says}",
            function=mend.function,
            lost=lost_points(mend.lost),
            says=joined(mend.says, mend.fix, *mend.causes),
        )
        for mend in feedback.rest
    ]
    yield {"heading": say("Then"), "lines": rest}
    yield {"heading": say("Taken off"), "lines": feedback.penalties}
    yield {"heading": say("Found in your code"), "lines": feedback.findings}
    yield {"heading": say("Your own conventions"), "lines": feedback.conventions}
    yield {"heading": say("Advice, no points lost"), "lines": feedback.advice}
    yield {"heading": say("While the file ran"), "lines": feedback.result.notes}


def _parts(result: Result) -> Iterator[dict[str, Any]]:
    for name, part in result.functions.items():
        shown = [c for c in result.criteria if c.function == name and is_shown(c)]
        hidden = sum(c.function == name for c in result.criteria) - len(shown)
        yield {
            "name": name,
            "worth": _worth(part),
            "lines": _lines(shown),
            "hidden": unshown(hidden) if hidden else "",
        }


def _lines(criteria: Sequence[CriterionRecord]) -> list[dict[str, str]]:
    """Return the lines of one function; what several criteria say is said once."""
    lines, said = [_line(criterion) for criterion in criteria], set[str]()
    for line in lines:
        line["message"] = "" if line["message"] in said else line["message"]
        said.add(line["message"])
    return lines


def _line(criterion: CriterionRecord) -> dict[str, str]:
    worth = say(
        "{score} of {most}", score=points(criterion.score), most=points(criterion.max_score)
    )
    if criterion.advice:
        worth = say(
            "bonus {score} of {most}",
            score=points(criterion.bonus),
            most=points(criterion.max_bonus),
        )
    told = criterion.outcome != "passed" and criterion.message
    return {
        "sign": _SIGN[criterion.outcome],
        "class": _CLASS[criterion.outcome],
        "title": criterion.title,
        "worth": worth,
        "message": joined(criterion.message, criterion.hint) if told else "",
    }


def _worth(part: Any) -> str:
    worth = say("{score} of {most}", score=points(part.score), most=points(part.max_score))
    return worth + say("  + {bonus} bonus", bonus=points(part.bonus)) if part.bonus else worth
