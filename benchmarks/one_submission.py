"""Measure what grading one submission costs, beside what its libraries cost to import.

    python benchmarks/one_submission.py [--rounds N] [--json PATH] [--python PATH]

Every command is a whole process, from its start to its end. They take turns within each round, so
that other work on the machine hits all of them alike. The first round only fills caches and is
dropped. Exit status: 0 whatever the figures say, 1 when a command fails or grades wrongly.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

RIGHT = Path(__file__).resolve().parent.parent / "fixtures/lossgrade_fixtures/submissions/right"
TORCH = RIGHT / "stat453_notebook.py"
NUMPY = RIGHT / "numpy_eye.py"

PYTEST = ("-m", "pytest", "-p", "no:cacheprovider", "-c", os.devnull)

# Given once, pytest 9 prints its version before it looks for plugins; given twice, it loads them.
VERSION = ("--version", "--version")

# The import of the plugin is a few milliseconds of some hundred: one pair a round is too few.
VERSION_PAIRS = 3

MARK = "benchmark: loaded "
# Appended to a copy of a submission. The word torch may not stand in it: that alone loads torch.
PROBE = f'\nimport sys\nprint("{MARK}" + str("tor" + "ch" in sys.modules))\n'

ABOUT = """
import json, platform
from importlib import metadata
def version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
names = ("lossgrade", "pytest", "numpy", "torch", "pydantic")
plugins = sorted({e.name for e in metadata.entry_points(group="pytest11")} - {"lossgrade"})
versions = {"python": platform.python_version(), **{name: version(name) for name in names}}
print(json.dumps({"versions": versions, "other_pytest_plugins": plugins}))
"""

# What is loaded once pytest has taken the plugin in. Without other plugins: they may load numpy.
IMPORTED = """
import contextlib, io, json, sys, pytest
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    status = pytest.main(["-p", "lossgrade.plugin", "--version", "--version", "-c", sys.argv[1]])
heavy = {"numpy", "torch", "pydantic", "lossgrade.session"}.intersection(sys.modules)
print(json.dumps({"plugin": "lossgrade.plugin" in sys.modules, "heavy": sorted(heavy)}))
sys.exit(status)
"""


class CommandFailed(Exception):
    """A command that ended badly, or that graded a right submission wrongly."""


@dataclass
class Command:
    """One command and what its measured runs cost.

    Attributes:
        report: where the run writes its result, for runs that grade.
        peak_mib: of the largest process among the command and its descendants, not their sum.
    """

    name: str
    arguments: list[str]
    report: Path | None = None
    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    peak_mib: list[float] = field(default_factory=list)


@dataclass
class Comparison:
    """Two commands against a target; `value` is the worse of the two ways to compare."""

    name: str
    unit: str
    of_medians: float
    paired_median: float
    target: float

    @property
    def value(self) -> float:
        return max(self.of_medians, self.paired_median)

    @property
    def verdict(self) -> str:
        return "met" if self.value <= self.target else "MISSED"


class Bench:
    """Runs commands in a folder of its own, in one environment."""

    def __init__(self, python: str, folder: Path, *, keep_environment: bool) -> None:
        self.python = python
        self.folder = folder
        self.work = folder / "cwd"
        self.work.mkdir()
        self.environment = dict(os.environ)
        if not keep_environment:
            # As in an ordinary installation: byte code is cached, here without touching the tree.
            self.environment.pop("PYTHONDONTWRITEBYTECODE", None)
            self.environment["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
            for name in [n for n in self.environment if n.startswith("PYTEST_")]:
                del self.environment[name]

    def run(self, command: Command, *, keep: bool = True) -> None:
        """Run `command` once and, if `keep`, note what it cost.

        Raises:
            CommandFailed: it ended with an error, or its submission lost points.
        """
        if command.report is not None:
            command.report.unlink(missing_ok=True)
        with tempfile.TemporaryFile("w+b") as output:
            start = time.perf_counter()
            process = subprocess.Popen(
                [self.python, *command.arguments],
                cwd=self.work,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            # Also counts the descendants that were waited for: zygote and workers are.
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.perf_counter() - start
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                output.seek(0)
                said = output.read().decode(errors="replace")[-3000:]
                raise CommandFailed(f"{command.name}: exit status {process.returncode}\n{said}")
        if command.report is not None:
            graded = json.loads(command.report.read_text(encoding="utf-8"))
            if graded["outcome"] != "passed" or graded["score"] != graded["max_score"]:
                raise CommandFailed(
                    f"{command.name}: {graded['outcome']}, {graded['score']:g} of "
                    f"{graded['max_score']:g} points, expected full marks"
                )
        if keep:
            command.wall_s.append(wall)
            command.cpu_s.append(usage.ru_utime + usage.ru_stime)
            # Bytes on macOS, KiB elsewhere.
            scale = 1 << 20 if sys.platform == "darwin" else 1 << 10
            command.peak_mib.append(usage.ru_maxrss / scale)

    def ask(self, code: str, *arguments: str, plugins: bool = True) -> Any:
        """Run `code` in a fresh interpreter and return the JSON it prints.

        Args:
            plugins: whether pytest loads the installed plugins by itself.
        """
        extra = {} if plugins else {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        done = subprocess.run(
            [self.python, "-c", code, *arguments],
            cwd=self.work,
            env={**self.environment, **extra},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise CommandFailed(f"exit status {done.returncode}\n{done.stdout}{done.stderr}")
        return json.loads(done.stdout)

    def loads_torch(self, submission: Path, options: list[str]) -> bool:
        """Say whether torch is loaded where a copy of `submission` runs: the copy tells."""
        copy = self.folder / f"probe_{submission.name}"
        copy.write_bytes(submission.read_bytes() + PROBE.encode())
        command = grading(f"probe {submission.name}", copy, self.folder, options)
        assert command.report is not None
        self.run(command)
        printed = json.loads(command.report.read_text(encoding="utf-8"))["printed"]
        for line in printed.splitlines():
            if line.startswith(MARK):
                return bool(line.removeprefix(MARK) == "True")
        raise CommandFailed(f"{command.name}: the probe's line is not among what was printed")


def grading(name: str, submission: Path, folder: Path, options: list[str]) -> Command:
    """Return the command that grades `submission` and writes its result as JSON."""
    report = folder / f"{submission.stem}.json"
    asked = ["--submission", str(submission), "--lossgrade-report", f"json:{report}"]
    return Command(name, [*PYTEST, *options, *asked], report)


def compare(name: str, of: Command, against: Command, target: float) -> Comparison:
    """Compare wall times as a ratio."""
    paired = [x / y for x, y in zip(of.wall_s, against.wall_s, strict=True)]
    of_medians = statistics.median(of.wall_s) / statistics.median(against.wall_s)
    return Comparison(name, "x", of_medians, statistics.median(paired), target)


def difference(name: str, of: Command, against: Command, target: float) -> Comparison:
    """Compare wall times as a difference in milliseconds."""
    paired = [1e3 * (x - y) for x, y in zip(of.wall_s, against.wall_s, strict=True)]
    of_medians = 1e3 * (statistics.median(of.wall_s) - statistics.median(against.wall_s))
    return Comparison(name, "ms", of_medians, statistics.median(paired), target)


def table(commands: list[Command]) -> str:
    """Return the figures of every command, wall time as min / median / max."""
    width = max(len(c.name) for c in commands)
    lines = [
        f"{'command':{width}}  {'wall s: min / median / max':>27}  {'cpu s':>6}  {'peak MiB':>8}"
    ]
    for c in commands:
        wall = f"{min(c.wall_s):.3f} / {statistics.median(c.wall_s):.3f} / {max(c.wall_s):.3f}"
        cpu, peak = statistics.median(c.cpu_s), max(c.peak_mib)
        lines.append(f"{c.name:{width}}  {wall:>27}  {cpu:6.2f}  {peak:8.0f}")
    return "\n".join(lines)


def measure(bench: Bench, rounds: int, without: list[str]) -> dict[str, Any]:
    """Run everything, print it, and return the figures.

    Args:
        without: names of other pytest plugins that are left out.
    """
    options = [part for name in without for part in ("-p", f"no:{name}")]
    about = bench.ask(ABOUT)
    load = os.getloadavg()
    a = Command("a  import torch", ["-c", "import torch"])
    b = grading("b  pytest --submission, torch", TORCH, bench.folder, options)
    c = Command("c  import numpy, pytest", ["-c", "import numpy, pytest"])
    d = grading("d  pytest --submission, NumPy", NUMPY, bench.folder, options)
    e = Command("e  pytest --version --version", [*PYTEST, *options, *VERSION])
    f = Command("f  the same, -p no:lossgrade", [*e.arguments, "-p", "no:lossgrade"])
    commands = [a, b, c, d, e, f]
    for turn in range(rounds + 1):
        for command in [a, b, c, d, *[e, f] * VERSION_PAIRS]:
            bench.run(command, keep=turn > 0)

    loaded = {path.name: bench.loads_torch(path, options) for path in (TORCH, NUMPY)}
    imported = bench.ask(IMPORTED, os.devnull, plugins=False)
    if not loaded[TORCH.name]:
        raise CommandFailed(f"{TORCH.name} ran without torch: the probe proves nothing")
    if not imported["plugin"]:
        raise CommandFailed("pytest --version --version did not load lossgrade.plugin")
    comparisons = [
        compare("b / a", b, a, 1.6),
        compare("d / c", d, c, 3.0),
        difference("e - f", e, f, 10.0),
    ]
    numpy_peak, torch_peak = max(d.peak_mib), min(a.peak_mib)
    without_torch = not loaded[NUMPY.name] and numpy_peak < torch_peak

    cpus = os.cpu_count() or 0
    machine = f"{platform.system()} {platform.machine()}, {cpus} CPUs"
    versions = ", ".join(f"{n} {v}" for n, v in about["versions"].items() if v)
    plugins = [p for p in about["other_pytest_plugins"] if p not in without]
    after = os.getloadavg()
    print(f"{machine}; load average {load[0]:.1f} before, {after[0]:.1f} after; {rounds} rounds")
    print(f"{versions}; other pytest plugins: {', '.join(plugins) or 'none'}\n")
    print(table(commands))
    print(f"\n{'':6} {'of medians':>11} {'median of pairs':>16} {'target':>8}")
    for each in comparisons:
        # Enough digits that 1.603 is not shown as a 1.6 that missed 1.6.
        digits = 3 if each.unit == "x" else 1
        print(
            f"{each.name:6} {each.of_medians:8.{digits}f} {each.unit:2} "
            f"{each.paired_median:13.{digits}f} {each.unit:2} {each.target:5g} {each.unit:2}  "
            f"{each.verdict}"
        )
    print(
        f"\n{NUMPY.name} is graded without torch: {'met' if without_torch else 'MISSED'} "
        f"(in sys.modules where it runs: {loaded[NUMPY.name]}, and {loaded[TORCH.name]} for "
        f"{TORCH.name}; peak {numpy_peak:.0f} MiB, and {torch_peak:.0f} MiB for import torch)"
    )
    print(
        "the plugin loads neither numpy, torch nor pydantic: "
        f"{'MISSED, ' + ', '.join(imported['heavy']) if imported['heavy'] else 'met'}"
    )
    return {
        "machine": machine,
        "load_average": {"before": load[0], "after": after[0]},
        **about,
        "left_out_plugins": without,
        "rounds": rounds,
        "commands": [
            {"name": x.name, "arguments": x.arguments}
            | {
                key: [round(v, 4) for v in asdict(x)[key]]
                for key in ("wall_s", "cpu_s", "peak_mib")
            }
            for x in commands
        ],
        "comparisons": [{**asdict(x), "verdict": x.verdict} for x in comparisons],
        "torch_loaded": loaded,
        "plugin_loads": imported["heavy"],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7, help="measured rounds (default: 7)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the figures here")
    parser.add_argument(
        "--python",
        default=sys.executable,
        metavar="PATH",
        help="the interpreter to measure, with lossgrade[grader] installed (default: this one)",
    )
    parser.add_argument(
        "--without",
        action="append",
        default=[],
        metavar="PLUGIN",
        help="leave out another pytest plugin that is installed, e.g. hypothesispytest",
    )
    parser.add_argument(
        "--keep-environment",
        action="store_true",
        help="keep PYTEST_* and PYTHONDONTWRITEBYTECODE as they are set",
    )
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds: expected 1 or more")
    with tempfile.TemporaryDirectory(prefix="lossgrade-benchmark-") as folder:
        bench = Bench(
            options.python, Path(folder).resolve(), keep_environment=options.keep_environment
        )
        try:
            figures = measure(bench, options.rounds, options.without)
        except (CommandFailed, OSError) as error:
            print(error, file=sys.stderr)
            return 1
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
