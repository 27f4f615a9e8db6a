"""From what a command asks to what a run will do: everything is checked before anything starts."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from backends.api import Recipe
from backends.registry import installed_version, recipes
from bench.choices import ChoiceError, check_known
from bench.data.decoded import Dataset, open_decoded
from bench.data.prepare import cache_folder, prepare
from bench.environment import launch_of
from bench.environments.choosing import Tell, choose_backends
from bench.executor import Executor
from bench.gate import Gate
from bench.limits import MEASURE_SECONDS, BackendLimit, Setting, backend_limits
from bench.machine import describe_machine, has_accelerator, usable_cpus
from bench.models import load, names_for
from bench.plan import ALL, Job, Trial, check_devices, choose_devices, choose_modes, jobs, trials
from bench.records import FEEDS, Arm, AutoRepeats, DatasetFacts, Feed, Missing, ModelFacts
from bench.runner import Experiment
from bench.spec.layers import Layer
from bench.spec.parameters import count_macs, count_parameters, count_training_flops
from bench.spec.precision import PRECISIONS
from bench.spec.shapes import ShapeError, resolve
from bench.spec.training import Optimizer
from bench.worker.protocol import Devices, Event, ModelCheck, Probe

MOST_TRIALS = 100_000
LARGEST_MODEL = 2**50  # parameters, or multiply-accumulates an image: beyond any machine
NUMPY = "numpy"  # always installed, and its BLAS is a good one
_PROBE_SECONDS = 120.0  # a cold disk can take a minute to import a framework


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a command asks, as typed: lists are names, nothing is looked up yet.

    With `auto_repeats` there are so many repeats to begin with, and more are added.
    """

    backends: list[str]
    models: list[str]
    modes: list[str]
    devices: list[str]
    batch_sizes: list[int]
    arms: list[Arm]
    precisions: list[str]
    inputs: list[str]
    optimizer: Optimizer
    epochs: int
    until_accuracy: float | None
    repeats: int
    auto_repeats: AutoRepeats | None
    seed: int
    threads: int | None
    timeout: float
    train_samples: int | None
    data_dir: Path | None
    retries: int = 0


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """What a run will do.

    Attributes:
        experiment: what the trials have in common.
        jobs: what is compared.
        trials: the processes, in order.
        dataset: the data set's facts.
        missing: backends that `all` left out since they are not installed.
        notes: what else the reader should know.
    """

    experiment: Experiment
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


def prepare_run(request: Request, executor: Executor, tell: Tell | None = None) -> Prepared:
    """Check the request, prepare the data and the environments, and make the plan.

    Args:
        request: what is asked.
        executor: asks backends for their devices.
        tell: called with what takes time; without it, no environment is made.

    Raises:
        ValueError: in one of the classes that say what was received and what was expected.
    """
    check_devices(request.devices)
    _check_accuracy(request.until_accuracy)
    check_known(request.precisions, PRECISIONS, "precision")
    check_known(request.inputs, FEEDS, "input")
    on_gpu = wants_gpu(request.devices)
    modes = choose_modes(choose_backends(request.backends, on_gpu).recipes, request.modes)
    source = prepare(request.data_dir)
    data = open_decoded(source.folder)
    facts = facts_of(data, request.train_samples)
    _check_batch_sizes(request.batch_sizes, facts.train_examples)
    models = load_models(request.models, facts)
    threads, cpus = choose_threads(request.threads)
    # Last, since it can take minutes: what was typed wrong is said before.
    chosen = choose_backends(request.backends, on_gpu, tell)
    devices = {each.name: _devices(each, request.devices, executor) for each in chosen.recipes}
    planned = jobs(
        list(models),
        request.batch_sizes,
        modes,
        devices,
        request.arms,
        request.precisions,
        [msgspec.convert(name, Feed) for name in request.inputs],
    )
    _check_number(len(planned) * request.repeats)
    experiment = Experiment(
        models=models,
        recipes={recipe.name: recipe for recipe in chosen.recipes},
        framework_versions={each.name: installed_version(each) for each in chosen.recipes},
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
        jobs=planned,
        trials=trials(planned, request.repeats, request.seed),
        dataset=facts,
        missing=chosen.missing,
        notes=source.notes,
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
    setting = Setting(experiment.threads, experiment.cpus, cache_folder(), timeout)
    return backend_limits(wanted, setting, executor, began)


def facts_of(data: Dataset, train_samples: int | None) -> DatasetFacts:
    """The data set's facts, with only as many training examples as are asked for.

    Raises:
        ChoiceError: more examples are asked for than there are.
    """
    available = len(data.train_labels)
    if train_samples and train_samples > available:
        raise ChoiceError(
            f"received --train-samples {train_samples}, expected at most {available}: "
            f"{data.name} holds no more"
        )
    return DatasetFacts(
        name=data.name,
        train_examples=train_samples or available,
        test_examples=len(data.test_labels),
        input_shape=tuple(data.input_shape),
        classes=data.classes,
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


def _check_batch_sizes(sizes: Sequence[int], examples: int) -> None:
    if max(sizes) > examples:
        raise ChoiceError(
            f"received {examples} training examples and batch size {max(sizes)}, "
            "expected at least one full batch: ask for a smaller batch"
        )


def load_models(references: Sequence[str], dataset: DatasetFacts) -> dict[str, ModelFacts]:
    """Each model by name, its shapes checked against the data set.

    Raises:
        ChoiceError: the model's output does not fit the data set's classes.
        ShapeError: its layers do not fit the data set's images.
        bench.models.ModelError: there is no such model.
    """
    if list(references) == [ALL]:
        references = names_for(dataset.input_shape)
    if not references:
        raise ChoiceError("received no model, expected a name or path/to/file.py:function")
    facts: dict[str, ModelFacts] = {}
    for reference in references:
        name, layer = load(reference, dataset.classes)
        if name in facts:
            raise ChoiceError(
                f"received two models called {name}, expected names that tell them apart in the "
                "report: rename one function"
            )
        facts[name] = _model_facts(name, layer, dataset)
    return facts


def _model_facts(name: str, layer: Layer, dataset: DatasetFacts) -> ModelFacts:
    try:
        model = resolve(layer, dataset.input_shape)
    except ShapeError as error:
        shape = " x ".join(str(size) for size in dataset.input_shape)
        raise ChoiceError(
            f"model {name} does not fit the {shape} images of {dataset.name}: {error}"
        ) from error
    if model.output_shape != (dataset.classes,):
        raise ChoiceError(
            f"model {name}: received an output of shape {model.output_shape}, expected "
            f"({dataset.classes},): one logit for each class of {dataset.name}"
        )
    parameters, macs = count_parameters(model), count_macs(model)
    if max(parameters, macs) > LARGEST_MODEL:
        raise ChoiceError(
            f"model {name}: received {parameters:,} parameters and {macs:,} multiply-accumulates "
            f"an image, expected at most {LARGEST_MODEL:,} of each"
        )
    return ModelFacts(
        layer=layer,
        num_parameters=parameters,
        macs_per_image=macs,
        training_flops_per_image=count_training_flops(model),
    )


def choose_threads(asked: int | None) -> tuple[int, tuple[int, ...]]:
    """The number of threads and the CPUs that every worker is bound to.

    Raises:
        ChoiceError: more threads than CPUs.
    """
    usable = usable_cpus()
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
