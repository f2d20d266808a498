"""The linter's precision by rule: what `lint_precision.csv` says of findings read by hand.

Precision is true / (true + false); what is debatable counts as neither.

    python benchmarks/lint_precision.py [CSV]
"""

from __future__ import annotations

import csv
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

TABLE = Path(__file__).with_name("lint_precision.csv")
SETS = ("held-out", "tuning")
VERDICTS = ("true", "false", "debatable")

# How many findings of a set and a rule got which verdict.
Counts = Counter[tuple[str, str, str]]


def read(path: Path) -> Counts:
    """Count the findings of a table by set, rule and verdict.

    Raises:
        ValueError: a row names another set or verdict than there are.
    """
    with path.open(newline="", encoding="utf-8") as file:
        counts = Counter((row["set"], row["rule"], row["verdict"]) for row in csv.DictReader(file))
    for name, _, verdict in counts:
        if name not in SETS or verdict not in VERDICTS:
            raise ValueError(f"{path}: found {name!r} and {verdict!r}")
    return counts


def cells(counts: Counts, name: str, rules: Iterable[str]) -> list[str]:
    """Return the three counts of a set in `rules`, and the precision."""
    true, false, debatable = (sum(counts[name, rule, it] for rule in rules) for it in VERDICTS)
    precision = f"{true / (true + false):.1%}" if true + false else "-"
    return [str(true), str(false), str(debatable), precision]


def table(counts: Counts) -> Iterator[str]:
    """Yield the lines of a Markdown table: one for each rule, and one for all."""
    rules = sorted({rule for _, rule, _ in counts})
    heads = [f"{name}: true" for name in SETS]
    yield "| rule | " + " | ".join(f"{h} | false | debatable | precision" for h in heads) + " |"
    yield "|---|" + "---:|" * 4 * len(SETS)
    for title, chosen in [*((rule, [rule]) for rule in rules), ("all", rules)]:
        row = [title, *(cell for name in SETS for cell in cells(counts, name, chosen))]
        yield "| " + " | ".join(row) + " |"


if __name__ == "__main__":
    print("\n".join(table(read(Path(sys.argv[1]) if len(sys.argv) > 1 else TABLE))))
