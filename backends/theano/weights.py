"""Weights between the canonical layout and Theano's.

Theano keeps a convolution kernel as (out, in / groups, height, width), and the rest as the spec
does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import theano

from bench.spec.parameters import weight_specs
from bench.spec.shapes import Node
from bench.spec.weights import FloatArray, Weights

# Shared variables by address.
Variables = Mapping[str, Any]

_TO_THEANO = (3, 2, 0, 1)
_FROM_THEANO = (2, 3, 1, 0)


def place_weights(weights: Weights, precision: str) -> Variables:
    """A shared variable for every weight, by address, of that type."""
    return {
        address: theano.shared(_arranged(value, _TO_THEANO, precision), name=address, borrow=True)
        for address, value in weights.items()
    }


def trainable(model: Node, variables: Variables) -> dict[str, Any]:
    """Those that change by gradient."""
    specs = weight_specs(model)
    return {address: variables[address] for address, spec in specs.items() if spec.trainable}


def canonical(value: FloatArray) -> FloatArray:
    """A copy of one weight, or of its gradient, in the canonical layout."""
    return _arranged(value, _FROM_THEANO, value.dtype)


def _arranged(value: FloatArray, axes: tuple[int, ...], dtype: Any) -> FloatArray:
    return np.array(value.transpose(axes) if value.ndim == 4 else value, dtype, order="C")
