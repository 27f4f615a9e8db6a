"""The typical value of a contender's trials, with a confidence interval."""

import math
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, stdtrit

from bench.statistics.ratios import CONFIDENCE
from bench.statistics.samples import logarithms

# The range of five values contains the median in 1 - 2/2**5 = 93.75 % of all cases, the range of
# six in 96.9 %. With fewer than six values, their order alone gives no 95 % interval.
ORDERED_FROM = 6
_FARTHEST = 700.0  # logarithm of a factor; the largest number is e^709


class Median(NamedTuple):
    """A median with its confidence interval.

    Attributes:
        estimate: the median.
        low: lower end of the interval; NaN for a single trial.
        high: upper end of the interval; NaN for a single trial.
    """

    estimate: float
    low: float
    high: float


def median_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Median:
    """Compute the median with its confidence interval.

    With six values or more, the interval is interpolated between order statistics (Hettmansperger
    and Sheather 1986), which makes no assumption about the distribution. With fewer, it is
    Student's t interval of the logarithms, which assumes that they are normally distributed.

    Args:
        values: a positive value per trial.
        confidence: how often such intervals contain the true median.

    Raises:
        bench.statistics.samples.SampleError: there are no values, or one is not positive.
    """
    logs = np.sort(logarithms(values))
    if len(logs) < 2:
        low, high = math.nan, math.nan
    elif len(logs) < ORDERED_FROM:
        centre, reach = float(np.mean(logs)), _reach(logs, confidence)
        low, high = centre - reach, centre + reach
    else:
        low, high = _ordered(logs, confidence)
    return Median(float(np.median(values)), math.exp(low), math.exp(high))


def interval_factor(values: Sequence[float], confidence: float = CONFIDENCE) -> float:
    """Compute by which factor the interval of a geometric mean extends to either side.

    Student's t on logarithms, which assumes that they are normally distributed.

    Args:
        values: a positive value per trial.
        confidence: how often such intervals contain the true geometric mean.

    Returns:
        1 or more; NaN for a single trial.

    Raises:
        bench.statistics.samples.SampleError: there are no values, or one is not positive.
    """
    logs = logarithms(values)
    return math.exp(min(_reach(logs, confidence), _FARTHEST)) if len(logs) > 1 else math.nan


def _reach(logs: NDArray[np.float64], confidence: float) -> float:
    size = len(logs)
    return float(stdtrit(size - 1, (1 + confidence) / 2) * np.std(logs, ddof=1) / math.sqrt(size))


def _ordered(logs: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    """Interpolate between the next wider and the next narrower interval of order statistics."""
    size = len(logs)
    depth, inward = _places(size, confidence)
    low = logs[depth - 1] + inward * (logs[depth] - logs[depth - 1])
    high = logs[size - depth] - inward * (logs[size - depth] - logs[size - depth - 1])
    return float(low), float(high)


@cache
def _places(size: int, confidence: float) -> tuple[int, float]:
    """Compute the depth of the wider interval's ends and how far to move inward from them."""
    depth = max(d for d in range(1, size // 2 + 1) if _coverage(d, size) >= confidence)
    wide, narrow = _coverage(depth, size), _coverage(depth + 1, size)
    share = (wide - confidence) / (wide - narrow)
    return depth, (size - depth) * share / (depth + (size - 2 * depth) * share)


def _coverage(depth: int, size: int) -> float:
    """Compute how often the values at a depth from either end enclose the median."""
    return 1 - 2 * float(bdtr(depth - 1, size, 0.5))
