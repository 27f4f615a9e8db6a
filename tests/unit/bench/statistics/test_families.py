"""All pairs of a family: verdicts, intervals, order and ranks."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.statistics.blocks import fit
from bench.statistics.families import Sample, compare_all, holm
from bench.statistics.planning import repeats_to_decide
from bench.statistics.ratios import independent_ratio, paired_ratio
from bench.statistics.samples import SampleError

FAST, ALIKE, SLOW = (300.0, 303, 299, 302), (299.0, 305, 300, 298), (100.0, 101, 99, 100)


def of(*values, run="run", first=1):
    return Sample(run, dict(enumerate(values, first)))


def noisy(*spreads, repeats, seed=0):
    """Contenders of equal speed that vary by so much, each exactly, and independently."""
    random = np.random.default_rng(seed)
    raw = random.standard_normal((repeats, len(spreads) + 1))
    columns = np.linalg.qr(raw - raw.mean(axis=0))[0][:, : len(spreads)] * math.sqrt(repeats - 1)
    return [of(*np.exp(column * spread)) for column, spread in zip(columns.T, spreads, strict=True)]


def same(one, other):
    assert one.ranks == other.ranks
    assert one.estimates == pytest.approx(other.estimates)
    assert one.p_values == pytest.approx(other.p_values, rel=1e-6)
    assert one.freedoms == pytest.approx(other.freedoms)
    for pair, ratio in one.ratios.items():
        assert ratio == pytest.approx(other.ratio(*pair), nan_ok=True)


# Verdicts and ranks


def test_contenders_that_do_not_differ_significantly_share_a_range_of_ranks():
    family = compare_all([of(*SLOW), of(*FAST), of(*ALIKE)])
    assert family.ranks == ((3, 3), (1, 2), (1, 2))
    assert family.order == [1, 2, 0]
    assert (family.verdict(1, 2), family.verdict(2, 1)) == ("same", "same")
    assert (family.verdict(1, 0), family.verdict(0, 1)) == ("faster", "slower")
    assert family.ratio(1, 0).estimate == pytest.approx(3, rel=0.02)
    assert family.ratio(0, 1).estimate == pytest.approx(1 / 3, rel=0.02)


def test_a_rank_counts_only_contenders_that_are_shown_to_differ():
    # The middle one differs significantly from neither; the first and last differ.
    first, middle, last = of(110, 111, 109, 110), of(150, 75, 120, 90), of(100, 101, 99, 100)
    family = compare_all([first, middle, last])
    assert family.ranks == ((1, 2), (1, 3), (2, 3))
    assert family.verdict(0, 1) == "undecided"


def test_contenders_are_the_same_within_the_margin_only():
    family = compare_all([of(*FAST), of(*ALIKE)])
    reach = max(family.ratio(0, 1).high, 1 / family.ratio(0, 1).low) - 1
    assert compare_all([of(*FAST), of(*ALIKE)], margin=reach * 1.01).verdict(0, 1) == "same"
    assert compare_all([of(*FAST), of(*ALIKE)], margin=reach * 0.99).verdict(0, 1) == "undecided"


def test_a_stricter_level_widens_the_intervals_and_claims_less():
    samples = [of(110, 113, 106), of(100, 101, 99)]
    usual, strict = compare_all(samples), compare_all(samples, significance=0.05 / 8)
    assert (usual.verdict(0, 1), strict.verdict(0, 1)) == ("faster", "undecided")
    assert strict.ratio(0, 1).low < 1 < usual.ratio(0, 1).low
    assert strict.ratio(0, 1).high > usual.ratio(0, 1).high


def test_a_single_trial_has_no_rank_and_costs_the_others_nothing():
    two = [of(300, 303, 299), of(100, 101, 99)]
    family = compare_all([*two, of(900)])
    assert family.ranks == ((1, 2), (2, 3), None)
    assert family.order == [0, 1, 2]
    assert family.p_values == compare_all(two).p_values
    assert family.verdict(0, 2) == "undecided"
    assert family.repeats_needed(0, 2) is None
    assert compare_all([of(200)]).ranks == ((1, 1),)
    assert compare_all([]).ranks == ()


def test_a_contender_without_values_is_rejected():
    with pytest.raises(SampleError, match="expected positive numbers"):
        compare_all([of(*FAST), of()])


tables = st.lists(
    st.dictionaries(st.integers(1, 4), st.floats(90, 130), min_size=1), min_size=1, max_size=5
)


@given(tables, st.lists(st.booleans(), min_size=5, max_size=5), st.sampled_from([0.05, 0.01]))
def test_order_ratios_intervals_verdicts_and_ranks_never_contradict_each_other(
    blocks, is_elsewhere, significance
):
    samples = [
        Sample("ab"[elsewhere], own) for own, elsewhere in zip(blocks, is_elsewhere, strict=False)
    ]
    family = compare_all(samples, significance=significance)
    for first, second in combinations(range(len(samples)), 2):
        ratio = family.ratio(first, second)
        quotient = family.estimates[first] / family.estimates[second]
        assert ratio.estimate == pytest.approx(quotient)
        assert ratio.low <= ratio.estimate * (1 + 1e-9)
        assert ratio.estimate <= ratio.high * (1 + 1e-9)
        match family.verdict(first, second):
            case "faster":
                assert ratio.low >= 1
            case "slower":
                assert ratio.high <= 1
            case "same":
                assert 1 / 1.05 <= ratio.low <= 1 <= ratio.high <= 1.05
            case "undecided":
                assert ratio.low <= 1 + 1e-9
                assert ratio.high >= 1 - 1e-9
    for position, place in enumerate(family.order, 1):
        ranks = family.ranks[place]
        assert ranks is None or ranks.low <= position <= ranks.high


@given(tables, st.randoms(use_true_random=False))
def test_a_family_in_another_order_is_the_family_of_the_samples_in_that_order(blocks, random):
    samples = [Sample("run", own) for own in blocks]
    order = list(range(len(samples)))
    random.shuffle(order)
    same(compare_all([samples[place] for place in order]), compare_all(samples).reordered(order))


# Variances


def test_two_contenders_of_the_same_blocks_have_students_paired_t():
    family, expected = compare_all([of(*FAST), of(*ALIKE)]), paired_ratio(FAST, ALIKE)
    assert family.ratio(0, 1) == pytest.approx(expected)
    assert family.p_values[0, 1] == pytest.approx(expected.p_value)


def test_blocks_of_one_contender_only_change_nothing_for_two():
    longer = Sample("run", {**of(*FAST).blocks, 8: 500.0, 9: 1.0})
    assert compare_all([longer, of(*ALIKE)]).ratio(0, 1) == pytest.approx(paired_ratio(FAST, ALIKE))


def test_variances_are_pulled_up_towards_the_common_one_and_never_down():
    spreads = np.array([0.01, 0.02, 0.02, 0.02, 0.04])
    logs = np.array([np.log([*each.blocks.values()]) for each in noisy(*spreads, repeats=8)])
    variances = fit(logs).variances
    own = spreads**2
    assert variances[0] > 1.5 * own[0]
    assert variances[4] >= 0.9 * own[4]
    assert np.all(np.diff(variances[[0, 1, 4]]) > 0)


def test_a_contender_with_two_speeds_hardly_widens_the_intervals_of_the_others():
    quiet = noisy(*[0.02] * 6, repeats=6)
    two_speeds = of(48_000, 68_000, 68_000, 48_000, 48_000, 68_000)
    alone, together = compare_all(quiet), compare_all([*quiet, two_speeds])
    pairs = list(combinations(range(6), 2))

    def mean_spread(family):
        return np.mean([family.ratio(*pair).spread for pair in pairs])

    assert mean_spread(together) < 1.35 * mean_spread(alone)
    assert together.ratio(0, 6).spread > 0.15


def test_shared_drift_changes_nothing():
    samples = noisy(0.01, 0.02, 0.03, 0.02, repeats=4)
    drift = {1: 1.0, 2: 0.5, 3: 0.8, 4: 1.3}
    drifted = [
        Sample("run", {block: value * drift[block] for block, value in sample.blocks.items()})
        for sample in samples
    ]
    one, other = compare_all(samples), compare_all(drifted)
    for pair, ratio in one.ratios.items():
        assert ratio[:5] == pytest.approx(other.ratios[pair][:5])


def test_contenders_that_are_left_out_of_later_blocks_are_compared_at_the_same_level():
    # The third block is half as fast, and the first contender is left out of it.
    first, second, third = of(200, 202), of(100, 101, 50), of(150, 150, 75)
    family = compare_all([first, second, third])
    assert family.ratio(0, 1).estimate == pytest.approx(2, rel=0.01)
    assert family.ratio(0, 1).trials == 2
    assert family.order == [0, 2, 1]


def test_equal_values_differ_by_the_resolution_at_least():
    family = compare_all([of(2, 2, 2), of(1, 1, 1), of(1, 1, 1)])
    assert family.ranks == ((1, 1), (2, 3), (2, 3))
    assert all(p_value > 0 for p_value in family.p_values.values())
    assert family.verdict(1, 2) == "same"


# Without shared blocks


def test_contenders_of_different_runs_are_independent_samples():
    family = compare_all([of(*FAST), of(*ALIKE, run="another")])
    expected = independent_ratio(FAST, ALIKE)
    assert family.ratio(0, 1) == pytest.approx(expected)
    disjoint = compare_all([of(*FAST), of(*ALIKE, first=9)])
    assert disjoint.ratio(0, 1) == pytest.approx(expected)


def test_a_chain_of_shared_blocks_connects_contenders():
    # First and last share no block, but both share two with the anchor; blocks 3 and 4 are slow.
    anchor = Sample("run", {1: 100.0, 2: 101.0, 3: 50.0, 4: 50.5})
    first, last = Sample("run", {1: 200.0, 2: 202.5}), Sample("run", {3: 150.0, 4: 151.0})
    ratio = compare_all([first, anchor, last]).ratio(0, 2)
    assert ratio.estimate == pytest.approx(2 / 3, rel=0.01)
    assert ratio.is_known
    assert ratio.trials == 2


# Repeats needed


def test_the_repeats_needed_decide_the_pair():
    samples = noisy(0.02, 0.02, 0.02, repeats=3)
    faster = [Sample("run", {b: 1.06 * v for b, v in samples[0].blocks.items()}), *samples[1:]]
    needed = compare_all(faster).repeats_needed(0, 1)
    assert needed is not None
    # Of the same three blocks again and again, so many leave no doubt.
    many = [
        Sample("run", {k: sample.blocks[1 + k % 3] for k in range(needed + needed % 3)})
        for sample in faster
    ]
    assert compare_all(many).verdict(0, 1) == "faster"


def test_a_ratio_at_half_the_margin_needs_most_repeats():
    needed = [repeats_to_decide(math.log(ratio), 0.03) for ratio in (1, 1.0247, 1.1)]
    assert needed[1] == max(needed)
    assert repeats_to_decide(0.1, 0.0) == 2
    assert repeats_to_decide(math.log(1.0247), 10.0) is None
    # More contenders know the spread better, but the correction for their pairs costs more.
    assert repeats_to_decide(0.1, 0.05, freedom=5) < repeats_to_decide(0.1, 0.05)
    assert repeats_to_decide(0.1, 0.05, comparisons=45) > repeats_to_decide(0.1, 0.05)


# Holm


def test_holm_steps_down():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []


def test_an_interval_of_a_pair_that_only_a_later_step_shows_to_differ_ends_at_1():
    # The last pair is significant at 5 %, but not at a third of it.
    family = compare_all([of(*FAST), of(100, 101, 99, 100), of(101.3, 102.1, 101.8, 100.7)])
    assert [family.verdict(*pair) for pair in ((0, 1), (0, 2), (2, 1))] == ["faster"] * 3
    assert 0.05 / 3 < family.p_values[1, 2] < 0.05
    assert family.ratio(2, 1).low == 1
