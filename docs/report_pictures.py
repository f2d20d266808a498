"""Take the pictures of report.html that the documentation shows, in a headless Chromium.

    python docs/report_pictures.py [FOLDER]

They go into `docs/` where no folder is given. The class is made up, from a fixed seed.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from browser import Browser, found
from cohorts import example_class
from lossgrade.cohort.page import render

DOCS = Path(__file__).resolve().parent
# What stands at the top, and the window.
PICTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "light": ("h1", {"width": 1000, "height": 1250, "scheme": "light"}),
    "dark": ("#groups", {"width": 1000, "height": 1250, "scheme": "dark"}),
    "phone": ("#scores", {"width": 360, "height": 900, "scheme": "light"}),
}
# A page has few colours: a palette makes a third of the bytes.
COLOURS = 256


def main(folder: Path) -> int:
    """Take the pictures; return 1 where there is no browser."""
    program = found()
    if program is None:
        print("report_pictures.py: no Chromium on PATH: install one", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as profile, Browser(program, Path(profile)) as browser:
        page = Path(profile, "report.html")
        page.write_text(render(example_class()), encoding="utf-8")
        for name, (top, seen) in PICTURES.items():
            browser.see(motion="reduce", **seen)
            browser.open(page)
            browser.run(f"document.querySelector('{top}').scrollIntoView()")
            taken = Image.open(io.BytesIO(browser.picture())).convert("RGB").quantize(COLOURS)
            taken.save(folder / f"report-example-{name}.png", optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS))
