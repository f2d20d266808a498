"""How a run tells where it stands: a live line on a terminal, plain lines elsewhere, or nothing."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import TYPE_CHECKING, Protocol

from lossgrade.cohort.signals import held_back

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self, TextIO

    from rich.progress import Progress

    from lossgrade.cohort.graded import Summary

# Between two plain lines. A log that is read later needs no more.
SECONDS = 10.0
# Between two drawings of the live line.
REDRAW_SECONDS = 0.1


@contextlib.contextmanager
def _unread(stream: TextIO) -> Iterator[None]:
    """Go on where nobody reads `stream` any more: a terminal has closed, `head` has seen enough."""
    try:
        yield
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def tell(line: object, stream: TextIO) -> None:
    """Print a line, if anybody reads it."""
    with _unread(stream):
        print(line, file=stream, flush=True)


class Tally:
    """What has been graded so far.

    Attributes:
        kept: how many of `total` were graded by an earlier run; they come first, and say nothing
            of how fast this one is.
    """

    def __init__(
        self, total: int, kept: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.total = total
        self.kept = kept
        self.done = 0
        self.ungraded = 0
        self.clock = clock
        self.start = clock()
        self._percents = 0.0
        self._scored = 0

    def add(self, summary: Summary) -> None:
        self.done += 1
        if self.done <= self.kept:
            self.start = self.clock()
        if summary.outcome == "not-graded":
            self.ungraded += 1
        elif summary.max_score:
            self._scored += 1
            self._percents += 100 * summary.score / summary.max_score

    @property
    def seconds(self) -> float:
        return self.clock() - self.start

    @property
    def rate(self) -> float:
        """Submissions a second."""
        return max(self.done - self.kept, 0) / self.seconds if self.seconds > 0 else 0.0

    @property
    def mean(self) -> str:
        """The mean score so far, as `, mean 71.3%`; "" where there is none."""
        return f", mean {self._percents / self._scored:.1f}%" if self._scored else ""

    def left(self) -> str:
        """Return the time that is left, as `1:05`; "" before that can be told."""
        if not self.rate:
            return ""
        seconds = round((self.total - self.done) / self.rate)
        hours, rest = divmod(seconds, 3600)
        minutes, seconds = divmod(rest, 60)
        return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"

    def line(self) -> str:
        """Return where the run stands, in one line."""
        left = f", {self.left()} left" if self.left() else ""
        failed = f", {self.ungraded} not graded" if self.ungraded else ""
        return f"{self.done} of {self.total} graded, {self.rate:.1f}/s{left}{self.mean}{failed}"


class Screen(Protocol):
    """Where a run tells of its progress."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...
    def show(self, tally: Tally, /) -> None:
        """Tell where the run stands, if it is time to."""


class Silence:
    """Tells nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def show(self, _: Tally, /) -> None:
        return


class Lines(Silence):
    """Tells in plain lines, one every few seconds: for logs."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told = clock()

    def show(self, tally: Tally, /) -> None:
        if self._clock() - self._told >= SECONDS and tally.done < tally.total:
            self._told = self._clock()
            tell(tally.line(), sys.stderr)


class Live:
    """Tells in one line that changes, on a terminal."""

    def __init__(self) -> None:
        with held_back():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

        # Refreshed by hand: this process forks, and may have no other thread.
        self._progress: Progress = Progress(
            BarColumn(bar_width=24),
            TextColumn("{task.fields[line]}", markup=False),
            console=Console(stderr=True),
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._progress.add_task("", line="")
        self._drawn = 0.0

    def __enter__(self) -> Self:
        with _unread(sys.stderr):
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        with _unread(sys.stderr):
            self._progress.stop()

    def show(self, tally: Tally, /) -> None:
        if time.monotonic() - self._drawn < REDRAW_SECONDS and tally.done < tally.total:
            return
        self._drawn = time.monotonic()
        self._progress.update(
            self._task, total=tally.total, completed=tally.done, line=tally.line()
        )
        with _unread(sys.stderr):
            self._progress.refresh()


def screen(*, quiet: bool) -> Screen:
    """Return where to tell of progress: standard error is a terminal, a log, or not wanted."""
    if quiet:
        return Silence()
    live = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    return Live() if live else Lines()
