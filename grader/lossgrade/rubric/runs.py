"""Runs of a student's model: what is asked of the worker, and its answer as values.

All data are drawn here, after the student's file has loaded. What comes back is believed as
numbers and no further: names and reports of the worker are shown, and earn nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lossgrade import oracle
from lossgrade.criterion import Failure, NotGraded
from lossgrade.language import say
from lossgrade.rubric import meanings
from lossgrade.student import NOTES_CAP, CallError, Returned, plain
from lossgrade.student import _returned as returned

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from lossgrade.rubric.meanings import Floats
    from lossgrade.sandbox.protocol import Block
    from lossgrade.trial import Trial

RATE = 0.02
# Central differences of a float32 loss: 1e-7 of rounding over 2 * STEP, and STEP**2 / 6 times a
# third derivative; a corner of a ReLU passed on the way adds a share that falls with STEP.
STEP = 0.005
# What torch says of class indices in another form.
TARGET_DTYPE = ("dtype to be Long", "type Long", "multi-target", "class probabilities, got Long")
SPREAD = 0.6
RADIUS = 2.5


# --- data ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Data:
    """Examples (N, F) in float32 and their classes (N,)."""

    features: NDArray[np.float32]
    classes: NDArray[np.int64]


class Clusters:
    """One cloud of points for each class, apart from each other; which is which is drawn."""

    def __init__(self, trial: Trial) -> None:
        self._rng = trial.rng
        features = trial.spec.features
        self.count = count_of(trial)
        directions = [np.linalg.qr(self._rng.normal(size=(features, features)))[0]]
        # Both ends of each axis; beyond that, classes share an axis at another distance.
        ends = np.concatenate([directions[0], -directions[0]])
        order = self._rng.permutation(len(ends))
        self._centres = np.stack(
            [ends[order[c % len(ends)]] * RADIUS * (1 + c // len(ends)) for c in range(self.count)]
        )

    def draw(self, each: int) -> Data:
        """Draw `each` examples of every class, in random order."""
        classes = self._rng.permutation(np.repeat(np.arange(self.count), each))
        return self.of(classes)

    def of(self, classes: NDArray[np.int64]) -> Data:
        """Draw examples of `classes`."""
        noise = self._rng.normal(0, SPREAD, (len(classes), self._centres.shape[1]))
        points = (self._centres[classes] + noise).astype(np.float32)
        return Data(points, classes.astype(np.int64))


def count_of(trial: Trial) -> int:
    """Return the number of classes."""
    return 2 if trial.spec.task == "binary" else int(trial.spec.classes)


def reference_loss(data: Data, hidden: Data, steps: int) -> tuple[float, float, float]:
    """Train a linear softmax regression the same way, from zero, in float64.

    Returns:
        the mean loss on `data` and on `hidden`, and the share of `hidden` that it gets right.
    """
    c = int(max(data.classes.max(), hidden.classes.max())) + 1

    def widened(features: NDArray[Any]) -> Floats:
        return np.hstack([features.astype(np.float64), np.ones((len(features), 1))])

    x, z = widened(data.features), widened(hidden.features)
    weights = np.zeros((x.shape[1], c))
    first, second = np.zeros_like(weights), np.zeros_like(weights)
    for step in range(1, steps + 1):
        by_logits = oracle.cross_entropy_logits_gradient(x @ weights, data.classes)
        gradient = x.T @ by_logits / len(x)
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        size = np.sqrt(second / (1 - 0.999**step)) + 1e-8
        weights -= RATE * first / (1 - 0.9**step) / size
    train = oracle.cross_entropy_from_logits(x @ weights, data.classes).mean()
    test = oracle.cross_entropy_from_logits(z @ weights, hidden.classes).mean()
    right = (np.argmax(z @ weights, axis=1) == hidden.classes).mean()
    return float(train), float(test), float(right)


# --- a run ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class State:
    """What a model gave: outputs for each probe; outputs and loss for each pair."""

    probes: tuple[Returned, ...] = ()
    pairs: tuple[tuple[Returned, Returned], ...] = ()


@dataclass(frozen=True)
class Gradients:
    """The gradient by each parameter, and the loss a little to either side of it.

    `around[k]` is (2, 2): along the grader's direction and along the gradient; ahead and behind.
    """

    names: tuple[str, ...]
    values: tuple[Floats, ...]
    around: tuple[Floats, ...]
    free: tuple[bool, ...]
    outside: tuple[str, ...]
    cut: str
    phase: float


@dataclass(frozen=True)
class Run:
    """One run: see `ask`.

    Attributes:
        stopped: why the training could not go on, for the student; empty where it went on.
        cut: why no gradient came from the loss; the worker's word for it.
        advice: what was seen of tensors that reached the wrong loss, in one line each.
    """

    model: str
    loss: str
    before: State
    after: State
    losses: Floats
    stopped: Failure | None
    cut: str
    gradients: Gradients | None
    advice: tuple[str, ...]


def ask(
    trial: Trial,
    *,
    probes: Sequence[NDArray[np.float32]] = (),
    pairs: Sequence[Data] = (),
    train: Data | None = None,
    steps: int = 0,
    gradient: Data | None = None,
    seed: int | None = None,
) -> Run:
    """Make the model anew and run it, with its loss if need be.

    Args:
        trial: the trial of a training.
        probes: batches for which the model's outputs come back.
        pairs: data for which outputs and loss come back.
        train: data to train on.
        steps: how many steps of training.
        gradient: data for which the gradients come back, after the training.
        seed: of torch's random numbers, such as the first parameters; default a fresh one.
    Raises:
        Failure: there is no model or loss, or it raised, before any training.
        NotGraded: torch is not installed here.
    """
    if "torch" not in trial.student.zygote.frameworks:
        raise NotGraded(say("torch is not installed on the grading machine"))
    spec = trial.spec
    arrays: list[NDArray[Any]] = []

    def place(array: NDArray[Any]) -> int:
        arrays.append(array)
        return len(arrays) - 1

    def places(data: Data) -> list[int]:
        targets = data.classes.astype(np.float32) if spec.task == "binary" else data.classes
        return [place(data.features), place(targets)]

    phase = float(trial.rng.uniform(1, 3))
    request: dict[str, Any] = {
        "names": spec.names,
        "step_names": spec.step_names,
        "loss_names": spec.loss_names,
        "task": spec.task,
        "features": spec.features,
        "classes": spec.classes if spec.task == "multi-class" else 1,
        "hidden": spec.hidden,
        "seed": int(trial.rng.integers(1 << 31)) if seed is None else seed,
        "probes": [place(each) for each in probes],
        "pairs": [places(each) for each in pairs],
        "train": places(train) if train is not None else [],
        "steps": steps if train is not None else 0,
        "lr": RATE,
        "gradient": None,
    }
    if gradient is not None:
        features, targets = places(gradient)
        request["gradient"] = {
            "features": features, "targets": targets, "phase": phase, "step": STEP,
        }  # fmt: skip

    def read(header: Mapping[str, Any], blocks: Sequence[Block]) -> Run:
        run = _read(trial, header, blocks, phase)
        for state in (run.before, run.after) if request["steps"] else (run.before,):
            if (len(state.probes), len(state.pairs)) != (len(probes), len(pairs)):
                raise ValueError("more or less than was asked for")
        if gradient is not None and run.gradients is None:
            raise ValueError("no gradients, which were asked for")
        return run

    try:
        return trial.student.train(trial.key, request, arrays, read)
    except CallError as error:
        raise Failure(str(error), error.hint) from None


def _read(trial: Trial, header: Mapping[str, Any], blocks: Sequence[Block], phase: float) -> Run:
    """Read a reply; any of its keys may be missing or of another type."""
    reports = [_advice(report) for report in header.get("reports", [])[:8]]
    _note(trial, reports)
    advice = tuple(where for where, _ in reports)
    if failure := _failure(trial, header, header.get("stage", ""), advice):
        raise CallError("raised", failure.message, failure.hint)
    left = dict(enumerate(blocks))
    before = _state(header.get("before", {}), left)
    training = header.get("training", {})
    losses = returned(training["losses"], left) if training else None
    after = _state(header.get("after", {}), left)
    told = header.get("gradient")
    return Run(
        plain(header.get("model", ""), 80),
        plain(header.get("loss", ""), 80),
        before,
        after,
        np.empty(0) if losses is None else losses.values.astype(np.float64).reshape(-1),
        _failure(trial, training, "training", advice),
        plain(training.get("cut", ""), 80),
        None if told is None else _gradients(told, left, phase),
        advice,
    )


def _state(told: Mapping[str, Any], left: dict[int, Block]) -> State:
    return State(
        tuple(returned(each, left) for each in told.get("probes", ())),
        tuple(
            (returned(outputs, left), returned(loss, left))
            for outputs, loss in told.get("pairs", ())
        ),
    )


def _gradients(told: Mapping[str, Any], left: dict[int, Block], phase: float) -> Gradients:
    for each in told["loss"]:
        returned(each, left)
    values = tuple(returned(each, left).values.astype(np.float64) for each in told["values"])
    around = tuple(returned(each, left).values.astype(np.float64) for each in told["around"])
    names = tuple(plain(name, 80) for name in told["names"])
    if len({len(names), len(values), len(around), len(told["free"])}) != 1:
        raise ValueError("gradients that do not belong to each other")
    if any(each.shape != (2, 2) for each in around):
        raise ValueError("losses that are no (2, 2)")
    outside = tuple(plain(name, 80) for name in told["outside"][:4])
    free = tuple(each is True for each in told["free"])
    cut = plain(told.get("cut", ""), 80)
    return Gradients(names, values, around, free, outside, cut, phase)


def _advice(report: Mapping[str, Any]) -> tuple[str, str]:
    """Put a report of the run-time watch into words: where and what, and its whole message."""
    told = {k: plain(report.get(k, ""), 120) for k in ("code", "name", "loss", "activation")}
    told["what"] = plain(report.get("related", ""), 160)
    message = plain(report.get("message", ""), 400)
    if told["activation"]:
        where = say("Seen while it ran: {loss}: loss; {activation}: {what} ({code} {name})", **told)
    else:
        where = say("Seen while it ran: {loss}: loss ({code} {name})", **told)
    return where, message


def _note(trial: Trial, advice: Sequence[tuple[str, str]]) -> None:
    """Keep each report once among the notes of the result: its numbers differ from run to run."""
    notes = trial.student.loading.notes
    for where, message in advice:
        if len(notes) < NOTES_CAP and not any(note.startswith(where) for note in notes):
            notes.append(f"{where}: {message}")


def _failure(
    trial: Trial, header: Mapping[str, Any], stage: str, advice: tuple[str, ...]
) -> Failure | None:
    """Return why a run gave nothing, if it gave nothing."""
    hint = " ".join(advice[:2])
    if "missing" in header:
        return _missing(trial, plain(header["missing"], 20), plain(header.get("text", "")))
    parts = {
        "model": say("the model"),
        "loss": say("the loss"),
        "training": say("a step of training"),
        "gradient": say("the loss"),
    }
    part = parts.get(stage, say("the run"))
    if "raised" in header:
        raised = header["raised"]
        text, where = plain(raised["text"]), plain(raised.get("where", ""))
        line = plain(raised.get("line", ""), 160)
        if "between 0 and 1" in text and trial.spec.task == "binary":
            hint = say(
                "BCELoss expects probabilities and was given other numbers (logits-into-bce): end "
                "the model in a sigmoid, or use BCEWithLogitsLoss. {advice}",
                advice=hint,
            )
        if any(words in text for words in TARGET_DTYPE) and trial.spec.task == "multi-class":
            hint = say(
                "Give CrossEntropyLoss the targets as they come (target-dtype): class indices of "
                "shape (N,), int64."
            )
        if where:
            return Failure(
                say("{part} raised {error} ({where}: `{line}`)", part=part, error=text,
                    where=where, line=line),
                hint,
            )  # fmt: skip
        return Failure(say("{part} raised {error}", part=part, error=text), hint)
    if "problem" in header:
        return Failure(say("{part} {problem}", part=part, problem=plain(header["problem"])), hint)
    return None


def _missing(trial: Trial, stage: str, why: str) -> Failure:
    """Say in one line what was expected of the file, and what is not there."""
    spec = trial.spec
    if stage == "model":
        return Failure(
            say(
                "no model was found: expected a class of torch.nn.Module, or a function that "
                "makes one, named {names}",
                names=_or(spec.names),
            ),
            say("There are {why} of torch.nn.Module: name the one that is handed in.", why=why)
            if why
            else "",
        )
    if stage == "make":
        outputs = spec.classes if spec.task == "multi-class" else 1
        return Failure(
            say(
                "the model cannot be made ({why}): it is called with ({features}, {classes}), "
                "({features},) or ()",
                why=why,
                features=spec.features,
                classes=outputs,
            ),
            say("Call its parameters `features`, `hidden_size` and `num_classes`."),
        )
    step = spec.step_names[0] if spec.step_names else ""
    loss = spec.loss_names[0] if spec.loss_names else ""
    if step and loss:
        wanted = say(
            "`{loss} = ...`, called with (outputs, targets), or `{step}(model, features, targets)` "
            "that returns the loss",
            loss=loss,
            step=step,
        )
    elif step:
        wanted = say("`{step}(model, features, targets)` that returns the loss", step=step)
    else:
        wanted = say("`{loss} = ...`, called with (outputs, targets)", loss=loss)
    if why:
        return Failure(
            say("no loss can be used ({why}): expected {wanted}", why=why, wanted=wanted)
        )
    return Failure(say("no loss was found: expected {wanted}", wanted=wanted))


def _or(names: Sequence[str]) -> str:
    shown = [f"`{name}`" for name in names[:4]]
    return ", ".join(shown) + (", ..." if len(names) > 4 else "")


# --- values --------------------------------------------------------------------------------------


def outputs_of(trial: Trial, found: Returned, rows: int) -> Floats:
    """Return outputs (N, C), of a binary model (N,), in float64.

    Raises:
        Failure: they have another shape, or are NaN or infinite.
    """
    what = say("the outputs for a batch of {rows}", rows=rows)
    if found.container == "None":
        raise Failure(
            say("the model returned None"), say("Is a `return` missing at the end of forward?")
        )
    if not found.is_array or found.library != "torch":
        raise Failure(
            say("the model returned a {type}, expected one tensor", type=found.container),
            say("Return the outputs alone, as a tensor."),
        )
    if not found.dtype.lstrip("b").startswith("float"):
        raise Failure(
            say(
                "{what}: found dtype {dtype}, expected a float dtype", what=what, dtype=found.dtype
            ),
            say("Return the outputs themselves: argmax and rounding have no gradient."),
        )
    _expect_shape(trial, found.shape, rows, what)
    values: Floats = found.values.astype(np.float64)
    if not np.isfinite(values).all():
        raise Failure(
            say("{what} hold NaN or infinity", what=what),
            say("Is a logarithm of 0 or a division by 0 computed?"),
        )
    return values.reshape(-1) if trial.spec.task == "binary" else values


def _expect_shape(trial: Trial, shape: tuple[int, ...], rows: int, what: str) -> None:
    if trial.spec.task == "binary":
        if shape in ((rows,), (rows, 1)):
            return
        hint = say("A binary model has one output: the last layer is nn.Linear(..., 1).")
        if rows == 1 and shape == ():
            hint = say("squeeze() also drops the batch of one example: use squeeze(1).")
        raise Failure(
            say("{what}: found shape {shape}, expected ({rows}, 1)", what=what, shape=shape,
                rows=rows), hint,
        )  # fmt: skip
    wanted = (rows, trial.spec.classes)
    if shape != wanted:
        hint = say("The last layer has one output for each class.")
        if shape == wanted[1:] and rows == 1:
            hint = say("squeeze() also drops the batch of one example: leave it out.")
        raise Failure(
            say("{what}: found shape {shape}, expected {wanted}", what=what, shape=shape,
                wanted=wanted), hint,
        )  # fmt: skip


def loss_of(found: Returned) -> float:
    """Return a loss as a number.

    Raises:
        Failure: it is no single number.
    """
    if found.container == "None":
        raise Failure(say("the loss is None"), say("Return the loss at the end of the step."))
    if not found.is_array or found.values.size != 1:
        shape = found.container if not found.is_array else found.shape
        raise Failure(
            say("the loss has shape {shape}, expected one number", shape=shape),
            say("Take the mean over the batch: reduction='mean' is the default."),
        )
    return float(found.values.astype(np.float64).reshape(-1)[0])


def pairs_of(trial: Trial, state: State, data: Sequence[Data]) -> list[meanings.Pair]:
    """Return (outputs, targets, loss) of each of `data`.

    Raises:
        Failure: outputs of a wrong shape, or a loss that is no number.
    """
    return [
        (outputs_of(trial, outputs, len(each.classes)), each.classes, loss_of(loss))
        for (outputs, loss), each in zip(state.pairs, data, strict=True)
    ]


def meaning(trial: Trial, outputs: Sequence[Floats]) -> str:
    """Return what the outputs mean."""
    if trial.spec.task == "binary":
        return meanings.binary_meaning(outputs)
    return meanings.multi_class_meaning(outputs)
