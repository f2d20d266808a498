"""`lossgrade check` and `lossgrade rule`: exit codes, what goes where, mistakes in their use."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import fakes
from fakes import notebook
from lossgrade_checks import start

BAD_WORSE_WORST = ["bad.py LG101", "worse.py LG102", "worst.py LG201"]
WORDS = {"bad": "bad_loss\n", "worse": "worse_loss\n", "worst": "worst_loss\n", "good": "loss\n"}


@pytest.fixture
def _fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fakes.install(monkeypatch)
    monkeypatch.chdir(tmp_path)
    for name, text in WORDS.items():
        write(f"{name}.py", text)


def write(name: str, text: str) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text, encoding="utf-8")


def read(name: str) -> str:
    return Path(name).read_text(encoding="utf-8")


class Ran:
    """A run in this process: its exit code and what it printed."""

    def __init__(self, capfd: pytest.CaptureFixture[str], *arguments: str) -> None:
        try:
            self.code = start.main([*arguments])
        except SystemExit as ended:
            self.code = int(str(ended.code))
        sys.stdout.flush()
        self.out, self.err = capfd.readouterr()

    @property
    def codes(self) -> list[str]:
        """The codes of the findings, with their files."""
        rows = [row.split() for row in self.out.splitlines() if ":" in row and " LG" in row]
        return [f"{row[0].partition(':')[0]} {row[1]}" for row in rows]


pytestmark = pytest.mark.usefixtures("_fakes")
Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("arguments", "code", "codes"),
    [
        pytest.param([], 1, BAD_WORSE_WORST, id="this folder"),
        pytest.param(["worst.py", "bad.py"], 1, ["bad.py LG101", "worst.py LG201"], id="in order"),
        pytest.param(["good.py"], 0, [], id="nothing found"),
        pytest.param(["--exit-zero"], 0, BAD_WORSE_WORST, id="0"),
        pytest.param(["--select", "LG1"], 1, ["bad.py LG101", "worse.py LG102"], id="select"),
        pytest.param(["--select=LG1", "--ignore=bad-loss,LG2"], 1, ["worse.py LG102"], id="both"),
        pytest.param(["--ignore", "ALL"], 0, [], id="all ignored"),
        pytest.param(["--select=", "--extend-select=LG201"], 1, ["worst.py LG201"], id="extended"),
        pytest.param(["--exclude", "wors*"], 1, ["bad.py LG101"], id="excluded"),
        pytest.param(["--exclude", "bad.py", "bad.py"], 1, ["bad.py LG101"], id="but named"),
        pytest.param(["--exclude=bad.py", "bad.py", "--force-exclude"], 0, [], id="forced"),
        pytest.param(
            ["--per-file-ignores", "bad.py:LG1,w*.py:worst-loss"], 1, ["worse.py LG102"],
            id="ignored in some files",
        ),
        pytest.param(["--jobs", "2", "bad.py"], 1, ["bad.py LG101"], id="jobs"),
        pytest.param(["--no-cache", "bad.py"], 1, ["bad.py LG101"], id="no cache"),
    ],
)  # fmt: skip
def test_what_is_found_and_the_exit_code(
    arguments: list[str], code: int, codes: list[str], capfd: Capture
) -> None:
    ran = Ran(capfd, "check", *arguments)
    assert (ran.code, ran.codes, ran.err) == (code, codes, "")
    last = ran.out.splitlines()[-1]
    assert last.startswith("Found ") if codes else last == "No mistakes found"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(["--slect=LG1"], "no option --slect=LG1; did you mean --select?"),
        pytest.param(["--zzz"], "there is no option --zzz; `lossgrade check --help` lists them"),
        pytest.param(["--exit"], "there is no option --exit; did you mean --exit-zero?"),
        pytest.param(["--select"], "argument --select: expected one argument"),
        pytest.param(["--select=LG9"], "lossgrade: 'LG9' is no rule: expected a code,"),
        pytest.param(["--ignore=bad-los"], "did you mean bad-loss?"),
        pytest.param(["--ignore=LG000"], "syntax errors are always reported"),
        pytest.param(["--per-file-ignores=a.py"], "found 'a.py', expected PATTERN:RULE"),
        pytest.param(["--per-file-ignores=a.py:LG9"], "'LG9' is no rule"),
        pytest.param(["--output-format=xml"], "invalid choice: 'xml'"),
        pytest.param(["-j", "none"], "found 'none', expected a whole number, 1 or more"),
        pytest.param(["--config", "gone.toml"], "lossgrade: --config gone.toml: cannot be read"),
        pytest.param(["-", "bad.py"], "- (standard input) cannot be linted together with files"),
        pytest.param(["--stdin-filename=a.py"], "names what `-` reads, and there is no `-`"),
        pytest.param(["gone.py"], "lossgrade: gone.py: no such file or folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_a_mistake_in_the_command_is_one_line_and_exit_code_2(
    arguments: list[str], says: str, capfd: Capture
) -> None:
    ran = Ran(capfd, "check", *arguments)
    assert ran.code == 2
    assert ran.out == ""
    assert len(ran.err.splitlines()) == 1
    assert says in ran.err


def test_a_path_that_is_wrong_does_not_hide_the_others(capfd: Capture) -> None:
    ran = Ran(capfd, "check", "gone.py", "bad.py", "nowhere")
    assert ran.code == 2
    assert ran.codes == ["bad.py LG101"]
    assert len(ran.err.splitlines()) == 2


def test_a_file_that_we_fail_on_does_not_hide_the_others(capfd: Capture) -> None:
    write("a.py", "crash_loss\n")
    ran = Ran(capfd, "check")
    assert ran.code == 2
    assert len(ran.codes) == 3
    assert ran.err.startswith("lossgrade: a.py: internal error, KeyError: ")
    assert len(ran.err.splitlines()) == 1
    write("only.py", "crash_loss\n")
    assert "No mistakes found" not in Ran(capfd, "check", "only.py").out


def test_each_file_has_the_settings_of_its_folder(capfd: Capture) -> None:
    for folder in ("a", "a/b", "a/c"):
        write(f"{folder}/x.py", "bad_loss; worse_loss; worst_loss\n")
    write("a/pyproject.toml", "[tool.lossgrade]\nselect = ['LG1']\n")
    write("a/b/pyproject.toml", "[tool.lossgrade]\nper-file-ignores = {'x.*' = ['LG10']}\n")
    found = [line.replace("\\", "/") for line in Ran(capfd, "check", "a").codes]
    assert found == [
        "a/b/x.py LG201", "a/c/x.py LG101", "a/c/x.py LG102", "a/x.py LG101", "a/x.py LG102",
    ]  # fmt: skip
    # The command line counts for more.
    assert len(Ran(capfd, "check", "a", "--select", "LG102").codes) == 2
    assert len(Ran(capfd, "check", "a", "--ignore", "LG102").codes) == 3


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        pytest.param("slect = []", "pyproject.toml:2: tool.lossgrade has no key 'slect'", id="key"),
        pytest.param("ignore = ['LG9']", "pyproject.toml: 'LG9' is no rule", id="rule"),
        pytest.param(
            "per-file-ignores = {x = ['LG9']}", "pyproject.toml: 'LG9' is no rule", id="for a file"
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("folder", [".", "below"])
def test_a_mistake_in_a_configuration_is_one_line_and_exit_code_2(
    toml: str, says: str, folder: str, capfd: Capture
) -> None:
    write(f"{folder}/a.py", "loss\n")
    write(f"{folder}/pyproject.toml", f"[tool.lossgrade]\n{toml}\n")
    ran = Ran(capfd, "check")
    assert ran.code == 2
    assert ran.out == ""
    assert len(ran.err.splitlines()) == 1
    assert says in ran.err


def test_fixing_writes_files_and_says_what_is_left(capfd: Capture) -> None:
    write("hw.ipynb", notebook("x = 1", "bad_loss"))
    ran = Ran(capfd, "check", "--fix")
    assert (ran.code, ran.codes, ran.err) == (1, ["worse.py LG102", "worst.py LG201"], "")
    assert ran.out.splitlines()[-1] == (
        "Fixed 2 mistakes; 1 warning, 1 note left; 1 can be fixed with --fix --unsafe-fixes"
    )
    assert read("bad.py") == "good_loss\n"
    assert read("hw.ipynb") == notebook("x = 1", "good_loss")
    assert Ran(capfd, "check", "--fix", "bad.py").code == 0
    assert Ran(capfd, "check", "--fix", "--unsafe-fixes", "worse.py").code == 0
    assert read("worse.py") == "good_loss\n"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        pytest.param(["--fix"], 0, id="all fixed"),
        pytest.param(["--fix", "--exit-non-zero-on-fix"], 1, id="the fix hook"),
        pytest.param(["--diff"], 1, id="a diff"),
        pytest.param(["--diff", "--exit-zero"], 0, id="a diff that does not count"),
    ],
)
def test_the_exit_code_of_fixing(arguments: list[str], code: int, capfd: Capture) -> None:
    assert Ran(capfd, "check", "bad.py", *arguments).code == code
    if "--fix" in arguments:
        # The second time there is nothing to do.
        assert Ran(capfd, "check", "bad.py", *arguments).code == 0


def test_unsafe_fixes_may_be_configured(capfd: Capture) -> None:
    write("pyproject.toml", "[tool.lossgrade]\nunsafe-fixes = true\n")
    assert Ran(capfd, "check", "--fix", "--no-unsafe-fixes", "worse.py").code == 1
    assert Ran(capfd, "check", "--fix", "worse.py").code == 0


def test_a_diff_goes_to_stdout_alone_and_writes_nothing(capfd: Capture) -> None:
    ran = Ran(capfd, "check", "--diff")
    assert ran.out == "--- bad.py\n+++ bad.py\n@@ -1 +1 @@\n-bad_loss\n+good_loss\n"
    assert ran.err == "Would fix 1 mistake; 2 findings left\n"
    assert read("bad.py") == "bad_loss\n"
    assert Ran(capfd, "check", "--diff", "-q", "worse.py").err == ""
    assert Ran(capfd, "check", "--diff", "worse.py").code == 0


@pytest.mark.parametrize(
    ("data", "arguments", "code", "out", "err"),
    [
        pytest.param(b"bad_loss\n", [], 1, "-:1:1 LG101 [*] found", "", id="check"),
        pytest.param(b"x\n", [], 0, "No mistakes found\n", "", id="nothing found"),
        pytest.param(b"bad_loss\r\n", ["--fix"], 0, "good_loss\r\n", "Fixed 1 mistake\n", id="fix"),
        pytest.param(b"worst_loss", ["--fix"], 1, "worst_loss", "-:1:1 LG201", id="left"),
        pytest.param(b"loss (", ["--fix"], 1, "loss (", "-:1:6 LG000", id="no program"),
        pytest.param(b"loss\xff", ["--fix"], 1, None, "-:1:1 LG000", id="no text"),
        pytest.param(b"bad_loss\n", ["--diff"], 1, "--- -\n+++ -\n", "Would fix 1", id="diff"),
        pytest.param(
            b"bad_loss\n", ["--stdin-filename=x/a.py"], 1, "x/a.py:1:1 LG101", "", id="a name"
        ),
        pytest.param(
            notebook("bad_loss").encode(), ["--stdin-filename=a.ipynb"], 1,
            "a.ipynb:cell 1:1:1 LG101", "", id="a notebook",
        ),
        pytest.param(
            b"bad_loss\n", ["--stdin-filename=build/a.py", "--force-exclude", "--fix"], 0,
            "bad_loss\n", "No mistakes found\n", id="excluded",
        ),
        pytest.param(
            b"crash_loss", ["--fix"], 2, "crash_loss", "lossgrade: -: internal error", id="crash"
        ),
    ],
)  # fmt: skip
def test_standard_input(
    data: bytes,
    arguments: list[str],
    code: int,
    out: str | None,
    err: str,
    capfdbinary: pytest.CaptureFixture[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert start.main(["check", "-", *arguments]) == code
    sys.stdout.flush()
    printed, said = capfdbinary.readouterr()
    if out is None:
        assert printed == data
    elif "--fix" in arguments:
        assert printed == out.encode()
    else:
        assert printed.decode().replace("\\", "/").startswith(out)
    assert said.decode().startswith(err)
    assert bool(said) == bool(err)


def test_formats_and_counts(capfd: Capture) -> None:
    items = json.loads(Ran(capfd, "check", "--output-format=json").out)
    assert [item["code"] for item in items] == ["LG101", "LG102", "LG201"]
    assert Ran(capfd, "check", "--output-format=json", "good.py").out == "[]\n"
    commands = Ran(capfd, "check", "--output-format", "github").out.splitlines()
    assert [command.split(" ")[0] for command in commands] == ["::error", "::warning", "::notice"]
    assert Ran(capfd, "check", "--statistics").out.splitlines()[0] == "1  LG101  [*]  bad-loss"
    counts = json.loads(Ran(capfd, "check", "--statistics", "--output-format=json").out)
    assert [each["count"] for each in counts] == [1, 1, 1]
    write("pyproject.toml", "[tool.lossgrade]\noutput-format = 'json'\n")
    assert json.loads(Ran(capfd, "check", "good.py").out) == []
    assert "Found" in Ran(capfd, "check", "--output-format", "text").out


def test_quiet_prints_findings_alone(capfd: Capture) -> None:
    assert Ran(capfd, "check", "-q", "good.py").out == ""
    assert "Found" not in Ran(capfd, "check", "-q").out
    assert "\x1b[" in Ran(capfd, "check", "--color", "always").out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(["LG101"], "LG101 bad-loss (error; a safe fix)", id="a code"),
        pytest.param(["worst-loss"], "LG201 worst-loss (info; no fix)", id="a name"),
        pytest.param(["--all"], "LG101 bad-loss (error; a safe fix)", id="all"),
        pytest.param(["LG1", "--output-format=markdown"], "# LG101: bad-loss", id="Markdown"),
    ],
)
def test_the_page_of_a_rule(arguments: list[str], says: str, capfd: Capture) -> None:
    ran = Ran(capfd, "rule", *arguments)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[0] == says


def test_the_page_of_a_rule_as_text(capfd: Capture) -> None:
    assert Ran(capfd, "rule", "LG101").out == (
        "LG101 bad-loss (error; a safe fix)\n\nWrite `good_loss`.\n\nThe other word is bad.\n\n"
        "Found:\n\n    bad_loss\n\nRight:\n\n    good_loss\n\nNot found:\n\n    good_loss\n"
    )


def test_the_page_of_a_rule_as_json(capfd: Capture) -> None:
    page = json.loads(Ran(capfd, "rule", "LG101", "--output-format", "json").out)
    assert page == {
        "code": "LG101",
        "name": "bad-loss",
        "severity": "error",
        "fix": "safe",
        "summary": "Write `good_loss`.",
        "explanation": "The other word is bad.",
        "examples": [{"bad": "bad_loss\n", "good": "good_loss\n", "files": {}}],
        "near_misses": ["good_loss\n"],
    }
    pages = json.loads(Ran(capfd, "rule", "--all", "--output-format", "json").out)
    assert [each["code"] for each in pages] == ["LG101", "LG102", "LG201"]
    assert pages[1]["examples"][0]["files"] == {"other.py": "x = 1\n"}
    assert "With other.py:\n\n    x = 1\n\nFound:" in Ran(capfd, "rule", "LG102").out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param([], "lossgrade rule: expected either a rule or --all", id="nothing"),
        pytest.param(["LG101", "--all"], "expected either a rule or --all", id="both"),
        pytest.param(["bad-lss"], "lossgrade: 'bad-lss' is no rule: expected", id="misspelt"),
        pytest.param(["--outptu-format=json"], "did you mean --output-format?", id="option"),
    ],
)  # fmt: skip
def test_a_mistake_about_a_rule_is_one_line(
    arguments: list[str], says: str, capfd: Capture
) -> None:
    ran = Ran(capfd, "rule", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err
    assert len(ran.err.splitlines()) == 1


# From here on the command is a process of its own, with the real rules.


def command(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lossgrade_checks", *arguments],
        capture_output=True, text=True, timeout=120, encoding="utf-8", **options,
    )  # fmt: skip


SOFTMAX = """\
import torch.nn.functional as F


def loss(model, x, y):
    return F.cross_entropy(F.softmax(model(x), dim=1), y)
"""


def test_a_mistake_is_found_fixed_and_gone() -> None:
    write("hw.py", SOFTMAX)
    done = command("check", "hw.py")
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("hw.py:5:12 LG101 [*] ")
    assert command("check", "--fix", "hw.py").returncode == 0
    assert "softmax" not in read("hw.py")
    assert command("check", "hw.py").stdout == "No mistakes found\n"


@pytest.mark.parametrize("module", ["lossgrade.cli", "lossgrade_checks"])
def test_both_names_of_the_command_lint(module: str) -> None:
    write("hw.py", "loss = (\n")
    done = subprocess.run(
        [sys.executable, "-m", module, "check", "--output-format", "json", "hw.py"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert [item["code"] for item in json.loads(done.stdout)] == ["LG000"]


def test_help_names_every_option() -> None:
    done = command("check", "--help")
    assert done.returncode == 0
    for option in ("--fix", "--diff", "--select", "--statistics", "--stdin-filename", "--no-cache"):
        assert option in done.stdout


def test_a_terminal_without_these_characters_ends_no_run() -> None:
    write("字.py", "loss = '字' (\n")
    done = subprocess.run(
        [sys.executable, "-m", "lossgrade_checks", "check"],
        capture_output=True, timeout=60, env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert b"\\u5b57.py:" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        pytest.param(["check", "hw.py"], 1, id="findings"),
        pytest.param(["check", "clean.py"], 0, id="the fast way"),
        pytest.param(["check", "clean.py", "--output-format=json"], 0, id="the long way"),
        pytest.param(["rule", "--all"], 0, id="pages"),
    ],
)
def test_a_reader_that_leaves_early_changes_nothing(arguments: list[str], code: int) -> None:
    write("hw.py", "loss = (\n")
    write("clean.py", "x = 1\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "lossgrade_checks", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait(60) == code
