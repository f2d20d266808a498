"""What lowering keeps account of, whichever tree it starts from."""

from __future__ import annotations

from typing import Any

from lossgrade_checks.meaning import program as p


class Lowering:
    """Numbers parts of one file, and notes what its functions and loops assign.

    `nodes[number]` is the node of a numbered part, in the tree that is lowered.
    """

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.functions: list[p.Function] = []
        # What the innermost function assigns to attributes of its first parameter.
        self._first = ""
        self._stores: set[str] = set()
        self._globals: set[str] = set()
        self._nonlocals: set[str] = set()
        self._generator = False
        # The names that are assigned, in order.
        self._bound: list[str] = []

    def number(self, node: object) -> int:
        """Return the next number, and remember `node` under it."""
        self.nodes.append(node)
        return len(self.nodes) - 1

    def enter(self, parameters: tuple[p.Parameter, ...]) -> tuple[Any, ...]:
        """Begin a function; return what `leave` needs to go back to the one around it."""
        outer = (self._first, self._stores, self._globals, self._nonlocals, self._generator)
        self._first = parameters[0].name if parameters else ""
        self._stores, self._globals, self._nonlocals = set(), set(), set()
        self._generator = False
        return outer

    def leave(self, outer: tuple[Any, ...]) -> None:
        """End a function."""
        self._first, self._stores, self._globals, self._nonlocals, self._generator = outer

    def function(
        self,
        number: int,
        name: str,
        parameters: tuple[p.Parameter, ...],
        body: tuple[p.Statement, ...],
        decorators: tuple[p.Expression, ...] = (),
    ) -> p.Function:
        """Return the function that ends here, with what was noted since `enter`."""
        function = p.Function(
            number, name, parameters, body, decorators,
            frozenset(self._stores), frozenset(self._globals), frozenset(self._nonlocals),
            self._generator,
        )  # fmt: skip
        self.functions.append(function)
        return function

    def stored(self, target: p.Expression) -> p.Expression:
        """Note that `target` is assigned; return it."""
        if type(target) is p.Name:
            self._bound.append(target.id)
        elif type(target) is p.Attribute:
            if type(target.value) is p.Name and target.value.id == self._first:
                self._stores.add(target.name)
        elif type(target) is p.Display:
            for item in target.items:
                self.stored(item.value)
        return target

    def bound_since(self, before: int) -> frozenset[str]:
        """Return the names that were assigned after the first `before` of them."""
        return frozenset(self._bound[before:])

    def finished(self, body: tuple[p.Statement, ...]) -> p.Program:
        """Return the program."""
        return p.Program(body, self.functions, len(self.nodes))
