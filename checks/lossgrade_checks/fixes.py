"""Build fixes: edits of a file's text, from the LibCST nodes of what they change."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

from lossgrade_checks.finding import Applicability, Edit, Fix

if TYPE_CHECKING:
    # Rules import this module, and listing them must not load LibCST.
    from collections.abc import Callable, Iterable, Mapping

    import libcst as cst

    from lossgrade_checks.meaning.program import Expression
    from lossgrade_checks.meaning.values import Site
    from lossgrade_checks.positions import Positions


class NotParsed(Exception):
    """A fix looks at a statement that LibCST has not parsed: more of the file must be."""


class Patch:
    """The text of one file and nodes of it, for rules to build edits from.

    The nodes are at least those of the statements in which something is reported, of the imports
    at the top level, and of the statement that comes first after those that must.
    """

    def __init__(
        self,
        path: str,
        text: str,
        tree: cst.Module,
        nodes: Mapping[int, cst.CSTNode],
        positions: Positions,
        find_assigned: Callable[[], frozenset[str]],
    ) -> None:
        self.path = path
        self._find_assigned = find_assigned
        self._tree = tree
        self.text = text
        self._nodes = nodes
        self._positions = positions

    def node(self, part: Expression | Site | None) -> cst.CSTNode | None:
        """Return the LibCST node of a part of this file; None when it lies in another one.

        Raises:
            NotParsed: it lies in a statement that LibCST has not parsed.
        """
        if part is None:
            return None
        path = getattr(part, "path", self.path)
        if path != self.path or part.number < 0:
            return None
        if part.number not in self._nodes:
            raise NotParsed
        return self._nodes[part.number]

    def call(self, part: Expression | Site | None) -> cst.Call | None:
        """Return the LibCST call of a part of this file, or None."""
        import libcst as cst

        node = self.node(part)
        return node if isinstance(node, cst.Call) else None

    def span(self, node: cst.CSTNode) -> tuple[int, int]:
        """Return where the text of `node` starts and ends, its own parentheses left out."""
        return self._positions.span(node)

    def source(self, node: cst.BaseExpression) -> str:
        """Return the text of an expression, its own parentheses included."""
        start, end = self._outer(node)
        return self.text[start:end]

    def _outer(self, node: cst.CSTNode) -> tuple[int, int]:
        return self._positions.outer(node)

    def checked(self, fix: Fix | None) -> Fix | None:
        """Return `fix`, no longer as a safe one where a comment would be lost with it."""
        if fix is None or fix.applicability == "unsafe":
            return fix
        lost = any(
            self.text.count("#", edit.start, edit.end) > edit.content.count("#")
            for edit in fix.edits
        )
        return fix._replace(applicability="unsafe") if lost else fix

    # --- edits ----------------------------------------------------------------------------------

    def replace(self, node: cst.CSTNode, content: str) -> Edit:
        """Return the edit that puts `content` in the place of `node`, parentheses included."""
        start, end = self._outer(node)
        return Edit(start, end, content)

    def rename(self, call: cst.Call, name: str) -> Edit | None:
        """Return the edit that calls `name` of the same module or object instead."""
        import libcst as cst

        function = call.func
        if isinstance(function, cst.Attribute):
            start, end = self.span(function.attr)
            return Edit(start, end, name)
        return None

    def put(self, whole: cst.BaseExpression, part: cst.BaseExpression) -> Edit:
        """Return the edit that leaves `part` of `whole`, in parentheses where they are needed."""
        import libcst as cst

        content = self.source(part)
        start, end = self._outer(whole)
        atom = isinstance(part, cst.Name | cst.Attribute | cst.Call | cst.Subscript) or part.lpar
        before, after = self.text[:start].rstrip(" \t"), self.text[end:].lstrip(" \t")
        alone = after[:1] in {"", "\n", "\r", "#"} and "\n" not in content
        alone = alone and (before[-1:] in {"=", ",", "("} or before.endswith("return"))
        argument = id(whole) in self._given
        # `f(y := x)` may be said, `f(input=y := x)` not.
        bare = atom or ((alone or argument) and not isinstance(part, cst.NamedExpr))
        return Edit(start, end, content if bare else f"({content})")

    def drop_idle(self, edit: Edit) -> Edit:
        """Return `edit`, or where it leaves `x = x`, the edit that removes that line.

        The line stays where it may be all there is in its block.
        """
        first = self.text.rfind("\n", 0, edit.start) + 1
        head = re.fullmatch(r"([ \t]*)([\w.]+)[ \t]*=[ \t]*", self.text[first : edit.start])
        rest = re.compile(r"[ \t]*\r?\n").match(self.text, edit.end)
        if head is None or rest is None or head[2] != edit.content:
            return edit
        before = self.text[:first].rstrip().rpartition("\n")[2]
        inside = before.removeprefix(head[1])
        sibling = before.startswith(head[1]) and not inside[:1].isspace()
        if not sibling or inside.startswith("#"):
            return edit
        return Edit(first, rest.end(), "")

    @functools.cached_property
    def _given(self) -> set[int]:
        """The expressions, by identity, that are arguments of calls."""
        return {id(arg.value) for call in self._calls() for arg in call.args}

    def _calls(self) -> Iterable[cst.Call]:
        import libcst as cst

        return (node for node in self._nodes.values() if isinstance(node, cst.Call))

    def argument(self, call: cst.Call, position: int, name: str) -> cst.Arg | None:
        """Return the argument at `position` or called `name`; None if it may be any other."""
        for index, arg in enumerate(call.args):
            if arg.star:
                return None
            if arg.keyword is None and index == position:
                return arg
            if arg.keyword is not None and arg.keyword.value == name:
                return arg
        return None

    def call_instead(self, call: cst.Call, old: str, new: str) -> tuple[Edit, ...] | None:
        """Return the edits that call `new` where `call` calls `old`, which lies in one module.

        `F.old(...)` needs one edit. `old(...)` needs an import too; under an alias it is left.
        """
        import libcst as cst

        function = call.func
        if isinstance(function, cst.Attribute) and function.attr.value == old:
            edit = self.rename(call, new)
            return None if edit is None else (edit,)
        if isinstance(function, cst.Name) and function.value == old:
            start, end = self.span(function)
            imported = self._import_beside(old, new, start)
            return None if imported is None else (*imported, Edit(start, end, new))
        return None

    def _import_beside(self, old: str, new: str, before: int) -> tuple[Edit, ...] | None:
        """Return the edits that import `new` from where `old` comes; None where that is not seen.

        Where nothing else uses `old`, its import is not needed any more.
        """
        if new in self._assigned:
            # A function of the file's own of that name, perhaps the one that this is in.
            return None
        found = None
        for match in _FROM_TORCH.finditer(self.text, 0, before):
            names = match["names"]
            if re.search(rf"\b{new}\b(?!\s+as\b)", names) or names.strip() == "*":
                return ()
            if place := re.search(rf"\b{old}\b(?!\s+as\b)", names):
                found = match.start("names") + place.start(), match.start("names") + place.end()
        if found is None:
            return None
        uses = len(re.findall(rf"(?<![\w.]){old}\b", self.text))
        if uses == 2:
            return (Edit(*found, new),)
        return (Edit(found[1], found[1], f", {new}"),)

    def remove_layer(self, layer: cst.Call) -> Edit | None:
        """Return the edit that takes a layer out of the `nn.Sequential(...)` that it stands in."""
        import libcst as cst

        for call in self._calls():
            function = call.func.attr if isinstance(call.func, cst.Attribute) else call.func
            if not isinstance(function, cst.Name) or function.value != "Sequential":
                continue
            for arg in call.args:
                if arg.value is layer and len(call.args) > 1:
                    return self._remove_line(arg) or self.remove_argument(call, arg)
        return None

    def beside(self, a: cst.Call, b: cst.Call | None) -> bool:
        """Whether two calls are arguments of one call."""
        return any(
            any(arg.value is a for arg in call.args) and any(arg.value is b for arg in call.args)
            for call in self._calls()
        )

    def _remove_line(self, arg: cst.Arg) -> Edit | None:
        """Return the edit that removes the lines of an argument with nothing else in them."""
        start, end = self._argument(arg)
        first = self.text.rfind("\n", 0, start) + 1
        rest = re.compile(r"[ \t]*,[ \t]*\r?\n").match(self.text, end)
        if rest is None or self.text[first:start].strip():
            return None
        return Edit(first, rest.end(), "")

    def set_keyword(self, call: cst.Call, name: str, content: str) -> Edit:
        """Return the edit that gives the keyword argument `name` the value `content`."""
        for arg in call.args:
            if arg.keyword is not None and arg.keyword.value == name:
                return self.replace(arg.value, content)
        if call.args:
            end = self._argument(call.args[-1])[1]
            return Edit(end, end, f", {name}={content}")
        end = self.span(call)[1] - 1
        return Edit(end, end, f"{name}={content}")

    def remove_argument(self, call: cst.Call, arg: cst.Arg) -> Edit:
        """Return the edit that removes an argument, with the comma that it needs no more."""
        index = call.args.index(arg)
        start, end = self._argument(arg)
        if index + 1 < len(call.args):
            return Edit(start, self._argument(call.args[index + 1])[0], "")
        if index:
            return Edit(self._argument(call.args[index - 1])[1], end, "")
        return Edit(start, end, "")

    def functional(self, name: str) -> tuple[str, tuple[Edit, ...]]:
        """Return how the file says `torch.nn.functional.name`, and the import it needs for that."""
        alias = self._bound("torch.nn.functional", "torch.nn", "functional")
        if alias:
            return f"{alias}.{name}", ()
        alias = self._bound("torch.nn", "torch", "nn")
        if alias:
            return f"{alias}.functional.{name}", ()
        function, added = self.of_torch(name)
        return function.replace(f".{name}", f".nn.functional.{name}"), added

    def of_torch(self, name: str) -> tuple[str, tuple[Edit, ...]]:
        """Return how the file says `torch.name`, and the import that it needs for that."""
        alias = self._bound("torch", "", "")
        if alias:
            return f"{alias}.{name}", ()
        start = self._before_imports()
        return f"torch.{name}", (Edit(start, start, "import torch\n"),)

    def _before_imports(self) -> int:
        """Return where an import may be added: before the others, after what must come first."""
        import libcst as cst

        for statement in self._tree.body:
            small = statement.body[0] if isinstance(statement, cst.SimpleStatementLine) else None
            if isinstance(small, cst.Expr) and isinstance(small.value, cst.BaseString):
                continue
            if isinstance(small, cst.ImportFrom) and _dotted(small.module) == "__future__":
                continue
            start = self.span(statement)[0]
            # Decorators belong to what they decorate.
            for decorator in getattr(statement, "decorators", ()):
                start = min(start, self.span(decorator)[0])
            return self.text.rfind("\n", 0, start) + 1
        return len(self.text)

    def _bound(self, module: str, package: str, member: str) -> str:
        """Return the name that the top level of the file binds to `module`, or ""."""
        for bound, source in self._imported:
            if source in {module, f"{package}.{member}"} and bound not in self._assigned:
                return bound
        return ""

    @functools.cached_property
    def _imported(self) -> list[tuple[str, str]]:
        """The names that imports at the top level bind, with what each is."""
        import libcst as cst

        found = []
        for line in self._tree.body:
            for statement in line.body if isinstance(line, cst.SimpleStatementLine) else ():
                if isinstance(statement, cst.Import):
                    for alias in statement.names:
                        module = _dotted(alias.name)
                        if alias.asname is not None:
                            found.append((_dotted(alias.asname.name), module))
                        else:
                            # `import torch.nn` binds torch, through which all of it is reached.
                            parts = module.split(".")
                            ends = range(1, len(parts) + 1)
                            found += [(".".join(parts[:end]),) * 2 for end in ends]
                elif isinstance(statement, cst.ImportFrom) and not statement.relative:
                    names = (
                        statement.names if not isinstance(statement.names, cst.ImportStar) else ()
                    )
                    package = _dotted(statement.module)
                    for alias in names:
                        name = _dotted(alias.name)
                        bound = _dotted(alias.asname.name) if alias.asname else name
                        found.append((bound, f"{package}.{name}"))
        return found

    @functools.cached_property
    def _assigned(self) -> frozenset[str]:
        """The names that the file binds in any way but imports, anywhere in it."""
        return self._find_assigned()

    def loses_comment(self, node: cst.CSTNode, content: str) -> bool:
        """Whether a comment is lost where `content` takes the place of `node`."""
        start, end = self._outer(node)
        return self.text.count("#", start, end) > content.count("#")

    def arguments(self, call: cst.Call, content: str) -> Edit:
        """Return the edit that puts `content` in the place of all arguments of a call."""
        end = self.span(call)[1] - 1
        if not call.args:
            return Edit(end, end, content)
        start = self._argument(call.args[0])[0]
        return Edit(start, start + len(self.text[start:end].rstrip()), content)

    def atom(self, node: cst.BaseExpression) -> str:
        """Return the text of an expression, in parentheses where something is to bind to it."""
        import libcst as cst

        content = self.source(node)
        alone = isinstance(node, cst.Name | cst.Attribute | cst.Call | cst.Subscript)
        return content if alone or node.lpar else f"({content})"

    def insert_after(self, node: cst.CSTNode, content: str) -> Edit:
        """Return the edit that puts `content` behind `node`, parentheses included."""
        end = self._outer(node)[1]
        return Edit(end, end, content)

    def span_of_argument(self, arg: cst.Arg) -> tuple[int, int]:
        """Return where the text of an argument starts and ends, its keyword included."""
        return self._argument(arg)

    def _argument(self, arg: cst.Arg) -> tuple[int, int]:
        start, end = self._outer(arg.value)
        if arg.keyword is not None:
            start = self.span(arg.keyword)[0]
        elif arg.star:
            start = self.text.rindex(arg.star, 0, start)
        return start, end


def _dotted(node: cst.CSTNode | None) -> str:
    import libcst as cst

    if isinstance(node, cst.Attribute):
        return f"{_dotted(node.value)}.{node.attr.value}"
    return node.value if isinstance(node, cst.Name) else ""


_FROM_TORCH = re.compile(
    r"^[ \t]*from[ \t]+torch[\w.]*[ \t]+import[ \t]*(?P<names>\([^)#]*\)|[^\n#(]*)", re.MULTILINE
)


def operand_of(call: cst.Call) -> cst.BaseExpression | None:
    """Return what an activation is applied to: its first argument, or the method's object.

    A call of one argument that is no tensor (`x.softmax(1)`, `x.softmax(dim=1)`) is a method's.
    """
    import libcst as cst

    named = [arg for arg in call.args if arg.keyword and arg.keyword.value == "input"]
    if named:
        return named[0].value
    first = call.args[0] if call.args else None
    if first is None or first.keyword is not None or isinstance(first.value, cst.Integer):
        return call.func.value if isinstance(call.func, cst.Attribute) else None
    if isinstance(first.value, cst.UnaryOperation) and isinstance(
        first.value.expression, cst.Integer
    ):
        return call.func.value if isinstance(call.func, cst.Attribute) else None
    return None if first.star else first.value


def says_more(call: cst.Call) -> bool:
    """Whether an elementwise call has arguments beside its operand, such as `out=buffer`."""
    import libcst as cst

    operand = operand_of(call)
    of_method = isinstance(call.func, cst.Attribute) and operand is call.func.value
    return len(call.args) > (0 if of_method else 1)


def safe(message: str, *edits: Edit | None) -> Fix | None:
    """Return a safe fix, or None when one of its edits cannot be made."""
    return _fix("safe", message, edits)


def unsafe(message: str, *edits: Edit | None) -> Fix | None:
    """Return an unsafe fix, or None when one of its edits cannot be made."""
    return _fix("unsafe", message, edits)


def _fix(kind: Applicability, message: str, edits: tuple[Edit | None, ...]) -> Fix | None:
    made = tuple(edit for edit in edits if edit is not None)
    return Fix(kind, message, made) if len(made) == len(edits) else None
