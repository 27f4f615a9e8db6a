"""The manifest of a run, from what was asked and what was prepared."""

from bench import __version__
from bench.machine.environments.installed import installation_of
from bench.machine.hardware import describe_machine
from bench.records.job import Job, Trial
from bench.records.manifest import ClusterChoice, Manifest, PlannedTrial
from bench.run.prepare import Request
from bench.run.prepared import Prepared
from bench.run.runner import timestamp


def make_manifest(
    prepared: Prepared,
    request: Request,
    command: str,
    verified: bool,
    cluster: ClusterChoice | None = None,
) -> Manifest:
    """The manifest of a run that is about to start.

    Args:
        prepared: the plan.
        request: what was asked.
        command: as typed.
        verified: whether each contender is checked before the trials.
        cluster: on which nodes, where it is not this machine.
    """
    experiment = prepared.experiment
    installed = experiment.framework_versions.items()
    found = {name: installation_of(recipe) for name, recipe in experiment.recipes.items()}
    return Manifest(
        suite_version=__version__,
        started_at=timestamp(),
        command=command,
        title=request.title,
        machine=describe_machine(),
        dataset=prepared.dataset,
        models=experiment.models,
        optimizer=experiment.optimizer,
        data_dir=str(request.data_dir.absolute()) if request.data_dir else None,
        train_samples=request.train_samples,
        epochs=request.epochs,
        until_accuracy=request.until_accuracy,
        repeats=request.repeats,
        auto_repeats=request.auto_repeats,
        seed=request.seed,
        threads=experiment.threads,
        timeout_seconds=request.timeout,
        retries=request.retries,
        verified=verified,
        framework_versions={name: version for name, version in installed if version is not None},
        installations={name: each for name, each in found.items() if each is not None},
        missing=prepared.missing,
        notes=prepared.notes,
        baselines=request.baselines,
        plan=[planned_trial(trial) for trial in prepared.trials],
        cluster=cluster,
    )


def planned_trial(trial: Trial) -> PlannedTrial:
    """The trial as the manifest has it."""
    job = trial.job
    return PlannedTrial(
        trial=trial.name,
        backend=job.backend,
        mode=job.mode,
        device=job.device,
        model=job.model,
        batch_size=job.batch_size,
        seed=trial.seed,
        repeat=trial.repeat,
        arm=job.arm,
        precision=job.precision,
        input=job.input,
        threads=job.threads,
        world_size=job.world_size,
        place=job.place,
        hosts=job.hosts,
    )


def trial_of(planned: PlannedTrial) -> Trial:
    """The trial that the manifest has so."""
    job = Job(
        planned.model,
        planned.batch_size,
        planned.backend,
        planned.mode,
        planned.device,
        planned.arm,
        planned.precision,
        planned.input,
        planned.threads,
        planned.world_size,
        planned.place,
        planned.hosts,
    )
    return Trial(job, planned.seed, planned.repeat)
