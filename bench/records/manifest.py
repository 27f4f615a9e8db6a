"""The manifest of a run: the request, the version of the suite, the machine and the plan."""

from typing import Annotated, Literal

import msgspec

from bench.spec.job import SCHEMA_VERSION, Job, Trial
from bench.spec.layers import Layer
from bench.spec.training import Optimizer
from bench.statistics import SIGNIFICANCE


class ModelFacts(msgspec.Struct, frozen=True):
    """A model of the run, for images of the run's data set.

    Attributes:
        layer: the model's spec.
        num_parameters: number of trainable parameters.
        macs_per_image: multiply-accumulates of a forward pass per image.
        training_flops_per_image: additions and multiplications of a training step per image; null
            in runs of older versions.
    """

    layer: Layer
    num_parameters: int
    macs_per_image: int
    training_flops_per_image: int | None = None


class DatasetFacts(msgspec.Struct, frozen=True):
    """The data set of the run.

    Attributes:
        name: name of the data set.
        train_examples: number of training images.
        test_examples: number of test images.
        input_shape: height, width and channels of an image.
        classes: number of classes.
    """

    name: str
    train_examples: int
    test_examples: int
    input_shape: tuple[int, ...]
    classes: int


class Gpu(msgspec.Struct, frozen=True):
    """A GPU as its driver describes it.

    Attributes:
        name: the GPU's product name.
        memory_bytes: total memory.
        driver: version of the driver.
    """

    name: str
    memory_bytes: int
    driver: str


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """The machine when the run began. Null means that the system does not report the value.

    Attributes:
        hostname: name of the machine.
        cpu_model: name of the processor.
        physical_cores: number of cores.
        logical_cores: number of hardware threads.
        usable_cpus: number of hardware threads that the runner may use.
        memory_bytes: total memory.
        operating_system: name and version of the operating system.
        python: version of the Python that ran the runner.
        gpus: the GPUs, in the driver's order.
        load_average: system load over the last 1, 5 and 15 minutes.
    """

    hostname: str
    cpu_model: str | None
    physical_cores: int | None
    logical_cores: int | None
    usable_cpus: int
    memory_bytes: int
    operating_system: str
    python: str
    gpus: list[Gpu] = []
    load_average: list[float] | None = None


class MissingBackend(msgspec.Struct, frozen=True):
    """A backend that `all` left out because it is not installed.

    Attributes:
        backend: name of the backend.
        install: the command that installs it.
    """

    backend: str
    install: str


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    """The packages that a backend needs, and their size.

    Attributes:
        requirements: the requested packages, as arguments of pip.
        python: version of the Python that its workers run on.
        own_environment: whether its workers run in a separate environment, not in the suite's.
        packages: version of the framework and of each of its dependencies, by canonical name.
        size_bytes: size of these packages' files.
        adapter_lines: number of non-empty source lines of the adapter.
    """

    requirements: tuple[str, ...]
    python: str
    own_environment: bool
    packages: dict[str, str]
    size_bytes: int
    adapter_lines: int


# A report takes logarithms of them, and a run folder may come from anybody.
Margin = Annotated[float, msgspec.Meta(ge=0)]
Significance = Annotated[float, msgspec.Meta(gt=0, lt=1)]


class Ended(msgspec.Struct, frozen=True):
    """Why a ranking has no further repeats.

    Attributes:
        reason: in words.
        significance: share of families of comparisons that may contain a false claim: what this
            look at the results may use of the run's error rate.
    """

    reason: str
    significance: Significance = SIGNIFICANCE


class TimeLimit(msgspec.Struct, frozen=True):
    """Repeats are added until every pair of contenders is decided, or the time is over.

    Attributes:
        seconds: for each ranking, without certificates, peak rates, and epochs that are only
            trained for the accuracy.
        ended: the rankings that have ended, by the name of their first trial.
    """

    seconds: float
    ended: dict[str, Ended] = {}


# "any": the nodes share the plan. "each": every kind of machine among them runs the whole plan.
NodesChoice = Literal["any", "each"]


class ClusterChoice(msgspec.Struct, frozen=True, kw_only=True):
    """The nodes of a cluster that a run measures on.

    Attributes:
        nodes: whether the nodes share the plan or each kind of machine runs the whole plan.
        accelerator_type: accelerator that a node must have, by Ray's name; empty accepts any node.
        threads: requested threads per process; null divides a node's CPUs among its processes.
    """

    nodes: NodesChoice = "any"
    accelerator_type: str = ""
    threads: int | None = None


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The request of a run, and where and with which versions it runs.

    Attributes:
        schema_version: version of the file format.
        suite_version: version of evenbench.
        started_at: start of the run, ISO 8601 in UTC.
        command: the command that started the run.
        title: title of the report; empty for the default title.
        machine: the machine of the runner. In a cluster run, each record names its own machine.
        dataset: the data set.
        models: the models, by name.
        optimizer: the optimizer of all trials.
        data_dir: folder that the data set was read from; null for the default folder.
        train_samples: number of training images; null is all.
        epochs: number of epochs per trial, at most.
        until_accuracy: test accuracy at which a trial ends early; null trains all epochs.
        repeats: largest number of repeats of a job. With `time_limit` it grows during the run.
        time_limit: when to stop adding repeats; null for a fixed number.
        seed: seed of the run, from which the seed of each trial follows.
        threads: CPU threads per process, unless a job has its own number.
        timeout_seconds: time limit per trial.
        retries: number of times that a disturbed trial is retried, at most.
        rounds: rounds of each repeat, in which the contenders of a ranking take turns; 0 if one is
            measured after the other.
        margin: contenders within this share of each other count as the same; 0.05 is 5 %.
        verified: whether the run checked its contenders against the reference.
        framework_versions: version of each backend's framework, by backend.
        installations: the packages of each backend, by backend.
        missing: backends that `all` left out because they are not installed.
        notes: remarks on the request that the report repeats.
        baselines: contenders to compare the others with, each as the values of its trials.
        plan: all trials in their order. With `time_limit` it grows during the run.
        cluster: the nodes that measured; null for a run on the runner's machine.
    """

    schema_version: int = SCHEMA_VERSION
    suite_version: str
    started_at: str
    command: str
    title: str = ""
    machine: Machine
    dataset: DatasetFacts
    models: dict[str, ModelFacts]
    optimizer: Optimizer
    data_dir: str | None = None
    train_samples: int | None = None
    epochs: int
    until_accuracy: float | None = None
    repeats: int
    time_limit: TimeLimit | None = None
    seed: int
    threads: int
    timeout_seconds: float
    retries: int = 0
    rounds: int = 0
    margin: Margin = 0.05
    verified: bool = False
    framework_versions: dict[str, str]
    installations: dict[str, Installation] = {}
    missing: list[MissingBackend] = []
    notes: list[str] = []
    baselines: dict[str, dict[str, str | int | list[str | int]]] = {}
    plan: list[Trial]
    cluster: ClusterChoice | None = None

    def significances(self) -> dict[str, float]:
        """Return the share of families that may contain a false claim, by the trial's name.

        It is the same for all trials of a ranking.
        """
        ended = self.time_limit.ended if self.time_limit else {}
        rankings: dict[Job, float] = {}
        for trial in self.plan:
            if trial.name in ended:
                rankings[trial.job.compared_with()] = ended[trial.name].significance
        return {
            trial.name: rankings.get(trial.job.compared_with(), SIGNIFICANCE) for trial in self.plan
        }
