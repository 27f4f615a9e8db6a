"""Which weights a model has, and what they cost: from the spec alone, without an array.

Canonical layout: Dense kernel (in, out); convolution kernel (height, width, in / groups, out);
everything else (channels,). A weight is addressed by its layer's path and its name.
"""

from __future__ import annotations

import math
from functools import singledispatch
from typing import Any

import msgspec

from bench.spec.layers import BatchNorm, Conv, Dense, DepthwiseConv, Sequential
from bench.spec.shapes import Node, Shape


class WeightSpec(msgspec.Struct, frozen=True):
    """One weight: its shape, whether training changes it by gradient, and its first values.

    `fan_in` is the number of inputs to one output for a kernel (drawn from a normal distribution
    with variance 2 / fan_in, He et al., 2015) and 0 for a weight that starts at `constant`.
    """

    shape: Shape
    trainable: bool = True
    fan_in: int = 0
    constant: float = 0.0


@singledispatch
def _layer_weights(layer: Any, node: Node) -> dict[str, WeightSpec]:
    """A layer without weights; those that have some are registered below."""
    return {}


def _kernel_and_bias(kernel: Shape, bias: bool) -> dict[str, WeightSpec]:
    weights = {"kernel": WeightSpec(kernel, fan_in=math.prod(kernel[:-1]))}
    if bias:
        weights["bias"] = WeightSpec(kernel[-1:])
    return weights


@_layer_weights.register
def _(layer: Dense, node: Node) -> dict[str, WeightSpec]:
    return _kernel_and_bias((node.input_shape[0], layer.units), layer.bias)


@_layer_weights.register
def _(layer: Conv, node: Node) -> dict[str, WeightSpec]:
    channels = node.input_shape[2] // layer.groups
    return _kernel_and_bias((layer.kernel, layer.kernel, channels, layer.filters), layer.bias)


@_layer_weights.register
def _(layer: DepthwiseConv, node: Node) -> dict[str, WeightSpec]:
    return _kernel_and_bias((layer.kernel, layer.kernel, 1, node.input_shape[2]), layer.bias)


@_layer_weights.register
def _(layer: BatchNorm, node: Node) -> dict[str, WeightSpec]:
    shape = node.input_shape[-1:]
    return {
        "scale": WeightSpec(shape, constant=1.0),
        "shift": WeightSpec(shape),
        "mean": WeightSpec(shape, trainable=False),
        "variance": WeightSpec(shape, trainable=False, constant=1.0),
    }


def weight_name(path: str, name: str) -> str:
    """The address of the weight `name` of the layer at `path` (empty for a model of one layer)."""
    return f"{path}/{name}" if path else name


def weight_specs(model: Node) -> dict[str, WeightSpec]:
    """Every weight of the model by its address, in the order of execution."""
    return {
        weight_name(node.path, name): spec
        for node in model.walk()
        for name, spec in _layer_weights(node.layer, node).items()
    }


def count_parameters(model: Node) -> int:
    """The number of trainable parameters; running statistics are not counted."""
    return sum(math.prod(spec.shape) for spec in weight_specs(model).values() if spec.trainable)


def count_macs(model: Node) -> int:
    """Multiply-accumulates of one forward pass of one example.

    Counts the products of Dense, Conv and DepthwiseConv kernels, as the published figures do;
    biases, normalisation, activations and pooling are left out.
    """
    return sum(_kernel_macs(node) for node in model.walk())


def _kernel_macs(node: Node) -> int:
    kernel = _layer_weights(node.layer, node).get("kernel")
    if kernel is None:
        return 0
    positions = math.prod(node.output_shape[:-1])
    return math.prod(kernel.shape) * positions


def count_training_flops(model: Node) -> int:
    """Floating-point operations of one training step on one example, two for each product.

    For a kernel with m multiply-accumulates forward (`count_macs`): 2 m forward, 2 m for the
    kernel's gradient, and 2 m for the gradient of the layer's input, which is left out where
    nothing that is trained lies before the layer: so for the first. Everything that `count_macs`
    leaves out is left out here, and the optimizer's update too: the count is a lower bound of what
    a step does with direct products.
    """
    return 2 * _training_macs(model, passes_gradient_on=False)


def _training_macs(node: Node, passes_gradient_on: bool) -> int:
    """Multiply-accumulates of a step below the node.

    Args:
        node: a layer with its parts.
        passes_gradient_on: whether something that is trained lies before it, so that the gradient
            of its input is needed.
    """
    if not node.children:
        return _kernel_macs(node) * (3 if passes_gradient_on else 2)
    total = 0
    for child in node.children:
        total += _training_macs(child, passes_gradient_on)
        if isinstance(node.layer, Sequential):
            passes_gradient_on = passes_gradient_on or count_parameters(child) > 0
    return total
