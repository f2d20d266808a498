"""Functions that are right under another convention are recognised, and graded so under `auto`."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from lossgrade import conventions
from lossgrade.assignment import (
    AnyFunction,
    Assignment,
    load_assignment,
    parse_assignment,
    split_auto,
)
from lossgrade.conventions import CALLS_CAP, Convention, recognise
from lossgrade.engine import Grading
from lossgrade.manifest import rubric
from lossgrade.probe import Probe
from lossgrade.sandbox.host import Zygote
from lossgrade.student import Student, frameworks
from lossgrade.submission import Submission
from support import FIXTURES, entries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lossgrade.result import Result
    from support import Engine

    Zygotes = dict[tuple[str, ...], Zygote]

ROOT = FIXTURES / "conventions"
CONVENTIONS = entries("conventions/index.toml", "convention")
NEAR_MISSES = entries("conventions/index.toml", "near_miss")
SUBMISSIONS = entries("submissions/index.toml", "submission")
RIGHT = [entry for entry in SUBMISSIONS if entry["verdict"] == "right"]
WRONG = [entry for entry in SUBMISSIONS if entry["verdict"] == "wrong"]
# Wrong ideas that are another convention: what they compute is right under it.
ALSO_CONVENTIONS = {
    "argmax-over-batch-axis": "axis = 0",
    "arguments-swapped": 'order = "targets-first"',
    "grouped-by-class": "axis = 0",
    "keeps-column-shape": 'result = "column"',
    "labels-in-column": 'result = "column"',
    "log10-instead-of-ln": 'log_base = "10"',
    "log2-instead-of-ln": 'log_base = "2"',
    "mean-instead-of-per-example": 'reduction = "mean"',
    "one-hot-transposed": "axis = 0",
    "softmax-applied-again": 'prediction = "logits"',
    "softmax-over-batch-axis": "axis = 0",
    "sum-instead-of-per-example": 'reduction = "sum"',
    "sums-over-batch-axis": "axis = 0",
}


def by_path(entry: dict[str, Any]) -> str:
    return f"{entry['assignment']}:{entry['path']}"


def zygote_for(zygotes: Zygotes, submission: Submission, asked: Assignment) -> Zygote:
    libraries = tuple(frameworks(submission, asked))
    if libraries not in zygotes:
        zygotes[libraries] = Zygote(libraries)
    return zygotes[libraries]


@pytest.fixture
def probed(zygotes: Zygotes) -> Iterator[Callable[..., Probe]]:
    students = []

    def probe(
        path: Path, assignment: str | Assignment = "stat453", *, entry: str = "", seed: str = "ab"
    ) -> Probe:
        asked = load_assignment(assignment)[0] if isinstance(assignment, str) else assignment
        submission = Submission.at(path, entry)
        names = {key: spec.names for key, spec in asked.graded.items()}
        student = Student(submission, names, zygote_for(zygotes, submission, asked), asked.limits)
        students.append(student)
        return Probe(student, asked, seed)

    yield probe
    for student in students:
        student.close()


@pytest.fixture
def auto(zygotes: Zygotes) -> Callable[..., Result]:
    def grade(
        path: Path, assignment: str | Assignment = "stat453", *, entry: str = "", seed: str = "ab"
    ) -> Result:
        asked = load_assignment(assignment)[0] if isinstance(assignment, str) else assignment
        submission = Submission.at(path, entry)
        zygote = zygote_for(zygotes, submission, asked)
        grading = Grading(submission, asked, zygote, seed=seed, detect=True)
        try:
            records = grading.run_all()
            grading.look_closer(records)
            return grading.result(records)
        finally:
            grading.close()

    return grade


@pytest.fixture
def hand_in_text(tmp_path: Path) -> Callable[[str], Path]:
    def put(text: str) -> Path:
        path = tmp_path / "hw.py"
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    return put


def settings(probe: Probe) -> dict[str, list[str]]:
    """Return the settings that are recognised, by function."""
    found = {key: recognise(probe, key) for key in probe.assignment.graded}
    return {
        key: [difference.setting for difference in convention.record().differences]
        for key, convention in found.items()
        if convention is not None
    }


# --- what is recognised, and what is not ---------------------------------------------------------


@pytest.mark.parametrize("entry", CONVENTIONS, ids=by_path)
def test_a_convention_is_recognised_as_exactly_its_settings(
    entry: dict[str, Any], probed: Callable[..., Probe]
) -> None:
    assert settings(probed(ROOT / entry["path"], entry["assignment"])) == entry["functions"]


@pytest.mark.parametrize("entry", NEAR_MISSES, ids=by_path)
def test_a_near_miss_is_no_convention(
    entry: dict[str, Any], probed: Callable[..., Probe], engine: Engine
) -> None:
    path = ROOT / entry["path"]
    assert settings(probed(path, entry["assignment"])) == {}
    failed = {
        c.function for c in engine(path, entry["assignment"]).criteria if c.score < c.max_score
    }
    assert failed == {entry["function"]}


@pytest.mark.parametrize("entry", RIGHT, ids=by_path)
def test_a_right_submission_keeps_to_its_assignment(
    entry: dict[str, Any], probed: Callable[..., Probe]
) -> None:
    path = FIXTURES / "submissions" / entry["path"]
    assert settings(probed(path, entry["assignment"], entry=entry.get("entry", ""))) == {}


def test_wrong_ideas_that_are_conventions(probed: Callable[..., Probe]) -> None:
    found: dict[str, set[str]] = {}
    for entry in WRONG:
        if entry["assignment"] == "stat453":
            probe = probed(FIXTURES / "submissions" / entry["path"], entry=entry.get("entry", ""))
            convention = recognise(probe, entry["function"])
            told = convention.record().differences if convention else []
            found.setdefault(entry["misconception"], set()).update(d.setting for d in told)
            probe.student.close()
    assert {slug: {setting} for slug, setting in ALSO_CONVENTIONS.items()} == {
        slug: each for slug, each in found.items() if each
    }


def test_there_are_enough_examples() -> None:
    assert len(CONVENTIONS) >= 16
    assert len(NEAR_MISSES) >= 12
    assert {entry["library"] for entry in CONVENTIONS} == {"torch", "numpy"}
    listed = {entry["path"] for entry in (*CONVENTIONS, *NEAR_MISSES)}
    assert {path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py")} == listed


def test_the_setting_accepts_the_function(probed: Callable[..., Probe]) -> None:
    """The lines that the record shows, put into an assignment, make the function right."""
    for entry in CONVENTIONS:
        probe = probed(ROOT / entry["path"], entry["assignment"])
        for key, lines in settings(probe).items():
            text = "\n".join(lines)
            spec = probe.assignment.graded[key]
            names = "" if "names = " in text else f"names = {spec.names}\n".replace("'", '"')
            asked = parse_assignment(
                f'name = "own"\n[functions.{key}]\npoints = 1\n{names}{text}\n', "own.toml"
            )
            again = probed(ROOT / entry["path"], asked)
            assert not again.student.missing(key)
            assert recognise(again, key) is None
            again.require_right(key)
        probe.student.close()


def test_every_setting_has_its_words() -> None:
    for model in AnyFunction.__args__[0].__args__:
        (name,) = model.model_fields["rubric"].annotation.__args__
        if not hasattr(rubric(name), "ordinary"):
            continue
        base = model(rubric=name, names=["f"], points=1)
        options = conventions._options(base)
        for field, values in options.items():
            for value in values:
                spec = base.model_copy(update={field: value})
                for pair in (Convention("f", base, spec, 0), Convention("f", spec, base, 0)):
                    differences = pair.record().differences
                    assert len(differences) == (value != getattr(base, field))
                    for difference in differences:
                        assert difference.setting.startswith(f"{field} = ")
                        assert difference.says.startswith("it ")
                        assert difference.change.endswith(".")
                        assert pair.note().startswith("`f` was graded ")


def test_what_the_record_says(probed: Callable[..., Probe]) -> None:
    convention = recognise(probed(ROOT / "synonyms_numpy.py"), "cross_entropy")
    assert convention is not None
    told = [(d.setting, d.says, d.change) for d in convention.record().differences]
    assert told == [
        (
            'prediction = "logits"',
            "it takes net inputs (logits)",
            "Take probabilities: leave the softmax out, and take the logarithm of what is given.",
        ),
        (
            'targets = "class-indices"',
            "it takes class indices as targets",
            "Take one-hot rows as targets: multiply by them and sum over the classes.",
        ),
        (
            'reduction = "mean"',
            "it returns the mean over the batch",
            "Return one loss for each example: take no mean and no sum over the batch.",
        ),
        (
            'names = ["cross_entropy", "crossentropy", "cross_entropy_loss", "xent"]',
            "you call it `xent`",
            "Rename it to `cross_entropy`.",
        ),
    ]
    assert not convention.record().graded


# --- cost, seeds, and functions that misbehave ---------------------------------------------------


@pytest.mark.parametrize("entry", [*CONVENTIONS, *NEAR_MISSES], ids=by_path)
def test_it_costs_few_calls(entry: dict[str, Any], probed: Callable[..., Probe]) -> None:
    probe = probed(ROOT / entry["path"], entry["assignment"])
    for key, spec in probe.assignment.graded.items():
        search = conventions._Search(probe, key, spec)
        search.run()
        # Two libraries may have to be tried; 24 forms of the arguments are told apart in each.
        assert search.calls <= 80 < CALLS_CAP


@pytest.mark.parametrize("entry", [*CONVENTIONS, *NEAR_MISSES], ids=by_path)
def test_every_seed_recognises_the_same(
    entry: dict[str, Any], probed: Callable[..., Probe]
) -> None:
    for seed in ("", "1", "22", "333", "f" * 32):
        probe = probed(ROOT / entry["path"], entry["assignment"], seed=seed)
        assert settings(probe) == entry.get("functions", {})
        probe.student.close()


MISBEHAVED = {
    "endless": "while True: pass",
    "ends its process": "import os; os._exit(1)",
    "raises": "raise ValueError('no')",
    "nothing": "return None",
    "text": "return 'loss'",
    "a tuple of texts": "return 'loss', 'gradient'",
    "a ragged list": "return [[1.0], [1.0, 2.0]]",
    "not a number": "return p * float('nan')",
    "many": "return tuple(range(2000))",
}


@pytest.mark.parametrize("body", MISBEHAVED.values(), ids=MISBEHAVED)
def test_a_function_that_misbehaves_ends_it(
    body: str, hand_in_text: Callable[[str], Path], probed: Callable[..., Probe]
) -> None:
    path = hand_in_text(f"import numpy as np\ndef cross_entropy(p, y):\n    {body}\n")
    probe = probed(path)
    assert recognise(probe, "cross_entropy") is None
    # Nobody asked the student for these calls: none counts as a time-out or a crash.
    assert not any(probe.student._endless.values())
    assert not any(probe.student._crashes.values())


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("def cross_entropy(:", id="no Python"),
        pytest.param("", id="nothing"),
        pytest.param("xent = 3\ncrossEntropy = None\n", id="names of no functions"),
        pytest.param("from torch.nn import CrossEntropyLoss\n", id="a library's own"),
        pytest.param("def loss(p, y):\n    return p\n", id="another function"),
    ],
)
def test_what_is_no_function_is_no_convention(
    text: str, hand_in_text: Callable[[str], Path], probed: Callable[..., Probe]
) -> None:
    assert recognise(probed(hand_in_text(text)), "cross_entropy") is None


# --- under a fixed assignment, and under auto ----------------------------------------------------


def test_another_name_earns_nothing_and_is_explained(
    engine: Engine, probed: Callable[..., Probe]
) -> None:
    path = ROOT / "camel_case_torch.py"
    assert engine(path).score == 0
    convention = recognise(probed(path), "softmax")
    assert convention is not None
    (difference,) = convention.record().differences
    assert difference.setting == 'names = ["softmax", "softMax"]'
    assert difference.says == "you call it `softMax`"
    assert not convention.record().graded


def test_a_file_that_is_loaded_again_prints_once(
    hand_in_text: Callable[[str], Path], auto: Callable[..., Result]
) -> None:
    text = "import numpy as np\nprint('hello')\ndef softMax(z):\n    e = np.exp(z)\n"
    result = auto(hand_in_text(text + "    return e / e.sum(axis=1, keepdims=True)\n"))
    assert result.printed == "hello\n"
    assert result.functions["softmax"].score == result.functions["softmax"].max_score


@pytest.mark.parametrize("entry", CONVENTIONS, ids=by_path)
def test_auto_gives_full_marks_and_says_so(
    entry: dict[str, Any], auto: Callable[..., Result], engine: Engine
) -> None:
    path = ROOT / entry["path"]
    result = auto(path, entry["assignment"])
    told = [(c.id, c.message) for c in result.criteria if c.score < c.max_score]
    assert (told, result.outcome) == ([], "passed")
    fixed = engine(path, entry["assignment"])
    assert fixed.score < fixed.max_score == result.max_score == result.score
    graded = {key for key, f in result.functions.items() if f.convention and f.convention.graded}
    assert graded == set(entry["functions"])
    for key in graded:
        assert result.functions[key].max_score == fixed.functions[key].max_score
    assert sum("was graded" in note for note in result.notes) == len(graded)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        (
            "synonyms_numpy.py",
            "`xent` was graded as `cross_entropy`, taking logits and class indices, returning the "
            "mean",
        ),
        (
            "logits_indices_mean_numpy.py",
            "`cross_entropy` was graded as taking logits and class indices, returning the mean",
        ),
        ("camel_case_torch.py", "`crossEntropy` was graded as `cross_entropy`"),
        (
            "targets_first_clip_sum_numpy.py",
            "`cross_entropy` was graded with the targets first, returning the sum",
        ),
    ],
)
def test_the_note_says_how(path: str, says: str, auto: Callable[..., Result]) -> None:
    assert says in auto(ROOT / path).notes


@pytest.mark.parametrize("entry", NEAR_MISSES, ids=by_path)
def test_auto_grades_what_fits_none_under_its_own_settings(
    entry: dict[str, Any], auto: Callable[..., Result], engine: Engine
) -> None:
    path = ROOT / entry["path"]
    result = auto(path, entry["assignment"], seed="ab")
    fixed = engine(path, entry["assignment"], seed="ab", explained=True)
    assert (result.score, result.max_score, result.notes) == (
        fixed.score, fixed.max_score, fixed.notes
    )  # fmt: skip
    assert result.criteria == fixed.criteria


def test_auto_leaves_a_right_submission_alone(auto: Callable[..., Result], engine: Engine) -> None:
    path = FIXTURES / "submissions" / "right" / "numpy_eye.py"
    result, fixed = auto(path), engine(path, seed="ab")
    assert (result.criteria, result.notes) == (fixed.criteria, fixed.notes)
    assert not any(f.convention for f in result.functions.values())


def test_a_missing_function_still_loses(
    hand_in_text: Callable[[str], Path], auto: Callable[..., Result]
) -> None:
    text = """
        import numpy as np
        def xent(logits, labels):
            log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
            return -log_p[np.arange(len(labels)), labels].mean()
    """
    result = auto(hand_in_text(text))
    assert (result.score, result.max_score) == (35, 100)
    assert result.functions["softmax"].score == 0
    convention = result.functions["cross_entropy"].convention
    assert convention is not None
    assert convention.graded


def test_points_fixed_for_criteria_of_the_asked_convention(auto: Callable[..., Result]) -> None:
    """Where a convention's criteria could not carry the points, the settings stay as they were."""
    base = load_assignment("stat453")[0]
    lines = {c.id.partition(".")[2] for c in auto(ROOT / "logits_onehot_torch.py").criteria
             if c.function == "cross_entropy"}  # fmt: skip
    fixed: dict[str, Any] = {name: {"points": 0} for name in lines}
    asked = base.model_copy(
        update={
            "functions": {
                "cross_entropy": type(base.functions["cross_entropy"]).model_validate(
                    {
                        **base.functions["cross_entropy"].model_dump(),
                        "bonus": 0,
                        "criteria": {**fixed, "zero_at_certainty": {"points": 35}},
                    }
                )
            }
        }
    )
    result = auto(ROOT / "logits_onehot_torch.py", asked)
    assert (result.score, result.max_score, result.outcome) == (0, 35, "failed")


@pytest.mark.parametrize(
    ("given", "base", "detect"),
    [
        ("auto", "", True),
        ("auto:", "", True),
        ("auto:d2l", "d2l", True),
        ("auto:my/own.toml", "my/own.toml", True),
        ("d2l", "d2l", False),
        ("C:/auto.toml", "C:/auto.toml", False),
        ("auto.toml", "auto.toml", False),
    ],
)
def test_auto_and_what_it_starts_from(given: str, base: str, detect: bool) -> None:
    assert split_auto(given) == (base, detect)


# --- in a run of pytest --------------------------------------------------------------------------

SYNONYMS = (ROOT / "synonyms_numpy.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("processes", [(), ("-n2",)], ids=["one process", "two processes"])
def test_pytest_grades_under_auto(
    processes: tuple[str, ...], hand_in: Callable[..., Path], grade: Callable[..., Any]
) -> None:
    hand_in(text=SYNONYMS)
    run = grade("--assignment", "auto", *processes)
    assert run.code == 0, run.out
    assert run.result["score"] == run.result["max_score"] == 100
    loss = run.result["functions"]["cross_entropy"]["convention"]
    assert loss["graded"]
    assert [d["setting"] for d in loss["differences"]][:2] == [
        'prediction = "logits"', 'targets = "class-indices"'
    ]  # fmt: skip
    assert any(note.startswith("`xent` was graded as") for note in run.result["notes"])
    assert {c["outcome"] for c in run.criteria.values() if c["max_score"]} == {"passed"}


def test_pytest_takes_another_assignment_to_start_from(
    hand_in: Callable[..., Path], grade: Callable[..., Any]
) -> None:
    hand_in(text=SYNONYMS)
    run = grade("--assignment", "auto:d2l")
    assert run.result["assignment"]["name"] == "d2l"
    convention = run.result["functions"]["cross_entropy"]["convention"]
    # Indices are d2l's own, and it accepts the mean.
    assert [d["setting"] for d in convention["differences"]] == [
        'prediction = "logits"', 'names = ["cross_entropy", "xent"]'
    ]  # fmt: skip
    # The logarithm of a softmax overflows at net inputs that d2l, being strict, asks for.
    assert {key for key, c in run.criteria.items() if c["outcome"] == "failed"} == {
        "cross_entropy.large_logits"
    }


def test_an_unknown_assignment_to_start_from_is_named(grade: Callable[..., Any]) -> None:
    run = grade("--assignment", "auto:stat543")
    assert run.code == 4
    assert "no assignment 'stat543' (did you mean 'stat453'?)" in run.err
