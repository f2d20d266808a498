"""The rules, one file each; they are found by walking this folder."""

from __future__ import annotations

import functools
import importlib
import pkgutil

from lossgrade_checks.rule import Rule


@functools.cache
def all_rules() -> tuple[type[Rule], ...]:
    """Return all rules, sorted by code."""
    found = []
    for module in pkgutil.iter_modules(__path__):
        loaded = importlib.import_module(f"{__name__}.{module.name}")
        found += [
            rule
            for rule in vars(loaded).values()
            if isinstance(rule, type)
            and issubclass(rule, Rule)
            and rule.__module__ == loaded.__name__
        ]
    return tuple(sorted(found, key=lambda rule: rule.code))
