"""Which files a run is about: exclusion, .gitignore as git reads it, and odd things in folders."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossgrade_checks.config import EXCLUDED, Configurations
from lossgrade_checks.discover import Discovery
from lossgrade_checks.patterns import GitIgnored, Patterns


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def put(**files: str) -> None:
    """Write files; in their names `__` is a folder's end, and a dot stands before the suffix."""
    for name, text in files.items():
        write(name.replace("__", "/") + ".py", text)


def write(name: str, text: str = "") -> None:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def find(*paths: str, **options: Any) -> list[str]:
    found = Discovery(Configurations(), **options).find(paths or ["."])
    assert found.errors == []
    return [path.as_posix() for path in found.files]


def test_programs_and_notebooks_are_found_in_order() -> None:
    for name in ("b.py", "a/z.pyi", "a/n.ipynb", "a.b/c.py", "a/b/c.py", "a/x.txt", "Makefile"):
        write(name)
    assert find() == ["a/b/c.py", "a/n.ipynb", "a/z.pyi", "a.b/c.py", "b.py"]
    assert find("a", "b.py", "./b.py", "a/../b.py", "a/b") == [
        "a/b/c.py", "a/n.ipynb", "a/z.pyi", "b.py",
    ]  # fmt: skip
    assert find(str(Path("a").absolute())) == [
        str(Path(name).absolute()) for name in ("a/b/c.py", "a/n.ipynb", "a/z.pyi")
    ]


def test_a_file_that_is_named_needs_no_suffix() -> None:
    write("script")
    assert find("script") == ["script"]


@pytest.mark.parametrize("folder", EXCLUDED)
def test_folders_of_tools_are_left_out_unless_named(folder: str) -> None:
    write(f"a/{folder}/x.py")
    assert find() == []
    assert find(f"a/{folder}") == [f"a/{folder}/x.py"]
    assert find(f"a/{folder}/x.py") == [f"a/{folder}/x.py"]
    assert find(f"a/{folder}", f"a/{folder}/x.py", force_exclude=True) == []


@pytest.mark.parametrize(
    ("pattern", "left"),
    [
        pytest.param("old", ["a/new.py", "new.py"], id="a name, anywhere"),
        pytest.param("/old", ["a/new.py", "a/old/x.py", "new.py"], id="a name, at the top"),
        pytest.param("a/old/", ["a/new.py", "new.py", "old/x.py"], id="a folder's path"),
        pytest.param("new.*", ["a/old/x.py", "old/x.py"], id="a part of a name"),
        pytest.param("a/**", ["new.py", "old/x.py"], id="all below"),
        pytest.param("**/x.py", ["a/new.py", "new.py"], id="at any depth"),
    ],
)
@pytest.mark.parametrize("by", ["the command line", "the configuration"])
def test_patterns_leave_out(pattern: str, left: list[str], by: str) -> None:
    put(new="", old__x="", a__new="", a__old__x="")
    everything = ["a/new.py", "a/old/x.py", "new.py", "old/x.py"]
    options = {}
    if by == "the command line":
        options = {"exclude": [pattern]}
    else:
        write("pyproject.toml", f"[tool.lossgrade]\nextend-exclude = ['{pattern}']\n")
    assert find(**options) == left
    # What is named is linted, but under --force-exclude.
    assert find(*everything, **options) == everything
    assert find(*everything, force_exclude=True, **options) == left


def test_patterns_of_a_configuration_start_at_its_folder() -> None:
    put(old__x="", a__old__x="", a__b__old__x="")
    write("a/pyproject.toml", "[tool.lossgrade]\nexclude = ['/old', 'b/*/x.py']\n")
    assert find() == ["old/x.py"]
    assert find("a") == []


def test_exclusion_can_be_forced_by_the_configuration() -> None:
    put(old__x="")
    write("pyproject.toml", "[tool.lossgrade]\nexclude = ['old']\nforce-exclude = true\n")
    assert find("old/x.py", "old") == []


def test_ignored_files_are_left_out_unless_named() -> None:
    put(a="", secret="", below__a="", below__secret="", made__a="", below__kept__a="")
    write(".gitignore", "secret.py\n/made/\n# a comment\n\nkept\n")
    write("below/.gitignore", "!secret.py\n!kept\n")
    assert find() == ["a.py", "below/a.py", "below/kept/a.py", "below/secret.py"]
    assert find("made", "secret.py") == ["made/a.py", "secret.py"]
    write("pyproject.toml", "[tool.lossgrade]\nrespect-gitignore = false\n")
    assert len(find()) == 6


def test_what_stands_above_counts_up_to_the_repository() -> None:
    put(repository__a__x="", repository__a__y="", repository__a__z="")
    write(".gitignore", "x.py\n")
    write("repository/.gitignore", "y.py\n")
    write("repository/.git/info/exclude", "z.py\n")
    assert find("repository/a") == ["repository/a/x.py"]
    os.chdir("repository/a")
    assert find() == ["x.py"]


def test_a_file_of_patterns_that_make_no_sense_is_read_as_far_as_it_does() -> None:
    put(a="", b="")
    Path(".gitignore").write_bytes(b"!\n\\\n[\nb.py\n\xff\n")
    assert find() == ["a.py"]


NAMES = st.sampled_from(["a", "b", "c.py", "d.py"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
PATTERN = st.tuples(
    st.sampled_from(["", "!"]),
    st.sampled_from(["", "/", "**/", "*/"]),
    st.sampled_from(["a", "b", "c.py", "*.py", "a/b", "a/*", "a/**", "[ab]", "?.py", "*"]),
    st.sampled_from(["", "/"]),
).map("".join)


@given(
    top=st.lists(PATTERN, max_size=4),
    below=st.lists(PATTERN, max_size=3),
    paths=st.lists(PATHS, min_size=1, max_size=6),
)
def test_git_ignores_the_same(
    top: list[str], below: list[str], paths: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("git")
    made = set()
    for path in paths:
        file = root / path
        parents = {*file.parents}
        if file.is_dir() or any(parent.is_file() for parent in parents):
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("", encoding="utf-8")
        if path.endswith(".py"):
            made.add(path)
    (root / ".gitignore").write_text("\n".join(top), encoding="utf-8")
    if (root / "a").is_dir():
        (root / "a" / ".gitignore").write_text("\n".join(below), encoding="utf-8")
    subprocess.run(["git", "init", "-q", root], check=True, timeout=60)
    done = subprocess.run(
        ["git", "-c", "core.excludesFile=", "ls-files", "--others", "--exclude-standard"],
        cwd=root, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    expected = {name for name in done.stdout.splitlines() if name in made}
    found = Discovery(Configurations()).find([str(root)])
    assert {path.relative_to(root).as_posix() for path in found.files} == expected


def test_links_are_followed_to_files_and_not_to_folders() -> None:
    put(a__x="", b__y="")
    Path("a/loop").symlink_to("..", target_is_directory=True)
    Path("a/other").symlink_to("../b", target_is_directory=True)
    Path("a/z.py").symlink_to("x.py")
    Path("a/gone.py").symlink_to("nowhere.py")
    assert find() == ["a/x.py", "b/y.py"] or find() == ["a/z.py", "b/y.py"]
    assert find("a/z.py", "a/x.py") == ["a/z.py"]
    assert find("a/loop/a/x.py") == ["a/loop/a/x.py"]


def test_what_is_no_file_is_told_and_the_rest_is_found() -> None:
    put(a="")
    Path("gone.py").symlink_to("nowhere.py")
    Path("self.py").symlink_to("self.py")
    os.mkfifo("pipe.py")
    found = Discovery(Configurations()).find(
        ["nope", "gone.py", "self.py", "pipe.py", "a.py/b", "x" * 5000, "a\0b", ""]
    )
    assert found.files == []
    heads = [line.split(": ")[1] for line in found.errors]
    assert heads == [
        "no such file or folder", "no such file or folder", "cannot be read",
        "is no regular file; `-` reads standard input", "cannot be read", "cannot be read",
        "cannot be read", "no such file or folder",
    ]  # fmt: skip
    assert find() == ["a.py"]


def test_a_folder_that_cannot_be_read_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    put(a="", locked__b="")
    scan = os.scandir

    def scandir(path: str) -> Any:
        if path.endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = Discovery(Configurations()).find(["."])
    assert [path.as_posix() for path in found.files] == ["a.py"]
    assert found.errors == [f".{os.sep}locked: cannot be read: Permission denied"]


def test_patterns_above_a_folder_do_not_count_below_another() -> None:
    assert not Patterns("/x", ["*.py"]).match("/y/a.py")
    assert not GitIgnored().ignores("/y/a.py")
