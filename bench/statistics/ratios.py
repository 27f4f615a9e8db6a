"""The ratio of two contenders with its confidence interval: Student's t on logarithms.

Throughputs are compared as ratios. On the logarithmic scale, a ratio and its inverse differ only in
sign, so it does not matter which contender comes first. The estimate is the geometric mean of the
ratios of all trials.
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from bench.statistics import SIGNIFICANCE as SIGNIFICANCE
from bench.statistics.samples import RESOLUTION, SampleError, logarithms

CONFIDENCE = 0.95

Verdict = Literal["higher", "lower", "no measurable difference", "not known"]


class Ratio(NamedTuple):
    """The first contender's value as a multiple of the second's.

    Attributes:
        estimate: ratio of the geometric means.
        low: lower end of the interval; 0 if there are too few trials.
        high: upper end of the interval; infinite if there are too few trials.
        p_value: probability of a ratio at least as far from 1 if both are equal; 1 if there are
            too few trials.
        spread: standard deviation of the logarithm of the ratio of one pair of trials; 0.02 means
            2 %. NaN if there are too few trials.
        trials: number of pairs, or of trials of the contender with fewer trials.
    """

    estimate: float
    low: float
    high: float
    p_value: float
    spread: float
    trials: int

    @property
    def is_known(self) -> bool:
        """Return whether there are enough trials for an interval."""
        return math.isfinite(self.high)

    @property
    def inverse(self) -> "Ratio":
        """Return the second contender's value as a multiple of the first's."""
        low = 1 / self.high if self.is_known else 0.0
        high = 1 / self.low if self.is_known else math.inf
        return self._replace(estimate=1 / self.estimate, low=low, high=high)

    @property
    def reach(self) -> float:
        """Return the half-width of the interval as a share of the estimate; 0.02 means 2 %."""
        return self.high / self.estimate - 1

    def verdict(
        self, significance: float = 1 - CONFIDENCE, p_value: float | None = None
    ) -> Verdict:
        """Return whether the first contender's value is higher or lower than the second's.

        Args:
            significance: how often, at most, a difference may be claimed although there is none.
            p_value: after a correction for several pairs; by default this ratio's own.
        """
        if not self.is_known:
            return "not known"
        if (self.p_value if p_value is None else p_value) > significance:
            return "no measurable difference"
        return "higher" if self.estimate > 1 else "lower"


def paired_ratio(
    first: Sequence[float], second: Sequence[float], confidence: float = CONFIDENCE
) -> Ratio:
    """Compute the ratio of two contenders of the same blocks: Student's paired t on logarithms.

    Influences that affect a whole block, for example a slow hour, cancel within each pair.

    Args:
        first: a positive value per block.
        second: a positive value per block, in the same order.
        confidence: how often such intervals contain the true ratio.

    Raises:
        SampleError: the lengths differ, there are no values, or one is not a positive number.
    """
    if len(first) != len(second):
        raise SampleError(
            f"received {len(first)} and {len(second)} values, expected one of each per block"
        )
    return paired_ratios([first, second], [(0, 1)], confidence)[0]


def paired_ratios(
    values: Sequence[Sequence[float]],
    pairs: Sequence[tuple[int, int]],
    confidence: float = CONFIDENCE,
) -> list[Ratio]:
    """Compute the ratios of pairs of contenders of the same blocks; see `paired_ratio`.

    Args:
        values: for each contender a positive value per block, in the same order.
        pairs: positions of the two contenders of each ratio.
        confidence: how often such intervals contain the true ratio.

    Raises:
        SampleError: there are no values, or one is not a positive number.
    """
    logs = np.stack([logarithms(each) for each in values])
    first, second = np.array(pairs, np.intp).reshape(-1, 2).T
    differences = logs[first] - logs[second]
    centres = differences.mean(axis=1).tolist()
    blocks = logs.shape[1]
    if blocks < 2:
        return [unknown_ratio(centre, blocks) for centre in centres]
    spreads = np.maximum(differences.std(axis=1, ddof=1), RESOLUTION).tolist()
    return [
        _ratio(centre, spread / math.sqrt(blocks), blocks - 1, spread, blocks, confidence)
        for centre, spread in zip(centres, spreads, strict=True)
    ]


def independent_ratio(
    first: Sequence[float], second: Sequence[float], confidence: float = CONFIDENCE
) -> Ratio:
    """Compute the ratio of two contenders that share no blocks: Welch's t on logarithms.

    Welch's method, with Satterthwaite's degrees of freedom, allows the contenders to vary
    differently from trial to trial.

    Args:
        first: a positive value per trial.
        second: a positive value per trial.
        confidence: how often such intervals contain the true ratio.

    Raises:
        SampleError: there are no values, or one is not a positive number.
    """
    samples = logarithms(first), logarithms(second)
    centre = float(np.mean(samples[0]) - np.mean(samples[1]))
    trials = min(len(sample) for sample in samples)
    if trials < 2:
        return unknown_ratio(centre, trials)
    error, freedom, spread = welch(*samples)
    return _ratio(centre, error, freedom, spread, trials, confidence)


class Welch(NamedTuple):
    """The uncertainty of the difference of two means of independent samples.

    Attributes:
        error: standard error of the difference.
        freedom: Satterthwaite's degrees of freedom (1946).
        spread: standard deviation of the difference of one value of each sample.
    """

    error: float
    freedom: float
    spread: float


def welch(first: NDArray[np.float64], second: NDArray[np.float64]) -> Welch:
    """Compute the uncertainty of the difference of two means by Welch's method (1947).

    Args:
        first: two logarithms or more.
        second: two logarithms or more.
    """
    sizes = [len(first), len(second)]
    # Half of the square of the resolution each, so that the difference has the resolution.
    variances = [max(float(np.var(each, ddof=1)), RESOLUTION**2 / 2) for each in (first, second)]
    shares = [variance / size for variance, size in zip(variances, sizes, strict=True)]
    weights = [share / sum(shares) for share in shares]
    freedom = 1 / sum(w**2 / (size - 1) for w, size in zip(weights, sizes, strict=True))
    return Welch(math.sqrt(sum(shares)), freedom, math.sqrt(sum(variances)))


def _ratio(
    centre: float, error: float, freedom: float, spread: float, trials: int, confidence: float
) -> Ratio:
    """Make a ratio from the mean logarithm and its standard error."""
    reach = float(stdtrit(freedom, (1 + confidence) / 2)) * error
    return Ratio(
        estimate=math.exp(centre),
        low=math.exp(centre - reach),
        high=math.exp(centre + reach),
        p_value=float(2 * stdtr(freedom, -abs(centre) / error)),
        spread=spread,
        trials=trials,
    )


def unknown_ratio(centre: float, trials: int) -> Ratio:
    """Make a ratio without an interval: one trial does not show how much trials vary."""
    return Ratio(math.exp(centre), 0.0, math.inf, 1.0, math.nan, trials)
