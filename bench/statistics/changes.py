"""Change points of a series: where its level moved, by least squares with a penalty a move."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.statistics.errors import logarithms

FEWEST = 7  # values: below, the noise from value to value is not known well enough
_PENALTY = 8.0  # times variance and ln n for each change: BIC has 3, for a noise that is known


def change_points(values: Sequence[float]) -> list[int]:
    """The positions at which a new level of the logarithms begins.

    Optimal partitioning (Jackson et al. 2005) of the squared residuals. The noise is taken from
    the differences of neighbours by their median, so that a few jumps do not raise it.

    Args:
        values: positive, in order of time.

    Returns:
        Positions above 0; none for fewer than `FEWEST` values.

    Raises:
        bench.statistics.errors.SampleError: no values, or one that is not a positive number.
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
    """Of one value; never 0, so that equal values make no change points."""
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
