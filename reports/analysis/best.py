"""The best contender in a metric, its margin, and the contenders that may be as good."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bench.statistics.families import Family, Sample, compare_all
from bench.statistics.medians import median_interval
from reports.analysis.contenders import Contender
from reports.analysis.rankings import Ranking
from reports.display import NOT_KNOWN, span
from reports.metrics import THROUGHPUT, Metric

# Comparing all pairs of this number of contenders in every metric takes about a second.
MOST_COMPARED = 100


class Best(NamedTuple):
    """The best comparable contender of a ranking in one metric.

    Attributes:
        label: name of the contender with the best value.
        level: names of the contenders that are not shown to be worse; none if nothing is tested.
        value: its value.
        interval: the 95 % interval of the value, in words.
        margin: to the next, in words.
    """

    label: str
    level: tuple[str, ...]
    value: float
    interval: str
    margin: str


def best_of(metric: Metric, ranking: Ranking) -> Best | None:
    """Return the best contender in a metric with a direction; None if it is unknown for all."""
    known = [c for c in ranking.contenders if math.isfinite(c[metric].value)]
    if not known:
        return None
    ordered = sorted(known, key=lambda c: c[metric].value, reverse=metric.direction == "higher")
    family, places = _family(metric, ordered, ranking)
    first, *others = [contender.label for contender in ordered]
    level = _level(first, others, family, places)
    is_tested = bool(family.p_values)
    margin = _margin(metric, ordered, level if is_tested else [])
    if others and not is_tested:
        margin += "; not tested"
    return Best(
        label=first,
        level=tuple(level) if is_tested else (),
        value=ordered[0][metric].value,
        interval=_interval(metric, ordered[0]),
        margin=margin,
    )


def _family(
    metric: Metric, ordered: Sequence[Contender], ranking: Ranking
) -> tuple[Family, Mapping[str, int]]:
    """Return the comparison of the contenders, and the place of each by its label.

    It is empty for more than `MOST_COMPARED`. Left out are contenders with a value that has no
    logarithm: a share of 0, or a trial that missed the requested accuracy.
    """
    if metric is THROUGHPUT:
        return ranking.family, _places(ranking.timed)
    if len(ordered) > MOST_COMPARED:
        ordered = []
    compared = [c for c in ordered if _has_logarithms(c.values[metric.key])]
    samples = [c.sample(metric) for c in compared]
    if metric.direction == "lower":
        samples = [_inverse(sample) for sample in samples]
    return compare_all(samples, significance=ranking.family.significance), _places(compared)


def _places(contenders: Sequence[Contender]) -> dict[str, int]:
    return {contender.label: place for place, contender in enumerate(contenders)}


def _has_logarithms(values: Sequence[float]) -> bool:
    """Return whether all values that are known are positive and finite, and one is known."""
    known = [value for value in values if not math.isnan(value)]
    return bool(known) and all(0 < value < math.inf for value in known)


def _inverse(sample: Sample) -> Sample:
    return Sample(sample.run, {block: 1 / value for block, value in sample.blocks.items()})


def _level(
    first: str, others: Sequence[str], family: Family, places: Mapping[str, int]
) -> list[str]:
    """Return the names of the others that are not shown to be worse than the first."""
    return [
        other
        for other in others
        if first not in places
        or other not in places
        or family.verdict(places[first], places[other]) != "faster"
    ]


def _interval(metric: Metric, contender: Contender) -> str:
    if metric is THROUGHPUT:
        return span(*contender.interval, metric.write)
    values = tuple(contender.sample(metric).blocks.values())
    if len(values) < 2:
        return NOT_KNOWN
    median = median_interval(values)
    return span(median.low, median.high, metric.write)


def _margin(metric: Metric, ordered: Sequence[Contender], level: Sequence[str]) -> str:
    if len(ordered) == 1:
        return "the only one"
    if level:
        return "cannot be told apart"
    best, following = ordered[0][metric].value, ordered[1][metric].value
    values = (best, following) if metric.direction == "higher" else (following, best)
    factor = f"a factor of {values[0] / values[1]:.2f}" if values[1] > 0 else "no finite factor"
    return f"next is {ordered[1].label} with {metric.show(following)}, {factor}"
