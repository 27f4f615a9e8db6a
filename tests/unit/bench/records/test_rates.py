import pytest
from support.records import changed, trial

from bench.records.rates import compared_throughput
from bench.records.trial import Slice


def in_rounds(mode, rates, flags=(), began="2026-01-01T00:00:00.000001+00:00"):
    """Make the record of a contender in rounds, from the rates of its slices."""
    slices = [
        Slice("train", number, 0.0, 1000, 1000 / rate, ("slow canary",) * (number in flags))
        for number, rate in enumerate(rates, start=1)
    ]
    return changed(trial("torch", mode), slices=slices, rounds_began_at=began)


def test_drift_that_all_share_does_not_change_a_ratio():
    drift = [1.0, 0.9, 0.5, 1.1]
    one = in_rounds("one", [1000 * each for each in drift])
    other = in_rounds("other", [2000 * each for each in drift])
    rates = compared_throughput([one, other])
    assert rates[other.trial] / rates[one.trial] == pytest.approx(2)


def test_a_disturbed_slice_does_not_count():
    one = in_rounds("one", [1000.0, 1000.0, 1000.0])
    other = in_rounds("other", [100.0, 2000.0, 100.0], flags=(1, 3))
    rates = compared_throughput([one, other])
    assert rates[other.trial] / rates[one.trial] == pytest.approx(2)


def test_trials_of_other_rounds_are_not_paired():
    one = in_rounds("one", [1000.0, 500.0])
    other = in_rounds("other", [2000.0, 3000.0], began="2026-01-01T01:00:00.000001+00:00")
    rates = compared_throughput([one, other])
    assert rates[one.trial] == pytest.approx((1000 * 500) ** 0.5)
    assert rates[other.trial] == pytest.approx((2000 * 3000) ** 0.5)


def test_a_trial_that_was_measured_alone_has_no_such_rate():
    assert compared_throughput([trial()]) == {}
