"""Layers of the NumPy backend compared with their definitions and finite differences."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from backends.numpy.activations import erf
from backends.numpy.lowering import lower
from backends.numpy.weights import Store
from bench.spec.layers import (
    ACTIVATIONS,
    Activation,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    DepthwiseConv,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Identity,
    Layer,
    MaxPool,
    add,
    concatenate,
    multiply,
    sequential,
)
from bench.spec.shapes import Node, Shape, resolve
from bench.spec.weights import FloatArray, Weights, initial_weights

MAP, VECTOR = (5, 6, 4), (7,)
GATE = sequential(GlobalAvgPool(), Dense(4), Activation("sigmoid"))
CASES: dict[str, tuple[Layer, tuple[int, ...]]] = {
    "dense": (Dense(3), VECTOR),
    "dense without bias": (Dense(3, bias=False), VECTOR),
    "conv": (Conv(3, 3), MAP),
    "conv valid": (Conv(3, 2, padding="valid"), MAP),
    "conv stride 2": (Conv(3, 3, stride=2), MAP),
    "conv groups": (Conv(6, 3, stride=2, groups=2), MAP),
    "conv 5x5": (Conv(2, 5, padding="valid"), MAP),
    "conv 1x1 without bias": (Conv(3, 1, bias=False), MAP),
    "conv 1x1 stride 2": (Conv(3, 1, stride=2), MAP),
    "conv of one channel": (Conv(3, 3), (5, 6, 1)),
    "depthwise": (DepthwiseConv(3), MAP),
    "depthwise stride 2": (DepthwiseConv(3, stride=2, bias=False), MAP),
    "depthwise valid": (DepthwiseConv(2, padding="valid"), MAP),
    "batch norm of a map": (BatchNorm(), MAP),
    "batch norm of a vector": (BatchNorm(epsilon=1e-3), VECTOR),
    **{name: (Activation(name), MAP) for name in ACTIVATIONS},
    "max pool": (MaxPool(2), MAP),
    "max pool that overlaps": (MaxPool(3, stride=2), MAP),
    "max pool same": (MaxPool(3, stride=1, padding="same"), MAP),
    "max pool same stride 2": (MaxPool(3, stride=2, padding="same"), MAP),
    "max pool with gaps": (MaxPool(2, stride=3), MAP),
    "avg pool": (AvgPool(2), MAP),
    "avg pool that overlaps": (AvgPool(3, stride=1), MAP),
    "global avg pool": (GlobalAvgPool(), MAP),
    "flatten": (Flatten(), MAP),
    "dropout": (Dropout(0.4), MAP),
    "identity": (Identity(), MAP),
    "add": (add(Identity(), Conv(4, 3), Identity()), MAP),
    "concatenate": (concatenate(Identity(), Conv(2, 3), MaxPool(3, 1, "same")), MAP),
    "multiply": (multiply(Identity(), Conv(4, 3), Activation("tanh")), MAP),
    "multiply by a gate": (multiply(Identity(), GATE), MAP),
    "multiply a gate": (multiply(GATE, Conv(4, 1)), MAP),
    # No bias: batch normalisation cancels it, so its gradient is 0.
    "sequential": (
        sequential(Conv(4, 3, bias=False), BatchNorm(), Activation("relu"), MaxPool(2)),
        MAP,
    ),
}
every_layer = pytest.mark.parametrize("case", CASES)


def random_weights(model: Node, seed: int = 1) -> Weights:
    """Draw weights that are neither 0 nor 1, since these values can hide mistakes."""
    stream = np.random.default_rng(seed)
    return {
        address: (value + 0.3 * stream.random(value.shape)).astype(np.float32)
        for address, value in initial_weights(model, seed).items()
    }


class Lowered:
    """One lowered layer, a batch of 3 inputs, and the scalar sum(y * cotangent)."""

    def __init__(self, case: str, dtype: npt.DTypeLike, wanted: bool = True) -> None:
        layer, shape = CASES[case]
        model = resolve(layer, shape)
        stream = np.random.default_rng(2)
        self.store = Store(model, random_weights(model), dtype)
        self.forward = lower(model, self.store, wanted)
        # The range is wide enough to reach both bounds of relu6.
        self.x: FloatArray = (4 * stream.standard_normal((3, *shape))).astype(dtype)
        self.cotangent: FloatArray = stream.standard_normal((3, *model.output_shape)).astype(dtype)

    def scalar(self) -> float:
        self.store.random = np.random.default_rng(3)
        y, _ = self.forward(self.x, True)
        return float((y * self.cotangent).sum())

    def input_gradient(self) -> FloatArray | None:
        """Compute the input's gradient; the weights' gradients are written to the store."""
        self.store.random = np.random.default_rng(3)
        _, backward = self.forward(self.x, True)
        return backward(self.cotangent)


def finite_differences(function: Callable[[], float], at: FloatArray) -> FloatArray:
    """Approximate the gradient of function() with respect to `at`, an array that it reads."""
    gradient = np.empty_like(at)
    for index in np.ndindex(at.shape):
        value, sides = at[index], []
        for sign in (1, -1):
            at[index] = value + sign * 1e-5
            sides.append(function())
        at[index] = value
        gradient[index] = (sides[0] - sides[1]) / 2e-5
    return gradient


def relative_error(actual: FloatArray | None, expected: FloatArray) -> float:
    assert actual is not None
    assert actual.shape == expected.shape
    return float(np.abs(actual - expected).max(initial=0) / np.abs(expected).max(initial=1e-30))


def window_at(x: FloatArray, layer: Any, size: int, stride: int, fill: float) -> Iterator[Any]:
    """Yield each output position and its window, (n, size, size, c)."""
    pad = size // 2 if getattr(layer, "padding", "valid") == "same" else 0
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)), constant_values=fill)
    for top in range(0, padded.shape[1] - size + 1, stride):
        for left in range(0, padded.shape[2] - size + 1, stride):
            window = padded[:, top : top + size, left : left + size]
            yield (slice(None), top // stride, left // stride), window


def by_definition(layer: Any, x: FloatArray, weights: Weights, shape: Shape) -> FloatArray:
    """Compute a convolution or pooling, one position and one filter at a time."""
    y = np.empty((len(x), *shape))
    if isinstance(layer, MaxPool | AvgPool):
        reduce = np.max if isinstance(layer, MaxPool) else np.mean
        for place, window in window_at(x, layer, layer.size, layer.steps, -np.inf):
            y[place] = reduce(window, axis=(1, 2))
        return y
    kernel, filters = weights["kernel"], shape[-1]
    channels = kernel.shape[2]
    groups = x.shape[-1] // channels
    for place, window in window_at(x, layer, layer.kernel, layer.stride, 0):
        for f in range(filters):
            first = f // (filters // groups) * channels
            seen = window[..., first : first + channels]
            y[(*place, f)] = (seen * kernel[..., f]).sum(axis=(1, 2, 3))
    return y + weights.get("bias", np.zeros(filters))


@pytest.mark.parametrize(
    "case", [name for name in CASES if name.startswith(("conv", "depthwise", "max", "avg"))]
)
def test_convolution_and_pooling_match_their_definition(case: str) -> None:
    lowered = Lowered(case, np.float64)
    y, _ = lowered.forward(lowered.x, True)
    expected = by_definition(CASES[case][0], lowered.x, lowered.store.weights(), y.shape[1:])
    np.testing.assert_allclose(y, expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("relu", lambda x: max(x, 0)),
        ("relu6", lambda x: min(max(x, 0), 6)),
        ("sigmoid", lambda x: 1 / (1 + math.exp(-x))),
        ("tanh", math.tanh),
        ("silu", lambda x: x / (1 + math.exp(-x))),
        ("gelu", lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2),
    ],
)
def test_activations_follow_their_formulas(name: str, formula: Callable[[float], float]) -> None:
    lowered = Lowered(name, np.float64)
    y, _ = lowered.forward(lowered.x, True)
    expected = np.vectorize(formula, otypes=[float])(lowered.x)
    np.testing.assert_allclose(y, expected, rtol=1e-14, atol=1e-15)


@every_layer
def test_input_gradients_agree_with_finite_differences(case: str) -> None:
    lowered = Lowered(case, np.float64)
    expected = finite_differences(lowered.scalar, lowered.x)
    assert relative_error(lowered.input_gradient(), expected) < 1e-6


@every_layer
def test_weight_gradients_agree_with_finite_differences(case: str) -> None:
    lowered = Lowered(case, np.float64)
    lowered.input_gradient()
    for address, value in lowered.store.values.views.items():
        gradient = lowered.store.gradients.views[address].copy()
        expected = finite_differences(lowered.scalar, value)
        assert relative_error(gradient, expected) < 1e-6, address


@every_layer
def test_a_first_layer_has_the_same_weight_gradients(case: str) -> None:
    first, inner = Lowered(case, np.float64, wanted=False), Lowered(case, np.float64)
    first.input_gradient()
    inner.input_gradient()
    np.testing.assert_array_equal(first.store.gradients.flat, inner.store.gradients.flat)


def test_a_first_layer_does_not_compute_its_input_gradient() -> None:
    for case in ("dense", "conv", "depthwise", "batch norm of a map", "add", "sequential"):
        assert Lowered(case, np.float64, wanted=False).input_gradient() is None, case


class Float32Only(np.ndarray):
    """An array that fails when an operation on it returns float64."""

    def __array_finalize__(self, obj: object) -> None:
        assert self.dtype != np.float64, "float32 became float64"


@every_layer
@pytest.mark.parametrize("training", [True, False])
def test_float32_stays_float32(case: str, training: bool) -> None:
    lowered = Lowered(case, np.float32)
    y, backward = lowered.forward(lowered.x.view(Float32Only), training)
    assert y.dtype == np.float32
    if training:
        dx = backward(lowered.cotangent.view(Float32Only))
        assert dx is not None
        assert dx.dtype == np.float32


def test_the_first_of_equal_maxima_receives_the_gradient() -> None:
    model = resolve(MaxPool(2), (2, 2, 1))
    forward = lower(model, Store(model, {}, np.float64), wanted=True)
    x = np.array([1.0, 5.0, 5.0, 5.0]).reshape(1, 2, 2, 1)
    dx = forward(x, True)[1](np.full((1, 1, 1, 1), 7.0))
    assert dx is not None
    assert dx.ravel().tolist() == [0, 7, 0, 0]


def test_dropout_preserves_the_mean_in_training_and_is_off_in_inference() -> None:
    model = resolve(Dropout(0.25), (100_000,))
    forward = lower(model, Store(model, {}, np.float32))
    ones = np.ones((1, 100_000), np.float32)
    trained, inferred = forward(ones, True)[0], forward(ones, False)[0]
    assert set(np.unique(trained)) == {np.float32(0), np.float32(1 / 0.75)}
    assert np.mean(trained == 0) == pytest.approx(0.25, abs=0.01)
    np.testing.assert_array_equal(inferred, ones)


def test_erf_has_full_precision() -> None:
    x = np.linspace(-7, 7, 20_001)
    expected = np.array([math.erf(value) for value in x])
    assert np.abs(erf(x) - expected).max() < 4e-16
    assert np.abs(erf(x.astype(np.float32)) - expected).max() < 3e-7
    assert erf(np.array([np.inf, -np.inf, 0.0])).tolist() == [1, -1, 0]
