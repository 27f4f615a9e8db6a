"""The Pareto front: contenders that no other beats in one metric without losing in another."""

import math
from collections.abc import Sequence

from reports.analysis.contenders import Contender
from reports.metrics import Metric


def front(contenders: Sequence[Contender], first: Metric, second: Metric) -> list[Contender]:
    """Those on the front of two metrics with a direction, in the order given.

    One is off the front when another is at least as good in both and better in one.
    """
    points = {c.label: (_cost(c, first), _cost(c, second)) for c in contenders if c.is_comparable}
    known = {label: point for label, point in points.items() if all(map(math.isfinite, point))}
    return [
        contender
        for contender in contenders
        if contender.label in known
        and not any(_beats(other, known[contender.label]) for other in known.values())
    ]


def _cost(contender: Contender, metric: Metric) -> float:
    """The median, turned so that less is better."""
    value = contender[metric].median
    return -value if metric.direction == "higher" else value


def _beats(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one != other and one[0] <= other[0] and one[1] <= other[1]
