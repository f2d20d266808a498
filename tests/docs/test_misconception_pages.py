"""docs/misconceptions: a page for every misconception, fresh, with links that lead somewhere."""

from __future__ import annotations

import ast
import builtins
import importlib.util
import re
import symtable
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lossgrade import oracle
from lossgrade.diagnosis.bank import bank
from support import FIXTURES, entries

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "misconceptions"
WRONG = [e for e in entries("submissions/index.toml", "submission") if e["verdict"] == "wrong"]
SLUGS = sorted({each.slug for each in bank()} | {entry["misconception"] for entry in WRONG})
# Of numbers that a page shows with four decimals, and of what is computed from them.
ROUNDED = 1.5e-3


def _generator() -> Any:
    name = "docs_generate_misconceptions"
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


generate = _generator()
made = generate.misconceptions
PARTS = [(slug, part) for slug in SLUGS for part in made.parts(slug)]
FORMULAS = [
    (slug, part)
    for slug, part in PARTS
    if part.misconception is not None and part.misconception.formula is not None
]


def parts_of(found: list[tuple[str, Any]]) -> pytest.MarkDecorator:
    names = [f"{slug}-{part.function}" for slug, part in found]
    return pytest.mark.parametrize(("slug", "part"), found, ids=names)


def text_of(slug: str) -> str:
    return (FOLDER / f"{slug}.md").read_text(encoding="utf-8")


def section_of(slug: str, function: str) -> str:
    """Return what a page says of one function; the whole of it where that is its only one."""
    text = text_of(slug)
    if len(made.parts(slug)) == 1:
        return text
    return re.split(r"^## ", text.partition(f"\n## {function}\n")[2], flags=re.MULTILINE)[0]


def columns_of(section: str) -> dict[str, list[list[float]]]:
    """Return the numbers of a page: rows of numbers, by the names of the columns."""
    [block] = re.findall(r"^```text\n(.*?)^```$", section, flags=re.MULTILINE | re.DOTALL)
    header, *rows = block.splitlines()
    starts = [found.span() for found in re.finditer(r"\S+(?: \S+)*", header)]
    ends = [start for start, _ in starts[1:]] + [200]
    columns = {}
    for (start, stop), end in zip(starts, ends, strict=True):
        cells = [row[start:end].split() for row in rows]
        name = header[start:stop].partition(",")[0]
        columns[name] = [[float(each) for each in cell] for cell in cells if cell]
    return columns


def array_of(rows: list[list[float]], *, flat: bool) -> Any:
    """Return a column as an array: a vector where each line holds one entry of it."""
    values = np.array(rows)
    return values[:, 0] if flat and values.shape[1] == 1 else values


def test_every_misconception_has_its_page_and_no_other_is_there() -> None:
    """A misconception that is renamed or removed leaves no page behind."""
    assert sorted(path.stem for path in FOLDER.iterdir()) == SLUGS
    assert sorted(generate.MISCONCEPTIONS) == sorted(FOLDER.iterdir())


@pytest.mark.parametrize("slug", SLUGS)
def test_is_fresh(slug: str) -> None:
    """Words, programs and numbers are what the bank and the submissions say now."""
    assert text_of(slug) == generate.expected(FOLDER / f"{slug}.md"), (
        "stale; run: python docs/generate.py"
    )


@pytest.mark.parametrize("slug", SLUGS)
def test_links_resolve(slug: str) -> None:
    """Every link of a page names a file that exists, and a heading that it has."""
    targets = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", text_of(slug), flags=re.S))
    assert "../misconceptions.md" in targets
    for target in targets:
        name, _, anchor = target.partition("#")
        path = (FOLDER / name).resolve()
        assert path.is_file(), target
        if anchor:
            # What the page holds when it is fresh, which is another test's affair.
            assert anchor in re.findall(r"^#+ (.+)$", generate.expected(path), flags=re.M), target


@pytest.mark.parametrize("slug", SLUGS)
def test_the_index_has_the_page(slug: str) -> None:
    """docs/misconceptions.md leads to every page, with its rule."""
    index = (ROOT / "docs" / "misconceptions.md").read_text(encoding="utf-8")
    rows = [line for line in index.splitlines() if f"({FOLDER.name}/{slug}.md)" in line]
    assert rows
    rules = {made.rule(slug, part) for part in made.parts(slug)} - {""}
    for rule in rules:
        assert any(f"[{rule}](rules/{rule}.md)" in row for row in rows)


@pytest.mark.parametrize("slug", SLUGS)
def test_fits_the_page(slug: str) -> None:
    """Lines have 100 characters at most; programs and tables are as long as they are."""
    text = re.sub(r"```.*?```", "", text_of(slug), flags=re.DOTALL)
    assert [line for line in text.splitlines() if len(line) > 100] == []


@pytest.mark.parametrize("slug", SLUGS)
def test_says_what_a_student_needs(slug: str) -> None:
    """Explanation, fix and passage of each of the bank's, and what fails for each example."""
    for part in made.parts(slug):
        said = " ".join(section_of(slug, part.function).split())
        found = part.misconception
        if found is not None:
            for text in (found.explanation, found.fix, found.source):
                assert text in said
            # What shows in numbers is shown in numbers.
            assert "```text" in section_of(slug, part.function)
        for entry in part.entries[:1]:
            assert any(f"`{criterion}`" in said for criterion in entry["caught_by"])


PROGRAMS = [
    pytest.param(text, id=f"{slug}-{number}")
    for slug in SLUGS
    for number, text in enumerate(re.findall(r"```python\n(.*?)```", text_of(slug), re.DOTALL))
]


def imported() -> set[str]:
    """Return the names that the bundled submissions import."""
    texts = [(FIXTURES / "submissions" / e["path"]).read_text(encoding="utf-8") for e in WRONG]
    return {
        alias.asname or alias.name
        for text in texts
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }


@pytest.mark.parametrize("text", PROGRAMS)
def test_programs_define_what_they_use(text: str) -> None:
    """A function is cut out of its file with whatever of the file it needs, but for imports."""
    table = symtable.symtable(text, "example", "exec")
    defined = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned()}
    defined |= {child.get_name() for child in table.get_children()}
    used = set().union(*(made._used(child) for child in table.get_children()))
    assert defined
    assert used <= defined | imported() | set(dir(builtins))


# --- numbers -------------------------------------------------------------------------------------


@parts_of(FORMULAS)
def test_numbers_are_those_of_the_bank(slug: str, part: Any) -> None:
    """The bank's formula, on the input that the page shows, gives the numbers that it shows."""
    found = part.misconception
    columns = columns_of(section_of(slug, part.function))
    given = given_of(part.function, columns)
    shown = made.shown(slug, part.function)
    # In the precision in which the function ran: above 88 exp overflows in float32 alone.
    given = tuple(
        np.asarray(each, dtype=np.asarray(was).dtype)
        for each, was in zip(given, shown.sample.given, strict=True)
    )
    constants = shown.guess.constants if shown.guess is not None else ()
    wrong = np.array(columns["with the mistake"])
    with np.errstate(all="ignore"):
        results = [each for each in found.results(given, *constants) if each is not None]
    assert any(agree(wrong, each) for each in results)
    # And they are not the right ones.
    right = np.array(columns["right"])
    assert right.shape != wrong.shape or not np.array_equal(right, wrong, equal_nan=True)


def given_of(function: str, columns: dict[str, list[list[float]]]) -> tuple[Any, ...]:
    """Return the arguments that a page shows, in canonical form."""
    given = [
        array_of(rows, flat=function not in ("softmax", "class_label", "cross_entropy"))
        for name, rows in columns.items()
        if name not in ("right", "with the mistake")
    ]
    if function == "one_hot":
        return given[0].astype(int), int(given[1][0])
    if function in ("entropy", "kl_divergence"):
        return tuple(np.ravel(each) for each in given)
    return tuple(given)


def agree(shown: Any, computed: Any) -> bool:
    wanted = np.asarray(computed, dtype=np.float64)
    wanted = np.atleast_2d(wanted) if wanted.ndim != 1 else wanted[:, np.newaxis]
    if shown.shape != wanted.shape:
        return False
    return bool(np.allclose(shown, wanted, rtol=ROUNDED, atol=ROUNDED, equal_nan=True))


RIGHT: dict[str, Callable[..., Any]] = {
    "softmax": oracle.softmax,
    "class_label": oracle.class_label,
    "one_hot": oracle.one_hot,
    "cross_entropy": oracle.cross_entropy,
}


@parts_of([each for each in FORMULAS if each[1].function in RIGHT])
def test_right_numbers_are_the_reference(slug: str, part: Any) -> None:
    """The column of what is right holds the reference's values."""
    columns = columns_of(section_of(slug, part.function))
    expected = RIGHT[part.function](*given_of(part.function, columns))
    right = np.array(columns["right"])
    if slug == "ln-instead-of-log2":
        # It is a mistake where bits are asked for.
        expected = expected / np.log(2)
    assert agree(right, expected)


def test_numbers_are_shown_as_they_are() -> None:
    """Four decimals, whole numbers as such, and nothing tiny is taken for 0."""
    assert made.lines(np.array([[0.5, -0.25], [1e-40, np.nan]])) == [
        " 0.5000  -0.2500",
        "1.0e-40      nan",
    ]
    assert made.lines(np.array([1.0, 0.0])) == ["1", "0"]
    assert made.lines(np.float64(-0.0)) == ["0"]
    assert made.lines(np.array([True])) == ["True"]


def test_columns_stand_side_by_side() -> None:
    """A block is as high as its longest column."""
    assert made.block({"z": ["1", "2"], "right": ["3"]}) == [
        "```text",
        "z   right",
        "1   3",
        "2",
        "```",
    ]
