"""Weights between the canonical layout and Paddle's.

Paddle keeps a convolution kernel as (out, in / groups, height, width), and a Dense kernel as the
spec does: (in, out).
"""

from __future__ import annotations

import numpy as np

from bench.spec.weights import FloatArray

_NAMES = {
    "kernel": "weight",
    "bias": "bias",
    "scale": "weight",
    "shift": "bias",
    "mean": "_mean",
    "variance": "_variance",
}
_TO_PADDLE = (3, 2, 0, 1)
_FROM_PADDLE = (2, 3, 1, 0)


def paddle_name(address: str) -> str:
    """The name in a state dict of the weight at an address.

    >>> paddle_name("2.add/0.sequential/1.conv/kernel")
    '2.0.1.weight'
    """
    *layers, name = address.split("/")
    return ".".join([*(layer.split(".")[0] for layer in layers), _NAMES[name]])


def laid_out(value: FloatArray) -> FloatArray:
    """A copy of one weight in Paddle's layout."""
    return _arranged(value, _TO_PADDLE)


def canonical(value: FloatArray) -> FloatArray:
    """A copy of one weight of Paddle's, or of its gradient, in the canonical layout."""
    return _arranged(value, _FROM_PADDLE)


def _arranged(value: FloatArray, axes: tuple[int, ...]) -> FloatArray:
    return np.array(value.transpose(axes) if value.ndim == 4 else value, order="C")
