"""Make the pages of docs/misconceptions: one for each wrong idea, with the numbers going wrong.

Nothing on a page is typed: words come from the bank, programs from the bundled submissions, numbers
from the oracle, the bank's formulas and the bundled functions, which run as they are graded.
`docs/generate.py` writes the pages.
"""

from __future__ import annotations

import ast
import atexit
import functools
import inspect
import re
import symtable
import tempfile
import textwrap
import tomllib
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lossgrade import oracle
from lossgrade.assignment import load_assignment
from lossgrade.criterion import Failure
from lossgrade.diagnosis.bank import Misconception, bank
from lossgrade.diagnosis.behaviour import FLOATS, LABELS, SHAPE
from lossgrade.diagnosis.match import HARD_CODED, Guess, _first, diagnose
from lossgrade.diagnosis.samples import CASES, FAMILIES, Sample, extreme
from lossgrade.engine import Grading
from lossgrade.lectures import figures
from lossgrade.rubric import cross_entropy, one_hot
from lossgrade.sandbox.host import Zygote
from lossgrade.student import frameworks
from lossgrade.submission import Submission
from lossgrade_checks.rules import all_rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lossgrade.diagnosis.match import Match
    from lossgrade.student import Returned
    from lossgrade.trial import Trial

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "misconceptions"
SUBMISSIONS = ROOT / "fixtures" / "lossgrade_fixtures" / "submissions"
WIDTH = 100
SEED = "0"
NETWORK = "network"
ANY = "any function"
# In the order of the lecture, then what only networks have, then what befalls any function.
FUNCTIONS = [*FAMILIES, NETWORK, ANY]
ORDER = ("one_hot", "softmax", "log_softmax", "class_label", "cross_entropy", "nll_loss")
# Of which function a behaviour is, that could not be any other's.
OF_ONE = {FLOATS: "one_hot", LABELS: "class_label", SHAPE: "cross_entropy"}
# What the formulas' letters stand for, in each of the bank's modules.
MEANINGS = {
    "softmax": {"z": "net inputs"},
    "log_softmax": {"z": "net inputs"},
    "class_label": {"z": "net inputs"},
    "one_hot": {"y": "labels", "c": "number of classes"},
    "cross_entropy": {"p": "probabilities", "t": "targets"},
    "nll_loss": {"p": "probabilities", "t": "targets"},
    "entropy": {"p": "probabilities"},
    "kl_divergence": {"p": "targets", "q": "probabilities"},
    "binary_cross_entropy": {"p": "probabilities", "y": "targets"},
    "mean_squared_error": {"y": "targets", "predicted": "predictions"},
    "hinge_loss": {"y": "targets", "h": "net inputs"},
}
# What the lectures' figures call them.
INPUTS = {
    "log_softmax": ("logits",),
    "cross_entropy": ("probabilities", "targets"),
    "entropy": ("probabilities",),
    "kl_divergence": ("targets", "probabilities"),
    "mean_squared_error": ("targets", "probabilities"),
}
MADE = "Made by `docs/generate.py` from the misconception bank; do not edit."
SEEDED = """
import random, sys
random.seed(0)
if "numpy" in sys.modules:
    sys.modules["numpy"].random.seed(0)
if "torch" in sys.modules:
    sys.modules["torch"].manual_seed(0)
"""


@dataclass(frozen=True)
class Part:
    """What a page says of one graded function.

    Attributes:
        function: the rubric's name, or "network".
        misconception: None for what is known of networks alone.
        entries: of index.toml, the one that is shown first.
    """

    function: str
    misconception: Misconception | None
    entries: tuple[dict[str, Any], ...] = ()

    @property
    def functions(self) -> tuple[str, ...]:
        several = self.misconception.rubrics if self.misconception is not None else ()
        return several or (self.function,)

    @property
    def explanation(self) -> str:
        if self.misconception is not None:
            return self.misconception.explanation
        notes = dict.fromkeys(entry["note"] for entry in self.entries)
        return " ".join(map(_sentence, notes))


@dataclass
class Shown:
    """The numbers of one example: a sentence, columns of lines, and how it was recognised.

    Attributes:
        said: what the columns show.
        columns: their names and lines.
        evidence: what a student is told.
        sample: the input of the columns, where a formula made them.
        guess: the formula, with its constant.
        wrong: what the formula gives.
    """

    said: str
    columns: dict[str, list[str]] = field(default_factory=dict)
    evidence: str = ""
    sample: Sample | None = None
    guess: Guess | None = None
    wrong: Any = None


@functools.cache
def entries() -> tuple[dict[str, Any], ...]:
    """Return the wrong submissions of index.toml."""
    text = (SUBMISSIONS / "index.toml").read_text(encoding="utf-8")
    return tuple(e for e in tomllib.loads(text)["submission"] if e["verdict"] == "wrong")


@functools.cache
def pages() -> dict[Path, str]:
    """Return the slug of each page, by its path."""
    slugs = {each.slug for each in bank()} | {entry["misconception"] for entry in entries()}
    return {FOLDER / f"{slug}.md": slug for slug in sorted(slugs)}


@functools.cache
def parts(slug: str) -> tuple[Part, ...]:
    """Return the sections of a page."""
    left: dict[str, list[dict[str, Any]]] = {}
    for entry in entries():
        if entry["misconception"] == slug:
            left.setdefault(_rubric(entry), []).append(entry)
    found = []
    for each in sorted((m for m in bank() if m.slug == slug), key=lambda m: not m.rubrics):
        if each.rubrics:
            taken = [e for rubric in each.rubrics for e in left.pop(rubric, [])]
            found.append(Part(each.rubrics[0], each, _shortest_first(taken)))
            continue
        for function in [name for name in left if name != NETWORK] or [ANY]:
            found += [Part(function, each, _shortest_first(left.pop(function, [])))]
    # A formula of the slug for another function: its words hold for these too.
    found += [Part(function, None, tuple(taken)) for function, taken in left.items()]
    return tuple(sorted(found, key=lambda part: FUNCTIONS.index(part.function)))


def _rubric(entry: dict[str, Any]) -> str:
    if entry["assignment"].endswith("-net"):
        return NETWORK
    assignment, _ = load_assignment(entry["assignment"])
    return str(assignment.graded[entry["function"]].rubric)


def _shortest_first(taken: Iterable[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """The lecture is about torch; of its programs the shortest shows the mistake best."""
    return tuple(sorted(taken, key=lambda e: (e["library"] != "torch", len(program(e)))))


# --- programs ------------------------------------------------------------------------------------


def program(entry: dict[str, Any]) -> str:
    """Return the faulty function of a submission with what it uses, or a network's program."""
    path = SUBMISSIONS / entry["path"]
    text = (path if path.is_file() else path / entry["entry"]).read_text(encoding="utf-8-sig")
    tree = ast.parse(text)
    defined = {name for node in tree.body for name in _defined(node)}
    wanted = defined
    if _rubric(entry) != NETWORK:
        assignment, _ = load_assignment(entry["assignment"])
        wanted = defined & set(assignment.graded[entry["function"]].names)
        uses = {
            child.get_name(): _used(child)
            for child in symtable.symtable(text, path.name, "exec").get_children()
        }
        for node in tree.body:
            if isinstance(node, ast.Assign):
                names = {each.id for each in ast.walk(node.value) if isinstance(each, ast.Name)}
                uses |= dict.fromkeys(_defined(node), names)
        for _ in defined:
            wanted = wanted.union(*(uses.get(name, set()) & defined for name in wanted))
    nodes = [node for node in tree.body if wanted & _defined(node)]
    assert nodes, f"{entry['path']}: no such function"
    lines = text.splitlines()
    return "\n\n".join("\n".join(lines[_first_line(n) - 1 : n.end_lineno]) for n in nodes)


def _defined(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return {target.id for target in targets if isinstance(target, ast.Name)}
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    return set()


def _used(table: symtable.SymbolTable) -> set[str]:
    """Return the names of the module that a function, or a class, uses."""
    own = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global()}
    return own.union(*map(_used, table.get_children()))


def _first_line(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(each.lineno for each in decorators)])


# --- numbers -------------------------------------------------------------------------------------


@functools.cache
def _zygote(libraries: tuple[str, ...]) -> Zygote:
    """Return where functions run; one is enough for all pages."""
    made = Zygote(libraries)
    atexit.register(made.close)
    return made


@contextmanager
def _trial(entry: dict[str, Any], *, seeded: bool = False) -> Iterator[Trial]:
    """Try the faulty function of a submission, as grading does."""
    assignment, folder = load_assignment(entry["assignment"])
    with tempfile.TemporaryDirectory(prefix="lossgrade-docs-") as name:
        path = SUBMISSIONS / entry["path"]
        if seeded:
            text = path.read_text(encoding="utf-8")
            path = Path(name) / path.name
            path.write_text(text + SEEDED, encoding="utf-8")
        submission = Submission.at(path, entry.get("entry", ""))
        place = _zygote(tuple(frameworks(submission, assignment)))
        grading = Grading(submission, assignment, place, folder=folder, seed=SEED)
        try:
            with np.errstate(all="ignore"):
                yield grading.probe.trial(entry["function"], "page")
        finally:
            grading.close()


@functools.cache
def shown(slug: str, function: str) -> Shown | None:
    """Return the numbers of a misconception of one function; None where nothing computes any."""
    [part] = [part for part in parts(slug) if part.function == function]
    found = part.misconception
    if found is None or not part.entries:
        return None if found is None or found.formula is None else _without_example(part)
    entry = part.entries[0]
    with _trial(entry, seeded=slug == "random") as trial:
        match, samples = diagnose(trial)
        if match is None or match.misconception.slug != slug:
            raise RuntimeError(f"{entry['path']}: the diagnosis is {match}")
        made = _by_formula(trial, found, samples) if found.formula is not None else None
        if slug in ("state-between-calls", "random"):
            made = _twice(trial)
        elif made is None and all(sample.right(trial.tolerance) for sample in samples):
            made = _behaviour(trial, match)
        elif made is None:
            made = _wrong_somewhere(trial, samples)
        made.evidence = match.evidence
        return made


def _by_formula(trial: Trial, found: Misconception, samples: list[Sample]) -> Shown | None:
    if found.extreme:
        samples = extreme(trial)
    guess = _first(trial, found, samples)
    if guess is None:
        return None

    def tells(sample: Sample) -> tuple[bool, bool, bool, bool, int]:
        """The lecture's input, else the smallest on which numbers differ."""
        result = guess.result(trial, sample.given)
        if result is None:
            return False, True, False, False, sample.expected.size
        finite = found.extreme or bool(np.isfinite(result.astype(float)).all())
        alike = lines(result) == lines(sample.expected)
        return alike, False, not sample.lecture, not finite, sample.expected.size

    sample = min([*_figures(trial), *samples], key=tells)
    result = guess.result(trial, sample.given)
    assert result is not None
    columns = _input_columns(found, sample.given) | _compared(sample.expected, result)
    return Shown(_on(trial.spec.rubric, sample), columns, "", sample, guess, result)


def _figures(trial: Trial) -> list[Sample]:
    """Return the lecture's own inputs where the bank has no use for them."""
    rubric = trial.spec.rubric
    if FAMILIES[rubric] is not CASES or rubric not in INPUTS:
        return []
    drawn = []
    for figure in trial.figures():
        given = tuple(np.asarray(figure.inputs[name]) for name in INPUTS[rubric])
        expected = np.asarray(figure.expected)
        drawn.append(Sample(given, (1, given[0].shape[-1]), expected, None, lecture=True))
    return drawn


def _compared(right: Any, wrong: Any) -> dict[str, list[str]]:
    """Return both as columns, their shapes too where these differ."""
    shapes = ["", ""]
    if np.shape(right) != np.shape(wrong):
        shapes = [f", shape {np.shape(each)}" for each in (right, wrong)]
    return {f"right{shapes[0]}": lines(right), f"with the mistake{shapes[1]}": lines(wrong)}


def _on(rubric: str, sample: Sample) -> str:
    n, c = sample.shape
    legend = ", ".join(f"{letter}: {what}" for letter, what in MEANINGS[rubric].items())
    if sample.lecture:
        return f"On the lecture's own input ({legend}):"
    if FAMILIES[rubric] is CASES:
        return f"On an input that was drawn ({legend}):"
    return f"On {n} example{'s' * (n != 1)} of {c} classes ({legend}):"


def _without_example(part: Part) -> Shown:
    """Show a formula on the lecture's input where no submission is bundled."""
    found, function = part.misconception, part.function
    assert found is not None
    source = figures("stat453", {"log_softmax": "softmax"}.get(function, function))[0]
    given = [np.atleast_2d(source.inputs[name]) for name in INPUTS[function]]
    first, last = given[0], given[-1]
    if function == "log_softmax":
        rights = [oracle.log_softmax(first)]
    elif function == "entropy":
        rights = [oracle.entropy(first, base) for base in (2, np.e)]
    else:
        rights = [oracle.cross_entropy(first, last) / base for base in (1, np.log(2))]
    wrong = found.results(given)[0]
    # Where the base is the mistake another is asked for.
    right = next(each for each in rights if lines(each) != lines(wrong))
    sample = Sample(tuple(given), given[0].shape, right, None, lecture=True)
    columns = _input_columns(found, given) | _compared(right, wrong)
    return Shown(_on(function, sample), columns, "", sample, None, wrong)


def _wrong_somewhere(trial: Trial, samples: list[Sample]) -> Shown:
    """Show the smallest input, beside the lecture's, on which the function is wrong."""
    wrong = [s for s in samples if not s.right(trial.tolerance)]
    sample = min(wrong, key=lambda s: (s.found is None, s.expected.size))
    if sample.found is not None:
        compared = _compared(sample.expected, sample.found.values)
    else:
        problem = textwrap.wrap(sample.problem, 40)
        compared = {"right": lines(sample.expected), "with the mistake": problem}
    lecture = "It is right on the lecture's own input. " if samples[0].lecture else ""
    columns = _input_columns(trial, sample.given) | compared
    return Shown(lecture + _on(trial.spec.rubric, sample), columns)


def _twice(trial: Trial) -> Shown:
    """Show two calls with the same input, the first of them with a fresh process."""
    arguments, columns = _lecture(trial)
    trial.student.close()
    for name in ("first call", "second call"):
        try:
            columns[name] = lines(trial.call(*arguments).values)
        except Failure as failure:
            columns[name] = textwrap.wrap(failure.message, 40)
    return Shown("On the lecture's own input, passed twice:", columns)


def _behaviour(trial: Trial, match: Match) -> Shown:
    """Show what is wrong with right values: the input that changed, the gradient, or the type."""
    arguments, _ = _lecture(trial)
    value, after = trial.call_and_see_inputs(*arguments)
    letters = MEANINGS[trial.spec.rubric]
    for letter, before, left in zip(letters, arguments, after, strict=False):
        if isinstance(before, np.ndarray) and not np.array_equal(before, left.values):
            columns = {
                f"{letter} before the call": lines(before),
                f"{letter} after it": lines(left.values),
            }
            return Shown(f"On the lecture's own input ({letter}: {letters[letter]}):", columns)
    if match.misconception.slug == "breaks-autograd":
        floats = [i for i, a in enumerate(arguments) if getattr(a, "dtype", np.int64) == "float32"]
        problem = trial.answer(arguments, wrt=floats[:1]).gradient_problem
        columns = {"result": lines(value.values), "its gradient": textwrap.wrap(problem, 40)}
        return Shown(
            "On the lecture's own input the values are right, and no gradient is there:", columns
        )
    library = {"torch": "torch.Tensor", "numpy": "numpy.ndarray"}[trial.library]
    expected = _reference(trial)
    dtypes = {"i": "int64", "f": trial.dtype}
    columns = {
        "": ["type", "dtype", "shape"],
        "right": [library, dtypes[expected.dtype.kind], str(tuple(expected.shape))],
        "with the mistake": [_type(value), value.dtype, str(value.shape)],
    }
    if value.library == "python":
        columns = {name: [column[0], column[2]] for name, column in columns.items()}
    said = "On the lecture's own input the values are right. What comes back:"
    return Shown(said, columns)


def _type(value: Returned) -> str:
    library = {"torch": "torch.", "numpy": "numpy."}.get(value.library, "")
    return f"{library}{value.container}"


def _canonical(trial: Trial) -> tuple[Any, ...]:
    given = FAMILIES[trial.spec.rubric].lecture(trial)
    assert given is not None
    return given


def _reference(trial: Trial) -> Any:
    family = FAMILIES[trial.spec.rubric]
    return np.asarray(family.ask(trial, _canonical(trial)).expected)


def _lecture(trial: Trial) -> tuple[tuple[Any, ...], dict[str, list[str]]]:
    """Return the lecture's arguments as the function takes them, and how they are shown."""
    given = _canonical(trial)
    columns = _input_columns(trial, given)
    if trial.spec.rubric == "one_hot":
        return one_hot.arguments(trial, *given), columns
    if trial.spec.rubric == "cross_entropy":
        predicted = cross_entropy.prediction(trial, np.log(given[0]))
        targets = cross_entropy.encoded(trial, given[1])
        return cross_entropy.arguments(trial, predicted, targets), columns
    return tuple(trial.array(each) for each in given), columns


def _input_columns(source: Misconception | Trial, given: Sequence[Any]) -> dict[str, list[str]]:
    """Return the arguments as columns, called as in the formula, or as formulas call them."""
    if isinstance(source, Misconception):
        assert source.formula is not None
        names = list(inspect.signature(source.formula).parameters)
    else:
        names = list(MEANINGS[source.spec.rubric])
    return {name: lines(each) for name, each in zip(names, given, strict=False)}


def lines(values: Any) -> list[str]:
    """Return an array as lines: a row each of a matrix, an entry each of a vector."""
    array = np.asarray(values)
    whole = array.dtype.kind in "biu" or bool((array == np.round(array)).all())
    cells = [[_number(each, whole) for each in row] for row in np.atleast_2d(array)]
    if array.ndim < 2:
        cells = [[each] for each in cells[0]]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in cells
    ]


def _number(value: Any, whole: bool) -> str:
    # Without the sign of a zero.
    number = float(value) + 0.0
    if isinstance(value, np.bool_):
        return str(bool(value))
    if whole and abs(number) < 1e6:
        return f"{number:.0f}"
    if number and np.isfinite(number) and not 5e-5 <= abs(number) < 1e6:
        return f"{number:.1e}"
    return f"{number:.4f}"


def block(columns: dict[str, list[str]]) -> list[str]:
    """Return columns side by side as a fenced block."""
    widths = [max(map(len, [name, *column])) for name, column in columns.items()]
    rows = [list(columns), *zip_longest(*columns.values(), fillvalue="")]
    text = [
        "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return ["```text", *text, "```"]


# --- pages ---------------------------------------------------------------------------------------


def page(slug: str) -> str:
    """Return docs/misconceptions/SLUG.md."""
    sections = parts(slug)
    named = [name for part in sections for name in part.functions]
    out = [f"# {slug}", "", f"*{_listed(dict.fromkeys(named))}*", ""]
    for part in sections:
        if len(sections) > 1:
            out += [f"## {part.function}", ""]
        out += _section(slug, part)
    out += _paragraph(f"{MADE} [All misconceptions](../misconceptions.md)")
    return "\n".join(out)


def _section(slug: str, part: Part) -> list[str]:
    found = part.misconception
    out = []
    if found is not None:
        out += _paragraph(found.explanation)
    for entry in part.entries[: 1 if found is not None else None]:
        if found is None:
            out += _paragraph(_sentence(entry["note"]))
        out += ["An example:", "", "```python", program(entry), "```", ""]
    told = shown(slug, part.function)
    if told is not None:
        out += [*_paragraph(told.said), *block(told.columns), ""]
    if found is not None:
        out += _paragraph(f"**To mend it:** {found.fix}")
        if found.source:
            out += _paragraph(f"**Read again:** {found.source}.")
    if code := rule(slug, part):
        link = f"[{code}](../rules/{code}.md)"
        out += _paragraph(f"**The linter** finds it in the program, before it runs: {link}.")
    for name in dict.fromkeys(e["assignment"] for e in part.entries):
        out += _paragraph(_fails(name, [e for e in part.entries if e["assignment"] == name]))
        if found is not None:
            break
    if told is not None and told.evidence:
        out += _paragraph(f"**What shows it:** {told.evidence}")
    elif found is not None and found.shown:
        shows = f"On all inputs that are tried the result equals {found.shown}."
        out += _paragraph(f"**What shows it:** {shows}")
    return out


def _fails(assignment: str, taken: list[dict[str, Any]]) -> str:
    """Say which criteria fail for all examples of one assignment."""
    caught = [
        criterion
        for criterion in taken[0]["caught_by"]
        if all(criterion in entry["caught_by"] for entry in taken)
    ]
    ids = ", ".join(f"`{criterion}`" for criterion in caught)
    link = f"[{assignment}](../rubric.md#{assignment})"
    return f"**What fails** of {link}, at the least: {ids or 'one criterion or another'}."


def _sentence(note: str) -> str:
    first = note.partition(" ")[0]
    return f"{note[:1].upper() if first.isalpha() else note[:1]}{note[1:]}."


def _paragraph(text: str) -> list[str]:
    return [*_wrapped(text), ""]


def rule(slug: str, part: Part) -> str:
    """Return the code of the linter's rule for the same mistake, or nothing."""
    if part.misconception is not None and part.misconception.rule:
        return part.misconception.rule
    return next((each.code for each in all_rules() if each.name == slug), "")


def _wrapped(text: str) -> list[str]:
    """Wrap at 100 columns; what stands in backquotes, or is a link, stays in one line."""
    kept = re.sub(r"`[^`\n]*`", lambda found: found[0].replace(" ", "\0"), text)
    wrapped = textwrap.wrap(kept, WIDTH, break_long_words=False, break_on_hyphens=False)
    return [line.replace("\0", " ") for line in wrapped]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(name if name in (NETWORK, ANY) else f"`{name}`" for name in names)


# --- the index -----------------------------------------------------------------------------------


def index() -> str:
    """Return the tables of docs/misconceptions.md, one for each graded function."""
    rows: dict[str, list[str]] = {}
    for slug in pages().values():
        for part in parts(slug):
            code = rule(slug, part)
            link = f"[{code}](rules/{code}.md)" if code else "-"
            first = re.split(r"(?<=\.) (?=[A-Z`])", part.explanation)[0].replace("|", "\\|")
            for function in _homes(part):
                row = f"| [{slug}](misconceptions/{slug}.md) | {first} | {link} |"
                rows.setdefault(function, [])
                if row not in rows[function]:
                    rows[function].append(row)
    titles = {NETWORK: "Networks", ANY: "Any function"}
    out = []
    for function in sorted(rows, key=_place):
        out += ["", f"## {titles.get(function, function)}", ""]
        out += ["| misconception | in short | linter |", "|---|---|---|", *rows[function]]
    return "\n".join([*out, "", ""])


def _homes(part: Part) -> tuple[str, ...]:
    """Return the tables in which a section stands."""
    found = part.misconception
    if found is None or found.rubrics:
        return part.functions
    hard_coded = {slug: function for function, slug in HARD_CODED.items()}
    return (hard_coded.get(found.slug) or OF_ONE.get(found.source, ANY),)


def _place(function: str) -> int:
    order = [*ORDER, *(each for each in FUNCTIONS if each not in ORDER)]
    return order.index(function)
