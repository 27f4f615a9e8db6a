"""Each backend that `evenbench[all]` does not install, in its real environment."""

import re

import pytest

from backends.registry import recipes
from bench.machine.environments.creation import missing_system_packages
from bench.machine.environments.store import blueprint

BESIDE = ("flax", "mlx", "paddle")  # could share an environment with the others
OWN = [recipe for recipe in recipes().values() if recipe.isolated or recipe.name in BESIDE]
# Theano compiles C++ for every session of a certificate; the network of all layers has ten.
SECONDS = 3600
MODELS = "mlp,linear_mlp,lenet5,cnn"
# No layers of windows: its users serve statistics.
LACKING = {"pytensor": ("lenet5", "cnn")}


@pytest.mark.parametrize("recipe", OWN, ids=lambda recipe: recipe.name)
def test_a_backend_in_its_own_environment_passes_its_certificate_and_trains(
    recipe, bench, tmp_path, records
):
    missing = missing_system_packages(blueprint(recipe).system_packages)
    if missing:
        pytest.skip(f"not on this machine: {', '.join(missing)}")
    made = bench.run("env", "create", recipe.name)
    assert made.returncode == 0, made.stderr
    models = ["--models", MODELS]
    verified = bench.run("verify", "--backends", recipe.name, *models, timeout=SECONDS)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    for model in MODELS.split(","):
        word = "unsupported" if model in LACKING.get(recipe.name, ()) else "pass"
        assert re.search(rf"\b{model} .*{word} *$", verified.stdout, re.MULTILINE), verified.stdout
    out = tmp_path / "out"
    few = ["--models", "mlp", "--epochs", "2", "--repeats", "1", "--train-samples", "20000"]
    options = [*few, "--output", str(out)]
    done = bench.run("run", "--backends", recipe.name, *options, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    record = records(out)[recipe.name]
    assert record["equivalence"] == "passed"
    assert record["test_accuracy"] > 0.9
