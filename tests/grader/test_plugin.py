"""The plugin as an instructor uses it: `pytest --submission hw.py`, with pytest's own options."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
import xml.etree.ElementTree as ET
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from lossgrade.assignment import built_in_text, load_assignment
from lossgrade.manifest import manifest

EXAMPLES = Path(str(files("lossgrade_fixtures") / "submissions"))
INDEX: dict[str, dict[str, Any]] = {
    entry["path"]: entry
    for entry in tomllib.loads((EXAMPLES / "index.toml").read_text(encoding="utf-8"))["submission"]
}
MINUS = "missing-minus-sign/stat453_numpy.py"
# Writes down that it ran in pytest's own process, where it must never be.
TRAP = "import pathlib\npathlib.Path({path!r}).write_text('ran')\n"
# The first call of every function takes long enough for a signal to arrive.
SLOW = """
import time
import numpy as np

def to_onehot(y, num_classes):
    time.sleep(0.3)
    return np.eye(num_classes)[y]
"""


def every_criterion_once(record: dict[str, Any]) -> bool:
    """Say whether the record holds the whole manifest of stat453, with its points."""
    lines = manifest(load_assignment("stat453")[0])
    found = [(c["id"], c["max_score"]) for c in record["criteria"] if c["kind"] != "test"]
    return found == [(line.id, line.max_score) for line in lines]


# ---- scores and exit codes --------------------------------------------------------------


def test_the_lectures_own_solution_has_full_marks(grade: Any, hand_in: Any) -> None:
    hand_in("right/stat453_notebook.py")
    run = grade()
    assert run.code == 0
    assert run.result["score"] == run.result["max_score"] == 100
    assert run.result["outcome"] == "passed"
    assert every_criterion_once(run.result)
    assert run.result["submission"]["id"] == "hw"
    assert "torch" in run.result["versions"]


@pytest.mark.parametrize(
    "example",
    [
        pytest.param(MINUS, id="minus missing"),
        pytest.param("softmax-over-batch-axis/stat453_numpy.py", id="softmax over the batch"),
        pytest.param("log2-instead-of-ln/stat453_numpy.py", id="log to base 2"),
        pytest.param("breaks-autograd/stat453_torch.py", id="torch: cut off from the graph"),
    ],
)
def test_a_wrong_one_loses_points_on_the_faulty_function_alone(
    example: str, grade: Any, hand_in: Any
) -> None:
    entry = INDEX[example]
    hand_in(example)
    run = grade()
    assert run.code == 1
    assert run.result["outcome"] == "failed"
    lost = {
        name for name, part in run.result["functions"].items() if part["score"] != part["max_score"]
    }
    assert lost == {entry["function"]}
    for name in entry["caught_by"]:
        assert run.criteria[f"{entry['function']}.{name.rpartition('.')[2]}"]["outcome"] == "failed"


def test_a_file_that_cannot_be_loaded_has_a_complete_result(grade: Any, hand_in: Any) -> None:
    hand_in(text="def softmax(z:\n    return z\n")
    run = grade("-q", "--tb=no", "-rN")
    assert run.code == 1
    assert (run.result["score"], run.result["max_score"]) == (0, 100)
    assert every_criterion_once(run.result)
    assert all(c["outcome"] == "failed" for c in run.criteria.values())
    assert "SyntaxError" in run.out or "syntax" in run.out


def test_the_same_seed_draws_the_same_inputs(grade: Any, hand_in: Any) -> None:
    hand_in(MINUS)
    first = grade("-k", "random_float32", "--lossgrade-seed", "c0ffee")
    again = grade("-k", "random_float32", "--lossgrade-seed", "c0ffee")
    other = grade("-k", "random_float32")
    assert first.result["seed"] == again.result["seed"] == "c0ffee"
    assert first.criteria == again.criteria
    assert other.result["seed"] != "c0ffee"
    key = "cross_entropy.random_float32"
    assert other.criteria[key]["message"] != first.criteria[key]["message"]


# ---- pytest's own options ---------------------------------------------------------------


def test_k_selects_by_function_and_criterion(grade: Any) -> None:
    run = grade("-k", "softmax and gradient")
    assert run.code == 0
    run.ran.assert_outcomes(passed=1, deselected=len(run.criteria) - 1)
    assert run.result["max_score"] == 100
    assert run.result["score"] == run.criteria["softmax.gradient"]["score"] > 0
    assert run.result["outcome"] == "not-graded"
    others = [c for c in run.criteria.values() if c["id"] != "softmax.gradient"]
    assert {c["outcome"] for c in others} == {"not-graded"}
    assert {c["message"] for c in others} == {
        "was not run: pytest was stopped or told to leave it out"
    }
    assert re.search(r"one_hot .* 0 of 20  \(20 not graded\)", run.out)


def test_an_id_as_pytest_prints_it_selects_that_criterion(grade: Any) -> None:
    run = grade("hw.py::softmax::gradient", "hw.py::one_hot")
    assert run.code == 0
    done = {key for key, c in run.criteria.items() if c["outcome"] != "not-graded"}
    assert done == {"softmax.gradient"} | {
        key for key in run.criteria if key.startswith("one_hot.")
    }
    assert every_criterion_once(run.result)


def test_an_id_of_no_criterion_is_told(grade: Any) -> None:
    run = grade("hw.py::softmax::gradeint")
    assert run.code == 4
    assert (
        "ERROR: hw.py::softmax::gradeint: no such criterion; --collect-only lists them" in run.err
    )


@pytest.mark.parametrize("option", ["-x", "--maxfail=2"])
def test_stopping_early_keeps_the_maximum(option: str, grade: Any, hand_in: Any) -> None:
    hand_in(MINUS)
    run = grade(option)
    assert run.code == 1
    run.ran.assert_outcomes(
        failed=1 if option == "-x" else 2,
        passed=run.ran.parseoutcomes()["passed"],
        xfailed=run.ran.parseoutcomes().get("xfailed", 0),
    )
    assert every_criterion_once(run.result)
    assert run.result["max_score"] == 100
    assert run.criteria["cross_entropy.gradient"]["outcome"] == "not-graded"
    assert run.criteria["softmax.gradient"]["outcome"] == "passed"


def test_last_failed_runs_the_failed_ones_again(grade: Any, hand_in: Any) -> None:
    hand_in(MINUS)
    first = grade()
    failed = {k for k, c in first.criteria.items() if c["outcome"] == "failed" and c["max_score"]}
    again = grade("--lf")
    run_again = {k for k, c in again.criteria.items() if c["outcome"] != "not-graded"}
    assert run_again == failed
    assert again.result["max_score"] == first.result["max_score"]
    assert again.result["score"] == 0
    assert "rerun previous" in again.out
    assert "not graded" in again.out
    hand_in("right/numpy_eye.py")
    mended = grade("--lf")
    assert mended.code == 0
    assert mended.result["functions"]["cross_entropy"]["score"] > 0


def test_junitxml_has_every_criterion_hidden_ones_too(
    grade: Any, hand_in: Any, pytester: pytest.Pytester
) -> None:
    hand_in(MINUS)
    text = (files("lossgrade") / "assignments" / "stat453.toml").read_text(encoding="utf-8")
    Path("own.toml").write_text('visibility = "hidden"\n' + text, encoding="utf-8")
    run = grade("--assignment", "own.toml", "--junitxml", "junit.xml")
    suite = ET.parse("junit.xml").getroot().find("testsuite")
    assert suite is not None
    cases = suite.findall("testcase")
    assert len(cases) == len(run.criteria) == int(suite.attrib["tests"])
    assert {c["visibility"] for c in run.criteria.values()} == {"hidden"}
    by_name = {
        f"{(case.attrib['classname']).split('.')[-1]}.{case.attrib['name']}": case for case in cases
    }
    assert set(by_name) == set(run.criteria)
    for key, criterion in run.criteria.items():
        values = {p.attrib["name"]: p.attrib["value"] for p in by_name[key].iter("property")}
        assert float(values["score"]) == criterion["score"]
        assert float(values["max_score"]) == criterion["max_score"]
        failure = by_name[key].find("failure")
        assert (failure is not None) == (
            criterion["outcome"] == "failed" and criterion["max_score"] > 0
        )
        if failure is not None:
            assert criterion["message"] in (failure.text or "")


def test_verbose_names_each_criterion(grade: Any) -> None:
    run = grade("-v", "-k", "softmax")
    assert "hw.py::softmax::gradient PASSED" in run.out
    assert "hw.py::softmax::large_logits XFAIL" in run.out


def test_quiet_prints_dots_and_the_summary(grade: Any) -> None:
    run = grade("-q", "-p", "no:cacheprovider")
    assert "rootdir" not in run.out
    assert "total          100 of 100 points" in run.out
    assert not Path(".pytest_cache").exists()


def test_twice_quiet_prints_the_total_alone(grade: Any) -> None:
    run = grade("-qq", "-k", "softmax")
    lines = [line for line in run.out.splitlines() if line and not line.startswith((".", "x"))]
    assert re.fullmatch(r"hw: 30 of 100 points, and [\d.]+ of [\d.]+ bonus points", lines[0])
    assert re.match(r"\d+ criteria not graded: was not run", lines[1])
    assert len(lines) == 2


def test_advice_costs_nothing_also_with_runxfail(grade: Any) -> None:
    run = grade("--runxfail", "-k", "softmax")
    assert run.code == 0
    assert run.criteria["softmax.large_logits"]["outcome"] == "failed"
    assert run.result["functions"]["softmax"]["score"] == 30


def test_collect_only_starts_no_process_and_writes_no_report(
    grade: Any, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(
        spy="""
        from pathlib import Path
        from lossgrade.sandbox.host import Zygote

        start = Zygote._start
        def spied(self):
            Path("started").touch()
            start(self)
        Zygote._start = spied
        """
    )
    run = grade("-p", "spy", "--collect-only", "-q")
    assert run.code == 0
    assert "hw.py::cross_entropy::lecture_losses" in run.out
    assert run.record is None
    assert not Path("graded").exists()
    assert not Path("started").exists()
    assert grade("-p", "spy", "-k", "one_hot").record
    assert Path("started").exists()


def test_failures_are_told_in_one_line_and_a_hint_without_a_traceback(
    grade: Any, hand_in: Any
) -> None:
    hand_in(MINUS)
    run = grade("-k", "cross_entropy and never_negative")
    section = run.out.partition("= FAILURES =")[2].partition("= hw: stat453 =")[0]
    lines = [line for line in section.splitlines() if line.strip("=")]
    assert len(lines) == 3
    assert lines[0].startswith("_")
    assert "expected a loss of 0 or more" in lines[1]
    assert "minus" in lines[2]


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
def test_the_summary_fits_the_terminal(
    columns: int, grade: Any, hand_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    hand_in(MINUS)
    run = grade("-q", "--tb=no", "-rN")
    summary = run.out.partition("= hw: stat453 =")[2].splitlines()[1:]
    written = [line for line in summary if line and not line.startswith("report (")]
    assert max(map(len, written)) <= min(max(columns, 64), 100)
    assert ("[####" in run.out) == (columns >= 80)
    assert any(line.startswith("    -> ") for line in written)
    assert "more of `cross_entropy` failed)" in run.out


def test_where_the_submission_lies_is_printed_right(grade: Any, hand_in: Any) -> None:
    hand_in(name="in/some/hw.py")
    run = grade("-k", "one_hot", submission="in/some/hw.py")
    assert "\nin/some/hw.py ." in run.out


# ---- what is and is not read ------------------------------------------------------------


def test_nothing_of_the_current_folder_runs(grade: Any, pytester: pytest.Pytester) -> None:
    for name in ("conftest.py", "test_mine.py", "numpy.py", "pydantic.py"):
        Path(name).write_text(TRAP.format(path=f"trap-{name}"), encoding="utf-8")
    run = grade()
    assert run.code == 0
    assert not list(pytester.path.glob("trap-*"))
    assert "test_mine" not in run.out


@pytest.mark.parametrize("arguments", [["hw.py"], ["."], ["hw.py", "tests"]], ids=" ".join)
def test_the_submission_as_an_argument_is_never_imported_here(
    arguments: list[str], grade: Any, hand_in: Any, pytester: pytest.Pytester
) -> None:
    # The worker may not write there, pytest could.
    source = (EXAMPLES / "right/numpy_eye.py").read_text(encoding="utf-8")
    trap = f"try:\n    open({str(pytester.path / 'trap')!r}, 'w')\nexcept OSError:\n    pass\n"
    hand_in(text=source + trap)
    pytester.makepyfile(**{"tests/test_own": "def test_nothing(): pass"})
    run = grade(*arguments)
    assert not Path("trap").exists()
    assert run.code == 0
    assert run.result["score"] == 100


def test_a_folder_as_an_argument_is_never_imported_here(
    grade: Any, hand_in: Any, pytester: pytest.Pytester
) -> None:
    hand_in(name="alice/main.py")
    (pytester.path / "alice/test_it.py").write_text(TRAP.format(path="trap"), encoding="utf-8")
    (pytester.path / "own.toml").write_text(
        'entry = "main.py"\n'
        + (files("lossgrade") / "assignments" / "stat453.toml").read_text(encoding="utf-8"),
        encoding="utf-8",
    )
    run = grade("--assignment", "own.toml", "alice", ".", submission="alice")
    assert run.result["score"] == 100
    assert not Path("trap").exists()


@pytest.mark.parametrize(
    ("where", "given", "arguments", "says"),
    [
        pytest.param(
            "alice/pytest.ini", "alice/hw.py", [], "lies with the submission", id="beside"
        ),
        pytest.param("alice/pytest.ini", "alice", [], "lies with the submission", id="inside"),
        pytest.param("alice/pyproject.toml", "alice/hw.py", [], "lies with", id="pyproject.toml"),
        pytest.param(
            "alice/pytest.ini",
            "alice/src/hw.py",
            [],
            "was found by way of",
            id="above, in a repository",
        ),
        pytest.param(
            "alice/pytest.ini",
            "alice/src/hw.py",
            ["tests"],
            "was found by way of",
            id="above, while tests lie elsewhere",
        ),
        pytest.param("pytest.ini", "alice/hw.py", [], None, id="of the current folder"),
        pytest.param(
            "alice/pytest.ini", "alice/hw.py", ["-c", os.devnull], None, id="another named"
        ),
    ],
)
def test_the_students_configuration_is_refused(
    where: str,
    given: str,
    arguments: list[str],
    says: str | None,
    grade: Any,
    hand_in: Any,
    pytester: pytest.Pytester,
) -> None:
    hand_in(name=given if given.endswith(".py") else f"{given}/hw.py")
    pytester.makepyfile(**{"tests/test_own": "def test_nothing(): pass"})
    header = "[tool.pytest.ini_options]" if where.endswith(".toml") else "[pytest]"
    Path(where).write_text(f"{header}\n", encoding="utf-8")
    run = grade("-k", "one_hot", *arguments, submission=given)
    if says is None:
        assert run.code == 0
    else:
        assert run.code == 4
        assert run.record is None
        assert says in run.err
        assert "pytest -c FILE" in run.err


@pytest.mark.parametrize(
    ("conftest", "given", "arguments"),
    [
        pytest.param("conftest.py", "hw.py", ["tests"], id="beside, above the tests"),
        pytest.param("conftest.py", "hw.py", ["hw.py"], id="beside, submission named again"),
        pytest.param("alice/conftest.py", "alice", ["alice"], id="inside, folder named again"),
        pytest.param("alice/conftest.py", "alice/hw.py", ["."], id="below what is collected"),
        pytest.param("test_a/conftest.py", "test_a/hw.py", ["."], id="in a folder named test_a"),
    ],
)
def test_the_students_conftest_is_refused_before_it_runs(
    conftest: str,
    given: str,
    arguments: list[str],
    grade: Any,
    hand_in: Any,
    pytester: pytest.Pytester,
) -> None:
    hand_in(name=given if given.endswith(".py") else f"{given}/hw.py")
    pytester.makepyfile(**{"tests/test_own": "def test_nothing(): pass"})
    Path(conftest).write_text(TRAP.format(path="trap"), encoding="utf-8")
    run = grade("-k", "one_hot", *arguments, submission=given)
    assert not Path("trap").exists()
    assert run.code == 4
    assert "conftest.py lies with the submission" in run.err
    # A folder with two .py files cannot be graded; that is another matter.
    run = grade("-k", "one_hot", "--noconftest", *arguments, submission=given)
    assert run.code == (1 if given == "alice" else 0)
    assert not Path("trap").exists()


def test_tests_run_where_they_are_named_not_where_testpaths_says(
    grade: Any, hand_in: Any, pytester: pytest.Pytester
) -> None:
    hand_in(name="submissions/hw.py")
    pytester.makepyfile(
        **{
            "tests/conftest": "import pytest\n@pytest.fixture\ndef two(): return 2",
            "tests/test_own": "import pytest\n@pytest.mark.points(2)\n"
            "def test_it(two): assert two == 2",
        }
    )
    pytester.makeini("[pytest]\ntestpaths = tests")
    run = grade(submission="submissions/hw.py")
    assert (run.tests, run.result["max_score"]) == ({}, 100)
    pytester.makeini("[pytest]\naddopts = tests")
    run = grade(submission="submissions/hw.py")
    assert run.tests["test_it"]["score"] == 2


def test_a_name_that_is_no_utf8_is_graded(pytester: pytest.Pytester) -> None:
    name = os.fsdecode(b"h\xff.py")
    (pytester.path / name).write_bytes((EXAMPLES / "right/numpy_eye.py").read_bytes())
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--submission", name, "-k", "softmax"]
        + [f"--lossgrade-report={each}:out.{each}" for each in ("json", "gradescope", "markdown")],
        capture_output=True, text=True, errors="replace", timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert (
        json.loads(Path("out.json").read_text(encoding="utf-8"))["submission"]["id"] == "h\\udcff"
    )


# ---- bad use -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(
            ["--submission", "gone.py"], "gone.py: no such file or folder", id="no such file"
        ),
        pytest.param(
            ["--submission", "notes.txt"],
            "expected a .py file, a .ipynb notebook or a folder, found .txt",
            id="suffix",
        ),
        pytest.param(
            ["--submission", ""],
            "--submission: expected a path, found an empty one",
            id="empty path",
        ),
        pytest.param(
            ["--submission=hw.py", "--assignment=stat543"],
            "did you mean 'stat453'?",
            id="assignment misspelt",
        ),
        pytest.param(
            ["--submission=hw.py", "--assignment=gone.toml"],
            "gone.toml: cannot be read (No such file or directory)",
            id="no such assignment",
        ),
        pytest.param(
            ["--submission=hw.py", "--assignment=bad.toml"],
            "bad.toml:2:",
            id="invalid TOML with its line",
        ),
        pytest.param(
            ["--submission=hw.py", "--lossgrade-report=xml:out"],
            "'xml:out': expected FORMAT:PATH, FORMAT one of json, gradescope, markdown, html",
            id="format",
        ),
        pytest.param(
            ["--submission=hw.py", "--lossgrade-report=json"],
            "'json': expected FORMAT:PATH",
            id="report without a path",
        ),
        pytest.param(
            ["--submission=hw.py", "--lossgrade-report=json:/dev/null/a/b.json"],
            "/dev/null/a/b.json: cannot be written (Not a directory)",
            id="unwritable report",
        ),
        pytest.param(
            ["--submission=hw.py", "--lossgrade-report=json:."],
            ".: is a folder, expected the path of a file",
            id="report onto a folder",
        ),
        pytest.param(
            ["--submission=hw.py", "--lossgrade-seed=xyz"],
            "--lossgrade-seed xyz: expected hexadecimal digits",
            id="seed",
        ),
        pytest.param(
            ["--assignment=stat453"], "--assignment needs --submission PATH", id="assignment alone"
        ),
        pytest.param(
            ["--lossgrade-report=json:x"],
            "--lossgrade-report needs --submission PATH",
            id="report alone",
        ),
        pytest.param(
            ["--lossgrade-seed=1"], "--lossgrade-seed needs --submission PATH", id="seed alone"
        ),
    ],
)
def test_bad_use_is_one_line_and_exit_code_4(
    arguments: list[str], says: str, hand_in: Any, pytester: pytest.Pytester
) -> None:
    hand_in()
    Path("notes.txt").write_text("softmax", encoding="utf-8")
    Path("bad.toml").write_text('name = "x"\nname = = 3\n', encoding="utf-8")
    ran = pytester.runpytest_subprocess(*arguments)
    assert ran.ret == 4
    lines = [line for line in ran.errlines if line]
    assert len(lines) == 1, lines
    assert lines[0].startswith("ERROR: ")
    assert says in lines[0]
    assert not [line for line in ran.outlines if line]


def test_an_unknown_level_names_those_there_are(pytester: pytest.Pytester, hand_in: Any) -> None:
    hand_in()
    ran = pytester.runpytest_subprocess("--submission=hw.py", "--require-sandbox=total")
    assert ran.ret == 4
    ran.stderr.fnmatch_lines(["*invalid choice: 'total' (choose from*contained*)"])


def test_one_unwritable_report_does_not_cost_the_others(
    grade: Any, pytester: pytest.Pytester
) -> None:
    """A report that can no longer be written at the end: the rest is there, and it is told."""
    pytester.makepyfile(
        spoil="""
        import os, shutil
        def pytest_collection_finish():
            shutil.rmtree("lost")
            open("lost", "w").close()
        """
    )
    run = grade(
        "-p", "spoil", "-k", "softmax",
        "--lossgrade-report=markdown:lost/feedback.md", "--lossgrade-report=gradescope:kept.json",
    )  # fmt: skip
    assert run.code == 4
    assert run.result["score"] == 30
    assert json.loads(Path("kept.json").read_text(encoding="utf-8"))["score"] > 30
    assert "ERROR: --lossgrade-report lost/feedback.md: cannot be written" in run.out
    assert "softmax" in run.out


# ---- isolation that is asked for --------------------------------------------------------


def test_required_isolation_that_is_there(grade: Any) -> None:
    run = grade("--require-sandbox", "contained", "-k", "softmax")
    if run.result["sandbox"]["level"] != "contained":
        pytest.skip(f"only {run.result['sandbox']['level']} here")
    assert run.code == 0
    assert "isolation: contained" in run.out


def test_required_isolation_that_is_not_there_grades_nothing(
    grade: Any, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(
        weak="""
        def pytest_configure(config):
            import lossgrade.student
            lossgrade.student.reaches = lambda reached, required: False
        """
    )
    run = grade("-p", "weak", "--require-sandbox", "contained")
    assert run.code == 1
    assert run.result["outcome"] == "not-graded"
    assert {c["outcome"] for c in run.criteria.values()} == {"not-graded"}
    assert (run.result["score"], run.result["max_score"]) == (0, 100)
    assert "'contained' was required" in run.criteria["softmax.gradient"]["message"]
    assert "criteria not graded: isolation reaches level" in run.out


# ---- crashes and interruptions ----------------------------------------------------------


@pytest.fixture
def slow_run(pytester: pytest.Pytester) -> Any:
    """Start grading a submission that takes 0.3 s a call, and wait until a criterion was run."""
    Path("hw.py").write_text(SLOW, encoding="utf-8")
    names = {name: pytester.path / f"out.{name}" for name in ("json", "gradescope", "markdown")}
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-v", "--submission=hw.py"]
        + [f"--lossgrade-report={name}:{path}" for name, path in names.items()],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if "PASSED" in line or "FAILED" in line:
                break
        yield process, names
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()  # type: ignore[union-attr]  # it is a pipe


def test_ctrl_c_leaves_complete_reports(slow_run: Any) -> None:
    process, names = slow_run
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 2
    record = json.loads(names["json"].read_text(encoding="utf-8"))
    assert every_criterion_once(record)
    graded = [c for c in record["criteria"] if c["outcome"] != "not-graded"]
    assert graded
    assert record["outcome"] == "not-graded"
    left = [c for c in record["criteria"] if c["outcome"] == "not-graded"]
    assert {c["message"] for c in left} == {
        "was not run: pytest was stopped or told to leave it out"
    }
    for name in ("gradescope", "markdown"):
        assert names[name].stat().st_size > 1000
    assert "KeyboardInterrupt" in out
    assert "of 100 points" in out


def test_a_kill_leaves_the_preliminary_reports_and_no_process(slow_run: Any) -> None:
    process, names = slow_run
    children = descendants(process.pid)
    assert children
    process.kill()
    process.wait(10)
    record = json.loads(names["json"].read_text(encoding="utf-8"))
    assert every_criterion_once(record)
    assert {c["message"] for c in record["criteria"]} == {"was not run: grading has not finished"}
    assert len(json.loads(names["gradescope"].read_text(encoding="utf-8"))["tests"]) == len(
        record["criteria"]
    )
    assert not list(names["json"].parent.glob(".out.*"))
    deadline = time.monotonic() + 10
    while any(map(alive, children)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, children))


def descendants(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task/{pid}/children")
    if not tasks.exists():
        pytest.skip("this system has no /proc/PID/task/TID/children")
    found = [int(child) for child in tasks.read_text(encoding="utf-8").split()]
    return found + [deeper for child in found for deeper in descendants(child)]


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


@pytest.mark.parametrize(
    ("hook", "graded"),
    [
        pytest.param("pytest_runtest_logreport(report)", True, id="while criteria run"),
        pytest.param("pytest_collection_modifyitems(items)", False, id="while collecting"),
        pytest.param("pytest_sessionstart(session)", False, id="at the start"),
        pytest.param("pytest_sessionfinish(session)", True, id="at the end"),
    ],
)
def test_an_internal_error_leaves_a_complete_report(
    hook: str, graded: bool, grade: Any, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(
        broken=f"""
        calls = []
        def {hook}:
            calls.append(1)
            if "logreport" not in "{hook}" or len(calls) > 60:
                raise RuntimeError("a broken plugin")
        """
    )
    run = grade("-p", "broken")
    assert run.code != 0
    assert every_criterion_once(run.result)
    assert run.result["max_score"] == 100
    assert ("passed" in {c["outcome"] for c in run.criteria.values()}) == graded


def test_a_process_that_ends_itself_leaves_the_preliminary_report(
    grade: Any, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(**{"tests/test_own": "import os\nos._exit(0)"})
    run = grade("tests")
    assert every_criterion_once(run.result)
    assert run.result["score"] == 0
    assert run.result["outcome"] == "not-graded"


@pytest.mark.parametrize(
    ("reports", "says"),
    [
        pytest.param(["json:hw.py"], "is the submission", id="the submission"),
        pytest.param(["json:out", "markdown:out"], "is another report", id="another report"),
        pytest.param(["json:mine.toml"], "is the assignment", id="the assignment"),
    ],
)
def test_a_report_overwrites_nothing_that_is_read(
    reports: list[str],
    says: str,
    pytester: pytest.Pytester,
    hand_in: Any,
) -> None:
    source = hand_in().read_bytes()
    mine = pytester.path / "mine.toml"
    mine.write_text(built_in_text("stat453"), encoding="utf-8")
    options = [part for report in reports for part in ("--lossgrade-report", report)]
    ran = pytester.runpytest_subprocess(
        "--submission", "hw.py", "--assignment", "mine.toml", *options
    )
    assert ran.ret == pytest.ExitCode.USAGE_ERROR
    assert says in ran.stderr.str()
    assert (pytester.path / "hw.py").read_bytes() == source
    assert mine.read_text(encoding="utf-8") == built_in_text("stat453")
