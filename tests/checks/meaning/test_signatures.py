"""The arguments of losses that the tables list, against those of the PyTorch that is installed."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch

from lossgrade_checks.meaning import tables
from lossgrade_checks.rules.deprecated_reduction_args import SIGNATURES


def names(path: str) -> list[str]:
    """Return the names of the parameters of a function, or of a constructor, in order."""
    found: Any = torch
    for part in path.removeprefix("torch.").split("."):
        found = getattr(found, part)
    if isinstance(found, type):
        return list(inspect.signature(inspect.getattr_static(found, "__init__")).parameters)[1:]
    return list(inspect.signature(found).parameters)


@pytest.mark.parametrize("name", SIGNATURES)
def test_the_arguments_that_reduction_replaces_stand_where_the_rule_says(name: str) -> None:
    signature = SIGNATURES[name]
    home = "torch.nn.functional" if signature.function else "torch.nn"
    # Newer versions may take more, behind those that the rule knows.
    assert names(f"{home}.{name}")[: len(signature.names)] == list(signature.names)


@pytest.mark.parametrize("path", [path for path in tables.LOSSES if ".modules." not in path])
def test_the_arguments_of_a_loss_stand_where_the_table_says(path: str) -> None:
    loss = tables.LOSSES[path]
    expected = loss.parameters if path.startswith("torch.nn.functional.") else loss.constructor
    assert names(path)[: len(expected)] == list(expected)
