"""Lay out submissions as each platform exports them: a folder, and the zip the platform gives.

Every builder takes a class, a list of (student, submission), the submission a file or a folder,
and adds what real exports hold besides: files of macOS, an index, histories of git.
"""

from __future__ import annotations

import re
import shutil
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from lossgrade.cohort.entry import Student

    Class = Sequence[tuple[Student, Path]]


def files_of(submission: Path) -> list[Path]:
    """Return the files of a submission."""
    if submission.is_file():
        return [submission]
    return sorted(path for path in submission.rglob("*") if path.is_file())


def put(submission: Path, folder: Path) -> None:
    """Copy a submission's files into `folder`."""
    root = submission.parent if submission.is_file() else submission
    folder.mkdir(parents=True, exist_ok=True)
    for file in files_of(submission):
        target = folder / file.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)


def zipped(folder: Path, *, wrapped: bool = False) -> Path:
    """Return a zip of what lies in `folder`, beside it; `wrapped`: in a folder of its own."""
    archive = folder.with_name(f"{folder.name}.zip")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made:
        for path in sorted(folder.rglob("*")):
            made.write(path, path.relative_to(folder.parent if wrapped else folder))
    return archive


def files(students: Class, folder: Path) -> Path:
    """`alice.py`, or `alice.zip` for a folder of several files."""
    folder.mkdir(parents=True)
    for student, submission in students:
        found = files_of(submission)
        if len(found) == 1:
            shutil.copyfile(found[0], folder / f"{student.id}{found[0].suffix}")
        else:
            own = folder / student.id
            put(submission, own)
            zipped(own)
            shutil.rmtree(own)
    return _noise(folder)


def folders(students: Class, folder: Path) -> Path:
    """`alice/hw.py`."""
    for student, submission in students:
        put(submission, folder / student.id)
    return _noise(folder)


def gradescope(students: Class, folder: Path) -> Path:
    """`assignment_9100_export/submission_500/hw.py` with an index; returns the inner folder."""
    inner = folder / "assignment_9100_export"
    index = []
    for number, (student, submission) in enumerate(students, 500):
        put(submission, inner / f"submission_{number}")
        index.append(
            f"submission_{number}:\n  :submitters:\n  - :name: {student.name}\n"
            f"    :sid: '{student.id}'\n    :email: {student.email or f'{student.id}@uni.edu'}\n"
            "  :created_at: 2026-04-26 17:34:00.861687000 Z\n  :score: 2.0\n"
            "  :results:\n    score: 2.0\n    output: |-\n      ====\n      :submitters: none\n"
            "  :history:\n  - :created_at: 2026-04-25 17:34:00.000000000 Z\n    :score: 1.0\n"
        )
    (inner / "submission_metadata.yml").write_text("---\n" + "".join(index), "utf-8")
    return _noise(inner)


def github_classroom(students: Class, folder: Path) -> Path:
    """`hw1-submissions/hw1-alice/`, each a clone."""
    root = folder / "hw1-submissions"
    for student, submission in students:
        clone = root / f"hw1-{student.id}"
        put(submission, clone)
        (clone / ".git").mkdir()
        (clone / ".git/HEAD").write_text("ref: refs/heads/main\n")
        (clone / ".github/workflows").mkdir(parents=True)
        (clone / ".github/workflows/classroom.py").write_text("raise SystemExit\n")
    return root


def canvas(students: Class, folder: Path) -> Path:
    """`doejane_4200_991000_hw.py`, flat; every third is late."""
    folder.mkdir(parents=True)
    attachment = 991_000
    for number, (student, submission) in enumerate(students):
        name = re.sub(r"\W", "", student.name).lower()
        late = "_LATE" if number % 3 == 2 else ""
        for file in files_of(submission):
            attachment += 1
            shutil.copyfile(file, folder / f"{name}{late}_{student.id}_{attachment}_{file.name}")
    return folder


def moodle(students: Class, folder: Path) -> Path:
    """`Jane Doe_4200_assignsubmission_file/hw.py`."""
    for student, submission in students:
        name = student.name.replace("_", " ")
        put(submission, folder / f"{name}_{student.id}_assignsubmission_file")
    return folder


def moodle_flat(students: Class, folder: Path) -> Path:
    """`Jane Doe_4200_assignsubmission_file_hw.py`, as versions before 3.1 gave."""
    folder.mkdir(parents=True)
    for student, submission in students:
        for file in files_of(submission):
            name = f"{student.name}_{student.id}_assignsubmission_file_{file.name}"
            shutil.copyfile(file, folder / name)
    return folder


def nbgrader(students: Class, folder: Path) -> Path:
    """`submitted/alice/ps1/hw.py` with a time stamp."""
    root = folder / "submitted"
    for student, submission in students:
        put(submission, root / student.id / "ps1")
        (root / student.id / "ps1/timestamp.txt").write_text("2026-02-02 15:58:23.948203 UTC\n")
    return root


BUILDERS: dict[str, Callable[[Class, Path], Path]] = {
    "files": files,
    "folders": folders,
    "gradescope": gradescope,
    "github-classroom": github_classroom,
    "canvas": canvas,
    "moodle": moodle,
    "moodle flat": moodle_flat,
    "nbgrader": nbgrader,
    "otter": files,
}


LAYOUTS = tuple(BUILDERS)


def lay_out(layout: str, students: Class, folder: Path, *, archive: bool = False) -> Path:
    """Return what an instructor would give as PATH: a folder, or the zip of it.

    Args:
        layout: one of LAYOUTS.
        students: with digits as ids for canvas and moodle, whose ids are.
        folder: a new one.
    """
    made = BUILDERS[layout](students, folder)
    if not archive:
        return made
    return zipped(made, wrapped=layout in ("gradescope", "github-classroom", "nbgrader"))


def _noise(folder: Path) -> Path:
    """Add what lies about in real folders and is nobody's submission."""
    (folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX/._hw.py").write_bytes(b"\0\5\x16\7")
    (folder / "README.md").write_text("# Week 1\n")
    return folder
