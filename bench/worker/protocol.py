"""The protocol between runner and worker, in JSON lines: one task in, a stream of events out.

A worker whose task has `rounds` then takes commands. It answers each with events, and says by the
event `Ready` that it waits for the next one.
"""

from __future__ import annotations

from typing import Any, Callable, Literal, Optional, Union

import msgspec

from bench.spec.job import Job
from bench.spec.layers import Layer, kind_of
from bench.spec.process_group import ProcessGroup
from bench.spec.training import Optimizer, TrainSpec
from bench.verification.certificate import UNSUPPORTED, Check
from bench.worker.usage import Usage


class TaskBase(msgspec.Struct, frozen=True, tag_field="task", tag=kind_of):
    """The fields of every task.

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
    """Report the framework's versions and devices."""


class Calls(msgspec.Struct, frozen=True):
    """The training calls of a slice; see `bench.worker.turns`.

    Attributes:
        steps: steps of each call.
        number: number of calls.
    """

    steps: int
    number: int = 1


class Rounds(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker takes part in rounds.

    Attributes:
        slice_seconds: approximate duration of a slice.
        calls: the calls of a slice, as an earlier repeat chose them; None lets the worker choose.
    """

    slice_seconds: float = 0.3
    calls: Optional[Calls] = None


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
        until_accuracy: end after the epoch that reaches this test accuracy; None trains all epochs.
        explain: report the trained model's predictions, and the times of single steps, at the end.
        rounds: train in slices, on command; None trains all epochs and ends.
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
    rounds: Optional[Rounds] = None

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
    """A model to check.

    Attributes:
        layer: the model's spec.
        input_shape: shape of an image.
        optimizers: the optimizers to check it with, by name.
    """

    layer: Layer
    input_shape: tuple[int, ...]
    optimizers: dict[str, Optimizer]


class PreliminaryTask(TaskBase, frozen=True, kw_only=True):
    """Measure the peak rates of a device if requested, then make certificates.

    Attributes:
        device: device name.
        peak_rates: whether the framework's fastest matrix product and copy are measured.
        jobs: what to certify, as `Job.certified` returns it, one contender after the other.
        models: the jobs' models by name.
        references: folder of cached results of the reference; None caches nothing.
        contender_seconds: time limit of all models of a contender; None is the worker's limit.
    """

    device: str
    peak_rates: bool = False
    jobs: tuple[Job, ...] = ()
    models: dict[str, ModelCheck] = {}
    references: Optional[str] = None
    contender_seconds: Optional[float] = None


class ClockTask(TaskBase, frozen=True, kw_only=True):
    """Check whether twice the steps take twice the time.

    Attributes:
        model: a model for images of `input_shape`.
        input_shape: shape of an image.
        batch_size: images per step.
        device: device name.
        mode: one of the backend's modes.
        seconds: approximate duration of a call; the fixed cost of a call must be small next to it.
    """

    model: Layer
    input_shape: tuple[int, ...]
    batch_size: int
    device: str
    mode: str
    seconds: float = 0.25


Task = Union[Probe, TrainTask, PreliminaryTask, ClockTask]


SliceKind = Literal["train", "predict", "latency"]


class Command(msgspec.Struct, frozen=True):
    """What a worker in rounds does next.

    Attributes:
        action: "start", the first one, compiles and trains a slice that does not count; "train" and
            "predict" run a slice of training, or of prediction, after which there is no training;
            "complete" trains the epochs that are left; "end" reports what was measured and ends the
            process.
    """

    action: Literal["start", "train", "complete", "predict", "end"]


class EventBase(msgspec.Struct, frozen=True, tag_field="event", tag=kind_of):
    """The base of all events; its JSON contains the name of the event."""


class Imported(EventBase, frozen=True):
    """The framework was imported.

    Attributes:
        versions: version of each library that the backend reports.
        baseline_memory_bytes: resident memory after the import; None if it is unknown.
    """

    versions: dict[str, str]
    baseline_memory_bytes: Optional[int]


class NativeSettings(EventBase, frozen=True):
    """The framework's own defaults that the trial uses.

    Attributes:
        settings: the defaults by item; empty in the controlled arm.
    """

    settings: dict[str, str]


class Devices(EventBase, frozen=True):
    """The devices that the framework sees.

    Attributes:
        devices: title of each device, by its name.
    """

    devices: dict[str, str]


class PhaseBegan(EventBase, frozen=True):
    """A phase started.

    Attributes:
        phase: name of the phase.
    """

    phase: str


class PhaseEnded(EventBase, frozen=True):
    """A phase ended.

    Attributes:
        phase: import, data, build or compile.
        seconds: its duration.
    """

    phase: str
    seconds: float


class EpochEnded(EventBase, frozen=True):
    """An epoch was trained and evaluated.

    Attributes:
        epoch: number of the epoch, from 1.
        images: number of training images processed.
        seconds: from the start of the first step until the device was idle.
        mean_loss: mean loss of the steps; None if it is not finite, which means that training
            diverged.
        test_accuracy: share of test images classified correctly after the epoch.
        evaluate_seconds: duration of the evaluation, which is not part of `seconds`.
        usage: usage of the CPUs during the steps.
        leftover_seconds: duration of the first prediction after the steps minus the median of the
            others; None if there was only one.
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
    """The first training step ended. This is emitted after the first epoch.

    Attributes:
        seconds: from the start of the process to the end of the first step.
    """

    seconds: float


class Predicted(EventBase, frozen=True, kw_only=True):
    """Prediction with the trained model was measured; see `bench.worker.inference`.

    Attributes:
        latencies: 50th, 95th and 99th percentile of the seconds of calls with one image; None if
            there are too few calls for a percentile.
        latency_calls: number of timed calls with one image.
        batch_size: images per call of the throughput measurement.
        calls: number of timed calls of the throughput measurement.
        call_seconds: total duration of these calls.
        compile_seconds: time to compile prediction for both batch sizes.
        seconds: duration of the whole phase.
    """

    latencies: tuple[float, Optional[float], Optional[float]]
    latency_calls: int
    batch_size: int
    calls: int
    call_seconds: float
    compile_seconds: float
    seconds: float


class Ready(EventBase, frozen=True):
    """The worker waits for a command. This is the last event of the task and of each command.

    Attributes:
        calls: the training calls of a slice; None before they are chosen.
        epochs_left: number of epochs that are not complete.
    """

    calls: Optional[Calls]
    epochs_left: int


class SliceEnded(EventBase, frozen=True):
    """A slice ended.

    Attributes:
        kind: what was measured: training, prediction of batches, or of single images.
        images: number of images.
        seconds: duration of the calls.
        usage: usage of the CPUs meanwhile; None for latency, which shares that of prediction.
    """

    kind: SliceKind
    images: int
    seconds: float
    usage: Optional[Usage] = None


class Explained(EventBase, frozen=True, kw_only=True):
    """The predictions of the trained model; see `bench.worker.predictions`.

    Attributes:
        predicted: predicted class of each test image, one byte each, compressed with zlib.
        examples: positions of some test images.
        saliency: (height, width) bytes of each of these images, compressed with zlib: how much the
            prediction depends on each pixel; 255 marks the pixel with the strongest influence.
        step_seconds: seconds of single training steps; empty if they were not timed.
        problems: what is missing, and why.
        seconds: time to produce the explanation.
    """

    predicted: bytes
    examples: tuple[int, ...]
    saliency: bytes
    step_seconds: tuple[float, ...]
    problems: tuple[str, ...]
    seconds: float


class CheckBegan(EventBase, frozen=True):
    """The check of a model started.

    Attributes:
        job: the contender and the model.
        limit_seconds: time limit of the worker from now on; None leaves the limit as it is.
    """

    job: Job
    limit_seconds: Optional[float] = None


class Checked(EventBase, frozen=True):
    """The check of a model ended.

    Attributes:
        job: the contender and the model.
        checks: the comparisons with the reference.
        seconds: duration of the check.
        error: why there are no comparisons; empty if there are.
    """

    job: Job
    checks: tuple[Check, ...]
    seconds: float
    error: str = ""

    @property
    def has_raised(self) -> bool:
        """Whether the framework raised an error other than that something is unsupported."""
        return bool(self.error) and not self.error.startswith(UNSUPPORTED)


class Rates(EventBase, frozen=True):
    """The framework's peak rates on the device.

    Attributes:
        matrix_flops_per_second: rate of the fastest matrix product, by supported precision.
        copy_bytes_per_second: bytes read plus bytes written per second; None if unsupported.
        libraries: the BLAS and OpenMP libraries of the process; None if they are unknown.
        usage: usage of the CPUs during the measurement.
    """

    matrix_flops_per_second: dict[str, float]
    copy_bytes_per_second: Optional[float]
    libraries: Optional[tuple[str, ...]]
    usage: Usage


class ClockChecked(EventBase, frozen=True):
    """Training calls of two lengths were timed alternately.

    Attributes:
        steps: number of steps of a short call.
        single_seconds: seconds of each short call.
        double_seconds: seconds of each call with twice the steps, between two short ones.
        leftover_seconds: median of the time by which a prediction directly after a training call
            took longer than the next one.
    """

    steps: int
    single_seconds: tuple[float, ...]
    double_seconds: tuple[float, ...]
    leftover_seconds: float


class Finished(EventBase, frozen=True):
    """The task succeeded. None means unknown.

    Attributes:
        peak_memory_bytes: highest resident memory of the process.
        device_peak_memory_bytes: highest memory in use on the device.
        communication_seconds: time per step spent on exchanging gradients.
    """

    peak_memory_bytes: Optional[int]
    device_peak_memory_bytes: Optional[int]
    communication_seconds: Optional[float] = None


class Failed(EventBase, frozen=True):
    """The task failed.

    Attributes:
        outcome: an outcome other than ok.
        reason: why it failed.
    """

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
    Ready,
    SliceEnded,
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
_COMMANDS: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)
_EVENTS: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


def encode(message: Any) -> bytes:
    """Encode a task or an event as a line of JSON, with its newline."""
    return msgspec.json.encode(message) + b"\n"


def decode_task(line: bytes) -> Task:
    """Decode a task from a line of JSON.

    Raises:
        msgspec.MsgspecError: the line is no valid task.
    """
    return _TASKS.decode(line)


def decode_command(line: bytes) -> Command:
    """Decode a command from a line of JSON.

    Raises:
        msgspec.MsgspecError: the line is no valid command.
    """
    return _COMMANDS.decode(line)


def decode_event(line: bytes) -> Event:
    """Decode an event from a line of JSON.

    Raises:
        msgspec.MsgspecError: the line is no valid event.
    """
    return _EVENTS.decode(line)
