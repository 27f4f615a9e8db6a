"""Sessions of the NumPy backend: loss, updates, statistics and unsupported requests."""

import math

import numpy as np
import pytest

from backends.api import Device, Unsupported, Workload
from backends.numpy.backend import NumpyBackend
from backends.numpy.optimizers import update_rule
from backends.numpy.session import NumpySession, softmax_cross_entropy
from bench.spec.layers import (
    Activation,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    Layer,
    LayerBase,
    sequential,
)
from bench.spec.shapes import Node, resolve
from bench.spec.training import Adam, Optimizer, Sgd
from bench.spec.weights import FloatArray, Weights, initial_weights

MODEL = sequential(
    Conv(3, 3, stride=2, bias=False),
    BatchNorm(momentum=0.8),
    Activation("relu"),
    Flatten(),
    Dense(4),
)
PLAIN = sequential(Flatten(), Dense(32), Activation("relu"), Dense(4))
NORMALISED = sequential(BatchNorm(momentum=0.8), Flatten(), Dense(4))
DROPPING = sequential(Flatten(), Dense(32), Dropout(0.5), Dense(4))
SGD = Sgd()
BATCH = np.arange(20, dtype=np.int32)
STREAM = np.random.default_rng(5)
IMAGES = STREAM.standard_normal((300, 6, 6, 1)).astype(np.float32)
LABELS = STREAM.integers(0, 4, 300).astype(np.int32)


def workload(
    layer: Layer = MODEL, optimizer: Optimizer = SGD, precision: str = "float64"
) -> Workload:
    model = resolve(layer, (6, 6, 1))
    weights = initial_weights(model, 0)
    return Workload(
        model, optimizer, weights, IMAGES, LABELS, Device("cpu"), "eager", precision, seed=1
    )


def session(
    layer: Layer = MODEL, optimizer: Optimizer = SGD, precision: str = "float64"
) -> NumpySession:
    return NumpyBackend(1).session(workload(layer, optimizer, precision))


def train(trained: NumpySession, steps: int, learning_rate: float = 0.05) -> FloatArray:
    batches = np.arange(steps * 20, dtype=np.int32).reshape(steps, 20) % len(IMAGES)
    return trained.train(batches, np.full(steps, learning_rate, np.float32))


def test_the_loss_is_the_mean_negative_log_likelihood() -> None:
    logits, labels = STREAM.standard_normal((6, 4)), np.array([0, 1, 2, 3, 3, 0])
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    loss, gradient = softmax_cross_entropy(logits, labels)
    assert loss == pytest.approx(-np.log(chances[range(6), labels]).mean(), rel=1e-14)
    np.testing.assert_allclose(gradient, (chances - np.eye(4)[labels]) / 6, atol=1e-16)


def test_the_loss_of_huge_logits_is_finite() -> None:
    loss, gradient = softmax_cross_entropy(np.array([[2000.0, -2000.0]]), np.array([1]))
    assert loss == 4000
    assert gradient.tolist() == [[1, -1]]


def test_session_gradients_agree_with_finite_differences_of_the_loss() -> None:
    given = workload()
    gradients = NumpyBackend(1).session(given).gradients(BATCH)
    for address, gradient in gradients.weights.items():
        index = np.unravel_index(np.abs(gradient).argmax(), gradient.shape)
        losses = []
        for step in (1e-6, -1e-6):
            weights: Weights = {name: value.astype(float) for name, value in given.weights.items()}
            weights[address][index] += step
            moved = NumpyBackend(1).session(given._replace(weights=weights))
            losses.append(moved.gradients(BATCH).loss)
        expected = (losses[0] - losses[1]) / 2e-6
        assert gradient[index] == pytest.approx(expected, rel=1e-6), address


def test_computing_gradients_does_not_change_the_session() -> None:
    for layer in (MODEL, DROPPING):
        plain, asked = session(layer, Adam()), session(layer, Adam())
        before = asked.weights()
        asked.gradients(BATCH)
        for address, value in asked.weights().items():
            np.testing.assert_array_equal(value, before[address])
        np.testing.assert_array_equal(train(plain, 5), train(asked, 5))
        for address, value in asked.weights().items():
            np.testing.assert_array_equal(value, plain.weights()[address])


def sgd_by_hand(rule: Sgd, w: float, gradients: list[float], rates: list[float]) -> float:
    v = 0.0
    for g, rate in zip(gradients, rates, strict=True):
        g += rule.l2 * w
        v = rule.momentum * v + g
        w -= rate * (g + rule.momentum * v if rule.nesterov else v)
    return w


def adam_by_hand(rule: Adam, w: float, gradients: list[float], rates: list[float]) -> float:
    m = v = 0.0
    for t, (g, rate) in enumerate(zip(gradients, rates, strict=True), start=1):
        g += rule.l2 * w
        m = rule.beta1 * m + (1 - rule.beta1) * g
        v = rule.beta2 * v + (1 - rule.beta2) * g * g
        root = math.sqrt(v / (1 - rule.beta2**t)) + rule.epsilon
        w -= rate * (m / (1 - rule.beta1**t)) / root
    return w


@pytest.mark.parametrize(
    "optimizer",
    [
        Sgd(momentum=0),
        Sgd(),
        Sgd(l2=0.01),
        Sgd(nesterov=True, l2=0.01),
        Adam(),
        Adam(beta1=0.5, beta2=0.7, epsilon=0.1, l2=0.01),
    ],
)
def test_an_update_follows_its_formula(optimizer: Optimizer) -> None:
    start, series = STREAM.standard_normal(5), STREAM.standard_normal((4, 5))
    rates = [0.1, 0.3, 0.01, 0.2]
    weights, gradients = start.copy(), np.empty(5)
    update = update_rule(optimizer, weights, gradients)
    for step, rate in zip(series, rates, strict=True):
        gradients[:] = step
        update(rate)
    for index, w in enumerate(start):
        of_one = series[:, index].tolist()
        if isinstance(optimizer, Sgd):
            expected = sgd_by_hand(optimizer, w, of_one, rates)
        else:
            expected = adam_by_hand(optimizer, w, of_one, rates)
        assert weights[index] == pytest.approx(expected, rel=1e-13)


def test_running_statistics_follow_the_batch_with_an_unbiased_variance() -> None:
    trained = session(NORMALISED)
    train(trained, 2)
    mean, variance = 0.0, 1.0
    for pixels in (IMAGES[:20], IMAGES[20:40]):
        mean = 0.8 * mean + 0.2 * float(pixels.mean(dtype=float))
        variance = 0.8 * variance + 0.2 * float(pixels.var(dtype=float, ddof=1))
    weights = trained.weights()
    assert weights["0.batch_norm/mean"] == pytest.approx(mean, rel=1e-12)
    assert weights["0.batch_norm/variance"] == pytest.approx(variance, rel=1e-12)


def test_inference_uses_the_running_statistics() -> None:
    trained = session(NORMALISED)
    train(trained, 2)
    weights = trained.weights()
    deviation = np.sqrt(weights["0.batch_norm/variance"] + 1e-5)
    normal = (IMAGES - weights["0.batch_norm/mean"]) / deviation
    features = normal * weights["0.batch_norm/scale"] + weights["0.batch_norm/shift"]
    expected = features.reshape(300, -1) @ weights["2.dense/kernel"] + weights["2.dense/bias"]
    np.testing.assert_allclose(trained.predict(IMAGES), expected, atol=1e-12)


def test_batch_norm_of_a_single_value_is_an_error() -> None:
    single = session(sequential(Flatten(), BatchNorm(), Dense(4)))
    with pytest.raises(ValueError, match=r"1.batch_norm has one value per channel"):
        single.gradients(BATCH[:1])


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_results_have_the_requested_precision(precision: str) -> None:
    trained = session(MODEL, Adam(), precision)
    assert train(trained, 2).dtype == np.float32
    gradients = trained.gradients(BATCH)
    arrays = [trained.predict(IMAGES), gradients.logits, *gradients.weights.values()]
    arrays += trained.weights().values()
    assert {array.dtype for array in arrays} == {np.dtype(precision)}


class Float32Only(np.ndarray):
    """An array that fails when an operation on it returns float64."""

    def __array_finalize__(self, obj: object) -> None:
        assert self.dtype != np.float64, "float32 became float64"


@pytest.mark.parametrize("optimizer", [Sgd(nesterov=True, l2=0.1), Adam(l2=0.1)])
def test_loss_and_update_in_float32_stay_float32(optimizer: Optimizer) -> None:
    weights, gradients = (np.ones(4, np.float32).view(Float32Only) for _ in range(2))
    update_rule(optimizer, weights, gradients)(0.1)
    logits = np.ones((2, 4), np.float32).view(Float32Only)
    softmax_cross_entropy(logits, np.array([0, 1]))


def test_training_lowers_the_loss() -> None:
    same, rates = np.tile(BATCH, (100, 1)), np.full(100, 0.05, np.float32)
    losses = session(precision="float32").train(same, rates)
    assert losses[-1] < 0.1 * losses[0]


def test_a_diverging_run_returns_its_losses_without_warnings() -> None:
    for precision in ("float32", "float64"):
        diverging = session(PLAIN, precision=precision)
        losses = train(diverging, 30, learning_rate=1e30)
        assert not np.isfinite(losses[-1])
        assert not np.isfinite(diverging.predict(IMAGES)).all()
        assert not math.isfinite(diverging.gradients(BATCH).loss)


def test_predictions_do_not_depend_on_the_number_of_images() -> None:
    predicted = session().predict(IMAGES)
    assert predicted.shape == (300, 4)
    np.testing.assert_allclose(session().predict(IMAGES[290:]), predicted[290:], atol=1e-12)


def test_a_session_copies_the_images_and_weights() -> None:
    given = workload(precision="float32")
    given = given._replace(images=IMAGES.copy(), weights=initial_weights(given.model, 0))
    first = NumpyBackend(1).session(given)
    given.images[...] = 0
    given.weights["0.conv/kernel"][...] = 0
    first.weights()["0.conv/kernel"][...] = 0
    np.testing.assert_array_equal(train(first, 2), train(session(precision="float32"), 2))


def test_unsupported_requests_are_rejected() -> None:
    class Attention(LayerBase, frozen=True):
        pass

    good, backend = workload(), NumpyBackend(1)
    unknown = Node(Attention(), "0.attention", (6, 6, 1), (6, 6, 1))  # type: ignore[arg-type]
    for change, message in (
        ({"device": Device("gpu")}, "device 'gpu:0'"),
        ({"mode": "graph"}, "mode 'graph'; it supports eager"),
        ({"precision": "bfloat16"}, "precision 'bfloat16' on cpu"),
        ({"model": unknown}, "NumPy does not support layer attention at 0.attention"),
    ):
        with pytest.raises(Unsupported, match=message):
            backend.session(good._replace(**change))


def test_the_backend_reports_its_version_and_devices() -> None:
    backend = NumpyBackend(1)
    assert backend.versions() == {"numpy": np.__version__}
    assert backend.devices() == [Device("cpu")]
    assert session().device_memory() is None
