"""Every slice of training over time, a row for each contender."""

from collections.abc import Sequence
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from reports.analysis.contenders import Contender
from reports.analysis.slices import MOST_SLICES, Span, timeline_of
from reports.figures.canvas import MUTED, rows
from reports.figures.palette import styles

_ROW = 0.5  # inches
_HALF = 0.42  # of a row, that the dots have on each side of its line
_SIZE = 3.2


def slices(title: str, contenders: Sequence[Contender]) -> Figure:
    """Draw a dot per slice, above or below its contender's median, hollow if it was disturbed."""
    timeline = timeline_of(contenders, MOST_SLICES)
    if timeline is None:
        raise ValueError("received contenders without slices, expected some with slices")
    measured = [
        (contender, colour, track)
        for contender, (colour, _), track in zip(
            contenders, styles(contenders), timeline.tracks, strict=True
        )
        if track.dots
    ]
    labels = [contender.label for contender, _, _ in measured]
    heading = f"Slices of training; a row spans the median \u00b1 {100 * timeline.reach:g} %"
    figure, axes = rows(heading, title, labels, row=_ROW)
    axes.grid(axis="y", linewidth=0.8)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda minutes, _: f"{minutes:g} min"))
    for row, (_, colour, track) in enumerate(measured):
        for is_disturbed in (False, True):
            own = [dot for dot in track.dots if bool(dot.flags) == is_disturbed]
            axes.plot(
                [dot.minutes for dot in own],
                [row - _HALF * track.deviation(dot, timeline.reach) for dot in own],
                "o",
                color=colour,
                markersize=_SIZE,
                markerfacecolor="none" if is_disturbed else colour,
                markeredgewidth=0.7,
                rasterized=True,
            )
    if len(timeline.spans) > 1:
        _name(axes, timeline.spans)
    return figure


def _name(axes: Axes, spans: Sequence[Span]) -> None:
    """Draw a line between repeats, and each one's name above the rows."""
    for before, after in pairwise(spans):
        axes.axvline((before.end + after.start) / 2, color=MUTED, linewidth=0.8)
    for span in spans:
        axes.annotate(
            span.label,
            (span.start, axes.get_ylim()[1]),
            (0, 4),
            textcoords="offset points",
            color=MUTED,
            size=9.5,
        )
