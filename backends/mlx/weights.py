"""Weights by address as arrays of MLX, in the canonical layout, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import mlx.core as mx
import numpy as np
import numpy.typing as npt

from backends.optimizers import Arrays
from bench.spec.weights import FloatArray, Weights


def placed(values: npt.NDArray[Any]) -> Any:
    """A copy of the values in float32, never a view of the caller's."""
    return mx.array(values, mx.float32)


def place_weights(weights: Weights, addresses: Iterable[str]) -> Arrays:
    """The weights at these addresses."""
    return {address: placed(weights[address]) for address in addresses}


def canonical_weights(arrays: Mapping[str, Any], addresses: Iterable[str]) -> Weights:
    """Copies on the host of the arrays at these addresses."""
    return {address: canonical_array(arrays[address]) for address in addresses}


def canonical_array(array: Any) -> FloatArray:
    """A copy on the host, computed now if it is still to be."""
    return np.array(array)
