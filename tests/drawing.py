"""Result records as Hypothesis draws them: any at all that the engine could make."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from lossgrade.assignment import load_assignment
from lossgrade.result import (
    ChartRecord,
    ConventionRecord,
    CounterexampleRecord,
    CriterionRecord,
    DiagnosisRecord,
    DifferenceRecord,
    LayerRecord,
    Result,
    SandboxRecord,
    SubmissionRecord,
)
from records import PRICED, result

HOSTILE = "<script>alert(1)</script> | a | `b` ``c`` *d* _e_ [f](javascript:g) <!-- h --> &lt; \\"

TEXTS = st.text(max_size=40) | st.sampled_from([HOSTILE, "a\nb", "\ud800", "\x1b[31m", "```", ""])
CENTS = st.integers(0, 10_000).map(lambda cents: cents / 100)


LINES = st.lists(TEXTS, max_size=4)
COUNTEREXAMPLES = st.builds(
    CounterexampleRecord, input=LINES, expected=TEXTS, found=TEXTS, steps=LINES
)
DIAGNOSES = st.builds(
    DiagnosisRecord,
    misconception=TEXTS, explanation=TEXTS, confidence=st.floats(0, 1), source=TEXTS, fix=TEXTS,
    evidence=TEXTS, rule=st.sampled_from(["", "LG302", "LG999"]),
)  # fmt: skip
DIFFERENCES = st.builds(DifferenceRecord, setting=TEXTS, says=TEXTS, change=TEXTS)
CONVENTIONS = st.builds(
    ConventionRecord, differences=st.lists(DIFFERENCES, max_size=2), graded=st.booleans()
)
FINDINGS = st.fixed_dictionaries(
    {
        "code": st.sampled_from(["LG000", "LG101", "LG302", "LG403", "LG999"]),
        "name": TEXTS,
        "message": TEXTS,
        "severity": st.sampled_from(["error", "warning", "info"]),
        "filename": TEXTS,
        "location": st.fixed_dictionaries({"row": st.integers(1), "column": st.integers(1)}),
        "cell": st.none() | st.integers(1, 9),
        "related": st.just([]),
    }
)
CELLS = st.none() | st.floats(-1e6, 1e6)


@st.composite
def charts(draw: st.DrawFn) -> ChartRecord:
    kind: Any = draw(st.sampled_from(["heatmaps", "curves"]))
    rows, columns = (1, 40) if kind == "curves" else (4, 3)
    numbers = st.lists(st.floats(0, 9), min_size=columns, max_size=columns)
    reference: Any = draw(st.lists(numbers, min_size=rows, max_size=rows))
    yours = [draw(st.lists(CELLS, min_size=columns, max_size=columns)) for _ in range(rows)]
    if kind == "curves":
        yours = [draw(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=columns))]
    data = {"yours": yours, "reference": reference}
    return ChartRecord(kind=kind, title=draw(TEXTS), alt=draw(TEXTS), data=data)


@st.composite
def records(draw: st.DrawFn) -> CriterionRecord:
    outcome = draw(st.sampled_from(["passed", "failed", "not-graded"]))
    kind = draw(st.sampled_from(["values", "law", "contract", "robust", "test"]))
    advice = kind == "robust" and draw(st.booleans())
    worth, bonus = (0.0, draw(CENTS)) if advice else (draw(CENTS), 0.0)
    passed = outcome == "passed"
    return CriterionRecord(
        id=draw(TEXTS),
        function=draw(TEXTS),
        title=draw(TEXTS),
        kind=kind,
        outcome=outcome,
        score=worth if passed else 0,
        max_score=worth,
        bonus=bonus if passed else 0,
        max_bonus=bonus,
        visibility=draw(
            st.sampled_from(["visible", "hidden", "after_due_date", "after_published"])
        ),
        message="" if passed else draw(TEXTS),
        hint="" if passed else draw(TEXTS),
        counterexample=draw(st.none() | COUNTEREXAMPLES),
        diagnosis=draw(st.none() | DIAGNOSES),
    )


@st.composite
def results(draw: st.DrawFn) -> Result:
    layers = draw(
        st.lists(st.builds(LayerRecord, name=TEXTS, on=st.booleans(), note=TEXTS), max_size=3)
    )
    made = result(
        *draw(st.lists(records(), max_size=6)),
        findings=draw(st.lists(FINDINGS, max_size=4)),
        assignment=draw(st.sampled_from([load_assignment("stat453")[0], PRICED])),
        submission=SubmissionRecord(id=draw(TEXTS), path=draw(TEXTS)),
        notes=draw(st.lists(TEXTS, max_size=7)),
        printed=draw(TEXTS),
        sandbox=SandboxRecord(level="process", layers=layers),
        duration_s=draw(st.floats(0, 1e6)),
    )
    for part in made.functions.values():
        part.diagnosis = draw(st.none() | DIAGNOSES)
        part.counterexample = draw(st.none() | COUNTEREXAMPLES)
        part.convention = draw(st.none() | CONVENTIONS)
        part.known = draw(LINES)
    return made
