"""Charts with a row for each contender: throughput, memory, phases, and distributions."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.analysis.contenders import Contender
from reports.figures.canvas import INK, MUTED, SURFACE, legend_above, rows
from reports.figures.palette import PHASES as PHASE_COLOURS
from reports.figures.palette import hues, mixed, styles
from reports.metrics import (
    BASELINE_MEMORY,
    MEBIBYTE,
    MEMORY_ABOVE_BASELINE,
    PEAK_MEMORY,
    PHASES,
    THROUGHPUT,
)

_THICKNESS = 0.62
_SPREAD = 0.28  # of a row, that the dots of a distribution are moved apart by
_ANY = "#7d858f"  # stands for every backend in the key to pale and full
_ROOM = 1.16  # the axis reaches beyond the longest bar, where its value is written


def throughput(title: str, contenders: Sequence[Contender]) -> Figure:
    """Draw bars of the estimates, whiskers from minimum to maximum, and a dot per trial."""
    labels = [contender.label for contender in contenders]
    figure, axes = rows("Throughput, images/s", title, labels)
    for row, (contender, (colour, _)) in enumerate(
        zip(contenders, styles(contenders), strict=True)
    ):
        spread = contender[THROUGHPUT]
        axes.barh(row, spread.value, _THICKNESS, color=colour)
        axes.plot([spread.minimum, spread.maximum], [row, row], color=INK, linewidth=1.3)
        axes.plot(
            contender.throughputs,
            [row] * len(contender.throughputs),
            "o",
            color=INK,
            markersize=4.6,
            markeredgecolor=SURFACE,
            markeredgewidth=0.9,
        )
        _value(axes, row, spread.maximum, THROUGHPUT.show(spread.value))
    _reach(axes, [contender[THROUGHPUT].maximum for contender in contenders])
    return figure


def memory(title: str, contenders: Sequence[Contender]) -> Figure:
    """Draw bars of the peak in two parts: memory after the import, and what the work added.

    A peak whose parts are not known is an outline.
    """
    labels = [contender.label for contender in contenders]
    figure, axes = rows("Peak memory, MiB", title, labels, legend=True)
    colours = hues(contenders)
    for row, contender in enumerate(contenders):
        colour = colours[contender.backend]
        peak, base, above = (
            contender[metric].value / MEBIBYTE
            for metric in (PEAK_MEMORY, BASELINE_MEMORY, MEMORY_ABOVE_BASELINE)
        )
        if math.isfinite(base) and math.isfinite(above):
            axes.barh(row, base, _THICKNESS, color=mixed(colour, 0.55))
            axes.barh(row, above, _THICKNESS, left=base, color=colour)
        else:
            axes.barh(row, peak, _THICKNESS, facecolor="none", edgecolor=MUTED)
        _value(axes, row, peak, PEAK_MEMORY.show(contender[PEAK_MEMORY].value))
    _keys(axes, {"after the import": mixed(_ANY, 0.55), "added by the work": _ANY})
    _reach(axes, [contender[PEAK_MEMORY].value / MEBIBYTE for contender in contenders])
    legend_above(figure, axes)
    return figure


def phases(title: str, contenders: Sequence[Contender]) -> Figure:
    """Draw bars of the seconds of each phase, end to end, without unknown phases."""
    labels = [contender.label for contender in contenders]
    figure, axes = rows("Seconds in each phase", title, labels, legend=True)
    totals = []
    for row, contender in enumerate(contenders):
        left = 0.0
        medians = [contender[phase].value for phase in PHASES]
        for seconds, colour in zip(medians, PHASE_COLOURS, strict=True):
            if math.isfinite(seconds):
                axes.barh(row, seconds, _THICKNESS, left=left, color=colour)
                left += seconds
        is_whole = all(math.isfinite(seconds) for seconds in medians)
        _value(axes, row, left, f"{left:,.1f}" if is_whole else f"at least {left:,.1f}")
        totals.append(left)
    _keys(axes, dict(zip((phase.title.lower() for phase in PHASES), PHASE_COLOURS, strict=True)))
    _reach(axes, totals)
    legend_above(figure, axes)
    return figure


def _value(axes: Axes, row: int, end: float, text: str) -> None:
    """Write the value behind the bar's end, or at the axis if the bar's length is unknown."""
    place = end if math.isfinite(end) else 0.0
    axes.annotate(
        text, (place, row), (7, 0), textcoords="offset points", va="center_baseline", size=10
    )


def _keys(axes: Axes, colours: dict[str, str]) -> None:
    for label, colour in colours.items():
        axes.bar(0, 0, color=colour, label=label)


def _reach(axes: Axes, ends: Sequence[float]) -> None:
    longest = max((end for end in ends if math.isfinite(end)), default=0.0)
    axes.set_xlim(0, longest * _ROOM or 1.0)


def strips(
    title: str,
    subtitle: str,
    contenders: Sequence[Contender],
    values: Sequence[npt.NDArray[np.float64]],
) -> Figure:
    """A dot for each value, a bar from the 5th to the 95th percentile, a notch at the median."""
    figure, axes = rows(title, subtitle, [contender.label for contender in contenders])
    axes.set_xscale("log")
    for row, ((colour, _), own) in enumerate(zip(styles(contenders), values, strict=True)):
        apart = row + _SPREAD * np.linspace(-1, 1, len(own))
        axes.plot(own, apart, "o", color=colour, markersize=2.2, alpha=0.5)
        low, middle, high = np.percentile(own, (5, 50, 95))
        axes.plot([low, high], [row, row], color=INK, linewidth=1.3)
        axes.plot([middle], [row], "|", color=INK, markersize=12, markeredgewidth=2.4)
        axes.plot([middle], [row], "|", color=SURFACE, markersize=6, markeredgewidth=0.8)
    return figure
