"""From a resolved model to a tree of paddle.nn layers.

A composite becomes a layer that contains its parts by index, so the spec's path
`2.add/0.sequential/1.conv` is the sublayer `2.0.1`.
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any

from paddle import nn

from backends.api import unsupported_layer
from backends.lowering import convolution_of, register_merges
from backends.paddle import modules
from backends.paddle.normalisation import normalisation
from bench.spec import layers
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
def _(layer: layers.Dense, node: Node) -> nn.Layer:
    return nn.Linear(node.input_shape[0], layer.units, bias_attr=_bias(layer.bias))


@_lower.register(layers.Conv)
@_lower.register(layers.DepthwiseConv)
def _(layer: Any, node: Node) -> nn.Layer:
    channels, filters, groups, padding = convolution_of(node)
    settings = {"stride": layer.stride, "padding": padding, "groups": groups}
    return modules.Conv(channels, filters, layer.kernel, bias_attr=_bias(layer.bias), **settings)


@_lower.register
def _(layer: layers.BatchNorm, node: Node) -> nn.Layer:
    return normalisation(layer, node)


@_lower.register
def _(layer: layers.Activation, node: Node) -> nn.Layer:
    return _ACTIVATIONS[layer.function]()


@_lower.register
def _(layer: layers.MaxPool, node: Node) -> nn.Layer:
    return nn.MaxPool2D(layer.size, layer.steps, padding_of(layer.padding, layer.size))


@_lower.register
def _(layer: layers.AvgPool, node: Node) -> nn.Layer:
    return nn.AvgPool2D(layer.size, layer.steps)


@_lower.register
def _(layer: layers.GlobalAvgPool, node: Node) -> nn.Layer:
    return modules.GlobalAvgPool()


@_lower.register
def _(layer: layers.Flatten, node: Node) -> nn.Layer:
    *extents, channels = node.input_shape
    return modules.Flatten(is_ordered=channels == 1 or all(extent == 1 for extent in extents))


@_lower.register
def _(layer: layers.Dropout, node: Node) -> nn.Layer:
    return nn.Dropout(layer.rate)


@_lower.register
def _(layer: layers.Identity, node: Node) -> nn.Layer:
    return nn.Identity()


register_merges(
    _lower,
    {
        layers.Sequential: lambda parts: nn.Sequential(*parts),
        layers.Add: modules.Add,
        layers.Concatenate: modules.Concatenate,
        layers.Multiply: modules.Multiply,
    },
)
