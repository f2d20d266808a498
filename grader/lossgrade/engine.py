"""Grade one submission: the manifest first, then one criterion after another.

Knows nothing of pytest. The manifest, with every criterion and its points, is fixed before the
student's code loads, so that nothing the code does can shrink the maximum.
"""

from __future__ import annotations

import datetime
import secrets
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lossgrade.criterion import Failure, NotGraded
from lossgrade.manifest import manifest
from lossgrade.probe import Probe
from lossgrade.result import (
    AssignmentRecord,
    CriterionRecord,
    LayerRecord,
    Result,
    SandboxRecord,
    SubmissionRecord,
    total,
)
from lossgrade.sandbox.host import SandboxUnavailable
from lossgrade.student import Student

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lossgrade.assignment import Assignment
    from lossgrade.manifest import Graded
    from lossgrade.sandbox.host import Zygote
    from lossgrade.submission import Submission


LAW_REPEATS = 3


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
    ) -> None:
        """Fix the manifest; nothing of the student's runs yet.

        Raises:
            AssignmentError: the assignment's points or extra criteria are wrong.
        """
        self.submission = submission
        self.assignment = assignment
        self.manifest = manifest(assignment, folder)
        names = {key: spec.names for key, spec in assignment.graded.items()}
        self.student = Student(
            submission, names, zygote, assignment.limits, required_level=required_level
        )
        self.seed = seed or secrets.token_hex(16)
        self.started_at = datetime.datetime.now(datetime.UTC)
        self._start = time.monotonic()
        self.probe = Probe(self.student, assignment, self.seed)

    def run(self, line: Graded) -> CriterionRecord:
        """Judge one criterion."""
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
                f"the criterion itself failed: {type(error).__name__}: {error} ({where})",
            )
        return line.record("passed")

    def run_all(self) -> list[CriterionRecord]:
        """Judge every criterion of the manifest."""
        return [self.run(line) for line in self.manifest]

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
        return make_result(
            self.manifest,
            {record.id: record for record in records},
            submission=SubmissionRecord(
                id=self.submission.id, path=str(self.submission.path), students=[]
            ),
            assignment=self.assignment,
            notes=self.notes(),
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
        notes = [loading.failure] if loading.failure else []
        notes += loading.notes
        for found in loading.found.values():
            if package := found.get("package"):
                notes.append(f"`{found['name']}` is {package}'s own function")
        return notes

    def close(self) -> None:
        """End the student's process."""
        self.student.close()


def make_result(
    lines: Iterable[Graded],
    records: Mapping[str, CriterionRecord],
    *,
    assignment: Assignment,
    not_run: str = "was not run",
    **about: Any,
) -> Result:
    """Make a result record in which every line of the manifest appears.

    Args:
        lines: the manifest.
        records: what was judged, by id; others are taken in after the manifest's.
        assignment: what was asked.
        not_run: the message of a criterion that was not judged.
        about: the record's other keys.
    """
    left = dict(records)
    criteria = [
        left.pop(line.id) if line.id in left else line.record("not-graded", not_run)
        for line in lines
    ]
    criteria += left.values()
    sums = total(criteria)
    functions = {
        function: total([c for c in criteria if c.function == function])
        for function in dict.fromkeys(c.function for c in criteria)
    }
    ungraded = any(c.outcome == "not-graded" and not c.advice for c in criteria)
    full = sums.score == sums.max_score
    return Result(
        assignment=AssignmentRecord(
            name=assignment.name, version=assignment.version, title=assignment.title
        ),
        score=sums.score,
        max_score=sums.max_score,
        bonus=sums.bonus,
        max_bonus=sums.max_bonus,
        outcome="not-graded" if ungraded else "passed" if full else "failed",
        criteria=criteria,
        functions=functions,
        **about,
    )


def versions() -> dict[str, str]:
    """Return the versions that a grade can depend on."""
    found = {"python": sys.version.split()[0]}
    for name in ("lossgrade", "numpy", "torch"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _innermost(error: Exception) -> str:
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    if step is None:
        return "no traceback"
    return f"{Path(step.tb_frame.f_code.co_filename).name}:{step.tb_lineno}"
