"""What can be said of wrong results that no misconception explains: never a guess."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lossgrade.diagnosis.samples import Sample, close
from lossgrade.language import say

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from lossgrade.trial import Trial


def known(trial: Trial, found: list[Sample]) -> list[str]:
    """Return what holds on all inputs, in one sentence each; most telling first."""
    if not found:
        return []
    total = len(found)
    came = [sample for sample in found if sample.found is not None]
    right = sum(sample.right(trial.tolerance) for sample in found)
    if right == total:
        return [say("It is right on all {total} inputs that were tried here.", total=total)]
    said = []
    holders = {s.found.container for s in found if s.found is not None} & {"list", "tuple"}
    if came and len(holders) == 1:
        said.append(say("What comes back is a {container}, not an array.", container=holders.pop()))
    if problems := [sample.problem for sample in found if sample.found is None]:
        said.append(
            say(
                "On {count} of {total} inputs nothing came back; the first time: {problem}",
                count=len(problems), total=total, problem=problems[0],
            )
        )  # fmt: skip
    said += _not_finite(came, total)
    if came and not any(sample.found is None for sample in found) and not _never_finite(came):
        said += _shapes(trial, came) or _relations(trial, came)
    if right:
        said.append(say("It is right on {count} of {total} inputs.", count=right, total=total))
    return said


def _never_finite(came: list[Sample]) -> bool:
    return not any(np.isfinite(_values(sample)).all() for sample in came)


def _values(sample: Sample) -> NDArray[np.float64]:
    assert sample.found is not None
    return np.asarray(sample.found.values, dtype=np.float64)


def _not_finite(came: list[Sample], total: int) -> list[str]:
    said = []
    for sign, test in (("NaN", np.isnan), ("infinity", np.isinf)):
        hit = [s for s in came if test(_values(s)).any() and not test(s.expected).any()]
        if hit:
            rows = sorted({int(i[0]) for i in np.argwhere(test(np.atleast_1d(_values(hit[0]))))})
            said.append(
                say(
                    "{sign} comes up on {count} of {total} inputs, the first time in the places "
                    "{rows}.",
                    sign=sign, count=len(hit), total=total, rows=rows,
                )
            )  # fmt: skip
    return said


def _shapes(trial: Trial, came: list[Sample]) -> list[str]:
    """Say which shape comes back where another is due, and which reduction would mend it."""
    wrong = [s for s in came if _values(s).shape != s.expected.shape and _values(s).size]
    if not wrong or len(wrong) < len(came):
        return []
    # Where N and C are apart, and not 1, the letters can be told.
    apart = [s for s in wrong if 1 not in s.shape and s.shape[0] != s.shape[1]]
    found = {_in_letters(_values(s).shape, s.shape) for s in apart}
    due = {_in_letters(s.expected.shape, s.shape) for s in apart}
    said = []
    if len(found) == len(due) == 1:
        said.append(
            say(
                "The result has shape {found}, and {due} is due, for N examples of C classes.",
                found=found.pop(), due=due.pop(),
            )
        )  # fmt: skip
    ways: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
        say("the first axis dropped"): lambda v: v[0],
        say("the last axis dropped"): lambda v: v[..., 0],
        say("the sum over axis 1"): lambda v: v.sum(axis=1),
        say("the sum over axis 0"): lambda v: v.sum(axis=0),
        say("the mean over axis 1"): lambda v: v.mean(axis=1),
        say("the mean over axis 0"): lambda v: v.mean(axis=0),
        say("the mean of everything"): lambda v: v.mean(),
        say("the sum of everything"): lambda v: v.sum(),
        say("the transpose"): lambda v: v.T,
    }
    for name, way in ways.items():
        if _all_match(trial, wrong, way):
            said.append(say("Of it, {name} would be right.", name=name))
            break
    return said


def _all_match(
    trial: Trial, came: list[Sample], way: Callable[[NDArray[Any]], NDArray[Any]]
) -> bool:
    try:
        return all(close(np.asarray(way(_values(s))), s.expected, trial.tolerance) for s in came)
    except (IndexError, ValueError):
        return False


def _in_letters(shape: tuple[int, ...], sizes: tuple[int, int]) -> str:
    letters = {sizes[0]: "N", sizes[1]: "C"}
    shown = ", ".join(letters.get(size, str(size)) for size in shape)
    return f"({shown}{',' if len(shape) == 1 else ''})"


def _relations(trial: Trial, came: list[Sample]) -> list[str]:
    """Say how the results go with the right ones, where that is the same on all inputs."""
    came = [s for s in came if s.expected.size and np.isfinite(_values(s)).all()]
    if any(_values(s).shape != s.expected.shape for s in came):
        return []
    tolerance = trial.tolerance
    if all(close(-_values(s), s.expected, tolerance) for s in came):
        return [say("Every result has the opposite sign of the right one.")]
    found = np.concatenate([np.ravel(_values(s)) for s in came])
    right = np.concatenate([np.ravel(np.asarray(s.expected, dtype=np.float64)) for s in came])
    said = []
    away = np.abs(right) > 1e-3
    if away.sum() >= 3:
        factor = float(np.median(found[away] / right[away]))
        if (
            abs(factor - 1) > 1e-4
            and abs(factor) > 1e-6
            and close(found, right * factor, tolerance)
        ):
            return [say("Every result is {factor:.6g} times the right one.", factor=factor)]
    if factors := _factors(came, tolerance):
        (n, c), factor = factors[0]
        said.append(
            say(
                "On each input every result is one factor times the right one, but not the same "
                "factor on all: {factor:.4g} for {n} examples of {c} classes.",
                factor=factor, n=n, c=c,
            )
        )  # fmt: skip
        return said
    offset = float(np.median(found - right))
    if abs(offset) > 1e-4 and close(found, right + offset, tolerance):
        return [say("Every result is the right one plus {offset:.6g}.", offset=offset)]
    if all(_permuted(_values(s), s.expected, tolerance) for s in came):
        said.append(say("The right numbers come back, in another order."))
    elif all(_values(s).ndim == 2 for s in came):
        for axis, name in ((1, say("row")), (0, say("column"))):
            if all(np.allclose(_values(s).sum(axis=axis), 1, atol=1e-4) for s in came):
                said.append(say("Each {name} of the result sums to 1.", name=name))
                break
    if all((_values(s) <= 0).all() for s in came) and (right > 1e-6).any():
        said.append(say("No result is positive, though the right ones are."))
    return said


def _factors(came: list[Sample], tolerance: float) -> list[tuple[tuple[int, int], float]]:
    """Return the one factor of each input, if every input has one."""
    factors = []
    for sample in came:
        found, right = np.ravel(_values(sample)), np.ravel(sample.expected).astype(np.float64)
        away = np.abs(right) > 1e-3
        if not away.any():
            return []
        factor = float(np.median(found[away] / right[away]))
        if abs(factor) < 1e-6 or not close(found, right * factor, tolerance):
            return []
        if right.size > 1:
            factors.append((sample.shape, factor))
    return factors


def _permuted(found: NDArray[Any], right: NDArray[Any], tolerance: float) -> bool:
    return close(np.sort(np.ravel(found)), np.sort(np.ravel(right)), tolerance)
