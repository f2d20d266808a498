"""What a run asks for: the same for every submission, and what a result depends on."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from lossgrade.assignment import Assignment
    from lossgrade.cohort.entry import Entry
    from lossgrade.reports import Request
    from lossgrade.submission import Submission

# What each student gets: the suffix of the file, by the report's format.
FEEDBACK = {"markdown": "md", "html": "html"}
# Put beside a student's files by a platform, nbgrader: another time is no other homework.
OF_PLATFORMS = {"timestamp.txt"}


@dataclass(frozen=True)
class Settings:
    """What changes a result's words or its seed, beside the assignment.

    Attributes:
        detect: grade each function under the convention that it keeps to.
        seed: the run's own secret, from which that of every submission follows.
        required_level: the least isolation under which a student's code may run.
        pictures: whether feedback shows charts.
    """

    seed: str
    detect: bool = False
    language: str = "en"
    required_level: str = "process"
    show_hidden: bool = False
    pictures: bool = False


@dataclass(frozen=True)
class Asked:
    """All that is needed to grade one submission of the class.

    Attributes:
        folder: where the assignment's extra criteria lie.
        digest: of the assignment and its extra criteria.
        reports: that are written for each submission.
    """

    assignment: Assignment
    folder: Path | None
    digest: str
    settings: Settings
    reports: tuple[Request, ...] = ()

    def key(self, files: str) -> str:
        """Return what the result of a submission depends on, as one digest.

        Args:
            files: the digest of the submission's files.
        """
        settings = asdict(self.settings)
        # A result under more isolation than is required is as good: the record tells its level.
        del settings["required_level"]
        parts = [files, self.digest, version("lossgrade"), settings]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def seed(self, files: str) -> str:
        """Return the seed of the submission whose files have the digest `files`.

        Whoever does not know the run's own cannot tell it, and grading again gives it again.
        """
        return hmac.new(self.settings.seed.encode(), files.encode(), "sha256").hexdigest()[:32]


@dataclass(frozen=True)
class Task:
    """One entry that is to be graded, or whose outputs are to be written again.

    Attributes:
        files: the digest of its files.
        record: its result, where that is still true: nothing is graded then.
        feedback: whether its feedback is to be written.
    """

    entry: Entry
    files: str
    record: Path | None = None
    feedback: bool = True


def digest_of_assignment(assignment: Assignment, folder: Path | None) -> str:
    """Return a digest of the assignment and of the files of its extra criteria."""
    hashed = hashlib.sha256(assignment.model_dump_json().encode())
    for name in assignment.extra_criteria:
        if folder is not None:
            hashed.update((folder / name).read_bytes())
    return hashed.hexdigest()


def digest_of_files(submission: Submission) -> str:
    """Return a digest of the files that are graded.

    A single file counts by what it holds and its kind, not by its name: the same homework has the
    same digest, and so the same seed, in whatever layout it came.

    Raises:
        OSError: a file cannot be read.
        Unloadable: there are too many, or they are too large.
    """
    files = [file for file in submission.files() if file.name not in OF_PLATFORMS]
    hashed = hashlib.sha256()
    for file in files:
        place = file.relative_to(submission.path).as_posix() if submission.is_folder else file.name
        name = file.suffix.lower() if len(files) == 1 else place
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        hashed.update(f"{content} {name}\0".encode("utf-8", "surrogateescape"))
    return hashed.hexdigest()
