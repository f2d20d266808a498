"""Grade one submission: the manifest first, then one criterion after another.

Knows nothing of pytest. The manifest, with every criterion and its points, is fixed before the
student's code loads, so that nothing the code does can shrink the maximum.
"""

from __future__ import annotations

import datetime
import secrets
import sys
import time
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lossgrade.criterion import Failure, NotGraded
from lossgrade.findings import look_over, take_off
from lossgrade.language import say, used
from lossgrade.manifest import manifest
from lossgrade.probe import Probe
from lossgrade.result import (
    AssignmentRecord,
    CriterionRecord,
    Explanation,
    LayerRecord,
    Result,
    SandboxRecord,
    SubmissionRecord,
    total,
)
from lossgrade.sandbox.host import SandboxUnavailable
from lossgrade.student import Student
from lossgrade.visibility import stored

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lossgrade.assignment import Assignment
    from lossgrade.conventions import Convention
    from lossgrade.manifest import Graded
    from lossgrade.result import ChartRecord
    from lossgrade.sandbox.host import Zygote
    from lossgrade.submission import Submission


LAW_REPEATS = 3
# For the counter-examples of all functions together.
SECONDS = 0.5


class Grading:
    """The grading of one submission under one assignment.

    Criteria may run in any order and any selection: the inputs of each follow from the seed and
    its id alone.
    """

    def __init__(
        self,
        submission: Submission,
        assignment: Assignment,
        zygote: Zygote,
        *,
        folder: Path | None = None,
        seed: str = "",
        required_level: str = "process",
        show_hidden: bool = False,
        detect: bool = False,
    ) -> None:
        """Fix the manifest; nothing of the student's runs yet, unless conventions are detected.

        Args:
            submission: what was handed in.
            assignment: what is asked.
            zygote: where the student's processes come from.
            folder: where the files of `extra_criteria` lie.
            seed: of the inputs; default a fresh one.
            required_level: the least isolation under which the student's code may run.
            show_hidden: let the records say why hidden criteria failed.
            detect: grade each function under the convention that it keeps to.
        Raises:
            AssignmentError: the assignment's points or extra criteria are wrong.
        """
        self.submission = submission
        self.assignment = assignment
        self.show_hidden = show_hidden
        self.manifest = manifest(assignment, folder)
        # What a training needs is looked for by its own rubric: a model may have no accepted name.
        graded = assignment.graded.items()
        names = {key: spec.names for key, spec in graded if spec.rubric != "training"}
        self.student = Student(
            submission, names, zygote, assignment.limits, required_level=required_level
        )
        self.seed = seed or secrets.token_hex(16)
        self.started_at = datetime.datetime.now(datetime.UTC)
        self._start = time.monotonic()
        self.probe = Probe(self.student, assignment, self.seed)
        self.charts: list[ChartRecord] = []
        self.explanations: dict[str, Explanation] = {}
        self._unexplained: list[str] = []
        if detect:
            self._take_on_conventions(folder)

    def _take_on_conventions(self, folder: Path | None) -> None:
        """Find out which convention each function keeps to, and fix the manifest under those.

        Every function keeps its points, so that the maximum stays as it is.
        """
        from lossgrade.conventions import own_conventions

        found = own_conventions(self.probe, folder)
        known = {**self.probe.conventions, **found}
        specs = {key: convention.spec for key, convention in found.items()}
        names = {key: spec.names for key, spec in specs.items()}
        self.assignment = self.assignment.with_functions(specs)
        self.manifest = manifest(self.assignment, folder)
        if any(self.student.names[key] != each for key, each in names.items()):
            self.student = self.student.renamed(names)
        self.probe = Probe(self.student, self.assignment, self.seed)
        self.probe.conventions = known

    def conventions(self) -> dict[str, Convention]:
        """Return the conventions under which functions are graded, beside the assignment's."""
        known = self.probe.conventions.items()
        return {key: each for key, each in known if each is not None and each.graded}

    def run(self, line: Graded) -> CriterionRecord:
        """Judge one criterion; the record of a hidden one does not say why it failed."""
        record = self._judged(line)
        return record if self.show_hidden else stored(record)

    def _judged(self, line: Graded) -> CriterionRecord:
        try:
            if problem := self.student.missing(line.function):
                return line.record("failed", str(problem), problem.hint)
            if line.criterion.kind == "law":
                self.probe.require_related(line.function)
            elif line.criterion.kind in ("contract", "robust"):
                self.probe.require_right(line.function)
            # A law of small inputs may hold by chance once.
            for repeat in range(LAW_REPEATS if line.criterion.kind == "law" else 1):
                line.criterion.check(self.probe.trial(line.function, f"{line.id}:{repeat}"))
        except Failure as failure:
            return line.record("failed", failure.message, failure.hint)
        except (NotGraded, SandboxUnavailable) as error:
            return line.record("not-graded", str(error))
        except Exception as error:
            # Ours or the instructor's, never the student's: their code runs elsewhere.
            where = _innermost(error)
            return line.record(
                "not-graded",
                say(
                    "the criterion itself failed: {error} ({where})",
                    error=f"{type(error).__name__}: {error}",
                    where=where,
                ),
            )
        return line.record("passed")

    def run_all(self) -> list[CriterionRecord]:
        """Judge every criterion of the manifest."""
        return [self.run(line) for line in self.manifest]

    def look_closer(self, records: Iterable[CriterionRecord], *, pictures: bool = False) -> None:
        """Work out what else feedback tells, by more calls of the student's functions.

        Args:
            records: what `run` returned.
            pictures: whether a report shows the charts.
        """
        records = list(records)
        lost = {c.id for c in records if c.outcome == "failed" and not c.advice}
        failed: dict[str, list[Graded]] = {}
        for line in self.manifest:
            if line.id in lost and line.visibility == "visible":
                failed.setdefault(line.function, []).append(line)
        if not failed:
            return
        # Only a submission that failed needs it.
        from lossgrade.diagnosis.explain import explain

        for key, lines in failed.items():
            hidden = [
                each
                for each in self.manifest
                if each.function == key and each.visibility != "visible"
            ]
            seconds = SECONDS / len(failed)
            try:
                self.explanations[key] = explain(self.probe, key, lines, hidden, seconds)
            except Exception as error:
                # Ours: no grade is lost because it cannot be explained.
                text = say(
                    "`{name}` could not be explained, through no fault of yours: {error} ({where})",
                    name=self.student.name(key),
                    error=f"{type(error).__name__}: {error}",
                    where=_innermost(error),
                )
                self._unexplained.append(text)
        if pictures:
            from lossgrade.charts import charts

            self.charts = charts(self, records)

    # --- the record -----------------------------------------------------------------------

    def sandbox_record(self) -> SandboxRecord:
        """Return the layers of isolation that the student's process had."""
        told = self.student.sandbox
        layers = [LayerRecord(**layer) for layer in told.get("layers", ())]
        return SandboxRecord(level=told.get("level", "none"), layers=layers)

    def result(self, records: Iterable[CriterionRecord]) -> Result:
        """Make the result record; a criterion without a record counts as not graded.

        Args:
            records: what `run` returned, in any order.
        """
        records = list(records)
        linted = look_over(self.submission, self.assignment, records)
        return make_result(
            self.manifest,
            {record.id: record for record in records},
            submission=SubmissionRecord(
                id=self.submission.id, path=str(self.submission.path), students=[]
            ),
            assignment=self.assignment,
            notes=self.notes() + linted.notes,
            findings=linted.findings,
            charts=self.charts,
            explanations={
                **{k: Explanation(convention=c.record()) for k, c in self.conventions().items()},
                **self.explanations,
            },
            printed=self.student.printed,
            sandbox=self.sandbox_record(),
            seed=self.seed,
            started_at=self.started_at.isoformat(timespec="seconds"),
            duration_s=round(time.monotonic() - self._start, 3),
            versions=versions(),
        )

    def notes(self) -> list[str]:
        """Return what the instructor and the student should know about how the file loaded."""
        loading = self.student._loading
        if loading is None:
            return []
        notes = [*self._unexplained, *([loading.failure] if loading.failure else [])]
        notes += loading.notes
        notes += [convention.note() for convention in self.conventions().values()]
        for found in loading.found.values():
            if package := found.get("package"):
                notes.append(
                    say("`{name}` is {package}'s own function", name=found["name"], package=package)
                )
        return notes

    def close(self) -> None:
        """End the student's process."""
        self.student.close()


def make_result(
    lines: Iterable[Graded],
    records: Mapping[str, CriterionRecord],
    *,
    assignment: Assignment,
    not_run: str = "",
    findings: Iterable[dict[str, Any]] = (),
    explanations: Mapping[str, Explanation] | None = None,
    **about: Any,
) -> Result:
    """Make a result record in which every line of the manifest appears.

    Args:
        lines: the manifest.
        records: what was judged, by id; others are taken in after the manifest's.
        assignment: what was asked.
        not_run: the message of a criterion that was not judged.
        findings: what the linter found, for which the assignment may take points off.
        explanations: why functions failed, by their keys.
        about: the record's other keys.
    """
    left = dict(records)
    criteria = [
        left.pop(line.id)
        if line.id in left
        else line.record("not-graded", not_run or say("was not run"))
        for line in lines
    ]
    criteria += left.values()
    sums = total(criteria)
    functions = {
        function: total([c for c in criteria if c.function == function])
        for function in dict.fromkeys(c.function for c in criteria)
    }
    for function, explanation in (explanations or {}).items():
        if function in functions:
            functions[function] = functions[function].model_copy(update=dict(explanation))
            rubric = assignment.functions[function].rubric
            criteria = [
                _with(explanation, rubric, each) if each.function == function else each
                for each in criteria
            ]
    ungraded = any(c.outcome == "not-graded" and not c.advice for c in criteria)
    priced, penalty = take_off(findings, assignment.lint, sums.score)
    score = round(sums.score - penalty, 2)
    return Result(
        assignment=AssignmentRecord(
            name=assignment.name, version=assignment.version, title=assignment.title
        ),
        score=score,
        penalty=penalty,
        max_score=sums.max_score,
        bonus=sums.bonus,
        max_bonus=sums.max_bonus,
        outcome="not-graded" if ungraded else "passed" if score == sums.max_score else "failed",
        language=used(),
        criteria=criteria,
        functions=functions,
        findings=priced,
        **about,
    )


def _with(explanation: Explanation, rubric: str, criterion: CriterionRecord) -> CriterionRecord:
    """Return the record of a criterion with the misconception that explains its failure."""
    if explanation.diagnosis is None:
        return criterion
    from lossgrade.diagnosis.explain import explains

    if not explains(explanation.diagnosis, rubric, criterion):
        return criterion
    told: dict[str, Any] = {"diagnosis": explanation.diagnosis}
    if criterion.kind in ("values", "law"):
        told["hint"] = explanation.diagnosis.explanation
        told["counterexample"] = explanation.counterexample
    return criterion.model_copy(update=told)


def versions() -> dict[str, str]:
    """Return the versions that a grade can depend on."""
    found = {"python": sys.version.split()[0]}
    for name in ("lossgrade", "numpy", "torch"):
        if version := _version(name):
            found[name] = version
    return found


@cache
def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _innermost(error: Exception) -> str:
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    if step is None:
        return "no traceback"
    return f"{Path(step.tb_frame.f_code.co_filename).name}:{step.tb_lineno}"
