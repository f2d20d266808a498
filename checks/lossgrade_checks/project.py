"""The files that a linted file may import: found, parsed and followed when something needs them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lossgrade_checks.gate import Gate
from lossgrade_checks.meaning.values import ModuleValue
from lossgrade_checks.source import Source, Unreadable, read_source
from lossgrade_checks.syntax import PythonSyntax

if TYPE_CHECKING:
    from lossgrade_checks.meaning.program import Program

# Libraries that are never looked for among the files of the project.
LIBRARIES = frozenset(
    "torch numpy scipy torchvision torchaudio torchtext matplotlib sklearn pandas tqdm PIL cv2 "
    "transformers pytorch_lightning lightning tensorflow keras jax wandb seaborn IPython".split()
) | frozenset(sys.stdlib_module_names)
# What marks the top folder of a project.
TOP = (".git", "pyproject.toml", "setup.py", "setup.cfg", ".hg")
# A file is looked for in its own folder and in so many above it, up to the top of the project.
LEVELS = 6


class Project:
    """Finds and follows imported files; what is found is kept for the next linted file."""

    def __init__(self) -> None:
        self.gate = Gate(self)
        self._modules: dict[str, ModuleValue | None] = {}
        # With the hash of the text that each was lowered from.
        self._programs: dict[str, tuple[int, Program | None]] = {}
        self._folders: dict[Path, tuple[Path, ...]] = {}
        self._names: dict[Path, frozenset[str]] = {}

    # --- finding --------------------------------------------------------------------------------

    def load(self, module: ModuleValue, level: int, name: str) -> ModuleValue | None:
        """Return the file of the project that `module` imports as `name`, or None.

        `level` is the number of leading dots of the import.
        """
        path = self.find(Path(module.path), level, name)
        return self._module(path) if path is not None else None

    def submodule(self, module: ModuleValue, name: str) -> ModuleValue | None:
        """Return the file `name` of the package `module`, or None."""
        path = Path(module.path)
        if path.name == "__init__.py":
            path = path.parent
        elif path.suffix == ".py":
            return None
        found = self._file(path, (name,))
        if found is not None:
            return self._module(found)
        return ModuleValue(str(path / name)) if self._listing(path / name) else None

    def folder(self, module: ModuleValue, name: str) -> ModuleValue | None:
        """Return the folder that `module` imports as the package `name`, or None."""
        for root in self._roots(Path(module.path).parent):
            if name in self._listing(root):
                return ModuleValue(str(root / name))
        return None

    def find(self, importer: Path, level: int, name: str) -> Path | None:
        """Return the path of the file that `importer` imports as `name`, or None."""
        if level == 0 and name.partition(".")[0] in LIBRARIES:
            return None
        parts = tuple(name.split(".")) if name else ()
        if level:
            folder = importer.parent
            for _ in range(level - 1):
                folder = folder.parent
            return self._file(folder, parts)
        for folder in self._roots(importer.parent):
            found = self._file(folder, parts)
            if found is not None:
                return found
        return None

    def _roots(self, folder: Path) -> tuple[Path, ...]:
        """Return the folders in which an absolute import of a file in `folder` is looked for."""
        known = self._folders.get(folder)
        if known is None:
            found = [folder]
            current = folder.absolute()
            for _ in range(LEVELS):
                if any(mark in self._listing(current) for mark in TOP):
                    break
                if current.parent == current:
                    break
                current = current.parent
                found.append(current)
            else:
                # No top in sight: the file's own folder alone.
                del found[1:]
            if found[1:] and not any(mark in self._listing(found[-1]) for mark in TOP):
                del found[1:]
            found += [f / "src" for f in found if "src" in self._listing(f)]
            known = self._folders[folder] = tuple(found)
        return known

    def _file(self, folder: Path, parts: tuple[str, ...]) -> Path | None:
        for part in parts[:-1]:
            if part not in self._listing(folder):
                return None
            folder = folder / part
        if not parts:
            return folder / "__init__.py" if "__init__.py" in self._listing(folder) else None
        last = parts[-1]
        names = self._listing(folder)
        if last in names and "__init__.py" in self._listing(folder / last):
            return folder / last / "__init__.py"
        return folder / f"{last}.py" if f"{last}.py" in names else None

    def _listing(self, folder: Path) -> frozenset[str]:
        known = self._names.get(folder)
        if known is None:
            try:
                known = frozenset(item.name for item in folder.iterdir())
            except OSError:
                known = frozenset()
            self._names[folder] = known
        return known

    # --- following ------------------------------------------------------------------------------

    def _module(self, path: Path) -> ModuleValue | None:
        key = str(path)
        if key not in self._modules:
            program = self._program(path)
            if program is None:
                self._modules[key] = None
            else:
                from lossgrade_checks.meaning.follow import follow_import

                # Registered before it is followed: files may import each other in a circle.
                module = self._modules[key] = ModuleValue(key)
                follow_import(self, module, program)
        return self._modules[key]

    def keep(self, source: Source, program: Program) -> None:
        """Keep the program of a file that was linted: others may import it."""
        self._programs[str(source.path)] = hash(source.text), program

    def known(self, source: Source) -> Program | None:
        """Return the program of a file that was linted or imported before, or None."""
        text, program = self._programs.get(str(source.path), (0, None))
        return program if text == hash(source.text) else None

    def _program(self, path: Path) -> Program | None:
        """Return the lowered file at `path`, or None if it cannot be read or parsed."""
        key = str(path)
        if key not in self._programs:
            try:
                source = read_source(path, path.read_bytes())
                self._programs[key] = hash(source.text), PythonSyntax(source.text).program
            except (OSError, Unreadable, SyntaxError, RecursionError):
                # It is reported when it is linted itself.
                self._programs[key] = 0, None
        return self._programs[key][1]
