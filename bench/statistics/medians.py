"""The median of a contender's trials with its interval."""

import math
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, stdtrit

from bench.statistics.errors import logarithms
from bench.statistics.ratios import CONFIDENCE

# The range of five values holds the median in 1 - 2/2**5 = 93.75 % of all cases, that of six in
# 96.9 %: below six no 95 % interval can be read from the order of the values alone.
ORDERED_FROM = 6


class Median(NamedTuple):
    """A median and the interval that holds the true one; not a number for a single trial's."""

    estimate: float
    low: float
    high: float


def median_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Median:
    """The median with its interval.

    From six values on the interval lies between order statistics (Hettmansperger and Sheather
    1986) and assumes no shape of the noise. With fewer it is Student's t on logarithms, which
    takes the logarithms for normal.

    Args:
        values: a positive value for each trial.
        confidence: how often such intervals hold the true median.

    Raises:
        bench.statistics.errors.SampleError: no values, or one that is not a positive number.
    """
    logs = np.sort(logarithms(values))
    if len(logs) < 2:
        low, high = math.nan, math.nan
    elif len(logs) < ORDERED_FROM:
        low, high = _student(logs, confidence)
    else:
        low, high = _ordered(logs, confidence)
    return Median(float(np.median(values)), math.exp(low), math.exp(high))


def _student(logs: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    size = len(logs)
    reach = stdtrit(size - 1, (1 + confidence) / 2) * np.std(logs, ddof=1) / math.sqrt(size)
    return float(np.mean(logs) - reach), float(np.mean(logs) + reach)


def _ordered(logs: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    """Between the order statistics whose intervals are just wider and just narrower."""
    size = len(logs)
    depth, inward = _places(size, confidence)
    low = logs[depth - 1] + inward * (logs[depth] - logs[depth - 1])
    high = logs[size - depth] - inward * (logs[size - depth] - logs[size - depth - 1])
    return float(low), float(high)


@cache
def _places(size: int, confidence: float) -> tuple[int, float]:
    """The depth of the wider interval's ends, and how far inward from them, of so many values."""
    depth = max(d for d in range(1, size // 2 + 1) if _coverage(d, size) >= confidence)
    wide, narrow = _coverage(depth, size), _coverage(depth + 1, size)
    share = (wide - confidence) / (wide - narrow)
    return depth, (size - depth) * share / (depth + (size - 2 * depth) * share)


def _coverage(depth: int, size: int) -> float:
    """How often the values at that depth from either end enclose the median."""
    return 1 - 2 * float(bdtr(depth - 1, size, 0.5))
