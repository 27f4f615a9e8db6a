"""The model spec as a pure function of MLX arrays, `apply(weights, images, training, keys)`.

Feature maps are (n, h, w, c), vectors (n, features), in MLX as in the spec.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import singledispatch
from typing import Any, Callable, NamedTuple

import mlx.core as mx

from backends.api import unsupported_layer
from backends.lowering import (
    convolution_of,
    next_statistics,
    register_composites,
    require_layers,
)
from backends.mlx.convolution import convolve
from backends.mlx.windows import Windows, average_pool, max_pool
from backends.optimizers import Arrays
from bench.spec import layers
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
    """One pass: its inputs, with a random key per dropout, and the statistics that it fills in."""

    weights: Arrays
    training: bool
    keys: Iterator[Any]
    statistics: Arrays

    def weight(self, node: Node, name: str) -> Any:
        """Return a weight of the layer at a node; None where it has no such weight."""
        return self.weights.get(weight_name(node.path, name))


def lower(model: Node) -> Apply:
    """Return the model as a pure function.

    Returns:
        A function of the weights and statistics by address, the images, whether it is training,
        and a random key for each of `count_drops`; it returns the logits and, in training, the new
        statistics.

    Raises:
        Unsupported: a layer that the framework does not support.
    """
    require_layers("MLX", model, _forward)

    def apply(weights: Arrays, images: Any, training: bool, keys: Any) -> tuple[Any, Arrays]:
        run = _Pass(weights, training, iter(keys), {})
        return _forward(model.layer, model, images, run), run.statistics

    return apply


def count_drops(model: Node) -> int:
    """Return the number of layers that drop values in training."""
    return sum(
        isinstance(node.layer, layers.Dropout) and node.layer.rate > 0 for node in model.walk()
    )


@singledispatch
def _forward(layer: Any, node: Node, x: Any, run: _Pass) -> Any:
    raise unsupported_layer("MLX", node)


register_composites(
    _forward,
    concatenate=lambda outputs, run: mx.concatenate(outputs, -1),
    as_map=lambda vector: vector[:, None, None],
)


@_forward.register
def _(layer: layers.Dense, node: Node, x: Any, run: _Pass) -> Any:
    kernel, bias = run.weight(node, "kernel"), run.weight(node, "bias")
    return x @ kernel if bias is None else mx.addmm(bias, x, kernel)


@_forward.register(layers.Conv)
@_forward.register(layers.DepthwiseConv)
def _(layer: Any, node: Node, x: Any, run: _Pass) -> Any:
    _, _, groups, padding = convolution_of(node)
    windows = Windows(layer.kernel, layer.stride, padding)
    y = convolve(x, run.weight(node, "kernel"), windows, groups)
    bias = run.weight(node, "bias")
    return y if bias is None else y + bias


@_forward.register
def _(layer: layers.BatchNorm, node: Node, x: Any, run: _Pass) -> Any:
    running = mean, variance = run.weight(node, "mean"), run.weight(node, "variance")
    axes = tuple(range(x.ndim - 1))
    if run.training:
        mean = mx.mean(x, axes)
    centred = x - mean
    if run.training:
        variance = mx.mean(mx.square(centred), axes)
        count = x.size // x.shape[-1]
        following = next_statistics(layer, node, running, (mean, variance), count)
        for name, value in zip(("mean", "variance"), following):
            run.statistics[weight_name(node.path, name)] = value
    factor = run.weight(node, "scale") * mx.rsqrt(variance + layer.epsilon)
    return centred * factor + run.weight(node, "shift")


@_forward.register
def _(layer: layers.Activation, node: Node, x: Any, run: _Pass) -> Any:
    return _FUNCTIONS[layer.function](x)


@_forward.register
def _(layer: layers.MaxPool, node: Node, x: Any, run: _Pass) -> Any:
    return max_pool(x, layer.size, layer.steps, padding_of(layer.padding, layer.size))


@_forward.register
def _(layer: layers.AvgPool, node: Node, x: Any, run: _Pass) -> Any:
    return average_pool(x, layer.size, layer.steps)


@_forward.register
def _(layer: layers.GlobalAvgPool, node: Node, x: Any, run: _Pass) -> Any:
    return mx.mean(x, (1, 2))


@_forward.register
def _(layer: layers.Flatten, node: Node, x: Any, run: _Pass) -> Any:
    return x.reshape(x.shape[0], -1)


@_forward.register
def _(layer: layers.Dropout, node: Node, x: Any, run: _Pass) -> Any:
    if not run.training or layer.rate == 0:
        return x
    kept = mx.random.bernoulli(1 - layer.rate, x.shape, key=next(run.keys))
    return mx.where(kept, x / (1 - layer.rate), 0)
