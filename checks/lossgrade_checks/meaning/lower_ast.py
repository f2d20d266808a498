"""Lower Python's own tree to the same program as LibCST's, which is slow to parse.

The two programs are equal, number for number, which the tests hold them to over many files: so
what is found in one is fixed in the other.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from lossgrade_checks.meaning import program as p
from lossgrade_checks.meaning.lowering import Lowering

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

OPERATORS: dict[type[ast.AST], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
    ast.MatMult: "@",
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.BitXor: "^",
    ast.LShift: "<<",
    ast.RShift: ">>",
    ast.And: "and",
    ast.Or: "or",
    ast.Not: "not",
    ast.USub: "-",
    ast.UAdd: "+",
    ast.Invert: "~",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.In: "in",
    ast.NotIn: "not in",
}


class _Lowering(Lowering):
    """Lowers a tree of the module `ast`."""

    def program(self, module: ast.Module) -> p.Program:
        """Return the program of a whole file."""
        return self.finished(self._block(module.body))

    # --- expressions ------------------------------------------------------------------------

    def expression(self, node: ast.AST) -> p.Expression:
        """Return `node`, an expression, lowered."""
        return EXPRESSIONS.get(type(node), _opaque)(self, node)

    def _all(self, nodes: Iterable[ast.AST]) -> tuple[p.Expression, ...]:
        # What `expression` does, written out: a fifth of them are lowered here.
        return tuple([EXPRESSIONS.get(type(node), _opaque)(self, node) for node in nodes])

    def _maybe(self, node: ast.AST | None) -> p.Expression | None:
        return None if node is None else self.expression(node)

    def _constant(self, node: ast.Constant) -> p.Expression:
        if type(node.value) in (bytes, complex):
            return p.Opaque(-1)
        return p.Constant(-1, node.value)

    def _name(self, node: ast.Name) -> p.Expression:
        return p.Name(-1, node.id)

    def _formatted(self, node: ast.JoinedStr) -> p.Expression:
        parts = [part.value for part in node.values if isinstance(part, ast.FormattedValue)]
        return p.Opaque(-1, self._all(parts))

    def _attribute(self, node: ast.Attribute) -> p.Expression:
        number = self.number(node) if node.attr == "data" else -1
        return p.Attribute(number, self.expression(node.value), node.attr)

    def _call(self, node: ast.Call) -> p.Expression:
        number = self.number(node)
        function = self.expression(node.func)
        kinds = [type(each) for each in node.args]
        plain = kinds.index(ast.Starred) if ast.Starred in kinds else len(kinds)
        positional = self._all(node.args[:plain])
        return p.Call(
            number, function, positional, self._arguments(node.args[plain:], node.keywords)
        )

    def _arguments(
        self, args: Sequence[ast.expr], keywords: Sequence[ast.keyword]
    ) -> tuple[p.Argument, ...]:
        written: list[ast.expr | ast.keyword] = [*args, *keywords]
        if args and keywords:
            # `f(a=1, *b)`: they are followed as they are written.
            written.sort(key=_position)
        return tuple([self._argument(each) for each in written])

    def _argument(self, node: ast.expr | ast.keyword) -> p.Argument:
        if isinstance(node, ast.keyword):
            return p.Argument(self.expression(node.value), node.arg or "", "" if node.arg else "**")
        if isinstance(node, ast.Starred):
            return p.Argument(self.expression(node.value), "", "*")
        return p.Argument(self.expression(node))

    def _subscript(self, node: ast.Subscript) -> p.Expression:
        number = self.number(node)
        value = self.expression(node.value)
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        return p.Subscript(number, value, self._all(parts))

    def _slice(self, node: ast.Slice) -> p.Expression:
        lower, upper = self._maybe(node.lower), self._maybe(node.upper)
        return p.Slice(-1, lower, upper, self._maybe(node.step))

    def _binary(self, node: ast.BinOp) -> p.Expression:
        number = self.number(node)
        left = self.expression(node.left)
        right = self.expression(node.right)
        return p.Binary(number, OPERATORS[type(node.op)], left, right)

    def _unary(self, node: ast.UnaryOp) -> p.Expression:
        number = self.number(node)
        operator = OPERATORS[type(node.op)]
        operand = self.expression(node.operand)
        if (
            operator == "-"
            and type(operand) is p.Constant
            and isinstance(operand.value, int | float)
        ):
            return p.Constant(-1, -operand.value)
        return p.Unary(number, operator, operand)

    def _boolean(self, node: ast.BoolOp) -> p.Expression:
        operator = OPERATORS[type(node.op)]
        found, *others = self._all(node.values)
        for other in others:
            found = p.Boolean(-1, operator, found, other)
        return found

    def _comparison(self, node: ast.Compare) -> p.Expression:
        number = self.number(node)
        left = self.expression(node.left)
        operators = tuple([OPERATORS[type(operator)] for operator in node.ops])
        return p.Comparison(number, left, operators, self._all(node.comparators))

    def _conditional(self, node: ast.IfExp) -> p.Expression:
        test = self.expression(node.test)
        return p.Conditional(-1, test, self.expression(node.body), self.expression(node.orelse))

    def _display(self, node: ast.Tuple | ast.List | ast.Set) -> p.Expression:
        kind = {ast.Tuple: "tuple", ast.List: "list", ast.Set: "set"}[type(node)]
        return p.Display(-1, kind, tuple([self._argument(each) for each in node.elts]))

    def _dict(self, node: ast.Dict) -> p.Expression:
        pairs = zip(node.keys, node.values, strict=True)
        return p.Mapping(-1, tuple([(self._maybe(k), self.expression(x)) for k, x in pairs]))

    def _comprehension(self, node: Any) -> p.Expression:
        return self._clause(node, node.generators)

    def _clause(self, node: Any, clauses: list[ast.comprehension]) -> p.Comprehension:
        clause = clauses[0]
        iterable = self.expression(clause.iter)
        target = self.expression(clause.target)
        conditions = self._all(clause.ifs)
        if len(clauses) > 1:
            inner = self._clause(node, clauses[1:])
            return p.Comprehension(-1, "nested", None, inner, target, iterable, conditions)
        is_dict = isinstance(node, ast.DictComp)
        key = self.expression(node.key) if is_dict else None
        element = self.expression(node.value if is_dict else node.elt)
        kind = COMPREHENSIONS[type(node)]
        return p.Comprehension(-1, kind, key, element, target, iterable, conditions)

    def _walrus(self, node: ast.NamedExpr) -> p.Expression:
        value = self.expression(node.value)
        return p.Walrus(-1, self.expression(node.target), value)

    def _inner(self, node: ast.Await | ast.Starred) -> p.Expression:
        return self.expression(node.value)

    def _yield(self, node: ast.Yield) -> p.Expression:
        self._generator = True
        return p.Yield(-1, self._maybe(node.value))

    def _yield_from(self, node: ast.YieldFrom) -> p.Expression:
        self._generator = True
        return p.Yield(-1, p.Opaque(-1, (self.expression(node.value),)))

    def _lambda(self, node: ast.Lambda) -> p.Expression:
        number = self.number(node)
        parameters = self._parameters(node.args)
        outer = self.enter(parameters)
        body = (p.Return(self.expression(node.body)),)
        function = self.function(number, "<lambda>", parameters, body)
        self.leave(outer)
        return function

    # --- statements -------------------------------------------------------------------------

    def _block(self, statements: Iterable[ast.stmt]) -> tuple[p.Statement, ...]:
        lowered: list[p.Statement] = []
        for statement in statements:
            lower = STATEMENTS.get(type(statement))
            if lower:
                lowered.extend(lower(self, statement))
        return tuple(lowered)

    def _target(self, node: ast.AST) -> p.Expression:
        return self.stored(self.expression(node))

    def _evaluate(self, node: ast.Expr) -> Iterable[p.Statement]:
        yield p.Evaluate(self.expression(node.value))

    def _assign(self, node: ast.Assign) -> Iterable[p.Statement]:
        value = self.expression(node.value)
        yield p.Assign(tuple([self._target(target) for target in node.targets]), value)

    def _annotated(self, node: ast.AnnAssign) -> Iterable[p.Statement]:
        if node.value is None:
            annotation = self.expression(node.annotation)
            yield p.Declare(self.expression(node.target), annotation)
        else:
            value = self.expression(node.value)
            yield p.Assign((self._target(node.target),), value)

    def _augment(self, node: ast.AugAssign) -> Iterable[p.Statement]:
        number = self.number(node)
        value = self.expression(node.value)
        yield p.Augment(number, OPERATORS[type(node.op)], self._target(node.target), value)

    def _define(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterable[p.Statement]:
        number = self.number(node)
        decorators = self._all(node.decorator_list)
        parameters = self._parameters(node.args)
        outer = self.enter(parameters)
        body = self._block(node.body)
        function = self.function(number, node.name, parameters, body, decorators)
        self.leave(outer)
        yield p.Define(function)

    def _parameters(self, node: ast.arguments) -> tuple[p.Parameter, ...]:
        def lowered(arg: ast.arg, default: ast.expr | None, kind: str) -> p.Parameter:
            annotation = arg.annotation
            if isinstance(annotation, ast.Constant):
                named = annotation.value is None or isinstance(annotation.value, str | bytes | bool)
            else:
                named = isinstance(annotation, ast.Name | ast.Attribute | ast.JoinedStr)
            value = self._maybe(default)
            return p.Parameter(arg.arg, value, kind, self._maybe(annotation if named else None))

        plain = [*node.posonlyargs, *node.args]
        defaults = [*[None] * (len(plain) - len(node.defaults)), *node.defaults]
        found = [lowered(arg, value, "") for arg, value in zip(plain, defaults, strict=True)]
        if node.vararg:
            found.append(lowered(node.vararg, None, "*"))
        only = zip(node.kwonlyargs, node.kw_defaults, strict=True)
        found += [lowered(arg, value, "keyword") for arg, value in only]
        if node.kwarg:
            found.append(lowered(node.kwarg, None, "**"))
        return tuple(found)

    def _class(self, node: ast.ClassDef) -> Iterable[p.Statement]:
        number = self.number(node)
        decorators = self._all(node.decorator_list)
        written: list[ast.expr | ast.keyword] = [*node.bases, *node.keywords]
        bases = tuple([self._argument(each) for each in written])
        yield p.Class(number, node.name, bases, decorators, self._block(node.body))

    def _return(self, node: ast.Return) -> Iterable[p.Statement]:
        yield p.Return(self._maybe(node.value))

    def _if(self, node: ast.If) -> Iterable[p.Statement]:
        # A chain of many `elif` is as deep as it is long: walked, so that it costs no recursion.
        chain: list[tuple[p.Expression, tuple[p.Statement, ...]]] = []
        rest: list[ast.stmt] = [node]
        while len(rest) == 1 and isinstance(rest[0], ast.If):
            each = rest[0]
            test = self.expression(each.test)
            chain.append((test, self._block(each.body)))
            rest = each.orelse
        orelse = self._block(rest)
        for test, body in reversed(chain):
            orelse = (p.If(test, body, orelse),)
        yield from orelse

    def _for(self, node: ast.For | ast.AsyncFor) -> Iterable[p.Statement]:
        iterable = self.expression(node.iter)
        target = self._target(node.target)
        body, stores = self._repeated(node.body)
        yield p.For(target, iterable, body, self._block(node.orelse), stores)

    def _while(self, node: ast.While) -> Iterable[p.Statement]:
        test = self.expression(node.test)
        body, stores = self._repeated(node.body)
        yield p.While(test, body, self._block(node.orelse), stores)

    def _repeated(self, body: list[ast.stmt]) -> tuple[tuple[p.Statement, ...], frozenset[str]]:
        before = len(self._bound)
        lowered = self._block(body)
        return lowered, self.bound_since(before)

    def _with(self, node: ast.With | ast.AsyncWith) -> Iterable[p.Statement]:
        items = [
            (
                self.expression(item.context_expr),
                self._target(item.optional_vars) if item.optional_vars else None,
            )
            for item in node.items
        ]
        yield p.With(tuple(items), self._block(node.body))

    def _try(self, node: ast.Try) -> Iterable[p.Statement]:
        body = self._block(node.body)
        handlers = tuple([(each.name or "", self._block(each.body)) for each in node.handlers])
        orelse = self._block(node.orelse)
        yield p.Try(body, handlers, orelse, self._block(node.finalbody))

    def _match(self, node: ast.Match) -> Iterable[p.Statement]:
        subject = self.expression(node.subject)
        cases = [(_captured(case.pattern), self._block(case.body)) for case in node.cases]
        yield p.Match(subject, tuple(cases))

    def _import(self, node: ast.Import) -> Iterable[p.Statement]:
        for alias in node.names:
            top = alias.name.split(".")[0]
            yield p.Import(alias.name, alias.asname or top, alias.asname is not None)

    def _import_from(self, node: ast.ImportFrom) -> Iterable[p.Statement]:
        names = tuple([(alias.name, alias.asname or alias.name) for alias in node.names])
        star = names == (("*", "*"),)
        yield p.ImportFrom(node.level, node.module or "", () if star else names, star)

    def _delete(self, node: ast.Delete) -> Iterable[p.Statement]:
        targets = node.targets
        if len(targets) == 1 and isinstance(targets[0], ast.Tuple | ast.List):
            targets = targets[0].elts
        yield p.Delete(self._all(targets))

    def _raise(self, node: ast.Raise) -> Iterable[p.Statement]:
        yield p.Leave("raise", self._maybe(node.exc))

    def _break(self, _: ast.Break) -> Iterable[p.Statement]:
        yield p.Leave("break")

    def _continue(self, _: ast.Continue) -> Iterable[p.Statement]:
        yield p.Leave("continue")

    def _assert(self, node: ast.Assert) -> Iterable[p.Statement]:
        yield p.Evaluate(self.expression(node.test))

    def _global(self, node: ast.Global) -> Iterable[p.Statement]:
        self._globals.update(node.names)
        return ()

    def _nonlocal(self, node: ast.Nonlocal) -> Iterable[p.Statement]:
        self._nonlocals.update(node.names)
        return ()


def _opaque(_: _Lowering, __: ast.AST) -> p.Expression:
    return p.Opaque(-1)


def _position(node: ast.expr | ast.keyword) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _captured(pattern: ast.AST) -> tuple[str, ...]:
    """Return the names that a pattern may bind."""
    found: tuple[str, ...] = ()
    for child in ast.iter_child_nodes(pattern):
        found += _captured(child)
    if isinstance(pattern, ast.MatchAs | ast.MatchStar) and pattern.name:
        found += (pattern.name,)
    elif isinstance(pattern, ast.MatchMapping) and pattern.rest:
        found += (pattern.rest,)
    return found


COMPREHENSIONS: dict[type[ast.AST], str] = {
    ast.ListComp: "list",
    ast.SetComp: "set",
    ast.GeneratorExp: "generator",
    ast.DictComp: "dict",
}
# `Any`: each function takes the node class that is its key, which a dict cannot say.
EXPRESSIONS: dict[type[ast.AST], Callable[[_Lowering, Any], p.Expression]] = {
    ast.Constant: _Lowering._constant,
    ast.Name: _Lowering._name,
    ast.JoinedStr: _Lowering._formatted,
    ast.Attribute: _Lowering._attribute,
    ast.Call: _Lowering._call,
    ast.Subscript: _Lowering._subscript,
    ast.Slice: _Lowering._slice,
    ast.BinOp: _Lowering._binary,
    ast.UnaryOp: _Lowering._unary,
    ast.BoolOp: _Lowering._boolean,
    ast.Compare: _Lowering._comparison,
    ast.IfExp: _Lowering._conditional,
    ast.Tuple: _Lowering._display,
    ast.List: _Lowering._display,
    ast.Set: _Lowering._display,
    ast.Dict: _Lowering._dict,
    ast.ListComp: _Lowering._comprehension,
    ast.SetComp: _Lowering._comprehension,
    ast.GeneratorExp: _Lowering._comprehension,
    ast.DictComp: _Lowering._comprehension,
    ast.NamedExpr: _Lowering._walrus,
    ast.Await: _Lowering._inner,
    ast.Yield: _Lowering._yield,
    ast.YieldFrom: _Lowering._yield_from,
    ast.Starred: _Lowering._inner,
    ast.Lambda: _Lowering._lambda,
}
STATEMENTS: dict[type[ast.AST], Callable[[_Lowering, Any], Iterable[p.Statement]]] = {
    ast.Expr: _Lowering._evaluate,
    ast.Assign: _Lowering._assign,
    ast.AnnAssign: _Lowering._annotated,
    ast.AugAssign: _Lowering._augment,
    ast.FunctionDef: _Lowering._define,
    ast.AsyncFunctionDef: _Lowering._define,
    ast.ClassDef: _Lowering._class,
    ast.Return: _Lowering._return,
    ast.If: _Lowering._if,
    ast.For: _Lowering._for,
    ast.AsyncFor: _Lowering._for,
    ast.While: _Lowering._while,
    ast.With: _Lowering._with,
    ast.AsyncWith: _Lowering._with,
    ast.Try: _Lowering._try,
    ast.TryStar: _Lowering._try,
    ast.Match: _Lowering._match,
    ast.Import: _Lowering._import,
    ast.ImportFrom: _Lowering._import_from,
    ast.Delete: _Lowering._delete,
    ast.Raise: _Lowering._raise,
    ast.Break: _Lowering._break,
    ast.Continue: _Lowering._continue,
    ast.Assert: _Lowering._assert,
    ast.Global: _Lowering._global,
    ast.Nonlocal: _Lowering._nonlocal,
}


def lower_ast(tree: ast.Module) -> tuple[p.Program, list[Any]]:
    """Return the program of `tree`, equal to that of its LibCST tree, and the node of each number.

    Raises:
        RecursionError: an expression or a block is nested too deeply to be followed.
    """
    lowering = _Lowering()
    return lowering.program(tree), lowering.nodes
