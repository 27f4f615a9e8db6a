"""How long trials will take, from the records of earlier ones."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench.errors import RecordError
from bench.records.reader import read_run
from bench.records.trial import TRIALS, TrialRecord, attribute_of
from bench.run.runner import Experiment
from bench.spec.job import Job

MOST_RUNS = 200  # the newest of a folder; reading more would take longer than it is worth
_UNKNOWN_SECONDS = 20.0  # a guess: to import a framework and train a small model on MNIST

# What two trials have in common, from most to least alike.
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
        seconds: by the median of earlier trials that are most alike.
        likeness: how alike they are, 0 the most; None where it is a guess.
    """

    seconds: float
    likeness: int | None


class Estimator:
    """Knows earlier trials that ended well."""

    def __init__(self, records: Iterable[TrialRecord]) -> None:
        self._seconds: list[dict[tuple[object, ...], list[_Cost]]] = [
            defaultdict(list) for _ in _LIKENESS
        ]
        for record in records:
            if record.outcome == "ok" and record.wall_seconds is not None:
                self._add(record, _cost(record))

    def _add(self, record: TrialRecord, cost: "_Cost") -> None:
        for fields, known in zip(_LIKENESS, self._seconds, strict=True):
            known[tuple(_recorded(record, name) for name in fields)].append(cost)

    def estimate(self, job: Job, experiment: Experiment, examples: int) -> Estimate:
        """The seconds of a trial of the job.

        Args:
            job: what it does.
            experiment: what it has in common with others.
            examples: how many each epoch has.
        """
        value = _value_of(job, experiment)
        for likeness, fields in enumerate(_LIKENESS):
            found = self._seconds[likeness].get(tuple(value(name) for name in fields))
            if found:
                times = [cost.of(experiment.epochs * examples) for cost in found]
                return Estimate(median(times), likeness)
        return Estimate(_UNKNOWN_SECONDS, None)


def _recorded(record: TrialRecord, name: str) -> object:
    return attrgetter(attribute_of(name))(record)


class _Cost(NamedTuple):
    """Seconds of a trial that come whatever it trains, and those for each image."""

    fixed: float
    per_image: float

    def of(self, images: int) -> float:
        return self.fixed + self.per_image * images


def _cost(record: TrialRecord) -> _Cost:
    images = sum(epoch.images for epoch in record.per_epoch)
    growing = (record.train_seconds or 0.0) + (record.evaluate_seconds or 0.0)
    return _Cost((record.wall_seconds or 0.0) - growing, growing / max(images, 1))


def _value_of(job: Job, experiment: Experiment) -> Callable[[str], object]:
    """By a field's name, the value that a record of the job will have."""

    def value(name: str) -> object:
        return experiment.threads_of(job) if name == "threads" else getattr(job, name)

    return value


def earlier_records(folder: Path) -> Iterator[TrialRecord]:
    """The records of the newest runs in a folder of runs; what cannot be read is passed over."""
    for run in _newest(folder):
        try:
            yield from read_run(run).trials
        except RecordError:
            continue


def _newest(folder: Path) -> Sequence[Path]:
    try:
        found = [(path.stat().st_mtime, path.parent) for path in folder.glob(f"*/{TRIALS}")]
    except OSError:
        return []
    return [run for _, run in sorted(found, reverse=True)[:MOST_RUNS]]
