"""Folds the events of a worker, and how its process ended, into one record."""

import signal
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

import msgspec

from bench.machine.disturbance import train_noise
from bench.records.trial import (
    EpochRecord,
    Inference,
    Outcome,
    Slice,
    TimeToAccuracy,
    TrialRecord,
)
from bench.run.worker_process import WorkerEnd
from bench.worker.protocol import (
    EpochEnded,
    Event,
    Failed,
    Finished,
    FirstStep,
    Imported,
    NativeSettings,
    PhaseBegan,
    PhaseEnded,
    Predicted,
)
from bench.worker.usage import Usage, total_usage

_REASON_LINES = 3  # of a dead worker's output: reasons are shown in tables
_LONGEST_REASON = 500  # characters; the record's log contains the rest
_FATAL = "Fatal Python error: "  # how faulthandler begins
_INNERMOST = "(most recent call first):"  # the line before a thread's innermost frame


class Verdict(msgspec.Struct, frozen=True):
    """How a trial ended.

    Attributes:
        outcome: one word.
        reason: a sentence if it did not end well.
    """

    outcome: Outcome
    reason: str | None = None


INTERRUPTED = Verdict("interrupted", "the run was stopped before this trial ended")


def verdict_of(events: Sequence[Event], end: WorkerEnd, timeout: float) -> Verdict:
    """Decide how a trial ended: by its final event, else by the end of its process.

    Args:
        events: of the worker.
        end: of the worker's process.
        timeout: seconds that it had.
    """
    for event in reversed(events):
        if isinstance(event, Failed):
            return Verdict(msgspec.convert(event.outcome, Outcome), event.reason)
        if isinstance(event, Finished):
            return Verdict("ok")
    if end.exit_status is None:
        return Verdict("failed", f"the worker could not be started: {end.start_error}")
    where = _where(events)
    if end.timed_out:
        return Verdict("timeout", f"not done after {timeout:g} s, {where}{_last_words(end.log)}")
    how = _exit(end.exit_status)
    return Verdict("crashed", f"the worker ended {where}, {how}{_last_words(end.log)}")


def _where(events: Sequence[Event]) -> str:
    """Return the phase in which the worker was, or the last one that it had finished."""
    phases = [event for event in events if isinstance(event, (PhaseBegan, PhaseEnded))]
    if not phases:
        return "at its start"
    word = "in" if isinstance(phases[-1], PhaseBegan) else "after"
    return f"{word} phase {phases[-1].phase}"


def _exit(status: int) -> str:
    if status >= 0:
        return f"with exit status {status}"
    if -status == signal.SIGKILL:
        return "killed by SIGKILL, which is also what the kernel does when memory runs out"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"


def _last_words(log: str) -> str:
    """Return where a dead worker was, according to faulthandler, else its last lines."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    words = _fatal_words(lines) or lines[-_REASON_LINES:]
    return f": {' | '.join(words)[:_LONGEST_REASON]}" if words else ""


def _fatal_words(lines: Sequence[str]) -> list[str]:
    """Return the signal's name and the innermost Python frame of the thread that received it.

    If that thread is not one of Python's, it is the frame of the main thread, which is the last.
    """
    fatal = [index for index, line in enumerate(lines) if line.startswith(_FATAL)]
    if not fatal:
        return []
    after = lines[fatal[-1] :]
    threads = [index for index, line in enumerate(after) if line.endswith(_INNERMOST)]
    hit = [index for index in threads if "Current" in after[index]] or threads[-1:]
    frame = [after[index + 1] for index in hit if index + 1 < len(after)]
    return [after[0].removeprefix(_FATAL), *frame]


def with_events(record: TrialRecord, events: Sequence[Event]) -> TrialRecord:
    """Return the record with all measurements in the events, however far the trial got."""
    epochs = [event for event in events if isinstance(event, EpochEnded)]
    phases = {event.phase: event.seconds for event in events if isinstance(event, PhaseEnded)}
    imported = next((event for event in events if isinstance(event, Imported)), None)
    finished = next((event for event in events if isinstance(event, Finished)), None)
    return msgspec.structs.replace(
        record,
        versions=imported.versions if imported else {},
        native_settings=_native_settings(events),
        baseline_memory_bytes=imported.baseline_memory_bytes if imported else None,
        peak_memory_bytes=finished.peak_memory_bytes if finished else None,
        device_peak_memory_bytes=finished.device_peak_memory_bytes if finished else None,
        communication_seconds=finished.communication_seconds if finished else None,
        import_seconds=phases.get("import"),
        data_seconds=phases.get("data"),
        build_seconds=phases.get("build"),
        compile_seconds=phases.get("compile"),
        train_seconds=sum(epoch.seconds for epoch in epochs) if epochs else None,
        evaluate_seconds=sum(epoch.evaluate_seconds for epoch in epochs) if epochs else None,
        cold_start_seconds=_cold_start(events),
        time_to_accuracy=time_to_accuracy(epochs, record.until_accuracy),
        inference=_inference(events),
        throughput_images_per_second=steady_throughput(epochs),
        test_accuracy=epochs[-1].test_accuracy if epochs else None,
        final_train_loss=epochs[-1].mean_loss if epochs else None,
        per_epoch=[_epoch_record(epoch) for epoch in epochs],
        leftover_seconds=_leftover(epochs),
        noise=train_noise(total_usage(epoch.usage for epoch in epochs)),
    )


def with_slices(
    record: TrialRecord, slices: Sequence[Slice], usage: Usage | None, epochs_left: int
) -> TrialRecord:
    """Return the record of a trial in rounds, with the measurements of its slices.

    Args:
        record: with all measurements in the events.
        slices: of the trial, at least one of training.
        usage: of the CPUs, during the slices of training.
        epochs_left: epochs that it has not trained; without them there is no accuracy.
    """
    changes: dict[str, Any] = {}
    if epochs_left:
        changes = {"test_accuracy": None, "final_train_loss": None, "time_to_accuracy": None}
    return msgspec.structs.replace(
        record,
        slices=list(slices),
        throughput_images_per_second=median_rate(slices),
        noise=train_noise(usage),
        **changes,
    )


def median_rate(slices: Iterable[Slice]) -> float | None:
    """Return images/s: the median over the slices of training that were not disturbed.

    If all were disturbed, all count.
    """
    training = [each for each in slices if each.kind == "train"]
    rates = [each.rate for each in training if not each.flags] or [each.rate for each in training]
    return median(rates) if rates else None


def _leftover(epochs: Sequence[EpochEnded]) -> float | None:
    """Return the minimum over the epochs: an adapter that does not wait leaves work in each."""
    known = [epoch.leftover_seconds for epoch in epochs if epoch.leftover_seconds is not None]
    return min(known, default=None)


def _native_settings(events: Sequence[Event]) -> dict[str, str]:
    settings = (event.settings for event in events if isinstance(event, NativeSettings))
    return next(settings, {})


def _cold_start(events: Sequence[Event]) -> float | None:
    return next((event.seconds for event in events if isinstance(event, FirstStep)), None)


def time_to_accuracy(epochs: Sequence[EpochEnded], target: float | None) -> TimeToAccuracy | None:
    """Return the training time until the accuracy was reached, or of all epochs if it was not.

    Evaluation does not count.

    Args:
        epochs: of the trial.
        target: the accuracy; without one there is no such time.
    """
    if target is None or not epochs:
        return None
    needed = next((n for n, e in enumerate(epochs, start=1) if e.test_accuracy >= target), None)
    spent = epochs[:needed]
    return TimeToAccuracy(
        target=target,
        reached=needed is not None,
        seconds=sum(epoch.seconds for epoch in spent),
        epochs=len(spent),
    )


def _inference(events: Sequence[Event]) -> Inference | None:
    predicted = next((event for event in events if isinstance(event, Predicted)), None)
    if predicted is None:
        return None
    p50, p95, p99 = predicted.latencies
    images = predicted.calls * predicted.batch_size
    return Inference(
        latency_p50_seconds=p50,
        latency_p95_seconds=p95,
        latency_p99_seconds=p99,
        latency_calls=predicted.latency_calls,
        throughput_images_per_second=images / predicted.call_seconds,
        throughput_batch_size=predicted.batch_size,
        throughput_calls=predicted.calls,
        compile_seconds=predicted.compile_seconds,
        seconds=predicted.seconds,
    )


def steady_throughput(epochs: Sequence[EpochEnded]) -> float | None:
    """Return images per second: the median over the epochs, without the first if there are more."""
    rates = [epoch.images / epoch.seconds for epoch in epochs]
    return median(rates[1:] or rates) if rates else None


def _epoch_record(epoch: EpochEnded) -> EpochRecord:
    return EpochRecord(
        seconds=epoch.seconds,
        mean_loss=epoch.mean_loss,
        test_accuracy=epoch.test_accuracy,
        images=epoch.images,
        evaluate_seconds=epoch.evaluate_seconds,
    )
