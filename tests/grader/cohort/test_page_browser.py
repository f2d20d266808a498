"""The page of a class in a real browser: what it shows, how it is used, and what it never does."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image, ImageStat

from browser import Browser, found
from cohorts import example_class, graded_class, row, summary_of
from lossgrade.cohort.entry import Student
from lossgrade.cohort.graded import Row
from lossgrade.cohort.page import render

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lossgrade.cohort.graded import GradedCohort

    Show = Callable[..., Browser]

CHROMIUM = found()
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on PATH: install one to test the page in a browser"
)
HEADER = "#region thead th:nth-child({}) button"
NAME, SCORE = 1, 4


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    assert CHROMIUM is not None
    with Browser(CHROMIUM, tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture
def show(browser: Browser, tmp_path: Path) -> Iterator[Show]:
    """Return what opens a class's page; a test fails where the page does what it never should."""

    def opened(cohort: GradedCohort, **seen: Any) -> Browser:
        file = tmp_path / "report.html"
        file.write_text(render(cohort), encoding="utf-8")
        browser.trouble.clear()
        browser.requests.clear()
        browser.see(**seen)
        browser.open(file)
        return browser

    yield opened
    browser.run("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    assert browser.trouble == []
    assert browser.requests == [(tmp_path / "report.html").as_uri()]


def column(browser: Browser, place: int) -> list[str]:
    selector = f"#body tr > :nth-child({place})"
    cells: list[str] = browser.run(
        f"[...document.querySelectorAll('{selector}')].map((cell) => cell.textContent)"
    )
    return cells


def text(browser: Browser, selector: str) -> str:
    said: str = browser.run(f"document.querySelector('{selector}').textContent")
    return said


def sort_state(browser: Browser, place: int) -> str | None:
    state: str | None = browser.run(
        f"document.querySelector('{HEADER.format(place)}').parentElement.getAttribute('aria-sort')"
    )
    return state


def four() -> GradedCohort:
    """Return a class of four whose names, marks and order all differ."""
    names = {"Zoë 10": 90.0, "anna": 100.0, "Zoë 9": 20.0, "Émile": 100.0}
    rows = [row(name, summary_of((), score=score)) for name, score in names.items()]
    missing = Row(Student("5", "Berta"), None, None, "missing")
    return graded_class(*rows[:2], missing, *rows[2:])


ORDER = ["Zoë 10", "anna", "Berta", "Zoë 9", "Émile"]


@pytest.mark.parametrize(
    ("place", "clicks", "names", "state"),
    [
        pytest.param(NAME, 0, ORDER, None, id="as the gradebook has them"),
        pytest.param(
            NAME, 1, ["anna", "Berta", "Émile", "Zoë 9", "Zoë 10"], "ascending",
            id="by name, as people sort: accents and numbers too",
        ),
        pytest.param(
            NAME, 2, ["Zoë 10", "Zoë 9", "Émile", "Berta", "anna"], "descending", id="names down"
        ),
        pytest.param(
            SCORE, 1, ["Zoë 9", "Zoë 10", "anna", "Émile", "Berta"], "ascending",
            id="by score as a number, stable, the missing last",
        ),
        pytest.param(
            SCORE, 2, ["anna", "Émile", "Zoë 10", "Zoë 9", "Berta"], "descending",
            id="by score down, stable, the missing still last",
        ),
        pytest.param(SCORE, 3, ORDER, None, id="a third time is back"),
    ],
)  # fmt: skip
def test_sorts_by_clicks(
    show: Show, place: int, clicks: int, names: list[str], state: str | None
) -> None:
    browser = show(four())
    for _ in range(clicks):
        browser.click(HEADER.format(place))
    assert column(browser, NAME) == names
    assert sort_state(browser, place) == state


def test_only_the_sorted_column_says_so(show: Show) -> None:
    browser = show(four())
    browser.click(HEADER.format(NAME))
    browser.click(HEADER.format(SCORE))
    assert sort_state(browser, NAME) is None
    assert sort_state(browser, SCORE) == "ascending"


@pytest.mark.parametrize(
    ("words", "names"),
    [
        pytest.param("emile", ["Émile"], id="without the accent, in small letters"),
        pytest.param("ZOË  9", ["Zoë 9"], id="each word"),
        pytest.param("nobody", [], id="nobody"),
        pytest.param("missing", ["Berta"], id="a status"),
    ],
)
def test_searches(show: Show, words: str, names: list[str]) -> None:
    browser = show(four())
    browser.click("#search")
    browser.write(words)
    assert column(browser, NAME) == names
    assert text(browser, "#count") == f"{len(names)} of 5 shown"
    browser.click("#clear")
    assert column(browser, NAME) == ORDER


def test_all_by_keyboard(show: Show) -> None:
    browser = show(four())
    browser.click("#search")
    browser.press("Tab")
    assert browser.run("document.activeElement.id") == "status"
    browser.press("ArrowDown")
    assert text(browser, "#count") == "4 of 5 shown"
    browser.press("ArrowUp")
    assert text(browser, "#count") == "5 of 5 shown"
    browser.press("Tab")
    assert browser.run("document.activeElement.id") == "lost"
    browser.press("Tab")
    assert browser.run("document.activeElement.id") == "clear"
    browser.press("Tab")
    assert browser.run("document.activeElement.id") == "region"
    outline = browser.run("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    browser.press("Tab")
    assert text(browser, ":focus") == "Student"
    browser.press("Enter")
    assert sort_state(browser, NAME) == "ascending"
    assert column(browser, NAME)[0] == "anna"
    browser.press(" ")
    assert sort_state(browser, NAME) == "descending"
    assert text(browser, ":focus") == "Student"
    while text(browser, ":focus") != "Zoë 10":
        browser.press("Tab")
    assert (
        browser.run("document.activeElement.getAttribute('href')")
        == "./feedback/Zo%C3%AB%2010.html"
    )


def test_filters_by_status_and_by_criterion(show: Show) -> None:
    cohort = graded_class(
        row("Ann", summary_of(())),
        row("Bob", summary_of(("softmax.gradient",))),
        row("Cid", summary_of(("softmax.rows_sum_to_1", "one_hot.two_classes"))),
        row("Dee", status="unreadable", problem="no"),
    )
    browser = show(cohort)

    def choose(select: str, label: str) -> list[str]:
        browser.run(
            f"""(() => {{
              const select = document.getElementById("{select}");
              const options = [...select.options].filter((each) => each.label.includes("{label}"));
              select.value = options[0].value;
              select.dispatchEvent(new Event("change"));
            }})()"""
        )
        return column(browser, NAME)

    assert choose("lost", "softmax: any criterion") == ["Bob", "Cid"]
    assert choose("lost", "one_hot: any criterion") == ["Cid"]
    assert choose("lost", "The gradient of softmax") == ["Bob"]
    assert choose("status", "unreadable") == []
    assert choose("lost", "anything") == ["Dee"]
    assert text(browser, "#count") == "1 of 4 shown"


@pytest.mark.parametrize(
    ("button", "names"),
    [
        pytest.param("[data-group='1']", ["Bob", "Cid"], id="a group of equal outputs"),
        pytest.param("[data-text=forgot-exp]", ["Dee"], id="a misconception"),
        pytest.param("[data-lost]", ["Bob", "Cid", "Dee"], id="a criterion"),
    ],
)
def test_buttons_above_filter_the_table(show: Show, button: str, names: list[str]) -> None:
    lost = ("one_hot.two_classes",)
    equal: dict[str, Any] = {"fingerprints": {"one_hot": "1"}}
    browser = show(
        graded_class(
            row("Ann", summary_of(())),
            row("Bob", summary_of(lost, **equal)),
            row("Cid", summary_of(lost, **equal)),
            row("Dee", summary_of(lost, misconceptions={"one_hot": "forgot-exp"})),
        )
    )
    browser.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    browser.click(button)
    assert column(browser, NAME) == names
    assert browser.run("document.activeElement.id") == "region"
    # The group is not in one of the controls above: it has its own button, that ends it.
    if "group" in button:
        browser.click("#only-group")
    else:
        browser.click("#clear")
    assert len(column(browser, NAME)) == 4


def test_a_long_class_comes_in_pages(show: Show) -> None:
    browser = show(graded_class(*(row(f"s{k}", summary_of(())) for k in range(450))))
    assert text(browser, "#count") == "450 of 450 shown, rows 1 to 200 on this page"
    assert browser.run("document.getElementById('previous').disabled")
    browser.click("#next")
    browser.click("#next")
    assert column(browser, NAME) == [f"s{k}" for k in range(400, 450)]
    assert browser.run("document.getElementById('next').disabled")
    browser.click("#previous")
    assert text(browser, "#count") == "450 of 450 shown, rows 201 to 400 on this page"
    browser.click(HEADER.format(NAME))
    assert column(browser, NAME)[0] == "s0"


HOSTILE = """</script><script>alert(1)</script><img src=x onerror=alert(2)><!--<script>"'\u202e"""


def test_hostile_names_do_nothing(show: Show) -> None:
    summary = summary_of(
        ("one_hot.two_classes",),
        misconceptions={"one_hot": HOSTILE}, findings=(HOSTILE,), fingerprints={"one_hot": HOSTILE},
    )  # fmt: skip
    about: dict[str, Any] = {"source": HOSTILE}
    browser = show(
        graded_class(
            row(HOSTILE, summary, id="1", **about),
            row(HOSTILE, summary, id="2", **about),
            row("Ann", summary_of(())),
            row("Cid", status="unreadable", problem=HOSTILE),
            title=HOSTILE,
            notes=(HOSTILE,),
            feedback={"1": "javascript:alert(3)", "2": "//example.org/", "Ann": HOSTILE},
        )
    )
    shown = HOSTILE.replace("\u202e", "�")
    assert column(browser, NAME) == [shown, shown, "Ann", "Cid"]
    assert browser.run("document.querySelectorAll('img, #body script').length") == 0
    browser.click("#search")
    browser.write("onerror")
    assert len(column(browser, NAME)) == 3
    protocols = browser.run("[...document.links].map((each) => each.protocol)")
    assert set(protocols) == {"file:"}
    # Neither a name's link nor a button of a misconception runs anything.
    browser.click("[data-text]")
    assert len(column(browser, NAME)) == 3


def test_the_policy_is_in_force(browser: Browser, show: Show) -> None:
    show(four())
    ran = browser.run(
        """(() => {
          const script = document.createElement("script");
          script.textContent = "document.title = 'ran'";
          document.body.append(script);
          return document.title;
        })()"""
    )
    assert ran != "ran"
    assert any("Content Security Policy" in each for each in browser.trouble)
    browser.trouble.clear()


@pytest.mark.parametrize("width", [pytest.param(360, id="phone"), pytest.param(1280, id="desk")])
@pytest.mark.parametrize(
    "cohort",
    [
        pytest.param(example_class(), id="a class"),
        pytest.param(graded_class(), id="nobody"),
        pytest.param(
            graded_class(row("W" * 500, summary_of(()), source="W" * 500), title="W" * 90),
            id="long names",
        ),
    ],
)
def test_only_the_table_scrolls_sideways(show: Show, cohort: GradedCohort, width: int) -> None:
    browser = show(cohort, width=width, height=740)
    browser.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert browser.run("document.documentElement.scrollWidth") == width
    assert browser.run("document.body.scrollWidth") <= width


@pytest.mark.parametrize(
    ("scheme", "ground"),
    [
        pytest.param("light", "rgb(255, 255, 255)", id="light"),
        pytest.param("dark", "rgb(13, 17, 23)", id="dark"),
    ],
)
def test_colours_follow_the_reader(show: Show, scheme: str, ground: str) -> None:
    browser = show(example_class(), scheme=scheme)
    for selector in ("body", "#body th", "#search"):
        colour = f"getComputedStyle(document.querySelector('{selector}')).backgroundColor"
        assert browser.run(colour) == ground


@pytest.mark.parametrize(
    ("motion", "behaviour"),
    [
        pytest.param("reduce", "auto", id="none where that is asked for"),
        pytest.param("no-preference", "smooth", id="smooth"),
    ],
)
def test_motion(show: Show, motion: str, behaviour: str) -> None:
    browser = show(four(), motion=motion)
    assert browser.run("getComputedStyle(document.documentElement).scrollBehavior") == behaviour


def test_without_a_script_the_figures_are_there(browser: Browser, show: Show) -> None:
    browser.send("Emulation.setScriptExecutionDisabled", value=True)
    try:
        show(example_class())
        seen = browser.run("document.body.innerText")
    finally:
        browser.send("Emulation.setScriptExecutionDisabled", value=False)
    assert "The table needs JavaScript" in seen
    assert "missing-minus-sign" in seen
    assert "show in the table" not in seen
    assert "Clear filters" not in seen


# What stands at the top, and the window.
PICTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "light": ("h1", {"width": 1000, "height": 1250, "scheme": "light"}),
    "dark": ("#groups", {"width": 1000, "height": 1250, "scheme": "dark"}),
    "phone": ("#scores", {"width": 360, "height": 900, "scheme": "light"}),
}


@pytest.mark.parametrize("name", PICTURES)
def test_its_picture(name: str, show: Show, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """`--report-pictures docs` keeps the pictures that the documentation shows."""
    top, seen = PICTURES[name]
    browser = show(example_class(), motion="reduce", **seen)
    browser.run(f"document.querySelector('{top}').scrollIntoView()")
    folder = Path(pytestconfig.getoption("--report-pictures") or tmp_path)
    with Image.open(io.BytesIO(browser.picture())) as taken:
        assert taken.size == (seen["width"], seen["height"])
        ground = ImageStat.Stat(taken.convert("L").crop((0, 0, 4, 4))).mean[0]
        # A page has few colours: a palette makes a third of the bytes.
        few = taken.convert("RGB").quantize(256)
        few.save(folder / f"report-example-{name}.png", optimize=True)
    assert (ground < 64) == (seen["scheme"] == "dark")
    assert (folder / f"report-example-{name}.png").stat().st_size < 150_000
