"""Charts of distributions: a row of dots for each contender."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from reports.analysis.contenders import Contender
from reports.figures.canvas import INK, SURFACE, rows
from reports.figures.palette import styles

_SPREAD = 0.28  # of a row, that the dots are moved apart by


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
