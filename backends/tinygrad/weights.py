"""Weights between the canonical layout and tinygrad's.

tinygrad keeps a convolution kernel as (out, in / groups, height, width). A Dense kernel stays
(in, out): the product takes it as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from tinygrad import Tensor

from bench.spec.parameters import weight_specs
from bench.spec.shapes import Node
from bench.spec.weights import FloatArray, Weights

# Realised tensors by address.
Tensors = Mapping[str, Any]

_TO_TINYGRAD = (3, 2, 0, 1)
_FROM_TINYGRAD = (2, 3, 1, 0)


def place_weights(weights: Weights) -> Tensors:
    """A tensor for every weight, by address."""
    return {address: placed(value) for address, value in weights.items()}


def placed(value: FloatArray) -> Any:
    """A tensor of tinygrad's own memory that holds a copy of a weight."""
    return Tensor(_arranged(value, _TO_TINYGRAD)).clone().realize()


def trainable(model: Node, tensors: Tensors) -> dict[str, Any]:
    """Those that change by gradient."""
    specs = weight_specs(model)
    return {address: tensors[address] for address, spec in specs.items() if spec.trainable}


def canonical(tensor: Any) -> FloatArray:
    """A copy of one weight, or of its gradient, in the canonical layout."""
    return _arranged(tensor.numpy(), _FROM_TINYGRAD)


def _arranged(value: FloatArray, axes: tuple[int, ...]) -> FloatArray:
    return np.array(value.transpose(axes) if value.ndim == 4 else value, order="C")
