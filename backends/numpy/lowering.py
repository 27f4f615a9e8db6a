"""From a resolved model to one forward pass, layer by layer.

Each layer becomes a function (x, training) -> (y, backward); see `backends.numpy.passes`.
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any, Optional

import numpy as np

from backends.api import unsupported_layer
from backends.lowering import register_merges
from backends.numpy.activations import activation
from backends.numpy.convolution import conv, depthwise_conv
from backends.numpy.normalisation import batch_norm
from backends.numpy.passes import (
    Backward,
    Forward,
    add,
    biased,
    chain,
    concatenate,
    elementwise,
    multiply,
)
from backends.numpy.weights import Store
from backends.numpy.windows import avg_pool, global_avg_pool, max_pool
from bench.spec import layers
from bench.spec.parameters import trainable
from bench.spec.shapes import Node
from bench.spec.weights import FloatArray


def lower(node: Node, store: Store, wanted: bool = False) -> Forward:
    """Return the forward pass of the layer at `node` and all below it.

    Args:
        node: the model, or a part of it.
        store: the layer's weights.
        wanted: whether the gradient by the layer's input is needed, because an earlier layer is
            trained. The first layers of a model skip it.

    Raises:
        Unsupported: a layer that the framework does not support.
    """
    return _lower(node.layer, node, store, wanted)


@singledispatch
def _lower(layer: Any, node: Node, store: Store, wanted: bool) -> Forward:
    raise unsupported_layer("NumPy", node)


_lower.register(layers.Activation, activation)
_lower.register(layers.AvgPool, avg_pool)
_lower.register(layers.BatchNorm, batch_norm)
_lower.register(layers.Conv, conv)
_lower.register(layers.DepthwiseConv, depthwise_conv)
_lower.register(layers.GlobalAvgPool, global_avg_pool)
_lower.register(layers.MaxPool, max_pool)


@_lower.register
def _(layer: layers.Dense, node: Node, store: Store, wanted: bool) -> Forward:
    kernel = store.parameter(node, "kernel")

    def forward(x: FloatArray, training: bool) -> tuple[FloatArray, Backward]:
        def backward(dy: FloatArray) -> Optional[FloatArray]:
            np.matmul(x.T, dy, out=kernel.gradient)
            return dy @ kernel.value.T if wanted else None

        return x @ kernel.value, backward

    return biased(forward, store.parameter(node, "bias")) if layer.bias else forward


@_lower.register
def _(layer: layers.Flatten, node: Node, store: Store, wanted: bool) -> Forward:
    return elementwise(lambda x: (x.reshape(len(x), -1), lambda dy: dy.reshape(x.shape)))


@_lower.register
def _(layer: layers.Identity, node: Node, store: Store, wanted: bool) -> Forward:
    return elementwise(lambda x: (x, lambda dy: dy))


@_lower.register
def _(layer: layers.Dropout, node: Node, store: Store, wanted: bool) -> Forward:
    def forward(x: FloatArray, training: bool) -> tuple[FloatArray, Backward]:
        if not training:
            return x, lambda dy: dy
        mask = (store.random.random(x.shape, x.dtype) >= layer.rate).astype(x.dtype)
        mask /= 1 - layer.rate
        return x * mask, lambda dy: dy * mask

    return forward


@_lower.register
def _(layer: layers.Sequential, node: Node, store: Store, wanted: bool) -> Forward:
    parts = []
    for child in node.children:
        parts.append(lower(child, store, wanted))
        wanted = wanted or bool(trainable(child))
    return chain(parts)


register_merges(
    _lower, {layers.Add: add, layers.Concatenate: concatenate, layers.Multiply: multiply}
)
