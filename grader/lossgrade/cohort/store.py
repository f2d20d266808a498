"""The output folder of a run: who may write to it, what is there already, and how files land."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
from typing import TYPE_CHECKING

import filelock

from lossgrade.cohort.asked import FEEDBACK
from lossgrade.reports import write_atomically
from lossgrade.sandbox.layers.state import LEVELS, reaches

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Self

LOCK, RUN = ".lock", "run.json"
# The head of a record is enough to tell whether it is still true.
_KEY = re.compile(rb'^  "key": "([0-9a-f]*)",?$', re.MULTILINE)
_FILES = re.compile(rb'^    "digest": "([0-9a-f]*)"', re.MULTILINE)
# As `write_atomically` names it.
_HALF_WRITTEN = re.compile(r"\..+\.[a-z0-9_]{8}")
_LEVEL = re.compile(rb'^  "sandbox": \{\s*"level": "([a-z]*)"', re.MULTILINE)
_OUTCOME = re.compile(rb'^  "outcome": "([a-z-]*)"', re.MULTILINE)


def is_ours(folder: Path) -> bool:
    """Say whether a run may take the folder: it is new, empty, or an earlier run's."""
    try:
        found = {file.name for file in folder.iterdir()}
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return not found or not found.isdisjoint({LOCK, RUN})


class StoreError(Exception):
    """An output folder that cannot be used; the text is one line."""


class WriteError(Exception):
    """An output that cannot be written, as on a full disk; the text is one line. The run stops."""


class Store:
    """The output folder, held by this process alone until it is closed."""

    def __init__(self, folder: Path) -> None:
        """Make the folder if need be and take hold of it.

        Raises:
            StoreError: another run holds it, or it cannot be written to.
        """
        self.folder = folder
        self._lock = filelock.FileLock(folder / LOCK, blocking=False)
        try:
            if folder.exists() and not folder.is_dir():
                raise StoreError(f"{folder}: is a file, expected a folder for the results")
            folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
            # What a run that was killed has left there.
            self._clear()
            # What students handed in is nobody else's business.
            self.work.mkdir(mode=0o700, exist_ok=True)
            self._holder.write_text(f"{os.getpid()}", encoding="ascii")
            self.unpacked.mkdir()
            for name in ("results", "feedback"):
                (folder / name).mkdir(exist_ok=True)
                for file in (folder / name).iterdir():
                    if _HALF_WRITTEN.fullmatch(file.name):
                        file.unlink()
        except filelock.Timeout:
            told = _read(self._holder)
            who = f" (process {told})" if told else ""
            raise StoreError(
                f"{folder}: another run{who} writes there; wait for it, or give another --out"
            ) from None
        except NotImplementedError:
            raise StoreError(
                f"{folder}: its file system has no locks, so that two runs could mix there; "
                "give another --out"
            ) from None
        except OSError as error:
            raise StoreError(f"{folder}: cannot be written to ({error.strerror})") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def work(self) -> Path:
        return self.folder / ".work"

    @property
    def unpacked(self) -> Path:
        return self.work / "unpacked"

    @property
    def _holder(self) -> Path:
        return self.work / "process"

    def close(self) -> None:
        """Remove what was unpacked and let others write here."""
        self._clear()
        self._lock.release()

    def _clear(self) -> None:
        """Remove what is ours of the work folder, and that too unless somebody else uses it."""
        shutil.rmtree(self.unpacked, ignore_errors=True)
        with contextlib.suppress(OSError):
            self._holder.unlink(missing_ok=True)
            self.work.rmdir()

    def seed(self, given: str) -> str:
        """Return the run's secret: `given`, else the one of earlier runs here, else a fresh one.

        Raises:
            StoreError: the file that holds it cannot be read or written.
        """
        file = self.folder / RUN
        try:
            known = json.loads(file.read_text("utf-8")) if file.exists() else {}
            seed = given or known.get("seed") or secrets.token_hex(16)
            if not isinstance(seed, str):
                raise TypeError
        except (ValueError, AttributeError, TypeError, OSError):
            raise StoreError(
                f"{file}: cannot be read as a JSON object with a `seed`; remove it to draw another"
            ) from None
        if seed != known.get("seed"):
            document = {"schema": "lossgrade/run/v1", "seed": seed}
            try:
                write_atomically(file, json.dumps(document, indent=2) + "\n")
            except OSError as error:
                raise StoreError(f"{file}: cannot be written ({error.strerror})") from None
            # Who knows it can draw the inputs of every submission.
            file.chmod(0o600)
        return seed

    # --- results --------------------------------------------------------------------------

    def record(self, entry_id: str) -> Path:
        return self.folder / "results" / f"{entry_id}.json"

    def has_feedback(self, entry_id: str) -> bool:
        files = [self.folder / "feedback" / f"{entry_id}.{each}" for each in FEEDBACK.values()]
        return all(file.is_file() and file.stat().st_size for file in files)

    def is_current(
        self, entry_id: str, key: str, files: str, level: str, *, by_files: bool
    ) -> bool:
        """Say whether the result of an entry is there, complete, and what grading would give.

        Args:
            entry_id: of the entry.
            key: what its result depends on.
            files: the digest of its files.
            level: the least isolation that it may have been graded under.
            by_files: let a result stand whose files are these, whatever else has changed.
        """
        try:
            data = self.record(entry_id).read_bytes()
        except OSError:
            return False
        if not data.rstrip().endswith(b"}") or _first(_OUTCOME, data) == "not-graded":
            return False
        reached = _first(_LEVEL, data)
        if reached in LEVELS and not reaches(reached, level):
            return False
        return _first(_FILES, data) == files if by_files else _first(_KEY, data) == key


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Write texts below `folder`, each whole or not at all, in their order.

    Raises:
        WriteError: one cannot be written; those before it are.
    """
    for name, text in files.items():
        try:
            # Waiting for the disk takes longer than grading some; a file that is damaged when the
            # machine goes down is found by the next run, and made again.
            write_atomically(folder / name, text, sync=False)
        except OSError as error:
            raise WriteError(f"{folder / name}: cannot be written ({error.strerror})") from None


def _first(pattern: re.Pattern[bytes], data: bytes) -> str:
    found = pattern.search(data)
    return found[1].decode() if found else ""


def _read(file: Path) -> str:
    with contextlib.suppress(OSError):
        return file.read_text("ascii").strip()
    return ""
