"""The search: calls of the student's function on small inputs, shrunk by Hypothesis."""

from __future__ import annotations

import sys
import time
import warnings
from contextlib import contextmanager, suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from hypothesis import HealthCheck, Phase, Verbosity, find, settings
from hypothesis.errors import HypothesisException, HypothesisWarning

from lossgrade.counterexample.literal import DIGITS, literal, telling_digits
from lossgrade.counterexample.pools import MAKERS, pools
from lossgrade.criterion import Failure, criteria_in
from lossgrade.language import say
from lossgrade.manifest import rubric
from lossgrade.result import CounterexampleRecord
from lossgrade.sandbox.host import SandboxUnavailable
from lossgrade.student import CRASHES, CallError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from lossgrade.counterexample.pools import Example, Pool
    from lossgrade.probe import Probe
    from lossgrade.trial import Trial

# What came back, or in words why nothing did.
Wrong: TypeAlias = "str | NDArray[Any]"
Size: TypeAlias = tuple[Any, ...]

# Calls of one function in a search; a handful follow that confirm what was found.
CALLS = 130
# What Hypothesis draws before it gives up: ordinary inputs, and those of one criterion.
DRAWN, DRAWN_AGAIN = 60, 20
# How many of the smallest inputs are tried one after the other where a function has a memory.
IN_A_ROW = 8

# Nothing but the strategy decides what is drawn: no database, no clock, no profile of the course's.
QUIET = settings(
    database=None,
    derandomize=True,
    deadline=None,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
    verbosity=Verbosity.quiet,
    report_multiple_bugs=False,
)


class Stop(BaseException):
    """Ends a search at once. Hypothesis would take an `Exception` for one more failure."""


class Search:
    """The search for one function's counter-example.

    Attributes:
        calls: how many calls of the student's function were made.
        lost: whether a call ended the process or ran out of time: one such is enough.
    """

    def __init__(self, trial: Trial, seconds: float) -> None:
        self.trial = trial
        self.calls = 0
        self.lost = False
        self._until = time.monotonic() + seconds
        self._seen: dict[Size, Example] = {}
        self._judged: dict[Size, Wrong | None] = {}

    def within(self, pool: Pool, drawn: int) -> tuple[Example, Wrong] | None:
        """Return the smallest wrong example of a pool that was met.

        Hypothesis takes milliseconds for what it finds, so it searches only where none of the
        smallest is wrong.
        """
        self._judged = {}
        chosen = settings(QUIET, max_examples=drawn)
        with _without_constants(), suppress(Stop, HypothesisException):
            if not self._shows(pool):
                find(pool.examples, self._fails, settings=chosen)
        wrong = {name: found for name, found in self._judged.items() if found is not None}
        if not wrong:
            return None
        smallest = min(wrong, key=lambda name: (not self._tells(name), name))
        return self._seen[smallest], wrong[smallest]

    def _shows(self, pool: Pool) -> bool:
        """Say whether one of a pool's smallest examples is wrong, the simplest or a later one."""
        examples = iter(pool.smallest())
        if any(map(self._fails, islice(examples, 1))):
            return True
        # Of those that are as large the simplest comes first: the sort is stable.
        others = sorted(examples, key=lambda example: size(example)[:4])
        self.trial.call_ahead([example.arguments for example in others])
        return any(map(self._fails, others))

    def _tells(self, name: Size) -> bool:
        """Say whether a wrong example is wrong in its numbers, not in its shape alone."""
        wrong, expected = self._judged[name], np.asarray(self._seen[name].expected)
        if wrong is None or isinstance(wrong, str) or wrong.size != expected.size:
            return wrong is not None
        tolerance = self._seen[name].tolerance
        flat = wrong.astype(np.float64).reshape(-1), expected.astype(np.float64).reshape(-1)
        return not np.allclose(*flat, rtol=0, atol=tolerance, equal_nan=True)

    def _fails(self, example: Example) -> bool:
        name = size(example)
        # Never twice: a function that draws at random would be right once and wrong once, and
        # Hypothesis complains of that.
        if name not in self._judged:
            if self.lost or self.calls >= CALLS or self.out_of_time:
                raise Stop
            self._seen.setdefault(name, example)
            self._judged[name] = self.found(example)
        return self._tells(name)

    def look_around(self, pool: Pool) -> None:
        """See some examples more than those that were wrong at once, without a call."""

        def see(example: Example) -> bool:
            self._seen.setdefault(size(example), example)
            return False

        chosen = settings(QUIET, max_examples=2 * IN_A_ROW)
        with _without_constants(), suppress(HypothesisException):
            find(pool.examples, see, settings=chosen)

    @property
    def out_of_time(self) -> bool:
        return time.monotonic() >= self._until

    def found(self, example: Example) -> Wrong | None:
        """Call the function: return what is wrong in words, or the wrong array; None if right.

        Raises:
            Stop: it cannot be called.
        """
        self.calls += 1
        trial = self.trial
        try:
            value = trial.answer(example.arguments).value
        except Failure as failure:
            error = failure.__context__
            if not isinstance(error, CallError) or error.kind == "missing":
                raise Stop from None
            self.lost = self.lost or error.kind == "lost"
            return str(error)
        except SandboxUnavailable:
            raise Stop from None
        if not value.is_array:
            if value.container == "None":
                return say("{name} returned None", name=trial.name)
            return say(
                "{name} returned a {container} of {count}",
                name=trial.name,
                container=value.container,
                count=len(value.items),
            )
        expected = np.asarray(example.expected, dtype=np.float64)
        if value.shape != expected.shape:
            return value.values
        try:
            trial.expect_values(value.values, expected, "", tolerance=example.tolerance)
        except Failure:
            return value.values
        return None

    def afresh(self) -> bool:
        """Let the next call be the first of a new process; say whether that is quick enough."""
        if self.lost or not self.trial.student.is_quick or self.out_of_time:
            return False
        self.trial.student.close()
        return True

    def in_a_row(self) -> tuple[Example, Example, Wrong] | None:
        """Return two calls of which the second is wrong because of the first."""
        if not self._seen or not self.afresh():
            return None
        smallest = [self._seen[name] for name in sorted(self._seen)][:IN_A_ROW]
        # The same twice: the smallest of all, for a function that adds up what it is given.
        smallest.insert(0, smallest[0])
        if self.found(smallest[0]) is not None:
            return None
        for place in range(1, len(smallest)):
            if self.found(smallest[place]) is None:
                continue
            # The call just before, or the very first: the process has had no others.
            for first in dict.fromkeys((place - 1, 0)):
                if self.afresh() and self.found(smallest[first]) is None:
                    wrong = self.found(smallest[place])
                    if wrong is not None:
                        return smallest[first], smallest[place], wrong
            return None
        return None


def search(
    probe: Probe, key: str, seconds: float, failed: frozenset[str]
) -> CounterexampleRecord | None:
    """Do what `find_counterexample` says."""
    student = probe.student
    if probe.assignment.graded[key].rubric not in MAKERS:
        return None
    # A call that ends in a time-out costs a second or more, and one that crashes a new process.
    if student.missing(key) or student._endless.get(key) or student._crashes.get(key, 0) >= CRASHES:
        return None
    try:
        with student.trying(key), warnings.catch_warnings():
            # Where its pytest plugin is kept out, Hypothesis takes all of pytest's run for plugins
            # that are being loaded, in which it warns of strategies that are used.
            warnings.simplefilter("ignore", HypothesisWarning)
            return _searched(Search(_trial(probe, key), seconds), failed)
    except (Stop, SandboxUnavailable):
        return None


def _trial(probe: Probe, key: str) -> Trial:
    purpose = f"{key}:counterexample"
    try:
        return probe.trial(key, purpose, "")
    except Failure:
        # Not even an ordinary call gives a value: a small one will not either.
        trial = probe._bare_trial(key, purpose, probe._library(key), "")
        trial.reduction = getattr(trial.spec, "reduction", ["none"])[0]
        return trial


def _searched(state: Search, failed: frozenset[str]) -> CounterexampleRecord | None:
    trial = state.trial
    asked = {c.name for c in criteria_in(rubric(trial.spec.rubric)) if c.when(trial.spec)}
    wanted = asked & failed if failed else asked
    ordinary, *others = pools(trial)
    chosen = [(pool, DRAWN_AGAIN) for pool in others if pool.names & wanted]
    # Ordinary inputs first, unless all that failed has inputs of its own.
    its_own = failed and wanted <= set().union(*(pool.names for pool, _ in chosen))
    chosen.insert(len(chosen) if its_own else 0, (ordinary, DRAWN))
    for pool, drawn in chosen:
        met = state.within(pool, drawn)
        if met is None:
            continue
        example, wrong = met
        if not state.afresh():
            # Whether it has a memory cannot be seen; where it showed none, the input stands.
            return None if "no_memory" in failed else _record(example, wrong)
        alone = state.found(example)
        if alone is not None:
            if not np.array_equal(alone, wrong):
                # Another result than before: who looks closer shall start from a new process.
                trial.student.close()
            return _record(example, alone)
        # It has a memory: what it does depends on what was called before.
        state.look_around(pool)
        break
    else:
        if "no_memory" not in wanted:
            return None
    pair = state.in_a_row()
    return None if pair is None else _record(*pair[1:], before=pair[0])


def size(example: Example) -> Size:
    """Return what examples are ordered by: how many numbers, then how large they are."""
    numbers = [np.asarray(each, dtype=np.float64).reshape(-1) for each in example.arguments]
    flat = np.concatenate(numbers)
    sums = (np.round(np.abs(flat).sum(), 6), np.round(np.square(flat).sum(), 6))
    kinds = tuple((np.shape(each), np.asarray(each).dtype.name) for each in example.arguments)
    return (flat.size, *map(float, sums), int((flat < 0).sum()), tuple(flat.tolist()), kinds)


def _record(example: Example, wrong: Wrong, before: Example | None = None) -> CounterexampleRecord:
    expected = np.asarray(example.expected)
    if isinstance(wrong, str):
        digits, found = DIGITS, wrong
    else:
        digits = telling_digits(expected, wrong)
        found = literal(wrong, digits)
    lines = _lines(example)
    if before is not None:
        first = (say("first call: {line}", line=line) for line in _lines(before))
        lines = [*first, *(say("second call: {line}", line=line) for line in lines)]
    return CounterexampleRecord(
        input=lines,
        expected=literal(expected, digits),
        found=found,
        steps=example.steps(digits),
    )


def _lines(example: Example) -> list[str]:
    given = zip(example.names[: len(example.arguments)], example.arguments, strict=True)
    lines = []
    for name, value in given:
        if not isinstance(value, np.ndarray):
            lines.append(f"{name} = {value}")
            continue
        remark = f"  # {value.dtype}" if example.dtype else ""
        lines.append(f"{name} = {literal(value)}{remark}")
    return lines


@contextmanager
def _without_constants() -> Iterator[None]:
    """Keep Hypothesis from drawing numbers that stand in the modules that are loaded.

    Which those are differs from one run to the next, it takes long to read them, and what is found
    in them is written down in the current folder, which may be the student's. There is no setting
    for it; versions before 6.131 draw no such numbers.
    """
    providers: Any = sys.modules.get("hypothesis.internal.conjecture.providers")
    drawn = getattr(providers, "_get_local_constants", None)
    none = getattr(providers, "Constants", None)
    if drawn is None or none is None:
        yield
        return
    providers._get_local_constants = none
    try:
        yield
    finally:
        providers._get_local_constants = drawn
