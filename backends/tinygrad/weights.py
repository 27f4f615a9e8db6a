"""Weights as tensors, with convolution kernels as (out, in / groups, height, width).

A Dense kernel stays (in, out): the product takes it in this layout.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tinygrad import Tensor

from backends.lowering import canonical_kernel, kernel_first
from bench.spec.weights import FloatArray, Weights

# Realised tensors by address.
Tensors = Mapping[str, Any]


def place_weights(weights: Weights) -> Tensors:
    """Copy every weight into a tensor that owns its memory."""
    return {
        address: Tensor(kernel_first(value)).clone().realize() for address, value in weights.items()
    }


def canonical(tensor: Any) -> FloatArray:
    """Copy a weight, or its gradient, to the canonical layout."""
    return canonical_kernel(tensor.numpy())
