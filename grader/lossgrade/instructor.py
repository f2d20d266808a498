"""Calls of a submission from an instructor's own tests: arrays and tensors in and out."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lossgrade.student import CallError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lossgrade.engine import Grading
    from lossgrade.student import Returned


def call(
    grading: Grading,
    name: str,
    arguments: Sequence[Any],
    keywords: Mapping[str, Any],
    *,
    grad: bool,
) -> Any:
    """Call the submission's function `name`; see `StudentFixture.call`."""
    __tracebackhide__ = True
    accepted = {n: key for key, spec in grading.assignment.graded.items() for n in spec.names}
    library = "torch" if any(map(_is_tensor, (*arguments, *keywords.values()))) else "numpy"
    if grad:
        library = "torch"
    given = [_plain(argument) for argument in arguments]
    wrt = [i for i, a in enumerate(given) if isinstance(a, np.ndarray) and a.dtype.kind == "f"]
    try:
        answer = grading.student.call(
            accepted.get(name, name),
            given,
            library,
            keywords={key: _plain(value) for key, value in keywords.items()},
            wrt=wrt if grad else (),
        )
    except CallError as error:
        pytest.fail(f"{error} {error.hint}".strip(), pytrace=False)
    tensors = any(map(_is_tensor, (*arguments, *keywords.values())))
    value = _shaped(answer.value, tensors=tensors)
    if not grad:
        return value
    if answer.gradient_problem:
        pytest.fail(
            f"no gradient flows back through {name}: {answer.gradient_problem}", pytrace=False
        )
    return value, tuple(_shaped(g, tensors=tensors) for g in answer.gradients)


def _is_tensor(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _plain(argument: Any) -> Any:
    if _is_tensor(argument):
        return argument.detach().cpu().numpy()
    if isinstance(argument, np.generic):
        return argument.item()
    return argument


def _shaped(returned: Returned, *, tensors: bool) -> Any:
    if returned.container == "None":
        return None
    if returned.items:
        return tuple(_shaped(item, tensors=tensors) for item in returned.items)
    if tensors and returned.library == "torch":
        return sys.modules["torch"].from_numpy(returned.values.copy())
    return returned.values.copy()
