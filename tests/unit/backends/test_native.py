"""The native arm: a framework's defaults replace the spec's values, and nothing else changes."""

import numpy as np

from backends.native import Defaults, native_start
from bench.spec.layers import BatchNorm, Conv, Dense, Flatten, add, sequential
from bench.spec.parameters import weight_specs
from bench.spec.shapes import resolve
from bench.spec.training import Adam, Sgd
from bench.spec.weights import initial_weights

MODEL = resolve(
    sequential(Conv(2, 3), add(BatchNorm(), BatchNorm(0.5)), Flatten(), Dense(3, bias=False)),
    (4, 4, 1),
)


def ones(node):
    return {
        name.rpartition("/")[2]: np.ones(spec.shape, np.float32)
        for name, spec in weight_specs(node).items()
    }


DEFAULTS = Defaults(0.99, 1e-3, 1e-7, ones, {"bias": "ones"})


def start(optimizer=Sgd()):  # noqa: B008 - a frozen value
    return native_start(MODEL, optimizer, initial_weights(MODEL, 0), DEFAULTS)


def test_every_batch_normalisation_has_the_frameworks_defaults():
    found = [node.layer for node in start().model.walk() if isinstance(node.layer, BatchNorm)]
    assert found == [BatchNorm(0.99, 1e-3)] * 2


def test_only_kernels_and_biases_have_the_frameworks_initial_values():
    weights, spec = start().weights, initial_weights(MODEL, 0)
    assert weights.keys() == spec.keys()
    drawn = {"0.conv/kernel", "0.conv/bias", "3.dense/kernel"}
    for name, value in weights.items():
        expected = np.ones_like(value) if name in drawn else spec[name]
        np.testing.assert_array_equal(value, expected, err_msg=name)


def test_adam_has_the_frameworks_epsilon_and_sgd_is_unchanged():
    assert start(Adam(learning_rate=0.5)).optimizer == Adam(learning_rate=0.5, epsilon=1e-7)
    assert start(Sgd(momentum=0.5)).optimizer == Sgd(momentum=0.5)


def test_the_defaults_in_use_are_reported():
    assert start().settings == {
        "batch norm momentum": "0.99",
        "batch norm epsilon": "0.001",
        "Adam epsilon": "1e-07",
        "bias": "ones",
    }
