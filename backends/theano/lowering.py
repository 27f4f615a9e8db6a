"""From a resolved model to a graph of Theano's operations on the model's shared variables.

Feature maps are (n, c, h, w), vectors (n, features).
"""

from __future__ import annotations

import math
import operator
from functools import reduce, singledispatch
from typing import Any, Callable, NamedTuple

import numpy as np
from theano import tensor
from theano.tensor import nnet
from theano.tensor.signal.pool import pool_2d

from backends.api import Unsupported, unsupported_layer
from backends.theano.pooling import max_pool
from backends.theano.weights import Variables
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
from bench.spec.parameters import weight_name
from bench.spec.shapes import Node, padding_of

# Below, Theano refuses to normalise, after cuDNN's example.
_LEAST_EPSILON = 1e-5


def _relu(x: Any) -> Any:
    """The larger of x and 0; `nnet.relu` has a derivative of one half at 0."""
    return tensor.switch(x > 0, x, 0)


def _relu6(x: Any) -> Any:
    """Between 0 and 6; the derivative of `tensor.clip` is 1 at both ends."""
    return tensor.switch(tensor.and_(x > 0, x < 6), x, tensor.cast(6 * (x >= 6), x.dtype))


_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "relu": _relu,
    "relu6": _relu6,
    "sigmoid": nnet.sigmoid,
    "tanh": tensor.tanh,
    "silu": lambda x: x * nnet.sigmoid(x),
    "gelu": lambda x: 0.5 * x * (1 + tensor.erf(x * math.sqrt(0.5))),
}


class Pass(NamedTuple):
    """One way through the model: what it reads, and what it leaves behind.

    Attributes:
        variables: the model's weights by address.
        training: whether this is a pass of training.
        random: the streams that dropout draws from.
        statistics: in training, the running statistics and the values they are to take.
    """

    variables: Variables
    training: bool
    random: Any
    statistics: list[tuple[Any, Any]]

    def weight(self, node: Node, name: str) -> Any:
        """The weight `name` of the layer at a node; None where it has no such weight."""
        return self.variables.get(weight_name(node.path, name))


def forward(node: Node, x: Any, run: Pass) -> Any:
    """The output of the layer at `node`, and all below it, for an input (batch, ...).

    Raises:
        Unsupported: a layer, or a setting of one, that Theano lacks.
    """
    return _forward(node.layer, node, x, run)


@singledispatch
def _forward(layer: Any, node: Node, x: Any, run: Pass) -> Any:
    raise unsupported_layer("Theano", node)


@_forward.register
def _(layer: Dense, node: Node, x: Any, run: Pass) -> Any:
    product = tensor.dot(x, run.weight(node, "kernel"))
    bias = run.weight(node, "bias")
    return product if bias is None else product + bias


@_forward.register
def _(layer: Conv, node: Node, x: Any, run: Pass) -> Any:
    return _convolved(x, node, run, layer.groups)


@_forward.register
def _(layer: DepthwiseConv, node: Node, x: Any, run: Pass) -> Any:
    return _convolved(x, node, run, node.input_shape[2])


def _convolved(x: Any, node: Node, run: Pass, groups: int) -> Any:
    layer: Any = node.layer
    height, width, channels = node.input_shape
    kernel, bias = run.weight(node, "kernel"), run.weight(node, "bias")
    y = nnet.conv2d(
        x,
        kernel,
        input_shape=(None, channels, height, width),
        filter_shape=kernel.get_value(borrow=True).shape,
        border_mode=padding_of(layer.padding, layer.kernel),
        subsample=(layer.stride, layer.stride),
        filter_flip=False,
        num_groups=groups,
    )
    return y if bias is None else y + bias.dimshuffle("x", 0, "x", "x")


@_forward.register
def _(layer: BatchNorm, node: Node, x: Any, run: Pass) -> Any:
    names = ("scale", "shift", "mean", "variance")
    scale, shift, mean, variance = (run.weight(node, name) for name in names)
    axes = "spatial" if x.ndim == 4 else "per-activation"
    epsilon = _epsilon(layer, node, x.dtype)
    if not run.training:
        return nnet.bn.batch_normalization_test(x, scale, shift, mean, variance, axes, epsilon)
    y, _, _, next_mean, next_variance = nnet.bn.batch_normalization_train(
        x, scale, shift, axes, epsilon, 1 - layer.momentum, mean, variance
    )
    run.statistics.extend([(mean, next_mean), (variance, next_variance)])
    return y


def _epsilon(layer: BatchNorm, node: Node, dtype: str) -> float:
    """The epsilon as a number of that type, rounded up where down would be below the least."""
    if layer.epsilon < _LEAST_EPSILON:
        raise Unsupported(
            f"{node.path or 'the model'}: batch_norm with epsilon={layer.epsilon:g}, Theano has "
            f"only {_LEAST_EPSILON:g} and more"
        )
    kind = np.dtype(dtype).type
    rounded = kind(layer.epsilon)
    return float(rounded if float(rounded) >= layer.epsilon else np.nextafter(rounded, kind(1)))


@_forward.register
def _(layer: Activation, node: Node, x: Any, run: Pass) -> Any:
    return _FUNCTIONS[layer.function](x)


@_forward.register
def _(layer: MaxPool, node: Node, x: Any, run: Pass) -> Any:
    return max_pool(x, layer, node.input_shape)


@_forward.register
def _(layer: AvgPool, node: Node, x: Any, run: Pass) -> Any:
    window, steps = (layer.size, layer.size), (layer.steps, layer.steps)
    return pool_2d(x, window, ignore_border=True, stride=steps, mode="average_exc_pad")


@_forward.register
def _(layer: GlobalAvgPool, node: Node, x: Any, run: Pass) -> Any:
    return x.mean(axis=(2, 3))


@_forward.register
def _(layer: Flatten, node: Node, x: Any, run: Pass) -> Any:
    # Of one channel, or of one position, the values lie in the spec's order already.
    is_mixed = x.ndim == 4 and node.input_shape[2] > 1 and node.input_shape[:2] != (1, 1)
    return (x.dimshuffle(0, 2, 3, 1) if is_mixed else x).flatten(2)


@_forward.register
def _(layer: Dropout, node: Node, x: Any, run: Pass) -> Any:
    if not run.training or layer.rate == 0:
        return x
    kept = 1 - layer.rate
    return x * run.random.binomial(x.shape, p=kept, dtype=x.dtype) / kept


@_forward.register
def _(layer: Identity, node: Node, x: Any, run: Pass) -> Any:
    return x


@_forward.register
def _(layer: Sequential, node: Node, x: Any, run: Pass) -> Any:
    for child in node.children:
        x = forward(child, x, run)
    return x


def _branches(node: Node, x: Any, run: Pass) -> list[Any]:
    return [forward(child, x, run) for child in node.children]


@_forward.register
def _(layer: Add, node: Node, x: Any, run: Pass) -> Any:
    return reduce(operator.add, _branches(node, x, run))


@_forward.register
def _(layer: Concatenate, node: Node, x: Any, run: Pass) -> Any:
    return tensor.concatenate(_branches(node, x, run), axis=1)


@_forward.register
def _(layer: Multiply, node: Node, x: Any, run: Pass) -> Any:
    outputs = _branches(node, x, run)
    rank = max(output.ndim for output in outputs)
    return reduce(operator.mul, [_as_map(output, rank) for output in outputs])


def _as_map(output: Any, rank: int) -> Any:
    """A vector (n, c) as a map (n, c, 1, 1) where its partners are maps."""
    return output if output.ndim == rank else output.dimshuffle(0, 1, "x", "x")
