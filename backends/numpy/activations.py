"""The activation functions with their derivatives.

NumPy has no error function. Here erf(x0 + h) is its Taylor series in h about the nearest point x0
of a grid, in full accuracy. With H_n the Hermite polynomials, the derivatives are known: the
(n + 1)th is (-1)^n H_n(x) * 2 / sqrt(pi) * exp(-x^2). Beyond +-6, erf is +-1 in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from backends.numpy.passes import Forward, elementwise
from backends.numpy.weights import Store
from bench.spec.layers import Activation
from bench.spec.shapes import Node
from bench.spec.weights import FloatArray

_LIMIT = 6
_POINTS_PER_UNIT = 32
# With |h| <= 1 / 64, the first term left out is below 1e-16 (float64) and 3e-8 (float32).
_TERMS = {np.float64: 8, np.float32: 4}

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


def _coefficients(x: float, terms: int) -> list[float]:
    """Return the Taylor coefficients of erf about x: erf(x), then (-1)^n H_n(x) ... / (n + 1)!."""
    slope = 2 / math.sqrt(math.pi) * math.exp(-x * x)
    before, hermite, series = 0.0, 1.0, [math.erf(x)]
    for n in range(terms - 1):
        series.append((-1) ** n * hermite * slope / math.factorial(n + 1))
        before, hermite = hermite, 2 * x * hermite - 2 * n * before
    return series


def _table(terms: int) -> FloatArray:
    """Return the coefficients of each power of h at every point of the grid: (terms, points)."""
    grid = [
        i / _POINTS_PER_UNIT
        for i in range(-_LIMIT * _POINTS_PER_UNIT, _LIMIT * _POINTS_PER_UNIT + 1)
    ]
    return np.array([_coefficients(x, terms) for x in grid]).T.copy()


_TABLES = {np.dtype(kind): _table(terms).astype(kind) for kind, terms in _TERMS.items()}


def erf(x: FloatArray) -> FloatArray:
    """Return the error function of each value, in the precision of x (float32 or float64)."""
    limited = np.clip(x, -_LIMIT, _LIMIT)
    nearest = np.rint(limited * _POINTS_PER_UNIT)
    h = limited - nearest / _POINTS_PER_UNIT
    points = nearest.astype(np.intp) + _LIMIT * _POINTS_PER_UNIT
    table = _TABLES[x.dtype]
    # A NaN has no point of the grid; any works, because h is NaN and so is the result.
    y: FloatArray = table[-1].take(points, mode="clip")
    for coefficients in table[-2::-1]:
        y *= h
        y += coefficients.take(points, mode="clip")
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
