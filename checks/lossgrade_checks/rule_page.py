"""`lossgrade rule`: what a rule finds and why, from its docstring and its examples.

As JSON a rule is `{code, name, severity, fix, summary, explanation, examples[{bad, good, files}],
near_misses[]}`. `fix` is "safe", "unsafe", "safe or unsafe" or "none"; `explanation` is the
docstring after its first line; `good` is null where no fix is right for all; `files` are further
files of an example, by name. `--all` gives an array.
"""

from __future__ import annotations

import inspect
import json
import sys
from typing import TYPE_CHECKING, Any

from lossgrade_checks.rules import all_rules
from lossgrade_checks.selection import matching

if TYPE_CHECKING:
    import argparse

    from lossgrade_checks.rule import Rule


_FIXES = {
    "safe": "a safe fix",
    "unsafe": "an unsafe fix",
    "safe or unsafe": "a fix, safe where nothing else depends on it",
    "none": "no fix",
}


def run(options: argparse.Namespace) -> int:
    """Print the page of a rule, or of all; return the exit code."""
    rules = all_rules()
    if not options.all:
        found = matching(rules, options.rule)
        rules = tuple(rule for rule in rules if rule.code in found)
    if options.output_format == "json":
        pages = [as_json(rule) for rule in rules]
        shown: Any = pages[0] if len(pages) == 1 and not options.all else pages
        sys.stdout.write(json.dumps(shown, indent=2) + "\n")
    else:
        page = markdown if options.output_format == "markdown" else text
        sys.stdout.write("\n\n".join(page(rule) for rule in rules))
    return 0


def as_json(rule: type[Rule]) -> dict[str, Any]:
    """Return a rule's page as an object of JSON."""
    summary, explanation = _docstring(rule)
    return {
        "code": rule.code,
        "name": rule.name,
        "severity": rule.severity,
        "fix": rule.fix,
        "summary": summary,
        "explanation": explanation,
        "examples": [
            {"bad": each.bad, "good": each.good, "files": dict(each.files)}
            for each in rule.examples
        ],
        "near_misses": list(rule.near_misses),
    }


def text(rule: type[Rule]) -> str:
    """Return a rule's page for a terminal."""
    summary, explanation = _docstring(rule)
    parts = [f"{rule.code} {rule.name} ({_kind(rule)})", summary, explanation]
    for example in rule.examples:
        for name, program in example.files:
            parts += [f"With {name}:", _indented(program)]
        parts += ["Found:", _indented(example.bad)]
        if example.good is not None:
            parts += ["Right:", _indented(example.good)]
    parts += [part for near in rule.near_misses for part in ("Not found:", _indented(near))]
    return "\n\n".join(part for part in parts if part) + "\n"


def markdown(rule: type[Rule]) -> str:
    """Return a rule's page in Markdown."""
    summary, explanation = _docstring(rule)
    parts = [f"# {rule.code}: {rule.name}", f"*{_kind(rule)}*", summary, explanation]
    for example in rule.examples:
        for name, program in example.files:
            parts += [f"With `{name}`:", _fenced(program)]
        parts += ["Found:", _fenced(example.bad)]
        if example.good is not None:
            parts += ["Right:", _fenced(example.good)]
    parts += [part for near in rule.near_misses for part in ("Not found:", _fenced(near))]
    return "\n\n".join(part for part in parts if part) + "\n"


def _docstring(rule: type[Rule]) -> tuple[str, str]:
    summary, _, explanation = (inspect.getdoc(rule) or "").partition("\n")
    return summary.strip(), explanation.strip()


def _kind(rule: type[Rule]) -> str:
    return f"{rule.severity}; {_FIXES[rule.fix]}"


def _indented(program: str) -> str:
    return "\n".join(f"    {row}".rstrip() for row in program.strip("\n").split("\n"))


def _fenced(program: str) -> str:
    return "```python\n{}\n```".format(program.strip("\n"))
