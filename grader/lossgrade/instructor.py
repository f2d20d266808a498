"""The fixture `student`: calls of a submission from an instructor's own tests."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lossgrade.language import say
from lossgrade.markers import Unavailable
from lossgrade.phrases import retold
from lossgrade.sandbox.host import SandboxUnavailable
from lossgrade.sandbox.protocol import ITEM_BYTES
from lossgrade.student import CallError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lossgrade.engine import Grading
    from lossgrade.student import Returned


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
            __tracebackhide__ = True
            return self.call(name, *arguments, **keywords)

        return function

    def call(self, name: str, /, *arguments: Any, grad: bool = False, **keywords: Any) -> Any:
        """Call the submission's function `name` in the sandbox.

        Args:
            name: an accepted name of the assignment's functions, or any name in the submission.
            arguments: arrays, tensors, numbers, strings, None, or lists of them.
            grad: also return the gradients of the result's sum by every float array, in order.
            keywords: passed on by name.
        Raises:
            TypeError: an argument that cannot be given to another process.
        """
        __tracebackhide__ = True
        return _call(self._grading, name, arguments, keywords, grad=grad)


def _call(
    grading: Grading,
    name: str,
    arguments: Sequence[Any],
    keywords: Mapping[str, Any],
    *,
    grad: bool,
) -> Any:
    """Do what `StudentFixture.call` says.

    Raises:
        TypeError: an argument that cannot be given to another process.
        Unavailable: no worker can be started on this machine.
    """
    __tracebackhide__ = True
    accepted = {n: key for key, spec in grading.assignment.graded.items() for n in spec.names}
    library = "torch" if any(map(_is_tensor, (*arguments, *keywords.values()))) else "numpy"
    if grad:
        library = "torch"
    # By map(): the frame of a comprehension would show in the test's traceback.
    places = [f"argument {i} of {name}" for i in range(1, len(arguments) + 1)]
    given = list(map(_plain, arguments, places))
    parameters = [f"{key} of {name}" for key in keywords]
    named = dict(zip(keywords, map(_plain, keywords.values(), parameters), strict=True))
    wrt = [i for i, a in enumerate(given) if isinstance(a, np.ndarray) and a.dtype.kind == "f"]
    try:
        answer = grading.student.call(
            accepted.get(name, name),
            given,
            library,
            keywords=named,
            wrt=wrt if grad else (),
        )
    except CallError as error:
        pytest.fail(f"{error} {error.hint}".strip(), pytrace=False)
    except SandboxUnavailable as error:
        raise Unavailable(str(error)) from None
    tensors = any(map(_is_tensor, (*arguments, *keywords.values())))
    value = _shaped(answer.value, tensors=tensors)
    if not grad:
        return value
    if answer.gradient_problem:
        text = say(
            "no gradient flows back through {name}: {problem}",
            name=name,
            problem=retold(answer.gradient_problem),
        )
        pytest.fail(text, pytrace=False)
    return value, tuple(_shaped(g, tensors=tensors) for g in answer.gradients)


def _is_tensor(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _plain(argument: Any, what: str) -> Any:
    """Return an array as the protocol carries it, or a value as JSON does.

    Raises:
        TypeError: neither can be made of it.
    """
    __tracebackhide__ = True
    if _is_tensor(argument):
        torch = sys.modules["torch"]
        if argument.dtype is torch.bfloat16:
            argument = argument.float()
        argument = argument.detach().cpu().numpy()
    if isinstance(argument, np.ndarray):
        native = argument.dtype.newbyteorder("=")
        if native.name not in ITEM_BYTES:
            raise TypeError(
                f"{what}: an array of {native} cannot be given to the submission; "
                f"it can be of {', '.join(ITEM_BYTES)}"
            )
        return np.asarray(argument, native)
    return _jsonable(argument, what)


def _jsonable(value: Any, what: str) -> Any:
    __tracebackhide__ = True
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, list | tuple):
        return list(map(_jsonable, value, [what] * len(value)))
    if value is None or isinstance(value, bool | int | float | str):
        return value
    inside = " in a list" if isinstance(value, np.ndarray) or _is_tensor(value) else ""
    raise TypeError(
        f"{what}: {type(value).__name__}{inside} cannot be given to the submission; "
        "arrays, numbers, texts, None and lists of these last three can"
    )


def _shaped(returned: Returned, *, tensors: bool) -> Any:
    if returned.container == "None":
        return None
    if returned.items:
        return tuple(_shaped(item, tensors=tensors) for item in returned.items)
    if tensors and returned.library == "torch":
        return sys.modules["torch"].from_numpy(returned.values.copy())
    return returned.values.copy()
