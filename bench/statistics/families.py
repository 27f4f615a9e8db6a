"""Comparisons of several contenders: all pairs, corrected for their number, and ranks."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from bench.statistics.ratios import (
    CONFIDENCE,
    Ratio,
    Verdict,
    independent_ratio,
    paired_ratio,
    paired_ratios,
)

Pair = tuple[int, int]


class Sample(NamedTuple):
    """A contender's values.

    Attributes:
        run: the run that the values are from; contenders of one run share its blocks.
        blocks: the value in each block, by the block's number.
    """

    run: str
    blocks: Mapping[int, float]


class Family(NamedTuple):
    """The comparison of all pairs of contenders, which are referred to by position.

    Attributes:
        ratios: for each pair, the first contender's value divided by the second's.
        p_values: for each pair with enough trials, after Holm's correction.
        ranks: of each contender; None if it has too few trials for any comparison.
    """

    ratios: Mapping[Pair, Ratio]
    p_values: Mapping[Pair, float]
    ranks: tuple[int | None, ...]

    def ratio(self, first: int, second: int) -> Ratio:
        """Return the first contender's value as a multiple of the second's."""
        if (first, second) in self.ratios:
            return self.ratios[first, second]
        return self.ratios[second, first].inverse

    def verdict(self, first: int, second: int) -> Verdict:
        """Return whether the first contender's value is higher or lower than the second's."""
        pair = min(first, second), max(first, second)
        return self.ratio(first, second).verdict(p_value=self.p_values.get(pair))

    def reordered(self, places: Sequence[int]) -> "Family":
        """Return the same family in another order, starting with the contender at `places[0]`."""
        pairs = {
            (new, other): (places[new], places[other])
            for new, other in combinations(range(len(places)), 2)
        }
        known = {
            pair: self.p_values[min(old), max(old)]
            for pair, old in pairs.items()
            if (min(old), max(old)) in self.p_values
        }
        ratios = {pair: self.ratio(*old) for pair, old in pairs.items()}
        return Family(ratios, known, tuple(self.ranks[place] for place in places))


def compare_all(samples: Sequence[Sample], confidence: float = CONFIDENCE) -> Family:
    """Compare every pair of contenders; higher values are better.

    A contender's rank is one more than the number of contenders that are significantly better, so
    all contenders that do not differ significantly from the best share rank 1. At most one family
    in twenty contains a false claim.

    Args:
        samples: of each contender.
        confidence: how often the intervals of ratios contain the true ratio.
    """
    pairs = list(combinations(range(len(samples)), 2))
    ratios = dict(zip(pairs, ratios_of(samples, pairs, confidence), strict=True))
    known = {pair: ratio.p_value for pair, ratio in ratios.items() if ratio.is_known}
    p_values = dict(zip(known, holm(list(known.values())), strict=True))
    unranked = Family(ratios, p_values, ())
    ranks = tuple(_rank(unranked, place, len(samples)) for place in range(len(samples)))
    return unranked._replace(ranks=ranks)


def ratios_of(
    samples: Sequence[Sample], pairs: Sequence[Pair], confidence: float = CONFIDENCE
) -> list[Ratio]:
    """Compute the ratio of each pair of samples; see `ratio_of`.

    Samples that are all from the same blocks of one run, the usual case, are computed at once.

    Args:
        samples: of each contender.
        pairs: positions of two samples each.
        confidence: how often the intervals contain the true ratio.
    """
    runs = {sample.run for sample in samples}
    blocks = {tuple(sorted(sample.blocks)) for sample in samples}
    if pairs and len(runs) == 1 and len(blocks) == 1 and len(next(iter(blocks))) > 1:
        (shared,) = blocks
        values = [[sample.blocks[block] for block in shared] for sample in samples]
        return paired_ratios(values, pairs, confidence)
    return [ratio_of(samples[first], samples[second], confidence) for first, second in pairs]


def ratio_of(first: Sample, second: Sample, confidence: float = CONFIDENCE) -> Ratio:
    """Compute a ratio: paired if the samples share two blocks or more, otherwise independent."""
    shared = sorted(first.blocks.keys() & second.blocks.keys())
    if first.run == second.run and len(shared) > 1:
        return paired_ratio(
            [first.blocks[block] for block in shared],
            [second.blocks[block] for block in shared],
            confidence,
        )
    return independent_ratio([*first.blocks.values()], [*second.blocks.values()], confidence)


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number by Holm's step-down method (Holm 1979).

    If differences with a corrected p-value of at most 0.05 are claimed, at most 5 % of all families
    contain a false claim, even if the pairs depend on each other.

    Args:
        p_values: of all pairs of a family.

    Returns:
        The corrected p-values, in the same order.
    """
    corrected = [1.0] * len(p_values)
    largest = 0.0
    for done, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - done) * p_values[place]))
        corrected[place] = largest
    return corrected


def _rank(family: Family, place: int, size: int) -> int | None:
    others = [other for other in range(size) if other != place]
    verdicts = [family.verdict(other, place) for other in others]
    if others and set(verdicts) == {"not known"}:
        return None
    return 1 + verdicts.count("higher")
