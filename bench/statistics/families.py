"""Comparisons of several contenders: all pairs, corrected for their number, order and ranks."""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from bench.statistics.differences import Difference, within_run
from bench.statistics.planning import repeats_to_decide
from bench.statistics.ratios import (
    CONFIDENCE,
    SIGNIFICANCE,
    Ratio,
    independent_ratio,
    paired_ratio,
    unknown_ratio,
    welch,
)
from bench.statistics.samples import logarithms

MARGIN = 0.05  # contenders within 5 % of each other count as the same
_FARTHEST = 700.0  # of an interval's end on the logarithmic scale; the largest number is e^709

Pair = tuple[int, int]
PairVerdict = Literal["faster", "slower", "same", "undecided"]
Values = NDArray[np.float64]


class Sample(NamedTuple):
    """A contender's values.

    Attributes:
        run: the run that the values are from; contenders of one run share its blocks.
        blocks: the value in each block, by the block's number.
    """

    run: str
    blocks: Mapping[int, float]


class RankRange(NamedTuple):
    """The ranks that a contender can have.

    Attributes:
        low: one more than the number of contenders that are shown to be better.
        high: the number of contenders, without those that are shown to be worse.
    """

    low: int
    high: int


class Family(NamedTuple):
    """The comparison of all pairs of contenders, which are referred to by position.

    Attributes:
        estimates: of each contender's value, so that every ratio is the quotient of two of them.
        ratios: for each pair, the first contender's value divided by the second's. The intervals
            are simultaneous: they all contain the true ratios in 95 % of all families. They
            exclude 1 exactly if the pair is shown to differ, or else end there.
        p_values: for each pair with enough trials, after Holm's correction.
        freedoms: degrees of freedom of each pair with enough trials.
        ranks: of each contender; None if it has too few trials for any comparison.
        margin: contenders within this share of each other are the same; 0.05 means 5 %.
        significance: share of families that may contain a false claim.
    """

    estimates: tuple[float, ...]
    ratios: Mapping[Pair, Ratio]
    p_values: Mapping[Pair, float]
    freedoms: Mapping[Pair, float]
    ranks: tuple[RankRange | None, ...]
    margin: float = MARGIN
    significance: float = SIGNIFICANCE

    @property
    def order(self) -> list[int]:
        """The contenders from the best to the worst; those without a rank come last."""
        return sorted(
            range(len(self.ranks)),
            key=lambda place: (self.ranks[place] is None, -self.estimates[place]),
        )

    def ratio(self, first: int, second: int) -> Ratio:
        """Return the first contender's value as a multiple of the second's."""
        if (first, second) in self.ratios:
            return self.ratios[first, second]
        return self.ratios[second, first].inverse

    def verdict(self, first: int, second: int) -> PairVerdict:
        """Return what is shown about the first contender compared with the second.

        A pair that differs by less than the margin, but significantly, is faster or slower.
        """
        ratio = self.ratio(first, second)
        if self.p_values.get(_sorted(first, second), math.inf) <= self.significance:
            return "faster" if ratio.estimate > 1 else "slower"
        is_within = 1 / (1 + self.margin) <= ratio.low and ratio.high <= 1 + self.margin
        return "same" if is_within else "undecided"

    def repeats_needed(self, first: int, second: int) -> int | None:
        """Estimate how many repeats, those so far included, decide the pair.

        It is assumed that the estimated ratio is the true one, so this is a rough figure.

        Returns:
            None for a pair with too few trials, or if `planning.MOST_REPEATS` are not enough.
        """
        pair = _sorted(first, second)
        if pair not in self.freedoms:
            return None
        ratio = self.ratio(*pair)
        return repeats_to_decide(
            difference=abs(math.log(ratio.estimate)),
            spread=ratio.spread,
            freedom=self.freedoms[pair] / (ratio.trials - 1),
            comparisons=len(self.p_values),
            margin=self.margin,
            significance=self.significance,
        )

    def reordered(self, places: Sequence[int]) -> "Family":
        """Return the same family in another order, starting with the contender at `places[0]`."""
        pairs = {
            (new, other): (places[new], places[other])
            for new, other in combinations(range(len(places)), 2)
        }
        known = {pair: old for pair, old in pairs.items() if _sorted(*old) in self.p_values}
        return self._replace(
            estimates=tuple(self.estimates[place] for place in places),
            ratios={pair: self.ratio(*old) for pair, old in pairs.items()},
            p_values={pair: self.p_values[_sorted(*old)] for pair, old in known.items()},
            freedoms={pair: self.freedoms[_sorted(*old)] for pair, old in known.items()},
            ranks=tuple(self.ranks[place] for place in places),
        )


def _sorted(first: int, second: int) -> Pair:
    return (first, second) if first < second else (second, first)


def compare_all(
    samples: Sequence[Sample], margin: float = MARGIN, significance: float = SIGNIFICANCE
) -> Family:
    """Compare every pair of contenders; higher values are better.

    Contenders of one run that share blocks are compared within the blocks, with variances that are
    estimated for each contender and pulled towards the common one (`bench.statistics.blocks`).
    Others are independent samples (Welch). Holm's method corrects the claims that one contender is
    better; Bonferroni's the intervals, which show whether two contenders are the same.

    Args:
        samples: of each contender.
        margin: contenders within this share of each other are the same; 0.05 means 5 %.
        significance: share of families that may contain a false claim.

    Raises:
        bench.statistics.samples.SampleError: a contender has no values, or one is not a positive
            number.
    """
    logs = [logarithms([*sample.blocks.values()]) for sample in samples]
    levels, differences = _differences(samples, logs)
    return _family(logs, levels, differences, margin, significance)


def _differences(
    samples: Sequence[Sample], logs: Sequence[Values]
) -> tuple[Values, dict[Pair, Difference]]:
    """Return the contenders' levels, and each pair that has enough values."""
    levels = np.zeros(len(samples))
    found: dict[Pair, Difference] = {}
    for run in dict.fromkeys(sample.run for sample in samples):
        members = [place for place, sample in enumerate(samples) if sample.run == run]
        numbers = [list(samples[place].blocks) for place in members]
        levels[members], pairs = within_run(numbers, [logs[place] for place in members])
        found |= {(members[one], members[other]): each for (one, other), each in pairs.items()}
    for first, second in combinations(range(len(samples)), 2):
        trials = min(len(logs[first]), len(logs[second]))
        if (first, second) not in found and trials > 1:
            found[first, second] = Difference(*welch(logs[first], logs[second]), trials)
    return levels, found


def _family(
    logs: Sequence[Values],
    levels: Values,
    differences: Mapping[Pair, Difference],
    margin: float,
    significance: float,
) -> Family:
    """Test all pairs, and derive the intervals and the ranks from the tests."""
    known = sorted(differences)
    errors = np.array([differences[pair].error for pair in known])
    freedoms = np.array([differences[pair].freedom for pair in known])
    first, second = np.array(known, np.intp).reshape(-1, 2).T
    centres = levels[first] - levels[second]
    p_values = 2 * stdtr(freedoms, -np.abs(centres) / errors)
    corrected = np.array(holm(p_values.tolist()))
    critical = stdtrit(freedoms, 1 - significance / 2 / max(len(known), 1))
    low, high = _intervals(centres, critical * errors, corrected <= significance)
    columns = np.column_stack([np.exp(centres), np.exp(low), np.exp(high), p_values]).tolist()
    ratios = {
        (one, other): unknown_ratio(
            float(levels[one] - levels[other]),
            min(len(logs[one]), len(logs[other])),
        )
        for one, other in combinations(range(len(logs)), 2)
    }
    for pair, (centre, start, end, p_value) in zip(known, columns, strict=True):
        spread, trials = differences[pair].spread, differences[pair].trials
        ratios[pair] = Ratio(centre, start, end, p_value, spread, trials)
    family = Family(
        estimates=tuple(np.exp(levels).tolist()),
        ratios=ratios,
        p_values=dict(zip(known, corrected.tolist(), strict=True)),
        freedoms=dict(zip(known, freedoms.tolist(), strict=True)),
        ranks=(),
        margin=margin,
        significance=significance,
    )
    return family._replace(ranks=_ranks(family, len(logs)))


def _intervals(
    centres: Values, reaches: Values, is_rejected: NDArray[np.bool_]
) -> tuple[Values, Values]:
    """Return the ends of simultaneous intervals.

    Holm's later steps show more than Bonferroni's intervals do, so an interval that contains 0
    although its pair is shown to differ ends at 0.
    """
    low = centres - np.minimum(reaches, _FARTHEST)
    high = centres + np.minimum(reaches, _FARTHEST)
    low = np.where(is_rejected & (centres > 0), np.maximum(low, 0.0), low)
    high = np.where(is_rejected & (centres < 0), np.minimum(high, 0.0), high)
    return low, high


def _ranks(family: Family, size: int) -> tuple[RankRange | None, ...]:
    better, worse = [0] * size, [0] * size
    for first, second in family.p_values:
        verdict = family.verdict(first, second)
        if verdict in ("faster", "slower"):
            winner, loser = (first, second) if verdict == "faster" else (second, first)
            better[loser] += 1
            worse[winner] += 1
    compared = {place for pair in family.p_values for place in pair}
    return tuple(
        RankRange(1 + better[place], size - worse[place])
        if place in compared or size == 1
        else None
        for place in range(size)
    )


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
