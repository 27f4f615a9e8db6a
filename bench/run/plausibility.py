"""Checks that a trial's clock measured the trial's work: an impossible number is not a result."""

import msgspec

from bench.records.trial import TrialRecord

# The peak rate itself is measured, to a few percent.
_MOST_ON_CPU = 1.05
# FLOPs are counted for direct convolution, which the libraries on CPUs compute. On GPUs, cuDNN may
# choose Winograd's convolution for kernels of 3 x 3, which needs up to four times fewer (Lavin and
# Gray, Fast Algorithms for Convolutional Neural Networks, 2016).
_MOST_ELSEWHERE = 4 * _MOST_ON_CPU
# Work that was left when the clock stopped, as a share of an epoch, and in seconds: the prediction
# that shows it takes some milliseconds itself. An adapter that does not wait leaves nearly all.
_MOST_LEFTOVER = 0.1
_LEAST_LEFTOVER_SECONDS = 0.05


def checked(record: TrialRecord) -> TrialRecord:
    """Return the record, as mistimed with the reason if its numbers are impossible."""
    reason = (_impossible(record) or _unfinished(record)) if record.outcome == "ok" else ""
    if not reason:
        return record
    return msgspec.structs.replace(record, outcome="mistimed", reason=reason)


def _impossible(record: TrialRecord) -> str:
    limit = record.limit
    most = _MOST_ON_CPU if record.job.device == "cpu" else _MOST_ELSEWHERE
    if limit is None or limit.share_of_peak is None or limit.share_of_peak <= most:
        return ""
    achieved, peak = limit.achieved_flops_per_second, limit.peak_flops_per_second or 0.0
    return (
        f"impossible: the throughput requires {achieved / 1e9:,.1f} GFLOP/s, "
        f"{limit.share_of_peak:.0%} of this device's peak rate of {peak / 1e9:,.1f} GFLOP/s "
        f"({limit.peak_backend})"
    )


def _unfinished(record: TrialRecord) -> str:
    """Return why the clock stopped too early; disturbed trials are delayed by other things."""
    is_disturbed = record.noise is not None and record.noise.flags
    if record.leftover_seconds is None or is_disturbed or not record.per_epoch:
        return ""
    # The call directly before the evaluation: an epoch, or a slice of it.
    timed = [each.seconds for each in record.slices if each.kind == "train"]
    call = min(timed or (epoch.seconds for epoch in record.per_epoch))
    if record.leftover_seconds <= max(_LEAST_LEFTOVER_SECONDS, _MOST_LEFTOVER * call):
        return ""
    return (
        f"the clock stopped too early: {record.leftover_seconds:.3f} s of work were left after "
        f"each {'slice' if timed else 'epoch'} of {call:.3f} s"
    )
