"""Another convention is no wrong formula: functions that are exactly right under other settings.

A function that failed is called as other settings of its model would have it called, the nearest
first. One call shows all settings of the result at once, so that most functions are known, or
known to be wrong under every convention, after fewer than fifty calls.
"""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import numpy as np

from lossgrade.assignment import AssignmentError, Function
from lossgrade.convention_texts import change_of, how_of, says_of
from lossgrade.criterion import Failure
from lossgrade.language import say
from lossgrade.manifest import manifest, rubric
from lossgrade.result import ConventionRecord, DifferenceRecord
from lossgrade.rubric.cases import ORDINARY
from lossgrade.student import CallError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from lossgrade.probe import Probe
    from lossgrade.rubric.cases import Case
    from lossgrade.student import Returned
    from lossgrade.trial import Trial

# Every one of these must come out right: 14 inputs of 7 shapes, two of them a batch of one.
SHAPES = (*ORDINARY, *ORDINARY, (1, 4), (1, 6), *ORDINARY[:2])
CALLS_CAP = 150

# Settings that the arguments do not depend on: one call shows which of them holds.
OF_RESULT = ("reduction", "result", "returns", "log_base")
# Softmax over everything is right for one vector, and argmax over everything too: one example at a
# time is their convention only if they cannot be given a batch.
REFUSES_BATCH = ("softmax", "log_softmax", "class_label")
# One that is given a batch all the same gives one number.
SUMS_BATCH = ("cross_entropy", "nll_loss")

# What else functions are called, in lower case and without underscores.
SYNONYMS = {
    "one_hot": r".*onehot.*|tocategorical|encode(labels?)?|indicator(matrix)?",
    "softmax": r"(?!.*(log|cross|loss|grad|back|deriv)).*softmax.*",
    "log_softmax": r"(?!.*(loss|grad|back|deriv)).*logsoftmax.*",
    "class_label": r".*classlabels?.*|(predict|get|to|decode|find)(class|classes|labels?)?|"
    r"predicted(class|label)|argmax(labels?)?",
    "cross_entropy": r"(?!.*(binary|grad|back|deriv)).*(crossentropy|softmaxloss|softmaxwithloss|"
    r"xentropy).*|xent(loss)?|x?ce(loss)?|nll(loss)?|logloss|negativeloglikelihood|(compute)?loss|"
    r"lossfn|lossfunction|criterion",
    "nll_loss": r"(?!.*(grad|back|deriv)).*(nll|negativeloglikelihood).*",
    "sigmoid": r"(?!.*(grad|back|deriv)).*sigmoid.*|logistic",
    "accuracy": r".*accuracy.*|acc|score",
    "entropy": r"(?!.*(cross|kl)).*entropy.*",
    "kl_divergence": r"kl.*|.*kldiv.*|kullbackleibler.*",
    "binary_cross_entropy": r".*(binarycrossentropy|bce|logloss).*",
    "mean_squared_error": r".*(mse|meansquare|squarederror).*",
    "hinge_loss": r".*hinge.*",
}
OTHER_NAMES_CAP = 4
# Numbers cannot tell a loss of log-probabilities from one of probabilities whose logarithm was
# forgotten: its name has to say that it is one.
OF_LOG_PROBABILITIES = re.compile(r"nll|likelihood|log_?prob", re.IGNORECASE)


# The first input and its result under each choice of settings. They are the same for every
# submission: each takes a hundred of them, and drawing one takes longer than comparing with it.
_first_cases: dict[tuple[str, ...], Case] = {}


class _Ended(Exception):
    """The search is over: the function was lost, or was called often enough."""


class _NotCallable(Exception):
    """The name is no function's."""


@dataclass(frozen=True)
class Convention:
    """The settings under which a function is exactly right.

    Attributes:
        name: what the student calls it.
        base: its settings in the assignment.
        spec: its settings there, changed so that it is right.
        calls: how many calls it took to find out.
        graded: whether it is graded under them.
    """

    name: str
    base: Any
    spec: Any
    calls: int
    graded: bool = False

    @property
    def changed(self) -> list[str]:
        """The settings that differ, in the order of the model; `names` last."""
        fields = [*_options(self.base), "names"]
        return [f for f in fields if getattr(self.spec, f) != getattr(self.base, f)]

    def record(self) -> ConventionRecord:
        """Return what the result says of it."""
        differences = []
        for field in self.changed:
            found, wanted = _value(self.spec, field), _value(self.base, field)
            if field == "names":
                says = say("you call it `{name}`", name=self.name)
                change = say("Rename it to `{name}`.", name=self.base.names[0])
            else:
                says = say(says_of(self.base.rubric, field, found))
                change = say(change_of(self.base.rubric, field, found, wanted))
            setting = f"{field} = {json.dumps(found, ensure_ascii=False)}"
            differences.append(DifferenceRecord(setting=setting, says=says, change=change))
        return ConventionRecord(differences=differences, graded=self.graded)

    def note(self) -> str:
        """Return the line that says how the function was graded."""
        kinds: dict[str, list[str]] = {"taking": [], "with": [], "returning": []}
        for field in self.changed:
            if field != "names":
                kind, text = how_of(self.base.rubric, field, _value(self.spec, field))
                kinds[kind].append(say(text))
        clauses = []
        if kinds["taking"]:
            clauses.append(say("taking {what}", what=_listed(kinds["taking"])))
        if kinds["with"]:
            clauses.append(say("with {what}", what=_listed(kinds["with"])))
        if kinds["returning"]:
            clauses.append(say("returning {what}", what=_listed(kinds["returning"])))
        how = ", ".join(clauses)
        if "names" not in self.changed:
            if kinds["with"] and not kinds["taking"]:
                return say("`{name}` was graded {how}", name=self.name, how=how)
            return say("`{name}` was graded as {how}", name=self.name, how=how)
        wanted = self.base.names[0]
        if not how:
            return say("`{name}` was graded as `{wanted}`", name=self.name, wanted=wanted)
        return say(
            "`{name}` was graded as `{wanted}`, {how}", name=self.name, wanted=wanted, how=how
        )


def _listed(words: Sequence[str]) -> str:
    if len(words) == 1:
        return words[0]
    return say("{first} and {last}", first=", ".join(words[:-1]), last=words[-1])


def _value(spec: Any, field: str) -> Any:
    value = getattr(spec, field)
    return value[0] if field == "reduction" and len(value) == 1 else value


def recognise(probe: Probe, key: str) -> Convention | None:
    """Return the convention under which a function that failed is exactly right, if there is one.

    It is the one with the fewest differences from the function's own settings. The same seed finds
    the same. Whatever the function does, this neither raises nor counts against it.

    Args:
        probe: the trials of the submission.
        key: the function.
    """
    if key not in probe.conventions:
        probe.conventions[key] = _searched(probe, key)
    return probe.conventions[key]


def _searched(probe: Probe, key: str) -> Convention | None:
    base = probe.assignment.graded.get(key)
    if base is None or not hasattr(rubric(base.rubric), "ordinary"):
        return None
    try:
        return _Search(probe, key, base).run()
    except _Ended:
        return None
    except Exception:
        # It helps to understand a grade, and is no part of one: nothing may be lost by it.
        return None


def own_conventions(probe: Probe, folder: Path | None) -> dict[str, Convention]:
    """Return the conventions that the functions keep to, where they are not the assignment's.

    A function that fits no convention is left out, and so is one whose points could not be dealt
    out among the criteria that its convention has.

    Args:
        probe: the trials of the submission.
        folder: where the files of `extra_criteria` lie.
    """
    found = {}
    for key in probe.assignment.graded:
        convention = recognise(probe, key)
        if convention is None:
            continue
        try:
            manifest(probe.assignment.with_functions({key: convention.spec}), folder)
        except AssignmentError:
            continue
        found[key] = replace(convention, graded=True)
    return found


class _Search:
    """The search for one function's convention, and the calls it costs."""

    def __init__(self, probe: Probe, key: str, base: Any) -> None:
        self.probe = probe
        self.student = probe.student
        self.key = key
        self.base = base
        self.options = _options(base)
        self.calls = 0
        self._answers: dict[tuple[Any, ...], Returned | None] = {}

    def run(self) -> Convention | None:
        """Return the convention; None where the function is right, or right under none."""
        if self.student.loading.failure:
            return None
        if not self.student.missing(self.key):
            with self.student.trying(self.key):
                return self._of("")
        if self.student.loading.found.get(self.key):
            return None
        for name in self._other_names():
            try:
                with self.student.trying(name):
                    convention = self._of(name)
            except _NotCallable:
                continue
            if convention:
                return convention
        return None

    def _of(self, name: str) -> Convention | None:
        """Return the convention of the function called `name`, or of the one that is asked for."""
        libraries = self.probe.libraries(self.key)
        for library in libraries:
            fits = self._screened(self.base, name, library)
            own = [spec for distance, spec in fits if not distance]
            if any(self._holds(spec, name, library) for spec in own):
                return self._convention(self.base, name) if name else None
        for library in libraries:
            if spec := self._nearest(name, library):
                return self._convention(spec, name)
        return None

    def _convention(self, spec: Any, name: str) -> Convention:
        # What the assignment accepts besides stays accepted.
        kept = {"reduction": self.base.reduction} if self._accepted(spec) else {}
        names = {"names": [*self.base.names, name]} if name else {}
        spec = spec.model_copy(update={**kept, **names})
        return Convention(name or self._own_name(), self.base, spec, self.calls)

    def _own_name(self) -> str:
        return str(self.student.loading.found[self.key]["name"])

    def _accepted(self, spec: Any) -> bool:
        return "reduction" in self.options and spec.reduction[0] in self.base.reduction

    def _other_names(self) -> list[str]:
        """Return what the submission defines under a name that the function could have."""
        loading, graded = self.student.loading, self.probe.assignment.graded
        wanted = {_folded(name) for name in self.base.names}
        # What another function is asked for by that name, is that function.
        taken = {name for key, spec in graded.items() if key != self.key for name in spec.names}
        taken |= set(loading.foreign)
        pattern = re.compile(SYNONYMS.get(self.base.rubric, r"(?!)"))
        exact, like = [], []
        for name in loading.defined:
            if name in taken:
                continue
            if _folded(name) in wanted:
                exact.append(name)
            elif pattern.fullmatch(_folded(name)):
                like.append(name)
        return [*exact, *like][:OTHER_NAMES_CAP]

    # --- the settings -------------------------------------------------------------------------

    def _nearest(self, name: str, library: str) -> Any:
        """Return the settings under which every value is right, the fewest of them changed."""
        fields = [field for field in self.options if field not in OF_RESULT]
        forms = []
        for values in itertools.product(*(self.options[field] for field in fields)):
            spec = self.base.model_copy(update=dict(zip(fields, values, strict=True)))
            if self._sensible(spec) and self._named_so(spec, name or self._own_name()):
                forms.append((self._distance(spec), spec))
        # Stable: among equals the order of the model's values decides, logits before
        # log-probabilities: what is right for any net inputs is right for those too.
        forms.sort(key=lambda form: form[0])
        waiting: list[tuple[int, Any]] = []
        for level, form in forms:
            # Whatever this form and the later ones give differs in as many settings, or more.
            if spec := self._first_that_holds(waiting, level, name, library):
                return spec
            waiting += self._screened(form, name, library)
        return self._first_that_holds(waiting, len(self.options), name, library)

    def _first_that_holds(
        self, waiting: list[tuple[int, Any]], most: int, name: str, library: str
    ) -> Any:
        """Take those of `waiting` with at most so many differences; return one that is right."""
        due = sorted((each for each in waiting if each[0] <= most), key=lambda each: each[0])
        waiting[:] = [each for each in waiting if each[0] > most]
        for distance, spec in due:
            if distance and self._holds(spec, name, library):
                return spec
        return None

    def _distance(self, spec: Any) -> int:
        changed = [f for f in self.options if getattr(spec, f) != getattr(self.base, f)]
        return len(changed) - (self._accepted(spec) and "reduction" in changed)

    def _sensible(self, spec: Any) -> bool:
        """Say whether the settings of `spec` go together, none without effect changed."""
        single = getattr(spec, "examples", "batch") == "single"
        if single and getattr(spec, "classes", "argument") == "from-targets":
            return False
        reduced = getattr(spec, "reduction", ["none"]) != ["none"]
        idle = {"axis", "result", "reduction"} if single else {"result"} if reduced else set()
        return not any(
            field in idle and getattr(spec, field) != getattr(self.base, field)
            for field in self.options
            if not (field == "reduction" and self._accepted(spec))
        )

    def _named_so(self, spec: Any, name: str) -> bool:
        kind = getattr(spec, "prediction", "")
        if kind != "log-probabilities" or kind == self.base.prediction:
            return True
        return OF_LOG_PROBABILITIES.search(name) is not None

    def _screened(self, form: Any, name: str, library: str) -> Iterator[tuple[int, Any]]:
        """Yield settings that agree with the first call under `form`, with their distance."""
        plain = {"returns": "loss"} if "returns" in self.options else {}
        form = form.model_copy(update=plain)
        trial = self._trial(form, 0, name, library)
        found = self._answer(trial, self._first_case(form, name, library).arguments)
        if found is None:
            return
        several = 2 <= len(found.items) <= 4
        if several:
            found = found.items[0]
        if not found.is_array:
            return
        fields = [field for field in self.options if field in OF_RESULT]
        for values in itertools.product(*(self.options[field] for field in fields)):
            spec = form.model_copy(update=dict(zip(fields, values, strict=True)))
            if several != (getattr(spec, "returns", "loss") == "loss-and-gradient"):
                continue
            if not self._sensible(spec):
                continue
            if _agree(trial, found, self._first_case(spec, name, library).expected):
                yield self._distance(spec), spec

    def _holds(self, spec: Any, name: str, library: str) -> bool:
        """Say whether every value is right under `spec`; the first wrong one ends it."""
        single = getattr(spec, "examples", "batch") == "single"
        if single and self.base.examples == "batch" and self._takes_batch(spec, name, library):
            return False
        first = getattr(spec, "returns", "loss") == "loss-and-gradient"
        for number in range(1, len(SHAPES)):
            trial = self._trial(spec, number, name, library)
            case = trial.ordinary()
            found = self._answer(trial, case.arguments, first=first)
            if found is None or not _agree(trial, found, case.expected):
                return False
        return True

    def _takes_batch(self, spec: Any, name: str, library: str) -> bool:
        """Say whether the function is made for batches, and right for one example by the way.

        A loss of one example that is given a batch may well return their sum.
        """
        trial = self._trial(self.base, 0, name, library)
        found = self._answer(trial, self._first_case(self.base, name, library).arguments)
        if found is None or spec.rubric in REFUSES_BATCH:
            return found is not None
        return spec.rubric in SUMS_BATCH and found.values.size > 1

    # --- calls --------------------------------------------------------------------------------

    def _trial(self, spec: Any, number: int, name: str, library: str) -> Trial:
        purpose = f"{self.key}:convention:{number}"
        # What is right for the first input, which is no secret, is tried on others that are.
        seed = None if number else ""
        trial = self.probe.trial_under(
            self.key, spec, purpose, library=library, name=name, seed=seed
        )
        trial.shape = SHAPES[number]
        return trial

    def _first_case(self, spec: Any, name: str, library: str) -> Case:
        settings = [f"{field}={getattr(spec, field)}" for field in self.options]
        known = (spec.rubric, self.key, library, *settings)
        if known not in _first_cases:
            _first_cases[known] = self._trial(spec, 0, name, library).ordinary()
        return _first_cases[known]

    def _answer(
        self, trial: Trial, arguments: tuple[Any, ...], *, first: bool = False
    ) -> Returned | None:
        """Call the function, unless it was called with the same before; None: it gave no value."""
        asked = (trial.key, trial.library, first, *map(_known_by, arguments))
        if asked in self._answers:
            return self._answers[asked]
        if self.calls == CALLS_CAP:
            raise _Ended
        self.calls += 1
        try:
            answer = self.student.call(trial.key, arguments, trial.library, first=first)
        except CallError as error:
            if error.kind == "lost":
                raise _Ended from None
            if error.kind == "missing":
                raise _NotCallable from None
            self._answers[asked] = None
        else:
            self._answers[asked] = answer.value
        return self._answers[asked]


def _options(base: Any) -> dict[str, list[Any]]:
    """Return the values that each setting of a function's convention can have, its own first."""
    options: dict[str, list[Any]] = {}
    for name, field in type(base).model_fields.items():
        own = getattr(base, name)
        if name in Function.model_fields or name == "rubric":
            continue
        if name == "reduction":
            others = [[each] for each in ("none", "mean", "sum")]
            own = [each for each in others if each[0] in own]
            options[name] = own + [each for each in others if each not in own]
        elif get_origin(field.annotation) is Literal:
            values = get_args(field.annotation)
            # Where one-hot targets are asked for, none but these are ever given.
            left_out = ("class-probabilities",) if own != "class-probabilities" else ()
            others = [each for each in values if each != own and each not in left_out]
            options[name] = [own, *others]
    return options


def _agree(trial: Trial, found: Returned, expected: NDArray[Any]) -> bool:
    """Say whether shape and every value are right."""
    if not found.is_array or found.shape != np.shape(expected):
        return False
    largest = float(np.abs(np.asarray(expected, dtype=np.float64)).max(initial=0))
    # A sum of 8 losses in float32 is rounded in each of its steps.
    tolerance = max(trial.tolerance, 4e-7 * largest)
    try:
        trial.expect(found, expected, "", tolerance=tolerance)
    except Failure:
        return False
    return True


def _known_by(argument: Any) -> tuple[Any, ...]:
    if isinstance(argument, np.ndarray):
        return argument.dtype.name, argument.shape, argument.tobytes()
    return (repr(argument),)


def _folded(name: str) -> str:
    return name.lower().replace("_", "")
