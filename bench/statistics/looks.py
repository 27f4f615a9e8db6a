"""Repeated looks at a run that grows: how much of the error rate each look may use."""

from bench.statistics.ratios import SIGNIFICANCE

_EARLY = 0.25  # share of the significance level that all early looks use together


def level(look: int, is_last: bool, significance: float = SIGNIFICANCE) -> float:
    """Return the significance level of one look at the families of a run.

    A run that stops as soon as it finds differences finds too many of them, unless each look is
    stricter. The k-th early look uses the share 1 / 2^(k + 2) of the significance level, all early
    looks together at most a quarter. The last look uses what the earlier ones have left: the whole
    level if it is the only one, and never less than three quarters. The levels add up to at most
    `significance`, so the error rate holds however the looks depend on each other (Bonferroni).

    The last look must not be chosen because of what it shows: it is the one after a fixed number
    of repeats, or when the time is over.

    Args:
        look: number of the look, from 1. The first is after the second repeat, or after the last
            one if nothing is decided earlier.
        is_last: whether the run ends after this look whatever it shows.
        significance: share of all runs that may contain a false claim.
    """
    if is_last:
        return significance * (1 - _EARLY + _EARLY / 2.0 ** (look - 1))
    return significance * _EARLY / 2.0**look
