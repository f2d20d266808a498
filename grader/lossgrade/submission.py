"""What a student handed in: a `.py` file, a notebook, or a folder of files."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from lossgrade.language import say

FILE_CAP = 2000
BYTES_CAP = 256 << 20
SOURCE_CAP = 16 << 20
SUFFIXES = (".py", ".ipynb")
LEFT_OUT = {"__pycache__", "__MACOSX", "node_modules", "venv", "env"}


class SubmissionError(Exception):
    """A path that holds no submission; the text is one line for the instructor."""


class Unloadable(Exception):
    """A submission without a file that could be run; the text is one line for the student."""


@dataclass(frozen=True)
class Submission:
    """One submission on disk. Reading it runs none of it."""

    path: Path
    id: str
    entry: str = ""

    @classmethod
    def at(cls, path: Path, entry: str = "") -> Submission:
        """Return the submission at `path`.

        Args:
            path: a `.py` or `.ipynb` file, or a folder.
            entry: the file of a folder that has the functions; default: the only one there is.
        Raises:
            SubmissionError: there is no such file or folder, or it is of another kind.
        """
        try:
            if not path.exists():
                raise SubmissionError(f"{path}: no such file or folder")
            if not path.is_dir() and (not path.is_file() or path.suffix.lower() not in SUFFIXES):
                raise SubmissionError(
                    f"{path}: expected a .py file, a .ipynb notebook or a folder, "
                    f"found {path.suffix or 'a file without a suffix'}"
                )
            next(path.iterdir(), None) if path.is_dir() else path.open("rb").close()
        except OSError as error:
            raise SubmissionError(f"{path}: cannot be read ({error.strerror})") from None
        return cls(path, path.stem if path.is_file() else path.resolve().name, entry)

    @property
    def is_folder(self) -> bool:
        return self.path.is_dir()

    def files(self) -> list[Path]:
        """Return the regular files of the submission, links and tool folders left out.

        Raises:
            Unloadable: more files or bytes than a submission may have.
        """
        if not self.is_folder:
            return [self.path]
        found: list[Path] = []
        size = 0
        for folder, names, files in os.walk(self.path):
            names[:] = sorted(n for n in names if not n.startswith(".") and n not in LEFT_OUT)
            for name in sorted(files):
                file = Path(folder, name)
                if file.is_symlink() or not file.is_file():
                    continue
                found.append(file)
                size += file.stat().st_size
                if len(found) > FILE_CAP or size > BYTES_CAP:
                    raise Unloadable(
                        say(
                            "the folder holds more than {files} files or {size} MiB; "
                            "hand in the source files only",
                            files=FILE_CAP,
                            size=BYTES_CAP >> 20,
                        )
                    )
        return found

    def entry_file(self) -> Path:
        """Return the file that has the functions.

        Raises:
            Unloadable: the folder has none, or several and the assignment names no entry.
        """
        if not self.is_folder:
            return self.path
        if self.entry:
            file = self.path / self.entry
            if not file.is_file() or file.is_symlink():
                raise Unloadable(
                    say("the folder has no {file}, the file that was asked for", file=self.entry)
                )
            return file
        for suffix in SUFFIXES:
            found = sorted(
                file
                for file in self.path.iterdir()
                if file.suffix.lower() == suffix
                and not file.name.startswith(".")
                and file.is_file()
                and not file.is_symlink()
            )
            if len(found) == 1:
                return found[0]
            if found:
                names = ", ".join(file.name for file in found[:6])
                raise Unloadable(
                    say(
                        "the folder has {number} {suffix} files ({names}) and none was named "
                        "as the one with the functions",
                        number=len(found),
                        suffix=suffix,
                        names=names,
                    )
                )
        raise Unloadable(
            say("the folder has no Python file (.py) and no notebook (.ipynb) at its top")
        )

    def mentions_torch(self) -> bool:
        """Say whether the word torch stands in any source file: loading it takes seconds."""
        try:
            sources = [file for file in self.files() if file.suffix.lower() in SUFFIXES]
            return any(b"torch" in file.read_bytes() for file in sources)
        except (OSError, Unloadable):
            return False

    def copy_to(self, scratch: Path) -> Path:
        """Copy the submission into `scratch` and return where its entry file lies there.

        Whatever the umask, another user can read the copies: the worker may be one.

        Raises:
            Unloadable: it has no entry file, or is too large.
        """
        entry = self.entry_file()
        if entry.stat().st_size > SOURCE_CAP:
            raise Unloadable(
                say("{file} is larger than {size} MiB", file=entry.name, size=SOURCE_CAP >> 20)
            )
        root = self.path if self.is_folder else self.path.parent
        # The entry file also where it lies in a folder that is left out otherwise.
        for file in dict.fromkeys([entry, *self.files()]):
            place = file.relative_to(root)
            for folder in reversed(place.parents[:-1]):
                (scratch / folder).mkdir(exist_ok=True)
                (scratch / folder).chmod(0o755)
            shutil.copyfile(file, scratch / place)
            (scratch / place).chmod(0o644)
        return scratch / entry.relative_to(root)
