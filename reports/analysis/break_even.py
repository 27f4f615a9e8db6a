"""When the cost of a slow start is paid back: the step at which one contender overtakes another."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from reports.analysis.contenders import Contender
from reports.metrics import FIRST_STEP, THROUGHPUT


class Course(NamedTuple):
    """A contender's way through training: wait, then a step every so many seconds."""

    label: str
    wait: float
    step: float

    def after(self, steps: float) -> float:
        """Seconds until so many steps are done."""
        return self.wait + steps * self.step


def courses(contenders: Sequence[Contender], batch_size: int) -> list[Course]:
    """Of those whose wait and throughput are known, the one that trains first at the head."""
    made = [
        Course(c.label, c[FIRST_STEP].median, batch_size / c[THROUGHPUT].median)
        for c in contenders
        if math.isfinite(c[FIRST_STEP].median) and c[THROUGHPUT].median > 0
    ]
    return sorted(made, key=lambda course: (course.wait, course.step))


def steps_until(late: Course, early: Course) -> float:
    """The steps after which `late` has done as many as `early`; infinite if it never has."""
    if late.wait <= early.wait:
        return 0.0
    gained = early.step - late.step
    return (late.wait - early.wait) / gained if gained > 0 else math.inf
