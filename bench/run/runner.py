"""Measures the trials of a plan, one after the other, and records each as it ends.

Imports no framework: a worker, which the executor starts, trains the model.
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
from bench.machine.disturbance import Canary, Watch
from bench.machine.hardware import hardware_digest, machine_name
from bench.machine.other_runs import other_runs
from bench.records.manifest import ModelFacts
from bench.records.predictions import Explanation
from bench.records.trial import Equivalence, PeakShare, TrialRecord
from bench.records.writer import RunFolder
from bench.run.certificates import backend_digest
from bench.run.executor import Executor
from bench.run.launch import launch_of_job
from bench.run.outcome import INTERRUPTED, Verdict, verdict_of, with_events, with_slices
from bench.run.peak_rates import PeakRates, peak_share
from bench.run.plan import unsupported_by
from bench.run.plausibility import checked
from bench.run.rounds import Opener, Participant, Setting, run_rounds
from bench.run.worker_process import WorkerEnd
from bench.spec.job import Job, Trial
from bench.spec.training import Optimizer
from bench.worker.protocol import Calls, Event, Explained, Imported, Rounds, TrainTask
from bench.worker.usage import total_usage


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """What all trials of a run share.

    Attributes:
        models: each model's spec and sizes, by name.
        recipes: each backend's recipe, by name.
        framework_versions: each backend's framework version; None where it is not installed.
        dataset: name of the data set.
        data: folder of the decoded data set.
        optimizer: rule of the update.
        epochs: largest number of epochs of a trial.
        until_accuracy: test accuracy at which a trial ends; None trains all epochs.
        train_samples: number of training examples; None is all.
        threads: CPU threads per process, where a job has no number of its own.
        cpus: CPUs for workers; each is bound to the first ones, as many as it has threads.
        timeout: seconds after which a worker is killed.
        retries: number of times that a disturbed trial is retried.
        rounds: rounds of each repeat, in which the contenders take turns; 0 measures one after the
            other.
        peak_rates: each backend's peak rates on each device, or why there are none.
        equivalence: whether each contender's certificate passed, by the certified job.
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
    rounds: int = 0
    peak_rates: tuple[PeakRates, ...] = ()
    equivalence: dict[Job, Equivalence] = {}

    def threads_of(self, job: Job) -> int:
        """Return the CPU threads per process of the job."""
        return job.threads or self.threads

    def unsupported(self, job: Job) -> str:
        """Return why the job cannot run here, as far as is known before it runs; else empty."""
        absent = (
            rates.error
            for rates in self.peak_rates
            if rates.absent and (rates.backend, rates.device) == (job.backend, job.device)
        )
        return unsupported_by(job, self.recipes) or next(absent, "")


class LiveExecutor(Executor, Opener, Protocol):
    """Runs one task at a time, or keeps several workers alive."""


class TrialObserver(Protocol):
    """Watches a trial while it is measured."""

    def trial_event(self, trial: Trial, event: Event) -> None:
        """Called with each event of the trial's worker."""

    def trial_disturbed(self, trial: Trial, record: TrialRecord) -> None:
        """Called with the record of a disturbed attempt, before the trial is measured again."""


class Observer(TrialObserver, Protocol):
    """Watches a run, for instance to display its progress."""

    def check_began(self, job: Job) -> None:
        """Called when a certificate of the job is being made."""

    def trials_planned(self, number: int) -> None:
        """Called with the number of trials that are added to the plan."""

    def trial_began(self, trial: Trial, node: str = "") -> None:
        """Called when a trial starts, with the node's name where a cluster measures."""

    def trial_ended(self, trial: Trial, record: TrialRecord) -> None:
        """Called when the trial has ended and its record is on disk."""


def run_trials(
    planned: Sequence[Trial],
    experiment: Experiment,
    executor: LiveExecutor,
    folder: RunFolder,
    observer: Observer,
) -> Iterator[TrialRecord]:
    """Measure every trial in order and yield its record, which is then on disk.

    A KeyboardInterrupt records the running trial as interrupted and ends the run. Records are not
    kept in memory, because a run can have any number of them.

    Args:
        planned: the trials.
        experiment: what they share.
        executor: runs their workers.
        folder: of the run.
        observer: watches.
    """
    canary = Canary()
    watch = Watch(len(planned), experiment.retries, canary)
    calls: dict[Job, Calls] = {}
    for trials in _groups(planned, experiment):
        if len(trials) == 1 and not in_rounds(trials[0], experiment):
            observer.trial_began(trials[0])
            results = [(trials[0], measure(trials[0], experiment, executor, observer, watch))]
        else:
            results = measure_in_rounds(trials, experiment, executor, observer, canary, calls)
        for trial, measurement in results:
            save(trial, measurement, folder)
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


Results = list[tuple[Trial, "Measurement"]]


def measure_in_rounds(
    trials: Sequence[Trial],
    experiment: Experiment,
    executor: LiveExecutor,
    observer: Observer,
    canary: Canary,
    calls: dict[Job, Calls],
) -> Results:
    """Measure the trials of a ranking and repeat together.

    Args:
        trials: with different jobs.
        experiment: what all trials share.
        executor: keeps their workers alive.
        observer: watches.
        canary: is timed once per round.
        calls: the calls of a slice of each job, as far as they are chosen; extended.

    Returns:
        The trials with their results; after a KeyboardInterrupt those that ran are interrupted.
    """
    results: Results = []
    participants: list[Participant] = []
    setting = Setting(experiment.rounds, trials[0].seed)
    others = other_runs(cache_folder())
    is_interrupted = False
    began_at = None
    try:
        for trial in trials:
            observer.trial_began(trial)
            if (verdict := _unmeasurable(trial, experiment)) is not None:
                record = planned_record(trial, experiment, verdict)
                results.append((trial, Measurement(record, None)))
                continue
            each = Participant(trial, observer.trial_event)
            participants.append(each)
            recipe = experiment.recipes[trial.job.backend]
            task = msgspec.structs.replace(
                task_of(trial, experiment), rounds=Rounds(calls=calls.get(trial.job))
            )
            launch = launch_of_job(recipe, trial.job, recipe.cold)
            each.start(executor, task, launch, experiment.timeout)
        began_at = run_rounds(participants, setting, canary)
    except KeyboardInterrupt:
        is_interrupted = True
    finally:
        for each in participants:
            each.close()
    others = max(others, other_runs(cache_folder()))
    for each in participants:
        if each.calls is not None:
            calls[each.trial.job] = each.calls
        record = _in_rounds_record(each, experiment, is_interrupted)
        found = msgspec.structs.replace(record, rounds_began_at=began_at, other_runs=others)
        results.append((each.trial, _compared(found, experiment, each.explained)))
    return results


def _in_rounds_record(
    each: Participant, experiment: Experiment, is_interrupted: bool
) -> TrialRecord:
    """Return the record of a trial in rounds."""
    began = planned_record(each.trial, experiment, INTERRUPTED)
    if is_interrupted or each.end is None:
        record = with_events(began, each.events)
    else:
        record = _with_end(began, each.events, each.end, experiment.timeout)
    record = msgspec.structs.replace(record, wall_seconds=each.wall_seconds)
    if not each.slices:
        return record
    return with_slices(record, each.slices, total_usage(each.usage), each.epochs_left)


class Measurement(msgspec.Struct, frozen=True):
    """The result of a trial.

    Attributes:
        record: of the trial.
        explained: predictions of its model; None where they were not requested.
    """

    record: TrialRecord
    explained: Explained | None


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
            return _compared(record, experiment, explained)
        disturbed.append(record)
        observer.trial_disturbed(trial, record)


def _compared(
    record: TrialRecord, experiment: Experiment, explained: Explained | None
) -> Measurement:
    """Compare the record with the peak rate of its devices, and check that it is possible."""
    compared = msgspec.structs.replace(record, limit=_peak_share(record, experiment))
    return Measurement(checked(compared), explained)


def save(trial: Trial, measurement: Measurement, folder: RunFolder) -> None:
    """Write the result of a trial into the run's folder."""
    folder.append(measurement.record)
    if measurement.explained:
        folder.append_explanation(Explanation(trial.name, trial.job.model, measurement.explained))


def _peak_share(record: TrialRecord, experiment: Experiment) -> PeakShare | None:
    flops = experiment.models[record.job.model].training_flops_per_image
    return peak_share(record, flops, experiment.peak_rates)


def _attempt(
    trial: Trial, experiment: Experiment, executor: Executor, observer: TrialObserver
) -> tuple[TrialRecord, Explained | None]:
    """Run the trial's worker once; return the record, still without noise, and predictions."""
    if (verdict := _unmeasurable(trial, experiment)) is not None:
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
        _with_end(began, events, end, experiment.timeout),
        wall_seconds=time.monotonic() - started,
        other_runs=max(others, other_runs(cache_folder())),
    )
    return ended, explained[-1] if explained else None


def _unmeasurable(trial: Trial, experiment: Experiment) -> Verdict | None:
    """Return how a trial ends that needs no worker; None if it needs one."""
    if experiment.framework_versions[trial.job.backend] is None:
        return Verdict("unavailable", not_installed(experiment.recipes[trial.job.backend]))
    reason = experiment.unsupported(trial.job)
    return Verdict("unsupported", reason) if reason else None


def _with_end(
    record: TrialRecord, events: Sequence[Event], end: WorkerEnd, timeout: float
) -> TrialRecord:
    verdict = verdict_of(events, end, timeout)
    ended = msgspec.structs.replace(
        record,
        outcome=verdict.outcome,
        reason=verdict.reason,
        exit_status=end.exit_status,
        variables=end.environment,
        log="" if verdict.outcome == "ok" else end.log,
        framework_version=record.framework_version or _imported_version(events),
    )
    return with_events(ended, events)


def _imported_version(events: Sequence[Event]) -> str | None:
    """Return the framework version that the worker imported; None if it imported none."""
    imported = (event.versions for event in events if isinstance(event, Imported))
    return next((next(iter(versions.values()), None) for versions in imported), None)


def task_of(trial: Trial, experiment: Experiment) -> TrainTask:
    """Return the task of the trial's worker."""
    job = trial.job
    threads = experiment.threads_of(job)
    return TrainTask(
        adapter=experiment.recipes[job.backend].adapter,
        threads=threads,
        cpus=experiment.cpus[: threads * job.local_size],
        hosts=job.hosts,
        processes=experiment.recipes[job.backend].processes_for(job.local_size),
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


def planned_record(trial: Trial, experiment: Experiment, verdict: Verdict) -> TrialRecord:
    """Return the trial's record with what is known before it runs.

    Args:
        trial: of the plan.
        experiment: what all trials share.
        verdict: how the trial ended, or counts as ended if nothing follows.
    """
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
    """Return the time in UTC, as ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
