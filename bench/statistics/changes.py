"""Change points of a series: least squares with a penalty for each change of level."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.statistics.samples import logarithms

FEWEST = 7  # values; with fewer, the estimate of their noise is too uncertain
# Per change, as a multiple of variance times ln n. BIC uses 3, but assumes a known variance.
_PENALTY = 8.0


def change_points(values: Sequence[float]) -> list[int]:
    """Find the positions at which a new level of the logarithms begins.

    Optimal partitioning (Jackson et al. 2005) of the squared residuals. The noise is estimated from
    the median of the differences between neighbours, so that a few changes do not increase it.

    Args:
        values: positive, in chronological order.

    Returns:
        Positions above 0; an empty list for fewer than `FEWEST` values.

    Raises:
        bench.statistics.samples.SampleError: there are no values, or one is not positive.
    """
    logs = logarithms(values)
    size = len(logs)
    if size < FEWEST:
        return []
    penalty = _PENALTY * _variance(logs) * np.log(size)
    sums = np.concatenate([[0.0], np.cumsum(logs)])
    squares = np.concatenate([[0.0], np.cumsum(logs**2)])
    best = np.zeros(size + 1)
    best[0] = -penalty
    previous = np.zeros(size + 1, dtype=int)
    for end in range(1, size + 1):
        starts = np.arange(end)
        residuals = squares[end] - squares[starts]
        residuals -= (sums[end] - sums[starts]) ** 2 / (end - starts)
        costs = best[starts] + residuals + penalty
        previous[end] = int(np.argmin(costs))
        best[end] = costs[previous[end]]
    return _walk_back(previous)


def _variance(logs: NDArray[np.float64]) -> float:
    """Estimate the variance of one value; above 0, so that equal values have no change points."""
    steps = np.diff(logs)
    deviation = 1.4826 * float(np.median(np.abs(steps - np.median(steps)))) / np.sqrt(2)
    return float(max(deviation, 1e-3) ** 2)


def _walk_back(previous: NDArray[np.int_]) -> list[int]:
    found = []
    end = len(previous) - 1
    while previous[end] > 0:
        end = int(previous[end])
        found.append(end)
    return found[::-1]
