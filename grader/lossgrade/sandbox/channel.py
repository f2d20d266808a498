"""Read and write a worker's pipes with deadlines, its printed output drained and capped."""

from __future__ import annotations

import contextlib
import os
import queue
import select
import threading
import time
from abc import ABC, abstractmethod
from typing import IO

CHUNK = 1 << 16
# How long a channel waits for the end of pipes whose process is dead: they end at once, unless a
# process that it left behind holds them.
LEFT_BEHIND_SECONDS = 2.0
# What is printed beyond this is an endless loop, not a student's debugging.
FLOOD_BYTES = 32 << 20


class TimedOut(Exception):
    """The deadline passed; the text, if any, says what else went wrong."""


class Closed(Exception):
    """The other side closed its pipe, as it does when it dies."""


class _Incoming(ABC):
    """The replies, and what was printed: its first `cap` bytes, and how many there were."""

    def __init__(self, cap: int) -> None:
        self.cap = cap
        self.printed = bytearray()
        self.count = 0
        # What came with the last piece and has not been asked for yet.
        self._held = b""

    def take(self, piece: bytes) -> None:
        self.count += len(piece)
        self.printed += piece[: max(0, self.cap - len(self.printed))]
        if self.count > FLOOD_BYTES:
            raise TimedOut(f"printed more than {FLOOD_BYTES >> 20} MiB of output")

    def read(self, count: int, deadline: float) -> bytes:
        """Return the next `count` bytes of the replies; what comes with them is kept.

        Raises:
            TimedOut: they did not come before `deadline`, or too much was printed meanwhile.
            Closed: they never will.
        """
        if len(self._held) < count:
            pieces = [self._held]
            missing = count - len(self._held)
            while missing > 0:
                pieces.append(self._piece(deadline))
                missing -= len(pieces[-1])
            self._held = b"".join(pieces)
        data, self._held = self._held[:count], self._held[count:]
        return data

    @abstractmethod
    def _piece(self, deadline: float) -> bytes:
        """Wait for more of the replies."""


class PipeChannel(_Incoming):
    """Three POSIX pipes: requests out, replies in, printed output in."""

    def __init__(self, requests: int, replies: int, output: int, cap: int) -> None:
        super().__init__(cap)
        self.requests, self.replies, self.output = requests, replies, output
        self._output_open = True
        self._closed = False
        os.set_blocking(requests, False)

    def send(self, data: bytes, deadline: float) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self.requests, view) :]
            except BlockingIOError:
                self._wait(self.requests, select.POLLOUT, deadline)
            except BrokenPipeError:
                raise Closed from None

    def _piece(self, deadline: float) -> bytes:
        self._wait(self.replies, select.POLLIN, deadline)
        piece = os.read(self.replies, CHUNK)
        if not piece:
            raise Closed
        return piece

    def _wait(self, descriptor: int, event: int, deadline: float) -> None:
        """Wait until `descriptor` is ready, draining the printed output meanwhile."""
        while True:
            poll = select.poll()
            poll.register(descriptor, event)
            if self._output_open:
                poll.register(self.output, select.POLLIN)
            left = deadline - time.monotonic()
            # Also when there is more to read: a reply may come in single bytes, without end.
            if left <= 0:
                raise TimedOut
            ready = dict(poll.poll(left * 1000))
            if self.output in ready:
                self._drain()
            if descriptor in ready:
                return

    def _drain(self) -> None:
        piece = os.read(self.output, CHUNK)
        self._output_open = bool(piece)
        self.take(piece)

    def close(self) -> None:
        """Take what is still in the output pipe, then close all three; once is enough."""
        if self._closed:
            return
        self._closed = True
        os.set_blocking(self.output, False)
        with contextlib.suppress(BlockingIOError, TimedOut):
            while self._output_open:
                self._drain()
        for descriptor in (self.requests, self.replies, self.output):
            os.close(descriptor)


class ThreadChannel(_Incoming):
    """The same over pipes that cannot be polled, as on Windows: a thread for each, which closes it.

    Closing a pipe that another thread reads or writes blocks on Windows.
    """

    def __init__(
        self, requests: IO[bytes], replies: IO[bytes], output: IO[bytes], cap: int
    ) -> None:
        super().__init__(cap)
        self._requests, self._replies, self._output = requests, replies, output
        self._pieces: queue.Queue[bytes] = queue.Queue(maxsize=64)
        self._flooded = False
        self._outgoing: queue.Queue[bytes | None] = queue.Queue()
        self._threads = [
            threading.Thread(target=work, daemon=True)
            for work in (self._read_replies, self._read_output, self._write_requests)
        ]
        for thread in self._threads:
            thread.start()

    def _read_replies(self) -> None:
        with contextlib.suppress(OSError), self._replies as pipe:
            while piece := os.read(pipe.fileno(), CHUNK):
                self._pieces.put(piece)
        self._pieces.put(b"")

    def _read_output(self) -> None:
        with contextlib.suppress(OSError), self._output as pipe:
            while piece := os.read(pipe.fileno(), CHUNK):
                try:
                    self.take(piece)
                except TimedOut:
                    self._flooded = True

    def _write_requests(self) -> None:
        with contextlib.suppress(OSError), self._requests as pipe:
            while (data := self._outgoing.get()) is not None:
                view = memoryview(data)
                while view:
                    view = view[os.write(pipe.fileno(), view) :]

    def send(self, data: bytes, deadline: float) -> None:  # noqa: ARG002 - the reply has the deadline
        self._outgoing.put(data)

    def _piece(self, deadline: float) -> bytes:
        while True:
            left = deadline - time.monotonic()
            if self._flooded:
                raise TimedOut(f"printed more than {FLOOD_BYTES >> 20} MiB of output")
            if left <= 0:
                raise TimedOut
            # Woken now and then, so that a flood of output is noticed.
            with contextlib.suppress(queue.Empty):
                piece = self._pieces.get(timeout=min(left, 0.2))
                if not piece:
                    raise Closed
                return piece

    def close(self) -> None:
        """Let the threads end with the process that they serve, and close their pipes.

        A thread whose pipe is held open by a process left behind stays with it.
        """
        self._outgoing.put(None)
        deadline = time.monotonic() + LEFT_BEHIND_SECONDS
        while self._threads[0].is_alive() and time.monotonic() < deadline:
            with contextlib.suppress(queue.Empty):
                self._pieces.get(timeout=0.01)
        for thread in self._threads:
            thread.join(max(0, deadline - time.monotonic()))
