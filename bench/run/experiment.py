"""An experiment: what all trials of a run share, and what follows from it for each trial."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from backends.api import Recipe
from backends.registry import not_installed
from bench.machine.hardware import hardware_digest, machine_name
from bench.records.manifest import ModelFacts
from bench.records.trial import Equivalence, PeakShare, TrialRecord
from bench.run.certificates import backend_digest
from bench.run.outcome import Verdict, verdict_of, with_events
from bench.run.peak_rates import PeakRates, peak_share
from bench.run.plan import unsupported_by
from bench.run.plausibility import checked
from bench.run.worker_process import WorkerEnd
from bench.spec.job import Job, Trial
from bench.spec.training import Optimizer
from bench.worker.protocol import Event, Explained, Imported, TrainTask


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
        trains_all: whether every repeat trains all epochs; otherwise the later ones, in rounds,
            only measure the speed.
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
    trains_all: bool = True
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


class Measurement(msgspec.Struct, frozen=True):
    """The result of a trial.

    Attributes:
        record: of the trial.
        explained: predictions of its model; None where they were not requested.
    """

    record: TrialRecord
    explained: Explained | None


def compared(
    record: TrialRecord, experiment: Experiment, explained: Explained | None
) -> Measurement:
    """Compare the record with the peak rate of its devices, and check that it is possible."""
    compared = msgspec.structs.replace(record, limit=_peak_share(record, experiment))
    return Measurement(checked(compared), explained)


def _peak_share(record: TrialRecord, experiment: Experiment) -> PeakShare | None:
    flops = experiment.models[record.job.model].training_flops_per_image
    return peak_share(record, flops, experiment.peak_rates)


def unmeasurable(trial: Trial, experiment: Experiment) -> Verdict | None:
    """Return how a trial ends that needs no worker; None if it needs one."""
    if experiment.framework_versions[trial.job.backend] is None:
        return Verdict("unavailable", not_installed(experiment.recipes[trial.job.backend]))
    reason = experiment.unsupported(trial.job)
    return Verdict("unsupported", reason) if reason else None


def ended_record(
    record: TrialRecord, events: Sequence[Event], end: WorkerEnd, timeout: float
) -> TrialRecord:
    """Return the record of a trial whose worker has ended.

    Args:
        record: with what was known before the trial.
        events: of the worker.
        end: how it ended.
        timeout: the time limit, in seconds.
    """
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
