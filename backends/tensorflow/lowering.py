"""From a resolved model to a function of TensorFlow operations on the model's variables."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from functools import singledispatch
from typing import Any, NamedTuple, Optional

import tensorflow as tf

from backends.api import unsupported_layer
from backends.lowering import multiplied, register_merges
from backends.tensorflow import windows
from backends.tensorflow.normalisation import (
    Channels,
    Normalise,
    normalise_by_moments,
    normalise_fused,
    normalise_over,
)
from backends.tensorflow.parallel import OneDevice
from backends.tensorflow.weights import Variables, typed
from bench.spec import layers
from bench.spec.parameters import weight_name
from bench.spec.shapes import Node, padding_of


def _gelu(x: tf.Tensor) -> tf.Tensor:
    """Return the exact GELU; `tf.nn.gelu` rounds a constant to float32 even in float64."""
    return 0.5 * x * tf.math.erfc(-x * math.sqrt(0.5))


_ACTIVATIONS = {
    "relu": tf.nn.relu,
    "relu6": tf.nn.relu6,
    "sigmoid": tf.sigmoid,
    "tanh": tf.tanh,
    "silu": tf.nn.silu,
    "gelu": _gelu,
}


class Pass:
    """One forward pass.

    Attributes:
        step: the number of the step, which seeds dropout; None in inference.
        statistics: in training, filled with the running statistics and their next values.
    """

    def __init__(self, step: Optional[tf.Tensor] = None) -> None:
        self.step = step
        self.statistics: list[tuple[tf.Variable, tf.Tensor]] = []

    @property
    def training(self) -> bool:
        """Whether this is a training pass."""
        return self.step is not None


# (batch, ...) -> (batch, ...)
Forward = Callable[[tf.Tensor, Pass], tf.Tensor]


class Target(NamedTuple):
    """The target of a lowering.

    Attributes:
        variables: the model's weights by address.
        on_cpu: whether the device is the CPU.
        through_xla: whether XLA compiles the operations.
        seed: the seed of dropout.
        devices: the devices that share each batch.
    """

    variables: Variables
    on_cpu: bool
    through_xla: bool
    seed: int
    devices: OneDevice

    @property
    def shifts_windows(self) -> bool:
        """Whether window operations are written as strided slices; see `windows`."""
        return self.on_cpu and self.through_xla

    def weight(self, node: Node, name: str) -> tf.Variable:
        """Return the layer's weight of that name."""
        return self.variables[weight_name(node.path, name)]


def lower(node: Node, target: Target) -> Forward:
    """Return the function of the layer at `node` and all below it.

    Raises:
        Unsupported: a layer that the framework does not support.
    """
    return _lower(node.layer, node, target)


@singledispatch
def _lower(layer: Any, node: Node, target: Target) -> Forward:
    raise unsupported_layer("TensorFlow", node)


def _with_bias(product: Forward, has_bias: bool, node: Node, target: Target) -> Forward:
    if not has_bias:
        return product
    bias = target.weight(node, "bias")

    def forward(x: tf.Tensor, run: Pass) -> tf.Tensor:
        y = product(x, run)
        return tf.nn.bias_add(y, typed(bias, y.dtype))

    return forward


@_lower.register
def _(layer: layers.Dense, node: Node, target: Target) -> Forward:
    kernel = target.weight(node, "kernel")
    return _with_bias(lambda x, run: tf.matmul(x, typed(kernel, x.dtype)), layer.bias, node, target)


@_lower.register
def _(layer: layers.Conv, node: Node, target: Target) -> Forward:
    kernel = target.weight(node, "kernel")
    padding = padding_of(layer.padding, layer.kernel)
    # On a CPU, TensorFlow has no gradient of grouped convolutions, and XLA no fast kernel.
    splits = layer.groups if target.on_cpu else 1

    def forward(x: tf.Tensor, run: Pass) -> tf.Tensor:
        x, rule = windows.pad(x, layer.kernel, layer.stride, padding)
        filters = typed(kernel, x.dtype)
        if splits == 1:
            return tf.nn.conv2d(x, filters, layer.stride, rule)
        groups = zip(tf.split(x, splits, axis=-1), tf.split(filters, splits, axis=-1))
        return tf.concat([tf.nn.conv2d(*group, layer.stride, rule) for group in groups], axis=-1)

    return _with_bias(forward, layer.bias, node, target)


@_lower.register
def _(layer: layers.DepthwiseConv, node: Node, target: Target) -> Forward:
    kernel = target.weight(node, "kernel")
    size, channels = layer.kernel, node.input_shape[2]
    padding = padding_of(layer.padding, size)

    def forward(x: tf.Tensor, run: Pass) -> tf.Tensor:
        if target.shifts_windows:
            short = typed(kernel, x.dtype)
            return windows.shifted_depthwise_conv(x, short, layer.stride, padding)
        x, rule = windows.pad(x, size, layer.stride, padding)
        filters = tf.reshape(typed(kernel, x.dtype), (size, size, channels, 1))
        return tf.nn.depthwise_conv2d(x, filters, [1, layer.stride, layer.stride, 1], rule)

    return _with_bias(forward, layer.bias, node, target)


@_lower.register
def _(layer: layers.BatchNorm, node: Node, target: Target) -> Forward:
    channels = Channels(*(target.weight(node, name) for name in Channels._fields))
    normalise: Normalise = (
        normalise_fused if channels.scale.dtype == tf.float32 else normalise_by_moments
    )
    if target.devices.number > 1:
        normalise = normalise_over(target.devices)

    def forward(x: tf.Tensor, run: Pass) -> tf.Tensor:
        # A 16-bit type would lose the statistics.
        exact = typed(x, channels.mean.dtype)
        y, mean, variance = normalise(exact, channels, layer, run.training)
        if run.training:
            run.statistics += [(channels.mean, mean), (channels.variance, variance)]
        return typed(y, x.dtype)

    return forward


@_lower.register
def _(layer: layers.Activation, node: Node, target: Target) -> Forward:
    function = _ACTIVATIONS[layer.function]
    return lambda x, run: function(x)


@_lower.register
def _(layer: layers.MaxPool, node: Node, target: Target) -> Forward:
    padding = padding_of(layer.padding, layer.size)
    if target.shifts_windows:
        return lambda x, run: windows.shifted_max_pool(x, layer.size, layer.steps, padding)

    def forward(x: tf.Tensor, run: Pass) -> tf.Tensor:
        x, rule = windows.pad(x, layer.size, layer.steps, padding, x.dtype.min)
        return tf.nn.max_pool2d(x, layer.size, layer.steps, rule)

    return forward


@_lower.register
def _(layer: layers.AvgPool, node: Node, target: Target) -> Forward:
    if target.shifts_windows:
        return lambda x, run: windows.shifted_avg_pool(x, layer.size, layer.steps)
    return lambda x, run: tf.nn.avg_pool2d(x, layer.size, layer.steps, "VALID")


@_lower.register
def _(layer: layers.GlobalAvgPool, node: Node, target: Target) -> Forward:
    return lambda x, run: tf.reduce_mean(x, (1, 2))


@_lower.register
def _(layer: layers.Flatten, node: Node, target: Target) -> Forward:
    return lambda x, run: tf.reshape(x, (-1, *node.output_shape))


@_lower.register
def _(layer: layers.Dropout, node: Node, target: Target) -> Forward:
    # Each layer has its own stream, which depends on the seed and the layer's path.
    stream = zlib.crc32(f"{target.seed}/{node.path}".encode())

    def forward(x: tf.Tensor, run: Pass) -> tf.Tensor:
        if not (run.training and layer.rate):
            return x
        seed = tf.stack([target.devices.own_stream(stream), run.step])
        return tf.nn.experimental.stateless_dropout(x, layer.rate, seed)

    return forward


@_lower.register
def _(layer: layers.Identity, node: Node, target: Target) -> Forward:
    return lambda x, run: x


def _chained(parts: list[Forward]) -> Forward:
    def forward(x: tf.Tensor, run: Pass) -> tf.Tensor:
        for part in parts:
            x = part(x, run)
        return x

    return forward


def _merged(merge: Callable[[list[tf.Tensor]], tf.Tensor]) -> Callable[[list[Forward]], Forward]:
    """Return the function from the branches of a composite to the function that merges them."""
    return lambda parts: lambda x, run: merge([part(x, run) for part in parts])


def _multiply(outputs: list[tf.Tensor]) -> tf.Tensor:
    return multiplied(outputs, lambda vector: vector[:, None, None])


register_merges(
    _lower,
    {
        layers.Sequential: _chained,
        layers.Add: _merged(tf.add_n),
        layers.Concatenate: _merged(lambda outputs: tf.concat(outputs, axis=-1)),
        layers.Multiply: _merged(_multiply),
    },
)
