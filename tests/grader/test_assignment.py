"""Assignments: the built-in ones are valid, and a mistake is told with its line and key."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import (  # type: ignore[import-untyped]  # jsonschema ships no types
    Draft202012Validator,
)

from lossgrade.assignment import (
    BUILT_IN,
    RUBRICS,
    AnyFunction,
    AssignmentError,
    built_in_text,
    load_assignment,
    parse_assignment,
)
from lossgrade.manifest import manifest
from lossgrade.schemas import schema

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = Draft202012Validator(schema("assignment"))
VALID = """\
name = "own"

[functions.softmax]
names = ["softmax"]
points = 10
"""


# ---- the built-in ones -------------------------------------------------------------------


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_assignment_is_valid(name: str) -> None:
    assignment, folder = load_assignment(name)
    assert (assignment.name, folder) == (name, None)
    SCHEMA.validate(tomllib.loads(built_in_text(name)))
    assert assignment.title
    assert assignment.source


@pytest.mark.parametrize("strictness", ["lecture", "strict"])
@pytest.mark.parametrize("name", BUILT_IN)
def test_points_of_a_function_are_those_of_its_criteria(name: str, strictness: str) -> None:
    assignment = load_assignment(name)[0].model_copy(update={"strictness": strictness})
    lines = manifest(assignment)
    assert len({line.id for line in lines}) == len(lines)
    for key, spec in assignment.graded.items():
        of_it = [line for line in lines if line.function == key]
        assert sum(round(line.max_score * 100) for line in of_it) == round(spec.points * 100)
        bonus = 0 if strictness == "strict" else spec.bonus
        assert sum(round(line.max_bonus * 100) for line in of_it) == round(bonus * 100)
        assert all(line.criterion.title for line in of_it)


def test_every_rubric_can_be_asked_for() -> None:
    members = AnyFunction.__args__[0].__args__
    assert len(RUBRICS) == len(members)
    for rubric in RUBRICS:
        text = f'name = "own"\n[functions.{rubric}]\nnames = ["f"]\npoints = 7\n'
        lines = manifest(parse_assignment(text, "own.toml"))
        assert sum(round(line.max_score * 100) for line in lines) == 700, rubric


def test_a_function_may_have_another_key_than_its_rubric() -> None:
    text = VALID.replace("functions.softmax]", 'functions.soft]\nrubric = "softmax"')
    assert {line.function for line in manifest(parse_assignment(text, "own.toml"))} == {"soft"}


def test_one_reduction_needs_no_list() -> None:
    text = 'name = "own"\n[functions.cross_entropy]\nnames = ["f"]\npoints = 1\nreduction = "mean"'
    assert parse_assignment(text, "own.toml").graded["cross_entropy"].reduction == ["mean"]
    SCHEMA.validate(tomllib.loads(text.replace('"mean"', '["mean"]')))


def test_fixed_points_hold_and_the_rest_is_shared() -> None:
    text = VALID + "[functions.softmax.criteria.gradient]\npoints = 4\n"
    lines = {line.criterion.name: line for line in manifest(parse_assignment(text, "own.toml"))}
    assert lines["gradient"].max_score == 4
    assert sum(round(line.max_score * 100) for line in lines.values()) == 1000


def test_visibility_goes_from_the_assignment_to_the_criterion() -> None:
    text = (
        'visibility = "after_published"\n' + VALID + 'visibility = "hidden"\n'
        '[functions.softmax.criteria.gradient]\nvisibility = "visible"\n'
        '[functions.one_hot]\nnames = ["f"]\npoints = 1\n'
    )
    lines = {line.id: line.visibility for line in manifest(parse_assignment(text, "own.toml"))}
    assert lines["softmax.gradient"] == "visible"
    assert lines["softmax.rows_sum_to_1"] == "hidden"
    assert lines["one_hot.square_batch"] == "after_published"


def test_a_criterion_can_be_left_out() -> None:
    text = VALID + "[functions.softmax.criteria.gradient]\nenabled = false\n"
    lines = manifest(parse_assignment(text, "own.toml"))
    assert "softmax.gradient" not in {line.id for line in lines}
    assert sum(round(line.max_score * 100) for line in lines) == 1000


# ---- mistakes ----------------------------------------------------------------------------


def changed(old: str, new: str) -> str:
    assert old in VALID
    return VALID.replace(old, new)


MISTAKES: list[Any] = [
    pytest.param(
        'strictnes = "strict"\n' + VALID,
        "own.toml:1: strictnes: unknown key; did you mean 'strictness'? allowed: ",
        id="unknown key",
    ),
    pytest.param(
        VALID + "pionts = 3\n",
        "own.toml:6: functions.softmax.pionts: unknown key; did you mean 'points'? allowed: ",
        id="unknown key of a function",
    ),
    pytest.param(
        VALID + "[limits]\ncall_second = 3\n",
        "own.toml:7: limits.call_second: unknown key; did you mean 'call_seconds'? allowed: ",
        id="unknown limit",
    ),
    pytest.param(
        VALID + "[functions.softmax.criteria.gradient]\npoint = 3\n",
        "own.toml:7: functions.softmax.criteria.gradient.point: unknown key; did you mean "
        "'points'? allowed: enabled, points, visibility",
        id="unknown key of a criterion",
    ),
    pytest.param(
        VALID + 'log_base = "2"\n',
        "own.toml:6: functions.softmax.log_base: unknown key; allowed: axis, bonus, criteria, "
        "enabled, examples, library, names, points, rubric, visibility",
        id="key of another rubric",
    ),
    pytest.param(
        changed("points = 10", 'points = "ten"'),
        "own.toml:5: functions.softmax.points: found 'ten', expected ",
        id="text for a number",
    ),
    pytest.param(
        changed("points = 10", "points = -1"),
        "own.toml:5: functions.softmax.points: found -1, expected ",
        id="negative points",
    ),
    pytest.param(
        changed("points = 10", "points = nan"),
        "own.toml:5: functions.softmax.points: found nan, expected ",
        id="points that are no number",
    ),
    pytest.param(
        changed("points = 10", "points = true"),
        "own.toml:5: functions.softmax.points: found True, expected ",
        id="true for a number",
    ),
    pytest.param(
        changed('names = ["softmax"]\n', ""),
        "own.toml:3: functions.softmax.names: is missing and has no default",
        id="names missing",
    ),
    pytest.param(
        changed('["softmax"]', "[]"),
        "own.toml:4: functions.softmax.names: found [], expected ",
        id="no name",
    ),
    pytest.param(
        changed('["softmax"]', '"softmax"'),
        "own.toml:4: functions.softmax.names: found 'softmax', expected ",
        id="a name that is no list",
    ),
    pytest.param(
        changed('["softmax"]', '["soft max"]'),
        "own.toml:4: functions.softmax.names.0: found 'soft max', expected ",
        id="a name that is no identifier",
    ),
    pytest.param(
        changed("functions.softmax", "functions.soft"),
        "own.toml:3: functions.soft: the key names no rubric; add rubric = one of one_hot, softmax",
        id="no rubric",
    ),
    pytest.param(
        changed("functions.softmax]", 'functions.s]\nrubric = "softmx"'),
        "own.toml:4: functions.s.rubric: found rubric = 'softmx', expected one of one_hot, softmax",
        id="unknown rubric",
    ),
    pytest.param(
        changed('name = "own"', ""), "own.toml:1: name: is missing and has no default", id="no name"
    ),
    pytest.param(
        changed('name = "own"', 'name = "my own"'),
        "own.toml:1: name: found 'my own', expected ",
        id="a space in the name",
    ),
    pytest.param(
        'library = "jax"\n' + VALID,
        "own.toml:1: library: found 'jax', expected 'either', 'torch' or 'numpy'",
        id="unknown library",
    ),
    pytest.param(
        VALID + "axis = 2\n",
        "own.toml:6: functions.softmax.axis: found 2, expected 0 or 1",
        id="axis that there is not",
    ),
    pytest.param(
        "tolerance = 0\n" + VALID, "own.toml:1: tolerance: found 0, expected ", id="no tolerance"
    ),
    pytest.param(
        VALID + "[limits]\ncall_seconds = 0\n",
        "own.toml:7: limits.call_seconds: found 0, expected ",
        id="no time",
    ),
    pytest.param('name = "own"\n', "own.toml:1: functions: is missing", id="no functions"),
    pytest.param(
        'name = "own"\n[functions]\n',
        "own.toml:2: functions: found {}, expected ",
        id="empty table",
    ),
    pytest.param(
        'name = "own"\n[functions]\nsoftmax = 3\n',
        "own.toml:3: functions.softmax: ",
        id="a number for a function",
    ),
    pytest.param(
        VALID + "[lint]\npenalties = { LG101 = -1 }\n",
        "own.toml:7: lint.penalties.LG101: found -1, expected 0 or more",
        id="lint penalties",
    ),
    pytest.param("name = = 3\n", "own.toml:1:8: not TOML: ", id="not TOML"),
    pytest.param('name = "own\n', "own.toml:1:", id="a text without its end"),
    pytest.param("name = 1\nname = 2\n", "own.toml:2:", id="a key given twice"),
    pytest.param("[functions.softmax", "own.toml:", id="a table without its end"),
]


@pytest.mark.parametrize(("text", "says"), MISTAKES)
def test_a_mistake_is_told_with_line_key_and_what_is_allowed(text: str, says: str) -> None:
    with pytest.raises(AssignmentError) as caught:
        parse_assignment(text, "own.toml")
    lines = str(caught.value).splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(says)
    # Nothing of the library that checks it, nor of Python.
    for word in ("pydantic", "Input should", "input should", "validation error", "type="):
        assert word not in lines[0]


# A key that names a rubric may leave `rubric` out, and any member of the union may stand there.
NOT_IN_THE_SCHEMA = ("key of another rubric", "no rubric")


@pytest.mark.parametrize(
    ("text", "says"),
    [m for m in MISTAKES if m.id not in NOT_IN_THE_SCHEMA],
)
def test_the_published_schema_refuses_the_same(text: str, says: str) -> None:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    if data.get("functions", {}).get("softmax", {}) != {} and "nan" in text:
        return  # JSON has no NaN
    assert not SCHEMA.is_valid(data)


def test_every_mistake_has_a_line() -> None:
    text = 'library = "jax"\nstrictness = "very"\n' + changed("points = 10", "points = -1")
    with pytest.raises(AssignmentError) as caught:
        parse_assignment(text, "own.toml")
    starts = [line.split(" ")[0] for line in str(caught.value).splitlines()]
    assert sorted(starts) == ["own.toml:1:", "own.toml:2:", "own.toml:7:"]


def test_an_inline_table_and_quoted_keys_are_found() -> None:
    text = 'name = "own"\n[functions]\n"softmax" = { names = ["f"], points = -1 }\n'
    with pytest.raises(AssignmentError, match=r"^own.toml:3: functions.softmax.points: "):
        parse_assignment(text, "own.toml")


# ---- points and criteria -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "says"),
    [
        pytest.param(
            "[functions.softmax.criteria.gradeint]\npoints = 1\n",
            r"functions\.softmax\.criteria\.gradeint: no such criterion; .*gradient",
            id="unknown criterion",
        ),
        pytest.param(
            "[functions.softmax.criteria.gradient]\npoints = 11\n",
            r"functions\.softmax: its criteria have 11 points fixed, expected at most its "
            r"points = 10",
            id="more than there are",
        ),
    ],
)
def test_points_that_do_not_add_up(more: str, says: str) -> None:
    with pytest.raises(AssignmentError, match=says):
        manifest(parse_assignment(VALID + more, "own.toml"))


def test_points_that_nothing_carries() -> None:
    names = [line.criterion.name for line in manifest(parse_assignment(VALID, "own.toml"))]
    fixed = "".join(f"[functions.softmax.criteria.{name}]\npoints = 0\n" for name in names)
    with pytest.raises(AssignmentError, match=r"have 0 points fixed, expected its points = 10"):
        manifest(parse_assignment(VALID + fixed, "own.toml"))


# ---- files -------------------------------------------------------------------------------


def test_a_byte_order_mark_and_carriage_returns_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_bytes(b"\xef\xbb\xbf" + VALID.replace("\n", "\r\n").encode())
    assert load_assignment(str(path)) == (parse_assignment(VALID, "own.toml"), tmp_path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param('name = "é"'.encode("latin-1"), "not UTF-8 text", id="latin-1"),
        pytest.param(VALID.encode("utf-16"), "not UTF-8 text", id="utf-16"),
        pytest.param(b"\x00\x01", "not TOML", id="not text at all"),
    ],
)
def test_a_file_that_is_no_text(content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_bytes(content)
    with pytest.raises(AssignmentError, match=re.escape(str(path)) + ".*" + says):
        load_assignment(str(path))


def test_a_folder_and_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(AssignmentError, match=r"cannot be read \(Is a directory\)"):
        load_assignment(str(tmp_path))
    with pytest.raises(AssignmentError, match=r"cannot be read \(No such file or directory\)"):
        load_assignment(str(tmp_path / "gone.toml"))


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("stat543", "stat453"),
        ("Stat453", "stat453"),
        ("pytorch", "pytorch-tutorial"),
        ("d2", "d2l"),
    ],
)
def test_a_misspelt_name_has_a_suggestion(name: str, near: str) -> None:
    with pytest.raises(AssignmentError) as caught:
        load_assignment(name)
    said = str(caught.value)
    assert said.startswith(
        f"no assignment '{name}' (did you mean '{near}'?); built in are stat453, "
    )


def test_a_name_like_no_other_has_none() -> None:
    with pytest.raises(AssignmentError) as caught:
        load_assignment("xyzzy")
    assert "did you mean" not in str(caught.value)
    assert "'xyzzy'; built in are " in str(caught.value)


# ---- an instructor's own criteria --------------------------------------------------------

GOOD = '''
from lossgrade.criterion import Failure, criterion

@criterion(points=2, function="softmax")
def mine(trial):
    """The instructor's own law holds."""
'''


@pytest.mark.parametrize(
    ("source", "says"),
    [
        pytest.param(None, "no such Python file", id="missing"),
        pytest.param("x = 1", "defines no @criterion function", id="without criteria"),
        pytest.param(
            GOOD.replace('"softmax"', '"softmx"'),
            "mine has function='softmx', expected one of softmax",
            id="another function",
        ),
        pytest.param(
            GOOD.replace(', function="softmax"', ""), "mine has function=''", id="no function"
        ),
        pytest.param("1 / 0", "ZeroDivisionError: division by zero", id="raises"),
        pytest.param("def f(:", "SyntaxError", id="not Python"),
        pytest.param(
            GOOD.replace('"""The instructor\'s own law holds."""', "pass"),
            "mine needs a docstring",
            id="no docstring",
        ),
        pytest.param(
            GOOD.replace("points=2", "points=-2"),
            "points=-2, expected 0 or more",
            id="negative weight",
        ),
        pytest.param("import sys; sys.exit(3)", "SystemExit", id="exits"),
    ],
)
def test_extra_criteria_that_cannot_be_used(source: str | None, says: str, tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text('extra_criteria = ["extra.py"]\n' + VALID, encoding="utf-8")
    if source is not None:
        (tmp_path / "extra.py").write_text(source, encoding="utf-8")
    with pytest.raises(AssignmentError) as caught:
        manifest(*load_assignment(str(path)))
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"extra_criteria: {tmp_path / 'extra.py'}: ")
    assert says in line


def test_extra_criteria_share_the_points(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text('extra_criteria = ["extra.py"]\n' + VALID, encoding="utf-8")
    (tmp_path / "extra.py").write_text(GOOD, encoding="utf-8")
    lines = {line.id: line for line in manifest(*load_assignment(str(path)))}
    assert lines["softmax.mine"].max_score > 0
    assert lines["softmax.mine"].criterion.title == "The instructor's own law holds"
    assert sum(round(line.max_score * 100) for line in lines.values()) == 1000
