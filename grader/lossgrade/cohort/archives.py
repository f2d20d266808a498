"""Unpack zip archives of strangers: nothing outside the folder, nothing too large, no surprises.

Sizes are counted while bytes are read; what an archive declares about itself is not believed.
"""

from __future__ import annotations

import re
import shutil
import stat
import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lossgrade.cohort.layouts.listing import is_junk, line
from lossgrade.submission import BYTES_CAP, FILE_CAP

if TYPE_CHECKING:
    from pathlib import Path
    from typing import IO
    from zipfile import ZipFile, ZipInfo

_CHUNK = 1 << 20
# Source code deflates 3 to 10 times. Deflate's limit is 1032; bombs lie close to it.
RATIO_CAP = 200
# Below this, a ratio says nothing: a file of a thousand blank lines is no bomb.
RATIO_FREE = 4 << 20
# Names of a file and of a path that common systems can hold, in bytes of UTF-8.
_NAME_CAP = 255
_PATH_CAP = 1000
_DEPTH_CAP = 40
_METHODS = {1: "Shrink", 6: "Implode", 9: "Deflate64", 14: "LZMA", 93: "Zstandard", 95: "XZ",
            98: "PPMd", 99: "AES encryption"}  # fmt: skip
# LZMA is left out: its decoder reserves as much memory as the archive asks for, up to 4 GiB.
_READABLE = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
_UNICODE_NAME = 0x800
_ENCRYPTED = 0x1
_HEADER_BYTES = 30
_KINDS = (
    (b"Rar!", "a RAR archive"), (b"7z\xbc\xaf", "a 7z archive"), (b"\x1f\x8b", "a gzip file"),
    (b"%PDF", "a PDF"), (b"<", "a web page"), (b"", "damaged or something else"),
)  # fmt: skip


class ArchiveError(Exception):
    """An archive, or a member of one, that is not unpacked; the text is the reason in one line."""


@dataclass(frozen=True)
class Caps:
    """How much an archive may hold: members, bytes when unpacked, bytes as it is."""

    files: int
    unpacked: int
    packed: int


SUBMISSION = Caps(FILE_CAP, BYTES_CAP, BYTES_CAP)
# A class: ten thousand submissions of twenty files; as large as a disk surely holds.
CLASS = Caps(200_000, 16 << 30, 16 << 30)


def names(archive: Path) -> list[str]:
    """Return the names of an archive's files, junk left out; [] if it cannot be read."""
    try:
        with _opened(archive, CLASS) as opened:
            found = [_name(info).replace("\\", "/") for info in opened.infolist()]
    except ArchiveError:
        return []
    return [
        name
        for name in found
        if not name.endswith("/") and not any(is_junk(part) for part in name.split("/"))
    ]


def unpack(archive: Path, into: Path, caps: Caps, *, lenient: bool = False) -> list[str]:
    """Unpack `archive` into the new folder `into`; what systems leave (`__MACOSX`) is left out.

    Args:
        lenient: leave out a bad member rather than refuse the archive.
    Returns:
        A line for each member that was left out because it is bad.
    Raises:
        ArchiveError: it cannot be read or breaks a rule; `into` is gone.
    """
    refused: list[str] = []
    try:
        with _opened(archive, caps) as opened:
            into.mkdir(parents=True)
            left = caps.unpacked
            for info in opened.infolist():
                try:
                    left -= _write(opened, info, into, left)
                except _TooMuch as error:
                    raise ArchiveError(str(error)) from None
                except ArchiveError as error:
                    if not lenient:
                        raise
                    refused.append(str(error))
    except ArchiveError:
        shutil.rmtree(into, ignore_errors=True)
        raise
    except OSError as error:
        shutil.rmtree(into, ignore_errors=True)
        raise ArchiveError(f"cannot be unpacked ({error.strerror})") from None
    return refused


class _TooMuch(Exception):
    """The whole archive holds more than it may, whichever member this shows at."""


def _opened(archive: Path, caps: Caps) -> ZipFile:
    try:
        if archive.stat().st_size > caps.packed:
            raise ArchiveError(f"is larger than {caps.packed >> 20} MiB")
        if caps == SUBMISSION:
            _check_count(archive, caps)
        opened = zipfile.ZipFile(archive)
    except zipfile.BadZipFile:
        raise ArchiveError(f"is no zip archive that can be read ({_kind(archive)})") from None
    except (ValueError, NotImplementedError, EOFError) as error:
        # UnicodeDecodeError, a ValueError: a name is marked as UTF-8 and is not.
        raise ArchiveError(f"is no zip archive that can be read ({error})") from None
    except OSError as error:
        raise ArchiveError(f"cannot be read ({error.strerror})") from None
    try:
        _check(opened, caps)
    except ArchiveError:
        opened.close()
        raise
    return opened


def _check_count(archive: Path, caps: Caps) -> None:
    """Refuse a list of members so long that reading it would fill the memory."""
    # Archives inside are counted too, so the limit is a generous one.
    most, found, tail = 20 * caps.files, 0, b""
    with archive.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            found += (tail + chunk).count(b"PK\x01\x02")
            tail = chunk[-3:]
            if found > most:
                raise ArchiveError(f"holds more than {caps.files} files")


def _check(opened: ZipFile, caps: Caps) -> None:
    infos = opened.infolist()
    if len(infos) > caps.files:
        raise ArchiveError(f"holds more than {caps.files} files")
    # Members that share bytes make a small archive a large one whose every ratio is harmless.
    ends = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < ends:
            raise ArchiveError("has members that overlap, as an archive made by no known program")
        ends = info.header_offset + _HEADER_BYTES + info.compress_size


def _kind(archive: Path) -> str:
    with archive.open("rb") as stream:
        start = stream.read(4)
    if start == b"PK\x03\x04":
        return "it is cut off or damaged"
    return "it is " + next(kind for magic, kind in _KINDS if start.startswith(magic))


def _name(info: ZipInfo) -> str:
    """Return a member's name: as UTF-8 where macOS wrote it so unmarked, else as cp437."""
    name = info.orig_filename
    if not info.flag_bits & _UNICODE_NAME:
        try:
            return name.encode("cp437").decode("utf-8")
        except UnicodeError:
            pass
    return name


def _write(opened: ZipFile, info: ZipInfo, into: Path, left: int) -> int:
    """Write one member; return its size."""
    name = _name(info)
    shown = line(name)
    parts = _parts(name, shown)
    if not parts or any(is_junk(part) for part in parts):
        return 0
    _check_member(info, shown)
    target = into.joinpath(*parts)
    try:
        if info.is_dir() or name.endswith("\\"):
            _make(target, into)
            return 0
        _make(target.parent, into)
        # "x": a second member of this name, also in other case where the system sees no difference.
        with target.open("xb") as stream:
            written = _copy(opened, info, stream, left, shown)
        target.chmod(0o644)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise ArchiveError(f"{shown}: the archive holds this name twice") from None
    except (ArchiveError, _TooMuch):
        target.unlink(missing_ok=True)
        raise
    return written


def _make(folder: Path, into: Path) -> None:
    """Make `folder` below `into`, of a mode that does not depend on the umask."""
    missing = []
    while folder != into and not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        each.mkdir()
        each.chmod(0o755)


def _parts(name: str, shown: str) -> list[str]:
    """Return the safe parts of a member's name.

    Raises:
        ArchiveError: it leads out of the folder, or no system could hold it.
    """
    plain = name.replace("\\", "/")
    if plain.startswith("/") or re.match(r"[A-Za-z]:", plain):
        raise ArchiveError(f"{shown}: an absolute path, expected one inside the archive")
    parts = [part for part in plain.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ArchiveError(f"{shown}: a path that leads out of the archive")
    if any(ord(character) < 32 or character == "\x7f" for character in plain):
        raise ArchiveError(f"{shown}: a name with control characters")
    sizes = [len(part.encode("utf-8", "surrogatepass")) for part in parts]
    if max(sizes, default=0) > _NAME_CAP or sum(sizes) > _PATH_CAP or len(parts) > _DEPTH_CAP:
        raise ArchiveError(f"{shown[:60]}...: a name too long for common systems")
    return parts


def _check_member(info: ZipInfo, shown: str) -> None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        what = "a symbolic link" if kind == stat.S_IFLNK else "a device"
        raise ArchiveError(f"{shown}: {what}, expected a file")
    if info.flag_bits & _ENCRYPTED:
        raise ArchiveError(f"{shown}: protected by a password")
    if info.compress_type not in _READABLE:
        method = _METHODS.get(info.compress_type, str(info.compress_type))
        raise ArchiveError(f"{shown}: packed by {method}, which is not read; use plain Deflate")


def _copy(opened: ZipFile, info: ZipInfo, stream: IO[bytes], left: int, shown: str) -> int:
    """Copy a member's bytes; return their number."""
    most = max(RATIO_FREE, RATIO_CAP * info.compress_size)
    written = 0
    try:
        with opened.open(info) as source:
            while chunk := source.read(_CHUNK):
                written += len(chunk)
                if written > left:
                    raise _TooMuch("holds more bytes than are unpacked")
                if written > most:
                    raise ArchiveError(f"{shown}: unpacks to over {RATIO_CAP} times its size")
                stream.write(chunk)
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError) as error:
        raise ArchiveError(f"{shown}: damaged ({line(str(error))})") from None
    except RuntimeError as error:
        raise ArchiveError(f"{shown}: cannot be unpacked ({line(str(error))})") from None
    return written
