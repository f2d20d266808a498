"""The manifest and its points, and how one submission is judged, whatever it does."""

from __future__ import annotations

import contextlib
import json
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossgrade.assignment import (
    BUILT_IN,
    Assignment,
    AssignmentError,
    load_assignment,
    parse_assignment,
)
from lossgrade.criterion import Criterion, Failure, criteria_in
from lossgrade.engine import Grading, make_result
from lossgrade.manifest import _share, manifest, rubric
from lossgrade.result import SandboxRecord, SubmissionRecord
from lossgrade.sandbox.host import SandboxUnavailable, Worker, Zygote
from lossgrade.student import frameworks
from lossgrade.submission import Submission
from support import FIXTURES, lost

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lossgrade.manifest import Graded
    from lossgrade.result import CriterionRecord, Result
    from support import Engine, Submit

RIGHT = FIXTURES / "submissions" / "right"


def asked(text: str = "", **settings: Any) -> Assignment:
    """Return an assignment of softmax alone, worth 10 points, or as the TOML `text` says."""
    functions = text or 'functions.softmax = {names = ["softmax"], points = 10}'
    made = parse_assignment(f'name = "own"\n{textwrap.dedent(functions)}', "own.toml")
    return made.model_copy(update=settings)


SOFTMAX = """
    import numpy as np
    def softmax(z):
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)
"""


@pytest.fixture
def hand_in(tmp_path: Path) -> Callable[[str], Path]:
    def put(text: str = SOFTMAX) -> Path:
        path = tmp_path / "hw.py"
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    return put


# --- points --------------------------------------------------------------------------------------

CENTS = st.integers(0, 10_000)
WEIGHTS = st.floats(0.01, 100) | st.integers(1, 9).map(float)


def check(_: object) -> None:
    """Hold always."""


def made(weights: list[float]) -> list[Criterion]:
    return [Criterion(f"c{n}", "t", weight, "law", check) for n, weight in enumerate(weights)]


@given(CENTS, st.lists(WEIGHTS, min_size=1, max_size=12), st.data())
def test_points_add_up_to_the_cent(cents: int, weights: list[float], data: st.DataObject) -> None:
    criteria = made(weights)
    free = data.draw(st.integers(1, len(criteria)))
    fixed, left = {}, cents
    for each in criteria[free:]:
        fixed[each.name] = data.draw(st.integers(0, left))
        left -= fixed[each.name]
    settings = {name: {"points": each / 100} for name, each in fixed.items()}
    spec = asked().graded["softmax"].model_copy(update={"criteria": {}})
    spec = type(spec).model_validate({**spec.model_dump(), "criteria": settings})
    dealt = _share("softmax", cents / 100, criteria, spec)
    assert dealt.keys() == {each.name for each in criteria}
    assert sum(round(points * 100) for points in dealt.values()) == cents
    assert {name: dealt[name] for name in fixed} == {n: c / 100 for n, c in fixed.items()}
    # By weight, to the cent.
    total = sum(weights[:free])
    for each in criteria[:free]:
        assert abs(dealt[each.name] * 100 - left * each.weight / total) < 1 + 1e-6


@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.parametrize("strictness", ["lecture", "strict"])
def test_a_built_in_manifest_adds_up(name: str, strictness: str) -> None:
    assignment = load_assignment(name)[0].model_copy(update={"strictness": strictness})
    lines = manifest(assignment)
    assert len({line.id for line in lines}) == len(lines)
    for key, spec in assignment.graded.items():
        own = [line for line in lines if line.function == key]
        assert sum(round(line.max_score * 100) for line in own) == round(spec.points * 100)
        robust = [
            line
            for line in own
            if line.criterion.kind == "robust" and line.criterion.name not in spec.criteria
        ]
        if strictness == "strict":
            assert all(line.max_score > 0 == line.max_bonus for line in robust)
        else:
            assert all(line.max_score == 0 for line in robust)
            bonus = sum(round(line.max_bonus * 100) for line in robust)
            assert bonus == (round(spec.bonus * 100) if robust else 0)


def line_of(assignment: Assignment, name: str) -> Graded | None:
    return {line.criterion.name: line for line in manifest(assignment)}.get(name)


ROBUST = next(c.name for c in criteria_in(rubric("softmax")) if c.kind == "robust")
CONTRACT = "float_result"


def test_settings_of_one_criterion() -> None:
    assignment = asked(
        f"""
        visibility = "hidden"
        [functions.softmax]
        names = ["softmax"]
        points = 10
        bonus = 3
        visibility = "after_published"
        criteria.{CONTRACT} = {{points = 4.5, visibility = "visible"}}
        criteria.input_unchanged = {{enabled = false}}
        criteria.no_memory = {{points = 0}}
        criteria.{ROBUST} = {{points = 1}}
        """
    )
    fixed, robust = line_of(assignment, CONTRACT), line_of(assignment, ROBUST)
    assert fixed is not None
    assert robust is not None
    assert (fixed.max_score, fixed.visibility) == (4.5, "visible")
    assert (robust.max_score, robust.max_bonus, robust.visibility) == (1, 0, "after_published")
    assert line_of(assignment, "input_unchanged") is None
    lines = manifest(assignment)
    assert sum(round(line.max_score * 100) for line in lines) == 1000
    assert sum(round(line.max_bonus * 100) for line in lines) in (0, 300)
    worthless = line_of(assignment, "no_memory")
    assert worthless is not None
    assert worthless.max_score == 0
    assert {line.visibility for line in lines} == {"visible", "after_published"}
    assert {line.visibility for line in manifest(asked(visibility="hidden"))} == {"hidden"}


def test_disabled_functions_are_not_asked_for() -> None:
    assignment = load_assignment("stat453")[0]
    assert "log_softmax" in assignment.functions
    assert {line.function for line in manifest(assignment)} == set(assignment.graded)
    assert "log_softmax" not in assignment.graded


@pytest.mark.parametrize(
    ("criteria", "says"),
    [
        ("criteria.nothing = {}", "functions.softmax.criteria.nothing: no such criterion; there"),
        (
            "criteria.float_result = {points = 11}",
            "11 points fixed, expected at most its points = 1",
        ),
        (
            "\n".join(
                f"criteria.{c.name} = {{points = 0.5}}" for c in criteria_in(rubric("softmax"))
            ),
            "points fixed, expected its points = 10",
        ),
        (
            "\n".join(
                f"criteria.{c.name} = {{enabled = false}}" for c in criteria_in(rubric("softmax"))
            ),
            "0 points fixed, expected its points = 10",
        ),
    ],
)
def test_points_that_cannot_add_up_are_the_instructors_mistake(criteria: str, says: str) -> None:
    text = f'[functions.softmax]\nnames = ["softmax"]\npoints = 10\n{criteria}'
    with pytest.raises(AssignmentError) as caught:
        manifest(asked(text))
    assert says in str(caught.value)


# --- an instructor's own criteria ----------------------------------------------------------------

EXTRA = '''
import numpy as np
from lossgrade.criterion import Failure, NotGraded, criterion

@criterion(points=1, kind="values", function="softmax")
def own(trial):
    """The rows of one example come out."""
    case = trial.ordinary()
    trial.expect(trial.call(*case.arguments), case.expected, case.what)

@criterion(points=1, kind="values", function="softmax")
def unsure(trial):
    """Cannot be judged."""
    raise NotGraded("the reference is missing")

@criterion(points=1, kind="values", function="softmax")
def broken(trial):
    """Has a mistake of its own."""
    return {}["no"]

@criterion(points=1, kind="values", function="softmax")
def too_large(trial):
    """Gives more than can be carried."""
    trial.call(np.zeros(9 << 20))

@criterion(points=0, kind="law", function="softmax")
def free(trial):
    """Costs nothing."""
    raise Failure("two\\n  lines", "a\\nhint")
'''


def with_extra(tmp_path: Path, text: str = EXTRA) -> Assignment:
    (tmp_path / "more.py").write_text(text, encoding="utf-8")
    return asked(extra_criteria=["more.py"])


@pytest.fixture
def graded(
    zygotes: dict[tuple[str, ...], Zygote], tmp_path: Path
) -> Callable[..., tuple[Grading, dict[str, CriterionRecord]]]:
    """Grade under an assignment with extra criteria in the same folder; records by name."""

    def run(
        path: Path,
        assignment: Assignment,
        *,
        seed: str = "",
        names: tuple[str, ...] = (),
        **more: Any,
    ) -> tuple[Grading, dict[str, CriterionRecord]]:
        submission = Submission.at(path)
        libraries = tuple(frameworks(submission, assignment))
        if libraries not in zygotes:
            zygotes[libraries] = Zygote(libraries)
        grading = Grading(
            submission, assignment, zygotes[libraries], folder=tmp_path, seed=seed, **more
        )
        lines = {line.criterion.name: line for line in grading.manifest}
        try:
            return grading, {name: grading.run(lines[name]) for name in names or lines}
        finally:
            grading.close()

    return run


def test_extra_criteria_are_judged_like_ours(
    tmp_path: Path, hand_in: Callable[..., Path], graded: Callable[..., Any]
) -> None:
    grading, records = graded(hand_in(), with_extra(tmp_path))
    assert records["own"].outcome == "passed"
    assert records["own"].title == "The rows of one example come out"
    assert (records["unsure"].outcome, records["unsure"].message) == (
        "not-graded", "the reference is missing"
    )  # fmt: skip
    assert records["broken"].outcome == "not-graded"
    assert records["broken"].message.startswith(
        "the criterion itself failed: KeyError: 'no' (more.py:"
    )
    assert records["too_large"].outcome == "not-graded"
    assert (records["free"].message, records["free"].hint) == ("two lines", "a hint")
    assert records["free"].outcome == "failed"
    result = grading.result(records.values())
    assert result.outcome == "not-graded"
    assert result.max_score == 10
    assert sum(round(c.max_score * 100) for c in result.criteria) == 1000
    missing = round((result.max_score - result.score) * 100)
    assert missing == sum(
        round(records[n].max_score * 100) for n in ("unsure", "broken", "too_large")
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "defines no @criterion function"),
        ("import nowhere", "ModuleNotFoundError: No module named 'nowhere'"),
        ("def f(:", "SyntaxError"),
        (EXTRA.replace('"softmax"', '"soft"'), "own has function='soft', expected one of softmax"),
        (EXTRA.replace("points=0", "points=-1"), "ValueError: points=-1, expected 0 or more"),
        (EXTRA.replace('"""Costs nothing."""', ""), "free needs a docstring"),
    ],
)
def test_a_mistake_in_extra_criteria_is_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(AssignmentError) as caught:
        manifest(with_extra(tmp_path, text), tmp_path)
    assert says in str(caught.value)
    assert "more.py" in str(caught.value)


def test_extra_criteria_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(AssignmentError, match=r"more\.py: no such Python file"):
        manifest(asked(extra_criteria=["more.py"]), tmp_path)


# --- outcomes ------------------------------------------------------------------------------------


def test_a_result_lists_every_criterion_in_order(
    hand_in: Callable[..., Path], graded: Callable[..., Any]
) -> None:
    grading, records = graded(hand_in(), asked(), names=("float_result",))
    result = grading.result(records.values())
    assert [c.id for c in result.criteria] == [line.id for line in grading.manifest]
    left = [c for c in result.criteria if c.id != "softmax.float_result"]
    assert {(c.outcome, c.score, c.message) for c in left} == {("not-graded", 0, "was not run")}
    assert (result.outcome, result.max_score) == ("not-graded", 10)
    assert 0 < result.score == records["float_result"].max_score
    nothing = grading.result([])
    assert (nothing.score, nothing.max_score, nothing.outcome) == (0, 10, "not-graded")
    json.loads(nothing.to_json())


ABOUT: dict[str, Any] = {
    "submission": SubmissionRecord(id="hw", path="hw.py"),
    "sandbox": SandboxRecord(level="process"),
    "seed": "0",
    "started_at": "",
    "duration_s": 0,
}


@pytest.mark.parametrize(
    ("outcomes", "outcome"),
    [
        ({}, "passed"),
        ({"float_result": "failed"}, "failed"),
        ({"float_result": "not-graded"}, "not-graded"),
        ({"float_result": "failed", "no_memory": "not-graded"}, "not-graded"),
        ({ROBUST: "failed"}, "passed"),
        ({ROBUST: "not-graded"}, "passed"),
    ],
)
def test_the_outcome_of_a_result(outcomes: dict[str, Any], outcome: str) -> None:
    assignment = asked()
    lines = manifest(assignment)
    records = {line.id: line.record(outcomes.get(line.criterion.name, "passed")) for line in lines}
    result = make_result(lines, records, assignment=assignment, **ABOUT)
    assert result.outcome == outcome
    assert (result.score == result.max_score) == (outcome == "passed")


def test_bonus_never_fills_a_gap() -> None:
    assignment = asked('functions.softmax = {names = ["softmax"], points = 10, bonus = 5}')
    lines = manifest(assignment)
    records = {
        line.id: line.record("passed" if line.criterion.kind == "robust" else "failed")
        for line in lines
    }
    result = make_result(lines, records, assignment=assignment, **ABOUT)
    assert (result.score, result.bonus, result.max_bonus, result.outcome) == (0, 5, 5, "failed")


def test_what_cannot_be_loaded_fails_everything_with_the_reason(
    hand_in: Callable[..., Path], graded: Callable[..., Any]
) -> None:
    grading, records = graded(hand_in("def softmax(:"), asked())
    assert {record.outcome for record in records.values()} == {"failed"}
    assert all("SyntaxError" in record.message for record in records.values())
    result = grading.result(records.values())
    assert (result.score, result.max_score, result.outcome) == (0, 10, "failed")
    assert "SyntaxError" in result.notes[0]


def test_without_workers_nothing_is_graded(
    hand_in: Callable[..., Path], graded: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> Worker:
        raise SandboxUnavailable("no processes left")

    monkeypatch.setattr(Zygote, "worker", refused)
    grading, records = graded(hand_in(), asked())
    assert {(r.outcome, r.message) for r in records.values()} == {
        ("not-graded", "no processes left")
    }
    result = grading.result(records.values())
    assert (result.outcome, result.sandbox.level) == ("not-graded", "none")


def test_a_required_level_fails_closed(
    hand_in: Callable[..., Path], graded: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    post_init = Worker.__post_init__

    def lowered(self: Worker) -> None:
        post_init(self)
        self.sandbox["level"] = "process"

    monkeypatch.setattr(Worker, "__post_init__", lowered)
    path = hand_in(f"print('ran')\n{textwrap.dedent(SOFTMAX)}")
    grading, records = graded(path, asked(), required_level="contained")
    assert {record.outcome for record in records.values()} == {"not-graded"}
    result = grading.result(records.values())
    assert (result.printed, result.score, result.sandbox.level) == ("", 0, "process")


def test_a_lost_zygote_costs_no_points(hand_in: Callable[..., Path], tmp_path: Path) -> None:
    with Zygote(["numpy"]) as zygote:
        grading = Grading(Submission.at(hand_in()), asked(), zygote)
        records = []
        for line in grading.manifest:
            assert zygote._process is not None
            zygote._process.kill()
            records.append(grading.run(line))
        grading.close()
    assert {r.outcome for r in records if r.max_score} == {"passed"}


# --- seeds, order, selection ---------------------------------------------------------------------

WRONG = """
    import numpy as np
    def softmax(z):
        e = np.exp(z)
        return e / e.sum(axis=0, keepdims=True)
"""


def messages(records: dict[str, CriterionRecord]) -> dict[str, str]:
    return {name: record.model_dump_json() for name, record in sorted(records.items())}


def test_the_seed_decides_the_inputs(
    hand_in: Callable[..., Path], graded: Callable[..., Any]
) -> None:
    path = hand_in(WRONG)
    first, again, other = (graded(path, asked(), seed=seed)[1] for seed in ("ab", "ab", "cd"))
    assert messages(first) == messages(again) != messages(other)
    seeds = {graded(path, asked(), names=("float_result",))[0].seed for _ in range(3)}
    assert len(seeds) == 3
    assert all(len(bytes.fromhex(seed)) == 16 for seed in seeds)


@pytest.mark.parametrize("text", [WRONG, SOFTMAX], ids=["wrong", "right"])
def test_order_and_selection_change_nothing(
    hand_in: Callable[..., Path], graded: Callable[..., Any], text: str
) -> None:
    path = hand_in(text)
    names = tuple(line.criterion.name for line in manifest(asked()))
    whole = messages(graded(path, asked(), seed="ab", names=names)[1])
    assert messages(graded(path, asked(), seed="ab", names=names[::-1])[1]) == whole
    for name in names[::4]:
        alone = messages(graded(path, asked(), seed="ab", names=(name,))[1])
        assert alone == {name: whole[name]}


# --- preconditions -------------------------------------------------------------------------------

PRETENDERS = {
    "a constant": "return np.full(z.shape, 1 / z.shape[1])",
    "its input": "return z",
    "garbage of the right shape": "r = np.random.rand(*z.shape); return r / r.sum(1)[:, None]",
    "zeros": "return np.zeros(z.shape)",
    "not a number": "return z * np.nan",
}


@pytest.mark.parametrize("body", PRETENDERS.values(), ids=PRETENDERS)
def test_a_pretender_earns_no_laws_and_no_contract(
    hand_in: Callable[..., Path], graded: Callable[..., Any], body: str
) -> None:
    text = f"import numpy as np\ndef softmax(z):\n    {body}\n"
    grading, records = graded(hand_in(text), asked(), seed="1")
    earned = {
        name: record.score
        for name, record in records.items()
        if record.score and record.kind in ("values", "contract", "robust")
    }
    assert earned == {}
    score = grading.result(records.values()).score
    # `return z` follows its input as a softmax does, so that laws about changes may count.
    assert score <= (2 if body == "return z" else 0)


@pytest.mark.parametrize(
    ("body", "requests"),
    [
        pytest.param("e / e.sum(axis=1, keepdims=True)", [10], id="right"),
        pytest.param("-e / e.sum(axis=1, keepdims=True)", [10], id="minus what is right"),
        pytest.param("e / e.sum(axis=0)", [10] * 4, id="correlated by 0.6"),
        pytest.param("np.ones_like(z)", [10] * 4, id="constant"),
    ],
)
def test_only_a_doubtful_relation_is_looked_into_for_long(
    submit: Submit, monkeypatch: pytest.MonkeyPatch, body: str, requests: list[int]
) -> None:
    asked_for: list[int] = []
    ask = Worker.ask

    def noted(self: Worker, message: Any, *rest: Any) -> Any:
        asked_for.append(len(message.get("cases", "1")))
        return ask(self, message, *rest)

    text = f"import numpy as np\ndef softmax(z):\n    e = np.exp(z)\n    return {body}\n"
    student = submit(text, "softmax")
    grading = Grading(student.submission, asked(), student.zygote)
    assert grading.student.loading.failure == ""
    monkeypatch.setattr(Worker, "ask", noted)
    with contextlib.suppress(Failure):
        grading.probe.require_related("softmax")
    grading.close()
    assert asked_for == requests


def test_a_right_submission_takes_few_requests(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ops: list[str] = []
    ask = Worker.ask

    def noted(self: Worker, message: Any, *rest: Any) -> Any:
        ops.append(message["op"])
        return ask(self, message, *rest)

    monkeypatch.setattr(Worker, "ask", noted)
    engine(FIXTURES / "submissions" / "right" / "numpy_eye.py")
    # 77 criteria, of which 15 are judged three times, and central differences of 72 numbers.
    assert len(ops) <= 140


def test_a_wrong_axis_keeps_what_is_right_about_it(
    hand_in: Callable[..., Path], graded: Callable[..., Any]
) -> None:
    grading, records = graded(hand_in(WRONG), asked(), seed="1")
    contract = [r for r in records.values() if r.kind == "contract" and r.max_score]
    assert {r.outcome for r in contract} == {"failed"}
    assert all("ordinary cases, too few" in r.message for r in contract)
    assert grading.result(records.values()).score < 5


def test_a_minus_sign_costs_values_not_everything(engine: Engine) -> None:
    result = engine(FIXTURES / "submissions" / "missing-minus-sign" / "stat453_numpy.py")
    losses = [c for c in result.criteria if c.function == "cross_entropy"]
    assert {c.outcome for c in losses if c.kind == "values"} == {"failed"}
    assert {c.function for c in result.criteria if c.id in lost(result)} == {"cross_entropy"}


# --- libraries -----------------------------------------------------------------------------------

NUMPY_SOFTMAX = "    e = np.exp(z)\n    return e / e.sum(axis=1, keepdims=True)\n"
TORCH_SOFTMAX = "    e = torch.exp(z)\n    return e / e.sum(dim=1, keepdim=True)\n"
DETOUR = """    e = np.exp(z.detach().numpy())
    return torch.tensor(e / e.sum(axis=1, keepdims=True))
"""
HEAD = "import numpy as np\nimport torch\ndef softmax(z):\n"
NO_TORCH = HEAD.replace("import torch\n", "")
TO_NUMPY = NUMPY_SOFTMAX.replace("np.exp(z)", "np.exp(np.asarray(z))")


@pytest.mark.parametrize(
    ("text", "wanted", "library", "keeps"),
    [
        pytest.param(HEAD + TORCH_SOFTMAX, "either", "torch", True, id="torch"),
        pytest.param(HEAD + NUMPY_SOFTMAX, "either", "numpy", True, id="numpy, mentions torch"),
        pytest.param(HEAD + DETOUR, "either", "torch", True, id="a detour through numpy"),
        pytest.param("# torch\n" + NO_TORCH + NUMPY_SOFTMAX, "either", "numpy", True,
                     id="torch in a comment"),
        pytest.param(NO_TORCH + NUMPY_SOFTMAX, "either", "numpy", True, id="no torch at all"),
        pytest.param(HEAD + TO_NUMPY, "torch", "torch", False, id="torch required"),
        pytest.param(HEAD + TORCH_SOFTMAX, "numpy", "numpy", False, id="numpy required"),
        pytest.param(HEAD + "    raise ValueError\n", "either", "torch", False, id="neither works"),
        pytest.param("import torch\ndef other(z): return z\n", "either", "torch", False,
                     id="missing"),
    ],
)  # fmt: skip
def test_the_library_is_found_out(
    hand_in: Callable[..., Path],
    graded: Callable[..., Any],
    text: str,
    wanted: str,
    library: str,
    keeps: bool,
) -> None:
    grading, records = graded(hand_in(text), asked(library=wanted), names=("keeps_library",))
    assert grading.probe._library("softmax") == library
    assert (records["keeps_library"].outcome == "passed") == keeps


def test_undecided_functions_follow_the_others(
    hand_in: Callable[..., Path], graded: Callable[..., Any]
) -> None:
    assignment = asked(
        """
        [functions.softmax]
        names = ["softmax"]
        points = 10
        [functions.class_label]
        names = ["to_classlabel"]
        points = 10
        """
    )
    broken = HEAD + "    raise ValueError\n"
    for label, library in [("np.argmax(z, axis=1)", "numpy"), ("torch.argmax(z, dim=1)", "torch")]:
        text = f"{broken}def to_classlabel(z):\n    return {label}\n"
        grading, _ = graded(hand_in(text), assignment, names=("keeps_library",))
        assert grading.probe._library("softmax") == library
        assert grading.probe._library("class_label") == library


# --- the record ----------------------------------------------------------------------------------


def test_the_record_says_how_it_came_about(
    hand_in: Callable[..., Path], graded: Callable[..., Any]
) -> None:
    text = f"print('hello')\n1 / 0\nfrom numpy import exp\n{textwrap.dedent(SOFTMAX)}"
    grading, records = graded(hand_in(text), asked(), seed="ab")
    result: Result = grading.result(records.values())
    assert result.printed == "hello\n"
    assert result.notes == ["hw.py, line 2: ZeroDivisionError: division by zero; the rest was run"]
    assert (result.seed, result.submission.id) == ("ab", "hw")
    assert result.versions.keys() == {"python", "lossgrade", "numpy", "torch"}
    assert result.sandbox.level in ("process", "limits", "contained")
    assert {layer.name for layer in result.sandbox.layers} >= {"limits", "files"}
    assert result.started_at.endswith("+00:00")
    assert result.functions["softmax"].score == result.score == 10


def test_a_librarys_own_function_is_noted(
    hand_in: Callable[..., Path], graded: Callable[..., Any]
) -> None:
    text = "import torch\nfrom torch.nn.functional import softmax\n"
    grading, _ = graded(hand_in(text), asked(), names=("float_result",))
    assert grading.notes() == ["`softmax` is torch's own function"]


def test_inputs_are_fresh_for_each_criterion(submit: Submit) -> None:
    student = submit(SOFTMAX, "softmax")
    grading = Grading(student.submission, asked(), student.zygote, seed="ab")
    draws = [
        grading.probe._bare_trial("softmax", line.id, "numpy").rng.bytes(8)
        for line in grading.manifest
    ]
    assert len(set(draws)) == len(draws)
    assert np.random.default_rng(0).bytes(8) not in draws
    grading.close()
