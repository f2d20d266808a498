"""Numbers and arrays as a person writes them: `[[0., 1.]]` for a program, `0.2689` for a sum."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# What a pocket calculator's user reads off, and the most that is ever shown.
DIGITS = 4
MOST_DIGITS = 9
# Below and above, a number is written with a power of ten.
LEAST, MOST = 1e-6, 1e7


def number(value: float, digits: int = DIGITS) -> str:
    """Return `value` with `digits` significant digits, but never without its units."""
    value = float(value)
    if not math.isfinite(value):
        return str(value)
    if value and not LEAST <= abs(value) < MOST:
        return f"{value:.{digits - 1}e}"
    units = len(str(int(abs(value))))
    text = np.format_float_positional(
        value, precision=max(digits, units), unique=False, fractional=False, trim="-"
    )
    return "0" if text == "-0" else text


def bracketed(value: float, digits: int = DIGITS) -> str:
    """Return `value` as it stands after a minus or a times sign: negative ones in brackets."""
    text = number(value, digits)
    return f"({text})" if text.startswith("-") else text


def literal(values: NDArray[Any], digits: int = 0) -> str:
    """Return an array as NumPy prints it and Python reads it, on one line.

    Args:
        values: of any shape.
        digits: significant ones of floats; 0 writes each so that it is read back the same.
    """
    array = np.asarray(values)
    if not array.size:
        return f"empty({array.shape}{'' if array.dtype.kind == 'f' else ', int'})"
    if array.ndim:
        return f"[{', '.join(literal(inner, digits) for inner in array)}]"
    if array.dtype.kind != "f":
        return str(array.item())
    if digits:
        text = number(float(array), digits)
    elif math.isfinite(array) and (array == 0 or LEAST <= abs(array) < MOST):
        text = np.format_float_positional(array.dtype.type(array), trim="-")
    else:
        text = str(array.item())
    return text if set(text) & set(".en") else f"{text}."


def telling_digits(expected: NDArray[Any], found: NDArray[Any]) -> int:
    """Return how many digits it takes for the two to look different, 4 or more."""
    if expected.shape != found.shape:
        return DIGITS
    for digits in range(DIGITS, MOST_DIGITS):
        if literal(expected, digits) != literal(found.astype(np.float64), digits):
            return digits
    return MOST_DIGITS
