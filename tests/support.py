"""What tests of the grader share: the fixtures' indexes, and how a submission is graded."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from lossgrade.assignment import Assignment
    from lossgrade.result import Result
    from lossgrade.sandbox.host import Zygote
    from lossgrade.student import Student

FIXTURES = Path(str(files("lossgrade_fixtures")))


def entries(index: str, key: str) -> list[dict[str, Any]]:
    """Return the entries of an index.toml of the fixtures."""
    found: list[dict[str, Any]] = tomllib.loads((FIXTURES / index).read_text("utf-8"))[key]
    return found


class Engine(Protocol):
    """Grade a submission: a path and an assignment in, a result out."""

    def __call__(
        self,
        path: Path,
        assignment: str | Assignment = "stat453",
        *,
        entry: str = "",
        seed: str = "",
        limits: dict[str, float] | None = None,
        only: str = "",
        explained: bool = False,
    ) -> Result: ...


class Submit(Protocol):
    """Hand in a text, or the files of a folder, whose functions can then be called.

    `names` are the functions that are asked for, each under its own name; `limits` those of
    `LimitSettings`.
    """

    def __call__(
        self,
        content: str | bytes | dict[str, str | bytes],
        *names: str,
        name: str = "hw.py",
        entry: str = "",
        zygote: Zygote | None = None,
        torch: bool = False,
        required_level: str = "process",
        **limits: float,
    ) -> Student: ...


def lost(result: Result) -> set[str]:
    """Return the ids of the criteria that lost points."""
    return {c.id for c in result.criteria if c.score < c.max_score}
