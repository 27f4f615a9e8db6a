"""The real command on real MNIST with the four backends: training and report.

Keras, which TensorFlow brings along, is left to `tox -e keras`: the test command has its time.
"""

import json
import os

import pytest

from backends.registry import installed_version, recipes

FOUR = ("numpy", "torch", "tensorflow", "jax")
INSTALLED = [recipes()[name] for name in FOUR if installed_version(recipes()[name])]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    import subprocess
    import sys

    output = tmp_path_factory.mktemp("run") / "out"
    # An empty cache, because `all` also includes environments that were created on this machine.
    empty = {**os.environ, "EVENBENCH_CACHE": str(tmp_path_factory.mktemp("cache"))}
    names = ",".join(recipe.name for recipe in INSTALLED)
    command = [sys.executable, "-m", "bench", "run", "--backends", names, "--repeats", "1"]
    command += ["--epochs", "2", "--rounds", "3", "--train-samples", "30000"]
    done = subprocess.run(
        [*command, "--output", str(output)],
        capture_output=True,
        text=True,
        timeout=900,
        env=empty,
    )
    return done, output


def test_the_run_succeeds(run):
    done, _ = run
    assert done.returncode == 0, done.stderr


def test_every_backend_and_default_mode_learns(run):
    _, output = run
    trials = [json.loads(line) for line in (output / "trials.jsonl").read_text().splitlines()]
    measured = {(trial["job"]["backend"], trial["job"]["mode"]): trial for trial in trials}
    expected = {(recipe.name, mode) for recipe in INSTALLED for mode in recipe.default_modes}
    assert set(measured) == expected
    for trial in trials:
        assert trial["outcome"] == "ok", trial["reason"]
        assert trial["equivalence"] == "passed", trial
        assert trial["test_accuracy"] > 0.9, trial
        assert trial["num_parameters"] == 109_386


def test_all_contenders_reach_the_same_accuracy(run):
    """With the same weights and batches only rounding differs, which training amplifies."""
    _, output = run
    lines = (output / "trials.jsonl").read_text().splitlines()
    accuracies = [json.loads(line)["test_accuracy"] for line in lines]
    assert max(accuracies) - min(accuracies) < 0.02


def test_the_report_names_every_contender(run):
    done, output = run
    report = (output / "report.md").read_text()
    for recipe in INSTALLED:
        for mode in recipe.default_modes:
            assert recipe.name in report
            assert mode in done.stdout
