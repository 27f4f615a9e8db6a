"""The error function, which NumPy does not have, for whole arrays and with full accuracy.

erf(x0 + h) is its Taylor series in h about the nearest point x0 of a grid. With H_n the Hermite
polynomials, the derivatives are known: the (n + 1)th is (-1)^n H_n(x) * 2 / sqrt(pi) * exp(-x^2).
Beyond +-6, erf is +-1 in float64.
"""

from __future__ import annotations

import math

import numpy as np

from bench.spec.weights import FloatArray

_LIMIT = 6
_POINTS_PER_UNIT = 32
# With |h| <= 1 / 64, the first term left out is below 1e-16 (float64) and 3e-8 (float32).
_TERMS = {np.float64: 8, np.float32: 4}


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
