"""Trade-offs: the Pareto front of two metrics, and when a slow start is paid back."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from reports.analysis.contenders import Contender
from reports.metrics import FIRST_STEP, THROUGHPUT, Metric


def front(contenders: Sequence[Contender], first: Metric, second: Metric) -> list[Contender]:
    """Return the contenders on the Pareto front of two metrics, in the given order.

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
    """Return the median, negated if more is better."""
    value = contender[metric].value
    return -value if metric.direction == "higher" else value


def _beats(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one != other and one[0] <= other[0] and one[1] <= other[1]


class Course(NamedTuple):
    """A contender's course of training, in seconds: a wait, then a constant time per step."""

    label: str
    wait: float
    step: float

    def after(self, steps: float) -> float:
        """Return the seconds until this number of steps is done."""
        return self.wait + steps * self.step


def courses(contenders: Sequence[Contender], batch_size: int) -> list[Course]:
    """Return the courses of contenders with known wait and throughput, the first to train first."""
    made = [
        Course(c.label, c[FIRST_STEP].value, batch_size / c[THROUGHPUT].value)
        for c in contenders
        if math.isfinite(c[FIRST_STEP].value) and c[THROUGHPUT].value > 0
    ]
    return sorted(made, key=lambda course: (course.wait, course.step))


def steps_until(late: Course, early: Course) -> float:
    """Return the steps after which `late` has caught up with `early`; infinite if it never does."""
    if late.wait <= early.wait:
        return 0.0
    gained = early.step - late.step
    return (late.wait - early.wait) / gained if gained > 0 else math.inf
