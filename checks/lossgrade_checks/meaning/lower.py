"""Lower a LibCST tree to the program that is followed."""

from __future__ import annotations

import ast
import warnings
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import libcst as cst

from lossgrade_checks.meaning import program as p
from lossgrade_checks.meaning.lowering import Lowering

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

OPERATORS: dict[type[cst.CSTNode], str] = {
    cst.Add: "+",
    cst.Subtract: "-",
    cst.Multiply: "*",
    cst.Divide: "/",
    cst.FloorDivide: "//",
    cst.Modulo: "%",
    cst.Power: "**",
    cst.MatrixMultiply: "@",
    cst.BitAnd: "&",
    cst.BitOr: "|",
    cst.BitXor: "^",
    cst.LeftShift: "<<",
    cst.RightShift: ">>",
    cst.AddAssign: "+",
    cst.SubtractAssign: "-",
    cst.MultiplyAssign: "*",
    cst.DivideAssign: "/",
    cst.FloorDivideAssign: "//",
    cst.ModuloAssign: "%",
    cst.PowerAssign: "**",
    cst.MatrixMultiplyAssign: "@",
    cst.BitAndAssign: "&",
    cst.BitOrAssign: "|",
    cst.BitXorAssign: "^",
    cst.LeftShiftAssign: "<<",
    cst.RightShiftAssign: ">>",
    cst.And: "and",
    cst.Or: "or",
    cst.Not: "not",
    cst.Minus: "-",
    cst.Plus: "+",
    cst.BitInvert: "~",
    cst.Equal: "==",
    cst.NotEqual: "!=",
    cst.LessThan: "<",
    cst.LessThanEqual: "<=",
    cst.GreaterThan: ">",
    cst.GreaterThanEqual: ">=",
    cst.Is: "is",
    cst.IsNot: "is not",
    cst.In: "in",
    cst.NotIn: "not in",
}
CONSTANT_NAMES: dict[str, object] = {"None": None, "True": True, "False": False}


class _Lowering(Lowering):
    """Lowers a LibCST tree."""

    def program(self, module: cst.Module) -> p.Program:
        """Return the program of a whole file."""
        return self.finished(self._block(module.body))

    # --- expressions ------------------------------------------------------------------------

    def expression(self, node: cst.CSTNode) -> p.Expression:
        """Return `node`, an expression, lowered."""
        lower = EXPRESSIONS.get(type(node))
        return lower(self, node) if lower else p.Opaque(-1)

    def _maybe(self, node: cst.CSTNode | None) -> p.Expression | None:
        return None if node is None else self.expression(node)

    def _name(self, node: cst.Name) -> p.Expression:
        if node.value in CONSTANT_NAMES:
            return p.Constant(-1, CONSTANT_NAMES[node.value])
        return p.Name(-1, node.value)

    def _integer(self, node: cst.Integer) -> p.Expression:
        return p.Constant(-1, ast.literal_eval(node.value))

    def _float(self, node: cst.Float) -> p.Expression:
        return p.Constant(-1, float(node.value))

    def _string(self, node: cst.SimpleString) -> p.Expression:
        if "b" in node.prefix:
            return p.Opaque(-1)
        if "\\" in node.value or "\r" in node.value:
            return p.Constant(-1, node.evaluated_value)
        quote = len(node.quote)
        return p.Constant(-1, node.value[len(node.prefix) + quote : -quote])

    def _concatenated(self, node: cst.ConcatenatedString) -> p.Expression:
        left, right = self.expression(node.left), self.expression(node.right)
        if type(left) is p.Constant and type(right) is p.Constant:
            return p.Constant(-1, f"{left.value}{right.value}")
        parts = [part for side in (left, right) if type(side) is p.Opaque for part in side.parts]
        return p.Opaque(-1, tuple(parts))

    def _ellipsis(self, _: cst.Ellipsis) -> p.Expression:
        return p.Constant(-1, ...)

    def _formatted(self, node: cst.FormattedString) -> p.Expression:
        parts = [
            self.expression(part.expression)
            for part in node.parts
            if isinstance(part, cst.FormattedStringExpression)
        ]
        return p.Opaque(-1, tuple(parts))

    def _attribute(self, node: cst.Attribute) -> p.Expression:
        # `loss.data` cuts it off from its graph: a place to point at.
        number = self.number(node) if node.attr.value == "data" else -1
        return p.Attribute(number, self.expression(node.value), node.attr.value)

    def _call(self, node: cst.Call) -> p.Expression:
        number = self.number(node)
        function = self.expression(node.func)
        written = self._arguments(node.args)
        plain = list(takewhile(lambda each: not each.keyword and not each.star, written))
        positional = tuple([each.value for each in plain])
        return p.Call(number, function, positional, written[len(plain) :])

    def _arguments(self, args: Iterable[cst.Arg]) -> tuple[p.Argument, ...]:
        return tuple(
            [
                p.Argument(
                    self.expression(arg.value), arg.keyword.value if arg.keyword else "", arg.star
                )
                for arg in args
            ]
        )

    def _subscript(self, node: cst.Subscript) -> p.Expression:
        number = self.number(node)
        value = self.expression(node.value)
        parts = node.slice
        if len(parts) == 1 and isinstance(parts[0].slice, cst.Index):
            only = parts[0].slice.value
            if isinstance(only, cst.Tuple):
                # `x[(a, b)]` is `x[a, b]`.
                index = [self.expression(element.value) for element in only.elements]
                return p.Subscript(number, value, tuple(index))
        return p.Subscript(number, value, tuple([self._index(e.slice) for e in parts]))

    def _index(self, node: cst.BaseSlice) -> p.Expression:
        if isinstance(node, cst.Slice):
            lower, upper = self._maybe(node.lower), self._maybe(node.upper)
            return p.Slice(-1, lower, upper, self._maybe(node.step))
        assert isinstance(node, cst.Index)
        return self.expression(node.value)

    def _binary(self, node: cst.BinaryOperation) -> p.Expression:
        number = self.number(node)
        left = self.expression(node.left)
        right = self.expression(node.right)
        return p.Binary(number, OPERATORS[type(node.operator)], left, right)

    def _unary(self, node: cst.UnaryOperation) -> p.Expression:
        number = self.number(node)
        operator = OPERATORS[type(node.operator)]
        operand = self.expression(node.expression)
        if (
            operator == "-"
            and type(operand) is p.Constant
            and isinstance(operand.value, int | float)
        ):
            return p.Constant(-1, -operand.value)
        return p.Unary(number, operator, operand)

    def _boolean(self, node: cst.BooleanOperation) -> p.Expression:
        left, right = self.expression(node.left), self.expression(node.right)
        return p.Boolean(-1, OPERATORS[type(node.operator)], left, right)

    def _comparison(self, node: cst.Comparison) -> p.Expression:
        number = self.number(node)
        left = self.expression(node.left)
        operators = tuple([OPERATORS[type(c.operator)] for c in node.comparisons])
        rights = tuple([self.expression(c.comparator) for c in node.comparisons])
        return p.Comparison(number, left, operators, rights)

    def _conditional(self, node: cst.IfExp) -> p.Expression:
        test = self.expression(node.test)
        return p.Conditional(-1, test, self.expression(node.body), self.expression(node.orelse))

    def _display(self, node: cst.Tuple | cst.List | cst.Set) -> p.Expression:
        kind = {cst.Tuple: "tuple", cst.List: "list", cst.Set: "set"}[type(node)]
        items = [
            p.Argument(
                self.expression(e.value), "", "*" if isinstance(e, cst.StarredElement) else ""
            )
            for e in node.elements
        ]
        return p.Display(-1, kind, tuple(items))

    def _dict(self, node: cst.Dict) -> p.Expression:
        items = [
            (
                self.expression(e.key) if isinstance(e, cst.DictElement) else None,
                self.expression(e.value),
            )
            for e in node.elements
        ]
        return p.Mapping(-1, tuple(items))

    def _comprehension(self, node: cst.BaseSimpleComp | cst.DictComp) -> p.Expression:
        return self._clause(node, node.for_in)

    def _clause(
        self, node: cst.BaseSimpleComp | cst.DictComp, clause: cst.CompFor
    ) -> p.Comprehension:
        iterable = self.expression(clause.iter)
        target = self.expression(clause.target)
        conditions = tuple([self.expression(test.test) for test in clause.ifs])
        if clause.inner_for_in is not None:
            inner = self._clause(node, clause.inner_for_in)
            return p.Comprehension(-1, "nested", None, inner, target, iterable, conditions)
        kind = COMPREHENSIONS[type(node)]
        key = self.expression(node.key) if isinstance(node, cst.DictComp) else None
        element = self.expression(node.value if isinstance(node, cst.DictComp) else node.elt)
        return p.Comprehension(-1, kind, key, element, target, iterable, conditions)

    def _walrus(self, node: cst.NamedExpr) -> p.Expression:
        value = self.expression(node.value)
        return p.Walrus(-1, self.expression(node.target), value)

    def _await(self, node: cst.Await) -> p.Expression:
        return self.expression(node.expression)

    def _yield(self, node: cst.Yield) -> p.Expression:
        self._generator = True
        if isinstance(node.value, cst.From):
            # What the other generator yields is not known.
            return p.Yield(-1, p.Opaque(-1, (self.expression(node.value.item),)))
        return p.Yield(-1, self._maybe(node.value))

    def _starred(self, node: cst.StarredElement) -> p.Expression:
        return self.expression(node.value)

    def _lambda(self, node: cst.Lambda) -> p.Expression:
        number = self.number(node)
        parameters = self._parameters(node.params)
        outer = self.enter(parameters)
        body = (p.Return(self.expression(node.body)),)
        function = self.function(number, "<lambda>", parameters, body)
        self.leave(outer)
        return function

    # --- statements -------------------------------------------------------------------------

    def _block(self, statements: Iterable[cst.CSTNode]) -> tuple[p.Statement, ...]:
        lowered: list[p.Statement] = []
        for statement in statements:
            if isinstance(statement, cst.SimpleStatementLine):
                for small in statement.body:
                    self._statement(small, lowered)
            else:
                self._statement(statement, lowered)
        return tuple(lowered)

    def _suite(self, node: cst.BaseSuite) -> tuple[p.Statement, ...]:
        if isinstance(node, cst.IndentedBlock):
            return self._block(node.body)
        assert isinstance(node, cst.SimpleStatementSuite)
        lowered: list[p.Statement] = []
        for small in node.body:
            self._statement(small, lowered)
        return tuple(lowered)

    def _statement(self, node: cst.CSTNode, into: list[p.Statement]) -> None:
        lower = STATEMENTS.get(type(node))
        if lower:
            into.extend(lower(self, node))

    def _evaluate(self, node: cst.Expr) -> Iterable[p.Statement]:
        yield p.Evaluate(self.expression(node.value))

    def _assign(self, node: cst.Assign) -> Iterable[p.Statement]:
        value = self.expression(node.value)
        yield p.Assign(tuple([self._target(t.target) for t in node.targets]), value)

    def _annotated(self, node: cst.AnnAssign) -> Iterable[p.Statement]:
        if node.value is None:
            annotation = self.expression(node.annotation.annotation)
            yield p.Declare(self.expression(node.target), annotation)
        else:
            value = self.expression(node.value)
            yield p.Assign((self._target(node.target),), value)

    def _augment(self, node: cst.AugAssign) -> Iterable[p.Statement]:
        number = self.number(node)
        value = self.expression(node.value)
        target = self._target(node.target)
        yield p.Augment(number, OPERATORS[type(node.operator)], target, value)

    def _target(self, node: cst.CSTNode) -> p.Expression:
        return self.stored(self.expression(node))

    def _define(self, node: cst.FunctionDef) -> Iterable[p.Statement]:
        number = self.number(node)
        decorators = tuple([self.expression(d.decorator) for d in node.decorators])
        parameters = self._parameters(node.params)
        outer = self.enter(parameters)
        body = self._suite(node.body)
        function = self.function(number, node.name.value, parameters, body, decorators)
        self.leave(outer)
        yield p.Define(function)

    def _parameters(self, node: cst.Parameters) -> tuple[p.Parameter, ...]:
        def lowered(param: cst.Param, kind: str) -> p.Parameter:
            annotation = param.annotation.annotation if param.annotation else None
            if not isinstance(annotation, cst.Name | cst.Attribute | cst.BaseString):
                annotation = None
            value = self._maybe(param.default)
            return p.Parameter(param.name.value, value, kind, self._maybe(annotation))

        found = [lowered(param, "") for param in (*node.posonly_params, *node.params)]
        if isinstance(node.star_arg, cst.Param):
            found.append(lowered(node.star_arg, "*"))
        found += [lowered(param, "keyword") for param in node.kwonly_params]
        if node.star_kwarg:
            found.append(lowered(node.star_kwarg, "**"))
        return tuple(found)

    def _class(self, node: cst.ClassDef) -> Iterable[p.Statement]:
        number = self.number(node)
        decorators = tuple([self.expression(d.decorator) for d in node.decorators])
        bases = self._arguments((*node.bases, *node.keywords))
        yield p.Class(number, node.name.value, bases, decorators, self._suite(node.body))

    def _return(self, node: cst.Return) -> Iterable[p.Statement]:
        yield p.Return(self._maybe(node.value))

    def _if(self, node: cst.If) -> Iterable[p.Statement]:
        # A chain of many `elif` is as deep as it is long: walked, so that it costs no recursion.
        chain: list[tuple[p.Expression, tuple[p.Statement, ...]]] = []
        current: cst.If | cst.Else | None = node
        while isinstance(current, cst.If):
            test = self.expression(current.test)
            chain.append((test, self._suite(current.body)))
            current = current.orelse
        orelse = self._suite(current.body) if current else ()
        for test, body in reversed(chain):
            orelse = (p.If(test, body, orelse),)
        yield from orelse

    def _for(self, node: cst.For) -> Iterable[p.Statement]:
        iterable = self.expression(node.iter)
        target = self._target(node.target)
        body, stores = self._repeated(node.body)
        yield p.For(target, iterable, body, self._orelse(node.orelse), stores)

    def _while(self, node: cst.While) -> Iterable[p.Statement]:
        test = self.expression(node.test)
        body, stores = self._repeated(node.body)
        yield p.While(test, body, self._orelse(node.orelse), stores)

    def _repeated(self, node: cst.BaseSuite) -> tuple[tuple[p.Statement, ...], frozenset[str]]:
        """Return the body of a loop, and the names that it assigns."""
        before = len(self._bound)
        body = self._suite(node)
        return body, self.bound_since(before)

    def _orelse(self, node: cst.Else | cst.Finally | None) -> tuple[p.Statement, ...]:
        return self._suite(node.body) if node else ()

    def _with(self, node: cst.With) -> Iterable[p.Statement]:
        items = [
            (
                self.expression(item.item),
                self._target(item.asname.name) if item.asname else None,
            )
            for item in node.items
        ]
        yield p.With(tuple(items), self._suite(node.body))

    def _try(self, node: cst.Try | cst.TryStar) -> Iterable[p.Statement]:
        body = self._suite(node.body)
        handlers = []
        for handler in node.handlers:
            name = handler.name.name if handler.name else None
            bound = name.value if isinstance(name, cst.Name) else ""
            handlers.append((bound, self._suite(handler.body)))
        orelse = self._orelse(node.orelse)
        yield p.Try(body, tuple(handlers), orelse, self._orelse(node.finalbody))

    def _match(self, node: cst.Match) -> Iterable[p.Statement]:
        subject = self.expression(node.subject)
        cases = [(_captured(case.pattern), self._suite(case.body)) for case in node.cases]
        yield p.Match(subject, tuple(cases))

    def _import(self, node: cst.Import) -> Iterable[p.Statement]:
        for alias in node.names:
            module = _dotted(alias.name)
            if alias.asname and isinstance(alias.asname.name, cst.Name):
                yield p.Import(module, alias.asname.name.value, True)
            else:
                yield p.Import(module, module.split(".")[0], False)

    def _import_from(self, node: cst.ImportFrom) -> Iterable[p.Statement]:
        module = _dotted(node.module) if node.module else ""
        if isinstance(node.names, cst.ImportStar):
            yield p.ImportFrom(len(node.relative), module, (), True)
            return
        names = []
        for alias in node.names:
            name = _dotted(alias.name)
            bound = alias.asname.name if alias.asname else None
            names.append((name, bound.value if isinstance(bound, cst.Name) else name))
        yield p.ImportFrom(len(node.relative), module, tuple(names))

    def _delete(self, node: cst.Del) -> Iterable[p.Statement]:
        targets: list[cst.BaseExpression] = [node.target]
        if isinstance(node.target, cst.Tuple | cst.List):
            targets = [element.value for element in node.target.elements]
        yield p.Delete(tuple([self.expression(target) for target in targets]))

    def _raise(self, node: cst.Raise) -> Iterable[p.Statement]:
        yield p.Leave("raise", self._maybe(node.exc))

    def _break(self, _: cst.Break) -> Iterable[p.Statement]:
        yield p.Leave("break")

    def _continue(self, _: cst.Continue) -> Iterable[p.Statement]:
        yield p.Leave("continue")

    def _assert(self, node: cst.Assert) -> Iterable[p.Statement]:
        yield p.Evaluate(self.expression(node.test))

    def _global(self, node: cst.Global) -> Iterable[p.Statement]:
        self._globals.update(item.name.value for item in node.names)
        return ()

    def _nonlocal(self, node: cst.Nonlocal) -> Iterable[p.Statement]:
        self._nonlocals.update(item.name.value for item in node.names)
        return ()


def _dotted(node: cst.CSTNode) -> str:
    if isinstance(node, cst.Attribute):
        return f"{_dotted(node.value)}.{node.attr.value}"
    return node.value if isinstance(node, cst.Name) else ""


def _captured(pattern: cst.CSTNode) -> tuple[str, ...]:
    """Return the names that a pattern may bind."""
    found: tuple[str, ...] = ()
    for child in pattern.children:
        found += _captured(child)
    if isinstance(pattern, cst.MatchAs | cst.MatchStar) and pattern.name:
        found += (pattern.name.value,)
    elif isinstance(pattern, cst.MatchMapping) and pattern.rest:
        found += (pattern.rest.value,)
    return found


COMPREHENSIONS: dict[type[cst.CSTNode], str] = {
    cst.ListComp: "list",
    cst.SetComp: "set",
    cst.GeneratorExp: "generator",
    cst.DictComp: "dict",
}
# `Any`: each function takes the node class that is its key, which a dict cannot say.
EXPRESSIONS: dict[type[cst.CSTNode], Callable[[_Lowering, Any], p.Expression]] = {
    cst.Name: _Lowering._name,
    cst.Integer: _Lowering._integer,
    cst.Float: _Lowering._float,
    cst.SimpleString: _Lowering._string,
    cst.Ellipsis: _Lowering._ellipsis,
    cst.ConcatenatedString: _Lowering._concatenated,
    cst.FormattedString: _Lowering._formatted,
    cst.Attribute: _Lowering._attribute,
    cst.Call: _Lowering._call,
    cst.Subscript: _Lowering._subscript,
    cst.BinaryOperation: _Lowering._binary,
    cst.UnaryOperation: _Lowering._unary,
    cst.BooleanOperation: _Lowering._boolean,
    cst.Comparison: _Lowering._comparison,
    cst.IfExp: _Lowering._conditional,
    cst.Tuple: _Lowering._display,
    cst.List: _Lowering._display,
    cst.Set: _Lowering._display,
    cst.Dict: _Lowering._dict,
    cst.ListComp: _Lowering._comprehension,
    cst.SetComp: _Lowering._comprehension,
    cst.GeneratorExp: _Lowering._comprehension,
    cst.DictComp: _Lowering._comprehension,
    cst.NamedExpr: _Lowering._walrus,
    cst.Await: _Lowering._await,
    cst.Yield: _Lowering._yield,
    cst.StarredElement: _Lowering._starred,
    cst.Lambda: _Lowering._lambda,
}
STATEMENTS: dict[type[cst.CSTNode], Callable[[_Lowering, Any], Iterable[p.Statement]]] = {
    cst.Expr: _Lowering._evaluate,
    cst.Assign: _Lowering._assign,
    cst.AnnAssign: _Lowering._annotated,
    cst.AugAssign: _Lowering._augment,
    cst.FunctionDef: _Lowering._define,
    cst.ClassDef: _Lowering._class,
    cst.Return: _Lowering._return,
    cst.If: _Lowering._if,
    cst.For: _Lowering._for,
    cst.While: _Lowering._while,
    cst.With: _Lowering._with,
    cst.Try: _Lowering._try,
    cst.TryStar: _Lowering._try,
    cst.Match: _Lowering._match,
    cst.Import: _Lowering._import,
    cst.ImportFrom: _Lowering._import_from,
    cst.Del: _Lowering._delete,
    cst.Raise: _Lowering._raise,
    cst.Break: _Lowering._break,
    cst.Continue: _Lowering._continue,
    cst.Assert: _Lowering._assert,
    cst.Global: _Lowering._global,
    cst.Nonlocal: _Lowering._nonlocal,
}


def lower(module: cst.Module) -> tuple[p.Program, list[cst.CSTNode]]:
    """Return the program of `module`, and the LibCST node of each number in it.

    Raises:
        RecursionError: an expression or a block is nested too deeply to be followed.
    """
    lowering = _Lowering()
    with warnings.catch_warnings():
        # What Python warns of in somebody's strings is not our subject.
        warnings.simplefilter("ignore")
        return lowering.program(module), lowering.nodes
