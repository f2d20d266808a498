"""What ends a run from outside: Ctrl-C, SIGTERM, a terminal that closes."""

from __future__ import annotations

import contextlib
import signal
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ENDING = {signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])}


# A terminal and the program that started us may both pass on one Ctrl-C, and tidying up takes
# seconds at most.
DEAF_SECONDS = 10.0


class Stopped(BaseException):
    """The run was told to stop; no `except Exception` takes it for an error of its own.

    Attributes:
        code: the exit code, as shells give it: 128 and the number of the signal.
    """

    def __init__(self, number: int) -> None:
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        super().__init__(f"stopped by {name}")
        self.code = 128 + number


@contextlib.contextmanager
def raising() -> Iterator[None]:
    """Raise `Stopped` where a signal arrives that ends the run; once, while that tidies up."""
    deaf_until = 0.0

    def stop(number: int, _: object) -> None:
        nonlocal deaf_until
        if time.monotonic() >= deaf_until:
            deaf_until = time.monotonic() + DEAF_SECONDS
            raise Stopped(number)

    with _handled(stop):
        yield


@contextlib.contextmanager
def ignored() -> Iterator[None]:
    """Finish what is being done, whatever signal arrives."""
    with _handled(signal.SIG_IGN):
        yield


@contextlib.contextmanager
def _handled(handler: signal._HANDLER) -> Iterator[None]:
    before = {each: signal.signal(each, handler) for each in _heeded()}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def _heeded() -> list[signal.Signals]:
    """Return the signals that end this process: `nohup` and shells have it ignore some."""
    return [each for each in ENDING if signal.getsignal(each) != signal.SIG_IGN]


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Let signals wait: while importing, and while forking, whose child must not handle them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def follow_runner() -> None:
    """In a forked process: ignore Ctrl-C, which reaches the whole terminal; end on the others."""
    for each in _heeded():
        signal.signal(each, signal.SIG_IGN if each == signal.SIGINT else signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
