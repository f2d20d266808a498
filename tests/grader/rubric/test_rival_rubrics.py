"""The rubrics of the other functions, each against right and wrong solutions in real workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lossgrade.assignment import RUBRICS, parse_assignment
from lossgrade.criterion import criteria_in
from lossgrade.engine import Grading
from lossgrade.manifest import manifest, rubric
from lossgrade.sandbox.host import Zygote
from lossgrade.submission import Submission

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lossgrade.assignment import Assignment
    from lossgrade.result import CriterionRecord

    Grade = Callable[..., dict[str, CriterionRecord]]

NAMES = (
    "log_softmax", "nll_loss", "sigmoid", "accuracy", "entropy", "kl_divergence",
    "binary_cross_entropy", "mean_squared_error", "hinge_loss",
)  # fmt: skip
SCALARS = ("accuracy", "entropy", "kl_divergence", "mean_squared_error", "hinge_loss")

RIGHT_TORCH = """
import math
import torch

def log_softmax(z):
    z = z.to(torch.get_default_dtype()) if not z.is_floating_point() else z
    return z - torch.logsumexp(z, dim=1, keepdim=True)

def nll_loss(log_p, y):
    return -log_p[torch.arange(len(y)), y.long()]

def sigmoid(z):
    return torch.sigmoid(z)

def accuracy(z, y):
    return (z.argmax(dim=1) == y).float().mean()

def entropy(p):
    return -torch.xlogy(p, p).sum() / math.log(2)

def kl_divergence(p, q):
    return torch.xlogy(p, p).sum() - torch.xlogy(p, q).sum()

def binary_cross_entropy(y, p):
    return -torch.xlogy(y, p) - torch.xlogy(1 - y, 1 - p)

def mean_squared_error(y, h):
    return (y - h).float().pow(2).mean() if not h.is_floating_point() else (y - h).pow(2).mean()

def hinge_loss(y, h):
    return torch.clamp(1 - y * h, min=0).sum()
"""

RIGHT_NUMPY = """
import numpy as np

def log_softmax(z):
    z = z - z.max(axis=1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))

def nll_loss(log_p, y):
    return -log_p[np.arange(len(y)), y]

def sigmoid(z):
    small = np.exp(-np.abs(z))
    return np.where(z < 0, small, 1) / (1 + small)

def accuracy(z, y):
    return np.mean(np.argmax(z, axis=1) == y)

def entropy(p):
    p = p[p > 0]
    return -np.sum(p * np.log2(p))

def kl_divergence(p, q):
    q, p = q[p > 0], p[p > 0]
    with np.errstate(divide="ignore"):
        return np.sum(p * np.log(p / q))

def binary_cross_entropy(y, p):
    loss = np.zeros(len(y))
    with np.errstate(divide="ignore"):
        loss[y > 0] -= (y * np.log(p))[y > 0]
        loss[y < 1] -= ((1 - y) * np.log(1 - p))[y < 1]
    return loss

def mean_squared_error(y, h):
    return np.mean((y - h) ** 2)

def hinge_loss(y, h):
    return np.sum(np.maximum(0, 1 - y * h))
"""
RIGHT = {"torch": RIGHT_TORCH, "numpy": RIGHT_NUMPY}


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    with Zygote(["numpy", "torch"]) as started:
        yield started


def assignment(
    functions: tuple[str, ...], settings: str = "", *, name: str = "own", strict: bool = False
) -> Assignment:
    """Return an assignment of these functions, `settings` being lines for each of them."""
    tables = "".join(
        f'[functions.{each}]\nnames = ["{each}"]\npoints = 10\nbonus = 3\n{settings}\n'
        for each in functions
    )
    strictness = "strict" if strict else "lecture"
    if strict:
        tables = tables.replace("bonus = 3\n", "")
    return parse_assignment(f'name = "{name}"\nstrictness = "{strictness}"\n{tables}', "own.toml")


@pytest.fixture
def grade(zygote: Zygote, tmp_path: Path) -> Grade:
    """Grade a source; return what became of each criterion, by id."""

    def grade(source: str, asked: Assignment, seed: str = "") -> dict[str, CriterionRecord]:
        path = tmp_path / "homework.py"
        path.write_text(source, encoding="utf-8")
        grading = Grading(Submission.at(path), asked, zygote, seed=seed)
        try:
            return {record.id: record for record in grading.run_all()}
        finally:
            grading.close()

    return grade


def lost(records: dict[str, CriterionRecord]) -> dict[str, str]:
    """Return the message of each criterion that did not pass."""
    return {name: record.message for name, record in records.items() if record.outcome != "passed"}


def values_passed(records: dict[str, CriterionRecord]) -> set[str]:
    """Return the criteria of values that passed."""
    return {
        name
        for name, record in records.items()
        if record.kind == "values" and record.outcome == "passed"
    }


# --- right solutions -----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", ["", "1", "2"])
@pytest.mark.parametrize("library", RIGHT)
def test_right_solutions_pass_every_criterion(grade: Grade, library: str, seed: str) -> None:
    assert lost(grade(RIGHT[library], assignment(NAMES, strict=True), seed)) == {}


NLL_ONE_HOT = """
def nll_loss(log_p, targets):
    total = 0 * log_p[:, 0]
    for n in range(len(log_p)):
        total[n] = -log_p[n][targets[n] == 1].sum()
    return total
"""
BCE = "def binary_cross_entropy({}):\n    import torch\n    return {}\n"
BCE_LOSSES = "-(torch.xlogy(y, p) + torch.xlogy(1 - y, 1 - p))"


@pytest.mark.parametrize(
    ("function", "settings", "source"),
    [
        pytest.param(
            "log_softmax",
            "axis = 0",
            "import torch\ndef log_softmax(z): return torch.log_softmax(z.double(), 0).to("
            "z.dtype if z.is_floating_point() else torch.float32)",
            id="log-softmax by columns",
        ),
        pytest.param(
            "log_softmax",
            'examples = "single"',
            "import numpy as np\ndef log_softmax(z):\n    z = z - z.max()\n"
            "    return z - np.log(np.exp(z).sum())",
            id="log-softmax of a vector",
        ),
        pytest.param(
            "nll_loss", 'targets = "one-hot"', f"import numpy\n{NLL_ONE_HOT}", id="one-hot targets"
        ),
        pytest.param(
            "nll_loss",
            'reduction = ["none", "mean", "sum"]',
            "import torch\ndef nll_loss(log_p, y):\n"
            "    return torch.nn.functional.nll_loss(log_p, y.long())",
            id="NLL, mean found among three",
        ),
        pytest.param(
            "nll_loss",
            'reduction = "sum"\norder = "targets-first"',
            "import numpy as np\ndef nll_loss(y, log_p): return -log_p[np.arange(len(y)), y].sum()",
            id="NLL, summed, targets first",
        ),
        pytest.param(
            "accuracy",
            'result = "percent"',
            "import torch\n"
            "def accuracy(z, y): return 100 * (torch.argmax(z, 1) == y).sum() / len(y)",
            id="percent",
        ),
        pytest.param(
            "accuracy",
            'result = "count"\norder = "targets-first"\nprediction = "class-labels"',
            "import torch\ndef accuracy(y, labels): return torch.eq(labels, y).sum()",
            id="count of class labels, targets first",
        ),
        pytest.param(
            "accuracy",
            'prediction = "class-labels"',
            "import numpy as np\ndef accuracy(labels, y): return (labels == y).mean()",
            id="class labels",
        ),
        pytest.param(
            "entropy",
            'log_base = "e"',
            "import torch\ndef entropy(p): return torch.special.entr(p).sum()",
            id="nats",
        ),
        pytest.param(
            "entropy",
            'log_base = "10"',
            "import numpy as np\n"
            "def entropy(p):\n    p = p[p > 0]\n    return -(p * np.log10(p)).sum()",
            id="decimal digits",
        ),
        pytest.param(
            "binary_cross_entropy",
            'reduction = ["none", "mean", "sum"]',
            BCE.format("y, p", f"({BCE_LOSSES}).mean()"),
            id="BCE, mean found among three",
        ),
        pytest.param(
            "binary_cross_entropy",
            'reduction = ["none", "mean", "sum"]',
            BCE.format("y, p", f"({BCE_LOSSES}).sum()"),
            id="BCE, sum found among three",
        ),
        pytest.param(
            "binary_cross_entropy",
            'reduction = ["mean", "none"]\norder = "prediction-first"',
            BCE.format("p, y", BCE_LOSSES),
            id="BCE, none found among two, prediction first",
        ),
    ],
)
def test_conventions(grade: Grade, function: str, settings: str, source: str) -> None:
    assert lost(grade(source, assignment((function,), settings, strict=True))) == {}


@pytest.mark.parametrize("lecture", ["stat453", "cross-entropy-slides"])
@pytest.mark.parametrize("library", RIGHT)
def test_right_solutions_give_the_lectures_figures(
    grade: Grade, library: str, lecture: str
) -> None:
    records = grade(RIGHT[library], assignment(NAMES, name=lecture))
    assert lost(records) == {}
    assert {name.partition(".")[0] for name in records if ".lecture_" in name} >= {
        "log_softmax", "nll_loss", "accuracy", "entropy", "kl_divergence", "mean_squared_error",
    }  # fmt: skip


@pytest.mark.parametrize("library", RIGHT)
def test_a_python_number_is_as_good_as_an_array_of_one(grade: Grade, library: str) -> None:
    wrapped = "".join(
        f"\n_{name} = {name}\ndef {name}(a, b=None):\n"
        f"    return float(_{name}(a) if b is None else _{name}(a, b))\n"
        for name in SCALARS
    )
    asked = assignment(SCALARS, f'library = "{library}"')
    records = grade(RIGHT[library] + wrapped, asked)
    assert set(lost(records)) == set()


@pytest.mark.parametrize("library", RIGHT)
def test_a_number_in_an_array_costs_its_shape_alone(grade: Grade, library: str) -> None:
    wrapped = "".join(
        f"\n_{name} = {name}\ndef {name}(a, b=None):\n"
        f"    return (_{name}(a) if b is None else _{name}(a, b)).reshape(1)\n"
        for name in SCALARS
    )
    records = grade(RIGHT[library] + wrapped, assignment(SCALARS))
    assert set(lost(records)) == {f"{name}.number_shape" for name in SCALARS}


NAIVE = """
import numpy as np

def log_softmax(z):
    return np.log(np.exp(z) / np.exp(z).sum(axis=1, keepdims=True))

def sigmoid(z):
    return np.exp(z) / (1 + np.exp(z))

def binary_cross_entropy(y, p):
    return -np.log(np.where(y == 1, p, 1 - p))

def entropy(p):
    return -np.sum(p * np.log2(p + 1e-12))

def kl_divergence(p, q):
    return np.sum(p * np.log((p + 1e-12) / (q + 1e-12)))
"""


def test_naive_solutions_lose_nothing_in_lecture_strictness(grade: Grade) -> None:
    names = ("log_softmax", "sigmoid", "binary_cross_entropy", "entropy", "kl_divergence")
    records = grade(NAIVE, assignment(names))
    assert set(lost(records)) >= {
        "log_softmax.large_logits",
        "sigmoid.large_logits",
        "binary_cross_entropy.soft_targets",
    }
    assert {name for name in lost(records) if records[name].kind != "robust"} == set()


# --- wrong solutions -----------------------------------------------------------------------------

NUMPY, TORCH = "import numpy as np\n", "import torch\n"
ZERO_LOG = "zero_probabilities"


def fault(function: str, body: str, caught_by: str, why: str, settings: str = "") -> Any:
    """Return one faulty function: `body` is its parameters and its result."""
    parameters, _, result = body.partition(": ")
    library = TORCH if "torch." in result else NUMPY
    source = f"{library}def {function}({parameters}):\n    return {result}\n"
    return pytest.param(function, source, caught_by, settings, id=f"{function}: {why}")


PICKED = "log_p[np.arange(len(y)), y]"
BCE_TERMS = "y * np.log(p) + (1 - y) * np.log(1 - p)"


@pytest.mark.parametrize(
    ("function", "source", "caught_by", "settings"),
    [
        fault("log_softmax", "z: torch.softmax(z, 1)", "random_float32", "no log"),
        fault("log_softmax", "z: torch.log_softmax(z, 0)", "rows_independent", "over the batch"),
        fault("log_softmax", "z: torch.log_softmax(z, 0)", "square_batch", "batch, square"),
        fault("log_softmax", "z: -torch.log_softmax(z, 1)", "never_positive", "wrong sign"),
        fault(
            "log_softmax", "z: torch.log2(torch.softmax(z, 1))", "rows_exponentiate_to_1", "log2"
        ),
        fault("log_softmax", "z: torch.log2(torch.softmax(z, 1))", "differences_kept", "log2 gaps"),
        fault("log_softmax", "z: torch.log_softmax(z, 1).detach()", "gradient", "cut off"),
        fault(
            "log_softmax",
            "z: z - z.max(axis=1, keepdims=True)",
            "rows_exponentiate_to_1",
            "maximum for log-sum-exp",
        ),
        fault(
            "log_softmax",
            "z: z - np.log(np.exp(z).sum())",
            "random_float64",
            "one sum for the batch",
        ),
        fault("log_softmax", "z: np.log(1 / (1 + np.exp(-z)))", "shift_invariance", "sigmoid"),
        fault("log_softmax", "z: torch.log(torch.softmax(z, 1))", "large_logits", "log of 0"),
        fault(
            "log_softmax",
            "z: z - torch.log(torch.exp(z).sum(1, keepdim=True))",
            "large_logits",
            "exp overflows",
        ),
        fault(
            "log_softmax",
            "z: torch.log(torch.softmax(z, 1) + 1e-30)",
            "large_logits",
            "small term inside the log",
        ),
        fault("nll_loss", f"log_p, y: {PICKED}", "never_negative", "wrong sign"),
        fault("nll_loss", f"log_p, y: -np.log(np.abs({PICKED}))", "random_float32", "log again"),
        fault("nll_loss", f"log_p, y: -np.exp({PICKED})", "random_float64", "probabilities"),
        fault("nll_loss", f"log_p, y: -{PICKED}.mean()", "result_shape", "mean for none"),
        fault(
            "nll_loss",
            f"log_p, y: -{PICKED}.sum() / log_p.size",
            "random_float32",
            "mean over all entries",
            'reduction = "mean"',
        ),
        fault(
            "nll_loss",
            "log_p, y: -log_p[:, y].sum(axis=1)",
            "random_float32",
            "columns for all rows",
        ),
        fault("nll_loss", "log_p, y: -log_p.mean(1)", "only_true_class_counts", "target ignored"),
        fault(
            "nll_loss",
            "log_p, y: -log_p.detach()[torch.arange(len(y)), y]",
            "gradient",
            "cut off",
        ),
        fault(
            "nll_loss",
            "log_p, y: -(log_p * torch.nn.functional.one_hot(y, log_p.shape[1])).sum(1)",
            "impossible_classes",
            "0 times -inf",
        ),
        fault(
            "nll_loss",
            f"log_p, y: -np.log(np.exp({PICKED}))",
            "tiny_probabilities",
            "exp and log again",
        ),
        fault("sigmoid", "z: 1 / (1 + np.exp(z))", "increasing", "wrong sign"),
        fault("sigmoid", "z: np.tanh(z)", "half_at_zero", "tanh"),
        fault("sigmoid", "z: np.tanh(z)", "entries_between_0_and_1", "tanh, range"),
        fault("sigmoid", "z: (1 + np.tanh(z)) / 2", "random_float32", "twice as steep"),
        fault("sigmoid", "z: np.clip(z / 4 + 0.5, 0, 1)", "gradient", "straight line"),
        fault("sigmoid", "z: 1 / (1 + np.exp2(-z))", "random_float64", "base 2"),
        fault("sigmoid", "z: torch.softmax(z, -1)", "entries_independent", "softmax"),
        fault("sigmoid", "z: 1 - np.exp(-np.abs(z)) / 2", "point_symmetry", "folded"),
        fault(
            "sigmoid", "z: torch.stack([torch.sigmoid(v) for v in z.ravel()])", "any_shape", "flat"
        ),
        fault("sigmoid", "z: torch.sigmoid(z).mean()", "result_shape", "mean"),
        fault("sigmoid", "z: torch.sigmoid(z).detach()", "gradient", "cut off"),
        fault("sigmoid", "z: np.round(1 / (1 + np.exp(-z)), 2)", "random_float64", "rounded"),
        fault("sigmoid", "z: np.exp(z) / (1 + np.exp(z))", "large_logits", "inf / inf"),
        fault(
            "sigmoid",
            "z: np.exp(z - np.log(1 + np.exp(z)))",
            "large_logits",
            "softplus overflows",
        ),
        fault("sigmoid", "z: 1 - 1 / (1 + np.exp(z))", "small_probabilities", "cancels"),
        fault("sigmoid", "z: 1 / (1 + torch.exp(-z))", "large_logits_gradient", "0 * inf"),
        fault("accuracy", "z, y: 100 * np.mean(z.argmax(1) == y)", "all_right", "percent"),
        fault("accuracy", "z, y: np.sum(z.argmax(1) == y)", "random_batches", "count"),
        fault("accuracy", "z, y: np.mean(z.argmax(1) != y)", "all_wrong", "error rate"),
        fault("accuracy", "z, y: np.sum(z.argmax(1) == y) / z.size", "random_batches", "N * C"),
        fault("accuracy", "z, y: np.mean(z.argmin(1) == y)", "random_float64", "argmin"),
        fault(
            "accuracy", "z, y: np.mean((z > 0.5).argmax(1) == y)", "only_largest_counts", "0.5"
        ),
        fault("accuracy", "z, y: (z.argmax(1) == y).sum() // len(y)", "random_batches", "//"),
        fault("accuracy", "z, y: torch.all(z.argmax(1) == y).float()", "many_examples", "all"),
        fault("accuracy", "z, y: (torch.argmax(z, 1) == y).float()", "number_shape", "per example"),
        fault(
            "accuracy",
            "z, y: np.mean(z.argmax(1) == y) * (y > 0).mean()",
            "class_permutation",
            "class 0 left out",
        ),
        fault(
            "accuracy",
            "labels, y: np.mean(labels == y)",
            "random_batches",
            "fraction for percent",
            'result = "percent"\nprediction = "class-labels"',
        ),
        fault(
            "accuracy",
            "labels, y: 1 - np.mean(np.abs(labels - y))",
            "random_batches",
            "distance of labels",
            'prediction = "class-labels"',
        ),
        fault("entropy", "p: -(p[p > 0] * np.log(p[p > 0])).sum()", "uniform_is_log_c", "ln"),
        fault("entropy", "p: -(p[p > 0] * np.log(p[p > 0])).sum()", "random_float32", "ln, values"),
        fault(
            "entropy",
            "p: -(p[p > 0] * np.log2(p[p > 0])).sum()",
            "uniform_is_log_c",
            "log2 for ln",
            'log_base = "e"',
        ),
        fault("entropy", "p: (p[p > 0] * np.log2(p[p > 0])).sum()", "never_negative", "wrong sign"),
        fault("entropy", "p: -(p[p > 0] * np.log2(p[p > 0])).mean()", "independent_pair", "mean"),
        fault("entropy", "p: -np.log2(p[p > 0]).sum()", "random_float64", "weights left out"),
        fault("entropy", "p: -(p * np.log2(p)).sum()", ZERO_LOG, "0 log 0"),
        fault("entropy", "p: -(p * torch.log2(p)).sum()", "certainty_is_zero", "0 log 0 in torch"),
        fault("entropy", "p: -torch.xlogy(p, p) / np.log(2)", "number_shape", "per outcome"),
        fault("entropy", "p: -np.log2(p.max())", "two_outcomes", "min-entropy"),
        fault("entropy", "p: -p[0] * np.log2(p[0])", "permutation", "first outcome only"),
        fault(
            "entropy",
            "p: torch.special.entr(p.detach()).sum() / 0.6931471805599453",
            "gradient",
            "cut off",
        ),
        fault("kl_divergence", "p, q: np.sum(q * np.log(q / p))", "random_float32", "swapped"),
        fault(
            "kl_divergence",
            "p, q: torch.nn.functional.kl_div(p.log(), q, reduction='sum')",
            "certain_p",
            "arguments of kl_div swapped",
        ),
        fault("kl_divergence", "p, q: np.sum(p * np.log(q / p))", "never_negative", "wrong sign"),
        fault("kl_divergence", "p, q: np.sum(p * np.log2(p / q))", "from_uniform", "bits"),
        fault("kl_divergence", "p, q: -np.sum(p * np.log(q))", "zero_when_equal", "cross entropy"),
        fault("kl_divergence", "p, q: np.mean(p * np.log(p / q))", "random_float64", "mean"),
        fault(
            "kl_divergence", "p, q: np.sum((p - q) * np.log(p / q))", "asymmetric", "symmetrised"
        ),
        fault(
            "kl_divergence",
            "p, q: np.sum(np.abs(p * np.log(p / q)))",
            "cross_entropy_less_entropy",
            "absolute values",
        ),
        fault("kl_divergence", "p, q: np.sum(p * np.log(p / q))", ZERO_LOG, "0 log 0"),
        fault("kl_divergence", "p, q: (p * (p / q).log()).sum()", ZERO_LOG, "0 log 0 again"),
        fault(
            "kl_divergence",
            "p, q: torch.xlogy(p, p).sum() - torch.xlogy(p, q.detach()).sum()",
            "gradient",
            "cut off",
        ),
        fault(
            "kl_divergence",
            "p, q: np.sum(p[p * q > 0] * np.log(p[p * q > 0] / q[p * q > 0]))",
            "impossible_outcome",
            "impossible outcomes left out",
        ),
        fault("binary_cross_entropy", f"y, p: {BCE_TERMS}", "never_negative", "wrong sign"),
        fault("binary_cross_entropy", "y, p: -y * np.log(p)", "only_negatives", "only the 1s"),
        fault(
            "binary_cross_entropy", "y, p: -(1 - y) * np.log(1 - p)", "only_positives", "only 0s"
        ),
        fault("binary_cross_entropy", "y, p: -y * np.log(p)", "relabelling", "not mirrored"),
        fault("binary_cross_entropy", f"y, p: -({BCE_TERMS})", ZERO_LOG, "0 log 0"),
        fault("binary_cross_entropy", f"y, p: -({BCE_TERMS})", "zero_at_certainty", "0 log 0, all"),
        fault(
            "binary_cross_entropy", "p, y: -np.log(np.where(y == 1, p, 1 - p))", "random_float32",
            "swapped",
        ),
        fault(
            "binary_cross_entropy", "y, p: -np.log2(np.where(y == 1, p, 1 - p))",
            "log_2_at_one_half", "log2",
        ),
        fault(
            "binary_cross_entropy", "y, p: -np.log(np.where(y == 1, p, 1 - p)).mean()",
            "result_shape", "mean for none",
        ),
        fault(
            "binary_cross_entropy", "y, p: -np.log(np.where(y == 1, p, 1 - p)).sum() / 2",
            "random_float64", "divided by the number of classes",
            'reduction = "mean"',
        ),
        fault(
            "binary_cross_entropy", "y, p: -np.log(np.where(y == 1, p, 1 - p)).sum()",
            "repeated_batch", "sum for mean", 'reduction = "mean"',
        ),
        fault(
            "binary_cross_entropy", "y, p: np.abs(y - p)", "two_class_cross_entropy", "distance"
        ),
        fault(
            "binary_cross_entropy",
            "y, p: -torch.log(torch.where(y == 1, p, 1 - p)).detach()",
            "gradient",
            "cut off",
        ),
        fault(
            "binary_cross_entropy",
            "y, p: -np.log(np.where(y == 1, p, 1 - p).clip(1e-3))",
            "certain_and_wrong",
            "clamp too coarse",
        ),
        fault(
            "binary_cross_entropy", "y, p: -np.log(np.where(y == 1, p, 1 - p))", "soft_targets",
            "hard targets only",
        ),
        fault("mean_squared_error", "y, h: ((y - h) ** 2).sum()", "repeated_entries", "sum"),
        fault("mean_squared_error", "y, h: ((y - h) ** 2).sum()", "matrices", "sum, matrices"),
        fault(
            "mean_squared_error", "y, h: ((y - h) ** 2).sum() / len(y)", "matrices", "over rows"
        ),
        fault("mean_squared_error", "y, h: ((y - h) ** 2).mean(0)", "number_shape", "per column"),
        fault("mean_squared_error", "y, h: ((y - h) ** 2).mean() / 2", "random_float32", "halved"),
        fault("mean_squared_error", "y, h: ((y - h) ** 2).mean() ** 0.5", "quadratic", "root"),
        fault("mean_squared_error", "y, h: np.abs(y - h).mean()", "random_float64", "absolute"),
        fault(
            "mean_squared_error", "y, h: (y - h).mean() ** 2", "random_float32", "mean, squared"
        ),
        fault("mean_squared_error", "y, h: (y - h).mean()", "positive_when_different", "no square"),
        fault("mean_squared_error", "y, h: (y - h).mean()", "symmetric", "no square, sign"),
        fault(
            "mean_squared_error", "y, h: ((y - h) ** 2 / y.max()).mean()", "shift_invariance",
            "relative error",
        ),
        fault("mean_squared_error", "y, h: ((y + h) ** 2).mean()", "zero_when_equal", "plus"),
        fault(
            "mean_squared_error", "y, h: ((y - h.detach()) ** 2).mean() + 0 * torch.sum(h)",
            "gradient", "cut off",
        ),
        fault(
            "mean_squared_error", "y, h: (y**2 - 2 * y * h + h**2).mean() + 0 * torch.sum(h)",
            "large_values", "squares subtracted",
        ),
        fault("hinge_loss", "y, h: np.maximum(0, 1 - y * h).mean()", "one_each_at_zero", "mean"),
        fault("hinge_loss", "y, h: np.maximum(0, 1 - y * h).mean()", "sum_of_parts", "mean, parts"),
        fault("hinge_loss", "y, h: (1 - y * h).sum()", "zero_beyond_margin", "no maximum"),
        fault("hinge_loss", "y, h: (1 - y * h).sum()", "never_negative", "no maximum, sign"),
        fault(
            "hinge_loss", "y, h: max(0, (1 - y * h).sum())", "random_float32", "maximum of the sum"
        ),
        fault("hinge_loss", "y, h: np.maximum(0, -y * h).sum()", "one_example", "perceptron"),
        fault("hinge_loss", "y, h: np.maximum(0, 1 + y * h).sum()", "wrong_side", "wrong sign"),
        fault("hinge_loss", "y, h: (np.maximum(0, 1 - y * h) ** 2).sum()", "gradient", "squared"),
        fault(
            "hinge_loss", "y, h: np.maximum(0, 1 - (2 * y - 1) * h).sum()", "signs_exchanged",
            "targets 0 and 1",
        ),
        fault("hinge_loss", "y, h: np.maximum(0, 1 - y * h)", "number_shape", "per example"),
        fault(
            "hinge_loss", "y, h: torch.relu(1 - y * h).detach().sum()", "gradient", "cut off"
        ),
        fault("hinge_loss", "y, h: ((1 - y * h) * (y * h < 1)).sum()", "infinite_outputs", "mask"),
    ],
)  # fmt: skip
def test_a_fault_loses_the_criterion_meant_for_it(
    grade: Grade, function: str, source: str, caught_by: str, settings: str
) -> None:
    records = grade(source, assignment((function,), settings), seed="fixed")
    record = records[f"{function}.{caught_by}"]
    assert record.outcome == "failed", lost(records)
    assert "\n" not in record.message
    # A fault of values loses values; an unstable one loses the robust criteria alone.
    kinds = {records[name].kind for name in lost(records)}
    if record.kind == "robust":
        assert kinds == {"robust"}, lost(records)
    assert "not-graded" not in {each.outcome for each in records.values()}


def test_a_fault_costs_its_own_function_alone(grade: Grade) -> None:
    """A right solution beside a wrong one keeps full marks."""
    source = RIGHT_NUMPY + "\ndef entropy(p):\n    return -np.sum(p * np.log(p))\n"
    records = grade(source, assignment(NAMES))
    assert {name.partition(".")[0] for name in lost(records)} == {"entropy"}


# --- nothing for nothing -------------------------------------------------------------------------

SHAPED = {"log_softmax": "a", "sigmoid": "a", "nll_loss": "a[:, 0]", "binary_cross_entropy": "a"}
MADE = {"log_softmax": "", "sigmoid": "", "nll_loss": ".mean(axis=1)", "binary_cross_entropy": ""}


@pytest.mark.parametrize("value", ["0.0", "1.0", "0.5", "-1.0986123", "np.nan", "np.inf"])
def test_a_constant_earns_nothing(grade: Grade, value: str) -> None:
    source = NUMPY + "".join(
        f"def {name}(a, b=None):\n    return np.full(np.shape({SHAPED.get(name, '0')}), {value})\n"
        for name in NAMES
    )
    records = grade(source, assignment(NAMES, name="stat453"))
    assert {name for name, record in records.items() if record.score} == set()


@pytest.mark.parametrize(
    "garbage",
    [
        "a.astype(float)",
        "-a.astype(float)",
        "np.random.random(np.shape(a))",
        "np.sort(a, axis=-1).astype(float)",
        "np.exp(a / 9.0)",
    ],
)
def test_garbage_passes_no_values(grade: Grade, garbage: str) -> None:
    source = NUMPY + "".join(
        f"def {name}(a, b=None):\n"
        f"    made = {garbage}\n"
        f"    return made{MADE.get(name, '.mean()')}\n"
        for name in NAMES
    )
    records = grade(source, assignment(NAMES, name="cross-entropy-slides"))
    assert values_passed(records) == set()


def test_the_lectures_figures_alone_are_not_enough(grade: Grade) -> None:
    """A function that knows the lecture's answers passes at most lecture_figures."""
    source = NUMPY + (
        "def accuracy(z, y): return np.float64(2 / 3)\n"
        "def mean_squared_error(y, h):\n"
        "    return np.float64(0.26888889 if h.ravel()[0] > 0.2 else 0.11333333)\n"
    )
    asked = assignment(("accuracy", "mean_squared_error"), name="cross-entropy-slides")
    records = grade(source, asked)
    assert values_passed(records) == {"mean_squared_error.lecture_figures"}


# --- the lists of criteria -----------------------------------------------------------------------


def test_every_rubric_of_the_assignments_exists() -> None:
    for name in RUBRICS:
        kinds = {each.kind for each in criteria_in(rubric(name))}
        # A network is one thing: what it gives is right, or it is not.
        assert kinds == {"values", "law", "contract", "robust"} or name in (
            "class_label",
            "training",
        )


def test_names_of_criteria_are_unique_in_their_rubric() -> None:
    for name in RUBRICS:
        names = [each.name for each in criteria_in(rubric(name))]
        assert len(names) == len(set(names)), name


def test_nll_loss_has_every_criterion_of_cross_entropy_that_fits_it() -> None:
    spec = assignment(("nll_loss",)).graded["nll_loss"]
    fitting = {each.name for each in criteria_in(rubric("cross_entropy")) if each.when(spec)}
    assert fitting <= {each.name for each in criteria_in(rubric("nll_loss"))}


def test_figures_are_asked_for_only_where_a_lecture_has_them() -> None:
    without = {"sigmoid", "hinge_loss", "binary_cross_entropy"}
    lines = manifest(assignment(NAMES))
    asked = {line.function for line in lines if line.criterion.name.startswith("lecture_")}
    assert asked == set(NAMES) - without
