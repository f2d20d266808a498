"""What each process imports: pytest without a submission nothing heavy, workers no reference."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

HEAVY = {"numpy", "pydantic", "torch", "hypothesis", "libcst", "jsonschema"}
# What a page with pictures needs, and nothing else.
DRAWING = {"jinja2", "matplotlib", "lossgrade_checks", "lossgrade.charts"}
# The trusted side's own: what is expected, and how it is judged.
REFERENCE = {
    "lossgrade.oracle", "lossgrade.criterion", "lossgrade.rubric", "lossgrade.engine",
    "lossgrade.trial", "lossgrade.lectures", "lossgrade.assignment", "lossgrade.result",
}  # fmt: skip


def modules_after(code: str, *options: str) -> set[str]:
    """Return what a fresh interpreter has imported after `code`."""
    show = f"{code}\nimport sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, *options, "-c", show],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    ("code", "unwanted"),
    [
        pytest.param("import lossgrade.plugin", HEAVY, id="the plugin"),
        pytest.param("import lossgrade.cli", HEAVY | {"pytest"}, id="the command"),
        pytest.param(
            "import lossgrade.sandbox.zygote, lossgrade.sandbox.worker",
            HEAVY | REFERENCE | {"pytest"},
            id="the zygote and the worker",
        ),
        pytest.param(
            "import lossgrade.sandbox.host", HEAVY | REFERENCE | {"pytest"}, id="the host"
        ),
        pytest.param(
            "import lossgrade.session",
            HEAVY | {"lossgrade.engine"},
            id="a session: torch starts to load first",
        ),
        pytest.param("import lossgrade.engine", DRAWING | {"torch", "pytest"}, id="the engine"),
        pytest.param(
            "from lossgrade.reports import html",
            HEAVY | (DRAWING - {"jinja2"}) | {"pytest", "lossgrade.engine", "lossgrade.oracle"},
            id="a page without pictures",
        ),
        pytest.param(
            "from lossgrade.reports import json, gradescope, markdown, terminal, junit, "
            "github_classroom, prairielearn, classroom50",
            HEAVY | DRAWING | {"pytest", "lossgrade.engine", "lossgrade.oracle"},
            id="reports",
        ),
        pytest.param(
            "import lossgrade_checks",
            (HEAVY - {"libcst"}) | {"pytest", "lossgrade"},
            id="the linter",
        ),
        pytest.param(
            "import lossgrade_fixtures", HEAVY | {"pytest", "lossgrade"}, id="the fixtures"
        ),
    ],
)
def test_a_fresh_interpreter_imports_no_more_than_it_needs(code: str, unwanted: set[str]) -> None:
    found = modules_after(code)
    assert not {name for name in found if name in unwanted}
    assert not {name for name in found if name.startswith("lossgrade.rubric")} or "engine" in code


@pytest.mark.parametrize(
    "arguments",
    [["--version"], ["--help"], ["--markers"], ["--collect-only"]],
    ids=" ".join,
)
def test_pytest_without_a_submission_imports_nothing_heavy(
    arguments: list[str], pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(
        run="""
        import contextlib, io, json, sys
        import pytest
        with contextlib.redirect_stdout(io.StringIO()):
            # Other plugins have imports of their own.
            pytest.main(["-p", "no:hypothesispytest", "-p", "no:xdist", *sys.argv[1:]])
        print(json.dumps(sorted(sys.modules)))
        """
    )
    ran = pytester.runpython_c(f"import sys; sys.argv[1:] = {arguments!r}; import run")
    found = set(json.loads(ran.outlines[-1]))
    # Since pytest 9, --version alone loads no plugins at all.
    assert "lossgrade.plugin" in found or arguments == ["--version"]
    ours = {name for name in found if name.startswith("lossgrade")} - {
        "lossgrade",
        "lossgrade.plugin",
    }
    assert not ours
    assert not found & (HEAVY - {"hypothesis"})


# Raises what the worker has imported, so that it comes back as the reason of a failure.
TELLS = """
import sys

# Written so that the word itself does not load it.
WANTED = ("lossgrade", "pytest", "_pytest", "to" + "rch", "pydantic")

def {name}({parameters}):
    names = [n for n in sys.modules if n.split(".")[0] in WANTED]
    raise RuntimeError(" ".join(sorted(n for n in names if not n.startswith("to" + "rch."))))
"""


@pytest.mark.parametrize("torch", [False, True], ids=["numpy", "torch"])
def test_a_worker_has_no_reference_values(torch: bool, grade: Any, hand_in: Any) -> None:
    hand_in(text=("import torch\n" if torch else "") + TELLS.format(name="softmax", parameters="z"))
    run = grade("-k", "softmax and random_float32")
    message = run.criteria["softmax.random_float32"]["message"]
    _, found, names = message.partition("RuntimeError: ")
    assert found, message
    told = {name for name in names.partition(" (")[0].split() if "." in name or name.isidentifier()}
    assert "lossgrade.sandbox.worker" in told
    assert not told & REFERENCE
    assert not any(name.startswith(("lossgrade.rubric", "pytest", "_pytest")) for name in told)
    assert "pydantic" not in told
    assert ("torch" in told) == torch


def test_pytest_itself_never_imports_torch(
    grade: Any, hand_in: Any, pytester: pytest.Pytester
) -> None:
    hand_in("right/stat453_notebook.py")
    pytester.makepyfile(
        spy="""
        import sys
        from pathlib import Path

        def pytest_sessionfinish():
            heavy = sorted({"torch", "numpy", "hw"} & set(sys.modules))
            Path("imported").write_text(" ".join(heavy))
        """
    )
    run = grade("-p", "spy", "-k", "softmax")
    assert run.result["functions"]["softmax"]["score"] == 30
    assert (pytester.path / "imported").read_text(encoding="utf-8") == "numpy"
