"""Graded classes, made up, for tests of what is made of a whole class, and for its pictures."""

from __future__ import annotations

import random
from functools import cache
from typing import TYPE_CHECKING, Any

from lossgrade.assignment import load_assignment
from lossgrade.cohort.entry import Entry, Student
from lossgrade.cohort.graded import GradedCohort, Line, Row, Summary
from lossgrade.manifest import manifest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lossgrade.cohort.graded import Status

# Who would have handed in something worth reading.
NAMES = """
Ada Lovelace; Alan Turing; Alexandra Bellow; Andrey Kolmogorov; Andrey Markov; Ana Caraiani
Blaise Pascal; Bruno de Finetti; C. R. Rao; Carl Friedrich Gauß; Claude Shannon; David Blackwell
Émilie du Châtelet; Emmy Noether; Florence Nightingale; Gertrude Cox; Grace Hopper; Harald Cramér
Hypatia; Jakob Bernoulli; Joan Clarke; John von Neumann; Katherine Johnson; Leonhard Euler
Ludwig Boltzmann; Maria Gaetana Agnesi; Mary Cartwright; Maryam Mirzakhani; Muḥammad al-Khwārizmī
Pierre-Simon Laplace; Ronald Fisher; Siméon Denis Poisson; Sofja Kowalewskaja; Sophie Germain
Srinivasa Ramanujan; Thomas Bayes; Wang Zhenyi; Wassily Hoeffding; William Sealy Gosset
Wolfgang Doeblin
"""
CLASS = tuple(name.strip() for line in NAMES.strip().splitlines() for name in line.split(";"))

# A slug, or "" where no misconception explains it; the function; the share of its criteria that
# fail; how often, beside the others.
MISTAKES = (
    ("softmax-over-batch-axis", "softmax", 0.6, 5),
    ("forgot-exp", "softmax", 0.8, 2),
    ("missing-minus-sign", "cross_entropy", 0.8, 5),
    ("divides-by-n", "cross_entropy", 0.5, 3),
    ("argmax-over-batch-axis", "class_label", 0.6, 2),
    ("classes-from-data", "one_hot", 0.3, 4),
    ("", "cross_entropy", 0.7, 4),
    ("", "softmax", 0.4, 3),
)


@cache
def lines(assignment: str = "stat453") -> tuple[Line, ...]:
    """Return the manifest of a built-in assignment, as a graded class has it."""
    return tuple(
        Line(
            each.id,
            each.function,
            each.criterion.title,
            each.max_score,
            each.max_bonus,
            each.visibility,
        )
        for each in manifest(*load_assignment(assignment))
    )


def summary_of(
    failed: tuple[str, ...], asked: tuple[Line, ...] | None = None, **changes: Any
) -> Summary:
    """Return the summary of who lost the points of these criteria, but for the changes.

    Args:
        failed: ids.
        asked: the manifest; that of the stat453 assignment where none is given.
    """
    asked = lines() if asked is None else asked
    functions = {
        function: (
            _points(each for each in asked if each.function == function and each.id not in failed),
            _points(each for each in asked if each.function == function),
        )
        for function in dict.fromkeys(each.function for each in asked)
    }
    start: dict[str, Any] = {
        "score": _points(each for each in asked if each.id not in failed),
        "max_score": _points(asked),
        "bonus": 0.0,
        "max_bonus": round(sum(each.max_bonus for each in asked), 2),
        "penalty": 0.0,
        "outcome": "failed" if failed else "passed",
        "functions": functions,
        "failed": failed,
        "misconceptions": {},
        "findings": (),
        "fingerprints": {},
        "duration_s": 0.5,
    }
    return Summary(**{**start, **changes})


def _points(chosen: Iterable[Line]) -> float:
    return sum(round(100 * each.max_score) for each in chosen) / 100


def row(
    name: str, summary: Summary | None = None, *, status: Status = "graded", **changes: Any
) -> Row:
    """Return the row of one student with an entry of the same name, but for the changes."""
    problem = changes.pop("problem", "")
    student = Student(changes.pop("student_id", name), name)
    entry = Entry(**{"id": name, "students": (student,), **changes})
    return Row(student, entry, summary, status, problem)


def graded_class(*rows: Row, **changes: Any) -> GradedCohort:
    """Return a class of these rows, what is graded with its page of feedback."""
    start: dict[str, Any] = {
        "assignment": "stat453",
        "version": "1",
        "title": "Softmax and cross entropy",
        "layout": "canvas",
        "language": "en",
        "graded_at": "2026-03-02T17:05:00+00:00",
        "lines": lines(),
        "rows": rows,
        "feedback": {
            each.entry.id: f"feedback/{each.entry.id}.html"
            for each in rows
            if each.entry and each.status == "graded"
        },
    }
    return GradedCohort(**{**start, **changes})


def example_class(students: int = 40, seed: int = 453) -> GradedCohort:
    """Return a class as classes are: most are right, some share a mistake, some are late."""
    draw = random.Random(seed)
    rows = [_example_row(place, draw) for place in range(students)]
    rows.sort(key=lambda each: each.status == "missing")
    return graded_class(*rows, notes=("roster.csv: 2 of 40 students handed in nothing",))


def _example_row(place: int, draw: random.Random) -> Row:
    name = CLASS[place % len(CLASS)]
    if place >= len(CLASS):
        name += f" {place // len(CLASS) + 1}"
    identity = str(41_000 + place)
    about: dict[str, Any] = {
        "student_id": identity,
        "id": f"{identity}-homework",
        "source": f"submissions.zip/{identity}_homework.ipynb",
        "late": draw.random() < 0.1,
    }
    if place % 19 == 7:
        return Row(Student(identity, name), None, None, "missing")
    if place % 23 == 11:
        problem = "the notebook is no JSON (line 1): export it again"
        return row(name, status="unreadable", problem=problem, **about)
    if place % 37 == 30:
        problem = "the machine had no memory left: grade it again"
        return row(name, status="not-graded", problem=problem, **about)
    return row(name, _example_summary(draw), **about)


def _example_summary(draw: random.Random) -> Summary:
    if draw.random() < 0.35:
        return summary_of((), bonus=draw.choice((0.0, 2.5, 5.34)))
    weights = [weight for *_, weight in MISTAKES]
    failed: set[str] = set()
    slugs: dict[str, str] = {}
    prints: dict[str, str] = {}
    for slug, function, share, _ in draw.choices(MISTAKES, weights, k=draw.choice((1, 1, 2))):
        if function in prints:
            continue
        own = [each.id for each in lines() if each.function == function and each.max_score]
        failed |= set(own[: round(share * len(own))])
        # What has no name has few who share it.
        prints[function] = slug or f"unnamed {draw.randrange(4)}"
        if slug:
            slugs[function] = slug
    findings = draw.sample(("LG301", "LG302", "LG401", "LG404"), draw.choice((0, 0, 1, 2)))
    return summary_of(
        tuple(each.id for each in lines() if each.id in failed),
        misconceptions=slugs,
        fingerprints=prints,
        findings=tuple(findings),
    )


# A small class, whose figures can be worked out by hand: 100, 80, 20, 20 and 0 %.
ASKED = (
    Line("f.a", "f", "The first", 6.0, 0.0, "visible"),
    Line("f.b", "f", "The second", 2.0, 0.0, "hidden"),
    Line("f.free", "f", "Worth a bonus", 0.0, 1.0, "visible"),
    Line("g.a", "g", "The third", 2.0, 0.0, "visible"),
)
PAIR = Entry("pair", (Student("3", "Cid"), Student("4", "Dee")))
PAIRED = summary_of(("f.a", "g.a"), ASKED, misconceptions={"f": "argmin", "g": "argmin"})
ROWS = (
    row("Ann", summary_of((), ASKED)),
    row("Bob", summary_of(("f.b",), ASKED, findings=("LG301",))),
    *(Row(student, PAIR, PAIRED, "graded") for student in PAIR.students),
    row("Eve", summary_of(("f.a", "f.b", "g.a"), ASKED, misconceptions={"f": "forgot-exp"})),
    row("Fay", summary_of(("f.a",), ASKED, outcome="not-graded"), status="not-graded"),
    row("Gus", status="unreadable"),
    Row(Student("8", "Hal"), None, None, "missing"),
)
