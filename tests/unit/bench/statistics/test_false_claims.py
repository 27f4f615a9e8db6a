"""How often verdicts are false, with noise resampled from recorded slices.

Seeds are fixed; docs/results/statistics.md has the figures of more runs.
"""

import numpy as np
import pytest
from support.claims import after, claims, decided_by_separate_variances, greedily, within
from support.recorded import DISTURBANCES, RECORDINGS, recording, simulate

from bench.statistics.families import Sample, compare_all

NOISES = [*((name, "nothing") for name in RECORDINGS), ("mlp", "bursts")]


def simulated(contenders, repeats, name="mlp", disturbance="nothing", runs=200):
    return simulate(name, DISTURBANCES[disturbance], contenders, repeats, rounds=8, runs=runs)


@pytest.mark.parametrize(("contenders", "repeats"), [(2, 4), (3, 3), (10, 3)])
def test_few_runs_of_equal_contenders_contain_a_false_claim(contenders, repeats):
    # A true 5 % of all four times 200 runs shows as at most 6.3 % in 19 of 20 cases.
    logs = np.concatenate([simulated(contenders, repeats, *noise).logs for noise in NOISES])
    assert claims(logs, np.ones(contenders), after(repeats)).false <= 0.07


def test_shrunk_variances_decide_most_pairs_after_three_repeats():
    made = simulated(10, 3, runs=60)
    speeds = recording("mlp").rates[made.noise_of]
    found = claims(made.logs, speeds, after(3))
    assert found.decided > 38  # of 45
    assert found.false <= 0.07
    assert decided_by_separate_variances(made.logs, speeds, 3) < 28


def test_a_contender_with_two_speeds_costs_the_others_few_decisions():
    speeds = np.geomspace(1, 3, 9)
    made = simulated(9, 3, runs=60)
    modes = np.log(68 / 48) * (np.arange(60 * 3).reshape(60, 3) % 2 - 0.5)

    def decided(logs):
        """Return the mean number of decided pairs of the first nine contenders."""
        families = [
            compare_all([Sample("run", dict(enumerate(column))) for column in np.exp(own).T])
            for own in logs
        ]
        pairs = [(one, other) for one in range(9) for other in range(one)]
        return np.mean(
            [sum(family.verdict(*pair) != "undecided" for pair in pairs) for family in families]
        )

    alone = made.logs + np.log(speeds)
    together = np.concatenate([alone, modes[:, :, None]], axis=2)
    assert decided(together) > 0.9 * decided(alone)


def test_looks_after_each_repeat_do_not_add_false_claims():
    made = simulated(2, 6)
    equal = np.ones(2)
    assert claims(made.logs, equal, within(6)).false <= 0.07
    assert claims(made.logs, equal, greedily(6)).false > 0.1


def test_looks_after_each_repeat_save_trials_of_contenders_that_are_decided():
    made = simulated(3, 6, runs=100)
    speeds = np.array([1.0, 1.5, 3.0])
    early, late = (claims(made.logs, speeds, analysis) for analysis in (within(6), after(6)))
    assert early.trials < 0.8 * late.trials
    assert early.decided > 0.97 * late.decided
