"""A short digest of a function's wrong results: the same for two that give the same results.

The inputs are the same for every submission. Whoever knows them can give a function the digest of
another, and gains nothing: it is a hint of who made the same mistake, and no points hang on it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from lossgrade.criterion import Failure
from lossgrade.diagnosis.samples import extreme, of_shapes
from lossgrade.sandbox.host import SandboxUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lossgrade.probe import Probe
    from lossgrade.trial import Trial

# (examples, classes): 3 classes, 4 examples, neither. The first are passed again at the end.
SHAPES = ((5, 3), (4, 5), (3, 7))
# Two values that are equal but for float noise are rounded apart where a boundary lies between
# them, and one of many numbers is likelier to lie so than one of few. So only three numbers are
# rounded: sums over all values with weights of either sign. Of 2120 pairs of equal formulas, one
# in torch's float32 and one in NumPy's float64, noise told one apart.
SUMS = 3
STEP = 1e-3
# Values of all results together; a right function returns at most 35 for one input.
MOST = 10_000


def fingerprint(probe: Probe, key: str) -> str:
    """Return 12 hexadecimal digits for the results of a function on fixed inputs.

    They are equal for functions whose results have the same shapes and kinds of dtype, NaN and
    infinities in the same places, and the same values but for float noise: within one assignment
    and one version of NumPy, which draws the inputs.

    Returns:
        "" for a function that is right on these inputs, that fails on one of them, whose results
        are huge, or others when it is asked again.
    """

    def afresh() -> Trial:
        # Not the secret seed: each submission has its own.
        return probe.trial(key, f"{key}:fingerprint", seed="")

    try:
        with probe.student.trying(key):
            trial = afresh()
            samples = of_shapes(trial, SHAPES)
            if trial.spec.rubric == "class_label":
                # Many mistakes show only where two classes tie.
                samples += extreme(trial)
            first = of_shapes(afresh(), SHAPES[:1])[0].found
    except (Failure, SandboxUnavailable):
        return ""
    results = [each.found.values for each in samples if each.found is not None]
    if first is None or len(results) < len(samples) or sum(r.size for r in results) > MOST:
        return ""
    if all(each.right(trial.tolerance) for each in samples):
        return ""
    return digest(results) if digest([first.values]) == digest(results[:1]) else ""


def digest(results: Sequence[NDArray[Any]]) -> str:
    """Return 12 hexadecimal digits that are equal for results equal but for float noise."""
    text = hashlib.blake2b(digest_size=6)
    parts = []
    for result in results:
        values = np.ravel(result).astype(np.float64)
        finite = np.isfinite(values)
        # 0 where finite, and the same for NaN of either sign.
        odd = np.nan_to_num(np.where(finite, 0, values), nan=2, posinf=1, neginf=-1)
        text.update(f"{result.dtype.kind}{result.shape}{odd.astype(int).tolist()}".encode())
        # Noise is relative to large values, and of one size for small ones.
        parts.append(np.arcsinh(np.where(finite, values, 0)))
    values = np.concatenate(parts)
    weights = np.random.default_rng(0).normal(size=(SUMS, values.size))
    text.update(np.round(weights @ values / STEP).astype(np.int64).tobytes())
    return text.hexdigest()
