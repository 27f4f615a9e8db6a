"""Simulated throughputs with known true values, and noise as it occurs on real machines."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
# Draws noise of a shape (rounds, contenders). Its standard deviation is about 1; negative noise
# makes a trial slower.
Shape = Callable[[np.random.Generator, tuple[int, int]], Values]

_OUTLIERS = 0.05  # share of outliers
_OUTLIER_SIZE = 10.0  # slowdown of an outlier, in standard deviations
_DRIFT = 5.0  # change from one round to the next, in standard deviations
_UNEQUAL = 5.0  # factor of the standard deviation for every second contender


def normal(random: np.random.Generator, shape: tuple[int, int]) -> Values:
    """Draw from a normal distribution."""
    return random.standard_normal(shape)


def skewed(random: np.random.Generator, shape: tuple[int, int]) -> Values:
    """Draw from an exponential distribution: interruptions only slow a trial down."""
    return -random.exponential(size=shape)


def outliers(random: np.random.Generator, shape: tuple[int, int]) -> Values:
    """Draw from a normal distribution, with 5 % of the trials badly disturbed."""
    disturbed = random.random(shape) < _OUTLIERS
    return random.standard_normal(shape) - _OUTLIER_SIZE * disturbed


def drift(random: np.random.Generator, shape: tuple[int, int]) -> Values:
    """Draw from a normal distribution around a random walk that all trials of a round share."""
    walk = np.cumsum(_DRIFT * random.standard_normal((shape[0], 1)), axis=0)
    common: Values = random.standard_normal(shape) + walk
    return common


def unequal(random: np.random.Generator, shape: tuple[int, int]) -> Values:
    """Draw from normal distributions, five times as wide for every second contender."""
    widths = np.where(np.arange(shape[1]) % 2, _UNEQUAL, 1.0)
    values: Values = random.standard_normal(shape) * widths
    return values


SHAPES: dict[str, Shape] = {
    "normal": normal,
    "skewed": skewed,
    "outliers": outliers,
    "drift": drift,
    "unequal": unequal,
}


def throughputs(
    random: np.random.Generator,
    shape: Shape,
    blocks: int,
    spread: float,
    speeds: Sequence[float],
) -> Values:
    """Simulate the throughputs of contenders.

    Args:
        random: source of the noise.
        shape: shape of the noise.
        blocks: number of rounds.
        spread: relative standard deviation from trial to trial: 0.02 is 2 %.
        speeds: true throughput of each contender.

    Returns:
        (rounds, contenders) throughputs.
    """
    noise = np.exp(spread * shape(random, (blocks, len(speeds))))
    values: Values = np.asarray(speeds) * noise
    return values
