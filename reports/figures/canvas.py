"""The sheet that every figure is drawn on: type, ink and margins, and how it becomes a file."""

import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import matplotlib
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from reports.display import shortened
from reports.document import Picture

# The page replaces these four by its own, so that a figure follows light and dark.
INK, MUTED, GRID, SURFACE = "#1b2026", "#58616b", "#e2e5e9", "#ffffff"

WIDTH = 9.0  # inches; at 100 to the inch as wide as the page's column
ROW = 0.36  # inches that a contender takes in a chart of bars
TOP, BOTTOM, RIGHT = 0.82, 0.38, 0.25
LONGEST_LABEL = 36  # characters
LONGEST_TITLE = 95
MOST_ROWS = 24
MOST_TRIALS = 12  # of a contender that are drawn one by one

# Without the date and the version of matplotlib, equal drawings are equal files.
_SAVED_AS: dict[str, dict[str, Any]] = {
    "svg": {"metadata": {"Date": None, "Creator": None}},
    "png": {"metadata": {"Software": None}, "dpi": 200},  # for print
}
_FAMILIES = ("Inter", "Helvetica Neue", "Arial", "Liberation Sans", "DejaVu Sans")


@contextmanager
def house_style() -> Iterator[None]:
    """Apply the style of all figures within this context; draw and save in it."""
    installed = set(font_manager.get_font_names())
    settings: dict[Any, Any] = {
        "font.family": [family for family in _FAMILIES if family in installed],
        "font.size": 10,
        "text.color": INK,
        "text.parse_math": False,  # a $ in a model's name is a $
        "axes.edgecolor": GRID,
        "axes.labelcolor": MUTED,
        "xtick.color": MUTED,
        "ytick.color": INK,
        "grid.color": GRID,
        "hatch.color": MUTED,
        "figure.facecolor": SURFACE,
        "axes.facecolor": "none",
        "savefig.facecolor": SURFACE,
        "svg.fonttype": "none",
        "svg.hashsalt": "evenbench",
    }
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # A name in a script that no installed font covers: the tables and the SVG still hold it.
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        yield


def sheet(title: str, subtitle: str, height: float) -> Figure:
    """Return an empty figure of this height in inches, with its heading at the top left."""
    figure = Figure(figsize=(WIDTH, height))
    figure.text(0.012, 1 - 0.24 / height, title, size=13, weight="bold", va="center")
    figure.text(
        0.012, 1 - 0.50 / height, shortened(subtitle, LONGEST_TITLE), color=MUTED, va="center"
    )
    return figure


def panel(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Return axes at a position in inches from the bottom left, without any lines."""
    across, up = figure.get_size_inches()
    axes = figure.add_axes((left / across, bottom / up, width / across, height / up))
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0, labelsize=9.5)
    return axes


def rows(
    title: str, subtitle: str, labels: Sequence[str], legend: bool = False, row: float = ROW
) -> tuple[Figure, Axes]:
    """Return a sheet with one row per label, the first at the top, at y = 0, 1, ...

    Args:
        title: its heading.
        subtitle: the line below it.
        labels: names of the rows.
        legend: whether to leave room for `legend_above`.
        row: height of a row, inches.
    """
    top = TOP + (0.32 if legend else 0.0)
    height = len(labels) * row
    figure = sheet(title, subtitle, top + height + BOTTOM)
    names = [shortened(label, LONGEST_LABEL) for label in labels]
    left = 0.35 + 0.073 * max(len(name) for name in names)
    axes = panel(figure, left, BOTTOM, WIDTH - left - RIGHT, height)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_yticks(range(len(labels)), names, size=10.5)
    axes.xaxis.set_major_locator(MaxNLocator(6, min_n_ticks=3))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.grid(axis="x", linewidth=0.8)
    return figure, axes


def legend_above(figure: Figure, axes: Axes) -> None:
    """Draw the legend as one row between the heading and the bars."""
    height = figure.get_size_inches()[1]
    figure.legend(
        *axes.get_legend_handles_labels(),
        loc="center left",
        bbox_to_anchor=(0.004, 1 - 0.82 / height),
        ncols=6,
        frameon=False,
        handlelength=0.9,
        handleheight=0.9,
        columnspacing=2.4,
        borderpad=0,
    )


def picture(stem: str, description: str, caption: str, draw: Callable[[], Figure]) -> Picture:
    """Return a figure that is drawn when needed; the same drawing gives the same bytes.

    Args:
        stem: see `Picture`, as for the other texts.
        description: see `Picture`.
        caption: see `Picture`.
        draw: draws the figure; called at most once, in the house style.
    """
    drawn = cache(draw)

    def save(kind: str) -> bytes:
        file = io.BytesIO()
        with house_style():
            drawn().savefig(file, format=kind, **_SAVED_AS[kind])
        return file.getvalue()

    return Picture(stem, description, caption, save)
