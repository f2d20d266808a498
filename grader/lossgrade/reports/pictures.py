"""Charts as SVG, drawn by matplotlib: the same text on every run, with words for who cannot see it.

Imported only where a picture is drawn.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from typing import TYPE_CHECKING, Any, cast

import matplotlib as mpl
from markupsafe import escape
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from lossgrade.language import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lossgrade.result import ChartRecord

# Drawn in this colour, and written as the colour of the text around the picture: black on white,
# or white on black.
INK = "#010203"
# The reader's own sans serif: nothing is downloaded, and a page in Chinese has its characters.
STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.family": ["DejaVu Sans"],
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
# Okabe and Ito's colours, which people of any colour vision tell apart; the lines differ as well.
BLUE, ORANGE = "#0072b2", "#d55e00"
# Beyond this many times the reference's range a curve leaves the picture.
BEYOND = 3.0


def svg(chart: ChartRecord, name: str = "", *, alone: bool = False) -> str:
    """Return a chart as an `<svg>` element.

    Args:
        chart: what it shows.
        name: stands in all ids of the element, so that a page can hold several.
        alone: for a file of its own, on a white ground.
    """
    name = name or chart.kind
    draw = {"heatmaps": _heatmaps, "curves": _curves}[chart.kind]
    with warnings.catch_warnings():
        # Of characters that its own font has not; the reader's has.
        warnings.simplefilter("ignore", UserWarning)
        with mpl.rc_context(cast("Any", {**STYLE, "svg.hashsalt": name})):
            figure = draw(chart)
            file = io.StringIO()
            FigureCanvasSVG(figure).print_svg(  # type: ignore[no-untyped-call]  # matplotlib's own
                file, metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
            )
    return _finished(file.getvalue(), chart, name, alone=alone)


def _finished(text: str, chart: ChartRecord, name: str, *, alone: bool) -> str:
    """Return matplotlib's document as an element with words for those who cannot see it."""
    size = re.search(r'viewBox="([^"]+)"', text)
    assert size is not None
    body = text[text.index(">", text.index("<svg")) + 1 : text.rindex("</svg>")]
    body = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", body, flags=re.DOTALL)
    # The page has its own styles, and this one would reach all of it.
    body = re.sub(r"<style.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r"url\(#", f"url(#{name}-", body)
    body = re.sub(r'xlink:href="#', f'href="#{name}-', body)
    body = re.sub(r"'?DejaVu Sans'?", "sans-serif", body)
    body = body.replace(INK, "currentColor")
    body = re.sub(r"\n\s*", "\n", body)
    ground = '<rect width="100%" height="100%" fill="#ffffff"/>' if alone else ""
    colour = ' color="#1f2328"' if alone else ""
    title, words = escape(chart.title), escape(chart.alt)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{size[1]}" role="img"{colour} '
        f'aria-label="{title}. {words}" stroke-linejoin="round" stroke-linecap="butt">\n'
        f"<title>{title}</title>\n<desc>{words}</desc>{ground}{body.strip()}</svg>\n"
    )


def _heatmaps(chart: ChartRecord) -> Figure:
    yours, reference = (_numbers(chart.data[key]) for key in ("yours", "reference"))
    off = [
        [a - b for a, b in zip(*rows, strict=True)] for rows in zip(yours, reference, strict=True)
    ]
    most = max((abs(v) for row in off for v in row if not math.isnan(v)), default=1.0) or 1.0
    figure = Figure(figsize=(7.2, 2.9), layout="constrained")
    panels = (
        (say("yours"), yours, "viridis", 0.0, 1.0),
        (say("reference"), reference, "viridis", 0.0, 1.0),
        (say("yours - reference"), off, "PuOr", -most, most),
    )
    for axes, (title, values, colours, low, high) in zip(
        figure.subplots(1, 3), panels, strict=True
    ):
        _table(axes, values, colours, low, high)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel(say("class"))
        if axes is figure.axes[0]:
            axes.set_ylabel(say("example"))
    return figure


def _table(axes: Any, values: list[list[float]], colours: str, low: float, high: float) -> None:
    mesh = axes.pcolormesh(
        values, cmap=colours, vmin=low, vmax=high, edgecolors=INK, linewidth=0.5, snap=True
    )
    for row, line in enumerate(values):
        for column, value in enumerate(line):
            red, green, blue, _ = mesh.cmap(mesh.norm(value))
            dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
            known = not math.isnan(value)
            text = (f"{value:.2f}" if abs(value) < 1000 else f"{value:.0e}") if known else "NaN"
            axes.text(
                column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=9,
                color=("#ffffff" if dark else "#000000") if known else INK,
            )  # fmt: skip
    axes.set_xticks([c + 0.5 for c in range(len(values[0]))], [*map(str, range(len(values[0])))])
    axes.set_yticks([r + 0.5 for r in range(len(values))], [*map(str, range(len(values)))])
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _curves(chart: ChartRecord) -> Figure:
    yours, reference = (_numbers(chart.data[key])[0] for key in ("yours", "reference"))
    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.plot(range(len(reference)), reference, color=BLUE, linewidth=2)
    axes.plot(range(len(yours)), yours, color=ORANGE, linewidth=2, linestyle="--")
    if len(yours) < len(reference):
        axes.plot([len(yours) - 1], yours[-1:], color=ORANGE, marker="x", markersize=9, mew=2)
    room = BEYOND * max(map(abs, reference))
    low, high = max(min(*yours, 0.0), -room), min(max(*yours, *reference), room)
    axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
    axes.set_xlim(-0.5, len(reference) + 0.5)
    axes.set_xlabel(say("step"))
    axes.set_ylabel(say("mean loss"))
    axes.legend([say("with the reference"), say("with your functions")], loc="best")
    return figure


def _numbers(rows: Sequence[Sequence[float | None]]) -> list[list[float]]:
    return [[float("nan") if value is None else value for value in row] for row in rows]
