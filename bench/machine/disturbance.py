"""Whether a trial was disturbed: what the machine told meanwhile, against one table of signs.

A disturbed trial is taken again, a bounded number of times; when it stays disturbed, its last
measurement is kept with its flags.
"""

import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from bench.machine.canary import Canary
from bench.records.trial import Attempt, Noise, TrialRecord
from bench.worker.usage import Usage

# The kernel counts other processes' time in ticks of 10 ms: what a few ticks make is rounding.
_ROUNDING_SECONDS = 0.03
# Of a run's trials: on a machine that is never quiet, to repeat them all would only take time.
_REPEATED_SHARE = 0.5


class Sign(NamedTuple):
    """A sign of a disturbance.

    Attributes:
        flag: what the record and the report say.
        most: the largest value of a quiet trial.
        value: from the noise and the seconds of the train phase; None where it is not known.
        reason: why the threshold lies where it does.
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
        "of the train phase, in CPUs: threads that meet at barriers all wait for the one that lost "
        "its CPU, so that a tenth of one CPU costs up to a tenth of the throughput",
    ),
    Sign(
        "stolen CPU",
        0.10,
        lambda noise, seconds: _share(noise.train_steal_seconds, seconds, _ROUNDING_SECONDS),
        "of the train phase, in CPUs: as for other processes; a few percent of steal are usual on "
        "a shared host and fall on all contenders alike",
    ),
    Sign(
        "CPU limit",
        0.02,
        lambda noise, seconds: _share(noise.train_throttled_seconds, seconds),
        "of the train phase: a control group that uses up its limit is stopped as a whole",
    ),
    Sign(
        "slow canary",
        1.25,
        _slowest_canary,
        "times the median: on an idle virtual machine the longest of 60 was a tenth above it",
    ),
)


def flags_of(noise: Noise, train_seconds: float | None) -> tuple[str, ...]:
    """The flags of the signs that are there; what is not known raises none."""
    values = ((sign, sign.value(noise, train_seconds or 0.0)) for sign in SIGNS)
    return tuple(sign.flag for sign, value in values if value is not None and value > sign.most)


class Watch:
    """Watches the machine from trial to trial of one run."""

    def __init__(self, trials: int, retries: int, canary: Canary | None = None) -> None:
        """Time the canary for the first time.

        Args:
            trials: how many the run has.
            retries: how often one disturbed trial is measured again at most.
            canary: the work that is timed between trials; the usual one where none is given.
        """
        self._canary = canary or Canary()
        self._retries = retries
        self._left = max(retries, round(trials * _REPEATED_SHARE))
        self._before: float | None = None
        self._load: float | None = None

    def begin(self) -> None:
        """Note how the machine is before an attempt to measure a trial."""
        self._before = self._canary.last_seconds
        self._load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None

    def with_noise(self, record: TrialRecord, earlier: Sequence[TrialRecord]) -> TrialRecord:
        """Time the canary and add the noise and its flags to an attempt's record.

        Args:
            record: the attempt that began with `begin`.
            earlier: the trial's disturbed attempts before this one.
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
        """Whether to measure the trial again; a retry is then used up.

        Args:
            record: the last attempt, with its noise.
            earlier: how many attempts came before it.
        """
        is_disturbed = record.outcome == "ok" and record.noise is not None and record.noise.flags
        retries = bool(is_disturbed) and earlier < self._retries and self._left > 0
        self._left -= retries
        return retries


def _attempt(record: TrialRecord) -> Attempt:
    flags = record.noise.flags if record.noise else ()
    return Attempt(flags, record.throughput_images_per_second)


def train_noise(usage: Usage | None) -> Noise:
    """The noise as far as the worker told it."""
    if usage is None:
        return Noise()
    return Noise(
        train_cpu_seconds=usage.cpu_seconds,
        train_involuntary_switches=usage.involuntary_switches,
        train_other_seconds=usage.other_seconds,
        train_steal_seconds=usage.steal_seconds,
        train_throttled_seconds=usage.throttled_seconds,
    )
