"""What a user requests: the options, as structs.

The structs are the only definition of the options' names, types, limits and defaults. The command
line, run files and Python fill them; help texts are in `bench.cli.options`.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from bench.machine.environments.selector import ALL
from bench.records.manifest import TimeLimit
from bench.run.decode import OptionError, Seconds, Share, decode
from bench.run.plan import MODES_DEFAULT, Scaling, Selector
from bench.spec.job import Arm
from bench.spec.training import Adam, Optimizer, Sgd

# Called with a line of text for the user, about something that takes time.
Report = Callable[[str], None]

Names = Annotated[list[str], Meta(description="names like numpy,torch")]
Count = Annotated[int, Meta(ge=1, le=9_999_999, description="a whole number of 1 or more")]
Samples = Annotated[int, Meta(ge=1, description="a whole number of 1 or more")]
Counts = Annotated[
    list[Count],
    Meta(min_length=1, max_length=100, description="whole numbers of 1 or more like 64,256"),
]
Widths = Annotated[
    list[Annotated[float, Meta(gt=0, lt=10_000)]],
    Meta(min_length=1, max_length=100, description="numbers above 0 like 0.5,1,2"),
]
Scalings = Annotated[list[Scaling], Meta(min_length=1, description="strong, weak or strong,weak")]
Arms = Annotated[
    list[Arm], Meta(min_length=1, description="controlled, native or controlled,native")
]
Variables = Annotated[dict[str, str], Meta(description='a table of text like {XLA_FLAGS = "..."}')]
Epochs = Annotated[int, Meta(ge=1, le=100_000, description="a whole number from 1 to 100,000")]
Accuracy = Annotated[float, Meta(gt=0, le=1, description="a share of the test images like 0.98")]
OptimizerName = Annotated[Literal["sgd", "adam"], Meta(description="sgd or adam")]
LearningRate = Annotated[float, Meta(gt=0, lt=1000, description="a number above 0 and below 1,000")]
Fraction = Annotated[float, Meta(ge=0, lt=1, description="a number of 0 or more and below 1")]
Switch = Annotated[bool, Meta(description="true or false")]
Folder = Annotated[Path, Meta(description="a path")]
Seed = Annotated[int, Meta(ge=0, le=2**31, description="a whole number from 0 to 2,147,483,648")]
Repeats = Annotated[int, Meta(ge=1, le=99_999, description="a whole number of 1 or more")]
Percentage = Annotated[Share, Meta(description="a percentage above 0% like 2% or 0.5%")]
Duration = Annotated[Seconds, Meta(description="a time above 0 like 90s, 10m or 1.5h")]
Retries = Annotated[int, Meta(ge=0, le=100, description="a whole number from 0 to 100")]
USUAL_TIME = Seconds(300)
RoundNumber = Annotated[int, Meta(ge=0, le=1000, description="a whole number from 0 to 1,000")]


def _some(*values: Any) -> Any:
    """Return the default of a list."""
    return msgspec.field(default_factory=lambda: list(values))


class MatrixOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What to compare: every combination of these values is a job.

    Attributes:
        backends: `all`, or names with or without a version or an interpreter.
        models: `all`, names, or path/to/file.py:function.
        widths: factors of the units and filters of every layer but the last.
        modes: `default`, `all`, or names.
        devices: `auto`, `all`, or names like cpu and gpu:1.
        precisions: of the arithmetic.
        input: where each step's images come from.
        batch_sizes: images per step.
        threads: CPU threads of each process; empty shares the CPUs among a job's processes.
        world_size: processes or devices that share each batch.
        hosts: machines that these are on.
        scaling: whether a batch size is that of all processes or of each.
        arm: who chooses what a user usually leaves unspecified.
        environment: variables of all workers; a backend like `jax[NAME=value]` adds its own.
    """

    backends: Names = _some(ALL)
    models: Names = _some("mlp")
    widths: Widths = _some(1.0)
    modes: Names = _some(MODES_DEFAULT)
    devices: Names = _some("auto")
    precisions: Names = _some("float32")
    input: Names = _some("resident")
    batch_sizes: Counts = _some(64)
    threads: Counts = []
    world_size: Counts = _some(1)
    hosts: Counts = _some(1)
    scaling: Scalings = _some("strong")
    arm: Arms = _some("controlled")
    environment: Variables = {}


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How every trial is run, and how many there are of each job.

    Attributes:
        epochs: that a trial trains, at most.
        until_accuracy: the test accuracy at which a trial ends; None trains all epochs.
        optimizer: the rule of the update.
        learning_rate: None is the optimizer's default.
        momentum: of sgd.
        nesterov: whether sgd uses Nesterov's momentum.
        l2: weight of the L2 penalty.
        train_samples: training images to use; None is all.
        data_dir: folder of another data set; None is the built-in MNIST.
        seed: of the first repeat.
        time: seconds for each ranking, in which repeats are added until every pair is decided; None
            is 5 minutes.
        margin: contenders within this share of each other are the same.
        repeats: of each job; None adds them as `time` allows.
        timeout: seconds after which a trial is stopped.
        retries: of a disturbed trial.
        rounds: of each repeat, in which the contenders of a ranking take turns; 0 measures one
            contender after the other.
        verify: whether each contender's work is checked before the trials.
    """

    epochs: Epochs = 3
    until_accuracy: Accuracy | None = None
    optimizer: OptimizerName = "sgd"
    learning_rate: LearningRate | None = None
    momentum: Fraction = 0.9
    nesterov: Switch = False
    l2: Fraction = 0.0
    train_samples: Samples | None = None
    data_dir: Folder | None = None
    seed: Seed = 0
    time: Duration | None = None
    margin: Percentage = Share(0.05)
    repeats: Repeats | None = None
    timeout: Duration = Seconds(600)
    retries: Retries = 2
    rounds: RoundNumber = 15
    verify: Switch = True

    def __post_init__(self) -> None:
        """Check what several options say together.

        Raises:
            OptionError: two options cannot be combined.
        """
        if self.repeats is not None and self.time is not None:
            raise OptionError("time", "cannot be combined with --repeats, which sets the number")
        if self.nesterov and self.momentum == 0:
            raise OptionError("nesterov", "needs a momentum above 0")

    @property
    def update_rule(self) -> Optimizer:
        """The optimizer with its numbers."""
        if self.optimizer == "adam":
            return Adam(learning_rate=self.learning_rate or Adam().learning_rate, l2=self.l2)
        return Sgd(
            learning_rate=self.learning_rate or Sgd().learning_rate,
            momentum=self.momentum,
            nesterov=self.nesterov,
            l2=self.l2,
        )

    @property
    def first_repeats(self) -> int:
        """The number of repeats to begin with."""
        return self.repeats or 1

    @property
    def time_limit(self) -> TimeLimit | None:
        """When to stop adding repeats; None where their number is fixed."""
        return None if self.repeats else TimeLimit(float(self.time or USUAL_TIME))


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a user requests of a run.

    Attributes:
        matrices: the jobs to compare.
        options: how every trial is run.
        excludes: jobs that match one of these are left out.
        baselines: jobs that the report compares with, by the baseline's name.
        title: of the report; may be empty.
    """

    matrices: list[MatrixOptions]
    options: RunOptions
    excludes: list[Selector] = []
    baselines: dict[str, Selector] = {}
    title: str = ""


def request_of(values: Mapping[str, Any]) -> Request:
    """Make the request of one matrix.

    Args:
        values: of options, by field of `MatrixOptions` or `RunOptions`; text or plain values. None
            is the default.

    Raises:
        OptionError: an option does not exist, or has an invalid value.
    """
    for name in values:
        if name not in (*MatrixOptions.__struct_fields__, *RunOptions.__struct_fields__):
            raise OptionError(name, "does not exist")
    return Request(
        matrices=[decode(MatrixOptions, _of(values, MatrixOptions.__struct_fields__))],
        options=decode(RunOptions, _of(values, RunOptions.__struct_fields__)),
    )


def _of(values: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: values[name] for name in names if values.get(name) is not None}
