"""Which slot of a loss a value belongs to: is it a prediction, or what is to be predicted?

Names alone are no evidence. They count only for a value that comes from outside, as a parameter
or as an element of a loop, and never against what is known of it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lossgrade_checks.meaning import values as v

if TYPE_CHECKING:
    from lossgrade_checks.meaning.events import LossCall

SCORES = frozenset({v.LOGITS, v.PROBABILITIES, v.LOG_PROBABILITIES, v.SIGMOID, v.LOG_SIGMOID})
# Meanings that only targets have. A literal is "zeros and ones" when it may be either.
ANSWERS = frozenset({v.ONE_HOT, v.CLASS_INDICES, "zeros and ones", "zeros"})

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_LABEL = frozenset(
    {"y", "ys", "yb", "label", "labels", "lbl", "lbls", "target", "targets", "gt", "truth", "true"}
    | {"onehot"}
)
_DATA = frozenset({"x", "xs", "xb", "img", "imgs", "image", "images", "data", "batch"})
_PREDICTION = frozenset(
    {"hat", "pred", "preds", "predicted", "prediction", "predictions", "out", "output", "outputs"}
    | {"logit", "logits", "prob", "probs", "score", "scores", "student", "teacher", "fake", "recon"}
)


def named(value: Any, words: frozenset[str]) -> bool:
    """Whether a value from outside has a name with one of `words` in it, and is no prediction."""
    if isinstance(value, v.Tensor) and value.meaning == v.PLAIN and not value.learned:
        # `y.long()`, `labels.float()`
        value = value.of
    if not isinstance(value, v.Unknown) or value.source not in {"parameter", "element"}:
        return False
    found = {word.lower() for word in _WORD.findall(value.name)}
    return bool(found & words) and not found & _PREDICTION


def is_label(value: Any) -> bool:
    """Whether a value is surely no prediction but class indices, one-hot rows or the like."""
    if isinstance(value, v.Tensor) and not value.learned:
        if value.meaning in ANSWERS:
            return True
        if value.meaning == v.PLAIN and (value.data or value.dtype in {"int", "bool"}):
            return True
    return named(value, _LABEL)


def is_example(value: Any) -> bool:
    """Whether a value is surely a part of the data, such as the images of an autoencoder."""
    return is_label(value) or named(value, _DATA)


def swapped(call: LossCall) -> bool:
    """Whether a loss has got the prediction as its target, and the target as its input."""
    found, target = call.input, call.target
    if not isinstance(target, v.Tensor) or target.meaning not in SCORES or target.cut:
        return False
    name = call.loss.name
    if name == "kl_div":
        # Its input are log-probabilities, its target probabilities unless `log_target` is set.
        return (
            target.meaning == v.LOG_PROBABILITIES
            and call.options.get("log_target", v.Constant(False)) == v.Constant(False)
            and (is_label(found) or tensor_of(found, v.PROBABILITIES))
        )
    # Class indices are all that `nll_loss` takes, and no target of `cross_entropy` is a logarithm.
    never = name == "nll_loss" or (
        name == "cross_entropy" and target.meaning == v.LOG_PROBABILITIES
    )
    if not (target.learned or never):
        return False
    if isinstance(found, v.Tensor) and found.meaning == v.CLASS_INDICES:
        # They may be the argmax of what was learned.
        return True
    if name.startswith("binary_cross_entropy"):
        return is_example(found)
    return is_label(found)


def tensor_of(value: Any, meaning: str) -> bool:
    """Whether a value is a tensor of that meaning."""
    return isinstance(value, v.Tensor) and value.meaning == meaning
