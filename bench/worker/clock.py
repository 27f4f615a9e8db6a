"""Check that the training clock waits for the device: twice the steps must take twice the time."""

from __future__ import annotations

from statistics import median
from time import perf_counter

import numpy as np

from backends.api import Backend, Session, Workload
from bench.spec.shapes import Node, resolve
from bench.spec.training import Sgd
from bench.spec.weights import FloatArray, initial_weights
from bench.worker.process import peak_memory
from bench.worker.protocol import ClockChecked, ClockTask, Emit, Finished
from bench.worker.training import find_device

_EXAMPLES = 2048
_FIRST_STEPS = 16
_MAX_STEPS = 20_000
_PAIRS = 9
_TRIES = 3
_NEARLY_TWICE = 1.87
_MAX_CALL = 5  # longest call, as a multiple of the requested seconds


def check_clock(task: ClockTask, backend: Backend, emit: Emit) -> None:
    """Time training calls of some number of steps and of twice that number, alternately."""
    model = resolve(task.model, task.input_shape)
    calls = _Calls(_session(model, task, backend), task, model)
    steps = _choose_steps(calls, task.seconds)
    for count in (steps, 2 * steps):
        calls.train(count)  # compiles for this number of steps
    single = [calls.train(steps)]
    double = []
    for _ in range(_PAIRS):
        double.append(calls.train(2 * steps))
        single.append(calls.train(steps))
    leftover = [calls.leftover(steps) for _ in range(_PAIRS)]
    emit(ClockChecked(steps, tuple(single), tuple(double), median(leftover)))
    emit(Finished(peak_memory(), None))


def _session(model: Node, task: ClockTask, backend: Backend) -> Session:
    """Create a session on random data: only the times matter here."""
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
    """Calls of one session, timed like those of a trial."""

    def __init__(self, session: Session, task: ClockTask, model: Node) -> None:
        self._session = session
        self._batch = task.batch_size
        self._images: FloatArray = np.zeros((task.batch_size, *model.input_shape), np.float32)

    def train(self, steps: int) -> float:
        """Measure the seconds of one training call."""
        batches = np.arange(steps * self._batch, dtype=np.int32) % _EXAMPLES
        rates = np.zeros(steps, np.float32)  # keeps the weights finite over any number of steps
        start = perf_counter()
        self._session.train(batches.reshape(steps, self._batch), rates)
        return perf_counter() - start

    def train_and_predict(self, steps: int) -> float:
        """Measure the seconds of a training call and a prediction.

        The prediction needs the trained weights, so this time is right even if the training call
        returns before the device has finished.
        """
        start = perf_counter()
        self.train(steps)
        self._session.predict(self._images)
        return perf_counter() - start

    def leftover(self, steps: int) -> float:
        """Measure how many seconds a prediction waits for the training call before it.

        This is the time of the first prediction after the call minus that of the second.
        """
        self.train(steps)
        start = perf_counter()
        self._session.predict(self._images)
        first = perf_counter() - start
        self._session.predict(self._images)
        return max(0.0, first - (perf_counter() - start - first))


def _choose_steps(calls: _Calls, seconds: float) -> int:
    """Choose a number of steps that takes about the requested seconds.

    The number is increased until the fixed cost of a call is small in comparison, since it would
    hide that twice the steps take twice the time: Keras's `fit`, for example, takes 0.1 s to start.
    If that is never the case, the clock may be wrong, and the longest calls are used.
    """
    steps = _FIRST_STEPS
    calls.train_and_predict(steps)
    while (measured := calls.train_and_predict(steps)) < seconds / 4 and steps < _MAX_STEPS:
        steps = min(_MAX_STEPS, 8 * steps)
        calls.train_and_predict(steps)  # compiles
    steps = max(1, min(_MAX_STEPS, round(steps * seconds / measured)))
    while steps < _MAX_STEPS and not _is_enough(calls, steps, _MAX_CALL * seconds):
        steps = min(_MAX_STEPS, 2 * steps)
    return steps


def _is_enough(calls: _Calls, steps: int, limit: float) -> bool:
    """Return whether twice the steps take nearly twice the time, or a call exceeds the limit."""
    for count in (steps, 2 * steps):
        calls.train_and_predict(count)  # compiles
    # The minimum of several tries, because disturbances only add time.
    once = min(calls.train_and_predict(steps) for _ in range(_TRIES))
    twice = min(calls.train_and_predict(2 * steps) for _ in range(_TRIES))
    return once > limit or twice > _NEARLY_TWICE * once
