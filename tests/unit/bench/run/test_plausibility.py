"""Implausible measurements: above the peak rate, or from a clock that stopped too early."""

import msgspec
import pytest

from bench.records.trial import Noise
from bench.run.peak_rates import PeakRates, peak_share
from bench.run.plausibility import checked

KNOWN = [
    PeakRates(
        backend="numpy",
        framework_version="2",
        device="cpu",
        threads=2,
        matrix_flops_per_second={"float32": 4e11},
    ),
    PeakRates(
        backend="torch",
        framework_version="2",
        device="cpu",
        threads=2,
        matrix_flops_per_second={"float32": 2e11, "bfloat16": 1e11},
    ),
    PeakRates(
        backend="jax",
        framework_version="1",
        device="cpu",
        threads=2,
        matrix_flops_per_second={"float32": 9e11},
        flags=("other processes",),
    ),
]


def with_limit(record, flops=454_400, known=KNOWN):
    return msgspec.structs.replace(record, limit=peak_share(record, flops, known))


def test_the_peak_is_the_highest_undisturbed_measurement_of_any_backend(make):
    limit = with_limit(make.trial(throughput_images_per_second=200_000.0)).limit
    assert limit.achieved_flops_per_second == 200_000 * 454_400
    assert (limit.peak_flops_per_second, limit.peak_backend) == (4e11, "numpy")
    assert limit.own_peak_flops_per_second == 2e11
    assert limit.share_of_peak == pytest.approx(200_000 * 454_400 / 4e11)


def test_bfloat16_is_compared_with_the_higher_peak_of_float32_and_bfloat16(make):
    limit = with_limit(make.trial(precision="bfloat16")).limit
    assert limit.peak_flops_per_second == 4e11


@pytest.mark.parametrize(
    ("changes", "known"),
    [({"precision": "tf32"}, KNOWN), ({"device": "gpu:0"}, KNOWN), ({}, KNOWN[2:]), ({}, [])],
)
def test_the_share_of_an_unmeasured_peak_is_unknown(make, changes, known):
    record = with_limit(make.trial(**changes), known=known)
    assert record.limit.achieved_flops_per_second > 0
    assert record.limit.share_of_peak is None
    assert record.limit.peak_flops_per_second is None
    assert checked(record).outcome == "ok"


def test_a_throughput_above_the_peak_rate_is_rejected(make):
    at_the_limit = 4e11 / 454_400
    assert (
        checked(with_limit(make.trial(throughput_images_per_second=at_the_limit))).outcome == "ok"
    )
    above = checked(with_limit(make.trial(throughput_images_per_second=1.1 * at_the_limit)))
    assert above.outcome == "mistimed"
    assert "impossible" in above.reason
    assert "110% of this device's peak rate of 400.0 GFLOP/s (numpy)" in above.reason


# The fastest epoch of these records takes 0.25 s.
@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"leftover_seconds": None}, "ok"),
        ({"leftover_seconds": 0.049}, "ok"),
        ({"leftover_seconds": 0.2}, "mistimed"),
        ({"leftover_seconds": 0.2, "noise": Noise(flags=("slow canary",))}, "ok"),
        ({"leftover_seconds": 0.2, "outcome": "failed", "reason": "it broke"}, "failed"),
    ],
)
def test_work_left_when_the_clock_stopped_makes_a_trial_mistimed(make, changes, outcome):
    result = checked(make.trial(**changes))
    assert result.outcome == outcome
    assert ("clock stopped too early" in (result.reason or "")) == (outcome == "mistimed")
