"""The best contender in each metric, its lead, and contenders that are not significantly worse."""

import msgspec
import pytest
from support.records import INFERENCE, ranked, repeated

from bench.records.trial import TimeToAccuracy
from reports.analysis.best import MOST_COMPARED, best_of
from reports.metrics import (
    ACCURACY,
    COLD_START,
    LATENCIES,
    PEAK_MEMORY,
    THROUGHPUT,
    TIME_TO_ACCURACY,
)

NEAR = (0.99, 1.01, 1.0, 0.98, 1.02)
OTHER = (1.01, 1.0, 0.98, 1.02, 0.99)


def contender(make, backend, megabytes, near):
    return [
        make.trial(backend, "eager", repeat, peak_memory_bytes=int(megabytes * 2**20 * noise))
        for repeat, noise in enumerate(near, start=1)
    ]


def ranking(*trials):
    (found,) = ranked([record for group in trials for record in group])
    return found


def test_a_clear_best_has_an_interval_and_a_margin(make):
    found = best_of(
        PEAK_MEMORY,
        ranking(contender(make, "jax", 100, NEAR), contender(make, "torch", 300, OTHER)),
    )
    assert (found.label, found.level) == ("jax eager", ())
    assert found.margin == "next is torch eager with 300, a factor of 3.00"
    low, _, high = found.interval.partition("–")  # noqa: RUF001
    assert 95 < int(low) < 100 < int(high) < 105


def test_only_contenders_not_significantly_worse_than_the_best_are_named(make):
    found = best_of(
        PEAK_MEMORY,
        ranking(
            contender(make, "jax", 100, NEAR),
            contender(make, "numpy", 100.5, OTHER),
            contender(make, "torch", 300, OTHER),
        ),
    )
    assert (found.label, found.level) == ("jax eager", ("numpy eager",))
    assert found.margin == "cannot be told apart"


def test_single_trials_are_not_tested(make):
    alone = ranking(contender(make, "jax", 100, [1]), contender(make, "torch", 300, [1]))
    found = best_of(PEAK_MEMORY, alone)
    assert (found.level, found.interval) == ((), "–")  # noqa: RUF001
    assert found.margin == "next is torch eager with 300, a factor of 3.00; not tested"
    assert best_of(THROUGHPUT, alone).margin.endswith("; not tested")


def test_contenders_that_are_not_shown_to_be_worse_are_named_although_their_ranges_are_apart(make):
    near, apart = (1.00, 1.002), (1.003, 1.006)
    found = best_of(
        PEAK_MEMORY,
        ranking(contender(make, "jax", 100, near), contender(make, "torch", 100, apart)),
    )
    assert found.level == ("torch eager",)


def test_a_trial_that_missed_the_accuracy_is_not_left_out(make):
    """The median of the second contender is better, and one of its trials is censored."""
    times = {"jax": [2.0, 2.01, 1.99], "torch": [1.0, 1.01, None]}
    found = best_of(
        TIME_TO_ACCURACY,
        ranking(
            [
                make.trial(
                    backend,
                    "eager",
                    repeat,
                    until_accuracy=0.98,
                    time_to_accuracy=TimeToAccuracy(0.98, seconds is not None, seconds or 9.0, 3),
                )
                for backend, own in times.items()
                for repeat, seconds in enumerate(own, start=1)
            ]
        ),
    )
    assert found.label == "torch eager"
    assert found.margin.startswith("next is jax eager with 2.00, ")


def test_many_contenders_are_compared_in_throughput_only(make):
    many = [contender(make, f"b{n:03}", 100 + n, NEAR) for n in range(MOST_COMPARED + 1)]
    assert (
        best_of(PEAK_MEMORY, ranking(*many)).margin
        == "next is b001 eager with 101, a factor of 1.01; not tested"
    )


def test_a_metric_without_values_has_no_best(make):
    assert best_of(LATENCIES[0], ranking(contender(make, "jax", 100, NEAR))) is None


@pytest.mark.parametrize(
    ("metric", "value"),
    [(THROUGHPUT, 1e5), (ACCURACY, 0.4), (COLD_START, 2.0), (PEAK_MEMORY, 200_000_000)],
)
def test_best_is_the_best_median_in_the_metrics_direction(make, metric, value):
    good, bad = (2, 1) if metric.direction == "higher" else (1, 2)
    trials = [
        make.trial(backend, "eager", repeat, **{metric.key: type(value)(value * level * noise)})
        for backend, level in (("jax", good), ("torch", bad))
        for repeat, noise in enumerate(NEAR, start=1)
    ]
    found = best_of(metric, ranking(trials))
    assert (found.label, found.level) == ("jax eager", ())
    assert found.margin.endswith("a factor of 2.00")


def test_throughput_is_tied_as_in_the_ranking():
    tied = ranking(
        repeated("jax", "scan", [100.0, 101.0, 99.0]),
        repeated("torch", "eager", [100.5, 99.5, 100.0]),
    )
    assert best_of(THROUGHPUT, tied).level == (tied.contenders[1].label,)


def test_latency_is_compared_by_the_records_of_prediction(make):
    def trials(backend, factor):
        return [
            make.trial(
                backend,
                "eager",
                repeat,
                inference=msgspec.structs.replace(
                    INFERENCE, latency_p50_seconds=1e-4 * factor * noise
                ),
            )
            for repeat, noise in enumerate(NEAR, start=1)
        ]

    found = best_of(LATENCIES[0], ranking(trials("jax", 1), trials("torch", 4)))
    assert (found.label, found.margin) == (
        "jax eager",
        "next is torch eager with 0.400, a factor of 4.00",
    )
