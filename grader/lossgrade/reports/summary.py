"""What a person should read first, chosen from a result: shared by the readable reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lossgrade.result import CriterionRecord, Result

# A wrong value explains more than a broken law, and a broken law more than a breach.
_ORDER = ("test", "values", "law", "contract", "robust")


def to_mend(
    result: Result, visibilities: Sequence[str] | None = None
) -> list[tuple[CriterionRecord, int]]:
    """Return for each function what to mend first, and how many more of it failed.

    Functions that lost most points come first.

    Args:
        result: the result.
        visibilities: which criteria may be shown; default all.
    """
    lost: dict[str, list[CriterionRecord]] = {}
    for criterion in result.criteria:
        shown = visibilities is None or criterion.visibility in visibilities
        if criterion.outcome == "failed" and not criterion.advice and shown:
            lost.setdefault(criterion.function, []).append(criterion)
    groups = sorted(lost.values(), key=lambda group: -sum(c.max_score for c in group))
    chosen = []
    for group in groups:
        # A hint says more than none, and the lecture's own example is the one students know.
        first = min(
            group, key=lambda c: (_ORDER.index(c.kind), not c.hint, ".lecture_" not in c.id)
        )
        chosen.append((first, len(group) - 1))
    return chosen


def advice(result: Result, visibilities: Sequence[str] | None = None) -> list[CriterionRecord]:
    """Return the failed criteria that cost no points, of functions that are right otherwise."""
    right = {name for name, part in result.functions.items() if part.score == part.max_score}
    return [
        c
        for c in result.criteria
        if c.outcome == "failed"
        and c.advice
        and c.function in right
        and (visibilities is None or c.visibility in visibilities)
    ]


def told(criterion: CriterionRecord) -> str:
    """Return what went wrong, in one line that also says what was tested."""
    if criterion.kind == "test" and criterion.message:
        return f"{criterion.title}: {criterion.message}"
    return criterion.message or criterion.title


def points(value: float) -> str:
    """Return points as people write them: 2.5, not 2.50; 30, not 30.0."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def sandbox_line(result: Result) -> str:
    """Return one line on the isolation: its level, and the layers that are off."""
    if not result.sandbox.layers:
        return "isolation: the submission was not run"
    off = [f"{layer.name}: {layer.note}" for layer in result.sandbox.layers if not layer.on]
    text = f"isolation: {result.sandbox.level}"
    return f"{text} (off: {'; '.join(off)})" if off else text
