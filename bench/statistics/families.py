"""Several contenders: every pair compared, corrected for their number, and ranked."""

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
        run: values of one run share its blocks.
        blocks: the value by the number of its block.
    """

    run: str
    blocks: Mapping[int, float]


class Family(NamedTuple):
    """Every pair of some contenders, by position.

    Attributes:
        ratios: of the contender at the first position to that at the second.
        p_values: after Holm's correction; only of pairs with enough trials.
        ranks: of each contender; None where it has too few trials to be compared with any other.
    """

    ratios: Mapping[Pair, Ratio]
    p_values: Mapping[Pair, float]
    ranks: tuple[int | None, ...]

    def ratio(self, first: int, second: int) -> Ratio:
        """The first contender's value as a multiple of the second's."""
        if (first, second) in self.ratios:
            return self.ratios[first, second]
        return self.ratios[second, first].inverse

    def verdict(self, first: int, second: int) -> Verdict:
        """Whether the first contender's value is shown to be higher or lower."""
        pair = min(first, second), max(first, second)
        return self.ratio(first, second).verdict(p_value=self.p_values.get(pair))

    def reordered(self, places: Sequence[int]) -> "Family":
        """The same family with the contender at `places[0]` first, and so on."""
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


def compared(samples: Sequence[Sample], confidence: float = CONFIDENCE) -> Family:
    """Compare every pair of contenders; higher values are better.

    A contender's rank is one more than the number of contenders that are shown to be better;
    at most one family in twenty holds a false claim. So contenders that cannot be told apart from
    the best share rank 1, and a rank never says more than was shown.
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
    """The ratio of each pair of samples, by their positions; see `ratio_of`.

    All at once where all share one run and its blocks, as they mostly do.
    """
    runs = {sample.run for sample in samples}
    blocks = {tuple(sorted(sample.blocks)) for sample in samples}
    if pairs and len(runs) == 1 and len(blocks) == 1 and len(next(iter(blocks))) > 1:
        (shared,) = blocks
        values = [[sample.blocks[block] for block in shared] for sample in samples]
        return paired_ratios(values, pairs, confidence)
    return [ratio_of(samples[first], samples[second], confidence) for first, second in pairs]


def ratio_of(first: Sample, second: Sample, confidence: float = CONFIDENCE) -> Ratio:
    """Paired by the blocks that both have; independent where they share fewer than two."""
    shared = sorted(first.blocks.keys() & second.blocks.keys())
    if first.run == second.run and len(shared) > 1:
        return paired_ratio(
            [first.blocks[block] for block in shared],
            [second.blocks[block] for block in shared],
            confidence,
        )
    return independent_ratio([*first.blocks.values()], [*second.blocks.values()], confidence)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values corrected for their number, step down (Holm 1979), in the order received.

    Claiming what is at most 0.05 afterwards claims a false difference anywhere among them in at
    most 5 % of all families, whatever the dependence between the pairs.
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
