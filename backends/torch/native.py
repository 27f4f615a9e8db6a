"""The default choices of PyTorch, read from its modules."""

from __future__ import annotations

import inspect
from functools import singledispatch
from typing import Any

import torch
from torch import nn

from backends.native import Defaults
from backends.torch.weights import canonical_array
from bench.spec.layers import Conv, Dense, DepthwiseConv
from bench.spec.shapes import Node
from bench.spec.weights import Weights


def torch_defaults(seed: int) -> Defaults:
    """Return the default choices; PyTorch's modules draw the weights with the seed."""
    torch.manual_seed(seed)
    normalisation = nn.BatchNorm2d(1)
    drawn = "uniform, up to 1 / sqrt(fan-in)"
    return Defaults(
        # PyTorch's momentum is the weight of the new statistics.
        batch_norm_momentum=1 - float(normalisation.momentum or 0),
        batch_norm_epsilon=normalisation.eps,
        adam_epsilon=inspect.signature(torch.optim.Adam).parameters["eps"].default,
        initialize=_initialize,
        words={"dense kernel": drawn, "convolution kernel": drawn, "bias": drawn},
    )


def _initialize(node: Node) -> Weights:
    module = _module(node.layer, node)
    names = {"weight": "kernel", "bias": "bias"}
    return {names[name]: canonical_array(value) for name, value in module.named_parameters()}


@singledispatch
def _module(layer: Any, node: Node) -> nn.Module:
    raise TypeError(f"the layer {layer!r:.60} has no kernel; expected Dense or a convolution")


@_module.register
def _(layer: Dense, node: Node) -> nn.Module:
    return nn.Linear(node.input_shape[0], layer.units, bias=layer.bias)


@_module.register
def _(layer: Conv, node: Node) -> nn.Module:
    channels = node.input_shape[2]
    return nn.Conv2d(channels, layer.filters, layer.kernel, groups=layer.groups, bias=layer.bias)


@_module.register
def _(layer: DepthwiseConv, node: Node) -> nn.Module:
    channels = node.input_shape[2]
    return nn.Conv2d(channels, channels, layer.kernel, groups=channels, bias=layer.bias)
