"""The pytest plugin: options, markers, the `student` fixture. Costs nothing until it is asked for.

All else lies in `session.py`, imported when `--submission` is given: pytest loads this module
in every run of every project, so it imports neither numpy nor pydantic.
"""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from lossgrade.instructor import StudentFixture

MARKERS = (
    "points(number): what a test is worth in the grade of a submission",
    "visibility(name): who sees a test's outcome: visible, hidden, after_due_date, after_published",
    "hint(text): what the student should look at when the test fails",
    "allow_loss_misuse(code, ...): what --watch-losses may find: LG101, double-activation",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("lossgrade", "grade a student's submission")
    group.addoption(
        "--submission",
        metavar="PATH",
        help="grade this submission: a .py file, a .ipynb notebook or a folder",
    )
    group.addoption(
        "--assignment",
        metavar="NAME|FILE",
        help="what is asked: a built-in name (default: stat453) or a .toml file",
    )
    group.addoption(
        "--lossgrade-report",
        metavar="FORMAT:PATH",
        action="append",
        default=[],
        help="write the result: json, gradescope, markdown, html, github-classroom, prairielearn, "
        "classroom50 or junit; may be given several times",
    )
    group.addoption(
        "--require-sandbox",
        metavar="LEVEL",
        choices=("process", "limits", "contained"),
        default="process",
        help="grade nothing unless isolation reaches LEVEL: process, limits or contained",
    )
    group.addoption(
        "--lossgrade-seed",
        metavar="HEX",
        default="",
        help="draw the inputs of an earlier result again: its `seed`",
    )
    group.addoption(
        "--watch-losses",
        action="store_true",
        help="fail each test in which a tensor reaches a PyTorch loss that expects another "
        "meaning, such as softmax into cross_entropy",
    )
    parser.addini("watch_losses", "as --watch-losses, in every run", type="bool", default=False)
    group.addoption(
        "--lossgrade-show-hidden",
        action="store_true",
        help="say why hidden criteria failed: in the terminal, the JUnit file and the json record",
    )
    group.addoption(
        "--language",
        metavar="LANG",
        default="",
        help="of all texts for the student: en (default) or zh, Simplified Chinese",
    )
    parser.addini("lossgrade_language", "where --language is not given: en or zh", default="en")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Read no conftest.py of the current folder while only a submission is graded.

    The folder may be the student's own, and a conftest.py runs in the trusted process.
    """
    known = early_config.known_args_namespace
    if not known.submission:
        return
    from lossgrade.trust import keep_out

    if not known.file_or_dir:
        known.noconftest = True
        # No test of Hypothesis's can run, and its plugin imports all of it for the summary: 60 ms.
        early_config.pluginmanager.set_blocked("hypothesispytest")
    keep_out(
        early_config,
        known.submission,
        () if known.noconftest else known.file_or_dir,
        named_ini=bool(known.inifilename),
    )


def pytest_configure(config: pytest.Config) -> None:
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    if config.option.watch_losses or (
        config.option.submission is None and config.getini("watch_losses")
    ):
        from lossgrade.watching import Watching, require_torch

        require_torch()
        config.pluginmanager.register(Watching(), "lossgrade-watching")
    if config.option.submission is None:
        for name, given in (
            ("--assignment", config.option.assignment),
            ("--lossgrade-report", config.option.lossgrade_report),
            ("--lossgrade-seed", config.option.lossgrade_seed),
            ("--language", config.option.language),
        ):
            if given:
                raise pytest.UsageError(f"{name} needs --submission PATH")
        return
    # What is imported now stays for the whole run: garbage collection would look through it again
    # and again, pytest's own at the end of a run among them, for 0.1 s in all.
    collecting = gc.isenabled()
    gc.disable()
    # Our own arrays are tiny: starting a thread on each core for them takes longer than all sums.
    threads = "OPENBLAS_NUM_THREADS"
    alone = config.args_source is pytest.Config.ArgsSource.INVOCATION_DIR
    few = alone and threads not in os.environ
    if few:
        os.environ[threads] = "1"
    try:
        from lossgrade.session import Session

        config.pluginmanager.register(Session(config), "lossgrade-session")
    except ModuleNotFoundError as error:
        raise pytest.UsageError(
            f"--submission needs {error.name}: pip install lossgrade[grader]"
        ) from None
    finally:
        if few:
            del os.environ[threads]
        gc.freeze()
        if collecting:
            gc.enable()


@pytest.fixture
def student(request: pytest.FixtureRequest) -> StudentFixture:
    """The submission, its functions called in the sandbox: `student.softmax(z)`."""
    session: Any = request.config.pluginmanager.get_plugin("lossgrade-session")
    if session is None:
        pytest.fail("the `student` fixture needs pytest --submission PATH", pytrace=False)
    fixture: StudentFixture = session.student_fixture()
    return fixture
