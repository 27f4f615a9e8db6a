"""The default choices of MLX, read from its modules."""

from __future__ import annotations

import inspect
from typing import Any

import mlx.core as mx
import numpy as np
from mlx import nn, optimizers

from backends.lowering import convolution_of
from backends.native import Defaults
from bench.spec.layers import Dense
from bench.spec.shapes import Node
from bench.spec.weights import Weights

# The axis in MLX's layers of each canonical axis, by the number of dimensions.
_CANONICAL_AXES = {1: (0,), 2: (1, 0), 4: (1, 2, 3, 0)}
_NAMES = {"weight": "kernel", "bias": "bias"}


def mlx_defaults(seed: int) -> Defaults:
    """Return the default choices; MLX's modules draw the weights with the seed."""
    mx.random.seed(seed)
    normalisation = nn.BatchNorm(1)
    drawn = "uniform, up to 1 / sqrt(fan-in)"
    return Defaults(
        # MLX's momentum is the weight of the new statistics.
        batch_norm_momentum=1 - normalisation.momentum,
        batch_norm_epsilon=normalisation.eps,
        adam_epsilon=inspect.signature(optimizers.Adam).parameters["eps"].default,
        initialize=_initialize,
        words={
            "dense kernel": drawn,
            "convolution kernel": drawn,
            "bias": f"{drawn} in Linear, zeros in Conv2d",
        },
    )


def _initialize(node: Node) -> Weights:
    layer: Any = node.layer
    if isinstance(layer, Dense):
        module: Any = nn.Linear(node.input_shape[0], layer.units, bias=layer.bias)
    else:
        channels, filters, groups, _ = convolution_of(node)
        module = nn.Conv2d(channels, filters, layer.kernel, groups=groups, bias=layer.bias)
    return {
        _NAMES[name]: np.array(value.transpose(_CANONICAL_AXES[value.ndim]), order="C")
        for name, value in module.parameters().items()
    }
