"""Which rules are on: codes, prefixes and names, from a configuration and the command line."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, NamedTuple

from lossgrade_checks.source import SYNTAX_ERROR

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lossgrade_checks.rule import Rule


class UnknownRule(Exception):
    """What was asked for names no rule."""


class Choice(NamedTuple):
    """What one source of settings says of rules; `select` is None where it says nothing."""

    select: Sequence[str] | None = None
    extend_select: Sequence[str] = ()
    ignore: Sequence[str] = ()


def rules_on(rules: Sequence[type[Rule]], choices: Iterable[Choice]) -> list[type[Rule]]:
    """Return the rules that are on, all where nothing is said.

    A later choice counts for more than an earlier one, and its `select` starts anew. Within one
    choice the longer selector counts for more (`--select LG101 --ignore LG1` leaves LG101 on),
    and of two as long, `ignore`.

    Raises:
        UnknownRule: a selector names none of `rules`.
    """
    on = {rule.code for rule in rules}
    for choice in choices:
        if choice.select is not None:
            on = set()
        wanted = [(s, True) for s in (*(choice.select or ()), *choice.extend_select)]
        wanted += [(s, False) for s in choice.ignore]
        wanted.sort(key=lambda each: _length(each[0]))
        for selector, switch in wanted:
            codes = matching(rules, selector)
            on = on | codes if switch else on - codes
    return [rule for rule in rules if rule.code in on]


def matching(rules: Sequence[type[Rule]], selector: str) -> set[str]:
    """Return the codes of the rules that `selector` names: a code, a prefix, a name or ALL.

    Raises:
        UnknownRule: it names none, or it asks for the syntax errors, which are always on.
    """
    code = selector.upper()
    if code == "ALL":
        return {rule.code for rule in rules}
    found = {rule.code for rule in rules if selector.lower() == rule.name}
    if code.startswith("LG"):
        found |= {rule.code for rule in rules if rule.code.startswith(code)}
    if not found and (code != "LG" or rules):
        raise UnknownRule(_unknown(rules, selector))
    return found


def _unknown(rules: Sequence[type[Rule]], selector: str) -> str:
    if selector.upper() == SYNTAX_ERROR or selector.lower() == "syntax-error":
        return f"{selector}: syntax errors are always reported; exclude the file instead"
    known = [rule.name for rule in rules]
    near = difflib.get_close_matches(selector.lower(), known, 1)
    if not near:
        near = difflib.get_close_matches(selector.upper(), [rule.code for rule in rules], 1, 0.75)
    hint = f"; did you mean {near[0]}?" if near else "; `lossgrade rule --all` lists them"
    return f"{selector!r} is no rule: expected a code, the beginning of one, a name or ALL{hint}"


def _length(selector: str) -> int:
    """Return how closely a selector names rules: ALL least, then by length; a name is a code."""
    if selector.upper() == "ALL":
        return 0
    return len(selector) if selector.upper().startswith("LG") else len("LG000")
