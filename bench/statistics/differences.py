"""Differences between contenders of one run, by way of the blocks that they share."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from bench.statistics.blocks import Fit, fit

Values = NDArray[np.float64]


class Difference(NamedTuple):
    """The uncertainty of the difference of two contenders' levels, on logarithms.

    Attributes:
        error: standard error.
        freedom: degrees of freedom.
        spread: standard deviation of the difference of one value of each contender.
        trials: number of shared blocks, or of values of the contender with fewer.
    """

    error: float
    freedom: float
    spread: float
    trials: int


def within_run(
    blocks: Sequence[Sequence[int]], logs: Sequence[Values]
) -> tuple[Values, dict[tuple[int, int], Difference]]:
    """Compare the contenders of one run that share blocks.

    Args:
        blocks: for each contender the numbers of its blocks.
        logs: for each contender the logarithm of its value in each of these blocks.

    Returns:
        The contenders' levels, corrected for the blocks that they do not have, and the pairs that
        share enough blocks or are connected through others.
    """
    table = _table(blocks, logs)
    level_of_block = np.zeros(table.shape[1])
    levels = np.full(len(logs), np.nan)
    differences: dict[tuple[int, int], Difference] = {}
    for members, used in _connected(np.isfinite(table)):
        result = fit(table[np.ix_(members, used)])
        levels[members], level_of_block[used] = result.levels, result.blocks
        differences |= _differences(result, members, np.isfinite(table[members]))
    for place in np.flatnonzero(np.isnan(levels)):
        levels[place] = np.nanmean(table[place] - level_of_block)
    return levels, differences


def _table(blocks: Sequence[Sequence[int]], logs: Sequence[Values]) -> Values:
    """Return the (contenders, blocks) logarithms; NaN where a contender has no value."""
    numbers = sorted({number for own in blocks for number in own})
    columns = {number: column for column, number in enumerate(numbers)}
    table = np.full((len(logs), len(numbers)), np.nan)
    for row, (own, values) in enumerate(zip(blocks, logs, strict=True)):
        table[row, [columns[number] for number in own]] = values
    return table


def _connected(known: NDArray[np.bool_]) -> Iterator[tuple[list[int], list[int]]]:
    """Yield the contenders and the blocks of each group that a chain of shared blocks connects.

    A block of a single contender says nothing about a difference, and a contender with a single
    block nothing about its variance.
    """
    known = known.copy()
    while True:
        useless = known & ((known.sum(axis=0) < 2) | (known.sum(axis=1) < 2)[:, None])
        if not useless.any():
            break
        known &= ~useless
    shared = known.astype(np.int_) @ known.T
    # The usual case, for which the search would take longer than all the rest.
    groups = np.zeros(len(known), np.int_)
    if not shared.all():
        _, groups = connected_components(shared, directed=False)
    for group in sorted(set(groups[known.any(axis=1)].tolist())):
        members = np.flatnonzero(groups == group)
        yield members.tolist(), np.flatnonzero(known[members].any(axis=0)).tolist()


def _differences(
    result: Fit, members: Sequence[int], known: NDArray[np.bool_]
) -> dict[tuple[int, int], Difference]:
    """Return all pairs of fitted contenders."""
    errors, freedoms = np.sqrt(result.errors).tolist(), result.pair_freedoms().tolist()
    spreads = np.sqrt(result.variances[:, None] + result.variances).tolist()
    shared = (known.astype(np.int_) @ known.T).tolist()
    return {
        (members[one], members[other]): Difference(
            errors[one][other],
            freedoms[one][other],
            spreads[one][other],
            shared[one][other] or min(shared[one][one], shared[other][other]),
        )
        for one, other in combinations(range(len(members)), 2)
    }
