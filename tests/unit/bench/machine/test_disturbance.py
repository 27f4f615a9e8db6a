"""Disturbances: detected by their signs, retried, and recorded."""

import subprocess
import sys

import msgspec
import pytest

from bench.machine.disturbance import SIGNS, Canary, Watch, flags_of
from bench.machine.hardware import usable_cpus
from bench.records.trial import Noise
from bench.worker.usage import Usage, read_usage, total_usage, usage_since

QUIET = Noise(
    canary_before_seconds=0.10,
    canary_after_seconds=0.11,
    canary_usual_seconds=0.10,
    train_cpu_seconds=1.9,
    train_involuntary_switches=50,
    train_other_seconds=0.05,
    train_steal_seconds=0.04,
    train_throttled_seconds=0.0,
)


@pytest.mark.parametrize(
    ("changes", "flags"),
    [
        ({}, ()),
        ({"train_other_seconds": 0.3}, ("other processes",)),
        ({"train_steal_seconds": 0.3}, ("stolen CPU",)),
        ({"train_throttled_seconds": 0.05}, ("CPU limit",)),
        ({"canary_before_seconds": 0.14}, ("slow canary",)),
        ({"canary_after_seconds": 0.14}, ("slow canary",)),
        ({"canary_after_seconds": 0.2, "train_other_seconds": 2.0}, None),
        (dict.fromkeys(Noise.__struct_fields__[:-2]), ()),
    ],
)
def test_each_sign_raises_its_flag(changes, flags):
    wanted = ("other processes", "slow canary") if flags is None else flags
    assert flags_of(msgspec.structs.replace(QUIET, **changes), 1.0) == wanted


def test_a_few_kernel_ticks_in_a_short_phase_raise_no_flag():
    """The kernel's ticks are too coarse for a train phase of 20 ms."""
    noise = msgspec.structs.replace(QUIET, train_other_seconds=0.03, train_steal_seconds=0.03)
    assert flags_of(noise, 0.02) == ()


def test_every_threshold_has_a_documented_reason():
    assert all(len(sign.reason) > 20 for sign in SIGNS)


def spinning(seconds):
    """Start one busy process per CPU."""
    program = f"import time; end = time.time() + {seconds}\nwhile time.time() < end: pass"
    return [subprocess.Popen([sys.executable, "-c", program]) for _ in usable_cpus()]


@pytest.mark.process
def test_a_busy_process_on_each_core_is_detected(make):
    """With the kernel's own accounting, whatever else runs on the machine."""
    before = read_usage()
    busy = spinning(1)
    for process in busy:
        process.wait()
    usage = usage_since(before)
    if usage.other_seconds is None:
        pytest.skip("this system does not tell what other processes use")
    noise = msgspec.structs.replace(QUIET, train_other_seconds=usage.other_seconds)
    assert "other processes" in flags_of(noise, usage.wall_seconds)


def test_the_workers_own_load_is_no_disturbance():
    """CPU time of this process is subtracted, so a worker does not disturb itself."""
    before = read_usage()
    total = 0
    while usage_since(before).cpu_seconds < 0.3:
        total += 1
    usage = usage_since(before)
    if usage.other_seconds is None:
        pytest.skip("this system does not tell what other processes use")
    capacity = usage.wall_seconds * len(usable_cpus())
    assert usage.cpu_seconds + usage.other_seconds < 1.3 * capacity + 0.1


def test_usage_adds_up_and_unknown_parts_stay_unknown():
    first, second = Usage(1.0, 2.0, 3, 0.5, None, 0.1), Usage(2.0, 1.0, 4, 0.5, 0.2, 0.1)
    assert total_usage([first, second]) == Usage(3.0, 3.0, 7, 1.0, None, 0.2)
    assert total_usage([]) is None
    assert total_usage([first, None]) is None


class Steady(Canary):
    """Takes the same time always, so that the machine's load does not affect a test."""

    def work(self):
        return 0.1


def test_the_usual_time_of_the_canary_is_the_median_of_all(monkeypatch):
    canary, times = Steady(), iter([0.5, 0.2, 0.3])
    monkeypatch.setattr(canary, "work", lambda: next(times))
    assert [canary.time() for _ in range(3)] == [0.5, 0.2, 0.3]
    assert canary.last_seconds == 0.3
    assert canary.usual_seconds == pytest.approx((0.1 + 0.2) / 2)  # three times 0.1 at the start


def watch(trials, retries=2):
    return Watch(trials, retries, Steady())


def measured_by(watch, measure, retried):
    """Measure one trial as the runner does; each disturbed attempt goes to `retried`."""
    while True:
        watch.begin()
        record = watch.with_noise(measure(), retried)
        if not watch.wants_retry(record, len(retried)):
            return record
        retried.append(record)


def disturbed(record):
    return msgspec.structs.replace(
        record, noise=msgspec.structs.replace(QUIET, train_other_seconds=5.0)
    )


def test_a_disturbed_trial_is_retried_and_its_attempts_are_recorded(make):
    quiet = make.trial(noise=QUIET)
    measured = iter([disturbed(make.trial(throughput_images_per_second=7.0)), quiet])
    told = []
    record = measured_by(watch(trials=4), lambda: next(measured), told)
    assert "other processes" not in record.noise.flags
    assert len(record.noise.attempts) == len(told) == 1
    assert record.noise.attempts[0].throughput_images_per_second == 7.0
    assert "other processes" in record.noise.attempts[0].flags


def test_a_trial_that_stays_disturbed_is_recorded_with_its_flags(make):
    told = []
    record = measured_by(watch(trials=4), lambda: disturbed(make.trial()), told)
    assert len(told) == 2
    assert len(record.noise.attempts) == 2
    assert "other processes" in record.noise.flags
    assert record.outcome == "ok"


def test_at_most_half_of_the_trials_are_retried(make):
    watched, retried = watch(trials=10), 0
    for _ in range(10):
        attempts = []
        measured_by(watched, lambda: disturbed(make.trial()), attempts)
        retried += len(attempts)
    assert retried == 5


@pytest.mark.parametrize("changes", [{"outcome": "failed", "reason": "it broke"}, {}])
def test_failed_trials_and_trials_without_retries_are_not_retried(make, changes):
    told = []
    retries = 2 if changes else 0
    measured_by(watch(4, retries), lambda: disturbed(make.trial(**changes)), told)
    assert told == []
