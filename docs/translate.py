"""Keep the catalogues of messages: what a student reads, in each language but English.

    python docs/translate.py           take in new messages, drop old ones, compile
    python docs/translate.py --check   name what is missing or stale, and exit 1 if anything is

Messages are found in the grader's sources: the literals in `say("...")` and `later("...")`, the
titles of criteria, and the texts of misconceptions. A new one comes into
`grader/lossgrade/locale/LANGUAGE/LC_MESSAGES/lossgrade.po` with an empty translation: fill it in,
placeholders as they are, in any order, and run this again. A changed message is a new one. What is
marked `fuzzy` counts as not translated.
"""

from __future__ import annotations

import argparse
import ast
import gettext
import io
import re
import string
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from babel.messages import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from lossgrade.language import LANGUAGES, LOCALE

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "grader" / "lossgrade"
SOURCES = sorted(PACKAGE.rglob("*.py"))
TRANSLATED = [language for language in LANGUAGES if language != "en"]
MARKS = ("say", "later")
# What a misconception says besides its docstring.
SAID_BY_MISCONCEPTIONS = ("source", "shown")

_PLACEHOLDER = re.compile(r"\{[A-Za-z_]\w*(?:![rsa])?(?::[^{}]*)?\}")


@dataclass
class Found:
    """The messages of the sources: each with the files it stands in, and what is wrong."""

    files: dict[str, set[str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def add(self, text: str, file: str) -> None:
        if text:
            self.files.setdefault(text, set()).add(file)


def catalogue_path(language: str, suffix: str = ".po") -> Path:
    """Return where the catalogue of `language` lies."""
    return LOCALE / language / "LC_MESSAGES" / f"lossgrade{suffix}"


# --- the messages of the sources ------------------------------------------------------------------


def extracted() -> Found:
    """Return every message that the grader says."""
    trees = {
        path: ast.parse(path.read_text(encoding="utf-8"), filename=str(path)) for path in SOURCES
    }
    constants = {_module(path): _constants(tree) for path, tree in trees.items()}
    found = Found()
    for path, tree in trees.items():
        file = path.relative_to(PACKAGE).as_posix()
        known = dict(constants[_module(path)])
        markers = {"misconception"}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                imported = constants.get(node.module, {})
                for alias in node.names:
                    name = alias.asname or alias.name
                    if alias.name in imported:
                        known[name] = imported[alias.name]
                    if node.module.startswith("lossgrade.diagnosis"):
                        markers.add(name)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _name(node.func) in MARKS:
                _take_call(node, file, found)
            elif isinstance(node, ast.FunctionDef):
                for decorator in node.decorator_list:
                    called = decorator if isinstance(decorator, ast.Call) else None
                    name = _name(called.func if called else decorator)
                    if name == "criterion":
                        found.add(title(node), file)
                    elif name in markers and called:
                        _take_misconception(node, called, known, file, found)
    return found


def title(function: ast.FunctionDef) -> str:
    """Return the line that students read of a criterion, as `lossgrade.criterion` takes it."""
    return (ast.get_docstring(function) or "").partition("\n")[0].rstrip(".")


def _take_call(node: ast.Call, file: str, found: Found) -> None:
    first = node.args[0] if node.args else None
    if isinstance(first, ast.JoinedStr):
        found.problems.append(f"{file}:{node.lineno}: an f-string, expected a literal to translate")
    if not isinstance(first, ast.Constant) or not isinstance(first.value, str):
        return
    found.add(first.value, file)
    given = {keyword.arg for keyword in node.keywords}
    if _name(node.func) == "say" and None not in given:
        try:
            named = {name for _, name, _, _ in string.Formatter().parse(first.value) if name}
        except ValueError as error:
            named = {f"({error})"} if given else set()
        if (given and named != given) or (not given and _PLACEHOLDER.search(first.value)):
            found.problems.append(
                f"{file}:{node.lineno}: values {sorted(map(str, given))}, "
                f"expected {sorted(named)} for {first.value!r}"
            )


def _take_misconception(
    node: ast.FunctionDef, decorator: ast.Call, known: dict[str, str], file: str, found: Found
) -> None:
    """Take what `lossgrade.diagnosis.bank` takes: whitespace collapsed, the part after `Fix:`."""
    text = " ".join((ast.get_docstring(node) or "").split())
    explanation, _, fix = text.partition(" Fix: ")
    found.add(explanation, file)
    found.add(fix[:1].upper() + fix[1:], file)
    for keyword in decorator.keywords:
        if keyword.arg not in SAID_BY_MISCONCEPTIONS:
            continue
        value = keyword.value
        if isinstance(value, ast.Name) and value.id in known:
            found.add(known[value.id], file)
        elif isinstance(value, ast.Constant) and isinstance(value.value, str):
            found.add(value.value, file)
        elif not (isinstance(value, ast.Call) and _name(value.func) in MARKS):
            found.problems.append(
                f"{file}:{value.lineno}: {keyword.arg}={ast.unparse(value)}, expected a literal"
            )


def _constants(tree: ast.Module) -> dict[str, str]:
    """Return the texts that a module gives names at its top."""
    named = {}
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant):
            for target in statement.targets:
                if isinstance(target, ast.Name) and isinstance(statement.value.value, str):
                    named[target.id] = statement.value.value
    return named


def _module(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


# --- catalogues -----------------------------------------------------------------------------------


def read(language: str) -> Catalog:
    """Return the catalogue of `language` as it lies there; an empty one if there is none."""
    path = catalogue_path(language)
    if not path.exists():
        return Catalog(locale=language, charset="utf-8")
    with path.open("rb") as file:
        return read_po(file, locale=language, charset="utf-8")


def translations(catalogue: Catalog) -> dict[str, str]:
    """Return what is translated; a fuzzy translation is none."""
    return {
        str(message.id): str(message.string)
        for message in catalogue
        if message.id and message.string and not message.fuzzy
    }


def updated(language: str, found: Found) -> Catalog:
    """Return the catalogue with the messages of the sources, their translations kept."""
    template = Catalog(charset="utf-8")
    for text in sorted(found.files, key=lambda text: (min(found.files[text]), text)):
        template.add(text, locations=[(file, 0) for file in sorted(found.files[text])])
    catalogue = read(language)
    catalogue.header_comment = f"# What the grader says to students, in {catalogue.locale}."
    catalogue.project, catalogue.version = "lossgrade", "1"
    catalogue.msgid_bugs_address, catalogue.last_translator = "", "the authors of lossgrade"
    catalogue.language_team = language
    catalogue.fuzzy = False
    catalogue.update(template, no_fuzzy_matching=True, update_creation_date=False)
    catalogue.obsolete.clear()
    return catalogue


def po_text(catalogue: Catalog) -> str:
    """Return the catalogue as a `.po` file, without the dates that change in every run."""
    out = io.BytesIO()
    write_po(out, catalogue, width=100, include_lineno=False, sort_by_file=False)
    text = out.getvalue().decode("utf-8")
    return re.sub(
        r'^"(POT-Creation-Date|PO-Revision-Date|Generated-By): .*\n', "", text, flags=re.M
    )


def compiled(path: Path) -> dict[str, str]:
    """Return what a `.mo` file translates; nothing where there is none."""
    if not path.exists():
        return {}
    with path.open("rb") as file:
        known: dict[str, str] = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]  # there is no other way to list it
    return {text: said for text, said in known.items() if text}


def problems(language: str, found: Found) -> Iterator[str]:
    """Name everything that is missing, stale or wrong in the catalogue of `language`."""
    catalogue = read(language)
    said = translations(catalogue)
    for text in found.files:
        if text not in said:
            yield f"{language}: no translation: {text!r} ({', '.join(sorted(found.files[text]))})"
    for message in catalogue:
        if message.id and message.id not in found.files:
            yield f"{language}: obsolete: {message.id!r}"
    for text, translation in said.items():
        wanted, there = (sorted(_PLACEHOLDER.findall(each)) for each in (text, translation))
        if set(wanted) != set(there):
            yield f"{language}: placeholders {there}, expected {wanted}: {text!r}"
    if compiled(catalogue_path(language, ".mo")) != said:
        yield f"{language}: the .mo file is stale; run: python docs/translate.py"


def main() -> int:
    parser = argparse.ArgumentParser(description="Keep the catalogues of messages.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if stale")
    check = parser.parse_args().check
    found = extracted()
    wrong = list(found.problems)
    for language in TRANSLATED:
        if not check:
            catalogue = updated(language, found)
            path = catalogue_path(language)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(po_text(catalogue), encoding="utf-8", newline="\n")
            with catalogue_path(language, ".mo").open("wb") as file:
                write_mo(file, catalogue)
        wrong += problems(language, found)
    for each in wrong:
        print(each)
    print(f"{len(found.files)} messages, {len(wrong)} problems")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
