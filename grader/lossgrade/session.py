"""One pytest run that grades one submission: items, outcomes, summary, reports."""

from __future__ import annotations

import datetime
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from lossgrade.sandbox.host import Zygote
from lossgrade.submission import Submission, SubmissionError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from lossgrade.engine import Graded, Grading
    from lossgrade.result import CriterionRecord, Result

DEFAULT_ASSIGNMENT = "stat453"
STOPPED = "was not run: pytest was stopped or told to leave it out"
UNFINISHED = "was not run: grading has not finished"


class CriterionFailed(Exception):
    """A criterion that does not hold; the text is what the student reads."""


class Session:
    """The plugin of a run with `--submission`."""

    def __init__(self, config: pytest.Config) -> None:
        """Check the options, and start loading the student's libraries.

        Raises:
            pytest.UsageError: a submission, assignment or report that cannot be used.
        """
        self.config = config
        option = config.option
        self.is_xdist_worker = hasattr(config, "workerinput")
        self.is_controller = (
            not self.is_xdist_worker and getattr(option, "dist", "no") not in ("no", None)
        )  # fmt: skip
        self.started_at = datetime.datetime.now(datetime.UTC)
        self._start = time.monotonic()
        self.result: Result | None = None
        self.records: dict[str, CriterionRecord] = {}
        self.tests: dict[str, dict[str, Any]] = {}
        self.remote: dict[str, Any] = {}
        self.zygote: Zygote | None = None
        self.grading: Grading | None = None
        try:
            # Absolute: criteria run wherever an instructor's test may change to.
            self.submission = Submission.at(Path(os.path.abspath(option.submission)))  # noqa: PTH100 - links stay as they were given
        except SubmissionError as error:
            raise pytest.UsageError(f"--submission {error}") from None
        self._refuse_students_configuration()
        if config.args_source is pytest.Config.ArgsSource.INVOCATION_DIR:
            config.args = []
        runs_here = not (self.is_controller or option.collectonly)
        if runs_here and self.submission.mentions_torch():
            # Importing torch takes seconds: it starts before anything else does.
            self.zygote = Zygote(["numpy", "torch"])
        self._read_assignment(option)
        if runs_here:
            from lossgrade.sandbox.layers import dumpable

            dumpable.make_undumpable()
            self._open(option)

    def _read_assignment(self, option: Any) -> None:
        from lossgrade.assignment import AssignmentError, load_assignment
        from lossgrade.engine import manifest
        from lossgrade.reports import ReportError, parse_request

        try:
            name = option.assignment or DEFAULT_ASSIGNMENT
            self.assignment, self.folder = load_assignment(name)
            self.manifest = manifest(self.assignment, self.folder)
            self.reports = [parse_request(text) for text in option.lossgrade_report]
        except AssignmentError as error:
            self._stop()
            raise pytest.UsageError(f"--assignment {error}") from None
        except ReportError as error:
            self._stop()
            raise pytest.UsageError(f"--lossgrade-report {error}") from None
        seed = option.lossgrade_seed or getattr(self.config, "workerinput", {}).get(
            "lossgrade_seed"
        )
        if seed and not re.fullmatch(r"[0-9a-f]{1,64}", seed):
            self._stop()
            raise pytest.UsageError(f"--lossgrade-seed {seed}: expected hexadecimal digits")
        import secrets

        self.seed: str = seed or secrets.token_hex(16)

    def _open(self, option: Any) -> None:
        from lossgrade.engine import Grading
        from lossgrade.student import frameworks

        submission = Submission.at(self.submission.path, self.assignment.entry)
        if self.zygote is None:
            self.zygote = Zygote(frameworks(submission, self.assignment))
        self.grading = Grading(
            submission,
            self.assignment,
            self.zygote,
            folder=self.folder,
            seed=self.seed,
            required_level=option.require_sandbox,
        )

    def _refuse_students_configuration(self) -> None:
        """Stop where pytest took its configuration from beside or inside the submission.

        pytest looks for its ini-file in the folders of all its arguments, `--submission PATH`
        among them: a student's own could choose the assignment or load a plugin.
        """
        inifile, path = self.config.inipath, self.submission.path
        if inifile is None or self.config.option.inifilename:
            return
        folder = (path if self.submission.is_folder else path.parent).resolve()
        if folder in inifile.resolve().parents:
            raise pytest.UsageError(
                f"{inifile} lies with the submission, so the student may have written it; "
                "name the configuration to use: pytest -c FILE"
            )

    def _stop(self) -> None:
        if self.grading is not None:
            self.grading.close()
        if self.zygote is not None:
            self.zygote.close()
            self.zygote = None

    def student_fixture(self) -> StudentFixture:
        assert self.grading is not None
        return StudentFixture(self.grading)

    # --- collection -----------------------------------------------------------------------

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Never import the submission in this process, also when it is named as an argument."""
        path = self.submission.path
        return True if collection_path == path or path in collection_path.parents else None

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, items: list[pytest.Item]
    ) -> None:
        """Put one item for each criterion before the instructor's own tests."""
        for item in items:
            if item.get_closest_marker("points") or "student" in getattr(item, "fixturenames", ()):
                self.tests[item.nodeid] = _described(item, self.assignment.visibility)
        path = self.submission.path
        top = Node.from_parent(session, name=path.name, nodeid=path.name, path=path)
        functions = {
            key: Node.from_parent(top, name=key, path=path) for key in self.assignment.graded
        }
        made: list[pytest.Item | pytest.Collector] = [
            CriterionItem.from_parent(
                functions[line.function], name=line.criterion.name, path=path, line=line, owner=self
            )
            for line in self.manifest
        ]
        items[:0] = cast("list[pytest.Item]", made)
        # Told as a collector would, so that they are counted in `collected N items`.
        report = pytest.CollectReport(path.name, "passed", None, made)
        self.config.hook.pytest_collectreport(report=report)

    def pytest_collection_finish(self) -> None:
        """Write every report once before anything runs: there is one whatever happens then."""
        if not self.is_xdist_worker and not self.config.option.collectonly:
            self._write(self._make(UNFINISHED))

    # --- outcomes -------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if isinstance(item, CriterionItem):
            if call.when == "call" and item.record is not None:
                _attach(report, item.record.model_dump(mode="json"))
        elif item.nodeid in self.tests:
            seen = self.tests[item.nodeid]
            if report.failed:
                seen["message"] = seen["message"] or _first_line(report, str(call.when))
            elif report.skipped:
                seen["message"] = seen["message"] or f"was skipped: {_skip_reason(report)}"
            elif call.when == "call":
                seen["passed"] = True
            if call.when == "teardown":
                _attach(report, self._test_record(item.nodeid).model_dump(mode="json"))
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        attached = getattr(report, "lossgrade", None)
        if attached:
            from lossgrade.result import CriterionRecord

            self.records[attached["id"]] = CriterionRecord(**attached)

    def _test_record(self, nodeid: str, not_run: str = "") -> CriterionRecord:
        from lossgrade.result import CriterionRecord

        test = self.tests[nodeid]
        passed = test["passed"] and not test["message"]
        return CriterionRecord(
            id=nodeid,
            function=test["function"],
            title=test["title"],
            kind="test",
            outcome="passed" if passed else "not-graded" if not_run else "failed",
            score=test["points"] if passed else 0,
            max_score=test["points"],
            visibility=test["visibility"],
            message=not_run or test["message"],
            hint="" if passed else test["hint"],
        )

    # --- the end --------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        try:
            if self.grading is not None:
                self.grading.close()
            if self.is_xdist_worker:
                output = cast("Any", self.config).workeroutput
                output["lossgrade_tests"] = self.tests
                output["lossgrade_about"] = self._about()
            elif not self.config.option.collectonly:
                self.result = self._make(STOPPED)
                self._write(self.result)
        finally:
            self._stop()

    def _about(self) -> dict[str, Any]:
        """Return what a process that graded knows of the submission's loading."""
        if self.grading is None:
            return {}
        return {
            "notes": self.grading.notes(),
            "printed": self.grading.student.printed,
            "sandbox": self.grading.sandbox_record().model_dump(mode="json"),
        }

    def _make(self, not_run: str) -> Result:
        from lossgrade.engine import make_result, versions
        from lossgrade.result import SandboxRecord, SubmissionRecord

        about = {
            "notes": [],
            "printed": "",
            "sandbox": SandboxRecord(level="none"),
            **(self._about() or self.remote),
        }
        records = dict(self.records)
        for nodeid in self.tests:
            if nodeid not in records:
                records[nodeid] = self._test_record(nodeid, not_run)
        return make_result(
            self.manifest,
            records,
            submission=SubmissionRecord(id=self.submission.id, path=str(self.submission.path)),
            assignment=self.assignment,
            not_run=not_run,
            seed=self.seed,
            started_at=self.started_at.isoformat(timespec="seconds"),
            duration_s=round(time.monotonic() - self._start, 3),
            versions=versions(),
            **about,
        )

    def _write(self, result: Result) -> None:
        from lossgrade.reports import ReportError, write

        for request in self.reports:
            try:
                write(request, result)
            except ReportError as error:
                raise pytest.UsageError(f"--lossgrade-report {error}") from None

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.result is None:
            return
        from lossgrade.reports.terminal import show

        show(self.result, terminalreporter, self.reports)

    # --- pytest-xdist -----------------------------------------------------------------------------

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Give every process of the run the same seed."""
        node.workerinput["lossgrade_seed"] = self.seed

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over what a process of the run knows besides the outcomes."""
        output = getattr(node, "workeroutput", {})
        self.tests.update(output.get("lossgrade_tests", {}))
        about = output.get("lossgrade_about") or {}
        if about.get("sandbox", {}).get("layers") or not self.remote:
            self.remote = about


class Node(pytest.Collector):
    """The submission, or one of its functions, as the tree of items shows it."""

    def collect(self) -> Iterable[pytest.Item]:
        return ()


class CriterionItem(pytest.Item):
    """One criterion of the submission."""

    def __init__(self, *, line: Graded, owner: Session, **rest: Any) -> None:
        super().__init__(**rest)
        self.line = line
        self.owner = owner
        self.record: CriterionRecord | None = None

    def runtest(self) -> None:
        grading = self.owner.grading
        assert grading is not None
        self.record = record = grading.run(self.line)
        self.user_properties += [("score", record.score), ("max_score", record.max_score)]
        if record.outcome == "passed":
            return
        text = "\n".join(filter(None, (record.message, record.hint)))
        if record.advice:
            pytest.xfail(text)
        prefix = "not graded: " if record.outcome == "not-graded" else ""
        raise CriterionFailed(prefix + text)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, CriterionFailed):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, f"{self.line.function}: {self.line.criterion.title}"


class StudentFixture:
    """The submission, for an instructor's own tests: `student.softmax(z)`, arrays in and out.

    Torch tensors in give torch tensors back, NumPy arrays give NumPy arrays. A call that raises,
    crashes or runs too long in the student's process fails the test with one line.
    """

    def __init__(self, grading: Grading) -> None:
        self._grading = grading

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)

        def function(*arguments: Any, **keywords: Any) -> Any:
            return self.call(name, *arguments, **keywords)

        return function

    def call(self, name: str, *arguments: Any, grad: bool = False, **keywords: Any) -> Any:
        """Call the submission's function `name` in the sandbox.

        Args:
            name: an accepted name of the assignment's functions, or any name in the submission.
            arguments: arrays, tensors, numbers, strings, None, or lists of them.
            grad: also return the gradients of the result's sum by every float array, in order.
            keywords: passed on by name.
        """
        from lossgrade.instructor import call

        __tracebackhide__ = True
        return call(self._grading, name, arguments, keywords, grad=grad)


def _attach(report: pytest.TestReport, record: dict[str, Any]) -> None:
    cast("Any", report).lossgrade = record


def _described(item: pytest.Item, visibility: str) -> dict[str, Any]:
    """Read a test's markers.

    Raises:
        pytest.UsageError: a marker with a wrong argument.
    """
    points = _argument(item, "points", 0.0)
    if not isinstance(points, int | float) or isinstance(points, bool) or not 0 <= points < 1e4:
        raise pytest.UsageError(f"{item.nodeid}: points({points!r}), expected a number from 0")
    seen_by = _argument(item, "visibility", visibility)
    allowed = ("visible", "hidden", "after_due_date", "after_published")
    if seen_by not in allowed:
        raise pytest.UsageError(
            f"{item.nodeid}: visibility({seen_by!r}), expected one of {', '.join(allowed)}"
        )
    documented = getattr(getattr(item, "obj", None), "__doc__", None) or ""
    return {
        "title": documented.strip().partition("\n")[0].rstrip(".") or item.name,
        "function": item.nodeid.partition("::")[0],
        "points": float(points),
        "visibility": seen_by,
        "hint": str(_argument(item, "hint", "")),
        "passed": False,
        "message": "",
    }


def _argument(item: pytest.Item, marker: str, default: Any) -> Any:
    found = item.get_closest_marker(marker)
    if found is None:
        return default
    if len(found.args) != 1 or found.kwargs:
        raise pytest.UsageError(f"{item.nodeid}: the marker {marker} takes one argument")
    return found.args[0]


def _first_line(report: pytest.TestReport, when: str) -> str:
    """Return the line of a failed test that says what went wrong."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(crash.message if crash else report.longrepr or "failed").strip()
    first = text.partition("\n")[0] if crash else text.rpartition("\n")[2]
    return f"{'' if when == 'call' else f'error in {when}: '}{first}"


def _skip_reason(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    return str(getattr(report, "wasxfail", "") or "expected to fail")
