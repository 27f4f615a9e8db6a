"""The spec of training: weights and their first values, the order of examples, optimizers."""

import msgspec
import numpy as np
import pytest

from bench.spec.layers import (
    BatchNorm,
    Conv,
    Dense,
    DepthwiseConv,
    Flatten,
    add,
    sequential,
)
from bench.spec.parameters import weight_specs
from bench.spec.shapes import resolve
from bench.spec.training import Adam, Sgd, TrainSpec, epoch_batches, learning_rates, scale_pixels
from bench.spec.weights import initial_weights

MAP = (28, 28, 6)


def test_weights_have_the_specified_addresses_layout_and_order():
    block = add(Conv(4, 3, groups=2), sequential(DepthwiseConv(3), BatchNorm(), Conv(4, 1)))
    specs = weight_specs(resolve(sequential(block, Flatten(), Dense(2)), MAP))
    assert [(name, spec.shape, spec.trainable) for name, spec in specs.items()] == [
        ("0.add/0.conv/kernel", (3, 3, 3, 4), True),
        ("0.add/0.conv/bias", (4,), True),
        ("0.add/1.sequential/0.depthwise_conv/kernel", (3, 3, 1, 6), True),
        ("0.add/1.sequential/0.depthwise_conv/bias", (6,), True),
        ("0.add/1.sequential/1.batch_norm/scale", (6,), True),
        ("0.add/1.sequential/1.batch_norm/shift", (6,), True),
        ("0.add/1.sequential/1.batch_norm/mean", (6,), False),
        ("0.add/1.sequential/1.batch_norm/variance", (6,), False),
        ("0.add/1.sequential/2.conv/kernel", (1, 1, 6, 4), True),
        ("0.add/1.sequential/2.conv/bias", (4,), True),
        ("2.dense/kernel", (3136, 2), True),
        ("2.dense/bias", (2,), True),
    ]
    assert list(weight_specs(resolve(Dense(1), (3,)))) == ["kernel", "bias"]


def test_initial_weights_are_the_same_on_every_machine():
    weights = initial_weights(resolve(sequential(Flatten(), Dense(128)), (28, 28, 1)), seed=0)
    first = [0.02624634, -0.00375494, 0.02472844, 0.02419115]
    np.testing.assert_allclose(weights["1.dense/kernel"][0, :4], first, rtol=1e-5)
    assert not weights["1.dense/bias"].any()
    assert {weight.dtype for weight in weights.values()} == {np.dtype(np.float32)}


def test_a_weight_depends_only_on_the_seed_and_its_address():
    short = resolve(sequential(Flatten(), Dense(8)), MAP)
    long = resolve(sequential(Flatten(), Dense(8), BatchNorm(), Dense(8), Dense(8)), MAP)
    kernel = initial_weights(short, seed=1)["1.dense/kernel"]
    again = initial_weights(long, seed=1)
    assert np.array_equal(kernel, again["1.dense/kernel"])
    assert not np.array_equal(kernel, initial_weights(short, seed=2)["1.dense/kernel"])
    assert not np.array_equal(again["3.dense/kernel"], again["4.dense/kernel"])


@pytest.mark.parametrize(
    ("layer", "shape", "fan_in"),
    [
        (Dense(256), (256,), 256),
        (Conv(64, 3), (8, 8, 64), 3 * 3 * 64),
        (Conv(512, 3, groups=4), (8, 8, 256), 3 * 3 * 64),
        (DepthwiseConv(5), (8, 8, 2048), 5 * 5),
    ],
)
def test_kernels_are_drawn_with_variance_two_over_fan_in(layer, shape, fan_in):
    kernel = initial_weights(resolve(layer, shape), seed=0)["kernel"]
    assert kernel.var() * fan_in == pytest.approx(2, rel=0.05)
    assert abs(kernel.mean()) < 0.05 * kernel.std()


def test_normalisation_starts_as_the_identity():
    weights = initial_weights(resolve(BatchNorm(), MAP), seed=0)
    values = {name: set(weight.tolist()) for name, weight in weights.items()}
    assert values == {"scale": {1.0}, "shift": {0.0}, "mean": {0.0}, "variance": {1.0}}


def test_an_epoch_contains_every_example_once_in_full_batches():
    batches = epoch_batches(103, TrainSpec(batch_size=10), epoch=0)
    assert batches.shape == (10, 10)
    assert batches.dtype == np.int32
    assert len(set(batches.ravel().tolist())) == 100
    assert set(epoch_batches(100, TrainSpec(batch_size=10), 0).ravel()) == set(range(100))


def test_the_order_depends_on_the_seed_and_the_epoch():
    first = epoch_batches(60_000, TrainSpec(), 0)
    assert first[0, :6].tolist() == [4013, 23840, 29603, 43011, 58703, 2290]
    assert np.array_equal(first, epoch_batches(60_000, TrainSpec(epochs=9), 0))
    assert not np.array_equal(first, epoch_batches(60_000, TrainSpec(), 1))
    assert not np.array_equal(first, epoch_batches(60_000, TrainSpec(seed=1), 0))


def test_fewer_examples_than_a_batch_is_an_error():
    with pytest.raises(ValueError, match=r"received 63 training examples and batch size 64"):
        epoch_batches(63, TrainSpec(), 0)


def test_learning_rates_are_those_of_the_optimizer():
    rates = learning_rates(TrainSpec(optimizer=Sgd(learning_rate=0.1)), 3)
    assert rates.dtype == np.float32
    assert rates.tolist() == [np.float32(0.1)] * 3


def test_the_defaults_are_those_of_the_original_papers():
    assert TrainSpec() == TrainSpec(batch_size=64, optimizer=Sgd(0.01, 0.9, False, 0.0))


def test_pixels_are_scaled_to_minus_one_to_one():
    scaled = scale_pixels(np.arange(256, dtype=np.uint8).reshape(16, 16, 1))
    assert scaled.shape == (16, 16, 1)
    assert scaled.dtype == np.float32
    assert (scaled.min(), scaled.max()) == (scaled[0, 0, 0], scaled[-1, -1, 0]) == (-1, 1)
    np.testing.assert_allclose(scaled.ravel(), np.arange(256) / 127.5 - 1, atol=1e-7)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sgd(learning_rate=0), "received learning_rate=0, expected above 0"),
        (lambda: Sgd(learning_rate=float("nan")), "received learning_rate=nan"),
        (lambda: Sgd(momentum=1), "received momentum=1, expected 0 <= momentum < 1"),
        (lambda: Sgd(l2=-1), "received l2=-1"),
        (lambda: Sgd(momentum=0, nesterov=True), "expected a momentum above 0 with nesterov"),
        (lambda: Adam(learning_rate=-1), "received learning_rate=-1"),
        (lambda: Adam(beta1=1), "received beta1=1"),
        (lambda: Adam(beta2=-0.1), "received beta2=-0.1"),
        (lambda: Adam(epsilon=0), "received epsilon=0"),
        (lambda: Adam(l2=1), "received l2=1"),
        (lambda: TrainSpec(batch_size=0), "received batch_size=0, expected 1 or more"),
        (lambda: TrainSpec(epochs=0), "received epochs=0"),
        (lambda: TrainSpec(seed=-1), "received seed=-1"),
    ],
)
def test_a_setting_out_of_range_is_reported_with_the_expected_range(make, message):
    with pytest.raises(ValueError, match=r"^received ") as fault:
        make()
    assert message in str(fault.value)


def test_the_training_spec_round_trips_through_json():
    spec = TrainSpec(32, 5, 7, Adam(l2=0.1))
    assert msgspec.json.decode(msgspec.json.encode(spec), type=TrainSpec) == spec
    with pytest.raises(msgspec.ValidationError, match="unknown field `epoch`"):
        msgspec.json.decode(b'{"epoch": 3}', type=TrainSpec)
