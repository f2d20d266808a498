"""What an expression may be known to be: abstract values, and what two of them have in common.

The most important is `Tensor`, whose `meaning` says what its numbers mean. A value that is not
known is `Unknown`; each has its own identity, so that `exp(z) / exp(z).sum()` is seen to speak
of one `z` even where nothing else is known of it.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from lossgrade_checks.meaning.program import Class, Function

# Lists that are longer, and what lies deeper in lists, are not known: programs that double a list
# in each line are short, and what they make is not.
LONG = 4096
DEEP = 4

# --- meanings of a tensor ---------------------------------------------------------------------
PLAIN = "plain"  # a tensor of which other facts are known
LOGITS = "logits"  # the outputs of a linear layer or a convolution
PROBABILITIES = "probabilities"  # of a softmax
LOG_PROBABILITIES = "log-probabilities"
SIGMOID = "sigmoid probabilities"
LOG_SIGMOID = "log-sigmoid"
ONE_HOT = "one-hot"
CLASS_INDICES = "class indices"
DECISIONS = "decisions"  # rounded or compared with a threshold: 0 and 1
LOSS = "loss"
EXP = "exponentials"
SUM = "sum"
MAX = "maximum"
SHIFTED = "shifted"  # something minus a maximum of it
LOG = "logarithm"
COMPLEMENT = "complement"  # 1 - p
LOG_SUM_EXP = "log-sum-exp"


class Site(NamedTuple):
    """A numbered part of a program, in the file at `path`."""

    path: str
    number: int


class Tensor(NamedTuple):
    """A tensor or array, and what is known of it. None stands for "not known"."""

    meaning: str = PLAIN
    # The axis that an activation, a sum or a maximum runs over; "all" for every axis.
    dim: int | str | None = None
    keepdim: bool = False
    # The activation that gave the tensor its meaning.
    origin: Site | None = None
    # What it was made of: the operand of an exponential, a sum, a maximum, an activation.
    of: Any = None
    # The number of outputs of the layer that made it, 0 where the number is not known but they
    # are still as the layer laid them; and the axis that they lie on.
    outputs: int | None = None
    outputs_axis: int = -1
    rank: int | None = None
    # Axis 0 is known to run over examples.
    rows: bool = False
    # "float", "int" or "bool".
    dtype: str | None = None
    # "item" or "detach": cut off from the graph of gradients, and where.
    cut: str = ""
    cut_site: Site | None = None
    # It depends on parameters of a layer.
    learned: bool = False
    # It is a part of a batch of data.
    data: bool = False
    # A small number was added, or it was clamped: its logarithm is finite.
    guarded: bool = False
    # The loss calls that it is made of, for a loss, and whether it is made of nothing else.
    losses: tuple[Any, ...] = ()
    whole: bool = False
    numpy: bool = False
    # It may be None instead.
    optional: bool = False
    # The `Activation` at `origin`, unless it was written by hand.
    activation: Any = None
    # The `Difference` that shifted it, or the `NegativeLog` that it holds.
    event: Any = None
    # What was done to it since: its axes were "moved"; a logarithm was "weighted" by another
    # tensor; of it "picked" are the items at the class of each row, or a "part" is taken.
    note: str = ""
    # It is guarded by being clamped.
    clamped: bool = False


class Unknown:
    """A value of which nothing is known but where it came from."""

    __slots__ = ("base", "name", "source")

    def __init__(self, source: str = "", name: str = "", base: Unknown | None = None) -> None:
        # "parameter" of a function, "element" of a loop or a batch, "picked" from a parameter at
        # the class of each row, "scaled" as one is, "difference" of two values, or "" for any
        # result. "moved" is what `base` is when its axes have changed places.
        self.source = source
        self.name = name
        self.base = base


class Constant(NamedTuple):
    """A Python constant."""

    value: object


class External(NamedTuple):
    """Something of a library, by its full dotted name: `torch.nn.functional.softmax`."""

    path: str


class Heap:
    """A value that can change. What may change lies in `slots`, so that changes can be undone."""

    __slots__ = ("optional", "slots")

    def __init__(self, slots: dict[Any, Any] | None = None) -> None:
        self.slots: dict[Any, Any] = slots if slots is not None else {}
        # It may be None instead.
        self.optional = False


class Sequence(Heap):
    """A tuple or a list; `slots["items"]` holds its items as a tuple, or None when not known.

    `kind` is "tuple", "list", or the path of a container of modules: `torch.nn.Sequential`.
    `slots["element"]`, if it is there, is what each of the items is, however many there are.
    """

    __slots__ = ("kind",)

    def __init__(self, kind: str, items: tuple[Any, ...] | None) -> None:
        if items is not None and len(items) > LONG:
            items = None
        super().__init__({"items": items})
        self.kind = kind

    @property
    def items(self) -> tuple[Any, ...] | None:
        """The items, or None when they are not all known."""
        found = self.slots.get("items")
        return found if type(found) is tuple else None

    @property
    def element(self) -> Any:
        """What all items have in common; MISSING when there are none."""
        return self.common(0)

    def common(self, depth: int) -> Any:
        """Return what all items have in common, `depth` deep in a value that is joined."""
        items = self.items
        if items is None:
            return self.slots.get("element") or Unknown()
        found = MISSING
        for item in items:
            found = join(found, item, depth)
        return found


def listed(element: Any) -> Sequence:
    """Return a list of not known how many items, each of which is `element`."""
    made = Sequence("list", None)
    made.slots["element"] = element
    return made


class Dictionary(Heap):
    """A dict whose keys are constants, one slot each; `complete` when there are no others."""

    __slots__ = ("complete", "of_modules")

    def __init__(self, slots: dict[Any, Any], complete: bool, of_modules: bool = False) -> None:
        super().__init__(slots)
        self.complete = complete
        self.of_modules = of_modules


class Layer(Heap):
    """An object of a library's class: `torch.nn.Softmax(dim=1)`."""

    __slots__ = ("keywords", "likely", "made", "open", "path", "positional", "site")

    def __init__(
        self, path: str, positional: tuple[Any, ...], keywords: dict[str, Any], site: Site
    ) -> None:
        super().__init__(dict(keywords))
        self.path = path
        self.positional = positional
        self.keywords = keywords
        self.site = site
        # Some arguments come from `*args` or `**kwargs` of which nothing is known.
        self.open = False
        # The event of its construction, which learns how the object is used.
        self.made: Any = None

    def argument(self, position: int, name: str) -> Any:
        """Return the argument it was made with, or None."""
        if name in self.keywords:
            return self.keywords[name]
        return self.positional[position] if position < len(self.positional) else None


class Scope:
    """The names of a module, a function or a comprehension. `names` can be undone like a heap."""

    __slots__ = ("function", "inner", "module", "names", "parent")

    def __init__(
        self, module: ModuleValue, parent: Scope | None = None, function: Function | None = None
    ) -> None:
        self.names: dict[str, Any] = {}
        # Of a comprehension: what `:=` binds there belongs to the scope around.
        self.inner = False
        self.parent = parent
        self.module = module
        self.function = function


class ModuleValue:
    """A file of the project."""

    __slots__ = ("path", "scope")

    def __init__(self, path: str) -> None:
        self.path = path
        self.scope = Scope(self)


class FunctionValue:
    """A function of the project, with the scope that it closes over."""

    __slots__ = ("code", "defaults", "flags", "module", "owner", "scope")

    def __init__(self, code: Function, scope: Scope, defaults: dict[str, Any]) -> None:
        self.code = code
        self.scope = scope
        self.module = scope.module
        self.defaults = defaults
        # "static", "class", "property", "no_grad", "setter:<name>"
        self.flags: frozenset[str] = frozenset()
        self.owner: ClassValue | None = None


class ClassValue(Heap):
    """A class of the project; its slots are the names of its body."""

    __slots__ = ("bases", "code", "dataclass", "fields", "module", "order")

    def __init__(self, code: Class, bases: tuple[Any, ...], module: ModuleValue) -> None:
        super().__init__()
        self.code = code
        self.bases = bases
        self.module = module
        self.dataclass = False
        self.fields: tuple[str, ...] = ()
        self.order: tuple[Any, ...] = _order(self)

    def lookup(self, name: str, after: ClassValue | None = None) -> Any:
        """Return what `name` is in the class or, in method resolution order, in its bases."""
        skipping = after is not None
        for base in self.order:
            if skipping:
                skipping = base is not after
            elif isinstance(base, ClassValue) and name in base.slots:
                return base.slots[name]
        return None

    def outside(self) -> list[str]:
        """Return the paths of the library classes that it inherits from."""
        return [base.path for base in self.order if isinstance(base, External)]

    def known(self) -> bool:
        """Whether all its bases are classes of the project or of a library."""
        return all(isinstance(base, ClassValue | External) for base in self.order)


class Instance(Heap):
    """An object of a class of the project; its slots are its attributes."""

    __slots__ = ("cls",)

    def __init__(self, cls: ClassValue) -> None:
        super().__init__()
        self.cls = cls


class Bound(NamedTuple):
    """A method and the object it was taken from: of the project, or of a tensor or library."""

    function: Any
    receiver: Any


class Method(NamedTuple):
    """`receiver.name` where the receiver's own methods are the library's or the language's."""

    receiver: Any
    name: str


class Partial(NamedTuple):
    """`functools.partial(function, ...)`."""

    function: Any
    positional: tuple[Any, ...]
    keywords: dict[str, Any]


class Super(NamedTuple):
    """`super()` in a method of `cls`."""

    cls: ClassValue
    receiver: Any


NONE = Constant(None)
MISSING = object()


def is_tensor(value: Any) -> bool:
    """Whether `value` is surely a tensor, and no number that was computed from who knows what."""
    return (
        isinstance(value, Tensor)
        and value.cut != "item"
        and (
            value.meaning in TENSORS_ALONE
            or value.learned
            or value.data
            or value.rows
            or bool(value.rank)
        )
    )


# What only a tensor can mean. An exponential or a sum may be one of numbers.
TENSORS_ALONE = frozenset({LOGITS, PROBABILITIES, LOG_PROBABILITIES, ONE_HOT})


def _order(cls: ClassValue) -> tuple[Any, ...]:
    """Return the method resolution order (C3), or depth first where the classes admit none."""
    sequences = [list(b.order) if isinstance(b, ClassValue) else [b] for b in cls.bases]
    sequences.append(list(cls.bases))
    order: list[Any] = [cls]
    while any(sequences):
        for sequence in sequences:
            if sequence and not any(_among(sequence[0], other[1:]) for other in sequences):
                head = sequence[0]
                break
        else:
            head = next(sequence[0] for sequence in sequences if sequence)
        order.append(head)
        sequences = [[item for item in s if not _is(item, head)] for s in sequences]
    return tuple(order)


def _is(a: Any, b: Any) -> bool:
    return a is b or (isinstance(a, External) and a == b)


def _among(value: Any, values: list[Any]) -> bool:
    return any(_is(value, other) for other in values)


def join(a: Any, b: Any, depth: int = 0) -> Any:
    """Return what is true of both `a` and `b`: what a value means that may be either.

    `depth` is how deep they lie in the values that are joined.
    """
    if a is b or a is MISSING:
        return b
    if b is MISSING:
        return a
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return _join_tensors(a, b)
    # Numbers, both: `total = 0` before a loop that adds `loss.item()` to it.
    for number, other in ((a, b), (b, a)):
        is_number = isinstance(number, Constant) and isinstance(number.value, int | float)
        if is_number and isinstance(other, Tensor) and other.cut == "item":
            return other
    for none, other in ((a, b), (b, a)):
        if none == NONE and not isinstance(other, Constant):
            return _or_none(other)
    if isinstance(a, Heap) and isinstance(b, Heap) and a.slots is b.slots:
        return a if a.optional else b
    if depth > DEEP:
        return Unknown()
    if type(a) is tuple and type(b) is tuple and len(a) == len(b):
        # The items of one list, changed in one branch.
        return tuple([join(x, y, depth + 1) for x, y in zip(a, b, strict=True)])
    if type(a) is type(b):
        if isinstance(a, External | Constant | Bound | Method) and a == b:
            return a
        if isinstance(a, Layer) and _same_layers(a, b):
            return a
        if isinstance(a, Sequence):
            return _join_sequences(a, b, depth + 1)
    return Unknown()


def _or_none(value: Any) -> Any:
    """Return what may be `value` or None: it is used only where it is not, but may be tested."""
    if isinstance(value, Tensor):
        return value._replace(optional=True)
    if isinstance(value, Layer | Instance):
        either = copy.copy(value)
        either.optional = True
        return either
    # A function: whether it is None is never known.
    return Unknown() if isinstance(value, Heap) else value


# A loss is followed back to so many of the losses that it is a sum of.
MOST_LOSSES = 64


def together(*several: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the losses of several values, each once."""
    found = tuple(dict.fromkeys(loss for losses in several for loss in losses))
    return found[-MOST_LOSSES:]


def _join_tensors(a: Tensor, b: Tensor) -> Any:
    if a == b:
        return a
    if a.meaning != b.meaning:
        return Unknown()
    shared = {
        name: value if value == other else default
        for name, value, other, default in zip(
            Tensor._fields, a, b, Tensor._field_defaults.values(), strict=True
        )
    }
    shared["meaning"], shared["origin"] = a.meaning, a.origin
    shared["optional"] = a.optional or b.optional
    shared["activation"] = a.activation if a.origin == b.origin else None
    shared["losses"] = together(a.losses, b.losses)
    # What must not be missed is a guard: one path without it is enough to report.
    return Tensor(**shared)


def _same_layers(a: Layer, b: Layer) -> bool:
    return a.path == b.path and a.positional == b.positional and a.keywords == b.keywords


def _join_sequences(a: Sequence, b: Sequence, depth: int) -> Any:
    if a.kind != b.kind:
        return Unknown()
    if a.items is None or b.items is None or len(a.items) != len(b.items):
        either = Sequence(a.kind, None)
        either.slots["element"] = join(a.common(depth), b.common(depth), depth)
        return either
    items = [join(x, y, depth) for x, y in zip(a.items, b.items, strict=True)]
    return Sequence(a.kind, tuple(items))
