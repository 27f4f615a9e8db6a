"""Cohorts of contenders that fit into memory together."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from bench.run.cohorts import cohorts

NEEDS = st.lists(st.one_of(st.none(), st.integers(0, 100)), min_size=1, max_size=12)


def sizes_of(needs):
    largest = max((need for need in needs if need is not None), default=0)
    return [largest if need is None else need for need in needs]


def anchors_of(found):
    """The contenders that every cohort of several contains."""
    shared = [set(cohort) for cohort in found if len(cohort) > 1]
    return set.intersection(*shared) if shared else set()


def test_contenders_that_fit_together_are_one_cohort():
    assert cohorts([3, 2, 5], 10, seed=0, repeat=1) == [[0, 1, 2]]


def test_unknown_memory_makes_one_cohort():
    assert cohorts([3, 2, 5], None, seed=0, repeat=1) == [[0, 1, 2]]
    assert cohorts([None, None], 1, seed=0, repeat=1) == [[0, 1]]


def test_no_contender_makes_no_cohort():
    assert cohorts([], 10, seed=0, repeat=1) == []


def test_an_unknown_need_counts_as_the_largest_known_one():
    found = cohorts([4, None, 4], 8, seed=0, repeat=1)
    assert sorted(map(len, found)) == [2, 2]


@given(NEEDS, st.integers(0, 300), st.integers(0, 5), st.integers(1, 5))
def test_every_cohort_fits_and_shares_the_anchor(needs, available, seed, repeat):
    sizes, found = sizes_of(needs), cohorts(needs, available, seed, repeat)
    everyone = [each for cohort in found for each in cohort]
    assert set(everyone) == set(range(len(needs)))
    assert all(cohort == sorted(set(cohort)) for cohort in found)
    assert all(
        sum(sizes[each] for each in cohort) <= available for cohort in found if len(cohort) > 1
    )
    repeated = {each for each in everyone if everyone.count(each) > 1}
    assert len(repeated) <= 1, "only the anchor is in several cohorts"
    assert repeated <= anchors_of(found)
    if anchors := anchors_of(found):
        for (alone,) in (cohort for cohort in found if len(cohort) == 1):
            fitting = [each for each in anchors if sizes[each] + sizes[alone] <= available]
            assert len(fitting) < len(anchors), "it does not fit with the anchor"
    else:
        assert all(len(cohort) == 1 for cohort in found)
        assert all(one + other > available for one, other in combinations(sizes, 2))


@given(NEEDS, st.integers(0, 300), st.integers(0, 5), st.integers(1, 5))
def test_the_split_follows_from_seed_and_repeat(needs, available, seed, repeat):
    assert cohorts(needs, available, seed, repeat) == cohorts(needs, available, seed, repeat)


@given(st.lists(st.integers(1, 50), min_size=2, max_size=12), st.integers(100, 300))
def test_there_are_at_most_twice_as_many_cohorts_as_the_sum_requires(needs, available):
    """All but one group of first-fit decreasing are more than half full on average."""
    found = cohorts(needs, available, seed=0, repeat=1)
    room = available - max(needs)
    assert len(found) <= 2 * sum(needs) / room + 1


def test_over_the_repeats_the_anchor_changes_and_all_pairs_meet():
    needs = [4, 3, 3, 3, 4, 3]
    drawn = [cohorts(needs, 11, seed=7, repeat=repeat) for repeat in range(1, 41)]
    assert {len(found) for found in drawn} == {3}
    anchors = [anchors_of(found) for found in drawn]
    assert set.union(*anchors) == set(range(6))
    met = {pair for found in drawn for cohort in found for pair in combinations(cohort, 2)}
    assert met == set(combinations(range(6), 2))


def test_the_anchor_is_one_that_needs_the_fewest_cohorts():
    drawn = [cohorts([9, 2, 2, 2, 7], 10, seed=0, repeat=repeat) for repeat in range(1, 21)]
    for found in drawn:
        assert [0] in found, "it fits with nobody"
        assert len(found) == 3, "7 would need four, for it leaves room for one other"
    assert set.union(*map(anchors_of, drawn)) == {1, 2, 3}


def test_the_anchor_is_one_that_leaves_the_fewest_others_alone():
    drawn = [cohorts([1, 2, 3, 8], 9, seed=0, repeat=repeat) for repeat in range(1, 11)]
    assert all(sorted(found) == [[0, 1, 2], [0, 3]] for found in drawn)
