"""Fork a worker for each submission from a process that has its frameworks loaded.

Started with exec by the trusted side, so that it inherits no memory of it. It runs no student
code itself. One message on the control socket is one JSON line; the three descriptors of a new
worker (requests, replies, printed output) come along with the message that asks for it.

    {"op": "fork", "scratch": DIR, "limits": {...}}  ->  {"pid": N}
    {"op": "reap", "pid": N}                         ->  {"status": N}  as waitpid reports it
    {"op": "twin", "scratch": DIR}                   ->  {"pid": N}

A twin is a copy of this process: a zygote too, which shares its memory, with a control socket, an
error output (the two descriptors that come along) and a scratch directory of its own.

When the socket closes, the workers are killed and the scratch directory, which holds copies of
submissions, is removed: the trusted side may have been killed. Twins live on.
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

from lossgrade.sandbox import pages, protocol, training, worker
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
    live(control, scratch_parent)


def live(control: int, scratch_parent: str) -> NoReturn:
    """Be a zygote, with everything loaded, until the trusted side closes the control socket."""
    prepared = stack.prepare(scratch_parent)
    _become_subreaper()
    dumpable.make_undumpable()
    gc.freeze()
    gc.enable()
    workers: set[int] = set()
    twins: set[int] = set()
    with suppress(ConnectionError), socket.socket(fileno=control) as channel:
        channel.sendall(b'{"ready": true}\n')
        _serve(channel, prepared, workers, twins)
    for pid in workers:
        _kill(pid)
        os.waitpid(pid, 0)
    _sweep(twins)
    shutil.rmtree(scratch_parent, ignore_errors=True)
    # Nothing is left to do, and taking torch down in order takes 0.15 s.
    os._exit(0)


def _serve(channel: socket.socket, prepared: Prepared, workers: set[int], twins: set[int]) -> None:
    """Do what the trusted side asks, until it closes the socket."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(channel, MESSAGE_CAP, 3)
        if not message:
            return
        # Twins end by themselves, and nobody asks how.
        twins -= {pid for pid in twins if os.waitpid(pid, os.WNOHANG)[0]}
        request = json.loads(message)
        if request["op"] == "reap":
            _kill(request["pid"])
            _, status = os.waitpid(request["pid"], 0)
            workers.discard(request["pid"])
            _sweep(workers | twins)
            answer = {"status": status}
        else:
            if request["op"] == "twin":
                # Who asks for twins grades many.
                pages.collapse()
            assert threads() == 1, "forking with threads alive hangs the child"
            pid = os.fork()
            if pid == 0 and request["op"] == "fork":
                run(descriptors, request, prepared)
            elif pid == 0:
                become_twin(descriptors, request["scratch"], channel, prepared)
            for descriptor in descriptors:
                os.close(descriptor)
            (workers if request["op"] == "fork" else twins).add(pid)
            answer = {"pid": pid}
        channel.sendall(json.dumps(answer).encode() + b"\n")


def become_twin(
    descriptors: list[int], scratch_parent: str, mothers: socket.socket, prepared: Prepared
) -> NoReturn:
    """Become a zygote beside the one this process was forked from; never return.

    Args:
        descriptors: its control socket and its error output.
        scratch_parent: its directory; the layers are prepared anew, around that.
        mothers: the mother's control socket, closed here: held open, it would hide her death.
        prepared: the mother's layers.
    """
    try:
        os.setsid()
        control, errors = descriptors
        os.dup2(errors, 2)
        os.close(errors)
        mothers.close()
        prepared.close()
        live(control, scratch_parent)
    except BaseException:  # told to whoever reads the errors
        sys.__excepthook__(*sys.exc_info())
    finally:
        os._exit(1)


def preload(frameworks: list[str]) -> None:
    """Import `frameworks` and set them up, so that no worker has to.

    One thread each: a child forked after an operation on several threads hangs at its next one.
    """
    with suppress(ImportError):
        import numpy as np

        _rehearse_numpy(np)
        # Loads numpy.random, which NumPy puts off: 5 ms in each worker.
        reseed()
    if "torch" not in frameworks:
        return
    with suppress(ImportError):
        import torch

        torch.set_num_threads(1)
        _rehearse_torch(torch)
        training.preload()


def _rehearse_numpy(np: Any) -> None:
    x = np.array([[0.5, -1.0], [2.0, 0.0]])
    p = np.exp(x - x.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    np.mean(-np.log(p[np.arange(2), np.argmax(p, axis=1)]) * np.eye(2)[[0, 1]])
    f"{p} {p.dtype} {p.shape}"


def _rehearse_torch(torch: Any) -> None:
    """Call what most submissions call.

    The first call of a function sets it up, and the first tensor that is shown imports more of
    torch: 3 ms in each worker.
    """
    z = torch.tensor([[0.5, -1.0], [2.0, 0.0]], requires_grad=True)
    y = torch.tensor([0, 1])
    hot = torch.nn.functional.one_hot(y, num_classes=2).float()
    hot = torch.zeros(2, 2).scatter_(1, y.view(-1, 1).long(), 1.0) * hot
    shifted = z - torch.max(z, dim=1, keepdim=True)[0]
    p = torch.exp(shifted) / torch.sum(torch.exp(shifted), dim=1, keepdim=True)
    p = (p.t() / p.sum(1)).t() * torch.softmax(z, dim=1) / p.sum(axis=1).unsqueeze(1)
    loss = -torch.sum(torch.log(p) * hot, dim=1)
    loss = loss.mean() + torch.nn.functional.cross_entropy(z, y, reduction="none").sum()
    loss -= torch.log_softmax(z, dim=1)[torch.arange(len(z)), y].mean()
    loss -= torch.logsumexp(z, dim=1).mean() + z.gather(1, y.reshape(-1, 1)).sum()
    loss.backward()
    torch.autograd.grad((z * hot).sum(), [z])
    f"{z} {y} {loss} {torch.argmax(p, dim=1)} {p.shape} {p.dtype} {loss.item():.2f} {y.tolist()}"


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

        # Not `torch.seed`: that formats a stack for each kind of device, and there is only one.
        torch.default_generator.seed()


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
