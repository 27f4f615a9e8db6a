"""Weights as MLX arrays in the canonical layout."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import mlx.core as mx
import numpy as np
import numpy.typing as npt

from backends.optimizers import Arrays
from bench.spec.weights import FloatArray, Weights


def placed(values: npt.NDArray[Any]) -> Any:
    """Copy values to a float32 array."""
    return mx.array(values, mx.float32)


def place_weights(weights: Weights, addresses: Iterable[str]) -> Arrays:
    """Copy the weights at these addresses to arrays."""
    return {address: placed(weights[address]) for address in addresses}


def canonical_weights(arrays: Mapping[str, Any], addresses: Iterable[str]) -> Weights:
    """Copy the arrays at these addresses to the host."""
    return {address: canonical_array(arrays[address]) for address in addresses}


def canonical_array(array: Any) -> FloatArray:
    """Copy an array to the host, after computing it where necessary."""
    return np.array(array)
