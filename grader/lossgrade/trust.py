"""What pytest reads before it grades must not be the student's: configuration, conftest, modules.

pytest runs a conftest.py, and obeys an ini-file, in the trusted process. It looks for both near
its arguments, and `--submission PATH` counts as one.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence


def keep_out(
    config: pytest.Config, submission: str, arguments: Sequence[str], *, named_ini: bool
) -> None:
    """Refuse what may be the student's, before any conftest.py is read.

    Args:
        config: as far as it is known: the ini-file has been read.
        submission: the option `--submission`.
        arguments: the files and folders given to pytest.
        named_ini: whether the ini-file was named on the command line.
    Raises:
        pytest.UsageError: an ini-file or conftest.py that the student may have written.
    """
    path = Path(submission).resolve()
    folder = path if path.is_dir() else path.parent
    anchors = [_anchor(argument) for argument in arguments]
    if config.inipath is not None and not named_ini:
        _refuse_ini(config.inipath.resolve(), folder, [config.invocation_params.dir, *anchors])
    for anchor in anchors:
        # pytest reads the conftest.py of an argument, of the folders above and of test* below.
        for near in (anchor, *anchor.parents, *([folder] if anchor == folder.parent else [])):
            if near == folder or folder in near.parents:
                refuse_conftest(near)
    # `python -m pytest` puts the current folder first: a numpy.py there would be ours.
    sys.path[:] = [place for place in sys.path if Path(place).resolve() != folder]


def _anchor(argument: str) -> Path:
    """Return where an argument such as `tests/test_a.py::test_b` lies."""
    return Path(argument.partition("::")[0]).resolve()


def _refuse_ini(inifile: Path, folder: Path, places: Sequence[Path]) -> None:
    """Stop where the ini-file lies with the submission, or was found only by way of it.

    A student's own could choose the assignment, the seed or a plugin. A file above this package
    itself is trusted: whoever writes there writes the grader.
    """
    home = inifile.parent
    if folder == home or folder in home.parents:
        where = "lies with the submission"
    elif home in Path(__file__).resolve().parents or any(
        home == place or home in place.parents for place in places
    ):
        return
    else:
        where = "was found by way of the submission"
    raise pytest.UsageError(
        f"{inifile} {where}, so the student may have written it; "
        f"name the configuration to use: pytest -c FILE (none: -c {os.devnull})"
    )


def refuse_conftest(folder: Path) -> None:
    """Stop before pytest runs a conftest.py that lies with the submission.

    Raises:
        pytest.UsageError: there is one.
    """
    if folder.is_dir() and (folder / "conftest.py").exists():
        raise pytest.UsageError(
            f"{folder / 'conftest.py'} lies with the submission, so the student may have written "
            "it; keep the tests in a folder of their own, or add --noconftest"
        )
