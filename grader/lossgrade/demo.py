"""Grade the bundled example submissions, as a user would: by running pytest."""

from __future__ import annotations

import os
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
    """Grade each example, show the reports, and write them below `out`.

    Returns:
        0 when every example was graded, whatever its score; 1 otherwise.
    Raises:
        ModuleNotFoundError: the grader's own requirements are not installed.
    """
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
