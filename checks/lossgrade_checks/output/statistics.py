"""How often each code was found: a table, or as JSON `[{code, name, count, fixable, severity}]`."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from lossgrade_checks.apply import applicable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lossgrade_checks.files import Report


def render(reports: Sequence[Report], *, as_json: bool = False) -> str:
    """Return the counts, the most frequent code first. `fixable` counts the safe fixes."""
    count = Counter(report.finding.code for report in reports)
    fixable = Counter(r.finding.code for r in reports if applicable(r.finding.fix, "safe"))
    known = {report.finding.code: report.finding for report in reports}
    rows = sorted(count, key=lambda code: (-count[code], code))
    if as_json:
        items = [
            {
                "code": code,
                "name": known[code].name,
                "count": count[code],
                "fixable": fixable[code],
                "severity": known[code].severity,
            }
            for code in rows
        ]
        return json.dumps(items, indent=2) + "\n"
    width = max((len(str(number)) for number in count.values()), default=0)
    return "".join(
        f"{count[code]:>{width}}  {code}  [{'*' if fixable[code] else ' '}]  {known[code].name}\n"
        for code in rows
    )
