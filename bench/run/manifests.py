"""The manifest of a run, from its request and its plan."""

from bench import __version__
from bench.machine.environments.installed import installation_of
from bench.machine.hardware import describe_machine
from bench.records.manifest import ClusterChoice, Manifest
from bench.run.experiment import timestamp
from bench.run.prepare import Plan
from bench.run.request import Request


def make_manifest(
    plan: Plan,
    request: Request,
    command: str,
    cluster: ClusterChoice | None = None,
) -> Manifest:
    """Make the manifest of a run that is about to start.

    Args:
        plan: of the trials.
        request: what the user requested.
        command: as typed.
        cluster: the nodes that measure; None is this machine.
    """
    experiment, options = plan.experiment, request.options
    installed = experiment.framework_versions.items()
    installations = {name: installation_of(recipe) for name, recipe in experiment.recipes.items()}
    return Manifest(
        suite_version=__version__,
        started_at=timestamp(),
        command=command,
        title=request.title,
        machine=describe_machine(),
        dataset=plan.dataset,
        models=experiment.models,
        optimizer=experiment.optimizer,
        data_dir=str(options.data_dir.absolute()) if options.data_dir else None,
        train_samples=options.train_samples,
        epochs=options.epochs,
        until_accuracy=options.until_accuracy,
        repeats=options.first_repeats,
        time_limit=options.time_limit,
        seed=options.seed,
        threads=experiment.threads,
        timeout_seconds=experiment.timeout,
        retries=options.retries,
        rounds=experiment.rounds,
        margin=float(options.margin),
        verified=options.verify,
        framework_versions={name: version for name, version in installed if version is not None},
        installations={name: each for name, each in installations.items() if each is not None},
        missing=plan.missing,
        notes=plan.notes,
        baselines=request.baselines,
        plan=plan.trials,
        cluster=cluster,
    )
