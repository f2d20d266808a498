"""Reference values in float64, for the trusted side alone.

Whatever comes in is computed in float64, without a warning and without loss of
meaning for logits up to 1e4 in size and for logits of -inf. Classes lie along the
last axis unless an `axis` says otherwise, so one example may be given as a vector
(C,) where the shapes below say (N, C). Logarithms are natural, losses in nats.

Values are not policed, shapes are: what lies outside its range comes out as NaN or
inf by the formula, while a shape that would broadcast into nonsense is an error.
"""

import math
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]
IndexArray: TypeAlias = npt.NDArray[np.int64]
Reduction: TypeAlias = Literal["none", "mean", "sum"]


def one_hot(targets: npt.ArrayLike, num_classes: int) -> FloatArray:
    """Return the one-hot rows of class indices.

    row[n, c] = 1 where c = targets[n], else 0

    Args:
        targets: (N,) int, class indices in [0, C); any other shape gains a last axis.
        num_classes: C.
    Returns:
        (N, C) float.
    Raises:
        TypeError: the targets are not integers.
        ValueError: a target lies outside [0, C).
    """
    indices = _class_indices(targets, num_classes)
    rows: FloatArray = (indices[..., np.newaxis] == np.arange(num_classes)).astype(np.float64)
    return rows


def class_label(logits: npt.ArrayLike, axis: int = -1) -> IndexArray:
    """Return the class of the largest entry; on a tie, the lowest index.

    Probabilities and one-hot rows serve as well as logits. NaN counts as the
    largest entry, as in NumPy and PyTorch.

    Args:
        logits: (N, C) float.
        axis: the class axis.
    Returns:
        (N,) int.
    Raises:
        ValueError: there are no classes.
    """
    labels: IndexArray = np.argmax(_floats(logits), axis=axis).astype(np.int64)
    return np.asarray(labels)


def accuracy(predictions: npt.ArrayLike, targets: npt.ArrayLike) -> FloatArray:
    """Return the fraction of predictions that name the target class.

    Args:
        predictions: (N, C) float, logits or probabilities, or (N,) int, class indices.
        targets: (N,) int, class indices.
    Returns:
        () float in [0, 1]; NaN for an empty batch.
    Raises:
        TypeError: class indices are not integers.
        ValueError: the shapes do not agree, or a target is no class.
    """
    if np.ndim(predictions) == np.ndim(targets) + 1:
        labels = class_label(predictions)
        wanted = _class_indices(targets, np.shape(predictions)[-1])
    else:
        labels, wanted = _class_indices(predictions), _class_indices(targets)
    _same_shape(labels.shape, wanted.shape)
    return reduce(labels == wanted, "mean")


def softmax(logits: npt.ArrayLike, axis: int = -1) -> FloatArray:
    """Return exp(logits) divided by its sum along `axis`.

    probabilities[n, c] = exp(logits[n, c] - max_k logits[n, k]) / sum over c of the same

    A row is NaN throughout if it holds NaN or +inf, or nothing but -inf. The relative
    error of a probability p is about |log p| * 1.1e-16: the shifted logit is rounded
    before exp.

    Args:
        logits: (N, C) float, unnormalised.
        axis: the class axis.
    Returns:
        (N, C) float; sums to 1 along `axis`.
    Source: Blanchard, Higham and Higham (2021), doi:10.1093/imanum/draa038.
    """
    with np.errstate(all="ignore"):
        exponentials = np.exp(_shifted(_floats(logits), axis))
        probabilities: FloatArray = exponentials / exponentials.sum(axis=axis, keepdims=True)
    return probabilities


def log_softmax(logits: npt.ArrayLike, axis: int = -1) -> FloatArray:
    """Return the logarithm of softmax, finite wherever the logits are.

    log_probabilities[n, c] = logits[n, c] - logsumexp(logits[n])

    The largest term of the sum is exp(0) = 1. It is left to log1p, so that a
    log-probability as small as -1e-300 keeps all its digits; log would round it to 0.
    Rows that softmax makes NaN are NaN here.

    Args:
        logits: (N, C) float, unnormalised.
        axis: the class axis.
    Returns:
        (N, C) float, at most 0.
    Source: Blanchard, Higham and Higham (2021), doi:10.1093/imanum/draa038.
    """
    array = _floats(logits)
    if array.size == 0:
        return array.copy()
    with np.errstate(all="ignore"):
        shifted = _shifted(array, axis)
        others = np.exp(shifted)
        largest = np.argmax(shifted, axis=axis, keepdims=True)
        # Take 1 away, not the term itself: NaN must stay NaN.
        without_largest = np.take_along_axis(others, largest, axis=axis) - 1.0
        np.put_along_axis(others, largest, without_largest, axis=axis)
        log_probabilities: FloatArray = shifted - np.log1p(others.sum(axis=axis, keepdims=True))
    return log_probabilities


def nll_loss(log_probabilities: npt.ArrayLike, targets: npt.ArrayLike) -> FloatArray:
    """Return the negative log-likelihood of the targets, one loss per example.

    loss[n] = -log_probabilities[n, targets[n]]                     for class indices
    loss[n] = -sum over c of targets[n, c] * log_probabilities[n, c]   for class probabilities

    A class of probability 0 in the targets adds nothing, even where the log-probability
    is -inf (PyTorch gives NaN there).

    Args:
        log_probabilities: (N, C) float.
        targets: (N,) int, class indices in [0, C), or (N, C) float, class probabilities.
    Returns:
        (N,) float, in nats.
    Raises:
        TypeError: class indices are not integers.
        ValueError: the shapes do not agree, or a target lies outside [0, C).
    Source: Bishop (2006), equation 4.108.
    """
    log_probs = _floats(log_probabilities)
    if np.ndim(targets) == log_probs.ndim:
        weights = _floats(targets)
        _same_shape(log_probs.shape, weights.shape)
        return _negated(_weighted_sum(weights, log_probs))
    _same_shape(log_probs.shape[:-1], np.shape(targets))
    indices = _class_indices(targets, log_probs.shape[-1])
    return _negated(np.take_along_axis(log_probs, indices[..., np.newaxis], axis=-1)[..., 0])


def cross_entropy(probabilities: npt.ArrayLike, targets: npt.ArrayLike) -> FloatArray:
    """Return the cross-entropy of the targets and `probabilities`, one loss per example.

    loss[n] = -log(probabilities[n, targets[n]])                     for class indices
    loss[n] = -sum over c of targets[n, c] * log(probabilities[n, c])   for class probabilities

    0 * log(0) is 0, and a target class of probability 0 costs inf. The rows are not
    normalised, and a negative probability gives NaN.

    Args:
        probabilities: (N, C) float, in [0, 1].
        targets: (N,) int, class indices in [0, C), or (N, C) float, class probabilities.
    Returns:
        (N,) float, in nats.
    Raises:
        TypeError: class indices are not integers.
        ValueError: the shapes do not agree, or a target lies outside [0, C).
    Source: Goodfellow, Bengio and Courville (2016), equation 3.51.
    """
    return nll_loss(_log(_floats(probabilities)), targets)


def cross_entropy_from_logits(logits: npt.ArrayLike, targets: npt.ArrayLike) -> FloatArray:
    """Return the cross-entropy of the targets and softmax(`logits`), one loss per example.

    loss[n] = logsumexp(logits[n]) - logits[n, targets[n]]   for class indices

    Args:
        logits: (N, C) float, unnormalised.
        targets: (N,) int, class indices in [0, C), or (N, C) float, class probabilities.
    Returns:
        (N,) float, in nats.
    Raises:
        TypeError: class indices are not integers.
        ValueError: the shapes do not agree, or a target lies outside [0, C).
    Source: Goodfellow, Bengio and Courville (2016), section 6.2.2.3.
    """
    return nll_loss(log_softmax(logits), targets)


def reduce(losses: npt.ArrayLike, reduction: Reduction) -> FloatArray:
    """Return the losses as they are, their mean, or their sum.

    Args:
        losses: (N,) float.
        reduction: "none" gives (N,); "mean" and "sum" give ().
    Returns:
        float; an empty batch has the sum 0 and the mean NaN, as in PyTorch.
    Raises:
        ValueError: the reduction is none of the three.
    """
    array = _floats(losses)
    with np.errstate(all="ignore"):
        if reduction == "none":
            return array.copy()
        if reduction == "sum":
            return np.asarray(array.sum(), dtype=np.float64)
        if reduction == "mean":
            return np.asarray(array.sum() / np.float64(array.size), dtype=np.float64)
    raise ValueError(f'reduction is {reduction!r}, expected "none", "mean" or "sum"')


def sigmoid(logits: npt.ArrayLike) -> FloatArray:
    """Return 1 / (1 + exp(-logits)), elementwise.

    Only the exponential of a number below 0 is taken, so nothing overflows and a small
    probability keeps its digits.

    Args:
        logits: float, any shape.
    Returns:
        float in [0, 1], the same shape.
    """
    array = _floats(logits)
    with np.errstate(all="ignore"):
        small = np.exp(-np.abs(array))
        probabilities: FloatArray = np.where(array < 0, small, 1.0) / (1.0 + small)
    return probabilities


def entropy(probabilities: npt.ArrayLike, base: float = math.e) -> FloatArray:
    """Return the entropy of each row.

    entropy[n] = -sum over c of p[n, c] * log(p[n, c]) / log(base), with 0 * log(0) = 0

    Args:
        probabilities: (N, C) float, in [0, 1].
        base: of the logarithm; e gives nats, 2 gives bits.
    Returns:
        (N,) float.
    Raises:
        ValueError: the base is not above 1.
    Source: Shannon (1948), theorem 2.
    """
    if not base > 1:
        raise ValueError(f"base is {base:.6g}, expected more than 1")
    array = _floats(probabilities)
    with np.errstate(all="ignore"):
        return _negated(_weighted_sum(array, _log(array)) / math.log(base))


def kl_divergence(p: npt.ArrayLike, q: npt.ArrayLike) -> FloatArray:
    """Return the Kullback-Leibler divergence of each row of `q` from that of `p`.

    divergence[n] = sum over c of p[n, c] * (log(p[n, c]) - log(q[n, c]))

    A class with p = 0 adds nothing; one with p > 0 and q = 0 makes it inf. The error is
    absolute, about 1e-16 times the larger entropy: between rows that are nearly equal
    the terms cancel, and the result may be as low as -1e-16.

    Args:
        p: (N, C) float, class probabilities: the targets.
        q: (N, C) float, class probabilities: the predictions.
    Returns:
        (N,) float, in nats.
    Raises:
        ValueError: the shapes differ.
    Source: Goodfellow, Bengio and Courville (2016), equation 3.50.
    """
    targets, predictions = _floats(p), _floats(q)
    _same_shape(predictions.shape, targets.shape)
    with np.errstate(all="ignore"):
        # Where both are 0 the difference of logarithms is NaN; any finite number will do.
        both_zero = (targets == 0) & (predictions == 0)
        differences = np.where(both_zero, 0.0, _log(targets) - _log(predictions))
    return _weighted_sum(targets, differences)


def binary_cross_entropy(probabilities: npt.ArrayLike, targets: npt.ArrayLike) -> FloatArray:
    """Return the two-class cross-entropy of one probability per example.

    loss[n] = -(y[n] * log(p[n]) + (1 - y[n]) * log(1 - p[n])), with 0 * log(0) = 0

    A certain and wrong prediction costs inf (PyTorch stops at 100).

    Args:
        probabilities: (N,) float in [0, 1], of the class 1.
        targets: (N,) float in [0, 1].
    Returns:
        (N,) float, in nats.
    Raises:
        ValueError: the shapes differ.
    Source: Bishop (2006), equation 4.90.
    """
    p, y = _floats(probabilities), _floats(targets)
    _same_shape(p.shape, y.shape)
    with np.errstate(all="ignore"):
        logs = np.stack([np.log1p(-p), _log(p)], axis=-1)
        return _negated(_weighted_sum(np.stack([1.0 - y, y], axis=-1), logs))


def mean_squared_error(predictions: npt.ArrayLike, targets: npt.ArrayLike) -> FloatArray:
    """Return the mean over all entries of the squared difference.

    Args:
        predictions: float, any shape.
        targets: float, the same shape; (N,) against (N, 1) is an error, not N * N differences.
    Returns:
        () float; NaN for an empty batch.
    Raises:
        ValueError: the shapes differ.
    """
    left, right = _floats(predictions), _floats(targets)
    _same_shape(left.shape, right.shape)
    with np.errstate(all="ignore"):
        return reduce(np.square(left - right), "mean")


def hinge_loss(predictions: npt.ArrayLike, targets: npt.ArrayLike) -> FloatArray:
    """Return the hinge loss, summed over the examples.

    loss = sum over n of max(0, 1 - targets[n] * predictions[n])

    Args:
        predictions: (N,) float, unnormalised.
        targets: (N,), each -1 or 1.
    Returns:
        () float.
    Raises:
        ValueError: the shapes differ, or a target is neither -1 nor 1.
    Source: Bishop (2006), section 7.1.2.
    """
    h, y = _floats(predictions), _floats(targets)
    _same_shape(h.shape, y.shape)
    if strange := y[np.abs(y) != 1].tolist():
        raise ValueError(f"target is {strange[0]:.6g}, expected -1 or 1")
    with np.errstate(all="ignore"):
        return reduce(np.maximum(0.0, 1.0 - y * h), "sum")


def softmax_vjp(logits: npt.ArrayLike, cotangent: npt.ArrayLike, axis: int = -1) -> FloatArray:
    """Return the gradient of sum(cotangent * softmax(logits)) with respect to the logits.

    gradient[n, c] = p[n, c] * (cotangent[n, c] - sum over k of p[n, k] * cotangent[n, k])

    The error is absolute, about 1e-16 times the largest cotangent.

    Args:
        logits: (N, C) float, unnormalised.
        cotangent: (N, C) float.
        axis: the class axis.
    Returns:
        (N, C) float; sums to 0 along `axis`.
    Raises:
        ValueError: the shapes differ.
    Source: Bishop (2006), equation 4.106.
    """
    probabilities, upstream = softmax(logits, axis), _floats(cotangent)
    _same_shape(probabilities.shape, upstream.shape)
    with np.errstate(all="ignore"):
        mean = (probabilities * upstream).sum(axis=axis, keepdims=True)
        gradient: FloatArray = probabilities * (upstream - mean)
    return gradient


def cross_entropy_logits_gradient(logits: npt.ArrayLike, targets: npt.ArrayLike) -> FloatArray:
    """Return the gradient of the SUMMED cross-entropy of softmax(`logits`).

    gradient[n, c] = softmax(logits)[n, c] * sum over k of t[n, k] - t[n, c]

    With t the one-hot rows or class probabilities: probabilities minus targets, as the
    rows of t sum to 1. Divide by N for the mean. The error is absolute, about 1e-16.

    Args:
        logits: (N, C) float, unnormalised.
        targets: (N,) int, class indices in [0, C), or (N, C) float, class probabilities.
    Returns:
        (N, C) float.
    Raises:
        TypeError: class indices are not integers.
        ValueError: the shapes do not agree, or a target lies outside [0, C).
    Source: Bishop (2006), equation 4.109.
    """
    probabilities = softmax(logits)
    if np.ndim(targets) == probabilities.ndim:
        weights = _floats(targets)
        _same_shape(probabilities.shape, weights.shape)
    else:
        _same_shape(probabilities.shape[:-1], np.shape(targets))
        weights = one_hot(targets, probabilities.shape[-1])
    with np.errstate(all="ignore"):
        total = weights.sum(axis=-1, keepdims=True)
        gradient: FloatArray = probabilities * total - weights
    return gradient


def _floats(values: npt.ArrayLike) -> FloatArray:
    """Return `values` in float64; booleans count as 0 and 1."""
    array = np.asarray(values)
    if array.dtype == np.float64:
        return array
    if array.dtype.kind not in "biuf":
        raise TypeError(f"dtype is {array.dtype}, expected real numbers")
    with np.errstate(all="ignore"):  # a longdouble may overflow
        return array.astype(np.float64, copy=False)


def _class_indices(values: npt.ArrayLike, num_classes: int | None = None) -> IndexArray:
    """Return `values` as int64, each in [0, num_classes) where that is known."""
    array = np.asarray(values)
    # NumPy reads an empty list as float64.
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"targets have dtype {array.dtype}, expected integer class indices")
    if num_classes is not None and array.size:
        for found in (int(array.min()), int(array.max())):
            if not 0 <= found < num_classes:
                raise ValueError(f"target is {found}, expected a class in [0, {num_classes})")
    return array.astype(np.int64)


def _same_shape(predicted: tuple[int, ...], target: tuple[int, ...]) -> None:
    """Refuse what NumPy would broadcast."""
    if predicted != target:
        raise ValueError(f"targets have shape {target}, expected {predicted}")


def _shifted(logits: FloatArray, axis: int) -> FloatArray:
    """Return the logits less the largest along `axis`, so that exp cannot overflow."""
    shifted: FloatArray = logits - logits.max(axis=axis, keepdims=True, initial=-np.inf)
    return shifted


def _log(values: FloatArray) -> FloatArray:
    """Return the natural logarithm, -inf at 0 and NaN below, without a warning."""
    with np.errstate(all="ignore"):
        logarithms: FloatArray = np.log(values)
    return logarithms


def _weighted_sum(weights: FloatArray, values: FloatArray) -> FloatArray:
    """Return the row sums of weights * values, where a weight of 0 silences an infinity."""
    with np.errstate(all="ignore"):
        products = np.where((weights == 0) & np.isinf(values), 0.0, weights * values)
        return np.asarray(products.sum(axis=-1), dtype=np.float64)


def _negated(values: npt.ArrayLike) -> FloatArray:
    """Return 0 - values: a loss of nothing is 0, never -0."""
    return np.asarray(0.0 - np.asarray(values, dtype=np.float64))
