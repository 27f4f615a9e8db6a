"""Measures the trials of a plan and records each as it ends.

Imports no framework: a worker, which the executor starts, trains the model.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from bench.cache import cache_folder
from bench.machine.disturbance import Canary, Watch
from bench.machine.other_runs import other_runs
from bench.records.predictions import Explanation
from bench.records.trial import TrialRecord
from bench.records.writer import RunFolder
from bench.run.executor import Executor
from bench.run.experiment import (
    Experiment,
    Measurement,
    compared,
    ended_record,
    planned_record,
    task_of,
    unmeasurable,
)
from bench.run.launch import launch_of_job
from bench.run.observers import Observer, TrialObserver
from bench.run.outcome import INTERRUPTED, with_events
from bench.run.participant import Opener
from bench.run.rounds import Experience, measure_in_rounds
from bench.spec.job import Trial
from bench.worker.protocol import Event, Explained


class LiveExecutor(Executor, Opener, Protocol):
    """Runs one task at a time, or keeps several workers alive."""


class TrialRunner:
    """Measures trials of one run on this machine."""

    def __init__(
        self,
        experiment: Experiment,
        executor: LiveExecutor,
        folder: RunFolder,
        observer: Observer,
        caches: Path | None = None,
    ) -> None:
        """Prepare to measure.

        Args:
            experiment: what all trials share.
            executor: runs their workers.
            folder: of the run.
            observer: watches.
            caches: an empty folder, in which compilers keep results for later repeats; None lets
                each trial compile again.
        """
        self._experiment = experiment
        self._executor = executor
        self._folder = folder
        self._observer = observer
        self._canary = Canary()
        self._experience = Experience(caches)

    def run(self, planned: Sequence[Trial]) -> Iterator[TrialRecord]:
        """Measure every trial in order and yield its record, which is then on disk.

        A KeyboardInterrupt records the running trials as interrupted and ends the run. Records are
        not kept in memory, because a run can have any number of them.
        """
        experiment, executor, observer = self._experiment, self._executor, self._observer
        watch = Watch(len(planned), experiment.retries, self._canary)
        for trials in _groups(planned, experiment):
            if in_rounds(trials[0], experiment):
                results = measure_in_rounds(
                    trials, experiment, executor, observer, self._canary, self._experience
                )
            else:
                observer.trial_began(trials[0])
                results = [(trials[0], measure(trials[0], experiment, executor, observer, watch))]
            for trial, measurement in results:
                save(trial, measurement, self._folder)
                observer.trial_ended(trial, measurement.record)
            for _, measurement in results:
                yield measurement.record
            if any(measurement.record.outcome == "interrupted" for _, measurement in results):
                return


def in_rounds(trial: Trial, experiment: Experiment) -> bool:
    """Return whether the trial takes turns with others: it is one process, of this machine."""
    job = trial.job
    processes = experiment.recipes[job.backend].processes_for(job.local_size)
    return experiment.rounds > 0 and processes == 1 and job.hosts == 1


def _groups(planned: Sequence[Trial], experiment: Experiment) -> list[list[Trial]]:
    """Group the trials that are measured together: those of a ranking and repeat, in rounds."""
    groups: dict[object, list[Trial]] = {}
    for trial in planned:
        together = trial.job.compared_with(), trial.repeat
        groups.setdefault(together if in_rounds(trial, experiment) else trial, []).append(trial)
    return list(groups.values())


def measure(
    trial: Trial,
    experiment: Experiment,
    executor: Executor,
    observer: TrialObserver,
    watch: Watch,
) -> Measurement:
    """Measure one trial, and again while it is disturbed and retries are left.

    Args:
        trial: what to measure.
        experiment: what all trials share.
        executor: runs the worker.
        observer: watches.
        watch: decides whether the trial was disturbed and is retried.
    """
    disturbed: list[TrialRecord] = []
    while True:
        watch.begin()
        record, explained = _attempt(trial, experiment, executor, observer)
        record = watch.with_noise(record, disturbed)
        if not watch.wants_retry(record, len(disturbed)):
            return compared(record, experiment, explained)
        disturbed.append(record)
        observer.trial_disturbed(trial, record)


def save(trial: Trial, measurement: Measurement, folder: RunFolder) -> None:
    """Write the result of a trial into the run's folder."""
    folder.append(measurement.record)
    if measurement.explained:
        folder.append_explanation(Explanation(trial.name, trial.job.model, measurement.explained))


def _attempt(
    trial: Trial, experiment: Experiment, executor: Executor, observer: TrialObserver
) -> tuple[TrialRecord, Explained | None]:
    """Run the trial's worker once; return the record, still without noise, and predictions."""
    if (verdict := unmeasurable(trial, experiment)) is not None:
        return planned_record(trial, experiment, verdict), None
    events: list[Event] = []
    explained: list[Explained] = []

    def on_event(event: Event) -> None:
        if isinstance(event, Explained):
            explained.append(event)
        else:
            events.append(event)
        observer.trial_event(trial, event)

    started = time.monotonic()
    others = other_runs(cache_folder())
    began = planned_record(trial, experiment, INTERRUPTED)
    recipe = experiment.recipes[trial.job.backend]
    try:
        end = executor.run(
            task_of(trial, experiment),
            launch_of_job(recipe, trial.job, recipe.cold),
            experiment.timeout,
            on_event,
        )
    except KeyboardInterrupt:
        return with_events(began, events), None
    ended = msgspec.structs.replace(
        ended_record(began, events, end, experiment.timeout),
        wall_seconds=time.monotonic() - started,
        other_runs=max(others, other_runs(cache_folder())),
    )
    return ended, explained[-1] if explained else None
