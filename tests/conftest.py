"""Grading in this process, through the engine, with the zygotes shared by all tests of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lossgrade.assignment import load_assignment
from lossgrade.engine import Grading
from lossgrade.sandbox.host import Zygote
from lossgrade.student import frameworks
from lossgrade.submission import Submission

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lossgrade.assignment import Assignment
    from lossgrade.result import Result
    from support import Engine


@pytest.fixture(scope="session")
def zygotes() -> Iterator[dict[tuple[str, ...], Zygote]]:
    started: dict[tuple[str, ...], Zygote] = {}
    yield started
    for zygote in started.values():
        zygote.close()


@pytest.fixture(scope="session")
def engine(zygotes: dict[tuple[str, ...], Zygote]) -> Engine:
    def grade(
        path: Path,
        assignment: str | Assignment = "stat453",
        *,
        entry: str = "",
        seed: str = "",
        limits: dict[str, float] | None = None,
        only: str = "",
    ) -> Result:
        asked = load_assignment(assignment)[0] if isinstance(assignment, str) else assignment
        if limits:
            asked = asked.model_copy(update={"limits": asked.limits.model_copy(update=limits)})
        submission = Submission.at(path, entry)
        libraries = tuple(frameworks(submission, asked))
        if libraries not in zygotes:
            zygotes[libraries] = Zygote(libraries)
        grading = Grading(submission, asked, zygotes[libraries], seed=seed)
        try:
            records = [grading.run(line) for line in grading.manifest if only in line.id]
        finally:
            grading.close()
        return grading.result(records)

    return grade
