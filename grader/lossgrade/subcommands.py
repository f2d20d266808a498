"""The subcommands of the grader, and the help of all. Each imports what it needs."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path


def main(argv: list[str]) -> int:
    """Run the command; return its exit code: 0, or 2 for a mistake in its use."""
    parser = _parser()
    options = parser.parse_args(argv)
    try:
        code: int = options.run(options)
    except ModuleNotFoundError as error:
        needed = f"needs {error.name}, which is not installed: pip install lossgrade[grader]"
        print(f"lossgrade: {options.command} {needed}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader of our output has gone, as `| head` does.
        sys.stderr.close()
        return 0
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "lossgrade",
        description="Grade implementations of one-hot encoding, softmax and cross-entropy, "
        "and lint code that uses them.",
        epilog="One submission is graded by `pytest --submission PATH`.",
    )
    from importlib.metadata import version

    parser.add_argument("--version", action="version", version=f"lossgrade {version('lossgrade')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    # These two are the linter's: `cli.main` hands them over before this module is imported.
    commands.add_parser("check", help="lint programs and notebooks", add_help=False)
    commands.add_parser("rule", help="explain a rule of the linter", add_help=False)

    assignment = commands.add_parser("assignment", help="show or check what is asked of students")
    actions = assignment.add_subparsers(dest="action", required=True, metavar="ACTION")
    listed = actions.add_parser("list", help="list the built-in assignments")
    listed.set_defaults(run=_list)
    show = actions.add_parser("show", help="print a built-in assignment, ready to copy and edit")
    show.add_argument("name", metavar="NAME")
    show.set_defaults(run=_show)
    check = actions.add_parser("check", help="check an assignment and list its criteria and points")
    check.add_argument("assignment", metavar="NAME|FILE")
    check.set_defaults(run=_check)

    schema = commands.add_parser(
        "schema", help="print a JSON Schema: of assignments, results or classes"
    )
    schema.add_argument("name", choices=("assignment", "result", "cohort"))
    schema.set_defaults(run=_schema)

    from lossgrade.cohort import command

    grade = commands.add_parser("grade", help="grade a class: what a platform exports")
    command.add_arguments(grade)
    grade.set_defaults(run=command.run)

    compare = commands.add_parser(
        "compare", help="say whose grade changed between two runs, and why"
    )
    compare.add_argument(
        "old", type=Path, metavar="OLD", help="the folder that `lossgrade grade` wrote to before"
    )
    compare.add_argument(
        "new", type=Path, metavar="NEW", help="the one of now; or a result record each"
    )
    compare.add_argument("--all", action="store_true", help="list every submission that changed")
    compare.add_argument("--output-format", choices=("text", "json", "csv"), default="text")
    compare.add_argument("--exit-code", action="store_true", help="exit with 1 if a grade changed")
    compare.set_defaults(run=_compare)

    demo = commands.add_parser("demo", help="grade bundled example submissions")
    demo.add_argument("--out", type=Path, default=Path("demo-out"), metavar="DIR")
    demo.add_argument(
        "--class",
        dest="example_class",
        type=Path,
        metavar="DIR",
        help="only write an example class, to try `lossgrade grade` on",
    )
    demo.set_defaults(run=_demo)
    return parser


def _list(_: argparse.Namespace) -> int:
    from lossgrade.assignment import BUILT_IN, load_assignment

    for name in BUILT_IN:
        assignment, _folder = load_assignment(name)
        print(f"{name:<22} {assignment.title}: {', '.join(assignment.graded)}")
    return 0


def _show(options: argparse.Namespace) -> int:
    from lossgrade.assignment import BUILT_IN, built_in_text

    if options.name not in BUILT_IN:
        return _usage(f"assignment show {options.name}: expected one of {', '.join(BUILT_IN)}")
    print(built_in_text(options.name), end="")
    return 0


def _check(options: argparse.Namespace) -> int:
    from lossgrade.assignment import AssignmentError, load_assignment
    from lossgrade.manifest import manifest
    from lossgrade.reports.summary import points

    try:
        assignment, folder = load_assignment(options.assignment)
        lines = manifest(assignment, folder)
    except AssignmentError as error:
        return _usage(error)
    width = max(len(line.id) for line in lines)
    for line in lines:
        worth = points(line.max_score) if line.max_score else f"bonus {points(line.max_bonus)}"
        print(f"{line.id:<{width}}  {worth:>10}  {line.criterion.title}")
    total = points(sum(round(line.max_score * 100) for line in lines) / 100)
    print(f"{assignment.name}: {len(lines)} criteria, {total} points")
    return 0


def _schema(options: argparse.Namespace) -> int:
    from lossgrade.schemas import schema

    print(json.dumps(schema(options.name), indent=2))
    return 0


def _compare(options: argparse.Namespace) -> int:
    from lossgrade.cohort.compare import run

    return run(options)


def _demo(options: argparse.Namespace) -> int:
    from lossgrade.demo import run, write_class

    if options.example_class is None:
        return run(options.out)
    write_class(options.example_class)
    return 0


def _usage(error: object) -> int:
    print(f"lossgrade: {error}", file=sys.stderr)
    return 2
