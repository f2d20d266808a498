"""Reports: one module a format. They read results and know neither pytest nor torch."""

from __future__ import annotations

import contextlib
import os
import tempfile
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lossgrade.visibility import KEPT_BACK, immediate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lossgrade.result import Result

FORMATS = (
    "json",
    "gradescope",
    "markdown",
    "html",
    "github-classroom",
    "prairielearn",
    "classroom50",
    "junit",
)


class ReportError(Exception):
    """A report that cannot be asked for or written; the text is one line."""


@dataclass(frozen=True)
class Request:
    """A report as asked for: FORMAT:PATH."""

    format: str
    path: Path


def parse_request(text: str) -> Request:
    """Read FORMAT:PATH.

    Raises:
        ReportError: no colon, an unknown format, no path, or nothing to make the report from.
    """
    name, _, path = text.partition(":")
    if name not in FORMATS or not path:
        raise ReportError(f"{text!r}: expected FORMAT:PATH, FORMAT one of {', '.join(FORMATS)}")
    if name == "classroom50":
        from lossgrade.reports.classroom50 import identity

        # Told before anything is graded.
        identity()
    return Request(name, Path(path))


def write(request: Request, result: Result) -> None:
    """Write one report, whole or not at all; its folder is made if need be.

    Raises:
        ReportError: the file cannot be written.
    """
    text = render(request.format, result)
    try:
        if request.path.is_dir():
            raise ReportError(f"{request.path}: is a folder, expected the path of a file")
        write_atomically(request.path, text)
    except OSError as error:
        raise ReportError(f"{request.path}: cannot be written ({error.strerror})") from None


def render(name: str, result: Result) -> str:
    """Return the text of the report in the format `name`; every text can be encoded."""
    module = import_module(f"lossgrade.reports.{name.replace('-', '_')}")
    text: str = module.render(shown(name, result))
    return text


def shown(name: str, result: Result) -> Result:
    """Return what a report in the format `name` may tell of the result."""
    return _encodable(result if name in KEPT_BACK else immediate(result))


def _encodable(result: Result) -> Result:
    """Return the result with lone surrogates escaped: no file can hold them as they are.

    They come with the names of files that are no UTF-8, and with messages that quote anything.
    """
    try:
        result.to_json()
    except ValueError:
        return type(result).model_validate(_escaped(result.model_dump(by_alias=True)))
    return result


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_escaped(key): _escaped(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_escaped(inner) for inner in value]
    return value


def write_atomically(path: Path, text: str | Iterable[str], *, sync: bool = True) -> None:
    """Write `text`, whole or in pieces, beside `path` first, then move it there.

    No reader sees half a file; with `sync`, also none after the machine lost its power.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.writelines([text] if isinstance(text, str) else text)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        Path(name).chmod(0o666 & ~umask)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
