"""What is known of a value as a tensor, and what most operations ask of it."""

from __future__ import annotations

from typing import Any, NamedTuple

from lossgrade_checks.meaning import program as p
from lossgrade_checks.meaning import tables
from lossgrade_checks.meaning import values as v


class Use(NamedTuple):
    """A use of a function or method that the tables know; `args` are those after `operand`."""

    effect: str
    name: str
    path: str
    style: str
    numpy: bool
    operand: Any
    operand_node: p.Expression | None
    args: Any
    node: p.Call


def tensor(value: Any) -> v.Tensor:
    """Return what is known of `value` as a tensor."""
    return value if isinstance(value, v.Tensor) else v.Tensor()


def number(value: Any) -> float | None:
    """Return the number that `value` is, or None."""
    if isinstance(value, v.Constant) and isinstance(value.value, int | float):
        return value.value
    return None


def axis_of(value: Any) -> int | None:
    """Return the axis that an argument names, or None when it is not known."""
    found = value.value if isinstance(value, v.Constant) else None
    return found if isinstance(found, int) else None


def may_be_dtype(value: Any) -> bool:
    """Whether `x.to(value)` may cast x: `other.dtype`, `other`; a device does not."""
    if isinstance(value, v.Method):
        return value.name == "dtype"
    if isinstance(value, v.Unknown):
        return value.name != "" and "dev" not in value.name.lower()
    return isinstance(value, v.Tensor)


def dtype_of(value: Any) -> str | None:
    """Return "float", "int" or "bool" for a dtype, or None."""
    path = value.path if isinstance(value, v.External) else ""
    if isinstance(value, v.Constant) and isinstance(value.value, str):
        path = value.value
    return tables.DTYPES.get(path.rpartition(".")[2])


def with_dtype(operand: Any, dtype: str) -> Any:
    """Return `operand` cast to `dtype`."""
    if not isinstance(operand, v.Tensor):
        return v.Tensor(dtype=dtype, of=operand)
    if operand.meaning in {v.PROBABILITIES, v.SIGMOID} and dtype != "float":
        return v.Tensor(v.DECISIONS, of=operand, dtype=dtype, learned=operand.learned)
    return operand._replace(dtype=dtype)


def moved(value: v.Tensor) -> v.Tensor:
    """Return a tensor whose axes have changed places: its axis numbers are not known any more."""
    return value._replace(
        dim=None, rank=None, rows=False, outputs=None, keepdim=value.keepdim or per_row(value),
        note="moved",
    )  # fmt: skip


def per_row(value: v.Tensor) -> bool:
    """Whether it is a sum or maximum over an axis, whose shape is now up to the program."""
    return value.meaning in {v.SUM, v.MAX}


def same(a: Any, b: Any) -> bool:
    """Whether two values are surely one: the same object, or made alike of the same."""
    if isinstance(a, v.Unknown) and isinstance(b, v.Unknown):
        return (a.base or a) is (b.base or b)
    if a is b:
        return True
    if isinstance(a, v.Tensor) and isinstance(b, v.Tensor):
        known = a.of is not None or a.origin is not None
        return known and a.meaning == b.meaning and a.dim == b.dim and same(a.of, b.of)
    if isinstance(a, v.Method) and isinstance(b, v.Method):
        return a.name == b.name and same(a.receiver, b.receiver)
    return False


def requiring_grad(value: Any) -> Any:
    """Return a tensor that collects a gradient from here on: a leaf, whatever it was cut from.

    A loss that was cut stays so: the parameters that it was made of get nothing.
    """
    if isinstance(value, v.Tensor) and value.meaning != v.LOSS:
        return value._replace(cut="", cut_site=None)
    return value
