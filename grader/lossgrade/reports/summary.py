"""How reports write points and isolation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lossgrade.language import say

if TYPE_CHECKING:
    from lossgrade.result import Result


def points(value: float) -> str:
    """Return points as people write them: 2.5, not 2.50; 30, not 30.0."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def total_line(result: Result) -> str:
    """Return the points of the whole submission, in words."""
    of = {"score": points(result.score), "most": points(result.max_score)}
    if not result.max_bonus:
        return say("{score} of {most} points", **of)
    return say(
        "{score} of {most} points, and {bonus} of {most_bonus} bonus points",
        **of,
        bonus=points(result.bonus),
        most_bonus=points(result.max_bonus),
    )


def sandbox_line(result: Result) -> str:
    """Return one line on the isolation: its level, and the layers that are off."""
    if not result.sandbox.layers:
        return say("isolation: the submission was not run")
    off = [f"{layer.name}: {layer.note}" for layer in result.sandbox.layers if not layer.on]
    if not off:
        return say("isolation: {level}", level=result.sandbox.level)
    return say("isolation: {level} (off: {off})", level=result.sandbox.level, off="; ".join(off))
