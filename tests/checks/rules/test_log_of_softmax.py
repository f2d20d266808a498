"""What is advised instead of the logarithm of a softmax, in each library."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from linting import lint

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("program", "advised"),
    [
        pytest.param(
            "import numpy as np\nfrom scipy.special import softmax\n"
            "def f(z):\n    return np.log(softmax(z, axis=1))\n",
            "take `scipy.special.log_softmax`",
            id="NumPy has none",
        ),
        pytest.param(
            "import torch\ndef f(z):\n    return torch.log(torch.softmax(z, dim=1))\n",
            "take `log_softmax`",
            id="torch has one",
        ),
    ],
)
def test_the_function_that_is_advised_exists(program: str, advised: str, tmp_path: Path) -> None:
    (finding,) = [each for each in lint(program, tmp_path) if each.code == "LG401"]
    assert advised in finding.message
