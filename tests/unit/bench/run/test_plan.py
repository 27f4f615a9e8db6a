"""The plan: which jobs are compared, and the order of their trials."""

from collections import Counter

import pytest
from msgspec.structs import replace

from backends.api import Recipe
from bench.errors import ChoiceError, check_known, split_list
from bench.run.plan import Matrix, check_devices, choose_devices, choose_modes, fits, trials
from bench.spec.job import Job, Trial


def recipe(name, modes, default_modes):
    return Recipe(name, name, (name,), modes, default_modes, "module:Class")


ALPHA = recipe("alpha", ("eager", "graph", "xla"), ("graph", "xla"))
BETA = recipe("beta", ("eager", "scan"), ("eager", "scan"))


def test_a_list_keeps_its_order_and_drops_duplicates():
    assert split_list(" b, a,,b ") == ["b", "a"]
    assert split_list("a[X=1,Y=2],b,c[Z=3,4]") == ["a[X=1,Y=2]", "b", "c[Z=3,4]"]


@pytest.mark.parametrize(
    ("received", "expected"),
    [
        (["default"], {"alpha": ("graph", "xla"), "beta": ("eager", "scan")}),
        (["all"], {"alpha": ("eager", "graph", "xla"), "beta": ("eager", "scan")}),
        (["eager", "scan"], {"alpha": ("eager",), "beta": ("eager", "scan")}),
        (["xla"], {"alpha": ("xla",), "beta": ()}),
    ],
)
def test_each_backend_gets_the_requested_modes_that_it_supports(received, expected):
    assert choose_modes([ALPHA, BETA], received) == expected


def test_an_unknown_name_is_reported_with_the_valid_names_and_the_closest_one():
    with pytest.raises(ChoiceError, match=r"'grpah'.*eager, graph, xla, scan.*mean graph\?"):
        choose_modes([ALPHA, BETA], ["grpah"])
    with pytest.raises(ChoiceError, match="received no backend"):
        check_known([], ["alpha"], "backend")


@pytest.mark.parametrize(
    ("received", "seen", "expected"),
    [
        (["auto"], ["gpu:0", "gpu:1", "cpu"], ["gpu:0"]),
        (["auto"], ["cpu"], ["cpu"]),
        (["all"], ["gpu:0", "gpu:1", "cpu"], ["gpu:0", "gpu:1", "cpu"]),
        (["gpu"], ["cpu"], ["gpu:0"]),
        (["gpu:1", "cpu", "cpu"], ["cpu"], ["gpu:1", "cpu"]),
        (["auto", "cpu"], ["cpu"], ["cpu"]),
    ],
)
def test_requested_devices_are_resolved_to_visible_devices(received, seen, expected):
    check_devices(received)
    assert choose_devices(received, seen) == expected


@pytest.mark.parametrize("received", [[], ["tpu"], ["gpu:"], ["gpu:x"], ["cpu:0"]])
def test_an_invalid_device_is_rejected(received):
    with pytest.raises(ChoiceError, match="gpu:1"):
        check_devices(received)


def test_jobs_are_the_product_of_all_options():
    planned = Matrix(
        models=["mlp", "cnn"],
        batch_sizes=[32, 64],
        modes={"alpha": ("xla",), "beta": ("eager", "scan")},
        devices={"alpha": ["cpu"], "beta": ["gpu:0", "cpu"]},
    ).jobs()
    assert len(planned) == len(set(planned)) == 2 * 2 * (1 + 2 * 2)
    assert Job("cnn", 32, "beta", "scan", "gpu:0") in planned


def test_each_repeat_runs_every_job_once_with_one_seed():
    planned = [Job("mlp", 64, f"backend{index}", "eager", "cpu") for index in range(10)]
    ordered = trials(planned, repeats=3, seed=7)
    blocks = [ordered[start : start + 10] for start in (0, 10, 20)]
    for repeat, block in enumerate(blocks, start=1):
        assert Counter(trial.job for trial in block) == Counter(planned)
        assert {(trial.repeat, trial.seed) for trial in block} == {(repeat, 6 + repeat)}
    orders = {tuple(trial.job.backend for trial in block) for block in blocks}
    assert len(orders) == 3, "each block has an order of its own"
    assert ordered == trials(planned, repeats=3, seed=7)
    assert ordered != trials(planned, repeats=3, seed=8)


SMALL = Matrix(models=["mlp"], batch_sizes=[64], modes={"a": ["x"]}, devices={"a": ["cpu"]})


def test_a_trial_name_omits_default_options():
    (usual,) = SMALL.jobs()
    assert Trial(usual, 0, 1).name == "mlp-b64-a-x-cpu-r1"
    (other,) = replace(
        SMALL,
        arms=["native"],
        precisions=["tf32"],
        inputs=["pipeline"],
        threads=[2],
        world_sizes=[4],
    ).jobs()
    assert Trial(other, 0, 2).name == "mlp-b64-a-x-cpu-native-tf32-pipeline-threads2-world4-r2"


def test_each_set_of_environment_variables_is_a_contender_in_the_same_ranking():
    environments = {"a": [(), ("A=1", "B=x,y")]}
    plain, changed = replace(SMALL, environments=environments).jobs()
    assert plain.compared_with() == changed.compared_with()
    assert plain.certified() != changed.certified()
    assert Trial(changed, 0, 1).name == "mlp-b64-a[A=1,B=x,y]-x-cpu-r1"


def test_trial_names_are_unique():
    planned = Matrix(
        models=["mlp"],
        batch_sizes=[32, 64],
        modes={"a": ("x", "y")},
        devices={"a": ["cpu", "gpu:0"]},
        arms=["controlled", "native"],
        precisions=["float32", "bfloat16"],
        inputs=["resident", "pipeline"],
        threads=[1, 2],
        world_sizes=[1, 2],
    ).jobs()
    names = [trial.name for trial in trials(planned, 2, 0)]
    assert len(names) == len(set(names)) == 2 * 64 * 4


def test_weak_scaling_multiplies_the_batch_size_by_the_world_size():
    swept = replace(SMALL, world_sizes=[1, 2], scalings=["strong", "weak"])
    sizes = [(job.world_size, job.batch_size) for job in swept.jobs()]
    assert sizes == [(1, 64), (2, 64), (2, 128)]


def test_a_selector_matches_jobs_that_match_all_its_values():
    one, other = replace(SMALL, threads=[None, 2]).jobs()
    assert fits(one, {}, 1)
    assert fits(one, {"backend": "a", "batch_size": [32, 64]}, 1)
    assert not fits(one, {"backend": "a", "batch_size": 32}, 1)
    assert fits(one, {"threads": 1}, 1)
    assert not fits(other, {"threads": 1}, 1)
