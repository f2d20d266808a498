"""Settings from `[tool.lossgrade]`: for each file those of the nearest pyproject.toml that has it.

A pyproject.toml without that table is passed by, so a table further up still holds. Every key is
known and of its type, or it is an error: a misspelt `ignore` must not pass for a clean run.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from lossgrade_checks.selection import Choice
from lossgrade_checks.start import names_lossgrade

FORMATS = ("text", "json", "github")
# Folders of tools and of what they make: no code of the project's own.
EXCLUDED = (
    ".bzr", ".direnv", ".eggs", ".git", ".hg", ".hypothesis", ".ipynb_checkpoints", ".mypy_cache",
    ".nox", ".pytest_cache", ".pytype", ".ruff_cache", ".svn", ".tox", ".venv", ".vscode",
    "__pycache__", "__pypackages__", "_build", "build", "dist", "node_modules", "site-packages",
    "venv",
)  # fmt: skip


class ConfigError(Exception):
    """A configuration that says nothing sensible: each argument is a line for the user."""


class Settings(NamedTuple):
    """What is set for the files under `root`; the patterns are relative to it."""

    root: str
    origin: str = ""
    choice: Choice = Choice()
    exclude: tuple[str, ...] = EXCLUDED
    per_file_ignores: tuple[tuple[str, tuple[str, ...]], ...] = ()
    unsafe_fixes: bool = False
    output_format: str = "text"
    respect_gitignore: bool = True
    force_exclude: bool = False


def _strings(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _table_of_strings(value: object) -> bool:
    return isinstance(value, dict) and all(map(_strings, value.values()))


# Each key, what its value must be, and the test of that.
_LIST = ("a list of texts", _strings)
_SWITCH = ("true or false", lambda value: isinstance(value, bool))
KEYS: dict[str, tuple[str, Any]] = {
    "select": _LIST,
    "extend-select": _LIST,
    "ignore": _LIST,
    "exclude": _LIST,
    "extend-exclude": _LIST,
    "per-file-ignores": ("a table of lists of texts", _table_of_strings),
    "unsafe-fixes": _SWITCH,
    "output-format": (" or ".join(map(repr, FORMATS)), lambda value: value in FORMATS),
    "respect-gitignore": _SWITCH,
    "force-exclude": _SWITCH,
}


class Configurations:
    """The settings of every folder; each file is read once."""

    def __init__(self, explicit: str | None = None) -> None:
        """Take all settings from the file `explicit`, or for each folder from the nearest file.

        Raises:
            ConfigError: `explicit` cannot be read or is no configuration.
        """
        self._known: dict[str, Settings] = {}
        self._explicit = None
        if explicit is not None:
            self._explicit = _load_explicit(explicit)

    def for_folder(self, folder: str) -> Settings:
        """Return the settings for files in `folder`, an absolute path.

        Raises:
            ConfigError: the nearest configuration is no configuration.
        """
        if self._explicit is not None:
            return self._explicit
        if folder not in self._known:
            parent = os.path.dirname(folder)
            found = _load(folder)
            if found is None:
                found = Settings(folder) if parent == folder else self.for_folder(parent)
            self._known[folder] = found
        return self._known[folder]


def _load(folder: str) -> Settings | None:
    path = Path(folder, "pyproject.toml")
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    if not names_lossgrade(data):
        return None
    content = _parsed(path, data)
    tool = content.get("tool")
    table = tool.get("lossgrade") if isinstance(tool, dict) else None
    return None if table is None else _settings(path, data, table, folder)


def _load_explicit(name: str) -> Settings:
    path = Path(name)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"--config {name}: cannot be read: {error.strerror}") from error
    content = _parsed(path, data)
    tool = content.get("tool")
    table = tool.get("lossgrade") if isinstance(tool, dict) else None
    if table is None and path.name == "pyproject.toml":
        raise ConfigError(f"--config {name}: has no table [tool.lossgrade]")
    # As with ruff, the patterns of a file that is named are relative to where one stands.
    return _settings(path, data, content if table is None else table, str(Path.cwd()))


def _parsed(path: Path, data: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(data.decode("utf-8").replace("\r\n", "\n"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start + 1} is not UTF-8") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from error


def _settings(path: Path, data: bytes, table: object, root: str) -> Settings:
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: tool.lossgrade is {_kind(table)}, expected a table")
    mistakes = [_mistake(key, value) for key, value in table.items()]
    lines = [
        f"{path}:{_row(data, key)}: {mistake}"
        for key, mistake in zip(table, mistakes, strict=True)
        if mistake
    ]
    if lines:
        raise ConfigError(*lines)
    return Settings(
        root,
        str(path),
        Choice(table.get("select"), table.get("extend-select", ()), table.get("ignore", ())),
        (*table.get("exclude", EXCLUDED), *table.get("extend-exclude", ())),
        tuple((glob, tuple(codes)) for glob, codes in table.get("per-file-ignores", {}).items()),
        table.get("unsafe-fixes", False),
        table.get("output-format", "text"),
        table.get("respect-gitignore", True),
        table.get("force-exclude", False),
    )


def _mistake(key: str, value: object) -> str:
    """Return what is wrong with an entry of the table, "" if nothing is."""
    if key not in KEYS:
        near = difflib.get_close_matches(key.replace("_", "-"), KEYS, 1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(KEYS)}"
        return f"tool.lossgrade has no key {key!r}; {hint}"
    expected, fits = KEYS[key]
    if fits(value):
        return ""
    return f"{key}: found {_kind(value)}, expected {expected}"


def _kind(value: object) -> str:
    if isinstance(value, str | int | float):
        return str(value).lower() if isinstance(value, bool) else repr(value)
    if isinstance(value, dict):
        return "a table"
    return "a list with something else in it" if isinstance(value, list) else str(value)


def _row(data: bytes, key: str) -> int:
    """Return the row of the TOML that sets `key`, 1 if it is set in some unusual way."""
    in_table = re.search(rb"^[ \t]*\[[ \t]*tool[ \t]*\.[ \t]*lossgrade\b", data, re.MULTILINE)
    start = in_table.start() if in_table else 0
    pattern = rb"^[ \t\[]*(?:tool\.lossgrade\.)?[\"']?" + re.escape(key.encode()) + rb"\b"
    found = re.compile(pattern, re.MULTILINE).search(data, start)
    return data.count(b"\n", 0, found.start()) + 1 if found else 1
