"""The gate lowers Python's tree to the very program that LibCST's tree is lowered to.

So it can never hide a finding: what is followed is the same.
"""

from __future__ import annotations

import ast
import sys
import warnings
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import libcst as cst
import pytest

from lossgrade_checks.meaning.lower import lower
from lossgrade_checks.meaning.lower_ast import lower_ast
from lossgrade_checks.rules import all_rules

ODD = {
    "strings": "a = 'x' 'y'; b = 'x' f'{y}' 'z'; c = r'\\d'; d = '\\t'; e = b'x'; f = u'é'\n",
    "f-strings": "a = f'{x!r:>{width}} {y:.2f} {z=}'\nb = f'{f(a)}' f'{g(b)}'\n",
    "numbers": "a = 0x1F, 1_000, 1e5, 2j, 10**40, 123456789012345678901234567890123456789012\n",
    "negative numbers": "a = -1; b = - -1; c = -x; d = +1; e = ~1; f = -1.5; g = -True; h = not x\n",
    "subscripts": "x[1]; x[a, b]; x[(a, b)]; x[a,]; x[()]; x[..., 0]; x[1:2, ::3]; x[(a), b]\n",
    "booleans": "a = b or c or d; e = (b or c) or d; f = b or (c or d); g = a and b or c\n",
    "comparisons": "a < b <= c != d; a is not b; a not in b; (a < b) < c\n",
    "calls": "f(a, b=1, *c, d=2, **e); f(*a, b); f(x for x in y); f(a=1, *b)\n",
    "a call of a call": "nn.Softmax(dim=1)(x)(y).z(w)[0]\n",
    "displays": "a = [*b, c]; d = {*e, f}; g = {**h, 'i': j}; k = (); l = 1,\n",
    "comprehensions": "[f(x) for x in y if a if b for z in x]; {k: v for k, v in d}; {x for x in y}\n",
    "walrus": "if (n := f(a)) > 1: pass\nprint(y := 3)\n",
    "lambdas": "f = lambda x, *a, y=g(1), **k: h(x)\ng = lambda: (yield x)\n",
    "assignments": "a = b = c; (d, e), *f = g; h.i = j; k[l] = m; n: int; o: int = p; q += r(1)\n",
    "stores": "def f(self, x):\n    self.a, self.b = x\n    self.c += 1\n    for self.d in x: e = 1\n",
    "functions": "@a(1)\n@b\ndef f(x, /, y: N = g(1), *z, w: 'M' = h(2), **k: a.b) -> c:\n    yield from d\n",
    "annotations": "def f(x: list[int], y: 'A' 'B', z: None, w: a.b): return x\n",
    "async": "async def f():\n    async with a as b, c: await d(e)\n    async for x in y: z = [i async for i in j]\n",
    "classes": "@d(1)\nclass A(B, *C, metaclass=M(1), **K):\n    x: int\n    y = 1\n    def f(self): pass\n",
    "if": "if a: b\nelif c: d\nelse:\n    if e: f\n    else: g\n",
    "else if": "if a: b\nelse:\n    if c(1): d\n    e\n",
    "loops": "for i, (j, k) in a:\n    if b: break\n    continue\nelse: c = 1\nwhile d: e = f\nelse: g\n",
    "try": "try: a = 1\nexcept B as c: d\nexcept (E, F): g\nelse: h\nfinally: i(1)\n",
    "groups": "try: a = 1\nexcept* B as c: d\n",
    "with": "with a(1) as b, c as (d, e): f\nwith (g as h, i): j\n",
    "match": "match a(1):\n    case B(c, d=e) as f if g: h\n    case [i, *j]: k\n    case {'l': m, **n}: o\n"
    "    case p | q: r\n    case _: s\n".replace("p | q", "1 | 2"),
    "imports": "import a.b, c as d, e.f as g\nfrom . import h\nfrom ..i.j import (k, l as m,)\nfrom n import *\n",
    "deletions": "del a, b.c, d[0]\ndel (e, f)\ndel [g]\ndel (h, i), j\n",
    "scopes": "def f():\n    global a, b\n    def g():\n        nonlocal c\n        c = a\n",
    "raise and assert": "raise A(b) from c\nassert d(e), f(g)\nraise\n",
    "one line": "a = 1; b(2); import c; pass\nif d: e = 1; f = 2\n",
    "data": "a = x.data; b = x.data.y.data(1)\n",
    "nothing": "",
}  # fmt: skip


def shape(value: Any) -> Any:
    """Return a program as plain tuples, which can be compared."""
    if is_dataclass(value) and not isinstance(value, type):
        return type(value).__name__, *[shape(getattr(value, f.name)) for f in fields(value)]
    if isinstance(value, tuple | list):
        return [shape(each) for each in value]
    # 1, 1.0 and True are equal, and not the same; nan is not even equal to itself.
    return value if isinstance(value, frozenset) else (type(value).__name__, repr(value))


def lowered(text: str) -> tuple[Any, Any]:
    """Return the programs of both trees of `text`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return shape(lower_ast(ast.parse(text))[0]), shape(lower(cst.parse_module(text))[0])


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
def test_every_construct_is_lowered_alike(text: str) -> None:
    from_ast, from_cst = lowered(text)
    assert from_ast == from_cst


@pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: rule.code)
def test_examples_are_lowered_alike(rule: Any) -> None:
    texts = [each.bad for each in rule.examples] + list(rule.near_misses)
    for text in texts:
        from_ast, from_cst = lowered(text)
        assert from_ast == from_cst


@pytest.mark.slow
def test_the_standard_library_is_lowered_alike() -> None:
    """A thousand files of every style, of Python's own."""
    folder = Path(ast.__file__).parent
    files = [path for part in ("", "asyncio", "email", "json", "unittest", "concurrent/futures")
             for path in sorted((folder / part).glob("*.py"))]  # fmt: skip
    assert len(files) > 200
    for path in files:
        text = path.read_text(encoding="utf-8")
        try:
            from_ast, from_cst = lowered(text)
        except cst.ParserSyntaxError:
            assert sys.version_info >= (3, 14), path
            continue
        assert from_ast == from_cst, path
