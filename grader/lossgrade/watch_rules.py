"""What is wrong with a tensor at a loss or an activation, and the message that says so."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from lossgrade.language import say
from lossgrade.watch_axes import given, normal
from lossgrade.watch_tables import (
    AGAIN,
    LOG_PROBABILITIES,
    LOGITS,
    PROBABILITIES,
    SIGMOID,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

# How far the logarithm of a row's sum may lie from 0: half precision keeps 3 digits of it.
LOG_SUM_TOLERANCE = 0.01


class Meaning(NamedTuple):
    """What a tensor is, over which axis, and where it became that."""

    kind: str
    axis: int | None
    shape: tuple[int, ...]
    file: str
    line: int
    # The function that was applied there, and the class of the layer that applied it, if any.
    applied: str
    layer: str
    # Which exponentials these are, or are the sum of.
    exponentials: int = 0

    def related(self) -> str:
        """Return what was done at the place."""
        if self.kind == LOGITS:
            return say("the layer {layer} gives logits here", layer=self.layer)
        if self.layer:
            return say(
                "{activation} is applied here, by the layer {layer}",
                activation=self.applied,
                layer=self.layer,
            )
        return say("{activation} is applied here", activation=self.applied)


def floor_of(classes: int) -> float:
    """Return what `cross_entropy` cannot fall below where all inputs lie between 0 and 1."""
    return math.log1p((classes - 1) / math.e)


def judge_loss(
    loss: str,
    found: Meaning,
    target: Meaning | None,
    tensor: Any,
    args: Sequence[Any],
    kwargs: dict[str, Any],
) -> tuple[str, str] | None:
    """Return the code and the message of what is wrong with the input of a loss, if anything is.

    Args:
        loss: its name in `torch.nn.functional`.
        found, target: what its first two arguments mean.
        tensor: the first itself, whose values are looked at where its meaning does not decide.
        args, kwargs: all arguments.
    """
    if loss == "cross_entropy":
        return _cross_entropy(found, given(args, kwargs, 2, "weight") is not None)
    if loss == "nll_loss":
        return _nll(found, tensor)
    if loss == "binary_cross_entropy":
        return _bce(found, tensor)
    if loss == "kl_div":
        return _kl_div(found, target, tensor, bool(kwargs.get("log_target", False)))
    if found.kind != SIGMOID:
        return None
    if given(args, kwargs, 2, "weight") is not None:
        return "LG106", say(
            "`{loss}` applies the sigmoid itself: give it logits, not probabilities", loss=loss
        )
    return "LG106", say(
        "`{loss}` applies the sigmoid itself: give it logits, not probabilities; where the target "
        "is 0, its loss cannot fall below {floor:.3f}",
        loss=loss,
        floor=math.log(2),
    )


def _class_axis(found: Meaning) -> int:
    return 1 if len(found.shape) > 1 else 0


def _elsewhere(found: Meaning) -> bool:
    """Say whether an activation surely ran over positions instead of classes."""
    return found.axis is not None and found.axis != _class_axis(found)


def _cross_entropy(found: Meaning, weighted: bool) -> tuple[str, str] | None:
    classes = found.shape[_class_axis(found)] if found.shape else 0
    bounded = classes > 1 and not weighted
    if found.kind == PROBABILITIES:
        # Over the rows of a batch instead of its columns is a second mistake, no excuse.
        if _elsewhere(found) and len(found.shape) > 2:
            return None
        if not bounded:
            return "LG101", say(
                "`cross_entropy` applies softmax itself: give it logits, not probabilities"
            )
        return "LG101", say(
            "`cross_entropy` applies softmax itself: give it logits, not probabilities; of "
            "{classes} classes, its loss cannot fall below {floor:.3f}",
            classes=classes,
            floor=floor_of(classes),
        )
    if found.kind == LOG_PROBABILITIES:
        if found.axis != _class_axis(found):
            return None
        return "LG102", say(
            "`cross_entropy` applies log-softmax itself: give it the logits, or give these "
            "log-probabilities to `nll_loss`"
        )
    if found.kind == SIGMOID:
        if not bounded:
            return "LG103", say(
                "`cross_entropy` applies softmax itself: give it logits, not the probabilities "
                "of a sigmoid; for independent labels use `binary_cross_entropy_with_logits`"
            )
        return "LG103", say(
            "`cross_entropy` applies softmax itself: give it logits, not the probabilities of a "
            "sigmoid; of {classes} classes, its loss cannot fall below {floor:.3f}; for "
            "independent labels use `binary_cross_entropy_with_logits`",
            classes=classes,
            floor=floor_of(classes),
        )
    return None


def _nll(found: Meaning, tensor: Any) -> tuple[str, str] | None:
    if found.kind == PROBABILITIES:
        return "LG104", say(
            "`nll_loss` expects log-probabilities: of probabilities, the loss of an example is "
            "-p, between -1 and 0; apply `log_softmax` in the place of softmax"
        )
    if found.kind == LOGITS and (total := _sum_of_a_row(tensor, _class_axis(found))) is not None:
        return "LG105", say(
            "`nll_loss` expects log-probabilities, not the logits of a layer: the exponentials of "
            "a row sum to {total:.6g}, not to 1; call `cross_entropy`, or apply `log_softmax` "
            "first",
            total=total,
        )
    return None


def _bce(found: Meaning, tensor: Any) -> tuple[str, str] | None:
    if found.kind != LOGITS or (value := _outside(tensor)) is None:
        return None
    return "LG107", say(
        "`binary_cross_entropy` expects probabilities, not the logits of a layer: {value:.6g} "
        "lies outside [0, 1]; call `binary_cross_entropy_with_logits`, or apply a sigmoid first",
        value=value,
    )


def _kl_div(
    found: Meaning, target: Meaning | None, tensor: Any, log_target: bool
) -> tuple[str, str] | None:
    if found.kind == PROBABILITIES:
        if target is not None and target.kind == LOG_PROBABILITIES and not log_target:
            return "LG110", say(
                "`kl_div` takes the log-probabilities of the prediction first and the target's "
                "probabilities second: the two are the other way round"
            )
        classes = found.shape[found.axis] if found.axis is not None else 0
        if classes > 1:
            return "LG108", say(
                "`kl_div` expects log-probabilities as its input, not probabilities: apply "
                "`log_softmax`; of two equal uniform distributions over {classes} classes it "
                "gives {value:.3f}, not 0",
                classes=classes,
                value=-math.log(classes) - 1 / classes,
            )
    if found.kind in {PROBABILITIES, SIGMOID}:
        return "LG108", say(
            "`kl_div` expects log-probabilities as its input, not probabilities: apply "
            "`log_softmax`"
        )
    if found.kind == LOGITS and (total := _sum_of_a_row(tensor, -1)) is not None:
        return "LG108", say(
            "`kl_div` expects log-probabilities as its input, not logits: the exponentials of a "
            "row sum to {total:.6g}, not to 1; apply `log_softmax`",
            total=total,
        )
    return None


def judge_activation(
    name: str, found: Meaning, args: Sequence[Any], kwargs: dict[str, Any]
) -> tuple[str, str] | None:
    """Return the code and the message if an activation gets what one has already made."""
    if name not in AGAIN.get(found.kind, ()):
        return None
    applied = name.rstrip("_")
    if found.kind == SIGMOID:
        return "LG112", say(
            "`{activation}` expects logits, but a sigmoid has already been applied: apply it "
            "once; a sigmoid of probabilities lies between 0.5 and {most:.3f}",
            activation=applied,
            most=1 / (1 + math.exp(-1)),
        )
    if found.axis is None or axis_of(args, kwargs, len(found.shape)) != found.axis:
        return None
    classes = found.shape[found.axis]
    if classes < 2:
        return None
    return "LG112", say(
        "`{activation}` expects logits, but softmax has already been applied: apply it once; of "
        "{classes} classes, a softmax of probabilities gives none more than {most:.3f}",
        activation=applied,
        classes=classes,
        most=math.e / (math.e + classes - 1),
    )


def axis_of(args: Sequence[Any], kwargs: dict[str, Any], ndim: int) -> int | None:
    """Return the axis that a softmax runs over."""
    asked = given(args, kwargs, 1, "dim")
    if asked is None:
        # `F.softmax` without an axis, deprecated: _get_softmax_dim in torch/nn/functional.py.
        return 0 if ndim in (0, 1, 3) else 1
    return normal(asked, ndim)


# --- values, looked at where the meaning alone does not decide ----------------------------------


def _readable(tensor: Any) -> bool:
    """Say whether looking at values disturbs nothing: no capture, no mode that counts."""
    if type(tensor) is not torch.Tensor or tensor.device.type == "meta" or not tensor.numel():
        return False
    if torch._C._len_torch_dispatch_stack():
        return False
    return not (tensor.is_cuda and torch.cuda.is_current_stream_capturing())


def _sum_of_a_row(tensor: Any, axis: int) -> float | None:
    """Return the sum of the exponentials of the row farthest from 1; None if all are near 1."""
    if not _readable(tensor):
        return None
    sums = torch.logsumexp(tensor.detach().double(), axis).flatten()
    worst = float(sums[sums.abs().argmax()])
    if not math.isfinite(worst) or abs(worst) <= LOG_SUM_TOLERANCE:
        return None
    # exp(709.8) is the largest double.
    return math.exp(worst) if worst < 709 else math.inf


def _outside(tensor: Any) -> float | None:
    """Return a value below 0 or above 1, if there is one."""
    if not _readable(tensor):
        return None
    values = tensor.detach().double().flatten()
    value = float(values[(values - 0.5).abs().argmax()])
    return value if math.isfinite(value) and not 0 <= value <= 1 else None
