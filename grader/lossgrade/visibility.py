"""Who is told what of a criterion that is not visible: the one place where texts are withheld.

`hidden`: nobody is told why it failed, neither input nor value, in any output; an instructor asks
for it with `--lossgrade-show-hidden`. `after_due_date` and `after_published`: the record and
Gradescope's file have the message, since Gradescope itself keeps it back until then; what is read
at once has none: the terminal, JUnit XML, Markdown, HTML, and what GitHub Classroom, PrairieLearn
and classroom50 are given, none of which keeps anything back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lossgrade.language import say

if TYPE_CHECKING:
    from lossgrade.result import CriterionRecord, Result

# Reports that another program reads, and keeps back from students what is not visible yet.
KEPT_BACK = frozenset({"json", "gradescope"})


def withheld(record: CriterionRecord) -> CriterionRecord:
    """Return the record of a criterion without a word on why it failed, unless it passed."""
    if record.outcome == "passed":
        return record
    if record.visibility == "hidden" and record.outcome == "failed":
        text = say("a hidden criterion failed")
    elif record.visibility == "hidden":
        text = say("a hidden criterion was not graded")
    elif record.outcome == "failed":
        text = say("a criterion that is shown later failed")
    else:
        text = say("a criterion that is shown later was not graded")
    bare = {"message": text, "hint": "", "counterexample": None, "diagnosis": None}
    return record.model_copy(update=bare)


def stored(record: CriterionRecord) -> CriterionRecord:
    """Return what the record of a result may hold, where no instructor asks for more."""
    return withheld(record) if record.visibility == "hidden" else record


def at_once(record: CriterionRecord) -> CriterionRecord:
    """Return what may be read at once."""
    return record if record.visibility == "visible" else withheld(record)


def immediate(result: Result) -> Result:
    """Return the result as it may be read at once.

    The seed goes too where something is not visible: it draws the inputs of all criteria again.
    """
    if all(c.visibility == "visible" for c in result.criteria):
        return result
    criteria = [at_once(criterion) for criterion in result.criteria]
    return result.model_copy(update={"criteria": criteria, "seed": ""})
