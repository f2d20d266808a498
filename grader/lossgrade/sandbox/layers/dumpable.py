"""Close a process's memory and environment to other processes of the same user.

For the trusted side, the zygote and every worker: a process that is not dumpable
cannot be traced, its /proc/PID/mem and /proc/PID/environ do not open, and it leaves
no core, not even where cores go to a program (RLIMIT_CORE 0 does not stop that).
A forked child inherits it; an exec'd one does not.
"""

from __future__ import annotations

from . import calls
from .state import NOT_DUMPABLE, State

_PR_GET_DUMPABLE = 3
_PR_SET_DUMPABLE = 4


def make_undumpable() -> State:
    """Make this process not dumpable."""
    try:
        calls.prctl(_PR_SET_DUMPABLE, 0)
        held = calls.prctl(_PR_GET_DUMPABLE) == 0
    except OSError as error:
        return State(NOT_DUMPABLE, False, str(error))
    if not held:
        return State(NOT_DUMPABLE, False, "the kernel did not take the setting")
    return State(NOT_DUMPABLE, True, "other processes of the same user cannot read its memory")
