"""Misconceptions about cross entropy: wrong formulas of probabilities p and targets t, (N, C)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lossgrade import oracle
from lossgrade.diagnosis.bank import misconception

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from lossgrade.diagnosis.samples import Sample

    Array = NDArray[Any]

STAT453 = "STAT 453, lecture 8.7.2: cross_entropy(softmax, y_onehot), one loss for each example"
LIVE = "STAT 453, lecture 8.7.2: nll_loss of a plain softmax, shown live, gives negative values"
TWICE = "STAT 453, lecture 8.7.2: cross_entropy of a softmax takes the softmax twice"
REDUCTION = "STAT 453, lecture 8.7.2: reduction='none', 'mean' and 'sum'; d2l.ai: mean or sum"
CLIPPED = "PyTorch tutorial 11: probabilities are clipped to [1e-15, 1 - 1e-15]"
ORDER = "PyTorch tutorial 11: cross_entropy(actual, predicted)"
PICKED = "d2l.ai, softmax regression from scratch: -log(y_hat[range(n), y])"
NATS = "STAT 453, lecture 8.7.2: the natural logarithm; bits belong to the entropy of the slides"
ZEROS = "Slides on cross entropy: 0 log 0 counts as 0"
SQUARES = "Slides on cross entropy: why not the squared error"
ENTROPY = "Slides on cross entropy: H(p, q) = H(p) + KL(p || q)"
BINARY = "Slides on cross entropy: the binary form is the cross entropy of two classes"
HINGE = "Slides on cross entropy: the losses MSE, cross entropy and hinge"


def _log(p: Array) -> Array:
    with np.errstate(all="ignore"):
        found: Array = np.log(p)
    return found


def _sum(values: Array, axis: int | None = 1) -> Array:
    with np.errstate(all="ignore"):
        found: Array = values.sum(axis=axis)
    return found


def _times(a: Array, b: Array) -> Array:
    with np.errstate(all="ignore"):
        found: Array = a * b
    return found


def _losses(p: Array, t: Array) -> Array:
    """Return the right losses (N,)."""
    return oracle.cross_entropy(p, t)


def _picked(p: Array, t: Array) -> Array:
    """Return the probability of the target class, (N,)."""
    return _sum(p * t)


@misconception("cross_entropy", "nll_loss", shown="the loss with the opposite sign", source=LIVE)
def missing_minus_sign(p: Array, t: Array) -> Array:
    """The minus is missing. A logarithm of a probability is negative, so your losses are, and
    training would make them as bad as it can.

    Fix: put a minus before the sum.
    """
    return -_losses(p, t)


@misconception("cross_entropy", "nll_loss", shown="the loss with log2", source=NATS)
def log2_instead_of_ln(p: Array, t: Array) -> Array:
    """This is the loss in bits: you used log2. Every value is 1 / ln 2 = 1.443 times too large.

    Fix: use the natural logarithm, `log`, not log2.
    """
    return np.asarray(_losses(p, t) / np.log(2))


@misconception("cross_entropy", "nll_loss", shown="the loss with log10", source=NATS)
def log10_instead_of_ln(p: Array, t: Array) -> Array:
    """This is the loss with log10. Every value is 1 / ln 10 = 0.434 of the right one.

    Fix: use the natural logarithm, `log`, not log10.
    """
    return np.asarray(_losses(p, t) / np.log(10))


@misconception("cross_entropy", shown="the loss with the natural logarithm", source=NATS)
def ln_instead_of_log2(p: Array, t: Array) -> Array:
    """This is the loss in nats: you used the natural logarithm, where another base is asked for.

    Fix: use the logarithm that the assignment names, log2 for bits.
    """
    return _losses(p, t)


@misconception("cross_entropy", shown="-sum(t * log(1 + p))", source=STAT453)
def log1p_instead_of_log(p: Array, t: Array) -> Array:
    """You took log(1 + p). The losses are negative, and no probability gives 0.

    Fix: take the logarithm of p itself. Where p may be 0, clip it at a tiny value.
    """
    return -_sum(t * np.log1p(p))


@misconception(
    "cross_entropy",
    "nll_loss",
    shown="minus the probability of the target",
    source=LIVE,
    rule="LG104",
)
def forgot_log(p: Array, t: Array) -> Iterator[Array]:
    """The logarithm is missing: this is minus the probability itself. It hardly punishes a
    prediction that is wrong and sure of it.

    Fix: take the logarithm of the probability of the target class.
    """
    yield -_picked(p, t)
    yield _picked(p, t)


@misconception("cross_entropy", "nll_loss", shown="the mean over the batch", source=REDUCTION)
def mean_instead_of_per_example(p: Array, t: Array) -> Iterator[Array]:
    """This is the mean over the batch. One loss for each example was asked for.

    Fix: sum over the classes alone, dim=1, and return what is left.
    """
    mean = _losses(p, t).mean()
    yield np.asarray(mean)
    yield np.full(len(p), mean)


@misconception("cross_entropy", "nll_loss", shown="the sum over the batch", source=REDUCTION)
def sum_instead_of_per_example(p: Array, t: Array) -> Iterator[Array]:
    """This is the sum over the batch. One loss for each example was asked for.

    Fix: sum over the classes alone: give the sum its axis, dim=1.
    """
    total = _losses(p, t).sum()
    yield np.asarray(total)
    yield np.full(len(p), total)


@misconception(
    "cross_entropy", "nll_loss", shown="the loss divided by the number of classes", source=STAT453
)
def mean_over_classes(p: Array, t: Array) -> Array:
    """Your losses are divided by the number of classes: a mean where a sum is due.

    Fix: sum over the classes; all but one term are 0.
    """
    return np.asarray(_losses(p, t) / p.shape[1])


@misconception(
    "cross_entropy",
    "nll_loss",
    shown="the loss divided by the number of examples",
    source=REDUCTION,
)
def divides_by_n(p: Array, t: Array) -> Array:
    """Each loss is divided by the number of examples, as if the mean were to be taken later.

    Fix: leave each loss whole.
    """
    return np.asarray(_losses(p, t) / len(p))


@misconception("cross_entropy", "nll_loss", shown="-t * log(p), not summed", source=STAT453)
def no_sum_over_classes(p: Array, t: Array) -> Array:
    """You return a matrix with a term for each class; the sum over the classes is missing.

    Fix: sum each row: dim=1.
    """
    return -_times(t, _log(p))


@misconception(
    "cross_entropy", "nll_loss", shown="-t * log(p) summed over the batch (dim=0)", source=STAT453
)
def sums_over_batch_axis(p: Array, t: Array) -> Iterator[Array]:
    """You summed over the examples: what you return has one number for each class.

    Fix: sum over the classes of each example: dim=1.
    """
    terms = -_times(t, _log(p))
    yield _sum(terms, axis=0)
    yield terms.mean(axis=0)


@misconception(
    "cross_entropy", "nll_loss", shown="the loss of softmax(p)", source=TWICE, rule="LG101"
)
def softmax_applied_again(p: Array, t: Array) -> Array:
    """Softmax is applied again inside: your function is made for net inputs, and is given
    probabilities. The loss can then not fall to 0, however sure and right the prediction is.

    Fix: take the logarithm of what you are given.
    """
    return oracle.cross_entropy_from_logits(p, t)


def _swapped_epsilon(sample: Sample) -> Iterable[float]:
    p, t = sample.given
    found = _values(sample)
    yield 0.0
    if found is not None and found.shape == (len(p),) and np.isfinite(found).all():
        with np.errstate(all="ignore"):
            eps = float(np.median(np.exp(-found / (1 - _picked(p, t)))))
        if eps <= 0.01:
            yield eps


@misconception(
    "cross_entropy",
    shown="-sum(p * log(t)), the arguments swapped",
    source=ORDER,
    rule="LG110",
    parameter=_swapped_epsilon,
    everywhere=True,
)
def arguments_swapped(p: Array, t: Array, eps: float) -> Iterator[Array]:
    """The arguments are swapped: you take the logarithm of the targets, whose zeros give infinity.

    Fix: the logarithm belongs to the prediction. Look at the order of the parameters.
    """
    yield -_sum(_times(p, _log(t + eps)))
    yield -_sum(_times(p, _log(np.maximum(t, eps))))
    yield -_sum(_times(p, _log(np.clip(t, eps, 1 - eps))))


@misconception("cross_entropy", shown="the binary cross entropy of every class", source=BINARY)
def binary_form_over_all_classes(p: Array, t: Array) -> Iterator[Array]:
    """You add (1 - t) log(1 - p) for every class, as the binary form does for its one output.

    Fix: only the term of the target class counts: -sum(t * log(p)).
    """
    terms = oracle.binary_cross_entropy(p, t)
    yield _sum(terms)
    yield terms.mean(axis=1)


@misconception("cross_entropy", shown="-sum((1 - t) * log(1 - p))", source=BINARY)
def only_complement_term(p: Array, t: Array) -> Array:
    """You sum over the classes that are not the target: (1 - t) log(1 - p).

    Fix: the target's own term counts: -sum(t * log(p)).
    """
    return -_sum(_times(1 - t, _log(1 - p)))


@misconception("cross_entropy", shown="-log of the other classes' probability", source=BINARY)
def log_of_complement(p: Array, t: Array) -> Array:
    """You take the logarithm of the probability of all the other classes: the loss falls when the
    prediction is wrong.

    Fix: take it of the target's own probability.
    """
    return -_log(_sum(p * (1 - t)))


@misconception("cross_entropy", shown="the squared error", source=SQUARES, rule="LG111")
def squared_error(p: Array, t: Array) -> Iterator[Array]:
    """This is the squared error. Its gradient vanishes where a wrong prediction is sure of itself.

    Fix: -sum(t * log(p)) over the classes.
    """
    squares = _sum((p - t) ** 2)
    yield squares
    yield squares / p.shape[1]
    yield squares / 2


@misconception("cross_entropy", shown="a hinge loss", source=HINGE)
def hinge(p: Array, t: Array) -> Iterator[Array]:
    """This is a hinge loss: it is linear in the probability, and counts margins.

    Fix: -sum(t * log(p)) over the classes.
    """
    target = _picked(p, t)
    yield np.maximum(0, 1 - target)
    yield _sum(np.maximum(0, p - target[:, np.newaxis] + 1) * (1 - t))


@misconception("cross_entropy", shown="-log of the largest probability", source=STAT453)
def uses_predicted_class(p: Array, t: Array) -> Array:
    """You take the logarithm of the largest probability, that of the predicted class, whatever the
    target is.

    Fix: pick the probability of the target class.
    """
    return -_log(p.max(axis=1))


@misconception("cross_entropy", shown="-sum(log(p)) over all classes", source=STAT453)
def ignores_targets(p: Array, t: Array) -> Iterator[Array]:
    """The targets make no difference: you sum the logarithms of all classes.

    Fix: multiply by the one-hot targets before summing.
    """
    yield -_sum(_log(p))
    yield -_log(p).mean(axis=1)


@misconception("cross_entropy", shown="-sum(p * log(p)), the entropy", source=ENTROPY)
def entropy_of_prediction(p: Array, t: Array) -> Array:
    """This is the entropy of the prediction: the targets do not occur in it.

    Fix: weight the logarithm with the targets: -sum(t * log(p)).
    """
    return oracle.entropy(p)


@misconception(
    "cross_entropy",
    "nll_loss",
    shown="the loss with classes weighted by their number in the batch",
    source=STAT453,
)
def class_weights(p: Array, t: Array) -> Array:
    """The losses are weighted by class: an example of one class counts more than one of another.

    Fix: leave every loss unweighted.
    """
    counts = np.maximum(t.sum(axis=0), 1)
    return -_sum(_times(len(p) / (p.shape[1] * counts) * t, _log(p)))


@misconception(
    "cross_entropy",
    "nll_loss",
    shown="the right losses in the order of their classes",
    source=PICKED,
)
def grouped_by_class(p: Array, t: Array) -> Array:
    """The losses are right, but sorted by class: they belong to other examples.

    Fix: pick by row: `p[range(n), y]`, or multiply and sum.
    """
    order = np.argsort(t.argmax(axis=1), kind="stable")
    return _losses(p, t)[order]


@misconception("cross_entropy", "nll_loss", shown="exp(loss), the perplexity", source=STAT453)
def perplexity(p: Array, t: Array) -> Array:
    """This is exp of the loss, the perplexity 1 / p: a perfect prediction gives 1, not 0.

    Fix: return the loss itself.
    """
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(_losses(p, t)))


@misconception("cross_entropy", "nll_loss", shown="-log(p[:, y]), whole columns", source=PICKED)
def picks_columns_for_all_rows(p: Array, t: Array) -> Array:
    """`p[:, y]` takes the columns y of every row: you return a matrix (N, N).

    Fix: pick one entry of each row: `p[range(n), y]`.
    """
    return -_log(p[:, t.argmax(axis=1)])


# --- with a constant -----------------------------------------------------------------------------


def _values(sample: Sample) -> Array | None:
    return None if sample.found is None else sample.found.values.astype(np.float64)


def _smoothing(sample: Sample) -> Iterable[float]:
    p, t = sample.given
    found = _values(sample)
    if found is None or found.shape != (len(p),):
        return
    right, all_logs = _losses(p, t), -_sum(_log(p))
    c = p.shape[1]
    with np.errstate(all="ignore"):
        # found = (1 - a) * right + b * all_logs, for each of the forms below.
        for apart in (
            all_logs / c - right,
            all_logs - 2 * right,
            (all_logs - right) / (c - 1) - right,
        ):
            smoothing = float(np.median((found - right) / apart))
            # Half of a 1 given away is no smoothing any more.
            if 0 < smoothing < 0.5:
                yield smoothing


@misconception(
    "cross_entropy",
    shown="the loss of targets smoothed by {constant:.3g}",
    source=STAT453,
    parameter=_smoothing,
)
def label_smoothing(p: Array, t: Array, smoothing: float) -> Iterator[Array]:
    """The targets are smoothed: a part of each 1 is given to the other classes.

    Fix: use the targets as they are.
    """
    c = p.shape[1]
    yield -_sum(_times((1 - smoothing) * t + smoothing / c, _log(p)))
    yield -_sum(_times((1 - smoothing) * t + smoothing * (1 - t), _log(p)))
    yield -_sum(_times((1 - smoothing) * t + smoothing / max(c - 1, 1) * (1 - t), _log(p)))


def _shift(sample: Sample) -> Iterable[float]:
    """Return what was added to the probability of the target."""
    p, t = sample.given
    found = _values(sample)
    if found is not None and found.shape == (len(p),):
        with np.errstate(all="ignore"):
            eps = float(np.median(np.exp(-found) - _picked(p, t)))
        if 0 < eps <= 0.5:
            yield eps


@misconception("cross_entropy", shown="-log(p + {constant:.3g})", source=CLIPPED, parameter=_shift)
def eps_shifts_values(p: Array, t: Array, eps: float) -> Iterator[Array]:
    """A constant is added to the probability, large enough to change every loss: one that is sure
    and right becomes negative.

    Fix: add nothing, or at most 1e-12; better clip p at 1e-15 from below.
    """
    yield -_sum(_times(t, _log(p + eps)))


def _bound(sample: Sample) -> Iterable[float]:
    """Return the bounds at which the losses that are wrong stand."""
    p, t = sample.given
    found = _values(sample)
    if found is None or found.shape != (len(p),):
        return
    with np.errstate(all="ignore"):
        stood = np.exp(-found)
    wrong = np.abs(stood - _picked(p, t)) > 1e-4
    for each in dict.fromkeys(np.round(stood[wrong], 4)):
        if 0 < each < 1:
            yield float(each)
            yield float(1 - each)


@misconception(
    "cross_entropy",
    shown="the loss of p clipped at {constant:.3g}",
    source=CLIPPED,
    parameter=_bound,
)
def clamp_shifts_values(p: Array, t: Array, bound: float) -> Iterator[Array]:
    """The probabilities are clipped so far from 0 and 1 that ordinary ones are changed, and get no
    gradient.

    Fix: clip at a tiny value, such as 1e-15, or not at all.
    """
    yield -_sum(_times(t, _log(np.clip(p, bound, 1 - bound)))) if bound < 0.5 else _losses(p, t)
    yield -_sum(_times(t, _log(np.maximum(p, bound))))
    yield -_sum(_times(t, _log(np.minimum(p, bound))))


# --- what ordinary numbers do not show -----------------------------------------------------------


@misconception(
    "cross_entropy",
    shown="-sum(t * log(p)) with 0 * log(0)",
    source=ZEROS,
    rule="LG404",
    extreme=True,
)
def zero_times_log_zero(p: Array, t: Array) -> Array:
    """Where a probability is 0, its logarithm is minus infinity, and 0 times that is NaN: one class
    that is ruled out, rightly, spoils the loss.

    Fix: count 0 log 0 as 0: clip p, use xlogy, or take only the target's entry.
    """
    return -_sum(_times(t, _log(p)))
