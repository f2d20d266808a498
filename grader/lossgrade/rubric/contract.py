"""The contract every function keeps, whatever it computes. Imported into each rubric."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lossgrade.criterion import Failure, criterion
from lossgrade.language import say

if TYPE_CHECKING:
    from lossgrade.trial import Trial


@criterion(points=1, kind="contract")
def keeps_library(trial: Trial) -> None:
    """Torch in, torch out; NumPy in, NumPy out."""
    case = trial.ordinary()
    found = trial.call(*case.arguments)
    # One number may come back as Python's own; in torch the gradient shows a detour all the same.
    number = np.ndim(case.expected) == 0 and found.container in ("float", "int")
    if found.library != trial.library and not number:
        if trial.library == "torch":
            raise Failure(
                say(
                    "{what}: returned a {container}, expected a torch tensor",
                    what=case.what,
                    container=found.container,
                ),
                say("Return a torch tensor, as you were given one."),
            )
        raise Failure(
            say(
                "{what}: returned a {container}, expected a NumPy array",
                what=case.what,
                container=found.container,
            ),
            say("Return a NumPy array, as you were given one."),
        )


@criterion(points=1, kind="contract")
def float_result(trial: Trial) -> None:
    """The result is made of floating-point numbers."""
    case = trial.ordinary()
    found = trial.call(*case.arguments)
    if not found.dtype.lstrip("b").startswith("float"):
        raise Failure(
            say(
                "{what}: found dtype {dtype}, expected a float dtype",
                what=case.what,
                dtype=found.dtype,
            ),
            say("Convert the result, for example with `.float()` or `.astype(float)`."),
        )


@criterion(points=1, kind="contract")
def input_unchanged(trial: Trial) -> None:
    """The arguments are left as they were."""
    case = trial.ordinary()
    _, after = trial.call_and_see_inputs(*case.arguments)
    arrays = [(i, a) for i, a in enumerate(case.arguments) if isinstance(a, np.ndarray)]
    for place, before in arrays:
        left = after[place] if place < len(after) else None
        if left is None or not np.array_equal(left.values, before, equal_nan=True):
            raise Failure(
                say(
                    "{name} changed its argument number {number} in place",
                    name=trial.name,
                    number=place + 1,
                ),
                say("Work on a copy: no `x -= ...`, `x[...] = ...`, `x.exp_()` on an argument."),
            )


@criterion(points=1, kind="contract")
def no_memory(trial: Trial) -> None:
    """The same input gives the same result, whatever was computed in between."""
    first, second = trial.ordinary(), trial.ordinary()
    while [np.shape(a) for a in first.arguments] != [np.shape(a) for a in second.arguments]:
        second = trial.ordinary()
    before, _, after = trial.calls([first.arguments, second.arguments, first.arguments])
    trial.expect_shape(after, before.shape, say("{what}, called again", what=first.what))
    trial.expect_values(
        after.values,
        before.values.astype(np.float64),
        say("{what}, called again after another input", what=first.what),
        hint=say("Is something kept between calls, or drawn at random?"),
    )
