"""The worker that measures peak rates and makes certificates."""

import pytest

from backends.numpy.backend import NumpyBackend
from bench.spec.job import Job
from bench.spec.layers import Dense, Flatten, sequential
from bench.spec.training import Sgd
from bench.worker.preliminaries import run_preliminaries
from bench.worker.protocol import (
    CheckBegan,
    Checked,
    Devices,
    Finished,
    ModelCheck,
    PreliminaryTask,
)

MODELS = {
    name: ModelCheck(sequential(Flatten(), Dense(units)), (4, 4, 1), {"SGD": Sgd(1e-4)})
    for name, units in (("one", 3), ("two", 4))
}


class Faulty(NumpyBackend):
    """NumPy that raises an error in float64."""

    def _session(self, workload):
        if workload.precision == "float64":
            raise RuntimeError("a sticky error")
        return super()._session(workload)


@pytest.fixture
def run():
    """Run the task in this process and return its events."""

    def run(backend, *jobs):
        events = []
        task = PreliminaryTask(
            adapter="", device="cpu", jobs=jobs, models=MODELS, contender_seconds=9.0
        )
        run_preliminaries(task, backend, events.append)
        return events

    return run


def job(precision, model):
    return Job(model, 0, "numpy", "eager", "cpu", precision=precision)


ONE, TWO = (job("float32", model) for model in MODELS)
OTHER_ONE, OTHER_TWO = (job("float64", model) for model in MODELS)


def test_each_contender_begins_with_its_time_limit(run):
    events = run(NumpyBackend(1), ONE, TWO, OTHER_ONE, OTHER_TWO)
    assert isinstance(events[0], Devices)
    assert [event for event in events if isinstance(event, CheckBegan)] == [
        CheckBegan(ONE, 9.0),
        CheckBegan(TWO, None),
        CheckBegan(OTHER_ONE, 9.0),
        CheckBegan(OTHER_TWO, None),
    ]
    checked = [event for event in events if isinstance(event, Checked)]
    assert all(check.passed for event in checked for check in event.checks)
    assert isinstance(events[-1], Finished)


def test_a_contender_that_raises_an_error_is_the_last_one_of_its_process(run):
    events = run(Faulty(1), OTHER_ONE, OTHER_TWO, ONE)
    checked = {event.job: event.error for event in events if isinstance(event, Checked)}
    assert checked == {
        OTHER_ONE: "RuntimeError: a sticky error",
        OTHER_TWO: "RuntimeError: a sticky error",
    }
    assert isinstance(events[-1], Finished)


def test_an_unsupported_contender_does_not_end_the_process(run):
    unsupported = job("float16", "one")
    events = run(NumpyBackend(1), unsupported, ONE)
    first, second = (event for event in events if isinstance(event, Checked))
    assert "does not support precision 'float16'" in first.error
    assert second.checks
