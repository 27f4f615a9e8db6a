"""The weights of a model and the cost of its computation, derived from the spec alone.

The canonical layout of a Dense kernel is (in, out), that of a convolution kernel
(height, width, in / groups, out), and that of all other weights (channels,). A weight's address
consists of its layer's path and its name.
"""

from __future__ import annotations

import math
from functools import singledispatch
from typing import Any

import msgspec

from bench.spec.layers import BatchNorm, Conv, Dense, DepthwiseConv, Sequential
from bench.spec.shapes import Node, Shape


class WeightSpec(msgspec.Struct, frozen=True):
    """The shape and the initial values of one weight.

    Attributes:
        shape: in the canonical layout.
        trainable: whether training changes it by its gradient.
        fan_in: for a kernel, the number of inputs of one output. The initial values are drawn from
            a normal distribution with variance 2 / fan_in (He et al., 2015). Otherwise 0.
        constant: the initial value of a weight that is no kernel.
    """

    shape: Shape
    trainable: bool = True
    fan_in: int = 0
    constant: float = 0.0


@singledispatch
def _layer_weights(layer: Any, node: Node) -> dict[str, WeightSpec]:
    """Return no weights; the rules of layers with weights are registered below."""
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
    """Return a weight's address.

    Args:
        path: of the layer; empty for a model of a single layer.
        name: of the weight within its layer.
    """
    return f"{path}/{name}" if path else name


def weight_specs(model: Node) -> dict[str, WeightSpec]:
    """List the weights of a model by their addresses, in the order of execution."""
    return {
        weight_name(node.path, name): spec
        for node in model.walk()
        for name, spec in _layer_weights(node.layer, node).items()
    }


def trainable(model: Node) -> list[str]:
    """List the addresses of the weights that training changes by their gradients."""
    return [address for address, spec in weight_specs(model).items() if spec.trainable]


def count_parameters(model: Node) -> int:
    """Count the trainable parameters; running statistics do not count."""
    return sum(math.prod(spec.shape) for spec in weight_specs(model).values() if spec.trainable)


def count_macs(model: Node) -> int:
    """Count the multiply-accumulates of a forward pass of one example.

    As in publications, only the products of Dense, Conv and DepthwiseConv kernels count; biases,
    normalisation, activations and pooling do not.
    """
    return sum(_kernel_macs(node) for node in model.walk())


def _kernel_macs(node: Node) -> int:
    kernel = _layer_weights(node.layer, node).get("kernel")
    if kernel is None:
        return 0
    positions = math.prod(node.output_shape[:-1])
    return math.prod(kernel.shape) * positions


def count_training_flops(model: Node) -> int:
    """Count the floating-point operations of a training step on one example.

    A kernel with m multiply-accumulates in the forward pass (`count_macs`) needs 2 m operations
    forward, 2 m for its own gradient, and 2 m for the gradient of the layer's input. The input's
    gradient is only needed if there is a trainable layer before, so not for the first one. Like
    `count_macs`, this omits everything but kernels, and also the optimizer's update, so it is a
    lower bound for a step that computes its products directly.
    """
    return 2 * _training_macs(model, passes_gradient_on=False)


def _training_macs(node: Node, passes_gradient_on: bool) -> int:
    """Count the multiply-accumulates of a training step in a node and its parts.

    Args:
        node: a layer with its parts.
        passes_gradient_on: whether there is a trainable layer before it, so that the gradient of
            its input is needed.
    """
    if not node.children:
        return _kernel_macs(node) * (3 if passes_gradient_on else 2)
    total = 0
    for child in node.children:
        total += _training_macs(child, passes_gradient_on)
        if isinstance(node.layer, Sequential):
            passes_gradient_on = passes_gradient_on or count_parameters(child) > 0
    return total
