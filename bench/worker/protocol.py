"""What the runner and a worker say to each other: one task in, a stream of events out, as JSON."""

from __future__ import annotations

from typing import Any, Callable, Optional, Union

import msgspec

from bench.spec.job import Job
from bench.spec.layers import Layer, kind_of
from bench.spec.process_group import ProcessGroup
from bench.spec.training import Optimizer, TrainSpec
from bench.verification.certificate import Check
from bench.worker.usage import Usage


class TaskBase(msgspec.Struct, frozen=True, tag_field="task", tag=kind_of):
    """What every task names: the adapter to import and the CPUs to run on.

    Attributes:
        adapter: `module:class` of the backend.
        threads: CPU threads of each process.
        cpus: the CPUs of this machine that the task is bound to, in equal parts for its processes;
            empty leaves the affinity as it is.
        hosts: number of machines that share the training.
        processes: number of worker processes on each machine that share the training.
        group: this worker's place among all processes; None if it is the only one.
    """

    adapter: str
    threads: int = 1
    cpus: tuple[int, ...] = ()
    hosts: int = 1
    processes: int = 1
    group: Optional[ProcessGroup] = None

    @property
    def is_recorded(self) -> bool:
        """Whether this worker's events are recorded; the other ranks only share the work."""
        return self.group is None or self.group.rank == 0


class Probe(TaskBase, frozen=True):
    """Tell the versions and the devices that the framework sees."""


class TrainTask(TaskBase, frozen=True, kw_only=True):
    """Train and evaluate one model.

    Attributes:
        job: what is measured.
        model: the job's model as a spec.
        epochs: number of epochs, at most.
        seed: seed of the initial weights and the batch order.
        optimizer: the update rule.
        data: the folder of the decoded data set.
        train_samples: number of training examples to use; None uses all.
        evaluation_batch: images per prediction.
        until_accuracy: end after the epoch that reaches this test accuracy; None trains all.
        explain: report the trained model's predictions, and the times of single steps, at the end.
    """

    job: Job
    model: Layer
    epochs: int
    seed: int
    optimizer: Optimizer
    data: str
    train_samples: Optional[int] = None
    evaluation_batch: int = 1000
    until_accuracy: Optional[float] = None
    explain: bool = False

    @property
    def train(self) -> TrainSpec:
        """The training spec that follows from the task."""
        return TrainSpec(
            batch_size=self.job.batch_size,
            epochs=self.epochs,
            seed=self.seed,
            optimizer=self.optimizer,
        )


class ModelCheck(msgspec.Struct, frozen=True):
    """A model to check: its spec, the shape of an image, and the optimizers by name."""

    layer: Layer
    input_shape: tuple[int, ...]
    optimizers: dict[str, Optimizer]


class VerifyTask(TaskBase, frozen=True, kw_only=True):
    """Make a certificate for each model.

    Attributes:
        job: the contender, as `Job.certified` has it, with any of the models.
        models: what to check, by the model's name.
        references: a folder where the reference's answers are cached for other contenders.
    """

    job: Job
    models: dict[str, ModelCheck]
    references: Optional[str] = None


class PeakRateTask(TaskBase, frozen=True, kw_only=True):
    """Measure how fast the framework multiplies matrices and copies memory on the device."""

    device: str


class ClockTask(TaskBase, frozen=True, kw_only=True):
    """See whether twice the steps take twice the time.

    Attributes:
        model: a model for images of `input_shape`.
        input_shape: of one image.
        batch_size: images a step.
        device: device name.
        mode: one of the backend's modes.
        seconds: of a single call, so many that what a call costs whatever its steps is little.
    """

    model: Layer
    input_shape: tuple[int, ...]
    batch_size: int
    device: str
    mode: str
    seconds: float = 0.25


Task = Union[Probe, TrainTask, VerifyTask, PeakRateTask, ClockTask]


class EventBase(msgspec.Struct, frozen=True, tag_field="event", tag=kind_of):
    """What every event shares: a JSON form with its name."""


class Imported(EventBase, frozen=True):
    """The framework is imported: its versions, and the memory that the process holds since."""

    versions: dict[str, str]
    baseline_memory_bytes: Optional[int]


class NativeSettings(EventBase, frozen=True):
    """What the framework chose by itself, by item; tells nothing in the controlled arm."""

    settings: dict[str, str]


class Devices(EventBase, frozen=True):
    """The devices that the framework sees: their names and their makers' names."""

    devices: dict[str, str]


class PhaseBegan(EventBase, frozen=True):
    """The worker turned to a phase."""

    phase: str


class PhaseEnded(EventBase, frozen=True):
    """A phase took so many seconds: import, data, build or compile."""

    phase: str
    seconds: float


class EpochEnded(EventBase, frozen=True):
    """One epoch was trained and evaluated.

    Attributes:
        epoch: counted from 1.
        images: how many images the steps processed.
        seconds: from the first step's start until the device was idle.
        mean_loss: the mean of the steps' losses; infinite or not a number when training diverged.
        test_accuracy: the share of test images classified right, after the epoch.
        evaluate_seconds: the time that evaluation took, off the training clock.
        usage: who used the CPUs while the steps ran.
        leftover_seconds: how much longer the first prediction after the steps took than the
            others; None where there was no other.
    """

    epoch: int
    images: int
    seconds: float
    mean_loss: Optional[float]
    test_accuracy: float
    evaluate_seconds: float
    usage: Optional[Usage] = None
    leftover_seconds: Optional[float] = None


class FirstStep(EventBase, frozen=True):
    """Seconds from the process's start to its first trained step; told after the first epoch."""

    seconds: float


class Predicted(EventBase, frozen=True, kw_only=True):
    """Prediction was measured, in the trained session; see `bench.worker.inference`.

    Attributes:
        latencies: seconds at the 50th, 95th and 99th percentile of calls with one image; None
            where the calls are too few for it.
        latency_calls: how many calls with one image were timed.
        batch_size: images in each call of the throughput.
        calls: how many of these calls were timed.
        call_seconds: all of these together.
        compile_seconds: what making both forms of prediction ready took.
        seconds: all of it, the compilation too.
    """

    latencies: tuple[float, Optional[float], Optional[float]]
    latency_calls: int
    batch_size: int
    calls: int
    call_seconds: float
    compile_seconds: float
    seconds: float


class Explained(EventBase, frozen=True, kw_only=True):
    """What the trained model answers; see `bench.worker.predictions`.

    Attributes:
        predicted: of each test image the class, one byte each, packed by zlib.
        examples: positions of some test images.
        saliency: of each of these (height, width) bytes, packed by zlib: how much the answer hangs
            on each pixel, 255 for the one on which it hangs most.
        step_seconds: of single training steps; empty where they were not timed.
        problems: what is missing, and why.
        seconds: what all of it took.
    """

    predicted: bytes
    examples: tuple[int, ...]
    saliency: bytes
    step_seconds: tuple[float, ...]
    problems: tuple[str, ...]
    seconds: float


class CheckBegan(EventBase, frozen=True):
    """The worker turned to the check of a model."""

    model: str


class Checked(EventBase, frozen=True):
    """A model was checked: the comparisons, or why there are none; and the seconds it took."""

    model: str
    checks: tuple[Check, ...]
    seconds: float
    error: str = ""


class Rates(EventBase, frozen=True):
    """The framework's best rates on the device; None or left out where it has no such call.

    Attributes:
        matrix_flops_per_second: by precision.
        copy_bytes_per_second: read and written.
        libraries: the BLAS and OpenMP libraries that show in the process; None if nobody can tell.
        usage: who used the CPUs meanwhile.
    """

    matrix_flops_per_second: dict[str, float]
    copy_bytes_per_second: Optional[float]
    libraries: Optional[tuple[str, ...]]
    usage: Usage


class ClockChecked(EventBase, frozen=True):
    """The times of training calls, taken in turn.

    Attributes:
        steps: of a single call.
        single_seconds: of each call with so many steps.
        double_seconds: of each call with twice as many, between two single ones.
        leftover_seconds: the median of how much longer a prediction took just after a call.
    """

    steps: int
    single_seconds: tuple[float, ...]
    double_seconds: tuple[float, ...]
    leftover_seconds: float


class Finished(EventBase, frozen=True):
    """The task ended well. Peaks in bytes; None where not known.

    `communication_seconds` are those a step that went into exchanging gradients.
    """

    peak_memory_bytes: Optional[int]
    device_peak_memory_bytes: Optional[int]
    communication_seconds: Optional[float] = None


class Failed(EventBase, frozen=True):
    """The task ended with an outcome other than ok, and why."""

    outcome: str
    reason: str


Event = Union[
    Imported,
    Devices,
    PhaseBegan,
    PhaseEnded,
    EpochEnded,
    FirstStep,
    Predicted,
    Explained,
    NativeSettings,
    CheckBegan,
    Checked,
    Rates,
    ClockChecked,
    Finished,
    Failed,
]

Emit = Callable[[Event], None]  # reports an event to the runner

_TASKS: msgspec.json.Decoder[Task] = msgspec.json.Decoder(Task)
_EVENTS: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


def encode(message: Any) -> bytes:
    """One line of JSON with its newline."""
    return msgspec.json.encode(message) + b"\n"


def decode_task(line: bytes) -> Task:
    """The task in a line of JSON."""
    return _TASKS.decode(line)


def decode_event(line: bytes) -> Event:
    """The event in a line of JSON."""
    return _EVENTS.decode(line)
