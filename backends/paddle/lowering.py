"""From a resolved model to a tree of paddle.nn layers.

A composite becomes a layer that contains its parts by index, so the spec's path
`2.add/0.sequential/1.conv` is the sublayer `2.0.1`.
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any

from paddle import nn

from backends.api import unsupported_layer
from backends.paddle import modules
from backends.paddle.normalisation import normalisation
from bench.spec.layers import (
    Activation,
    Add,
    AvgPool,
    BatchNorm,
    Concatenate,
    Conv,
    Dense,
    DepthwiseConv,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Identity,
    MaxPool,
    Multiply,
    Sequential,
)
from bench.spec.shapes import Node, padding_of

_ACTIVATIONS = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "silu": nn.Silu,
    "gelu": nn.GELU,
}


def lower(node: Node) -> nn.Layer:
    """Make the layer at `node` and all below it, with weights drawn by Paddle.

    Raises:
        Unsupported: a layer, or a setting of one, that Paddle does not support.
    """
    return _lower(node.layer, node)


@singledispatch
def _lower(layer: Any, node: Node) -> nn.Layer:
    raise unsupported_layer("PaddlePaddle", node)


def _bias(has_bias: bool) -> Any:
    """Return Paddle's argument for a bias: the default, or none."""
    return None if has_bias else False


@_lower.register
def _(layer: Dense, node: Node) -> nn.Layer:
    return nn.Linear(node.input_shape[0], layer.units, bias_attr=_bias(layer.bias))


@_lower.register
def _(layer: Conv, node: Node) -> nn.Layer:
    return modules.Conv(
        node.input_shape[2],
        layer.filters,
        layer.kernel,
        stride=layer.stride,
        padding=padding_of(layer.padding, layer.kernel),
        groups=layer.groups,
        bias_attr=_bias(layer.bias),
    )


@_lower.register
def _(layer: DepthwiseConv, node: Node) -> nn.Layer:
    channels = node.input_shape[2]
    return modules.Conv(
        channels,
        channels,
        layer.kernel,
        stride=layer.stride,
        padding=padding_of(layer.padding, layer.kernel),
        groups=channels,
        bias_attr=_bias(layer.bias),
    )


@_lower.register
def _(layer: BatchNorm, node: Node) -> nn.Layer:
    return normalisation(layer, node)


@_lower.register
def _(layer: Activation, node: Node) -> nn.Layer:
    return _ACTIVATIONS[layer.function]()


@_lower.register
def _(layer: MaxPool, node: Node) -> nn.Layer:
    return nn.MaxPool2D(layer.size, layer.steps, padding_of(layer.padding, layer.size))


@_lower.register
def _(layer: AvgPool, node: Node) -> nn.Layer:
    return nn.AvgPool2D(layer.size, layer.steps)


@_lower.register
def _(layer: GlobalAvgPool, node: Node) -> nn.Layer:
    return modules.GlobalAvgPool()


@_lower.register
def _(layer: Flatten, node: Node) -> nn.Layer:
    *extents, channels = node.input_shape
    return modules.Flatten(is_ordered=channels == 1 or all(extent == 1 for extent in extents))


@_lower.register
def _(layer: Dropout, node: Node) -> nn.Layer:
    return nn.Dropout(layer.rate)


@_lower.register
def _(layer: Identity, node: Node) -> nn.Layer:
    return nn.Identity()


def _parts(node: Node) -> list[nn.Layer]:
    return [lower(child) for child in node.children]


@_lower.register
def _(layer: Sequential, node: Node) -> nn.Layer:
    return nn.Sequential(*_parts(node))


@_lower.register
def _(layer: Add, node: Node) -> nn.Layer:
    return modules.Add(_parts(node))


@_lower.register
def _(layer: Concatenate, node: Node) -> nn.Layer:
    return modules.Concatenate(_parts(node))


@_lower.register
def _(layer: Multiply, node: Node) -> nn.Layer:
    return modules.Multiply(_parts(node))
