"""The model spec as one pure function of MLX arrays, `apply(weights, images, training, keys)`.

Feature maps are (n, h, w, c), vectors (n, features): MLX's own layout and the spec's.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator
from functools import reduce, singledispatch
from typing import Any, Callable, NamedTuple

import mlx.core as mx

from backends.api import Unsupported
from backends.mlx.convolution import convolve
from backends.mlx.optimizers import Arrays
from backends.mlx.pooling import average_pool, max_pool
from backends.mlx.windows import Windows
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

Apply = Callable[[Arrays, Any, bool, Any], tuple[Any, Arrays]]

_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "relu": lambda x: mx.maximum(x, 0),
    "relu6": lambda x: mx.minimum(mx.maximum(x, 0), 6),
    "sigmoid": mx.sigmoid,
    "tanh": mx.tanh,
    "silu": lambda x: x * mx.sigmoid(x),
    "gelu": lambda x: 0.5 * x * (1 + mx.erf(x * math.sqrt(0.5))),
}


class _Pass(NamedTuple):
    """One run of the model: what it reads, and the running statistics that it leaves behind.

    Attributes:
        weights: all of them and the running statistics, by address.
        training: whether this is a pass of training.
        keys: a random key for each dropout; none are needed elsewhere.
        statistics: in training, the next running statistics by address.
    """

    weights: Arrays
    training: bool
    keys: Iterator[Any]
    statistics: Arrays

    def weight(self, node: Node, name: str) -> Any:
        """The weight `name` of the layer at a node; None when the layer has no such weight."""
        return self.weights.get(weight_name(node.path, name))


def lower(model: Node) -> Apply:
    """The model as a pure function.

    Args:
        model: the resolved model.

    Returns:
        A function of the weights and statistics by address, the images, whether it is training,
        and as many random keys as `count_drops` says; it returns the logits and, in training, the
        new statistics.

    Raises:
        Unsupported: a layer without a lowering.
    """
    for node in model.walk():
        if _forward.dispatch(type(node.layer)) is _forward.dispatch(object):
            raise Unsupported(f"layer {node.layer.kind} at {node.path or 'the root'}")

    def apply(weights: Arrays, images: Any, training: bool, keys: Any) -> tuple[Any, Arrays]:
        run = _Pass(weights, training, iter(keys), {})
        return _forward(model.layer, model, images, run), run.statistics

    return apply


def count_drops(model: Node) -> int:
    """How many layers of the model drop values in training."""
    return sum(isinstance(node.layer, Dropout) and node.layer.rate > 0 for node in model.walk())


@singledispatch
def _forward(layer: Any, node: Node, x: Any, run: _Pass) -> Any:
    """The layer's output; each class that MLX supports is registered below."""
    raise NotImplementedError(layer)


@_forward.register
def _(layer: Dense, node: Node, x: Any, run: _Pass) -> Any:
    kernel, bias = run.weight(node, "kernel"), run.weight(node, "bias")
    return x @ kernel if bias is None else mx.addmm(bias, x, kernel)


@_forward.register
def _(layer: Conv, node: Node, x: Any, run: _Pass) -> Any:
    return _convolved(x, node, run, layer.groups)


@_forward.register
def _(layer: DepthwiseConv, node: Node, x: Any, run: _Pass) -> Any:
    return _convolved(x, node, run, node.input_shape[2])


def _convolved(x: Any, node: Node, run: _Pass, groups: int) -> Any:
    layer: Any = node.layer
    padding = padding_of(layer.padding, layer.kernel)
    windows = Windows(layer.kernel, layer.stride, padding)
    y = convolve(x, run.weight(node, "kernel"), windows, groups)
    bias = run.weight(node, "bias")
    return y if bias is None else y + bias


@_forward.register
def _(layer: BatchNorm, node: Node, x: Any, run: _Pass) -> Any:
    mean, variance = run.weight(node, "mean"), run.weight(node, "variance")
    axes = tuple(range(x.ndim - 1))
    if run.training:
        mean = mx.mean(x, axes)
    centred = x - mean
    if run.training:
        variance = mx.mean(mx.square(centred), axes)
        _keep_statistics(layer, node, run, mean, variance * _bessel(x.size // x.shape[-1], node))
    factor = run.weight(node, "scale") * mx.rsqrt(variance + layer.epsilon)
    return centred * factor + run.weight(node, "shift")


def _keep_statistics(layer: BatchNorm, node: Node, run: _Pass, mean: Any, variance: Any) -> None:
    for name, batch in (("mean", mean), ("variance", variance)):
        running = layer.momentum * run.weight(node, name) + (1 - layer.momentum) * batch
        run.statistics[weight_name(node.path, name)] = running


def _bessel(count: int, node: Node) -> float:
    """What turns the biased variance of `count` values into the unbiased one."""
    if count < 2:
        raise ValueError(
            f"{node.path or 'the model'}: received {count} value a channel in a training batch, "
            "expected 2 or more for the unbiased variance: make the batch larger"
        )
    return count / (count - 1)


@_forward.register
def _(layer: Activation, node: Node, x: Any, run: _Pass) -> Any:
    return _FUNCTIONS[layer.function](x)


@_forward.register
def _(layer: MaxPool, node: Node, x: Any, run: _Pass) -> Any:
    return max_pool(x, layer.size, layer.steps, padding_of(layer.padding, layer.size))


@_forward.register
def _(layer: AvgPool, node: Node, x: Any, run: _Pass) -> Any:
    return average_pool(x, layer.size, layer.steps)


@_forward.register
def _(layer: GlobalAvgPool, node: Node, x: Any, run: _Pass) -> Any:
    return mx.mean(x, (1, 2))


@_forward.register
def _(layer: Flatten, node: Node, x: Any, run: _Pass) -> Any:
    return x.reshape(x.shape[0], -1)


@_forward.register
def _(layer: Dropout, node: Node, x: Any, run: _Pass) -> Any:
    if not run.training or layer.rate == 0:
        return x
    kept = mx.random.bernoulli(1 - layer.rate, x.shape, key=next(run.keys))
    return mx.where(kept, x / (1 - layer.rate), 0)


@_forward.register
def _(layer: Identity, node: Node, x: Any, run: _Pass) -> Any:
    return x


@_forward.register
def _(layer: Sequential, node: Node, x: Any, run: _Pass) -> Any:
    for child in node.children:
        x = _forward(child.layer, child, x, run)
    return x


def _branches(node: Node, x: Any, run: _Pass) -> list[Any]:
    return [_forward(child.layer, child, x, run) for child in node.children]


@_forward.register
def _(layer: Add, node: Node, x: Any, run: _Pass) -> Any:
    return reduce(operator.add, _branches(node, x, run))


@_forward.register
def _(layer: Concatenate, node: Node, x: Any, run: _Pass) -> Any:
    return mx.concatenate(_branches(node, x, run), -1)


@_forward.register
def _(layer: Multiply, node: Node, x: Any, run: _Pass) -> Any:
    outputs = _branches(node, x, run)
    rank = max(output.ndim for output in outputs)
    return reduce(operator.mul, [_as_map(output, rank) for output in outputs])


def _as_map(output: Any, rank: int) -> Any:
    """A vector (n, c) as a map (n, 1, 1, c) where its partners are maps."""
    return output if output.ndim == rank else output[:, None, None]
