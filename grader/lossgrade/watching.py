"""`pytest --watch-losses`: a test fails in which a tensor reaches a loss wrongly."""

from __future__ import annotations

import importlib.util
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import TYPE_CHECKING

import pytest

from lossgrade.language import say
from lossgrade.watch import LossMisuseWarning, Watch, codes, warn, watch_losses

if TYPE_CHECKING:
    from collections.abc import Generator

    from lossgrade.watch import WatchReport

MARKER = "allow_loss_misuse"


def require_torch() -> None:
    """Stop pytest where there is no torch to watch.

    Raises:
        pytest.UsageError: torch is not installed.
    """
    try:
        found = importlib.util.find_spec("torch")
    except ValueError:
        found = None
    if found is None:
        raise pytest.UsageError("--watch-losses needs torch: pip install torch")


class Watching:
    """The hooks of a watched run.

    One watch spans the run, since a fixture may enter a mode of its own in one test and leave it
    in another. What is found in a test's setup is told with its call, what is found in its
    teardown there.
    """

    def __init__(self) -> None:
        self.watch = Watch("record")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        config = session.config
        # Under pytest-xdist, tests run in other processes, which have this hook too.
        idle = config.option.collectonly or config.pluginmanager.has_plugin("dsession")
        watching: AbstractContextManager[Watch] = (
            nullcontext(self.watch) if idle else watch_losses(on_misuse="record")
        )
        with watching as self.watch:
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, None, None]:
        self.watch.take()
        try:
            yield
        except BaseException:
            self._add_section(item, "setup")
            raise
        check_marker(item)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        yield from self._watched(item, "call")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, None, None]:
        yield from self._watched(item, "teardown")

    def _watched(self, item: pytest.Item, when: str) -> Generator[None, None, None]:
        __tracebackhide__ = True
        try:
            yield
        except BaseException:
            # It has failed, or was skipped, for a reason of its own.
            self._add_section(item, when)
            raise
        found = self._found(item)
        failures = [str(each) for each in found if each.severity == "error"]
        try:
            for each in found:
                if each.severity != "error":
                    warn(each)
        except LossMisuseWarning as error:
            # `-W error`
            failures.append(str(error))
        if failures:
            pytest.fail("\n\n".join(failures), pytrace=False)

    def _found(self, item: pytest.Item) -> list[WatchReport]:
        fine = allowed(item)
        return [each for each in self.watch.take() if each.code not in fine]

    def _add_section(self, item: pytest.Item, when: str) -> None:
        found = self._found(item)
        if found:
            text = "\n\n".join(map(str, found))
            item.add_report_section(when, "losses", text)


def allowed(item: pytest.Item) -> frozenset[str]:
    """Return the codes that the markers of a test allow; those that are none are passed over."""
    found: set[str] = set()
    for marker in item.iter_markers(MARKER):
        for name in marker.args:
            with suppress(ValueError):
                found |= codes([str(name)])
    return frozenset(found)


def check_marker(item: pytest.Item) -> None:
    """Fail a test whose marker names nothing, or what is no code."""
    problem = ""
    for marker in item.iter_markers(MARKER):
        if not marker.args or marker.kwargs:
            problem = say('{marker}: name the codes, as in {marker}("LG101")', marker=MARKER)
        try:
            codes(map(str, marker.args))
        except ValueError as error:
            problem = f"{MARKER}: {error}"
    if problem:
        pytest.fail(problem, pytrace=False)
