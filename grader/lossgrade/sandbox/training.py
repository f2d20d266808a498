"""Make a student's model, ask for its loss, train it on given arrays: part of the worker.

Only arrays and names go out: outputs of the model, losses, parameters and gradients. What they
are worth is for the trusted side to find out; nothing here knows what is right.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import linecache
import math
import re
import sys
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lossgrade.sandbox.loading import Loaded
    from lossgrade.sandbox.protocol import Block

PARAMETER_CAP = 1_000_000
TENSOR_CAP = 64
STEP_CAP = 2000
REPORT_CAP = 8
TEXT_CAP = 400


# The modules of the watcher, once `preload` has found them.
_watchers: list[Any] = []


def preload() -> None:
    """Import the watcher of losses before the sandbox closes: later no file of ours can be read.

    Its names go again, so that no student's code finds it by them.
    """
    with suppress(ImportError):
        _watchers[:] = [importlib.import_module(f"lossgrade.{n}") for n in ("watch", "watch_mode")]
    for name in [name for name in sys.modules if name.startswith("lossgrade.watch")]:
        del sys.modules[name]


class Problem(Exception):
    """What keeps the run from going on: `stage` is "model" or "loss", the text says why."""

    def __init__(self, stage: str, text: str = "") -> None:
        super().__init__(text)
        self.stage = stage


class Training:
    """One run, as a request describes it; `reply` holds what there is of it so far.

    Args:
        loaded: the submission.
        request: what is asked for; see lossgrade.rubric.runs.
        blocks: its arrays.
        out: where arrays of the reply go.
        tensor, value, told: how arrays come in and go out, and how an exception is told.
    """

    def __init__(
        self,
        loaded: Loaded,
        request: dict[str, Any],
        blocks: Sequence[Block],
        out: list[Block],
        *,
        tensor: Callable[[Block], Any],
        value: Callable[[Any, list[Block]], dict[str, Any]],
        told: Callable[[BaseException], dict[str, Any]],
    ) -> None:
        self.torch = sys.modules["torch"]
        self.loaded = loaded
        self.namespace = loaded.module.__dict__
        self.request = request
        self.blocks = blocks
        self.out = out
        self.stage = "model"
        self.reply: dict[str, Any] = {}
        self._tensor, self._value, self._told = tensor, value, told
        self._loss: tuple[str, Callable[..., Any], str] | None = None
        # Whether binary targets stand in a column; None: not yet found out.
        self._column: bool | None = None
        self._settled = False

    def array(self, place: int) -> Any:
        """Return a fresh tensor of the request's array number `place`."""
        return self._tensor(self.blocks[place])

    def run(self) -> dict[str, Any]:
        """Do what is asked for and return the reply."""
        with self._watched():
            name, make = self._model()
            self.reply["model"] = name
            model = make()
            self._check(model)
            if self.request["pairs"] or self.request["steps"] or self.request["gradient"]:
                with suppress(Problem):
                    self.reply["loss"] = self._find_loss()[0]
            self.reply["before"] = self._state(model)
            if self.request["steps"]:
                self.reply["training"] = self._train(model)
                self.reply["after"] = self._state(model)
            if self.request["gradient"]:
                self.stage = "gradient"
                self.reply["gradient"] = self._gradient(model)
        return self.reply

    # --- the model -------------------------------------------------------------------------------

    def _model(self) -> tuple[str, Callable[[], Any]]:
        """Return the name of the model, and what makes one."""
        module = self.torch.nn.Module
        named = [(n, self.namespace[n]) for n in self.request["names"] if n in self.namespace]
        own = [(n, v) for n, v in self.namespace.items() if not n.startswith("_")]
        loss = self.torch.nn.modules.loss._Loss
        classes = [
            (n, v)
            for n, v in own
            if self._is_own(v) and issubclass(v, module) and not issubclass(v, loss)
            and "loss" not in n.lower()
        ]  # fmt: skip
        made = [(n, v) for n, v in named if isinstance(v, module)]
        of_a_class = [(type(v).__name__, type(v)) for _, v in made if self._is_own(type(v))]
        modules = [
            (n, v) for n, v in own
            if isinstance(v, module) and not isinstance(v, loss) and list(v.parameters())
        ]  # fmt: skip
        candidates = [
            *((n, v) for n, v in named if inspect.isclass(v) and issubclass(v, module)),
            *((n, v) for n, v in named if inspect.isfunction(v)),
            *of_a_class,
            *(classes if len(classes) == 1 else ()),
            *made,
            *(modules if len(modules) == 1 else ()),
        ]
        if not candidates:
            raise Problem("model", f"{len(classes)} classes" if classes else "")
        name, found = candidates[0]
        return name, lambda: self._made(name, found)

    def _is_own(self, value: Any) -> bool:
        return inspect.isclass(value) and value.__module__.partition(".")[0] not in ("torch", "")

    def _made(self, name: str, found: Any) -> Any:
        self.torch.manual_seed(self.request["seed"])
        if isinstance(found, self.torch.nn.Module):
            model = copy.deepcopy(found)
            for part in model.modules():
                if callable(getattr(part, "reset_parameters", None)):
                    part.reset_parameters()
            return model
        features, classes = self.request["features"], self.request["classes"]
        sizes = {
            "features": features,
            "classes": classes,
            "hidden": self.request["hidden"],
            "sizes": [features, self.request["hidden"], classes],
        }
        positional, keywords = _bound(name, _parameters(found), sizes)
        model = found(*positional, **keywords)
        if not isinstance(model, self.torch.nn.Module):
            raise Problem("make", f"`{name}` made {type(model).__name__}")
        return model

    def _check(self, model: Any) -> None:
        count = sum(p.numel() for p in model.parameters())
        if count > PARAMETER_CAP:
            raise Problem("make", f"{count:,} parameters, more than {PARAMETER_CAP:,}")

    # --- the loss --------------------------------------------------------------------------------

    def _find_loss(self) -> tuple[str, Callable[..., Any], str]:
        """Return the name of the loss, the callable, and "step" or "criterion"."""
        if self._loss is None:
            self._loss = self._looked_for()
        return self._loss

    def _looked_for(self) -> tuple[str, Callable[..., Any], str]:
        steps, losses = self.request["step_names"], self.request["loss_names"]
        named = [(n, self.namespace[n]) for n in [*steps, *losses] if n in self.namespace]
        loss = self.torch.nn.modules.loss._Loss
        others = [(n, v) for n, v in self.namespace.items() if isinstance(v, loss)]
        if not any(callable(value) for _, value in named) and len(others) == 1:
            named = others
        why = ""
        for name, value in named:
            if inspect.isclass(value):
                if not issubclass(value, self.torch.nn.Module):
                    continue
                value = value()
            if not callable(value):
                continue
            parameters = _parameters(getattr(value, "forward", value))
            roles = [_step_role(p.name) for p in parameters]
            required = [p for p in parameters if p.default is p.empty]
            if "model" in roles or len(required) > 2:
                return name, value, "step"
            if name in steps and name not in losses and roles[:1] == ["features"]:
                why = f"`{name}({', '.join(p.name for p in parameters)})` takes no model"
                continue
            return name, value, "criterion"
        raise Problem("loss", why)

    def _evaluate(self, model: Any, x: Any, y: Any, optimizer: Optimizer, seed: int) -> Any:
        """Return the model's outputs and the loss, of the form that the student's code gives."""
        name, function, kind = self._find_loss()
        torch = self.torch
        torch.manual_seed(seed)
        if kind == "criterion":
            outputs = _first(torch, model(x))
            arguments = [outputs, self._fitted(y, outputs)]
            if _targets_first(_parameters(getattr(function, "forward", function))):
                arguments.reverse()
            return outputs, function(*arguments)
        seen: list[Any] = []

        def see(_: Any, __: Any, given: Any) -> None:
            seen.append(_first(torch, given))

        if self._column is None:
            with torch.no_grad():
                self._column = getattr(_first(torch, model(x)), "ndim", 1) == 2
            torch.manual_seed(seed)
        hook = model.register_forward_hook(see)
        try:
            loss = self._stepped(name, function, model, x, y, optimizer)
        except Exception:
            if self.request["task"] != "binary" or self._settled:
                raise
            # Targets as a column, or as a vector: both are taught.
            self._column = not self._column
            self._settled = True
            try:
                loss = self._stepped(name, function, model, x, y, optimizer)
            except Exception:
                self._column = not self._column
                raise
        finally:
            hook.remove()
        self._settled = True
        outputs = next((s for s in reversed(seen) if _rows(s) == len(x)), None)
        if outputs is None:
            torch.manual_seed(seed)
            outputs = _first(torch, model(x))
        return outputs, loss

    def _stepped(
        self, name: str, step: Callable[..., Any], model: Any, x: Any, y: Any, optimizer: Optimizer
    ) -> Any:
        if self.request["task"] == "binary":
            y = y.reshape(-1, 1) if self._column else y.reshape(-1)
        parameters = _parameters(step)
        given: dict[str, Any] = {
            "model": model, "features": x, "targets": y,
            "optimizer": optimizer, "batch": (x, y), "device": "cpu",
        }  # fmt: skip
        if any(_step_role(p.name) == "loss" and p.default is p.empty for p in parameters):
            given["loss"] = self._criterion()
        positional, keywords = _bound(name, parameters, given, _step_role, "loss")
        return step(*positional, **keywords)

    def _criterion(self) -> Any:
        for name in self.request["loss_names"]:
            value = self.namespace.get(name)
            if callable(value) and not inspect.isclass(value):
                return value
        raise Problem("loss", "the training step takes a criterion, and the file has none")

    def _fitted(self, y: Any, outputs: Any) -> Any:
        """Return binary targets in the shape of the outputs, which BCELoss insists on."""
        if self.request["task"] == "binary" and getattr(outputs, "ndim", 0) in (1, 2):
            return y.reshape(outputs.shape) if outputs.numel() == y.numel() else y
        return y

    # --- the stages ------------------------------------------------------------------------------

    def _state(self, model: Any) -> dict[str, Any]:
        """Return what the model gives for every probe, and the loss of every pair."""
        model.eval()
        self.stage = "model"
        with self.torch.no_grad():
            probes = [
                self._value(_first(self.torch, model(self.array(i))), self.out)
                for i in self.request["probes"]
            ]
        self.stage = "loss"
        pairs = []
        for features, targets in self.request["pairs"]:
            optimizer = Optimizer(self.torch, model, 0.0)
            x, y = self.array(features), self.array(targets)
            outputs, loss = self._evaluate(model, x, y, optimizer, self.request["seed"])
            pairs.append([self._value(outputs, self.out), self._value(loss, self.out)])
        return {"probes": probes, "pairs": pairs}

    def _train(self, model: Any) -> dict[str, Any]:
        """Train on the whole batch; whatever stops it is told beside the losses so far."""
        model.train()
        self.stage = "training"
        losses: list[float] = []
        told: dict[str, Any] = {}
        features, targets = self.request["train"]
        optimizer = Optimizer(self.torch, model, self.request["lr"])
        try:
            for step in range(min(self.request["steps"], STEP_CAP)):
                optimizer.begin()
                x, y = self.array(features), self.array(targets)
                _, loss = self._evaluate(model, x, y, optimizer, self.request["seed"] + step)
                losses.append(_number(self.torch, loss))
                if optimizer.steps:
                    continue
                if why := self._backward(model, loss):
                    told = {"cut": why}
                    break
                optimizer.step()
        except Problem as problem:
            told = {"missing": problem.stage, "text": str(problem)}
        except Exception as error:
            told = {"raised": self._told(error)}
        return {"losses": self._value(losses, self.out), **told}

    def _backward(self, model: Any, loss: Any) -> str:
        """Carry the gradient back, unless the student's step did; say what keeps it from that."""
        if not any(True for _ in model.parameters()):
            return "no parameters"
        if any(p.grad is not None for p in model.parameters()):
            return ""
        if not isinstance(loss, self.torch.Tensor):
            return f"returned {type(loss).__name__}"
        if not loss.requires_grad:
            return "no graph"
        loss.backward()
        return ""

    def _gradient(self, model: Any) -> dict[str, Any]:
        """Return each parameter's gradient, and the loss a little to either side of it."""
        torch = self.torch
        model.eval()
        asked = self.request["gradient"]
        x, y = self.array(asked["features"]), self.array(asked["targets"])
        seed = self.request["seed"]

        def evaluate() -> tuple[Any, Any, Optimizer]:
            optimizer = Optimizer(torch, model, 0.0)
            optimizer.begin()
            outputs, loss = self._evaluate(model, x, y, optimizer, seed)
            return outputs, loss, optimizer

        outputs, loss, optimizer = evaluate()
        told: dict[str, Any] = {"names": [], "values": [], "around": [], "free": []}
        told["outside"] = self._outside(model, loss)
        if not optimizer.steps and (why := self._backward(model, loss)):
            told["cut"] = why
        told["loss"] = [self._value(outputs, self.out), self._value(loss, self.out)]
        kept = optimizer.gradients or [p.grad for p in model.parameters()]
        named = list(model.named_parameters())[:TENSOR_CAP]
        gradients = [
            torch.zeros_like(p) if g is None else g.detach().clone()
            for (_, p), g in zip(named, kept, strict=False)
        ]
        for (name, parameter), gradient in zip(named, gradients, strict=True):
            places = torch.arange(1, parameter.numel() + 1, dtype=torch.float64)
            along = torch.cos(places * asked["phase"])
            ways = [along.reshape(parameter.shape), gradient.double()]
            rows = []
            for way in ways:
                unit = (way / max(float(way.norm()), 1e-30)).to(parameter.dtype)
                rows.append([self._moved(parameter, unit * s, evaluate) for s in _sides(asked)])
            told["names"].append(str(name)[:80])
            told["free"].append(bool(parameter.requires_grad))
            told["values"].append(self._value(gradient, self.out))
            told["around"].append(self._value(rows, self.out))
        return told

    def _moved(self, parameter: Any, by: Any, evaluate: Callable[[], Any]) -> float:
        kept = parameter.detach().clone()
        with self.torch.no_grad():
            parameter.add_(by)
        try:
            return _number(self.torch, evaluate()[1])
        finally:
            with self.torch.no_grad():
                parameter.copy_(kept)

    def _outside(self, model: Any, loss: Any) -> list[str]:
        """Name what the loss depends on and the model does not list among its parameters."""
        known = {id(p) for p in model.parameters()}
        found = [
            f"{name}.{attribute}"
            for name, part in model.named_modules()
            for attribute, held in vars(part).items()
            if isinstance(held, list | tuple | dict) and not attribute.startswith("_")
            and any(isinstance(m, self.torch.nn.Module | self.torch.nn.Parameter)
                    for m in (held.values() if isinstance(held, dict) else held))
        ]  # fmt: skip
        waiting: list[Any] = [getattr(loss, "grad_fn", None)]
        seen: set[Any] = set()
        unknown = False
        while waiting and len(seen) < 10_000:
            node = waiting.pop()
            if node is None or node in seen:
                continue
            seen.add(node)
            leaf = getattr(node, "variable", None)
            unknown |= leaf is not None and id(leaf) not in known
            waiting += [following for following, _ in node.next_functions]
        return [text.lstrip(".")[:80] for text in found[:4]] or (["?"] if unknown else [])

    # --- what was seen on the way ----------------------------------------------------------------

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Follow what each tensor means, where the watcher is there; tell what it reports."""
        seen: Any = None
        with ExitStack() as stack:
            if _watchers:
                with suppress(Exception):
                    watch, mode = _watchers
                    seen = watch.Watch("record")
                    follow = mode.Follow(seen)
                    follow.enter()
                    stack.callback(follow.leave)
            try:
                yield
            finally:
                with suppress(Exception):
                    told = list(seen.reports)[:REPORT_CAP]
                    self.reply["reports"] = [self._report(report) for report in told]

    def _report(self, report: Any) -> dict[str, str]:
        def place(kind: str) -> str:
            file = str(getattr(report, f"{kind}_file", "") or "")
            name = self.loaded.name_of(file) if file else ""
            if name:
                return f"{name} line {getattr(report, f'{kind}_line', 0)}"
            # A criterion is called from here: the student's line is where it is made.
            return self._line_of(self._loss[0]) if kind == "loss" and self._loss else ""

        return {
            "code": str(report.code)[:10],
            "name": str(report.name)[:60],
            "message": str(report.message)[:TEXT_CAP],
            "related": str(getattr(report, "related", "") or "activation")[:TEXT_CAP],
            "loss": place("loss")[:120],
            "activation": place("activation")[:120],
        }

    def _line_of(self, name: str) -> str:
        """Return the last line at which `name` is assigned, or else the name."""
        for source in sorted(self.loaded.sources, reverse=True):
            lines = linecache.getlines(source)
            found = [n for n, line in enumerate(lines, 1) if re.match(rf"{name}\b[^=]*=[^=]", line)]
            if found:
                return f"{source} line {found[-1]}"
        return name


class Optimizer:
    """Adam, with the methods that a training step calls; at a rate of 0 it only looks.

    Not torch.optim: making the first one there imports torch's compiler, 0.6 s in each worker.
    """

    def __init__(self, torch: Any, model: Any, rate: float) -> None:
        self._torch = torch
        self._parameters = list(model.parameters())
        self._moments: dict[int, tuple[Any, Any]] = {}
        self._count = 0
        self.param_groups = [{"params": self._parameters, "lr": rate}]
        self.steps = 0
        self.gradients: list[Any] = []

    def begin(self) -> None:
        """Forget the gradients and steps before."""
        self.steps = 0
        self.gradients = []
        self.zero_grad()

    def zero_grad(self, set_to_none: bool = True) -> None:  # noqa: ARG002 - as torch.optim has it
        for parameter in self._parameters:
            parameter.grad = None

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move the parameters against their gradients."""
        loss = closure() if closure is not None else None
        self.steps += 1
        rate = self.param_groups[0]["lr"]
        if not rate:
            self.gradients = [
                None if p.grad is None else p.grad.detach().clone() for p in self._parameters
            ]
            return loss
        self._count += 1
        with self._torch.no_grad():
            for place, parameter in enumerate(self._parameters):
                if parameter.grad is None:
                    continue
                zero = self._torch.zeros_like(parameter)
                first, second = self._moments.get(place, (zero, zero))
                first = 0.9 * first + 0.1 * parameter.grad
                second = 0.999 * second + 0.001 * parameter.grad**2
                self._moments[place] = first, second
                size = second / (1 - 0.999**self._count)
                parameter -= rate * first / (1 - 0.9**self._count) / (size.sqrt() + 1e-8)
        return loss


# --- names and signatures ------------------------------------------------------------------------


def _folded(name: str) -> str:
    return name.lower().replace("_", "")


def _size_role(name: str) -> str:
    """Say which size a parameter of a model's constructor is, by its name."""
    folded = _folded(name)
    if folded in ("sizes", "layersizes", "layers", "dims", "widths"):
        return "sizes"
    if "hidden" in folded or folded in ("h", "hid", "nhid", "units", "nunits", "width", "hdim"):
        return "hidden"
    if folded.startswith("out") or any(w in folded for w in ("class", "label", "categor", "nout")):
        return "classes"
    if folded in ("numoutputs", "numoutput", "dout", "dimout", "c", "k"):
        return "classes"
    if folded.startswith("in") or "feature" in folded or "input" in folded:
        return "features"
    return "features" if folded in ("nin", "din", "dimin", "d", "dim") else ""


def _step_role(name: str) -> str:
    """Say what a parameter of a training step takes, by its name."""
    folded = _folded(name)
    if folded in ("model", "net", "network", "module", "classifier", "clf"):
        return "model"
    for role, starts in (
        ("optimizer", ("opt",)),
        ("loss", ("crit", "loss", "cost", "objective")),
        ("device", ("device",)),
        ("targets", ("target", "label", "y", "batchy", "trainy", "truth")),
        ("features", ("feature", "x", "input", "data", "image", "batchx", "trainx")),
    ):
        if folded.startswith(starts):
            return role
    return "batch" if folded in ("batch", "xy") else ""


def _parameters(function: Any) -> list[inspect.Parameter]:
    """Return the parameters that can be given by place or name; none where it does not tell."""
    try:
        found = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):
        return []
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p for p in found if p.kind not in kinds]


def _bound(
    name: str,
    parameters: Sequence[inspect.Parameter],
    given: dict[str, Any],
    role_of: Callable[[str], str] = _size_role,
    stage: str = "make",
) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments that `parameters` ask for: by their names, and else in order.

    Raises:
        Problem: there are more parameters than things to give.
    """
    chosen: dict[str, Any] = {}
    used: set[str] = set()
    for p in parameters:
        role = role_of(p.name)
        optional = p.default is not p.empty
        if role not in given or role in used or (optional and role in ("hidden", "sizes", "loss")):
            continue
        chosen[p.name] = given[role]
        used.add(role)
    waiting = [p for p in parameters if p.name not in chosen and p.default is p.empty]
    order = ["features", "classes"] if "classes" in given else ["model", "features", "targets"]
    if "classes" in given and len(waiting) > 2:
        order.insert(1, "hidden")
    left = [role for role in order if role not in used]
    if len(waiting) > len(left):
        asked = ", ".join(p.name for p in parameters)
        raise Problem(stage, f"`{name}({asked})`: `{waiting[len(left)].name}` is not known")
    chosen.update({p.name: given[role] for p, role in zip(waiting, left, strict=False)})
    positional = [
        chosen.pop(p.name) for p in parameters if p.kind is p.POSITIONAL_ONLY and p.name in chosen
    ]
    return positional, chosen


def _targets_first(parameters: Sequence[inspect.Parameter]) -> bool:
    """Say whether a loss names its prediction second, as in `loss(y_true, y_pred)`."""
    words = ("pred", "output", "logit", "yhat", "prob", "score", "input")
    names = [_folded(p.name) for p in parameters[:2]]
    told = [any(word in name for word in words) for name in names]
    return told == [False, True]


def _first(torch: Any, outputs: Any) -> Any:
    """Return the outputs, or the first of several: some models return logits and probabilities."""
    if isinstance(outputs, tuple | list) and outputs and isinstance(outputs[0], torch.Tensor):
        return outputs[0]
    return outputs


def _rows(outputs: Any) -> int:
    shape = tuple(getattr(outputs, "shape", ()))
    return int(shape[0]) if len(shape) else -1


def _number(torch: Any, loss: Any) -> float:
    if isinstance(loss, torch.Tensor):
        return float(loss.detach().reshape(-1)[0]) if loss.numel() == 1 else math.nan
    return float(loss) if isinstance(loss, bool | int | float) else math.nan


def _sides(asked: dict[str, Any]) -> tuple[float, float]:
    return asked["step"], -asked["step"]
