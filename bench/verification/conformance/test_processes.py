"""One process makes the certificates of all contenders of a backend: they must not affect another.

Settings of a whole process, such as the default type or the precision of matrix products, and
caches of compiled code could carry over from one session to the next.
"""

from __future__ import annotations

from collections.abc import Sequence

from backends.api import Unsupported
from bench.run.executor import LocalExecutor
from bench.run.launch import launch_of
from bench.spec.job import Job
from bench.spec.layers import Conv, Dense, Flatten, MaxPool, sequential
from bench.verification.case import ONE_OPTIMIZER
from bench.verification.certificate import UNSUPPORTED
from bench.verification.conformance.contender import THREADS, BackendMode, in_first_mode
from bench.worker.protocol import Checked, Event, ModelCheck, PreliminaryTask

SECONDS = 600
SMALL = ModelCheck(
    sequential(Conv(4, 3), MaxPool(2), Flatten(), Dense(3)), (6, 6, 2), ONE_OPTIMIZER
)


def checked_in_one_process(contender: BackendMode, jobs: Sequence[Job]) -> list[Checked]:
    """Return the results of a worker that certifies the jobs one after the other."""
    recipe = contender.recipe
    task = PreliminaryTask(
        adapter=recipe.adapter,
        threads=THREADS,
        device="cpu",
        jobs=tuple(jobs),
        models={"small": SMALL},
        references=str(contender.references) if contender.references else None,
    )
    events: list[Event] = []
    end = LocalExecutor().run(task, launch_of(recipe), SECONDS, events.append)
    assert not end.timed_out, end.log
    return [event for event in events if isinstance(event, Checked)]


def test_a_certificate_is_the_same_after_those_of_all_other_contenders(
    contender: BackendMode,
) -> None:
    in_first_mode(contender)
    recipe = contender.recipe
    first, *others = (
        Job("small", 0, recipe.name, mode, "cpu", precision=precision)
        for precision in recipe.precisions
        for mode in recipe.modes
    )
    (alone,) = checked_in_one_process(contender, [first])
    if alone.error.startswith(UNSUPPORTED):
        raise Unsupported(alone.error)
    *_, last = checked_in_one_process(contender, [*others, first])
    assert last.job == first
    assert alone.error == last.error == ""
    assert last.checks == alone.checks
