"""The default choices of MLX, read from its modules."""

from __future__ import annotations

import inspect
from functools import singledispatch
from typing import Any

import mlx.core as mx
import numpy as np
from mlx import nn, optimizers

from backends.native import Defaults
from bench.spec.layers import Conv, Dense, DepthwiseConv
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
    module = _module(node.layer, node)
    return {
        _NAMES[name]: np.array(value.transpose(_CANONICAL_AXES[value.ndim]), order="C")
        for name, value in module.parameters().items()
    }


@singledispatch
def _module(layer: Any, node: Node) -> Any:
    raise TypeError(f"the layer {layer!r:.60} has no kernel; expected Dense or a convolution")


@_module.register
def _(layer: Dense, node: Node) -> Any:
    return nn.Linear(node.input_shape[0], layer.units, bias=layer.bias)


@_module.register
def _(layer: Conv, node: Node) -> Any:
    channels = node.input_shape[2]
    return nn.Conv2d(channels, layer.filters, layer.kernel, groups=layer.groups, bias=layer.bias)


@_module.register
def _(layer: DepthwiseConv, node: Node) -> Any:
    channels = node.input_shape[2]
    return nn.Conv2d(channels, channels, layer.kernel, groups=channels, bias=layer.bias)
