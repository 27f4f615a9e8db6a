"""From a resolved model to a tree of torch.nn modules.

A composite becomes a module that contains its parts by index, so the spec's path
`2.add/0.sequential/1.conv` is the submodule `2.0.1`.
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any

from torch import nn

from backends.api import unsupported_layer
from backends.lowering import convolution_of, register_merges
from backends.torch import modules
from bench.spec import layers
from bench.spec.shapes import Node, padding_of

_ACTIVATIONS = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
}


def lower(node: Node) -> nn.Module:
    """Make the module of the layer at `node` and all below it, with weights drawn by torch.

    Make it under `torch.device("meta")`, where drawing costs nothing, and place the weights
    afterwards.

    Raises:
        Unsupported: a layer that the framework does not support.
    """
    return _lower(node.layer, node)


@singledispatch
def _lower(layer: Any, node: Node) -> nn.Module:
    raise unsupported_layer("PyTorch", node)


@_lower.register
def _(layer: layers.Dense, node: Node) -> nn.Module:
    return nn.Linear(node.input_shape[0], layer.units, bias=layer.bias)


@_lower.register(layers.Conv)
@_lower.register(layers.DepthwiseConv)
def _(layer: Any, node: Node) -> nn.Module:
    channels, filters, groups, padding = convolution_of(node)
    settings = {"stride": layer.stride, "padding": padding, "groups": groups, "bias": layer.bias}
    return nn.Conv2d(channels, filters, layer.kernel, **settings)


@_lower.register
def _(layer: layers.BatchNorm, node: Node) -> nn.Module:
    kind = nn.BatchNorm2d if len(node.input_shape) == 3 else nn.BatchNorm1d
    module = kind(node.input_shape[-1], eps=layer.epsilon, momentum=1 - layer.momentum)
    # Only a cumulative average needs the count of batches; without it, a step does less.
    module.num_batches_tracked = None
    return module


@_lower.register
def _(layer: layers.Activation, node: Node) -> nn.Module:
    return _ACTIVATIONS[layer.function]()


@_lower.register
def _(layer: layers.MaxPool, node: Node) -> nn.Module:
    return modules.MaxPool(layer.size, layer.steps, padding_of(layer.padding, layer.size))


@_lower.register
def _(layer: layers.AvgPool, node: Node) -> nn.Module:
    return nn.AvgPool2d(layer.size, layer.steps)


@_lower.register
def _(layer: layers.GlobalAvgPool, node: Node) -> nn.Module:
    return modules.GlobalAvgPool()


@_lower.register
def _(layer: layers.Flatten, node: Node) -> nn.Module:
    return modules.Flatten()


@_lower.register
def _(layer: layers.Dropout, node: Node) -> nn.Module:
    return nn.Dropout(layer.rate)


@_lower.register
def _(layer: layers.Identity, node: Node) -> nn.Module:
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
