"""What platforms export is detected, read whole, and named the same on every run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import unicodedata
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import exports
from lossgrade.cohort.entry import Cohort, Entry, Student
from lossgrade.cohort.layouts.arrange import safe_id
from lossgrade.cohort.layouts.listing import LayoutError, Listing, line
from lossgrade.cohort.layouts.read import LAYOUTS, read_cohort

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Read = Callable[..., Cohort]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Read paths; every call has a folder of its own for what is unpacked."""
    calls = iter(range(100))

    def reading(*paths: Path, **options: Any) -> Cohort:
        unpacked = tmp_path / f".unpacked-{next(calls)}"
        unpacked.mkdir()
        return read_cohort(paths, unpacked, **options)

    return reading


def tree(root: Path, *names: str) -> Path:
    """Make a folder of small programs; a name with a final slash is an empty folder."""
    root.mkdir(parents=True, exist_ok=True)
    for name in names:
        target = root / name
        (target if name.endswith("/") else target.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            target.write_text(f"# {name}\n", "utf-8")
    return root


def archive(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as made:
        for name in names:
            made.writestr(name, f"# {name}\n")
    return path


def entry(cohort: Cohort, id_: str) -> Entry:
    return next(each for each in cohort.entries if each.id == id_)


def ids(cohort: Cohort) -> list[str]:
    return [each.id for each in cohort.entries]


def problems(cohort: Cohort) -> dict[str, str]:
    return {each.id: each.problem for each in cohort.entries if each.problem}


def held(found: Entry) -> list[str]:
    """Return the names that would be graded."""
    assert found.path is not None, found.problem
    return [path.name for path in exports.files_of(found.path)]


def state(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path): (path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in folder.rglob("*")
    }


# --- every layout ------------------------------------------------------------------------------


@pytest.fixture
def students(tmp_path: Path) -> list[tuple[Student, Path]]:
    one = tree(tmp_path / "handed-in/one", "hw.py")
    two = tree(tmp_path / "handed-in/two", "hw.py", "util.py")
    people = ("Jane Doe", "Zoë Ünal", "王 小明", "Anne-Marie O'Neil", "Max van der Berg")
    return [
        (Student(str(4201 + i), name), (one / "hw.py", two, one)[i % 3])
        for i, name in enumerate(people)
    ]


IDENTITY = {
    "gradescope": "id name email",
    "canvas": "id",
    "moodle": "id name",
    "moodle flat": "id name",
}


@pytest.mark.parametrize("zipped", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize("forced", [False, True], ids=["detected", "told"])
@pytest.mark.parametrize("layout", exports.BUILDERS)
def test_every_layout_is_read(
    tmp_path: Path,
    read: Read,
    students: list[tuple[Student, Path]],
    layout: str,
    *,
    forced: bool,
    zipped: bool,
) -> None:
    path = exports.lay_out(layout, students, tmp_path / "exports/it", archive=zipped)
    name = layout.split()[0]
    before = state(tmp_path / "exports")
    cohort = read(path, layout=name if forced else "", entry="hw.py")
    assert state(tmp_path / "exports") == before, "the export is the instructor's"
    assert cohort.layout == (name if forced or name != "otter" else "files")
    assert problems(cohort) == {}
    assert len(cohort.entries) == len(students)
    by_file = forced and layout == "otter"
    found = {
        Path(each.students[0].id).stem if by_file else each.students[0].id: each
        for each in cohort.entries
    }
    for student, submission in students:
        mine = found[student.id]
        if mine.path and mine.path.is_dir():
            wanted = {file.name for file in exports.files_of(submission)}
            assert wanted <= {*held(mine)}
            assert (mine.path / "hw.py").read_text() == "# hw.py\n"
        if "name" in IDENTITY.get(layout, ""):
            assert mine.students[0].name == student.name
        if "email" in IDENTITY.get(layout, ""):
            assert mine.students[0].email == f"{student.id}@uni.edu"


@pytest.mark.parametrize("layout", exports.BUILDERS)
def test_noise_changes_no_detection(
    tmp_path: Path, read: Read, students: list[tuple[Student, Path]], layout: str
) -> None:
    path = exports.lay_out(layout, students, tmp_path / "export")
    tree(
        path,
        "README.txt",
        "__MACOSX/._hw.py",
        "Thumbs.db",
        "desktop.ini",
        ".ipynb_checkpoints/a.py",
    )
    cohort = read(path)
    assert cohort.layout == ("files" if layout == "otter" else layout.split()[0])
    assert len(cohort.entries) == len(students)
    assert f"{path.name}/README.txt: not a submission, left out" in cohort.notes


@pytest.mark.parametrize(
    ("names", "layout"),
    [
        pytest.param(["hw_1_2.py", "hw_1_3.py", "hw_2_1.py"], "files", id="numbered files"),
        pytest.param(["hw_1_2_a.py", "hw_1_3_b.py"], "files", id="numbers too small for Canvas"),
        pytest.param(["x_1_100_a.py", "alice.py", "bob.py"], "files", id="one like Canvas'"),
        pytest.param(["a_1_100_x.py", "b_1_101_x.py"], "files", id="one user id, two names"),
        pytest.param(["a_1_100_x.py", "b_2_100_x.py"], "files", id="one attachment id, two files"),
        pytest.param(["a_1_100_x.py", "b_2_101_x.py"], "canvas", id="Canvas' smallest"),
        pytest.param(["team-a/hw.py", "team-b/hw.py"], "folders", id="a prefix makes no clone"),
        pytest.param(["a/hw1/hw.py", "b/hw1/hw.py"], "folders", id="nested, not nbgrader's"),
        pytest.param(["a/ps1/hw.py", "a/ps1/timestamp.txt", "b/ps1/hw.py"], "nbgrader", id="stamp"),
        pytest.param(["a/hw.py", "a/x/timestamp.txt", "b/hw.py"], "folders", id="a stamp below"),
        pytest.param(
            [*(f"a_{n}_10{n}_x.py" for n in range(6)), *(f"{n}.py" for n in range(4))],
            "files",
            id="six of ten like Canvas'",
        ),
        pytest.param(["only/alice/hw.py", "only/bob/hw.py"], "folders", id="in a folder"),
        pytest.param(["only/a.py", "only/b.py"], "files", id="files in a folder"),
        pytest.param(["alice/hw.py"], "folders", id="a class of one"),
        pytest.param(["a.py", "b.py", "c/hw.py"], "files", id="more files than folders"),
        pytest.param(["a.py", "b/hw.py", "c/hw.py"], "folders", id="more folders than files"),
    ],
)
def test_detection(tmp_path: Path, read: Read, names: list[str], layout: str) -> None:
    assert read(tree(tmp_path / "class", *names)).layout == layout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layout": "blackboard"}, "blackboard: unknown layout, expected one of files, folders, "),
        ({"layout": "gradescope"}, "class: has no submission_metadata.yml"),
        ({"layout": "canvas"}, "class: is not laid out as canvas, whose sign is: Nearly all"),
        ({"layout": "moodle"}, "class: is not laid out as moodle"),
        ({"layout": "nbgrader"}, "class: holds no assignment"),
        ({"roster": Path("/nowhere.csv")}, "/nowhere.csv: cannot be read (No such file"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_mistakes_of_use(tmp_path: Path, read: Read, options: dict[str, Any], message: str) -> None:
    with pytest.raises(LayoutError) as mistake:
        read(tree(tmp_path / "class", "alice.py", "bob.py"), **options)
    assert str(mistake.value).startswith(message)
    assert "\n" not in str(mistake.value)


def test_paths_that_hold_nothing(tmp_path: Path, read: Read) -> None:
    with pytest.raises(LayoutError, match="no such file or folder"):
        read(tmp_path / "nowhere")
    with pytest.raises(LayoutError, match="no submission found"):
        read(tree(tmp_path / "empty", "README.md", "__MACOSX/"))
    (tmp_path / "class.rar").write_bytes(b"Rar!")
    with pytest.raises(LayoutError, match=r"only \.zip is read"):
        read(tmp_path / "class.rar")
    (tmp_path / "class.zip").write_bytes(b"Rar!")
    with pytest.raises(LayoutError, match="a RAR archive"):
        read(tmp_path / "class.zip")


def test_the_names_of_the_layouts() -> None:
    assert {*LAYOUTS} == {each.split()[0] for each in exports.BUILDERS}


# --- what a submission may look like -----------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "asked", "place"),
    [
        pytest.param(["hw.py"], "", ".", id="at the top"),
        pytest.param(["hw1/hw.py"], "", "hw1", id="wrapped"),
        pytest.param(["a/b/c/hw.py", "__MACOSX/x.py"], "", "a/b/c", id="wrapped thrice"),
        pytest.param(["docs/a.txt", "src/hw.py"], "", "src", id="beside a folder without any"),
        pytest.param(["a/hw.py", "b/hw.py"], "", ".", id="two folders: ours is not to choose"),
        pytest.param(["a/hw.py", "b/util.py"], "hw.py", "a", id="the file that is asked for"),
        pytest.param(["util.py", "src/hw.py"], "hw.py", "src", id="asked for, below another"),
        pytest.param(["src/hw.py", "src/old/hw.py"], "hw.py", "src", id="the highest"),
        pytest.param(["a/hw.py", "b/hw.py"], "hw.py", ".", id="asked for, in two folders"),
        pytest.param(["other.py"], "hw.py", ".", id="asked for, not there: the student is told"),
    ],
)
def test_the_folder_that_holds_the_program(
    tmp_path: Path, read: Read, names: list[str], asked: str, place: str
) -> None:
    root = tree(tmp_path / "class", "bob/hw.py", *(f"alice/{name}" for name in names))
    found = entry(read(root, entry=asked), "alice")
    assert found.path == root / "alice" / place
    zipped = tree(tmp_path / "zips", "bob.py")
    archive(zipped / "alice.zip", *names)
    path = entry(read(zipped, entry=asked, layout="files"), "alice").path
    assert path is not None
    assert path.parts[path.parts.index("alice") :] == Path("alice", place).parts


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        pytest.param(["report.pdf"], "no .py file or notebook: found report.pdf", id="pdf"),
        pytest.param([""], "no .py file or notebook: found nothing", id="empty"),
        pytest.param(
            ["a.txt", "b.txt", "c.txt", "d.txt"],
            "no .py file or notebook: found a.txt, b.txt, c.txt and 1 more",
            id="many",
        ),
        pytest.param(["hw.tar.gz"], "hw.tar.gz: only .zip archives are read", id="tar"),
        pytest.param(["hw.7z"], "hw.7z: only .zip archives are read", id="7z"),
        pytest.param(["hw.zip"], "hw.zip: is no zip archive", id="no zip inside"),
        pytest.param(["a.zip", "b.zip"], "no .py file or notebook: found a.zip, b.zip", id="two"),
    ],
)
def test_nothing_to_grade(tmp_path: Path, read: Read, names: list[str], problem: str) -> None:
    root = tree(tmp_path / "class", "bob/hw.py", *(f"alice/{name}" for name in names))
    cohort = read(root)
    found = entry(cohort, "alice")
    assert found.path is None
    assert found.problem.startswith(problem)
    assert found.source == "class/alice"
    assert [each.id for each in cohort.entries] == ["alice", "bob"]


def test_zips_are_unpacked_once(tmp_path: Path, read: Read) -> None:
    inner = archive(tmp_path / "inner.zip", "hw.py")
    with zipfile.ZipFile(tmp_path / "alice.zip", "w") as made:
        made.write(inner, "inner.zip")
    root = tree(tmp_path / "class", "bob/hw.py", "carol.py")
    shutil.copy(tmp_path / "alice.zip", root / "alice.zip")
    tree(root / "dave")
    shutil.copy(inner, root / "dave/inner.zip")
    zipped = exports.zipped(root)
    for path in (root, zipped):
        cohort = read(path)
        assert problems(cohort) == {"alice": "no .py file or notebook: found inner.zip"}
        assert held(entry(cohort, "dave")) == ["hw.py"]
    assert not [*tmp_path.glob(".unpacked-*/alice")], "nothing stays of what is refused"


def test_a_hostile_zip_is_one_unreadable_entry(tmp_path: Path, read: Read) -> None:
    root = tree(tmp_path / "class", "bob.py")
    archive(root / "alice.zip", "hw.py", "../../../../escaped.py")
    cohort = read(root)
    assert problems(cohort) == {
        "alice": "alice.zip: ../../../../escaped.py: a path that leads out of the archive"
    }
    assert not [*tmp_path.rglob("escaped.py")]


def test_the_bad_members_of_a_class_are_named(tmp_path: Path, read: Read) -> None:
    cohort = read(archive(tmp_path / "class.zip", "alice.py", "bob.py", "../carol.py"))
    assert ids(cohort) == ["alice", "bob"]
    assert cohort.notes == (
        "class.zip/../carol.py: a path that leads out of the archive; left out",
    )


def test_links_are_not_followed(tmp_path: Path, read: Read) -> None:
    secret = tree(tmp_path / "secret", "hw.py")
    root = tree(tmp_path / "class", "ann/hw.py", "bob/util.py", "carl/", "dora/x.txt", "fay/hw.py")
    (root / "bob/hw.py").symlink_to(secret / "hw.py")
    (root / "carl/hw.py").symlink_to(secret / "hw.py")
    (root / "dora/src").symlink_to(secret)
    (root / "eve").symlink_to(secret)
    (root / "gus.py").symlink_to(secret / "hw.py")
    os.mkfifo(root / "hal.py")
    cohort = read(root, entry="hw.py")
    assert problems(cohort) == {
        "bob": "hw.py is a symbolic link; links are not read",
        "carl": "hw.py is a symbolic link; links are not read",
        "dora": "no .py file or notebook: found x.txt",
        "gus": "is a symbolic link; links are not read",
        "hal": "no .py file or notebook: found hal.py",
    }
    assert "class/eve: not a submission, left out" in cohort.notes
    assert problems(read(root))["carl"] == "holds only symbolic links (hw.py)"


def test_too_many_files(tmp_path: Path, read: Read) -> None:
    root = tree(tmp_path / "class", "bob/hw.py", *(f"alice/data/{i}.txt" for i in range(2001)))
    assert "more than 2000 files" in problems(read(root))["alice"]


# --- several paths -----------------------------------------------------------------------------


def test_each_path_has_its_own_layout(
    tmp_path: Path, read: Read, students: list[tuple[Student, Path]]
) -> None:
    canvas = exports.lay_out("canvas", students, tmp_path / "a", archive=True)
    moodle = exports.lay_out("moodle", students, tmp_path / "b", archive=True)
    cohort = read(canvas, moodle)
    assert cohort.layout == "canvas, moodle"
    assert len(cohort.entries) == 2 * len(students)


@pytest.mark.parametrize(
    ("names", "glob", "layout", "found"),
    [
        pytest.param(["a/hw.py", "b/hw.py", "c/x.pdf"], "*", "folders", "a b c", id="folders"),
        pytest.param(["a/x.py", "b/y.py"], "*", "folders", "a b", id="one program in each"),
        pytest.param(["a/hw.py", "a/u.py", "b/hw.py"], "*", "folders", "a b", id="same program"),
        pytest.param(["a.py", "b.py", "c.ipynb"], "*", "files", "a b c", id="files"),
        pytest.param(["s1/a.py", "s1/b.py", "s2/c.py", "s2/d.py"], "*", "files", "a b c d",
                     id="two sections"),
        pytest.param(["s1/a/hw.py", "s1/d/hw.py", "s2/b/hw.py", "s2/c/hw.py"], "*", "folders",
                     "a b c d", id="two sections of folders"),
        pytest.param(["hw1-submissions/hw1-a/hw.py", "hw1-submissions/hw1-b/hw.py"],
                     "hw1-submissions/*", "github-classroom", "a b", id="clones"),
        pytest.param(["submitted/a/ps1/hw.py", "submitted/b/ps1/hw.py", "submitted/b/ps2/hw.py"],
                     "submitted/*/ps1", "nbgrader", "a b", id="one assignment of nbgrader's"),
        pytest.param(["d_4_100_hw.py", "e_5_101_hw.py"], "*", "canvas", "d_4 e_5", id="canvas"),
        pytest.param(["D_4_assignsubmission_file/hw.py", "E_5_assignsubmission_file/hw.py"],
                     "*", "moodle", "D_4 E_5", id="moodle"),
    ],
)  # fmt: skip
def test_what_a_shell_expands(
    tmp_path: Path, read: Read, names: list[str], glob: str, layout: str, found: str
) -> None:
    root = tree(tmp_path / "class", *names)
    cohort = read(*sorted(root.glob(glob)))
    assert (cohort.layout, ids(cohort)) == (layout, found.split())


def test_zips_of_single_submissions(tmp_path: Path, read: Read) -> None:
    paths = [archive(tmp_path / f"{name}.zip", "hw.py", f"{name}.txt") for name in "ab"]
    cohort = read(*paths)
    assert ids(cohort) == ["a", "b"]
    alone = read(archive(tmp_path / "c.zip", "c/hw.py", "c/util.py"), entry="hw.py")
    assert held(entry(alone, "c")) == ["hw.py", "util.py"]
    assert ids(read(tree(tmp_path / "d", "hw.py", "util.py"), entry="hw.py")) == ["d"]


def test_a_template_beside_the_folders_makes_no_submission(tmp_path: Path, read: Read) -> None:
    names = ["hw.py", "a/hw.py", "b/hw.py"]
    for path in (tree(tmp_path / "class", *names), archive(tmp_path / "class.zip", *names)):
        assert ids(read(path, entry="hw.py")) == ["a", "b", "hw"]


RUN = ("results/a.json", "feedback/a.html", "gradebook.csv", "report.html")


def results_in(out: Path) -> Path:
    """Make an output folder of a run; return its folder for what is unpacked."""
    tree(out, *RUN)
    (out / "run.json").write_text('{\n  "schema": "lossgrade/run/v1",\n  "seed": "00"\n}\n')
    return tree(out / ".work/unpacked")


@pytest.mark.parametrize(
    ("out", "given"),
    [
        pytest.param("out", "", id="in the class"),
        pytest.param("results/week1", "", id="two folders down"),
        pytest.param("out", "*", id="in the class, of which all is given"),
        pytest.param("results/week1", "*", id="two folders down, and all is given"),
    ],
)
def test_results_that_go_into_the_class_are_no_submission(
    tmp_path: Path, out: str, given: str
) -> None:
    root = tree(tmp_path / "class", "a/hw.py", "b/hw.py", "b/run.json", "b/results/x.json")
    results_in(root / "earlier")
    unpacked = results_in(root / out)
    paths = sorted(root.glob(given)) if given else [root]
    assert ids(read_cohort(paths, unpacked, entry="hw.py")) == ["a", "b"]


def test_results_are_nothing_to_grade(tmp_path: Path, read: Read) -> None:
    results_in(tmp_path / "graded")
    with pytest.raises(LayoutError, match="graded: is what a run wrote"):
        read(tmp_path / "graded")


def test_results_in_the_one_folder_of_an_export(tmp_path: Path) -> None:
    root = tree(tmp_path / "export", "week1/a/hw.py", "week1/b/hw.py")
    unpacked = results_in(root / "week1/out")
    assert ids(read_cohort([root], unpacked, entry="hw.py")) == ["a", "b"]


def test_a_class_of_one_student_has_the_name_of_the_student(tmp_path: Path, read: Read) -> None:
    assert ids(read(tree(tmp_path / "week1", "ann/hw.py"), entry="hw.py")) == ["ann"]


def test_ids_depend_neither_on_the_order_nor_on_where_is_unpacked(
    tmp_path: Path, read: Read
) -> None:
    # An accent in two ways is one in any text.
    names = ("ann.py", "Jos\u00e9.py", "Jose\u0301.py")
    given = [tmp_path / folder / "s.zip" for folder in ("one", "other")]
    for path in given:
        path.parent.mkdir()
        with zipfile.ZipFile(path, "w") as made:
            for name in names:
                made.writestr(name, f"{path.parent.name} {name}")

    def named(*paths: Path) -> dict[str, str]:
        return {each.id: each.path.read_text() for each in read(*paths).entries if each.path}

    first, second = named(*given), named(*reversed(given))
    assert len(first) == 6
    assert first == second


def test_the_same_path_twice_is_one(
    tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tree(tmp_path / "class", "a.py", "b.py")
    monkeypatch.chdir(tree(root / "__MACOSX"))
    cohort = read(root, root, Path(".."))
    assert [each.source for each in cohort.entries] == ["class/a.py", "class/b.py"]


# --- ids ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("alice", "alice"),
        ("Jane Doe_1", "Jane_Doe_1"),
        ("../../etc", "_.._etc"),
        ("..", "submission"),
        ("", "submission"),
        ("-rf", "rf"),
        (".hidden", "hidden"),
        ("~root", "root"),
        ("con", "_con"),
        ("CON.py", "_CON.py"),
        ("lpt1.tar.gz", "_lpt1.tar.gz"),
        ("console", "console"),
        ("=cmd|calc", "=cmd_calc"),
        ("a. .", "a._"),
        ("a\nb\tc", "a_b_c"),
        ("a\u202egnp.py", "agnp.py"),
        ("\udcff.py", "_.py"),
        ("王小明", "王小明"),
        ("محمد", "محمد"),
        ("🎓", "🎓"),
        ("e\u0301", "é"),
        ('a<b>:"c"', "a_b___c_"),
    ],
)
def test_ids_are_names_of_files_anywhere(text: str, expected: str) -> None:
    assert safe_id(text) == expected
    assert safe_id(expected) == expected


@pytest.mark.parametrize("text", ["a" * 300, "王" * 300, "🎓" * 300, "." * 300, "\u0301" * 300])
def test_ids_are_short(text: str) -> None:
    assert 0 < len(safe_id(text)) <= 80
    assert len(safe_id(text).encode()) <= 180


def test_colliding_ids_do_not_depend_on_the_order(tmp_path: Path, read: Read) -> None:
    one = tree(tmp_path / "one", "alice.py", "x/alice.ipynb", "bob.py")
    (one / "alice.ipynb").write_text("{}")
    two = tree(tmp_path / "two", "Alice.py", "carol.py")
    forth, back = read(one, two), read(two, one)
    assert ids(forth) == ids(back)
    assert {each.id: each.source for each in forth.entries} == {
        each.id: each.source for each in back.entries
    }
    named = [each for each in ids(forth) if each.casefold().startswith("alice")]
    assert len({each.casefold() for each in named}) == 3
    assert all("-" in each for each in named), "all of them have a suffix"
    assert "bob" in ids(forth)


def test_names_cut_at_the_same_place_stay_apart(tmp_path: Path, read: Read) -> None:
    root = tree(tmp_path / "class", f"{'a' * 100}1.py", f"{'a' * 100}2.py")
    found = ids(read(root))
    assert len({*found}) == 2
    assert all(len(each) <= 80 for each in found)
    (root / f"{'a' * 100}1.py").unlink()
    assert ids(read(root))[0] in found, "another student changes no id"


HOSTILE = ["con.py", "=cmd.py", "a\nb.py", "a\u202eyp.py", "-rf.py", "a'b\"c.py", "..py", "~.py",
           "a;b.py", "$(id).py", "a b.py", "é.py"]  # fmt: skip


def test_hostile_names(tmp_path: Path, read: Read) -> None:
    root = tree(tmp_path / "class", *HOSTILE, "alice.py")
    Path(os.fsdecode(os.fsencode(root) + b"/\xff\xfe.py")).write_text("x = 1\n")
    cohort = read(root)
    assert problems(cohort) == {}
    # `..py` begins with a dot: what systems hide is left out.
    assert len(cohort.entries) == len(HOSTILE) + 1
    for each in cohort.entries:
        text = "".join((each.id, each.source, *(s.id + s.name for s in each.students)))
        assert text.encode("utf-8"), "can be written to any file"
        assert not any(unicodedata.category(c) in ("Cc", "Cs") for c in text)
        assert "\u202e" not in text


# --- Canvas ------------------------------------------------------------------------------------


def canvas(tmp_path: Path, *names: str) -> Path:
    return tree(tmp_path / "submissions", "zed_9_999_hw.py", "yan_8_998_hw.py", *names)


@pytest.mark.parametrize(
    ("name", "student", "file", "late"),
    [
        ("doejane_42_1234_hw.py", Student("42", "doejane"), "hw.py", False),
        ("doejane_LATE_42_1234_hw.py", Student("42", "doejane"), "hw.py", True),
        ("doejane_42_1234_1_2_hw.py", Student("42", "doejane"), "1_2_hw.py", False),
        ("red_team_42_1234_hw.py", Student("42", "red_team"), "hw.py", False),
        ("_42_1234_hw.py", Student("42", ""), "hw.py", False),
        ("王小明_42_1234_hw.py", Student("42", "王小明"), "hw.py", False),
        ("अनि_42_1234_hw.py", Student("42", "अनि"), "hw.py", False),
        ("anon_aB3xY_1234_hw.py", Student("anon_aB3xY", ""), "hw.py", False),
        ("LATE_anon_aB3xY_1234_hw.py", Student("anon_aB3xY", ""), "hw.py", True),
        ("latelate_42_1234_late.py", Student("42", "latelate"), "late.py", False),
    ],
)
def test_canvas_names(
    tmp_path: Path, read: Read, name: str, student: Student, file: str, *, late: bool
) -> None:
    cohort = read(canvas(tmp_path, name))
    assert cohort.layout == "canvas"
    found = next(each for each in cohort.entries if each.students == (student,))
    assert (held(found), found.late) == ([file], late)


@pytest.mark.parametrize(
    ("files", "graded"),
    [
        pytest.param(["7_100_hw.py", "7_101_util.py"], ["hw.py", "util.py"], id="one submission"),
        pytest.param(["7_100_hw-1.py"], ["hw.py"], id="handed in again"),
        pytest.param(["7_100_hw-12.py", "7_101_u.py"], ["hw.py", "u.py"], id="again, 12 times"),
        pytest.param(["7_100_hw.py", "7_101_hw-1.py"], ["hw-1.py", "hw.py"], id="both there"),
        pytest.param(["7_100_hw-1.py", "7_101_hw-2.py"], ["hw-1.py", "hw-2.py"], id="which?"),
        pytest.param(["7_100_other-1.py"], ["other-1.py"], id="another file"),
        pytest.param(["7_100_hw.py", "7_101_report.pdf"], ["hw.py", "report.pdf"], id="a report"),
        pytest.param(["LATE_7_100_hw.py", "LATE_7_101_hw.py"], ["hw.py"], id="two attempts"),
    ],
)
def test_canvas_files(tmp_path: Path, read: Read, files: list[str], graded: list[str]) -> None:
    cohort = read(canvas(tmp_path, *(f"doe_{name}" for name in files)), entry="hw.py")
    assert sorted(held(entry(cohort, "doe_7"))) == graded


def test_canvas_without_a_file(tmp_path: Path, read: Read) -> None:
    root = canvas(tmp_path, "doe_7_text.html", "poe_6_link.html", "roe_5_100_..", "moe_4_101_.py")
    assert problems(read(root)) == {
        "doe_7": "no .py file or notebook: found text.html",
        "poe_6": "no .py file or notebook: found link.html",
        "roe_5": "no .py file or notebook: found ..",
        "moe_4": "no .py file or notebook: found .py",
    }


def test_canvas_zips(tmp_path: Path, read: Read) -> None:
    root = canvas(tmp_path)
    archive(root / "doe_7_100_hw.zip", "hw1/hw.py", "__MACOSX/._hw.py")
    assert held(entry(read(root, entry="hw.py"), "doe_7")) == ["hw.py"]


@pytest.mark.parametrize(
    ("attempts", "found"),
    [
        ("newest", {"doe_7": (2, "# doe_7_1000_hw.py\n", 1)}),
        ("all", {"doe_7_attempt1": (1, "# doe_7_900_hw.py\n", 2),
                 "doe_7_attempt2": (2, "# doe_7_1000_hw.py\n", 1)}),
    ],
)  # fmt: skip
def test_attempts_are_told_by_attachments(
    tmp_path: Path, read: Read, attempts: str, found: dict[str, tuple[int, str, int]]
) -> None:
    root = canvas(tmp_path, "doe_7_1000_hw.py", "doe_7_900_hw.py", "doe_7_901_util.py")
    os.utime(root / "doe_7_1000_hw.py", (0, 0))
    cohort = read(root, attempts=attempts)
    read_back = {
        each.id: (each.attempt, (each.path / "hw.py").read_text(), len(held(each)))
        for each in cohort.entries
        if each.path and each.students[0].id == "7"
    }
    assert read_back == found
    assert any("older attempts left out" in note for note in cohort.notes) == (attempts == "newest")


def test_what_the_course_adds_to_a_small_download(tmp_path: Path, read: Read) -> None:
    names = ("doe_7_1000_hw.py", "roe_8_1001_hw.py", "solution/hw.py", "README.md", "grades.csv")
    assert read(tree(tmp_path / "class", *names)).layout == "canvas"


def test_two_downloads_of_one_class(tmp_path: Path, read: Read) -> None:
    first = tree(tmp_path / "first", "doe_7_100_hw.py", "poe_6_101_hw.py")
    second = tree(tmp_path / "second", "doe_7_200_hw.py", "poe_6_101_hw.py", "roe_5_201_hw.py")
    for paths in ((first, second), (second, first)):
        cohort = read(*paths)
        assert ids(cohort) == ["doe_7", "poe_6", "roe_5"]
        assert entry(cohort, "doe_7").source == "second/doe_7_200_hw.py"


# --- Gradescope --------------------------------------------------------------------------------


def gradescope(tmp_path: Path, index: str, *names: str) -> Path:
    root = tree(tmp_path / "assignment_1_export", *names)
    (root / "submission_metadata.yml").write_text(index, "utf-8")
    return root


def test_gradescope_groups(tmp_path: Path, read: Read) -> None:
    index = """---
submission_1:
  :submitters:
  - &1
    :name: Ann A
    :sid: '007'
    :email: ann@uni.edu
  - :name: "Bob\\nB"
    :sid: 8
  :created_at: 2026-04-26 17:34:00.861687000 Z
  :results:
    tests: [{output: "x: [y"}]
    self: &2
      a: &3
        :sid: '9'
submission_2:
  :submitters: []
submission_3:
  :submitters:
  - *1
  :created_at: 2026-04-25 10:00:00 +0200
submission_4:
  :submitters:
  - *3
  - !ruby/object:OpenStruct
    :name: !ruby/regexp /Cy/
"""
    names = [f"submission_{n}/hw.py" for n in (1, 2, 3, 5)]
    cohort = read(gradescope(tmp_path, index, *names))
    ann = Student("007", "Ann A", "ann@uni.edu")
    assert [(each.id, each.students) for each in cohort.entries] == [
        ("submission_1", (ann, Student("8", "Bob\ufffdB"))),
        ("submission_2", ()),
        ("submission_3", (ann,)),
        ("submission_4", (Student("9"), Student(name="/Cy/"))),
        ("submission_5", ()),
    ]
    assert entry(cohort, "submission_1").submitted_at == "2026-04-26T17:34:00.861687+00:00"
    assert problems(cohort) == {
        "submission_4": "submission_metadata.yml names it, but the export does not hold it"
    }
    assert any("submission_5: submission_metadata.yml does not say" in n for n in cohort.notes)
    assert any("student 007 is in several submissions" in note for note in cohort.notes)


def test_gradescope_attempts_are_told_by_their_time(tmp_path: Path, read: Read) -> None:
    def one(number: int, time: str) -> str:
        return (
            f"submission_{number}:\n  :submitters:\n  - :sid: '7'\n    :name: A\n"
            f"  :created_at: {time}\n"
        )

    index = one(2, "2026-01-02 00:30:00 +0200") + one(1, "2026-01-01 23:00:00 Z")
    root = gradescope(tmp_path, index, "submission_1/hw.py", "submission_2/hw.py")
    assert ids(read(root)) == ["submission_1"], "the later instant, not the larger text"
    assert ids(read(root, attempts="all")) == ["submission_1_attempt2", "submission_2_attempt1"]


@pytest.mark.parametrize(
    "who",
    [
        pytest.param(":name: Ann", id="a name that two have"),
        pytest.param(":sid: N/A\n    :email: {n}@uni.edu", id="an id that is none"),
    ],
)
def test_gradescope_students_who_are_two(tmp_path: Path, read: Read, who: str) -> None:
    one = f"submission_{{n}}:\n  :submitters:\n  - {who}\n"
    index = one.format(n=1) + one.format(n=2)
    root = gradescope(tmp_path, index, "submission_1/hw.py", "submission_2/hw.py")
    assert ids(read(root)) == ["submission_1", "submission_2"]


@pytest.mark.parametrize(
    "index",
    ["submission_1: [", "- a\n", "", "text", "a: &x\n  :submitters: [*y]\n? [a]\n: b\n\t- c",
     "\0", "a: " + "[" * 3000, "!!python/object/apply:os.system ['x']"],
    ids=["cut off", "a list", "empty", "a text", "tabs", "null byte", "deep", "a program"],
)  # fmt: skip
def test_gradescope_index_that_cannot_be_read(tmp_path: Path, read: Read, index: str) -> None:
    with pytest.raises(LayoutError, match=r"assignment_1_export/submission_metadata\.yml") as told:
        read(gradescope(tmp_path, index, "submission_1/hw.py"))
    assert "\n" not in str(told.value)


def test_a_large_index_is_read_in_linear_time(tmp_path: Path, read: Read) -> None:
    one = (
        "submission_{n}:\n  :submitters:\n  - :name: A\n    :sid: '{n}'\n  :results:\n    tests:\n"
        + "    - name: t\n      output: |-\n        a line\n        another\n" * 60
    )
    root = gradescope(tmp_path, "".join(one.format(n=n) for n in range(1000)), "submission_1/hw.py")
    start = time.process_time()
    cohort = read(root)
    # 0.4 s where this was written; loading the whole takes 10 times as long.
    assert time.process_time() - start < 4
    assert len(cohort.entries) == 1000


# --- Moodle, nbgrader, GitHub, Otter -----------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "student"),
    [
        ("Jane Doe_123_assignsubmission_file", Student("123", "Jane Doe")),
        ("Jane Doe_123_assignsubmission_file_", Student("123", "Jane Doe")),
        ("Red 2_7_assignsubmission_file", Student("7", "Red 2")),
        ("Jane_Doe_123_assignsubmission_file", Student("123", "Jane Doe")),
        ("王 小明_123_assignsubmission_file", Student("123", "王 小明")),
        ("Default group_assignsubmission_file", Student("", "Default group")),
    ],
)
def test_moodle_names(tmp_path: Path, read: Read, name: str, student: Student) -> None:
    root = tree(tmp_path / "m", f"{name}/hw.py", "Z_9_assignsubmission_file/sub/hw.py")
    found = [each for each in read(root).entries if each.students == (student,)]
    assert [held(each) for each in found] == [["hw.py"]]


@pytest.mark.parametrize("word", ["Participant", "Teilnehmer", "参加者"])
def test_moodle_blind(tmp_path: Path, read: Read, word: str) -> None:
    names = [f"{word}_{n}_assignsubmission_file/hw.py" for n in (1, 2)]
    cohort = read(tree(tmp_path / "m", *names))
    assert [each.students for each in cohort.entries] == [(Student("1"),), (Student("2"),)]


def test_moodle_online_text(tmp_path: Path, read: Read) -> None:
    root = tree(
        tmp_path / "m",
        "A_1_assignsubmission_onlinetext/onlinetext.html",
        "A_1_assignsubmission_file/hw.py",
        "B_2_assignsubmission_onlinetext/onlinetext.html",
    )
    cohort = read(root)
    assert problems(cohort) == {"B_2": "no file was handed in, only online text"}
    assert held(entry(cohort, "A_1")) == ["hw.py"]


def test_moodle_flat_files_of_one_student(tmp_path: Path, read: Read) -> None:
    flat = "_assignsubmission_file_"
    root = tree(tmp_path / "m", f"A_1{flat}hw.py", f"A_1{flat}my_util.py", f"B_2{flat}hw.py")
    assert held(entry(read(root), "A_1")) == ["hw.py", "my_util.py"]


def test_nbgrader_assignments(tmp_path: Path, read: Read) -> None:
    root = tree(
        tmp_path / "course",
        "submitted/ann/ps1/hw.py", "submitted/ann/ps2/other.py", "submitted/bob/ps1/hw.py",
        "submitted/cyd/", "source/ps1/hw.py",
    )  # fmt: skip
    (root / "submitted/ann/ps1/timestamp.txt").write_text("2026-02-02 15:58:23.5 Europe/Berlin\n")
    (root / "submitted/bob/ps1/timestamp.txt").write_text("yesterday")
    with pytest.raises(LayoutError, match=r"several assignments \(ps1, ps2\).*submitted/\*/ps1"):
        read(root)
    for path in (root, root / "submitted"):
        cohort = read(path, entry="hw.py")
        assert ids(cohort) == ["ann", "bob", "cyd"]
        assert problems(cohort) == {"cyd": "has no folder ps1"}
        assert entry(cohort, "ann").submitted_at.startswith("2026-02-02T15:58:23.5")
        assert entry(cohort, "bob").submitted_at == ""


@pytest.mark.parametrize(
    ("folder", "names", "users"),
    [
        pytest.param("hw1-submissions", ["hw1-a-b", "hw1-a-c"], "a-b a-c", id="slug known"),
        pytest.param("hw1-submissions", ["hw1-a", "hw2-b", "hw1-c"], "a c hw2-b", id="not all"),
        pytest.param("clones", ["cs-hw1-ann", "cs-hw1-annie"], "ann annie", id="common part"),
        pytest.param("clones", ["hw1-ann"], "hw1-ann", id="one says nothing"),
    ],
)
def test_github_users(
    tmp_path: Path, read: Read, folder: str, names: list[str], users: str
) -> None:
    root = tree(tmp_path / folder, *(f"{name}/hw.py" for name in names))
    for name in names:
        (root / name / ".git").mkdir()
    cohort = read(root)
    assert cohort.layout == "github-classroom"
    assert [each.students[0].id for each in cohort.entries] == users.split()


def test_a_zip_of_clones_is_known_by_its_name(tmp_path: Path, read: Read) -> None:
    path = archive(tmp_path / "hw1-submissions.zip", "hw1-a/hw.py", "hw1-b/hw.py")
    assert ids(read(path)) == ["a", "b"]


def test_otter_students_are_whole_names(tmp_path: Path, read: Read) -> None:
    cohort = read(tree(tmp_path / "class", "a.py", "b.ipynb"), layout="otter")
    assert [each.students[0].id for each in cohort.entries] == ["a.py", "b.ipynb"]


# --- the rest ----------------------------------------------------------------------------------


def test_ten_thousand_entries_take_linear_time(tmp_path: Path, read: Read) -> None:
    def seconds(number: int) -> float:
        root = tmp_path / f"class{number}"
        for n in range(number):
            (root / f"student{n}").mkdir(parents=True)
            (root / f"student{n}/hw.py").write_text("")
        start = time.process_time()
        assert len(read(root).entries) == number
        return time.process_time() - start

    small = seconds(500)
    # 0.05 s each thousand where this was written.
    assert seconds(2000) < max(8 * small, 1)


def test_a_listing_of_names_is_that_of_the_folder(tmp_path: Path) -> None:
    made = Listing.of_names(tmp_path, ["x/a/b.py", "x/c.py"])
    assert (made.folders, made.files) == (("a",), ("c.py",))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b", "a b"),
        ("a\nb", "a\ufffdb"),
        ("\udce9", "\ufffd"),
        ("e\u0301", "é"),
        ("👩‍🎓", "👩‍🎓"),
    ],
)
def test_lines(text: str, expected: str) -> None:
    assert line(text) == expected


def test_reading_imports_nothing_heavy() -> None:
    code = (
        "import sys, lossgrade.cohort.layouts.read\n"
        "print({'numpy', 'torch', 'pydantic', 'pytest', 'yaml'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def _names(entries: Iterable[Entry]) -> list[str]:
    return [student.name for each in entries for student in each.students]


def test_the_roster_completes_what_the_export_tells(
    tmp_path: Path, read: Read, students: list[tuple[Student, Path]]
) -> None:
    roster = tmp_path / "roster.csv"
    roster.write_text(
        "Student;ID;Email\n"
        + "".join(f"{s.name};{s.id};{s.id}@uni.edu\n" for s, _ in students[1:])
        + "Missing, Mia;99;mia@uni.edu\n",
        "utf-8",
    )
    path = exports.lay_out("canvas", students, tmp_path / "export", archive=True)
    cohort = read(path, roster=roster)
    assert cohort.missing == (Student("99", "Missing, Mia", "mia@uni.edu"),)
    assert sorted(_names(cohort.entries)) == sorted(
        ["janedoe", *(student.name for student, _ in students[1:])]
    )
    assert cohort.notes == ("student janedoe 4201: is not on the roster",)
