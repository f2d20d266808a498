"""Grade one submission: the manifest first, then one criterion after another.

Knows nothing of pytest. The manifest, with every criterion and its points, is fixed before the
student's code loads, so that nothing the code does can shrink the maximum.
"""

from __future__ import annotations

import datetime
import hashlib
import importlib
import importlib.util
import secrets
import sys
import time
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lossgrade.assignment import Assignment, AssignmentError, CriterionSettings
from lossgrade.criterion import Criterion, Failure, NotGraded, criteria_in
from lossgrade.lectures import figures
from lossgrade.result import (
    AssignmentRecord,
    CriterionRecord,
    LayerRecord,
    Outcome,
    Result,
    SandboxRecord,
    SubmissionRecord,
    total,
)
from lossgrade.rubric.cases import ORDINARY
from lossgrade.sandbox.host import SandboxUnavailable
from lossgrade.student import Student
from lossgrade.trial import Trial

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import ModuleType

    from numpy.typing import NDArray

    from lossgrade.assignment import Visibility
    from lossgrade.sandbox.host import Zygote
    from lossgrade.submission import Submission


# How far the changes of a function's results must go with those of the right ones for its laws to
# count: over 20 pairs of inputs unrelated numbers correlate by 0.1, a loss with the wrong sign or
# base by 1, a softmax over the wrong axis by 0.6.
RELATED = 0.4
ROUNDS = 4


@dataclass(frozen=True)
class Graded:
    """One line of the manifest: a criterion, with what it is worth in this assignment."""

    id: str
    function: str
    criterion: Criterion
    max_score: float
    max_bonus: float
    visibility: Visibility

    def record(self, outcome: Outcome, message: str = "", hint: str = "") -> CriterionRecord:
        """Return the result of this criterion."""
        passed = outcome == "passed"
        return CriterionRecord(
            id=self.id,
            function=self.function,
            title=self.criterion.title,
            kind=self.criterion.kind,
            outcome=outcome,
            score=self.max_score if passed else 0,
            max_score=self.max_score,
            bonus=self.max_bonus if passed else 0,
            max_bonus=self.max_bonus,
            visibility=self.visibility,
            message=message,
            hint=hint,
        )


def manifest(assignment: Assignment, folder: Path | None = None) -> list[Graded]:
    """Return every criterion of `assignment` with its points, in the order of its functions.

    Args:
        assignment: what is asked.
        folder: where the files of `extra_criteria` lie.
    Raises:
        AssignmentError: a criterion that does not exist, or points that do not add up.
    """
    extra = _extra_criteria(assignment, folder)
    lines: list[Graded] = []
    for key, spec in assignment.graded.items():
        available = [
            *criteria_in(rubric(spec.rubric)),
            *(each for each in extra if each.function == key),
        ]
        names = [each.name for each in available]
        if doubled := next((name for name in names if names.count(name) > 1), ""):
            raise AssignmentError(
                f"extra_criteria: {key}.{doubled} exists already; give the function another name"
            )
        for name in spec.criteria:
            if name not in names:
                raise AssignmentError(
                    f"functions.{key}.criteria.{name}: no such criterion; "
                    f"there are {', '.join(names)}"
                )
        told = figures(assignment.name, spec.rubric)
        chosen = [
            each
            for each in available
            if each.when(spec)
            and _settings(spec, each).enabled
            and (told or not each.name.startswith("lecture_"))
        ]
        advisory = [
            each
            for each in chosen
            if each.kind == "robust"
            and assignment.strictness == "lecture"
            and _settings(spec, each).points is None
        ]
        carrying = [each for each in chosen if each not in advisory]
        points = _share(key, spec.points, carrying, spec)
        # In strict assignments there is no advice that a bonus could be for.
        bonus = _share(key, spec.bonus, advisory, spec) if spec.bonus and advisory else {}
        for each in chosen:
            visibility = _settings(spec, each).visibility or spec.visibility
            lines.append(
                Graded(
                    f"{key}.{each.name}",
                    key,
                    each,
                    points.get(each.name, 0.0),
                    bonus.get(each.name, 0.0),
                    visibility or assignment.visibility,
                )
            )
    return lines


def _settings(spec: Any, criterion: Criterion) -> CriterionSettings:
    settings: CriterionSettings = spec.criteria.get(criterion.name, CriterionSettings())
    return settings


def rubric(name: str) -> ModuleType:
    """Return the module that holds the criteria of a rubric."""
    return importlib.import_module(f"lossgrade.rubric.{name}")


def _share(key: str, points: float, criteria: list[Criterion], spec: Any) -> dict[str, float]:
    """Deal `points` out by weight, in hundredths that add up exactly."""
    own = {each.name: _settings(spec, each).points for each in criteria}
    fixed = {name: round(given * 100) for name, given in own.items() if given is not None}
    rest = round(points * 100) - sum(fixed.values())
    free = [each for each in criteria if each.name not in fixed]
    if rest < 0 or (rest and not free):
        raise AssignmentError(
            f"functions.{key}: its criteria have {sum(fixed.values()) / 100:g} points fixed, "
            f"expected {'at most ' if free else ''}its points = {points:g}"
        )
    weight = sum(each.weight for each in free) or 1
    exact = {each.name: rest * each.weight / weight for each in free}
    dealt = {name: int(share) for name, share in exact.items()}
    by_remainder = sorted(exact, key=lambda name: dealt[name] - exact[name])
    for name in by_remainder[: rest - sum(dealt.values())]:
        dealt[name] += 1
    return {name: cents / 100 for name, cents in {**fixed, **dealt}.items()}


def _extra_criteria(assignment: Assignment, folder: Path | None) -> list[Criterion]:
    found: list[Criterion] = []
    for name in assignment.extra_criteria:
        path = (folder or Path()) / name
        module_name = f"lossgrade_extra_criteria_{path.stem}"
        spec = importlib.util.spec_from_file_location(module_name, path)
        if not path.is_file() or spec is None or spec.loader is None:
            raise AssignmentError(f"extra_criteria: {path}: no such Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module
        try:
            spec.loader.exec_module(module)
        except (Exception, SystemExit) as error:
            raise AssignmentError(
                f"extra_criteria: {path}: {type(error).__name__}: {error}"
            ) from error
        made = criteria_in(module)
        for each in made:
            if each.function not in assignment.graded:
                raise AssignmentError(
                    f"extra_criteria: {path}: {each.name} has function={each.function!r}, "
                    f"expected one of {', '.join(assignment.graded)}"
                )
        if not made:
            raise AssignmentError(f"extra_criteria: {path}: defines no @criterion function")
        found += made
    return found


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
        self._libraries: dict[str, str] = {}
        self._tries: dict[str, str] = {}
        self._reductions: dict[str, str | Failure] = {}
        self._preconditions: dict[tuple[str, str], Failure | None] = {}

    def run(self, line: Graded) -> CriterionRecord:
        """Judge one criterion."""
        try:
            if problem := self.student.missing(line.function):
                return line.record("failed", str(problem), problem.hint)
            if line.criterion.kind == "law":
                self._require(line.function, self._check_related)
            elif line.criterion.kind in ("contract", "robust"):
                self._require(line.function, self._check_right_once)
            line.criterion.check(self._trial(line.function, line.id))
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

    # --- what is found out once a function ------------------------------------------------

    def _trial(self, key: str, purpose: str) -> Trial:
        library = self._library(key)
        trial = self._bare_trial(key, purpose, library)
        find = getattr(rubric(trial.spec.rubric), "reduction", None)
        if find is not None:
            if key not in self._reductions:
                try:
                    probe = self._bare_trial(key, f"{key}:reduction", library)
                    self._reductions[key] = find(probe)
                except Failure as failure:
                    self._reductions[key] = failure
            trial.reduction = _or_raise(self._reductions[key])
        return trial

    def _bare_trial(self, key: str, purpose: str, library: str) -> Trial:
        spec = self.assignment.graded[key]
        digest = hashlib.blake2b(f"{self.seed}:{purpose}".encode(), digest_size=16).digest()
        return Trial(
            self.student,
            key,
            spec,
            library,
            self.assignment.tolerance,
            np.random.default_rng(int.from_bytes(digest)),
            rubric(spec.rubric),
            self.assignment.name,
        )

    def _library(self, key: str) -> str:
        """Return which arrays the function is given, found by two calls where both are accepted."""
        if key not in self._libraries:
            wanted = self.assignment.graded[key].library or self.assignment.library
            if wanted != "either":
                self._libraries[key] = wanted
            elif "torch" not in self.student.zygote.frameworks:
                self._libraries[key] = "numpy"
            else:
                self._libraries[key] = self._tried(key) or self._majority()
        return self._libraries[key]

    def _majority(self) -> str:
        """Return the library that most functions of the submission keep to."""
        kept = [self._tried(key) for key in self.assignment.graded]
        return max(("torch", "numpy"), key=kept.count)

    def _tried(self, key: str) -> str:
        """Torch if a tensor comes back in the graph, NumPy if an array does, or what works alone.

        A NumPy function in a file that mentions torch is a NumPy solution. Nothing is returned
        for one that takes both and keeps to neither.
        """
        if key not in self._tries:
            self._tries[key] = self._try_libraries(key)
        return self._tries[key]

    def _try_libraries(self, key: str) -> str:
        if self.student.missing(key):
            return ""
        gave = []
        for library in ("torch", "numpy"):
            trial = self._bare_trial(key, f"{key}:library", library)
            case = trial.ordinary()
            try:
                floats = [i for i, a in enumerate(case.arguments) if _is_float(a)]
                answer = trial.answer(case.arguments, wrt=floats if library == "torch" else ())
            except Failure:
                continue
            gave.append(library)
            cut_off = library == "torch" and floats and "cut off" in answer.gradient_problem
            differentiable = np.asarray(case.expected).dtype.kind == "f"
            if answer.value.library == library and not (cut_off and differentiable):
                return library
        return gave[0] if len(gave) == 1 else ""

    def _require(self, key: str, precondition: Callable[[Trial], None]) -> None:
        """Fail unless a precondition holds, tried once for each function.

        Laws and contract are about results that mean something: without this they would pay for
        a constant, or for numbers of the right shape.
        """
        name = precondition.__name__
        if (key, name) not in self._preconditions:
            try:
                precondition(self._trial(key, f"{key}:{name}"))
                self._preconditions[key, name] = None
            except Failure as failure:
                self._preconditions[key, name] = failure
        unmet = self._preconditions[key, name]
        if unmet is not None:
            raise Failure(unmet.message, unmet.hint)

    def _check_right_once(self, trial: Trial) -> None:
        """Fail unless the function is right in one ordinary case at least."""
        first: Failure | None = None
        for trial.shape in ORDINARY:
            case = trial.ordinary()
            try:
                found = trial.call(*case.arguments)
                expected = np.asarray(case.expected)
                if found.values.size == expected.size:
                    # A column, or a list, of the right values breaks one line of the contract only.
                    found = replace(found, values=found.values.reshape(expected.shape))
                trial.expect(found, expected, case.what)
            except Failure as failure:
                first = first or failure
            else:
                return
        assert first is not None
        raise Failure(
            f"{trial.name} is right in no ordinary case, so this does not count; for one, "
            f"{first.message}",
            first.hint,
        )

    def _check_related(self, trial: Trial) -> None:
        """Fail unless results change with the input as the right ones do, at least roughly."""
        found, expected = [], []
        for trial.shape in ORDINARY * ROUNDS:
            pair = trial.ordinary(), trial.ordinary()
            if np.shape(pair[0].expected) != np.shape(pair[1].expected):
                continue
            values = [trial.call(*case.arguments).values.astype(np.float64) for case in pair]
            right = [np.asarray(case.expected, dtype=np.float64) for case in pair]
            if not all(np.isfinite(value).all() for value in values):
                raise Failure(
                    f"{pair[0].what}: found NaN or infinity in an ordinary case",
                    "Is 0/0, log(0) or a negative log computed?",
                )
            if values[0].size == values[1].size == 1:
                right = [each.mean() for each in right]
            elif not values[0].size == values[1].size == right[0].size:
                continue
            found.append(np.ravel(values[0]) - np.ravel(values[1]))
            expected.append(np.ravel(right[0]) - np.ravel(right[1]))
        if not found or not _correlated(np.concatenate(found), np.concatenate(expected)):
            raise Failure(
                f"the results of {trial.name} do not change with its input as the right ones do",
                "The result must be computed from the arguments.",
            )

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


def _correlated(found: NDArray[np.float64], expected: NDArray[np.float64]) -> bool:
    if found.std() == 0 or expected.std() == 0:
        return False
    return bool(abs(np.corrcoef(found, expected)[0, 1]) >= RELATED)


def _is_float(argument: Any) -> bool:
    return isinstance(argument, np.ndarray) and argument.dtype.kind == "f"


def _or_raise(value: str | Failure) -> str:
    if isinstance(value, Failure):
        raise Failure(value.message, value.hint)
    return value


def _innermost(error: Exception) -> str:
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    if step is None:
        return "no traceback"
    return f"{Path(step.tb_frame.f_code.co_filename).name}:{step.tb_lineno}"
