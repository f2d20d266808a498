"""Grade bundled example submissions and a class, and lint an example project, as a user would."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import zipfile
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

EXAMPLES = (
    ("right/stat453_notebook.py", "the lecture's own solution"),
    ("softmax-over-batch-axis/stat453_torch.py", "softmax taken over the wrong axis"),
    ("missing-minus-sign/stat453_numpy.py", "a cross entropy without its minus, in NumPy"),
)

# What the students of the example class handed in: one a report alone, and one nothing.
CLASS = (
    "right/stat453_notebook.py",
    "softmax-over-batch-axis/stat453_torch.py",
    "right/numpy_eye.py",
    "missing-minus-sign/stat453_numpy.py",
    "softmax-over-batch-axis/stat453_torch.py",
    "divides-by-n/stat453_numpy.py",
    "right/numpy_bom.py",
    "double-softmax/stat453_torch.py",
    "broken/indentation_error.py",
    "right/stat453_notebook.py",
    "report.pdf",
    "",
)


def run(out: Path) -> int:
    """Grade each example and a class, lint a project, and write what comes of it below `out`.

    Returns:
        0 when every example was graded and linted, whatever was found; 1 otherwise.
    Raises:
        ModuleNotFoundError: the grader's own requirements are not installed.
    """
    return _grade(out) or _grade_class(out) or _lint(out)


def write_class(folder: Path) -> None:
    """Write an example class: submissions as Canvas exports them, a roster, Canvas' gradebook."""
    folder.mkdir(parents=True, exist_ok=True)
    submissions = resources.files("lossgrade_fixtures") / "submissions"
    students = [f"Student {number:02}" for number in range(1, len(CLASS) + 1)]
    with zipfile.ZipFile(folder / "submissions.zip", "w") as archive:
        for number, name in enumerate(CLASS, 1):
            if not name:
                continue
            place = f"student{number:02}_{100 + number}_{9000 + number}_"
            if name.endswith(".pdf"):
                archive.writestr(place + name, b"%PDF-1.4\n")
            else:
                archive.writestr(f"{place}hw.py", (submissions / name).read_bytes())
    with (folder / "roster.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("id", "name"))
        rows.writerows((100 + number, name) for number, name in enumerate(students, 1))
    with (folder / "gradebook.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("Student", "ID", "SIS Login ID", "Section", "Homework 1 (4711)"))
        rows.writerow(("    Points Possible", "", "", "", "10.00"))
        for number, name in enumerate(students, 1):
            rows.writerow((name, 100 + number, f"student{number:02}", "Section 1", ""))


def _grade(out: Path) -> int:
    for needed in ("pytest", "pydantic", "numpy", "torch"):
        if find_spec(needed) is None:
            raise ModuleNotFoundError(name=needed)
    submissions = resources.files("lossgrade_fixtures") / "submissions"
    written = []
    for place, (name, what) in enumerate(EXAMPLES, 1):
        with resources.as_file(submissions / name) as path:
            target = out / Path(name).parent.name
            command = ["--submission", str(path)]
            for report, file in (
                ("json", "result.json"),
                ("gradescope", "results.json"),
                ("markdown", "feedback.md"),
            ):
                command += ["--lossgrade-report", f"{report}:{target / file}"]
                written.append(target / file)
            print(f"\n{place}. {what}: pytest --submission {name}\n", flush=True)
            # -c: the demo shows the plugin, not the configuration of the folder it runs in.
            quiet = [
                "-q",
                "--no-header",
                "--tb=no",
                "-rN",
                "-p",
                "no:cacheprovider",
                "-c",
                os.devnull,
            ]
            code = subprocess.call([sys.executable, "-m", "pytest", *quiet, *command])
        if code not in (0, 1) or not written[-1].exists():
            print(f"lossgrade: pytest ended with exit code {code}", file=sys.stderr)
            return 1
    print("\nWritten:")
    for path in written:
        print(f"  {path}")
    return 0


def _grade_class(out: Path) -> int:
    write_class(out / "class")
    grade = ["grade", "class/submissions.zip", "--roster", "class/roster.csv"]
    print(f"\n4. a class, as Canvas exports it: lossgrade {' '.join(grade)}\n", flush=True)
    code = subprocess.call([sys.executable, "-m", "lossgrade.cli", *grade], cwd=out)
    if code:
        print(f"lossgrade: grade ended with exit code {code}", file=sys.stderr)
    return code


def _lint(out: Path) -> int:
    project = resources.files("lossgrade_fixtures") / "lint" / "project"
    with resources.as_file(project) as path:
        shutil.copytree(path, out / "project", dirs_exist_ok=True)
    for place, (options, what) in enumerate(
        (
            ((), "a small project with nine mistakes"),
            (("--fix", "--diff"), "what the safe fixes would change in it"),
        ),
        1,
    ):
        shown = " ".join(("lossgrade check", *options, "project"))
        print(f"\n{place}. {what}: {shown}\n", flush=True)
        command = [sys.executable, "-m", "lossgrade_checks", "check", *options, "project"]
        code = subprocess.call(command, cwd=out)
        if code != 1:
            print(f"lossgrade: {shown} ended with exit code {code}", file=sys.stderr)
            return 1
    return 0
