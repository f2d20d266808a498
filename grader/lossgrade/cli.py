"""The `lossgrade` command: it hands over to the linter or to the grader, and imports only that."""

import sys


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code, 2 for a mistake in its use."""
    arguments = sys.argv[1:] if argv is None else argv
    # Nothing else stands above this: an installation of the linter alone has no more, and a
    # commit hook is run too often to wait for imports.
    if arguments[:1] in (["check"], ["rule"]):
        from lossgrade_checks.start import main as lint

        return lint(arguments)
    from lossgrade.subcommands import main as grade

    return grade(arguments)


if __name__ == "__main__":
    sys.exit(main())
