"""Measure the CPU time of linting a folder, beside linters built on the same parser.

    python benchmarks/lint_speed.py CORPUS [--rivals-python PATH] [--rounds N] [--every N]
                                    [--skip NAME] [--python PATH] [--json PATH]

CORPUS is a folder of public repositories; its .py files are copied to a temporary folder, so that
every tool sees the same files and no repository's own settings. Commands take turns; cost is user
and system time of the whole process tree. Exit status: 0 whatever the figures say, 1 when a
command fails or gives up half-way.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import statistics
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measuring import (
    CHECKS,
    PARSE_ONLY,
    Command,
    CommandFailed,
    ask,
    clean_environment,
    lint,
    machine,
    run,
    table,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

RIVAL_TARGET = 1 / 25
PARSE_TARGET = 1.4
# Runs of the quick commands in a round, of which the median counts.
REPEATS = 3

# Prints the paths (NUL between them) on which a linter must give up.
UNPARSABLE = """
import ast, os, sys, warnings
import libcst
warnings.simplefilter("ignore")
bad = []
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        path = os.path.join(folder, name)
        with open(path, "rb") as file:
            data = file.read()
        try:
            data.decode("utf-8")
            ast.parse(data)
            libcst.parse_module(data)
        except Exception:
            bad.append(path)
print("\\0".join(bad), end="")
"""

CANDIDATES = """
import json, os, sys
from lossgrade_checks.prefilter import might_matter
count = lines = 0
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        with open(os.path.join(folder, name), "rb") as file:
            data = file.read()
        if might_matter(data):
            count, lines = count + 1, lines + data.count(b"\\n")
print(json.dumps([count, lines]))
"""

ABOUT = """
import json, platform
from importlib import metadata
def version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
names = ("lossgrade", "libcst", "TorchFix", "fixit", "flake8")
versions = {"python": platform.python_version(), **{name: version(name) for name in names}}
print(json.dumps({name: v for name, v in versions.items() if v}))
"""

# How many rules `fixit lint` runs where nothing is configured.
FIXIT_RULES = """
import sys
from pathlib import Path
from fixit.config import collect_rules, generate_config
print(len(collect_rules(generate_config(Path(sys.argv[1])))))
"""

# Stands in every process of an unmeasured run and notes what is parsed, as a hash of the text.
SPY = """
import hashlib, os, sys
import libcst

FOLDER = os.environ["LOSSGRADE_BENCHMARK_NOTES"]

def note(kind, source):
    if isinstance(source, str):
        source = source.encode("utf-8", "surrogatepass")
    if not isinstance(source, bytes):
        return
    text = source.removeprefix(b"\\xef\\xbb\\xbf").replace(b"\\r\\n", b"\\n")
    line = kind + " " + hashlib.sha1(text).hexdigest() + "\\n"
    with open(os.path.join(FOLDER, str(os.getpid())), "a") as file:
        file.write(line)

def spied(parse):
    def parse_module(source, *args, **kwargs):
        note("libcst", source)
        return parse(source, *args, **kwargs)
    return parse_module

def audit(event, arguments):
    # Also raised by ast.parse; for an import of an empty file, too.
    if event == "compile" and arguments[0]:
        note("ast", arguments[0])

libcst.parse_module = spied(libcst.parse_module)
sys.addaudithook(audit)
note("started", b"")
"""


@dataclass
class Work:
    """What a command parsed: distinct files of the corpus, their lines, and LibCST's parses in all.

    A program of which a part alone is parsed is no file here, but a parse.
    """

    processes: int
    files: dict[str, int]
    lines: dict[str, int]
    parses: int


def text_hash(data: bytes) -> str:
    text = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")
    return hashlib.sha1(text, usedforsecurity=False).hexdigest()


def copy_programs(corpus: Path, target: Path, every: int) -> None:
    """Copy every `every`th .py file of `corpus` to `target`, without hidden folders and links."""
    found = sorted(
        path
        for path in corpus.rglob("*.py")
        if path.is_file()
        and not path.is_symlink()
        and not any(part.startswith(".") for part in path.relative_to(corpus).parts)
    )
    for path in found[::every]:
        copy = target / path.relative_to(corpus)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


class Corpus:
    """The copied programs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths = sorted(folder.rglob("*.py"))
        data = {path: path.read_bytes() for path in self.paths}
        self.lines = sum(each.count(b"\n") for each in data.values())
        self.hashes = Counter(text_hash(each) for each in data.values())
        self.lines_of = {text_hash(each): each.count(b"\n") for each in data.values()}
        self.with_torch = sum(b"torch" in each for each in data.values())

    def work(self, notes: Path) -> Work:
        """Return what the processes noted in the folder `notes`."""
        seen: dict[str, Counter[str]] = {"libcst": Counter(), "ast": Counter()}
        processes = list(notes.iterdir())
        parses = 0
        for process in processes:
            for line in process.read_text(encoding="utf-8").splitlines():
                kind, _, digest = line.partition(" ")
                parses += kind == "libcst"
                if kind in seen and digest in self.hashes:
                    seen[kind][digest] += 1
        return Work(
            len(processes),
            {kind: sum(self.hashes[d] for d in each) for kind, each in seen.items()},
            {
                kind: sum(self.hashes[d] * self.lines_of[d] for d in each)
                for kind, each in seen.items()
            },
            parses,
        )


def commands_for(
    corpus: Path, python: str, rivals_python: str | None
) -> tuple[dict[str, Command], dict[str, Command]]:
    """Return our commands and the rivals', by the letter that names each in the table."""
    folder = str(corpus)
    check, parse = lint(folder), ["-c", PARSE_ONLY, folder]
    path = {"PYTHONPATH": str(CHECKS)}
    ours = {
        "a": Command("lossgrade check", [python, *check], path),
        "e": Command("read, prefilter, parse", [python, *parse], path),
    }
    if rivals_python is None:
        return ours, {}
    ours |= {
        "a'": Command("lossgrade check, their libcst", [rivals_python, *check], path),
        "e'": Command("read, prefilter, parse, their libcst", [rivals_python, *parse], path),
    }
    torchfix = [rivals_python, "-m", "torchfix", "-j", "1"]
    flake8 = [rivals_python, "-m", "flake8", "--isolated", "-j1", "--select=TOR"]
    rivals = {
        "b": Command("torchfix", [*torchfix, folder], accepted=(0, 1)),
        "b2": Command(
            "torchfix --select ALL", [*torchfix, "--select", "ALL", folder], accepted=(0, 1)
        ),
        # Bits: 1 for findings, 2 for files on which a rule failed.
        "c": Command(
            "fixit lint", [rivals_python, "-m", "fixit", "lint", folder], accepted=(0, 1, 2, 3)
        ),
        "d": Command(
            "flake8 --select=TOR",
            [*flake8, folder],
            accepted=(0, 1),
            fatal="critical error during execution",
        ),
    }
    return ours, rivals


def spy_on(
    command: Command, corpus: Corpus, environment: dict[str, str], folder: Path
) -> tuple[Work, str]:
    """Run `command` unmeasured; return what it parsed and what it printed."""
    notes = Path(tempfile.mkdtemp(dir=folder))
    spies = folder / "spies"
    spies.mkdir(exist_ok=True)
    (spies / "sitecustomize.py").write_text(SPY, encoding="utf-8")
    path = [str(spies), *filter(None, [command.environment.get("PYTHONPATH")])]
    told = Command(
        command.name,
        command.arguments,
        {"PYTHONPATH": ":".join(path), "LOSSGRADE_BENCHMARK_NOTES": str(notes)},
        command.accepted,
        command.fatal,
    )
    said = run(told, environment, folder / "cwd", keep=False)
    return corpus.work(notes), "".join(said)


def measure(
    commands: dict[str, Command],
    quick: set[str],
    rounds: int,
    environment: dict[str, str],
    cwd: Path,
) -> None:
    """Run the commands in turns, those in `quick` several times a round, every second round back.

    A round's quick runs stand between the slow ones, so that they meet the same load.
    """
    for turn in range(rounds):
        slow = [key for key in commands if key not in quick]
        turns: list[str] = []
        for i in range(max(REPEATS, len(slow))):
            turns += [key for key in commands if key in quick] if i < REPEATS else []
            turns += slow[i : i + 1]
        for key in turns if turn % 2 == 0 else reversed(turns):
            run(commands[key], environment, cwd)
            cost = f"{key} {commands[key].cpu_s[-1]:.2f} s"
            print(f"\rround {turn + 1} of {rounds}: {cost:12}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


def per_round(command: Command, rounds: int) -> list[float]:
    """Return the median CPU time of each round."""
    size = len(command.cpu_s) // rounds
    return [statistics.median(command.cpu_s[i * size : (i + 1) * size]) for i in range(rounds)]


def ratio(of: Command, against: Command, rounds: int) -> tuple[float, float]:
    """Return the ratio of the medians, and the median of the ratios of each round."""
    pairs = zip(per_round(of, rounds), per_round(against, rounds), strict=True)
    return of.cpu / against.cpu, statistics.median(x / y for x, y in pairs)


def comparisons(
    commands: dict[str, Command], rounds: int
) -> tuple[list[Sequence[str]], list[dict[str, Any]]]:
    """Return the table of ratios and the same as data."""
    rows: list[Sequence[str]] = [
        ["", "of medians", "of rounds", "ours : theirs", "target", "verdict"]
    ]
    figures = []
    for mine in ("a", "a'"):
        against = ["b", "b2", "c", "d"]
        for other in [*against, mine.replace("a", "e")]:
            if mine not in commands or other not in commands:
                continue
            target = RIVAL_TARGET if other in against else PARSE_TARGET
            values = ratio(commands[mine], commands[other], rounds)
            met = max(values) <= target
            share = f"1 : {1 / values[0]:.1f}" if other in against else ""
            shown = f"1 : {1 / target:.0f}" if other in against else f"{target:g}"
            rows.append(
                [
                    f"{mine} / {other}",
                    *(f"{value:.4f}" for value in values),
                    share,
                    shown,
                    "met" if met else "MISSED",
                ]
            )
            figures.append(
                {"of": mine, "against": other, "ratios": values, "target": target, "met": met}
            )
    return rows, figures


def report(
    commands: dict[str, Command], works: dict[str, Work], corpus: Corpus
) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = [
        [
            "command",
            "cpu s: min",
            "median",
            "max",
            "wall s",
            "peak MiB",
            "libcst: files",
            "parses",
            "ast: files",
            "processes",
            "us a line",
        ]
    ]
    for key, command in commands.items():
        work = works[key]
        rows.append(
            [
                f"{key:2}  {command.name}",
                f"{min(command.cpu_s):.2f}",
                f"{command.cpu:.2f}",
                f"{max(command.cpu_s):.2f}",
                f"{command.wall:.2f}",
                f"{max(command.peak_mib):.0f}",
                str(work.files["libcst"]),
                str(work.parses),
                str(work.files["ast"]),
                str(work.processes),
                f"{1e6 * command.cpu / corpus.lines:.1f}",
            ]
        )
    return rows


def bench(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Measure and print everything; return the figures.

    Raises:
        CommandFailed: a command failed.
    """
    environment = clean_environment(folder / "bytecode")
    cwd = folder / "cwd"
    cwd.mkdir()
    programs = folder / "programs"
    programs.mkdir()
    copy_programs(options.corpus, programs, options.every)
    versions = {}
    left_out: set[str] = set()
    for python in filter(None, (options.python, options.rivals_python)):
        versions[python] = json.loads(ask(python, ABOUT, environment))
        left_out.update(
            filter(None, ask(python, UNPARSABLE, environment, str(programs)).split("\0"))
        )
    for path in left_out:
        Path(path).unlink()
    corpus = Corpus(programs)
    if not corpus.paths:
        raise CommandFailed(f"{options.corpus}: no program is left")
    candidates, candidate_lines = json.loads(
        ask(options.python, CANDIDATES, {**environment, "PYTHONPATH": str(CHECKS)}, str(programs))
    )

    ours, rivals = commands_for(programs, options.python, options.rivals_python)
    commands = {k: c for k, c in {**ours, **rivals}.items() if k not in options.skip}
    load = machine()
    works, failures = {}, {}
    for key, command in commands.items():
        print(f"\rwhat each parses: {key:2}", end="", file=sys.stderr, flush=True)
        works[key], said = spy_on(command, corpus, environment, folder)
        failures[key] = said.count(": EXCEPTION:") + said.count("INTERNAL ERROR")
    print(file=sys.stderr)
    # One run of ours fills the byte code; the rivals' was filled while they were watched.
    for key in ours.keys() & commands.keys():
        run(commands[key], environment, cwd, keep=False)
    measure(commands, set(ours), options.rounds, environment, cwd)

    print(f"{load}; {options.rounds} rounds, {REPEATS} runs a round of a and e")
    for python, about in zip(("this", "theirs"), versions.values(), strict=False):
        print(f"{python}: {', '.join(f'{name} {v}' for name, v in about.items())}")
    print(
        f"{len(corpus.paths)} programs, {corpus.lines} lines; {corpus.with_torch} name torch; the "
        f"prefilter lets {candidates} pass, {candidate_lines} lines; {len(left_out)} that some "
        "tool cannot parse are left out"
    )
    if "c" in commands:
        rules = ask(options.rivals_python, FIXIT_RULES, environment, str(programs)).strip()
        print(f"fixit runs its {rules} default rules, in a pool of processes: it cannot do less")
    for key, count in failures.items():
        if count:
            print(f"{key}: a rule fails in {count} files, which it reports and goes on")
    print()
    print(table(report(commands, works, corpus)))
    rows, figures = comparisons(commands, options.rounds)
    print()
    print(table(rows))
    return {
        "machine": load,
        "versions": list(versions.values()),
        "programs": len(corpus.paths),
        "lines": corpus.lines,
        "with_torch": corpus.with_torch,
        "candidates": candidates,
        "candidate_lines": candidate_lines,
        "left_out": len(left_out),
        "cpu_s": {k: [round(v, 3) for v in c.cpu_s] for k, c in commands.items()},
        "peak_mib": {k: round(max(c.peak_mib), 1) for k, c in commands.items()},
        "parsed": {k: w.files for k, w in works.items()},
        "processes": {k: w.processes for k, w in works.items()},
        "comparisons": figures,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("corpus", type=Path, help="a folder of repositories")
    parser.add_argument(
        "--rivals-python",
        metavar="PATH",
        help="an interpreter with TorchFix, Fixit and flake8 installed (default: no rivals)",
    )
    parser.add_argument("--rounds", type=int, default=3, help="measured rounds (default: 3)")
    parser.add_argument(
        "--every", type=int, default=1, metavar="N", help="take every Nth program only"
    )
    parser.add_argument(
        "--skip",
        action="append",
        default=[],
        choices=["a", "a'", "b", "b2", "c", "d", "e", "e'"],
        help="leave a command out, e.g. b2",
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the figures here")
    parser.add_argument(
        "--python",
        default=sys.executable,
        metavar="PATH",
        help="the interpreter to measure, with libcst installed (default: this one)",
    )
    options = parser.parse_args()
    if options.rounds < 1 or options.every < 1:
        parser.error("--rounds, --every: expected 1 or more")
    if not options.corpus.is_dir():
        parser.error(f"{options.corpus}: not a folder")
    with tempfile.TemporaryDirectory(prefix="lossgrade-benchmark-") as folder:
        try:
            figures = bench(options, Path(folder).resolve())
        except (CommandFailed, OSError) as error:
            print(error, file=sys.stderr)
            return 1
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
