"""Measure how the linter's cost grows with the number of files and with the size of one.

    python benchmarks/lint_scaling.py [--rounds N] [--doublings N] [--shape NAME] [--python PATH]

Programs are generated, each size twice the one before. What starting and importing cost is measured
on a file of two lines and taken off. Exit status: 0 whatever the figures say, 1 when a command
fails.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from measuring import (
    CHECKS,
    PARSE_ONLY,
    Command,
    CommandFailed,
    clean_environment,
    lint,
    machine,
    run,
    table,
)

if TYPE_CHECKING:
    from collections.abc import Callable

# How much more time for a line may grow, from the smallest to the largest size, than it grows where
# the file is only parsed: for noise. LibCST's own time for a line grows, since Python's garbage
# collector walks the tree again and again while it grows.
LIMIT = 1.25

HEAD = """import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader
"""

MODEL = '''
class Net{i}(nn.Module):
    """A small convolutional network."""

    def __init__(self, channels=3, classes=10, width=32, dropout=0.1):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels, width, kernel_size=3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d(1),
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(2 * width, classes)

    def forward(self, images):
        hidden = self.features(images).flatten(1)
        if self.training:
            hidden = self.dropout(hidden)
        return self.head(hidden)

    def predict(self, images):
        return F.softmax(self.forward(images), dim=1)
'''

TRAINING = '''
def evaluate{i}(model, loader, device):
    """Return the mean loss and the accuracy."""
    criterion = nn.CrossEntropyLoss(reduction="sum")
    model.eval()
    total, right, count = 0.0, 0, 0
    with torch.no_grad():
        for images, labels in loader:
            images, labels = images.to(device), labels.to(device)
            logits = model(images)
            total += criterion(logits, labels).item()
            right += (torch.softmax(logits, dim=1).argmax(dim=1) == labels).sum().item()
            count += labels.size(0)
    return total / count, right / count


def train{i}(train_set, test_set, epochs=10, rate=1e-3, device="cpu"):
    loader = DataLoader(train_set, batch_size=64, shuffle=True)
    model = Net{i}().to(device)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    history = []
    for epoch in range(epochs):
        model.train()
        for step, (images, labels) in enumerate(loader):
            optimizer.zero_grad()
            logits = model(images.to(device))
            loss = criterion(logits, labels.to(device))
            loss.backward()
            optimizer.step()
            if step % 100 == 0:
                print(f"epoch {epoch} step {step}: {loss.item():.4f}")
        history.append(evaluate{i}(model, DataLoader(test_set, batch_size=256), device))
    return model, history
'''

STEP = """\
hidden = F.relu(nn.Linear(64, 64)(images.view(images.size(0), -1)))
logits = nn.Linear(64, 10)(hidden)
loss = F.cross_entropy(logits, labels)
log_probabilities = F.log_softmax(logits, dim=1)
other = F.nll_loss(log_probabilities, labels)
probabilities = log_probabilities.exp()
right = (probabilities.argmax(dim=1) == labels).float().mean()
history.append({"loss": loss.item(), "other": other.item(), "right": right.item()})
optimizer.zero_grad()
(loss + 0.5 * other).backward()
"""

BRANCH = """\
if options["step_{i}"]:
    logits = logits + model(images)
    loss = F.cross_entropy(logits, labels)
elif loss is None:
    logits = model(images)
else:
    loss = loss + F.cross_entropy(model(images), labels)
"""

HELPER = """
def scale{i}(logits, temperature=1.0):
    return scale{j}(logits, temperature) / temperature
"""

MISTAKE = """
def wrong{i}(model, images, labels):
    probabilities = F.softmax(model(images), dim=1)
    return F.cross_entropy(probabilities, labels)
"""


def fill(template: str, **values: int) -> str:
    """Return `template` with `{i}` and `{j}` replaced; other braces are Python's."""
    for name, value in values.items():
        template = template.replace("{" + name + "}", str(value))
    return template


def indented(text: str) -> str:
    return "".join(f"    {line}" for line in text.splitlines(keepends=True))


def module(size: int, first: int = 0) -> str:
    numbers = range(first, first + size)
    return HEAD + "".join(fill("\n" + MODEL + "\n" + TRAINING, i=i) for i in numbers)


def files(size: int) -> dict[str, str]:
    """Return programs of about 150 lines, alike but for their names."""
    return {f"train_{i}.py": module(2, first=2 * i) for i in range(size)}


def importing_files(size: int) -> dict[str, str]:
    """Return programs that all import their model from one file."""
    models = HEAD + fill("\n" + MODEL, i=0)
    found = {"models.py": models}
    for i in range(size):
        text = HEAD + "from models import Net0\n" + fill("\n" + TRAINING, i=i)
        found[f"train_{i}.py"] = text.replace(f"Net{i}()", "Net0()")
    return found


def one_module(size: int) -> dict[str, str]:
    return {"train.py": module(size)}


def one_function(size: int) -> dict[str, str]:
    body = indented("history = []\n" + STEP * size + "return history\n")
    return {"train.py": f"{HEAD}\n\ndef train(images, labels, optimizer):\n{body}"}


def one_script(size: int) -> dict[str, str]:
    return {"train.py": f"{HEAD}\nimages, labels, optimizer, history = load()\n{STEP * size}"}


def branches(size: int) -> dict[str, str]:
    steps = "".join(fill(BRANCH, i=i) for i in range(size))
    body = indented("loss = None\nlogits = model(images)\n" + steps + "return loss\n")
    return {"train.py": f"{HEAD}\n\ndef train(model, images, labels, options):\n{body}"}


def helpers(size: int) -> dict[str, str]:
    """Return functions of which each calls the one before it, the last on probabilities."""
    first = "\n\ndef scale0(logits, temperature=1.0):\n    return logits\n"
    rest = "".join("\n" + fill(HELPER, i=i, j=i - 1) for i in range(1, size))
    call = f"return F.cross_entropy(scale{size - 1}(logits), labels)"
    last = f"\n\ndef loss(logits, labels):\n    {call}\n"
    return {"train.py": HEAD + first + rest + last}


def mistakes(size: int) -> dict[str, str]:
    return {"train.py": HEAD + "".join("\n" + fill(MISTAKE, i=i) for i in range(size))}


class Shape(NamedTuple):
    """A way to grow: `make(size)` returns the programs by file name."""

    about: str
    make: Callable[[int], dict[str, str]]
    smallest: int


SHAPES = {
    "files": Shape("more files of 150 lines", files, 8),
    "importing-files": Shape("more files that import one file", importing_files, 24),
    "module": Shape("one module of more classes and functions", one_module, 16),
    "function": Shape("one longer function", one_function, 100),
    "script": Shape("one longer module without functions", one_script, 100),
    "branches": Shape("one function of more branches", branches, 150),
    "helpers": Shape("more functions, each calling the one before", helpers, 200),
    "mistakes": Shape("one module of more mistakes", mistakes, 200),
}


def measure_shape(
    shape: Shape, python: str, rounds: int, doublings: int, folder: Path
) -> tuple[list[list[str]], dict[str, float]]:
    """Return the table of a shape, and what time for a line became by its end."""
    environment = clean_environment(folder / "bytecode")
    cwd = folder / "cwd"
    cwd.mkdir(exist_ok=True)
    path = {"PYTHONPATH": str(CHECKS)}
    cases: list[tuple[int, int, Command, Command]] = []
    for step in range(-1, doublings + 1):
        size = shape.smallest << max(step, 0)
        programs = Path(tempfile.mkdtemp(dir=folder))
        texts = shape.make(size) if step >= 0 else {"nothing.py": "import torch\nloss = 1\n"}
        for name, text in texts.items():
            (programs / name).write_text(text, encoding="utf-8")
        lines = sum(text.count("\n") for text in texts.values())
        check = Command(f"check, {lines} lines", [python, *lint(str(programs))], path)
        parse = Command(f"parse, {lines} lines", [python, "-c", PARSE_ONLY, str(programs)], path)
        cases.append((len(texts), lines, check, parse))
    # The first round fills caches.
    for turn in range(rounds + 1):
        for _, _, check, parse in cases if turn % 2 else cases[::-1]:
            run(check, environment, cwd, keep=turn > 0)
            run(parse, environment, cwd, keep=turn > 0)
    (_, _, idle_check, idle_parse), *cases = cases
    rows = [["files", "lines", "check s", "us a line", "ms a file", "parse us a line", "peak MiB"]]
    per_line: dict[str, list[float]] = {"check": [], "parse": []}
    for count, lines, check, parse in cases:
        net, parsed = check.cpu - idle_check.cpu, parse.cpu - idle_parse.cpu
        per_line["check"].append(1e6 * net / lines)
        per_line["parse"].append(1e6 * parsed / lines)
        rows.append(
            [
                str(count),
                str(lines),
                f"{net:.3f}",
                f"{per_line['check'][-1]:.1f}",
                f"{1e3 * net / count:.2f}",
                f"{per_line['parse'][-1]:.1f}",
                f"{statistics.median(check.peak_mib):.0f}",
            ]
        )
    return rows, {kind: each[-1] / each[0] for kind, each in per_line.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="measured rounds (default: 3)")
    parser.add_argument(
        "--doublings", type=int, default=4, metavar="N", help="how often sizes double (default: 4)"
    )
    parser.add_argument(
        "--shape",
        action="append",
        choices=SHAPES,
        help="measure this way to grow; may be given more than once (default: all)",
    )
    parser.add_argument(
        "--python",
        default=sys.executable,
        metavar="PATH",
        help="the interpreter to measure, with libcst installed (default: this one)",
    )
    options = parser.parse_args()
    if options.rounds < 1 or options.doublings < 1:
        parser.error("--rounds, --doublings: expected 1 or more")
    print(f"{machine()}; {options.rounds} rounds; times are CPU time beyond that of an empty run")
    for name in options.shape or SHAPES:
        shape = SHAPES[name]
        with tempfile.TemporaryDirectory(prefix="lossgrade-benchmark-") as folder:
            try:
                rows, grown = measure_shape(
                    shape,
                    options.python,
                    options.rounds,
                    options.doublings,
                    Path(folder).resolve(),
                )
            except (CommandFailed, OSError) as error:
                print(error, file=sys.stderr)
                return 1
        beyond = grown["check"] / grown["parse"]
        verdict = "met" if beyond <= LIMIT else "MISSED"
        print(f"\n{name}: {shape.about}\n{table(rows)}")
        print(
            f"time for a line, last to first: {grown['check']:.2f}, and {grown['parse']:.2f} for "
            f"parsing alone; {beyond:.2f} beyond it, at most {LIMIT:g}: {verdict}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
