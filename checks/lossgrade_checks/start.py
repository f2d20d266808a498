"""Where `lossgrade check` and `lossgrade rule` begin.

pre-commit calls the linter with the files of a commit, and most commits touch no loss. So a run
over named files which hold no marker (see `prefilter`) ends here, before anything but `os` and
`sys` is imported. It must come to the same end as the long way, which is `command.main`; where
that is not plain to see, the long way is taken.
"""

import os
import stat
import sys

from lossgrade_checks.prefilter import might_matter

# Options of `check` which cannot change what is said of files that hold no mistake.
HARMLESS = frozenset(
    (
        "--exit-non-zero-on-fix",
        "--exit-zero",
        "--fix",
        "--force-exclude",
        "--no-cache",
        "--unsafe-fixes",
    )
)
QUIET = frozenset(("-q", "--quiet"))
CLEAN = "No mistakes found"


def main(arguments: list[str] | None = None) -> int:
    """Run `lossgrade check ...` or `lossgrade rule ...`; return its exit code."""
    if arguments is None:
        arguments = sys.argv[1:]
    if arguments[:1] == ["check"] and _nothing_to_find(arguments[1:]):
        if not QUIET.intersection(arguments):
            return _say_clean()
        return 0
    try:
        from lossgrade_checks.command import main as long_way

        return long_way(arguments)
    except Exception as error:
        # Exit code 1 would say that something was found.
        print(f"lossgrade: {_at_fault(error)}", file=sys.stderr)
        return 2


def _nothing_to_find(arguments: list[str]) -> bool:
    """Say whether `check` with these arguments is sure to report nothing."""
    paths = [argument for argument in arguments if argument[:1] != "-"]
    options = HARMLESS | QUIET
    if not paths or any(a[:1] == "-" and a not in options for a in arguments):
        return False
    folders = set()
    for path in paths:
        try:
            # A pipe is not opened: that could wait for ever.
            if not stat.S_ISREG(os.stat(path).st_mode):
                return False
            with open(path, "rb") as file:
                if might_matter(file.read()):
                    return False
        except (OSError, ValueError):
            return False
        folders.add(os.path.dirname(os.path.abspath(path)))
    seen: set[str] = set()
    return not any(_configured(folder, seen) for folder in folders)


def _configured(folder: str, seen: set[str]) -> bool:
    """Say whether a pyproject.toml in `folder` or above it may configure the linter."""
    while folder not in seen:
        seen.add(folder)
        try:
            with open(folder + os.sep + "pyproject.toml", "rb") as file:
                if names_lossgrade(file.read()):
                    return True
        except FileNotFoundError:
            pass
        except OSError:
            return True
        folder = os.path.dirname(folder)
    return False


def names_lossgrade(toml: bytes) -> bool:
    """Say whether a pyproject.toml may have a table `tool.lossgrade`, in any spelling of TOML."""
    if b"lossgrade" not in toml:
        return False
    bare = toml.translate(None, b" \t\"'")
    return b"tool.lossgrade" in bare or b"[tool]" in bare or b"tool=" in bare


def _at_fault(error: Exception) -> str:
    """Return a line for a mistake of the linter's own, or of its installation."""
    if isinstance(error, ModuleNotFoundError):
        return f"check needs {error.name}, which is not installed: pip install lossgrade"
    trace = error.__traceback__
    where = ""
    while trace:
        where = f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}"
        trace = trace.tb_next
    said = " ".join(str(error).split())
    return f"internal error, {type(error).__name__}: {said} at {where}; please report this"


def _say_clean() -> int:
    try:
        print(CLEAN, flush=True)
    except BrokenPipeError:
        # The reader of our output has gone; what is left in the buffer goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
