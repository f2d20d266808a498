"""What counts as a submission, which of its files is the one with the functions, what is copied."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from lossgrade import submission as submissions
from lossgrade.submission import Submission, SubmissionError, Unloadable

if TYPE_CHECKING:
    from pathlib import Path


def folder(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {name}\n")
    return root


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "handed-in").mkdir()
    return tmp_path / "handed-in"


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


def copied(scratch: Path) -> set[str]:
    return {p.relative_to(scratch).as_posix() for p in scratch.rglob("*") if p.is_file()}


@pytest.mark.parametrize("name", ["hw.py", "hw.ipynb", "HW.PY", "a b.c.py", "作业.py", "-x.py"])
def test_a_file_is_a_submission(home: Path, scratch: Path, name: str) -> None:
    folder(home, name, "other.py")
    submission = Submission.at(home / name)
    assert submission.id == name.rpartition(".")[0]
    assert submission.copy_to(scratch) == scratch / name
    assert copied(scratch) == {name}


def test_ids_are_names_not_paths(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pathlib import Path

    monkeypatch.chdir(home)
    assert Submission.at(Path()).id == "handed-in"


def test_what_is_no_submission_is_refused(home: Path) -> None:
    folder(home, "hw.txt", "hw")
    os.mkfifo(home / "pipe.py")
    (home / "dangling.py").symlink_to(home / "nowhere")
    (home / "loop.py").symlink_to(home / "loop.py")
    for name, says in [
        ("hw.txt", "found .txt"),
        ("hw", "found a file without a suffix"),
        ("pipe.py", "expected a .py file"),
        ("dangling.py", "no such file"),
        ("loop.py", "no such file|cannot be read"),
        ("nowhere.py", "no such file"),
        ("x" * 300 + ".py", "no such file|cannot be read"),
        ("hw.txt/hw.py", "no such file|cannot be read"),
    ]:
        with pytest.raises(SubmissionError, match=says):
            Submission.at(home / name)


@pytest.mark.parametrize(
    ("files", "entry", "found"),
    [
        (["hw.py"], "", "hw.py"),
        (["hw.py", "data.csv", "lib/helper.py"], "", "hw.py"),
        (["hw.py", "hw.ipynb"], "", "hw.py"),
        (["hw.ipynb", "read.me"], "", "hw.ipynb"),
        (["HW.PY"], "", "HW.PY"),
        (["hw.py", ".hidden.py"], "", "hw.py"),
        (["a.py", "b.py"], "b.py", "b.py"),
        (["src/hw.py", "a.py"], "src/hw.py", "src/hw.py"),
        (["venv/hw.py"], "venv/hw.py", "venv/hw.py"),
        (["a.py", "b.py"], "", "2 .py files (a.py, b.py) and none was named"),
        (["a.ipynb", "b.ipynb"], "", "2 .ipynb files (a.ipynb, b.ipynb)"),
        (["a.py"], "hw.py", "the folder has no hw.py, the file that was asked for"),
        (["a.py"], ".", "the folder has no ., the file that was asked for"),
        (["lib/a.py"], "", "no Python file (.py) and no notebook (.ipynb) at its top"),
        ([], "", "no Python file (.py) and no notebook"),
    ],
)
def test_the_entry_file_of_a_folder(
    home: Path, scratch: Path, files: list[str], entry: str, found: str
) -> None:
    submission = Submission.at(folder(home, *files), entry)
    if " " in found:
        with pytest.raises(Unloadable) as caught:
            submission.copy_to(scratch)
        assert found in str(caught.value)
    else:
        copy = submission.copy_to(scratch)
        assert copy == scratch / found
        assert copy.read_text() == f"# {found}\n"


def test_a_folder_is_copied_without_tools_and_links(home: Path, scratch: Path) -> None:
    folder(
        home, "hw.py", "a/b/c.txt", ".git/config", "a/__pycache__/x.pyc", "venv/y.py",
        "node_modules/z.js", "__MACOSX/hw.py",
    )  # fmt: skip
    folder(home.parent / "secret", "solution.py")
    (home / "link.py").symlink_to(home.parent / "secret" / "solution.py")
    (home / "linked").symlink_to(home.parent / "secret")
    os.mkfifo(home / "pipe")
    submission = Submission.at(home)
    assert submission.copy_to(scratch) == scratch / "hw.py"
    assert copied(scratch) == {"hw.py", "a/b/c.txt"}


@pytest.mark.parametrize("entry", ["", "hw.py"])
def test_a_link_is_no_entry_file(home: Path, scratch: Path, entry: str) -> None:
    folder(home.parent / "secret", "solution.py")
    (home / "hw.py").symlink_to(home.parent / "secret" / "solution.py")
    with pytest.raises(Unloadable, match="the folder has no"):
        Submission.at(home, entry).copy_to(scratch)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o777])
def test_another_user_can_read_the_copy(home: Path, scratch: Path, mask: int) -> None:
    folder(home, "hw.py", "a/b/c.txt")
    (home / "hw.py").chmod(0o600)
    (home / "a").chmod(0o700)
    before = os.umask(mask)
    try:
        Submission.at(home).copy_to(scratch)
    finally:
        os.umask(before)
    modes = {
        p.relative_to(scratch).as_posix(): stat.S_IMODE(p.stat().st_mode)
        for p in scratch.rglob("*")
    }
    assert modes == {"hw.py": 0o644, "a": 0o755, "a/b": 0o755, "a/b/c.txt": 0o644}


def test_too_much_is_refused(home: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(home, "hw.py", *(f"d/{n}.txt" for n in range(5)))
    submission = Submission.at(home)
    monkeypatch.setattr(submissions, "FILE_CAP", 6)
    submission.copy_to(scratch)
    monkeypatch.setattr(submissions, "FILE_CAP", 5)
    with pytest.raises(Unloadable, match="more than 5 files"):
        submission.copy_to(scratch)
    monkeypatch.setattr(submissions, "FILE_CAP", 6)
    monkeypatch.setattr(submissions, "BYTES_CAP", 10)
    with pytest.raises(Unloadable, match="hand in the source files only"):
        submission.copy_to(scratch)


def test_an_entry_file_too_large_is_refused(
    home: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submission = Submission.at(folder(home, "hw.py") / "hw.py")
    monkeypatch.setattr(submissions, "SOURCE_CAP", 8)
    submission.copy_to(scratch)
    monkeypatch.setattr(submissions, "SOURCE_CAP", 7)
    with pytest.raises(Unloadable, match=r"hw\.py is larger than 0 MiB"):
        submission.copy_to(scratch)


def test_torch_is_looked_for_in_sources(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(home, "hw.py", "note.txt", "a/helper.py")
    submission = Submission.at(home)
    (home / "note.txt").write_text("import torch")
    assert not submission.mentions_torch()
    (home / "a" / "helper.py").write_bytes(b"\xff import torch")
    assert submission.mentions_torch()
    assert not Submission.at(home / "hw.py").mentions_torch()
    monkeypatch.setattr(submissions, "FILE_CAP", 1)
    assert not submission.mentions_torch()
