"""An instructor's own tests: what their markers say, and what they become in the result."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any, TypeGuard

import pytest

from lossgrade.language import say
from lossgrade.visibility import stored

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lossgrade.result import CriterionRecord

VISIBILITIES = ("visible", "hidden", "after_due_date", "after_published")
POINTS_CAP = 10_000


def described(item: pytest.Item, visibility: str) -> dict[str, Any]:
    """Read a test's markers.

    Args:
        item: the test.
        visibility: who sees the outcome where no marker says so.
    Raises:
        pytest.UsageError: a marker with a wrong argument.
    """
    points = _argument(item, "points", 0)
    if not _is_points(points):
        raise pytest.UsageError(
            f"{item.nodeid}: points({points!r}), expected a number from 0 to {POINTS_CAP}"
        )
    seen_by = _argument(item, "visibility", visibility)
    if seen_by not in VISIBILITIES:
        raise pytest.UsageError(
            f"{item.nodeid}: visibility({seen_by!r}), expected one of {', '.join(VISIBILITIES)}"
        )
    hint = _argument(item, "hint", "")
    if not isinstance(hint, str):
        raise pytest.UsageError(f"{item.nodeid}: hint({hint!r}), expected a text")
    documented = getattr(getattr(item, "obj", None), "__doc__", None) or ""
    title = documented.strip().partition("\n")[0].rstrip(".")
    # A test of many cases has one docstring: its cases are told apart by their ids.
    case = item.name[item.name.find("[") :] if item.name.endswith("]") else ""
    return _test(
        item.nodeid,
        title=f"{title} {case}".strip() if title else item.name,
        points=float(points),
        visibility=seen_by,
        hint=hint,
    )


class Unavailable(Exception):
    """A call of the submission that the machine, not the student, made impossible."""


def note(test: dict[str, Any], report: pytest.TestReport, call: pytest.CallInfo[None]) -> None:
    """Take into `test` what one phase of it showed: the first problem counts."""
    if call.excinfo is not None and call.excinfo.errisinstance(Unavailable):
        test["broken"] = line(str(call.excinfo.value))
        report.longrepr = say("not graded: {message}", message=test["broken"])
    elif report.failed:
        problem = _problem(report)
        if report.when != "call":
            problem = say("error in {phase}: {problem}", phase=report.when, problem=problem)
        test["message"] = test["message"] or problem
    elif report.skipped:
        reason = say("was skipped: {reason}", reason=_skip_reason(report))
        test["message"] = test["message"] or reason
    elif report.when == "call":
        test["passed"] = True


def bare(report: pytest.TestReport) -> dict[str, Any]:
    """Return what of a test that is not visible may be written down, by attributes of its report:
    no values, no traceback, nothing it printed.
    """
    skipped = say("a test that is not shown was skipped")
    told: dict[str, Any] = {"longrepr": None, "sections": []}
    if report.failed:
        told["longrepr"] = say("a test that is not shown failed")
    elif report.skipped and isinstance(report.longrepr, tuple):
        told["longrepr"] = *report.longrepr[:2], skipped
    if hasattr(report, "wasxfail"):
        told["wasxfail"] = skipped
    return told


def record(
    nodeid: str, test: dict[str, Any], not_run: str = "", *, show_hidden: bool = False
) -> CriterionRecord:
    """Return the result of a test; 0 points unless every phase of it went well.

    Args:
        nodeid: the test.
        test: what `described` or `declared` returned.
        not_run: why it was not run, if it was not.
        show_hidden: let the record of a hidden one say why it failed.
    """
    from lossgrade.result import CriterionRecord

    not_run = test["broken"] or not_run
    passed = test["passed"] and not test["message"] and not not_run
    made = CriterionRecord(
        id=storable(nodeid),
        function=test["function"],
        title=test["title"],
        kind="test",
        outcome="passed" if passed else "not-graded" if not_run else "failed",
        score=test["points"] if passed else 0,
        max_score=test["points"],
        visibility=test["visibility"],
        message=not_run or test["message"],
        hint="" if passed or not_run else test["hint"],
    )
    # Why a test was not run is the instructor's matter, and holds no value of the student's.
    return made if show_hidden or not_run else stored(made)


def declared(path: Path, nodeid: str, visibility: str, error: str) -> dict[str, dict[str, Any]]:
    """Return the tests of a module that pytest cannot import, as far as its source tells.

    Their points must not vanish from the maximum. Each test function with the marker `points`
    gets one entry; a module that is not even Python gets a single one, without points.

    Args:
        path: the module.
        nodeid: its node id.
        visibility: who sees the outcome where no marker says so.
        error: pytest's report of what went wrong.
    """
    why = say(
        "was not run: {file} cannot be imported ({error})",
        file=nodeid,
        error=line(error, last=True),
    )
    try:
        source = path.read_bytes()
        tree = ast.parse(source)
    except (OSError, SyntaxError, ValueError):
        broken = _test(nodeid, title=nodeid, points=0.0, visibility=visibility, hint="")
        return {nodeid: {**broken, "broken": why}}
    found = {}
    for name, marks in _functions(tree):
        points = marks.get("points")
        if not name.rpartition("::")[2].startswith("test") or not _is_points(points):
            continue
        seen_by = marks.get("visibility", visibility)
        test = _test(
            f"{nodeid}::{name}",
            title=name.rpartition("::")[2],
            points=float(points),
            visibility=seen_by if seen_by in VISIBILITIES else visibility,
            hint="",
        )
        found[f"{nodeid}::{name}"] = {**test, "broken": why}
    return found


def storable(text: str) -> str:
    """Return `text` as every file and process can hold it: lone surrogates become escapes.

    Names of files hold them where bytes are no UTF-8, and messages where they quote such names.
    """
    return text.encode("utf-8", "backslashreplace").decode()


def line(text: str, *, last: bool = False) -> str:
    """Return the first (or last) line of `text` that is not blank, printable and capped."""
    lines = [each for each in text.splitlines() if each.strip()] or ["failed"]
    chosen = lines[-1].removeprefix("E ") if last else lines[0]
    shown = "".join(c if c.isprintable() else " " for c in storable(chosen))
    return " ".join(shown.split())[:600]


def _test(nodeid: str, *, title: str, points: float, visibility: str, hint: str) -> dict[str, Any]:
    return {
        "title": storable(title),
        "function": storable(nodeid.partition("::")[0]),
        # Hundredths, as all points are: sums come out exact.
        "points": round(points, 2),
        "visibility": visibility,
        "hint": storable(hint),
        "passed": False,
        "message": "",
        "broken": "",
    }


def _is_points(value: object) -> TypeGuard[float]:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= POINTS_CAP
    )


def _argument(item: pytest.Item, marker: str, default: Any) -> Any:
    found = item.get_closest_marker(marker)
    if found is None:
        return default
    if len(found.args) != 1 or found.kwargs:
        given = ", ".join([*map(repr, found.args), *(f"{k}=..." for k in found.kwargs)])
        raise pytest.UsageError(
            f"{item.nodeid}: {marker}({given}), expected one argument and no name for it"
        )
    return found.args[0]


def _problem(report: pytest.TestReport) -> str:
    """Return the line of a failed phase that says what went wrong."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None:
        return line(crash.message)
    # A fixture that does not exist: the lines before the message show the source.
    message = getattr(report.longrepr, "errorstring", None)
    return line(str(message or report.longrepr or ""))


def _skip_reason(report: pytest.TestReport) -> str:
    if isinstance(report.longrepr, tuple):
        return line(str(report.longrepr[2]).removeprefix("Skipped: "))
    return line(str(getattr(report, "wasxfail", "") or say("expected to fail")))


def _functions(tree: ast.Module) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each test function's name, `Class::name` in a class, with its literal markers."""
    everywhere: dict[str, Any] = {}
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "pytestmark"
            for target in statement.targets
        ):
            listed = statement.value
            everywhere = _marks(listed.elts if isinstance(listed, ast.List) else [listed])
    for statement in tree.body:
        if isinstance(statement, ast.ClassDef) and statement.name.startswith("Test"):
            inherited = {**everywhere, **_marks(statement.decorator_list)}
            for method in statement.body:
                if isinstance(method, ast.FunctionDef):
                    name = f"{statement.name}::{method.name}"
                    yield name, {**inherited, **_marks(method.decorator_list)}
        elif isinstance(statement, ast.FunctionDef):
            yield statement.name, {**everywhere, **_marks(statement.decorator_list)}


def _marks(expressions: list[ast.expr]) -> dict[str, Any]:
    """Return the arguments of `pytest.mark.NAME(literal)` by NAME."""
    found = {}
    for each in expressions:
        if isinstance(each, ast.Call) and len(each.args) == 1:
            _, dot, name = ast.unparse(each.func).rpartition("mark.")
            if dot and isinstance(each.args[0], ast.Constant):
                found[name] = each.args[0].value
    return found
