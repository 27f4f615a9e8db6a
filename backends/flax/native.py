"""The default choices of Flax and Optax, read from their modules."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import optax
from flax import nnx

from backends.flax.lowering import lower
from backends.native import Defaults
from bench.spec.parameters import weight_specs
from bench.spec.shapes import Node
from bench.spec.weights import Weights


def flax_defaults(seed: int) -> Defaults:
    """Return the default choices; weights are drawn layer by layer."""
    rngs = nnx.Rngs(seed)
    normalisation = nnx.BatchNorm(1, rngs=rngs)

    def initialize(node: Node) -> Weights:
        layer: Any = lower(node.layer, node, np.float32, rngs)
        names = [address.rpartition("/")[2] for address in weight_specs(node)]
        return {name: np.array(getattr(layer, name)[...]) for name in names}

    return Defaults(
        batch_norm_momentum=float(normalisation.momentum),
        batch_norm_epsilon=float(normalisation.epsilon),
        adam_epsilon=inspect.signature(optax.adam).parameters["eps"].default,
        initialize=initialize,
        words={
            "dense kernel": "LeCun normal, truncated",
            "convolution kernel": "LeCun normal, truncated",
            "bias": "zeros",
        },
    )
