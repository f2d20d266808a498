"""`lossgrade check` and `lossgrade rule`: what they were asked, and the exit code.

0: nothing found, or all of it fixed. 1: findings are left, or `--diff` shows a change. 2: the
command, a configuration or a path is wrong, a file could not be written, or the linter is at fault.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from lossgrade_checks.arguments import parse
from lossgrade_checks.config import ConfigError, Configurations, Settings
from lossgrade_checks.discover import Discovery
from lossgrade_checks.patterns import Patterns
from lossgrade_checks.rules import all_rules
from lossgrade_checks.selection import Choice, UnknownRule, matching, rules_on

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence

    from lossgrade_checks.files import Outcome, Task

INTERRUPTED = 128 + signal.SIGINT


def main(arguments: Sequence[str]) -> int:
    """Run `check ...` or `rule ...`; return the exit code."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that lacks a character must not end the run.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    options = parse(arguments)
    check = None
    try:
        if options.command == "rule":
            from lossgrade_checks.rule_page import run as run_rule

            code = run_rule(options)
        else:
            check = Check(options)
            code = check.run()
        sys.stdout.flush()
    except (ConfigError, UnknownRule) as error:
        for line in error.args:
            complain(line)
        return 2
    except KeyboardInterrupt:
        complain("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone, as `| head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return check.code if check else 0
    # The process ends: its last walk for cycles would only take time.
    gc.freeze()
    return code


def complain(line: str) -> None:
    """Say on stderr what is wrong."""
    print(f"lossgrade: {line}", file=sys.stderr)


class Check:
    """A run of `lossgrade check`."""

    def __init__(self, options: argparse.Namespace) -> None:
        from lossgrade_checks.printing import Printer

        self._options = options
        self._configurations = Configurations(options.config)
        self._here = self._configurations.for_folder(str(Path.cwd()))
        self._choice = Choice(options.select, options.extend_select, options.ignore)
        self._rules = all_rules()
        self._known: dict[tuple[str, str], tuple[str, ...]] = {}
        self._patterns: dict[tuple[str, str], Patterns] = {}
        self._printer = Printer(options, options.output_format or self._here.output_format)
        # A misspelt rule is said even where no file is linted.
        self._codes(self._here)
        for _, codes in options.per_file_ignores:
            for code in codes:
                matching(self._rules, code)

    def run(self) -> int:
        """Lint what was named, print what was found; return the exit code."""
        options = self._options
        discovery = Discovery(
            self._configurations, options.exclude, force_exclude=options.force_exclude
        )
        errors: list[str] = []
        if options.paths == ["-"]:
            outcomes = self._stdin(discovery)
        else:
            files, errors = discovery.find(options.paths or ["."])
            tasks = [self._task(path) for path in files]
            from lossgrade_checks.runner import run

            outcomes = run(tasks, options.jobs)
        for line in errors:
            complain(line)
        failed = bool(errors)
        for outcome in outcomes:
            self._printer.add(outcome)
            if outcome.error:
                failed = True
                complain(outcome.error)
        self._printer.finish(failed=failed)
        return 2 if failed else self.code

    @property
    def code(self) -> int:
        """The exit code of what has been printed so far."""
        options, fixed, found = self._options, self._printer.fixed, self._printer.found
        if options.diff:
            return 1 if fixed and not options.exit_zero else 0
        if found and not options.exit_zero:
            return 1
        return 1 if fixed and options.exit_non_zero_on_fix else 0

    def _task(self, path: Path) -> Task:
        from lossgrade_checks.files import Task

        options = self._options
        settings = self._configurations.for_folder(os.path.dirname(os.path.abspath(path)))
        codes = self._codes(settings)
        ignored = self._ignored_in(path, settings)
        unsafe = settings.unsafe_fixes if options.unsafe_fixes is None else options.unsafe_fixes
        return Task(
            path,
            tuple(code for code in codes if code not in ignored) if ignored else codes,
            "diff" if options.diff else "fix" if options.fix else "check",
            "unsafe" if unsafe else "safe",
        )

    def _codes(self, settings: Settings) -> tuple[str, ...]:
        """Return the codes of the rules that are on for files with these settings."""
        key = settings.root, settings.origin
        if key not in self._known:
            try:
                rules_on(self._rules, [settings.choice])
                for _, codes in settings.per_file_ignores:
                    for code in codes:
                        matching(self._rules, code)
            except UnknownRule as error:
                raise ConfigError(f"{settings.origin}: {error}") from error
            on = rules_on(self._rules, [settings.choice, self._choice])
            self._known[key] = tuple(rule.code for rule in on)
        return self._known[key]

    def _ignored_in(self, path: Path, settings: Settings) -> set[str]:
        """Return the codes that per-file ignores turn off in a file."""
        ignored: set[str] = set()
        here = str(Path.cwd())
        own = [(here, glob, codes) for glob, codes in self._options.per_file_ignores]
        for root, glob, codes in (
            *((settings.root, glob, codes) for glob, codes in settings.per_file_ignores),
            *own,
        ):
            patterns = self._patterns.setdefault((root, glob), Patterns(root, [glob]))
            if patterns.match_upwards(os.path.abspath(path)):
                for code in codes:
                    ignored |= matching(self._rules, code)
        return ignored

    def _stdin(self, discovery: Discovery) -> Iterable[Outcome]:
        from lossgrade_checks.engine import Project
        from lossgrade_checks.files import Outcome, run_content

        data = sys.stdin.buffer.read()
        name = self._options.stdin_filename
        if name and discovery.is_excluded(name):
            return [Outcome(Path(name), [], Counter(), data=data)]
        task = self._task(Path(name or "-"))
        rules = [rule for rule in self._rules if rule.code in task.codes]
        return [run_content(task, data, rules, Project())]
