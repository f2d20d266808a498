"""What the linter finds in a submission, and how a student is told of it.

The linter reads the code and never runs it. It is imported only where points were lost, or where
the assignment takes points off for findings: its first file costs 0.1 s, most of it the import of
LibCST, and who has full marks is not kept waiting for advice.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lossgrade.language import later, say
from lossgrade.submission import SOURCE_CAP, SUFFIXES, Unloadable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lossgrade.assignment import Assignment, LintSettings
    from lossgrade.result import CriterionRecord
    from lossgrade.submission import Submission

# In characters of code, of all files together: what somebody wrote by hand is far smaller, and the
# worst of that length keeps the linter for 10 s.
CODE_CAP = 64 << 10
FINDINGS_CAP = 100

# One sentence a rule, after "line 12: ": why the results are as they are, and what to do.
SENTENCES = {
    "LG000": later("this cannot be read as Python, so nothing else was looked for in it"),
    "LG101": later("`cross_entropy` applies softmax itself: give it the logits, not probabilities"),
    "LG102": later(
        "`cross_entropy` takes the log-softmax itself: give it the logits, or use `nll_loss`"
    ),
    "LG103": later("`cross_entropy` applies softmax itself: give it the logits, without a sigmoid"),
    "LG104": later("`nll_loss` takes no logarithm: give it log-probabilities, not probabilities"),
    "LG105": later("`nll_loss` expects log-probabilities: give these logits to `cross_entropy`"),
    "LG106": later("this loss applies the sigmoid itself: give it the logits"),
    "LG107": later("this loss expects probabilities: use the loss with logits, or a sigmoid first"),
    "LG108": later("`kl_div` expects log-probabilities first, and probabilities second"),
    "LG109": later("no gradient flows through an argmax: give the loss the outputs themselves"),
    "LG110": later("the arguments are swapped: the prediction comes first, the target second"),
    "LG111": later("squared errors of probabilities hardly learn: use cross entropy of the logits"),
    "LG112": later("softmax or a sigmoid is applied twice here: apply it once"),
    "LG201": later("this loss expects class indices as targets, not one-hot vectors"),
    "LG202": later("this loss expects targets of another type: integers for class indices"),
    "LG301": later("this softmax does not say over which axis it runs: write `dim=1`"),
    "LG302": later("this softmax runs over the batch: run it over the classes, `dim=1`"),
    "LG303": later("this sum loses its axis, so rows are divided by the sums of other rows"),
    "LG304": later("the softmax of a single output is always 1: use a sigmoid"),
    "LG401": later("the logarithm of a softmax becomes -inf: use `log_softmax` of the logits"),
    "LG402": later("the logarithm of a sigmoid becomes -inf: use `logsigmoid` of the logits"),
    "LG403": later("exp overflows for large logits: subtract the largest of each row first"),
    "LG404": later("the logarithm of a probability of 0 is -inf: keep it away from 0"),
    "LG405": later("the logarithm of a sum of exponentials overflows: use `torch.logsumexp`"),
    "LG501": later('this mean divides by the number of classes too: use `reduction="batchmean"`'),
    "LG502": later("`size_average` and `reduce` are outdated: say `reduction=` instead"),
    "LG503": later("this is no longer part of the graph: call `backward` on the loss itself"),
    "LG601": later("this makes a loss and computes nothing: make it first, then call it"),
    "LG602": later("this makes a layer and computes nothing: make it first, then call it"),
}
_FLOOR = re.compile(r"its loss cannot fall below ([\d.]+)")

# The functions in whose results a rule's mistake shows, by the start of its code.
SHOWS_IN = {
    "LG10": ("softmax", "cross_entropy"),
    "LG11": ("softmax", "cross_entropy"),
    "LG20": ("one_hot", "cross_entropy"),
    "LG30": ("softmax", "log_softmax"),
    "LG401": ("cross_entropy", "nll_loss"),
    "LG402": ("sigmoid", "binary_cross_entropy"),
    "LG403": ("softmax", "log_softmax"),
    "LG404": ("cross_entropy", "entropy", "kl_divergence", "binary_cross_entropy"),
    "LG405": ("log_softmax", "cross_entropy"),
    "LG106": ("sigmoid", "binary_cross_entropy"),
    "LG107": ("sigmoid", "binary_cross_entropy"),
    "LG108": ("kl_divergence",),
    "LG501": ("kl_divergence",),
}


class Linted(NamedTuple):
    """What was found, each item as `lossgrade check --output-format json` prints it, and notes."""

    findings: list[dict[str, Any]]
    notes: list[str]


def lint(submission: Submission) -> Linted:
    """Return what the linter finds in the submission's source files; never raises.

    Comments such as `# noqa` silence nothing here: what the code does, it does. Files of others
    beside the submission are not read.
    """
    try:
        return _lint(submission)
    except Exception as error:  # ours; the grade does not depend on it
        return Linted([], [say("the linter failed: {error}", error=type(error).__name__)])


def _lint(submission: Submission) -> Linted:
    from lossgrade_checks.files import Task, run_content
    from lossgrade_checks.output.json import item
    from lossgrade_checks.project import Project
    from lossgrade_checks.rules import all_rules

    root = submission.path if submission.is_folder else submission.path.parent
    sources, left_out = _sources(submission)

    class Own(Project):
        """The submission's files, and no other: its neighbours may be of other students."""

        def _listing(self, folder: Path) -> frozenset[str]:
            inside = [f.relative_to(folder).parts[0] for f in sources if folder in f.parents]
            return frozenset(inside)

    found: list[dict[str, Any]] = []
    notes = [say("the linter left out {count} of the files", count=left_out)] if left_out else []
    project = Own()
    for file, data in sources.items():
        outcome = run_content(Task(file, ()), data, all_rules(), project)
        if outcome.error:
            notes.append(say("the linter failed in {file}", file=_shown(file, root)))
        found += [item(report) for report in outcome.reports]
    for each in found:
        for stretch in (each, *each["related"]):
            stretch["filename"] = _shown(Path(stretch["filename"]), root)
    return Linted(found[:FINDINGS_CAP], notes)


def _sources(submission: Submission) -> tuple[dict[Path, bytes], int]:
    """Return the source files, the smallest first, and how many are left out beyond the cap."""
    from lossgrade_checks.source import Unreadable, read_source

    try:
        files = [file for file in submission.files() if file.suffix.lower() in SUFFIXES]
    except Unloadable:
        return {}, 0
    left, left_out = CODE_CAP, 0
    sources = {}
    for file in sorted(files, key=lambda file: (file.stat().st_size, file)):
        data = b"" if file.stat().st_size > SOURCE_CAP else _unsilenced(file.read_bytes())
        try:
            length = len(read_source(file, data).text) if data else CODE_CAP + 1
        except Unreadable:
            length = 0
        if length <= left:
            left -= length
            sources[file] = data
        else:
            left_out += 1
    return dict(sorted(sources.items())), left_out


def _unsilenced(data: bytes) -> bytes:
    """Return a program whose comments silence no finding, every other character in its place."""
    return re.sub(rb"noqa", b"n0qa", data, flags=re.IGNORECASE)


def _shown(file: Path, root: Path) -> str:
    name = (file.relative_to(root) if root in file.parents else Path(file.name)).as_posix()
    return "".join(c if c.isprintable() else "?" for c in name)


def take_off(
    findings: Iterable[dict[str, Any]], settings: LintSettings, score: float
) -> tuple[list[dict[str, Any]], float]:
    """Return findings with what each costs as `penalty`, and the sum: never more than `score`."""
    left = cents = round(score * 100)
    priced = []
    for finding in findings:
        off = min(round(settings.of(finding["code"]) * 100), left)
        left -= off
        priced.append({**finding, "penalty": off / 100} if off else finding)
    return priced, (cents - left) / 100


def look_over(
    submission: Submission, assignment: Assignment, records: Iterable[CriterionRecord]
) -> Linted:
    """Lint the submission if points were lost, or may be lost for what the linter finds."""
    lost = any(c.outcome == "failed" and not c.advice for c in records)
    if not lost and not assignment.lint.penalties:
        return Linted([], [])
    linted = lint(submission)
    kept = [each for each in linted.findings if not _asked_for(each["code"], assignment)]
    return Linted(kept, linted.notes)


def _asked_for(code: str, assignment: Assignment) -> bool:
    """Whether an assignment asks for what a rule warns of, and takes no points off for it.

    Who is to write a cross entropy of probabilities cannot but take their logarithm.
    """
    if not code.startswith(LOGARITHMS) or any(map(code.startswith, assignment.lint.penalties)):
        return False
    kinds = [getattr(spec, "prediction", "") for spec in assignment.graded.values()]
    return "probabilities" in kinds


LOGARITHMS = ("LG401", "LG404")


# --- what students read ---------------------------------------------------------------------------


def told(finding: dict[str, Any], *, named: bool = False) -> str:
    """Return a finding as one line: `line 12: ...`, with its file's name if that is wanted."""
    return f"{place(finding, named=named)}: {sentence(finding)}"


def sentence(finding: dict[str, Any]) -> str:
    """Return what a finding says to a student."""
    floor = _FLOOR.search(str(finding.get("message", "")))
    if finding["code"] == "LG101" and floor:
        return say(
            "softmax before `cross_entropy` is why your loss never falls below {floor}: give it "
            "the logits",
            floor=floor[1],
        )
    known = SENTENCES.get(finding["code"])
    return say(known) if known else str(finding.get("message", ""))


def place(finding: dict[str, Any], *, named: bool = False) -> str:
    """Return where a finding stands."""
    row, cell = finding["location"]["row"], finding.get("cell")
    at = say("cell {cell}, line {row}", cell=cell, row=row) if cell else say("line {row}", row=row)
    return f"{finding['filename']}, {at}" if named else at


def shows_in(code: str) -> Sequence[str]:
    """Return the functions in whose results the mistake of the rule `code` shows."""
    prefixes = [prefix for prefix in SHOWS_IN if code.startswith(prefix)]
    return SHOWS_IN[max(prefixes, key=len)] if prefixes else ()
