"""Measure what `lossgrade check` costs a commit that touches no loss, beside Python's own start.

    python benchmarks/lint_start.py [--runs N] [--python PATH]

Every command is a whole process, from its start to its end; they take turns, and the first turn
only fills caches. Exit status: 0 whatever the figures say, 1 when a command fails, finds something
in the two files or imports libcst.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from measuring import Command, CommandFailed, ask, clean_environment, machine, run, table

TARGET = 1.3
RUNPY = "import runpy"

HEAVY = {"libcst", "numpy", "torch"}

# What a commit holds that is no training: no name of a loss, an activation or a logarithm.
HARMLESS = '''"""Read the images and split them."""

import csv
import random
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset


class Images(Dataset):
    """Images with the class that a table gives them."""

    def __init__(self, folder, rows, transform=None):
        self.folder = Path(folder)
        self.rows = rows
        self.transform = transform

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        name, label = self.rows[index]
        image = np.load(self.folder / name).astype("float32") / 255
        if self.transform is not None:
            image = self.transform(image)
        return torch.from_numpy(image), int(label)


def read_rows(path):
    with open(path, newline="") as file:
        return [(row["name"], row["label"]) for row in csv.DictReader(file)]


def split(rows, share=0.8, seed=0):
    rows = list(rows)
    random.Random(seed).shuffle(rows)
    cut = round(len(rows) * share)
    return rows[:cut], rows[cut:]


def loaders(folder, table, batch_size=64):
    train, test = split(read_rows(table))
    return (
        DataLoader(Images(folder, train), batch_size, shuffle=True),
        DataLoader(Images(folder, test), batch_size),
    )
'''

WHERE = """
import sysconfig
print(sysconfig.get_path("scripts"))
"""

# The script that uv and pip write since 2025. Until then it imported `re`, which costs more than
# all of ours: https://github.com/pypa/pip/pull/13166
SCRIPT = """#!{python}
# -*- coding: utf-8 -*-
import sys
from lossgrade.cli import main
if __name__ == "__main__":
    if sys.argv[0].endswith(".exe"):
        sys.argv[0] = sys.argv[0][:-4]
    sys.exit(main())
"""

# What installers write for the entry point. Those before pip 25.2 also import `re` in it, which
# costs more than all of ours.
SCRIPT = """#!{python}
import sys
from lossgrade.cli import main
if __name__ == "__main__":
    sys.exit(main())
"""


def imported(command: Command, environment: dict[str, str], cwd: Path) -> set[str]:
    """Return the names of the modules that a run of `command` imports."""
    python, *rest = command.arguments
    told = Command(
        f"{command.name}, telling its imports",
        [python, "-X", "importtime", *rest],
        command.environment,
    )
    _, errors = run(told, environment, cwd, keep=False)
    lines = (line for line in errors.splitlines() if line.startswith("import time:"))
    return {line.rpartition("|")[2].strip() for line in lines}


def measure(python: str, runs: int, folder: Path) -> None:
    """Run everything and print it.

    Raises:
        CommandFailed: a command failed or did what it must not.
    """
    cwd = folder / "project"
    cwd.mkdir()
    for name in ("a.py", "b.py"):
        (cwd / name).write_text(HARMLESS, encoding="utf-8")
    environment = clean_environment(folder / "bytecode")
    # -I ignores the environment, so that byte code goes to the same place all the same.
    cached = ["-X", f"pycache_prefix={folder / 'bytecode'}"]
    script = Path(ask(python, WHERE, environment).strip()) / "lossgrade"
    # The installed script up to our first line: what it costs whatever we do.
    head = folder / "head"
    head.write_text(script.read_text(encoding="utf-8").partition("from lossgrade")[0], "utf-8")
    recent = folder / "recent"
    recent.write_text(SCRIPT.format(python=python), encoding="utf-8")
    checks = ["check", "a.py", "b.py"]
    base = Command("python -I -c pass", [python, *cached, "-I", "-c", "pass"])
    floors = [
        base,
        Command("  the installed script, empty", [python, str(head)]),
        Command("  python -I -c 'import runpy', for -m", [python, *cached, "-I", "-c", RUNPY]),
    ]
    measured = [
        Command("lossgrade check, the installed script", [python, str(script), *checks]),
        Command("lossgrade check, a script of 2025 or later", [python, str(recent), *checks]),
        Command(
            "python -I -m lossgrade_checks check",
            [python, *cached, "-I", "-m", "lossgrade_checks", *checks],
        ),
    ]
    commands = [*floors, *measured]
    load = machine()
    for turn in range(runs + 1):
        order = commands if turn % 2 else commands[::-1]
        for command in order:
            output, errors = run(command, environment, cwd, keep=turn > 0)
            # The command says in one line that there is nothing; a finding names its file.
            if "a.py" in output + errors or "b.py" in output + errors:
                raise CommandFailed(f"{command.name}: found something\n{output}{errors}")
    print(f"{load}; {runs} runs of each\n")
    rows = [["command", "wall ms: min", "median", "cpu ms", "/ pass", "paired", "target", ""]]
    for command in commands:
        ratio = command.wall / base.wall
        pairs = [x / y for x, y in zip(command.wall_s, base.wall_s, strict=True)]
        paired = statistics.median(pairs)
        verdict = "met" if max(ratio, paired) <= TARGET else "MISSED"
        rows.append(
            [
                command.name,
                f"{1e3 * min(command.wall_s):.1f}",
                f"{1e3 * command.wall:.1f}",
                f"{1e3 * command.cpu:.1f}",
                f"{ratio:.3f}",
                f"{paired:.3f}",
                *(["", ""] if command in floors else [f"{TARGET:g}", verdict]),
            ]
        )
    print(table(rows))
    before = imported(base, environment, cwd)
    for command in measured:
        names = imported(command, environment, cwd)
        if "lossgrade_checks" not in names:
            raise CommandFailed(f"{command.name}: -X importtime does not tell what it imports")
        heavy = sorted(n for n in names if n.partition(".")[0] in HEAVY)
        if heavy:
            raise CommandFailed(f"{command.name}: imports {', '.join(heavy[:5])}")
        print(f"\n{command.name} imports, beyond `pass`: {', '.join(sorted(names - before))}")
    print("\nnone imports libcst: met")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=40, help="measured runs (default: 40)")
    parser.add_argument(
        "--python",
        default=sys.executable,
        metavar="PATH",
        help="the interpreter to measure, with lossgrade installed (default: this one)",
    )
    options = parser.parse_args()
    if options.runs < 1:
        parser.error("--runs: expected 1 or more")
    with tempfile.TemporaryDirectory(prefix="lossgrade-benchmark-") as folder:
        try:
            measure(options.python, options.runs, Path(folder).resolve())
        except (CommandFailed, OSError) as error:
            print(error, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
