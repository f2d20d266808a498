"""Result records for tests of the reports, and how a page is read as a browser reads it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

from lossgrade.assignment import load_assignment, parse_assignment
from lossgrade.engine import make_result
from lossgrade.result import (
    CriterionRecord,
    LayerRecord,
    Result,
    SandboxRecord,
    SubmissionRecord,
)

PRICED = parse_assignment(
    'name = "priced"\n[lint]\npenalties = { LG1 = 1, LG302 = 2.5 }\n'
    '[functions.softmax]\nnames = ["softmax"]\npoints = 10\n',
    "priced.toml",
)
SECRET = "SECRET"


def criterion(name: str = "softmax.sum", **changes: Any) -> CriterionRecord:
    """Return the record of a criterion worth 2 points that passed, but for the changes."""
    outcome = changes.get("outcome", "passed")
    worth = changes.get("max_score", 2.0)
    start: dict[str, Any] = {
        "id": name,
        "function": name.partition(".")[0],
        "title": f"The title of {name}",
        "kind": "values",
        "outcome": outcome,
        "max_score": worth,
        "score": worth if outcome == "passed" else 0,
        "max_bonus": 0,
        "bonus": changes.get("max_bonus", 0) if outcome == "passed" else 0,
        "visibility": "visible",
        "message": "" if outcome == "passed" else f"The message of {name}",
        "hint": "" if outcome == "passed" else f"The hint of {name}",
    }
    return CriterionRecord(**{**start, **changes})


def result(*criteria: CriterionRecord, **changes: Any) -> Result:
    """Return a result of these criteria, its sums made as the engine makes them."""
    about: dict[str, Any] = {
        "submission": SubmissionRecord(id="hw", path="/somewhere/hw.py"),
        "seed": "0123",
        "started_at": "2026-01-01T00:00:00+00:00",
        "duration_s": 0.5,
        "sandbox": SandboxRecord(level="limits", layers=[LayerRecord(name="limits", on=True)]),
    }
    changes.setdefault("assignment", load_assignment("stat453")[0])
    return make_result((), {c.id: c for c in criteria}, **{**about, **changes})


class Page(HTMLParser):
    """Reads a page as a browser does, and refuses what ours must not hold."""

    VOID = ("meta", "br", "link", "img", "input", "hr", "base", "area", "col", "embed", "wbr")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.pictures = 0
        self.text = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "iframe", "object", "embed", "base", "form", "link", "img")
        for name, value in attributes:
            assert not name.startswith("on"), (tag, name)
            if name in ("href", "src", "xlink:href"):
                assert (value or "").startswith("#"), (tag, name, value)
            if name == "id":
                self.ids.append(value or "")
        if tag == "svg":
            self.pictures += 1
            assert dict(attributes)["role"] == "img"
            assert dict(attributes)["aria-label"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def assert_page_is_sound(text: str) -> Page:
    """Read a page: its elements are closed in order, its ids are unique, nothing is loaded."""
    text.encode()
    page = Page()
    page.feed(text)
    page.close()
    assert page.open == []
    assert len(set(page.ids)) == len(page.ids)
    assert not re.search("[\x00-\x08\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    return page


class Screen:
    """What the summary is written to."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write_line(self, text: str, **_: bool) -> None:
        self.lines.append(text)

    def write_sep(self, _separator: str, text: str, **_: bool) -> None:
        self.lines.append(text)
