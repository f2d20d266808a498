"""Grade the bundled example submissions and lint the bundled example project, as a user would."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

EXAMPLES = (
    ("right/stat453_notebook.py", "the lecture's own solution"),
    ("softmax-over-batch-axis/stat453_torch.py", "softmax taken over the wrong axis"),
    ("missing-minus-sign/stat453_numpy.py", "a cross entropy without its minus, in NumPy"),
)


def run(out: Path) -> int:
    """Grade each example, lint a project, show what comes of it, and write it below `out`.

    Returns:
        0 when every example was graded and linted, whatever was found; 1 otherwise.
    Raises:
        ModuleNotFoundError: the grader's own requirements are not installed.
    """
    return _grade(out) or _lint(out)


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
