"""Estimates how long trials will take, and how much memory, from the records of earlier ones."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench.errors import RecordError
from bench.records.reader import read_run
from bench.records.trial import TRIALS, TrialRecord, attribute_of
from bench.run.experiment import Experiment
from bench.spec.job import Job

MOST_RUNS = 200  # the newest of a folder; reading more takes too long
_UNKNOWN_SECONDS = 20.0  # a guess: to import a framework and train a small model on MNIST

# What two trials have in common, from the most to the least similar.
_LIKENESS: tuple[tuple[str, ...], ...] = (
    (
        *("backend", "mode", "model", "device", "batch_size", "precision", "arm", "input"),
        *("threads", "world_size", "hosts"),
    ),
    ("backend", "mode", "model", "device", "batch_size"),
    ("backend", "mode", "model", "device"),
    ("backend", "model", "device"),
    ("model", "device"),
)


class Estimate(NamedTuple):
    """How long a trial will take.

    Attributes:
        seconds: median of the most similar earlier trials.
        likeness: how similar they are, 0 is the most; None is a guess.
    """

    seconds: float
    likeness: int | None


class Memory(NamedTuple):
    """The most memory that a worker used, in bytes; None where unknown.

    Attributes:
        host: of the process.
        device: of the device, by the framework's own count; None on a CPU.
    """

    host: int | None
    device: int | None


_UNKNOWN_MEMORY = Memory(None, None)


class Estimator:
    """Estimates from earlier successful trials."""

    def __init__(self, records: Iterable[TrialRecord]) -> None:
        self._seconds: list[dict[tuple[object, ...], list[_Cost]]] = [
            defaultdict(list) for _ in _LIKENESS
        ]
        self._memory: list[dict[tuple[object, ...], Memory]] = [{} for _ in _LIKENESS]
        for record in records:
            if record.outcome == "ok" and record.wall_seconds is not None:
                self._add(record, _cost(record))

    def _add(self, record: TrialRecord, cost: "_Cost") -> None:
        memory = Memory(record.peak_memory_bytes, record.device_peak_memory_bytes)
        for fields, seconds, most in zip(_LIKENESS, self._seconds, self._memory, strict=True):
            values = tuple(_recorded(record, name) for name in fields)
            seconds[values].append(cost)
            most[values] = _larger(memory, most.get(values, _UNKNOWN_MEMORY))

    def estimate(self, job: Job, experiment: Experiment, examples: int) -> Estimate:
        """Estimate the seconds of a trial of the job.

        Args:
            job: to be measured.
            experiment: what all trials of the run share.
            examples: number of training examples per epoch.
        """
        value = _value_of(job, experiment)
        for likeness, fields in enumerate(_LIKENESS):
            costs = self._seconds[likeness].get(tuple(value(name) for name in fields))
            if costs:
                times = [cost.of(experiment.epochs * examples) for cost in costs]
                return Estimate(median(times), likeness)
        return Estimate(_UNKNOWN_SECONDS, None)

    def memory(self, job: Job, experiment: Experiment) -> Memory:
        """Return the most memory that a worker of the most similar trials used.

        Another backend's memory says nothing about this one's, so it is then unknown.

        Args:
            job: to be measured.
            experiment: what all trials of the run share.
        """
        value = _value_of(job, experiment)
        for fields, most in zip(_LIKENESS, self._memory, strict=True):
            found = most.get(tuple(value(name) for name in fields))
            if found is not None and "backend" in fields:
                return found
        return _UNKNOWN_MEMORY


def _larger(one: Memory, other: Memory) -> Memory:
    pairs = zip(one, other, strict=True)
    return Memory(*(max((each for each in pair if each), default=None) for pair in pairs))


def _recorded(record: TrialRecord, name: str) -> object:
    return attrgetter(attribute_of(name))(record)


class _Cost(NamedTuple):
    """Seconds of a trial.

    Attributes:
        fixed: seconds that do not depend on the number of images.
        per_image: seconds per image.
    """

    fixed: float
    per_image: float

    def of(self, images: int) -> float:
        return self.fixed + self.per_image * images


def _cost(record: TrialRecord) -> _Cost:
    images = sum(epoch.images for epoch in record.per_epoch)
    growing = (record.train_seconds or 0.0) + (record.evaluate_seconds or 0.0)
    return _Cost((record.wall_seconds or 0.0) - growing, growing / max(images, 1))


def _value_of(job: Job, experiment: Experiment) -> Callable[[str], object]:
    """Return a function from a field's name to the value that a record of the job will have."""

    def value(name: str) -> object:
        return experiment.threads_of(job) if name == "threads" else getattr(job, name)

    return value


def earlier_records(folder: Path) -> Iterator[TrialRecord]:
    """Yield the records of the newest runs in a folder of runs, without unreadable ones."""
    for run in _newest(folder):
        try:
            yield from read_run(run).trials
        except RecordError:
            continue


def _newest(folder: Path) -> Sequence[Path]:
    try:
        runs = [(path.stat().st_mtime, path.parent) for path in folder.glob(f"*/{TRIALS}")]
    except OSError:
        return []
    return [run for _, run in sorted(runs, reverse=True)[:MOST_RUNS]]
