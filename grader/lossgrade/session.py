"""One pytest run that grades one submission: items, outcomes, summary, reports."""

from __future__ import annotations

import datetime
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from lossgrade import language, markers
from lossgrade.items import CriterionItem, Node
from lossgrade.language import later, say
from lossgrade.markers import storable
from lossgrade.sandbox.host import Zygote
from lossgrade.submission import Submission, SubmissionError
from lossgrade.trust import refuse_conftest
from lossgrade.visibility import immediate

if TYPE_CHECKING:
    from collections.abc import Generator

    from lossgrade.engine import Grading
    from lossgrade.findings import Linted
    from lossgrade.instructor import StudentFixture
    from lossgrade.result import CriterionRecord, Result

DEFAULT_ASSIGNMENT = "stat453"
STOPPED = later("was not run: pytest was stopped or told to leave it out")
UNFINISHED = later("was not run: grading has not finished")


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
        self.show_hidden = bool(option.lossgrade_show_hidden)
        self.result: Result | None = None
        self.records: dict[str, CriterionRecord] = {}
        self.tests: dict[str, dict[str, Any]] = {}
        self.remote: dict[str, Any] = {}
        # Instructors' tests that ended without a record: a process of pytest-xdist that crashed.
        self.lost: dict[str, str] = {}
        self.unwritten = ""
        self.zygote: Zygote | None = None
        self.grading: Grading | None = None
        if not option.submission:
            raise pytest.UsageError("--submission: expected a path, found an empty one")
        self._speak()
        try:
            # Absolute: criteria run wherever an instructor's test may change to.
            self.submission = Submission.at(Path(os.path.abspath(option.submission)))  # noqa: PTH100 - links stay as they were given
        except SubmissionError as error:
            raise pytest.UsageError(f"--submission {error}") from None
        self._take_arguments()
        runs_here = not (self.is_controller or option.collectonly)
        if runs_here:
            # Its imports take longer than ours: it starts before anything else does.
            torch = ["torch"] if self.submission.mentions_torch() else []
            self.zygote = Zygote(["numpy", *torch])
        self._read_assignment(option)
        if runs_here:
            from lossgrade.sandbox.layers import dumpable

            dumpable.make_undumpable()
            self._open(option)

    def _speak(self) -> None:
        """Choose the language before anything is said; a process of pytest-xdist is told it."""
        told = getattr(self.config, "workerinput", {}).get("lossgrade_language")
        option = self.config.option.language
        try:
            language.use(told or option or self.config.getini("lossgrade_language"))
        except ValueError as error:
            where = "--language" if option else "lossgrade_language"
            raise pytest.UsageError(f"{where}: {error}") from None

    def _take_arguments(self) -> None:
        """Leave pytest the instructor's tests only: what it is given by name, it imports.

        `hw.py::softmax::gradient`, as pytest prints it, selects that criterion.
        """
        config = self.config
        self.selected: list[str] = []
        told = getattr(config, "workerinput", {}).get("lossgrade_arguments")
        if told is not None:
            config.args, self.selected = told
            return
        if config.args_source is not pytest.Config.ArgsSource.ARGS:
            # Nothing was named: neither the current folder nor `testpaths` is meant.
            config.args = []
        kept = []
        for argument in config.args:
            name, separator, rest = argument.partition("::")
            if not self._holds(config.invocation_params.dir / name):
                kept.append(argument)
            elif separator:
                self.selected.append(rest)
        config.args = kept

    def _holds(self, path: Path) -> bool:
        """Say whether `path` is the submission or lies in it, links followed."""
        submission, path = self.submission.path.resolve(), path.resolve()
        return path == submission or submission in path.parents

    def _read_assignment(self, option: Any) -> None:
        from lossgrade.assignment import AssignmentError, load_assignment, split_auto
        from lossgrade.manifest import manifest
        from lossgrade.reports import ReportError, parse_request

        try:
            name, self.detect = split_auto(option.assignment or DEFAULT_ASSIGNMENT)
            name = name or DEFAULT_ASSIGNMENT
            self.assignment, self.folder = load_assignment(name)
            self.manifest = manifest(self.assignment, self.folder)
            self.reports = [parse_request(text) for text in option.lossgrade_report]
            self._spare_what_is_read(name)
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

    def _spare_what_is_read(self, assignment: str) -> None:
        """Refuse a report in place of the submission, the assignment or another report."""
        from lossgrade.reports import ReportError

        taken = {Path(assignment).resolve(): "the assignment"}
        for request in self.reports:
            path = request.path.resolve()
            if self._holds(path):
                raise ReportError(f"{request.path}: is the submission, or lies in it")
            if path in taken:
                raise ReportError(f"{request.path}: is {taken[path]} already")
            if not path.is_char_device():
                taken[path] = "another report"

    def _open(self, option: Any) -> None:
        from lossgrade.engine import Grading
        from lossgrade.student import frameworks

        submission = Submission.at(self.submission.path, self.assignment.entry)
        assert self.zygote is not None
        wanted = frameworks(submission, self.assignment)
        if not set(wanted) <= set(self.zygote.frameworks):
            self.zygote.close()
            self.zygote = Zygote(wanted)
        self.grading = Grading(
            submission,
            self.assignment,
            self.zygote,
            folder=self.folder,
            seed=self.seed,
            required_level=option.require_sandbox,
            show_hidden=self.show_hidden,
            detect=self.detect,
        )
        self.assignment, self.manifest = self.grading.assignment, self.grading.manifest

    def _stop(self) -> None:
        if self.grading is not None:
            self.grading.close()
        if self.zygote is not None:
            self.zygote.close()
            self.zygote = None

    def student_fixture(self) -> StudentFixture:
        from lossgrade.instructor import StudentFixture

        assert self.grading is not None
        return StudentFixture(self.grading)

    # --- collection -----------------------------------------------------------------------

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Never import the submission in this process, also when it is named as an argument."""
        if self._holds(collection_path):
            return True
        if collection_path == self.submission.path.parent and not self.config.option.noconftest:
            refuse_conftest(collection_path)
        return None

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Write every report once before anything runs: there is one whatever happens then."""
        if self._reports_here():
            self._write(self._make(say(UNFINISHED)))

    def _reports_here(self) -> bool:
        return bool(
            self.reports and not self.is_xdist_worker and not self.config.option.collectonly
        )

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Take in the tests of a module that cannot be imported, as its source declares them."""
        if report.failed and report.nodeid.endswith(".py"):
            path = self.config.rootpath / report.nodeid
            self.tests.update(
                markers.declared(
                    path, report.nodeid, self.assignment.visibility, str(report.longrepr)
                )
            )

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, items: list[pytest.Item]
    ) -> None:
        """Put one item for each criterion before the instructor's own tests."""
        for item in items:
            if item.get_closest_marker("points") or "student" in getattr(item, "fixturenames", ()):
                self.tests[item.nodeid] = markers.described(item, self.assignment.visibility)
        path = self.submission.path
        # As pytest names its own files, so that it can print where the file lies.
        inside = path.is_relative_to(session.config.rootpath)
        shown = path.relative_to(session.config.rootpath).as_posix() if inside else path.name
        top = Node.from_parent(session, name=path.name, nodeid=storable(shown), path=path)
        functions = {
            key: Node.from_parent(top, name=key, path=path) for key in self.assignment.graded
        }
        made: list[pytest.Item | pytest.Collector] = [
            CriterionItem.from_parent(
                functions[line.function], name=line.criterion.name, path=path, line=line, owner=self
            )
            for line in self.manifest
        ]
        chosen = self._chosen(top.nodeid, made)
        items[:0] = cast("list[pytest.Item]", chosen)
        # Told as a collector would, so that they are counted in `collected N items`.
        report = pytest.CollectReport(path.name, "passed", None, made)
        self.config.hook.pytest_collectreport(report=report)
        left_out = [each for each in made if each not in chosen]
        if left_out:
            self.config.hook.pytest_deselected(items=left_out)

    def _chosen(self, top: str, made: list[Any]) -> list[Any]:
        if not self.selected:
            return made
        chosen = []
        for name in self.selected:
            wanted = f"{top}::{name}"
            found = [i for i in made if i.nodeid == wanted or i.nodeid.startswith(f"{wanted}::")]
            if not found:
                raise pytest.UsageError(f"{wanted}: no such criterion; --collect-only lists them")
            chosen += [each for each in found if each not in chosen]
        return chosen

    def pytest_collection_finish(self) -> None:
        """Write the reports again, now that the instructor's own tests are known."""
        if self.tests and self._reports_here():
            self._write(self._make(say(UNFINISHED)))

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
            markers.note(self.tests[item.nodeid], report, call)
            if call.when == "teardown":
                _attach(report, self._record(item.nodeid).model_dump(mode="json"))
            if not (self.show_hidden or self.tests[item.nodeid]["visibility"] == "visible"):
                cast("Any", report).lossgrade_withheld = True
        return report

    def _record(self, nodeid: str, not_run: str = "") -> CriterionRecord:
        return markers.record(nodeid, self.tests[nodeid], not_run, show_hidden=self.show_hidden)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_logreport(
        self, report: pytest.TestReport
    ) -> Generator[None, object, object]:
        """Take in what was judged; files that are written now see of a test what students may.

        pytest's own terminal shows tracebacks at the end of the run, which is the instructor's.
        """
        self._take_in(report)
        # A process of pytest-xdist sends the whole report to the one that writes the files.
        if self.is_xdist_worker or not getattr(report, "lossgrade_withheld", False):
            return (yield)
        told = markers.bare(report)
        kept = {name: getattr(report, name) for name in told}
        vars(report).update(told)
        try:
            return (yield)
        finally:
            vars(report).update(kept)

    def _take_in(self, report: pytest.TestReport) -> None:
        attached = getattr(report, "lossgrade", None)
        if attached:
            from lossgrade.result import CriterionRecord

            self.records[attached["id"]] = CriterionRecord(**attached)
        elif report.failed and report.when not in ("setup", "call", "teardown"):
            # How pytest-xdist tells of a test whose process crashed.
            self.lost[report.nodeid] = markers.line(str(report.longrepr))

    # --- the end --------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        try:
            if self.grading is not None:
                if exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
                    pictures = any(request.format == "html" for request in self.reports)
                    self.grading.look_closer(self.records.values(), pictures=pictures)
                self.grading.close()
            if self.is_xdist_worker:
                output = cast("Any", self.config).workeroutput
                output["lossgrade_tests"] = self.tests
                output["lossgrade_about"] = self._about()
                output["lossgrade_conventions"] = self._conventions()
            elif not self.config.option.collectonly:
                self._finish(session, misused=exitstatus == pytest.ExitCode.USAGE_ERROR)
        finally:
            self._stop()

    def _finish(self, session: pytest.Session, *, misused: bool) -> None:
        """Write the reports for good; pytest prints why if it was misused, and nothing else."""
        from lossgrade.findings import look_over

        linted = look_over(self.submission, self.assignment, self.records.values())
        result = self._make(say(STOPPED), linted)
        if not misused:
            self.result = result
            if result.penalty and session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED
        try:
            self._write(result)
        except pytest.UsageError as error:
            self.unwritten = str(error)
            session.exitstatus = pytest.ExitCode.USAGE_ERROR

    def _about(self) -> dict[str, Any]:
        """Return what a process that graded knows of the submission's loading."""
        if self.grading is None:
            return {}
        return {
            "notes": self.grading.notes(),
            "printed": self.grading.student.printed,
            "sandbox": self.grading.sandbox_record().model_dump(mode="json"),
            "charts": [chart.model_dump(mode="json") for chart in self.grading.charts],
            "explanations": {
                key: explanation.model_dump(mode="json")
                for key, explanation in self.grading.explanations.items()
            },
            "conventions": {
                key: convention.record().model_dump(mode="json")
                for key, convention in self.grading.conventions().items()
            },
        }

    def _conventions(self) -> dict[str, Any]:
        """Return the settings of the functions that are graded under a convention of their own."""
        found = self.grading.conventions() if self.grading is not None else {}
        return {key: convention.spec.model_dump() for key, convention in found.items()}

    def _take_on(self, conventions: dict[str, Any]) -> None:
        """Fix the manifest as the processes that grade have fixed theirs."""
        from lossgrade.manifest import manifest

        specs = {
            key: type(self.assignment.functions[key]).model_validate(spec)
            for key, spec in conventions.items()
        }
        self.assignment = self.assignment.with_functions(specs)
        self.manifest = manifest(self.assignment, self.folder)

    def _make(self, not_run: str, linted: Linted | None = None) -> Result:
        from lossgrade.engine import make_result, versions
        from lossgrade.result import Explanation, SandboxRecord, SubmissionRecord

        about = {
            "notes": [],
            "printed": "",
            "sandbox": SandboxRecord(level="none"),
            **(self._about() or self.remote),
        }
        conventions = about.pop("conventions", {})
        told = {key: {"convention": each} for key, each in conventions.items()}
        told |= about.pop("explanations", {})
        about["explanations"] = {key: Explanation(**each) for key, each in told.items()}
        if linted is not None:
            about["notes"] = [*about["notes"], *linted.notes]
            about["findings"] = linted.findings
        records = dict(self.records)
        for nodeid, test in self.tests.items():
            if nodeid not in records:
                if nodeid in self.lost:
                    test["message"] = self.lost[nodeid]
                    records[nodeid] = self._record(nodeid)
                else:
                    records[nodeid] = self._record(nodeid, not_run)
        return make_result(
            self.manifest,
            records,
            submission=SubmissionRecord(
                id=storable(self.submission.id), path=storable(str(self.submission.path))
            ),
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

        problems = []
        for request in self.reports:
            try:
                write(request, result)
            except ReportError as error:
                problems.append(str(error))
        if problems:
            raise pytest.UsageError(f"--lossgrade-report {'; '.join(problems)}")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.result is None:
            return
        from lossgrade.reports.terminal import show

        quiet = self.config.get_verbosity() < -1
        reports = () if self.unwritten else self.reports
        show(immediate(self.result), terminalreporter, reports, quiet=quiet)
        if self.unwritten:
            terminalreporter.write_line(f"ERROR: {self.unwritten}", red=True)

    # --- pytest-xdist -----------------------------------------------------------------------------

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Give every process of the run the same seed and language."""
        node.workerinput["lossgrade_seed"] = self.seed
        node.workerinput["lossgrade_language"] = language.used()
        node.workerinput["lossgrade_arguments"] = (self.config.args, self.selected)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over what a process of the run knows besides the outcomes."""
        output = getattr(node, "workeroutput", {})
        self.tests.update(output.get("lossgrade_tests", {}))
        if self.detect and output.get("lossgrade_conventions"):
            self._take_on(output["lossgrade_conventions"])
        about = output.get("lossgrade_about") or {}
        # Each process explains the functions that failed there, and has their charts.
        explanations = {**self.remote.get("explanations", {}), **about.get("explanations", {})}
        charts = {c["kind"]: c for c in [*self.remote.get("charts", ()), *about.get("charts", ())]}
        if about.get("sandbox", {}).get("layers") or not self.remote:
            self.remote = about
        self.remote = {**self.remote, "explanations": explanations}
        if charts:
            self.remote = {**self.remote, "charts": [charts[kind] for kind in sorted(charts)][::-1]}


def _attach(report: pytest.TestReport, record: dict[str, Any]) -> None:
    cast("Any", report).lossgrade = record
