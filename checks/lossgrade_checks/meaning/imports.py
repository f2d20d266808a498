"""Follow imports: into files of the project, or to the names of libraries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lossgrade_checks.meaning import expressions as e
from lossgrade_checks.meaning import program as p
from lossgrade_checks.meaning import tables
from lossgrade_checks.meaning import values as v

if TYPE_CHECKING:
    from lossgrade_checks.meaning.run import Run

# Modules under another name.
ALIASES = {
    "torch.nn.modules": "torch.nn",
    "torch.functional": "torch",
    "torch.nn.modules.activation": "torch.nn",
    "torch.nn.modules.loss": "torch.nn",
    "torch.nn.modules.linear": "torch.nn",
    "torch.nn.modules.container": "torch.nn",
    "torch.nn.modules.module": "torch.nn",
}


def import_module(run: Run, statement: p.Import) -> None:
    """Follow `import module` or `import module as name`."""
    if statement.whole:
        run.bind(statement.name, find(run, 0, statement.module))
    else:
        found = find(run, 0, statement.name)
        if statement.module != statement.name:
            inner = run.project.load(run.module, 0, statement.module)
            if inner is not None and isinstance(found, v.External):
                # A package without an `__init__.py`.
                found = run.project.folder(run.module, statement.name) or found
        run.bind(statement.name, found)


def import_from(run: Run, statement: p.ImportFrom) -> None:
    """Follow `from module import a, b as c` or `from module import *`."""
    module = find(run, statement.level, statement.module)
    if statement.star:
        _import_star(run, module)
        return
    for name, bound in statement.names:
        run.bind(bound, _member(run, module, name, statement))


def find(run: Run, level: int, module: str) -> Any:
    """Return the module: of the project if it has one of that name, else of a library."""
    found = run.project.load(run.module, level, module)
    if found is not None:
        return found
    return v.Unknown() if level else v.External(ALIASES.get(module, module))


def _member(run: Run, module: Any, name: str, statement: p.ImportFrom) -> Any:
    if isinstance(module, v.ModuleValue):
        found = module.scope.names.get(name)
        if found is None:
            found = run.project.submodule(module, name)
        return v.Unknown() if found is None else found
    if isinstance(module, v.External):
        path = f"{module.path}.{name}"
        return v.External(ALIASES.get(path, path))
    found = run.project.load(run.module, statement.level, name)
    return v.Unknown() if found is None else found


def _import_star(run: Run, module: Any) -> None:
    if isinstance(module, v.ModuleValue):
        names = module.scope.names
        listed = e.items_of(names.get("__all__"))
        for name, value in list(names.items()):
            if v.Constant(name) in listed if listed is not None else not name.startswith("_"):
                run.bind(name, value)
    elif isinstance(module, v.External):
        for name in tables.members(module.path):
            path = f"{module.path}.{name}"
            run.bind(name, v.External(path))
