"""The misconception bank: every wrong example gets its own slug, and nothing else gets any."""

from __future__ import annotations

import ast
import builtins
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lossgrade.assignment import load_assignment
from lossgrade.diagnosis.bank import bank, formulas, named
from lossgrade.diagnosis.match import Guess, _contract, _told_apart, diagnose
from lossgrade.diagnosis.samples import FAMILIES, close
from lossgrade.engine import Grading
from lossgrade.probe import Probe
from lossgrade.sandbox.host import Zygote
from lossgrade.student import Returned, frameworks
from lossgrade.submission import Submission
from lossgrade_checks.rules import all_rules
from support import FIXTURES, entries

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support import Engine, Submit

FOLDER = FIXTURES / "submissions"
SUBMISSIONS = [
    entry
    for entry in entries("submissions/index.toml", "submission")
    if not entry["assignment"].endswith("-net")
]
RIGHT = [entry for entry in SUBMISSIONS if entry["verdict"] == "right"]
WRONG = [entry for entry in SUBMISSIONS if entry["verdict"] == "wrong"]
# What the issue of diagnosis asks for at least; others may be there.
ASKED = {
    "softmax": """
        softmax-over-batch-axis softmax-over-everything double-softmax forgot-exp
        returns-log-softmax
        sigmoid-instead-of-softmax hardmax one-maximum-for-the-batch shift-only-in-numerator
        subtracts-min missing-keepdim misplaced-parenthesis negated-exponent base-2-instead-of-e
        max-instead-of-sum eps-in-denominator temperature-left-in float16 rounded integer-cast
        clips-logits l2-scaling min-max-scaling softmax-transposed""",
    "cross_entropy": """
        missing-minus-sign log2-instead-of-ln log10-instead-of-ln log1p-instead-of-log forgot-log
        mean-instead-of-per-example sum-instead-of-per-example mean-over-classes divides-by-n
        no-sum-over-classes sums-over-batch-axis softmax-applied-again arguments-swapped
        binary-form-over-all-classes only-complement-term squared-error hinge uses-predicted-class
        ignores-targets entropy-of-prediction label-smoothing class-weights eps-shifts-values
        clamp-shifts-values zero-times-log-zero keeps-column-shape grouped-by-class perplexity""",
    "one_hot": """
        one-hot-off-by-one one-hot-transposed classes-from-data order-of-appearance fills-a-column
        stores-label-value ordinal-encoding extra-column int-one-hot bool-one-hot""",
    "class_label": """
        argmin global-argmax argmax-over-batch-axis tie-picks-last float-labels threshold-at-half
        returns-maximum""",
}
ANYWHERE = """
    mutates-its-input breaks-autograd returns-list returns-numpy returns-float returns-tuple
    state-between-calls random only-for-n-4 only-for-c-3 hard-coded-lecture-losses""".split()


def by_path(entry: dict[str, Any]) -> str:
    return f"{entry['assignment']}:{entry['path']}"


@pytest.fixture
def diagnosed(zygotes: dict[tuple[str, ...], Zygote]) -> Callable[..., dict[str, Any]]:
    """Diagnose functions of a file whether they failed or not; all of them unless one is named."""

    def look(path: Path, name: str, function: str = "", entry: str = "") -> dict[str, Any]:
        assignment, folder = load_assignment(name)
        submission = Submission.at(path, entry)
        libraries = tuple(frameworks(submission, assignment))
        if libraries not in zygotes:
            zygotes[libraries] = Zygote(libraries)
        zygote = zygotes[libraries]
        grading = Grading(submission, assignment, zygote, folder=folder, seed="1" * 32)
        # Asked of functions that pass, too: what costs no points is no misconception.
        robust = {
            line.function
            for line in grading.manifest
            if line.criterion.kind == "robust" and line.max_score
        }
        found = {}
        try:
            for key in [function] if function else assignment.graded:
                trial = grading.probe.trial(key, f"{key}:diagnosis")
                with np.errstate(all="ignore"):
                    match, _ = diagnose(trial, beyond=key in robust)
                found[key] = match.record() if match is not None else None
            return found
        finally:
            grading.close()

    return look


# --- the bank ---------------------------------------------------------------------------------


@pytest.mark.parametrize("function", ASKED)
def test_every_misconception_has_examples_in_torch_and_in_numpy(function: str) -> None:
    have = {(e["misconception"], e["library"]) for e in WRONG if e["function"] == function}
    wanted = {(slug, lib) for slug in ASKED[function].split() for lib in ("torch", "numpy")}
    assert wanted - have == set()


def test_what_may_happen_anywhere_has_examples() -> None:
    have = {(entry["misconception"], entry["library"]) for entry in WRONG}
    # NumPy has no graph to leave, and no tensor to turn into an array or into a number.
    torch_alone = {"breaks-autograd", "returns-numpy", "returns-float"}
    wanted = {(s, lib) for s in ANYWHERE for lib in ("torch", "numpy")}
    assert {w for w in wanted - have if w[0] not in torch_alone or w[1] == "torch"} == set()


def test_every_misconception_of_the_bank_has_an_example() -> None:
    have = {entry["misconception"] for entry in WRONG}
    # No built-in assignment asks for log_softmax: see below.
    assert {each.slug for each in bank() if each.rubrics != ("log_softmax",)} - have == set()


@pytest.mark.parametrize("each", bank(), ids=lambda each: f"{each.slug}-{'-'.join(each.rubrics)}")
def test_a_misconception_says_what_a_student_needs(each: Any) -> None:
    assert each.explanation.endswith(".")
    assert each.fix.endswith(".")
    assert each.fix[0].isupper() or each.fix[0] in "`-"
    assert each.formula is None or each.shown
    assert not each.rule or each.rule in {rule.code for rule in all_rules()}
    # One idea has one name in both halves.
    names = {rule.name for rule in all_rules()}
    assert each.slug not in names or each.rule in {
        r.code for r in all_rules() if r.name == each.slug
    }


@pytest.mark.parametrize("rubric", FAMILIES)
def test_formulas_are_no_two_names_of_one(rubric: str) -> None:
    """On some inputs any two formulas without a constant differ."""
    rng = np.random.default_rng(3)
    drawn = [given(rubric, rng, n, c) for n, c in ((5, 3), (3, 7), (6, 4), (4, 5), (8, 3))]
    named: dict[str, list[tuple[Any, ...]]] = {}
    for each in formulas(rubric):
        if each.parameter is None and each.tolerance is None:
            named[each.slug] = list(
                zip(*(each.results(arguments) for arguments in drawn), strict=True)
            )
    slugs = list(named)
    for place, one in enumerate(slugs):
        for other in slugs[place + 1 :]:
            for a in named[one]:
                for b in named[other]:
                    same = [
                        x is None and y is None
                        if x is None or y is None
                        else close(np.asarray(x), np.asarray(y), 1e-6)
                        for x, y in zip(a, b, strict=True)
                    ]
                    assert not all(same), (one, other)


def given(rubric: str, rng: Any, n: int, c: int) -> tuple[Any, ...]:
    """Return canonical arguments of a graded function."""
    rows = rng.normal(0, 1.5, (n, c))
    p = np.exp(rows) / np.exp(rows).sum(axis=1, keepdims=True)
    y = rng.integers(0, c, n)
    y[:2] = (c - 2, 0)
    if rubric in ("cross_entropy", "nll_loss"):
        return p, np.eye(c)[y]
    if rubric == "one_hot":
        return y, c
    if rubric in ("entropy",):
        return (p[0],)
    if rubric == "kl_divergence":
        return p[0], p[1]
    if rubric == "binary_cross_entropy":
        return p[:, 0], (y > 0).astype(float)
    if rubric == "hinge_loss":
        return np.where(y > 0, 1.0, -1.0), rows[:, 0]
    if rubric == "mean_squared_error":
        return rows, rows[::-1] + 0.5
    return (rows,)


# --- the examples -----------------------------------------------------------------------------


@pytest.mark.parametrize("entry", RIGHT, ids=by_path)
def test_a_right_function_has_no_diagnosis(
    entry: dict[str, Any], diagnosed: Callable[..., dict[str, Any]]
) -> None:
    found = diagnosed(FOLDER / entry["path"], entry["assignment"], entry=entry.get("entry", ""))
    assert {key: told.misconception for key, told in found.items() if told is not None} == {}


class _Anonymous(ast.NodeTransformer):
    """Takes every hint out of a program: docstrings, and the names of what functions use."""

    def __init__(self, kept: set[str]) -> None:
        self.kept = kept
        self.names: dict[str, str] = {}

    def renamed(self, name: str) -> str:
        if name in self.kept or name.startswith("__"):
            return name
        return self.names.setdefault(name, f"v{len(self.names)}")

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self.renamed(node.id)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.arg = self.renamed(node.arg)
        node.annotation = None
        return node

    def visit_Global(self, node: ast.Global) -> ast.AST:
        node.names = [self.renamed(name) for name in node.names]
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.name = self.renamed(node.name)
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.name = self.renamed(node.name)
        self.generic_visit(node)
        first = node.body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            node.body = node.body[1:] or [ast.Pass()]
        return node


def anonymous(text: str, graded: set[str]) -> str:
    """Return a program without comments, docstrings and telling names."""
    tree = ast.parse(text)
    imported = {
        (alias.asname or alias.name).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    called_by_name = {
        keyword.arg for node in ast.walk(tree) if isinstance(node, ast.Call)
        for keyword in node.keywords if keyword.arg
    }  # fmt: skip
    kept = {*dir(builtins), *imported, *graded, *called_by_name, "__name__"}
    return ast.unparse(ast.fix_missing_locations(_Anonymous(kept).visit(tree)))


@pytest.mark.parametrize("entry", WRONG, ids=by_path)
def test_the_diagnosis_needs_no_hint(
    entry: dict[str, Any], diagnosed: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    """Names, comments and the file's own name are gone: the numbers alone tell."""
    assignment, _ = load_assignment(entry["assignment"])
    names = {name for spec in assignment.graded.values() for name in spec.names}
    path = tmp_path / "hw.py"
    text = (FOLDER / entry["path"]).read_text(encoding="utf-8")
    path.write_text(anonymous(text, names), encoding="utf-8")
    found = diagnosed(path, entry["assignment"], entry["function"])[entry["function"]]
    assert found is not None
    assert found.misconception == entry["misconception"]


LOGS = """
name = "logs"
[functions.log_softmax]
names = ["log_softmax"]
points = 50
[functions.nll_loss]
names = ["nll_loss"]
points = 50
"""


@pytest.mark.parametrize(
    ("function", "body", "misconception"),
    [
        ("log_softmax", "torch.log_softmax(z, 0)", "softmax-over-batch-axis"),
        ("log_softmax", "torch.softmax(z, 1)", "returns-softmax"),
        ("log_softmax", "torch.log_softmax(torch.softmax(z, 1), 1)", "double-softmax"),
        ("log_softmax", "torch.log_softmax(-z, 1)", "negated-exponent"),
        ("log_softmax", "torch.log_softmax(z, 1)", ""),
        ("log_softmax", "torch.log_softmax(z, 1) / 0.7", ""),
        ("nll_loss", "logp[range(len(y)), y]", "missing-minus-sign"),
        ("nll_loss", "-logp[range(len(y)), y].mean()", "mean-instead-of-per-example"),
        ("nll_loss", "-logp[:, y]", "picks-columns-for-all-rows"),
        ("nll_loss", "-logp.exp()[range(len(y)), y]", "forgot-log"),
        ("nll_loss", "-logp[range(len(y)), y] * (1 + y)", "class-weights"),
        ("nll_loss", "-logp[range(len(y)), y]", ""),
    ],
)
def test_logarithms_are_diagnosed(
    function: str,
    body: str,
    misconception: str,
    diagnosed: Callable[..., dict[str, Any]],
    tmp_path: Path,
) -> None:
    (tmp_path / "logs.toml").write_text(LOGS)
    arguments = "z" if function == "log_softmax" else "logp, y"
    path = tmp_path / "hw.py"
    path.write_text(f"import torch\ndef {function}({arguments}):\n    return {body}\n")
    found = diagnosed(path, str(tmp_path / "logs.toml"), function)[function]
    assert (found.misconception if found else "") == misconception


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("3 * torch.softmax(z, 1)", "Every result is 3 times the right one."),
        ("torch.softmax(z, 1) + 0.25", "Every result is the right one plus 0.25."),
        ("torch.softmax(z, 1).flip(0).flip(1)", "The right numbers come back, in another order."),
        ("torch.softmax(z, 1).flip(1)", "The right numbers come back, in another order."),
        ("torch.softmax(z, 1).sum(1)", "The result has shape (N,), and (N, C) is due, for N "
         "examples of C classes."),
        ("torch.softmax(z, 1)[None]", "Of it, the first axis dropped would be right."),
        ("torch.softmax(z, 1) / 0", "infinity comes up on 14 of 14 inputs, the first time in the "
         "places [0, 1, 2, 3]."),
        ("torch.softmax(z * z.abs(), 1)", "Each row of the result sums to 1."),
        ("-torch.softmax(z, 1) ** 0.3", "No result is positive, though the right ones are."),
        ("z.nothing", "On 14 of 14 inputs nothing came back"),
    ],
)  # fmt: skip
def test_what_is_known_is_said_where_nothing_explains_it(
    body: str, says: str, engine: Engine, tmp_path: Path
) -> None:
    path = tmp_path / "hw.py"
    path.write_text(f"import torch\ndef softmax(z):\n    return {body}\n")
    function = engine(path, only="softmax.", explained=True).functions["softmax"]
    assert function.diagnosis is None
    assert any(line.startswith(says) for line in function.known), function.known


SIGNATURES = {
    "softmax": "softmax(z)",
    "cross_entropy": "cross_entropy(p, t)",
    "one_hot": "to_onehot(y, n)",
    "class_label": "to_classlabel(z)",
}
PREAMBLE = """import random, time
import numpy as np
calls = []
def right_softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)
def right_loss(p, t):
    return -(t * np.log(p)).sum(axis=1)
"""


@pytest.mark.parametrize(
    ("function", "body", "misconception"),
    [
        pytest.param("cross_entropy", "np.abs(p - t).sum(1)", "", id="L1 error"),
        pytest.param("cross_entropy", "2 - 2 * (p * t).sum(1)", "", id="linear"),
        pytest.param("cross_entropy", "np.zeros(len(p))", "", id="zeros"),
        pytest.param("cross_entropy", "-np.log(p.sum(1))", "", id="log of the sum"),
        pytest.param("cross_entropy", "-(t * np.log(t + 1e-8)).sum(1)", "", id="log of targets"),
        pytest.param("cross_entropy", "-np.log(t * p).sum(1)", "", id="log of a product"),
        pytest.param(
            "cross_entropy", "right_loss(p, t) / np.log(p.shape[1])", "", id="base C, no weight"
        ),
        pytest.param("cross_entropy", "right_loss(p, t) * p.shape[1]", "", id="times C"),
        pytest.param("cross_entropy", "-p.sum(1)", "", id="a constant is no clamp"),
        pytest.param("cross_entropy", "-((1 - t) * np.log(p)).sum(1)", "", id="inverted targets"),
        pytest.param("cross_entropy", "-0.5 * np.log(p).sum(1)", "", id="half of all logs"),
        pytest.param("cross_entropy", "-np.log((p * t).sum(1) - 0.005)", "", id="minus eps"),
        pytest.param("softmax", "right_softmax(np.maximum(z, 0))", "", id="relu is no clip"),
        pytest.param("softmax", "np.round(right_softmax(z) * 512) / 512", "", id="512ths"),
        pytest.param("softmax", "np.exp(z) / (np.exp(z).sum(1, keepdims=True) - 1)", "", id="-1"),
        pytest.param("softmax", "np.exp(z) * 1e-9", "", id="a huge eps"),
        pytest.param("softmax", "right_softmax(-z / 2)", "", id="a negative temperature"),
        pytest.param(
            "softmax",
            "right_softmax(z) if z.shape[1] % 3 == 0 else 0.9 * right_softmax(z)",
            "",
            id="C divisible by 3",
        ),
        pytest.param(
            "softmax",
            "right_softmax(z) if len(z) in (4, 12, 20) else 0.9 * right_softmax(z)",
            "",
            id="N is 4, 12 or 20",
        ),
        pytest.param(
            "softmax",
            "right_softmax(z) * random.choice([1, 0.9, 0.8, 0.7])",
            "random",
            id="chance",
        ),
        pytest.param(
            "softmax",
            "(calls.append(0), right_softmax(z) * (0.5 if len(calls) % 3 == 0 else 1))[1]",
            "state-between-calls",
            id="every third call",
        ),
        pytest.param(
            "softmax", "right_softmax(z) * (1 + time.perf_counter_ns() % 97)", "", id="the time"
        ),
        pytest.param("softmax", "right_softmax(z)", "", id="right"),
    ],
)
def test_what_resembles_a_misconception_is_not_taken_for_it(
    function: str,
    body: str,
    misconception: str,
    diagnosed: Callable[..., dict[str, Any]],
    tmp_path: Path,
) -> None:
    path = tmp_path / "hw.py"
    path.write_text(f"{PREAMBLE}\ndef {SIGNATURES[function]}:\n    return {body}\n")
    found = diagnosed(path, "stat453", function)[function]
    assert (found.misconception if found else "") == misconception


@pytest.mark.parametrize(
    ("body", "explained", "not_explained"),
    [
        pytest.param(
            "q = right_softmax(z) * (0.9 if z.shape[1] == 100 else 1)\n    return q.tolist()",
            "softmax.keeps_library",
            "softmax.many_classes",
            id="a list, and wrong for a hundred classes",
        ),
        pytest.param(
            "q = right_softmax(z) * (0.9 if z.shape[1] == 100 else 1)\n"
            "    z[...] = 0\n    return q",
            "softmax.input_unchanged",
            "softmax.many_classes",
            id="changes its input, and wrong for a hundred classes",
        ),
    ],
)
def test_a_misconception_is_told_of_the_criteria_that_it_explains(
    body: str, explained: str, not_explained: str, engine: Engine, tmp_path: Path
) -> None:
    path = tmp_path / "hw.py"
    path.write_text(f"{PREAMBLE}\ndef softmax(z):\n    {body}\n")
    result = engine(path, only="softmax.", explained=True)
    told = {c.id: c.diagnosis for c in result.criteria if c.outcome == "failed"}
    assert told[explained] is not None
    assert told[not_explained] is None


def test_explaining_changes_no_score(engine: Engine, tmp_path: Path) -> None:
    """What is called to explain a failure is called when everything is scored."""
    path = tmp_path / "hw.py"
    path.write_text(
        f"{PREAMBLE}\ndef softmax(z):\n    calls.append(0)\n    return 0.9 * right_softmax(z)\n"
        "def cross_entropy(p, t):\n    return right_loss(p, t) * (2 if len(calls) > 200 else 1)\n"
    )
    seed = "ab" * 16
    plain, told = (engine(path, seed=seed, explained=explained) for explained in (False, True))
    assert told.score == plain.score
    assert [c.score for c in told.criteria] == [c.score for c in plain.criteria]


def test_what_hidden_criteria_ask_is_not_explained(engine: Engine, tmp_path: Path) -> None:
    """Where only a hidden criterion tells of ordinary numbers, nothing else does."""
    shown = {"visible": ("one_class",)}
    assignment, _ = load_assignment("stat453")
    spec = assignment.functions["softmax"]
    names = ["one_class", "large_logits", "infinite_logits", "empty_batch", "integer_logits"]
    settings = {n: {"visibility": "visible"} for n in names if n in shown["visible"]}
    text = spec.model_dump() | {"visibility": "hidden", "criteria": settings}
    hidden = type(assignment).model_validate(
        {**assignment.model_dump(), "strictness": "strict", "functions": {"softmax": text}}
    )
    path = tmp_path / "hw.py"
    path.write_text(
        f"{PREAMBLE}\ndef softmax(z):\n    return z if z.shape[1] == 1 else right_softmax(z / 2)\n"
    )
    function = engine(path, hidden, explained=True).functions["softmax"]
    assert (function.diagnosis, function.known, function.counterexample) == (None, [], None)


def test_two_that_agree_are_told_apart_by_other_inputs(
    zygotes: dict[tuple[str, ...], Zygote], tmp_path: Path
) -> None:
    """Whichever comes first, the one stays that agrees on inputs on which the two differ."""
    path = tmp_path / "hw.py"
    path.write_text(f"{PREAMBLE}\ndef softmax(z):\n    return right_softmax(z.T).T\n")
    assignment, folder = load_assignment("stat453")
    submission = Submission.at(path)
    libraries = tuple(frameworks(submission, assignment))
    if libraries not in zygotes:
        zygotes[libraries] = Zygote(libraries)
    grading = Grading(submission, assignment, zygotes[libraries], folder=folder, seed="2" * 32)
    try:
        trial = grading.probe.trial("softmax", "apart")
        over_batch, double = (
            Guess(named(slug, "softmax"), 0, ())
            for slug in ("softmax-over-batch-axis", "double-softmax")
        )
        assert _told_apart(trial, [over_batch, double]) is over_batch
        assert _told_apart(trial, [double, over_batch]) is over_batch
        assert _told_apart(trial, [over_batch, over_batch]) is over_batch
    finally:
        grading.close()


def test_a_loss_of_logarithms_with_class_weights_has_a_result(
    engine: Engine, tmp_path: Path
) -> None:
    """The record is made of a misconception that two functions share."""
    (tmp_path / "logs.toml").write_text(LOGS)
    path = tmp_path / "hw.py"
    path.write_text(
        "import torch\ndef nll_loss(logp, y):\n    return -logp[range(len(y)), y] * (1 + y)\n"
    )
    assignment, _ = load_assignment(str(tmp_path / "logs.toml"))
    told = engine(path, assignment, explained=True).functions["nll_loss"].diagnosis
    assert told is not None
    assert told.misconception == "class-weights"


def test_a_library_that_nobody_knows_is_no_misconception(
    zygotes: dict[tuple[str, ...], Zygote], submit: Submit
) -> None:
    """What a worker says of itself may be forged."""
    assignment, _ = load_assignment("stat453")
    student = submit("def softmax(z): return z", "softmax")
    trial = Probe(student, assignment, "1").trial_under(
        "softmax", assignment.functions["softmax"], "forged", library="numpy"
    )
    forged = Returned(np.ones((2, 2)), "float64", "evil", "evil")
    assert _contract(trial, forged, np.ones((2, 2))) == ""


def test_a_mistake_of_ours_in_explaining_loses_no_grade(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = FOLDER / "softmax-over-batch-axis" / "stat453_numpy.py"
    right = engine(path, seed="ab" * 16)

    def break_down(*_: object, **__: object) -> None:
        raise StopIteration("no such misconception")

    monkeypatch.setattr("lossgrade.diagnosis.explain.diagnose", break_down)
    result = engine(path, seed="ab" * 16, explained=True)
    assert (result.score, result.outcome) == (right.score, right.outcome)
    assert [note for note in result.notes if "`softmax` could not be explained" in note] != []
    assert result.functions["softmax"].diagnosis is None
