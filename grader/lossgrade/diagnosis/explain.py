"""Why a function fails: its misconception, or what is known, its convention, a counter-example."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from lossgrade.conventions import recognise
from lossgrade.counterexample import find_counterexample
from lossgrade.criterion import Failure
from lossgrade.diagnosis.bank import named
from lossgrade.diagnosis.fingerprint import fingerprint
from lossgrade.diagnosis.known import known
from lossgrade.diagnosis.match import ENOUGH, Match, diagnose
from lossgrade.diagnosis.samples import FAMILIES, Sample
from lossgrade.result import Explanation
from lossgrade.sandbox.host import SandboxUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lossgrade.manifest import Graded
    from lossgrade.probe import Probe
    from lossgrade.result import CriterionRecord, DiagnosisRecord

# What a student may see of a function is explained by these kinds of criteria.
OF_VALUES = {"values", "law"}


def explain(
    probe: Probe, key: str, failed: Sequence[Graded], hidden: Sequence[Graded], seconds: float
) -> Explanation:
    """Return all that can be said of a function that failed; nothing of it is scored.

    Args:
        probe: the trials of the submission.
        key: the function.
        failed: its visible criteria that cost points.
        hidden: its criteria that are not visible.
        seconds: for the search of a counter-example.
    """
    spec = probe.assignment.graded.get(key)
    kinds = {line.criterion.kind for line in failed}
    if spec is None or spec.rubric not in FAMILIES or probe.student.timed_out(key):
        return Explanation()
    if OF_VALUES & {line.criterion.kind for line in hidden} and not OF_VALUES & kinds:
        # What it gives for ordinary numbers is for the instructor alone.
        return Explanation()
    convention = recognise(probe, key)
    told = convention.record() if convention is not None else None
    if probe.student.missing(key):
        return Explanation(convention=told)
    names = {line.criterion.name for line in failed}
    # First: it ends with a call in a new process, which is as good as new for the diagnosis where
    # that gave what it gave before.
    counterexample = find_counterexample(probe, key, seconds, failed=names)
    fresh = counterexample is not None and probe.student.has_served_once
    # Wrong formulas overflow and divide by 0; what comes of it is compared, not warned of.
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        match, found = _matched(probe, key, beyond="robust" in kinds, fresh=fresh)
        said = known(probe.trial(key, f"{key}:known"), found) if found and match is None else []
        # Without samples it fails, or gives another result for the same input each time.
        digits = fingerprint(probe, key) if OF_VALUES & kinds and len(found) >= ENOUGH else ""
    chance = match is not None and match.misconception.slug == "random"
    return Explanation(
        diagnosis=match.record() if match is not None else None,
        known=said,
        convention=told,
        counterexample=None if chance else counterexample,
        fingerprint=digits,
    )


def _matched(
    probe: Probe, key: str, *, beyond: bool, fresh: bool
) -> tuple[Match | None, list[Sample]]:
    try:
        with probe.student.trying(key):
            return diagnose(probe.trial(key, f"{key}:diagnosis"), beyond=beyond, fresh=fresh)
    except (Failure, SandboxUnavailable):
        return None, []


# --- which criteria a misconception explains ----------------------------------------------------

# One that shows in how a function behaves explains what is asked of that, and no wrong value.
OF_BEHAVIOUR = {
    "mutates-its-input": {"input_unchanged", "gradient", "no_memory"},
    "breaks-autograd": {"gradient", "keeps_library"},
    "keeps-column-shape": {"result_shape", "number_shape"},
    "labels-in-column": {"result_shape"},
    "int-one-hot": {"float_result"},
    "bool-one-hot": {"float_result"},
    "float-labels": {"integer_result"},
}
OF_CONTAINER = {"keeps_library", "float_result", "integer_result", "gradient", "result_shape"}


def explains(diagnosis: DiagnosisRecord, rubric: str, criterion: CriterionRecord) -> bool:
    """Whether a visible criterion failed because of a misconception.

    Args:
        diagnosis: the function's.
        rubric: of the function.
        criterion: one of its.
    """
    if criterion.outcome != "failed" or criterion.advice or criterion.visibility != "visible":
        return False
    name = criterion.id.partition(".")[2]
    found = named(diagnosis.misconception, rubric)
    if found.slug in OF_BEHAVIOUR:
        return name in OF_BEHAVIOUR[found.slug]
    if found.slug.startswith("returns-") and found.formula is None:
        return name in OF_CONTAINER
    return not found.extreme or criterion.kind == "robust" or name.startswith("ties")
