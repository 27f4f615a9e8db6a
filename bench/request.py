"""From what a command asks to what a run will do: everything is checked before anything starts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from backends.api import Recipe
from backends.registry import installed_version, recipes
from bench.choices import ChoiceError, check_known
from bench.data.decoded import open_decoded
from bench.data.prepare import cache_folder, prepare
from bench.environment import launch_of
from bench.environments.choosing import Chosen, Tell, choose_backends
from bench.executor import Executor
from bench.facts import facts_of, load_models
from bench.gate import Gate
from bench.limits import MEASURE_SECONDS, BackendLimit, Setting, backend_limits
from bench.machine import describe_machine, has_accelerator, usable_cpus
from bench.plan import (
    ALL,
    MODES_DEFAULT,
    Job,
    Matrix,
    Scaling,
    Selector,
    Trial,
    check_devices,
    choose_devices,
    choose_modes,
    fits,
    trials,
)
from bench.records import FEEDS, Arm, AutoRepeats, DatasetFacts, Feed, Missing, ModelFacts
from bench.runner import Experiment
from bench.spec.precision import PRECISIONS
from bench.spec.training import Optimizer
from bench.verification.case import careful
from bench.worker.protocol import Devices, Event, ModelCheck, Probe

MOST_TRIALS = 100_000
NUMPY = "numpy"  # always installed, and its BLAS is a good one
_PROBE_SECONDS = 120.0  # a cold disk can take a minute to import a framework


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


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """What a run will do.

    Attributes:
        experiment: what the trials have in common.
        combinations: every job of the choices.
        jobs: those of them that are not excluded: what is compared.
        trials: the processes, in order.
        dataset: the data set's facts.
        missing: backends that `all` left out since they are not installed.
        notes: what else the reader should know.
    """

    experiment: Experiment
    combinations: list[Job]
    jobs: list[Job]
    trials: list[Trial]
    dataset: DatasetFacts
    missing: list[Missing]
    notes: list[str]

    def remarks(self) -> list[str]:
        """What the user should know before the run: what is not installed, and the notes."""
        lines = [f"Note: {note}" for note in self.notes]
        names = [each.backend for each in self.missing]
        if names:
            lines.insert(0, f"not installed and left out: {', '.join(names)} (bench list backends)")
        return lines


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
    threads, cpus = _choose_cpus(request.choices, tuple(cpus or usable_cpus()))
    # Last, since it can take minutes: what was typed wrong is said before.
    chosen = [
        choose_backends(choices.backends, wants_gpu(choices.devices), tell)
        for choices in request.choices
    ]
    found = {recipe.name: recipe for each in chosen for recipe in each.recipes}
    matrices = [
        _matrix(choices, list(of_choice), own, _places(each.recipes, choices.devices, executor))
        for choices, of_choice, own, each in zip(
            request.choices, models, modes, chosen, strict=True
        )
    ]
    every = list(dict.fromkeys(job for matrix in matrices for job in matrix.jobs()))
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
    return {recipe.name: _devices(recipe, received, executor) for recipe in found}


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


def gate_of(
    prepared: Prepared,
    optimizers: dict[str, Optimizer],
    timeout: float,
    fresh: bool = False,
) -> Gate:
    """The gate of what was prepared.

    Args:
        prepared: the plan.
        optimizers: those that each model is trained with, by name.
        timeout: seconds for all models of one contender.
        fresh: keep and use nothing of earlier checks.
    """
    experiment = prepared.experiment
    return Gate(
        recipes=experiment.recipes,
        framework_versions=experiment.framework_versions,
        models={
            name: ModelCheck(facts.layer, prepared.dataset.input_shape, optimizers)
            for name, facts in experiment.models.items()
        },
        threads=experiment.threads,
        cpus=experiment.cpus,
        timeout=timeout,
        processor=describe_machine().cpu_model or "unknown",
        cache=None if fresh else cache_folder(),
    )


def own_gate(prepared: Prepared) -> Gate:
    """The gate of a run: each model with the run's own optimizer, at a careful rate."""
    experiment = prepared.experiment
    optimizers = {"this run's optimizer": careful(experiment.optimizer)}
    return gate_of(prepared, optimizers, experiment.timeout)


def known_limits(
    prepared: Prepared, executor: Executor, began: Callable[[str, str], None]
) -> Iterator[BackendLimit]:
    """What NumPy and each backend of the plan reach at best on the devices that it trains on.

    Args:
        prepared: the plan.
        executor: runs the workers.
        began: called with the backend and the device of each limit that must be measured.
    """
    experiment = prepared.experiment
    known = {NUMPY: recipes()[NUMPY], **experiment.recipes}
    devices = {(NUMPY, "cpu"): None}
    devices |= dict.fromkeys((job.backend, job.device) for job in prepared.jobs)
    wanted = [
        (known[name], version, device)
        for name, device in devices
        if (version := installed_version(known[name])) is not None
    ]
    # A framework that hangs at its import costs no more here than in a trial.
    timeout = min(MEASURE_SECONDS, experiment.timeout)
    for threads in sorted({experiment.threads_of(job) * job.local_size for job in prepared.jobs}):
        setting = Setting(threads, experiment.cpus[:threads], cache_folder(), timeout)
        yield from backend_limits(wanted, setting, executor, began)


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


def share_cpus(
    jobs: Sequence[Job], asked: int | None, usable: Sequence[int]
) -> tuple[int, tuple[int, ...]]:
    """As `_choose_cpus`, of jobs that are planned already.

    Args:
        jobs: those of the run.
        asked: threads of a process where a job says nothing; None shares the CPUs.
        usable: the CPUs that there are.

    Raises:
        ChoiceError: the processes of a job would have more threads than there are CPUs.
    """
    worlds = max((job.local_size for job in jobs), default=1)
    threads = asked or max(1, len(usable) // worlds)
    most = max((job.local_size * (job.threads or threads) for job in jobs), default=threads)
    if most > len(usable):
        raise ChoiceError(
            f"received processes with {most} threads in all, expected at most {len(usable)}: this "
            "process may use no more CPUs"
        )
    return threads, tuple(usable[:most])


def _choose_cpus(
    choices: Sequence[Choices], usable: tuple[int, ...]
) -> tuple[int, tuple[int, ...]]:
    """The threads of a process where a job says nothing, and the CPUs of all processes together.

    Raises:
        ChoiceError: the processes of a job would have more threads than there are CPUs.
    """
    worlds = max(size for each in choices for size in _local_sizes(each))
    asked = [count for each in choices for count in each.threads]
    if not asked and worlds > len(usable):
        raise ChoiceError(
            f"received world size {worlds} on one machine, expected at most {len(usable)}: this "
            "process may use no more CPUs"
        )
    threads = max(asked) if asked else len(usable) // worlds
    most = max(
        size * count
        for each in choices
        for size in _local_sizes(each)
        for count in each.threads or [threads]
    )
    if most > len(usable) and worlds > 1:
        raise ChoiceError(
            f"received processes with {most} threads in all, expected at most {len(usable)}: ask "
            "for a smaller world size or fewer threads, this process may use no more CPUs"
        )
    choose_threads(threads, usable)
    return threads, usable[:most]


def _local_sizes(choices: Choices) -> list[int]:
    """The processes of each machine, for every world size and number of hosts that fit.

    Raises:
        ChoiceError: a number of hosts fits no world size.
    """
    for hosts in choices.hosts:
        if all(size % hosts for size in choices.world_sizes):
            sizes = ", ".join(map(str, choices.world_sizes))
            raise ChoiceError(
                f"received {hosts} hosts and world size {sizes}, expected a world size that so "
                "many hosts can share in equal parts"
            )
    return [
        size // hosts
        for size in choices.world_sizes
        for hosts in choices.hosts
        if size % hosts == 0
    ]


def choose_threads(
    asked: int | None, usable: tuple[int, ...] | None = None
) -> tuple[int, tuple[int, ...]]:
    """The number of threads and the CPUs that every worker is bound to.

    Raises:
        ChoiceError: more threads than CPUs.
    """
    usable = usable or usable_cpus()
    threads = asked or len(usable)
    if threads > len(usable):
        raise ChoiceError(
            f"received --threads {threads}, expected at most {len(usable)}: "
            "this process may use no more CPUs"
        )
    return threads, usable[:threads]


def wants_gpu(devices: Sequence[str]) -> bool:
    """Whether a GPU is among the devices, as far as the machine tells without a framework."""
    asks = "auto" in devices or ALL in devices
    return (asks and has_accelerator()) or any(name.startswith("gpu") for name in devices)


def _devices(recipe: Recipe, received: Sequence[str], executor: Executor) -> list[str]:
    asks = "auto" in received or ALL in received
    may_see_more = asks and has_accelerator() and installed_version(recipe) is not None
    return choose_devices(received, probe(recipe, executor) if may_see_more else ["cpu"])


def probe(recipe: Recipe, executor: Executor) -> list[str]:
    """The devices that the framework sees, asked of a worker; the CPU if it does not answer.

    A framework that cannot start fails its trials too, and is recorded there with the reason.
    """
    told: list[Event] = []
    executor.run(Probe(recipe.adapter), launch_of(recipe), _PROBE_SECONDS, told.append)
    answers = [list(event.devices) for event in told if isinstance(event, Devices)]
    return answers[0] if answers and answers[0] else ["cpu"]
