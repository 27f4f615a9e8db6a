"""The best contender in a metric, its margin, and the contenders that may be as good."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from bench.statistics.families import holm, ratios_of
from bench.statistics.medians import median_interval
from bench.statistics.ratios import SIGNIFICANCE
from reports.analysis.contenders import Contender
from reports.analysis.rankings import Ranking
from reports.display import NOT_KNOWN, span
from reports.metrics import THROUGHPUT, Metric


class Best(NamedTuple):
    """The best comparable contender of a ranking in one metric.

    Attributes:
        label: name of the contender with the best median.
        level: names of the contenders that are not shown to be worse.
        median: its median.
        interval: the 95 % interval of the median, in words.
        margin: to the next, in words.
    """

    label: str
    level: tuple[str, ...]
    median: float
    interval: str
    margin: str


def best_of(metric: Metric, ranking: Ranking) -> Best | None:
    """Return the best contender in a metric with a direction; None if it is unknown for all."""
    known = [c for c in ranking.contenders if math.isfinite(c[metric].median)]
    if not known:
        return None
    ordered = sorted(known, key=lambda c: c[metric].median, reverse=metric.direction == "higher")
    # The ranking has compared throughputs already, each pair of contenders.
    level = level_of(ranking) if metric is THROUGHPUT else _level(metric, ordered)
    first = ordered[0]
    margin = _margin(metric, ordered, level)
    return Best(first.label, tuple(level), first[metric].median, _interval(metric, first), margin)


def level_of(ranking: Ranking) -> list[str]:
    """Return the contenders without a measurable difference in throughput from the first."""
    return [
        contender.label
        for place, contender in enumerate(ranking.timed)
        if place and ranking.family.verdict(0, place) in ("same", "undecided")
    ]


def _level(metric: Metric, ordered: Sequence[Contender]) -> list[str]:
    """Return the contenders that are not shown to be worse than the first, after Holm's correction.

    Where trials are too few for a test, those whose ranges touch that of the first.
    """
    first, *others = ordered
    samples = {contender.label: contender.sample(metric) for contender in ordered}
    known = [label for label, sample in samples.items() if sample.blocks]
    ratios = {}
    if samples[first.label].blocks:  # then it is the first of those that are known
        pairs = [(0, place) for place in range(1, len(known))]
        found = ratios_of([samples[label] for label in known], pairs)
        ratios = dict(zip(known[1:], found, strict=True))
    tested = {label: ratio.p_value for label, ratio in ratios.items() if ratio.is_known}
    p_values = dict(zip(tested, holm(list(tested.values())), strict=True))
    return [
        other.label
        for other in others
        if (
            p_values[other.label] > SIGNIFICANCE
            if other.label in p_values
            else _touch(metric, other, first)
        )
    ]


def _interval(metric: Metric, contender: Contender) -> str:
    values = tuple(contender.sample(metric).blocks.values())
    if len(values) < 2:
        return NOT_KNOWN
    median = median_interval(values)
    return span(median.low, median.high, metric.write)


def _touch(metric: Metric, other: Contender, best: Contender) -> bool:
    if metric.direction == "higher":
        return other[metric].maximum >= best[metric].minimum
    return other[metric].minimum <= best[metric].maximum


def _margin(metric: Metric, ordered: Sequence[Contender], level: Sequence[str]) -> str:
    if len(ordered) == 1:
        return "the only one"
    if level:
        return "cannot be told apart"
    best, following = ordered[0][metric].median, ordered[1][metric].median
    values = (best, following) if metric.direction == "higher" else (following, best)
    times = f"{values[0] / values[1]:.2f} times" if values[1] > 0 else "more than any number of"
    return f"{times}, {ordered[1].label} ({metric.show(following)})"
