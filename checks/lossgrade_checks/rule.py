"""What a rule is: a mistake with a code and a name, its examples, and what it looks at."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lossgrade_checks.finding import Fix, Severity
    from lossgrade_checks.fixes import Patch
    from lossgrade_checks.meaning import events
    from lossgrade_checks.meaning.values import Site

FixKind = Literal["safe", "unsafe", "safe or unsafe", "none"]


class Example(NamedTuple):
    """A mistake, and the program after its fix; `good` is None where no fix is right for all.

    `files` are other files of the same project, by name.
    """

    bad: str
    good: str | None = None
    files: tuple[tuple[str, str], ...] = ()


class Report(NamedTuple):
    """What a rule says of an event; the engine turns it into a finding.

    `related` are further places with what to say of them. `fix` is called only when the finding
    is shown, with a `Patch` of the file; it returns None where the text allows no fix.
    """

    event: events.Event
    message: str
    related: tuple[tuple[str, Site], ...] = ()
    fix: Callable[[Patch], Fix | None] | None = None
    severity: Severity | None = None
    likely: bool = False
    # The mistake lies in its own file alone: whoever calls it does nothing wrong.
    local: bool = False


class Rule:
    """One mistake. The docstring is its page; the examples are its page and its tests.

    `bad` is reported once, its fix equals `good`, and `good` and the near misses are quiet.
    A rule defines the methods below for the events that it looks at.
    """

    code: ClassVar[str]
    name: ClassVar[str]
    severity: ClassVar[Severity] = "error"
    # What the rule's fix is, for its page.
    fix: ClassVar[FixKind] = "none"
    examples: ClassVar[tuple[Example, ...]]
    near_misses: ClassVar[tuple[str, ...]] = ()
    # Words of which a program must hold at least one of each set, itself or in a file that it
    # imports, for the rule to have anything to report. Case matters.
    needs: ClassVar[tuple[frozenset[str], ...]] = ()

    def loss(self, call: events.LossCall) -> Iterable[Report]:
        """A loss is computed."""
        return ()

    def activation(self, call: events.Activation) -> Iterable[Report]:
        """A softmax, sigmoid or one of their logarithms is applied."""
        return ()

    def construction(self, made: events.Construction) -> Iterable[Report]:
        """An object of a library's class is made."""
        return ()

    def logarithm(self, call: events.Logarithm) -> Iterable[Report]:
        """A logarithm is taken."""
        return ()

    def negative_log(self, made: events.NegativeLog) -> Iterable[Report]:
        """A logarithm is negated."""
        return ()

    def quotient(self, made: events.Quotient) -> Iterable[Report]:
        """Exponentials are divided by their sum."""
        return ()

    def difference(self, made: events.Difference) -> Iterable[Report]:
        """A maximum is subtracted from what it is the maximum of."""
        return ()

    def pick(self, made: events.Pick) -> Iterable[Report]:
        """A class is chosen in each row of a tensor."""
        return ()

    def backward(self, call: events.Backward) -> Iterable[Report]:
        """`backward` is called."""
        return ()

    def finish(self) -> Iterable[Report]:
        """All events of the file have been seen."""
        return ()
