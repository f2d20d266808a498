"""`softmax(logits)`: net inputs to probabilities, by rows, by columns or of one vector."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lossgrade import oracle
from lossgrade.criterion import Failure, criterion
from lossgrade.language import say
from lossgrade.rubric import contract
from lossgrade.rubric.cases import Case, draw_logits, ordinary_shape, stack_of
from lossgrade.rubric.gradients import softmax_gradient

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from lossgrade.student import Returned
    from lossgrade.trial import Trial

CONTRACT = (
    contract.keeps_library,
    contract.float_result,
    contract.input_unchanged,
    contract.no_memory,
)


def ask(trial: Trial, logits: NDArray[Any]) -> Returned:
    """Call the function on (N, C) logits under its convention; return its (N, C) result."""
    return next(ask_each(trial, [logits]))


def ask_each(trial: Trial, batches: Sequence[NDArray[Any]]) -> Iterator[Returned]:
    """Call the function on each of several batches, as `ask` does on one."""
    if trial.spec.examples == "single":
        for logits in batches:
            rows = list(trial.calls([(row,) for row in logits]))
            what = say("{name} of one vector", name=trial.name)
            for row in rows:
                trial.expect_shape(row, logits.shape[1:], what)
            yield replace(rows[0], values=np.stack([row.values for row in rows]))
        return
    turned = trial.spec.axis == 0
    given = [np.ascontiguousarray(logits.T) if turned else logits for logits in batches]
    for found in trial.calls([(each,) for each in given]):
        yield replace(found, values=found.values.T) if turned else found


REFERENCES = {"softmax": oracle.softmax, "log_softmax": oracle.log_softmax}


def reference(trial: Trial, logits: NDArray[Any]) -> NDArray[np.float64]:
    """Return what the function should give for (N, C) logits; this rubric serves two functions."""
    return REFERENCES[trial.spec.rubric](logits.astype(np.float64))


def compare(
    trial: Trial,
    logits: NDArray[Any],
    what: str = "",
    hint: str = "",
    tolerance: float | None = None,
) -> None:
    """Expect the reference of each row of `logits`."""
    compare_each(trial, [logits], what, hint, tolerance)


def compare_each(
    trial: Trial,
    batches: Sequence[NDArray[Any]],
    what: str = "",
    hint: str = "",
    tolerance: float | None = None,
) -> None:
    """Expect the reference of each row of each batch."""
    for logits, found in zip(batches, ask_each(trial, batches), strict=True):
        trial.expect(
            found,
            reference(trial, logits),
            what
            or say(
                "{name} of {batch} ({dtype})",
                name=trial.name,
                batch=stack_of(*logits.shape),
                dtype=logits.dtype,
            ),
            tolerance=tolerance,
            hint=hint,
        )


def ordinary(trial: Trial) -> Case:
    """Draw the logits of one call."""
    logits = trial.array(draw_logits(trial, *ordinary_shape(trial)))
    what = say("{name} of {batch}", name=trial.name, batch=stack_of(*logits.shape))
    expected = reference(trial, logits)
    if trial.spec.examples == "single":
        return Case((logits[0],), expected[0], say("{name} of one vector", name=trial.name))
    if trial.spec.axis == 0:
        return Case((np.ascontiguousarray(logits.T),), expected.T, what)
    return Case((logits,), expected, what)


@criterion(points=2, kind="values")
def lecture_figures(trial: Trial) -> None:
    """The lecture's net inputs give the lecture's figures."""
    for figure in trial.figures():
        logits = trial.array(np.atleast_2d(figure.inputs["logits"]))
        if not trial.strict:
            # Above 80 float32 overflows unless the row maximum is subtracted: large_logits.
            logits = logits[np.abs(logits).max(axis=1) <= 80]
        compare(trial, logits, say("{name} of the lecture's net inputs", name=trial.name))


@criterion(points=3, kind="values")
def random_float32(trial: Trial) -> None:
    """Fresh float32 net inputs give the right values."""
    shapes = ((12, 3), (5, 7))
    compare_each(trial, [draw_logits(trial, n, c).astype(np.float32) for n, c in shapes])


@criterion(points=2, kind="values")
def random_float64(trial: Trial) -> None:
    """Fresh float64 net inputs give the right values."""
    compare_each(trial, [draw_logits(trial, n, c) for n, c in ((6, 4), (9, 2))])


@criterion(points=1, kind="values")
def one_example(trial: Trial) -> None:
    """A batch of one example is normalised over its classes."""
    compare_each(trial, [trial.array(draw_logits(trial, 1, 4)) for _ in range(6)])


@criterion(points=2, kind="values")
def square_batch(trial: Trial) -> None:
    """As many examples as classes are normalised by example."""
    batches = [trial.array(draw_logits(trial, n, n)) for n in (4, 6, 9)]
    compare_each(trial, batches, hint=say("Is the sum taken over the classes?"))


@criterion(points=1, kind="values")
def two_classes(trial: Trial) -> None:
    """Two classes give two values for each example."""
    compare(trial, trial.array(draw_logits(trial, 24, 2)))


@criterion(points=1, kind="values")
def many_classes(trial: Trial) -> None:
    """A hundred classes give a hundred values for each example."""
    compare(trial, trial.array(draw_logits(trial, 8, 100)))


@criterion(points=1)
def rows_sum_to_1(trial: Trial) -> None:
    """The probabilities of each example sum to 1."""
    n, c = ordinary_shape(trial)
    found = ask(trial, trial.array(draw_logits(trial, n, c)))
    trial.expect_shape(
        found, (n, c), say("{name} of {batch}", name=trial.name, batch=stack_of(n, c))
    )
    for row, total in enumerate(found.values.astype(np.float64).sum(axis=1)):
        if not abs(total - 1) <= trial.tolerance:
            raise Failure(
                say(
                    "{name}, row {row}: its probabilities sum to {total:.6g}, "
                    "expected 1 within {tolerance:.0e}",
                    name=trial.name,
                    row=row,
                    total=total,
                    tolerance=trial.tolerance,
                ),
                say("Divide by the sum over the classes of the same example."),
            )


@criterion(points=1)
def entries_in_0_1(trial: Trial) -> None:
    """Every probability lies between 0 and 1."""
    n, c = ordinary_shape(trial)
    values = ask(trial, trial.array(draw_logits(trial, n, c))).values.astype(np.float64)
    outside = ~((values >= 0) & (values <= 1 + trial.tolerance))
    if outside.any():
        raise Failure(
            say(
                "{name} returned {found:.6g}, expected every entry in [0, 1]",
                name=trial.name,
                found=values[outside][0],
            ),
            say("A probability is exp(z) over a sum that contains it."),
        )


@criterion(points=1)
def shift_invariance(trial: Trial) -> None:
    """Adding a constant to all net inputs of an example changes nothing."""
    logits = draw_logits(trial, *ordinary_shape(trial))
    shift = trial.rng.uniform(1, 4, (logits.shape[0], 1))
    before, after = ask_each(trial, [trial.array(logits), trial.array(logits + shift)])
    trial.expect_shape(after, before.shape, say("{name} of shifted net inputs", name=trial.name))
    trial.expect_values(
        after.values,
        before.values.astype(np.float64),
        say(
            "{name} after adding {shift:.3g} to all net inputs of an example",
            name=trial.name,
            shift=shift[0, 0],
        ),
        hint=say("exp(z + k) / sum exp(z + k) is exp(z) / sum exp(z): the constant cancels."),
    )


@criterion(points=1)
def class_permutation(trial: Trial) -> None:
    """Reordering the classes reorders the values in the same way."""
    logits = trial.array(draw_logits(trial, *ordinary_shape(trial)))
    order = trial.rng.permutation(logits.shape[1])
    before, after = ask_each(trial, [logits, np.ascontiguousarray(logits[:, order])])
    trial.expect_shape(
        before,
        logits.shape,
        say("{name} of {batch}", name=trial.name, batch=stack_of(*logits.shape)),
    )
    trial.expect_shape(
        after,
        logits.shape,
        say("{name} of {batch}", name=trial.name, batch=stack_of(*logits.shape)),
    )
    trial.expect_values(
        after.values,
        before.values[:, order].astype(np.float64),
        say("{name} with the classes in the order {order}", name=trial.name, order=order.tolist()),
    )


@criterion(points=2)
def rows_independent(trial: Trial) -> None:
    """The values of an example do not depend on the other examples."""
    logits = trial.array(draw_logits(trial, *ordinary_shape(trial)))
    results = ask_each(trial, [logits, *(logits[row : row + 1] for row in range(len(logits)))])
    together = next(results)
    trial.expect_shape(
        together,
        logits.shape,
        say("{name} of {batch}", name=trial.name, batch=stack_of(*logits.shape)),
    )
    for row, alone in enumerate(results):
        trial.expect_shape(
            alone, (1, logits.shape[1]), say("{name} of one example", name=trial.name)
        )
        trial.expect_values(
            alone.values,
            together.values[row : row + 1].astype(np.float64),
            say(
                "{name} of example {row} alone, against the same example in its batch",
                name=trial.name,
                row=row,
            ),
            hint=say("Normalise each example over its own classes (dim=1), not over the batch."),
        )


@criterion(points=2)
def gradient(trial: Trial) -> None:
    """The gradient of softmax and cross entropy together is probabilities - one-hot."""
    softmax_gradient(trial, ask_each)


@criterion(points=1, kind="robust")
def large_logits(trial: Trial) -> None:
    """Net inputs as large as 10,000 give finite, right probabilities."""
    for scale in (100.0, 1000.0, 10_000.0):
        logits = trial.array(np.round(np.clip(draw_logits(trial, 3, 4), -1, 1) * scale))
        logits[0] = (scale, scale, -scale, 0)
        # Far below the maximum of the batch, which is therefore not the one to subtract.
        logits[1] = (-scale, 1 - scale, -scale, 2 - scale)
        compare(
            trial,
            logits,
            say("{name} of net inputs as large as {scale:g}", name=trial.name, scale=scale),
            say("Subtract the largest net input of each row before exp: the result is the same."),
        )


@criterion(points=1, kind="robust")
def infinite_logits(trial: Trial) -> None:
    """A net input of minus infinity gives the probability 0."""
    logits = trial.array(draw_logits(trial, 3, 4))
    logits[1, 2] = logits[2, 0] = -np.inf
    compare(trial, logits, say("{name} of net inputs with -inf among them", name=trial.name))


@criterion(points=1, kind="robust", when=lambda spec: spec.examples == "batch")
def empty_batch(trial: Trial) -> None:
    """A batch of no examples gives no rows."""
    compare(trial, trial.array(np.empty((0, 3))), say("{name} of an empty batch", name=trial.name))


@criterion(points=1, kind="robust")
def integer_logits(trial: Trial) -> None:
    """Integer net inputs give the same values as the floats they equal."""
    compare(trial, trial.rng.integers(-3, 4, (3, 4)), hint=say("Convert to float before exp."))


@criterion(points=1, kind="robust")
def one_class(trial: Trial) -> None:
    """A single class has probability 1, and log-probability 0."""
    compare(trial, trial.array(draw_logits(trial, 3, 1)))
