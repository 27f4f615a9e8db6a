"""The manifest of a run, from its request and its plan."""

from bench import __version__
from bench.machine.environments.installed import installation_of
from bench.machine.hardware import describe_machine
from bench.records.manifest import ClusterChoice, Manifest
from bench.run.prepare import Plan
from bench.run.request import Request
from bench.run.runner import timestamp


def make_manifest(
    plan: Plan,
    request: Request,
    command: str,
    cluster: ClusterChoice | None = None,
) -> Manifest:
    """The manifest of a run that is about to start.

    Args:
        plan: of the trials.
        request: what the user requested.
        command: as typed.
        cluster: the nodes that measure; None is this machine.
    """
    experiment = plan.experiment
    installed = experiment.framework_versions.items()
    found = {name: installation_of(recipe) for name, recipe in experiment.recipes.items()}
    return Manifest(
        suite_version=__version__,
        started_at=timestamp(),
        command=command,
        title=request.title,
        machine=describe_machine(),
        dataset=plan.dataset,
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
        verified=request.verify,
        framework_versions={name: version for name, version in installed if version is not None},
        installations={name: each for name, each in found.items() if each is not None},
        missing=plan.missing,
        notes=plan.notes,
        baselines=request.baselines,
        plan=plan.trials,
        cluster=cluster,
    )
