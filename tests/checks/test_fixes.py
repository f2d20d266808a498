"""Fixes keep what is beside the mistake: comments, parentheses, headers, a file's own names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from linting import lint, mended

if TYPE_CHECKING:
    from pathlib import Path

USES = "import torch\nimport torch.nn.functional as F\n\n\n"
# A program, and what its one fix makes of it; None where there is none.
CASES = {
    "an import goes behind the header, the docstring and __future__": (
        "#!/usr/bin/env python\n# -*- coding: utf-8 -*-\n"
        '"""A page.\n\nimport torch\n"""\nfrom __future__ import annotations\n'
        "from torch import log, sigmoid\n\n\ndef f(z):\n    return log(sigmoid(z))\n",
        "#!/usr/bin/env python\n# -*- coding: utf-8 -*-\n"
        '"""A page.\n\nimport torch\n"""\nfrom __future__ import annotations\nimport torch\n'
        "from torch import log, sigmoid\n\n\ndef f(z):\n"
        "    return torch.nn.functional.logsigmoid(z)\n",
    ),
    "a function of the file's own has the name": (
        "from torch import log, softmax\n\n\ndef log_softmax(z, dim):\n"
        "    return log(softmax(z, dim=dim))\n",
        None,
    ),
    "a parameter has the module's name": (
        USES + "def f(F, z):\n    return torch.log(torch.sigmoid(z))\n",
        USES + "def f(F, z):\n    return torch.nn.functional.logsigmoid(z)\n",
    ),
    "the result goes into a buffer": (
        USES + "def f(z, out):\n    return torch.log(torch.softmax(z, dim=1), out=out)\n",
        None,
    ),
    "a bracket in a comment": (
        USES + "def f(model, x, y):\n    return F.cross_entropy(F.softmax((  # the (logits\n"
        "        model(x)), dim=1), y)\n",
        USES + "def f(model, x, y):\n    return F.cross_entropy((  # the (logits\n"
        "        model(x)), y)\n",
    ),
    "a walrus": (
        USES + "def f(model, x, y):\n"
        "    return F.cross_entropy(F.softmax(z := model(x), dim=1), y), z\n",
        USES + "def f(model, x, y):\n    return F.cross_entropy((z := model(x)), y), z\n",
    ),
}


@pytest.mark.parametrize(("program", "expected"), CASES.values(), ids=CASES)
def test_a_fix_keeps_the_rest(program: str, expected: str | None, tmp_path: Path) -> None:
    [finding] = lint(program, tmp_path)
    if expected is None:
        assert finding.fix is None
    else:
        assert mended(program, finding) == expected


def test_a_fix_that_loses_a_comment_is_not_safe(tmp_path: Path) -> None:
    program = USES + (
        "def f(model, x, y):\n    return F.cross_entropy(\n        F.softmax(\n"
        "            model(x),  # the logits\n            dim=1,\n        ),\n        y,\n    )\n"
    )
    [finding] = lint(program, tmp_path)
    assert finding.fix is not None
    assert finding.fix.applicability == "unsafe"
