"""`lossgrade compare`: who changed, by how much and why; nothing that cannot be read is lost."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from lossgrade.assignment import parse_assignment
from lossgrade.cli import main
from lossgrade.cohort.changes import compare, pairs
from lossgrade.cohort.compare import GROUP, LINES
from lossgrade.result import AssignmentRecord, SubmissionRecord
from records import PRICED, criterion, result
from support import FIXTURES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lossgrade.cohort.changes import Change
    from lossgrade.result import Result
    from support import Engine

SUM, LARGE = "softmax.sum", "softmax.large_logits"


def graded(
    *criteria: Any, files: str = "f1", students: tuple[str, ...] = (), **changes: Any
) -> Any:
    """Return a result of these criteria, of a submission whose files have the digest `files`."""
    about = changes.pop("about", {})
    handed = SubmissionRecord(id="hw", path="hw.py", students=list(students), digest=files)
    return result(*criteria, submission=handed, **changes).model_copy(update=about)


def put(folder: Path, **results: Result) -> Path:
    (folder / "results").mkdir(parents=True, exist_ok=True)
    for name, each in results.items():
        (folder / "results" / f"{name}.json").write_text(each.to_json(), encoding="utf-8")
    return folder


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command; return its exit code and what it printed."""

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        code = main(["compare", *map(str, arguments)])
        return code, *capsys.readouterr()

    return call


def only(tmp_path: Path, old: Result, new: Result) -> Change:
    """Compare two results of one submission, which changed."""
    done = compare(pairs(put(tmp_path / "old", hw=old), put(tmp_path / "new", hw=new)))
    (change,) = done.changes
    return change


# --- why ----------------------------------------------------------------------------------------

PASSED, FAILED = criterion(SUM), criterion(SUM, outcome="failed")
UNGRADED = criterion(SUM, outcome="not-graded", score=0)
OTHER = criterion(LARGE, max_score=4.5)
ADVICE = {"kind": "robust", "max_score": 0.0}
# Three findings, of which the assignment `priced` takes 1 and 2.5 points off for two.
LOGS = [{"code": "LG101"}, {"code": "LG302"}, {"code": "LG500"}]


@pytest.mark.parametrize(
    ("old", "new", "kind", "difference", "reasons"),
    [
        pytest.param(
            [PASSED, OTHER], [FAILED, OTHER], "down", -2, ["softmax.sum passed -> failed (-2)"],
            id="a criterion fails now",
        ),
        pytest.param(
            [criterion(LARGE)], [OTHER], "up", 2.5, [
                "softmax.large_logits repriced 2 -> 4.5 (+2.5)",
                "maximum 2 -> 4.5 points",
            ],
            id="repriced",
        ),
        pytest.param(
            [criterion(LARGE, outcome="failed")], [OTHER], "up", 4.5, [
                "softmax.large_logits failed -> passed, repriced 2 -> 4.5 (+4.5)",
                "maximum 2 -> 4.5 points",
            ],
            id="repriced and passed now",
        ),
        pytest.param(
            [PASSED], [PASSED, OTHER], "up", 4.5,
            ["softmax.large_logits added, passed (+4.5)", "maximum 2 -> 6.5 points"],
            id="added",
        ),
        pytest.param(
            [PASSED, OTHER], [PASSED], "down", -4.5,
            ["softmax.large_logits removed, passed (-4.5)", "maximum 6.5 -> 2 points"],
            id="removed",
        ),
        pytest.param(
            [FAILED, criterion(LARGE, max_score=1)], [FAILED, criterion("new.one", max_score=1)],
            "other reasons", 0,
            ["softmax.large_logits removed, passed (-1)", "new.one added, passed (+1)"],
            id="one criterion for another, and the same score",
        ),
        pytest.param(
            [FAILED, OTHER], [criterion(SUM, outcome="failed", max_score=3), OTHER],
            "other reasons", 0, ["maximum 6.5 -> 7.5 points"],
            id="repriced, and failed both times",
        ),
        pytest.param(
            [PASSED, criterion(LARGE, kind="robust", max_score=0.0, max_bonus=1.0)],
            [PASSED, criterion(LARGE, kind="robust", max_score=0.0, max_bonus=1.0,
                               outcome="failed")],
            "other reasons", 0, ["softmax.large_logits passed -> failed (bonus -1)"],
            id="the bonus alone",
        ),
        pytest.param(
            [PASSED], [UNGRADED], "no longer graded", None,
            ["softmax.sum passed -> not graded (-2)"], id="not graded now",
        ),
        pytest.param(
            [UNGRADED], [PASSED], "graded now", None,
            ["softmax.sum not graded -> passed (+2)"], id="not graded before",
        ),
    ],
)  # fmt: skip
def test_reasons(
    old: list[Any],
    new: list[Any],
    kind: str,
    difference: float | None,
    reasons: list[str],
    tmp_path: Path,
) -> None:
    change = only(tmp_path, graded(*old), graded(*new))
    assert [str(each) for each in change.reasons] == reasons
    assert (change.kind, change.difference) == (kind, difference)
    assert change.old is not None
    assert change.new is not None
    raised = sum(round(100 * each.points) for each in change.reasons)
    assert raised == round(100 * change.new.score) - round(100 * change.old.score)


def test_a_penalty_is_a_reason(tmp_path: Path) -> None:
    full = criterion(max_score=10)
    old = graded(full, assignment=PRICED, findings=LOGS[1:])
    new = graded(full, assignment=PRICED, findings=LOGS)
    change = only(tmp_path, old, new)
    assert [str(each) for each in change.reasons] == ["penalty 2.5 -> 3.5 for LG101 (-1)"]
    assert change.difference == -1


@pytest.mark.parametrize(
    "new",
    [
        pytest.param(graded(PASSED, files="f2"), id="other files"),
        pytest.param(graded(PASSED, seed="4567"), id="another seed"),
        pytest.param(graded(PASSED, findings=LOGS), id="findings that cost nothing"),
        pytest.param(graded(PASSED, criterion(LARGE, **ADVICE, outcome="failed")), id="advice"),
        pytest.param(
            graded(criterion(SUM, message="other words", kind="law")), id="other words"
        ),
    ],
)  # fmt: skip
def test_what_changes_no_grade_is_no_change(new: Result, tmp_path: Path) -> None:
    old = graded(PASSED, criterion(LARGE, **ADVICE))
    done = compare(pairs(put(tmp_path / "old", hw=old), put(tmp_path / "new", hw=new)))
    assert (done.changes, done.unchanged) == ([], 1)


def asked(version: str, digest: str) -> dict[str, Any]:
    return {"assignment": AssignmentRecord(name="a", version=version, digest=digest)}


@pytest.mark.parametrize(
    ("old", "new", "differs", "around"),
    [
        pytest.param({}, {"files": "f2"}, ["other files"], [], id="files"),
        pytest.param({}, {"seed": "4567"}, ["another seed"], [], id="seed"),
        pytest.param({}, {}, ["nothing else differs"], [], id="nothing"),
        pytest.param(
            {"files": ""}, {"seed": "4567"},
            ["another seed; whether the files are the same is not recorded"], [],
            id="a record without the digest of its files",
        ),
        pytest.param(
            {"about": asked("1", "a")}, {"about": asked("2", "b"), "seed": "4567"}, [],
            ["assignment a 1 -> a 2"], id="assignment",
        ),
        pytest.param(
            {"about": asked("1", "a")}, {"about": asked("1", "b"), "files": "f2"},
            ["other files"], ["assignment a edited, still of version 1"],
            id="files, and an assignment of the same version",
        ),
        pytest.param(
            {"about": asked("1", "")}, {"about": asked("1", "b")}, ["nothing else differs"], [],
            id="a record without the digest of its assignment",
        ),
        pytest.param(
            {"versions": {"torch": "2.3", "numpy": "2.0"}}, {"versions": {"torch": "2.4"}}, [],
            ["numpy 2.0 -> none", "torch 2.3 -> 2.4"], id="versions",
        ),
    ],
)  # fmt: skip
def test_what_else_differs(
    old: dict[str, Any],
    new: dict[str, Any],
    differs: list[str],
    around: list[str],
    tmp_path: Path,
) -> None:
    change = only(tmp_path, graded(PASSED, **old), graded(FAILED, **new))
    assert (list(change.differs), list(change.around)) == (differs, around)


# --- the class ----------------------------------------------------------------------------------


def few(tmp_path: Path) -> tuple[Path, Path]:
    """Return two gradings of a class: one of each kind of change."""
    whole = graded(PASSED, OTHER)
    old = {"a": whole, "b": whole, "c": graded(FAILED, OTHER), "d": whole, "f": whole}
    new = {
        "a": graded(FAILED, OTHER, files="f2", students=("Ann", "Åse")),
        "b": graded(PASSED, criterion(LARGE, max_score=4.5, outcome="failed")),
        "c": whole,
        "d": whole,
        "e": graded(PASSED, students=("Eve",)),
        "g": graded(FAILED),
    }
    return put(tmp_path / "old", **old), put(tmp_path / "new", **new)


def test_the_table(tmp_path: Path, command: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = command(*few(tmp_path))
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "submission  students  old  new  change  why",
        "f                     6.5    -    gone",
        "b                     6.5    2    -4.5  softmax.large_logits passed -> failed (-4.5); "
        "nothing else differs",
        "a           Ann, Åse  6.5  4.5      -2  softmax.sum passed -> failed (-2); other files",
        "c                     4.5  6.5      +2  softmax.sum failed -> passed (+2); "
        "nothing else differs",
        "e           Eve         -    2     new",
        "g                       -    0     new",
        "",
        "1 unchanged, 1 up, 2 down, 2 new, 1 gone; mean of the 4 graded both times 6 -> 4.88; "
        "largest change -4.5 (b)",
    ]


def test_equal_changes_are_one_line(
    tmp_path: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    same = {f"s{n:03}": graded(criterion(LARGE)) for n in range(300)}
    old = put(tmp_path / "old", one=graded(PASSED, OTHER), **same)
    repriced = {name: graded(OTHER, versions={"torch": "2"}) for name in same}
    new = put(tmp_path / "new", one=graded(FAILED, OTHER), **repriced)
    _, out, _ = command(old, new)
    assert out.splitlines()[1:] == [
        "one                        6.5  4.5      -2  softmax.sum passed -> failed (-2); "
        "nothing else differs",
        "300 submissions                        +2.5  softmax.large_logits repriced 2 -> 4.5 "
        "(+2.5); maximum 2 -> 4.5 points [s000, s001, s002 and 297 more]",
        "",
        "torch none -> 2: 300 of 301",
        "0 unchanged, 300 up, 1 down, 0 new, 0 gone; mean of the 301 graded both times "
        "2.01 -> 4.5; largest change +2.5 (s000)",
    ]
    _, out, _ = command(old, new, "--all")
    assert len(out.splitlines()) == 1 + 301 + 3
    assert "s299 " in out


def test_only_the_same_reasons_share_a_line(
    tmp_path: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    both = [criterion(SUM), criterion(LARGE)]
    lost = [criterion(each.id, outcome="failed") for each in both]
    old = put(tmp_path / "old", **{f"s{n}": graded(*both) for n in range(8)})
    halves = [graded(lost[0], both[1]), graded(both[0], lost[1])]
    new = put(tmp_path / "new", **{f"s{n}": halves[n % 2] for n in range(8)})
    lines = command(old, new)[1].splitlines()
    assert [line.split()[0] for line in lines[1:3]] == ["4", "4"]
    assert "softmax.sum" in lines[1]
    assert "softmax.large_logits" in lines[2]


def test_the_largest_reasons_are_told(
    tmp_path: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    names = [f"softmax.c{n}" for n in range(1, 6)]
    worth = [criterion(name, max_score=n) for n, name in enumerate(names, 1)]
    lost = [criterion(name, max_score=n, outcome="failed") for n, name in enumerate(names, 1)]
    _, out, _ = command(
        put(tmp_path / "old", hw=graded(*worth)), put(tmp_path / "new", hw=graded(*lost))
    )
    assert out.splitlines()[1].split("-15  ")[1] == (
        "softmax.c5 passed -> failed (-5); softmax.c4 passed -> failed (-4); "
        "softmax.c3 passed -> failed (-3); 2 more reasons (-3); nothing else differs"
    )


def test_what_is_not_graded_has_no_score(
    tmp_path: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    """A part of a score is none: it is not shown, and counts for no mean."""
    some = [criterion(LARGE, max_score=50.0), UNGRADED]
    old = put(
        tmp_path / "old", a=graded(PASSED), b=graded(criterion(LARGE, max_score=50.0), PASSED)
    )
    new = put(tmp_path / "new", a=graded(FAILED), b=graded(*some))
    lines = command(old, new)[1].splitlines()
    assert lines[1].startswith("b                      52  not graded  no longer graded  ")
    assert lines[-1] == (
        "0 unchanged, 0 up, 1 down, 0 new, 0 gone, 1 no longer graded; "
        "mean of the 1 graded both times 2 -> 0; largest change -2 (a)"
    )


def test_a_class_fits_on_a_screen(
    tmp_path: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    """Where every change is another one, the largest are shown, in their order."""
    count = 2 * LINES
    scores = [*range(count), *[count - 0.5] * GROUP]
    old = {f"s{n}": graded(criterion(max_score=count)) for n, _ in enumerate(scores)}
    new = {
        f"s{n}": graded(criterion(max_score=count, score=score, outcome="failed"))
        for n, score in enumerate(scores)
    }
    put(tmp_path / "old", **old)
    put(tmp_path / "new", **new)
    _, out, _ = command(tmp_path / "old", tmp_path / "new")
    lines = out.splitlines()
    singles = [f"s{n}" for n in range(LINES - 1)]
    assert [line.split()[0] for line in lines[1:LINES]] == singles
    assert lines[LINES].startswith(f"{GROUP} submissions ")
    left = count + 1 - LINES
    assert lines[LINES + 1] == f"... and {left} more lines of smaller changes: --all shows them"


def test_json_and_csv_hold_every_change(
    tmp_path: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    folders = few(tmp_path)
    document = json.loads(command(*folders, "--output-format", "json")[1])
    rows = list(csv.DictReader(io.StringIO(command(*folders, "--output-format", "csv")[1])))
    assert [each["id"] for each in document["changes"]] == list("fbaceg")
    assert [each["submission"] for each in rows] == list("fbaceg")
    assert document["summary"]["means"] == [6, 4.875]
    assert document["summary"]["kinds"] == {
        "no longer graded": 0, "gone": 1, "down": 2, "other reasons": 0, "up": 1,
        "graded now": 0, "new": 2,
    }  # fmt: skip
    assert document["changes"][2]["reasons"] == [
        {"what": SUM, "says": "passed -> failed", "points": -2, "bonus": 0}
    ]
    assert rows[2] == {
        "submission": "a", "students": "Ann, Åse", "change": "down", "old_score": "6.5",
        "new_score": "4.5", "difference": "-2", "old_max_score": "6.5", "new_max_score": "6.5",
        "old_bonus": "0", "new_bonus": "0",
        "why": "softmax.sum passed -> failed (-2); other files",
    }  # fmt: skip


def test_hostile_names_change_neither_screen_nor_spreadsheet(
    tmp_path: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    name = '=HYPERLINK("x")\x1b[31m\u202e\n' + "名" * 40
    put(tmp_path / "old", **{"=1+1": graded(PASSED)})
    put(tmp_path / "new", **{"=1+1": graded(FAILED, students=(name,))})
    folders = tmp_path / "old", tmp_path / "new"
    _, out, _ = command(*folders)
    assert out.isascii() is False
    assert all(each.isprintable() for each in out.splitlines())
    assert len(out.splitlines()) == 4
    assert "名…  " in out
    (row,) = csv.DictReader(io.StringIO(command(*folders, "--output-format", "csv")[1]))
    assert row["students"].startswith("'=")
    assert row["submission"] == "'=1+1"
    assert "\x1b" not in row["students"]
    document = json.loads(command(*folders, "--output-format", "json")[1])
    assert document["changes"][0]["students"] == [name]


@pytest.mark.parametrize(("same", "code"), [(True, 0), (False, 1)])
def test_exit_code_tells_of_changes(
    same: bool, code: int, tmp_path: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    put(tmp_path / "old", hw=graded(PASSED))
    put(tmp_path / "new", hw=graded(PASSED if same else FAILED))
    assert command(tmp_path / "old", tmp_path / "new", "--exit-code")[0] == code
    assert command(tmp_path / "old", tmp_path / "new")[0] == 0


# --- what cannot be compared --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(b"", "is no whole result record: Invalid JSON: EOF", id="empty"),
        pytest.param(graded(PASSED).to_json().encode()[:900], "Invalid JSON", id="half"),
        pytest.param(b"\xff\xfe", "Invalid JSON", id="no UTF-8"),
        pytest.param(b"[" * 100_000, "Invalid JSON", id="deep"),
        pytest.param(b"{}", "schema: Field required", id="another document"),
        pytest.param(
            graded(PASSED).to_json().replace("result/v1", "result/v2").encode(),
            "schema: Input should be 'lossgrade/result/v1'", id="a later schema",
        ),
        pytest.param(
            graded(PASSED).to_json().replace('"score": 2.0', '"score": NaN').encode(),
            "score: Input should be a finite number", id="NaN",
        ),
        pytest.param(None, "cannot be read (Is a directory)", id="a folder"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named_and_the_rest_compared(
    content: bytes | None,
    says: str,
    tmp_path: Path,
    command: Callable[..., tuple[int, str, str]],
) -> None:
    old = put(tmp_path / "old", a=graded(PASSED), b=graded(PASSED))
    new = put(tmp_path / "new", a=graded(FAILED))
    broken = new / "results" / "b.json"
    broken.mkdir() if content is None else broken.write_bytes(content)
    (new / "results" / ".b.json").write_bytes(b"half of what is being written")
    code, out, err = command(old, new)
    assert code == 2
    assert "softmax.sum passed -> failed (-2)" in out
    assert "0 new, 0 gone, 1 unreadable; mean of the 1 graded" in out
    assert err.startswith(f"lossgrade: compare: {broken}: ")
    assert says in err
    assert err.endswith("; it was left out\n")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("new", "says"),
    [
        pytest.param("nothing", "no such file or folder", id="nothing there"),
        pytest.param("empty", "has no folder `results`", id="a folder of another kind"),
        pytest.param("new/results/hw.json", "is a file and the other is a folder", id="a file"),
    ],
)
def test_what_cannot_be_compared(
    new: str, says: str, tmp_path: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    put(tmp_path / "old", hw=graded(PASSED))
    put(tmp_path / "new", hw=graded(PASSED))
    (tmp_path / "empty").mkdir()
    code, out, err = command(tmp_path / "old", tmp_path / new)
    assert (code, out) == (2, "")
    assert says in err
    assert len(err.splitlines()) == 1


def test_records_of_an_earlier_version_are_read(tmp_path: Path) -> None:
    """What a record gained since, and what a later one may hold beside, changes nothing."""
    record = json.loads(graded(PASSED).to_json())
    for key in ("penalty", "bonus", "findings", "versions"):
        del record[key]
    del record["submission"]["digest"]
    record["later"] = {"keys": 1}
    old = put(tmp_path / "old")
    (old / "results" / "hw.json").write_text(json.dumps(record))
    done = compare(pairs(old, put(tmp_path / "new", hw=graded(PASSED))))
    assert (done.unchanged, done.problems) == (1, [])


# --- of real gradings ---------------------------------------------------------------------------

ASKED = """
name = "homework"
version = "{version}"
library = "numpy"
[functions.softmax]
names = ["softmax"]
points = 10
[functions.cross_entropy]
names = ["cross_entropy"]
points = {points}
"""


def test_a_homework_graded_again_under_another_assignment(
    engine: Engine, tmp_path: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    paths = {
        "right": FIXTURES / "submissions" / "right" / "numpy_eye.py",
        "wrong": FIXTURES / "submissions" / "softmax-over-batch-axis" / "stat453_numpy.py",
    }
    for folder, version, points in (("old", 1, 10), ("new", 2, 20)):
        homework = parse_assignment(ASKED.format(version=version, points=points), "homework.toml")
        put(
            tmp_path / folder,
            **{name: engine(path, homework, seed="1") for name, path in paths.items()},
        )
    document = json.loads(command(tmp_path / "old", tmp_path / "new", "--output-format", "json")[1])
    assert document["summary"]["differs"] == {"assignment homework 1 -> homework 2": 2}
    for change in document["changes"]:
        assert change["difference"] == 10
        assert round(sum(each["points"] for each in change["reasons"]), 2) == 10
        assert change["reasons"][-1]["says"] == "20 -> 30 points"
        assert all(
            each["what"].startswith("cross_entropy.") and each["says"].startswith("repriced ")
            for each in change["reasons"][:-1]
        )
    # Two records, too.
    records = [tmp_path / folder / "results" / "wrong.json" for folder in ("old", "new")]
    code, out, _ = command(*records)
    assert code == 0
    assert out.splitlines()[1].startswith("stat453_numpy")
