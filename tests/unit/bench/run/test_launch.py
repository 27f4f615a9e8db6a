"""The environment variables of a worker, and those of the user's shell that do not reach it."""

import pytest

from backends.registry import recipes
from bench.errors import ChoiceError
from bench.run.launch import (
    job_environment,
    launch_of_job,
    notes_on_variables,
    worker_environment,
)
from bench.spec.job import Job


def test_compiler_variables_reach_the_worker_and_its_record(monkeypatch, tmp_path):
    monkeypatch.setenv("CC", "clang-99")
    monkeypatch.setenv("CXX", "clang++-99")
    variables = worker_environment({}, 1, tmp_path)
    assert (variables["CC"], variables["CXX"]) == ("clang-99", "clang++-99")


def test_a_note_names_performance_variables_that_workers_do_not_inherit(monkeypatch, tmp_path):
    shell = {"XLA_FLAGS": "--xla_cpu_use_xnnpack=true", "LD_PRELOAD": "libjemalloc.so", "CC": "gcc"}
    (note,) = notes_on_variables(shell)
    assert "LD_PRELOAD, XLA_FLAGS" in note
    assert "CC" not in note
    for name, value in shell.items():
        monkeypatch.setenv(name, value)
    assert not {"XLA_FLAGS", "LD_PRELOAD"} & worker_environment({}, 1, tmp_path).keys()


def test_there_is_no_note_without_performance_variables():
    assert notes_on_variables({"PATH": "/bin", "HOME": "/root"}) == []


def test_variables_of_a_contender_override_common_variables_in_its_worker(tmp_path):
    environment = job_environment({"B": "shared", "A": "1"}, ["B=own=2"])
    assert environment == ("A=1", "B=own=2")
    job = Job("mlp", 64, "numpy", "eager", "cpu", environment=environment)
    launch = launch_of_job(recipes()["numpy"], job, {"B": "recipe"})
    variables = worker_environment(launch.variables, 1, tmp_path)
    assert (variables["A"], variables["B"]) == ("1", "own=2")


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("OMP_NUM_THREADS", "use --threads"),
        ("PYTHONPATH", "the suite sets it for all"),
        ("TMPDIR", "the suite sets it for all"),
    ],
)
def test_variables_set_by_the_suite_cannot_be_set_per_contender(name, advice):
    with pytest.raises(ChoiceError, match=f"{name} cannot be set per contender: {advice}"):
        job_environment({}, [f"{name}=1"])


@pytest.mark.parametrize("name", ["", "A B", "1A", "A=B"])
def test_an_invalid_variable_name_is_rejected(name):
    with pytest.raises(ChoiceError, match="is no name of an environment variable"):
        job_environment({name: "1"}, [])
