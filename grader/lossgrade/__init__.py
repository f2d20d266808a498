"""The grader: runs a student's functions elsewhere, and compares what comes back.

`watch_losses` and what belongs to it load when they are first named: starting a worker, or the
command, runs this module.
"""

# As `typing` has it, whose import costs more than all of this.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from lossgrade.watch import LossMisuse, LossMisuseWarning, Watch, WatchReport, watch_losses

__all__ = ["LossMisuse", "LossMisuseWarning", "Watch", "WatchReport", "watch_losses"]


def __getattr__(name: str) -> object:
    if name in __all__:
        from lossgrade import watch

        return getattr(watch, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
