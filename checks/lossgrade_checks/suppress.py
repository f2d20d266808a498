"""Which findings a comment in the program silences.

`# noqa` silences every finding whose first or last row it stands in, `# noqa: LG101, LG102` those
of these codes. A code is written out: `LG1` names nothing. `# lossgrade: noqa`, in a row of its
own, silences a whole file (or notebook), `# lossgrade: noqa: LG403` a code in it. `# flake8: noqa`
and `# ruff: noqa` do the same to all linters, so the codes that they list silence ours only where
they are ours. A syntax error cannot be silenced: the file could not be read, and nothing is known.
"""

from __future__ import annotations

import io
import re
import tokenize
from typing import TYPE_CHECKING, NamedTuple

from lossgrade_checks.source import SYNTAX_ERROR

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lossgrade_checks.finding import Finding
    from lossgrade_checks.source import Source

_NOQA = re.compile(
    r"#\s*(?P<file>(?:lossgrade|flake8|ruff)\s*:\s*)?noqa(?![\w-])"
    r"(?:\s*(?P<colon>:)\s*(?P<codes>[a-z]+[0-9]+(?:[\s,]+[a-z]+[0-9]+)*)?)?",
    re.IGNORECASE,
)
# What `noqa` without codes silences.
_ALL = frozenset({"ALL"})


class _Comments(NamedTuple):
    """The codes silenced in the whole file, and those of each row, by cell and row."""

    everywhere: frozenset[str]
    rows: dict[tuple[int | None, int], frozenset[str]]


def not_suppressed(source: Source, findings: Sequence[Finding]) -> list[Finding]:
    """Return those of the findings in `source` that no comment silences."""
    if "noqa" not in source.text.lower() or not any(f.code != SYNTAX_ERROR for f in findings):
        return list(findings)
    comments = _comments(source)
    return [f for f in findings if f.code == SYNTAX_ERROR or not _silenced(f, comments)]


def _silenced(finding: Finding, comments: _Comments) -> bool:
    place = finding.place
    found = comments.everywhere
    for row in (place.row, place.end_row):
        found = found | comments.rows.get((place.cell, row), frozenset())
    return finding.code in found or not _ALL.isdisjoint(found)


def _comments(source: Source) -> _Comments:
    everywhere: frozenset[str] = frozenset()
    rows: dict[tuple[int | None, int], frozenset[str]] = {}
    for comment in _tokens(source.text):
        for noqa in _NOQA.finditer(comment.string):
            codes = _codes(noqa)
            if not noqa["file"]:
                offset = source.offset(comment.start[0], comment.start[1] + 1)
                place = source.place(offset, offset)
                at = place.cell, place.row
                rows[at] = rows.get(at, frozenset()) | codes
            elif not comment.line[: comment.start[1]].strip():
                everywhere |= codes
    return _Comments(everywhere, rows)


def _codes(noqa: re.Match[str]) -> frozenset[str]:
    if noqa["codes"]:
        return frozenset(re.split(r"[\s,]+", noqa["codes"].upper()))
    # A colon that no code follows names nothing, as ruff has it; flake8 silences everything.
    return frozenset() if noqa["colon"] else _ALL


def _tokens(text: str) -> Iterator[tokenize.TokenInfo]:
    """Yield the comments of a program; of one that Python cannot read, those before the fault."""
    # newline="" leaves "\\r" as it is, so it is made "\\n" here, in the same number of rows.
    readable = io.StringIO(text.replace("\r\n", "\n").replace("\r", "\n"))
    try:
        for token in tokenize.generate_tokens(readable.readline):
            if token.type == tokenize.COMMENT:
                yield token
    except (tokenize.TokenError, SyntaxError):
        return
