"""What a criterion works with: the student's function, random numbers, comparisons that explain."""

from __future__ import annotations

import math
from collections import deque
from operator import is_
from typing import TYPE_CHECKING, Any

import numpy as np

from lossgrade.criterion import Failure
from lossgrade.language import say
from lossgrade.lectures import figures
from lossgrade.phrases import retold
from lossgrade.student import CallError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import ModuleType

    from numpy.typing import ArrayLike, NDArray

    from lossgrade.lectures import Reference
    from lossgrade.rubric.cases import Case
    from lossgrade.student import Answer, Returned, Student


class Trial:
    """One criterion's view of one function of one submission.

    Attributes:
        spec: the function's settings in the assignment, conventions among them.
        rng: random numbers that follow from the secret seed and the criterion's id.
        library: the arrays that are passed: "torch" or "numpy".
        tolerance: absolute, on values of float32 precision.
        strict: whether the robust criteria carry points, so that no value is too large to ask for.
    """

    def __init__(
        self,
        student: Student,
        key: str,
        spec: Any,
        library: str,
        tolerance: float,
        rng: np.random.Generator,
        rubric: ModuleType,
        lecture: str,
        *,
        strict: bool = False,
    ) -> None:
        self.student = student
        self.key = key
        self.spec = spec
        self.library = library
        self.tolerance = tolerance
        self.rng = rng
        self._rubric = rubric
        self._lecture = lecture
        self._takes_first = getattr(spec, "returns", "loss") == "loss-and-gradient"
        self.strict = strict
        self._ahead: deque[tuple[Sequence[Any], Answer]] = deque()
        # The reduction that the function was found to use, where several are accepted.
        self.reduction = "none"
        # (N, C) of the next ordinary cases; None draws one.
        self.shape: tuple[int, int] | None = None

    @property
    def name(self) -> str:
        """The student's own name of the function, as messages show it."""
        return f"`{self.student.name(self.key)}`"

    @property
    def dtype(self) -> str:
        """The float type that a user of the library gets without asking."""
        return "float32" if self.library == "torch" else "float64"

    def ordinary(self) -> Case:
        """Draw the arguments of one ordinary call, and what it should give."""
        case: Case = self._rubric.ordinary(self)
        return case

    def figures(self) -> list[Reference]:
        """Return the lecture's own figures for this function."""
        return figures(self._lecture, self.spec.rubric)

    def array(self, values: ArrayLike, dtype: str = "") -> NDArray[Any]:
        """Return `values` as the library's ordinary floats, or as `dtype`."""
        return np.asarray(values, dtype=dtype or self.dtype)

    def call(self, *arguments: Any) -> Returned:
        """Call the function and return the array it returned.

        Raises:
            Failure: it raised, crashed, ran too long, or returned no array.
        """
        return self._checked(self.answer(arguments)).value

    def call_ahead(self, cases: Sequence[Sequence[Any]]) -> None:
        """Call the function on each of `cases` in one request, which costs less than one for each.

        The next calls with the same arguments, in the same order, get the answers. A case that
        gave none is called again when its turn has come.
        """
        self._ahead.clear()
        if len(cases) > 1:
            answers = self.student.calls(self.key, cases, self.library, first=self._takes_first)
            self._ahead.extend(zip(cases, answers, strict=False))

    def calls(self, cases: Sequence[Sequence[Any]]) -> Iterator[Returned]:
        """Call the function on each of `cases`, ahead; yield what `call` returns."""
        self.call_ahead(cases)
        for case in cases:
            yield self.call(*case)

    def call_and_see_inputs(self, *arguments: Any) -> tuple[Returned, tuple[Returned, ...]]:
        """Call the function; return its array and the arguments as it left them."""
        answer = self._checked(self.answer(arguments, echo=True))
        return answer.value, answer.inputs_after

    def gradient(
        self, *arguments: Any, cotangent: NDArray[Any], wrt: int = 0
    ) -> NDArray[np.float64]:
        """Return the gradient of sum(result * cotangent) by one argument, through autograd.

        Raises:
            Failure: the result is cut off from its input, or autograd failed.
        """
        answer = self._checked(self.answer(arguments, wrt=[wrt], cotangent=cotangent))
        if answer.gradient_problem or not answer.gradients:
            problem = retold(answer.gradient_problem) or say("no gradient came back")
            raise Failure(
                say(
                    "no gradient flows back through {name}: {problem}",
                    name=self.name,
                    problem=problem,
                ),
                say(
                    "Stay in torch from input to result: no .detach(), .item(), .numpy(), no_grad."
                ),
            )
        return answer.gradients[0].values.astype(np.float64)

    def answer(self, arguments: Sequence[Any], **options: Any) -> Answer:
        """Call the function; a call that gives nothing is a `Failure`."""
        if self._ahead:
            case, answer = self._ahead.popleft()
            if not options and len(case) == len(arguments) and all(map(is_, case, arguments)):
                return answer
            self._ahead.clear()
        if self._takes_first:
            options["first"] = True
        try:
            return self.student.call(self.key, arguments, self.library, **options)
        except CallError as error:
            if error.kind == "missing":
                raise Failure(str(error), error.hint) from None
            shapes = ", ".join(_shown(a) for a in arguments)
            text = say("{error}, called with {shapes}", error=error, shapes=shapes)
            raise Failure(text, error.hint) from None

    def _checked(self, answer: Answer) -> Answer:
        value = answer.value
        if value.container == "None":
            raise Failure(
                say("{name} returned None", name=self.name),
                say("Is a `return` missing at its end?"),
            )
        if not value.is_array:
            kinds = ", ".join(item.container for item in value.items[:4])
            raise Failure(
                say(
                    "{name} returned a {container} of {number} ({kinds}), expected one array",
                    name=self.name,
                    container=value.container,
                    number=len(value.items),
                    kinds=kinds,
                ),
                say("Return the result alone."),
            )
        return answer

    # --- comparisons -----------------------------------------------------------------------------

    def expect_shape(self, found: Returned, shape: tuple[int, ...], what: str) -> None:
        """Fail unless `found` has `shape`: compared before values, since (N, 1) broadcasts."""
        if found.shape != shape:
            reduced = say("Reduce over the class axis only, and do not keep it.")
            raise Failure(
                say(
                    "{what}: found shape {shape}, expected {expected}",
                    what=what,
                    shape=_tuple(found.shape),
                    expected=_tuple(shape),
                ),
                reduced if len(shape) == 1 else "",
            )

    def expect(
        self,
        found: Returned,
        expected: ArrayLike,
        what: str,
        *,
        tolerance: float | None = None,
        hint: str = "",
    ) -> None:
        """Fail unless `found` has the shape of `expected` and its values within a tolerance.

        An expected NaN or infinity must be met exactly.

        Args:
            found: what came back.
            expected: the reference values, float64.
            what: what was computed, for the message.
            tolerance: absolute; default the assignment's.
            hint: what to look at next.
        """
        reference = np.asarray(expected, dtype=np.float64)
        self.expect_shape(found, reference.shape, what)
        self.expect_values(found.values, reference, what, tolerance=tolerance, hint=hint)

    def expect_values(
        self,
        found: NDArray[Any],
        expected: NDArray[Any],
        what: str,
        *,
        tolerance: float | None = None,
        hint: str = "",
    ) -> None:
        """Fail at the worst entry of `found` that is not within `tolerance` of `expected`."""
        allowed = self.tolerance if tolerance is None else tolerance
        values = found.astype(np.float64)
        with np.errstate(invalid="ignore", over="ignore"):
            off = np.abs(values - expected)
        if (off <= allowed).all():
            return
        right = (off <= allowed) | (values == expected) | (np.isnan(values) & np.isnan(expected))
        if right.all():
            return
        wrong = np.where(right, -1.0, np.where(np.isnan(off), math.inf, off))
        worst = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
        if not hint and np.isnan(values).any():
            hint = say("NaN came up: is 0/0, inf - inf or 0*log(0) computed?")
        if allowed:
            text = say(
                "{where}: found {found:.6g}, expected {expected:.6g} within {tolerance:.0e}",
                where=_at(what, worst),
                found=values[worst],
                expected=expected[worst],
                tolerance=allowed,
            )
        else:
            text = say(
                "{where}: found {found:.6g}, expected {expected:.6g}",
                where=_at(what, worst),
                found=values[worst],
                expected=expected[worst],
            )
        if right.size > 1:
            text = say(
                "{text}; {wrong} of {size} entries differ",
                text=text,
                wrong=int((~right).sum()),
                size=right.size,
            )
        raise Failure(text, hint)


def _at(what: str, index: tuple[Any, ...]) -> str:
    if len(index) == 1:
        return say("{what}: example {example}", what=what, example=int(index[0]))
    if len(index) == 2:
        row, column = map(int, index)
        return say("{what}: row {row}, column {column}", what=what, row=row, column=column)
    return what


def _tuple(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def _shown(argument: Any) -> str:
    if isinstance(argument, np.ndarray):
        return f"{argument.dtype} {_tuple(argument.shape)}"
    return repr(argument)[:40]
