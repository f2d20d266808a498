"""What the linter finds in a submission: tied to functions, told to students, priced."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from lossgrade import findings
from lossgrade.assignment import (
    AssignmentError,
    LintSettings,
    load_assignment,
    parse_assignment,
)
from lossgrade.findings import Linted, lint, look_over, shows_in, take_off, told
from lossgrade.submission import Submission
from lossgrade_checks.rules import all_rules
from records import criterion

if TYPE_CHECKING:
    from pathlib import Path

DOUBLE = """\
import torch
import torch.nn.functional as F

def softmax(z):
    return torch.softmax(z, dim=1)

def train(z, y):
    return F.cross_entropy(softmax(z), y)
"""
CLASSES = "head = torch.nn.Linear(4, 10)\n\ndef loss(x, y):\n    p = softmax(head(x))\n"
NAIVE = (
    "import torch\n\ndef softmax(z):\n    return torch.exp(z) / torch.exp(z).sum(1, keepdim=True)\n"
)


def put(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def codes(linted: Linted) -> list[str]:
    return [item["code"] for item in linted.findings]


def finding(code: str = "LG101", **changes: Any) -> dict[str, Any]:
    place = {"filename": "hw.py", "location": {"row": 12, "column": 1}, "cell": None}
    return {"code": code, "message": "m", "severity": "error", **place, **changes}


# ---- finding -----------------------------------------------------------------------------


def test_a_file_is_linted_and_named_as_it_was_handed_in(tmp_path: Path) -> None:
    put(tmp_path, hw_dot_py=DOUBLE)
    linted = lint(Submission.at(tmp_path / "hw.py"))
    assert codes(linted) == ["LG101"]
    (item,) = linted.findings
    assert (item["filename"], item["location"]["row"]) == ("hw.py", 8)
    assert item["related"][0]["filename"] == "hw.py"
    assert linted.notes == []
    json.dumps(linted.findings)


def test_a_folder_is_linted_across_its_files(tmp_path: Path) -> None:
    loss = (
        "import torch.nn.functional as F\nfrom model import net\n\n"
        "def train(z, y):\n    return F.cross_entropy(net(z), y)\n"
    )
    model = "import torch\n\ndef net(z):\n    return torch.softmax(z, dim=1)\n"
    put(tmp_path, model_dot_py=model, sub__train_dot_py="x = 1\n", train_dot_py=loss)
    linted = lint(Submission.at(tmp_path))
    assert [(i["code"], i["filename"]) for i in linted.findings] == [("LG101", "train.py")]
    assert linted.findings[0]["related"][0]["filename"] == "model.py"


def test_a_notebook_is_linted(tmp_path: Path) -> None:
    cells = [{"cell_type": "code", "source": NAIVE.splitlines(keepends=True)}]
    text = json.dumps({"cells": cells, "nbformat": 4, "nbformat_minor": 5, "metadata": {}})
    put(tmp_path, hw_dot_ipynb=text)
    (item,) = lint(Submission.at(tmp_path / "hw.ipynb")).findings
    assert told(item).startswith("cell 1, line 4: exp overflows")


def test_the_files_of_others_are_not_read(tmp_path: Path) -> None:
    """Neighbours of a file may be other students' submissions."""
    loss = (
        "import torch.nn.functional as F\nfrom other import net\n\n"
        "def train(z, y):\n    return F.cross_entropy(net(z), y)\n"
    )
    other = "import torch\n\ndef net(z):\n    return torch.softmax(z, dim=1)\n"
    put(tmp_path, mine_dot_py=loss, other_dot_py=other)
    assert codes(lint(Submission.at(tmp_path / "mine.py"))) == []
    assert codes(lint(Submission.at(tmp_path))) == ["LG101"]


@pytest.mark.parametrize(
    "comment", ["# noqa", "# NOQA: LG403", "# lossgrade: noqa\n"], ids=["noqa", "code", "file"]
)
def test_a_comment_silences_nothing(comment: str, tmp_path: Path) -> None:
    text = NAIVE.rstrip("\n") + f"  {comment}\n"
    if comment.startswith("# lossgrade"):
        text = comment + NAIVE
    put(tmp_path, hw_dot_py=text)
    assert codes(lint(Submission.at(tmp_path / "hw.py"))) == ["LG403"]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("def softmax(:\n", id="no Python"),
        pytest.param("import torch\nsoftmax(" + "(" * 3000, id="brackets"),
        pytest.param("import torch\nx = softmax(1)" + "+torch.exp(1)" * 4000, id="a long sum"),
        pytest.param("import torch\nx = torch" + ".softmax" * 8000, id="a long chain"),
        pytest.param("\x00 softmax", id="NUL"),
        pytest.param("# -*- coding: nonsense -*-\nsoftmax", id="an encoding that is none"),
    ],
)
def test_hostile_files_end_in_no_error(text: str, tmp_path: Path) -> None:
    put(tmp_path, hw_dot_py=text)
    linted = lint(Submission.at(tmp_path / "hw.py"))
    assert set(codes(linted)) <= {"LG000"}


def test_too_much_code_is_left_out_and_said(tmp_path: Path) -> None:
    put(tmp_path, big_dot_py=NAIVE + "x = 1\n" * 20_000, small_dot_py=NAIVE)
    linted = lint(Submission.at(tmp_path))
    assert {item["filename"] for item in linted.findings} == {"small.py"}
    assert linted.notes == ["the linter left out 1 of the files"]


def test_a_failure_of_the_linter_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyError("ours")

    monkeypatch.setattr(findings, "_lint", fail)
    put(tmp_path, hw_dot_py=NAIVE)
    assert lint(Submission.at(tmp_path / "hw.py")) == ([], ["the linter failed: KeyError"])


# ---- telling -----------------------------------------------------------------------------


def test_every_rule_has_a_sentence_for_students() -> None:
    assert set(findings.SENTENCES) == {rule.code for rule in all_rules()} | {"LG000"}
    for sentence in findings.SENTENCES.values():
        assert len(sentence) <= 85, sentence
        assert not sentence.endswith("."), sentence
        assert sentence.count("`") % 2 == 0, sentence


def test_the_floor_of_the_loss_is_told() -> None:
    message = (
        "`cross_entropy` applies softmax itself; of 10 classes, its loss cannot fall below 1.461"
    )
    assert told(finding(message=message)) == (
        "line 12: softmax before `cross_entropy` is why your loss never falls below 1.461: "
        "give it the logits"
    )
    assert told(finding()).startswith("line 12: `cross_entropy` applies softmax itself")


def test_a_file_is_named_where_that_is_wanted() -> None:
    assert told(finding("LG302"), named=True).startswith("hw.py, line 12: this softmax runs over")
    assert told(finding("LG302", cell=3)).startswith("cell 3, line 12: ")


def test_a_rule_that_is_not_known_tells_its_message() -> None:
    assert told(finding("LG999", message="something new")) == "line 12: something new"


@pytest.mark.parametrize(
    ("code", "functions"),
    [
        ("LG101", ("softmax", "cross_entropy")),
        ("LG106", ("sigmoid", "binary_cross_entropy")),
        ("LG112", ("softmax", "cross_entropy")),
        ("LG201", ("one_hot", "cross_entropy")),
        ("LG302", ("softmax", "log_softmax")),
        ("LG403", ("softmax", "log_softmax")),
        ("LG401", ("cross_entropy", "nll_loss")),
        ("LG602", ()),
    ],
)
def test_rules_show_in_functions(code: str, functions: tuple[str, ...]) -> None:
    assert tuple(shows_in(code)) == functions


# ---- penalties ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("score", "penalties", "each", "total"),
    [
        pytest.param(10, {"LG101": 2}, [2, 0], 2, id="one rule"),
        pytest.param(10, {"LG1": 0.5, "LG4": 1.25}, [0.5, 1.25], 1.75, id="prefixes"),
        pytest.param(10, {"LG1": 5, "LG101": 0}, [0, 0], 0, id="the longest prefix decides"),
        pytest.param(2.5, {"LG1": 2, "LG4": 2}, [2, 0.5], 2.5, id="never below 0"),
        pytest.param(0, {"LG1": 2}, [0, 0], 0, id="of nothing"),
        pytest.param(10, {}, [0, 0], 0, id="none asked for"),
    ],
)
def test_points_are_taken_off(
    score: float, penalties: dict[str, float], each: list[float], total: float
) -> None:
    priced, penalty = take_off(
        [finding("LG101"), finding("LG403")], LintSettings(penalties=penalties), score
    )
    assert [item.get("penalty", 0) for item in priced] == each
    assert penalty == total


@pytest.mark.parametrize("key", ["LG", "LG1011", "E501", "lg101"])
def test_a_code_that_is_none_is_refused(key: str) -> None:
    text = (
        f'name = "own"\n[lint]\npenalties = {{ {key} = 1 }}\n'
        '[functions.softmax]\nnames = ["s"]\npoints = 1\n'
    )
    with pytest.raises(AssignmentError, match=r"own.toml:3: lint.penalties.* expected"):
        parse_assignment(text, "own.toml")


# ---- a run -------------------------------------------------------------------------------

OWN = """
name = "own"
library = "torch"
[lint]
penalties = { LG101 = 2 }
[functions.softmax]
names = ["softmax"]
points = 10
"""
RIGHT = DOUBLE.replace("torch.softmax(z, dim=1)", "torch.softmax(z, dim=1).clone()")


def test_a_penalty_of_a_submission_that_is_right_otherwise(
    grade: Any, hand_in: Any, pytester: pytest.Pytester
) -> None:
    hand_in(text=RIGHT)
    (pytester.path / "own.toml").write_text(OWN, encoding="utf-8")
    reports = ("gradescope:scores.json", "markdown:feedback.md")
    run = grade(
        "--assignment", "own.toml", *(f"--lossgrade-report={each}" for each in reports),
        "--tb=no", "-q",
    )  # fmt: skip
    record = run.result
    assert (record["score"], record["penalty"], record["outcome"]) == (8, 2, "failed")
    assert record["functions"]["softmax"]["score"] == 10
    (item,) = record["findings"]
    assert (item["code"], item["filename"], item["penalty"]) == ("LG101", "hw.py", 2)
    assert run.code == 1
    assert "-2 for what the linter found" in run.out
    assert "2 points off: line 8: " in run.out
    scores = json.loads((pytester.path / "scores.json").read_text("utf-8"))
    assert scores["score"] == 8
    assert "2 points off: line 8: " in scores["output"]
    page = (pytester.path / "feedback.md").read_text("utf-8")
    assert "**8 of 10 points**" in page
    assert "2 points off: line 8: " in page


def test_who_has_full_marks_waits_for_no_linter(grade: Any, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        spy="""
        import sys
        from pathlib import Path

        def pytest_unconfigure():
            loaded = {"lossgrade_checks", "matplotlib", "jinja2"} & set(sys.modules)
            Path("imported").write_text(" ".join(sorted(loaded)))
        """
    )
    assert grade("-p", "spy").result["findings"] == []
    assert (pytester.path / "imported").read_text("utf-8") == ""


def test_findings_stand_in_the_record_where_points_were_lost(grade: Any, hand_in: Any) -> None:
    hand_in("softmax-over-batch-axis/stat453_torch.py")
    run = grade("--tb=no")
    assert [item["code"] for item in run.result["findings"]] == ["LG403"]
    assert run.result["penalty"] == 0
    spread = grade("--tb=no", "-n", "2")
    assert spread.result["findings"] == run.result["findings"]


def test_what_the_assignment_asks_for_is_no_finding(tmp_path: Path) -> None:
    """A cross entropy of probabilities takes their logarithm, as it is told to."""
    path = tmp_path / "hw.py"
    path.write_text(
        "import torch\n"
        "def softmax(z):\n    return torch.softmax(z, dim=0)\n"
        "def cross_entropy(p, t):\n    return -(t * torch.log(p)).sum(dim=1)\n"
        "print(cross_entropy(softmax(torch.ones(2, 2)), torch.eye(2)))\n"
    )
    assignment, _ = load_assignment("stat453")
    failed = [criterion("softmax.random_float32", outcome="failed")]
    every = set(codes(lint(Submission.at(path))))
    assert "LG401" in every
    assert set(codes(look_over(Submission.at(path), assignment, failed))) == every - {
        "LG401",
        "LG404",
    }
    priced = assignment.lint.model_copy(update={"penalties": {"LG4": 1.0}})
    asked = assignment.model_copy(update={"lint": priced})
    assert "LG401" in codes(look_over(Submission.at(path), asked, failed))
