"""What happens in a program that a rule may have an opinion on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lossgrade_checks.meaning.program import Call, Expression
    from lossgrade_checks.meaning.tables import Loss
    from lossgrade_checks.meaning.values import Layer, Site, Tensor


@dataclass(slots=True, eq=False)
class Event:
    """`site` is where it happens; `calls` are the calls that led there, outermost first."""

    site: Site
    calls: tuple[Site, ...]
    # It holds only if a parameter keeps its default value.
    likely: bool


@dataclass(slots=True, eq=False)
class LossCall(Event):
    """A loss is computed: `cross_entropy(input, target)`, `criterion(input, target)`."""

    loss: Loss
    node: Call
    input: Any
    target: Any
    # All arguments by name: those of the call, or of the constructor of the loss.
    options: dict[str, Any]
    # The constructor of the loss, when it is an object.
    layer: Layer | None
    input_node: Expression | None
    # Inside `torch.no_grad()` or the like.
    no_grad: bool
    # Somebody calls `backward` on it, or returns it from a training step.
    trained: bool = False


@dataclass(slots=True, eq=False)
class Activation(Event):
    """A softmax, log-softmax, softmin, sigmoid or log-sigmoid is applied."""

    kind: str
    path: str
    # "function", "method", "layer" or "handwritten".
    style: str
    operand: Any
    operand_node: Expression | None
    # The axis: a number, None when it is not known, "missing" when it is not given.
    dim: int | str | None
    layer: Layer | None
    node: Expression | None


@dataclass(slots=True, eq=False)
class Construction(Event):
    """An object of a library's class is made: `nn.Softmax(...)`, `nn.CrossEntropyLoss(...)`."""

    layer: Layer
    node: Call
    # Where the object was later used as if it were a tensor.
    used_as_tensor: list[Site] = field(default_factory=list)
    # Somebody calls the object.
    called: bool = False


@dataclass(slots=True, eq=False)
class Logarithm(Event):
    """`log(operand)`; of `log1p(-p)` the operand is 1 - p."""

    operand: Any
    operand_node: Expression | None
    node: Expression
    path: str
    # It is multiplied by the probabilities that it is of: p log p.
    entropy: bool = False


@dataclass(slots=True, eq=False)
class NegativeLog(Event):
    """A logarithm is negated to be a loss: `-log(p[range(n), y])`, `-(y * log(p)).sum()`."""

    logarithm: Tensor
    # Its infinities are replaced afterwards, by `nan_to_num`.
    guarded: bool = False


@dataclass(slots=True, eq=False)
class Quotient(Event):
    """`exponentials / their sum`: a softmax written by hand."""

    exponentials: Tensor
    total: Tensor
    node: Any


@dataclass(slots=True, eq=False)
class Difference(Event):
    """`z - maximum`: the shift of a softmax written by hand."""

    operand: Any
    maximum: Tensor
    node: Any
    # Its exponential is taken.
    exponentiated: bool = False


@dataclass(slots=True, eq=False)
class Pick(Event):
    """A class is chosen in each row: `p[range(n), y]`, `p.argmax(dim=1)`."""

    values: Tensor


@dataclass(slots=True, eq=False)
class Backward(Event):
    """`value.backward()`."""

    value: Any
    node: Call
