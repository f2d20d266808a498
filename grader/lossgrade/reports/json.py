"""The result record itself, as `lossgrade/result/v1` describes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lossgrade.result import Result


def render(result: Result) -> str:
    """Return the record as JSON."""
    return result.to_json()
