"""Where Python's tree says that parts stand, and what LibCST parses of a file for its fixes."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import libcst as cst
import pytest

from linting import lint
from lossgrade_checks.fixes import NotParsed
from lossgrade_checks.meaning.values import Site
from lossgrade_checks.rules import all_rules
from lossgrade_checks.syntax import LibcstSyntax, PythonSyntax, Syntax

FOLDER = Path(ast.__file__).parent

TEXTS = {
    "characters beyond ASCII": "x = 'é' + f('日本')\ny = (g(x) + 'ß').h('é')\n",
    "parentheses": "x = ((f)((a + b)).c((1,)))\ny = (yield_(x for x in y))\n",
    "decorators": "@d(1)\n@e\ndef f(x=g(2)):\n    return x.data\n@h(3)\nclass A(b(4)):\n    pass\n",
    "carriage returns": "x = f(1)\r\ny = (g(\r\n  2))\r\n",
    "a form feed": "x = f(1)\n\x0cy = g(2)\n\x0c\nz = h('\x0c', i(3))\n",
    "f-strings": "x = f'{f(1)} é {g(2)!r:>{h(3)}}' f'''{\ni(4)}'''\n",
    "rows that are joined": "x = f(1) + \\\n  g(2); y = h(3) \\\n  + i(4)\n",
    "no line end": "x = f(lambda: g(1))",
}


def spans(syntax: Syntax) -> list[tuple[int, int]]:
    return [syntax.span(number) for number in range(syntax.program.size)]


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_both_trees_say_the_same_places(text: str) -> None:
    found = spans(PythonSyntax(text))
    assert len(found) > 1
    assert found == spans(LibcstSyntax(text))


@pytest.mark.slow
def test_both_trees_say_the_same_places_in_the_standard_library() -> None:
    # LibCST has webbrowser.py from line 525 on one character too far to the left.
    files = [path for path in sorted(FOLDER.glob("*.py")) if path.name != "webbrowser.py"]
    assert len(files) > 100
    for path in files:
        text = path.read_text(encoding="utf-8")
        try:
            expected = spans(LibcstSyntax(text))
        except cst.ParserSyntaxError:
            continue
        assert spans(PythonSyntax(text)) == expected, path


@pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: rule.code)
def test_fixes_need_no_more_than_what_is_parsed(
    rule: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found() -> list[Any]:
        return [lint(e.bad, tmp_path, files=e.files) for e in rule.examples]

    of_part = found()
    whole = PythonSyntax.patch
    monkeypatch.setattr(
        PythonSyntax, "patch", lambda self, path, _: whole(self, path, range(self.program.size))
    )
    assert of_part == found()


def parsed(text: str, *calls: str) -> tuple[PythonSyntax, Any]:
    """Return the syntax of `text`, and the patch for fixes of the calls that are written so."""
    syntax = PythonSyntax(text)
    starts = {text[slice(*span)]: number for number, span in enumerate(spans(syntax))}
    return syntax, syntax.patch("a.py", [starts[call] for call in calls])


PROGRAM = '''"""A docstring."""
from __future__ import annotations
f(0)
import torch
g(1); h(2)
@i(3)
def j(x=k(4)):
    """It has a row

    that is empty."""
    return l(5)
m(6) + \\
    n(7); o(8)
'''


@pytest.mark.parametrize(
    ("wanted", "others"),
    [
        ("g(1)", ["f(0)", "h(2)"]),
        ("l(5)", ["f(0)", "i(3)", "k(4)"]),
        ("i(3)", ["f(0)", "l(5)", "k(4)"]),
        ("o(8)", ["f(0)", "m(6)", "n(7)"]),
    ],
)
def test_only_statements_that_fixes_need_are_parsed(wanted: str, others: list[str]) -> None:
    syntax, patch = parsed(PROGRAM, wanted)
    for number, (start, end) in enumerate(spans(syntax)):
        call = PROGRAM[start:end]
        if call in (wanted, *others):
            assert patch.source(patch.node(Site("a.py", number))) == call
        elif call.endswith(")") and "\n" not in call:
            with pytest.raises(NotParsed):
                patch.node(Site("a.py", number))


def test_a_fix_may_ask_for_what_was_not_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (
        "import torch.nn.functional as F\ndef f(x, y):\n"
        "    return F.cross_entropy(F.softmax(x, dim=1), y)\n"
    )
    expected = lint(text, tmp_path)
    patch = PythonSyntax.patch
    asked = []

    def nothing_first(self: PythonSyntax, path: str, numbers: Any) -> Any:
        asked.append(set(numbers))
        return patch(self, path, asked[-1] if len(asked) > 1 else ())

    monkeypatch.setattr(PythonSyntax, "patch", nothing_first)
    assert lint(text, tmp_path) == expected
    assert expected[0].fix is not None
    assert len(asked) == 2
    assert asked[0] < asked[1]


def test_what_libcst_cannot_parse_is_reported_without_a_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise cst.CSTValidationError("cannot be")

    monkeypatch.setattr(cst, "parse_module", refuse)
    text = "import torch.nn.functional as F\nF.cross_entropy(F.softmax(x, dim=1), y)\n"
    (finding,) = lint(text, tmp_path)
    assert (finding.code, finding.fix) == ("LG101", None)
