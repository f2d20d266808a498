"""seccomp: which system calls a worker can make.

The filter allows by default and refuses what a numerical program never needs: network,
new processes, signals to others, changes of identity, metadata of files, and state that
would outlive the worker. Threads, memory, files and timers go on working.

Source: https://docs.kernel.org/userspace-api/seccomp_filter.html
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
import sys
from dataclasses import dataclass

from . import calls
from .numbers_of_calls import CONDITIONAL, LAST_KNOWN, REFUSED
from .state import SYSTEM_CALLS, State

_PR_SET_SECCOMP = 22
_MODE_FILTER = 2

# linux/audit.h: AUDIT_ARCH_X86_64 and AUDIT_ARCH_AARCH64, and the column of the numbers.
_ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}

# linux/seccomp.h
_ALLOW = 0x7FFF0000
_KILL_PROCESS = 0x80000000
_ERRNO = 0x00050000
_EPERM = _ERRNO | errno.EPERM
_ENOSYS = _ERRNO | errno.ENOSYS

# linux/bpf_common.h, the five instructions that are used
_LOAD = 0x20
_JUMP_EQUAL = 0x15
_JUMP_GREATER = 0x25
_JUMP_SET = 0x45
_RETURN = 0x06

_CLONE_THREAD = 0x10000

# Options of prctl: PR_SET_PDEATHSIG, or a worker could outlive its zygote; PR_SCHED_CORE.
_PRCTL = (1, 62)
# F_SETOWN, F_SETSIG, F_SETOWN_EX, F_SETLEASE, F_NOTIFY: signals by way of a descriptor
# reach any process of the same user.
_FCNTL = (8, 10, 15, 1024, 1026)
# The same by ioctl (FIOASYNC, FIOSETOWN, SIOCSPGRP), typing into a terminal (TIOCSTI,
# TIOCLINUX), and attributes of files that can only be read (FS_IOC_SETFLAGS, FSSETXATTR).
_IOCTL = (0x5452, 0x8901, 0x8902, 0x5412, 0x541C, 0x40086602, 0x401C5820)


@dataclass(frozen=True)
class _Instruction:
    code: int
    k: int = 0
    if_true: int = 0
    if_false: int = 0
    is_pid: bool = False


def _load_argument(index: int) -> _Instruction:
    # The low half: every argument looked at is an int, and the kernel drops the rest.
    # Both architectures are little-endian.
    return _Instruction(_LOAD, 16 + 8 * index)


def _return(action: int) -> _Instruction:
    return _Instruction(_RETURN, action)


def _only_self(*, zero: bool) -> list[_Instruction]:
    """Allow if the first argument is this process, or 0 where that means the caller."""
    accepted = [_Instruction(_JUMP_EQUAL, 0, 0, 1), _return(_ALLOW)] if zero else []
    own = [_Instruction(_JUMP_EQUAL, 0, 0, 1, is_pid=True), _return(_ALLOW)]
    return [_load_argument(0), *accepted, *own, _return(_EPERM)]


def _unless(index: int, values: tuple[int, ...]) -> list[_Instruction]:
    """Refuse if argument `index` is one of `values`."""
    block = [_load_argument(index)]
    for value in values:
        block += [_Instruction(_JUMP_EQUAL, value, 0, 1), _return(_EPERM)]
    return [*block, _return(_ALLOW)]


def _conditions() -> dict[str, list[_Instruction]]:
    # kill(0) and kill(-1) address groups, so 0 is refused there.
    signals = ("kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo")
    schedulers = ("sched_setaffinity", "sched_setscheduler", "sched_setparam", "sched_setattr")
    return {
        **{name: _only_self(zero=False) for name in signals},
        **{name: _only_self(zero=True) for name in (*schedulers, "prlimit64")},
        "clone": [
            _load_argument(0),
            _Instruction(_JUMP_SET, _CLONE_THREAD, 0, 1),
            _return(_ALLOW),
            _return(_EPERM),
        ],
        # Its flags lie in memory, where a filter cannot look. The C library then uses clone.
        "clone3": [_return(_ENOSYS)],
        "prctl": _unless(0, _PRCTL),
        "fcntl": _unless(1, _FCNTL),
        "ioctl": _unless(1, _IOCTL),
    }


def _assemble(architecture: int, column: int) -> list[_Instruction]:
    program = [
        _Instruction(_LOAD, 4),
        _Instruction(_JUMP_EQUAL, architecture, 1, 0),
        # A 32-bit call: its numbers mean other things, and no Python makes one.
        _return(_KILL_PROCESS),
        _Instruction(_LOAD, 0),
        # Also the x32 calls of x86_64, which have bit 30 set.
        _Instruction(_JUMP_GREATER, LAST_KNOWN, 0, 1),
        _return(_ENOSYS),
    ]
    conditions = _conditions()
    assert conditions.keys() == CONDITIONAL.keys()
    blocks = {name: (CONDITIONAL[name], block) for name, block in conditions.items()}
    blocks |= {name: (numbers, [_return(_EPERM)]) for name, numbers in REFUSED.items()}
    for numbers, block in blocks.values():
        number = numbers[column]
        if number is not None:
            program += [_Instruction(_JUMP_EQUAL, number, 0, len(block)), *block]
    return [*program, _return(_ALLOW)]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


@dataclass
class Filter:
    """The assembled filter, all but the worker's process id; `why` is empty if there is one."""

    why: str = ""
    code: bytes = b""
    pid_offsets: tuple[int, ...] = ()

    def apply(self, pid: int) -> State:
        """Load the filter for this thread, process `pid`; it needs no_new_privs."""
        if self.why:
            return State(SYSTEM_CALLS, False, self.why)
        code = ctypes.create_string_buffer(self.code, len(self.code))
        for offset in self.pid_offsets:
            struct.pack_into("=I", code, offset, pid)
        program = _Program(len(self.code) // 8, ctypes.addressof(code))
        try:
            calls.prctl_pointer(_PR_SET_SECCOMP, _MODE_FILTER, program)
        except OSError as error:
            return State(SYSTEM_CALLS, False, f"seccomp: {error}")
        return State(SYSTEM_CALLS, True, "seccomp: no network, no new processes, no signals")


def prepare() -> Filter:
    """Assemble the filter for this machine."""
    if sys.platform != "linux":
        return Filter(f"seccomp needs Linux, not {sys.platform}")
    known = _ARCHITECTURES.get(platform.machine())
    if known is None or struct.calcsize("P") != 8:
        return Filter(f"no filter is written for {platform.machine()}")
    program = _assemble(*known)
    code = b"".join(struct.pack("=HBBI", i.code, i.if_true, i.if_false, i.k) for i in program)
    offsets = tuple(8 * n + 4 for n, i in enumerate(program) if i.is_pid)
    return Filter("", code, offsets)
