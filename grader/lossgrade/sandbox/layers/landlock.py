"""Landlock: which files a worker can open, by path, whatever user it is.

Two rulesets are stacked, and what both allow is allowed. The shared one, made once in
the zygote, holds the whole allow-list and the directory of all scratch directories. The
worker's own is a handful of coarse rules that together leave out that directory but for
the worker's scratch. So a worker pays for ten rules, not for hundreds, and cannot read
what another submission left.

A ruleset is an open file that workers would share: adding a worker's rule to the common
one would give its scratch to all that follow. Each worker closes its copy for the same
reason, or a student could add rules to it.

Source: https://docs.kernel.org/userspace-api/landlock.html
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from . import calls
from .state import FILES, SIGNALS, TCP, State

if TYPE_CHECKING:
    from .readable import AllowList

# The same numbers on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH = 1

# linux/landlock.h
_EXECUTE = 1 << 0
_WRITE_FILE = 1 << 1
_READ_FILE = 1 << 2
_READ_DIR = 1 << 3
_REMOVE_DIR = 1 << 4
_REMOVE_FILE = 1 << 5
_MAKE_DIR = 1 << 7
_MAKE_REG = 1 << 8
_REFER = 1 << 13
_TRUNCATE = 1 << 14
_IOCTL_DEV = 1 << 15
_NET = 1 << 0 | 1 << 1  # bind and connect of TCP
_SCOPE = 1 << 0 | 1 << 1  # abstract Unix sockets, signals

_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_READ = _READ_FILE | _READ_DIR
# No links, devices, sockets or pipes: the host may look into a scratch directory
# afterwards. And nothing may be executed anywhere (loading a library needs no such right).
_SCRATCH = (
    _READ | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _REFER | _TRUNCATE
)

# Before ABI 3 (Linux 6.2) any file of the same user could be cut to nothing.
_COMPLETE_ABI = 3


class _RulesetAttr(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"  # what _pack_ implies; Python 3.14 wants it said
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def handled(abi: int) -> tuple[int, int, int]:
    """Return the rights on files, on TCP and the scopes that Landlock ABI `abi` knows."""
    files = (1 << 13) - 1  # ABI 1: everything from EXECUTE to MAKE_SYM
    files |= _REFER if abi >= 2 else 0
    files |= _TRUNCATE if abi >= 3 else 0
    files |= _IOCTL_DEV if abi >= 5 else 0
    return files, _NET if abi >= 4 else 0, _SCOPE if abi >= 6 else 0


def _create(files: int, net: int = 0, scoped: int = 0) -> int:
    # A kernel takes no more of the structure than it knows.
    size = 24 if scoped else 16 if net else 8
    return calls.syscall(_CREATE_RULESET, _RulesetAttr(files, net, scoped), size, 0)


def _allow(ruleset: int, descriptor: int, rights: int) -> None:
    if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
        rights &= _ON_FILES
    rule = _PathBeneath(rights, descriptor)
    calls.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0)


def _open(path: str) -> int:
    return os.open(path, os.O_PATH | os.O_CLOEXEC)


def coarse(path: str, scratch_parent: str) -> str | None:
    """Return the widest directory above `path` that leaves out `scratch_parent`."""
    shared = os.path.commonpath([path, scratch_parent])
    if shared == path:
        return None
    return str(Path(shared, Path(path).relative_to(shared).parts[0]))


@dataclass
class Landlock:
    """The shared ruleset and what a worker's own is made of; `why` is empty if it can be used."""

    abi: int = 0
    why: str = ""
    rules: int = 0
    ruleset: int = -1
    own_rules: dict[int, int] = field(default_factory=dict)  # open path to rights

    def close(self) -> None:
        """Close what `prepare` opened."""
        for descriptor in (self.ruleset, *self.own_rules):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self.ruleset, self.own_rules = -1, {}

    def apply(self, scratch: str) -> list[State]:
        """Restrict this thread for good; it needs no_new_privs, and to be the only one."""
        try:
            if not self.why:
                self._restrict(scratch)
        except OSError as error:
            self.why = f"refused: {error}"
        finally:
            self.close()
        if self.why:
            return [State(name, False, self.why) for name in (FILES, TCP, SIGNALS)]
        note = f"Landlock ABI {self.abi}"
        if self.abi < _COMPLETE_ABI:
            short = f"{note} cannot refuse to truncate a file, ABI {_COMPLETE_ABI} can"
            states = [State(FILES, False, f"all but one: {short}")]
        else:
            allowed = f"{self.rules} paths readable, its scratch directory writable"
            states = [State(FILES, True, f"{note}: {allowed}")]
        for name, first in ((TCP, 4), (SIGNALS, 6)):
            on = self.abi >= first
            states.append(State(name, on, note if on else f"{note}, {first} is needed"))
        return states

    def _restrict(self, scratch: str) -> None:
        files, _, _ = handled(self.abi)
        own = _create(files)
        try:
            for descriptor, rights in self.own_rules.items():
                _allow(own, descriptor, rights & files)
            place = _open(scratch)
            _allow(own, place, _SCRATCH & files)
            os.close(place)
            calls.syscall(_RESTRICT_SELF, self.ruleset, 0)
            calls.syscall(_RESTRICT_SELF, own, 0)
        finally:
            os.close(own)


def _absent(error: OSError) -> str:
    if error.errno == errno.ENOSYS:
        return "this kernel has no Landlock"
    if error.errno == errno.EOPNOTSUPP:
        return "Landlock is switched off in this kernel"
    return f"Landlock: {error.strerror or error}"


def prepare(allowed: AllowList, scratch_parent: str) -> Landlock:
    """Build the shared ruleset; every scratch lies beneath `scratch_parent`, a resolved path."""
    landlock = Landlock()
    wanted = dict.fromkeys(allowed.listed, _READ_DIR) | dict.fromkeys(allowed.readable, _READ)
    wanted["/dev/null"] = _READ_FILE | _WRITE_FILE
    try:
        landlock.abi = calls.syscall(_CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION)
        files, net, scoped = handled(landlock.abi)
        landlock.ruleset = _create(files, net, scoped)
        own: dict[str, int] = {}
        for path, rights in {**wanted, scratch_parent: _SCRATCH}.items():
            try:
                descriptor = _open(path)
            except FileNotFoundError:  # gone since, or no /dev in this container
                continue
            try:
                _allow(landlock.ruleset, descriptor, rights & files)
            finally:
                os.close(descriptor)
            landlock.rules += 1
            wide = coarse(path, scratch_parent)
            if wide is not None:
                own[wide] = own.get(wide, 0) | rights
        landlock.own_rules = {_open(path): rights for path, rights in own.items()}
    except OSError as error:
        landlock.why = _absent(error)
    return landlock
