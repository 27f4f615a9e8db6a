"""How many repeats are needed to show a difference."""

import math

from scipy.special import nctdtr, stdtrit

from bench.statistics.ratios import CONFIDENCE

POWER = 0.9
MOST_REPEATS = 100_000


def power(
    effect: float, spread: float, repeats: int, comparisons: int = 1, confidence: float = CONFIDENCE
) -> float:
    """Compute how likely paired repeats show a difference, by the noncentral t distribution.

    Args:
        effect: the difference; 0.05 means 5 % slower.
        spread: standard deviation of the logarithm of the ratio of one pair of trials. If both
            contenders vary equally from trial to trial, it is sqrt(2) times their variation.
        repeats: number of blocks, 2 or more.
        comparisons: number of pairs in the family. The difference counts as shown if it passes
            the first and strictest step of Holm's method.
        confidence: 1 minus the share of families that may contain a false claim.
    """
    if spread == 0:
        return 1.0
    freedom = repeats - 1
    critical = float(stdtrit(freedom, 1 - (1 - confidence) / comparisons / 2))
    shift = math.sqrt(repeats) * -math.log1p(-effect) / spread
    # From here on, practically the whole distribution is above the critical value.
    return 1.0 if shift > 2 * critical + 40 else 1 - float(nctdtr(freedom, shift, critical))


def repeats_needed(
    effect: float,
    spread: float,
    comparisons: int = 1,
    chance: float = POWER,
    confidence: float = CONFIDENCE,
) -> int | None:
    """Find the smallest number of paired repeats that shows a difference; see `power`.

    Args:
        effect: as for `power`.
        spread: as for `power`.
        comparisons: as for `power`.
        chance: the required probability of showing the difference.
        confidence: as for `power`.

    Returns:
        2 or more; None if `MOST_REPEATS` are not enough.
    """
    low, high = 1, 2
    while power(effect, spread, high, comparisons, confidence) < chance:
        if high == MOST_REPEATS:
            return None
        low, high = high, min(2 * high, MOST_REPEATS)
    while high - low > 1:
        middle = (low + high) // 2
        enough = power(effect, spread, middle, comparisons, confidence) >= chance
        low, high = (low, middle) if enough else (middle, high)
    return high
