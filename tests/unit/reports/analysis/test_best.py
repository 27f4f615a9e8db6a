"""The best contender in each metric, its lead, and contenders that are not significantly worse."""

import msgspec
import pytest
from support.records import INFERENCE, repeated

from reports.analysis.best import best_of
from reports.analysis.rankings import rankings_of_records
from reports.metrics import ACCURACY, COLD_START, LATENCIES, PEAK_MEMORY, THROUGHPUT

NEAR = (0.99, 1.01, 1.0, 0.98, 1.02)
OTHER = (1.01, 1.0, 0.98, 1.02, 0.99)


def contender(make, backend, megabytes, near):
    return [
        make.trial(backend, "eager", repeat, peak_memory_bytes=int(megabytes * 2**20 * noise))
        for repeat, noise in enumerate(near, start=1)
    ]


def ranking(*trials):
    (found,) = rankings_of_records([record for group in trials for record in group])
    return found


def test_a_clear_best_has_an_interval_and_a_margin(make):
    found = best_of(
        PEAK_MEMORY,
        ranking(contender(make, "jax", 100, NEAR), contender(make, "torch", 300, OTHER)),
    )
    assert (found.label, found.level) == ("jax eager", ())
    assert found.margin == "3.00 times, torch eager (300)"
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


def test_single_trials_are_compared_by_value_without_an_interval(make):
    alone = ranking(contender(make, "jax", 100, [1]), contender(make, "torch", 300, [1]))
    found = best_of(PEAK_MEMORY, alone)
    assert (found.level, found.interval) == ((), "–")  # noqa: RUF001
    assert best_of(THROUGHPUT, alone).level == ("torch eager",), "nor does the ranking tell them"


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
    assert found.margin.startswith("2.00 times, torch eager")


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
    assert (found.label, found.margin) == ("jax eager", "4.00 times, torch eager (0.400)")
