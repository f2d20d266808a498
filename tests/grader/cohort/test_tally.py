"""What a class got, counted, against figures that were worked out by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cohorts import ASKED, PAIR, ROWS, row, summary_of
from lossgrade.cohort import tally
from lossgrade.cohort.entry import Entry, Student
from lossgrade.cohort.graded import Row

if TYPE_CHECKING:
    from collections.abc import Sequence

GRADED = tally.graded(ROWS)


def test_marks() -> None:
    marks = tally.marks(GRADED)
    assert marks.bins == (1, 0, 2, 0, 0, 0, 0, 0, 1, 0, 1)
    assert (marks.median, marks.mean, marks.full, marks.zero) == (20, 44, 1, 1)


def test_statuses() -> None:
    assert tally.statuses(ROWS) == {"graded": 5, "not-graded": 1, "unreadable": 1, "missing": 1}


def test_no_status_is_left_out() -> None:
    assert tally.statuses([]) == {"graded": 0, "not-graded": 0, "unreadable": 0, "missing": 0}


@pytest.mark.parametrize(
    ("score", "most", "place"),
    [
        pytest.param(0, 8, 0, id="nothing"),
        pytest.param(0.01, 100, 0, id="next to nothing"),
        pytest.param(0.91, 1.3, 7, id="70 %, which floating point puts below"),
        pytest.param(7.2, 8, 9, id="90 %"),
        pytest.param(99.99, 100, 9, id="all but a cent of a point"),
        pytest.param(8, 8, 10, id="full marks have their own bin"),
        pytest.param(9, 8, 10, id="more than there is"),
    ],
)
def test_bin(score: float, most: float, place: int) -> None:
    graded = tally.graded([row("Ann", summary_of((), ASKED, score=score, max_score=most))])
    bins = tally.marks(graded).bins
    assert [k for k, count in enumerate(bins) if count] == [place]


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([], id="nobody"),
        pytest.param([row("Ann", summary_of((), ()))], id="an assignment without points"),
    ],
)
def test_no_marks(rows: Sequence[Row]) -> None:
    marks = tally.marks(tally.graded(rows))
    assert marks == tally.Marks((0,) * 11, None, None, 0, 0)


def test_by_function() -> None:
    f, g = tally.by_function(ASKED, GRADED)
    assert (f.function, f.full) == ("f", 1)
    assert [(line.id, passed) for line, passed in f.passed] == [("f.a", 2), ("f.b", 3)]
    assert (g.function, g.full) == ("g", 2)
    assert [(line.id, passed) for line, passed in g.passed] == [("g.a", 2)]


def test_a_function_whose_criteria_are_apart_is_told_of_once() -> None:
    assert [each.function for each in tally.by_function(ASKED[::2] + ASKED[1:2], GRADED)] == ["f"]


def test_frequencies_count_students_once_each() -> None:
    found = tally.misconceptions(GRADED)
    assert [(each.name, [r.student.name for r in each.rows]) for each in found] == [
        ("argmin", ["Cid", "Dee"]),
        ("forgot-exp", ["Eve"]),
    ]
    assert [(each.name, len(each.rows)) for each in tally.findings(GRADED)] == [("LG301", 1)]


def attempt(entry: str, number: int, **student: str) -> Row:
    who = Student(**student)
    return Row(who, Entry(entry, (who,), attempt=number), summary_of((), ASKED), "graded")


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        pytest.param(
            [attempt("a1", 1, id="1"), attempt("a2", 2, id="1"), attempt("b1", 1, id="2")],
            ["a2", "b1"],
            id="the newest attempt of each",
        ),
        pytest.param(
            [attempt("a2", 2, email="a@b.c"), attempt("a1", 1, email="a@b.c")],
            ["a2"],
            id="the newest first, known by address",
        ),
        pytest.param(
            [attempt("a1", 1, name="Ann"), attempt("a2", 2, name="Ann")],
            ["a1", "a2"],
            id="two of one name may be two",
        ),
        pytest.param([attempt("a1", 1), attempt("a2", 2)], ["a1", "a2"], id="nobody known"),
        pytest.param(
            [attempt("a1", 1, id="1", name="Ann"), attempt("b2", 2, id="1", name="Bea")],
            ["a1", "b2"],
            id="one number of two platforms",
        ),
    ],
)
def test_newest(rows: list[Row], kept: list[str]) -> None:
    assert [each.entry.id for each in tally.newest(rows) if each.entry] == kept


def printed(name: str, slug: str = "", **prints: str) -> Row:
    slugs = dict.fromkeys(prints, slug) if slug else {}
    return row(name, summary_of(("f.a",), ASKED, fingerprints=prints, misconceptions=slugs))


def shown(*rows: Row) -> list[tuple[int, str, str, list[list[str]]]]:
    return [
        (
            each.number,
            each.function,
            each.misconception,
            [[member.student.name for member in members] for members in each.submissions],
        )
        for each in tally.equal_outputs(tally.graded(rows))
    ]


def test_unexplained_groups_come_first_and_large_ones_before_small() -> None:
    assert shown(
        *(printed(f"a{k}", "argmin", f="1") for k in range(4)),
        *(printed(f"b{k}", f="2") for k in range(2)),
        *(printed(f"c{k}", g="2") for k in range(3)),
        *(printed(f"d{k}", "forgot-exp", g="5") for k in range(2)),
        printed("alone", f="3"),
    ) == [
        (1, "g", "", [["c0"], ["c1"], ["c2"]]),
        (2, "f", "", [["b0"], ["b1"]]),
        (3, "f", "argmin", [["a0"], ["a1"], ["a2"], ["a3"]]),
        (4, "g", "forgot-exp", [["d0"], ["d1"]]),
    ]


@pytest.mark.parametrize("other", [pytest.param("", id="none"), pytest.param("argmin", id="two")])
def test_a_misconception_explains_a_group_only_if_all_have_it(other: str) -> None:
    rows = printed("a", "forgot-exp", f="1"), printed("b", other, f="1")
    assert shown(*rows) == [(1, "f", "", [["a"], ["b"]])]


def test_members_of_one_group_submission_are_no_group_of_equal_outputs() -> None:
    summary = summary_of(("f.a",), ASKED, fingerprints={"f": "1"})
    pair = [Row(student, PAIR, summary, "graded") for student in PAIR.students]
    assert shown(*pair) == []
    assert shown(*pair, printed("Eve", f="1")) == [(1, "f", "", [["Cid", "Dee"], ["Eve"]])]


def test_who_has_no_grade_is_in_no_group() -> None:
    summary = summary_of(("f.a",), ASKED, fingerprints={"f": "1"})
    assert shown(row("a", summary), row("b", summary, status="not-graded")) == []
