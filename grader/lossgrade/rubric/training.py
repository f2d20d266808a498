"""A model and its loss: trained on data of our own, and judged by the values that come back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lossgrade.criterion import Failure, criterion
from lossgrade.language import say
from lossgrade.rubric import meanings
from lossgrade.rubric.mismatches import misconception, named, other_reduction, right_loss
from lossgrade.rubric.runs import (
    STEP,
    Clusters,
    Data,
    ask,
    meaning,
    outputs_of,
    pairs_of,
    reference_loss,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from lossgrade.rubric.meanings import Floats, Pair, Recognised
    from lossgrade.rubric.runs import Gradients, Run, State
    from lossgrade.trial import Trial

# A network may start badly: the best of this many initialisations counts.
STARTS = 3
# Of the mean loss, in nats, above that of the linear reference; a softmax too many keeps it above
# 0.55 for three classes, a sigmoid too many above 0.50.
SLACK = 0.25
# Outputs of one example alone and in a batch: float32, summed in another order.
ROW_TOLERANCE = 1e-4
# Outputs that differ by less do not differ.
SAME = 1e-6
WARM_STEPS = 5
# Correlation of what other targets do to the outputs with those targets: unrelated numbers, of 60
# examples of 3 classes, have 0.1.
RELATED = 0.3
# Features this much larger have logits that lie within [0, 1] no longer by chance.
WIDE = 6


# --- the model -----------------------------------------------------------------------------------


def living(trial: Trial, batches: Sequence[Data]) -> list[Floats]:
    """Return the outputs of a model for `batches`, if they change with its inputs.

    Raises:
        Failure: they do not, neither at first nor after a few steps; or their shape is wrong.
    """
    data = Clusters(trial).draw(6)
    asked = [data, *batches]
    probes = [each.features for each in asked]

    def outputs(state: State) -> list[Floats]:
        return [
            outputs_of(trial, found, len(each.classes))
            for found, each in zip(state.probes, asked, strict=True)
        ]

    found = outputs(ask(trial, probes=probes).before)
    if np.ptp(found[0], 0).max() <= SAME:
        # A last layer that starts at zero is right; one that stays there is not.
        found = outputs(ask(trial, probes=probes, train=data, steps=WARM_STEPS).after)
        _expect_varied(found[:1])
    return found[1:]


def _expect_varied(batches: Sequence[Floats]) -> None:
    if not any(np.ptp(outputs, 0).max() > SAME for outputs in batches):
        raise Failure(
            say("the outputs of the model are the same for every example"),
            say("Compute them from the features, and let every layer be trained."),
        )


@criterion(points=1, kind="values")
def output_shape(trial: Trial) -> None:
    """The model takes a batch of examples and returns one score for each class of each."""
    batches = [Clusters(trial).draw(each) for each in (3, 7)]
    living(trial, batches)


@criterion(points=1, kind="values")
def any_batch_size(trial: Trial) -> None:
    """Batches of any size are taken, a single example too."""
    clusters = Clusters(trial)
    batches = [clusters.of(trial.rng.integers(0, clusters.count, n)) for n in (1, 2, 5, 33)]
    living(trial, batches)


@criterion(points=1, kind="values")
def examples_independent(trial: Trial) -> None:
    """In evaluation, the outputs of an example do not depend on the rest of its batch."""
    data = Clusters(trial).draw(3)
    n = len(data.classes)
    order = trial.rng.permutation(n)
    places = [np.arange(n), order, order[: n // 2], *(np.array([i]) for i in range(n))]
    batches = [Data(data.features[rows], data.classes[rows]) for rows in places]
    found = living(trial, batches)
    for outputs, rows in zip(found, places, strict=True):
        off = np.abs(outputs - found[0][rows])
        if off.max() > ROW_TOLERANCE * max(1.0, np.abs(found[0]).max()):
            raise Failure(
                say(
                    "the outputs of one example change by {off} with the other examples of its "
                    "batch, expected no change within {tolerance}",
                    off=f"{off.max():.6g}",
                    tolerance=f"{ROW_TOLERANCE:.0e}",
                ),
                say(
                    "Is a softmax, a mean or a maximum taken over dim=0, the batch? Or is dropout "
                    "applied in eval mode?"
                ),
            )


# --- what the outputs mean, and the loss ---------------------------------------------------------


def loss_data(trial: Trial) -> list[Data]:
    """Draw batches for the loss: of several sizes, one with other targets, the last one wide."""
    clusters = Clusters(trial)
    batches = [clusters.draw(4), clusters.draw(5), clusters.draw(3)]
    other = clusters.draw(6)
    wrong = trial.rng.integers(0, clusters.count, len(other.classes))
    wide = clusters.draw(5)
    return [
        *batches,
        Data(other.features, wrong.astype(np.int64)),
        Data(wide.features * WIDE, wide.classes),
    ]


def losses_and_meaning(trial: Trial) -> tuple[list[Pair], str, list[Recognised], Run]:
    """Return outputs, targets and losses, what the outputs mean and what the loss may be.

    Both hold for a fresh model and for one that was trained a little.
    """
    data = loss_data(trial)
    clusters = Clusters(trial)
    probes = [clusters.draw(6).features]
    try:
        run = ask(trial, probes=probes, pairs=data, train=clusters.draw(8), steps=WARM_STEPS)
    except Failure as failure:
        raise _explained(trial, failure, probes[0]) from None
    states = [run.before, run.after] if run.after.pairs else [run.before]
    pairs = [pair for state in states for pair in pairs_of(trial, state, data)]
    given = meaning(trial, [outputs for outputs, _, _ in pairs])
    if given not in ("logits", "log-probabilities"):
        # There probabilities are 0 and 1 in float32, whose logarithms are clamped in many ways.
        pairs = [pair for place, pair in enumerate(pairs) if (place + 1) % len(data)]
    formulas = meanings.BINARY if trial.spec.task == "binary" else meanings.MULTI_CLASS
    return pairs, given, meanings.recognised(pairs, formulas), run


def _explained(trial: Trial, failure: Failure, probe: NDArray[np.float32]) -> Failure:
    """Add to a loss that raised what the outputs mean, where that explains it."""
    if trial.spec.task != "binary" or "between 0 and 1" not in failure.message:
        return failure
    found = ask(trial, probes=[probe]).before.probes[0]
    outputs = outputs_of(trial, found, len(probe))
    return Failure(
        say(
            "the model returned {found}, which is no probability, and the loss expects "
            "probabilities (logits-into-bce): {message}",
            found=f"{outputs[np.argmax(np.abs(outputs))]:.6g}",
            message=failure.message,
        ),
        failure.hint,
    )


@criterion(points=4, kind="values")
def output_means_what_the_loss_expects(trial: Trial) -> None:
    """The outputs of the model are what its loss expects: logits, or probabilities."""
    pairs, given, found, run = losses_and_meaning(trial)
    accepted = list(trial.spec.outputs)
    right = [each for each in found if given in each.formula.takes]
    if given in accepted and right:
        return
    hint = " ".join([misconception(trial, given, found, pairs), *run.advice[:2]])
    if right:
        raise Failure(
            say(
                "the outputs are {given}, the assignment asks for {accepted}",
                given=named(given),
                accepted=say(" or ").join(named(each) for each in accepted),
            ),
            hint,
        )
    if not found:
        outputs, targets, loss = pairs[0]
        raise Failure(
            say(
                "the outputs are {given}, and the loss is {loss}: no usual loss gives that for "
                "them; their cross entropy is {right}",
                given=named(given),
                loss=f"{loss:.6g}",
                right=f"{right_loss(outputs, targets, given):.6g}",
            ),
            hint,
        )
    raise Failure(
        say(
            "the outputs are {given}, and the loss is {loss} of them",
            given=named(given),
            loss=found[0].formula.name,
        ),
        hint,
    )


@criterion(points=3, kind="values")
def loss_is_the_mean_cross_entropy(trial: Trial) -> None:
    """The loss is the mean over the batch of minus the natural log of the true class's share."""
    pairs, given, found, _ = losses_and_meaning(trial)
    for outputs, targets, loss in pairs:
        right = right_loss(outputs, targets, given)
        if meanings.near(loss, right):
            continue
        raise Failure(
            say(
                "the loss of {rows} examples is {loss}, the mean cross entropy of these outputs "
                "({given}) is {right}",
                rows=len(targets),
                loss=f"{loss:.6g}",
                given=named(given),
                right=f"{right:.6g}",
            ),
            other_reduction(given, found) or misconception(trial, given, found, pairs),
        )
    if given not in trial.spec.outputs:
        raise Failure(
            say(
                "the outputs are {given}, the assignment asks for {accepted}",
                given=named(given),
                accepted=say(" or ").join(named(each) for each in trial.spec.outputs),
            ),
            misconception(trial, given, found, pairs),
        )


@criterion(points=1, kind="values")
def targets_count(trial: Trial) -> None:
    """The loss is lower the better the outputs agree with the targets, whichever classes occur."""
    clusters = Clusters(trial)
    c = clusters.count
    train = clusters.draw(10)
    # All of one class; without the last class; a single example; as drawn.
    sets = [np.full(5, k) for k in range(c)]
    sets += [np.resize(np.arange(max(c - 1, 1)), 7), np.array([c - 1]), np.resize(np.arange(c), 9)]
    points = [clusters.of(each) for each in sets]
    # With the true targets, and with those of the next class.
    wrong = [Data(each.features, (each.classes + 1) % c) for each in points]
    data = [pair for both in zip(points, wrong, strict=True) for pair in both]
    run = ask(trial, pairs=data, train=train, steps=60)
    if run.stopped:
        raise run.stopped
    _expect_no_cut(run, run.cut)
    pairs = pairs_of(trial, run.after, data)
    _expect_varied([outputs for outputs, _, _ in pairs])
    given = meaning(trial, [outputs for outputs, _, _ in pairs])
    told = 0
    for (o, y, low), (_, z, high) in zip(pairs[::2], pairs[1::2], strict=True):
        gap = right_loss(o, z, given) - right_loss(o, y, given)
        if not abs(gap) > 0.1:
            continue
        told += 1
        if not (high - low) * gap > 0:
            raise Failure(
                say(
                    "of the same outputs, the loss is {low} for targets {y} and {high} for {z}, "
                    "expected the {order} for the first",
                    low=f"{low:.6g}",
                    high=f"{high:.6g}",
                    y=y.tolist(),
                    z=z.tolist(),
                    order=say("lower loss") if gap > 0 else say("higher loss"),
                ),
                say("Is the loss computed from the targets it is given?"),
            )
    if told < len(points) // 2:
        raise Failure(
            say(
                "after 60 steps of training the outputs fit other targets as well as the true ones"
            ),
            say("The loss must lead the model to its targets."),
        )


# --- gradients -----------------------------------------------------------------------------------


def gradients_of(trial: Trial) -> tuple[Gradients, Run]:
    """Return gradients after a few steps: a last layer that starts at zero passes none at first.

    Raises:
        Failure: nothing is passed back, or the steps do not show it: gradients are numbers, which
            anybody can make up.
    """
    clusters = Clusters(trial)
    hidden, data = clusters.draw(20), clusters.draw(8)
    seed = int(trial.rng.integers(1 << 31))
    probes = [hidden.features]
    run = ask(
        trial, probes=probes, train=data, steps=WARM_STEPS, gradient=clusters.draw(4), seed=seed
    )
    assert run.gradients is not None
    _expect_no_cut(run, run.gradients.cut or run.cut)
    if run.stopped:
        raise run.stopped
    if any(np.abs(value).max(initial=0) > 0 for value in run.gradients.values):
        # The same start and the same examples, of other classes.
        other = Data(data.features, (data.classes + 1) % clusters.count)
        with_others = ask(trial, probes=probes, train=other, steps=WARM_STEPS, seed=seed)
        _expect_related(trial, run, with_others, hidden, clusters.count)
    return run.gradients, run


def _expect_related(trial: Trial, run: Run, with_others: Run, hidden: Data, count: int) -> None:
    """Fail unless other targets move the outputs of new examples for or against those classes."""
    classes = hidden.classes
    after, other = (outputs_of(trial, r.after.probes[0], len(classes)) for r in (run, with_others))
    first, second = np.eye(count)[classes], np.eye(count)[(classes + 1) % count]
    wanted = (first - second)[:, 1] if after.ndim == 1 else first - second
    with np.errstate(all="ignore"):
        related = abs(float(np.corrcoef(np.ravel(after - other), np.ravel(wanted))[0, 1]))
    if not related >= RELATED:
        raise Failure(
            say("training does not move the outputs of new examples by the targets it is given"),
            say("Compute the loss from model(features) and the targets."),
        )


def _expect_no_cut(run: Run, cut: str) -> None:
    """Fail where nothing can be carried back from the loss."""
    if not cut:
        return
    if cut == "no parameters":
        outside = run.gradients.outside if run.gradients else ()
        raise Failure(
            say("the model has no parameters, so nothing can be trained"),
            _plain_list(outside) or say("Make the layers in __init__: `self.fc = nn.Linear(...)`."),
        )
    detached = say(
        "Return the loss itself, without .item(), .detach(), .numpy() or no_grad "
        "(loss-item-or-detach-before-backward)."
    )
    if cut == "no graph":
        raise Failure(say("the loss is cut off from the parameters: it requires no grad"), detached)
    raise Failure(say("the loss is no tensor ({cut})", cut=cut), detached)


def _plain_list(outside: tuple[str, ...]) -> str:
    named = [name for name in outside if name != "?"]
    if not named:
        return ""
    return say(
        "`self.{name}` is a plain list or dict, whose layers no optimizer sees: use nn.ModuleList "
        "or nn.Sequential.",
        name=named[0],
    )


@criterion(points=2, kind="values")
def gradient_is_that_of_the_loss(trial: Trial) -> None:
    """The loss passes back its own gradient: nothing between it and the model is cut off."""
    for start in range(STARTS):
        try:
            _expect_own_gradient(trial)
        except Failure:
            # The slope jumps at the corners of a ReLU, which a step may pass once, not each time.
            if start == STARTS - 1:
                raise
        else:
            return


def _expect_own_gradient(trial: Trial) -> None:
    gradients, _ = gradients_of(trial)
    if not any(np.abs(value).max(initial=0) > 0 for value in gradients.values):
        raise Failure(
            say("no gradient reaches any parameter of the model"),
            say("Compute the loss from model(features), not from other numbers or a copy."),
        )
    for name, value, around, free in zip(
        gradients.names, gradients.values, gradients.around, gradients.free, strict=True
    ):
        if not np.abs(value).max(initial=0) > 0 or not free:
            # The next criterion's.
            continue
        way = _direction(value, gradients.phase)
        due = [float((way * value).sum()), float(np.linalg.norm(value))]
        slopes = (around[:, 0] - around[:, 1]) / (2 * STEP)
        for found, slope in zip(due, slopes, strict=True):
            if not abs(found - slope) <= 2e-3 + 0.03 * max(abs(slope), due[1]):
                raise Failure(
                    say(
                        "by `{name}` the gradient gives the slope {found}, the loss itself changes "
                        "by {slope}",
                        name=name,
                        found=f"{found:.4g}",
                        slope=f"{slope:.4g}",
                    ),
                    say("Is a part of the loss detached, or made of numbers from elsewhere?"),
                )


def _direction(value: Floats, phase: float) -> Floats:
    """Return the direction in which the worker was told to move a parameter."""
    along = np.cos(np.arange(1, value.size + 1) * phase).reshape(value.shape)
    unit: Floats = along / max(float(np.linalg.norm(along)), 1e-30)
    return unit


@criterion(points=2, kind="values")
def gradient_reaches_every_parameter(trial: Trial) -> None:
    """The gradient of the loss reaches every parameter, and the model lists them all."""
    reached: set[str] = set()
    for _ in range(STARTS):
        gradients, _ = gradients_of(trial)
        if gradients.outside:
            raise Failure(
                say("the loss depends on parameters that model.parameters() does not list"),
                _plain_list(gradients.outside)
                or say("Keep every layer as an attribute of the model, made in __init__."),
            )
        reached |= {
            name
            for name, value in zip(gradients.names, gradients.values, strict=True)
            if value.size == 0 or np.abs(value).max() > 0
        }
        if len(reached) == len(gradients.names):
            break
    for name, around, free in zip(gradients.names, gradients.around, gradients.free, strict=True):
        if name in reached:
            continue
        message = say("no gradient reaches `{name}`, which stays as it was made", name=name)
        if not free:
            raise Failure(message, say("It is frozen: requires_grad is False."))
        if abs(around[0, 0] - around[0, 1]) / (2 * STEP) > 1e-5:
            raise Failure(
                message,
                say(
                    "The loss does depend on it, but the way back is cut: is there a .detach(), "
                    ".data, .numpy() or no_grad in forward (loss-item-or-detach-before-backward)?"
                ),
            )
        raise Failure(
            message, say("The loss does not depend on it: is the layer left out of forward?")
        )
    if not reached:
        raise Failure(say("the model has no parameters, so nothing can be trained"))


# --- training ------------------------------------------------------------------------------------


def best_of_starts(check: Callable[[Trial], None], trial: Trial) -> None:
    """Check several starts; the best of them counts."""
    first: Failure | None = None
    for _ in range(STARTS):
        try:
            check(trial)
        except Failure as failure:
            first = first or failure
        else:
            return
    assert first is not None
    raise first


def _trained(trial: Trial, data: Data, hidden: Data) -> tuple[Run, list[Pair], list[Pair], str]:
    """Train on `data`; return outputs and losses before and after, and what the outputs mean."""
    run = ask(trial, pairs=[data, hidden], train=data, steps=trial.spec.steps)
    _expect_no_cut(run, run.cut)
    if run.stopped:
        raise run.stopped
    if len(run.losses) != trial.spec.steps:
        raise Failure(
            say("{found} of {steps} steps of training gave a loss", found=len(run.losses),
                steps=trial.spec.steps)
        )  # fmt: skip
    before, after = (pairs_of(trial, state, [data, hidden]) for state in (run.before, run.after))
    given = meaning(trial, [outputs for outputs, _, _ in (*before, *after)])
    return run, before, after, given


@criterion(points=2, kind="values")
def loss_falls(trial: Trial) -> None:
    """The loss falls towards 0 as the model is trained, and the outputs come to fit the targets."""
    best_of_starts(_falls, trial)


def _falls(trial: Trial) -> None:
    clusters = Clusters(trial)
    run, before, after, given = _trained(trial, clusters.draw(20), clusters.draw(20))
    _expect_falling(run.losses, before, after, given)


def _expect_falling(losses: Floats, before: list[Pair], after: list[Pair], given: str) -> None:
    if not np.isfinite(losses).all():
        raise Failure(
            say(
                "the loss is NaN or infinite at step {step}",
                step=int(np.argmin(np.isfinite(losses))) + 1,
            ),
            say("Is a logarithm of 0 taken? Is a loss computed that has no minimum?"),
        )
    if losses.min() < -1e-3:
        raise Failure(
            say(
                "the loss falls below 0, to {lowest}: a cross entropy is never negative",
                lowest=f"{losses.min():.6g}",
            ),
            say("Is the minus missing, or the logarithm of the probabilities?"),
        )
    quarter = max(len(losses) // 4, 1)
    start, end = float(losses[:3].mean()), float(losses[-quarter:].mean())
    if not end < start - 0.02:
        raise Failure(
            say(
                "the loss does not fall: {start} at the start, {end} at the end",
                start=f"{start:.6g}",
                end=f"{end:.6g}",
            ),
            say("Does every layer have its gradient, and does the loss depend on the outputs?"),
        )
    # What the student's loss says of a batch must be what its training said.
    told = after[0][2]
    if abs(told - float(losses[-1])) > 0.3 * max(abs(start - end), 0.1):
        raise Failure(
            say(
                "after training the loss of the same batch is {told}, the last step's was {last}",
                told=f"{told:.6g}",
                last=f"{losses[-1]:.6g}",
            ),
            say("Compute the loss from the outputs and the targets alone, the same each time."),
        )
    # Of new examples: nothing was told of their targets.
    was, now = (right_loss(o, y, given) for o, y, _ in (before[1], after[1]))
    if not now < was - 0.02:
        raise Failure(
            say(
                "the loss falls from {start} to {end}, but new examples fit no better: "
                "their cross entropy goes from {was} to {now}",
                start=f"{start:.6g}",
                end=f"{end:.6g}",
                was=f"{was:.6g}",
                now=f"{now:.6g}",
            ),
            say("The loss must be computed from the outputs and the targets."),
        )


@criterion(points=3, kind="values")
def reaches_the_reference(trial: Trial) -> None:
    """Training gets near a linear softmax regression, on examples it has not seen too."""
    best_of_starts(_reaches, trial)


def _reaches(trial: Trial) -> None:
    clusters = Clusters(trial)
    data, hidden = clusters.draw(20), clusters.draw(20)
    _, _, after, given = _trained(trial, data, hidden)
    train, test, share = reference_loss(data, hidden, trial.spec.steps)
    outputs, targets, _ = after[1]
    decided = (
        (outputs > (0 if given == "logits" else 0.5)).astype(np.int64)
        if outputs.ndim == 1
        else np.argmax(outputs, axis=1)
    )
    right = float((decided == targets).mean())
    if right < share - 0.1:
        raise Failure(
            say(
                "trained {steps} steps, the model is right on {right} of new examples, a linear "
                "softmax regression on {share}",
                steps=trial.spec.steps,
                right=f"{right:.0%}",
                share=f"{share:.0%}",
            ),
            say("Does the loss lead the model to the targets it is given?"),
        )
    reached = right_loss(outputs, targets, given)
    if not reached <= test + SLACK:
        raise Failure(
            say(
                "trained {steps} steps, the cross entropy of new examples is {reached}, that of a "
                "linear softmax regression {test}",
                steps=trial.spec.steps,
                reached=f"{reached:.4g}",
                test=f"{test:.4g}",
            ),
            say("Is anything between the last layer and the loss that keeps outputs small?"),
        )
    formulas = meanings.BINARY if outputs.ndim == 1 else meanings.MULTI_CLASS
    found = meanings.recognised(after, formulas)
    own = float(np.mean([loss for _, _, loss in after[:1]]))
    if any(given in each.formula.takes for each in found):
        # Of its outputs the loss is right, or their sum: they were compared.
        return
    if not own <= train + SLACK or own < -1e-3:
        raise Failure(
            say(
                "trained {steps} steps, the loss is {own}, that of a linear softmax regression "
                "{train}",
                steps=trial.spec.steps,
                own=f"{own:.4g}",
                train=f"{train:.4g}",
            ),
            misconception(trial, given, found, after),
        )
