"""Weights as shared variables, with convolution kernels as (out, in / groups, height, width)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backends.lowering import kernel_first
from backends.theano.engine import Engine
from bench.spec.weights import Weights

# Shared variables by address.
Variables = Mapping[str, Any]


def place_weights(weights: Weights, precision: str, engine: Engine) -> Variables:
    """Make a shared variable of that type for every weight."""
    return {
        address: engine.library.shared(kernel_first(value, precision), name=address, borrow=True)
        for address, value in weights.items()
    }
