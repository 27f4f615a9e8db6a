"""What a run leaves behind: a manifest (`bench.records.manifest`), and a record of each trial.

`manifest.json` is written once, before the first trial, and so is `certificates.json` unless the
check was left out. `trials.jsonl` gets one line a trial, appended and flushed to the disk as the
trial ends. What trained models answered is in files of its own (`bench.records.predictions`). JSON
schemas are in docs/schema.
"""

from typing import Literal

import msgspec

from bench.spec.job import SCHEMA_VERSION, Job

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


# Whether the contender was shown to do the work that the spec states: its certificate passed, it
# failed, or none was made.
Equivalence = Literal["passed", "failed", "not checked"]


class EpochRecord(msgspec.Struct, frozen=True, gc=False):
    """One epoch: training seconds, mean training loss (null if not finite), test accuracy after."""

    seconds: float
    mean_loss: float | None
    test_accuracy: float
    images: int
    evaluate_seconds: float


class Attempt(msgspec.Struct, frozen=True, gc=False):
    """A measurement of the trial that was disturbed, and so taken again: why, and what it gave."""

    flags: tuple[str, ...]
    throughput_images_per_second: float | None


class Noise(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How quiet the machine was while the trial ran. Null: the system does not tell.

    Attributes:
        canary_before_seconds: time of a fixed piece of work just before the trial.
        canary_after_seconds: the same just after it.
        canary_usual_seconds: its median in this run so far.
        load_average: of the last minute, before the trial.
        train_cpu_seconds: CPU time of the worker, all its threads, in the train phase.
        train_involuntary_switches: how often the kernel took a CPU from it meanwhile.
        train_other_seconds: CPU time that other processes used on its CPUs meanwhile.
        train_steal_seconds: time that the hypervisor gave its CPUs to other machines meanwhile.
        train_throttled_seconds: time that a CPU limit of its control group held it up meanwhile.
        flags: what disturbed it; empty for a quiet trial.
        attempts: the measurements before this one, each disturbed too.
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


class Limit(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How near the trial came to what its device can do. Null: not measured.

    Attributes:
        flops_per_image: additions and multiplications of a training step, by the spec.
        achieved_flops_per_second: throughput times `flops_per_image`.
        peak_flops_per_second: the best matrix rate that any backend reached on this device.
        peak_backend: the backend that reached it.
        own_peak_flops_per_second: the best matrix rate of the trial's own backend.
        share_of_peak: achieved as a share of the peak.
    """

    flops_per_image: int
    achieved_flops_per_second: float
    peak_flops_per_second: float | None = None
    peak_backend: str | None = None
    own_peak_flops_per_second: float | None = None
    share_of_peak: float | None = None


class Inference(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Prediction after training, in the same session: images on the host in, logits there out.

    Latencies are those of single calls with one image. Null: too few calls for the percentile.
    `compile_seconds` is what the fastest form of prediction took to be made ready, off the compile
    phase of training.
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


class TimeToAccuracy(msgspec.Struct, frozen=True, gc=False):
    """Seconds and epochs of training until the test accuracy was at the target.

    When it was not reached, they are what was trained without reaching it: a censored time.
    """

    target: float
    reached: bool
    seconds: float
    epochs: int


class TrialRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One trial: its job, how it ended, and what was measured. Null means unknown.

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
        device_title: the device as its maker calls it.
        dataset: name of the data set.
        native_settings: what the framework chose in the native arm, by item.
        equivalence: whether the contender's certificate passed.
        epochs: number of epochs requested.
        until_accuracy: test accuracy at which training was to end early.
        train_samples: number of training images; null is all.
        threads: CPU threads per process.
        other_machines: the other hosts of a trial on several machines.
        outcome: how the trial ended.
        reason: why it did not end well.
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
        leftover_seconds: work unfinished when the training clock stopped; should be 0.
        communication_seconds: time per step spent on exchanging gradients.
        limit: how close the trial came to its device's peak rate.
        noise: how quiet the machine was.
        started_at: start of the trial, ISO 8601 in UTC.
        exit_status: the worker's exit status; negative is a signal.
        other_runs: runs of this suite on the same machine at the same time.
        environment: environment variables that the worker started with.
        log: end of the worker's output, if the trial did not end well.
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
    leftover_seconds: float | None = None
    communication_seconds: float | None = None
    limit: Limit | None = None
    noise: Noise | None = None
    started_at: str | None = None
    exit_status: int | None = None
    other_runs: int = 0
    environment: dict[str, str] = {}
    log: str = ""


def attribute_of(name: str) -> str:
    """Return the path, for `operator.attrgetter`, of a record's field or of a job's coordinate.

    `threads` is the number that the trial had, also where its job leaves that to the run.
    """
    return f"job.{name}" if name in Job.__struct_fields__ and name != "threads" else name
