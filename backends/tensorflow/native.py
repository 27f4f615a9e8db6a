"""The default choices of Keras's layers and optimizers.

They are read from layers and optimizers that are made without arguments of that kind.
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import keras
import numpy as np

from backends.native import Defaults
from bench.spec.layers import Conv, Dense, DepthwiseConv
from bench.spec.parameters import weight_specs
from bench.spec.shapes import Node
from bench.spec.weights import Weights


def keras_defaults(seed: int) -> Defaults:
    """Return the default choices; weights are drawn with the seed, layer by layer."""
    keras.utils.set_random_seed(seed)
    normalization = keras.layers.BatchNormalization()
    dense, convolution = keras.layers.Dense(1), keras.layers.Conv2D(1, 1)
    return Defaults(
        batch_norm_momentum=float(normalization.momentum),
        batch_norm_epsilon=float(normalization.epsilon),
        adam_epsilon=float(keras.optimizers.Adam().epsilon),
        initialize=_initialize,
        words={
            "dense kernel": type(dense.kernel_initializer).__name__,
            "convolution kernel": type(convolution.kernel_initializer).__name__,
            "bias": type(dense.bias_initializer).__name__,
        },
    )


def _initialize(node: Node) -> Weights:
    """Draw the initial weights of a Keras layer, in the canonical layout."""
    layer = _keras_layer(node.layer)
    layer.build((None, *node.input_shape))
    specs = weight_specs(node).items()
    names = [address.rpartition("/")[2] for address, _ in specs]
    # Keras stores a depthwise kernel as (k, k, c, 1): the same values in the same order.
    values = [np.reshape(value, spec.shape) for value, (_, spec) in zip(layer.get_weights(), specs)]
    return dict(zip(names, values))


@singledispatch
def _keras_layer(layer: Any) -> Any:
    raise TypeError(f"the layer {layer!r:.60} has no kernel; expected Dense or a convolution")


@_keras_layer.register
def _(layer: Dense) -> Any:
    return keras.layers.Dense(layer.units, use_bias=layer.bias)


@_keras_layer.register
def _(layer: Conv) -> Any:
    return keras.layers.Conv2D(
        layer.filters, layer.kernel, groups=layer.groups, use_bias=layer.bias
    )


@_keras_layer.register
def _(layer: DepthwiseConv) -> Any:
    return keras.layers.DepthwiseConv2D(layer.kernel, use_bias=layer.bias)
