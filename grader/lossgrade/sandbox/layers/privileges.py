"""Give up what root and its capabilities allow, for good.

A worker that root starts gets a user id of its own, where that user can read the
interpreter. Where it cannot (a Python in root's home), the worker keeps root's
effective id, which then only owns files, and loses every capability.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import calls
from .state import DIES_WITH_PARENT, NO_CAPABILITIES, NO_NEW_PRIVILEGES, UID_DROP, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# systemd (UIDS-GIDS) and Debian leave 60578-61183 to nobody; below 65536, so that a
# container with the usual 65536 mapped ids has them too.
FIRST_UID = 60578
UIDS = 600

_FINE = "readable"
_NO_OTHER_USER = "this root may not change its user id"

# linux/prctl.h
_PR_SET_PDEATHSIG = 1
_PR_CAPBSET_READ = 23
_PR_CAPBSET_DROP = 24
_PR_SET_SECUREBITS = 28
_PR_SET_NO_NEW_PRIVS = 38
_PR_GET_NO_NEW_PRIVS = 39
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
# linux/securebits.h: NOROOT, KEEP_CAPS off, NO_CAP_AMBIENT_RAISE, each locked.
_SECUREBITS = 1 << 0 | 1 << 1 | 1 << 5 | 1 << 6 | 1 << 7
_CAPABILITY_VERSION_3 = 0x20080522
_HIGHEST_CAPABILITY = 63


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


@dataclass(frozen=True)
class Plan:
    """What the probe found out about users; `why` says why a worker keeps its user id."""

    drops_uid: bool = False
    why: str = ""
    # Whether at least the real user id, by which threads are counted, can be its own.
    own_uid: bool = False


def probe(paths: Iterable[str], scratch_parent: str) -> Plan:
    """Find out in a forked child whether another user can read `paths` and go to its scratch.

    It forks, so this process must have one thread only.
    """
    if sys.platform != "linux":
        return Plan(why=f"this needs Linux, not {sys.platform}")
    if os.geteuid() != 0:
        return Plan(why="not started by root, so there is no other user to become")
    answer, answer_in = os.pipe()
    hold, hold_in = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(hold_in)
            os.write(answer_in, _as_another(list(paths), scratch_parent).encode())
            os.close(answer_in)
            os.read(hold, 1)
        finally:
            os._exit(0)
    os.close(answer_in)
    os.close(hold)
    with os.fdopen(answer, "rb") as reader:
        said = reader.read().decode() or _NO_OTHER_USER
    own_uid = said != _NO_OTHER_USER
    try:
        os.kill(child, 0)
    except PermissionError:
        said = "this root may not signal other users, so it could not stop the worker"
    os.close(hold_in)
    os.waitpid(child, 0)
    return Plan(said == _FINE, said, own_uid)


def _as_another(paths: list[str], scratch_parent: str) -> str:
    try:
        _become(FIRST_UID)
    except OSError:
        return _NO_OTHER_USER
    if not os.access(scratch_parent, os.X_OK):
        return f"other users cannot enter {scratch_parent}"
    for path in map(Path, paths):
        try:
            # One file stands for its directory.
            files = [path] if path.is_file() else [p for p in path.iterdir() if p.is_file()][:1]
            for file in files:
                file.open("rb").close()
        except PermissionError:
            return "the interpreter lives where other users cannot read"
        except OSError:
            continue
    return _FINE


def _become(uid: int) -> None:
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def _lock_capabilities() -> None:
    """Empty the bounding set and fix that user id 0 means nothing; needs CAP_SETPCAP."""
    for capability in range(_HIGHEST_CAPABILITY + 1):
        try:
            held = calls.prctl(_PR_CAPBSET_READ, capability)
        except OSError:  # past the last one that this kernel knows
            break
        if held:
            calls.prctl(_PR_CAPBSET_DROP, capability)
    calls.prctl(_PR_SET_SECUREBITS, _SECUREBITS)


def _drop_capabilities() -> None:
    header = _Header(_CAPABILITY_VERSION_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    calls.capabilities("capset", header, nothing)
    with contextlib.suppress(OSError):  # before Linux 4.3 there are no ambient ones
        calls.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    held = (ctypes.c_uint32 * 6)()
    calls.capabilities("capget", header, held)
    if any(held):
        raise OSError("some capabilities stayed")


def _attempt(name: str, note: str, action: Callable[[], object]) -> State:
    try:
        action()
    except (OSError, AttributeError) as error:  # AttributeError: os.setresuid on macOS
        return State(name, False, str(error))
    return State(name, True, note)


def apply(plan: Plan, *, scratch: str, parent: int) -> list[State]:
    """Drop what `plan` allows; kill this process if `parent` is no longer its parent."""
    # Those alive at the same time differ, unless hundreds of processes came between.
    uid = FIRST_UID + os.getpid() % UIDS
    if sys.platform == "linux" and os.geteuid() == 0:
        # Without CAP_SETPCAP (a bare container) the set below cannot be emptied, and need
        # not be: no_new_privs keeps a file from granting any of it.
        with contextlib.suppress(OSError):
            _lock_capabilities()
    if plan.drops_uid:
        states = [_attempt(UID_DROP, f"user id {uid}", lambda: _hand_over(scratch, uid))]
    else:
        states = [State(UID_DROP, False, plan.why)]
        if plan.own_uid:
            # RLIMIT_NPROC counts by real user id and never limits real user 0, so that a
            # worker could start threads until the machine has no process ids left. Files
            # go by the effective id, which stays; seccomp refuses the way back.
            with contextlib.suppress(OSError, AttributeError):
                os.setresuid(uid, -1, -1)
    states.append(_attempt(NO_CAPABILITIES, "none held, none to regain", _drop_capabilities))
    states.append(_attempt(NO_NEW_PRIVILEGES, "set", _no_new_privileges))
    # After the change of user, which clears it.
    states.append(_attempt(DIES_WITH_PARENT, "SIGKILL", _die_with_parent))
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)
    return states


def _hand_over(scratch: str, uid: int) -> None:
    # The directory alone: what lies in it may be a link that an earlier worker left.
    descriptor = os.open(scratch, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchown(descriptor, uid, uid)
    finally:
        os.close(descriptor)
    _become(uid)


def _no_new_privileges() -> None:
    calls.prctl(_PR_SET_NO_NEW_PRIVS, 1)
    if calls.prctl(_PR_GET_NO_NEW_PRIVS) != 1:
        raise OSError("the kernel did not take the setting")


def _die_with_parent() -> None:
    calls.prctl(_PR_SET_PDEATHSIG, 9)
