"""How often the verdicts about simulated runs are false, and how many pairs are decided."""

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.statistics.families import MARGIN, SIGNIFICANCE, Family, Sample, compare_all, holm
from bench.statistics.looks import level
from bench.statistics.ratios import paired_ratios

Values = NDArray[np.float64]
# Returns the family that a run ends with, from its (repeats, contenders) logarithms.
Analysis = Callable[[Values], Family]


class Claims(NamedTuple):
    """Verdicts about simulated runs.

    Attributes:
        false: share of runs with a false verdict.
        decided: mean number of pairs that are faster, slower or the same.
        trials: mean number of trials per contender.
    """

    false: float
    decided: float
    trials: float


def claims(logs: Values, speeds: Values, analysis: Analysis) -> Claims:
    """Analyse runs and compare the verdicts with the truth.

    Args:
        logs: (runs, repeats, contenders) logarithms of the rates of equal contenders.
        speeds: (runs, contenders) or (contenders) true speeds.
        analysis: of one run.
    """
    truths = np.broadcast_to(np.log(speeds), (len(logs), logs.shape[2]))
    families = [analysis(own + truth) for own, truth in zip(logs, truths, strict=True)]
    size = logs.shape[2]
    return Claims(
        false=float(np.mean([_is_false(*each) for each in zip(families, truths, strict=True)])),
        decided=float(np.mean([_decided(family) for family in families])),
        trials=float(np.mean([_trials(family, size) for family in families])),
    )


def after(repeats: int) -> Analysis:
    """Analyse a run after a fixed number of repeats."""
    return lambda logs: compare_all(_samples(logs, [repeats] * logs.shape[1]))


def within(repeats: int) -> Analysis:
    """Analyse a run after each repeat from the second on, as `bench.run.schedule` does.

    The run stops when all pairs are decided, or when no time is left for another repeat of the
    contenders that have undecided pairs. The others are left out of later repeats.

    Args:
        repeats: the time, in repeats of all contenders. Every trial takes the same time.
    """

    def analyse(logs: Values) -> Family:
        has = [2] * logs.shape[1]
        while True:
            family = compare_all(_samples(logs, has), significance=level(max(has) - 1, False))
            left = [place for place in range(len(has)) if not _is_decided(family, place)]
            if not left:
                return family
            if sum(has) + len(left) > repeats * len(has) or max(has) == len(logs):
                return compare_all(_samples(logs, has), significance=level(max(has) - 1, True))
            most = max(has) + 1
            has = [most if place in left else own for place, own in enumerate(has)]

    return analyse


def greedily(most: int) -> Analysis:
    """Analyse a run after each repeat at the full level: the mistake that `level` prevents."""

    def analyse(logs: Values) -> Family:
        for repeats in range(2, most + 1):
            family = compare_all(_samples(logs, [repeats] * logs.shape[1]))
            if all(_is_decided(family, place) for place in range(logs.shape[1])):
                break
        return family

    return analyse


def decided_by_separate_variances(logs: Values, speeds: Values, repeats: int) -> float:
    """Return the mean number of pairs that a paired t test of each pair decides (Holm)."""
    pairs = list(combinations(range(logs.shape[2]), 2))
    truths = np.broadcast_to(np.log(speeds), (len(logs), logs.shape[2]))
    found = []
    for own, truth in zip(logs, truths, strict=True):
        ratios = paired_ratios(np.exp(own[:repeats] + truth).T.tolist(), pairs)
        found.append(sum(p <= SIGNIFICANCE for p in holm([ratio.p_value for ratio in ratios])))
    return float(np.mean(found))


def _samples(logs: Values, repeats: Sequence[int]) -> list[Sample]:
    """Return each contender's first repeats."""
    columns = np.exp(logs).T.tolist()
    return [
        Sample("run", dict(enumerate(column[:own], 1)))
        for column, own in zip(columns, repeats, strict=True)
    ]


def _is_decided(family: Family, place: int) -> bool:
    others = (other for other in range(len(family.ranks)) if other != place)
    return all(family.verdict(place, other) != "undecided" for other in others)


def _verdicts(family: Family) -> Iterable[tuple[tuple[int, int], str]]:
    return ((pair, family.verdict(*pair)) for pair in family.ratios)


def _decided(family: Family) -> int:
    return sum(verdict != "undecided" for _, verdict in _verdicts(family))


def _trials(family: Family, size: int) -> float:
    """Return the mean number of trials: a pair has as many as the contender with fewer."""
    most = (max(r.trials for p, r in family.ratios.items() if place in p) for place in range(size))
    return float(np.mean(list(most)))


def _is_false(family: Family, truth: Values) -> bool:
    """Return whether any verdict contradicts the logarithms of the true speeds."""
    for (first, second), verdict in _verdicts(family):
        difference = truth[first] - truth[second]
        is_right = {
            "faster": difference > 0,
            "slower": difference < 0,
            "same": abs(difference) <= math.log1p(MARGIN),
            "undecided": True,
        }
        if not is_right[verdict]:
            return True
    return False
