"""The mode that follows meanings: which tensors are probabilities, as they are made.

A tensor's meaning is kept beside it, by its number and a weak reference, and dropped with it. No
exception of ours reaches the program that is watched: what cannot be followed is unknown.
"""

from __future__ import annotations

import functools
import importlib
import itertools
import os
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.overrides import TorchFunctionMode

from lossgrade.watch import Watch, WatchReport
from lossgrade.watch_axes import axis_after, given
from lossgrade.watch_rules import Meaning, axis_of, judge_activation, judge_loss
from lossgrade.watch_tables import (
    ACTIVATIONS,
    EFFECTS,
    EXPONENTIAL,
    EXPONENTIALS,
    LAYER_FILES,
    LOGARITHMS,
    LOGITS,
    NAMESPACES,
    PROBABILITIES,
    RULES,
    SMALL,
    SUM,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

_is_compiling = torch.compiler.is_compiling
# Whoever looks at a tensor in it is seen by no mode and no subclass.
_unseen = torch._C.DisableTorchFunction

# Frames of these are nobody's line: torch, ourselves, and what torch generates.
_INSIDE = (
    os.path.dirname(torch.__file__) + os.sep,  # noqa: PTH120 - names, as code objects have them
    os.path.dirname(__file__) + os.sep,  # noqa: PTH120
    "<eval_with_key>",
)
_LAYERS = tuple(os.path.join(_INSIDE[0], "nn", "modules", name) for name in LAYER_FILES)  # noqa: PTH118

# What gives a meaning to the result of tensors that have none.
_MAKERS = frozenset({"activation", "layer", "exp"})

_answered = threading.local()
_numbers = itertools.count(1)


class _Ref(weakref.ref[Any]):
    __slots__ = ("key",)
    key: int


class _Known(NamedTuple):
    ref: _Ref
    # How often the tensor had been changed in place: each change outside our tables loses it.
    version: int
    meaning: Meaning


class _Step(NamedTuple):
    effect: str
    name: str
    before: Meaning | None
    report: WatchReport | None


@functools.cache
def effects() -> dict[Any, tuple[str, str]]:
    """Return the effect and the name of every function in the tables, by the function."""
    found: dict[Any, tuple[str, str]] = {}
    # All that works in place and is not in the tables.
    for name in dir(torch.Tensor):
        if (name.endswith("_") and not name.startswith("_")) or name == "__setitem__":
            found[getattr(torch.Tensor, name)] = ("forget", name)
    found[torch.Tensor.data.__set__] = ("forget", "data")
    spaces = [_looked_up(namespace) for namespace in NAMESPACES]
    for path, effect in EFFECTS.items():
        name, _, getter = path.partition(".")
        for space in spaces:
            function = getattr(space, name, None)
            if getter:
                function = getattr(function, getter, None)
            if callable(function) and not isinstance(function, type):
                found[function] = (effect, name)
    return found


def _looked_up(namespace: str) -> Any:
    if namespace == "torch.Tensor":
        return torch.Tensor
    return importlib.import_module(namespace)


def place() -> tuple[str, int, str]:
    """Return the file and line that called into torch, and the class of the layer there, if any."""
    frame: FrameType | None = sys._getframe(1)
    layer = ""
    while frame is not None:
        file = frame.f_code.co_filename
        # Another mode that is active stands between.
        if not _is_inside(file) and frame.f_code.co_name != "__torch_function__":
            return file, frame.f_lineno, layer
        if not layer and file in _LAYERS:
            layer = type(frame.f_locals.get("self")).__name__
        frame = frame.f_back
    return "", 0, layer


@functools.lru_cache(maxsize=4096)
def _is_inside(file: str) -> bool:
    return file.startswith(_INSIDE)


class Follow(TorchFunctionMode):  # type: ignore[misc]  # torch's types are not read here
    """Follows meanings and tells a `Watch` of losses that get the wrong one."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self.watch = watch
        self._known: dict[int, _Known] = {}
        self._effects = effects()

    def enter(self) -> None:
        torch._C._push_on_torch_function_stack(self)

    def leave(self) -> None:
        """Stop, also where others entered later have not left yet, and forget everything."""
        others = []
        while torch._C._len_torch_function_stack():
            top = torch._C._pop_torch_function_stack()
            if top is self:
                break
            others.append(top)
        for mode in reversed(others):
            torch._C._push_on_torch_function_stack(mode)
        self._known.clear()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        __tracebackhide__ = True
        del types
        kwargs = kwargs or {}
        if _is_compiling():
            return func(*args, **kwargs)
        try:
            effect = self._effects.get(func)
            step = None if effect is None else self._before(*effect, args, kwargs)
        except Exception:  # the program that is watched must not notice
            step = None
        if step is None:
            return func(*args, **kwargs)
        if step.report is not None and not getattr(_answered, "by_inner", False):
            self.watch.note(step.report)
            _answered.by_inner = True
            try:
                result = func(*args, **kwargs)
            finally:
                _answered.by_inner = False
        else:
            result = func(*args, **kwargs)
        try:
            self._after(step, args, kwargs, result)
        except Exception:  # as above; what is not known is silent
            return result
        return result

    # --- before the call ------------------------------------------------------------------------

    def _before(self, effect: str, name: str, args: Any, kwargs: Any) -> _Step | None:
        """Return what is to be done after the call; None if that is nothing."""
        operand = args[0] if args else kwargs.get("input", kwargs.get("tensors"))
        if effect in {"cat", "stack", "attach"}:
            before = self._of_all(operand)
        else:
            before = self._of(operand)
        if before is None:
            return _Step(effect, name, None, None) if effect in _MAKERS else None
        if effect == "forget":
            self._known.pop(id(operand), None)
            return None
        if effect == "activation":
            found = judge_activation(name, before, args, kwargs)
        elif effect == "loss":
            with _unseen(), torch.no_grad():
                target = self._of(given(args, kwargs, 1, "target"))
                found = judge_loss(name, before, target, operand, args, kwargs)
        else:
            found = None
        return _Step(effect, name, before, _report(*found, before) if found else None)

    def _of(self, tensor: Any) -> Meaning | None:
        known = self._known.get(id(tensor))
        if known is None or known.ref() is not tensor:
            return None
        return known.meaning if known.version == _version(tensor) else None

    def _of_all(self, tensors: Any) -> Meaning | None:
        found = [self._of(tensor) for tensor in tensors]
        first = found[0]
        if first is None or any(each is None or each.kind != first.kind for each in found):
            return None
        same = all(each is not None and each.axis == first.axis for each in found)
        return first if same else first._replace(axis=None)

    # --- after the call -------------------------------------------------------------------------

    def _after(self, step: _Step, args: Any, kwargs: Any, result: Any) -> None:
        if step.effect == "loss":
            return
        if step.effect in {"pieces", "unbind"}:
            for each in result:
                self._follow(step, args, kwargs, each)
        else:
            self._follow(step, args, kwargs, result[0] if step.name == "sort" else result)

    def _follow(self, step: _Step, args: Any, kwargs: Any, result: Any) -> None:
        if not isinstance(result, torch.Tensor):
            return
        with _unseen():
            if not result.is_floating_point():
                return
            shape = tuple(result.shape)
        meaning = self._made(step, args, kwargs, shape)
        if meaning is None:
            # It may be the operand itself, changed in place.
            self._known.pop(id(result), None)
            return
        ref = _Ref(result, self._dropped)
        ref.key = id(result)
        self._known[ref.key] = _Known(ref, _version(result), meaning)

    def _dropped(self, ref: _Ref) -> None:
        known = self._known.get(ref.key)
        if known is not None and known.ref is ref:
            del self._known[ref.key]

    def _made(self, step: _Step, args: Any, kwargs: Any, shape: tuple[int, ...]) -> Meaning | None:
        """Return the meaning of a result of that shape; None if it has none that is known."""
        effect, name, before, _ = step
        if effect == "activation":
            kind = ACTIVATIONS[name]
            axis = axis_of(args, kwargs, len(shape)) if "soft" in name else None
            return Meaning(kind, axis, shape, *_applied(name))
        if effect == "layer":
            where = _applied(name)
            return Meaning(LOGITS, None, shape, *where) if where[3] else None
        if effect == "exp" and (before is None or before.kind not in EXPONENTIALS):
            return Meaning(EXPONENTIAL, None, shape, "", 0, "exp", "", next(_numbers))
        if before is None:
            return None
        other = given(args, kwargs, 1, "other")
        if effect == "divide" and before.kind == EXPONENTIAL:
            axis = _summed_axis(before, self._of(other))
            where = _applied("softmax")
            return None if axis is None else Meaning(PROBABILITIES, axis, shape, *where)
        kind = _kind_after(effect, before.kind, other, kwargs)
        if not kind:
            return None
        axis = axis_after(effect, name, before.axis, before.shape, shape, args, kwargs)
        return before._replace(kind=kind, axis=axis, shape=shape)


def _kind_after(effect: str, kind: str, other: Any, kwargs: Any) -> str:
    """Return what something of a kind is after an effect; nothing if that is not known."""
    if effect == "log":
        return LOGARITHMS.get(kind, "")
    if effect == "exp":
        return EXPONENTIALS[kind]
    if effect == "sum":
        return SUM if kind == EXPONENTIAL else ""
    if effect == "guard":
        # Somebody who clamps logits takes them for something else.
        keeps = kind != LOGITS
    elif effect == "add":
        keeps = _is_small(other, kwargs)
    elif effect in {"scale", "divide"}:
        keeps = kind == LOGITS and _is_number(other)
    else:
        keeps = effect != "negate" or kind == LOGITS
    return kind if keeps else ""


def _summed_axis(exponentials: Meaning, total: Meaning | None) -> int | None:
    """Return the axis that these exponentials were summed over, if that is what `total` is."""
    if total is None or total.kind != SUM or total.exponentials != exponentials.exponentials:
        return None
    for axis, size in enumerate(exponentials.shape):
        row = (*exponentials.shape[:axis], 1, *exponentials.shape[axis + 1 :])
        if size > 1 and row == total.shape:
            return axis
    return None


def _applied(name: str) -> tuple[str, int, str, str]:
    file, line, layer = place()
    return file, line, name.rstrip("_"), layer


def _version(tensor: Any) -> int:
    with _unseen():
        # Those of `torch.inference_mode` are not counted: of their changes only calls are seen.
        return -1 if tensor.is_inference() else int(tensor._version)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_small(other: Any, kwargs: Any) -> bool:
    """Say whether what is added is a small number, as it guards a logarithm."""
    if isinstance(other, torch.Tensor):
        with _unseen():
            if other.dim() or other.device.type != "cpu" or type(other) is not torch.Tensor:
                return False
            other = other.item()
    return _is_number(other) and abs(other * kwargs.get("alpha", 1)) <= SMALL


def _report(code: str, message: str, found: Meaning) -> WatchReport:
    name, severity = RULES[code]
    file, line, _ = place()
    return WatchReport(
        code, name, message, file, line, found.file, found.line,
        severity=severity, related=found.related(),
    )  # fmt: skip
