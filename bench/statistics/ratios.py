"""The ratio of two contenders with its interval: Student's t on logarithms.

Throughputs are compared as ratios, and ratios are symmetric on the logarithmic scale: a is as
many times b as b is a fraction of a. The estimate is the geometric mean of the ratios.
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit

from bench.statistics.errors import SampleError, logarithms

CONFIDENCE = 0.95
SIGNIFICANCE = 0.05  # how often, at most, a difference is claimed where there is none

Verdict = Literal["higher", "lower", "no measurable difference", "not known"]


class Ratio(NamedTuple):
    """The first contender's value as a multiple of the second's.

    Attributes:
        estimate: ratio of the geometric means.
        low: where the interval begins; 0 where there are too few trials for one.
        high: where it ends; infinite where there are too few trials for one.
        p_value: how likely a ratio so far from 1 is where the two are equal; 1 where nothing can
            be told.
        spread: standard deviation of the logarithm of the ratio of one pair of trials: 0.02 is
            2 %. Not a number where nothing can be told.
        trials: pairs, or trials of the contender that has fewer.
    """

    estimate: float
    low: float
    high: float
    p_value: float
    spread: float
    trials: int

    @property
    def is_known(self) -> bool:
        """Whether there were enough trials for an interval."""
        return math.isfinite(self.high)

    @property
    def inverse(self) -> "Ratio":
        """The second contender's value as a multiple of the first's."""
        low = 1 / self.high if self.is_known else 0.0
        high = 1 / self.low if self.is_known else math.inf
        return self._replace(estimate=1 / self.estimate, low=low, high=high)

    @property
    def reach(self) -> float:
        """How far the interval reaches to either side, as a share of the estimate: 0.02 is 2 %."""
        return self.high / self.estimate - 1

    def verdict(
        self, significance: float = 1 - CONFIDENCE, p_value: float | None = None
    ) -> Verdict:
        """Whether the first contender's value is higher or lower than the second's.

        Args:
            significance: how often, at most, a difference may be claimed where there is none.
            p_value: of this pair after a correction for several; its own otherwise.
        """
        if not self.is_known:
            return "not known"
        if (self.p_value if p_value is None else p_value) > significance:
            return "no measurable difference"
        return "higher" if self.estimate > 1 else "lower"


def paired_ratio(
    first: Sequence[float], second: Sequence[float], confidence: float = CONFIDENCE
) -> Ratio:
    """The ratio of two contenders that ran in the same blocks: Student's paired t on logarithms.

    What a block has in common, a slow hour for example, drops out of each pair.

    Args:
        first: a positive value for each block.
        second: likewise, in the same order of blocks.
        confidence: how often such intervals hold the true ratio.

    Raises:
        SampleError: the lengths differ, there are no values, or one is not a positive number.
    """
    if len(first) != len(second):
        raise SampleError(
            f"received {len(first)} and {len(second)} values, expected one of each for every block"
        )
    return paired_ratios([first, second], [(0, 1)], confidence)[0]


def paired_ratios(
    values: Sequence[Sequence[float]],
    pairs: Sequence[tuple[int, int]],
    confidence: float = CONFIDENCE,
) -> list[Ratio]:
    """The ratios of pairs of contenders that all ran in the same blocks; see `paired_ratio`.

    Args:
        values: of each contender, a positive value for each block, in the same order of blocks.
        pairs: positions of the two contenders of each ratio.
        confidence: how often such intervals hold the true ratio.

    Raises:
        SampleError: there are no values, or one is not a positive number.
    """
    logs = np.stack([logarithms(each) for each in values])
    first, second = np.array(pairs, np.intp).reshape(-1, 2).T
    differences = logs[first] - logs[second]
    centres = differences.mean(axis=1).tolist()
    blocks = logs.shape[1]
    if blocks < 2:
        return [_unknown(centre, blocks) for centre in centres]
    spreads = differences.std(axis=1, ddof=1).tolist()
    return [
        _ratio(centre, spread / math.sqrt(blocks), blocks - 1, spread, blocks, confidence)
        for centre, spread in zip(centres, spreads, strict=True)
    ]


def independent_ratio(
    first: Sequence[float], second: Sequence[float], confidence: float = CONFIDENCE
) -> Ratio:
    """The ratio of two contenders that share no blocks: Welch's t on logarithms.

    Welch's form, with Satterthwaite's degrees of freedom, allows for unequal spreads.

    Args:
        first: a positive value for each trial.
        second: likewise.
        confidence: how often such intervals hold the true ratio.

    Raises:
        SampleError: there are no values, or one is not a positive number.
    """
    samples = logarithms(first), logarithms(second)
    centre = float(np.mean(samples[0]) - np.mean(samples[1]))
    sizes = [len(sample) for sample in samples]
    if min(sizes) < 2:
        return _unknown(centre, min(sizes))
    variances = [float(np.var(sample, ddof=1)) for sample in samples]
    shares = [variance / size for variance, size in zip(variances, sizes, strict=True)]
    error = math.sqrt(sum(shares))
    freedom = _satterthwaite(shares, sizes) if error else 1.0
    return _ratio(centre, error, freedom, math.sqrt(sum(variances)), min(sizes), confidence)


def _satterthwaite(shares: Sequence[float], sizes: Sequence[int]) -> float:
    """Degrees of freedom of a sum of variances of means (Satterthwaite 1946)."""
    weights = [share / sum(shares) for share in shares]
    return 1 / sum(w**2 / (size - 1) for w, size in zip(weights, sizes, strict=True))


def _ratio(
    centre: float, error: float, freedom: float, spread: float, trials: int, confidence: float
) -> Ratio:
    """From the mean logarithm and its standard error."""
    reach = float(stdtrit(freedom, (1 + confidence) / 2)) * error
    return Ratio(
        estimate=math.exp(centre),
        low=math.exp(centre - reach),
        high=math.exp(centre + reach),
        p_value=_p_value(centre, error, freedom),
        spread=spread,
        trials=trials,
    )


def _p_value(centre: float, error: float, freedom: float) -> float:
    """Two-sided; values without any spread differ for certain or not at all."""
    if error == 0:
        return 1.0 if centre == 0 else 0.0
    return float(2 * stdtr(freedom, -abs(centre) / error))


def _unknown(centre: float, trials: int) -> Ratio:
    """One trial shows no spread."""
    return Ratio(math.exp(centre), 0.0, math.inf, 1.0, math.nan, trials)
