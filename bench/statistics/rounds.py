"""The rates of contenders that were measured in turns: one per contender from many short slices.

In each round, every contender trains for a slice of well under a second, in random order. A slice
that another process disturbed is an outlier, and the machine's speed changes from round to round.
Both cancel in the median, over rounds, of the ratio of two contenders.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from bench.statistics.samples import logarithms

Matrix = NDArray[np.float64]


def rates_of(slices: Mapping[str, Mapping[int, float]]) -> dict[str, float]:
    """Compute one rate per contender from the rounds of one repeat.

    The logarithm of each pair's ratio is the median over the rounds that both contenders have.
    Least squares, with a pair's number of rounds as its weight, fits one number per contender to
    all pairs, so that the ratios of the results never contradict each other. The level is the
    median of the contenders' own levels.

    Contenders are connected if a chain of shared rounds leads from one to the other. Only
    connected contenders are compared within rounds; a contender without a connection receives the
    median of its own slices.

    Args:
        slices: for each contender the rate of its undisturbed slices, images/s, by the round's
            number.

    Returns:
        Rates in images/s, in the order of the contenders; none for a contender without slices.

    Raises:
        bench.statistics.samples.SampleError: a rate is not a positive number.
    """
    measured = {name: rates for name, rates in slices.items() if rates}
    if not measured:
        return {}
    logs = _table(measured)
    ratios, shared = _pairs(logs)
    effects = _effects(ratios, shared)
    own_levels = _median_of_known(logs) - effects
    groups = np.zeros(len(logs), np.int_)
    if not shared.all():  # the search takes longer than all the rest
        _, groups = connected_components(shared > 0, directed=False)
    levels = {group: np.median(own_levels[groups == group]) for group in set(groups.tolist())}
    return {
        name: float(np.exp(levels[group] + effect))
        for name, group, effect in zip(measured, groups.tolist(), effects, strict=True)
    }


def _table(slices: Mapping[str, Mapping[int, float]]) -> Matrix:
    """Return the (contenders, rounds) logarithms of the rates; NaN where there is no slice."""
    rounds = sorted({number for rates in slices.values() for number in rates})
    columns = {number: column for column, number in enumerate(rounds)}
    logs = np.full((len(slices), len(rounds)), np.nan)
    for row, rates in enumerate(slices.values()):
        logs[row, [columns[number] for number in rates]] = logarithms(list(rates.values()))
    return logs


def _pairs(logs: Matrix) -> tuple[Matrix, NDArray[np.int_]]:
    """Return the logarithm of each pair's ratio (0 if unknown), and its number of shared rounds."""
    differences = logs[:, None, :] - logs[None, :, :]
    shared = np.isfinite(differences).sum(axis=2)
    return np.where(shared > 0, _median_of_known(differences), 0.0), shared


def _median_of_known(values: Matrix) -> Matrix:
    """Return the median over the last axis without NaN; NaN where nothing is known."""
    ordered = np.sort(values, axis=-1)  # NaN comes last
    known = np.isfinite(ordered).sum(axis=-1, keepdims=True)
    low = np.take_along_axis(ordered, np.maximum(known - 1, 0) // 2, axis=-1)
    high = np.take_along_axis(ordered, np.minimum(known // 2, values.shape[-1] - 1), axis=-1)
    medians: Matrix = ((low + high) / 2)[..., 0]
    return medians


def _effects(ratios: Matrix, shared: NDArray[np.int_]) -> Matrix:
    """Fit a number per contender to the pairs' ratios; those of connected contenders sum to 0."""
    weights = shared - np.diag(np.diag(shared))
    normal = np.diag(weights.sum(axis=1)) - weights
    effects: Matrix = np.linalg.pinv(normal, hermitian=True) @ (weights * ratios).sum(axis=1)
    return effects
