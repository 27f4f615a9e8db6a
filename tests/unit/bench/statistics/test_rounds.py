"""One rate per contender from slices that are disturbed, missing or not connected."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.statistics.looks import level
from bench.statistics.rounds import rates_of
from bench.statistics.samples import SampleError

SPEEDS = {"fast": 400.0, "middle": 200.0, "slow": 100.0}
DRIFT = [1.0, 0.9, 0.8, 1.1, 1.2, 0.7, 1.0]


def slices_of(speeds, drift=DRIFT):
    return {
        name: {number: speed * slow for number, slow in enumerate(drift)}
        for name, speed in speeds.items()
    }


def ratios_of(rates):
    return {pair: rates[pair[0]] / rates[pair[1]] for pair in combinations(sorted(rates), 2)}


def test_undisturbed_slices_give_the_rates_at_the_median_round():
    assert rates_of(slices_of(SPEEDS)) == pytest.approx(SPEEDS)


def test_bursts_in_single_slices_do_not_change_the_rates():
    slices = slices_of(SPEEDS)
    for contender, number in (("fast", 0), ("fast", 1), ("middle", 3), ("slow", 5)):
        slices[contender][number] /= 3
    assert ratios_of(rates_of(slices)) == pytest.approx(ratios_of(SPEEDS))


def test_rounds_without_a_slice_do_not_shift_a_ratio():
    # The slow rounds are missing for one contender only: its own median would be 7 % too high.
    slices = slices_of(SPEEDS)
    for number in (1, 2, 5):
        del slices["middle"][number]
    assert ratios_of(rates_of(slices)) == pytest.approx(ratios_of(SPEEDS))


def test_cohorts_are_compared_through_the_contender_that_they_share():
    drifted = slices_of({"anchor": 300.0, "a": 100.0, "b": 200.0}, [1.0, 0.5, 0.5, 0.5, 1.0, 1.0])
    del drifted["a"][3], drifted["a"][4], drifted["a"][5]
    del drifted["b"][0], drifted["b"][1], drifted["b"][2]
    rates = rates_of(drifted)
    assert rates["a"] / rates["b"] == pytest.approx(0.5)


def test_contenders_without_shared_rounds_have_their_own_medians():
    rates = rates_of({"a": {0: 1.0, 1: 4.0}, "b": {2: 3.0, 3: 5.0, 4: 4.0}, "none": {}})
    assert rates == pytest.approx({"a": 2.0, "b": 4.0})
    assert rates_of({"alone": {7: 3.0}}) == pytest.approx({"alone": 3.0})
    assert rates_of({}) == {}


def test_the_fit_weighs_a_pair_by_its_rounds():
    # a/b, b/c and a/c contradict each other; the pair with a single round counts least.
    slices = {
        "a": {0: 1.0, 1: 1.0, 2: 1.0, 3: 1.0, 9: 2.0},
        "b": {0: 1.0, 1: 1.0, 4: 1.0, 5: 1.0, 6: 1.0, 7: 1.0},
        "c": {4: 1.0, 5: 1.0, 6: 1.0, 7: 1.0, 9: 1.0},
    }
    rates = rates_of(slices)
    weights, logs = np.array([2.0, 4.0, 1.0]), np.array([0.0, 0.0, np.log(2)])
    design = np.array([[1.0, 0.0], [-1.0, 1.0], [0.0, 1.0]])  # of ln(a/b) and ln(a/c)
    root = np.sqrt(weights)[:, None]
    expected = np.linalg.lstsq(root * design, root[:, 0] * logs, rcond=None)[0]
    found = np.log([rates["a"] / rates["b"], rates["a"] / rates["c"]])
    assert found == pytest.approx(expected)


@given(
    st.lists(
        st.dictionaries(st.integers(0, 6), st.floats(1.0, 1e6), min_size=1),
        min_size=1,
        max_size=5,
    ),
    st.floats(1e-3, 1e3),
)
def test_rates_scale_with_the_unit_and_ignore_the_order_of_contenders(tables, unit):
    slices = {str(place): table for place, table in enumerate(tables)}
    rates = rates_of(slices)
    scaled = {
        name: {number: unit * rate for number, rate in table.items()}
        for name, table in reversed(slices.items())
    }
    expected = {name: unit * rate for name, rate in rates.items()}
    assert rates_of(scaled) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_a_rate_that_is_not_a_positive_number_is_rejected(rate):
    with pytest.raises(SampleError, match="expected positive numbers"):
        rates_of({"a": {0: 1.0}, "b": {0: rate}})


# Looks


def test_the_levels_of_all_looks_add_up_to_the_significance():
    assert level(1, is_last=True) == pytest.approx(0.05)
    assert [level(look, is_last=False) for look in (1, 2, 3)] == pytest.approx(
        [0.05 / 8, 0.05 / 16, 0.05 / 32]
    )
    for last in range(1, 12):
        early = sum(level(look, is_last=False) for look in range(1, last))
        assert early + level(last, is_last=True) == pytest.approx(0.05)
        assert level(last, is_last=True) >= 0.75 * 0.05
