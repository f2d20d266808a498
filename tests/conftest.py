"""Grading in this process, through the engine, with the zygotes shared by all tests of a run."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from lossgrade.assignment import LimitSettings, load_assignment
from lossgrade.engine import Grading
from lossgrade.sandbox.host import Zygote
from lossgrade.student import Student, frameworks
from lossgrade.submission import Submission

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lossgrade.assignment import Assignment
    from lossgrade.result import Result
    from support import Engine, Submit


# A machine that is busy is no mistake of ours.
settings.register_profile(
    "busy", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.load_profile("busy")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--report-pictures", metavar="FOLDER", help="keep the pictures of report.html there"
    )


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
        explained: bool = False,
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
            if explained:
                grading.look_closer(records)
        finally:
            grading.close()
        return grading.result(records)

    return grade


@pytest.fixture
def submit(zygotes: dict[tuple[str, ...], Zygote], tmp_path: Path) -> Iterator[Submit]:
    handed_in: list[Student] = []

    def put(
        content: str | bytes | dict[str, str | bytes],
        *names: str,
        name: str = "hw.py",
        entry: str = "",
        zygote: Zygote | None = None,
        torch: bool = False,
        required_level: str = "process",
        **limits: Any,
    ) -> Student:
        root = tmp_path / f"handed-in-{len(handed_in)}"
        for file, text in content.items() if isinstance(content, dict) else [(name, content)]:
            path = root / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(textwrap.dedent(text).encode() if isinstance(text, str) else text)
        libraries = ("numpy", "torch") if torch else ("numpy",)
        if zygote is None and libraries not in zygotes:
            zygotes[libraries] = Zygote(libraries)
        student = Student(
            Submission.at(root if isinstance(content, dict) else root / name, entry),
            {each: [each] for each in names},
            zygote or zygotes[libraries],
            LimitSettings(**limits),
            required_level=required_level,
        )
        handed_in.append(student)
        return student

    yield put
    for student in handed_in:
        student.close()
