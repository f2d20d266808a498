"""Measure what explaining a failure adds to grading: diagnosis, conventions, counter-examples.

    python benchmarks/diagnosis.py [--rounds N] [--only WORD] [--json PATH] [--python PATH]

Every submission is graded with explanations, without them, and with them again, by turns: first as
whole processes, from the start of pytest to its report, then many times in one process that has
loaded everything. Without them means that this script makes the engine's `look_closer` do nothing;
grading itself is the same. The difference of the two runs that do the same thing is
the noise. Exit status: 0 whatever the figures say, 1 when a command fails or grades wrongly.
"""

from __future__ import annotations

import argparse
import ast
import json
import statistics
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from measuring import Command, CommandFailed, ask, clean_environment, machine, run, table

SUBMISSIONS = Path(__file__).resolve().parent.parent / "fixtures/lossgrade_fixtures/submissions"
TARGET_S = 1.0
WAYS = ("with", "without", "with again")
FUNCTIONS = ("to_onehot", "softmax", "to_classlabel", "cross_entropy")
# A function that takes this long for each call; wrong in every one of them.
SLOW_S = 0.02
PYTEST = ("-p", "no:cacheprovider", "-p", "no:xdist", "-c", "/dev/null", "-q", "--tb=no")

# The engine's explanations, and none.
SILENCE = """
from lossgrade.engine import Grading
SPOKEN = Grading.look_closer
def choose(way):
    silent = lambda self, records, *, pictures=False: None
    Grading.look_closer = silent if way == "without" else SPOKEN
"""
WHOLE = (
    SILENCE
    + """
import sys, pytest
choose(sys.argv[1])
sys.exit(pytest.main(sys.argv[2:]))
"""
)
WARM = (
    SILENCE
    + """
import json, sys, time
from pathlib import Path
from lossgrade.assignment import load_assignment
from lossgrade.sandbox.host import Zygote
from lossgrade.student import frameworks
from lossgrade.submission import Submission
path, rounds, ways = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
assignment, folder = load_assignment("stat453")
submission = Submission.at(path)
seconds = {way: [] for way in ways}
with Zygote(frameworks(submission, assignment)) as zygote:
    for turn in range(rounds + 1):
        # Who comes first finds the machine in another state than who comes last.
        for way in ways[turn % len(ways):] + ways[:turn % len(ways)]:
            choose(way)
            start = time.perf_counter()
            grading = Grading(submission, assignment, zygote, folder=folder, seed=str(turn))
            records = grading.run_all()
            grading.look_closer(records)
            grading.result(records)
            grading.close()
            if turn:
                seconds[way].append(time.perf_counter() - start)
print(json.dumps(seconds))
"""
)
ABOUT = """
import platform
from importlib import metadata
names = ("lossgrade", "pytest", "hypothesis", "numpy", "torch")
versions = [f"{name} {metadata.version(name)}" for name in names]
print("python " + platform.python_version(), *versions, sep=", ", end="\\n\\n")
"""


@dataclass
class Case:
    """A submission, and what grading it cost.

    Attributes:
        failing: how many of its functions fail.
        share: of the rounds that are measured: what takes long is measured less often.
        explained: whether its failures are explained: a function that ran out of time is not
            called again for that.
        seconds: by the way it was graded, of whole processes and in a warm one.
    """

    name: str
    path: Path
    failing: int
    share: float = 1.0
    explained: bool = True
    whole: dict[str, list[float]] = field(default_factory=dict)
    warm: dict[str, list[float]] = field(default_factory=dict)

    def rounds(self, rounds: int) -> int:
        return max(2, round(rounds * self.share))


@dataclass(frozen=True)
class Added:
    """What explanations add, and how far two runs that do the same are apart.

    Attributes:
        of_medians: the difference of the medians, in seconds.
        of_rounds: the median of the differences of each round.
        noise: the larger of the same two figures, without their signs, for "with again" and
            "with", and the median distance of these two in one round.
    """

    plain: float
    explained: float
    of_medians: float
    of_rounds: float
    noise: float

    @property
    def worse(self) -> float:
        return max(self.of_medians, self.of_rounds)

    @classmethod
    def by(cls, seconds: dict[str, list[float]]) -> Added:
        explained, plain, again = (seconds[way] for way in WAYS)
        same = [a - b for a, b in zip(again, explained, strict=True)]
        apart = statistics.median(again) - statistics.median(explained)
        return cls(
            statistics.median(plain),
            statistics.median(explained),
            statistics.median(explained) - statistics.median(plain),
            statistics.median(a - b for a, b in zip(explained, plain, strict=True)),
            max(abs(apart), statistics.median(map(abs, same))),
        )

    def verdict(self, failing: int) -> str:
        if failing:
            return "met" if self.worse <= TARGET_S else "MISSED"
        return "met" if self.worse <= self.noise else "MISSED"


# --- submissions ---------------------------------------------------------------------------------


def cases(folder: Path) -> list[Case]:
    """Return what is graded; composed submissions are written to `folder`."""
    bundled = [
        Case("passing, torch", SUBMISSIONS / "right/stat453_notebook.py", 0),
        Case("passing, NumPy", SUBMISSIONS / "right/numpy_eye.py", 0),
    ]
    for slug in ("softmax-over-batch-axis", "softmax-applied-again", "label-smoothing"):
        for library, name in (("torch", "torch"), ("NumPy", "numpy")):
            path = SUBMISSIONS / slug / f"stat453_{name}.py"
            bundled.append(Case(f"{slug}, {library}", path, 1))
    unknown = folder / "unknown.py"
    unknown.write_text(
        replaced(
            "right/numpy_eye.py",
            "def cross_entropy(p, t):\n    return (1 - (p * t).sum(axis=1)) ** 0.3\n",
        ),
        encoding="utf-8",
    )
    slow = folder / "slow.py"
    slow.write_text(
        replaced(
            "right/numpy_eye.py",
            f"import time\n\ndef softmax(z):\n    time.sleep({SLOW_S})\n"
            "    return np.exp(z) / np.exp(z).sum(axis=0)\n",
        ),
        encoding="utf-8",
    )
    composed = [
        Case("no misconception fits, NumPy", unknown, 1),
        Case(f"{SLOW_S:g} s for each call, NumPy", slow, 1, 0.5),
        Case("an endless loop, NumPy", SUBMISSIONS / "broken/infinite_loop.py", 1, 0.3, False),
    ]
    faults = ("one-hot-off-by-one", "softmax-over-batch-axis", "argmin", "log2-instead-of-ln")
    for library, name in (("torch", "torch"), ("NumPy", "numpy")):
        path = folder / f"all_four_{name}.py"
        pieces = [
            function(SUBMISSIONS / slug / f"stat453_{name}.py", wanted)
            for slug, wanted in zip(faults, FUNCTIONS, strict=True)
        ]
        heading = {"torch": "import torch", "numpy": "import numpy as np"}[name]
        path.write_text("\n\n\n".join([heading, *pieces]) + "\n", encoding="utf-8")
        composed.append(Case(f"all four functions fail, {library}", path, 4))
    return bundled + composed


def function(path: Path, name: str) -> str:
    """Return the source of one function of a file."""
    text = path.read_text(encoding="utf-8")
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return str(ast.get_source_segment(text, node))
    raise CommandFailed(f"{path}: no function {name}")


def replaced(bundled: str, source: str) -> str:
    """Return a bundled submission in which a later definition replaces a function."""
    return f"{(SUBMISSIONS / bundled).read_text(encoding='utf-8')}\n\n{source}"


# --- measuring -----------------------------------------------------------------------------------


def measure_whole(
    case: Case, python: str, environment: dict[str, str], folder: Path, rounds: int
) -> None:
    """Grade in whole processes; the first round fills caches and is dropped."""
    record = folder / "record.json"
    commands = {}
    for way in WAYS:
        asked = ["--submission", str(case.path), "--lossgrade-report", f"json:{record}"]
        arguments = [python, "-c", WHOLE, way, *PYTEST, *asked]
        commands[way] = Command(f"{case.name}, {way}", arguments, accepted=(0, 1))
    for turn in range(case.rounds(rounds) + 1):
        for way in WAYS[turn % len(WAYS) :] + WAYS[: turn % len(WAYS)]:
            run(commands[way], environment, folder, keep=turn > 0)
            check(case, way, json.loads(record.read_text(encoding="utf-8")))
    case.whole = {way: command.wall_s for way, command in commands.items()}


def check(case: Case, way: str, record: dict[str, Any]) -> None:
    """Say whether a run did what it is measured for.

    Raises:
        CommandFailed: another number of functions failed, or explanations are there or missing.
    """
    told = record["functions"].values()
    failing = [each for each in told if each["score"] < each["max_score"]]
    explained = [
        each
        for each in failing
        if each.get("diagnosis") or each.get("known") or each.get("counterexample")
    ]
    due = case.failing if case.explained and way != "without" else 0
    if len(failing) != case.failing or len(explained) != due:
        raise CommandFailed(
            f"{case.name}, {way}: {len(failing)} functions fail and {len(explained)} are "
            f"explained, expected {case.failing} and {due}"
        )


def measure_warm(case: Case, python: str, environment: dict[str, str], rounds: int) -> None:
    """Grade again and again in one process."""
    # Of what is short more can be measured.
    count = case.rounds(rounds) * (3 if case.share == 1 else 1)
    said = ask(python, WARM, environment, str(case.path), str(count), *WAYS)
    case.warm = json.loads(said)


def report(measured: list[Case], kind: str) -> None:
    """Print one table and its verdicts."""
    rows = [["", "without s", "with s", "added s", "of rounds", "ratio", "noise s", "verdict"]]
    for case in measured:
        added = Added.by(case.whole if kind == "whole" else case.warm)
        rows.append(
            [
                case.name,
                f"{added.plain:.3f}",
                f"{added.explained:.3f}",
                f"{added.of_medians:+.3f}",
                f"{added.of_rounds:+.3f}",
                f"{added.explained / added.plain:.2f}",
                f"{added.noise:.3f}",
                added.verdict(case.failing),
            ]
        )
    print(table(rows))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9, help="measured rounds (default: 9)")
    parser.add_argument("--only", default="", metavar="WORD", help="cases whose names hold WORD")
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the figures here")
    parser.add_argument(
        "--python",
        default=sys.executable,
        metavar="PATH",
        help="the interpreter to measure, with lossgrade[grader] installed (default: this one)",
    )
    options = parser.parse_args()
    if options.rounds < 2:
        parser.error("--rounds: expected 2 or more")
    with tempfile.TemporaryDirectory(prefix="lossgrade-benchmark-") as name:
        folder = Path(name).resolve()
        environment = clean_environment(folder / "bytecode")
        try:
            measured = [case for case in cases(folder) if options.only in case.name]
            print(f"{machine()}; {options.rounds} rounds")
            print(ask(options.python, ABOUT, environment), end="")
            for case in measured:
                measure_whole(case, options.python, environment, folder, options.rounds)
            print("whole processes, pytest and all imports included")
            report(measured, "whole")
            for case in measured:
                measure_warm(case, options.python, environment, options.rounds)
            print("\nin one process, everything loaded: grading and its result record")
            report(measured, "warm")
        except (CommandFailed, OSError) as error:
            print(error, file=sys.stderr)
            return 1
    print(
        f"\ntargets: at most {TARGET_S:g} s more where a function fails, no more than the noise "
        f"where all pass; {machine().partition('; ')[2]} at the end"
    )
    if options.json:
        figures = [{"name": c.name, "whole": c.whole, "warm": c.warm} for c in measured]
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
