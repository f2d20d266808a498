"""Print what a run finds, as it was asked for: a format, counts, diffs, or fixed standard input."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING

from lossgrade_checks.start import CLEAN

if TYPE_CHECKING:
    import argparse

    from lossgrade_checks.files import Outcome, Report


class Printer:
    """Findings go to stdout; to stderr where stdout is for the fixed text of standard input."""

    def __init__(self, options: argparse.Namespace, output_format: str) -> None:
        from lossgrade_checks.output.terminal import style_for

        self._options = options
        self._format = output_format
        self._filter = options.paths == ["-"] and options.fix and not options.diff
        self._stream = sys.stderr if self._filter else sys.stdout
        self._style = style_for(self._stream, options.color)
        self._reports: list[Report] = []
        self.fixed: Counter[str] = Counter()

    @property
    def found(self) -> bool:
        """Whether findings are left."""
        return bool(self._reports)

    def add(self, outcome: Outcome) -> None:
        """Take what came of a file; print it at once where the format allows it."""
        self._reports += outcome.reports
        self.fixed += outcome.fixed
        if self._filter and outcome.data is not None:
            sys.stdout.buffer.write(outcome.data)
            sys.stdout.buffer.flush()
        if self._options.diff:
            # In the file's own line ends, which a text stream might change.
            sys.stdout.flush()
            sys.stdout.buffer.write(outcome.diff.encode("utf-8", "surrogateescape"))
            sys.stdout.buffer.flush()
        elif not self._options.statistics and self._format != "json":
            self._print_each(outcome.reports)

    def finish(self, *, failed: bool) -> None:
        """Print what comes at the end of a run; after a failure nothing is said to be clean."""
        if self._options.diff:
            self._finish_diff()
        elif self._options.statistics:
            from lossgrade_checks.output.statistics import render as render_statistics

            self._stream.write(render_statistics(self._reports, as_json=self._format == "json"))
        elif self._format == "json":
            from lossgrade_checks.output.json import render as render_json

            self._stream.write(render_json(self._reports))
        elif self._format == "text" and not self._options.quiet:
            self._summarise(failed=failed)

    def _print_each(self, reports: list[Report]) -> None:
        if self._format == "github":
            from lossgrade_checks.output.github import render as render_github

            self._stream.writelines(render_github(reports))
        else:
            from lossgrade_checks.output.text import render as render_text

            self._stream.writelines(render_text(reports, self._style))

    def _summarise(self, *, failed: bool) -> None:
        from lossgrade_checks.output.text import summary

        if self._reports or self.fixed:
            said = summary(self._reports, self.fixed, fixing=self._options.fix)
            self._stream.write(f"{said}\n")
        elif not failed:
            self._stream.write(f"{CLEAN}\n")

    def _finish_diff(self) -> None:
        from lossgrade_checks.output.text import counted

        if self._options.quiet:
            return
        done = f"Would fix {counted(self.fixed.total(), 'mistake')}" if self.fixed else ""
        left = f"{counted(len(self._reports), 'finding')} left" if self._reports else ""
        if done or left:
            print("; ".join(filter(None, (done, left))), file=sys.stderr)
