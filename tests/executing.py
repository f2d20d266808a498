"""Execute an example of a rule with PyTorch, whole, and keep what happens for a proof of damage."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import sys
import types
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (its name everywhere)
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from lossgrade_checks.rule import Example

LOSSES = (
    "cross_entropy",
    "nll_loss",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "multilabel_soft_margin_loss",
    "kl_div",
    "mse_loss",
)
# What makes an example none: it must fail by its mistake alone.
NO_PROGRAM = (NameError, ImportError, SyntaxError)


@dataclass(frozen=True)
class LossCall:
    """A loss of `torch.nn.functional` that was called. `value` is None where it raised."""

    name: str
    arguments: dict[str, Any]
    # The names of the arguments that depend on parameters.
    learned: frozenset[str]
    value: Any

    @property
    def input(self) -> Any:
        """What was given as the prediction."""
        return self.arguments["input"]

    @property
    def target(self) -> Any:
        """What was given as the target."""
        return self.arguments["target"]

    def again(self, **changed: Any) -> Any:
        """Return the loss of the same arguments, some of them changed."""
        return getattr(F, self.name)(**{**self.arguments, **changed})


class Ran:
    """An example that was executed: what it left, called, returned, warned of and raised."""

    def __init__(self, folder: Path, example: Example, arguments: Mapping[str, Any]) -> None:
        self.text = example.bad
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self.losses: list[LossCall] = []
        self.returned: list[Any] = []
        self.warnings: list[str] = []
        self.errors: list[Exception] = []
        # Objects that somebody calls by name: of classes, and models given as arguments.
        self.models: list[nn.Module] = []
        self._arguments = arguments
        self._path = str(folder / "example.py")
        self._reached: set[types.CodeType] = set()
        for name, text in example.files:
            (folder / name).write_text(text, encoding="utf-8")
        with self._watched(folder, example):
            self._try(lambda: exec(compile(self.text, self._path, "exec"), self.names))
            self._call_the_rest()

    # --- executing ------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _watched(self, folder: Path, example: Example) -> Iterator[None]:
        modules = [name.removesuffix(".py") for name, _ in example.files]
        losses = {name: getattr(F, name) for name in LOSSES}
        for name, function in losses.items():
            setattr(F, name, self._recorded(name, function))
        sys.path.insert(0, str(folder))
        importlib.invalidate_caches()
        before = sys.getprofile()
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                sys.setprofile(self._profile)
                with contextlib.redirect_stdout(io.StringIO()):
                    yield
        finally:
            sys.setprofile(before)
            sys.path.remove(str(folder))
            for name, function in losses.items():
                setattr(F, name, function)
            for name in modules:
                sys.modules.pop(name, None)
        self.warnings = [str(warning.message) for warning in caught]

    def _recorded(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(function)

        def call(*positional: Any, **keywords: Any) -> Any:
            bound = dict(signature.bind(*positional, **keywords).arguments)
            kept = {
                key: x.detach().clone() if isinstance(x, torch.Tensor) else x
                for key, x in bound.items()
            }
            learned = frozenset(key for key, x in bound.items() if getattr(x, "requires_grad", 0))
            value = None
            try:
                value = function(*positional, **keywords)
            finally:
                self.losses.append(LossCall(name, kept, learned, value))
            return value

        return call

    def _profile(self, frame: types.FrameType, event: str, value: Any) -> None:
        if frame.f_code.co_filename == self._path:
            self._reached.add(frame.f_code)
            if event == "return" and frame.f_code.co_name != "<module>" and value is not None:
                self.returned.append(value)

    def _try(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except NO_PROGRAM:
            raise
        except Exception as error:
            self.errors.append(error)
            return None

    # --- calling what the example only defines --------------------------------------------------

    def _call_the_rest(self) -> None:
        for value in list(self.names.values()):
            if isinstance(value, types.FunctionType) and self._left(value):
                self._try(lambda value=value: value(**self._given(value)))  # type: ignore[misc]
            elif isinstance(value, type) and value.__module__ == "__main__":
                self._use(value)
            elif isinstance(value, nn.Module) and not self.errors:
                self.models.append(value)

    def _left(self, function: types.FunctionType) -> bool:
        code = function.__code__
        return code.co_filename == self._path and code not in self._reached

    def _use(self, cls: type) -> None:
        left = [
            name
            for name, method in vars(cls).items()
            if isinstance(method, types.FunctionType) and self._left(method) and name != "__init__"
        ]
        if not left:
            return
        made = self._try(lambda: cls(**self._given(cls)))
        if isinstance(made, nn.Module):
            self.models.append(made)
        for name in left if made is not None else ():
            method = made if name == "forward" else getattr(made, name)
            given = self._given(getattr(cls, name))
            self._try(lambda method=method, given=given: method(**given))  # type: ignore[misc]

    def _given(self, function: Any) -> dict[str, Any]:
        """Return arguments for a function, found by the names of its parameters."""
        return {
            parameter.name: self.argument(parameter.name)
            for parameter in inspect.signature(function).parameters.values()
            if parameter.name != "self" and parameter.default is parameter.empty
        }

    def argument(self, name: str) -> Any:
        """Return an argument for the parameter `name`."""
        make = self._arguments.get(name) or ARGUMENTS.get(name)
        if name in FEATURES and name not in self._arguments:
            make = self._features
        assert make is not None, f"no argument is known for the parameter {name!r}"
        value = make()
        if isinstance(value, nn.Module):
            self.models.append(value)
        return value

    def _features(self) -> Any:
        """Return eight examples that the model at hand takes."""
        left = [value for value in self.names.values() if isinstance(value, nn.Module)]
        for module in [*reversed(self.models), *left]:
            for layer in module.modules():
                if isinstance(layer, nn.Linear):
                    return torch.randn(8, layer.in_features)
                if isinstance(layer, nn.Conv2d):
                    return torch.randn(8, layer.in_channels, 5, 5)
        return torch.randn(8, 20)

    def again(self, **arguments: Any) -> list[Any]:
        """Return what each function gives for `arguments`, by parameter; those it has, it gets."""
        results = []
        for value in self.names.values():
            if isinstance(value, types.FunctionType) and value.__code__.co_filename == self._path:
                named = inspect.signature(value).parameters
                given = {
                    key: arguments[key] if key in arguments else self.argument(key)
                    for key, parameter in named.items()
                    if key in arguments or parameter.default is parameter.empty
                }
                if named.keys() & arguments.keys():
                    results.append(value(**given))
        return results

    # --- what is left ---------------------------------------------------------------------------

    def values(self) -> list[Any]:
        """Return all arrays and numbers that were returned or are left, as NumPy arrays."""
        found: list[Any] = []
        queue = [*self.returned, *self.names.values(), *(call.value for call in self.losses)]
        while queue:
            value = queue.pop()
            if isinstance(value, tuple | list):
                queue += value
            elif isinstance(value, torch.Tensor):
                found.append(value.detach().double().numpy())
            elif isinstance(value, np.ndarray | float | np.floating):
                found.append(np.asarray(value, dtype=float))
        return found

    def gradients(self) -> list[Any]:
        """Return the gradients of all parameters of the example's models."""
        modules = [x for x in self.names.values() if isinstance(x, nn.Module)] + self.models
        return [parameter.grad for module in modules for parameter in module.parameters()]


def _batch() -> tuple[Any, Any]:
    return torch.randn(8, 20), torch.randint(0, 10, (8,))


FEATURES = frozenset({"x", "features", "images", "noise", "words"})
# An argument for a parameter of this name: eight examples of 20 features and 10 classes.
ARGUMENTS: dict[str, Callable[[], Any]] = {
    **dict.fromkeys(("logits", "outputs", "student", "teacher"), lambda: torch.randn(8, 10)),
    **dict.fromkeys(("y", "targets", "target", "labels"), lambda: torch.randint(0, 10, (8,))),
    **dict.fromkeys(("model", "head", "net", "network"), lambda: nn.Linear(20, 10)),
    **dict.fromkeys(("loader", "batches"), lambda: [_batch(), _batch()]),
    "optimizer": lambda: torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1),
    "options": lambda: {"average": True},
}
