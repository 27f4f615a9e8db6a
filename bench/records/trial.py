"""The record of a trial, and the names of the files in a run folder.

`manifest.json` (`bench.records.manifest`) and `certificates.json` are written before the first
trial. `trials.jsonl` contains one line per trial, which is on the disk as soon as the trial has
ended. The predictions of trained models are in separate files (`bench.records.predictions`). JSON
schemas of all files are in docs/schema.
"""

from typing import Literal

import msgspec

from bench.spec.job import SCHEMA_VERSION, Job
from bench.worker.protocol import SliceKind

MANIFEST = "manifest.json"
TRIALS = "trials.jsonl"
CERTIFICATES = "certificates.json"

Outcome = Literal[
    "ok",
    "failed",
    "crashed",
    "timeout",
    "out_of_memory",
    "diverged",
    "mistimed",
    "unsupported",
    "unavailable",
    "interrupted",
]


# Whether the contender does the work that the spec states: its certificate passed, its certificate
# failed, or it has none.
Equivalence = Literal["passed", "failed", "not checked"]


class EpochRecord(msgspec.Struct, frozen=True, gc=False):
    """One epoch.

    Attributes:
        seconds: training time, without the evaluation.
        mean_loss: mean loss of the training steps; null if it is not finite.
        test_accuracy: share of test images classified correctly after the epoch.
        images: number of training images processed.
        evaluate_seconds: time of the evaluation after the epoch.
    """

    seconds: float
    mean_loss: float | None
    test_accuracy: float
    images: int
    evaluate_seconds: float


class Attempt(msgspec.Struct, frozen=True, gc=False):
    """A disturbed measurement of the trial, which was retried.

    Attributes:
        flags: the disturbances.
        throughput_images_per_second: the throughput that it measured; null if it measured none.
    """

    flags: tuple[str, ...]
    throughput_images_per_second: float | None


class Noise(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Disturbances of the machine during the trial. Null means that the system reports no value.

    Attributes:
        canary_before_seconds: time of the canary, a fixed piece of work, just before the trial.
        canary_after_seconds: time of the canary just after the trial.
        canary_usual_seconds: median time of the canary in this run so far.
        load_average: system load over the last minute, before the trial.
        train_cpu_seconds: CPU time of all the worker's threads while it trained.
        train_involuntary_switches: number of times the kernel preempted a thread of the worker
            while it trained.
        train_other_seconds: CPU time that other processes used on the worker's CPUs while it
            trained.
        train_steal_seconds: time that the hypervisor gave the worker's CPUs to other virtual
            machines while it trained.
        train_throttled_seconds: time that the CPU limit of a control group stopped the worker
            while it trained.
        flags: the disturbances; empty for a quiet trial.
        attempts: earlier measurements of the trial, each disturbed and therefore retried.
    """

    canary_before_seconds: float | None = None
    canary_after_seconds: float | None = None
    canary_usual_seconds: float | None = None
    load_average: float | None = None
    train_cpu_seconds: float | None = None
    train_involuntary_switches: int | None = None
    train_other_seconds: float | None = None
    train_steal_seconds: float | None = None
    train_throttled_seconds: float | None = None
    flags: tuple[str, ...] = ()
    attempts: tuple[Attempt, ...] = ()


class PeakShare(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The trial's arithmetic rate as a share of its devices' peak rate. Null means not measured.

    Attributes:
        flops_per_image: additions and multiplications of a training step per image, by the spec.
        achieved_flops_per_second: throughput times `flops_per_image`.
        peak_flops_per_second: best matrix-product rate of any backend on the trial's devices.
        peak_backend: the backend that reached the peak.
        own_peak_flops_per_second: best matrix-product rate of the trial's own backend.
        share_of_peak: `achieved_flops_per_second` divided by `peak_flops_per_second`.
    """

    flops_per_image: int
    achieved_flops_per_second: float
    peak_flops_per_second: float | None = None
    peak_backend: str | None = None
    own_peak_flops_per_second: float | None = None
    share_of_peak: float | None = None


class Inference(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Prediction with the trained model, from images in host memory to logits in host memory.

    Attributes:
        latency_p50_seconds: median time of a call with one image.
        latency_p95_seconds: 95th percentile of the same times; null if there were too few calls.
        latency_p99_seconds: 99th percentile of the same times; null if there were too few calls.
        latency_calls: number of calls with one image.
        throughput_images_per_second: images per second of calls with a batch of images.
        throughput_batch_size: images per batch.
        throughput_calls: number of calls with a batch.
        compile_seconds: time to compile prediction, in addition to the compile phase of training.
        seconds: duration of the whole phase.
    """

    latency_p50_seconds: float
    latency_p95_seconds: float | None
    latency_p99_seconds: float | None
    latency_calls: int
    throughput_images_per_second: float
    throughput_batch_size: int
    throughput_calls: int
    compile_seconds: float
    seconds: float


class Slice(msgspec.Struct, frozen=True, gc=False):
    """One turn of a trial that was measured in rounds; see docs/methodology.md.

    Attributes:
        kind: what was measured: training, prediction of batches, or of single images.
        round: number of the round, from 1; training and prediction have rounds of their own.
        at_seconds: start of the slice, from the start of the rounds.
        images: number of images.
        seconds: duration of the calls.
        flags: disturbances of the machine meanwhile; a disturbed slice does not count.
    """

    kind: SliceKind
    round: int
    at_seconds: float
    images: int
    seconds: float
    flags: tuple[str, ...] = ()

    @property
    def rate(self) -> float:
        """Images per second."""
        return self.images / self.seconds


class TimeToAccuracy(msgspec.Struct, frozen=True, gc=False):
    """The training time until the test accuracy reached a target.

    Attributes:
        target: the test accuracy.
        reached: whether training reached it.
        seconds: training time until then; if it was not reached, the whole training time, which is
            a censored value.
        epochs: epochs until then, likewise.
    """

    target: float
    reached: bool
    seconds: float
    epochs: int


class TrialRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One trial: its job, how it ended and its measurements. Null means unknown.

    Every quantity names its unit; docs/methodology.md explains how each is measured.

    Attributes:
        schema_version: version of the record's format.
        trial: the trial's name, unique in its run.
        job: what was measured.
        seed: seed of the initial weights and the batch order.
        repeat: which repeat of the job it is, counted from 1.
        framework_version: version of the framework that the worker imported.
        backend_digest: SHA-256 of the backend's source.
        machine: name of the machine that ran the trial, or its first host.
        hardware_digest: SHA-256 of the machine's processor, cores, memory and GPUs.
        versions: version of each library that the backend reports.
        device_title: product name of the device.
        dataset: name of the data set.
        native_settings: what the framework chose in the native arm, by item.
        equivalence: whether the contender's certificate passed.
        epochs: number of epochs requested.
        until_accuracy: test accuracy at which training was to end early.
        train_samples: number of training images; null is all.
        threads: CPU threads per process.
        other_machines: the other hosts of a trial on several machines.
        outcome: how the trial ended.
        reason: why the trial failed; null if it succeeded.
        throughput_images_per_second: training images per second of training.
        test_accuracy: share of test images classified correctly after the last epoch.
        final_train_loss: mean loss of the last epoch.
        peak_memory_bytes: highest resident memory of the worker.
        baseline_memory_bytes: resident memory after the framework was imported.
        device_peak_memory_bytes: highest memory in use on the device, as the framework reports.
        import_seconds: from the process's start until the framework was imported.
        data_seconds: reading and scaling the data set.
        build_seconds: building the session.
        compile_seconds: compiling training and prediction.
        train_seconds: all training steps.
        evaluate_seconds: all evaluations after epochs.
        cold_start_seconds: from the process's start to its first trained step.
        time_to_accuracy: training time until the requested accuracy.
        inference: prediction after training.
        wall_seconds: from starting the worker to its end.
        num_parameters: trainable parameters of the model.
        macs_per_image: multiply-accumulates of a forward pass per image.
        per_epoch: one entry per epoch.
        is_cold: whether the worker was started alone and without caches of compilers; otherwise the
            seconds of its import, build, compilation and first step are null.
        rounds_began_at: start of the rounds in which the trial took turns with others, ISO 8601 in
            UTC with microseconds; trials with the same value were measured together. Null if it
            was measured alone.
        slices: its turns.
        leftover_seconds: work unfinished when the training clock stopped; should be 0.
        communication_seconds: time per step spent on exchanging gradients.
        limit: the trial's arithmetic rate as a share of its devices' peak rate.
        noise: disturbances of the machine during the trial.
        started_at: start of the trial, ISO 8601 in UTC.
        exit_status: the worker's exit status; negative is a signal.
        other_runs: runs of this suite on the same machine at the same time.
        variables: environment variables that the worker started with.
        log: end of the worker's output, if the trial failed.
    """

    schema_version: int = SCHEMA_VERSION
    trial: str
    job: Job
    seed: int
    repeat: int
    framework_version: str | None
    backend_digest: str = ""
    machine: str = ""
    hardware_digest: str = ""
    versions: dict[str, str] = {}
    device_title: str = ""
    dataset: str
    native_settings: dict[str, str] = {}
    equivalence: Equivalence = "not checked"
    epochs: int
    until_accuracy: float | None = None
    train_samples: int | None = None
    threads: int
    other_machines: list[str] = []
    outcome: Outcome
    reason: str | None = None
    throughput_images_per_second: float | None = None
    test_accuracy: float | None = None
    final_train_loss: float | None = None
    peak_memory_bytes: int | None = None
    baseline_memory_bytes: int | None = None
    device_peak_memory_bytes: int | None = None
    import_seconds: float | None = None
    data_seconds: float | None = None
    build_seconds: float | None = None
    compile_seconds: float | None = None
    train_seconds: float | None = None
    evaluate_seconds: float | None = None
    cold_start_seconds: float | None = None
    time_to_accuracy: TimeToAccuracy | None = None
    inference: Inference | None = None
    wall_seconds: float | None = None
    num_parameters: int | None = None
    macs_per_image: int | None = None
    per_epoch: list[EpochRecord] = []
    is_cold: bool = True
    rounds_began_at: str | None = None
    slices: list[Slice] = []
    leftover_seconds: float | None = None
    communication_seconds: float | None = None
    limit: PeakShare | None = None
    noise: Noise | None = None
    started_at: str | None = None
    exit_status: int | None = None
    other_runs: int = 0
    variables: dict[str, str] = {}
    log: str = ""


def attribute_of(name: str) -> str:
    """Return where a record has a field or a coordinate of its job.

    Args:
        name: a field of `TrialRecord` or of `Job`. `threads` is the record's: its job may leave
            the number to the run.

    Returns:
        A path for `operator.attrgetter`.
    """
    return f"job.{name}" if name in Job.__struct_fields__ and name != "threads" else name
