"""The page of a class: its numbers, its structure, and what hostile names do to it: nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from cohorts import ASKED, ROWS, example_class, graded_class, row, summary_of
from lossgrade.cohort import page
from lossgrade.cohort.entry import Entry, Student
from lossgrade.cohort.graded import GradedCohort, Row
from lossgrade.cohort.page_text import percent, plain
from lossgrade.reports import html

VOID = ("meta", "input", "br")


class Report(HTMLParser):
    """Reads the page as a browser does, and refuses what it must not hold."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.source = text
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.scripts: list[tuple[str | None, str]] = []
        self.policy = ""
        self.text = ""
        text.encode()
        self.feed(text)
        self.close()
        assert self.open == []
        assert len(set(self.ids)) == len(self.ids)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        told = dict(attributes)
        assert tag not in ("iframe", "object", "embed", "base", "form", "link", "img"), tag
        assert not [name for name in told if name.startswith("on") or name in ("style", "src")]
        if tag == "script":
            self.scripts.append((told.get("type"), ""))
        if told.get("http-equiv") == "Content-Security-Policy":
            self.policy = told["content"] or ""
        if tag == "a":
            self.links.append(told["href"] or "")
        if "id" in told:
            self.ids.append(told["id"] or "")
        if tag == "svg":
            assert told.get("aria-hidden") == "true" or told["role"] == "img"
            assert ("aria-hidden" in told) != bool(told.get("aria-label"))
        if tag not in ("a", "bdi", "code"):
            self.text += " "
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            kind, text = self.scripts[-1]
            self.scripts[-1] = (kind, text + data)
        elif "style" not in self.open:
            self.text += data

    @property
    def table(self) -> dict[str, Any]:
        table: dict[str, Any] = json.loads(dict(self.scripts)["application/json"])
        return table

    def column(self, label: str) -> list[Any]:
        place = [each["label"] for each in self.table["columns"]].index(label)
        return [each["cells"][place] for each in self.table["rows"]]


def read(cohort: GradedCohort) -> Report:
    return Report(page.render(cohort))


BY_HAND = graded_class(*ROWS, lines=ASKED, notes=("a note on `roster.csv`",))


@pytest.mark.parametrize(
    "says",
    [
        pytest.param("8 students 5 graded 1 not graded 1 unreadable 1 missing", id="how many"),
        pytest.param(
            "Assignment stat453, version 1; graded 2026-03-02 17:05 UTC; layout of the export: "
            "canvas.",
            id="of what, and when",
        ),
        pytest.param("20.0 % median 44.0 % mean 1 full marks 1 zero points", id="marks"),
        pytest.param("20 % to below 30 % 2", id="a bin"),
        pytest.param("90 % to below 100 % 0 100 % 1", id="the last bins"),
        pytest.param("f all points: 1 of 5 (20 %)", id="a function"),
        pytest.param("The second (2 points, hidden) show who failed 3 of 5 (60 %)", id="hidden"),
        pytest.param("argmin for example Cid, Dee show all 2 (40 %)", id="a misconception"),
        pytest.param("LG301 this softmax does not say over which axis it runs", id="a finding"),
        pytest.param("a note on roster.csv", id="a note"),
        pytest.param("No two submissions have equal wrong outputs.", id="no group"),
        pytest.param("gradebook.csv", id="where to look without a script"),
    ],
)
def test_says(says: str) -> None:
    assert says in read(BY_HAND).text


def test_criteria_that_carry_no_points_are_left_out() -> None:
    assert "Worth a bonus" not in page.render(BY_HAND)


def test_table() -> None:
    report = read(BY_HAND)
    assert [(each["label"], each["kind"]) for each in report.table["columns"]] == [
        ("Student", "text"),
        ("ID", "text"),
        ("Status", "text"),
        ("Score (of 10)", "number"),
        ("f (of 8)", "number"),
        ("g (of 2)", "number"),
        ("Misconceptions", "text"),
        ("File", "text"),
    ]
    assert report.column("Score (of 10)") == [10, 8, 2, 2, 0, None, None, None]
    assert report.column("f (of 8)") == [8, 6, 2, 2, 0, None, None, None]
    assert report.column("Misconceptions")[3] == "argmin"
    assert [each["lost"] for each in report.table["rows"]] == [
        [], [1], [0, 2], [0, 2], [0, 1, 2], [], [], [],
    ]  # fmt: skip
    assert [each["link"] for each in report.table["rows"]] == [
        "./feedback/Ann.html", "./feedback/Bob.html", "./feedback/pair.html",
        "./feedback/pair.html", "./feedback/Eve.html", None, None, None,
    ]  # fmt: skip


def test_the_first_columns_stay_where_they_are_though_empty() -> None:
    report = read(graded_class(Row(Student(name="Ann"), None, None, "missing"), lines=ASKED))
    labels = [each["label"] for each in report.table["columns"]]
    assert labels == ["Student", "ID", "Status", "Score (of 10)"]


def test_columns_that_someone_needs() -> None:
    first = summary_of(("f.a",), ASKED, bonus=0.5, penalty=1.0, fingerprints={"f": "1"})
    report = read(
        graded_class(
            row("Ann", first, late=True, source="class.zip/a.py"),
            row("Bob", summary_of(("f.a",), ASKED, fingerprints={"f": "1"}), attempt=2),
            row("Cid", status="unreadable", problem="a.py: is empty"),
            lines=ASKED,
        )
    )
    assert report.column("Bonus") == [0.5, None, None]
    assert report.column("Taken off") == [1, None, None]
    assert report.column("Late") == ["late", "", ""]
    assert report.column("Attempt") == [1, 2, 1]
    assert report.column("Equal outputs") == [[1], [1], []]
    assert report.column("Problem") == ["", "", "a.py: is empty"]
    assert report.column("File") == ["class.zip/a.py", "Bob", "Cid"]


def test_earlier_attempts_are_in_the_table_alone() -> None:
    rows = [
        row("Ann", summary_of(failed, ASKED), id=f"ann-{k}", attempt=k, student_id="1")
        for k, failed in ((1, ("f.a",)), (2, ()))
    ]
    report = read(graded_class(*rows, lines=ASKED))
    assert "1 student 1 graded" in report.text
    assert "(1 earlier attempt left out)" in report.text
    assert "100.0 % median" in report.text
    assert report.column("Score (of 10)") == [4, 10]


def test_groups_come_with_a_caution_and_long_ones_are_cut() -> None:
    many = page.LISTED_MEMBERS + 5
    explained = {"fingerprints": {"f": "1"}, "misconceptions": {"f": "argmin"}}
    unexplained = {"fingerprints": {"g": "1"}}
    text = read(
        graded_class(
            *(row(f"a{k}", summary_of(("f.a",), ASKED, **explained)) for k in range(many)),
            *(row(f"b{k}", summary_of(("g.a",), ASKED, **unexplained)) for k in range(2)),
            lines=ASKED,
        )
    ).text
    places = [
        text.index(said)
        for said in (
            "A hint for teaching, not evidence of copying.",
            "Not explained by a named misconception",
            "Group 1: g, 2 submissions show in the table b0; b1",
            "Explained by a named misconception Large groups are to be expected",
            f"Group 2: f, {many} submissions, argmin show in the table a0; a1;",
            "; and 5 more",
        )
    ]
    assert places == sorted(places)


def test_many_groups_are_cut() -> None:
    many = page.LISTED_GROUPS + 2
    rows = [
        row(f"{k}-{twin}", summary_of(("f.a",), ASKED, fingerprints={"f": str(k)}))
        for k in range(many)
        for twin in "ab"
    ]
    report = read(graded_class(*rows, lines=ASKED))
    assert "And 2 smaller groups: the table has their numbers." in report.text
    assert f"group-{many - 2}" in report.ids
    assert f"group-{many - 1}" not in report.ids
    assert report.column("Equal outputs")[-1] == [many]


UNGRADED = (
    row("Ann", status="unreadable", problem="no"),
    Row(Student("2", "Bob"), None, None, "missing"),
)


@pytest.mark.parametrize(
    ("cohort", "says"),
    [
        pytest.param(graded_class(), "No student has a grade", id="nobody"),
        pytest.param(graded_class(lines=()), "0 students 0 graded", id="nothing asked"),
        pytest.param(graded_class(ROWS[0], lines=ASKED), "1 student 1 graded", id="one"),
        pytest.param(graded_class(*UNGRADED), "no pass rates are known", id="no grade"),
        pytest.param(graded_class(UNGRADED[1]), "1 missing", id="all missing"),
        pytest.param(graded_class(feedback={}), "No student", id="no feedback"),
        pytest.param(
            graded_class(row("Ann", summary_of((), ())), lines=()), "1 graded", id="no points"
        ),
        pytest.param(graded_class(graded_at="soon"), "graded soon;", id="some other moment"),
        pytest.param(graded_class(title=""), "stat453 Assignment stat453", id="no title"),
        pytest.param(
            graded_class(Row(Student(), Entry("hw-7"), summary_of((), ASKED), "graded")),
            "1 graded",
            id="nobody known",
        ),
    ],
)
def test_any_class_has_a_page(cohort: GradedCohort, says: str) -> None:
    assert says in read(cohort).text


def test_who_is_unknown_is_called_by_the_entry() -> None:
    report = read(graded_class(Row(Student(), Entry("hw-7"), summary_of((), ASKED), "graded")))
    assert report.column("Student") == ["hw-7"]


HOSTILE = [
    pytest.param("<script>alert(1)</script>", id="script"),
    pytest.param("</script><img src=x onerror=alert(1)>", id="end of script"),
    pytest.param("<!--<script>", id="comment that would swallow the script"),
    pytest.param("]]><svg onload=alert(1)>", id="svg"),
    pytest.param("</title></style><b>", id="end of title"),
    pytest.param('" onmouseover="alert(1)" \'', id="quotes"),
    pytest.param('=HYPERLINK("https://example.org")', id="formula"),
    pytest.param("javascript:alert(1)", id="address that runs"),
    pytest.param("//example.org/x", id="address elsewhere"),
    pytest.param("{{ 7 * 7 }}{% raw %}", id="template"),
    pytest.param("`<b>`", id="code"),
    pytest.param("\u202egpj.exe\u202c\u2066", id="turned direction"),
    pytest.param("\x00\x07\x1b[31m\x85", id="controls"),
    pytest.param("\udc80\ud800", id="lone surrogates"),
    pytest.param("x\r\ny\u2028z", id="line breaks"),
    pytest.param("N" * 10_000, id="10,000 characters"),
    pytest.param("محمد 王 é ñ 👩‍🎓", id="any script"),
]


def hostile_class(text: str) -> GradedCohort:
    """Return a class in which everything that others write is `text`."""
    summary = summary_of(
        ("f.a",), ASKED, misconceptions={"f": text}, findings=(text,), fingerprints={"f": text}
    )
    about: dict[str, Any] = {"source": text, "late": True, "submitted_at": text}
    return graded_class(
        row(text, summary, id=text, **about),
        row(text, summary, id=f"{text}2", **about),
        row(text, id=f"{text}3", status="unreadable", problem=text),
        Row(Student(text, text, text), None, None, "missing"),
        lines=tuple(
            type(line)(line.id, line.function, text, line.max_score, 0.0, line.visibility)
            for line in ASKED
        ),
        title=text, assignment=text, version=text, layout=text, graded_at=text, notes=(text,),
        feedback={text: text[:200], f"{text}2": f"feedback/{text[:200]}.html"},
    )  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_stay_texts(text: str) -> None:
    report = read(hostile_class(text))
    assert [kind for kind, _ in report.scripts] == ["application/json", None]
    assert report.column("Student")[:2] == [plain(text, 80)] * 2
    assert plain(text) in report.text
    assert all(re.fullmatch(r"\./[\w./%~-]*", each, re.ASCII) for each in report.links)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", report.source)
    assert len(report.source) < 100_000


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("  a \n\t b ", "a b", id="in one line"),
        pytest.param("a\x00b\u202ec", "a�b�c", id="controls"),
        pytest.param("\udc80", "\\udc80", id="what no file can hold"),
        pytest.param("x" * 10, "x" * 10, id="as long as may be"),
        pytest.param("x" * 11, "x" * 9 + "…", id="too long"),
        pytest.param(" " * 100 + "x", "…", id="too long by spaces"),
        pytest.param("=1+1", "=1+1", id="a formula is a text here"),
    ],
)
def test_plain(text: str, line: str) -> None:
    assert plain(text, 10) == line


@pytest.mark.parametrize(
    ("part", "whole", "says"),
    [
        pytest.param(0, 0, "0 %", id="nobody"),
        pytest.param(0, 9, "0 %", id="none"),
        pytest.param(9, 9, "100 %", id="all"),
        pytest.param(1, 1000, "1 %", id="one is more than none"),
        pytest.param(999, 1000, "99 %", id="one short is less than all"),
        pytest.param(2, 3, "67 %", id="rounded"),
    ],
)
def test_percent(part: int, whole: int, says: str) -> None:
    # The number and its sign stay in one line.
    assert percent(part, whole) == says.replace(" ", "\N{NO-BREAK SPACE}")


def test_only_our_script_may_run_and_nothing_is_loaded() -> None:
    report = read(example_class())
    script = next(text for kind, text in report.scripts if kind is None)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert report.policy == (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", script)
    assert not re.search(r"url\(|@import|https?://", report.source)


def test_each_link_leads_to_feedback_or_to_the_gradebook() -> None:
    cohort = example_class()
    known = {f"./{path}" for path in cohort.feedback.values()} | {"./gradebook.csv"}
    report = read(cohort)
    assert set(report.links) <= known
    assert {each["link"] for each in report.table["rows"]} - {None} == known - {"./gradebook.csv"}


COLOURS = re.compile(r"--(\w+): (#[0-9a-f]{6})")


def schemes() -> list[dict[str, str]]:
    style = (html.TEMPLATES / "report.html").read_text(encoding="utf-8")
    light, dark = style.partition("@media (prefers-color-scheme: dark)")[::2]
    return [dict(COLOURS.findall(light)), dict(COLOURS.findall(dark.partition("* {")[0]))]


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, from 1 to 21, as WCAG 2 defines it."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_contrast_of_black_and_white() -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21)


@pytest.mark.parametrize(
    "colours", [pytest.param(each, id=f"{each['ground']}") for each in schemes()]
)
@pytest.mark.parametrize("ground", ["ground", "panel"])
@pytest.mark.parametrize("text", ["ink", "soft", "link", "good", "bad"])
def test_texts_can_be_read(colours: dict[str, str], ground: str, text: str) -> None:
    assert contrast(colours[text], colours[ground]) >= 4.5


@pytest.mark.parametrize(
    "colours", [pytest.param(each, id=f"{each['ground']}") for each in schemes()]
)
def test_bars_can_be_told_from_their_track(colours: dict[str, str]) -> None:
    assert contrast(colours["link"], colours["line"]) >= 3


def test_the_colours_are_those_of_the_feedback() -> None:
    def colours(name: str) -> list[tuple[str, str]]:
        return COLOURS.findall((html.TEMPLATES / name).read_text(encoding="utf-8"))

    assert colours("report.html") == colours("feedback.html")
