"""The activation functions with their derivatives."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from backends.numpy.erf import erf
from backends.numpy.passes import Forward, elementwise
from backends.numpy.weights import Store
from bench.spec.layers import Activation
from bench.spec.shapes import Node
from bench.spec.weights import FloatArray

# The output, and dy -> dx.
Result = tuple[FloatArray, Callable[[FloatArray], FloatArray]]


def relu(x: FloatArray) -> Result:
    """Return max(x, 0); the derivative at 0 is 0."""
    y = np.maximum(x, 0)
    return y, lambda dy: dy * (y > 0)


def relu6(x: FloatArray) -> Result:
    """Return min(max(x, 0), 6); the derivative at 0 and 6 is 0."""
    return np.clip(x, 0, 6), lambda dy: dy * ((x > 0) & (x < 6))


def sigmoid(x: FloatArray) -> Result:
    """Return 1 / (1 + exp(-x)), with derivative y (1 - y)."""
    y = _logistic(x)
    return y, lambda dy: dy * (y * (1 - y))


def tanh(x: FloatArray) -> Result:
    """Return the hyperbolic tangent, with derivative 1 - y^2."""
    y = np.tanh(x)
    return y, lambda dy: dy * (1 - y * y)


def silu(x: FloatArray) -> Result:
    """Return the product of x and s = sigmoid(x), with derivative s + x s (1 - s)."""
    s = _logistic(x)
    return x * s, lambda dy: dy * (s * (1 + x * (1 - s)))


def gelu(x: FloatArray) -> Result:
    """Return the product of x and P(x) = (1 + erf(x / sqrt(2))) / 2, the normal distribution.

    The derivative is P(x) + x p(x), p the normal density.
    """
    probability = 0.5 * (1 + erf(x / math.sqrt(2)))

    def backward(dy: FloatArray) -> FloatArray:
        density = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
        return dy * (probability + x * density)

    return x * probability, backward


def _logistic(x: FloatArray) -> FloatArray:
    """Return 1 / (1 + exp(-x)), computed from exp(-|x|), which cannot overflow."""
    e = np.exp(-np.abs(x))
    y: FloatArray = np.where(x >= 0, 1, e) / (1 + e)
    return y


_FUNCTIONS: dict[str, Callable[[FloatArray], Result]] = {
    "relu": relu,
    "relu6": relu6,
    "sigmoid": sigmoid,
    "tanh": tanh,
    "silu": silu,
    "gelu": gelu,
}


def activation(layer: Activation, node: Node, store: Store, wanted: bool) -> Forward:
    """Lower an elementwise function, which is the same in training and inference."""
    return elementwise(_FUNCTIONS[layer.function])
