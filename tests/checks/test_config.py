"""`[tool.lossgrade]`: which file counts, and that no mistake in it passes unseen."""

from __future__ import annotations

from pathlib import Path

import pytest

from lossgrade_checks.config import EXCLUDED, KEYS, ConfigError, Configurations, Settings
from lossgrade_checks.selection import Choice


def settings(tmp_path: Path, table: str) -> Settings:
    (tmp_path / "pyproject.toml").write_text(table, encoding="utf-8")
    return Configurations().for_folder(str(tmp_path))


def test_every_key_is_read(tmp_path: Path) -> None:
    found = settings(
        tmp_path,
        """
        [tool.lossgrade]
        select = ["LG1"]
        extend-select = ["LG201"]
        ignore = ["LG102"]
        exclude = ["old"]
        extend-exclude = ["*_pb2.py"]
        unsafe-fixes = true
        output-format = "github"
        respect-gitignore = false
        force-exclude = true
        [tool.lossgrade.per-file-ignores]
        "tests/*" = ["LG1", "LG2"]
        """,
    )
    assert found == Settings(
        str(tmp_path), str(tmp_path / "pyproject.toml"), Choice(["LG1"], ["LG201"], ["LG102"]),
        ("old", "*_pb2.py"), (("tests/*", ("LG1", "LG2")),), True, "github", False, True,
    )  # fmt: skip


def test_nothing_said_is_the_default(tmp_path: Path) -> None:
    found = settings(tmp_path, "[tool.lossgrade]\nextend-exclude = ['x']\n")
    assert found.choice == (None, (), ())
    assert found.exclude == (*EXCLUDED, "x")
    assert found[4:] == Settings("")[4:]


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        pytest.param("\nselct = []", ":3: tool.lossgrade has no key 'selct'; did you mean select?"),
        pytest.param("per_file_ignores = {}", ":2: tool.lossgrade has no key 'per_file_ignores'; "),
        pytest.param("zzz = 1", "known are select, extend-select"),
        pytest.param('select = "LG1"', ":2: select: found 'LG1', expected a list of texts"),
        pytest.param("select = [1]", "select: found a list with something else in it, expected a"),
        pytest.param("unsafe-fixes = 1", "unsafe-fixes: found 1, expected true or false"),
        pytest.param("output-format = 'xml'", "found 'xml', expected 'text' or 'json' or 'github'"),
        pytest.param("output-format = true", "output-format: found true, expected 'text'"),
        pytest.param("per-file-ignores = {a = 'LG1'}", "found a table, expected a table of lists"),
        pytest.param("select = [", "is not TOML: "),
    ],
)
def test_a_mistake_is_a_line_with_the_file_the_row_and_what_is_expected(
    toml: str, says: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(tmp_path, f"[tool.lossgrade]\n{toml}\n")
    (line,) = caught.value.args
    assert line.startswith(f"{tmp_path / 'pyproject.toml'}:")
    assert says in line
    assert "\n" not in line


def test_several_mistakes_have_a_line_each(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(tmp_path, "[tool.lossgrade]\nselct = []\nignore = 3\n[tool.lossgrade.zzz]\n")
    assert [line.split(":")[1] for line in caught.value.args] == ["2", "3", "4"]


@pytest.mark.parametrize("value", ["[]", "3", "'x'"])
def test_what_is_no_table_is_a_mistake(value: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tool\.lossgrade is .*, expected a table"):
        settings(tmp_path, f"[tool]\nlossgrade = {value}\n")


def test_the_nearest_file_with_the_table_counts(tmp_path: Path) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    settings(tmp_path, "[tool.lossgrade]\nignore = ['LG1']\n")
    (tmp_path / "a" / "pyproject.toml").write_text("[tool.ruff]\n# lossgrade\n", encoding="utf-8")
    found = Configurations().for_folder(str(below))
    assert found.root == str(tmp_path)
    assert found.choice.ignore == ["LG1"]
    (below / "pyproject.toml").write_text("[tool.lossgrade]\n", encoding="utf-8")
    assert Configurations().for_folder(str(below)) == Settings(
        str(below), str(below / "pyproject.toml")
    )


def test_a_file_that_concerns_others_is_not_read(tmp_path: Path) -> None:
    assert settings(tmp_path, "this is [no TOML").origin == ""


@pytest.mark.parametrize(
    "toml",
    [
        pytest.param("[tool.lossgrade]\nignore = ['LG1']\n", id="as in pyproject.toml"),
        pytest.param("ignore = ['LG1']\n", id="without the table"),
    ],
)
def test_a_file_that_is_named_counts_everywhere(
    toml: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own.toml").write_text(toml, encoding="utf-8")
    Path("below").mkdir()
    settings(tmp_path / "below", "[tool.lossgrade]\nignore = ['LG2']\n")
    found = Configurations("own.toml").for_folder(str(tmp_path / "below"))
    assert found.choice.ignore == ["LG1"]
    assert found.root == str(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        pytest.param("gone.toml", None, "--config gone.toml: cannot be read: No such", id="gone"),
        pytest.param("pyproject.toml", b"", "has no table [tool.lossgrade]", id="no table"),
        pytest.param("own.toml", b"\xff", "own.toml: byte 1 is not UTF-8", id="no UTF-8"),
        pytest.param("own.toml", b"x = 1", "own.toml:1: tool.lossgrade has no key 'x'", id="key"),
    ],
)
def test_a_file_that_is_named_must_be_a_configuration(
    name: str, content: bytes | None, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path(name).write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        Configurations(name)
    assert says in str(caught.value)


def test_each_key_has_a_default_and_a_test() -> None:
    for _, fits in KEYS.values():
        assert not fits(3)
