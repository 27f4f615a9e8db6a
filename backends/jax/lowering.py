"""The model spec as one pure function, `apply(weights, images, training, key)`.

Dispatch on the layer's class happens while JAX traces the function; nothing of it is left in the
compiled program. Feature maps are (n, h, w, c), vectors (n, features): the spec's own layout.
"""

from __future__ import annotations

import operator
import zlib
from functools import reduce, singledispatch
from typing import Any, Callable, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from backends.api import Unsupported
from backends.jax.optimizers import Arrays
from backends.jax.windowed import Windowed
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
    "relu": jax.nn.relu,
    # Not jax.nn.relu6, whose gradient is one half at 0 and at 6 instead of 0.
    "relu6": lambda x: lax.clamp(x.dtype.type(0), x, x.dtype.type(6)),
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
    "silu": jax.nn.silu,
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
}


class _Pass(NamedTuple):
    """One run of the model: what it reads, and the running statistics that it leaves behind."""

    weights: Arrays
    windowed: Windowed
    training: bool
    key: Any
    statistics: Arrays

    def weight(self, node: Node, name: str) -> Any:
        """The weight `name` of the layer at a node; None when the layer has no such weight."""
        return self.weights.get(weight_name(node.path, name))


def lower(model: Node, windowed: Windowed) -> Apply:
    """The model as a pure function.

    Args:
        model: the resolved model.
        windowed: the operations on windows that suit the device.

    Returns:
        A function of the weights and statistics by address, the images, whether it is training,
        and a random key for dropout; it returns the logits and, in training, the new statistics.

    Raises:
        Unsupported: a layer without a lowering.
    """
    for node in model.walk():
        if _forward.dispatch(type(node.layer)) is _forward.dispatch(object):
            raise Unsupported(f"layer {node.layer.kind} at {node.path or 'the root'}")

    def apply(weights: Arrays, images: Any, training: bool, key: Any) -> tuple[Any, Arrays]:
        run = _Pass(weights, windowed, training, key, {})
        logits = _forward(model.layer, model, images, run)
        # The loss of a short type is computed in float32.
        return logits.astype(jnp.promote_types(logits.dtype, jnp.float32)), run.statistics

    return apply


@singledispatch
def _forward(layer: Any, node: Node, x: Any, run: _Pass) -> Any:
    """The layer's output; each class that JAX supports is registered below."""
    raise NotImplementedError(layer)


def _biased(x: Any, node: Node, run: _Pass) -> Any:
    bias = run.weight(node, "bias")
    return x if bias is None else x + bias.astype(x.dtype)


@_forward.register
def _(layer: Dense, node: Node, x: Any, run: _Pass) -> Any:
    return _biased(x @ run.weight(node, "kernel").astype(x.dtype), node, run)


@_forward.register
def _(layer: Conv, node: Node, x: Any, run: _Pass) -> Any:
    padding = padding_of(layer.padding, layer.kernel)
    kernel = run.weight(node, "kernel").astype(x.dtype)
    x = run.windowed.convolve(x, kernel, layer.stride, padding, layer.groups)
    return _biased(x, node, run)


@_forward.register
def _(layer: DepthwiseConv, node: Node, x: Any, run: _Pass) -> Any:
    padding = padding_of(layer.padding, layer.kernel)
    kernel = run.weight(node, "kernel").astype(x.dtype)
    x = run.windowed.convolve(x, kernel, layer.stride, padding, x.shape[-1])
    return _biased(x, node, run)


@_forward.register
def _(layer: BatchNorm, node: Node, x: Any, run: _Pass) -> Any:
    mean, variance = run.weight(node, "mean"), run.weight(node, "variance")
    given = x.dtype
    x = x.astype(mean.dtype)  # a short type would lose the statistics
    centred = x - mean
    if run.training:
        axes = tuple(range(x.ndim - 1))
        mean = jnp.mean(x, axes)
        centred = x - mean
        variance = jnp.mean(jnp.square(centred), axes)
        _keep_statistics(layer, node, run, mean, variance * _bessel(x.size // x.shape[-1], node))
    factor = run.weight(node, "scale") * lax.rsqrt(variance + layer.epsilon)
    return (centred * factor + run.weight(node, "shift")).astype(given)


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
    padding = padding_of(layer.padding, layer.size)
    return run.windowed.max_pool(x, layer.size, layer.steps, padding)


@_forward.register
def _(layer: AvgPool, node: Node, x: Any, run: _Pass) -> Any:
    return run.windowed.average_pool(x, layer.size, layer.steps)


@_forward.register
def _(layer: GlobalAvgPool, node: Node, x: Any, run: _Pass) -> Any:
    return jnp.mean(x, (1, 2))


@_forward.register
def _(layer: Flatten, node: Node, x: Any, run: _Pass) -> Any:
    return x.reshape(x.shape[0], -1)


@_forward.register
def _(layer: Dropout, node: Node, x: Any, run: _Pass) -> Any:
    if not run.training or layer.rate == 0:
        return x
    key = jax.random.fold_in(run.key, zlib.crc32(node.path.encode()))
    kept = jax.random.bernoulli(key, 1 - layer.rate, x.shape)
    return jnp.where(kept, x / (1 - layer.rate), 0)


@_forward.register
def _(layer: Identity, node: Node, x: Any, run: _Pass) -> Any:
    return x


def _branches(node: Node, x: Any, run: _Pass) -> list[Any]:
    return [_forward(child.layer, child, x, run) for child in node.children]


@_forward.register
def _(layer: Sequential, node: Node, x: Any, run: _Pass) -> Any:
    for child in node.children:
        x = _forward(child.layer, child, x, run)
    return x


@_forward.register
def _(layer: Add, node: Node, x: Any, run: _Pass) -> Any:
    return reduce(operator.add, _branches(node, x, run))


@_forward.register
def _(layer: Concatenate, node: Node, x: Any, run: _Pass) -> Any:
    return jnp.concatenate(_branches(node, x, run), -1)


@_forward.register
def _(layer: Multiply, node: Node, x: Any, run: _Pass) -> Any:
    outputs = _branches(node, x, run)
    rank = max(output.ndim for output in outputs)
    return reduce(operator.mul, [_as_map(output, rank) for output in outputs])


def _as_map(output: Any, rank: int) -> Any:
    """A vector (n, c) as a map (n, 1, 1, c) where its partners are maps."""
    ones = (1,) * (rank - output.ndim)
    return output.reshape(output.shape[0], *ones, *output.shape[1:])
