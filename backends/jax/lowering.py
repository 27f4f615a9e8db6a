"""The model spec as a pure function, `apply(weights, images, training, key)`.

Python dispatches on the layers while JAX traces the function; the compiled program contains none of
it. Feature maps are (n, h, w, c), vectors (n, features), as in the spec.
"""

from __future__ import annotations

import zlib
from functools import singledispatch
from typing import Any, Callable, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from backends.api import unsupported_layer
from backends.jax.windowed import Windowed
from backends.lowering import (
    convolution_of,
    next_statistics,
    register_composites,
    require_layers,
)
from backends.optimizers import Arrays
from bench.spec import layers
from bench.spec.parameters import weight_name
from bench.spec.shapes import Node, padding_of

Apply = Callable[[Arrays, Any, bool, Any], tuple[Any, Arrays]]


def relu6(x: Any) -> Any:
    """Return relu6 with a gradient of 0 at 0 and 6; that of `jax.nn.relu6` is 1/2."""
    return lax.clamp(x.dtype.type(0), x, x.dtype.type(6))


_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "relu": jax.nn.relu,
    "relu6": relu6,
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
    "silu": jax.nn.silu,
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
}


class _Pass(NamedTuple):
    """One pass through the model: its inputs, and the running statistics that it fills in."""

    weights: Arrays
    windowed: Windowed
    training: bool
    key: Any
    statistics: Arrays

    def weight(self, node: Node, name: str) -> Any:
        """Return a weight of the layer at a node; None where it has no such weight."""
        return self.weights.get(weight_name(node.path, name))


def lower(model: Node, windowed: Windowed) -> Apply:
    """Return the model as a pure function.

    Args:
        model: the resolved model.
        windowed: the window operations for the device.

    Returns:
        A function of the weights and statistics by address, the images, whether it is training,
        and a random key for dropout; it returns the logits and, in training, the new statistics.

    Raises:
        Unsupported: a layer that the framework does not support.
    """
    require_layers("JAX", model, _forward)

    def apply(weights: Arrays, images: Any, training: bool, key: Any) -> tuple[Any, Arrays]:
        run = _Pass(weights, windowed, training, key, {})
        logits = _forward(model.layer, model, images, run)
        # The loss of a 16-bit type is computed in float32.
        return logits.astype(jnp.promote_types(logits.dtype, jnp.float32)), run.statistics

    return apply


@singledispatch
def _forward(layer: Any, node: Node, x: Any, run: _Pass) -> Any:
    raise unsupported_layer("JAX", node)


register_composites(
    _forward,
    concatenate=lambda outputs, run: jnp.concatenate(outputs, -1),
    as_map=lambda vector: vector[:, None, None],
)


def _biased(x: Any, node: Node, run: _Pass) -> Any:
    bias = run.weight(node, "bias")
    return x if bias is None else x + bias.astype(x.dtype)


@_forward.register
def _(layer: layers.Dense, node: Node, x: Any, run: _Pass) -> Any:
    return _biased(x @ run.weight(node, "kernel").astype(x.dtype), node, run)


@_forward.register(layers.Conv)
@_forward.register(layers.DepthwiseConv)
def _(layer: Any, node: Node, x: Any, run: _Pass) -> Any:
    _, _, groups, padding = convolution_of(node)
    kernel = run.weight(node, "kernel").astype(x.dtype)
    return _biased(run.windowed.convolve(x, kernel, layer.stride, padding, groups), node, run)


@_forward.register
def _(layer: layers.BatchNorm, node: Node, x: Any, run: _Pass) -> Any:
    running = mean, variance = run.weight(node, "mean"), run.weight(node, "variance")
    given = x.dtype
    x = x.astype(mean.dtype)  # a 16-bit type would lose the statistics
    centred = x - mean
    if run.training:
        axes = tuple(range(x.ndim - 1))
        mean = jnp.mean(x, axes)
        centred = x - mean
        variance = jnp.mean(jnp.square(centred), axes)
        count = x.size // x.shape[-1]
        following = next_statistics(layer, node, running, (mean, variance), count)
        for name, value in zip(("mean", "variance"), following):
            run.statistics[weight_name(node.path, name)] = value
    factor = run.weight(node, "scale") * lax.rsqrt(variance + layer.epsilon)
    return (centred * factor + run.weight(node, "shift")).astype(given)


@_forward.register
def _(layer: layers.Activation, node: Node, x: Any, run: _Pass) -> Any:
    return _FUNCTIONS[layer.function](x)


@_forward.register
def _(layer: layers.MaxPool, node: Node, x: Any, run: _Pass) -> Any:
    padding = padding_of(layer.padding, layer.size)
    return run.windowed.max_pool(x, layer.size, layer.steps, padding)


@_forward.register
def _(layer: layers.AvgPool, node: Node, x: Any, run: _Pass) -> Any:
    return run.windowed.average_pool(x, layer.size, layer.steps)


@_forward.register
def _(layer: layers.GlobalAvgPool, node: Node, x: Any, run: _Pass) -> Any:
    return jnp.mean(x, (1, 2))


@_forward.register
def _(layer: layers.Flatten, node: Node, x: Any, run: _Pass) -> Any:
    return x.reshape(x.shape[0], -1)


@_forward.register
def _(layer: layers.Dropout, node: Node, x: Any, run: _Pass) -> Any:
    if not run.training or layer.rate == 0:
        return x
    key = jax.random.fold_in(run.key, zlib.crc32(node.path.encode()))
    kept = jax.random.bernoulli(key, 1 - layer.rate, x.shape)
    return jnp.where(kept, x / (1 - layer.rate), 0)
