"""The initial values of a model's weights, and the types of arrays."""

from __future__ import annotations

import math
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.spec.parameters import WeightSpec, weight_specs
from bench.spec.shapes import Node

FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.integer[Any]]
Weights = dict[str, FloatArray]


def initial_weights(model: Node, seed: int) -> Weights:
    """Draw the initial values of every weight; the same seed gives the same values everywhere.

    Each kernel has its own random stream, which depends on the seed and the weight's address, so
    its values do not depend on the other weights.

    Returns:
        float32 arrays by the weights' addresses.
    """
    return {name: _draw(name, spec, seed) for name, spec in weight_specs(model).items()}


def _draw(name: str, spec: WeightSpec, seed: int) -> FloatArray:
    if not spec.fan_in:
        return np.full(spec.shape, spec.constant, np.float32)
    stream = np.random.default_rng([seed, zlib.crc32(name.encode())])
    kernel = stream.standard_normal(spec.shape, np.float32)
    return (kernel * np.float32(math.sqrt(2 / spec.fan_in))).astype(np.float32)
