"""Detects disturbed trials by comparing what was measured during a trial with a table of limits.

A disturbed trial is retried a limited number of times. If every attempt is disturbed, the record
contains the last one with its flags.

The canary is a fixed amount of work whose duration shows how fast the machine currently is. It runs
between trials, never while something is timed. Interpreter work becomes slower when another process
uses the core or the clock rate drops; copies of memory become slower when another process uses the
memory bus. The work is divided into pieces and the median of their durations counts, because an
interruption shorter than half of the canary does not affect a whole trial.
"""

import os
from bisect import insort
from collections.abc import Callable, Sequence
from statistics import median
from time import perf_counter
from typing import NamedTuple

import msgspec

from bench.records.trial import Attempt, Noise, TrialRecord
from bench.worker.usage import Usage

# The kernel counts other processes' time in ticks of 10 ms, so a few ticks may be rounding.
_ROUNDING_SECONDS = 0.03
# Of a run's trials. On a machine that is never quiet, retrying all of them would not help.
_RETRIED_SHARE = 0.5

_PIECES = 5
_ROUNDS = 120_000  # per piece
_BLOCK = bytes(24 * 2**20)  # larger than the caches of one core
_COPIES = 2
_FIRST_TIMES = 3


class Sign(NamedTuple):
    """A sign of a disturbance.

    Attributes:
        flag: its name in records and reports.
        most: the largest value of an undisturbed trial.
        value: computes the value from the noise and the seconds of the train phase; None if it is
            unknown.
        reason: the unit of the value, and why the limit is what it is.
    """

    flag: str
    most: float
    value: Callable[[Noise, float], float | None]
    reason: str


def _slowest_canary(noise: Noise, seconds: float) -> float | None:
    times = [noise.canary_before_seconds, noise.canary_after_seconds]
    known = [time for time in times if time is not None]
    if not known or not noise.canary_usual_seconds:
        return None
    return max(known) / noise.canary_usual_seconds


def _share(part: float | None, seconds: float, rounding: float = 0.0) -> float | None:
    return None if part is None or seconds <= 0 else max(0.0, part - rounding) / seconds


SIGNS = (
    Sign(
        "other processes",
        0.10,
        lambda noise, seconds: _share(noise.train_other_seconds, seconds, _ROUNDING_SECONDS),
        "CPUs, over the train phase: threads wait for each other at barriers, so a thread "
        "that loses a tenth of its CPU can cost a tenth of the throughput",
    ),
    Sign(
        "stolen CPU",
        0.10,
        lambda noise, seconds: _share(noise.train_steal_seconds, seconds, _ROUNDING_SECONDS),
        "CPUs, over the train phase: as for other processes; a few percent of steal are usual on "
        "a shared host and affect all contenders alike",
    ),
    Sign(
        "CPU limit",
        0.02,
        lambda noise, seconds: _share(noise.train_throttled_seconds, seconds),
        "share of the train phase: a control group that exceeds its limit is stopped as a whole",
    ),
    Sign(
        "slow canary",
        1.25,
        _slowest_canary,
        "multiple of the median: on an idle virtual machine the slowest of 60 was a tenth above it",
    ),
)


def flags_of(noise: Noise, train_seconds: float | None) -> tuple[str, ...]:
    """List the flags of all signs above their limit; unknown values raise no flag.

    Args:
        noise: measured during the trial.
        train_seconds: duration of the train phase; None if unknown.
    """
    values = ((sign, sign.value(noise, train_seconds or 0.0)) for sign in SIGNS)
    return tuple(sign.flag for sign, value in values if value is not None and value > sign.most)


class Canary:
    """Times the fixed work and remembers its usual duration in this process."""

    def __init__(self) -> None:
        """Time the work a few times, so that the first trial can be compared with them."""
        self._target = memoryview(bytearray(_BLOCK))
        self._piece()  # the first use of its memory is slower
        self._ordered: list[float] = []  # sorted, because a run can have 10,000 times
        self._last = 0.0
        for _ in range(_FIRST_TIMES):
            self.time()

    @property
    def usual_seconds(self) -> float:
        """Return the median of all times; it adapts to a machine that slows down as it heats up."""
        middle = len(self._ordered) // 2
        return (self._ordered[middle] + self._ordered[-middle - 1]) / 2

    @property
    def last_seconds(self) -> float:
        """Return the latest time."""
        return self._last

    def time(self) -> float:
        """Do the work and return its duration in seconds."""
        self._last = self.work()
        insort(self._ordered, self._last)
        return self._last

    def work(self) -> float:
        """Return the median duration of the work's pieces, about 0.02 seconds."""
        return median(self._piece() for _ in range(_PIECES))

    def _piece(self) -> float:
        start = perf_counter()
        _interpret()
        for _ in range(_COPIES):
            self._target[:] = _BLOCK
        return perf_counter() - start


def _interpret() -> int:
    value = 0
    for number in range(_ROUNDS):
        value = (value * 31 + number) & 0xFFFF
    return value


class Watch:
    """Measures noise between the trials of one run and decides about retries."""

    def __init__(self, trials: int, retries: int, canary: Canary | None = None) -> None:
        """Time the canary for the first time.

        Args:
            trials: the number of trials of the run.
            retries: the largest number of retries of one disturbed trial.
            canary: the work that is timed between trials; by default a new canary.
        """
        self._canary = canary or Canary()
        self._retries = retries
        self._left = max(retries, round(trials * _RETRIED_SHARE))
        self._before: float | None = None
        self._load: float | None = None

    def begin(self) -> None:
        """Measure the machine's state before an attempt at a trial."""
        self._before = self._canary.last_seconds
        self._load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None

    def with_noise(self, record: TrialRecord, earlier: Sequence[TrialRecord]) -> TrialRecord:
        """Time the canary and return the attempt's record with its noise and flags.

        Args:
            record: of the attempt that started after `begin`.
            earlier: records of the trial's earlier, disturbed attempts.
        """
        noise = msgspec.structs.replace(
            record.noise or Noise(),
            canary_before_seconds=self._before,
            canary_after_seconds=self._canary.time(),
            canary_usual_seconds=self._canary.usual_seconds,
            load_average=self._load,
            attempts=tuple(map(_attempt, earlier)),
        )
        flags = flags_of(noise, record.train_seconds)
        return msgspec.structs.replace(record, noise=msgspec.structs.replace(noise, flags=flags))

    def wants_retry(self, record: TrialRecord, earlier: int) -> bool:
        """Return whether to retry the trial, and count the retry.

        Args:
            record: of the last attempt, with its noise.
            earlier: the number of attempts before it.
        """
        is_disturbed = record.outcome == "ok" and record.noise is not None and record.noise.flags
        retries = bool(is_disturbed) and earlier < self._retries and self._left > 0
        self._left -= retries
        return retries


def _attempt(record: TrialRecord) -> Attempt:
    flags = record.noise.flags if record.noise else ()
    return Attempt(flags, record.throughput_images_per_second)


def train_noise(usage: Usage | None) -> Noise:
    """Convert what the worker measured during training; None means that nothing is known."""
    if usage is None:
        return Noise()
    return Noise(
        train_cpu_seconds=usage.cpu_seconds,
        train_involuntary_switches=usage.involuntary_switches,
        train_other_seconds=usage.other_seconds,
        train_steal_seconds=usage.steal_seconds,
        train_throttled_seconds=usage.throttled_seconds,
    )
