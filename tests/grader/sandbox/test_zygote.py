"""What a zygote does once, so that its workers need not."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from lossgrade.sandbox.host import Zygote
    from support import Submit

THP = Path("/sys/kernel/mm/transparent_hugepage/enabled")

COLLAPSED = """
from pathlib import Path
from lossgrade.sandbox import pages
def large():
    [line] = [line for line in Path("/proc/self/smaps_rollup").read_text().splitlines()
              if line.startswith("AnonHugePages")]
    return int(line.split()[1])
held = [bytes([n % 251]) * 3000 for n in range(8000)]
before = large()
pages.collapse()
after = large()
assert all(each == bytes([n % 251]) * 3000 for n, each in enumerate(held))
more = [bytes([n % 251]) * 3000 for n in range(8000)]
pages.collapse()
print(before, after, large())
"""


def release() -> tuple[int, ...]:
    return tuple(int(part) for part in platform.release().split(".")[:2] if part.isdigit())


needs_collapse = pytest.mark.skipif(
    sys.platform != "linux"
    or release() < (6, 1)
    or not THP.exists()
    or "[always]" in THP.read_text(),
    reason="this kernel cannot make large pages when asked to, or makes them unasked",
)


@needs_collapse
def test_memory_is_collapsed_once() -> None:
    said = subprocess.run(
        [sys.executable, "-c", COLLAPSED], capture_output=True, text=True, check=True
    )
    before, after, again = map(int, said.stdout.split())
    assert before == 0
    assert after == again >= 16 << 10  # KiB, of 24 MiB that are held


@needs_collapse
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="not dumpable")
def test_who_has_twins_has_large_pages(
    zygotes: dict[tuple[str, ...], Zygote], submit: Submit
) -> None:
    submit("def f(): return 1.0", "f", torch=True).call("f", [], "torch")
    mother = zygotes["numpy", "torch"]
    with mother.twin() as twin:
        for zygote in (mother, twin):
            assert zygote._process is not None
            rollup = Path(f"/proc/{zygote._process.pid}/smaps_rollup").read_text()
            [line] = [each for each in rollup.splitlines() if each.startswith("AnonHugePages")]
            assert int(line.split()[1]) > 32 << 10


def test_seeding_a_worker_imports_nothing() -> None:
    code = """import sys
from lossgrade.sandbox import zygote
zygote.preload(["numpy"])
before = set(sys.modules)
zygote.reseed()
print(sorted(set(sys.modules) - before))
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"


def test_a_worker_imports_nothing_that_its_zygote_could_have(submit: Submit) -> None:
    text = """
        import sys
        BEFORE = set(sys.modules)
        import math, random
        import numpy as np
        import torch
        import torch.nn as nn
        import torch.nn.functional as F
        from torch import Tensor
        np.random.seed(1)
        print(torch.zeros(2, 3), torch.tensor(1.5), np.zeros(3), f"{torch.ones(1).item():.2f}")
        z = torch.zeros(2, 3, requires_grad=True)
        F.cross_entropy(z, torch.tensor([0, 1])).backward()
        print(z, z.grad)
        LATE = sorted(set(sys.modules) - BEFORE)
        def f(): return list(map(ord, " ".join(LATE) or "none"))
        """
    said = submit(text, "f", torch=True).call("f", [], "torch").value.values
    assert "".join(map(chr, map(int, said))) == "none"
