"""The small program that is followed: what is left of a file when layout and comments are gone.

A tree of LibCST costs kilobytes a line, so it is lowered to this form and dropped, and one file
can be followed into others without holding their trees. A node that can be reported has a
`number`: its place in the order of lowering, by which its LibCST node is found again.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Expression:
    """Anything with a value. `number` is -1 where nothing can be reported."""

    number: int


@dataclass(slots=True, eq=False)
class Opaque(Expression):
    """An expression whose value is not followed; its parts still run."""

    parts: tuple[Expression, ...] = ()


@dataclass(slots=True, eq=False)
class Constant(Expression):
    """A number, a string, True, False, None or `...`."""

    value: object


@dataclass(slots=True, eq=False)
class Name(Expression):
    id: str


@dataclass(slots=True, eq=False)
class Attribute(Expression):
    value: Expression
    name: str


@dataclass(slots=True, eq=False)
class Argument:
    """An argument of a call, or an item of a display. `star` is "", "*" or "**"."""

    value: Expression
    keyword: str = ""
    star: str = ""


@dataclass(slots=True, eq=False)
class Call(Expression):
    """`positional` are the plain arguments before any keyword or star; the others come after."""

    function: Expression
    positional: tuple[Expression, ...]
    others: tuple[Argument, ...]

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """All arguments, as they are written."""
        return (*map(Argument, self.positional), *self.others)


@dataclass(slots=True, eq=False)
class Slice(Expression):
    """`lower:upper:step` in a subscript; a part that is absent is None."""

    lower: Expression | None
    upper: Expression | None
    step: Expression | None = None


@dataclass(slots=True, eq=False)
class Subscript(Expression):
    value: Expression
    index: tuple[Expression, ...]


@dataclass(slots=True, eq=False)
class Binary(Expression):
    operator: str
    left: Expression
    right: Expression


@dataclass(slots=True, eq=False)
class Unary(Expression):
    operator: str
    operand: Expression


@dataclass(slots=True, eq=False)
class Boolean(Expression):
    """`left or right`, `left and right`."""

    operator: str
    left: Expression
    right: Expression


@dataclass(slots=True, eq=False)
class Comparison(Expression):
    left: Expression
    operators: tuple[str, ...]
    rights: tuple[Expression, ...]


@dataclass(slots=True, eq=False)
class Conditional(Expression):
    test: Expression
    body: Expression
    orelse: Expression


@dataclass(slots=True, eq=False)
class Display(Expression):
    """A tuple, list or set: `kind` says which."""

    kind: str
    items: tuple[Argument, ...]


@dataclass(slots=True, eq=False)
class Mapping(Expression):
    """A dict display; a key of None stands for `**value`."""

    items: tuple[tuple[Expression | None, Expression], ...]


@dataclass(slots=True, eq=False)
class Comprehension(Expression):
    """`kind` is "list", "set", "generator" or "dict"; `key` is there for a dict.

    With several `for` it is "nested": the element is a comprehension over the next.
    """

    kind: str
    key: Expression | None
    element: Expression
    target: Expression
    iterable: Expression
    conditions: tuple[Expression, ...]


@dataclass(slots=True, eq=False)
class Walrus(Expression):
    target: Expression
    value: Expression


@dataclass(slots=True, eq=False)
class Yield(Expression):
    value: Expression | None


@dataclass(slots=True, eq=False)
class Parameter:
    """`kind` is "" (positional or keyword), "*", "**" or "keyword" (keyword only)."""

    name: str
    default: Expression | None
    kind: str = ""
    annotation: Expression | None = None


@dataclass(slots=True, eq=False)
class Function(Expression):
    """A `def` or a lambda. `stores` are the attributes its body assigns to its first parameter."""

    name: str
    parameters: tuple[Parameter, ...]
    body: tuple[Statement, ...]
    decorators: tuple[Expression, ...] = ()
    stores: frozenset[str] = frozenset()
    globals: frozenset[str] = frozenset()
    nonlocals: frozenset[str] = frozenset()
    generator: bool = False


@dataclass(slots=True, eq=False)
class Statement:
    """Anything without a value."""


@dataclass(slots=True, eq=False)
class Evaluate(Statement):
    value: Expression


@dataclass(slots=True, eq=False)
class Assign(Statement):
    targets: tuple[Expression, ...]
    value: Expression


@dataclass(slots=True, eq=False)
class Declare(Statement):
    """`target: annotation`, without a value: a field of a dataclass."""

    target: Expression
    annotation: Expression


@dataclass(slots=True, eq=False)
class Augment(Statement):
    """`target operator= value`; `number` is that of the statement."""

    number: int
    operator: str
    target: Expression
    value: Expression


@dataclass(slots=True, eq=False)
class Define(Statement):
    function: Function


@dataclass(slots=True, eq=False)
class Class(Statement):
    number: int
    name: str
    bases: tuple[Argument, ...]
    decorators: tuple[Expression, ...]
    body: tuple[Statement, ...]


@dataclass(slots=True, eq=False)
class Return(Statement):
    value: Expression | None


@dataclass(slots=True, eq=False)
class If(Statement):
    test: Expression
    body: tuple[Statement, ...]
    orelse: tuple[Statement, ...]


@dataclass(slots=True, eq=False)
class For(Statement):
    """`stores` are the names that its body assigns."""

    target: Expression
    iterable: Expression
    body: tuple[Statement, ...]
    orelse: tuple[Statement, ...]
    stores: frozenset[str]


@dataclass(slots=True, eq=False)
class While(Statement):
    test: Expression
    body: tuple[Statement, ...]
    orelse: tuple[Statement, ...]
    stores: frozenset[str]


@dataclass(slots=True, eq=False)
class With(Statement):
    items: tuple[tuple[Expression, Expression | None], ...]
    body: tuple[Statement, ...]


@dataclass(slots=True, eq=False)
class Try(Statement):
    body: tuple[Statement, ...]
    handlers: tuple[tuple[str, tuple[Statement, ...]], ...]
    orelse: tuple[Statement, ...]
    final: tuple[Statement, ...]


@dataclass(slots=True, eq=False)
class Match(Statement):
    subject: Expression
    cases: tuple[tuple[tuple[str, ...], tuple[Statement, ...]], ...]


@dataclass(slots=True, eq=False)
class Import(Statement):
    """`import module as name`; without `as`, `name` is the first part and names the top package."""

    module: str
    name: str
    whole: bool


@dataclass(slots=True, eq=False)
class ImportFrom(Statement):
    """`from ..module import name as bound`; `level` counts the dots; a star has no names."""

    level: int
    module: str
    names: tuple[tuple[str, str], ...]
    star: bool = False


@dataclass(slots=True, eq=False)
class Delete(Statement):
    targets: tuple[Expression, ...]


@dataclass(slots=True, eq=False)
class Leave(Statement):
    """`raise`, `break` or `continue`: what follows in this block does not run."""

    how: str
    value: Expression | None = None


@dataclass(slots=True, eq=False)
class Program:
    """One file, lowered. `functions` and `classes` are all of them, in order."""

    body: tuple[Statement, ...]
    functions: list[Function] = field(default_factory=list)
    size: int = 0
