"""Times compilation: cold, and with the framework's cache on disk.

Each mode of a backend compiles in fresh processes: twice cold, which must take about equally long,
and if its recipe names a cache on disk, twice with the same folder, to fill it and to use it.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from backends.api import Recipe
from bench.cli.doctor.clock import BATCH_SIZE, MODEL
from bench.run.executor import Executor
from bench.run.launch import launch_of
from bench.spec.job import Job
from bench.spec.models import build
from bench.spec.training import Sgd
from bench.worker.protocol import Event, PhaseEnded, TrainTask

_SECONDS = 600.0
_CACHE = "{cache}"


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
        named = {name: value.replace(_CACHE, folder) for name, value in recipe.warm.items()}
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
    executor.run(task, launch_of(recipe, variables), _SECONDS, events.append)
    phases = {event.phase: event.seconds for event in events if isinstance(event, PhaseEnded)}
    return phases.get("compile")
