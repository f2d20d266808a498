"""Run a student's file in this process: a `.py` file or the code cells of a notebook.

Runs in the worker. Each top-level statement runs on its own, so that one that fails (a missing
data file, a plot without a screen, a notebook cell left broken) does not hide the functions that
the others define. What was passed over is told in `notes`.
"""

from __future__ import annotations
import __future__

import ast
import codecs
import importlib.util
import json
import linecache
import re
import sys
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Not one that a student may give to a file of a folder, such as submission.py.
MODULE_NAME = "lossgrade_submission"
NOTE_CAP = 40
TEXT_CAP = 600

# Cell magics whose body is Python; under others (%%bash, %%html, %%writefile ...) it is not.
PYTHON_CELL_MAGICS = {"%%time", "%%timeit", "%%capture", "%%prun"}


# UTF-32 first: its little-endian mark begins with that of UTF-16.
BYTE_ORDER_MARKS = (
    ("UTF-32", codecs.BOM_UTF32_LE),
    ("UTF-32", codecs.BOM_UTF32_BE),
    ("UTF-16", codecs.BOM_UTF16_LE),
    ("UTF-16", codecs.BOM_UTF16_BE),
)


class LoadError(Exception):
    """Nothing of the file can run; the text says why."""


@dataclass
class Loaded:
    """The module a student's file became, with what was passed over on the way."""

    module: types.ModuleType
    folder: Path
    notes: list[str] = field(default_factory=list)
    sources: set[str] = field(default_factory=set)

    def note(self, text: str) -> None:
        if len(self.notes) < NOTE_CAP:
            self.notes.append(text)

    def remember(self, name: str, text: str) -> None:
        """Keep the source that runs under `name`: for messages, and for `inspect.getsource`."""
        self.sources.add(name)
        lines = [f"{line}\n" for line in _lines(text)]
        linecache.cache[name] = (len(text), None, lines, name)

    def name_of(self, filename: str) -> str:
        """Return what messages call the file of a code object; empty where it is not theirs."""
        if filename in self.sources:
            return filename
        place = Path(filename)
        return place.relative_to(self.folder).as_posix() if self.folder in place.parents else ""


def load(path: Path, display: str) -> Loaded:
    """Run the file at `path` as a module and return it.

    Args:
        path: a `.py` or `.ipynb` file.
        display: the name that messages and tracebacks use for it.
    Raises:
        LoadError: the file cannot be read or parsed at all.
    """
    module = types.ModuleType(MODULE_NAME)
    module.__file__ = str(path)
    sys.modules[MODULE_NAME] = module
    loaded = Loaded(module, path.parent)
    content = path.read_bytes()
    if path.suffix.lower() == ".ipynb":
        for name, code in _cells(content, display):
            _run_cell(loaded, code, name)
    else:
        for encoding, mark in BYTE_ORDER_MARKS:
            if content.startswith(mark):
                raise LoadError(f"{display}: the file is {encoding} text; save it as UTF-8")
        if b"\0" in content:
            line = content[: content.index(b"\0")].count(b"\n") + 1
            raise LoadError(f"{display}, line {line}: the file holds NUL bytes; save it as UTF-8")
        tree = _parse(content, display)
        loaded.remember(display, importlib.util.decode_source(content))
        _run(loaded, tree, display)
    return loaded


def _lines(text: str) -> list[str]:
    """Split `text` where Python does: `str.splitlines` also splits at form feeds and others."""
    return re.split(r"\r\n|\r|\n", text)


def _parse(code: bytes | str, name: str) -> ast.Module:
    try:
        return ast.parse(code, filename=name)
    except SyntaxError as error:
        where = f"{name}, line {error.lineno}" if error.lineno else name
        shown = f": `{error.text.strip()[:120]}`" if error.text and error.text.strip() else ""
        if "codec can't decode" in str(error.msg) or "(unicode error)" in str(error.msg):
            raise LoadError(f"{where}: not UTF-8 text ({error.msg}); save it as UTF-8") from None
        if "encoding" in str(error.msg):
            raise LoadError(f"{where}: {error.msg}; save the file as UTF-8") from None
        raise LoadError(f"{where}: {type(error).__name__}: {error.msg}{shown}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise LoadError(
            f"{name}: Python cannot parse the file ({type(error).__name__}: {str(error)[:120]}); "
            "is an expression nested too deeply?"
        ) from None


def _run(loaded: Loaded, tree: ast.Module, name: str) -> None:
    flags = 0
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
            for alias in statement.names:
                flags |= getattr(getattr(__future__, alias.name, None), "compiler_flag", 0)
        piece = ast.Module(body=[statement], type_ignores=[])
        try:
            exec(  # noqa: S102 - running the student's code is what a worker is for
                compile(piece, name, "exec", flags=flags, dont_inherit=True),
                loaded.module.__dict__,
            )
        except BaseException as error:
            loaded.note(f"{name}, line {statement.lineno}: {describe(error)}; the rest was run")


def describe(error: BaseException) -> str:
    """Return `error` in one capped line, whatever its `__str__` does."""
    name = type(error).__name__
    if isinstance(error, SystemExit):
        return "SystemExit: the program ended itself, as sys.exit does"
    if isinstance(error, EOFError):
        return "EOFError: input() has nobody to ask here"
    try:
        text = " ".join(str(error).split())[:TEXT_CAP]
    except BaseException:
        text = "(its text cannot be shown)"
    return f"{name}: {text}" if text else name


def _cells(content: bytes, display: str) -> list[tuple[str, str]]:
    try:
        notebook = json.loads(content.decode("utf-8-sig"))
        raw = notebook["cells"] if "cells" in notebook else notebook["worksheets"][0]["cells"]
        cells = [
            (f"{display}, cell {number}", _source(cell))
            for number, cell in enumerate(raw, 1)
            if isinstance(cell, dict) and cell.get("cell_type") == "code"
        ]
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        raise LoadError(f"{display}: not a Jupyter notebook (its JSON cannot be read)") from None
    if not any(text.strip() for _, text in cells):
        raise LoadError(f"{display}: the notebook has no code cell with code in it")
    return cells


def _source(cell: dict[str, Any]) -> str:
    source = cell.get("source", cell.get("input"))
    lines = [source] if isinstance(source, str) else source if isinstance(source, list) else []
    return "".join(line for line in lines if isinstance(line, str))


def _run_cell(loaded: Loaded, code: str, name: str) -> None:
    magic = re.match(r"\s*(%%[^\s]*)[^\r\n]*", code)
    if magic:
        if magic[1] not in PYTHON_CELL_MAGICS:
            loaded.note(f"{name}: skipped, `{magic[0].strip()[:60]}` is not Python")
            return
        # Line numbers stay as they are.
        code = "\n" * (len(_lines(magic[0])) - 1) + code[magic.end() :]
    code = _without_magics(loaded, code, name)
    loaded.remember(name, code)
    try:
        tree = _parse(code, name)
    except LoadError as error:
        loaded.note(f"{error}; the cell was skipped")
    else:
        _run(loaded, tree, name)


def _without_magics(loaded: Loaded, code: str, name: str) -> str:
    """Blank out the lines that only IPython understands.

    A line counts as one only where Python itself stumbles over it: a `%` that starts a line
    inside brackets or a string is left alone.
    """
    lines = _lines(code)
    for _ in lines:
        try:
            ast.parse("\n".join(lines))
        except SyntaxError as error:
            number = (error.lineno or 0) - 1
            if not 0 <= number < len(lines) or not _is_magic(lines[number]):
                break
            loaded.note(f"{name}: skipped `{lines[number].strip()[:60]}`")
            indent = lines[number][: len(lines[number]) - len(lines[number].lstrip())]
            goes_on = lines[number].endswith("\\")
            lines[number] = indent + "pass"
            while goes_on and number + 1 < len(lines):
                number += 1
                goes_on = lines[number].endswith("\\")
                lines[number] = ""
        except (ValueError, RecursionError, MemoryError):
            break
        else:
            break
    return "\n".join(lines)


def _is_magic(line: str) -> bool:
    text = line.strip()
    _, assigned, value = text.partition("=")
    return (
        text.startswith(("%", "!", "?", "pip ", "conda "))
        or text.endswith("?")
        or bool(assigned and value.strip().startswith(("%", "!")))
    )
