"""Test accuracy over training: against seconds, and against epochs."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from reports.analysis.contenders import Contender, Curve
from reports.display import shortened
from reports.figures.canvas import LONGEST_LABEL, MOST_TRIALS, TOP, WIDTH, panel, sheet
from reports.figures.palette import Line, styles

_HEIGHT = 3.1  # inches of a panel
_GAP = 0.45
_BOTTOM = 0.5
_LOGARITHMIC_FROM = 12.0  # times as long as the fastest that the slowest takes


def accuracy(title: str, contenders: Sequence[Contender]) -> Figure:
    """Draw a line per contender with medians over its trials, and a thin line per trial."""
    labels = [shortened(contender.label, LONGEST_LABEL) for contender in contenders]
    names = 0.85 + 0.073 * max(len(label) for label in labels)
    width = (WIDTH - 0.6 - _GAP - names) / 2
    height = max(_HEIGHT, 0.24 * len(contenders))
    figure = sheet("Test accuracy over training, %", title, TOP + height + _BOTTOM)
    seconds = panel(figure, 0.6, _BOTTOM, width, height)
    epochs = panel(figure, 0.6 + width + _GAP, _BOTTOM, width, height)
    drawn = list(zip(contenders, styles(contenders), strict=True))
    for contender, style in drawn:
        for curve in contender.trial_curves[:MOST_TRIALS]:
            _lines(seconds, epochs, curve, style, linewidth=0.8, alpha=0.3)
        _lines(seconds, epochs, contender.curve, style, linewidth=1.9, marker="o", markersize=4)
    _time_axis(seconds, [contender.curve for contender in contenders])
    _epoch_axis(epochs, seconds)
    handles = [
        Line2D([], [], color=colour, linestyle=line, linewidth=1.9) for _, (colour, line) in drawn
    ]
    epochs.legend(
        handles,
        labels,
        loc="upper left",
        bbox_to_anchor=(1.02, 1.02),
        frameon=False,
        handlelength=2.3,
        borderaxespad=0,
        fontsize=10,
    )
    return figure


def _lines(
    seconds: Axes, epochs: Axes, curve: Curve, style: tuple[str, Line], **look: object
) -> None:
    colour, line = style
    accuracies = [100 * value for value in curve.accuracies]
    for axes, where in ((seconds, curve.seconds), (epochs, curve.epochs)):
        axes.plot(where, accuracies, color=colour, linestyle=line, **look)  # type: ignore[arg-type]


def _time_axis(axes: Axes, curves: Sequence[Curve]) -> None:
    ends = [curve.seconds[-1] for curve in curves if curve.seconds]
    plain_number = FuncFormatter(lambda value, _: f"{value:,.10g}")
    if ends and min(ends) > 0 and max(ends) / min(ends) > _LOGARITHMIC_FROM:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(10, (1, 2, 5), numticks=8))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("seconds of training, logarithmic", size=9.5)
    else:
        axes.set_xlim(left=0)
        axes.set_xlabel("seconds of training", size=9.5)
    axes.xaxis.set_major_formatter(plain_number)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.tick_params(which="both", length=0)
    axes.grid(linewidth=0.8)


def _epoch_axis(axes: Axes, other: Axes) -> None:
    axes.sharey(other)
    axes.tick_params(labelleft=False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
    axes.set_xlabel("epochs", size=9.5)
    axes.grid(linewidth=0.8)
