"""The statistics compared with SciPy, with each other, and in edge cases."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.statistics.families import Sample, ratio_of
from bench.statistics.medians import interval_factor, median_interval
from bench.statistics.ratios import independent_ratio, paired_ratio, paired_ratios
from bench.statistics.samples import RESOLUTION, SampleError

positive = st.floats(1e-3, 1e9)
FIRST = [102.0, 99.0, 105.0, 110.0]
SECOND = [98.0, 97.0, 100.0, 103.0]


def test_a_paired_ratio_equals_scipys_paired_t_test_on_logarithms():
    ratio = paired_ratio(FIRST, SECOND)
    expected = stats.ttest_rel(np.log(FIRST), np.log(SECOND))
    interval = expected.confidence_interval(0.95)
    assert ratio.p_value == pytest.approx(expected.pvalue)
    assert (ratio.low, ratio.high) == pytest.approx((math.exp(interval.low), math.exp(interval[1])))
    assert ratio.estimate == pytest.approx(stats.gmean(FIRST) / stats.gmean(SECOND))
    assert ratio.trials == 4


def test_an_independent_ratio_equals_scipys_welch_test_on_logarithms():
    ratio = independent_ratio(FIRST, SECOND[:3])
    expected = stats.ttest_ind(np.log(FIRST), np.log(SECOND[:3]), equal_var=False)
    interval = expected.confidence_interval(0.95)
    assert ratio.p_value == pytest.approx(expected.pvalue)
    assert (ratio.low, ratio.high) == pytest.approx((math.exp(interval.low), math.exp(interval[1])))
    assert ratio.trials == 3


@given(st.lists(st.tuples(positive, positive), min_size=2, max_size=9), st.floats(1e-3, 1e3))
def test_swapping_contenders_inverts_a_ratio_and_units_cancel(pairs, unit):
    first, second = map(list, zip(*pairs, strict=True))
    ratio, turned = paired_ratio(first, second), paired_ratio(second, first)
    assert ratio.inverse[:3] == pytest.approx(turned[:3])
    assert ratio.low <= ratio.estimate <= ratio.high
    scaled = paired_ratio([unit * value for value in first], [unit * value for value in second])
    assert scaled[:3] == pytest.approx(ratio[:3], rel=1e-6)


def test_drift_between_blocks_cancels_only_in_paired_ratios():
    slow_hour = [1.0, 0.5, 0.7, 0.9]
    drifted = [
        [value * slow for value, slow in zip(values, slow_hour, strict=True)]
        for values in (FIRST, SECOND)
    ]
    assert paired_ratio(*drifted)[:4] == pytest.approx(paired_ratio(FIRST, SECOND)[:4])
    assert independent_ratio(*drifted).reach > 5 * independent_ratio(FIRST, SECOND).reach


def test_a_single_trial_gives_a_ratio_without_an_interval():
    for ratio in (paired_ratio([200.0], [100.0]), independent_ratio([200.0, 201.0], [100.0])):
        assert ratio.estimate == pytest.approx(2, rel=0.01)
        assert (ratio.low, ratio.high, ratio.p_value) == (0, math.inf, 1)
        assert (ratio.inverse.low, ratio.inverse.high) == (0, math.inf)
        assert ratio.verdict() == "not known"


@pytest.mark.parametrize("ratio_of_two", [paired_ratio, independent_ratio])
def test_equal_values_have_the_spread_of_the_resolution(ratio_of_two):
    ratio = ratio_of_two([2.0, 2.0], [1.0, 1.0])
    assert ratio.verdict() == "higher"
    assert ratio.p_value > 0
    assert ratio.low < 2 < ratio.high
    assert ratio.spread == pytest.approx(RESOLUTION)
    assert ratio_of_two([2.0, 2.0], [2.0, 2.0]).verdict() == "no measurable difference"
    # A difference below the resolution is not claimed.
    below = ratio_of_two([1 + RESOLUTION / 10] * 3, [1.0] * 3)
    assert below.verdict() == "no measurable difference"


@pytest.mark.parametrize("values", [[], [1.0, 0.0], [1.0, -1.0], [1.0, math.nan], [math.inf, 1.0]])
def test_a_value_that_is_not_a_positive_number_is_rejected(values):
    with pytest.raises(SampleError, match="expected positive numbers"):
        paired_ratio(values, values)
    with pytest.raises(SampleError, match="expected positive numbers"):
        independent_ratio(values, [1.0, 2.0])
    for interval in (median_interval, interval_factor):
        with pytest.raises(SampleError, match="expected positive numbers"):
            interval(values)


def test_paired_samples_must_have_equal_lengths():
    with pytest.raises(SampleError, match="received 4 and 3 values"):
        paired_ratio(FIRST, SECOND[:3])


# Medians


def test_the_median_of_few_values_has_students_interval_on_logarithms():
    logs = np.log(FIRST)
    expected = stats.t.interval(0.95, 3, np.mean(logs), stats.sem(logs))
    median = median_interval(FIRST)
    assert (median.low, median.high) == pytest.approx(np.exp(expected))
    assert median.estimate == 103.5


def test_the_median_of_many_values_has_an_interval_between_order_statistics():
    # The ranks 2 to 9 of ten cover 97.9 %, the ranks 3 to 8 cover 89.1 %.
    values = [float(2**power) for power in range(10)]
    median = median_interval(values)
    wide, narrow = 1 - 2 * stats.binom.cdf(1, 10, 0.5), 1 - 2 * stats.binom.cdf(2, 10, 0.5)
    share = (wide - 0.95) / (wide - narrow)
    inward = 8 * share / (2 + 6 * share)
    assert (math.log2(median.low), math.log2(median.high)) == pytest.approx(
        (1 + inward, 8 - inward)
    )


@given(st.lists(positive, min_size=6, max_size=30))
def test_an_interval_between_order_statistics_contains_the_median(values):
    median = median_interval(values)
    assert min(values) <= median.low * (1 + 1e-9)
    assert median.low <= median.estimate * (1 + 1e-9)
    assert median.estimate <= median.high * (1 + 1e-9)


def test_a_single_value_has_no_interval():
    median = median_interval([7.0])
    assert median.estimate == 7
    assert math.isnan(median.low)
    assert math.isnan(median.high)
    assert math.isnan(interval_factor([7.0]))


def test_a_geometric_mean_has_students_interval_on_logarithms():
    logs = np.log(FIRST)
    expected = stats.t.interval(0.95, 3, np.mean(logs), stats.sem(logs))
    mean, factor = stats.gmean(FIRST), interval_factor(FIRST)
    assert (mean / factor, mean * factor) == pytest.approx(np.exp(expected))
    assert interval_factor([1e-300, 1e300]) < math.inf


# Pairs


def of(*values, run="run", first=1):
    return Sample(run, dict(enumerate(values, first)))


def test_all_pairs_at_once_equal_the_pairs_one_by_one():
    values = [[300, 303, 299, 302], [100, 101, 99, 100], [299, 305, 300, 298]]
    pairs = [(0, 1), (2, 1), (0, 2)]
    for (first, second), ratio in zip(pairs, paired_ratios(values, pairs), strict=True):
        assert ratio == pytest.approx(paired_ratio(values[first], values[second]))
    assert paired_ratios(values, []) == []


def test_pairs_are_formed_from_blocks_that_both_contenders_have_in_one_run():
    first, second = of(100, 200, 400), of(220, 440, first=2)
    assert ratio_of(first, second).estimate == pytest.approx(1 / 1.1)
    assert ratio_of(first, second).trials == 2
    elsewhere = second._replace(run="another")
    assert ratio_of(first, elsewhere) == independent_ratio([100, 200, 400], [220, 440])
    disjoint = of(220, 440, first=7)
    assert ratio_of(first, disjoint) == independent_ratio([100, 200, 400], [220, 440])
