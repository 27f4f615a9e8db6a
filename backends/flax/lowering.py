"""From a resolved model to a tree of Flax modules.

A composite becomes a module with its parts by index in `layers`, so the spec's path
`2.add/0.sequential/1.conv` is the module `layers[2].layers[0].layers[1]`.
"""

from __future__ import annotations

from functools import partial, singledispatch
from typing import Any, Callable

import jax.numpy as jnp
from flax import nnx
from jax import lax

from backends.api import unsupported_layer
from backends.flax import modules
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
from bench.spec.shapes import Node, padding_of

_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "relu": nnx.relu,
    # The gradient of nnx.relu6 is 1/2 at 0 and at 6; the spec's is 0.
    "relu6": lambda x: lax.clamp(x.dtype.type(0), x, x.dtype.type(6)),
    "sigmoid": nnx.sigmoid,
    "tanh": nnx.tanh,
    "silu": nnx.silu,
    "gelu": partial(nnx.gelu, approximate=False),
}


@singledispatch
def lower(layer: Any, node: Node, dtype: Any, rngs: Any) -> Any:
    """Make the module of the layer at `node` and all below it, with weights drawn by Flax.

    Args:
        layer: the node's layer.
        node: where it is.
        dtype: the type of the weights.
        rngs: Flax's random streams, for the weights and for dropout.

    Raises:
        Unsupported: a layer that the framework does not support.
    """
    raise unsupported_layer("Flax", node)


@lower.register
def _(layer: Dense, node: Node, dtype: Any, rngs: Any) -> Any:
    (features,) = node.input_shape
    return nnx.Linear(features, layer.units, use_bias=layer.bias, param_dtype=dtype, rngs=rngs)


@lower.register
def _(layer: Conv, node: Node, dtype: Any, rngs: Any) -> Any:
    return nnx.Conv(
        node.input_shape[2],
        layer.filters,
        (layer.kernel, layer.kernel),
        strides=layer.stride,
        padding=_sides(layer.padding, layer.kernel),
        feature_group_count=layer.groups,
        use_bias=layer.bias,
        param_dtype=dtype,
        rngs=rngs,
    )


@lower.register
def _(layer: DepthwiseConv, node: Node, dtype: Any, rngs: Any) -> Any:
    channels = node.input_shape[2]
    return nnx.Conv(
        channels,
        channels,
        (layer.kernel, layer.kernel),
        strides=layer.stride,
        padding=_sides(layer.padding, layer.kernel),
        feature_group_count=channels,
        use_bias=layer.bias,
        param_dtype=dtype,
        rngs=rngs,
    )


def _sides(padding: str, size: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the padding before and after, for height and width."""
    amount = padding_of(padding, size)
    return (amount, amount), (amount, amount)


@lower.register
def _(layer: BatchNorm, node: Node, dtype: Any, rngs: Any) -> Any:
    return modules.UnbiasedBatchNorm(
        node.input_shape[-1],
        momentum=layer.momentum,
        epsilon=layer.epsilon,
        param_dtype=dtype,
        rngs=rngs,
    )


@lower.register
def _(layer: Activation, node: Node, dtype: Any, rngs: Any) -> Any:
    return modules.Function(_FUNCTIONS[layer.function])


@lower.register
def _(layer: MaxPool, node: Node, dtype: Any, rngs: Any) -> Any:
    window, strides = (layer.size, layer.size), (layer.steps, layer.steps)
    sides = _sides(layer.padding, layer.size)
    return modules.Function(
        partial(nnx.max_pool, window_shape=window, strides=strides, padding=sides)
    )


@lower.register
def _(layer: AvgPool, node: Node, dtype: Any, rngs: Any) -> Any:
    window, strides = (layer.size, layer.size), (layer.steps, layer.steps)
    return modules.Function(partial(nnx.avg_pool, window_shape=window, strides=strides))


@lower.register
def _(layer: GlobalAvgPool, node: Node, dtype: Any, rngs: Any) -> Any:
    return modules.Function(partial(jnp.mean, axis=(1, 2)))


@lower.register
def _(layer: Flatten, node: Node, dtype: Any, rngs: Any) -> Any:
    return modules.Function(lambda x: x.reshape(x.shape[0], -1))


@lower.register
def _(layer: Dropout, node: Node, dtype: Any, rngs: Any) -> Any:
    return nnx.Dropout(layer.rate, rngs=rngs)


@lower.register
def _(layer: Identity, node: Node, dtype: Any, rngs: Any) -> Any:
    return modules.Function(nnx.identity)


def _parts(node: Node, dtype: Any, rngs: Any) -> list[Any]:
    return [lower(child.layer, child, dtype, rngs) for child in node.children]


@lower.register
def _(layer: Sequential, node: Node, dtype: Any, rngs: Any) -> Any:
    return nnx.Sequential(*_parts(node, dtype, rngs))


@lower.register
def _(layer: Add, node: Node, dtype: Any, rngs: Any) -> Any:
    return modules.Add(_parts(node, dtype, rngs))


@lower.register
def _(layer: Concatenate, node: Node, dtype: Any, rngs: Any) -> Any:
    return modules.Concatenate(_parts(node, dtype, rngs))


@lower.register
def _(layer: Multiply, node: Node, dtype: Any, rngs: Any) -> Any:
    return modules.Multiply(_parts(node, dtype, rngs))
