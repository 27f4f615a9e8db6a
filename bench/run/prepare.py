"""From a request to a plan: everything is checked before anything starts.

`make_plan` plans a new run; `remake_plan` plans a run again from its manifest.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from backends.api import Recipe
from backends.registry import installed_version
from bench.data.decoded import open_decoded
from bench.data.prepare import prepare
from bench.errors import ChoiceError, RecordError, check_known
from bench.machine.cpus import Processes, choose_cpus, local_sizes, share_cpus
from bench.machine.environments.choice import BackendChoice, choose_backends
from bench.machine.environments.selector import parse_selector
from bench.machine.hardware import usable_cpus
from bench.records.manifest import DatasetFacts, Manifest, MissingBackend, ModelFacts, TimeLimit
from bench.run.devices import devices_of, wants_gpu
from bench.run.executor import Executor
from bench.run.experiment import Experiment
from bench.run.launch import job_environment, notes_on_variables
from bench.run.models import facts_of, load_models
from bench.run.plan import (
    Matrix,
    Selector,
    check_devices,
    choose_modes,
    fits,
    trials,
)
from bench.run.request import MatrixOptions, Report, Request
from bench.spec.job import FEEDS, Feed, Job, Trial
from bench.spec.precision import PRECISIONS

MOST_TRIALS = 100_000


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A checked plan.

    Attributes:
        experiment: what all trials share.
        jobs: what is compared.
        trials: the processes, in order.
        dataset: the data set's facts.
        missing: backends that `all` left out because they are not installed.
        notes: what else the reader of the report should know.
    """

    experiment: Experiment
    jobs: list[Job]
    trials: list[Trial]
    dataset: DatasetFacts
    missing: list[MissingBackend]
    notes: list[str]

    def remarks(self) -> list[str]:
        """Return lines for the user about missing backends, and the notes."""
        lines = [f"Note: {note}" for note in self.notes]
        names = [each.backend for each in self.missing]
        if names:
            lines.insert(0, f"Not installed and left out: {', '.join(names)} (see bench list)")
        return lines


class SelectorError(ChoiceError):
    """An exclude or a baseline that matches no job.

    Attributes:
        table: `exclude`, or `baselines.` and the baseline's name.
        number: which one of the excludes, from 0.
    """

    def __init__(self, table: str, number: int, selector: Selector) -> None:
        shown = ", ".join(f"{field} = {value!r}" for field, value in selector.items())
        super().__init__(f"no job has {shown or 'these values'}: use values that some job has")
        self.table = table
        self.number = number


def make_plan(
    request: Request,
    executor: Executor,
    report: Report | None = None,
    cpus: Sequence[int] | None = None,
) -> Plan:
    """Check the request, prepare the data and the environments, and plan the trials.

    Args:
        request: what to compare, and how.
        executor: runs the workers that list a framework's devices.
        report: called with what takes time; without it no environment is made.
        cpus: the CPUs of the machines that measure; by default those of this process.

    Raises:
        UserError: the request is not possible here.
    """
    options = request.options
    modes = _modes(request.matrices)
    source = prepare(options.data_dir)
    facts = facts_of(open_decoded(source.folder), options.train_samples)
    models = [load_models(each.models, facts, each.widths) for each in request.matrices]
    threads, cpus = choose_cpus(
        [_processes(each) for each in request.matrices], tuple(cpus or usable_cpus())
    )
    # Last, because it can take minutes: mistakes in the request are reported before.
    chosen = [
        choose_backends(each.backends, wants_gpu(each.devices), report) for each in request.matrices
    ]
    recipes = {recipe.name: recipe for each in chosen for recipe in each.recipes}
    every = _every_job(request.matrices, models, modes, chosen, executor)
    _check_selectors(request, every, threads)
    planned = [job for job in every if not any(fits(job, one, threads) for one in request.excludes)]
    _check_jobs(planned, options.first_repeats, facts.train_examples)
    experiment = Experiment(
        models=_used_models(models, planned),
        recipes=recipes,
        framework_versions={name: installed_version(each) for name, each in recipes.items()},
        dataset=facts.name,
        data=source.folder,
        optimizer=options.update_rule,
        epochs=options.epochs,
        until_accuracy=options.until_accuracy,
        train_samples=options.train_samples,
        threads=threads,
        cpus=cpus,
        timeout=float(options.timeout),
        retries=options.retries,
        rounds=options.rounds,
        trains_all=_trains_all(options.time_limit, options.until_accuracy),
    )
    return Plan(
        experiment=experiment,
        jobs=planned,
        trials=trials(planned, options.first_repeats, options.seed),
        dataset=facts,
        missing=_missing(chosen),
        notes=[*source.notes, *notes_on_variables(os.environ)],
    )


def remake_plan(
    where: str,
    manifest: Manifest,
    threads: int | None,
    usable: Sequence[int],
    report: Report | None = None,
) -> Plan:
    """Plan a run's trials again on this machine, from its manifest.

    Args:
        where: what messages call the run: its folder, or the node that plans it.
        manifest: of the run.
        threads: of each process where a job has no number of its own; None shares the CPUs.
        usable: the CPUs that workers may be bound to.
        report: called with what takes time; without it no environment is made.

    Raises:
        RecordError: a backend is no longer there, or the data set has changed.
        UserError: the trials are not possible here.
    """
    recipes = recipes_of_run(where, manifest, report)
    source = prepare(Path(manifest.data_dir) if manifest.data_dir else None)
    dataset = facts_of(open_decoded(source.folder), manifest.train_samples)
    if dataset != manifest.dataset:
        raise RecordError(f"{where}: the data set {manifest.dataset.name} has changed since")
    planned = manifest.plan
    jobs = list(dict.fromkeys(trial.job for trial in planned))
    sizes = [(job.local_size, job.threads) for job in jobs]
    own_threads, cpus = share_cpus(sizes, threads, usable)
    return Plan(
        experiment=Experiment(
            models=manifest.models,
            recipes=recipes,
            framework_versions={name: installed_version(each) for name, each in recipes.items()},
            dataset=dataset.name,
            data=source.folder,
            optimizer=manifest.optimizer,
            epochs=manifest.epochs,
            until_accuracy=manifest.until_accuracy,
            train_samples=manifest.train_samples,
            threads=own_threads,
            cpus=cpus,
            timeout=manifest.timeout_seconds,
            retries=manifest.retries,
            rounds=manifest.rounds,
            trains_all=_trains_all(manifest.time_limit, manifest.until_accuracy),
        ),
        jobs=jobs,
        trials=planned,
        dataset=dataset,
        missing=manifest.missing,
        notes=source.notes,
    )


def _trains_all(limit: TimeLimit | None, until_accuracy: float | None) -> bool:
    """Return whether every repeat trains for the accuracy; under a time limit, the first does."""
    return limit is None or until_accuracy is not None


def recipes_of_run(
    where: str, manifest: Manifest, report: Report | None = None
) -> dict[str, Recipe]:
    """Return a run's backends as this machine has them; the arguments are those of `remake_plan`.

    Raises:
        RecordError: a backend is no longer there.
    """
    names = sorted({trial.job.backend for trial in manifest.plan})
    on_gpu = wants_gpu([trial.job.device for trial in manifest.plan])
    try:
        chosen = choose_backends(names, on_gpu, report)
    except ChoiceError as error:
        raise RecordError(f"{where}: a backend of the run is no longer there: {error}") from error
    return {recipe.name: recipe for recipe in chosen.recipes}


def _every_job(
    matrices: Sequence[MatrixOptions],
    models: Sequence[Mapping[str, ModelFacts]],
    modes: Sequence[Mapping[str, Sequence[str]]],
    chosen: Sequence[BackendChoice],
    executor: Executor,
) -> list[Job]:
    """Return the jobs of all matrices, each once."""
    resolved = [
        _matrix(options, list(own_models), own_modes, _devices(each.recipes, options, executor))
        for options, own_models, own_modes, each in zip(
            matrices, models, modes, chosen, strict=True
        )
    ]
    return list(dict.fromkeys(job for matrix in resolved for job in matrix.jobs()))


def _processes(options: MatrixOptions) -> Processes:
    return Processes(local_sizes(options.world_size, options.hosts), options.threads)


def _used_models(
    models: Sequence[Mapping[str, ModelFacts]], planned: Sequence[Job]
) -> dict[str, ModelFacts]:
    """Return the models that some job trains after the excludes are applied."""
    used = {job.model for job in planned}
    return {name: each for known in models for name, each in known.items() if name in used}


def _modes(matrices: Sequence[MatrixOptions]) -> list[dict[str, tuple[str, ...]]]:
    """Check all names in the request; return each matrix's modes of each backend."""
    for options in matrices:
        check_devices(options.devices)
        check_known(options.precisions, PRECISIONS, "precision")
        check_known(options.input, FEEDS, "input")
    recipes = [choose_backends(each.backends, wants_gpu(each.devices)).recipes for each in matrices]
    every = [recipe for own in recipes for recipe in own]
    return [
        choose_modes(own, options.modes, every)
        for own, options in zip(recipes, matrices, strict=True)
    ]


def _missing(chosen: Sequence[BackendChoice]) -> list[MissingBackend]:
    """Return the backends that a matrix left out and no other includes."""
    included = {recipe.name for each in chosen for recipe in each.recipes}
    missing = {one.backend: one for each in chosen for one in each.missing}
    return [one for name, one in missing.items() if name not in included]


def _devices(
    recipes: Iterable[Recipe], options: MatrixOptions, executor: Executor
) -> dict[str, list[str]]:
    return {recipe.name: devices_of(recipe, options.devices, executor) for recipe in recipes}


def _matrix(
    options: MatrixOptions,
    models: Sequence[str],
    modes: Mapping[str, Sequence[str]],
    devices: Mapping[str, Sequence[str]],
) -> Matrix:
    several = len(options.threads) > 1
    return Matrix(
        models=models,
        batch_sizes=options.batch_sizes,
        modes=modes,
        devices=devices,
        arms=options.arm,
        precisions=options.precisions,
        inputs=[msgspec.convert(name, Feed) for name in options.input],
        threads=options.threads if several else [None],
        world_sizes=options.world_size,
        hosts=options.hosts,
        scalings=options.scaling,
        environments={name: _environments(options, name) for name in modes},
    )


def _environments(options: MatrixOptions, backend: str) -> list[tuple[str, ...]]:
    """Return the environments of the backend's contenders."""
    own = [each for each in map(parse_selector, options.backends) if each.text == backend]
    sets = [each.environment for each in own] or [()]
    return [job_environment(options.environment, each) for each in sets]


def _check_selectors(request: Request, jobs: Sequence[Job], threads: int) -> None:
    """Check that every exclude and every baseline matches a job; else it was mistyped."""
    named: list[tuple[str, int, Any]] = [
        ("exclude", number, each) for number, each in enumerate(request.excludes)
    ]
    named += [(f"baselines.{name}", 0, each) for name, each in request.baselines.items()]
    for table, number, selector in named:
        if not any(fits(job, selector, threads) for job in jobs):
            raise SelectorError(table, number, selector)


def _check_jobs(planned: Sequence[Job], repeats: int, examples: int) -> None:
    if not planned:
        raise ChoiceError(
            "nothing is left to run: no backend has the requested modes, or excludes remove all"
        )
    number = len(planned) * repeats
    if number > MOST_TRIALS:
        raise ChoiceError(
            f"these options make {number:,} trials, at most {MOST_TRIALS:,} are possible: choose "
            "fewer repeats, models, batch sizes or modes"
        )
    for job in planned:
        if job.batch_size > examples:
            raise ChoiceError(
                f"batch size {job.batch_size} is larger than the {examples} training examples: "
                "choose a smaller batch size"
            )
        if job.batch_size % job.world_size:
            raise ChoiceError(
                f"batch size {job.batch_size} cannot be divided by world size {job.world_size}: "
                "choose a multiple"
            )
