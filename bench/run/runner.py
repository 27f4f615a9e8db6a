"""Run the trials of a plan, one after the other, and record each as it ends.

Imports no framework: a trial happens in a worker, which the executor starts.
"""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import msgspec

from backends.api import Recipe
from backends.registry import not_installed
from bench.cache import cache_folder
from bench.machine.disturbance import Watch
from bench.machine.hardware import hardware_digest, machine_name
from bench.machine.other_runs import other_runs
from bench.records.manifest import ModelFacts
from bench.records.predictions import Explanation
from bench.records.trial import Equivalence, PeakShare, TrialRecord
from bench.records.writer import RunFolder
from bench.run.certificates import backend_digest
from bench.run.executor import Executor, WorkerEnd
from bench.run.launch import launch_of_job
from bench.run.outcome import INTERRUPTED, Verdict, measured, verdict_of
from bench.run.peak_rates import BackendLimit, limit_of
from bench.run.plan import lacking_for
from bench.run.plausibility import judged
from bench.spec.job import Job, Trial
from bench.spec.training import Optimizer
from bench.worker.protocol import Event, Explained, Imported, TrainTask


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """What the trials of a run have in common.

    Attributes:
        models: each model's spec and what follows from it, by name.
        recipes: each backend's recipe, by name.
        framework_versions: the installed version of each backend's framework; None is missing.
        dataset: the data set's name.
        data: the folder of the decoded data set.
        optimizer: the rule of the update.
        epochs: how often each trial sees every example, at most.
        until_accuracy: the test accuracy at which a trial ends; None trains all epochs.
        train_samples: only so many training examples; None is all.
        threads: CPU threads of each process, where a job has no number of its own.
        cpus: the CPUs that workers are bound to: the first of them, as many as they have threads.
        timeout: seconds after which a worker is killed.
        retries: how often a trial that was disturbed is taken again.
        limits: what each backend reaches at best on each device, or why it cannot.
        equivalence: which contenders were shown to do the work that the spec states.
    """

    models: dict[str, ModelFacts]
    recipes: dict[str, Recipe]
    framework_versions: dict[str, str | None]
    dataset: str
    data: Path
    optimizer: Optimizer
    epochs: int
    train_samples: int | None
    threads: int
    cpus: tuple[int, ...]
    timeout: float
    until_accuracy: float | None = None
    retries: int = 0
    limits: tuple[BackendLimit, ...] = ()
    equivalence: dict[Job, Equivalence] = {}

    def threads_of(self, job: Job) -> int:
        """CPU threads of each of the job's processes."""
        return job.threads or self.threads

    def lacking(self, job: Job) -> str:
        """What of the job cannot be had here, as far as it is known; empty when nothing is."""
        absent = (
            limit.error
            for limit in self.limits
            if limit.absent and (limit.backend, limit.device) == (job.backend, job.device)
        )
        return lacking_for(job, self.recipes) or next(absent, "")


class TrialObserver(Protocol):
    """Watches a trial while it is measured."""

    def trial_event(self, trial: Trial, event: Event) -> None:
        """Its worker told something."""

    def trial_disturbed(self, trial: Trial, record: TrialRecord) -> None:
        """What was measured was disturbed, and is measured again."""


class Observer(TrialObserver, Protocol):
    """Watches a run; what it shows is no part of the measurement."""

    def check_began(self, job: Job) -> None:
        """A certificate is being made for the job."""

    def trials_planned(self, number: int) -> None:
        """So many trials are added to the plan."""

    def trial_began(self, trial: Trial, node: str = "") -> None:
        """A trial starts, on that node of a cluster where there are several."""

    def trial_ended(self, trial: Trial, record: TrialRecord) -> None:
        """It is over, and its record is on the disk."""


def run_trials(
    planned: Sequence[Trial],
    experiment: Experiment,
    executor: Executor,
    folder: RunFolder,
    observer: Observer,
) -> Iterator[TrialRecord]:
    """Run every trial in order; each costs one record, on the disk when it comes.

    A trial that was disturbed is taken again, `Experiment.retries` times at most.

    A KeyboardInterrupt records the trial it hits as interrupted and ends the run there. No record
    is kept in memory: a run may have any number.
    """
    watch = Watch(len(planned), experiment.retries)
    for trial in planned:
        observer.trial_began(trial)
        measured_now = measure(trial, experiment, executor, observer, watch)
        record = measured_now.record
        keep_measured(trial, measured_now, folder)
        observer.trial_ended(trial, record)
        yield record
        if record.outcome == "interrupted":
            return


class Measured(msgspec.Struct, frozen=True):
    """What a trial gave: its record, and what its model answered where that was asked."""

    record: TrialRecord
    explained: Explained | None


def measure(
    trial: Trial,
    experiment: Experiment,
    executor: Executor,
    observer: TrialObserver,
    watch: Watch,
) -> Measured:
    """Measure one trial, and again while it is disturbed and retries are left."""
    disturbed: list[TrialRecord] = []
    while True:
        watch.begin()
        record, explained = _attempt(trial, experiment, executor, observer)
        record = watch.with_noise(record, disturbed)
        if not watch.wants_retry(record, len(disturbed)):
            limited = msgspec.structs.replace(record, limit=_limit(record, experiment))
            return Measured(judged(limited), explained)
        disturbed.append(record)
        observer.trial_disturbed(trial, record)


def keep_measured(trial: Trial, found: Measured, folder: RunFolder) -> None:
    """Put what a trial gave on the disk."""
    folder.append(found.record)
    if found.explained:
        folder.append_explanation(Explanation(trial.name, trial.job.model, found.explained))


def _limit(record: TrialRecord, experiment: Experiment) -> PeakShare | None:
    flops = experiment.models[record.job.model].training_flops_per_image
    return limit_of(record, flops, experiment.limits)


def _attempt(
    trial: Trial, experiment: Experiment, executor: Executor, observer: TrialObserver
) -> tuple[TrialRecord, Explained | None]:
    """Run the trial's worker once: its record without noise, and what its model answered."""
    if experiment.framework_versions[trial.job.backend] is None:
        reason = not_installed(experiment.recipes[trial.job.backend])
        return blank(trial, experiment, Verdict("unavailable", reason)), None
    if lacking := experiment.lacking(trial.job):
        return blank(trial, experiment, Verdict("unsupported", lacking)), None
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
    began = blank(trial, experiment, INTERRUPTED)
    recipe = experiment.recipes[trial.job.backend]
    try:
        end = executor.run(
            task_of(trial, experiment),
            launch_of_job(recipe, trial.job, recipe.cold),
            experiment.timeout,
            on_event,
        )
    except KeyboardInterrupt:
        return measured(began, events), None
    ended = msgspec.structs.replace(
        _with_end(began, events, end, experiment.timeout),
        wall_seconds=time.monotonic() - started,
        other_runs=max(others, other_runs(cache_folder())),
    )
    return ended, explained[-1] if explained else None


def _with_end(
    record: TrialRecord, events: Sequence[Event], end: WorkerEnd, timeout: float
) -> TrialRecord:
    verdict = verdict_of(events, end, timeout)
    ended = msgspec.structs.replace(
        record,
        outcome=verdict.outcome,
        reason=verdict.reason,
        exit_status=end.exit_status,
        environment=end.environment,
        log="" if verdict.outcome == "ok" else end.log,
        framework_version=record.framework_version or _imported_version(events),
    )
    return measured(ended, events)


def _imported_version(events: Sequence[Event]) -> str | None:
    """The version that the worker imported."""
    imported = (event.versions for event in events if isinstance(event, Imported))
    return next((next(iter(versions.values()), None) for versions in imported), None)


def task_of(trial: Trial, experiment: Experiment) -> TrainTask:
    """What the trial's worker is told."""
    job = trial.job
    threads = experiment.threads_of(job)
    return TrainTask(
        adapter=experiment.recipes[job.backend].adapter,
        threads=threads,
        cpus=experiment.cpus[: threads * job.local_size],
        hosts=job.hosts,
        job=job,
        model=experiment.models[job.model].layer,
        epochs=experiment.epochs,
        seed=trial.seed,
        optimizer=experiment.optimizer,
        data=str(experiment.data),
        train_samples=experiment.train_samples,
        until_accuracy=experiment.until_accuracy,
        explain=trial.repeat == 1,
    )


def blank(trial: Trial, experiment: Experiment, verdict: Verdict) -> TrialRecord:
    """The trial's record as far as the plan tells it."""
    job = trial.job
    facts = experiment.models[job.model]
    return TrialRecord(
        trial=trial.name,
        job=job,
        seed=trial.seed,
        repeat=trial.repeat,
        framework_version=experiment.framework_versions[job.backend],
        backend_digest=backend_digest(experiment.recipes[job.backend]),
        machine=machine_name(),
        hardware_digest=hardware_digest(),
        dataset=experiment.dataset,
        equivalence=experiment.equivalence.get(job.certified(), "not checked"),
        epochs=experiment.epochs,
        until_accuracy=experiment.until_accuracy,
        train_samples=experiment.train_samples,
        threads=experiment.threads_of(job),
        outcome=verdict.outcome,
        reason=verdict.reason,
        num_parameters=facts.num_parameters,
        macs_per_image=facts.macs_per_image,
        started_at=timestamp(),
    )


def timestamp() -> str:
    """Now, in UTC, as ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
