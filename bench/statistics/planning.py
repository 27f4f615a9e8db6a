"""How many repeats are needed to decide a pair."""

import math
from collections.abc import Callable

from scipy.special import stdtrit

from bench.statistics.ratios import SIGNIFICANCE

POWER = 0.9
MOST_REPEATS = 100_000


def repeats_to_decide(
    difference: float,
    spread: float,
    freedom: float = 1.0,
    comparisons: int = 1,
    margin: float = 0.05,
    significance: float = SIGNIFICANCE,
    chance: float = POWER,
) -> int | None:
    """Find the smallest number of repeats that shows a difference, or that there is none.

    Two contenders are shown to be the same if the interval of their ratio is within the margin
    (Schuirmann 1987), so what must be measured is the distance of the true ratio from 1 or from
    the margin, whichever is larger. A ratio near half the margin needs most.

    Args:
        difference: absolute logarithm of the true ratio.
        spread: standard deviation of the logarithm of the ratio of one pair of trials. If both
            contenders vary equally from trial to trial, it is sqrt(2) times their variation.
        freedom: degrees of freedom of the spread per repeat after the first; above 1 if variances
            are estimated from several contenders.
        comparisons: number of pairs in the family.
        margin: contenders within this share of each other are the same; 0.05 means 5 %.
        significance: share of families that may contain a false claim.
        chance: the required probability that the pair is decided.

    Returns:
        2 or more; None if `MOST_REPEATS` are not enough.
    """
    distance = max(difference, math.log1p(margin) - difference)

    def is_enough(repeats: int) -> bool:
        freedoms = freedom * (repeats - 1)
        needed = stdtrit(freedoms, 1 - significance / comparisons / 2) + stdtrit(freedoms, chance)
        return bool(math.sqrt(repeats) * distance >= needed * spread)

    return _fewest(is_enough)


def _fewest(is_enough: Callable[[int], bool]) -> int | None:
    """Find the smallest number of repeats that is enough; None if it is above `MOST_REPEATS`."""
    low, high = 1, 2
    while not is_enough(high):
        if high == MOST_REPEATS:
            return None
        low, high = high, min(2 * high, MOST_REPEATS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high
