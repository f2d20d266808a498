"""Serve calls of a student's functions: the untrusted process.

Values go out as dtype, shape and bytes. Everything else this process says of itself (what was
printed, which exception was raised and where) can be forged by the code it runs, so the trusted
side shows it as text and never scores it.
"""

from __future__ import annotations

import inspect
import linecache
import os
import sys
from array import array
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lossgrade.sandbox import protocol
from lossgrade.sandbox.loading import Loaded, LoadError, describe, load
from lossgrade.sandbox.protocol import Block, ProtocolError
from lossgrade.sandbox.training import Problem, Training

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CHUNK = 1 << 16
TREE_CAP = 1024
NAME_CAP = 200
FOREIGN = {"torch", "numpy", "scipy", "sklearn", "tensorflow", "jax"}


class Unsupported(Exception):
    """A returned value that is no array; the text says what it is."""


def serve(requests: int, replies: int) -> None:
    """Answer the frames that come on descriptor `requests` until it closes."""
    # Bound before any student code runs: a student who patches `os.write` breaks nothing.
    read, write = os.read, os.write
    calls = Calls()
    answers = {
        "load": calls.load,
        "call": calls.call,
        "calls": calls.calls,
        "train": calls.train,
    }
    held = b""

    def exactly(count: int) -> bytes:
        nonlocal held
        pieces = [held]
        missing = count - len(held)
        while missing > 0:
            piece = read(requests, CHUNK)
            if not piece:
                os._exit(0)
            pieces.append(piece)
            missing -= len(piece)
        whole = b"".join(pieces)
        held = whole[count:]
        return whole[:count]

    while True:
        request, blocks = protocol.receive(exactly)
        answer = answers[request["op"]]
        out: list[Block] = []
        try:
            reply = answer(request, blocks, out)
            frame = protocol.pack({**reply, "nonce": request["nonce"]}, out)
        except ProtocolError as error:
            frame = protocol.pack({"nonce": request["nonce"], "problem": f"returned {error}"})
        except MemoryError:
            problem = "returned a result that its memory limit leaves no room to send"
            frame = protocol.pack({"nonce": request["nonce"], "problem": problem})
        view = memoryview(frame)
        while view:
            view = view[write(replies, view) :]


class Calls:
    """The loaded submission, and calls of its functions."""

    def __init__(self) -> None:
        self.loaded: Loaded | None = None
        self.functions: dict[str, Callable[..., Any]] = {}
        self._parameters: dict[str, Parameters | None] = {}

    def load(self, request: dict[str, Any], _: Sequence[Block], __: list[Block]) -> dict[str, Any]:
        path = Path(request["path"])
        if request["folder"]:
            # Last, so that a torch.py beside the student's file hijacks nothing.
            sys.path += dict.fromkeys((str(path.parent), request["folder"]))
        try:
            self.loaded = load(path, request["display"])
        except LoadError as error:
            return {"failed": str(error)}
        except OSError as error:
            return {"failed": f"{request['display']}: cannot be read ({error.strerror})"}
        namespace = self.loaded.module.__dict__
        found = {}
        for key, names in request["names"].items():
            try:
                found[key] = self._find(key, names, namespace)
            except BaseException as error:  # looking at it runs the student's code
                found[key] = {"name": names[0], "problem": f"cannot be used: {describe(error)}"}
        defined = [name for name in namespace if not name.startswith("_")]
        defined = defined[:NAME_CAP]
        return {
            "found": found,
            "defined": defined,
            "foreign": [name for name in defined if _is_foreign(namespace[name])],
            "notes": self.loaded.notes,
        }

    def _find(self, key: str, names: Sequence[str], namespace: dict[str, Any]) -> dict[str, Any]:
        present = [name for name in names if name in namespace]
        # The student's own first: `from torch.nn.functional import one_hot` beside `to_onehot`.
        present.sort(key=lambda name: _package(namespace[name]) in FOREIGN)
        # `class_label = predict_label(z)` in a demo takes an accepted name, and is none.
        present.sort(key=lambda name: not _may_be_called(namespace[name]))
        for name in present:
            value = namespace[name]
            answer: dict[str, Any] = {"name": name}
            if _package(value) in FOREIGN and not inspect.isclass(value):
                answer["package"] = _package(value)
            if inspect.isclass(value):
                if _is_autograd_function(value):
                    self.functions[key] = getattr(value, "apply")  # noqa: B009 - torch's, untyped
                    return answer
                try:
                    value = value()
                except BaseException as error:
                    return {
                        "name": name,
                        "problem": f"creating the class failed: {describe(error)}",
                    }
            if not callable(value):
                value = getattr(value, "forward", value)
            if not callable(value):
                told = f"is {_a(type(value).__name__)}, not a function: does a later line reuse it?"
                return {"name": name, "problem": told}
            if inspect.iscoroutinefunction(value):
                return {"name": name, "problem": "is async; define it with a plain `def`"}
            self.functions[key] = value
            return answer
        return {}

    def call(
        self, request: dict[str, Any], blocks: Sequence[Block], out: list[Block]
    ) -> dict[str, Any]:
        try:
            return self._called(request, blocks, out)
        except Unsupported as error:
            return {"problem": str(error)}
        except ProtocolError:
            raise
        except BaseException as error:
            return {"raised": self._told(error)}

    def calls(
        self, request: dict[str, Any], blocks: Sequence[Block], out: list[Block]
    ) -> dict[str, Any]:
        """Call one function on several lists of arguments, up to the first without a value."""
        answers = []
        for arguments in request["cases"]:
            answer = self.call({**request, "arguments": arguments}, blocks, out)
            if "value" not in answer:
                break
            answers.append(answer)
        return {"answers": answers}

    def _called(
        self, request: dict[str, Any], blocks: Sequence[Block], out: list[Block]
    ) -> dict[str, Any]:
        arguments = [_argument(described, blocks) for described in request["arguments"]]
        keywords = {name: _argument(a, blocks) for name, a in request.get("keywords", {}).items()}
        key = request["function"]
        if key not in self.functions and self.loaded is not None:
            # An instructor's test may call any function by its own name.
            found = self._find(key, [key], self.loaded.module.__dict__)
            if "problem" in found or not found:
                return {"missing": found.get("problem", "is not defined")}
        function = self.functions[key]
        if "seed" in request:
            _reseed(request["seed"])
        if key not in self._parameters:
            self._parameters[key] = _parameters(function)
        positional, named = _bind(self._parameters[key], arguments, keywords)
        result = function(*positional, **named)
        if request.get("first"):
            if not isinstance(result, tuple) or len(result) < 2:
                kind = _a(type(result).__name__)
                raise Unsupported(f"returned {kind}, expected a tuple of loss and gradient")
            result = result[0]
        reply: dict[str, Any] = {"value": _value(result, out)}
        if request.get("wrt"):
            inputs = [arguments[i] for i in request["wrt"]]
            cotangent = request.get("cotangent")
            block = None if cotangent is None else blocks[cotangent]
            reply["gradients"] = _gradients(result, inputs, block, out)
        if request.get("echo"):
            # The arrays as the function left them: the trusted side compares them itself.
            reply["echo"] = [
                _value(None if "json" in described else argument, out)
                for argument, described in zip(arguments, request["arguments"], strict=True)
            ]
        return reply

    def train(
        self, request: dict[str, Any], blocks: Sequence[Block], out: list[Block]
    ) -> dict[str, Any]:
        assert self.loaded is not None
        training = Training(
            self.loaded, request, blocks, out, tensor=_tensor, value=_value, told=self._told
        )
        try:
            return training.run()
        except ProtocolError:
            raise
        except Problem as problem:
            return {**training.reply, "missing": problem.stage, "text": str(problem)}
        except Unsupported as error:
            return {**training.reply, "problem": str(error), "stage": training.stage}
        except BaseException as error:
            return {**training.reply, "raised": self._told(error), "stage": training.stage}

    def _told(self, error: BaseException) -> dict[str, Any]:
        """Describe `error` with the student's own line: the innermost frame of theirs."""
        told = {"text": describe(error), "type": type(error).__name__}
        step = error.__traceback__
        depth = 0
        while step is not None and depth < 5000:
            file, number = step.tb_frame.f_code.co_filename, step.tb_lineno
            if self.loaded and (name := self.loaded.name_of(file)):
                told["where"] = f"{name}, line {number}"
                told["line"] = linecache.getline(file, number).strip()[:160]
            step = step.tb_next
            depth += 1
        return told


def _package(value: object) -> str:
    return str(getattr(value, "__module__", None) or "").partition(".")[0]


def _reseed(seed: int) -> None:
    """Let the generators that everybody shares begin anew: does the result follow from them?"""
    for name in ("random", "numpy.random"):
        if name in sys.modules:
            sys.modules[name].seed(seed)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(seed)


def _is_foreign(value: object) -> bool:
    try:
        return _package(value) in FOREIGN
    except BaseException:  # looking at it runs the student's code
        return False


def _may_be_called(value: object) -> bool:
    return callable(value) or hasattr(value, "forward")


def _is_autograd_function(value: type) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and issubclass(value, torch.autograd.Function)


def _a(noun: str) -> str:
    return f"an {noun}" if noun[:1] in "aeiouAEIOU" else f"a {noun}"


class Parameters(NamedTuple):
    """How many positional ones a function has, and the names of the keyword-only required ones."""

    places: int
    required: list[str]


def _parameters(function: Callable[..., Any]) -> Parameters | None:
    """Return nothing for a function that takes any number, or does not say."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):
        return None
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return None
    places = sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)
    required = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    return Parameters(places, required)


def _bind(
    parameters: Parameters | None, arguments: list[Any], keywords: dict[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Give keyword-only parameters what no positional one takes, in order."""
    extra = arguments[parameters.places :] if parameters else []
    if not parameters or not extra or len(extra) > len(parameters.required):
        return arguments, keywords
    named = dict(zip(parameters.required, extra, strict=False))
    return arguments[: parameters.places], {**named, **keywords}


# --- arrays in -----------------------------------------------------------------------------------


def _argument(described: dict[str, Any], blocks: Sequence[Block]) -> Any:
    if "json" in described:
        return described["json"]
    block = blocks[described["block"]]
    if described["library"] == "torch":
        tensor = _tensor(block)
        return tensor.requires_grad_() if described.get("grad") else tensor
    import numpy as np

    return np.frombuffer(bytearray(block.data), dtype=block.dtype).reshape(block.shape)


def _tensor(block: Block) -> Any:
    import torch

    dtype = getattr(torch, block.dtype)
    if not block.data:
        return torch.empty(block.shape, dtype=dtype)
    return torch.frombuffer(bytearray(block.data), dtype=dtype).reshape(block.shape)


# --- values out ----------------------------------------------------------------------------------


def _value(value: Any, out: list[Block], depth: int = 0) -> dict[str, Any]:
    """Describe `value`, its bytes appended to `out`.

    Raises:
        Unsupported: it is nothing that can cross.
    """
    if value is None:
        return {"container": "None"}
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        return _from_tensor(torch, value, out)
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.ndarray | numpy.generic):
        return _from_numpy(numpy, value, out)
    if isinstance(value, bool | int | float):
        return _numbers([value], (), type(value).__name__, out)
    if isinstance(value, list | tuple):
        container = "list" if isinstance(value, list) else "tuple"
        flat: list[bool | int | float] = []
        shape = _regular(value, flat)
        if shape is not None:
            return _numbers(flat, shape, container, out)
        if _ragged(value):
            raise Unsupported(f"returned a ragged {container}: its rows differ in length")
        if depth >= 4 or len(value) > TREE_CAP:
            raise Unsupported(f"returned a {container} that is nested too deeply or too long")
        return {"container": container, "items": [_value(v, out, depth + 1) for v in value]}
    raise Unsupported(f"returned {_a(type(value).__name__)}, which is no array")


def _from_tensor(torch: Any, value: Any, out: list[Block]) -> dict[str, Any]:
    with torch._C.DisableTorchFunctionSubclass():
        tensor = torch.Tensor.detach(value)
        if tensor.is_nested:
            raise Unsupported("returned a nested tensor; return a plain one")
        if tensor.layout != torch.strided:
            raise Unsupported("returned a sparse tensor; return a dense one (.to_dense())")
        if tensor.device.type == "meta":
            raise Unsupported("returned a tensor on the meta device, which holds no values")
        if tensor.is_complex():
            raise Unsupported(f"returned complex numbers ({tensor.dtype})")
        dtype = str(tensor.dtype).removeprefix("torch.")
        crosses = dtype if dtype in protocol.ITEM_BYTES else "float32"
        if crosses != dtype:
            tensor = tensor.to(torch.float32)
        _check_size(tensor.numel() * tensor.element_size())
        plain = tensor.as_subclass(torch.Tensor).numpy(force=True)
    out.append(Block(crosses, plain.shape, plain.tobytes()))
    return {
        "block": len(out) - 1,
        "library": "torch",
        "container": type(value).__name__,
        "dtype": dtype,
        "graph": value.requires_grad is True,
    }


def _from_numpy(np: Any, value: Any, out: list[Block]) -> dict[str, Any]:
    _check_size(np.ndarray.__getattribute__(value, "nbytes") if value.shape else 0)
    plain = np.array(value, order="C", subok=False)
    if plain.dtype.kind == "O":
        raise Unsupported("returned an object array (dtype=object); are its rows of equal length?")
    if plain.dtype.kind == "c":
        raise Unsupported(f"returned complex numbers ({plain.dtype})")
    if plain.dtype.kind not in "biuf":
        raise Unsupported(f"returned an array of dtype {plain.dtype}, which is not numeric")
    dtype = plain.dtype.name
    plain = plain.astype(dtype if dtype in protocol.ITEM_BYTES else "float64")
    out.append(Block(plain.dtype.name, plain.shape, plain.tobytes()))
    return {
        "block": len(out) - 1,
        "library": "numpy",
        "container": type(value).__name__,
        "dtype": dtype,
    }


def _check_size(count: int) -> None:
    if count > protocol.PAYLOAD_CAP:
        raise Unsupported(
            f"returned {count >> 20} MiB, more than the {protocol.PAYLOAD_CAP >> 20} MiB "
            "that a result may have"
        )


def _numbers(
    flat: Sequence[bool | int | float], shape: tuple[int, ...], container: str, out: list[Block]
) -> dict[str, Any]:
    if all(isinstance(v, int) and -(2**63) <= v < 2**63 for v in flat):
        block = Block("int64", shape, array("q", flat).tobytes())
    else:
        try:
            block = Block("float64", shape, array("d", flat).tobytes())
        except OverflowError:
            raise Unsupported("returned an integer too large for a float") from None
    out.append(block)
    return {
        "block": len(out) - 1,
        "library": "python",
        "container": container,
        "dtype": block.dtype,
    }


def _regular(value: Any, flat: list[bool | int | float]) -> tuple[int, ...] | None:
    """Return the shape of nested lists of numbers, `flat` filled; None if they are not regular."""
    if isinstance(value, bool | int | float):
        flat.append(value)
        return ()
    if not isinstance(value, list | tuple) or len(flat) > 1 << 22:
        return None
    shapes = {_regular(item, flat) for item in value}
    if not shapes:
        return (0,)
    inner = shapes.pop()
    return None if shapes or inner is None else (len(value), *inner)


def _ragged(value: Sequence[Any]) -> bool:
    rows = [len(row) for row in value if isinstance(row, list | tuple)]
    return len(rows) == len(value) > 0 and len(set(rows)) > 1


def _gradients(
    result: Any, inputs: list[Any], cotangent: Block | None, out: list[Block]
) -> dict[str, Any]:
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(result, torch.Tensor):
        return {"problem": f"the result is {_a(type(result).__name__)}, not a tensor"}
    if not result.requires_grad:
        return {"problem": "the result is cut off from its input"}
    if cotangent is None:
        weights = torch.ones_like(result)
    else:
        weights = _tensor(cotangent).to(result.dtype)
        if weights.numel() != result.numel():
            return {"problem": f"the result has shape {tuple(result.shape)}"}
        weights = weights.reshape(result.shape)
    # A scalar, not `grad(result, inputs, weights)`: checking the shape of given weights makes
    # torch 2.13 import sympy, 0.15 s in each worker.
    gradients = torch.autograd.grad((result * weights).sum(), inputs, allow_unused=True)
    return {
        "values": [
            _value(torch.zeros_like(i) if g is None else g, out)
            for i, g in zip(inputs, gradients, strict=True)
        ]
    }
