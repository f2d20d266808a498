"""The catalogues: every message has a translation, and no message escapes them."""

from __future__ import annotations

import ast
import gettext
import importlib.util
import pkgutil
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import lossgrade.rubric
from lossgrade import phrases
from lossgrade.criterion import criteria_in
from lossgrade.diagnosis.bank import bank

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "grader" / "lossgrade"
# Where messages for students are made of values.
STUDENT_FACING = [
    *sorted((PACKAGE / "rubric").glob("*.py")),
    *(PACKAGE / name for name in ("trial.py", "student.py", "probe.py")),
]
# What tells a student something: the messages of these, whatever is said, and every hint.
TELLS = {"Failure", "CallError", "Unloadable"}
SANDBOX = ("worker.py", "loading.py", "host.py", "channel.py", "protocol.py")


def _script() -> Any:
    spec = importlib.util.spec_from_file_location("docs_translate", ROOT / "docs" / "translate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["docs_translate"] = module
    spec.loader.exec_module(module)
    return module


translate = _script()
FOUND = translate.extracted()


def test_the_catalogues_are_complete() -> None:
    """`docs/translate.py --check` finds nothing missing, obsolete, mistaken or stale."""
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "translate.py", "--check"],
        text=True,
        capture_output=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


@pytest.mark.parametrize("language", translate.TRANSLATED)
def test_a_program_reads_what_translators_wrote(language: str) -> None:
    """The standard library's gettext finds the catalogue where the grader looks for it."""
    read = gettext.translation("lossgrade", translate.LOCALE, [language])
    for text, said in translate.translations(translate.read(language)).items():
        assert read.gettext(text) == said


def test_every_criterion_title_is_a_message() -> None:
    """Titles are said where a record is made: each must be known by then."""
    names = [module.name for module in pkgutil.iter_modules(lossgrade.rubric.__path__)]
    titles = {
        each.title
        for name in names
        for each in criteria_in(import_module(f"lossgrade.rubric.{name}"))
    }
    assert len(titles) > 100
    assert titles <= set(FOUND.files)


def test_every_text_of_the_misconceptions_is_a_message() -> None:
    """The bank's texts are found in the sources as they are when the program runs."""
    told = {
        text
        for each in bank()
        for text in (each.explanation, each.fix, each.source, each.shown)
        if text
    }
    assert told <= set(FOUND.files)


@pytest.mark.parametrize("path", STUDENT_FACING, ids=lambda path: path.name)
def test_no_message_escapes_the_catalogues(path: Path) -> None:
    """Messages and hints are said: no f-string, and no bare literal, reaches a student."""
    bare = [
        f"line {each.lineno}: {ast.unparse(each)}"
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        for each in _told(call)
    ]
    assert bare == []


def _told(call: ast.Call) -> Iterator[ast.expr]:
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    given = [keyword.value for keyword in call.keywords if keyword.arg == "hint"]
    if name in TELLS:
        # A CallError's first argument is its kind, a word of the program's.
        given += call.args[1:] if name == "CallError" else call.args
    for value in [*given, *(call.args[:1] if name in ("say", "later") else ())]:
        for branch in [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]:
            literal = isinstance(branch, ast.Constant) and branch.value not in ("", None)
            if isinstance(branch, ast.JoinedStr) or (literal and name not in ("say", "later")):
                yield branch


def test_the_phrases_of_the_sandbox_are_its_own() -> None:
    """A phrase that the untrusted process no longer uses would never be found again."""
    spoken = {_normal(text) for name in SANDBOX for text in _texts(PACKAGE / "sandbox" / name)} | {
        _normal(text) for text in _texts(PACKAGE / "student.py")
    }
    whole = " | ".join(sorted(spoken))
    for phrase in phrases.PHRASES:
        # Messages are pasted together there: each piece between values has to be known.
        text = re.sub(r"\ban? \{\w+\}", "{x}", phrase).removeprefix("returned ")
        for piece in re.split(r"\{\w+\}|, (?=printing)", text):
            assert piece.strip() in whole, phrase


def _texts(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values
            )


def _normal(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        pytest.param('say(f"{x} is wrong")', "an f-string", id="an f-string"),
        pytest.param('say("{x} is wrong", y=1)', "expected ['x']", id="another name"),
        pytest.param('say("{x} is wrong")', "values []", id="no value"),
        pytest.param('say("a { b", x=1)', "before end of string", id="an open brace"),
    ],
)
def test_mistakes_in_the_sources_are_named(source: str, problem: str) -> None:
    """A call that would fail, or leave its braces to be read, is found before it runs."""
    found = translate.Found()
    call = ast.parse(source, mode="eval").body
    assert isinstance(call, ast.Call)
    translate._take_call(call, "x.py", found)
    assert len(found.problems) == 1
    assert problem in found.problems[0]


def test_what_is_wrong_in_a_catalogue_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Missing, fuzzy, obsolete, other placeholders, a stale .mo: each is named by its message."""
    monkeypatch.setattr(translate, "LOCALE", tmp_path)
    path = translate.catalogue_path("zh")
    path.parent.mkdir(parents=True)
    path.write_text(
        'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\n"\n\n'
        'msgid "{n} rows"\nmsgstr "{m} 行"\n\n'
        '#, fuzzy\nmsgid "a loss"\nmsgstr "一些损失"\n\n'
        'msgid "old"\nmsgstr "旧"\n',
        encoding="utf-8",
    )
    found = translate.Found()
    for text in ("{n} rows", "a loss", "new"):
        found.add(text, "x.py")
    told = "\n".join(translate.problems("zh", found))
    assert "no translation: 'a loss' (x.py)" in told
    assert "no translation: 'new' (x.py)" in told
    assert "obsolete: 'old'" in told
    assert "placeholders ['{m}'], expected ['{n}']" in told
    assert "the .mo file is stale" in told

    catalogue = translate.updated("zh", found)
    assert {message.id: message.string or "" for message in catalogue if message.id} == {
        "{n} rows": "{m} 行",
        "a loss": "一些损失",
        "new": "",
    }
    assert "old" not in translate.po_text(catalogue)
