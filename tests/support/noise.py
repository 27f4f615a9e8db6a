"""Simulated trials whose truth is known, in the shapes that the noise of machines has."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
# (random numbers, values asked for): standard deviation about 1, negative is slower.
Shape = Callable[[np.random.Generator, tuple[int, int]], Values]

_OUTLIERS = 0.05  # one trial in twenty
_OUTLIER_SIZE = 10.0  # is slowed by ten times the usual spread
_DRIFT = 5.0  # a block differs from the next by five times the spread within it
_UNEQUAL = 5.0  # every second contender is so many times noisier


def normal(random: np.random.Generator, shape: tuple[int, int]) -> Values:
    """The usual bell."""
    return random.standard_normal(shape)


def skewed(random: np.random.Generator, shape: tuple[int, int]) -> Values:
    """A best speed that interruptions lower: exponential."""
    return -random.exponential(size=shape)


def outliers(random: np.random.Generator, shape: tuple[int, int]) -> Values:
    """The bell, and one trial in twenty that something disturbed badly."""
    disturbed = random.random(shape) < _OUTLIERS
    return random.standard_normal(shape) - _OUTLIER_SIZE * disturbed


def drift(random: np.random.Generator, shape: tuple[int, int]) -> Values:
    """The bell on a random walk that all trials of a block have in common."""
    walk = np.cumsum(_DRIFT * random.standard_normal((shape[0], 1)), axis=0)
    common: Values = random.standard_normal(shape) + walk
    return common


def unequal(random: np.random.Generator, shape: tuple[int, int]) -> Values:
    """The bell, five times as wide for every second contender."""
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
    """Throughputs of contenders over blocks, (blocks, contenders).

    Args:
        random: where the noise comes from.
        shape: of the noise.
        blocks: how many.
        spread: from trial to trial: 0.02 is 2 %.
        speeds: each contender's, without noise.
    """
    noise = np.exp(spread * shape(random, (blocks, len(speeds))))
    values: Values = np.asarray(speeds) * noise
    return values
