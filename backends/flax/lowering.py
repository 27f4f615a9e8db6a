"""From a resolved model to a tree of Flax modules.

A composite becomes a module with its parts by index in `layers`, so the spec's path
`2.add/0.sequential/1.conv` is the module `layers[2].layers[0].layers[1]`.
"""

from __future__ import annotations

from functools import partial, singledispatch
from typing import Any, Callable

import jax.numpy as jnp
from flax import nnx

from backends.api import unsupported_layer
from backends.flax import modules
from backends.jax.lowering import relu6
from backends.lowering import convolution_of, register_merges
from bench.spec import layers
from bench.spec.shapes import Node, padding_of

_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "relu": nnx.relu,
    "relu6": relu6,
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
def _(layer: layers.Dense, node: Node, dtype: Any, rngs: Any) -> Any:
    (features,) = node.input_shape
    return nnx.Linear(features, layer.units, use_bias=layer.bias, param_dtype=dtype, rngs=rngs)


@lower.register(layers.Conv)
@lower.register(layers.DepthwiseConv)
def _(layer: Any, node: Node, dtype: Any, rngs: Any) -> Any:
    channels, filters, groups, padding = convolution_of(node)
    return nnx.Conv(
        channels,
        filters,
        (layer.kernel, layer.kernel),
        strides=layer.stride,
        padding=((padding, padding), (padding, padding)),
        feature_group_count=groups,
        use_bias=layer.bias,
        param_dtype=dtype,
        rngs=rngs,
    )


@lower.register
def _(layer: layers.BatchNorm, node: Node, dtype: Any, rngs: Any) -> Any:
    return modules.UnbiasedBatchNorm(
        node.input_shape[-1],
        momentum=layer.momentum,
        epsilon=layer.epsilon,
        param_dtype=dtype,
        rngs=rngs,
    )


@lower.register
def _(layer: layers.Activation, node: Node, dtype: Any, rngs: Any) -> Any:
    return modules.Function(_FUNCTIONS[layer.function])


@lower.register
def _(layer: layers.MaxPool, node: Node, dtype: Any, rngs: Any) -> Any:
    window, strides = (layer.size, layer.size), (layer.steps, layer.steps)
    padding = padding_of(layer.padding, layer.size)
    sides = ((padding, padding), (padding, padding))
    return modules.Function(
        partial(nnx.max_pool, window_shape=window, strides=strides, padding=sides)
    )


@lower.register
def _(layer: layers.AvgPool, node: Node, dtype: Any, rngs: Any) -> Any:
    window, strides = (layer.size, layer.size), (layer.steps, layer.steps)
    return modules.Function(partial(nnx.avg_pool, window_shape=window, strides=strides))


@lower.register
def _(layer: layers.GlobalAvgPool, node: Node, dtype: Any, rngs: Any) -> Any:
    return modules.Function(partial(jnp.mean, axis=(1, 2)))


@lower.register
def _(layer: layers.Flatten, node: Node, dtype: Any, rngs: Any) -> Any:
    return modules.Function(lambda x: x.reshape(x.shape[0], -1))


@lower.register
def _(layer: layers.Dropout, node: Node, dtype: Any, rngs: Any) -> Any:
    return nnx.Dropout(layer.rate, rngs=rngs)


@lower.register
def _(layer: layers.Identity, node: Node, dtype: Any, rngs: Any) -> Any:
    return modules.Function(nnx.identity)


register_merges(
    lower,
    {
        layers.Sequential: lambda parts: nnx.Sequential(*parts),
        layers.Add: modules.Add,
        layers.Concatenate: modules.Concatenate,
        layers.Multiply: modules.Multiply,
    },
)
