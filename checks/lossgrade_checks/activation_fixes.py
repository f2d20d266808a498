"""Edits that remove the activation before a loss, or put another in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lossgrade_checks.finding import Edit
    from lossgrade_checks.fixes import Patch
    from lossgrade_checks.meaning.events import Activation, LossCall

LAYERS = {"softmax": "Softmax", "log_softmax": "LogSoftmax"}


def is_inline(patch: Patch, call: LossCall, activation: Activation) -> bool:
    """Whether the activation is the very expression in the argument: nothing else uses it."""
    inner = patch.call(activation.site)
    return inner is not None and patch.node(call.input_node) is inner


def without(patch: Patch, activation: Activation) -> Edit | None:
    """Return the edit that leaves what `activation` is applied to."""
    call = patch.call(activation.site)
    if call is None or activation.kind == "softmin":
        # A softmin is the softmax of the negated logits.
        return None
    layer = activation.layer
    if layer is not None and layer.site == activation.site:
        return patch.remove_layer(call)
    if activation.style == "method":
        value = getattr(call.func, "value", None)
        return None if value is None else patch.drop_idle(patch.put(call, value))
    operand = patch.argument(call, 0, "input")
    return None if operand is None else patch.drop_idle(patch.put(call, operand.value))


def instead(patch: Patch, activation: Activation, name: str) -> tuple[Edit, ...] | None:
    """Return the edits that apply the activation `name` where the program applies another."""
    layer = activation.layer
    call = patch.call(activation.site if layer is None else layer.site)
    if call is None:
        return None
    if layer is not None:
        return patch.call_instead(call, layer.path.rpartition(".")[2], LAYERS[name])
    return patch.call_instead(call, activation.path.rpartition(".")[2], name)


def other_loss(patch: Patch, call: LossCall, function: str, cls: str) -> tuple[Edit, ...] | None:
    """Return the edits that compute another loss, with the same arguments."""
    layer = call.layer
    made = patch.call(call.site if layer is None else layer.site)
    if made is None:
        return None
    old, new = (call.loss.function, function) if layer is None else (call.loss.cls, cls)
    return patch.call_instead(made, old, new)
