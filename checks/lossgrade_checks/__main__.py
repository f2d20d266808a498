"""`python -m lossgrade_checks check ...`: the linter without the grader's command."""

import sys

from lossgrade_checks.start import main

if __name__ == "__main__":
    sys.exit(main())
