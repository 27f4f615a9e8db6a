"""From a resolved model to a functional Keras model.

Two layers are written here because Keras does not have them: the spec's batch normalisation, and
padding with -infinity.
"""

# Nothing of Keras is typed for mypy here, so its classes can only be subclassed as Any.
# mypy: disable-error-code="misc"

from __future__ import annotations

import math
import zlib
from functools import singledispatch
from typing import Any, NamedTuple

import keras
from keras import ops

from backends.api import unsupported_layer
from backends.keras.engine import Functions
from backends.keras.weights import variables_of
from backends.lowering import register_sequence
from bench.spec import layers
from bench.spec.shapes import Node, padding_of

_ACTIVATIONS: Functions = {
    "relu": keras.activations.relu,
    "relu6": keras.activations.relu6,
    "sigmoid": keras.activations.sigmoid,
    "tanh": keras.activations.tanh,
    "silu": keras.activations.silu,
    "gelu": lambda x: keras.activations.gelu(x, approximate=False),
}


class UnbiasedBatchNormalization(keras.layers.BatchNormalization):
    """Keras's layer, with a running variance that follows the unbiased batch variance."""

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        """Normalise (n, ..., c), in training mode with the moments of the batch."""
        if not training:
            return super().call(inputs, training=training, mask=mask)
        x = ops.cast(inputs, self.variable_dtype)
        mean, variance = ops.moments(x, list(range(len(inputs.shape) - 1)))
        count = ops.cast(math.prod(ops.shape(inputs)[:-1]), self.variable_dtype)
        self._move(self.moving_mean, mean)
        self._move(self.moving_variance, variance * (count / (count - 1)))
        y = ops.batch_normalization(
            x, mean, variance, -1, offset=self.beta, scale=self.gamma, epsilon=self.epsilon
        )
        return ops.cast(y, self.compute_dtype)

    def _move(self, running: Any, batch: Any) -> None:
        running.assign(self.momentum * running + (1 - self.momentum) * batch)


class LowestPadding2D(keras.layers.Layer):
    """Pads with rows and columns of -infinity, which never are a maximum."""

    def __init__(self, padding: int) -> None:
        super().__init__()
        self.padding = padding

    def call(self, inputs: Any) -> Any:
        """Pad (n, h, w, c) to (n, h + 2 * padding, w + 2 * padding, c)."""
        sides = (self.padding, self.padding)
        return ops.pad(inputs, ((0, 0), sides, sides, (0, 0)), constant_values=float("-inf"))


class Lowered(NamedTuple):
    """A Keras model, and its variables by the spec's addresses."""

    model: Any
    variables: dict[str, Any]


class _Target(NamedTuple):
    """The context in which layers are made, and the layers with weights made so far, by path."""

    activations: Functions
    seed: int
    layers: dict[str, Any]

    def applied(self, layer: Any, node: Node, x: Any) -> Any:
        """Apply a layer that has weights, and remember it."""
        self.layers[node.path] = layer
        return layer(x)


def lower(model: Node, activations: Functions, seed: int) -> Lowered:
    """Make the Keras model, with weights drawn by Keras.

    Args:
        model: the resolved model.
        activations: functions that replace Keras's own.
        seed: the seed of dropout.

    Raises:
        Unsupported: a layer that the framework does not support.
    """
    target = _Target({**_ACTIVATIONS, **activations}, seed, {})
    images = keras.Input(model.input_shape)
    network = keras.Model(images, _apply(model.layer, model, images, target))
    return Lowered(network, variables_of(model, target.layers))


@singledispatch
def _apply(layer: Any, node: Node, x: Any, target: _Target) -> Any:
    raise unsupported_layer("Keras", node)


register_sequence(_apply)


@_apply.register
def _(layer: layers.Dense, node: Node, x: Any, target: _Target) -> Any:
    return target.applied(keras.layers.Dense(layer.units, use_bias=layer.bias), node, x)


def _padded(x: Any, size: int, stride: int, padding: int, pad: Any) -> tuple[Any, str]:
    """Pad a map where none of Keras's named paddings is equivalent.

    Keras's "same" is equal to `padding` on every side where the last window ends at the edge;
    otherwise it pads less before than after.

    Args:
        x: (n, h, w, c).
        size: the size of the window.
        stride: the stride of the window.
        padding: the rows and columns on each side.
        pad: the layer that adds them.

    Returns:
        The map, and "same" or "valid" for the following layer.
    """
    if not padding:
        return x, "valid"
    if all((extent + 2 * padding - size) % stride == 0 for extent in x.shape[1:3]):
        return x, "same"
    return pad(padding)(x), "valid"


@_apply.register
def _(layer: layers.Conv, node: Node, x: Any, target: _Target) -> Any:
    padding = padding_of(layer.padding, layer.kernel)
    x, rule = _padded(x, layer.kernel, layer.stride, padding, keras.layers.ZeroPadding2D)
    convolution = keras.layers.Conv2D(
        layer.filters,
        layer.kernel,
        strides=layer.stride,
        padding=rule,
        groups=layer.groups,
        use_bias=layer.bias,
    )
    return target.applied(convolution, node, x)


@_apply.register
def _(layer: layers.DepthwiseConv, node: Node, x: Any, target: _Target) -> Any:
    padding = padding_of(layer.padding, layer.kernel)
    x, rule = _padded(x, layer.kernel, layer.stride, padding, keras.layers.ZeroPadding2D)
    convolution = keras.layers.DepthwiseConv2D(
        layer.kernel, strides=layer.stride, padding=rule, use_bias=layer.bias
    )
    return target.applied(convolution, node, x)


@_apply.register
def _(layer: layers.BatchNorm, node: Node, x: Any, target: _Target) -> Any:
    normalisation = UnbiasedBatchNormalization(momentum=layer.momentum, epsilon=layer.epsilon)
    return target.applied(normalisation, node, x)


@_apply.register
def _(layer: layers.Activation, node: Node, x: Any, target: _Target) -> Any:
    return keras.layers.Activation(target.activations[layer.function])(x)


@_apply.register
def _(layer: layers.MaxPool, node: Node, x: Any, target: _Target) -> Any:
    padding = padding_of(layer.padding, layer.size)
    x, rule = _padded(x, layer.size, layer.steps, padding, LowestPadding2D)
    return keras.layers.MaxPooling2D(layer.size, strides=layer.steps, padding=rule)(x)


@_apply.register
def _(layer: layers.AvgPool, node: Node, x: Any, target: _Target) -> Any:
    return keras.layers.AveragePooling2D(layer.size, strides=layer.steps)(x)


@_apply.register
def _(layer: layers.GlobalAvgPool, node: Node, x: Any, target: _Target) -> Any:
    return keras.layers.GlobalAveragePooling2D()(x)


@_apply.register
def _(layer: layers.Flatten, node: Node, x: Any, target: _Target) -> Any:
    return keras.layers.Flatten()(x)


@_apply.register
def _(layer: layers.Dropout, node: Node, x: Any, target: _Target) -> Any:
    # Each layer has its own stream, which depends on the seed and the layer's path.
    stream = zlib.crc32(f"{target.seed}/{node.path}".encode())
    return keras.layers.Dropout(layer.rate, seed=stream)(x)


def _branches(node: Node, x: Any, target: _Target) -> list[Any]:
    return [_apply(child.layer, child, x, target) for child in node.children]


def _merged(merge: Any, outputs: list[Any]) -> Any:
    """Merge the branches' outputs; Keras cannot merge a single one."""
    return merge(outputs) if len(outputs) > 1 else outputs[0]


@_apply.register
def _(layer: layers.Add, node: Node, x: Any, target: _Target) -> Any:
    return _merged(keras.layers.Add(), _branches(node, x, target))


@_apply.register
def _(layer: layers.Concatenate, node: Node, x: Any, target: _Target) -> Any:
    return _merged(keras.layers.Concatenate(), _branches(node, x, target))


@_apply.register
def _(layer: layers.Multiply, node: Node, x: Any, target: _Target) -> Any:
    outputs = _branches(node, x, target)
    rank = max(len(output.shape) for output in outputs)
    return _merged(keras.layers.Multiply(), [_as_map(output, rank) for output in outputs])


def _as_map(output: Any, rank: int) -> Any:
    """Return a vector (n, c) as a map (n, 1, 1, c) where the other branches are maps."""
    if len(output.shape) == rank:
        return output
    return keras.layers.Reshape((1, 1, output.shape[-1]))(output)
