"""Both channels, against peers that are slow, silent, dead, or never stop."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from lossgrade.sandbox import channel as channels
from lossgrade.sandbox.channel import Closed, PipeChannel, ThreadChannel, TimedOut

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CAP = 1000
MIB = 1 << 20


@dataclass
class Peer:
    """The worker's ends of the pipes, and threads that use them as a worker does."""

    requests: int
    replies: int
    output: int
    open: set[int] = field(init=False)
    threads: list[threading.Thread] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.open = {self.requests, self.replies, self.output}

    def does(self, work: Callable[[], object]) -> None:
        def run() -> None:
            with contextlib.suppress(OSError):
                work()

        self.threads.append(threading.Thread(target=run))
        self.threads[-1].start()

    def close(self, *descriptors: int) -> None:
        for descriptor in descriptors:
            self.open.remove(descriptor)
            os.close(descriptor)


Pair = tuple[PipeChannel | ThreadChannel, Peer]


@pytest.fixture(params=["pipes", "threads"])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    (requests_in, requests), (replies, replies_out), (output, output_out) = (
        os.pipe() for _ in range(3)
    )
    peer = Peer(requests_in, replies_out, output_out)
    channel: PipeChannel | ThreadChannel
    if request.param == "pipes":
        channel = PipeChannel(requests, replies, output, CAP)
    else:
        channel = ThreadChannel(
            os.fdopen(requests, "wb", 0), os.fdopen(replies, "rb", 0), os.fdopen(output, "rb", 0),
            CAP,
        )  # fmt: skip
    yield channel, peer
    # As when the process is killed: its ends close, then ours do.
    for thread in peer.threads:
        thread.join(0.05)
    peer.close(*peer.open)
    channel.close()
    for thread in peer.threads:
        thread.join(5)
        assert not thread.is_alive()


def soon(seconds: float = 5) -> float:
    return time.monotonic() + seconds


def written(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def taken(descriptor: int, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        data += os.read(descriptor, count - len(data))
    return bytes(data)


def exchange(channel: PipeChannel | ThreadChannel, data: bytes, seconds: float) -> bytes:
    """Send and read: where a thread writes, only the missing reply tells."""
    channel.send(data, soon(seconds))
    return channel.read(1, soon(seconds))


def test_bytes_go_there_and_back(pair: Pair) -> None:
    channel, peer = pair
    channel.send(b"question", soon())
    assert taken(peer.requests, 8) == b"question"
    written(peer.replies, b"answer, and more")
    assert channel.read(6, soon()) == b"answer"
    assert channel.read(0, soon()) == b""
    # Nothing is lost or held back: what follows a reply is the start of the next.
    assert channel.read(10, soon()) == b", and more"


def test_a_silent_peer_costs_the_deadline(pair: Pair) -> None:
    channel, _ = pair
    start = time.monotonic()
    with pytest.raises(TimedOut):
        channel.read(1, soon(0.2))
    assert 0.2 <= time.monotonic() - start < 1


@pytest.mark.parametrize("ago", [0, 1])
def test_a_deadline_in_the_past_is_one(pair: Pair, ago: float) -> None:
    channel, peer = pair
    written(peer.replies, b"late")
    with pytest.raises(TimedOut):
        channel.read(5, time.monotonic() - ago)


def test_a_reply_in_single_bytes_is_a_reply(pair: Pair) -> None:
    channel, peer = pair

    def drip() -> None:
        for _ in range(3000):
            os.write(peer.replies, b"x")

    peer.does(drip)
    assert channel.read(3000, soon()) == b"x" * 3000


def test_single_bytes_without_end_keep_no_one_past_the_deadline(pair: Pair) -> None:
    channel, peer = pair
    stop = threading.Event()

    def drip() -> None:
        while not stop.is_set():
            os.write(peer.replies, b"x")

    peer.does(drip)
    start = time.monotonic()
    with pytest.raises(TimedOut):
        channel.read(1 << 40, soon(0.3))
    stop.set()
    assert time.monotonic() - start < 1.5


def test_a_dead_peer_is_told_at_once(pair: Pair) -> None:
    channel, peer = pair
    written(peer.replies, b"hal")
    peer.close(peer.replies)
    start = time.monotonic()
    with pytest.raises(Closed):
        channel.read(4, soon(30))
    assert time.monotonic() - start < 2


def test_sending_to_a_dead_peer_ends_in_closed(pair: Pair) -> None:
    channel, peer = pair
    peer.close(peer.requests, peer.replies)
    with pytest.raises(Closed):
        exchange(channel, bytes(MIB), 30)


def test_a_peer_that_does_not_read_costs_the_deadline(pair: Pair) -> None:
    channel, _ = pair
    start = time.monotonic()
    with pytest.raises(TimedOut):
        exchange(channel, bytes(32 * MIB), 0.3)
    assert time.monotonic() - start < 2


def test_a_large_frame_goes_through_while_output_comes(pair: Pair) -> None:
    channel, peer = pair
    data = os.urandom(MIB) * 32
    got: list[bytes] = []

    def work() -> None:
        written(peer.output, b"o" * MIB)
        got.append(taken(peer.requests, len(data)))
        written(peer.replies, got[0])

    peer.does(work)
    start = time.monotonic()
    channel.send(data, soon(20))
    assert channel.read(len(data), soon(20)) == data
    # Pieces put together one after the other in new bytes each took 7 s.
    assert time.monotonic() - start < 4
    assert (len(channel.printed), channel.count) == (CAP, MIB)


def test_output_is_drained_and_capped(pair: Pair) -> None:
    channel, peer = pair

    def work() -> None:
        for number in range(40_000):
            written(peer.output, b"%07d\n" % number)
        written(peer.replies, b"done")

    peer.does(work)
    assert channel.read(4, soon(20)) == b"done"
    peer.threads[0].join()
    peer.close(*peer.open)
    channel.close()
    assert channel.printed == b"".join(b"%07d\n" % number for number in range(125))
    assert channel.count == 320_000


def test_endless_output_is_ended_before_the_deadline(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "FLOOD_BYTES", 2 * MIB)
    channel, peer = pair
    stop = threading.Event()

    def flood() -> None:
        while not stop.is_set():
            os.write(peer.output, bytes(4096))

    peer.does(flood)
    start = time.monotonic()
    with pytest.raises(TimedOut, match="printed more than 2 MiB of output"):
        channel.read(1, soon(30))
    stop.set()
    assert time.monotonic() - start < 5
    assert len(channel.printed) == CAP


def test_output_that_ends_early_is_no_end_of_replies(pair: Pair) -> None:
    channel, peer = pair
    written(peer.output, b"bye")
    peer.close(peer.output)

    def later() -> None:
        time.sleep(0.1)
        written(peer.replies, b"still here")

    peer.does(later)
    assert channel.read(10, soon()) == b"still here"
    assert channel.printed == b"bye"


def test_waiting_costs_no_processor_time_when_output_has_ended(pair: Pair) -> None:
    channel, peer = pair
    peer.close(peer.output)
    before = time.process_time()
    with pytest.raises(TimedOut):
        channel.read(1, soon(0.3))
    assert time.process_time() - before < 0.1


def test_output_before_the_end_is_kept(pair: Pair) -> None:
    channel, peer = pair
    written(peer.output, b"last words")
    peer.close(*peer.open)
    channel.close()
    assert channel.printed == b"last words"


def test_closing_twice_closes_nothing_of_others(pair: Pair) -> None:
    channel, peer = pair
    peer.close(*peer.open)
    channel.close()
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(6)]
    channel.close()
    for descriptor in opened:
        os.close(descriptor)


def test_a_process_left_behind_holds_no_one_up(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "LEFT_BEHIND_SECONDS", 0.2)
    channel, peer = pair
    channel.send(bytes(MIB), soon(0.1)) if isinstance(channel, ThreadChannel) else None
    peer.does(lambda: written(peer.replies, bytes(8 * MIB)))
    start = time.monotonic()
    channel.close()  # its peer still has all three
    assert time.monotonic() - start < 1


def test_threads_end_with_their_process() -> None:
    before = threading.active_count()
    for _ in range(5):
        pipes = [os.pipe() for _ in range(3)]
        channel = ThreadChannel(
            os.fdopen(pipes[0][1], "wb", 0), os.fdopen(pipes[1][0], "rb", 0),
            os.fdopen(pipes[2][0], "rb", 0), CAP,
        )  # fmt: skip
        written(pipes[1][1], bytes(1000))
        for descriptor in (pipes[0][0], pipes[1][1], pipes[2][1]):
            os.close(descriptor)
        channel.close()
    assert threading.active_count() == before
