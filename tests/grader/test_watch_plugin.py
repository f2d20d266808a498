"""`pytest --watch-losses`, run as a user runs it: in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

START = """
import pytest, torch
import torch.nn.functional as F

torch.set_num_threads(1)
x, t = torch.randn(8, 10), torch.randint(0, 10, (8,))
"""
RIGHT = "def test_right():\n    F.cross_entropy(x, t)\n"
WRONG = "def test_wrong():\n    p = x.softmax(1)\n    F.cross_entropy(p, t)\n"


def run(pytester: pytest.Pytester, tests: str, *options: str, ini: str = "") -> pytest.RunResult:
    pytester.makepyfile(test_it=START + tests)
    pytester.makeini(f"[pytest]\naddopts = --strict-markers -p no:cacheprovider\n{ini}")
    return pytester.runpytest_subprocess("--watch-losses", *options)


def test_a_misuse_fails_its_test_with_both_lines(pytester: pytest.Pytester) -> None:
    ran = run(pytester, RIGHT + WRONG)
    ran.assert_outcomes(passed=1, failed=1)
    assert ran.ret == 1
    ran.stdout.fnmatch_lines_random(
        [
            "test_it.py:10 LG101 `cross_entropy` applies softmax itself: give it logits, not "
            "probabilities; of 10 classes, its loss cannot fall below 1.461",
            "    F.cross_entropy(p, t)",
            "test_it.py:9 softmax is applied here",
            "    p = x.softmax(1)",
            "FAILED test_it.py::test_wrong - *LG101*",
        ]
    )
    assert "Traceback" not in ran.stdout.str()
    assert "watching.py" not in ran.stdout.str()


def test_without_the_option_nothing_is_watched(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=START + WRONG)
    ran = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    ran.assert_outcomes(passed=1)


def test_the_ini_option_watches_every_run(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=START + WRONG)
    pytester.makeini("[pytest]\nwatch_losses = true\n")
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(failed=1)


@pytest.mark.parametrize(
    ("tests", "options", "outcomes"),
    [
        pytest.param(
            "@pytest.mark.parametrize('n', [1, 2, 3])\ndef test_n(n):\n"
            "    F.cross_entropy(x.softmax(1) if n == 2 else x, t)\n",
            [], {"passed": 2, "failed": 1}, id="one parameter of three",
        ),
        pytest.param(
            "@pytest.mark.parametrize('n', [1, 2, 3])\ndef test_n(n):\n"
            "    F.cross_entropy(x.softmax(1), t)\n",
            [], {"failed": 3}, id="the same lines in every test",
        ),
        pytest.param(
            "@pytest.fixture\ndef loss():\n    return F.cross_entropy(x.softmax(1), t)\n\n"
            "def test_a(loss): pass\ndef test_b(): pass\n",
            [], {"passed": 1, "failed": 1}, id="a fixture's setup, at its test",
        ),
        pytest.param(
            "@pytest.fixture(scope='module')\ndef loss():\n"
            "    return F.cross_entropy(x.softmax(1), t)\n\n"
            "def test_a(loss): pass\ndef test_b(loss): pass\n",
            [], {"passed": 1, "failed": 1}, id="a shared fixture, at the first that needs it",
        ),
        pytest.param(
            "@pytest.fixture\ndef late():\n    yield\n    F.cross_entropy(x.softmax(1), t)\n\n"
            "def test_a(late): pass\n",
            [], {"passed": 1, "errors": 1}, id="a fixture's teardown",
        ),
        pytest.param(
            "@pytest.fixture(scope='module')\ndef probabilities():\n    return x.softmax(1)\n\n"
            "def test_a(probabilities): pass\n"
            "def test_b(probabilities):\n    F.cross_entropy(probabilities, t)\n",
            [], {"passed": 1, "failed": 1}, id="probabilities of an earlier test's setup",
        ),
        pytest.param(
            "@pytest.mark.xfail(strict=True)\n" + WRONG, [], {"xfailed": 1}, id="xfail",
        ),
        pytest.param(
            "@pytest.mark.allow_loss_misuse('LG101')\n" + WRONG, [], {"passed": 1},
            id="meant, by its code",
        ),
        pytest.param(
            "pytestmark = pytest.mark.allow_loss_misuse('softmax-into-cross-entropy')\n" + WRONG,
            [], {"passed": 1}, id="meant, by its name, in the whole module",
        ),
        pytest.param(
            "@pytest.mark.allow_loss_misuse('LG104')\n" + WRONG, [], {"failed": 1},
            id="another is meant",
        ),
        pytest.param(
            "@pytest.mark.allow_loss_misuse('LG999')\n" + RIGHT, [], {"errors": 1},
            id="no such code",
        ),
        pytest.param(
            "@pytest.mark.allow_loss_misuse()\n" + RIGHT, [], {"errors": 1}, id="no code",
        ),
        pytest.param(
            "def test_note():\n    F.cross_entropy(x.log_softmax(1), t)\n",
            [], {"passed": 1, "warnings": 1}, id="redundant: a warning",
        ),
        pytest.param(
            "def test_note():\n    F.cross_entropy(x.log_softmax(1), t)\n",
            ["-W", "error::lossgrade.LossMisuseWarning"], {"failed": 1},
            id="redundant: an error on request",
        ),
        pytest.param(
            "import lossgrade\n\ndef test_own():\n    with pytest.raises(lossgrade.LossMisuse), "
            "lossgrade.watch_losses():\n        F.cross_entropy(x.softmax(1), t)\n",
            [], {"passed": 1}, id="a watch inside the test answers first",
        ),
        pytest.param(
            "import unittest\n\nclass TestIt(unittest.TestCase):\n    def test_a(self):\n"
            "        F.cross_entropy(x.softmax(1), t)\n    def test_b(self): pass\n",
            [], {"passed": 1, "failed": 1}, id="unittest",
        ),
        pytest.param(
            "@pytest.fixture(scope='module')\ndef device():\n    with torch.device('cpu'):\n"
            "        yield\n\ndef test_a(device): pass\n" + WRONG + RIGHT,
            [], {"passed": 2, "failed": 1}, id="a fixture holds a mode of torch's",
        ),
        pytest.param(
            "def test_skip():\n    F.cross_entropy(x.softmax(1), t)\n    pytest.skip('later')\n",
            [], {"skipped": 1}, id="skipped",
        ),
        pytest.param(WRONG, ["--collect-only"], {}, id="nothing is run"),
    ],
)  # fmt: skip
def test_outcomes(
    tests: str, options: list[str], outcomes: dict[str, int], pytester: pytest.Pytester
) -> None:
    run(pytester, tests, *options).assert_outcomes(**outcomes)


def test_a_test_that_fails_anyway_shows_what_was_found(pytester: pytest.Pytester) -> None:
    ran = run(pytester, "def test_it():\n    F.cross_entropy(x.softmax(1), t)\n    assert 0\n")
    ran.assert_outcomes(failed=1)
    ran.stdout.fnmatch_lines(["E       assert 0", "*losses call*", "test_it.py:7 LG101 *"])


def test_processes_of_xdist_watch(pytester: pytest.Pytester) -> None:
    pytest.importorskip("xdist")
    ran = run(pytester, RIGHT + WRONG, "-n", "2")
    ran.assert_outcomes(passed=1, failed=1)
    ran.stdout.fnmatch_lines(["test_it.py:10 LG101 *"])


def test_a_missing_torch_is_told_in_one_line(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(hide="import sys\nsys.modules['torch'] = None\n")
    ran = pytester.runpytest_subprocess("-p", "hide", "--watch-losses")
    assert ran.ret == pytest.ExitCode.USAGE_ERROR
    assert [line for line in ran.errlines if line] == [
        "ERROR: --watch-losses needs torch: pip install torch"
    ]


def test_a_run_that_is_not_watched_imports_nothing_of_it(pytester: pytest.Pytester) -> None:
    code = (
        "import json, sys, pytest\n"
        "pytest.main(['-q', '-p', 'no:hypothesispytest', '-p', 'no:xdist', '--collect-only'])\n"
        "print(json.dumps(sorted(sys.modules)))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=pytester.path, capture_output=True, text=True,
        timeout=60, check=True,
    )  # fmt: skip
    found = set(json.loads(ran.stdout.splitlines()[-1]))
    assert "lossgrade.plugin" in found
    assert not found & {"torch", "numpy", "lossgrade.watch", "lossgrade.watching"}
