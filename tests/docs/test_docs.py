"""The README and docs: generated parts are fresh, commands give the output shown, links resolve."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, get_args

import jsonschema  # type: ignore[import-untyped]  # its stubs are a package of their own
import pytest

from lossgrade.assignment import BUILT_IN, Visibility, built_in_text, parse_assignment
from lossgrade.result import CriterionRecord, Result

ROOT = Path(__file__).resolve().parents[2]
INDEX = ROOT / "fixtures" / "lossgrade_fixtures" / "submissions" / "index.toml"


def _generator() -> Any:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["docs_generate"] = module
    spec.loader.exec_module(module)
    return module


generate = _generator()
PAGES: list[Path] = [*generate.PAGES, generate.RUBRIC]
BLOCKS = [
    (page, block) for page in PAGES for block in generate.blocks(page.read_text(encoding="utf-8"))
]


def blocks_of(*languages: str) -> list[Any]:
    return [
        pytest.param(page, block, id=f"{page.name}:{block.line}")
        for page, block in BLOCKS
        if block.language in languages
    ]


def file_of(page: str, name: str) -> str:
    """Return the text of the file that a page shows under this name."""
    found = [
        block.text
        for block in generate.blocks((ROOT / page).read_text(encoding="utf-8"))
        if block.file == name
    ]
    assert len(found) == 1, f"{page}: {len(found)} blocks for the file {name}, expected 1"
    return str(found[0])


@pytest.mark.parametrize(
    "path",
    [
        *generate.PAGES,
        generate.RUBRIC,
        *generate.RULES,
        *generate.SCHEMAS,
        *generate.FEEDBACK,
    ],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_is_fresh(path: Path) -> None:
    """Tables, schemas and commands' output are what the code says and does now."""
    found = path.read_text(encoding="utf-8")
    assert found == generate.expected(path), "stale; run: python docs/generate.py"


@pytest.mark.parametrize(
    ("shown", "found", "same"),
    [
        pytest.param("1 failed in 1.60s\n", "1 failed in 0.20s\n", True, id="another time"),
        pytest.param("= 1 failed in 9.9s =\n", "== 1 failed in 10.20s ==\n", True, id="a rule"),
        pytest.param("2.5 of 30\n", "7.5 of 30\n", False, id="other points"),
        pytest.param("a\n...\nz\n", "a\nb\nc\nz\n", True, id="lines left out"),
        pytest.param("a\n...\nz\n", "a\nb\nc\n", False, id="the end is another"),
        pytest.param("isolation: process\n", "isolation: contained\n", True, id="isolation"),
        pytest.param(
            "isolation: process (off:\n  a, b)\nend\n",
            "isolation: contained\nend\n",
            True,
            id="isolation told in two lines",
        ),
    ],
)
def test_outputs_are_compared(shown: str, found: str, same: bool) -> None:
    """Times and isolation may differ, nothing else may."""
    assert generate._same(shown, found) is same


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_resolve(page: Path) -> None:
    """Every relative link names a file that exists, and a heading that it has."""
    for target in re.findall(r"\]\(([^)\s]+)\)", _prose(page)):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.is_file(), f"{page.name}: no file {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), flags=re.M)
            anchors = [
                re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings
            ]
            assert anchor in anchors, f"{page.name}: no heading {target}"


def test_index_links_every_page() -> None:
    """docs/index.md leads everywhere."""
    text = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    for path in [*(ROOT / "docs").glob("*.md"), *(ROOT / "docs").glob("schemas/*")]:
        if path.name != "index.md":
            assert f"({path.relative_to(ROOT / 'docs').as_posix()})" in text


def test_every_rule_has_its_page_and_no_other_is_there() -> None:
    """A rule that is renamed or removed leaves no page behind."""
    assert sorted((ROOT / "docs" / "rules").iterdir()) == sorted(generate.RULES)


@pytest.mark.parametrize(("page", "block"), blocks_of("python"))
def test_python_compiles(page: Path, block: Any) -> None:
    """Every Python block is Python."""
    compile(block.text, f"{page.name}:{block.line}", "exec")


# index.toml lists example submissions: tests/grader/test_examples.py reads the real one. The
# linter reads pyproject.toml when the page's commands run.
OTHERS = {"index.toml", "pyproject.toml"}
ASSIGNMENTS = [each for each in blocks_of("toml") if each.values[1].file not in OTHERS]


@pytest.mark.parametrize(("page", "block"), ASSIGNMENTS)
def test_toml_is_an_assignment(page: Path, block: Any) -> None:
    """Every other TOML block is a whole assignment, by the model and by the published schema."""
    parse_assignment(block.text, f"{page.name}:{block.line}")
    jsonschema.validate(tomllib.loads(block.text), _schema("assignment"))


def test_built_in_assignments_follow_the_schema() -> None:
    """What `lossgrade assignment show` prints is valid by the published schema."""
    for name in BUILT_IN:
        jsonschema.validate(tomllib.loads(built_in_text(name)), _schema("assignment"))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"strictnes": "lecture"}, id="unknown key"),
        pytest.param({"tolerance": 0}, id="tolerance of 0"),
        pytest.param({"functions": {}}, id="no function"),
        pytest.param({"functions": {"a b": {"rubric": "softmax"}}}, id="key with a space"),
    ],
)
def test_schema_refuses(change: dict[str, Any]) -> None:
    """The published schema finds mistakes as the model does."""
    wrong = {**tomllib.loads(built_in_text("d2l")), **change}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, _schema("assignment"))


@pytest.mark.parametrize(("page", "block"), blocks_of("sh", "bash"))
def test_shell_parses(page: Path, block: Any) -> None:
    """Every shell block is accepted by bash, which does not run it."""
    checked = subprocess.run(
        ["bash", "-n"], input=block.text, text=True, capture_output=True, timeout=20
    )
    assert (checked.returncode, checked.stderr) == (0, "")


def test_result_keys_are_explained() -> None:
    """docs/reports.md has a line for every key of the record and of its criteria."""
    text = _prose(ROOT / "docs" / "reports.md")
    rows = " ".join(line.split("|")[1] for line in text.splitlines() if line.startswith("| `"))
    keys = {key.rstrip("_") for key in (*Result.model_fields, *CriterionRecord.model_fields)}
    explained = set(re.findall(r"`(\w+)`", rows)) - set(get_args(Visibility))
    assert sorted(keys) == sorted(explained)


def test_index_entry_is_like_the_others() -> None:
    """The example in CONTRIBUTING.md has the keys that index.toml explains, and a real file."""
    [entry] = tomllib.loads(file_of("CONTRIBUTING.md", "index.toml"))["submission"]
    entries = tomllib.loads(INDEX.read_text(encoding="utf-8"))["submission"]
    [real] = [each for each in entries if each["path"] == entry["path"]]
    assert entry.keys() == real.keys()
    for key in ("assignment", "verdict", "library", "function", "misconception"):
        assert entry[key] == real[key]


def test_gradescope_example(tmp_path: Path) -> None:
    """The autograder of docs/reports.md writes results.json, and points lost are no failure."""
    source = tmp_path / "source"
    for folder in (source, tmp_path / "submission", tmp_path / "results"):
        folder.mkdir()
    for name in ("homework.toml", "pytest.ini"):
        (source / name).write_text(file_of("docs/reports.md", name), encoding="utf-8")
    (tmp_path / "submission" / "hw.py").write_text(file_of("docs/reports.md", "hw.py"))
    script = file_of("docs/reports.md", "run_autograder")
    assert "/opt/lossgrade/bin/pip install" in file_of("docs/reports.md", "setup.sh")
    script = script.replace("/opt/lossgrade/bin", str(Path(sys.executable).parent))
    script = script.replace("/autograder", str(tmp_path))
    done = subprocess.run(
        ["bash", "-c", script],
        env={k: v for k, v in os.environ.items() if not k.startswith("PYTEST")},
        text=True,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r'"seed": "[0-9a-f]+"', done.stdout)
    record = json.loads((tmp_path / "results" / "record.json").read_text(encoding="utf-8"))
    jsonschema.validate(record, _schema("result"))
    results = json.loads((tmp_path / "results" / "results.json").read_text(encoding="utf-8"))
    assert results["score"] == record["score"] + record["bonus"]
    assert len(results["tests"]) == len(record["criteria"])


def _run_example(script: str, folder: Path, interpreter: str = "bash", **variables: str) -> None:
    """Run a script of docs/reports.md in `folder`, with the programs of this environment."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    # What it takes on this machine to be `contained` is no question of the page.
    script = script.replace("contained", "process").replace("limits", "process")
    done = subprocess.run(
        [interpreter, "-c", script],
        cwd=folder,
        env={**environment, **variables},
        text=True,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_classroom_example(tmp_path: Path) -> None:
    """The workflow of docs/reports.md hands the points to the reporter, and shows feedback."""
    grading = tmp_path / ".github" / "grading"
    grading.mkdir(parents=True)
    for name in ("homework.toml", "pytest.ini"):
        (grading / name).write_text(file_of("docs/reports.md", name), encoding="utf-8")
    (tmp_path / "hw.py").write_text(file_of("docs/reports.md", "hw.py"), encoding="utf-8")
    page = (ROOT / "docs" / "reports.md").read_text(encoding="utf-8")
    [step] = re.findall(r"- id: homework\n +run: \|\n((?: {10}.*\n)+)", page)
    (tmp_path / "summary").write_text("before\n", encoding="utf-8")
    _run_example(f"set -e\n{step}", tmp_path, GITHUB_OUTPUT="output", GITHUB_STEP_SUMMARY="summary")
    [line] = (tmp_path / "output").read_text(encoding="utf-8").splitlines()
    made = json.loads(base64.b64decode(line.removeprefix("result=")))
    assert (made["status"], made["max_score"]) == ("fail", 10)
    assert sum(test["score"] for test in made["tests"]) == pytest.approx(0.84)
    summary = (tmp_path / "summary").read_text(encoding="utf-8")
    assert summary.startswith("before\n# hw\n")
    assert "HOMEWORK_RESULTS" in page


def test_prairielearn_example(tmp_path: Path) -> None:
    """The script of docs/reports.md leaves results.json where PrairieLearn looks for it."""
    (tmp_path / "tests").mkdir()
    for name in ("homework.toml", "pytest.ini", "run.sh"):
        text = file_of("docs/reports.md", name)
        (tmp_path / "tests" / name).write_text(text, encoding="utf-8")
    (tmp_path / "student").mkdir()
    (tmp_path / "student" / "hw.py").write_text(file_of("docs/reports.md", "hw.py"))
    script = file_of("docs/reports.md", "run.sh").replace("/grade", str(tmp_path))
    _run_example(script, tmp_path)
    made = json.loads((tmp_path / "results" / "results.json").read_text(encoding="utf-8"))
    assert made["gradable"] is True
    assert made["score"] == pytest.approx(0.084)


def test_classroom50_example(tmp_path: Path) -> None:
    """The autograder of docs/reports.md leaves result.json in the student's checkout."""
    checkout, here = tmp_path / "checkout", tmp_path / "grading"
    for folder in (checkout, here):
        folder.mkdir()
    for name in ("homework.toml", "pytest.ini"):
        (here / name).write_text(file_of("docs/reports.md", name), encoding="utf-8")
    (checkout / "hw.py").write_text(file_of("docs/reports.md", "hw.py"), encoding="utf-8")
    # A student's file that takes the place of a module of the grader's.
    (checkout / "numpy.py").write_text("raise SystemExit('imported')\n", encoding="utf-8")
    script = file_of("docs/reports.md", "autograder.py")
    script = script.replace("Path(__file__).parent", f"Path({str(here)!r})")
    script = re.sub(r"^for package in .*\n    .*\n", "", script, flags=re.MULTILINE)
    variables = {
        name: f"submit/{name}"
        for name in ("CLASSROOM", "ASSIGNMENT", "OWNER", "SUBMISSION_TAG", "COMMIT_URL",
                     "RELEASE_URL", "REVIEW_URL")
    }  # fmt: skip
    _run_example(script, checkout, sys.executable, **variables, ASSIGNMENT_TYPE="individual")
    made = json.loads((checkout / "result.json").read_text(encoding="utf-8"))
    assert (made["score"], made["max-score"], made["owner"]) == (84, 1000, "submit/OWNER")
    assert (checkout / "release-body.md").exists()


@pytest.mark.parametrize("page", generate.PAGES, ids=lambda page: page.name)
def test_fits_the_page(page: Path) -> None:
    """Prose has lines of 100 characters at most; tables and blocks are as long as they are."""
    lines = _prose(page).splitlines()
    assert [line for line in lines if len(line) > 100 and not line.startswith("|")] == []


def _schema(name: str) -> Any:
    path = ROOT / "docs" / "schemas" / f"{name}-v1.json"
    return json.loads(path.read_text(encoding="utf-8"))


def _prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    text = page.read_text(encoding="utf-8")
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
