"""Measure what `watch_losses` adds to training, beside the same training without it.

    python benchmarks/watch_losses.py [--rounds N] [--steps N]

Three networks, small to middling, on one thread. In each round, every network is trained plainly,
under a mode of torch's that does nothing, and watched, in turn, in one process; the first round is
dropped. Ratios are the medians of the rounds' own ratios, so that other work on the machine hits
all alike. Exit status: 0 whatever the figures say, 1 when watched training gives another loss or
anything is reported.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import time
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - as everybody writes it
from torch import nn
from torch.overrides import BaseTorchFunctionMode

from lossgrade import watch_losses
from measuring import machine, table

NETWORKS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "MLP 20-16-10, batch 8": (
        lambda: nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 10)),
        (8, 20),
    ),
    "MLP 784-256-10, batch 64": (
        lambda: nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10)),
        (64, 784),
    ),
    "CNN 1-16-32-10, batch 64": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 16, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10),
        ),
        (64, 1, 28, 28),
    ),
}  # fmt: skip


WAYS: dict[str, Any] = {
    "plain": contextlib.nullcontext,
    "empty mode": BaseTorchFunctionMode,
    "watched": watch_losses,
}


def train(name: str, steps: int, way: str) -> tuple[float, float]:
    """Return the microseconds that a step takes, and the last loss."""
    make, shape = NETWORKS[name]
    torch.manual_seed(0)
    net = make()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    x, t = torch.randn(shape), torch.randint(0, 10, shape[:1])
    with WAYS[way]():
        start = time.perf_counter()
        for _ in range(steps):
            logits = net(x)
            loss = F.cross_entropy(logits, t)
            logits.softmax(1).argmax(1).eq(t).float().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        took = time.perf_counter() - start
    return 1e6 * took / steps, loss.item()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15, help="measured rounds (default: 15)")
    parser.add_argument("--steps", type=int, default=100, help="steps a round (default: 100)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{machine()}; torch {torch.__version__}; {options.rounds} rounds\n")
    rows = [["training step", "plain us", "empty mode us", "watched us", "empty mode", "watched"]]
    for name in NETWORKS:
        rounds = []
        for turn in range(options.rounds + 1):
            times, losses = {}, set()
            for way in WAYS if turn % 2 else reversed(WAYS):
                times[way], loss = train(name, options.steps, way)
                losses.add(loss)
            if len(losses) != 1:
                print(f"{name}: watched training gives another loss: {losses}", file=sys.stderr)
                return 1
            rounds += [times] if turn else []
        medians = [f"{statistics.median(each[way] for each in rounds):.0f}" for way in WAYS]
        ratios = [
            f"x {statistics.median(each[way] / each['plain'] for each in rounds):.3f}"
            for way in ("empty mode", "watched")
        ]
        rows.append([name, *medians, *ratios])
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
