"""What a run's manifest states: what was asked, of which suite, on which machine."""

from typing import Literal

import msgspec

from bench.spec.job import SCHEMA_VERSION, Trial
from bench.spec.layers import Layer
from bench.spec.training import Optimizer


class ModelFacts(msgspec.Struct, frozen=True):
    """A model of the run: its spec and what follows from it for the data set's images."""

    layer: Layer
    num_parameters: int
    macs_per_image: int
    training_flops_per_image: int | None = None


class DatasetFacts(msgspec.Struct, frozen=True):
    """The data set of the run."""

    name: str
    train_examples: int
    test_examples: int
    input_shape: tuple[int, ...]
    classes: int


class Gpu(msgspec.Struct, frozen=True):
    """A GPU as its driver describes it."""

    name: str
    memory_bytes: int
    driver: str


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """The machine as it was when the run began. Null: the system does not tell."""

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


class Missing(msgspec.Struct, frozen=True):
    """A backend that `all` would have meant, had it been installed, and the command that does."""

    backend: str
    install: str


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    """What a backend is installed from, and what that costs. Null: not known.

    Attributes:
        requirements: the packages that were asked for, as pip takes them.
        python: the version of the Python that its workers run on.
        own_environment: whether that is an environment other than the suite's.
        packages: the version of each package that came of it, by canonical name: the framework
            and all that it requires.
        size_bytes: of these packages' files.
        adapter_lines: lines of the adapter's source that are not empty.
    """

    requirements: tuple[str, ...]
    python: str
    own_environment: bool
    packages: dict[str, str]
    size_bytes: int
    adapter_lines: int


class AutoRepeats(msgspec.Struct, frozen=True):
    """Blocks that are added until the ratios are known well enough or the time is spent.

    Attributes:
        interval: how far the widest interval of a ratio may reach to either side: 0.02 is 2 %.
        max_seconds: that all blocks together may take.
        ended: why there are no more; empty while there may be.
    """

    interval: float
    max_seconds: float
    ended: str = ""


# Whether the nodes of a cluster share the plan, or each kind of machine among them does all of it.
NodesChoice = Literal["any", "each"]


class ClusterChoice(msgspec.Struct, frozen=True, kw_only=True):
    """On which nodes of a cluster a run measures.

    Attributes:
        nodes: whether they share the plan, or each kind of machine does all of it.
        accelerator_type: that each node has, by Ray's name; empty is any or none.
        threads: of each process, as typed; null: a node's CPUs, shared among its processes.
    """

    nodes: NodesChoice = "any"
    accelerator_type: str = ""
    threads: int | None = None


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked, of which suite, on which machine.

    With `auto_repeats`, `plan` and `repeats` grow block by block. `baselines` names contenders by
    values that their trials have; the report compares the others with them. `machine` is that of
    the runner, also where `cluster` says that nodes measured: each record names its own.
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
    auto_repeats: AutoRepeats | None = None
    seed: int
    threads: int
    timeout_seconds: float
    retries: int = 0
    verified: bool = False
    framework_versions: dict[str, str]
    installations: dict[str, Installation] = {}
    missing: list[Missing] = []
    notes: list[str] = []
    baselines: dict[str, dict[str, str | int | list[str | int]]] = {}
    plan: list[Trial]
    cluster: ClusterChoice | None = None
