"""The result record: what one submission got, and why. Its JSON Schema is published from here."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from lossgrade.assignment import Visibility

Outcome = Literal["passed", "failed", "not-graded"]
Number = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Record(BaseModel):
    """Part of the record: no other keys."""

    model_config = ConfigDict(extra="forbid")


class SubmissionRecord(Record):
    id: str
    path: str
    students: list[str] = Field(default_factory=list)
    digest: str = Field("", description="SHA-256 of the files that were graded")


class AssignmentRecord(Record):
    name: str
    version: str
    title: str = ""
    digest: str = Field("", description="SHA-256 of the assignment and of its extra criteria")


class DiagnosisRecord(Record):
    """A named wrong idea that a function's results agree with."""

    misconception: str = Field(description="its slug, the name of its page in the documentation")
    explanation: str
    confidence: float = Field(ge=0, le=1)
    source: str = Field(description="the passage of a lecture to read again")
    fix: str = ""
    evidence: str = Field("", description="what was compared, on how many inputs")
    rule: str = Field("", description="the linter's rule for the same mistake, if it has one")


class DifferenceRecord(Record):
    """One point in which a function keeps to another convention than the assignment's."""

    setting: str = Field(description='the line of the assignment that accepts it: `order = "..."`')
    says: str
    change: str = Field(description="what the student changes to keep to the assignment")


class ConventionRecord(Record):
    """A function that is exactly right under another convention."""

    differences: list[DifferenceRecord]
    graded: bool = Field(False, description="whether it was graded under that convention")


class CounterexampleRecord(Record):
    """The smallest input found on which a function is wrong, to be checked by hand."""

    input: list[str] = Field(description="one line an argument: `z = [[0., 1.]]`")
    expected: str
    found: str
    steps: list[str] = Field(default_factory=list, description="the arithmetic of `expected`")


class CriterionRecord(Record):
    """One graded property of one function.

    A criterion with `max_bonus` is advice: its points stand in `bonus`, never in `score`.
    """

    id: str
    function: str
    title: str
    kind: str
    outcome: Outcome
    score: Number
    max_score: Number
    bonus: Number = 0
    max_bonus: Number = 0
    visibility: Visibility
    message: str = ""
    hint: str = ""
    counterexample: CounterexampleRecord | None = None
    diagnosis: DiagnosisRecord | None = None

    @property
    def advice(self) -> bool:
        """Whether the criterion can cost no points: it tells, and may give a bonus."""
        return self.kind == "robust" and self.max_score == 0


class Explanation(Record):
    """Why a function fails, as far as that can be said."""

    diagnosis: DiagnosisRecord | None = None
    known: list[str] = Field(
        default_factory=list,
        description="what can be said of the results where no misconception explains them",
    )
    convention: ConventionRecord | None = None
    counterexample: CounterexampleRecord | None = None
    fingerprint: str = Field(
        "", description="of wrong results: equal where two functions of one class gave the same"
    )


class FunctionRecord(Explanation):
    """What one function got, and why it got no more."""

    score: Number
    max_score: Number
    bonus: Number = 0
    max_bonus: Number = 0


Cell = Annotated[float, Field(allow_inf_nan=False)] | None


class ChartRecord(Record):
    """What a picture of the student's results shows, as numbers; a report draws it."""

    kind: Literal["heatmaps", "curves"]
    title: str
    alt: str = Field(description="what the picture shows, in words")
    data: dict[str, list[list[Cell]]] = Field(
        description='rows of numbers under "yours" and "reference"; null where yours is no number'
    )


class LayerRecord(Record):
    """One layer of isolation: on, or off and why."""

    name: str
    on: bool
    note: str = ""


class SandboxRecord(Record):
    level: str
    layers: list[LayerRecord] = Field(default_factory=list)


class Result(Record):
    """What one submission got.

    `outcome` is "passed" for full marks, "failed" for less, and "not-graded" where a criterion
    that carries points could not be judged, through no fault of the student's.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    schema_: Literal["lossgrade/result/v1"] = Field("lossgrade/result/v1", alias="schema")
    submission: SubmissionRecord
    assignment: AssignmentRecord
    key: str = Field(
        "", description="all that the result of a class run depends on, as one SHA-256"
    )
    score: Number
    max_score: Number
    bonus: Number = 0
    max_bonus: Number = 0
    outcome: Outcome
    criteria: list[CriterionRecord]
    functions: dict[str, FunctionRecord]
    penalty: Number = Field(
        0, description="points taken off `score` for findings; `functions` do not hold it"
    )
    findings: list[dict[str, Any]] = Field(
        default_factory=list,
        description="what the linter found, as `lossgrade check --output-format json` prints it; "
        "`penalty` is what the assignment takes off for it",
    )
    charts: list[ChartRecord] = Field(
        default_factory=list, description="made where a report that shows pictures was asked for"
    )
    notes: list[str] = Field(default_factory=list, description="what the submission did on loading")
    printed: str = Field("", description="what the submission printed, capped")
    sandbox: SandboxRecord
    seed: str = Field(description="hexadecimal; the same seed draws the same inputs")
    language: str = Field("en", description="of all texts for the student: `--language`")
    started_at: str = Field(description="ISO 8601, UTC")
    duration_s: Number
    versions: dict[str, str] = Field(default_factory=dict)

    def to_json(self) -> str:
        """Return the record as JSON text, one key a line."""
        return self.model_dump_json(by_alias=True, indent=2) + "\n"


def total(criteria: list[CriterionRecord]) -> FunctionRecord:
    """Return the sums over `criteria`, in cents of a point so that they come out exact."""
    return FunctionRecord(
        score=_sum(c.score for c in criteria),
        max_score=_sum(c.max_score for c in criteria),
        bonus=_sum(c.bonus for c in criteria),
        max_bonus=_sum(c.max_bonus for c in criteria),
    )


def _sum(points: Any) -> float:
    return float(sum(round(each * 100) for each in points) / 100)
