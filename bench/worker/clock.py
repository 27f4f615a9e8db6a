"""Whether the clock waits for the device: twice the steps take twice the time."""

from __future__ import annotations

from statistics import median
from time import perf_counter

import numpy as np

from backends.api import Backend, Session, Workload
from bench.spec.shapes import Node, resolve
from bench.spec.training import Sgd
from bench.spec.weights import FloatArray, initial_weights
from bench.worker.process import peak_memory
from bench.worker.protocol import ClockChecked, ClockTask, Finished
from bench.worker.training import Tell, find_device

_EXAMPLES = 2048
_FIRST_STEPS = 16
_MOST_STEPS = 20_000
_PAIRS = 9
_TRIES = 3
_NEARLY_TWICE = 1.87
_LONGEST = 5  # times the wanted seconds, of a call


def check_clock(task: ClockTask, backend: Backend, tell: Tell) -> None:
    """Time training calls of so many steps and of twice as many, in turn.

    The data is random: what is learned does not matter. A rate of 0 keeps the weights finite.
    """
    model = resolve(task.model, task.input_shape)
    calls = _Calls(_session(model, task, backend), task, model)
    steps = _enough_steps(calls, task.seconds)
    for count in (steps, 2 * steps):
        calls.train(count)  # compiles for this number of steps
    single = [calls.train(steps)]
    double = []
    for _ in range(_PAIRS):
        double.append(calls.train(2 * steps))
        single.append(calls.train(steps))
    leftover = [calls.leftover(steps) for _ in range(_PAIRS)]
    tell(ClockChecked(steps, tuple(single), tuple(double), median(leftover)))
    tell(Finished(peak_memory(), None))


def _session(model: Node, task: ClockTask, backend: Backend) -> Session:
    random = np.random.default_rng(0)
    return backend.session(
        Workload(
            model=model,
            optimizer=Sgd(),
            weights=initial_weights(model, 0),
            images=random.random((_EXAMPLES, *task.input_shape), np.float32),
            labels=random.integers(0, model.output_shape[0], _EXAMPLES).astype(np.int32),
            device=find_device(backend, task.device),
            mode=task.mode,
        )
    )


class _Calls:
    """Calls of one session, each under the clock that trials have."""

    def __init__(self, session: Session, task: ClockTask, model: Node) -> None:
        self._session = session
        self._batch = task.batch_size
        self._images: FloatArray = np.zeros((task.batch_size, *model.input_shape), np.float32)

    def train(self, steps: int) -> float:
        """Seconds of one training call."""
        batches = np.arange(steps * self._batch, dtype=np.int32) % _EXAMPLES
        rates = np.zeros(steps, np.float32)
        start = perf_counter()
        self._session.train(batches.reshape(steps, self._batch), rates)
        return perf_counter() - start

    def finished(self, steps: int) -> float:
        """Seconds until a training call's work is done, whatever its clock says."""
        start = perf_counter()
        self.train(steps)
        self._session.predict(self._images)
        return perf_counter() - start

    def leftover(self, steps: int) -> float:
        """How much longer a prediction takes just after a training call than another after it."""
        self.train(steps)
        start = perf_counter()
        self._session.predict(self._images)
        first = perf_counter() - start
        self._session.predict(self._images)
        return max(0.0, first - (perf_counter() - start - first))


def _enough_steps(calls: _Calls, wanted: float) -> int:
    """How many steps take the wanted seconds, about, and dwarf what a call costs without a step.

    Keras's `fit` takes 0.1 s to begin: of short calls, twice the steps are not twice the time.
    Where they never are, the clock is wrong, and the longest calls will say so.
    """
    steps = _FIRST_STEPS
    calls.finished(steps)
    while (seconds := calls.finished(steps)) < wanted / 4 and steps < _MOST_STEPS:
        steps = min(_MOST_STEPS, 8 * steps)
        calls.finished(steps)  # compiles
    steps = max(1, min(_MOST_STEPS, round(steps * wanted / seconds)))
    while steps < _MOST_STEPS and not _dwarfs(calls, steps, _LONGEST * wanted):
        steps = min(_MOST_STEPS, 2 * steps)
    return steps


def _dwarfs(calls: _Calls, steps: int, longest: float) -> bool:
    """Whether twice the steps take nearly twice the time, or the longest that is waited for."""
    for count in (steps, 2 * steps):
        calls.finished(count)  # compiles
    # The least of several: a disturbance only adds.
    once = min(calls.finished(steps) for _ in range(_TRIES))
    twice = min(calls.finished(2 * steps) for _ in range(_TRIES))
    return once > longest or twice > _NEARLY_TWICE * once
