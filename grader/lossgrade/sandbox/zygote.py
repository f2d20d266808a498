"""Fork a worker for each submission from a process that has its frameworks loaded.

Started with exec by the trusted side, so that it inherits no memory of it. It runs no student
code itself. One message on the control socket is one JSON line; the three descriptors of a new
worker (requests, replies, printed output) come along with the message that asks for it.

    {"op": "fork", "scratch": DIR, "limits": {...}}  ->  {"pid": N}
    {"op": "reap", "pid": N}                         ->  {"status": N}  as waitpid reports it

When the socket closes, the workers are killed and the scratch directory, which holds copies of
submissions, is removed: the trusted side may have been killed.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from lossgrade.sandbox import protocol, training, worker
from lossgrade.sandbox.layers import dumpable, stack
from lossgrade.sandbox.layers.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lossgrade.sandbox.layers.stack import Prepared

MESSAGE_CAP = 1 << 16
# More generations than this are a fork bomb, which would keep the zygote for ever.
SWEEPS = 1000


def main(control: int, frameworks: list[str], scratch_parent: str) -> NoReturn:
    """Serve the control socket on descriptor `control` until the trusted side closes it."""
    # To a low number: what workers close ends at 4096.
    high, control = control, os.dup(control)
    os.close(high)
    # What is imported stays, and pages that are never looked through stay shared with workers.
    gc.disable()
    preload(frameworks)
    prepared = stack.prepare(scratch_parent)
    _become_subreaper()
    dumpable.make_undumpable()
    gc.freeze()
    gc.enable()
    children: set[int] = set()
    with suppress(ConnectionError), socket.socket(fileno=control) as channel:
        channel.sendall(b'{"ready": true}\n')
        _serve(channel, prepared, children)
    for pid in children:
        _kill(pid)
        os.waitpid(pid, 0)
    _sweep(set())
    shutil.rmtree(scratch_parent, ignore_errors=True)
    # Nothing is left to do, and taking torch down in order takes 0.15 s.
    os._exit(0)


def _serve(channel: socket.socket, prepared: Prepared, children: set[int]) -> None:
    """Do what the trusted side asks, until it closes the socket."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(channel, MESSAGE_CAP, 3)
        if not message:
            return
        request = json.loads(message)
        if request["op"] == "fork":
            assert threads() == 1, "forking with threads alive hangs the child"
            pid = os.fork()
            if pid == 0:
                run(descriptors, request, prepared)
            for descriptor in descriptors:
                os.close(descriptor)
            children.add(pid)
            answer = {"pid": pid}
        else:
            _kill(request["pid"])
            _, status = os.waitpid(request["pid"], 0)
            children.discard(request["pid"])
            _sweep(children)
            answer = {"status": status}
        channel.sendall(json.dumps(answer).encode() + b"\n")


def preload(frameworks: list[str]) -> None:
    """Import `frameworks` and run each once, so that no worker has to.

    One thread each: a child forked after an operation on several threads hangs at its next one.
    """
    with suppress(ImportError):
        import numpy as np

        np.exp(np.zeros((2, 2)))
    if "torch" not in frameworks:
        return
    with suppress(ImportError):
        import torch

        torch.set_num_threads(1)
        z = torch.zeros(2, 2, requires_grad=True)
        torch.autograd.grad(torch.softmax(z, 1).sum(), [z])
        training.preload()


def run(descriptors: list[int], request: Mapping[str, Any], prepared: Prepared) -> NoReturn:
    """Become the worker of one submission; never return."""
    try:
        os.setsid()
        requests, replies, output = descriptors
        os.dup2(output, 1)
        os.dup2(output, 2)
        settle(request, prepared, requests, replies)
    except BaseException:  # told to whoever reads the output
        sys.__excepthook__(*sys.exc_info())
    finally:
        os._exit(1)


def alone(frameworks: list[str], scratch_parent: str) -> None:
    """Be a worker without a zygote, where forking is not safe: pipes in, out and printed."""
    requests, replies = os.dup(0), os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    preload(frameworks)
    request = json.loads(os.read(requests, MESSAGE_CAP))
    settle(request, stack.prepare(scratch_parent), requests, replies)


def settle(request: Mapping[str, Any], prepared: Prepared, requests: int, replies: int) -> None:
    """Enter the scratch directory and the layers, tell which are on, and serve."""
    scratch = request["scratch"]
    os.chdir(scratch)
    os.environ.update(HOME=scratch, TMPDIR=scratch)
    sys.argv = ["submission"]
    reseed()
    entered = prepared.enter(scratch, Limits(**request["limits"]))
    layers = [{"name": s.name, "on": s.on, "note": s.note} for s in entered.layers]
    first, last = sorted((requests, replies))
    os.closerange(3, first)
    os.closerange(first + 1, last)
    os.closerange(last + 1, 4096)
    os.write(replies, protocol.pack({"level": entered.level, "layers": layers}))
    worker.serve(requests, replies)


def reseed() -> None:
    """Give this child random numbers of its own; the zygote's state is shared by all."""
    import random

    random.seed()
    if "numpy" in sys.modules:
        import numpy as np

        np.random.seed(int.from_bytes(os.urandom(4)))
    if "torch" in sys.modules:
        import torch

        torch.seed()


def threads() -> int:
    """Return how many threads this process has (1 where /proc does not tell)."""
    with suppress(OSError):
        return len(list(Path("/proc/self/task").iterdir()))
    return 1


def _become_subreaper() -> None:
    """Inherit the processes that a worker leaves behind, so that they can be found and ended."""
    if sys.platform == "linux":
        import ctypes

        pr_set_child_subreaper = 36
        ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0)


def _kill(pid: int) -> None:
    """Kill a worker and its group, which it leads unless it has only just been forked."""
    for kill in (os.killpg, os.kill):
        with suppress(ProcessLookupError):
            kill(pid, 9)


def _sweep(known: set[int]) -> None:
    """Kill what dead workers left behind: as subreaper, this process became its parent.

    Again and again, since what those left behind comes here only when they are dead.
    """
    with suppress(OSError):
        for _ in range(SWEEPS):
            alive = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
            left = set(map(int, alive)) - known
            if not left:
                break
            for pid in left:
                with suppress(OSError):
                    os.kill(pid, 9)
                    os.waitpid(pid, 0)
