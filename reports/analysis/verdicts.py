"""What a ranking's comparison shows: the pairs, the tiers, and what is undecided."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

from bench.statistics.families import PairVerdict
from bench.statistics.ratios import Ratio
from reports.analysis.rankings import Ranking

# With more undecided pairs, the repeats needed are not estimated: that takes 0.2 ms per pair.
MOST_ESTIMATED = 2_000


class Pair(NamedTuple):
    """Two contenders of a ranking compared.

    Attributes:
        one: label of the contender that comes first in the order.
        other: label of the other contender.
        ratio: throughput of `one` as a multiple of the other's, with its simultaneous interval.
        verdict: about `one` compared with the other.
        repeats_needed: estimate of the repeats that decide the pair, those so far included; None
            if it is decided, if there are too few trials, or if no number is enough.
    """

    one: str
    other: str
    ratio: Ratio
    verdict: PairVerdict
    repeats_needed: int | None


class Undecided(NamedTuple):
    """The pairs that are neither decided nor shown to be the same.

    Attributes:
        pairs: the labels of each.
        repeats: estimate of the further repeats that decide all of them that have enough trials;
            None if there is no estimate.
        seconds: estimate of the time that these repeats take; None if unknown.
    """

    pairs: tuple[tuple[str, str], ...]
    repeats: int | None
    seconds: float | None


def pairs_of(ranking: Ranking, most: int | None = None) -> Iterator[Pair]:
    """Yield each pair of contenders with known throughput, in the ranking's order.

    Args:
        ranking: the ranking.
        most: number of contenders, from the first; None for all.
    """
    family, labels = ranking.family, [contender.label for contender in ranking.timed]
    for first, second in combinations(range(len(labels[:most])), 2):
        verdict = family.verdict(first, second)
        needed = family.repeats_needed(first, second) if verdict == "undecided" else None
        yield Pair(labels[first], labels[second], family.ratio(first, second), verdict, needed)


def number_of_pairs(ranking: Ranking) -> int:
    """Return the number of pairs of contenders with known throughput."""
    return len(ranking.timed) * (len(ranking.timed) - 1) // 2


def tiers_of(ranking: Ranking) -> list[list[int]]:
    """Divide the contenders that have a rank into tiers, by position in the ranking.

    The first contender opens the first tier. Each one that follows belongs to the tier of the one
    before it, unless it is shown to be slower than that tier's first contender: then it opens the
    next tier.
    """
    tiers: list[list[int]] = []
    for place, rank in enumerate(ranking.family.ranks):
        if rank is None:
            continue
        if not tiers or ranking.family.verdict(tiers[-1][0], place) == "faster":
            tiers.append([])
        tiers[-1].append(place)
    return tiers


def leaders_of(ranking: Ranking) -> list[int]:
    """Return the first contender and those that are not shown to be slower, by position.

    Contenders with too few trials for a rank are left out.
    """
    ranked = [place for place, rank in enumerate(ranking.family.ranks) if rank is not None]
    return [place for place in ranked if not place or ranking.family.verdict(0, place) != "faster"]


def undecided_of(ranking: Ranking) -> Undecided:
    """Return the undecided pairs, and what deciding them needs."""
    labels, verdict = [contender.label for contender in ranking.timed], ranking.family.verdict
    places = [
        (first, second)
        for first, second in combinations(range(len(labels)), 2)
        if verdict(first, second) == "undecided"
    ]
    repeats, seconds = _repeats(ranking, places), ranking.repeat_seconds
    return Undecided(
        tuple((labels[first], labels[second]) for first, second in places),
        repeats,
        None if repeats is None or seconds is None else repeats * seconds,
    )


def _repeats(ranking: Ranking, places: Sequence[tuple[int, int]]) -> int | None:
    """Return the further repeats that decide the pair that needs most of them."""
    family, most = ranking.family, 0
    if len(places) > MOST_ESTIMATED:
        return None
    for pair in places:
        if pair in family.freedoms:
            needed = family.repeats_needed(*pair)
            if needed is None:
                return None
            most = max(most, needed - family.ratio(*pair).trials, 1)
    return most or None
