"""What changed between two gradings of one class, and why: read from their result records.

Records are read one pair after another, and of each pair no more is kept than what changed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from pydantic import BaseModel, Field, ValidationError

from lossgrade.reports.summary import points
from lossgrade.result import Number, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

Kind = Literal["no longer graded", "gone", "down", "other reasons", "up", "graded now", "new"]
# In the order in which they are listed: what a student may complain of comes first.
KINDS: tuple[Kind, ...] = (
    "no longer graded", "gone", "down", "other reasons", "up", "graded now", "new",
)  # fmt: skip


class CompareError(Exception):
    """Two paths that cannot be compared, or a record that cannot be read; the text is one line."""


# --- records ------------------------------------------------------------------------------------
# Keys that other versions of the program have, and this one does not know, do not matter here.


class Criterion(BaseModel):
    id: str
    outcome: Outcome
    score: Number
    max_score: Number
    bonus: Number = 0
    max_bonus: Number = 0


class Handed(BaseModel):
    id: str
    students: list[str] = []
    digest: str = ""


class Asked(BaseModel):
    name: str
    version: str
    digest: str = ""


class Finding(BaseModel):
    code: str
    penalty: Number = 0


class Grade(BaseModel):
    """What is compared of a result record."""

    schema_: Annotated[Literal["lossgrade/result/v1"], Field(alias="schema")]
    submission: Handed
    assignment: Asked
    score: Number
    max_score: Number
    bonus: Number = 0
    penalty: Number = 0
    outcome: Outcome
    criteria: list[Criterion]
    findings: list[Finding] = []
    seed: str = ""
    versions: dict[str, str] = {}

    @property
    def graded(self) -> bool:
        return self.outcome != "not-graded"


def read(path: Path) -> Grade:
    """Read a result record.

    Raises:
        CompareError: it cannot be read, or is none.
    """
    try:
        return Grade.model_validate_json(path.read_bytes())
    except OSError as error:
        raise CompareError(f"{path}: cannot be read ({error.strerror})") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = "".join(f"{step}: " for step in (".".join(map(str, first["loc"])),) if step)
        raise CompareError(f"{path}: is no whole result record: {where}{first['msg']}") from None


class Pair(NamedTuple):
    """The records of one entry: both, or one where the other grading has none.

    Attributes:
        id: the entry's; "" where it stands in the records alone.
    """

    id: str
    old: Path | None
    new: Path | None


def pairs(old: Path, new: Path) -> list[Pair]:
    """Return what to compare of two output folders of `lossgrade grade`, or of two records.

    Raises:
        CompareError: one is neither, or they are not of one kind.
    """
    if old.is_file() and new.is_file():
        return [Pair("", old, new)]
    olds, news = _results(old), _results(new)
    return [Pair(each, olds.get(each), news.get(each)) for each in sorted({*olds, *news})]


def _results(path: Path) -> dict[str, Path]:
    folder = path / "results"
    expected = "expected the output folder of `lossgrade grade`, or a result record each"
    if not path.exists():
        raise CompareError(f"{path}: no such file or folder")
    if path.is_file():
        raise CompareError(f"{path}: is a file and the other is a folder; {expected}")
    if not folder.is_dir():
        raise CompareError(f"{path}: has no folder `results`; {expected}")
    try:
        # What is being written has a name that begins with a dot.
        found = [file for file in folder.iterdir() if file.suffix == ".json"]
    except OSError as error:
        raise CompareError(f"{folder}: cannot be read ({error.strerror})") from None
    return {file.stem: file for file in found if not file.name.startswith(".")}


# --- what changed -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that changed in a submission's grade.

    Attributes:
        what: a criterion's id; "penalty", or "maximum" for what can be reached in all.
        says: how it changed: "passed -> failed".
        points: by how much that raised the score.
        bonus: by how much it raised the bonus.
    """

    what: str
    says: str
    points: float = 0.0
    bonus: float = 0.0

    def __str__(self) -> str:
        raised = [signed(self.points)] if self.points else []
        raised += [f"bonus {signed(self.bonus)}"] if self.bonus else []
        return f"{self.what} {self.says}" + (f" ({', '.join(raised)})" if raised else "")


@dataclass(frozen=True, slots=True)
class Marks:
    """What a submission got."""

    score: float
    max_score: float
    bonus: float
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Change:
    """A submission whose grade is not what it was.

    Attributes:
        old, new: None where that grading has no result of it.
        difference: of the scores; None unless it was graded both times.
        reasons: their points sum up to the difference.
        differs: what else is not the same, and may be the cause: its files, or the seed.
        around: what else is not the same for many: the assignment, versions.
    """

    id: str
    students: tuple[str, ...]
    kind: Kind
    old: Marks | None
    new: Marks | None
    difference: float | None = None
    reasons: tuple[Reason, ...] = ()
    differs: tuple[str, ...] = ()
    around: tuple[str, ...] = ()


@dataclass
class Comparison:
    """Two gradings of a class, compared.

    Attributes:
        changes: largest drop first.
        both: how many submissions have a result in both.
        graded: how many of those are graded in both.
        sums: of the scores of those, old and new.
        around: how many of `both` share what differs for many.
        problems: why records could not be read, a line each.
    """

    changes: list[Change] = field(default_factory=list)
    both: int = 0
    unchanged: int = 0
    graded: int = 0
    sums: tuple[float, float] = (0.0, 0.0)
    around: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def means(self) -> tuple[float, float] | None:
        """Return the mean scores of those who are graded in both."""
        return (self.sums[0] / self.graded, self.sums[1] / self.graded) if self.graded else None

    def count(self, kind: Kind) -> int:
        return sum(change.kind == kind for change in self.changes)

    def largest(self) -> Change | None:
        """Return the change of the largest difference, of a drop and an equal rise the drop."""
        moved = [change for change in self.changes if change.difference]
        return max(moved, key=lambda each: abs(each.difference or 0), default=None)


def compare(found: Iterable[Pair]) -> Comparison:
    """Read and compare the pairs; what cannot be read becomes a problem of the comparison."""
    done = Comparison()
    for pair in found:
        grades: list[Grade | None] = []
        for path in (pair.old, pair.new):
            try:
                grades.append(read(path) if path is not None else None)
            except CompareError as error:
                done.problems.append(str(error))
        if len(grades) == 2:
            _add(done, pair.id, *grades)
    done.changes.sort(key=lambda each: (KINDS.index(each.kind), each.difference or 0, each.id))
    return done


def _add(done: Comparison, entry: str, old: Grade | None, new: Grade | None) -> None:
    last = new or old
    assert last is not None
    about = entry or last.submission.id, tuple(last.submission.students)
    if old is None or new is None:
        kind: Kind = "gone" if new is None else "new"
        done.changes.append(Change(*about, kind, _marks(old), _marks(new)))
        return
    around = tuple(_around(old, new))
    done.both += 1
    done.around.update(around)
    if old.graded and new.graded:
        done.graded += 1
        done.sums = done.sums[0] + old.score, done.sums[1] + new.score
    reasons = tuple(_reasons(old, new))
    if not reasons and old.graded == new.graded and old.score == new.score:
        done.unchanged += 1
        return
    difference = round(new.score - old.score, 2) if old.graded and new.graded else None
    if old.graded != new.graded:
        kind = "graded now" if new.graded else "no longer graded"
    elif difference:
        kind = "up" if difference > 0 else "down"
    else:
        kind = "other reasons"
    differs = tuple(_differs(old, new, around))
    marks = _marks(old), _marks(new)
    done.changes.append(Change(*about, kind, *marks, difference, reasons, differs, around))


def _marks(grade: Grade | None) -> Marks | None:
    if grade is None:
        return None
    return Marks(grade.score, grade.max_score, grade.bonus, grade.outcome)


# --- why ----------------------------------------------------------------------------------------


def _reasons(old: Grade, new: Grade) -> Iterator[Reason]:
    """Yield what makes up the change: what costs or gives most first."""
    befores = {each.id: each for each in old.criteria}
    nows = {each.id: each for each in new.criteria}
    reasons = [
        _reason(name, befores.get(name), nows.get(name))
        for name in dict.fromkeys([*befores, *nows])
    ]
    if old.penalty != new.penalty:
        codes = _codes(old, new)
        says = f"{points(old.penalty)} -> {points(new.penalty)}"
        says += f" for {', '.join(codes)}" if codes else ""
        reasons.append(Reason("penalty", says, round(old.penalty - new.penalty, 2)))
    found = [reason for reason in reasons if reason is not None]
    yield from sorted(found, key=lambda each: (-abs(each.points), -abs(each.bonus)))
    if old.max_score != new.max_score:
        yield Reason("maximum", f"{points(old.max_score)} -> {points(new.max_score)} points")


def _reason(name: str, old: Criterion | None, new: Criterion | None) -> Reason | None:
    """Return how a criterion changed a grade; None where it did not."""
    scores = [(each.score, each.bonus) if each is not None else (0.0, 0.0) for each in (old, new)]
    gained = [round(now - before, 2) for before, now in zip(*scores, strict=True)]
    if old is None or new is None:
        one = old or new
        assert one is not None
        says = f"{'added' if old is None else 'removed'}, {_words(one.outcome)}"
        return Reason(name, says, *gained) if one.max_score or one.max_bonus else None
    worth = [
        " + bonus ".join(points(most) for most in (each.max_score, each.max_bonus) if most) or "0"
        for each in (old, new)
    ]
    flipped = old.outcome != new.outcome
    # Advice is no part of a grade, and the price of what failed twice changes no score.
    if not any(gained) and not (flipped and worth != ["0", "0"]):
        return None
    parts = [f"{_words(old.outcome)} -> {_words(new.outcome)}"] if flipped else []
    parts += [f"repriced {worth[0]} -> {worth[1]}"] if worth[0] != worth[1] else []
    return Reason(name, ", ".join(parts), *gained)


def _words(outcome: Outcome) -> str:
    return outcome.replace("-", " ")


def _codes(old: Grade, new: Grade) -> list[str]:
    """Return the codes of the rules whose penalties changed."""
    sums: Counter[str] = Counter()
    for sign, grade in ((-1, old), (1, new)):
        for finding in grade.findings:
            sums[finding.code] += sign * round(finding.penalty * 100)
    return sorted(code for code, cents in sums.items() if cents)


def _around(old: Grade, new: Grade) -> Iterator[str]:
    """Yield what differs for many submissions: the assignment, and versions of programs."""
    was, now = old.assignment, new.assignment
    if (was.name, was.version) != (now.name, now.version):
        yield f"assignment {was.name} {was.version} -> {now.name} {now.version}"
    elif was.digest and now.digest and was.digest != now.digest:
        yield f"assignment {now.name} edited, still of version {now.version}"
    for name in sorted({*old.versions, *new.versions}):
        before, after = (each.versions.get(name, "none") for each in (old, new))
        if before != after:
            yield f"{name} {before} -> {after}"


def _differs(old: Grade, new: Grade, around: tuple[str, ...]) -> Iterator[str]:
    """Yield what differs for this submission, where it may be the cause of the change."""
    known = bool(old.submission.digest and new.submission.digest)
    if known and old.submission.digest != new.submission.digest:
        yield "other files"
    elif not around:
        # Each grading may draw a seed of its own: it is worth a word where nothing else differs.
        seed = "another seed" if old.seed != new.seed else "nothing else differs"
        yield seed if known else f"{seed}; whether the files are the same is not recorded"


def signed(value: float) -> str:
    """Return points with their sign: +2.5, -3, 0."""
    return f"{'+' if value > 0 else '-' if value < 0 else ''}{points(abs(value))}"
