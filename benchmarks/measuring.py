"""Whole processes, what they cost, and how two of them compare. The lint benchmarks share it."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CHECKS = Path(__file__).resolve().parent.parent / "checks"

# What no linter on this parser can do without: one tree at a time, each dropped at once.
PARSE_ONLY = """
import os, sys
import libcst
from lossgrade_checks.prefilter import might_matter
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        if name.endswith(".py"):
            with open(os.path.join(folder, name), "rb") as file:
                data = file.read()
            if might_matter(data):
                libcst.parse_module(data)
"""


class CommandFailed(Exception):
    """A command that ended in a way that makes its figures worthless."""


@dataclass
class Command:
    """One command and what its measured runs cost.

    Attributes:
        environment: set on top of the common one.
        accepted: exit statuses of a run that did its work.
        fatal: what a run prints that gave up half-way.
        peak_mib: of the largest process among the command and its descendants, not their sum.
    """

    name: str
    arguments: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    accepted: tuple[int, ...] = (0,)
    fatal: str | None = None
    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    peak_mib: list[float] = field(default_factory=list)

    @property
    def cpu(self) -> float:
        return statistics.median(self.cpu_s)

    @property
    def wall(self) -> float:
        return statistics.median(self.wall_s)


def clean_environment(bytecode: Path) -> dict[str, str]:
    """Return this process's environment as an ordinary installation has it.

    Byte code is cached, in the folder `bytecode`; nothing else changes how Python starts.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYTEST_"))}
    return environment | {"PYTHONPYCACHEPREFIX": str(bytecode)}


def run(
    command: Command, environment: Mapping[str, str], cwd: Path, *, keep: bool = True
) -> tuple[str, str]:
    """Run `command`, note what it cost if `keep`, and return what it printed: output, errors.

    The cost is that of the process and of all descendants that were waited for.

    Raises:
        CommandFailed: it ended with another status than it should, or says that it gave up.
    """
    with tempfile.TemporaryFile("w+b") as output, tempfile.TemporaryFile("w+b") as errors:
        start = time.perf_counter()
        process = subprocess.Popen(
            command.arguments,
            cwd=cwd,
            env={**environment, **command.environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        said = output.read().decode(errors="replace"), errors.read().decode(errors="replace")
    gave_up = command.fatal is not None and any(command.fatal in each for each in said)
    if process.returncode not in command.accepted or gave_up:
        tail = "\n".join(each[-1500:] for each in said)
        raise CommandFailed(f"{command.name}: exit status {process.returncode}\n{tail}")
    if keep:
        command.wall_s.append(wall)
        command.cpu_s.append(usage.ru_utime + usage.ru_stime)
        # Bytes on macOS, KiB elsewhere.
        scale = 1 << 20 if sys.platform == "darwin" else 1 << 10
        command.peak_mib.append(usage.ru_maxrss / scale)
    return said


def ask(python: str, code: str, environment: Mapping[str, str], *arguments: str) -> str:
    """Run `code` in a fresh interpreter and return what it prints.

    Raises:
        CommandFailed: it ended with an error.
    """
    done = subprocess.run(
        [python, "-c", code, *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CommandFailed(f"{python}: exit status {done.returncode}\n{done.stderr[-3000:]}")
    return done.stdout


def lint(path: str) -> list[str]:
    """Return the arguments to Python that lint `path` in one process and from scratch."""
    return ["-m", "lossgrade_checks", "check", path, "-j1", "--exit-zero", "--no-cache"]


def machine() -> str:
    load = os.getloadavg()[0]
    cpus = os.cpu_count() or 0
    return f"{platform.system()} {platform.machine()}, {cpus} CPUs; load average {load:.1f}"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as aligned columns, the first to the left; the first row names them."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
