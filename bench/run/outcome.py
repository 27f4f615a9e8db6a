"""From what a worker told and how it ended to one record."""

import signal
from collections.abc import Sequence
from statistics import median

import msgspec

from bench.machine.disturbance import train_noise
from bench.records.trial import EpochRecord, Inference, Outcome, TimeToAccuracy, TrialRecord
from bench.run.executor import WorkerEnd
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
from bench.worker.usage import total_usage

_REASON_LINES = 3  # of a dead worker's output: a reason stands in a table
_LONGEST_WORDS = 500  # characters of them: the record's log holds the rest
_FATAL = "Fatal Python error: "  # how faulthandler begins
_INNERMOST = "(most recent call first):"  # the line before a thread's innermost frame


class Verdict(msgspec.Struct, frozen=True):
    """How a trial ended, and why if not well."""

    outcome: Outcome
    reason: str | None = None


INTERRUPTED = Verdict("interrupted", "the run was stopped before this trial ended")


def verdict_of(events: Sequence[Event], end: WorkerEnd, timeout: float) -> Verdict:
    """Judge a trial by its last word, and where it had none by its process's end."""
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
    """The phase that was going on, or after which the worker was at its steps."""
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
    """What a dead worker said last: faulthandler's word on where it was, else its last lines."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    words = _fatal_words(lines) or lines[-_REASON_LINES:]
    return f": {' | '.join(words)[:_LONGEST_WORDS]}" if words else ""


def _fatal_words(lines: Sequence[str]) -> list[str]:
    """The signal's name and the innermost Python frame of the thread that it hit.

    A signal can hit a thread that is none of Python's: then the main thread's, which stands last.
    """
    fatal = [index for index, line in enumerate(lines) if line.startswith(_FATAL)]
    if not fatal:
        return []
    after = lines[fatal[-1] :]
    threads = [index for index, line in enumerate(after) if line.endswith(_INNERMOST)]
    hit = [index for index in threads if "Current" in after[index]] or threads[-1:]
    frame = [after[index + 1] for index in hit if index + 1 < len(after)]
    return [after[0].removeprefix(_FATAL), *frame]


def measured(record: TrialRecord, events: Sequence[Event]) -> TrialRecord:
    """The record with everything that the events tell, however far the trial came."""
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


def _leftover(epochs: Sequence[EpochEnded]) -> float | None:
    """The least over the epochs: an adapter that does not wait leaves work in each."""
    known = [epoch.leftover_seconds for epoch in epochs if epoch.leftover_seconds is not None]
    return min(known, default=None)


def _native_settings(events: Sequence[Event]) -> dict[str, str]:
    told = (event.settings for event in events if isinstance(event, NativeSettings))
    return next(told, {})


def _cold_start(events: Sequence[Event]) -> float | None:
    return next((event.seconds for event in events if isinstance(event, FirstStep)), None)


def time_to_accuracy(epochs: Sequence[EpochEnded], target: float | None) -> TimeToAccuracy | None:
    """The training up to the first epoch with the accuracy, or all of it; None without a target.

    Evaluation is off this clock.
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
    told = next((event for event in events if isinstance(event, Predicted)), None)
    if told is None:
        return None
    half, most, nearly_all = told.latencies
    return Inference(
        latency_p50_seconds=half,
        latency_p95_seconds=most,
        latency_p99_seconds=nearly_all,
        latency_calls=told.latency_calls,
        throughput_images_per_second=told.calls * told.batch_size / told.call_seconds,
        throughput_batch_size=told.batch_size,
        throughput_calls=told.calls,
        compile_seconds=told.compile_seconds,
        seconds=told.seconds,
    )


def steady_throughput(epochs: Sequence[EpochEnded]) -> float | None:
    """Images a second: the median over the epochs, the first left out when there are several."""
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
