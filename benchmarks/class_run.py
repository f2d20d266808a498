"""Measure `lossgrade grade` on whole classes, beside what a class costs without it.

    python benchmarks/class_run.py [throughput checks end-to-end memory scale dask] [--json PATH]

throughput  submissions a second, one job a core, result records written: beside a fresh
            `pytest --submission` process for each, one at a time and one a core
checks      the same for the 22 criteria of a torch softmax, beside a fresh pytest that imports
            the submission and makes 20 checks of it itself, of the same properties
end-to-end  a whole run of 1,000 mixed submissions, with feedback, gradebook and report.html, beside
            the grading of the same alone
memory      private memory of the processes of a run, by the number of jobs
scale       1,000 and 10,000 submissions: time, and the runner's memory
dask        two Dask workers on this machine, beside `--jobs 2`

The sides take turns within each round, so that other work on the machine hits all of them alike.
Exit status: 0 whatever the figures say, 1 when a command fails or grades wrongly.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measuring import CommandFailed, clean_environment, machine, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures/lossgrade_fixtures"
SUBMISSIONS = FIXTURES / "submissions"
TORCH = SUBMISSIONS / "right/stat453_notebook.py"
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
GRADE = [sys.executable, "-m", "lossgrade.cli", "grade"]
PYTEST = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", os.devnull, "-q"]
MIB = 1 << 20

# All 22 criteria of a torch softmax, 17 of them with points, and nothing else.
CHECKED = """\
name = "twenty-checks"
library = "torch"
[functions.softmax]
names = ["softmax"]
points = 20
"""

# The grading alone: the engine in processes of ours, result records written, nothing else.
ALONE = """
import sys, time
from pathlib import Path
from lossgrade.assignment import load_assignment
from lossgrade.cohort.asked import Asked, Settings, Task, digest_of_assignment, digest_of_files
from lossgrade.cohort.entry import Entry
from lossgrade.cohort.jobs import Jobs
from lossgrade.student import frameworks
from lossgrade.submission import Submission
handed_in, out, jobs = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
assignment, folder = load_assignment(sys.argv[4])
asked = Asked(assignment, folder, digest_of_assignment(assignment, folder), Settings("ab"))
tasks = [
    Task(Entry(path.stem, path=path), digest_of_files(Submission.at(path)), feedback=False)
    for path in sorted(handed_in.iterdir())
]
(out / "results").mkdir(parents=True)
needed = {tuple(frameworks(Submission.at(task.entry.path), assignment)) for task in tasks[:20]}
pool = Jobs(asked, out, jobs, needed)
assert sum(1 for _ in pool.outcomes(tasks)) == len(tasks)
pool.close()
"""

# What an instructor writes by hand for the same softmax: twenty checks, in the process that
# imports the submission, with no limit and no isolation.
BY_HAND = """\
import importlib.util
import pytest
import torch
from torch.testing import assert_close

spec = importlib.util.spec_from_file_location("submission", {path!r})
submission = importlib.util.module_from_spec(spec)
spec.loader.exec_module(submission)
softmax = submission.softmax
LECTURE = torch.tensor(
    [[-0.3, -0.5, -0.5], [-0.4, -0.1, -0.5], [-0.3, -0.94, -0.5], [-0.99, -0.88, -0.5]]
)


def reference(z):
    return torch.softmax(z.double(), dim=1)


@pytest.mark.parametrize("scale", [0.1, 1, 10])
@pytest.mark.parametrize("shape", [(1, 3), (4, 3), (5, 10), (64, 2)], ids=str)
def test_values(shape, scale):
    z = scale * torch.randn(shape)
    assert_close(softmax(z).double(), reference(z), atol=1e-5, rtol=0)


def test_lecture():
    assert_close(softmax(LECTURE).double(), reference(LECTURE), atol=1e-5, rtol=0)


def test_rows_sum_to_1():
    z = torch.randn(6, 4)
    assert_close(softmax(z).sum(dim=1), torch.ones(6), atol=1e-5, rtol=0)


def test_shift_changes_nothing():
    z = torch.randn(6, 4)
    assert_close(softmax(z + 3), softmax(z), atol=1e-5, rtol=0)


def test_order_of_examples():
    z = torch.randn(6, 4)
    assert_close(softmax(z.flip(0)), softmax(z).flip(0), atol=1e-5, rtol=0)


def test_input_unchanged():
    z = torch.randn(6, 4)
    before = z.clone()
    softmax(z)
    assert_close(z, before, atol=0, rtol=0)


def test_gradient():
    z = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    (softmax(z) ** 2).sum().backward()
    other = z.detach().clone().requires_grad_()
    (torch.softmax(other, dim=1) ** 2).sum().backward()
    assert_close(z.grad, other.grad, atol=1e-5, rtol=0)


def test_shape_and_dtype():
    result = softmax(torch.randn(2, 3))
    assert result.shape == (2, 3)
    assert result.dtype == torch.float32


def test_float64():
    assert softmax(torch.randn(2, 3, dtype=torch.float64)).dtype == torch.float64
"""


def copies(folder: Path, sources: Sequence[Path], count: int) -> Path:
    """Fill `folder` with `count` submissions, each with a line of its own."""
    folder.mkdir()
    for number in range(count):
        source = sources[number % len(sources)]
        text = source.read_text(encoding="utf-8-sig")
        (folder / f"student{number:05}.py").write_text(f"{text}\n# {number}\n", encoding="utf-8")
    return folder


def mixed() -> list[Path]:
    """Return the examples of a class: three right ones for two wrong ones."""
    index = tomllib.loads((SUBMISSIONS / "index.toml").read_text("utf-8"))["submission"]
    known = [
        each for each in index if each["assignment"] == "stat453" and each["path"].endswith(".py")
    ]
    right = [SUBMISSIONS / each["path"] for each in known if each["verdict"] == "right"]
    wrong = [SUBMISSIONS / each["path"] for each in known if each["verdict"] != "right"]
    made = []
    for place in range(5 * len(wrong)):
        kind = right if place % 5 < 3 else wrong
        made.append(kind[place % len(kind)])
    return made


class Bench:
    """Runs commands in one environment, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = clean_environment(folder / "bytecode")
        self.figures: dict[str, Any] = {}

    def seconds(self, command: Sequence[str | Path], *, accepted: Sequence[int] = (0,)) -> float:
        """Run a command and return how long it took.

        Raises:
            CommandFailed: it ended with another status than it should.
        """
        start = time.perf_counter()
        done = subprocess.run(
            [str(part) for part in command], env=self.environment, cwd=self.folder,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode not in accepted:
            said = (done.stdout + done.stderr)[-2000:]
            raise CommandFailed(f"{command}: exit status {done.returncode}\n{said}")
        return time.perf_counter() - start

    def grade(self, handed_in: Path, *options: str | Path, jobs: int = CORES) -> float:
        """Grade a class from scratch and return how long it took, all told."""
        out = self.folder / "graded"
        shutil.rmtree(out, ignore_errors=True)
        asked: list[str | Path] = [*GRADE, handed_in, "--out", out, "-q", "--seed=ab"]
        took = self.seconds(
            [*asked, *options, *([] if "--scheduler" in options else [f"-j{jobs}"])]
        )
        count = len(list((out / "results").iterdir()))
        if count != len(list(handed_in.iterdir())):
            raise CommandFailed(f"{handed_in}: {count} results")
        return took

    def alone(self, handed_in: Path, assignment: str | Path = "stat453") -> float:
        """Grade a class and write the results, nothing else; return how long it took."""
        out = self.folder / "alone"
        shutil.rmtree(out, ignore_errors=True)
        command: list[str | Path] = [sys.executable, "-c", ALONE, handed_in, out, str(CORES)]
        return self.seconds([*command, assignment])

    def steady(self, many: Path, few: Path, assignment: str | Path = "stat453") -> float:
        """Return submissions a second, what a run costs once taken off."""
        took = self.alone(many, assignment) - self.alone(few, assignment)
        return (len(list(many.iterdir())) - len(list(few.iterdir()))) / took

    def at_once(self, commands: Sequence[Sequence[str | Path]], processes: int) -> float:
        """Run commands, several at once, and return how many ended in a second."""
        start = time.perf_counter()
        with ThreadPoolExecutor(processes) as pool:
            list(pool.map(lambda command: self.seconds(command, accepted=(0, 1)), commands))
        return len(commands) / (time.perf_counter() - start)

    def note(self, name: str, asked: str, values: Sequence[float], unit: str = "x") -> list[str]:
        """Keep a figure; return its row of the table."""
        self.figures[name] = list(values)
        middle = statistics.median(values)
        spread = f"{min(values):.2f} to {max(values):.2f}" if len(values) > 1 else ""
        return [name, f"{middle:.2f}{unit}", spread, asked]


# --- the measurements -----------------------------------------------------------------------------


def throughput(bench: Bench, rounds: int) -> Iterator[list[str]]:
    few = copies(bench.folder / "few", [TORCH], CORES)
    many = copies(bench.folder / "many", [TORCH], 400)
    mixed_few = copies(bench.folder / "mixed-few", mixed(), CORES)
    mixed_many = copies(bench.folder / "mixed-many", mixed(), 400)
    ours: dict[str, list[float]] = {"right": [], "mixed": []}
    theirs: dict[str, list[float]] = {"one at a time": [], "one a core": []}
    alone: list[str | Path] = [*PYTEST, "--submission", TORCH]
    for _ in range(rounds):
        ours["right"].append(bench.steady(many, few))
        theirs["one at a time"].append(bench.at_once([alone] * 4, 1))
        ours["mixed"].append(bench.steady(mixed_many, mixed_few))
        theirs["one a core"].append(bench.at_once([alone] * 3 * CORES, CORES))
    for name, rates in (*ours.items(), *theirs.items()):
        yield bench.note(f"throughput, {name}", "", rates, "/s")
    for name, rates in theirs.items():
        asked = "at least 60"
        ratios = [a / b for a, b in zip(ours["right"], rates, strict=True)]
        yield bench.note(f"to fresh pytest --submission, {name}", asked, ratios)


def checks(bench: Bench, rounds: int) -> Iterator[list[str]]:
    few = copies(bench.folder / "checked-few", [TORCH], CORES)
    many = copies(bench.folder / "checked-many", [TORCH], 400)
    assignment = bench.folder / "twenty.toml"
    assignment.write_text(CHECKED)
    by_hand = bench.folder / "test_by_hand.py"
    by_hand.write_text(BY_HAND.format(path=str(TORCH)))
    command: list[str | Path] = [*PYTEST, "-p", "no:lossgrade", by_hand]
    ours: list[float] = []
    theirs: dict[str, list[float]] = {"one at a time": [], "one a core": []}
    for _ in range(rounds):
        ours.append(bench.steady(many, few, assignment))
        theirs["one at a time"].append(bench.at_once([command] * 3, 1))
        theirs["one a core"].append(bench.at_once([command] * 2 * CORES, CORES))
    yield bench.note("20 checks, ours", "", ours, "/s")
    for name, rates in theirs.items():
        yield bench.note(f"20 checks, fresh pytest, {name}", "", rates, "/s")
        ratios = [a / b for a, b in zip(ours, rates, strict=True)]
        yield bench.note(f"to fresh pytest of 20 checks, {name}", "at least 100", ratios)


def end_to_end(bench: Bench, rounds: int) -> Iterator[list[str]]:
    handed_in = copies(bench.folder / "thousand", mixed(), 1000)
    whole, alone = [], []
    for _ in range(rounds):
        whole.append(bench.grade(handed_in))
        alone.append(bench.alone(handed_in))
    yield bench.note("1,000 end to end", "", whole, " s")
    yield bench.note("1,000, grading alone", "", alone, " s")
    ratios = [a / b for a, b in zip(whole, alone, strict=True)]
    yield bench.note("end to end to grading alone", "at most 1.3", ratios)


def below(pid: int) -> list[int]:
    """Return the processes below `pid`."""
    found = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found += [child, *below(child)]
    except OSError:
        pass
    return found


def private(pid: int) -> float:
    """Return the private memory of a process in MiB; 0 where it has ended."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    return sum(map(int, re.findall(r"^Private_\w+: +(\d+) kB", text, re.MULTILINE))) / 1024


def kind(pid: int, runner: int) -> str:
    """Say what a process of a run is."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return ""
    if b"lossgrade.sandbox" not in command:
        return "runner" if pid == runner else "grading"
    try:
        above = Path(f"/proc/{parent}/cmdline").read_bytes()
        grand = int(Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return ""
    if b"lossgrade.sandbox" not in above:
        return "zygote"
    return "twin" if grand == runner else "worker"


def memory(bench: Bench, rounds: int) -> Iterator[list[str]]:
    handed_in = copies(bench.folder / "watched", [TORCH], 60 * rounds * CORES)
    sizes: dict[str, list[float]] = {}
    totals: dict[int, float] = {}
    for jobs in (1, CORES):
        out = bench.folder / f"memory-{jobs}"
        run = subprocess.Popen(
            [*GRADE, handed_in, "--out", out, "-q", f"-j{jobs}"], env=bench.environment,
            cwd=bench.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        seen: list[float] = []
        while run.poll() is None:
            time.sleep(0.1)
            if len(list((out / "results").glob("*"))) < 20 * jobs:
                continue
            total = 0.0
            for pid in (run.pid, *below(run.pid)):
                size, name = private(pid), kind(pid, run.pid)
                total += size
                if size and name:
                    sizes.setdefault(name, []).append(size)
            seen.append(total)
        if run.returncode:
            raise CommandFailed(f"jobs {jobs}: exit status {run.returncode}")
        totals[jobs] = statistics.median(seen)
    for name, values in sizes.items():
        asked = "at most 8" if name == "worker" else ""
        yield bench.note(f"private memory, {name}", asked, values, " MiB")
    further = (totals[CORES] - totals[1]) / (CORES - 1)
    yield bench.note("private memory, a further job, all told", "", [further], " MiB")


def scale(bench: Bench, rounds: int) -> Iterator[list[str]]:
    del rounds  # Ten thousand take long enough once.
    took, peak = {}, {}
    for count in (1000, 10_000):
        handed_in = copies(bench.folder / f"scale-{count}", [TORCH, *mixed()[:4]], count)
        out = bench.folder / "graded"
        shutil.rmtree(out, ignore_errors=True)
        start = time.perf_counter()
        run = subprocess.Popen(
            [*GRADE, handed_in, "--out", out, "-q", "--seed=ab"], env=bench.environment,
            cwd=bench.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        sizes = [0.0]
        watched = threading.Thread(target=_watch, args=(run, sizes))
        watched.start()
        run.wait()
        watched.join()
        took[count], peak[count] = time.perf_counter() - start, max(sizes)
        if run.returncode:
            raise CommandFailed(f"{count}: exit status {run.returncode}")
        yield bench.note(f"{count} submissions", "", [took[count]], " s")
        yield bench.note(f"{count} submissions, the runner's memory", "", [peak[count]], " MiB")
        page = (out / "report.html").stat().st_size / MIB
        yield bench.note(f"{count} submissions, report.html", "", [page], " MiB")
    yield bench.note("10,000 to ten times 1,000", "about 1", [took[10_000] / took[1000] / 10])


def _watch(run: subprocess.Popen[bytes], sizes: list[float]) -> None:
    while run.poll() is None:
        try:
            text = Path(f"/proc/{run.pid}/smaps_rollup").read_text()
        except OSError:
            return
        found = re.search(r"^Rss: +(\d+) kB", text, re.MULTILINE)
        sizes.append(int(found[1]) / 1024 if found else 0)
        time.sleep(0.2)


def dask(bench: Bench, rounds: int) -> Iterator[list[str]]:
    handed_in = copies(bench.folder / "spread", mixed(), 600)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    own = ["--no-dashboard"]
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1",
             "--port", str(port), *own],
            env=bench.environment, cwd=bench.folder, stderr=subprocess.DEVNULL,
        ),
        subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nworkers", "2",
             "--nthreads", "1", *own],
            env=bench.environment, cwd=bench.folder, stderr=subprocess.DEVNULL,
        ),
    ]  # fmt: skip
    try:
        time.sleep(5)
        bench.grade(handed_in, "--scheduler", address)
        spread, local = [], []
        for _ in range(rounds):
            spread.append(bench.grade(handed_in, "--scheduler", address))
            local.append(bench.grade(handed_in, jobs=2))
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait()
    yield bench.note("600 on 2 Dask workers", "", spread, " s")
    yield bench.note("600 with --jobs 2", "", local, " s")
    ratios = [a / b for a, b in zip(spread, local, strict=True)]
    yield bench.note("Dask to --jobs 2", "at most 1.25", ratios)


MEASUREMENTS: dict[str, Callable[[Bench, int], Iterator[list[str]]]] = {
    "throughput": throughput,
    "checks": checks,
    "end-to-end": end_to_end,
    "memory": memory,
    "scale": scale,
    "dask": dask,
}


def main() -> int:
    """Run the measurements that are named, all by default."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(MEASUREMENTS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="PATH")
    options = parser.parse_args()
    if unknown := set(options.names) - set(MEASUREMENTS):
        parser.error(f"unknown: {', '.join(unknown)}; expected {', '.join(MEASUREMENTS)}")
    print(machine())
    rows = [["", "median", "range", "asked"]]
    figures: dict[str, Any] = {}
    for name in options.names or MEASUREMENTS:
        with tempfile.TemporaryDirectory(prefix="lossgrade-bench-") as folder:
            bench = Bench(Path(folder))
            try:
                rows += MEASUREMENTS[name](bench, options.rounds)
            except CommandFailed as error:
                print(error, file=sys.stderr)
                return 1
            figures |= bench.figures
    print(table(rows))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
