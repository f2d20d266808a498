"""Watch losses while a program runs: what a tensor means, and which loss it reaches.

    with lossgrade.watch_losses():
        train(model, loader)

raises `LossMisuse` where probabilities reach a loss that applies softmax itself, and so on: the
linter's mistakes, with the linter's codes. Under pytest: `pytest --watch-losses`.

This module imports no torch; entering the block does.
"""

from __future__ import annotations

import contextlib
import linecache
import os
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from lossgrade.language import say
from lossgrade.watch_tables import RULES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

OnMisuse = Literal["raise", "warn", "record"]


@dataclass
class WatchReport:
    """One mistake: a pair of lines, and how often they met.

    `code` and `name` are the linter's. `severity` is "warning" where the loss is right all the
    same and work is done twice (LG102), else "error". In `activation_line`, 0 says unknown.
    """

    code: str
    name: str
    message: str
    loss_file: str
    loss_line: int
    activation_file: str
    activation_line: int
    count: int = 1
    severity: str = "error"
    # What was done on the second line: "softmax is applied here, by the layer Softmax".
    related: str = ""

    def __str__(self) -> str:
        """Return where, what, and the two lines, each with its source."""
        told = [f"{_place(self.loss_file, self.loss_line)} {self.code} {self.message}"]
        told += _source(self.loss_file, self.loss_line)
        if self.activation_line:
            told.append(f"{_place(self.activation_file, self.activation_line)} {self.related}")
            told += _source(self.activation_file, self.activation_line)
        if self.count > 1:
            told.append(say("({count} times)", count=self.count))
        return "\n".join(told)


def _place(file: str, line: int) -> str:
    with contextlib.suppress(ValueError, OSError):
        short = os.path.relpath(file)
        file = file if short.startswith("..") or not os.path.isabs(file) else short  # noqa: PTH117 - names, as code objects have them
    return f"{file}:{line}"


def _source(file: str, line: int) -> list[str]:
    text = linecache.getline(file, line).strip()
    return [f"    {text}"] if text else []


class LossMisuse(AssertionError):
    """A tensor reached a loss that expects another meaning; `report` says which and where."""

    def __init__(self, report: WatchReport) -> None:
        super().__init__(str(report))
        self.report = report

    def __reduce__(self) -> tuple[type[LossMisuse], tuple[WatchReport]]:
        return type(self), (self.report,)


class LossMisuseWarning(UserWarning):
    """What `LossMisuse` says, as a warning."""


class Watch:
    """What was found: `reports`, in the order of their first time."""

    def __init__(self, on_misuse: OnMisuse = "raise", allow: Iterable[str] = ()) -> None:
        if on_misuse not in {"raise", "warn", "record"}:
            raise ValueError(f'on_misuse={on_misuse!r}, expected "raise", "warn" or "record"')
        self.on_misuse = on_misuse
        self.allow = codes(allow)
        self.reports: list[WatchReport] = []

    def note(self, found: WatchReport) -> None:
        """Take a report in, and raise or warn as asked.

        Raises:
            LossMisuse: it is an error, and `on_misuse` is "raise".
        """
        __tracebackhide__ = True
        if found.code in self.allow:
            return
        pair = _pair(found)
        # Few pairs of lines are wrong in one program.
        known = next((each for each in self.reports if _pair(each) == pair), None)
        if known is None:
            self.reports.append(found)
        else:
            known.count += 1
        if self.on_misuse == "raise" and found.severity == "error":
            raise LossMisuse(found)
        if self.on_misuse != "record" and known is None:
            warn(found)

    def take(self) -> list[WatchReport]:
        """Return the reports, and start anew."""
        taken, self.reports = self.reports, []
        return taken


def _pair(report: WatchReport) -> tuple[str, str, int, str, int]:
    return (
        report.code,
        report.loss_file,
        report.loss_line,
        report.activation_file,
        report.activation_line,
    )


def warn(found: WatchReport) -> None:
    """Issue a report as a warning that stands at the line of the loss."""
    warnings.warn_explicit(
        LossMisuseWarning(str(found)), None, found.loss_file, max(found.loss_line, 1)
    )


def codes(names: Iterable[str]) -> frozenset[str]:
    """Return the codes that codes or names such as "LG101" and "double-activation" stand for.

    Raises:
        ValueError: one of them is neither.
    """
    by_name = {name: code for code, (name, _) in RULES.items()}
    found = {by_name.get(each, each) for each in names}
    unknown = sorted(found - RULES.keys())
    if unknown:
        raise ValueError(f"{', '.join(unknown)}: expected codes or names of {', '.join(RULES)}")
    return frozenset(found)


@contextlib.contextmanager
def watch_losses(*, on_misuse: OnMisuse = "raise", allow: Iterable[str] = ()) -> Iterator[Watch]:
    """Follow what tensors mean inside the block, and tell which reach a loss wrongly.

    Args:
        on_misuse: "raise" raises `LossMisuse` at the call of the loss, before it computes
            anything, so that the traceback ends at the line to mend; "warn" issues one
            `LossMisuseWarning` for each pair of lines; "record" says nothing. What is redundant
            but right (LG102) is a warning under "raise" too. `Watch.reports` has all of it.
        allow: codes or names that are meant: `allow=["LG102"]`.
    Raises:
        ValueError: an unknown `on_misuse` or code.
        ModuleNotFoundError: there is no torch.

    It follows the thread that enters the block, and nothing inside code that is compiled
    (`torch.compile`, `torch.jit`): there it is silent. Of blocks in one another, the innermost
    answers for what it finds.
    """
    watch = Watch(on_misuse, allow)
    from lossgrade.watch_mode import Follow

    mode = Follow(watch)
    mode.enter()
    try:
        yield watch
    finally:
        mode.leave()
