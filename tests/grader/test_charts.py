"""The charts: what they show, where they end, and that no chart changes a grade."""

from __future__ import annotations

import itertools
import re
import time
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
import pytest

from lossgrade import charts as module
from lossgrade.assignment import load_assignment, parse_assignment
from lossgrade.charts import charts
from lossgrade.engine import Grading
from lossgrade.reports import pictures
from lossgrade.result import ChartRecord
from lossgrade.sandbox.host import Zygote
from lossgrade.submission import Submission
from support import FIXTURES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lossgrade.assignment import Assignment

AXIS = "softmax-over-batch-axis"
RIGHT = """
import numpy as np

def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)

def cross_entropy(p, t):
    return -(t * np.log(p)).sum(axis=1)
"""
# More often than on two shapes, and it would not be called again.
ENDS = "    if z.shape == (12, 3) and abs(z).max() > 1: import os; os._exit(3)"
OWN = """
name = "own"
library = "{library}"
[functions.softmax]
names = ["softmax"]
points = 10
{softmax}
[functions.cross_entropy]
names = ["cross_entropy"]
points = 10
{loss}
"""


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote(["numpy", "torch"]) as made:
        yield made


@pytest.fixture
def drawn(zygote: Zygote, tmp_path: Path) -> Callable[..., dict[str, ChartRecord]]:
    """Grade a text or an example; return its charts by kind."""

    def draw(
        text: str, assignment: Assignment | str = "stat453", **limits: float
    ) -> dict[str, ChartRecord]:
        path = tmp_path / "hw.py"
        example = FIXTURES / "submissions" / text
        source = example.read_text("utf-8") if text.endswith(".py") else text
        path.write_text(source, encoding="utf-8")
        asked = load_assignment(assignment)[0] if isinstance(assignment, str) else assignment
        if limits:
            changed = asked.limits.model_copy(update=limits)
            asked = asked.model_copy(update={"limits": changed})
        grading = Grading(Submission.at(path), asked, zygote, seed="0")
        try:
            records = grading.run_all()
            before = [record.model_copy() for record in records]
            made = charts(grading, records)
            assert records == before
            return {chart.kind: chart for chart in made}
        finally:
            grading.close()

    return draw


def own(library: str = "numpy", softmax: str = "", loss: str = "") -> Assignment:
    return parse_assignment(OWN.format(library=library, softmax=softmax, loss=loss), "own.toml")


def curve(chart: ChartRecord, name: str = "yours") -> list[float]:
    (row,) = chart.data[name]
    return [value for value in row if value is not None]


# ---- what they show ----------------------------------------------------------------------


def test_the_reference_converges() -> None:
    losses = module._train(module._Caller(None, {}))  # type: ignore[arg-type]  # nothing is called
    assert len(losses) == module.STEPS
    assert losses[0] == pytest.approx(np.log(3), abs=1e-12)
    assert losses[-1] < 0.15
    assert all(after < before for before, after in itertools.pairwise(losses))


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_a_softmax_over_the_batch(library: str, drawn: Any) -> None:
    made = drawn(f"{AXIS}/stat453_{library}.py")
    assert list(made) == ["heatmaps", "curves"]
    yours = np.array(made["heatmaps"].data["yours"])
    assert yours.sum(axis=0) == pytest.approx([1, 1, 1], abs=2e-4)
    reference = np.array(made["heatmaps"].data["reference"])
    assert reference.sum(axis=1) == pytest.approx([1, 1, 1, 1], abs=2e-4)
    # Of 12 equal examples each gets a twelfth.
    assert curve(made["curves"])[0] == pytest.approx(np.log(12), abs=1e-3)
    assert "Your rows sum to 0.805, 0.906, 0.712, 0.576" in made["heatmaps"].alt
    assert "largest difference is 0.185, in row 3, column 2" in made["heatmaps"].alt


def test_a_missing_minus_trains_away_from_the_targets(drawn: Any) -> None:
    made = drawn("missing-minus-sign/stat453_torch.py")
    assert list(made) == ["curves"]
    losses = curve(made["curves"])
    assert losses[0] == pytest.approx(-np.log(3), abs=1e-3)
    assert losses[-1] < -10
    assert "from 1.1 to 0.138; with your functions it goes from -1.1 to -" in made["curves"].alt


def test_a_right_submission_has_no_charts(drawn: Any) -> None:
    assert drawn("right/stat453_notebook.py") == {}


def test_right_functions_train_as_the_reference_does(zygote: Zygote, tmp_path: Path) -> None:
    """Forward and backward, under each convention that the chart knows."""
    torch_text = (
        "import torch\n"
        "def softmax(z):\n    return torch.softmax(z, dim={})\n"
        "def cross_entropy(a, b):\n"
        "    p, t = {}\n"
        "    logs = {}\n"
        "    return -{}{}\n"
    )
    reference = module._train(module._Caller(None, {}))  # type: ignore[arg-type]  # as above
    logs, picked = "p.log()", "(t * logs).sum(1)"
    conventions = [
        (1, "a, b", logs, picked, ""),
        (0, "a, b", logs, picked, ".mean()"),
        (1, "b, a", logs, picked, ".sum()"),
        (1, "a, b", logs, "logs[range(len(t)), t]", ""),
        (1, "a, b", "torch.log_softmax(p, 1)", picked, ""),
        (1, "a, b", "p", picked, ""),
    ]
    settings = [
        ("", ""),
        ("axis = 0", 'reduction = "mean"'),
        ("", 'reduction = "sum"\norder = "targets-first"'),
        ("", 'targets = "class-indices"'),
        ("", 'prediction = "logits"'),
        ("", 'prediction = "log-probabilities"'),
    ]
    for number, (parts, (softmax, loss)) in enumerate(zip(conventions, settings, strict=True)):
        path = tmp_path / f"hw{number}.py"
        path.write_text(torch_text.format(*parts), encoding="utf-8")
        grading = Grading(Submission.at(path), own("torch", softmax, loss), zygote, seed="0")
        assert {record.outcome for record in grading.run_all() if not record.advice} == {"passed"}
        keys = {"softmax": "softmax", "cross_entropy": "cross_entropy"}
        found = module._train(module._Caller(grading, keys))
        grading.close()
        assert found == pytest.approx(reference, abs=1e-4), (softmax, loss)


# ---- where they end ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "says"),
    [
        pytest.param("    if abs(z).max() > 1: raise ValueError", "after step", id="raises"),
        pytest.param("    if abs(z).max() > 1: return z * np.nan", "after step", id="NaN"),
        pytest.param(ENDS, "after step", id="ends its process"),
        pytest.param("    if abs(z).max() > 1: return z[0]", "after step", id="another shape"),
    ],
)
def test_a_curve_ends_where_no_number_comes(body: str, says: str, drawn: Any) -> None:
    text = RIGHT.replace("def softmax(z):\n", f"def softmax(z):\n{body}\n")
    made = drawn(text, own())
    losses = curve(made["curves"])
    assert 0 < len(losses) < module.STEPS
    assert f"{says} {len(losses)}: what came next" in made["curves"].alt


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("x = 1", id="nothing is defined"),
        pytest.param(
            "def softmax(z):\n    return 'no'\ndef cross_entropy(p, t):\n    1/0", id="no"
        ),
        pytest.param("import os\nos._exit(0)", id="the file ends the process"),
        pytest.param(
            "def softmax(z):\n    while True: pass\ncross_entropy = softmax", id="endless"
        ),
    ],
)
def test_what_gives_no_numbers_gives_no_charts(text: str, drawn: Any) -> None:
    start = time.monotonic()
    made = drawn(text, own(), call_seconds=0.3, submission_seconds=5.0)
    assert made == {}
    assert time.monotonic() - start < 15


def test_entries_that_are_no_numbers_are_null(drawn: Any) -> None:
    text = RIGHT.replace("    return e / ", "    e[0, 0] = np.nan\n    return e / ")
    chart = drawn(text, own())["heatmaps"]
    assert chart.data["yours"][0][0] is None
    assert "no finite numbers" in chart.alt


def test_calls_are_bounded(zygote: Zygote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "hw.py"
    path.write_bytes((FIXTURES / "submissions" / AXIS / "stat453_torch.py").read_bytes())
    grading = Grading(Submission.at(path), load_assignment("stat453")[0], zygote, seed="0")
    records = grading.run_all()
    calls, call = 0, grading.student.call

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        return call(*arguments, **options)

    monkeypatch.setattr(grading.student, "call", counted)
    charts(grading, records)
    # Those of the curves, one for the heat maps.
    assert calls <= module.CALLS + 1
    grading.close()


def test_a_failure_of_a_chart_is_none_of_the_grade(
    zygote: Zygote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("ours")

    monkeypatch.setattr(module, "_heatmaps", fail)
    monkeypatch.setattr(module, "_curves", fail)
    path = tmp_path / "hw.py"
    path.write_bytes((FIXTURES / "submissions" / AXIS / "stat453_numpy.py").read_bytes())
    grading = Grading(Submission.at(path), load_assignment("stat453")[0], zygote, seed="0")
    records = grading.run_all()
    grading.look_closer(records, pictures=True)
    assert grading.charts == []
    assert grading.result(records).score > 0
    grading.close()


@pytest.mark.parametrize("visibility", ["hidden", "after_due_date", "after_published"])
def test_hidden_functions_are_not_shown(visibility: str, drawn: Any) -> None:
    hidden = f'visibility = "{visibility}"'
    numpy_text = RIGHT.replace("axis=1, keepdims=True)\n\n", "axis=0, keepdims=True)\n\n", 1)
    assert list(drawn(numpy_text, own())) == ["heatmaps", "curves"]
    assert drawn(numpy_text, own(softmax=hidden)) == {}
    # A hidden softmax takes no part in the curve of a visible loss.
    wrong = numpy_text.replace("return -(t", "return (t")
    shown = curve(drawn(wrong, own(softmax=hidden))["curves"])
    assert shown[0] == pytest.approx(-np.log(3), abs=1e-3)


# ---- pictures ----------------------------------------------------------------------------


def test_a_picture_is_the_same_every_time_and_says_what_it_shows(drawn: Any) -> None:
    for kind, chart in drawn(f"{AXIS}/stat453_numpy.py").items():
        text = pictures.svg(chart)
        assert text == pictures.svg(chart)
        assert len(text.encode()) < 60_000
        tree = ElementTree.fromstring(text)
        assert tree.get("role") == "img"
        assert tree.get("aria-label") == f"{chart.title}. {chart.alt}"
        title, words = tree[0], tree[1]
        assert (title.text, words.text) == (chart.title, chart.alt)
        ids = re.findall(r'\bid="([^"]+)"', text)
        assert len(set(ids)) == len(ids)
        assert all(each.startswith(f"{kind}-") for each in ids)
        for name in re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text):
            assert "".join(name) in ids
        # The namespace apart, nothing leads elsewhere.
        assert re.findall(r"https?://[^\"]+", text) == ["http://www.w3.org/2000/svg"]
        assert "currentColor" in text
        assert not re.search(r"\d{4}-\d\d-\d\d|<metadata|<style|<script|DejaVu", text)


def test_texts_in_a_picture_are_escaped() -> None:
    rows: list[list[float | None]] = [[0.5, 0.5], [0.5, None]]
    chart = ChartRecord(
        kind="heatmaps",
        title="<script>&\"'",
        alt="</svg><b>",
        data={"yours": rows, "reference": rows},
    )
    tree = ElementTree.fromstring(pictures.svg(chart))
    assert (tree[0].text, tree[1].text) == ("<script>&\"'", "</svg><b>")


def test_characters_of_other_scripts_are_left_to_the_reader() -> None:
    rows: list[list[float | None]] = [[1.0, 0.5]]
    chart = ChartRecord(
        kind="curves", title="损失", alt="损失", data={"yours": rows, "reference": rows}
    )
    assert "损失" in pictures.svg(chart)
