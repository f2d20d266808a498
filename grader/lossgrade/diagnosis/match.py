"""Find the misconception that explains what a function returns.

Its results on every tried input are compared with each wrong formula. One that agrees everywhere,
and not with the reference, is the diagnosis; of several, inputs are drawn on which they differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lossgrade.criterion import Failure
from lossgrade.diagnosis import samples as tried
from lossgrade.diagnosis.bank import Misconception, formulas, named
from lossgrade.diagnosis.samples import FAMILIES, Sample, close
from lossgrade.language import say
from lossgrade.oracle import reduce
from lossgrade.result import DiagnosisRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from lossgrade.rubric.cases import Case
    from lossgrade.student import Returned
    from lossgrade.trial import Trial

# A formula must differ from the right result on so many of the inputs, and give numbers there.
TELLING = 3
# Fewer inputs say too little: a function that is slow, or was lost, is not diagnosed.
ENOUGH = 8
# How often inputs are drawn to tell two formulas apart before they count as the same.
DRAWS = 40
# How often one input is passed to see whether the result stays.
REPEATS = 6
# Where a function is not right that is right for the lecture's sizes alone.
ELSEWHERE = {
    "only-for-n-4": ((12, 5), (20, 3), (9, 4), (3, 4)),
    "only-for-c-3": ((5, 6), (4, 9), (3, 15), (7, 12)),
}
HARD_CODED = {
    "softmax": "hard-coded-lecture-softmax",
    "cross_entropy": "hard-coded-lecture-losses",
    "one_hot": "hard-coded-lecture-one-hot",
    "class_label": "hard-coded-lecture-labels",
}


@dataclass(frozen=True)
class Match:
    """A misconception that explains the results, and what shows it."""

    misconception: Misconception
    evidence: str
    confidence: float = 1.0

    def record(self) -> DiagnosisRecord:
        """Return the diagnosis as results hold it, in the language that is used."""
        found = self.misconception
        return DiagnosisRecord(
            misconception=found.slug,
            explanation=say(found.explanation),
            fix=say(found.fix),
            source=say(found.source),
            evidence=self.evidence,
            rule=found.rule,
            confidence=self.confidence,
        )


@dataclass(frozen=True)
class Guess:
    """A misconception, one of its formulas, and the constant in it, if it has one."""

    misconception: Misconception
    form: int
    constants: tuple[float, ...]

    def result(self, trial: Trial, given: Sequence[Any]) -> NDArray[Any] | None:
        """Return what it gives, under the function's convention; None for an error."""
        results = self.misconception.results(given, *self.constants)
        return self.asked(trial, given, results[self.form] if self.form < len(results) else None)

    def asked(
        self, trial: Trial, given: Sequence[Any], result: NDArray[Any] | None
    ) -> NDArray[Any] | None:
        """Return what its form gave, under the function's convention."""
        return None if result is None else _as_asked(trial, self.misconception, result, given)


def diagnose(
    trial: Trial, *, beyond: bool = True, fresh: bool = False
) -> tuple[Match | None, list[Sample]]:
    """Return what explains the results of a function that failed, and what was tried.

    Args:
        trial: of the function.
        beyond: whether points are lost for what ordinary numbers do not show, such as overflow.
        fresh: whether its process is as good as new.
    Raises:
        Failure: the function gives nothing that could be looked at.
    """
    moves, moved = _moves(trial, fresh=fresh)
    if moves:
        return moved, []
    found = tried.ordinary(trial)
    if len(found) < ENOUGH:
        return None, found
    if all(sample.right(trial.tolerance) for sample in found):
        match = _behaves(trial, found)
        if match is None and (beyond or trial.spec.rubric == "class_label"):
            match = _match(trial, tried.extreme(trial), extreme=True)
        return match, found
    return _match(trial, found) or _pattern(trial, found), found


# --- formulas ------------------------------------------------------------------------------------


def _match(trial: Trial, found: list[Sample], *, extreme: bool = False) -> Match | None:
    """Return the one misconception that agrees with all of `found`."""
    if extreme and (not found or all(sample.right(trial.tolerance) for sample in found)):
        return None
    guesses = [
        guess
        for misconception in formulas(trial.spec.rubric, extreme=extreme)
        if (guess := _first(trial, misconception, found)) is not None
    ]
    if not guesses:
        return None
    guess = _told_apart(trial, guesses)
    # Infinity everywhere is what many mistakes give: then other inputs must confirm the one.
    sure = (extreme or _telling(trial, guess, found)) and not guess.misconception.everywhere
    if not sure and not _agrees_specially(trial, guess):
        return None
    shown = say(guess.misconception.shown, constant=guess.constants[0] if guess.constants else 0.0)
    evidence = say(
        "On all {count} inputs that were tried your result equals {shown}.",
        count=len(found),
        shown=shown,
    )
    return Match(guess.misconception, evidence, 0.95 if guess.constants else 1.0)


def _first(trial: Trial, misconception: Misconception, found: list[Sample]) -> Guess | None:
    """Return the first form of `misconception`, and constant, that agrees with all of `found`."""
    first, *others = found
    for constants in _constants(misconception, found):
        for form, result in enumerate(misconception.results(first.given, *constants)):
            guess = Guess(misconception, form, constants)
            # The first shows of most that they are not meant.
            if not _equals(trial, guess, first, guess.asked(trial, first.given, result)):
                continue
            if all(_agrees(trial, guess, sample) for sample in others) and not all(
                _is_right(trial, guess, sample) for sample in found
            ):
                return guess
    return None


def _constants(misconception: Misconception, found: list[Sample]) -> Iterable[tuple[float, ...]]:
    if misconception.parameter is None:
        return [()]
    # From a few inputs: the first may not show the constant.
    values = {
        float(f"{value:.6g}"): None
        for sample in found[:4]
        for value in misconception.parameter(sample)
        if np.isfinite(value)
    }
    # What was fitted is a number that somebody wrote: 0.001, not 0.00100012.
    short = dict.fromkeys(float(f"{value:.3g}") for value in values)
    return [(value,) for value in {**short, **values}]


def _agrees(trial: Trial, guess: Guess, sample: Sample) -> bool:
    return _equals(trial, guess, sample, guess.result(trial, sample.given))


def _equals(trial: Trial, guess: Guess, sample: Sample, wrong: NDArray[Any] | None) -> bool:
    """Whether what came back is what a guess gives."""
    if wrong is None or sample.found is None:
        # Where the formula cannot be computed the function raises too.
        return wrong is None and sample.found is None
    confirm = guess.misconception.confirm
    if confirm is not None and not (
        wrong.shape == sample.found.shape and confirm(sample.found.values, wrong)
    ):
        return False
    return close(sample.found.values, wrong, guess.misconception.tolerance or trial.tolerance)


def _is_right(trial: Trial, guess: Guess, sample: Sample) -> bool:
    """Whether the formula gives the right result, so that the sample says nothing for it."""
    wrong = guess.result(trial, sample.given)
    if wrong is None:
        return False
    if guess.misconception.tolerance is not None and sample.found is not None:
        # A loose tolerance: what it must explain is that the result is not the right one.
        return sample.right(trial.tolerance)
    return close(wrong, sample.expected, trial.tolerance)


def _telling(trial: Trial, guess: Guess, found: list[Sample]) -> bool:
    """Whether enough of the inputs speak for a guess: it differs there from what is right."""
    speaking = [
        sample
        for sample in found
        if not _is_right(trial, guess, sample)
        and (sample.found is None or np.isfinite(sample.found.values.astype(float)).any())
    ]
    return len(speaking) >= TELLING


def _agrees_specially(trial: Trial, guess: Guess) -> bool:
    """Whether a guess agrees on other inputs too, where its formula can be told from others."""
    more = tried.special(trial)
    return bool(more) and all(_agrees(trial, guess, sample) for sample in more)


def _told_apart(trial: Trial, guesses: list[Guess]) -> Guess:
    """Return the one of several guesses that stays, whatever inputs are drawn."""
    family = FAMILIES[trial.spec.rubric]
    best, *others = guesses
    # Whole cases are not drawn as what formulas take.
    for other in others if family is not tried.CASES else ():
        for _ in range(DRAWS):
            n, c = tried.SHAPES[trial.rng.integers(len(tried.SHAPES))]
            given = family.draw(trial, n, c)
            one, two = best.result(trial, given), other.result(trial, given)
            if one is None or two is None or close(one, two, 10 * trial.tolerance):
                continue
            sample = family.sample(trial, given, (n, c))
            if not _agrees(trial, best, sample):
                best = other
            break
        # Never apart: two names of one function, of which the first is meant.
    return best


def _as_asked(
    trial: Trial, misconception: Misconception, result: NDArray[Any], given: Sequence[Any]
) -> NDArray[Any]:
    """Return a formula's result as the function's convention asks for it."""
    rubric = trial.spec.rubric
    if rubric == "log_softmax" and "softmax" in misconception.rubrics:
        with np.errstate(all="ignore"):
            return np.asarray(np.log(result))
    if rubric in ("cross_entropy", "nll_loss"):
        base = trial.spec.log_base
        scaled = (
            result
            if base == "e" or _names_its_base(misconception)
            else result / np.log(float(base))
        )
        if scaled.shape == (len(given[0]), 1) and trial.reduction == "none":
            # As `ask` takes a column.
            scaled = scaled[:, 0]
        per_example = scaled.shape == (len(given[0]),)
        if per_example and trial.reduction != "none" and trial.spec.examples == "batch":
            return np.asarray(reduce(scaled, trial.reduction))  # type: ignore[arg-type]  # the model allows only reductions
        return np.asarray(scaled)
    return np.asarray(result)


def _names_its_base(misconception: Misconception) -> bool:
    return "log2" in misconception.slug or "log10" in misconception.slug


# --- behaviour -----------------------------------------------------------------------------------


def _moves(trial: Trial, *, fresh: bool) -> tuple[bool, Match | None]:
    """Return whether the same input gives another result each time, and the diagnosis of that."""
    first, other = trial.ordinary(), trial.ordinary()
    # What earlier calls left behind may have broken it for good.
    afresh = trial.student.is_quick
    results, failed = _passed_again(trial, first, other, afresh=afresh and not fresh)
    if failed is not None:
        return _fails_later(trial, failed, bool(results), afresh=afresh)
    if _alike(results):
        return False, None
    evidence = say(
        "The same input was passed {count} times, and the results differ.", count=len(results)
    )
    if _alike(_seeded(trial, first)):
        return True, Match(named("random", trial.spec.rubric), evidence)
    if afresh:
        again, _ = _passed_again(trial, first, other, afresh=True)
        if len(again) == len(results) and all(map(_same, again, results)):
            return True, Match(named("state-between-calls", trial.spec.rubric), evidence)
    # Memory that was never written, or the time: a new process gives other results again.
    return True, None


def _passed_again(
    trial: Trial, first: Case, other: Case, *, afresh: bool
) -> tuple[list[NDArray[Any]], Case | None]:
    """Return what comes of one input again and again, another between; and which one failed."""
    if afresh:
        trial.student.close()
    results: list[NDArray[Any]] = []
    cases = (first, other, *[first] * REPEATS)
    trial.call_ahead([case.arguments for case in cases])
    for case in cases:
        try:
            result = trial.call(*case.arguments).values
        except Failure:
            return results, case
        if case is first:
            results.append(result)
    return results, None


def _seeded(trial: Trial, case: Case) -> list[NDArray[Any]]:
    """Return what comes of one input with the generators of random numbers set to one state."""
    try:
        return [trial.answer(case.arguments, seed=1).value.values for _ in range(3)]
    except Failure:
        return [np.zeros(0), np.zeros(1)]


def _same(a: NDArray[Any], b: NDArray[Any]) -> bool:
    return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def _alike(results: list[NDArray[Any]]) -> bool:
    return all(_same(each, results[0]) for each in results)


def _fails_later(
    trial: Trial, failed: Case, began: bool, *, afresh: bool
) -> tuple[bool, Match | None]:
    """Return the diagnosis of a function that fails for an input that it is fine for alone."""
    if not began or not afresh or trial.student.gave_up(trial.key):
        return False, None
    trial.student.close()
    try:
        trial.call(*failed.arguments)
    except Failure:
        return False, None
    evidence = say("An input that is fine in the first call of all fails in a later one.")
    return True, Match(named("state-between-calls", trial.spec.rubric), evidence)


def _behaves(trial: Trial, found: list[Sample]) -> Match | None:
    """Return what is wrong with a function whose values are right."""
    evidence = say("On all {count} inputs that were tried the values are right.", count=len(found))
    case = trial.ordinary()
    value, after = trial.call_and_see_inputs(*case.arguments)
    slug = _contract(trial, value, np.asarray(case.expected))
    if _changed(case.arguments, after):
        slug = "mutates-its-input"
    elif not slug and trial.library == "torch" and _cut_off(trial):
        slug = "breaks-autograd"
    return Match(named(slug, trial.spec.rubric), evidence) if slug else None


def _contract(trial: Trial, value: Returned, expected: NDArray[Any]) -> str:
    kinds = {"list": "returns-list", "tuple": "returns-tuple"}
    if value.library == "python":
        # One number may be Python's own, but in torch it has left the graph.
        number = expected.ndim == 0 and value.container in ("float", "int")
        fine = number and not (trial.library == "torch" and _cut_off(trial))
        return kinds.get(value.container, "" if fine else "returns-float")
    if value.library != trial.library:
        # What the worker says of itself may be anything.
        return f"returns-{value.library}" if value.library in ("torch", "numpy") else ""
    if value.shape == (*expected.shape, 1):
        return "labels-in-column" if trial.spec.rubric == "class_label" else "keeps-column-shape"
    dtype = value.dtype.lstrip("bu")
    if trial.spec.rubric == "one_hot" and not dtype.startswith("float"):
        return "bool-one-hot" if value.dtype == "bool" else "int-one-hot"
    if trial.spec.rubric == "class_label" and dtype.startswith("float"):
        return "float-labels"
    return ""


def _changed(before: Sequence[Any], after: Sequence[Returned]) -> bool:
    return any(
        isinstance(array, np.ndarray) and not np.array_equal(left.values, array, equal_nan=True)
        for array, left in zip(before, after, strict=False)
    )


def _cut_off(trial: Trial) -> bool:
    case = trial.ordinary()
    places = [
        i for i, a in enumerate(case.arguments) if isinstance(a, np.ndarray) and a.dtype.kind == "f"
    ]
    if not places or np.asarray(case.expected).dtype.kind != "f":
        return False
    try:
        return bool(trial.answer(case.arguments, wrt=places[:1]).gradient_problem)
    except Failure:
        # It refuses what has a gradient, as `z.numpy()` does.
        return True


# --- patterns of right and wrong -----------------------------------------------------------------


def _pattern(trial: Trial, found: list[Sample]) -> Match | None:
    """Return the diagnosis of a function that is right for some inputs alone."""
    right = [sample for sample in found if sample.right(trial.tolerance)]
    wrong = [sample for sample in found if sample not in right]
    rubric = trial.spec.rubric
    if rubric in HARD_CODED and _constant(found):
        return Match(
            named(HARD_CODED[rubric], rubric),
            say("{count} different inputs gave the same result.", count=len(found)),
        )
    if rubric in ("cross_entropy", "nll_loss") and _weighted(trial, found):
        return Match(
            named("class-weights", rubric),
            say("On all inputs each loss is the right one times a weight of its class."),
        )
    for place, slug, most in ((0, "only-for-n-4", 4), (1, "only-for-c-3", 3)):
        inside = [sample for sample in found if sample.shape[place] == most]
        other = {sample.shape[1 - place] for sample in inside}
        if len(other) < 2 or inside != right or len(wrong) < TELLING:
            continue
        elsewhere = tried.of_shapes(trial, ELSEWHERE[slug])
        if not any(sample.right(trial.tolerance) for sample in elsewhere):
            return Match(
                named(slug, trial.spec.rubric),
                say(
                    "It is right on {right} of {count} inputs that were tried: on those alone.",
                    right=len(right),
                    count=len(found),
                ),
            )
    return None


def _weighted(trial: Trial, found: list[Sample]) -> bool:
    """Whether each loss is the right one times a weight of its class, the same on all inputs."""
    weights: dict[tuple[int, int], list[float]] = {}
    for sample in found:
        losses, targets = sample.expected, sample.given[1]
        if sample.found is None or sample.found.shape != losses.shape or losses.ndim != 1:
            return False
        if not (np.isin(targets, (0, 1)).all() and (losses > 0).all()):
            # Soft targets: a weight would be of several classes at once.
            continue
        with np.errstate(all="ignore"):
            ratios = sample.found.values / losses
        for label, ratio in zip(targets.argmax(axis=1), ratios, strict=True):
            weights.setdefault((targets.shape[1], int(label)), []).append(float(ratio))
    several = [seen for seen in weights.values() if len(seen) > 1]
    return (
        len(several) >= TELLING
        and all(np.ptp(seen) <= 10 * trial.tolerance for seen in several)
        # Within one number of classes: a factor of all its losses is no weight of a class.
        and any(
            np.ptp([float(np.mean(seen)) for (c, _), seen in weights.items() if c == count]) > 0.01
            for count in {c for c, _ in weights}
        )
    )


def _constant(found: list[Sample]) -> bool:
    """Whether all inputs gave the result that the lecture's own has, and it is right there."""
    lecture = next((sample for sample in found if sample.lecture), None)
    if lecture is None or lecture.found is None or not lecture.right(1e-4):
        return False
    values = lecture.found.values
    return all(
        sample.found is not None and np.array_equal(sample.found.values, values) for sample in found
    )
