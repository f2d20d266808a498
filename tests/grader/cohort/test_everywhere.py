"""A class of more than 300 has the same scores in every layout, for any number of jobs."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import filelock
import pytest

from classes import grade, results
from clusters import Dask
from exports import BUILDERS, lay_out
from lossgrade.cohort.entry import Student
from support import FIXTURES, entries

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Three functions, so that most examples lose points somewhere, and limits that hang nobody up.
ASSIGNMENT = """\
name = "everywhere"
[limits]
call_seconds = 1
load_seconds = 4
submission_seconds = 4
[functions.softmax]
names = ["softmax"]
points = 10
[functions.cross_entropy]
names = ["cross_entropy"]
points = 10
prediction = "probabilities"
reduction = "none"
targets = "one-hot"
"""


def handed_in() -> Iterator[Path]:
    """Yield submissions of all kinds: right, wrong, broken and hostile."""
    for each in entries("submissions/index.toml", "submission"):
        if each["assignment"] == "stat453" and not each.get("entry"):
            yield FIXTURES / "submissions" / each["path"]
    for each in entries("attacks/index.toml", "attack"):
        if (FIXTURES / "attacks" / each["path"]).is_file():
            yield FIXTURES / "attacks" / each["path"]


def students() -> list[tuple[Student, Path]]:
    """Return the class: neighbours in the list are of different kinds."""
    found = list(handed_in())
    found.sort(key=lambda path: path.name[::-1])
    return [
        (Student(id=f"{4000 + number}", name=f"Student {number:03}"), path)
        for number, path in enumerate(found)
    ]


def scores(out: Path) -> dict[str, tuple[str, str]]:
    """Return status and score of each student, by the id that every layout tells."""
    with (out / "gradebook.csv").open(encoding="utf-8-sig", newline="") as file:
        # Otter's layout takes the whole name of a file for the id.
        return {
            row["student_id"].partition(".")[0]: (row["status"], row["score"])
            for row in csv.DictReader(file)
        }


def graded(layout: str, whose: list[tuple[Student, Path]], folder: Path, *options: str) -> Path:
    """Lay out a class, grade it, and return the output folder."""
    handed = lay_out(layout, whose, folder / "class")
    assignment = folder / "everywhere.toml"
    assignment.write_text(ASSIGNMENT)
    grade(handed, "--assignment", assignment, "--out", folder / "out", "--seed=ab12", "-q",
          "--layout", layout.partition(" ")[0], *options)  # fmt: skip
    return folder / "out"


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> dict[str, Any]:
    """Grade the whole class once, for all processes of pytest: scores, and who was quick.

    Who is ended for the time it took is not compared: on a busy machine others are, too.
    """
    shared = tmp_path_factory.getbasetemp()
    shared = shared if worker_id == "master" else shared.parent
    file = shared / "everywhere.json"
    with filelock.FileLock(shared / "everywhere.lock"):
        if not file.exists():
            whose = students()
            out = graded("folders", whose, tmp_path_factory.mktemp("base"), "-j4")
            found = scores(out)
            assert len(found) == len(whose) >= 300
            assert {status for status, _ in found.values()} == {"graded"}
            seconds = {name: each["duration_s"] for name, each in results(out).items()}
            quick = [name for name in found if seconds[name] < 1]
            file.write_text(json.dumps({"scores": {name: found[name] for name in quick}}))
    read: dict[str, Any] = json.loads(file.read_text())
    return read


def assert_equal_scores(layout: str, base: dict[str, Any], tmp_path: Path, *options: str) -> None:
    expected = {name: tuple(each) for name, each in base["scores"].items()}
    assert len(expected) >= 300
    whose = [each for each in students() if each[0].id in expected]
    assert scores(graded(layout, whose, tmp_path, *options)) == expected


@pytest.mark.slow
@pytest.mark.parametrize("layout", sorted(BUILDERS))
def test_every_layout_gives_the_same_scores(
    layout: str, base: dict[str, Any], tmp_path: Path
) -> None:
    assert_equal_scores(layout, base, tmp_path, "-j2")


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2, 4])
def test_any_number_of_jobs_gives_the_same_scores(
    jobs: int, base: dict[str, Any], tmp_path: Path
) -> None:
    assert_equal_scores("canvas", base, tmp_path, f"-j{jobs}")


@pytest.mark.slow
def test_a_cluster_gives_the_same_scores(base: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    (tmp_path / "dask").mkdir()
    cluster = Dask(tmp_path / "dask")
    try:
        assert_equal_scores(
            "gradescope", base, tmp_path, "--scheduler", cluster.address,
            "--require-sandbox", "contained",
        )  # fmt: skip
    finally:
        cluster.close()
