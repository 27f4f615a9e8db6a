"""From what a command asks to what a run will do: everything is checked before anything starts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from backends.api import Recipe
from backends.registry import installed_version
from bench.data.decoded import open_decoded
from bench.data.prepare import prepare
from bench.errors import ChoiceError, check_known
from bench.machine.cpus import Processes, choose_cpus, local_sizes
from bench.machine.environments.choosing import Chosen, Tell, choose_backends
from bench.machine.hardware import usable_cpus
from bench.records.job import Job
from bench.records.manifest import AutoRepeats, Missing, ModelFacts
from bench.records.trial import FEEDS, Arm, Feed
from bench.run.devices import devices_of, wants_gpu
from bench.run.executor import Executor
from bench.run.models import facts_of, load_models
from bench.run.plan import (
    ALL,
    MODES_DEFAULT,
    Matrix,
    Scaling,
    Selector,
    check_devices,
    choose_modes,
    fits,
    trials,
)
from bench.run.prepared import Prepared
from bench.run.runner import Experiment
from bench.spec.precision import PRECISIONS
from bench.spec.training import Optimizer

MOST_TRIALS = 100_000


def _some(*values: Any) -> Any:
    """The default of a list."""
    return msgspec.field(default_factory=lambda: list(values))


class Choices(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to compare, as typed: every combination is a job, nothing is looked up yet.

    Without `threads` each process has its share of the CPUs.
    """

    backends: list[str] = _some(ALL)
    models: list[str] = _some("mlp")
    widths: list[float] = _some(1.0)
    modes: list[str] = _some(MODES_DEFAULT)
    devices: list[str] = _some("auto")
    batch_sizes: list[int] = _some(64)
    arms: list[Arm] = _some("controlled")
    precisions: list[str] = _some("float32")
    inputs: list[str] = _some("resident")
    threads: list[int] = []
    world_sizes: list[int] = _some(1)
    hosts: list[int] = _some(1)
    scalings: list[Scaling] = _some("strong")


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a command asks.

    With `auto_repeats` there are so many repeats to begin with, and more are added. A job that
    one of `excludes` fits is left out; the report compares with those that `baselines` name.
    """

    choices: list[Choices]
    excludes: list[Selector] = []
    baselines: dict[str, Selector] = {}
    title: str = ""
    optimizer: Optimizer
    epochs: int
    until_accuracy: float | None
    repeats: int
    auto_repeats: AutoRepeats | None
    seed: int
    timeout: float
    train_samples: int | None
    data_dir: Path | None
    retries: int = 0


def prepare_run(
    request: Request,
    executor: Executor,
    tell: Tell | None = None,
    cpus: Sequence[int] | None = None,
) -> Prepared:
    """Check the request, prepare the data and the environments, and make the plan.

    Args:
        request: what is asked.
        executor: asks backends for their devices.
        tell: called with what takes time; without it, no environment is made.
        cpus: those that there are where the trials run, if not this process's own.

    Raises:
        ValueError: in one of the classes that say what was received and what was expected.
    """
    _check_accuracy(request.until_accuracy)
    modes = _modes(request.choices)
    source = prepare(request.data_dir)
    facts = facts_of(open_decoded(source.folder), request.train_samples)
    models = [load_models(choices.models, facts, choices.widths) for choices in request.choices]
    threads, cpus = choose_cpus(
        [_processes(choices) for choices in request.choices], tuple(cpus or usable_cpus())
    )
    # Last, since it can take minutes: what was typed wrong is said before.
    chosen = [
        choose_backends(choices.backends, wants_gpu(choices.devices), tell)
        for choices in request.choices
    ]
    found = {recipe.name: recipe for each in chosen for recipe in each.recipes}
    every = _every_job(request.choices, models, modes, chosen, executor)
    planned = [job for job in every if not any(fits(job, one, threads) for one in request.excludes)]
    _check_batch_sizes(planned, facts.train_examples)
    _check_number(len(planned) * request.repeats)
    experiment = Experiment(
        models=_meant(models, planned),
        recipes=found,
        framework_versions={name: installed_version(each) for name, each in found.items()},
        dataset=facts.name,
        data=source.folder,
        optimizer=request.optimizer,
        epochs=request.epochs,
        until_accuracy=request.until_accuracy,
        train_samples=request.train_samples,
        threads=threads,
        cpus=cpus,
        timeout=request.timeout,
        retries=request.retries,
    )
    return Prepared(
        experiment=experiment,
        combinations=every,
        jobs=planned,
        trials=trials(planned, request.repeats, request.seed),
        dataset=facts,
        missing=_missing(chosen),
        notes=source.notes,
    )


def _every_job(
    asked: Sequence[Choices],
    models: Sequence[Mapping[str, ModelFacts]],
    modes: Sequence[Mapping[str, Sequence[str]]],
    chosen: Sequence[Chosen],
    executor: Executor,
) -> list[Job]:
    """The jobs of all choices, each once."""
    matrices = [
        _matrix(choices, list(of_choice), own, _places(each.recipes, choices.devices, executor))
        for choices, of_choice, own, each in zip(asked, models, modes, chosen, strict=True)
    ]
    return list(dict.fromkeys(job for matrix in matrices for job in matrix.jobs()))


def _processes(choices: Choices) -> Processes:
    return Processes(local_sizes(choices.world_sizes, choices.hosts), choices.threads)


def _meant(
    models: Sequence[Mapping[str, ModelFacts]], planned: Sequence[Job]
) -> dict[str, ModelFacts]:
    """The models of all choices that a job is left of."""
    wanted = {job.model for job in planned}
    return {name: each for known in models for name, each in known.items() if name in wanted}


def _modes(asked: Sequence[Choices]) -> list[dict[str, tuple[str, ...]]]:
    """For each choice the modes of each backend, once all that was typed is known to be a name."""
    for choices in asked:
        check_devices(choices.devices)
        check_known(choices.precisions, PRECISIONS, "precision")
        check_known(choices.inputs, FEEDS, "input")
    found = [choose_backends(each.backends, wants_gpu(each.devices)).recipes for each in asked]
    every = [recipe for recipes_of_one in found for recipe in recipes_of_one]
    return [
        choose_modes(own, choices.modes, every) for own, choices in zip(found, asked, strict=True)
    ]


def _missing(chosen: Sequence[Chosen]) -> list[Missing]:
    """The backends that one of the choices left out and none has."""
    named = {recipe.name for each in chosen for recipe in each.recipes}
    found = {lacking.backend: lacking for each in chosen for lacking in each.missing}
    return [lacking for name, lacking in found.items() if name not in named]


def _places(
    found: Sequence[Recipe], received: Sequence[str], executor: Executor
) -> dict[str, list[str]]:
    return {recipe.name: devices_of(recipe, received, executor) for recipe in found}


def _matrix(
    choices: Choices,
    models: Sequence[str],
    modes: Mapping[str, Sequence[str]],
    devices: Mapping[str, Sequence[str]],
) -> Matrix:
    several = len(choices.threads) > 1
    return Matrix(
        models=models,
        batch_sizes=choices.batch_sizes,
        modes=modes,
        devices=devices,
        arms=choices.arms,
        precisions=choices.precisions,
        inputs=[msgspec.convert(name, Feed) for name in choices.inputs],
        threads=choices.threads if several else [None],
        world_sizes=choices.world_sizes,
        hosts=choices.hosts,
        scalings=choices.scalings,
    )


def _check_accuracy(target: float | None) -> None:
    if target is not None and not 0 < target <= 1:
        raise ChoiceError(
            f"received --until-accuracy {target}, expected a share of the test images like 0.98"
        )


def _check_number(trials: int) -> None:
    if trials > MOST_TRIALS:
        raise ChoiceError(
            f"received a choice of {trials:,} trials, expected at most {MOST_TRIALS:,}: ask for "
            "fewer repeats, models, batch sizes or modes"
        )


def _check_batch_sizes(planned: Sequence[Job], examples: int) -> None:
    largest = max((job.batch_size for job in planned), default=0)
    if largest > examples:
        raise ChoiceError(
            f"received {examples} training examples and batch size {largest}, "
            "expected at least one full batch: ask for a smaller batch"
        )
    for job in planned:
        if job.batch_size % job.world_size:
            raise ChoiceError(
                f"received batch size {job.batch_size} and world size {job.world_size}, expected "
                "a batch that can be shared in equal parts"
            )
