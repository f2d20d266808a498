"""The teaching sources' own figures, read from the fixtures."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

LECTURES = ("stat453", "pytorch_tutorial", "cross_entropy_slides", "d2l")


@dataclass(frozen=True)
class Reference:
    """One figure of a source: what goes in, in canonical names, and the float64 value."""

    id: str
    function: str
    inputs: dict[str, Any]
    expected: Any
    source: str
    convention: dict[str, Any]
    spoken: Any = None
    mistake: str = ""


@cache
def references(lecture: str) -> tuple[Reference, ...]:
    """Return every figure of one lecture file."""
    file = resources.files("lossgrade_fixtures") / "lectures" / f"{lecture}.toml"
    entries = tomllib.loads(file.read_text(encoding="utf-8"))["reference"]
    return tuple(
        Reference(**{name: entry[name] for name in Reference.__annotations__ if name in entry})
        for entry in entries
    )


def figures(lecture: str, function: str) -> list[Reference]:
    """Return the right figures of `function`, of `lecture` or, if it has none, of the others."""
    order = [lecture.replace("-", "_"), *LECTURES]
    for name in (each for each in order if each in LECTURES):
        found = [
            reference
            for reference in references(name)
            if reference.function == function
            and not reference.mistake
            and reference.convention.get("dtype") != "float32"
        ]
        if found:
            return found
    return []
