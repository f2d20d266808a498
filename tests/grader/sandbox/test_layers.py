"""Each layer refuses what it is there for, and lets numerical code run."""

from __future__ import annotations

import errno
import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import lossgrade
from lossgrade.sandbox.layers import calls, landlock, numbers_of_calls, readable, seccomp, state

if TYPE_CHECKING:
    from collections.abc import Iterator

SCENARIOS = Path(__file__).with_name("layers_scenarios.py")
SOURCES = str(Path(lossgrade.__file__).parents[1])

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the layers are Linux's")
root_only = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root to give up"
)

# What is tried, and which layers refuse it alone. Without any layer it succeeds.
REFUSED = [
    ("read a system file", {"files"}),
    ("read our source", {"files"}),
    ("import our source", {"files"}),
    ("read another scratch", {"files"}),
    ("list all scratches", {"files"}),
    ("read own environment", {"files"}),
    ("write outside", {"files"}),
    ("truncate outside", {"files"}),
    ("link from outside", {"files"}),
    ("symlink in scratch", {"files"}),
    ("extend the ruleset", {"files"}),
    ("read parent's memory", {"files"}),
    ("read parent's environment", {"files"}),
    ("trace parent", {"files", "calls"}),
    ("signal parent", {"files", "calls"}),
    ("signal group", {"calls"}),
    ("slow parent down", {"calls"}),
    ("pin parent", {"calls"}),
    ("limit parent", {"calls"}),
    ("socket", {"calls"}),
    ("unix socket", {"calls"}),
    ("socket pair", {"calls"}),
    ("fork", {"calls"}),
    ("subprocess", {"files", "calls"}),
    ("exec", {"files", "calls"}),
    ("setsid", {"calls"}),
    ("setpgid", {"calls"}),
    ("change mode", {"calls"}),
    ("change times", {"calls"}),
    ("watch files", {"calls"}),
    ("shared memory", {"calls"}),
    ("memory file", {"calls"}),
    ("outlive parent", {"calls"}),
    ("change user", {"calls"}),
    ("allocate 2 GiB", {"limits"}),
    ("write 2 MiB", {"limits"}),
    ("open 200 files", {"limits"}),
    ("burn 4 s", {"limits"}),
]
# The same for what only root can do without any layer.
REFUSED_TO_ROOT = [
    ("change owner", {"privileges", "calls"}),
    ("read a private file", {"privileges"}),
    ("start 60 threads", set[str]()),  # limits together with a user id of the worker's own
    ("become root", {"calls"}),
    ("user namespace", {"calls"}),
]
# What is tried, and what comes of it, under every layer and under none.
ALLOWED = {
    "threads": "joined",
    "numpy matmul": "300.0",
    "torch backward": "0.2222",  # p (1 - p) at p = 1/3
    "import stdlib": "wave",
    "import a package": "mpmath",
    "temporary file": "5",
    "rename and remove in scratch": "replaced",
    "read processors": "p",
    "write to /dev/null": "4",
    "random bytes": "4",
    "signal itself": "None",
    "raise a signal": "None",
}
DENIALS = r"(PermissionError|OSError: \[Errno (12|18|24|27)\]|RuntimeError: can't start new thread)"
BARE = {"numpy matmul", "torch backward", "import a package"}

Results = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def scenario() -> Iterator[Any]:
    """Run attempts in forked workers, once for each combination of layers and user."""
    folders: list[Path] = []

    @functools.cache
    def run(layers: str, user: str, python: str, attempts: tuple[str, ...]) -> Results:
        # Not pytest's directory for temporary files, which other users cannot enter.
        folder = Path(tempfile.mkdtemp(prefix="layers-"))
        folders.append(folder)
        for directory in (folder, folder / "scratch", folder / "sibling"):
            directory.mkdir(exist_ok=True)
            directory.chmod(0o755)
        folder.chmod(0o777)
        (folder / "sibling" / "a").write_text("another's work")
        (folder / "outside.txt").write_text("outside")
        (folder / "outside.txt").chmod(0o666)
        (folder / "private.txt").write_text("private")
        (folder / "private.txt").chmod(0)
        single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        done = subprocess.run(
            [python, "-W", "error", str(SCENARIOS), str(folder), layers, user, *attempts],
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": SOURCES, **single},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        assert not done.stderr
        return dict(json.loads(done.stdout))

    yield run
    for folder in folders:
        shutil.rmtree(folder)


NAMES = tuple(name for name, _ in REFUSED)
ROOT_NAMES = NAMES + tuple(name for name, _ in REFUSED_TO_ROOT)


def everything() -> tuple[str, ...]:
    return ROOT_NAMES if os.geteuid() == 0 else NAMES


def refused(said: str) -> bool:
    return bool(re.match(DENIALS, said)) or said == "signal SIGXCPU"


@pytest.mark.parametrize(
    "attempt", [*NAMES, *(pytest.param(n, marks=root_only) for n in ROOT_NAMES[len(NAMES) :])]
)
def test_the_stack_refuses_what_succeeds_without_it(scenario: Any, attempt: str) -> None:
    without = scenario("none", "same", sys.executable, everything())[attempt]["said"]
    under = scenario("stack", "same", sys.executable, everything())[attempt]["said"]
    assert without.startswith("done"), without
    assert refused(under), under


@pytest.mark.parametrize(
    ("attempt", "layer"),
    [
        *((name, layer) for name, layers in REFUSED for layer in sorted(layers)),
        *(
            pytest.param(name, layer, marks=root_only)
            for name, layers in REFUSED_TO_ROOT
            for layer in sorted(layers)
        ),
    ],
)
def test_each_layer_refuses_its_own_share(scenario: Any, attempt: str, layer: str) -> None:
    said = scenario(layer, "same", sys.executable, everything())[attempt]["said"]
    assert refused(said), said


@root_only
@pytest.mark.parametrize("attempt", NAMES)
def test_the_stack_refuses_the_same_where_nobody_is_root(scenario: Any, attempt: str) -> None:
    without = scenario("none", "other", sys.executable, NAMES)[attempt]["said"]
    under = scenario("stack", "other", sys.executable, NAMES)[attempt]["said"]
    # Our source may lie where this user could not read to begin with.
    assert without.startswith("done") or "our source" in attempt, without
    assert refused(under), under


@pytest.mark.parametrize("layers", ["none", "stack"])
@pytest.mark.parametrize("attempt", ALLOWED)
def test_numerical_code_runs(scenario: Any, attempt: str, layers: str) -> None:
    results = scenario(layers, "same", sys.executable, tuple(ALLOWED))
    assert results[attempt]["said"] == f"done {ALLOWED[attempt]}"


def test_the_report_names_every_layer_and_the_level(scenario: Any) -> None:
    level, *lines = scenario("stack", "same", sys.executable, tuple(ALLOWED))["threads"]["layers"]
    assert level == "contained", lines
    assert [line.partition(":")[0] for line in lines] == [
        state.LIMITS,
        state.UID_DROP,
        state.NO_CAPABILITIES,
        state.NO_NEW_PRIVILEGES,
        state.DIES_WITH_PARENT,
        state.NOT_DUMPABLE,
        state.FILES,
        state.TCP,
        state.SIGNALS,
        state.SYSTEM_CALLS,
    ]


@root_only
def test_root_becomes_another_user_where_that_user_can_read_the_interpreter(scenario: Any) -> None:
    python = "/usr/bin/python3"
    version = "import sys; sys.exit(sys.version_info < (3, 11))"
    if not Path(python).exists() or subprocess.run([python, "-c", version]).returncode:
        pytest.skip("no interpreter that other users can read")
    attempts = (*ROOT_NAMES, *(name for name in ALLOWED if name not in BARE))
    results = scenario("stack", "same", python, attempts)
    level, *lines = results["threads"]["layers"]
    assert level == "contained"
    assert "uid drop: on" in "\n".join(lines)
    said = {name: result["said"] for name, result in results.items()}
    assert not [name for name in ROOT_NAMES if not refused(said[name])]
    assert not [name for name in attempts if name in ALLOWED and "done" not in said[name]]


def test_a_worker_dies_with_its_zygote(scenario: Any) -> None:
    assert scenario("stack", "same", sys.executable, ("orphan",))["orphan"]["said"] == "SIGKILL"


def test_without_the_systems_help_every_layer_is_off_and_says_why(tmp_path: Path) -> None:
    script = f"""
import os, sys, pathlib, tempfile, ctypes, platform
sys.platform = "win32"
sys.modules["resource"] = None
for name in ("fork", "geteuid", "setresuid", "setgroups", "O_PATH", "O_DIRECTORY", "O_NOFOLLOW"):
    delattr(os, name)
from lossgrade.sandbox.layers import stack
entered = stack.prepare({str(tmp_path.parent)!r}).enter({str(tmp_path)!r})
print(entered.level, entered.on, *entered.lines(), sep="\\n")
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    level, on, *lines = done.stdout.splitlines()
    assert (level, on) == ("process", "[]")
    assert all(": off, " in line and len(line) > 20 for line in lines)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        pytest.param(errno.ENOSYS, "no Landlock", id="kernel before 5.13"),
        pytest.param(errno.EOPNOTSUPP, "switched off", id="disabled at boot"),
        pytest.param(errno.EPERM, "not permitted", id="refused by a container"),
    ],
)
def test_a_kernel_without_landlock_is_told_in_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int, words: str
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(calls, "syscall", refuse)
    states = landlock.prepare(readable.AllowList(), str(tmp_path)).apply(str(tmp_path))
    assert [s.name for s in states] == [state.FILES, state.TCP, state.SIGNALS]
    assert not any(s.on for s in states)
    assert words in states[0].note


CONTAINED = {
    state.LIMITS,
    state.NO_CAPABILITIES,
    state.NO_NEW_PRIVILEGES,
    state.NOT_DUMPABLE,
    state.FILES,
    state.SYSTEM_CALLS,
}


@pytest.mark.parametrize(
    ("on", "level"),
    [
        (set[str](), "process"),
        (CONTAINED - {state.LIMITS}, "process"),
        ({state.LIMITS, state.UID_DROP}, "limits"),
        *((CONTAINED - {one}, "limits") for one in sorted(CONTAINED - {state.LIMITS})),
        (CONTAINED, "contained"),
    ],
)
def test_a_level_needs_all_its_layers(on: set[str], level: str) -> None:
    assert state.level(on) == level
    assert state.reaches(level, "process")
    assert state.reaches(level, "contained") == (level == "contained")


@pytest.mark.parametrize(
    ("abi", "expected"),
    [
        (1, (0x1FFF, 0, 0)),
        (2, (0x3FFF, 0, 0)),
        (3, (0x7FFF, 0, 0)),
        (4, (0x7FFF, 3, 0)),
        (5, (0xFFFF, 3, 0)),
        (6, (0xFFFF, 3, 3)),
        (7, (0xFFFF, 3, 3)),
    ],
)
def test_no_right_is_asked_for_that_the_kernel_does_not_know(
    abi: int, expected: tuple[int, int, int]
) -> None:
    assert landlock.handled(abi) == expected


@pytest.mark.parametrize(
    ("path", "wide"),
    [
        ("/usr/lib/python3", "/usr"),
        ("/tmp/venv/lib", "/tmp/venv"),
        ("/tmp/all/venv", "/tmp/all/venv"),
        ("/tmp", None),
        ("/", None),
    ],
)
def test_coarse_rules_leave_out_the_scratch_directories(path: str, wide: str | None) -> None:
    assert landlock.coarse(path, "/tmp/all") == wide


def test_lossgrade_is_on_no_readable_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    site, source = tmp_path / "site", tmp_path / "source"
    ours = ["lossgrade", "LossGrade_checks", "lossgrade-0.1.0.dist-info", "_lossgrade"]
    for name in [*ours, "numpy", "sub"]:
        (site / name).mkdir(parents=True)
    files = [
        "_lossgrade.pth",
        "__editable___lossgrade_0_1_0_finder.py",
        "__editable__.lossgrade.pth",
    ]
    for name in [*files, "six.py"]:
        (site / name).touch()
    (source / "lossgrade").mkdir(parents=True)
    (site / "alias").symlink_to(site / "lossgrade")
    (site / "wide").symlink_to(source)
    monkeypatch.setattr(sys, "path", [*sys.path, str(site), str(source)])
    allowed = readable.allow_list()
    covered = [
        path
        for name in [*ours, *files]
        for path in allowed.readable
        if (site / name).is_relative_to(path) or (source / "lossgrade").is_relative_to(path)
    ]
    assert not covered
    assert {str(site / "numpy"), str(site / "six.py")} <= set(allowed.readable)
    assert str(site) in allowed.listed
    here = Path(lossgrade.__file__)
    assert not [path for path in allowed.readable if here.is_relative_to(path)]


def run_filter(machine: str, number: int | None, *arguments: int, arch: int | None = None) -> int:
    """Interpret the filter as the kernel would; process 77 asks."""
    audit, column = seccomp._ARCHITECTURES[machine]
    assert number is not None
    words = {0: number, 4: audit if arch is None else arch}
    words |= {16 + 8 * index: value for index, value in enumerate((*arguments, 0, 0, 0))}
    program = seccomp._assemble(audit, column)
    accumulator = at = 0
    while True:
        step = program[at]
        at += 1
        k = 77 if step.is_pid else step.k
        if step.code == seccomp._RETURN:
            return k
        if step.code == seccomp._LOAD:
            accumulator = words[k]
            continue
        holds = {
            seccomp._JUMP_EQUAL: accumulator == k,
            seccomp._JUMP_GREATER: accumulator > k,
            seccomp._JUMP_SET: bool(accumulator & k),
        }[step.code]
        at += step.if_true if holds else step.if_false


@pytest.mark.parametrize(("machine", "read"), [("x86_64", 0), ("aarch64", 63)])
def test_the_filter_of_both_architectures(machine: str, read: int) -> None:
    column = seccomp._ARCHITECTURES[machine][1]
    number = {name: pair[column] for name, pair in numbers_of_calls.CONDITIONAL.items()}
    check = functools.partial(run_filter, machine)
    assert check(read) == seccomp._ALLOW
    assert check(read, arch=0x40000003) == seccomp._KILL_PROCESS
    assert check(read | 0x40000000) == seccomp._ENOSYS
    assert check(numbers_of_calls.LAST_KNOWN + 1) == seccomp._ENOSYS
    for pair in numbers_of_calls.REFUSED.values():
        if pair[column] is not None:
            assert check(pair[column]) == seccomp._EPERM
    for name in ("kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo"):
        assert check(number[name], 77) == seccomp._ALLOW
        for other in (0, 1, 78, 0xFFFFFFFF):
            assert check(number[name], other) == seccomp._EPERM
    assert check(number["prlimit64"], 0) == check(number["prlimit64"], 77) == seccomp._ALLOW
    assert check(number["prlimit64"], 78) == seccomp._EPERM
    assert check(number["clone"], 0x3D0F00) == seccomp._ALLOW  # what pthread_create asks for
    assert check(number["clone"], 17) == seccomp._EPERM  # SIGCHLD: a fork
    assert check(number["clone3"]) == seccomp._ENOSYS
    assert check(number["fcntl"], 5, 3) == seccomp._ALLOW  # F_GETFL
    assert check(number["fcntl"], 5, 8) == seccomp._EPERM  # F_SETOWN


@pytest.mark.parametrize(
    ("header", "column"),
    [("x86_64-linux-gnu/asm/unistd_64.h", 0), ("asm-generic/unistd.h", 1)],
)
def test_the_numbers_are_those_of_the_kernels_headers(header: str, column: int) -> None:
    path = Path("/usr/include", header)
    if not path.exists():
        pytest.skip("the kernel's headers are not installed")
    found = re.findall(r"^#define __NR(?:3264)?_(\w+)\s+(\d+)", path.read_text(), re.MULTILINE)
    theirs = {name: int(number) for name, number in found}
    ours = numbers_of_calls.REFUSED | numbers_of_calls.CONDITIONAL
    known = {name: pair[column] for name, pair in ours.items() if name in theirs}
    assert len(known) > 100
    assert known == {name: theirs[name] for name in known}
