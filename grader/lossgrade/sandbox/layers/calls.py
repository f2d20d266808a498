"""The system calls that Python has no function for, by way of the C library."""

from __future__ import annotations

import ctypes
import functools
import os
import sys


@functools.cache
def _libc() -> ctypes.CDLL:
    if sys.platform != "linux":
        raise OSError(f"this needs Linux, not {sys.platform}")
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> int:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def prctl(option: int, *arguments: int) -> int:
    """Call prctl(2); the kernel wants its unused arguments to be zero."""
    padded = (*arguments, 0, 0, 0, 0)[:4]
    return _checked(int(_libc().prctl(option, *map(ctypes.c_ulong, padded))))


def prctl_pointer(option: int, number: int, structure: ctypes.Structure) -> int:
    """Call prctl(2) with a structure as its third argument."""
    return _checked(int(_libc().prctl(option, ctypes.c_ulong(number), ctypes.byref(structure))))


def syscall(number: int, *arguments: int | ctypes.Structure | None) -> int:
    """Call syscall(2): structures go as pointers, None as NULL, and -1 becomes OSError."""
    passed = [
        ctypes.byref(argument)
        if isinstance(argument, ctypes.Structure)
        else ctypes.c_void_p(None)
        if argument is None
        else ctypes.c_long(argument)
        for argument in arguments
    ]
    return _checked(int(_libc().syscall(ctypes.c_long(number), *passed)))


def capabilities(
    function: str, header: ctypes.Structure, data: ctypes.Array[ctypes.c_uint32]
) -> None:
    """Call capget(2) or capset(2)."""
    _checked(int(_libc()[function](ctypes.byref(header), data)))


def madvise(start: int, length: int, advice: int) -> None:
    """Call madvise(2) for the memory from address `start` on."""
    _checked(int(_libc().madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), advice)))
