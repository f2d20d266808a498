"""The tree that pytest shows: the submission, its functions, an item for each criterion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lossgrade.language import say
from lossgrade.visibility import at_once

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from lossgrade.manifest import Graded
    from lossgrade.result import CriterionRecord
    from lossgrade.session import Session


class CriterionFailed(Exception):
    """A criterion that does not hold; the text is what the student reads."""


class Node(pytest.Collector):
    """The submission, or one of its functions, as the tree of items shows it."""

    def collect(self) -> Iterable[pytest.Item]:
        return ()


class CriterionItem(pytest.Item):
    """One criterion of the submission."""

    def __init__(self, *, line: Graded, owner: Session, **rest: Any) -> None:
        super().__init__(**rest)
        self.line = line
        self.owner = owner
        self.record: CriterionRecord | None = None

    def runtest(self) -> None:
        grading = self.owner.grading
        assert grading is not None
        self.record = record = grading.run(self.line)
        self.user_properties += [("score", record.score), ("max_score", record.max_score)]
        if record.outcome == "passed":
            return
        if not self.owner.show_hidden:
            # The terminal and the JUnit file are read at once.
            record = at_once(record)
        text = "\n".join(filter(None, (record.message, record.hint)))
        if record.advice:
            if self.config.option.runxfail:
                return  # xfail() does nothing then, and advice fails no run
            pytest.xfail(text)
        if record.outcome == "not-graded":
            text = say("not graded: {message}", message=text)
        raise CriterionFailed(text)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        # pytest would read and parse our own source for a traceback that nobody is shown.
        if isinstance(excinfo.value, CriterionFailed | pytest.xfail.Exception):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, f"{self.line.function}: {say(self.line.criterion.title)}"
