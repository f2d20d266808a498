"""What a student reads: one screen, in order, in every readable report, nothing that is hidden."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from lossgrade.assignment import load_assignment
from lossgrade.engine import make_result
from lossgrade.reports import Request, pictures, render, terminal
from lossgrade.reports.feedback import chosen
from lossgrade.result import (
    ChartRecord,
    ConventionRecord,
    CounterexampleRecord,
    DiagnosisRecord,
    DifferenceRecord,
    LayerRecord,
    SandboxRecord,
    SubmissionRecord,
)
from records import PRICED, SECRET, Screen, assert_page_is_sound, criterion, result

if TYPE_CHECKING:
    from pathlib import Path

    from lossgrade.result import Result

EXPLANATION = "You normalise over the batch: each column sums to 1, not each row."
FIX = "Sum over the classes of each example."
EVIDENCE = "All 14 results equal softmax over axis 0."
SOURCE = "STAT 453, lecture 8.7.2"
DIAGNOSIS = DiagnosisRecord(
    misconception="softmax-over-batch-axis",
    explanation=EXPLANATION,
    confidence=1,
    source=SOURCE,
    fix=FIX,
    evidence=EVIDENCE,
    rule="LG302",
)
EXAMPLE = CounterexampleRecord(
    input=["z = [[0., 0.]]"], expected="[[0.5, 0.5]]", found="[[1., 1.]]",
    steps=["exp(0) = 1, exp(0) = 1", "1 / 2 = 0.5"],
)  # fmt: skip


def finding(code: str, row: int, **changes: Any) -> dict[str, Any]:
    place = {"filename": "hw.py", "location": {"row": row, "column": 5}, "cell": None}
    return {
        "code": code, "name": "n", "message": "the linter's own words", "severity": "error",
        "related": [], **place, **changes,
    }  # fmt: skip


def wrong_axis(**changes: Any) -> Result:
    """Return the result of a softmax over the wrong axis, with all that can be told of it."""
    made = result(
        criterion("one_hot.a"),
        criterion(
            "cross_entropy.a", outcome="failed", max_score=1.0, message="Off by one", hint=""
        ),
        criterion("softmax.a", outcome="failed", max_score=20.0),
        criterion("softmax.b", outcome="failed", kind="law"),
        criterion("class_label.a"),
        **{
            "findings": [
                finding("LG401", 22, severity="warning"),
                finding("LG403", 14, severity="warning"),
                finding("LG302", 12),
                finding("LG502", 30, severity="warning"),
            ],
            **changes,
        },
    )
    made.functions["softmax"].diagnosis = DIAGNOSIS
    made.functions["softmax"].counterexample = EXAMPLE
    return made


def screen(made: Result, columns: int = 80, reports: tuple[Request, ...] = ()) -> list[str]:
    written = Screen()
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(columns)
    try:
        terminal.show(made, written, reports)
    finally:
        os.environ.pop("COLUMNS")
        if before is not None:
            os.environ["COLUMNS"] = before
    return written.lines


def everywhere(made: Result) -> dict[str, str]:
    """Return every readable report, as text without markup."""
    page = assert_page_is_sound(render("html", made))
    return {
        "terminal": " ".join(" ".join(screen(made)).split()),
        "markdown": " ".join(re.sub(r"\\(.)", r"\1", render("markdown", made)).split()),
        "html": " ".join(page.text.partition("}\n}\n")[2].split()),
    }


def in_order(text: str, *pieces: str) -> None:
    places = [text.find(piece) for piece in pieces]
    assert -1 not in places, (pieces[places.index(-1)], text)
    assert places == sorted(places), dict(zip(pieces, places, strict=True))


# ---- the order ---------------------------------------------------------------------------


def test_what_works_comes_first_then_one_thing_to_mend_then_the_rest() -> None:
    for text in everywhere(wrong_axis()).values():
        in_order(
            text,
            "What works:",
            "Mend this first",
            EXPLANATION,
            "line 12: this softmax runs over the batch",
            "z = [[0., 0.]]",
            "[[1., 1.]]",
            "[[0.5, 0.5]]",
            "1 / 2 = 0.5",
            f"Read again: {SOURCE}",
            "Off by one",
        )
        assert text.count("Mend this first") == 1
        assert FIX in text
        assert EVIDENCE in text


def test_the_function_that_lost_most_is_mended_first() -> None:
    feedback = chosen(
        result(
            criterion("one_hot.a", outcome="failed", max_score=3.0),
            criterion("one_hot.b", outcome="failed", max_score=3.0),
            criterion("softmax.a", outcome="failed", max_score=5.0),
        )
    )
    assert feedback.mend is not None
    assert (feedback.mend.function, feedback.mend.lost, feedback.mend.more) == ("one_hot", 6, 1)
    assert [mend.function for mend in feedback.rest] == ["softmax"]


def test_what_fails_for_one_reason_is_told_once() -> None:
    same = {"outcome": "failed", "message": "the submission cannot be loaded: no", "hint": ""}
    names = ("one_hot", "softmax", "cross_entropy")
    made = result(*(criterion(f"{name}.a", **same) for name in names))
    assert chosen(made).rest == ()
    for text in everywhere(made).values():
        assert "one_hot, softmax, cross_entropy" in text
        assert "6 points lost" in text


def test_what_is_known_stands_in_for_a_diagnosis() -> None:
    made = wrong_axis()
    made.functions["softmax"].diagnosis = None
    made.functions["softmax"].known = ["Right for two classes, wrong for more."]
    for text in everywhere(made).values():
        in_order(text, "The message of softmax.a", "Right for two classes, wrong for more.")
        assert EXPLANATION not in text


def test_full_marks_have_nothing_to_mend() -> None:
    for text in everywhere(result(criterion(), criterion("one_hot.a"))).values():
        assert "What works" in text
        assert "Mend" not in text


@pytest.mark.parametrize(
    ("lost", "says"), [(1.0, "1 point lost"), (2.0, "2 points lost"), (0.5, "0.5 points lost")]
)
def test_points_are_counted_in_words(lost: float, says: str) -> None:
    for text in everywhere(result(criterion(outcome="failed", max_score=lost))).values():
        assert f"({says})" in text


def test_a_recognised_convention_is_told() -> None:
    made = wrong_axis()
    difference = DifferenceRecord(
        setting='order = "targets-first"', says="the targets come first", change="Swap them."
    )
    made.functions["cross_entropy"].convention = ConventionRecord(differences=[difference])
    made.functions["one_hot"].convention = ConventionRecord(differences=[difference], graded=True)
    for name in ("markdown", "html"):
        text = everywhere(made)[name]
        assert "is right under another convention: the targets come first. Swap them." in text
        assert "was graded under its own convention: the targets come first" in text


# ---- findings ----------------------------------------------------------------------------


def test_findings_stand_with_the_function_they_explain() -> None:
    feedback = chosen(wrong_axis())
    assert feedback.mend is not None
    assert [line[:8] for line in feedback.mend.causes] == ["line 12:"]
    assert [line[:8] for line in feedback.mend.besides] == ["line 14:"]
    assert [line[:8] for line in feedback.findings] == ["line 22:", "line 30:"]


def test_a_finding_names_its_file_where_there_are_several() -> None:
    made = wrong_axis(submission=SubmissionRecord(id="hw", path="/somewhere/hw"))
    assert "hw.py, line 12: this softmax" in everywhere(made)["markdown"]


def test_penalties_are_told_and_add_up() -> None:
    findings = [finding("LG302", 12), finding("LG101", 9), finding("LG502", 30)]
    made = result(criterion(max_score=10.0), findings=findings, assignment=PRICED)
    assert (made.score, made.penalty, made.outcome) == (6.5, 3.5, "failed")
    for name, text in everywhere(made).items():
        assert "6.5 of 10 points" in text, name
        assert "2.5 points off: line 12: this softmax runs over the batch" in text, name
        assert "1 point off: line 9:" in text, name
        assert re.search(r"-3\.5", text), name
        assert "line 30: `size_average`".replace("`", "" if name == "html" else "`") in text, name


# ---- one screen --------------------------------------------------------------------------


def worst() -> Result:
    """Return a result with more of everything than one screen has room for."""
    long = "something went wrong in a way that takes a great many words to tell " * 8
    names = ("one_hot", "softmax", "class_label", "cross_entropy", "entropy", "accuracy")
    criteria = [
        criterion(f"{name}.{letter}", outcome="failed", message=f"{name} {long}", hint=long)
        for name in names
        for letter in "abc"
    ]
    robust = {"kind": "robust", "max_score": 0, "max_bonus": 1.0, "outcome": "failed"}
    made = result(
        *criteria,
        *(criterion(f"sigmoid.{n}", message=long, **robust) for n in range(5)),
        findings=[finding("LG403", n, severity="warning") for n in range(1, 30)],
        notes=[long] * 9,
        sandbox=SandboxRecord(
            level="process",
            layers=[LayerRecord(name=f"layer {n}", on=False, note=long) for n in range(4)],
        ),
    )
    for name, part in made.functions.items():
        words = dict.fromkeys(("explanation", "fix", "evidence", "source"), f"{name} {long}")
        part.diagnosis = DIAGNOSIS.model_copy(update=words)
        part.counterexample = CounterexampleRecord(
            input=[long, long], expected=long, found=long, steps=[long] * 6
        )
        part.known = [long] * 5
        part.convention = ConventionRecord(
            differences=[DifferenceRecord(setting="s", says=long, change=long)]
        )
    return made


@pytest.mark.parametrize("columns", [80, 100])
@pytest.mark.parametrize("made", [wrong_axis(), worst()], ids=["ordinary", "the worst"])
def test_the_terminal_shows_one_screen(made: Result, columns: int) -> None:
    lines = screen(made, columns, reports=(Request("json", os.devnull),))  # type: ignore[arg-type]  # a path
    place = next(n for n, line in enumerate(lines) if line.startswith("isolation"))
    assert place <= terminal.SCREEN + 2
    assert all(len(line) <= columns for line in lines)
    assert any(line.startswith("Then:") for line in lines)
    assert any("Read again" in line for line in lines)


def test_a_person_reads_the_same_whatever_the_isolation() -> None:
    made = wrong_axis()
    short = screen(made)
    layers = [LayerRecord(name="uid drop", on=False, note="not allowed " * 30)]
    other = made.model_copy(update={"sandbox": SandboxRecord(level="limits", layers=layers)})
    long = screen(other)
    count = next(n for n, line in enumerate(short) if line.startswith("isolation"))
    assert short[:count] == long[:count]


# ---- what is hidden ----------------------------------------------------------------------


@pytest.mark.parametrize("visibility", ["hidden", "after_due_date", "after_published"])
@pytest.mark.parametrize("outcome", ["failed", "passed", "not-graded"])
@pytest.mark.parametrize("advice", [{}, {"kind": "robust", "max_score": 0, "max_bonus": 1.0}])
def test_nothing_is_told_of_hidden_criteria(
    visibility: str, outcome: str, advice: dict[str, Any]
) -> None:
    secret = dict.fromkeys(("explanation", "fix", "evidence", "source"), SECRET)
    diagnosis = DIAGNOSIS.model_copy(update=secret)
    example = CounterexampleRecord(input=[SECRET], expected=SECRET, found=SECRET, steps=[SECRET])
    made = result(
        criterion("softmax.shown", outcome="failed", message="shown"),
        criterion(
            "entropy.hidden", visibility=visibility, outcome=outcome, title=SECRET,
            message=SECRET, hint=SECRET, diagnosis=diagnosis, counterexample=example, **advice,
        ),
    )  # fmt: skip
    part = made.functions["entropy"]
    part.diagnosis, part.counterexample, part.known = diagnosis, example, [SECRET]
    difference = DifferenceRecord(setting=SECRET, says=SECRET, change=SECRET)
    part.convention = ConventionRecord(differences=[difference])
    for name in ("markdown", "html"):
        text = render(name, made)
        assert SECRET not in text
        assert "shown" in text
        assert "1 criterion that is not shown" in text
    assert SECRET not in " ".join(screen(made))


# ---- the page ----------------------------------------------------------------------------

HOSTILE = [
    pytest.param("<script>alert(1)</script>", id="a script"),
    pytest.param('"><img src=x onerror=alert(1)>', id="an attribute"),
    pytest.param("</style></title></svg><script>", id="end tags"),
    pytest.param("{{ 7 * 7 }}{% for %}", id="a template"),
    pytest.param("`<b>`", id="code"),
    pytest.param("x" * 5000, id="a long token"),
    pytest.param("\u202egnp.exe \u2066\x1b[31m\x00\x07\u200f", id="turned and coloured"),
    pytest.param("&lt;&amp;&#60;", id="entities"),
]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_others_wrote_is_text(text: str) -> None:
    rows: list[list[float | None]] = [[0.5, 0.5]]
    made = result(
        criterion("softmax.a", outcome="failed", title=text, message=text, hint=text),
        criterion("one_hot.a", outcome="failed", function=text or "x"),
        submission=SubmissionRecord(id=text, path=f"/{text}"),
        notes=[text],
        printed=text,
        findings=[finding("LG999", 3, message=text, filename=text, name=text)],
        charts=[
            ChartRecord(
                kind="curves", title=text, alt=text, data={"yours": rows, "reference": rows}
            )
        ],
    )
    update = dict.fromkeys(("explanation", "fix", "evidence", "source"), text)
    made.functions["softmax"].diagnosis = DIAGNOSIS.model_copy(update=update)
    made.functions["softmax"].counterexample = CounterexampleRecord(
        input=[text], expected=text, found=text, steps=[text]
    )
    page = render("html", made)
    found = assert_page_is_sound(page)
    if "\x1b" not in text:
        assert " ".join(text.replace("`", "").split()) in found.text
    assert "49" not in found.text.partition("}\n}\n")[2] or "7 * 7" not in text
    for line in screen(made):
        assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200f]", line)


def test_the_page_is_whole_and_asks_for_nothing() -> None:
    text = render("html", wrong_axis())
    assert text.startswith("<!DOCTYPE html>\n")
    assert '<html lang="en">' in text
    assert "default-src 'none'" in text
    assert re.findall(r"https?://", text) == []
    assert '<meta name="viewport"' in text
    for wanted in ("<header>", "<main>", "<footer>", "<details>", "<summary>", "<h1>"):
        assert wanted in text
    for medium in ("@media (prefers-color-scheme: dark)", "@media print"):
        assert medium in text
    levels = [int(level) for level in re.findall(r"<h(\d)", text)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    for name in re.findall(r'aria-labelledby="([^"]+)"', text):
        assert f'id="{name}"' in text


def _luminance(colour: str) -> float:
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_every_colour_of_text_has_contrast() -> None:
    """At least 4.5 to 1, as WCAG 2.2 asks for (1.4.3), on both grounds, light and dark."""
    schemes = re.findall(r":root \{([^}]*)\}", render("html", result(criterion())))
    assert len(schemes) == 2
    for scheme in schemes:
        colours = dict(re.findall(r"--(\w+): (#\w{6})", scheme))
        for name in ("ink", "soft", "good", "bad", "link"):
            for ground in ("ground", "panel"):
                pair = sorted((_luminance(colours[name]), _luminance(colours[ground])))
                assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5, (name, ground)


def test_a_picture_that_cannot_be_drawn_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("no fonts")

    monkeypatch.setattr(pictures, "svg", fail)
    rows: list[list[float | None]] = [[0.5, 0.5]]
    data = {"yours": rows, "reference": rows}
    made = result(criterion(), charts=[ChartRecord(kind="curves", title="t", alt="a", data=data)])
    assert assert_page_is_sound(render("html", made)).pictures == 0


def test_the_language_of_the_page_is_that_of_the_result() -> None:
    made = result(criterion()).model_copy(update={"language": "zh"})
    assert '<html lang="zh">' in render("html", made)


def test_nothing_was_graded() -> None:
    lines = load_assignment("stat453")[0]
    made = make_result(
        (), {}, assignment=lines, submission=SubmissionRecord(id="hw", path="hw.py"), seed="0",
        started_at="", duration_s=0, sandbox=SandboxRecord(level="none"),
    )  # fmt: skip
    assert_page_is_sound(render("html", made))
    assert "not run" in " ".join(screen(made))


# ---- a run -------------------------------------------------------------------------------


@pytest.mark.parametrize("processes", [0, 2], ids=["one process", "pytest-xdist"])
def test_a_run_writes_the_page_with_its_pictures(
    processes: int, grade: Any, hand_in: Any, pytester: pytest.Pytester
) -> None:
    if processes:
        pytest.importorskip("xdist")
    hand_in("softmax-over-batch-axis/stat453_numpy.py")
    spread = ("-n", str(processes)) if processes else ()
    run = grade("--lossgrade-report", "html:out/feedback.html", "--tb=no", *spread)
    assert run.code == 1
    assert [chart["kind"] for chart in run.result["charts"]] == ["heatmaps", "curves"]
    page = assert_page_is_sound((pytester.path / "out/feedback.html").read_text("utf-8"))
    assert page.pictures == 2
    assert "report (html): out/feedback.html" in run.out


def test_no_charts_are_made_for_reports_without_pictures(grade: Any, hand_in: Any) -> None:
    hand_in("softmax-over-batch-axis/stat453_numpy.py")
    assert grade("--tb=no").result["charts"] == []


BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


def test_a_browser_shows_the_page_without_complaint(tmp_path: Path) -> None:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("no Chromium on this machine")
    page = tmp_path / "feedback.html"
    page.write_text(render("html", wrong_axis()), encoding="utf-8")
    done = subprocess.run(
        [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
            "--host-resolver-rules=MAP * ~NOTFOUND", "--dump-dom", page.as_uri(),
        ],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert EXPLANATION in done.stdout
    assert "CONSOLE" not in done.stderr
