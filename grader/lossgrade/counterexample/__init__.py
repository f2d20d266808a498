"""The smallest input on which a function is wrong, with the arithmetic of what is right.

Hypothesis is imported at the first search: a submission without a failure does not pay for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from lossgrade.probe import Probe
    from lossgrade.result import CounterexampleRecord

# Criteria that no value explains: the result is right, but of another kind.
WITHOUT_VALUES = frozenset(
    {"keeps_library", "float_result", "integer_result", "input_unchanged", "gradient",
     "large_logits_gradient"}
)  # fmt: skip


def find_counterexample(
    probe: Probe, key: str, seconds: float, *, failed: Collection[str] = ()
) -> CounterexampleRecord | None:
    """Return the smallest input found on which the function `key` is wrong, if there is one.

    The same one every time for a function that has no memory and does not draw at random.

    Args:
        probe: whose trials are asked for.
        key: the function, as the assignment calls it.
        seconds: after which no further call is made.
        failed: the names of criteria that it failed, those of the student's that may be told of;
            they say where to search. Without them everything is searched.
    """
    if failed and WITHOUT_VALUES.issuperset(failed):
        return None
    from lossgrade.counterexample.search import search

    return search(probe, key, seconds, frozenset(failed))
