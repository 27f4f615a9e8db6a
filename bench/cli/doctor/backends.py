"""Examines backends: whether a clock waits for its device, and how long compilation takes.

Each mode of a backend compiles in fresh processes: twice cold, which must take about equally long,
and if its recipe names a cache on disk, twice with the same folder, to fill it and to use it.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import NamedTuple

from backends.api import Recipe
from bench.run.executor import Executor
from bench.run.launch import Launch, launch_of
from bench.run.outcome import verdict_of
from bench.spec.job import Job
from bench.spec.models import build
from bench.spec.training import Sgd
from bench.worker.protocol import ClockChecked, ClockTask, Event, PhaseEnded, TrainTask

MODEL = "mlp"
INPUT_SHAPE = (28, 28, 1)
BATCH_SIZE = 64
TOLERANCE = 0.1
_CLOCK_SECONDS = 300.0
_COMPILE_SECONDS = 600.0


class ClockVerdict(NamedTuple):
    """Whether a backend's clock waits for its device.

    Attributes:
        ratio: time of twice the steps divided by the time of the steps; 2 if the clock waits.
        leftover: work left after a call, as a share of the call; 0 if the clock waits.
        error: why there is neither.
    """

    ratio: float | None = None
    leftover: float | None = None
    error: str = ""

    @property
    def passed(self) -> bool:
        """Whether both are within the tolerance."""
        if self.ratio is None or self.leftover is None:
            return False
        return abs(self.ratio / 2 - 1) <= TOLERANCE and self.leftover <= TOLERANCE


def check_clock(
    adapter: str,
    launch: Launch,
    placing: tuple[str, str],
    cpus: tuple[int, ...],
    executor: Executor,
    seconds: float = 0.25,
) -> ClockVerdict:
    """Have a worker time training calls, and check the times.

    Args:
        adapter: of the backend.
        launch: interpreter and variables of its workers.
        placing: mode and device.
        cpus: CPUs of the worker, one per thread.
        executor: runs the worker.
        seconds: duration of a single training call.
    """
    mode, device = placing
    task = ClockTask(
        adapter=adapter,
        threads=len(cpus),
        cpus=cpus,
        model=build(MODEL),
        input_shape=INPUT_SHAPE,
        batch_size=BATCH_SIZE,
        device=device,
        mode=mode,
        seconds=seconds,
    )
    events: list[Event] = []
    end = executor.run(task, launch, _CLOCK_SECONDS, events.append)
    times = next((event for event in events if isinstance(event, ClockChecked)), None)
    if times is None:
        reason = verdict_of(events, end, _CLOCK_SECONDS).reason
        return ClockVerdict(error=reason or "the worker reported no times")
    return verdict(times)


def verdict(times: ClockChecked) -> ClockVerdict:
    """Compare each double call with the mean of the single ones around it; return the median.

    Slow drift cancels in each ratio, and disturbances of single calls do in the median.
    """
    ratios = [
        2 * double / (before + after)
        for before, double, after in zip(
            times.single_seconds, times.double_seconds, times.single_seconds[1:], strict=False
        )
    ]
    leftover = times.leftover_seconds / max(median(times.single_seconds), 1e-9)
    return ClockVerdict(median(ratios), leftover)


class Compilation(NamedTuple):
    """Seconds of the compile phase; None if it did not end, or without a cache.

    Attributes:
        cold: in two processes with an empty cache.
        warm: in a process with the cache of an earlier one.
        files: number of files in that cache.
    """

    cold: tuple[float | None, float | None]
    warm: float | None
    files: int | None


class Place(NamedTuple):
    """What a backend compiles for.

    Attributes:
        mode: of the backend.
        device: name of the device.
        cpus: CPUs of the worker, one per thread.
        data: folder of the decoded data set.
    """

    mode: str
    device: str
    cpus: tuple[int, ...]
    data: Path


def compile_times(recipe: Recipe, place: Place, executor: Executor) -> Compilation:
    """Compile cold twice, and then with the framework's cache if it has one."""
    cold = tuple(_compile(recipe, place, recipe.cold, executor) for _ in range(2))
    if not recipe.warm:
        return Compilation((cold[0], cold[1]), None, None)
    with tempfile.TemporaryDirectory(prefix="evenbench-") as folder:
        named = {name: value.replace("{cache}", folder) for name, value in recipe.warm.items()}
        _compile(recipe, place, named, executor)
        warm = _compile(recipe, place, named, executor)
        files = sum(path.is_file() for path in Path(folder).rglob("*"))
    return Compilation((cold[0], cold[1]), warm, files)


def _compile(
    recipe: Recipe, place: Place, variables: Mapping[str, str], executor: Executor
) -> float | None:
    task = TrainTask(
        adapter=recipe.adapter,
        threads=len(place.cpus),
        cpus=place.cpus,
        job=Job(MODEL, BATCH_SIZE, recipe.name, place.mode, place.device),
        model=build(MODEL),
        epochs=1,
        seed=0,
        optimizer=Sgd(),
        data=str(place.data),
        train_samples=BATCH_SIZE,
    )
    events: list[Event] = []
    executor.run(task, launch_of(recipe, variables), _COMPILE_SECONDS, events.append)
    phases = {event.phase: event.seconds for event in events if isinstance(event, PhaseEnded)}
    return phases.get("compile")
