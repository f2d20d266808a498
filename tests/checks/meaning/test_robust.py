"""Whatever Python a file holds, following it ends, soon, and raises nothing.

Each odd program is followed by a plain mistake: it must still be found.
"""

from __future__ import annotations

import ast
import sysconfig
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowing import PRELUDE, PROBE
from linting import codes, lint
from lossgrade_checks.engine import Project, check
from lossgrade_checks.rules import all_rules
from lossgrade_checks.source import Source, Unreadable, read_source

MISTAKE = """
def step(model, x, y):
    return F.cross_entropy(F.softmax(model(x), 1), y)
"""


def numbered(count: int, line: str, first: int = 0) -> str:
    """Return `line` once for each number, which stands in it as `{i}`; `{j}` is the one before."""
    return "".join(line.format(i=i, j=i - 1) for i in range(first, first + count))


def nested(depth: int, line: str, last: str = "pass") -> str:
    """Return `line`, which opens a block, in itself `depth` times."""
    opened = "".join("    " * i + line.format(i=i) + "\n" for i in range(depth))
    return opened + "    " * depth + last + "\n"


ODD = {
    "a class that inherits from its own name": "class A(A): pass\nA().forward(1)\n",
    "bases in a circle by assignment": (
        "class A: pass\nclass B(A): pass\nA = B\nclass B(A): pass\nA = B\nB()(1)\n"
    ),
    "bases with no order": "class A: pass\nclass B(A): pass\nclass C(A, B): pass\nC().x\n",
    "the same base twice": "class A: pass\nclass B(A, A): pass\nB()\n",
    "a base that is no class": "class A(3): pass\nclass B(len): pass\nclass C(lambda: 1): pass\nC()\n",
    "bases with a star": "bases = (nn.Module,)\nclass A(*bases, **{'metaclass': type}): pass\nA()(1)\n",
    "a metaclass": "class M(type): pass\nclass A(metaclass=M): pass\nA()\n",
    "a list that holds itself": "a = []\na.append(a)\nb = torch.tensor(a)\nc = a + a\nprint(a == c)\n",
    "a dict that holds itself": "d = {}\nd['d'] = d\nd.update(d)\nd['d']['d']['d'](1)\n",
    "an object that holds itself": "class A: pass\na = A()\na.a = a\na.a.a.a.b = 1\na.forward = a\na(1)\n",
    "a function that returns itself": "def f():\n    return f\nf()()()()\n",
    "a function that calls its argument with itself": "def f(g):\n    return g(g)\nf(f)\n",
    "the Y combinator": "y = lambda f: (lambda x: f(lambda v: x(x)(v)))(lambda x: f(lambda v: x(x)(v)))\n"
    "y(lambda s: lambda n: 1 if n < 2 else n * s(n - 1))(9)\n",
    "a property that reads itself": "class A:\n    @property\n    def x(self): return self.x\nA().x\n",
    "a setter that sets itself": "class A:\n    @property\n    def x(self): return 1\n    @x.setter\n"
    "    def x(self, v): self.x = v\nA().x = 1\n",
    "a setter of another class's property": "class A:\n    @property\n    def x(self): return 1\n"
    "class B(A):\n    @A.x.setter\n    def x(self, v): self.y = v\nB().x = 1\n",
    "a class that makes itself": "class A:\n    def __init__(self): self.a = A()\nA()\n",
    "a decorator of itself": "def f(g): return f\n@f\n@f(1)\n@f(f)(2)\ndef h(): pass\nh(1)\n",
    "decorators that are expressions": "@(lambda f: f)\n@[print][0]\n@(x := print)\ndef f(): pass\nf()\n",
    "stars everywhere": "def f(*a, b, **k):\n    return f(*a, *a, **k, **k, b=b)\n"
    "f(*[1], *(2,), b=3, **{'c': 1}, **dict(d=2))\n[*a, *b], {**a, **b}, (*a,)\n",
    "names like keywords": "match = case = type = _ = print\nmatch(case)\ntype(_)[match]\nsoft = 1\n",
    "every statement of match": "match x:\n    case [1, *rest]: pass\n    case {'a': b, **c}: pass\n"
    "    case A(x=1) | B(2): pass\n    case -1 | 1j: pass\n    case str() as s if s: pass\n"
    "    case _: pass\n",
    "every kind of try": "try: x = 1\nexcept* (A, B) as e: raise e from None\nelse: y = x\nfinally: del x\n",
    "a return outside a function": "if x:\n    y = 1\nlambda: (yield)\n",
    "everything async": "async def f():\n    async with a as b, c as (d, e): pass\n"
    "    async for x, *y in z: await x\n    return [i async for i in f() if await i]\n",
    "assignments to odd targets": "a, (b, *c), [d, e.f, g[0]] = x\n(a) = [] = ()\nx().y = 1\nx()[1] = 2\n",
    "deletions of odd targets": "del a, (b, c), [d], e.f, g[0], h()[1:2], i().j\ndel (k)\n",
    "augmented assignments of all kinds": "".join(
        f"x {o}= y\nx.a {o}= 1\nx[0] {o}= 2\n"
        for o in ("+", "-", "*", "/", "//", "%", "**", "@", "&", "|", "^", "<<", ">>")
    ),
    "numbers of all kinds": "x = [0x1F, 0b1, 0o7, 1_0, 1e400, 1e-400, 3j, 9**9**9, 1 << 10**9, -(-1)]\n"
    "y = torch.tensor([1e400, 2.0])\nz = 1 // 0 + 1 % 0 + 1.0 / 0\n",
    "a very long number": f"x = {'9' * 4000}, 0x{'f' * 9000}\n",
    "strings of all kinds": "x = 'a' 'b' f'{x!r:>{y}}{{' u'u' rf'{x:{y}{z}}' \"\", rb'\\x00' b''\n",
    "slices of all kinds": "x[::], x[1:], x[:-1], x[::0], x[..., None, 1:2, :], x[()], x[*a, 1]\n"
    "[1, 2, 3][::0], (1, 2)[5], [][0], {}['a']\n",
    "layers made of nonsense": "nn.Sequential(1, None)(x)\nnn.Sequential()(x)\nnn.Linear()(x)\n"
    "nn.Softmax('a')(x)\nnn.Softmax(dim=[1])(x)\nnn.ModuleList(3)[0](x)\nnn.ModuleDict(4)['a'](x)\n"
    "nn.CrossEntropyLoss()()\nF.cross_entropy()\nF.softmax()\ntorch.softmax(dim=1)\nF.one_hot()\n",
    "tensors made of nonsense": "torch.tensor()\ntorch.zeros('a')[0] = 1\ntorch.randn(*x).view(*y)\n"
    "torch.cat(3)\ntorch.stack([])\nx.sum(dim=())\nx.max(1)[0].exp().log().log()\ntorch.eye(3)[x]\n",
    "containers changed while followed": "l = [1, 2]\nfor x in l:\n    l.append(x)\n    l.pop(0)\n    del l[0]\n"
    "d = {1: 2}\nfor k in d:\n    d[k + 1] = k\n    del d[k]\n",
    "keys that cannot be keys": "d = {[]: 1, {}: 2}\nd[[]] = 1\nd.get({})\nd.pop([], None)\n",
    "globals in odd places": "def f():\n    global a, b\n    for a in b: del a\n    nonlocal_ = a\n"
    "def g():\n    x = 1\n    def h():\n        nonlocal x\n        del x\n    h()\n    return x\n",
    "a walrus in odd places": "[y := 1, y**2]\ndef f(a=(b := 2)): return (c := a)\n"
    "[d := e for e in range(3) if (g := e)]\nlambda: (h := 1)\n",
    "imports of all kinds": "import a.b.c as d, e\nfrom . import f\nfrom .. import *\nfrom .g.h import (i as j,)\n"
    "from .......k import l\nimport main\nfrom main import step\nfrom __future__ import annotations\n",
    "builtins called with nonsense": "super()\nsuper(1, 2, 3)\ngetattr(1)\nsetattr(1, 2)\nlist(1, 2)\nzip()\n"
    "dict(1)\nrange()\nrange(1, 2, 0)\nnext()\nlen()\nsum()\nround()\nfloat()\nreversed(1)\nenumerate()\n"
    "from functools import partial\npartial()()\nfrom collections import namedtuple\nnamedtuple()\n",
    "type parameters and positional-only": "def f(a, /, b, *, c): return f(1, 2, c=3)\nf(*f(1, 2, c=3))\n",
    "a generator that delegates to itself": "def g():\n    yield from g()\n    x = yield\n    return x\n"
    "for a in g(): a(1)\n",
    "an instance used as everything": "class A(nn.Module): pass\na = A()\na[0], a(1), -a, a + a, a @ a, a == a\n"
    "a[1] = 2\nfor x in a: pass\nwith a as b: pass\ndel a[0], a.x\nx, y = a\nf'{a}'\n[*a], {**a}\n",
}

# Each grows, naively, with a power of two or more.
EXPLOSIVE = {
    "a loss that grows in one of two branches": "def f(x, y, options):\n    loss = F.cross_entropy(x, y)\n"
    + numbered(60, "    if options[{i}]:\n        loss = loss + F.cross_entropy(x, y)\n")
    + "    return loss\n",
    "each function calls the next twice": "def f0(x):\n    return x\n"
    + numbered(30, "def f{i}(x):\n    return f{j}(x) + f{j}(x)\n", 1),
    "each method calls the next twice": "class A:\n    def f0(self): return 1\n"
    + numbered(30, "    def f{i}(self):\n        return self.f{j}() + self.f{j}()\n", 1),
    "loops over lists in each other": f"l = {[1] * 60}\n" + nested(12, "for v{i} in l:"),
    "loops over unknown lists in each other": nested(15, "for v{i} in l:", "w = v0"),
    "comprehensions in each other": f"l = {[1] * 60}\nx = {'[' * 10}1{' for _ in l]' * 10}\n",
    "a comprehension of many clauses": f"l = {[1] * 60}\nx = [1{' for _ in l' * 10}]\n",
    "tests in each other": nested(18, "if a[{i}]:", "b = a"),
    "a row of tests": "def f(a):\n" + numbered(500, "    if a[{i}]:\n        b{i} = a\n"),
    "a row of returns": "def f(a):\n" + numbered(500, "    b{i} = a\n    if a[{i}]: return b{i}\n"),
    "try in try": nested(15, "try:")
    + "".join("    " * i + "except A: x = 1\n" for i in reversed(range(15))),
    "a list that doubles": "l = [1]\n" + "l = l + l\n" * 40,
    "a list that is extended by itself": "l = [1]\n" + "l.extend(l)\n" * 40,
    "a display that doubles": "l = [1]\n" + "l = [*l, *l]\n" * 40,
    "arguments that double": numbered(40, "def f{i}(*a):\n    return f{j}(*a, *a)\n") + "f39(1)\n",
    "a tuple of itself": "t = (1,)\n" + "t = (t, t)\n" * 60 + "x = torch.tensor(t)\n",
    "two tuples of themselves, joined": "t, s = (1,), (2,)\n"
    + "t, s = (t, t, 1), (s, s)\n" * 40
    + "if a:\n    t = s\nprint(t == s)\n",
    "a number that is squared": "t = 9\n" + "t = t * t\n" * 64,
    "a string that doubles": "t = 'a'\n" + "t = t + t\nu = t * 9**9\n" * 64,
    "a tower of classes": "class C0: pass\n"
    + numbered(100, "class C{i}(C{j}):\n    def m{i}(self): return super().m{j}()\n", 1),
    "diamonds": "class C0: pass\nclass D0: pass\n"
    + numbered(18, "class C{i}(C{j}, D{j}): pass\nclass D{i}(C{j}, D{j}): pass\n", 1),
    "objects that make two objects": "class C0: pass\n"
    + numbered(25, "class C{i}:\n    def __init__(self): self.a, self.b = C{j}(), C{j}()\n", 1),
    "layers of layers": "l = nn.Sequential(nn.ReLU())\n"
    + "l = nn.Sequential(l, l)\n" * 40
    + "l(x)\n",
}
LONG = {
    "a sum of 3,000 terms": "x = " + " + ".join(["a"] * 3000) + "\n",
    "3,000 conditions": "x = " + " and ".join(["a"] * 3000) + "\n",
    "3,000 strings side by side": "x = (" + " ".join(["'a'"] * 3000) + ")\n",
    "a chain of 500 calls": "x = a" + ".b()" * 500 + "\n",
    "3,000 elif": "if a == 0: b = 0\n" + numbered(3000, "elif a == {i}: b = {i}\n"),
    "5,000 elif": "if a: b\n" + "elif a: b\n" * 5000,
    "a dict of 5,000 items": "d = {" + numbered(5000, "'k{i}': [{i}], ") + "}\n",
    "a list of 20,000 items": "l = [" + numbered(20_000, "{i}, ") + "]\n",
    "brackets in brackets": "x = " + "[" * 90 + "]" * 90 + "\n",
    "functions in functions": nested(40, "def f{i}():", "return 1"),
    "classes in classes": nested(40, "class C{i}:", "x = 1"),
    "a lambda of lambdas": "f = " + "lambda: " * 60 + "1\n",
}


@pytest.mark.parametrize("program", ODD.values(), ids=ODD.keys())
def test_odd_programs_are_followed(program: str, tmp_path: Path) -> None:
    ast.parse(program)
    assert "LG101" in codes(lint(PRELUDE + program + MISTAKE, tmp_path))


# What Python allows in no function.
ODD_INSIDE = {
    name: program
    for name, program in ODD.items()
    if not any(word in program for word in ("global", "import *", "__future__"))
}


@pytest.mark.parametrize("program", ODD_INSIDE.values(), ids=ODD_INSIDE.keys())
def test_odd_programs_are_followed_inside_a_function(program: str, tmp_path: Path) -> None:
    inside = "def odd():\n" + "".join(f"    {line}\n" for line in program.splitlines())
    assert "LG101" in codes(lint(PRELUDE + inside + MISTAKE, tmp_path))


@pytest.mark.parametrize("program", EXPLOSIVE.values(), ids=EXPLOSIVE.keys())
def test_nothing_explodes(program: str, tmp_path: Path) -> None:
    start = time.process_time()
    assert "LG101" in codes(lint(PRELUDE + program + MISTAKE, tmp_path))
    # Each takes less than 0.2 s; without the budget they take minutes, or all the memory.
    assert time.process_time() - start < 5


@pytest.mark.parametrize("program", LONG.values(), ids=LONG.keys())
def test_long_and_deep_programs_are_followed(program: str, tmp_path: Path) -> None:
    assert codes(lint(PRELUDE + program + MISTAKE, tmp_path)) == ["LG101"]


@pytest.mark.parametrize(
    "program",
    [
        pytest.param("x = " + "-" * 100_000 + "1\n", id="too deep"),
        pytest.param("x = " + " + ".join(["a"] * 5000) + "\n", id="too many terms"),
        pytest.param("x = a" + ".b" * 5000 + "\n", id="too long a chain"),
        pytest.param("x = " + "(" * 5000 + ")" * 5000 + "\n", id="too many brackets"),
        pytest.param(
            "x = 'a' b'b'\n", id="a string beside bytes, which LibCST refuses in its own way"
        ),
        pytest.param("x = \0\n", id="a null byte"),
        pytest.param("return = 1\n", id="a syntax error"),
    ],
)
def test_what_cannot_be_followed_is_one_finding(program: str, tmp_path: Path) -> None:
    assert codes(lint(PRELUDE + program + MISTAKE, tmp_path)) == ["LG000"]


def test_the_cost_grows_as_the_file_does(tmp_path: Path) -> None:
    def seconds(count: int) -> float:
        program = PRELUDE + "def f0(x):\n    return x\n"
        program += numbered(count, "def f{i}(x):\n    return f{j}(x) + f{j}(x)\n", 1) + MISTAKE
        start = time.process_time()
        lint(program, tmp_path)
        return time.process_time() - start

    seconds(100)
    # Four times as much takes about four times as long; with quadratic cost it would take 16.
    assert seconds(800) < 9 * seconds(200)


# --- programs put together by chance -------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "f", "C", "self", "F", "nn", "torch", "net", "x"])
ATOMS = st.one_of(
    NAMES,
    st.sampled_from(["None", "True", "0", "-1", "1.5", "'a'", "...", "[]", "{}", "()", "super()"]),
    st.sampled_from(["F.softmax", "nn.Softmax(dim=1)", "nn.CrossEntropyLoss()", "F.cross_entropy"]),
    st.sampled_from(
        ["nn.Sequential", "nn.Linear(3, 1)", "torch.exp(x)", "torch.log(x)", "x.sum(1)"]
    ),
)


def _larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    def form(text: str, parts: int = 2) -> st.SearchStrategy[str]:
        return st.tuples(*[inner] * parts).map(lambda found: text.format(*found))

    return st.one_of(
        *[form(f"({{}} {o} {{}})") for o in ("+", "-", "*", "/", "@", "==", "is", "and", "or")],
        form("{}({}, {})", 3),
        form("{}(*{}, dim={})", 3),
        form("{}(**{})"),
        form("({}, {})"),
        form("[{}, *{}]"),
        form("{{'a': {}, **{}}}"),
        form("({}).a", 1),
        form("({}).append({})"),
        form("({}).b({})"),
        form("({}).softmax({})"),
        form("({})[{}]"),
        form("({})[{}:]"),
        form("({} if {} else {})", 3),
        form("(lambda *x, y={}: {})"),
        form("[{} for x in {} if x]"),
        form("{{x: {} for x in {}}}"),
        form("(b := {})", 1),
        form("(-{})", 1),
        form("(not {})", 1),
    )


EXPRESSIONS = st.recursive(ATOMS, _larger, max_leaves=12)


@st.composite
def _blocks(draw: st.DrawFn, depth: int = 3) -> list[str]:
    lines: list[str] = []
    for _ in range(draw(st.integers(1, 4))):
        lines += draw(_statements(depth))
    return lines


@st.composite
def _statements(draw: st.DrawFn, depth: int) -> list[str]:
    value, other = draw(EXPRESSIONS), draw(EXPRESSIONS)
    simple = [
        f"{draw(NAMES)} = {value}",
        f"a.b = {value}",
        f"a[{other}] = {value}",
        f"a, *b = {value}",
        f"a += {value}",
        value,
        f"F.cross_entropy({value}, {other})",
        f"del {draw(NAMES)}",
        "pass",
        f"assert {value}, {other}",
    ]
    openings = [
        f"if {value}:",
        f"for a in {value}:",
        f"while {value}:",
        f"with {value} as b:",
        f"def f(self, x={value.replace('super()', 'x')}, *a, **b):",
        f"class C({value}):",
        "try:",
    ]
    if depth == 0 or draw(st.booleans()):
        return [draw(st.sampled_from(simple))]
    opening = draw(st.sampled_from(openings))
    lines = [opening, *[f"    {line}" for line in draw(_blocks(depth - 1))]]
    if opening.startswith("def"):
        lines.append(f"    return {other}")
    if opening == "try:":
        lines += ["except A as a:", *[f"    {line}" for line in draw(_blocks(depth - 1))]]
    elif opening.startswith(("if", "for", "while")) and draw(st.booleans()):
        lines += ["else:", *[f"    {line}" for line in draw(_blocks(depth - 1))]]
    return lines


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(lines=_blocks())
def test_programs_by_chance_are_followed(lines: list[str]) -> None:
    program = PRELUDE + "\n".join(lines) + "\n"
    check(Source(Path("/nowhere/main.py"), program), all_rules(), Project())


@pytest.mark.slow
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(lines=_blocks())
def test_many_programs_by_chance_are_followed(lines: list[str]) -> None:
    program = PRELUDE + "\n".join(lines) + "\n"
    check(Source(Path("/nowhere/main.py"), program), all_rules(), Project())


@pytest.mark.slow
def test_the_standard_library_is_followed() -> None:
    # Python of all ages; a mistake is put into each file, so that it is followed and parsed.
    folder = Path(sysconfig.get_path("stdlib"))
    followed = 0
    for path in sorted(folder.rglob("*.py"))[::20]:
        if "site-packages" in path.parts:
            continue
        try:
            source = read_source(path, path.read_bytes())
        except (Unreadable, OSError):
            continue
        text = PRELUDE + source.text.replace("from __future__ import", "import") + MISTAKE
        found = codes(check(Source(path, text), PROBE, Project()))
        assert found in (["LG101"], ["LG000"]), path
        followed += found == ["LG101"]
    assert followed > 20
