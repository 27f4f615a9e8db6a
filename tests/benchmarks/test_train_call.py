"""The time of one train call, per backend and mode.

`tox -e benchmarks`; `--benchmark-json FILE` keeps the figures for `pytest-benchmark compare`.
"""

import importlib

import numpy as np
import pytest

from backends.api import Workload
from backends.registry import installed_version, recipes
from bench.spec.models import build
from bench.spec.shapes import resolve
from bench.spec.training import Sgd, TrainSpec, epoch_batches, learning_rates
from bench.spec.weights import initial_weights

CONTENDERS = [
    (recipe.name, mode)
    for recipe in recipes().values()
    if installed_version(recipe)
    for mode in recipe.default_modes
]
STEPS = {"mlp": 200, "cnn": 10}
TRAIN = TrainSpec(optimizer=Sgd())


@pytest.fixture(scope="module")
def examples():
    random = np.random.default_rng(0)
    images = random.uniform(-1, 1, (20_000, 28, 28, 1)).astype(np.float32)
    return images, random.integers(0, 10, len(images)).astype(np.int32)


def batches_of(model):
    return epoch_batches(20_000, TRAIN, 0)[: STEPS[model]]


@pytest.mark.parametrize("model", STEPS)
@pytest.mark.parametrize(("name", "mode"), CONTENDERS)
def test_train_call(benchmark, examples, name, mode, model):
    module, adapter = recipes()[name].adapter.split(":")
    backend = getattr(importlib.import_module(module), adapter)(2)
    resolved = resolve(build(model), (28, 28, 1))
    session = backend.session(
        Workload(
            resolved,
            TRAIN.optimizer,
            initial_weights(resolved, 0),
            *examples,
            backend.devices()[-1],
            mode,
        )
    )
    batches = batches_of(model)
    session.compile(*batches.shape)
    rates = learning_rates(TRAIN, len(batches))
    losses = benchmark.pedantic(session.train, (batches, rates), rounds=5, warmup_rounds=1)
    assert np.all(np.isfinite(losses))
    benchmark.extra_info["images"] = batches.size
