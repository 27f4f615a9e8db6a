"""Weights as shared variables, with convolution kernels as (out, in / groups, height, width)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backends.lowering import kernel_first
from backends.theano.engine import Engine
from bench.spec.parameters import weight_specs
from bench.spec.shapes import Node
from bench.spec.weights import Weights

# Shared variables by address.
Variables = Mapping[str, Any]


def place_weights(weights: Weights, precision: str, engine: Engine) -> Variables:
    """Make a shared variable of that type for every weight."""
    return {
        address: engine.library.shared(kernel_first(value, precision), name=address, borrow=True)
        for address, value in weights.items()
    }


def trainable(model: Node, variables: Variables) -> dict[str, Any]:
    """Return the variables that are trained by gradient."""
    specs = weight_specs(model)
    return {address: variables[address] for address, spec in specs.items() if spec.trainable}
