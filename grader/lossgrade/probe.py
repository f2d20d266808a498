"""What is found out once about each function, before its criteria are judged.

Which arrays it takes, which reduction it uses, and whether its results mean enough for laws and
contract to count.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from lossgrade.criterion import Failure
from lossgrade.language import say
from lossgrade.manifest import rubric
from lossgrade.rubric.cases import ORDINARY
from lossgrade.trial import Trial

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from lossgrade.assignment import Assignment
    from lossgrade.conventions import Convention
    from lossgrade.student import Student

# How far the changes of a function's results must go with those of the right ones for its laws to
# count: over 20 pairs of inputs unrelated numbers correlate by 0.1, a loss with the wrong sign or
# base by 1, a softmax over the wrong axis by 0.6.
RELATED = 0.4
ROUNDS = 4
# Reached over the first round, it leaves no doubt: five unrelated pairs of single numbers
# correlate by so much once in 800 times, and longer results never do.
CLEARLY_RELATED = 0.99

# Of 40 ordinary cases, in 5 shapes, this many must be right for contract and robust criteria to
# count: a function that is right for one shape alone has 8, one that guesses seldom more than 3.
RIGHT_ROUNDS = 8
RIGHT_CASES = 6


class Probe:
    """Trials of a submission's functions, with what was found out about each function."""

    def __init__(self, student: Student, assignment: Assignment, seed: str) -> None:
        self.student = student
        self.assignment = assignment
        self.seed = seed
        # What conventions.py found out, by function: None for one that keeps to its settings.
        self.conventions: dict[str, Convention | None] = {}
        self._libraries: dict[str, str] = {}
        self._tries: dict[str, str] = {}
        self._reductions: dict[str, str | Failure] = {}
        self._preconditions: dict[tuple[str, str], Failure | None] = {}

    def trial(self, key: str, purpose: str, seed: str | None = None) -> Trial:
        """Return a trial of the function `key`, its random numbers drawn for `purpose`.

        Args:
            key: the function.
            purpose: what the trial is for, a criterion's id for one.
            seed: another than the secret one.
        Raises:
            Failure: not even one ordinary call of the function gives a value.
        """
        library = self._library(key)
        trial = self._bare_trial(key, purpose, library, seed)
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

    def trial_under(
        self,
        key: str,
        spec: Any,
        purpose: str,
        *,
        library: str = "",
        name: str = "",
        seed: str | None = None,
    ) -> Trial:
        """Return a trial of the function `key` as if the assignment asked for it under `spec`.

        Args:
            key: the function.
            spec: its settings; of several reductions the first is expected.
            purpose: what the trial is for; the same random numbers are drawn under every `spec`.
            library: the arrays that are passed; default: those that the function was found to take.
            name: the student's name of the function, where it is none that is asked for.
            seed: another than the secret one.
        """
        library = library or self._library(key)
        trial = self._bare_trial(name or key, purpose, library, seed, spec)
        trial.reduction = getattr(spec, "reduction", ["none"])[0]
        return trial

    def _bare_trial(
        self, key: str, purpose: str, library: str, seed: str | None = None, spec: Any = None
    ) -> Trial:
        spec = self.assignment.graded[key] if spec is None else spec
        seed = self.seed if seed is None else seed
        digest = hashlib.blake2b(f"{seed}:{purpose}".encode(), digest_size=16).digest()
        trial = Trial(
            self.student,
            key,
            spec,
            library,
            self.assignment.tolerance,
            np.random.default_rng(np.frombuffer(digest[::-1], dtype="<u4")),
            rubric(spec.rubric),
            self.assignment.name,
            strict=self.assignment.strictness == "strict",
        )
        # Values are secret, shapes are not: a fault that shows at some shapes only shall cost the
        # same under every seed.
        trial.shape = ORDINARY[zlib.crc32(purpose.encode()) % len(ORDINARY)]
        return trial

    def libraries(self, key: str) -> list[str]:
        """Return which arrays the function may be given, the likeliest first."""
        likeliest = self._library(key)
        wanted = self.assignment.graded[key].library or self.assignment.library
        if wanted != "either" or self._tries.get(key):
            return [likeliest]
        both = sorted({"numpy", *self.student.zygote.frameworks})
        return sorted(both, key=lambda library: library != likeliest)

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

    # Laws and contract are about results that mean something: without these two they would pay
    # for a constant, or for numbers of the right shape.

    def require_related(self, key: str) -> None:
        """Fail unless results change with the input as the right ones do, at least roughly."""
        # The same inputs under every seed: a function near the bound shall not have two scores.
        # Whoever knows them gains no more than to have the laws tried, on inputs that are secret.
        self._require(key, _check_related, seed="")

    def require_right(self, key: str) -> None:
        """Fail unless the function is right in some of the ordinary cases."""
        self._require(key, _check_right, seed=self.seed)

    def _require(self, key: str, precondition: Callable[[Trial], None], seed: str) -> None:
        name = precondition.__name__
        if (key, name) not in self._preconditions:
            try:
                precondition(self.trial(key, f"{key}:{name}", seed))
                self._preconditions[key, name] = None
            except Failure as failure:
                self._preconditions[key, name] = failure
        unmet = self._preconditions[key, name]
        if unmet is not None:
            raise Failure(unmet.message, unmet.hint)


def _check_right(trial: Trial) -> None:
    """Fail unless the function is right in some of the ordinary cases."""
    first: Failure | None = None
    right = 0
    cases = (trial.ordinary() for trial.shape in ORDINARY * RIGHT_ROUNDS)
    # A function that is right needs no more than the first of them.
    while some := list(islice(cases, RIGHT_CASES)):
        trial.call_ahead([case.arguments for case in some])
        for case in some:
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
                right += 1
                if right == RIGHT_CASES:
                    return
    assert first is not None
    raise Failure(
        say(
            "{name} is right in {right} of {cases} ordinary cases, "
            "too few for this to count; for one, {message}",
            name=trial.name,
            right=right,
            cases=len(ORDINARY) * RIGHT_ROUNDS,
            message=first.message,
        ),
        first.hint,
    )


def _check_related(trial: Trial) -> None:
    """Fail unless results change with the input as the right ones do, at least roughly."""
    found: list[NDArray[np.float64]] = []
    expected: list[NDArray[np.float64]] = []
    for _ in range(ROUNDS):
        pairs = [(trial.ordinary(), trial.ordinary()) for trial.shape in ORDINARY]
        pairs = [(a, b) for a, b in pairs if np.shape(a.expected) == np.shape(b.expected)]
        trial.call_ahead([case.arguments for pair in pairs for case in pair])
        for pair in pairs:
            values = [trial.call(*case.arguments).values.astype(np.float64) for case in pair]
            right = [np.asarray(case.expected, dtype=np.float64) for case in pair]
            if not all(np.isfinite(value).all() for value in values):
                raise Failure(
                    say("{what}: found NaN or infinity in an ordinary case", what=pair[0].what),
                    say("Is 0/0, log(0) or a negative log computed?"),
                )
            if values[0].size == values[1].size == 1:
                right = [each.mean() for each in right]
            elif not values[0].size == values[1].size == right[0].size:
                continue
            found.append(np.ravel(values[0]) - np.ravel(values[1]))
            expected.append(np.ravel(right[0]) - np.ravel(right[1]))
        if len(found) == len(ORDINARY) and _correlation(found, expected) >= CLEARLY_RELATED:
            return
    if not _correlation(found, expected) >= RELATED:
        raise Failure(
            say(
                "the results of {name} do not change with its input as the right ones do",
                name=trial.name,
            ),
            say("The result must be computed from the arguments."),
        )


def _correlation(
    found: Sequence[NDArray[np.float64]], expected: Sequence[NDArray[np.float64]]
) -> float:
    """Return the size of the correlation; NaN where there is none."""
    if not found:
        return math.nan
    pair = np.concatenate(found), np.concatenate(expected)
    # Numbers near the largest float overflow when squared.
    with np.errstate(all="ignore"):
        if any(each.std() == 0 for each in pair):
            return math.nan
        return abs(float(np.corrcoef(*pair)[0, 1]))


def _is_float(argument: Any) -> bool:
    return isinstance(argument, np.ndarray) and argument.dtype.kind == "f"


def _or_raise(value: str | Failure) -> str:
    if isinstance(value, Failure):
        raise Failure(value.message, value.hint)
    return value
