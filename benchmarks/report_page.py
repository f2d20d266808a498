"""Measure how long report.html of a large class takes to make, to open and to use.

    python benchmarks/report_page.py [--students N] [--rounds N] [--json PATH]

The page is opened in the headless Chromium on PATH, each round in a new process with a new profile:
nothing is cached. Opening lasts from the start of the navigation to the end of the load event, when
the table can be used; sorting and searching last from the event to the end of the layout. Exit
status: 0 whatever the figures say, 1 where there is no Chromium or the page does not work.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from browser import Browser, BrowserError, found
from cohorts import example_class
from lossgrade.cohort.page import render

OPENING = "performance.getEntriesByType('navigation')[0].loadEventEnd"
TIMED = """(() => {{
  const start = performance.now();
  {action};
  document.body.offsetHeight;
  return performance.now() - start;
}})()"""
HEADERS = "document.querySelectorAll('#region thead button')"
SEARCH = "document.getElementById('search')"
ACTIONS = {
    "sort by name": f"{HEADERS}[0].click()",
    "sort by score": f"{HEADERS}[3].click()",
    "search": f"{SEARCH}.value = 'noether'; {SEARCH}.dispatchEvent(new Event('input'))",
}


def main() -> int:
    """Measure, and print the medians in milliseconds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--students", type=int, default=10_000, metavar="N")
    parser.add_argument("--rounds", type=int, default=7, metavar="N")
    parser.add_argument("--json", type=Path, metavar="PATH")
    options = parser.parse_args()
    program = found()
    if program is None:
        print("report_page.py: no Chromium on PATH: install one", file=sys.stderr)
        return 1
    cohort = example_class(options.students)
    taken: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "report.html")
        for round_ in range(options.rounds):
            start = time.perf_counter()
            page = render(cohort)
            taken.setdefault("make", []).append(1000 * (time.perf_counter() - start))
            file.write_text(page, encoding="utf-8")
            try:
                opened = measure(program, Path(folder, f"profile-{round_}"), file)
            except BrowserError as error:
                print(f"report_page.py: {error}", file=sys.stderr)
                return 1
            for name, ms in opened.items():
                taken.setdefault(name, []).append(ms)
        size = file.stat().st_size
    print(f"{options.students} students, {size / 1e6:.2f} MB, median of {options.rounds} rounds:")
    for name, each in taken.items():
        print(f"  {name:<14} {statistics.median(each):7.1f} ms   (most {max(each):.1f})")
    if options.json:
        told = {"students": options.students, "bytes": size, "ms": taken}
        options.json.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    return 0


def measure(program: str, profile: Path, file: Path) -> dict[str, float]:
    """Return what opening the page and using its table take, in milliseconds.

    Raises:
        BrowserError: an error in the page, or the browser's own.
    """
    with Browser(program, profile) as browser:
        browser.see()
        browser.open(file)
        taken = {"open": float(browser.run(OPENING))}
        for name, action in ACTIONS.items():
            taken[name] = float(browser.run(TIMED.format(action=action)))
        if browser.trouble:
            raise BrowserError(browser.trouble[0])
    return taken


if __name__ == "__main__":
    sys.exit(main())
