"""Follow calls: of functions, methods, classes and modules of the project, and of libraries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from lossgrade_checks.meaning import attributes, library, statements, tables
from lossgrade_checks.meaning import expressions as e
from lossgrade_checks.meaning import program as p
from lossgrade_checks.meaning import values as v
from lossgrade_checks.meaning.run import DEPTH, Frame, Run

if TYPE_CHECKING:
    from collections.abc import Callable


class Arguments(NamedTuple):
    """The arguments of a call, and the expressions of those that are written in it."""

    positional: tuple[Any, ...] = ()
    keywords: dict[str, Any] = {}  # noqa: RUF012 (never changed: it is part of a value)
    # By position, as far as the last that is known, and by keyword.
    nodes: tuple[p.Expression | None, ...] = ()
    named: dict[str, p.Expression] = {}  # noqa: RUF012
    # Some come from `*args` or `**kwargs` of which nothing is known.
    open: bool = False

    def get(self, position: int, *names: str) -> Any:
        """Return the argument at `position` or by one of `names`, or None."""
        for name in names:
            if name in self.keywords:
                return self.keywords[name]
        return self.positional[position] if 0 <= position < len(self.positional) else None

    def node(self, position: int, *names: str) -> p.Expression | None:
        """Return the expression of that argument, or None."""
        for name in names:
            if name in self.keywords:
                return self.named.get(name)
        return self.nodes[position] if 0 <= position < len(self.nodes) else None

    def after(self, first: Any) -> Arguments:
        """Return these arguments after `first`, the object that a method is called on."""
        return Arguments(
            (first, *self.positional), self.keywords, (None, *self.nodes), self.named, self.open
        )


NO_ARGUMENTS = Arguments()
NO_KEYWORDS: dict[str, Any] = {}


def arguments(run: Run, node: p.Call) -> Arguments:
    """Return the values of the arguments of a call."""
    expressions = e.EXPRESSIONS
    positional = [expressions[type(part)](run, part) for part in node.positional]
    if not node.others:
        # Six of seven calls, which need nothing of what follows.
        return Arguments(tuple(positional), NO_KEYWORDS, node.positional)
    keywords: dict[str, Any] = {}
    nodes: list[p.Expression | None] = list(node.positional)
    named: dict[str, p.Expression] = {}
    is_open = False
    for argument in node.others:
        part = argument.value
        value = expressions[type(part)](run, part)
        if argument.keyword:
            keywords[argument.keyword] = value
            named[argument.keyword] = part
        elif not argument.star and not is_open:
            nodes.append(part)
            positional.append(value)
        elif argument.star == "*":
            items = e.items_of(value)
            if items is None:
                is_open = True
            else:
                positional.extend(items)
                nodes.extend([None] * len(items))
        elif argument.star == "**":
            if isinstance(value, v.Dictionary) and value.complete:
                keywords.update({key: x for key, x in value.slots.items() if isinstance(key, str)})
            else:
                is_open = True
    return Arguments(tuple(positional), keywords, tuple(nodes), named, is_open)


def call(run: Run, function: Any, args: Arguments, node: p.Call | None) -> Any:
    """Return what calling `function` gives; `node` is the call, if it is written as one."""
    caller = CALLERS.get(type(function))
    if caller is not None:
        return caller(run, function, args, node)
    for value in (*args.positional, *args.keywords.values()):
        attributes.forget_items(run, value)
    return v.Unknown()


def _call_bound(run: Run, function: v.Bound, args: Arguments, node: p.Call | None) -> Any:
    return call(run, function.function, args.after(function.receiver), node)


def _call_partial(run: Run, function: v.Partial, args: Arguments, node: p.Call | None) -> Any:
    merged = Arguments(
        (*function.positional, *args.positional),
        {**function.keywords, **args.keywords},
        (*[None] * len(function.positional), *args.nodes),
        args.named,
        args.open,
    )
    return call(run, function.function, merged, node)


# --- functions of the project -------------------------------------------------------------------


def make_function(run: Run, code: p.Function) -> v.FunctionValue:
    """Return the function that a `def` or a lambda makes."""
    defaults = {
        parameter.name: e.evaluate(run, parameter.default)
        for parameter in code.parameters
        if parameter.default is not None
    }
    function = v.FunctionValue(code, run.frame.scope, defaults)
    run.frame.made.append(function)
    return function


def _call_function(
    run: Run, function: v.FunctionValue, args: Arguments, node: p.Call | None
) -> Any:
    code = function.code
    deep = len(run.frames) > DEPTH or any(
        frame.function is not None and frame.function.code is code for frame in run.frames
    )
    if deep:
        return v.Unknown()
    run.step()
    run.called.add(id(code))
    names = _bind(function, args)
    if node is not None:
        run.calls.append(run.site(node.number))
    result = follow(run, function, names, args.positional[0] if args.positional else None)
    if node is not None:
        run.calls.pop()
    return result


def follow(run: Run, function: v.FunctionValue, names: dict[str, Any], receiver: Any) -> Any:
    """Follow the body of `function` with `names` bound; return what it returns."""
    code = function.code
    scope = v.Scope(function.module, function.scope, code)
    scope.names.update(names)
    frame = Frame(scope, function)
    frame.receiver = receiver
    frame.mark = run.trail.mark()
    run.frames.append(frame)
    no_grad, nonzero = run.no_grad, run.nonzero
    if "no_grad" in function.flags:
        run.no_grad += 1
    stopped = statements.block(run, code.body)
    run.no_grad, run.nonzero = no_grad, nonzero
    run.frames.pop()
    # Functions made here that nobody called are followed by whoever follows this one as an entry.
    run.frame.made.extend(frame.made)
    if frame.exits:
        outcomes = list(frame.exits)
        if not stopped:
            outcomes.append(run.trail.changes(frame.mark))
        if len(outcomes) > 1:
            run.trail.undo(frame.mark)
            run.trail.merge(outcomes)
    if code.generator:
        yielded = v.MISSING
        for value in frame.yields:
            yielded = v.join(yielded, value)
        return v.listed(v.Unknown() if yielded is v.MISSING else yielded)
    if not stopped:
        frame.returns.append(v.NONE)
    result: Any = v.MISSING
    for value in frame.returns:
        result = v.join(result, value)
    return v.Unknown() if result is v.MISSING else result


def _bind(function: v.FunctionValue, args: Arguments) -> dict[str, Any]:
    """Return the value of each parameter for a call with `args`."""
    names: dict[str, Any] = {}
    position = 0
    used: set[str] = set()
    for parameter in function.code.parameters:
        name = parameter.name
        if parameter.kind == "*":
            rest = args.positional[position:]
            names[name] = v.Sequence("tuple", None if args.open else rest)
            position = len(args.positional)
        elif parameter.kind == "**":
            rest_of = {key: x for key, x in args.keywords.items() if key not in used}
            names[name] = v.Dictionary(rest_of, not args.open)
        elif parameter.kind == "" and position < len(args.positional):
            names[name] = args.positional[position]
            position += 1
        elif name in args.keywords:
            names[name] = args.keywords[name]
            used.add(name)
        elif args.open:
            names[name] = v.Unknown()
        else:
            names[name] = function.defaults.get(name) or v.Unknown("parameter", name)
    return names


def decorate(run: Run, decorator: p.Expression, value: Any) -> Any:
    """Return `value`, a function, as its decorator leaves it."""
    if (
        type(decorator) is p.Attribute
        and decorator.name in {"setter", "deleter", "getter"}
        and isinstance(value, v.FunctionValue)
    ):
        return _property_part(run, decorator, value)
    found = e.evaluate(run, decorator)
    if not isinstance(value, v.FunctionValue):
        return value
    path = found.path if isinstance(found, v.External | v.Layer) else ""
    if type(decorator) is p.Call and not path:
        # `lru_cache(maxsize=None)`
        made_by = e.evaluate(run, decorator.function)
        path = made_by.path if isinstance(made_by, v.External) else ""
    flag = FLAGS.get(path)
    if flag is not None:
        value.flags |= {flag} if flag else set()
        return value
    if path in tables.NO_GRAD:
        value.flags |= {"no_grad"}
        return value
    if isinstance(found, v.External | v.Layer):
        return v.Unknown()
    # A decorator of the project; of another nothing is known.
    return call(run, found, Arguments((value,)), None)


def _property_part(run: Run, decorator: p.Attribute, value: v.FunctionValue) -> Any:
    """`@name.setter`: the setter lies beside the property, which stays bound to the name."""
    if type(decorator.value) is not p.Name:
        # `@Base.name.setter`: a property of its own, made of another class's.
        return v.Unknown()
    name = decorator.value.id
    run.trail.store(run.frame.scope.names, f"{name}.{decorator.name}", value)
    return run.lookup(name)


FLAGS = {
    "builtins.staticmethod": "static",
    "builtins.classmethod": "class",
    "builtins.property": "property",
    "functools.cached_property": "property",
    "functools.wraps": "",
    "functools.lru_cache": "",
    "functools.cache": "",
    "abc.abstractmethod": "",
    "typing.override": "",
    "torch.enable_grad": "",
    "torch.compile": "",
    "torch.jit.script": "",
    "torch.jit.export": "",
    "torch.jit.ignore": "",
    "torch.jit.unused": "",
    "typing.no_type_check": "",
}


# --- classes of the project ---------------------------------------------------------------------


def decorate_class(run: Run, statement: p.Class, cls: v.ClassValue) -> Any:
    """Return a class as its decorators leave it; a dataclass learns its fields."""
    outside = {"typing.NamedTuple", "pydantic.BaseModel", "transformers.utils.ModelOutput"}
    cls.dataclass = bool(outside & set(cls.outside()))
    for decorator in statement.decorators:
        found = e.evaluate(run, decorator)
        path = found.path if isinstance(found, v.External | v.Layer) else ""
        if path in {"dataclasses.dataclass", "attr.s", "attrs.define", "attr.dataclass"}:
            cls.dataclass = True
    if cls.dataclass:
        declared = [target.id for item in statement.body if (target := _field(item)) is not None]
        inherited = [
            name for base in cls.order[1:] if isinstance(base, v.ClassValue) for name in base.fields
        ]
        cls.fields = tuple(dict.fromkeys([*inherited, *declared]))
    return cls


def _field(statement: p.Statement) -> p.Name | None:
    if type(statement) is p.Declare and type(statement.target) is p.Name:
        return statement.target
    if type(statement) is p.Assign and type(statement.targets[0]) is p.Name:
        return statement.targets[0]
    return None


def _instantiate(run: Run, cls: v.ClassValue, args: Arguments, node: p.Call | None) -> Any:
    made = v.Instance(cls)
    constructor = cls.lookup("__init__")
    if isinstance(constructor, v.FunctionValue):
        _call_function(run, constructor, args.after(made), node)
    elif cls.dataclass or cls.fields:
        for position, name in enumerate(cls.fields):
            value = args.get(position, name)
            if value is None:
                value = field_default(run, cls.lookup(name))
            made.slots[name] = v.Unknown() if value is None else value
        after = cls.lookup("__post_init__")
        if isinstance(after, v.FunctionValue):
            _call_function(run, after, Arguments((made,)), node)
    elif any(path in tables.CONTAINERS for path in cls.outside()):
        library.fill(run, made, args)
    return made


def field_default(run: Run, value: Any) -> Any:
    """Return the default of a field; `field(default_factory=f)` calls f."""
    if isinstance(value, v.Layer) and value.path.endswith(".field"):
        factory = value.keywords.get("default_factory")
        if factory is not None:
            return call(run, factory, NO_ARGUMENTS, None)
        return value.keywords.get("default")
    return value


def _call_instance(run: Run, made: v.Instance, args: Arguments, node: p.Call | None) -> Any:
    replaced = made.slots.get("forward")
    if replaced is not None:
        return call(run, replaced, args, node)
    for name in ("__call__", "forward"):
        method = made.cls.lookup(name)
        if isinstance(method, v.FunctionValue):
            return _call_function(run, method, args.after(made), node)
    if "children" in made.slots:
        return library.apply_all(run, made.slots["children"], args, node)
    return v.Unknown()


def _call_method(run: Run, method: v.Method, args: Arguments, node: p.Call | None) -> Any:
    """Call `receiver.name(...)` where the class of the receiver does not define it."""
    receiver = method.receiver
    if isinstance(receiver, v.Super):
        return _call_super(run, receiver, method.name, args, node)
    if isinstance(receiver, v.Instance):
        return _call_inherited(run, receiver, method.name, args, node)
    return library.call_method(run, method, args, node)


def _call_super(
    run: Run, receiver: v.Super, name: str, args: Arguments, node: p.Call | None
) -> Any:
    made = receiver.receiver
    if isinstance(made, v.Instance):
        if name == "__init__" and any(path in tables.CONTAINERS for path in made.cls.outside()):
            library.fill(run, made, args)
        elif name in {"forward", "__call__"} and "children" in made.slots:
            return library.apply_all(run, made.slots["children"], args, node)
    return v.Unknown()


def _call_inherited(
    run: Run, made: v.Instance, name: str, args: Arguments, node: p.Call | None
) -> Any:
    """Call a method that an object of the project has from a library's class, as nn.Module."""
    if name in tables.RETURNS_SELF:
        return made
    if name == "add_module" or name == "register_module":
        key = args.get(0, "name")
        if isinstance(key, v.Constant):
            child = args.get(1, "module") or v.Unknown()
            run.trail.store(made.slots, key.value, child)
    children = made.slots.get("children")
    if isinstance(children, v.Sequence) and name in library.GROWS:
        library.call_method(run, v.Method(children, name), args, node)
        return made
    if name in {"add_module", "register_module"}:
        return v.NONE
    if name == "__call__":
        return _call_instance(run, made, args, node)
    if name == "manual_backward":
        library.backward(run, args.get(0, "loss"), node)
        return v.NONE
    if name == "_replace":
        return v.Unknown()
    return v.Unknown()


def is_no_grad(manager: Any) -> bool:
    """Whether `with manager:` turns gradients off."""
    if not isinstance(manager, v.Layer | v.External):
        return False
    if manager.path in tables.NO_GRAD:
        return True
    if manager.path == "torch.set_grad_enabled" and isinstance(manager, v.Layer):
        return bool(manager.argument(0, "mode") == v.Constant(False))
    return False


CALLERS: dict[type, Callable[[Run, Any, Arguments, p.Call | None], Any]] = {
    v.FunctionValue: _call_function,
    v.Bound: _call_bound,
    v.Partial: _call_partial,
    v.ClassValue: _instantiate,
    v.Instance: _call_instance,
    v.Method: _call_method,
    v.External: library.call_external,
    v.Layer: library.call_layer,
    v.Sequence: library.call_container,
}
