"""The options of `lossgrade check` and `lossgrade rule`."""

from __future__ import annotations

import argparse
import difflib
from typing import TYPE_CHECKING, NoReturn

from lossgrade_checks.config import FORMATS

if TYPE_CHECKING:
    from collections.abc import Sequence

PATHS = "files and folders; `-` is standard input (default: this folder)"


class _Parser(argparse.ArgumentParser):
    """A parser that says a mistake in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")

    def unknown(self, argument: str) -> NoReturn:
        """Say that there is no such option, and which may have been meant."""
        near = difflib.get_close_matches(argument.partition("=")[0], self._option_string_actions, 1)
        hint = f"did you mean {near[0]}?" if near else f"`{self.prog} --help` lists them"
        self.error(f"there is no option {argument}; {hint}")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return what was asked; print help or a mistake, and exit, as argparse does."""
    # An abbreviation that works today means something else once an option is added.
    parser = _Parser("lossgrade", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    check = commands.add_parser(
        "check",
        allow_abbrev=False,
        help="lint programs and notebooks",
        description="Find mistakes about logits, softmax and losses in programs and notebooks.",
        epilog="Exit code: 0 nothing found, 1 findings, 2 a mistake in the command or of ours.",
    )
    _add_what(check)
    _add_fixes(check)
    _add_output(check)
    rule = commands.add_parser(
        "rule", allow_abbrev=False, help="explain a rule", description="Explain a rule."
    )
    rule.add_argument("rule", nargs="?", metavar="CODE|NAME", help="LG101, softmax-into-nll")
    rule.add_argument("--all", action="store_true", help="all rules")
    rule.add_argument("--output-format", choices=("text", "json", "markdown"), default="text")
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        (rule if options.command == "rule" else check).unknown(unknown[0])
    if options.command == "rule":
        if (options.rule is None) != options.all:
            rule.error("expected either a rule or --all")
    else:
        _check_together(check, options)
    return options


def _add_what(check: _Parser) -> None:
    check.add_argument("paths", nargs="*", metavar="PATH", help=PATHS)
    rules = check.add_argument_group("rules: codes, beginnings of codes (LG1), names, or ALL")
    rules.add_argument("--select", type=_list, action="extend", metavar="RULE,...")
    rules.add_argument("--extend-select", type=_list, action="extend", default=[], metavar="...")
    rules.add_argument("--ignore", type=_list, action="extend", default=[], metavar="RULE,...")
    rules.add_argument(
        "--per-file-ignores", type=_ignores, action="extend", default=[],
        metavar="PATTERN:RULE,...", help="rules that are off in the files that match",
    )  # fmt: skip
    files = check.add_argument_group("files")
    files.add_argument(
        "--exclude", "--extend-exclude", type=_list, action="extend", default=[],
        metavar="PATTERN,...", help="leave these out too; written as in .gitignore",
    )  # fmt: skip
    files.add_argument(
        "--force-exclude", action="store_true", help="leave out even what is named itself"
    )
    files.add_argument("--stdin-filename", metavar="PATH", help="the name of what `-` reads")
    files.add_argument("--config", metavar="FILE", help="take the settings from this TOML file")
    files.add_argument("-j", "--jobs", type=_positive, metavar="N", help="processes at most")
    files.add_argument(
        "--no-cache", action="store_true", help="changes nothing: this version keeps no cache"
    )


def _add_fixes(check: _Parser) -> None:
    fixes = check.add_argument_group("fixes")
    fixes.add_argument("--fix", action="store_true", help="write the safe fixes into the files")
    fixes.add_argument(
        "--unsafe-fixes", action=argparse.BooleanOptionalAction, default=None,
        help="with --fix and --diff, those too that may change more than the mistake",
    )  # fmt: skip
    fixes.add_argument(
        "--diff", action="store_true", help="show what --fix would do, write nothing"
    )


def _add_output(check: _Parser) -> None:
    output = check.add_argument_group("output")
    output.add_argument("--output-format", choices=FORMATS)
    output.add_argument("--statistics", action="store_true", help="counts instead of findings")
    output.add_argument("-q", "--quiet", action="store_true", help="findings alone, no summary")
    output.add_argument("--color", choices=("auto", "always", "never"), default="auto")
    output.add_argument("--exit-zero", action="store_true", help="exit 0 even with findings")
    output.add_argument(
        "--exit-non-zero-on-fix", action="store_true", help="exit 1 if something was fixed"
    )


def _check_together(check: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    if "-" in options.paths and len(options.paths) > 1:
        check.error("- (standard input) cannot be linted together with files")
    if options.stdin_filename and options.paths != ["-"]:
        check.error("--stdin-filename names what `-` reads, and there is no `-`")


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _ignores(text: str) -> list[tuple[str, list[str]]]:
    """Return the patterns, each with its rules: `a.py:LG101,b/*:LG2` has two."""
    found = []
    for part in _list(text):
        # A drive of Windows has a colon of its own.
        pattern, colon, rule = part.rpartition(":")
        if not (colon and pattern and rule):
            raise argparse.ArgumentTypeError(f"found {part!r}, expected PATTERN:RULE")
        found.append((pattern, [rule]))
    return found


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a whole number, 1 or more")
    return number
