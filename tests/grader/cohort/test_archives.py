"""Zips of strangers: what is refused, with which reason, and that nothing of it stays."""

from __future__ import annotations

import os
import stat
import struct
import warnings
import zipfile
import zlib
from typing import TYPE_CHECKING

import pytest

from lossgrade.cohort.archives import CLASS, SUBMISSION, ArchiveError, Caps, names, unpack

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def made(path: Path, members: list[tuple[str | zipfile.ZipInfo, bytes]]) -> Path:
    """Write a zip with these members, whatever their names."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        warnings.catch_warnings(action="ignore"),
    ):
        for name, data in members:
            archive.writestr(name, data)
    return path


def member(name: str, mode: int = 0) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


def patched(path: Path, change: Callable[[bytes], bytes]) -> Path:
    path.write_bytes(change(path.read_bytes()))
    return path


def flagged(data: bytes, *, local: int, central: int, value: bytes) -> bytes:
    """Write `value` at these offsets of the first local and the first central header."""
    out = bytearray(data)
    out[local : local + len(value)] = value
    start = data.index(b"PK\1\2") + central
    out[start : start + len(value)] = value
    return bytes(out)


PLAIN: list[tuple[str | zipfile.ZipInfo, bytes]] = [("hw.py", b"x = 1\n" * 20)]
Maker = "Callable[[Path], Path]"

REFUSED = [
    pytest.param(lambda p: made(p, [("../hw.py", b"")]), "leads out", id="parent folder"),
    pytest.param(lambda p: made(p, [("a/../../hw.py", b"")]), "leads out", id="parent inside"),
    pytest.param(lambda p: made(p, [("..\\hw.py", b"")]), "leads out", id="with a backslash"),
    pytest.param(lambda p: made(p, [("/etc/hw.py", b"")]), "absolute", id="absolute"),
    pytest.param(lambda p: made(p, [("\\\\host\\hw.py", b"")]), "absolute", id="share of Windows"),
    pytest.param(lambda p: made(p, [("C:/hw.py", b"")]), "absolute", id="drive"),
    pytest.param(lambda p: made(p, [("c:hw.py", b"")]), "absolute", id="drive without a slash"),
    pytest.param(
        lambda p: made(p, [(member("hw.py", stat.S_IFLNK | 0o777), b"/etc/passwd")]),
        "a symbolic link",
        id="symbolic link",
    ),
    pytest.param(
        lambda p: made(p, [(member("hw.py", stat.S_IFCHR | 0o666), b"")]), "a device", id="device"
    ),
    pytest.param(lambda p: made(p, [(member("hw.py", stat.S_IFIFO), b"")]), "a device", id="pipe"),
    pytest.param(
        lambda p: made(p, [("hw.py", b"1"), ("hw.py", b"2")]), "holds this name twice", id="twice"
    ),
    pytest.param(
        lambda p: made(p, [("hw", b"1"), ("hw/a.py", b"2")]), "name twice", id="file and folder"
    ),
    pytest.param(
        lambda p: made(p, [("hw/a.py", b"1"), ("hw", b"2")]), "name twice", id="folder and file"
    ),
    pytest.param(lambda p: made(p, [("a\nb.py", b"")]), "control", id="newline in the name"),
    pytest.param(lambda p: made(p, [("a" * 300 + ".py", b"")]), "too long", id="long name"),
    pytest.param(lambda p: made(p, [("王" * 90 + ".py", b"")]), "too long", id="long in UTF-8"),
    pytest.param(lambda p: made(p, [("a/" * 60 + "b.py", b"")]), "too long", id="deep"),
    pytest.param(
        lambda p: made(p, [("hw.py", b"\0" * (8 << 20))]), "200 times", id="one member a bomb"
    ),
    pytest.param(
        lambda p: patched(
            made(p, PLAIN), lambda data: flagged(data, local=6, central=8, value=b"\1\0")
        ),
        "hw.py: protected by a password",
        id="password",
    ),
    pytest.param(
        lambda p: patched(
            made(p, PLAIN), lambda data: flagged(data, local=8, central=10, value=b"\x09\0")
        ),
        "hw.py: packed by Deflate64",
        id="Deflate64",
    ),
    pytest.param(
        lambda p: patched(
            made(p, PLAIN), lambda data: flagged(data, local=8, central=10, value=b"\x0e\0")
        ),
        "hw.py: packed by LZMA",
        id="LZMA, whose decoder takes the memory it is told to",
    ),
    pytest.param(
        lambda p: patched(made(p, PLAIN), lambda data: data[:40] + b"\xff\xff" + data[42:]),
        "hw.py: damaged",
        id="damaged bytes",
    ),
    pytest.param(
        lambda p: patched(made(p, PLAIN), lambda data: data[:50]), "cut off", id="cut off"
    ),
    pytest.param(
        lambda p: patched(made(p, PLAIN), lambda _: b"Rar!\x1a\x07"), "a RAR archive", id="RAR"
    ),
    pytest.param(
        lambda p: patched(made(p, PLAIN), lambda _: b""), "no zip archive", id="empty file"
    ),
    pytest.param(
        lambda p: made(p, [(f"{i}.py", b"") for i in range(2001)]), "2000 files", id="many files"
    ),
]


@pytest.mark.parametrize(("make", "reason"), REFUSED)
def test_a_submission_that_breaks_a_rule_is_refused_whole(
    tmp_path: Path, make: Callable[[Path], Path], reason: str
) -> None:
    archive = make(tmp_path / "hw.zip")
    before = {*tmp_path.rglob("*")}
    with pytest.raises(ArchiveError, match=reason) as refused:
        unpack(archive, tmp_path / "out", SUBMISSION)
    assert "\n" not in str(refused.value)
    assert {*tmp_path.rglob("*")} == before


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        each
        for each in REFUSED
        if str(each.id) not in ("cut off", "RAR", "empty file", "many files")
    ],
)
def test_in_a_class_a_bad_member_is_left_out_alone(
    tmp_path: Path, make: Callable[[Path], Path], reason: str
) -> None:
    archive = make(tmp_path / "class.zip")
    with (
        zipfile.ZipFile(archive, "a") as opened,
        warnings.catch_warnings(action="ignore"),
    ):
        opened.writestr("good/hw.py", "y = 2")
    refused = unpack(archive, tmp_path / "out", CLASS, lenient=True)
    assert len(refused) == 1
    assert reason in refused[0]
    assert (tmp_path / "out/good/hw.py").read_text() == "y = 2"
    assert not [path for path in tmp_path.rglob("*") if path.is_symlink()]


def test_bytes_are_counted_as_they_come(tmp_path: Path) -> None:
    """The declared sizes say 1 byte; 3 MiB come."""
    data = os.urandom(1 << 20) * 3
    archive = made(tmp_path / "hw.zip", [("hw.py", data)])
    size = struct.pack("<I", len(data))
    patched(archive, lambda raw: raw.replace(size, struct.pack("<I", 1)))
    with pytest.raises(ArchiveError):
        unpack(archive, tmp_path / "out", Caps(10, 2 << 20, 64 << 20))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("lenient", [False, True], ids=["submission", "class"])
def test_the_total_is_capped_over_all_members(tmp_path: Path, *, lenient: bool) -> None:
    members = [(f"{i}.bin", os.urandom(1 << 20)) for i in range(3)]
    archive = made(tmp_path / "hw.zip", [*members])
    with pytest.raises(ArchiveError, match="more bytes"):
        unpack(archive, tmp_path / "out", Caps(10, 2 << 20, 64 << 20), lenient=lenient)
    assert not (tmp_path / "out").exists()


def test_members_that_share_bytes_are_refused(tmp_path: Path) -> None:
    """A bomb without a large ratio: a hundred names for the same bytes."""
    body = zlib.compress(b"\0" * 4000)[2:-4]
    crc = zlib.crc32(b"\0" * 4000)
    sizes = struct.pack("<IIIHH", crc, len(body), 4000, 5, 0)
    local = b"PK\3\4" + struct.pack("<HHHHH", 20, 0, 8, 0, 0) + sizes + b"a0.py" + body
    central = b"".join(
        b"PK\1\2" + struct.pack("<HHHHHH", 20, 20, 0, 8, 0, 0) + sizes
        + struct.pack("<HHHII", 0, 0, 0, 0, 0) + f"a{i}.py".encode()
        for i in range(2)
    )  # fmt: skip
    end = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 2, 2, len(central), len(local), 0)
    archive = tmp_path / "hw.zip"
    archive.write_bytes(local + central + end)
    assert names(archive) == []
    with pytest.raises(ArchiveError, match="overlap"):
        unpack(archive, tmp_path / "out", SUBMISSION)


def test_a_list_of_members_that_would_fill_the_memory_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "hw.zip"
    archive.write_bytes(b"PK\1\2" * 50_000)
    monkeypatch.setattr(zipfile, "ZipFile", None)
    with pytest.raises(ArchiveError, match="2000 files"):
        unpack(archive, tmp_path / "out", SUBMISSION)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("a\\b.py", "a/b.py", id="backslashes of Windows"),
        pytest.param("./a//b.py", "a/b.py", id="empty parts"),
        pytest.param("王小明.py", "王小明.py", id="UTF-8"),
        pytest.param("con.py", "con.py", id="reserved on Windows alone"),
        pytest.param("=cmd.py", "=cmd.py", id="a formula"),
    ],
)
def test_names_that_are_kept(tmp_path: Path, name: str, expected: str) -> None:
    archive = made(tmp_path / "hw.zip", [(name, b"x")])
    assert unpack(archive, tmp_path / "out", SUBMISSION) == []
    assert (tmp_path / "out" / expected).read_bytes() == b"x"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param("é.py".encode(), "é.py", id="UTF-8 not marked as such, as macOS does"),
        pytest.param(b"\x82.py\x20", "é.py ", id="cp437"),
    ],
)
def test_names_without_a_mark(tmp_path: Path, raw: bytes, expected: str) -> None:
    place = b"Q" * len(raw)
    archive = made(tmp_path / "hw.zip", [(place.decode(), b"x")])
    patched(archive, lambda data: data.replace(place, raw))
    unpack(archive, tmp_path / "out", SUBMISSION)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [expected]


def test_names_marked_as_utf8_that_are_not(tmp_path: Path) -> None:
    archive = made(tmp_path / "hw.zip", [("éé.py", b"x")])
    patched(archive, lambda data: data.replace("éé".encode(), b"\xff\xfe\xff\xfe"))
    with pytest.raises(ArchiveError, match="no zip archive that can be read"):
        unpack(archive, tmp_path / "out", SUBMISSION)


def test_what_systems_leave_is_left_out(tmp_path: Path) -> None:
    links: list[tuple[str | zipfile.ZipInfo, bytes]] = [
        (member("venv/bin/python", stat.S_IFLNK), b"/usr/bin/python"),
        ("__MACOSX/._hw.py", b""),
        ("hw/.git/config", b""),
        ("hw/hw.py", b"x"),
    ]
    unpack(made(tmp_path / "hw.zip", links), tmp_path / "out", SUBMISSION)
    found = [path.relative_to(tmp_path).as_posix() for path in (tmp_path / "out").rglob("*")]
    assert sorted(found) == ["out/hw", "out/hw/hw.py"]


def test_modes_do_not_come_from_the_archive(tmp_path: Path) -> None:
    archive = made(
        tmp_path / "hw.zip",
        [(member("a/", stat.S_IFDIR | 0o000), b""), (member("a/b.py", stat.S_IFREG | 0o4777), b"")],
    )
    before = os.umask(0o077)
    try:
        unpack(archive, tmp_path / "out", SUBMISSION)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out/a").stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "out/a/b.py").stat().st_mode) == 0o644


def test_a_text_of_one_line_repeated_is_no_bomb(tmp_path: Path) -> None:
    archive = made(tmp_path / "hw.zip", [("hw.py", b"# a\n" * 500_000)])
    assert unpack(archive, tmp_path / "out", SUBMISSION) == []
