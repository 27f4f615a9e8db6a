"""How many repeats a difference takes, and how small a difference some repeats can show."""

import math

from scipy.special import nctdtr, stdtrit

from bench.statistics.ratios import CONFIDENCE

POWER = 0.9
MOST_REPEATS = 100_000


def power(
    effect: float, spread: float, repeats: int, comparisons: int = 1, confidence: float = CONFIDENCE
) -> float:
    """How likely so many paired repeats show a difference: the noncentral t distribution.

    Args:
        effect: the difference: 0.05 is 5 % slower.
        spread: standard deviation of the logarithm of the ratio of one pair of trials. For two
            contenders of the same trial-to-trial spread it is the square root of 2 times that.
        repeats: blocks, 2 or more.
        comparisons: pairs in the family; the pair counts as shown when it passes Holm's first and
            strictest step.
        confidence: 1 less the share of families with a false claim.
    """
    if spread == 0:
        return 1.0
    freedom = repeats - 1
    critical = float(stdtrit(freedom, 1 - (1 - confidence) / comparisons / 2))
    shift = math.sqrt(repeats) * -math.log1p(-effect) / spread
    # Beyond this the distribution lies far above any critical value that repeats can meet.
    return 1.0 if shift > 2 * critical + 40 else 1 - float(nctdtr(freedom, shift, critical))


def repeats_needed(
    effect: float,
    spread: float,
    comparisons: int = 1,
    chance: float = POWER,
    confidence: float = CONFIDENCE,
) -> int | None:
    """The fewest paired repeats that show a difference with that chance; see `power`.

    Returns:
        2 or more; None where `MOST_REPEATS` are too few.
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
