"""Write what the documentation takes from the code: tables, schemas, and the output of commands.

    python docs/generate.py            rewrite what is stale
    python docs/generate.py --check    name what is stale, and exit 1 if anything is

In README.md and docs/*.md

- the text between `<!-- generated: NAME -->` and `<!-- end -->` is made here;
- a fenced block under `<!-- file: NAME -->` is a file that the page's commands find;
- a `console` block holds commands (`$ ...`) and their output. They run in one folder a page, in
  their order. Output is written here too, but for times and the machine's isolation; a line
  `...` in it stands for any lines, and a command shown without output has only to run.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lossgrade import assignment as assignments
from lossgrade.manifest import manifest
from lossgrade.reports.summary import points
from lossgrade.schemas import schema
from lossgrade_checks import rule_page
from lossgrade_checks.rules import all_rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lossgrade.result import Result
    from lossgrade_checks.rule import Rule

ROOT = Path(__file__).resolve().parent.parent
RUBRIC = ROOT / "docs" / "rubric.md"


def _beside(name: str) -> Any:
    """Load a module of this folder, which is no package."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


misconceptions = _beside("misconceptions")
RULES = {ROOT / "docs" / "rules" / f"{rule.code}.md": rule for rule in all_rules()}
MISCONCEPTIONS: dict[Path, str] = misconceptions.pages()
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted(page for page in (ROOT / "docs").glob("*.md") if page != RUBRIC),
]
SCHEMAS = {
    ROOT / "docs" / "schemas" / f"{name}-v1.json": name
    for name in ("assignment", "result", "cohort")
}
# Feedback as the code makes it for one of the example submissions: in NumPy's float64, whose
# numbers are the same on every machine to the digits that are shown.
EXAMPLE = "softmax-over-batch-axis/stat453_numpy.py"
FEEDBACK = {
    ROOT / "docs" / "feedback-example.html": "html",
    ROOT / "docs" / "feedback-heatmaps.svg": "heatmaps",
    ROOT / "docs" / "feedback-curves.svg": "curves",
}
SHOWN_FOLDER = "/home/you/course"
SECONDS_CAP = 120

_SECTION = re.compile(r"(<!-- generated: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_BLOCK = re.compile(
    r"^(?:<!-- file: (?P<file>\S+) -->\n)?```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the file that it stands for, if any."""

    language: str
    text: str
    file: str
    line: int
    start: int
    end: int


def blocks(page: str) -> Iterator[Block]:
    """Yield the fenced blocks of a page."""
    for found in _BLOCK.finditer(page):
        start, end = found.span("text")
        line = page[:start].count("\n")
        yield Block(found["language"], found["text"], found["file"] or "", line, start, end)


def refreshed(path: Path) -> str:
    """Return a page as it should be: its generated parts made again, its commands run again."""
    text = path.read_text(encoding="utf-8")
    text = _SECTION.sub(lambda found: found[1] + SECTIONS[str(found[2])]() + found[3], text)
    with tempfile.TemporaryDirectory(prefix="lossgrade-docs-") as name:
        folder = Path(name).resolve()
        pieces, done = [], 0
        for block in blocks(text):
            if block.file:
                (folder / block.file).write_text(block.text, encoding="utf-8")
            if block.language == "console":
                pieces += [text[done : block.start], _run_again(block, folder)]
                done = block.end
        return "".join([*pieces, text[done:]])


# --- commands ----------------------------------------------------------------------------------


def _run_again(block: Block, folder: Path) -> str:
    pieces = []
    for command, shown in _commands(block.text):
        code, found = _run(command, folder)
        said = f"line {block.line}: `{command}` ended with {code}:\n{found}"
        if (code > 1 and not shown) or "Traceback (most recent" in found:
            raise RuntimeError(said)
        if not shown or _same(shown, found):
            pieces += [f"$ {command}\n", shown]
        elif "...\n" in shown.splitlines(keepends=True):
            raise RuntimeError(f"{said}\nwhere the page, to be mended by hand, shows:\n{shown}")
        else:
            pieces += [f"$ {command}\n", found]
    return "".join(pieces)


def _commands(text: str) -> Iterator[tuple[str, str]]:
    """Yield the commands of a console block, each with the output shown beneath it."""
    for piece in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        lines = piece.splitlines(keepends=True)
        length = 1
        while lines[length - 1].endswith("\\\n"):
            length += 1
        yield "".join(lines[:length]).rstrip("\n"), "".join(lines[length:])


def _run(command: str, folder: Path) -> tuple[int, str]:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "PYTHON", "COV_", "FORCE_COLOR", "PY_COLORS", "CI"))
    }
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    environment |= {"COLUMNS": "80", "NO_COLOR": "1", "LC_ALL": "C.UTF-8", "HOME": str(folder)}
    done = subprocess.run(  # noqa: S602 - the commands of our own pages
        command,
        shell=True,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=SECONDS_CAP,
    )
    output = re.sub(r"[ \t]+$", "", done.stdout, flags=re.MULTILINE).strip("\n") + "\n"
    # Which layers are off is this machine's affair.
    output = re.sub(r"(isolation: \w+) \(off:[^)]*\)", r"\1", output)
    return done.returncode, output.replace(str(folder), SHOWN_FOLDER).removeprefix("\n")


def _same(shown: str, found: str) -> bool:
    """Say whether `found` is what the page shows, times and isolation apart."""
    pattern = "".join(
        "(?:.*\n)*?" if line == "..." else re.escape(line + "\n")
        for line in _timeless(shown).splitlines()
    )
    return re.fullmatch(pattern, _timeless(found)) is not None


def _timeless(text: str) -> str:
    text = re.sub(r"\bin \d+\.\d+ ?s\b( =+)?", "in TIME", text)
    text = re.sub(r"^=+ (?=.* in TIME$)", "", text, flags=re.MULTILINE)
    return re.sub(r"isolation: .*(\n  .*)*", "isolation: LEVEL", text)


# --- tables ------------------------------------------------------------------------------------

# What the model's own descriptions leave out.
MEANINGS = {
    "Assignment.name": "what results call the assignment",
    "Assignment.extra_criteria": "Python files of `@criterion` functions, their paths relative to "
    "this file, see [Criteria of your own](#criteria-of-your-own)",
    "visibility": "who sees the criteria, see [Visibility](#visibility)",
    "CriterionSettings.visibility": "overrides the function's",
    "limits": "the table `[limits]`, see [Limits](#limits)",
    "lint": "the table `[lint]`, see [What the linter finds](#what-the-linter-finds)",
    "functions": "one table `[functions.KEY]` for each function, see [Functions](#functions)",
    "CriterionSettings.enabled": "`false`: the criterion is not graded",
    "Function.criteria": "tables `[functions.KEY.criteria.NAME]`, see "
    "[One criterion](#one-criterion)",
    "prediction": "what the function is given for the prediction",
    "targets": "what the function is given for the targets",
    "order": "which of the two arguments comes first",
    "log_base": "the base of the logarithm",
    "reduction": "accepted reductions, one or a list; the function's results show which it is",
    "result": "what accuracy is told as",
}


def _table(model: Any, leave_out: frozenset[str] = frozenset()) -> str:
    described = model.model_json_schema()
    lines = ["| key | values | default | meaning |", "|---|---|---|---|"]
    for name, told in described["properties"].items():
        if name in leave_out:
            continue
        meaning = MEANINGS.get(f"{model.__name__}.{name}") or told.get("description")
        meaning = meaning or MEANINGS[name]
        default = "required" if name in described.get("required", ()) else _literal(told)
        lines.append(f"| `{name}` | {_values(told)} | {default} | {meaning} |")
    return "\n".join(lines) + "\n"


def _literal(told: dict[str, Any]) -> str:
    default = told.get("default")
    if default in (None, "", [], {}) or isinstance(default, dict):
        return "-"
    return f"`{json.dumps(default)}`"


def _values(told: dict[str, Any]) -> str:
    if "$ref" in told:
        return "a table"
    if "anyOf" in told:
        return _values(next(kind for kind in told["anyOf"] if kind.get("type") != "null"))
    if "enum" in told or "const" in told:
        allowed = told.get("enum", [told.get("const")])
        return ", ".join(f"`{json.dumps(value)}`" for value in allowed)
    kind = str(told.get("type"))
    if kind == "array":
        items = _values(told["items"])
        return f"list of {items}"
    if kind in ("number", "integer"):
        words = {"number": "number", "integer": "whole number"}[kind]
        if "exclusiveMinimum" in told:
            words += f" above {told['exclusiveMinimum']:g}"
        elif "minimum" in told:
            words += f" from {told['minimum']:g}"
        return words + (f" to {told['maximum']:,.10g}" if "maximum" in told else "")
    plain = {"boolean": "`true`, `false`", "object": "a table", "string": "text"}
    return str(told["description"]) if kind == "string" and "pattern" in told else plain[kind]


def _rubrics() -> dict[str, Any]:
    union = assignments.AnyFunction.__args__[0].__args__
    return {model.model_fields["rubric"].annotation.__args__[0]: model for model in union}


def _conventions() -> str:
    common = frozenset({*assignments.Function.model_fields, "rubric"})
    pieces = []
    for name, model in _rubrics().items():
        pieces.append(f"#### `{name}`\n\n{model.__doc__.strip()}\n")
        if set(model.model_fields) - common:
            pieces.append(_table(model, common))
    return "\n" + "\n".join(pieces) + "\n"


def _listed() -> str:
    lines = ["| name | functions asked | points | tier |", "|---|---|---:|---|"]
    for name in assignments.BUILT_IN:
        each, _ = assignments.load_assignment(name)
        asked = ", ".join(f"`{spec.names[0]}`" for spec in each.graded.values())
        total = sum(spec.points for spec in each.graded.values())
        link = f"[`{name}`](rubric.md#{name})"
        lines.append(f"| {link} | {asked} | {points(total)} | {each.strictness} |")
    return "\n".join(lines) + "\n"


def _rules(folder: str) -> str:
    lines = ["| code | name | severity | fix | in short |", "|---|---|---|---|---|"]
    for rule in all_rules():
        summary = (rule.__doc__ or "").partition("\n")[0].replace("|", "\\|")
        fix = "-" if rule.fix == "none" else rule.fix
        link = f"[{rule.code}]({folder}{rule.code}.md)"
        lines.append(f"| {link} | `{rule.name}` | {rule.severity} | {fix} | {summary} |")
    return "\n".join(lines) + "\n"


def rule_file(rule: type[Rule]) -> str:
    """Return docs/rules/CODE.md: the page that `lossgrade rule CODE` prints."""
    made = "Made by `docs/generate.py` from the rule; do not edit. [All rules](../rules.md)"
    return rule_page.markdown(rule) + f"\n{made}\n"


SECTIONS: dict[str, Callable[[], str]] = {
    "rules": lambda: _rules("rules/"),
    "rules-readme": lambda: _rules("docs/rules/"),
    "misconceptions": lambda: str(misconceptions.index()),
    "assignments": _listed,
    "assignment-keys": lambda: _table(assignments.Assignment),
    "function-keys": lambda: _table(assignments.Function),
    "criterion-keys": lambda: _table(assignments.CriterionSettings),
    "limit-keys": lambda: _table(assignments.LimitSettings),
    "conventions": _conventions,
}


def rubric_page() -> str:
    """Return docs/rubric.md: every criterion of every built-in assignment."""
    lines = [
        "# Rubric",
        "",
        "Made by `docs/generate.py`; do not edit.",
        "",
        "Every criterion of every built-in assignment. A criterion passes or fails as a whole, and",
        "its line is what the student reads. Its kind says what it is about:",
        "",
        "- **values**: results are compared with reference values;",
        "- **law**: a property that holds for every input;",
        "- **contract**: types, shapes, arguments left alone;",
        "- **robust**: large and infinite logits, zero probabilities, empty batches. Under",
        '  `strictness = "lecture"` these are advice and bonus points; under `"strict"` they carry',
        "  points.",
        "",
        "Laws count only for a function whose results change with its input at least roughly as",
        "the right ones do, and the contract only for a function that is right in some ordinary",
        "case: a constant earns nothing by being constant.",
        "",
        "Points, bonus and tier can be changed: see [Assignments](assignments.md). An own",
        "assignment's list is printed by `lossgrade assignment check FILE.toml`.",
        "",
    ]
    for name in assignments.BUILT_IN:
        each, _ = assignments.load_assignment(name)
        lines += [f"## {name}", "", f"{each.title}. Source: {each.source}.", ""]
        for key, spec in each.graded.items():
            bonus = f", and {points(spec.bonus)} of bonus" if spec.bonus else ""
            asked = f"`{spec.names[0]}`"
            if len(spec.names) > 1:
                asked += f" (or {', '.join(f'`{other}`' for other in spec.names[1:])})"
            lines += [
                f"### {name}: {key}",
                "",
                f"{asked}: {points(spec.points)} points{bonus}.",
                "",
            ]
            lines += ["| criterion | kind | points | what holds |", "|---|---|---:|---|"]
            for line in manifest(each):
                if line.function == key:
                    worth = points(line.max_score)
                    if not line.max_score:
                        worth = f"bonus {points(line.max_bonus)}" if line.max_bonus else "advice"
                    what = line.criterion.title.replace("|", "\\|")
                    kind = line.criterion.kind
                    lines.append(f"| `{line.criterion.name}` | {kind} | {worth} | {what} |")
            lines.append("")
        off = [key for key in each.functions if key not in each.graded]
        if off:
            more = ", ".join(f"`{key}`" for key in off)
            lines += [f"Asked only with `enabled = true`: {more}.", ""]
    return "\n".join(lines)


# --- feedback ----------------------------------------------------------------------------------


@functools.cache
def _graded_example() -> Result:
    """Return the result of the example submission, without what differs from run to run."""
    from lossgrade.engine import Grading
    from lossgrade.result import LayerRecord, SandboxRecord
    from lossgrade.sandbox.host import Zygote
    from lossgrade.submission import Submission

    source = ROOT / "fixtures" / "lossgrade_fixtures" / "submissions" / EXAMPLE
    each, _ = assignments.load_assignment("stat453")
    with tempfile.TemporaryDirectory(prefix="lossgrade-docs-") as name, Zygote(["numpy"]) as zygote:
        path = Path(name).resolve() / "hw.py"
        path.write_bytes(source.read_bytes())
        grading = Grading(Submission.at(path), each, zygote, seed="0")
        records = grading.run_all()
        grading.look_closer(records, pictures=True)
        result = grading.result(records)
        grading.close()
    sandbox = SandboxRecord(level="contained", layers=[LayerRecord(name="limits", on=True)])
    return result.model_copy(update={"sandbox": sandbox})


def feedback(kind: str) -> str:
    """Return the page of feedback, or one of its pictures."""
    from lossgrade.reports import pictures, render

    result = _graded_example()
    if kind == "html":
        return render("html", result)
    (chart,) = [chart for chart in result.charts if chart.kind == kind]
    return pictures.svg(chart, alone=True)


# --- all of it ---------------------------------------------------------------------------------


def expected(path: Path) -> str:
    """Return what the file should hold."""
    if path == RUBRIC:
        return rubric_page()
    if path in RULES:
        return rule_file(RULES[path])
    if path in MISCONCEPTIONS:
        return str(misconceptions.page(MISCONCEPTIONS[path]))
    if path in FEEDBACK:
        return feedback(FEEDBACK[path])
    if path in SCHEMAS:
        return json.dumps(schema(SCHEMAS[path]), indent=2) + "\n"
    return refreshed(path)


def main(arguments: list[str] | None = None) -> int:
    """Rewrite, or with --check only name, what is stale."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when stale")
    parser.add_argument("files", nargs="*", type=Path, help="default: everything")
    options = parser.parse_args(arguments)
    stale = []
    for path in [each.resolve() for each in options.files] or [
        *PAGES,
        RUBRIC,
        *RULES,
        *MISCONCEPTIONS,
        *SCHEMAS,
        *FEEDBACK,
    ]:
        text = expected(path)
        before = ""
        with contextlib.suppress(FileNotFoundError):
            before = path.read_text(encoding="utf-8")
        if text != before:
            stale.append(path)
            if not options.check:
                path.parent.mkdir(exist_ok=True)
                path.write_text(text, encoding="utf-8")
    for path in stale:
        print(f"{'stale' if options.check else 'written'}: {path.relative_to(ROOT)}")
    return 1 if stale and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
