"""Contenders of the same blocks: their levels, and how much each varies from block to block.

The model is y = level of the contender + level of the block + noise, on logarithms. The noise has
its own variance for each contender: some run at nearly the same speed in every process, others do
not. Two to six blocks are too few to know a variance, so it is pulled towards the variance that
the contenders have in common (Smyth 2004, doi 10.2202/1544-6115.1027).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma

from bench.statistics.samples import RESOLUTION

Values = NDArray[np.float64]

# The common variance counts as much as two blocks for each block of the contender's own, but as
# four degrees of freedom at most: with many blocks, a contender's own variance is known.
_COMMON_PER_OWN = 2.0
_MOST_COMMON = 4.0
# A contender counts at most four times the typical variance towards the common one, so that one
# whose processes run at two speeds does not widen the intervals of the others.
_OUTLYING = 4.0
_MOST_STEPS = 100
_FULL_STEPS = 10  # with three contenders and two blocks, full steps sometimes alternate for ever
_SHORT_STEP = 0.2
_TOLERANCE = 1e-4
_LEAST_FREEDOM = 0.1


class Fit(NamedTuple):
    """The fitted model.

    Attributes:
        levels: (contenders) mean logarithm, at the average of the blocks.
        blocks: (blocks) level of each block; their sum is 0.
        variances: (contenders) of one value around the two levels, after shrinking.
        freedoms: (contenders) degrees of freedom of the variances.
        residual_freedom: degrees of freedom of all residuals together.
        errors: (contenders, contenders) variance of each difference of two levels.
    """

    levels: Values
    blocks: Values
    variances: Values
    freedoms: Values
    residual_freedom: float
    errors: Values

    def pair_freedoms(self) -> Values:
        """Return the (contenders, contenders) degrees of freedom of the differences of levels.

        Satterthwaite's formula for the sum of two variances, at most those of all residuals.
        """
        variances, shares = self.variances, self.variances**2 / self.freedoms
        sums = (variances[:, None] + variances) ** 2 / (shares[:, None] + shares)
        return np.clip(sums, _LEAST_FREEDOM, self.residual_freedom)


def fit(logs: Values) -> Fit:
    """Fit the model by weighted least squares, with weights that follow the variances.

    Each step fits the levels with the inverse variances as weights, and then estimates the
    variances from the residuals: restricted maximum likelihood, if nothing were shrunk. Grubbs
    (1948, doi 10.1080/01621459.1948.10483261) solved the same problem by differences, but his
    estimates can be negative. With two contenders, only the sum of their variances can be known,
    and shrinking does not change it.

    Args:
        logs: (contenders, blocks) logarithms, NaN where a contender has no value. A chain of shared
            blocks connects all contenders, and each has two blocks or more.
    """
    known = np.isfinite(logs)
    variances = np.ones(len(logs))
    for step in range(_MOST_STEPS):
        levels, blocks, spread_of_blocks = _levels(logs, known, 1 / variances)
        own, freedoms = _own_variances(logs, known, levels, blocks, spread_of_blocks, variances)
        target, total = _shrunk(own, freedoms)
        if np.all(np.abs(target - variances) <= _TOLERANCE * variances):
            break
        share = 1.0 if step < _FULL_STEPS else _SHORT_STEP
        variances = variances ** (1 - share) * target**share
    sizes, shares = known.sum(axis=1), known / known.sum(axis=1, keepdims=True)
    of_means = variances / sizes
    between = shares[:, None, :] - shares[None, :, :]
    errors = of_means[:, None] + of_means + _quadratic(between, spread_of_blocks)
    return Fit(levels, blocks, variances, total, float(freedoms.sum()), errors)


def _levels(logs: Values, known: NDArray[np.bool_], weights: Values) -> tuple[Values, ...]:
    """Return levels of contenders and blocks, and the (blocks, blocks) covariance of the latter."""
    sizes = known.sum(axis=1)
    means = np.where(known, logs, 0.0).sum(axis=1) / sizes
    centred = np.where(known, logs - means[:, None], 0.0)
    # The normal equations of the blocks' levels, after those of the contenders are eliminated.
    shared = (known * (weights / sizes)[:, None]).T @ known
    normal = np.diag(weights @ known) - shared
    # The blocks' levels are known up to a constant. Fixing their sum makes the matrix invertible,
    # and changes no difference.
    covariance = np.linalg.inv(normal + weights.mean())
    blocks = covariance @ (weights @ centred)
    return means - known @ blocks / sizes, blocks, covariance


def _own_variances(
    logs: Values,
    known: NDArray[np.bool_],
    levels: Values,
    blocks: Values,
    spread_of_blocks: Values,
    variances: Values,
) -> tuple[Values, Values]:
    """Return each contender's variance from its own residuals, and its degrees of freedom."""
    residuals = np.where(known, logs - levels[:, None] - blocks, 0.0)
    sizes = known.sum(axis=1, keepdims=True)
    towards = known[:, None, :] / sizes[:, :, None] - np.eye(len(blocks))
    leverages = 1 / sizes + _quadratic(towards, spread_of_blocks) / variances[:, None]
    freedoms = np.where(known, 1 - leverages, 0.0).sum(axis=1)
    freedoms = np.maximum(freedoms, _LEAST_FREEDOM / len(logs))
    return (residuals**2).sum(axis=1) / freedoms, freedoms


def _quadratic(vectors: Values, matrix: Values) -> Values:
    """Return v' M v for each vector v of the last axis."""
    forms: Values = (vectors @ matrix * vectors).sum(axis=-1)
    return forms


def _shrunk(own: Values, freedoms: Values) -> tuple[Values, Values]:
    """Return the variances after shrinking, and their degrees of freedom.

    A variance above the common one is not reduced: the contender is shown to vary that much.
    """
    own = np.maximum(own, RESOLUTION**2)
    # The mean logarithm of a variance with few degrees of freedom is too low by a known amount.
    typical = np.exp(np.mean(np.log(own) - digamma(freedoms / 2) + np.log(freedoms / 2)))
    common = np.average(np.minimum(own, _OUTLYING * typical), weights=freedoms)
    prior = np.minimum(_COMMON_PER_OWN * freedoms, _MOST_COMMON)
    pooled = (freedoms * own + prior * common) / (freedoms + prior)
    return np.maximum(pooled, own), freedoms + prior
