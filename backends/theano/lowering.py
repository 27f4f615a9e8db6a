"""From a resolved model to a graph of symbolic operations on the model's shared variables.

Feature maps are (n, c, h, w), vectors (n, features).
"""

from __future__ import annotations

import math
from functools import singledispatch
from typing import Any, Callable

from backends.api import unsupported_layer
from backends.lowering import register_composites
from backends.theano.engine import Engine, Pass
from bench.spec import layers
from bench.spec.shapes import Node


def _relu(x: Any, engine: Engine) -> Any:
    """The larger of x and 0; the libraries' own functions have a derivative of 1 or 1/2 at 0."""
    return engine.tensor.switch(x > 0, x, 0)


def _relu6(x: Any, engine: Engine) -> Any:
    """Between 0 and 6; the derivative of `tensor.clip` is 1 at both ends."""
    tensor = engine.tensor
    return tensor.switch((x > 0) & (x < 6), x, tensor.cast(6 * (x >= 6), x.dtype))


_FUNCTIONS: dict[str, Callable[[Any, Engine], Any]] = {
    "relu": _relu,
    "relu6": _relu6,
    "sigmoid": lambda x, engine: engine.sigmoid(x),
    "tanh": lambda x, engine: engine.tensor.tanh(x),
    "silu": lambda x, engine: x * engine.sigmoid(x),
    "gelu": lambda x, engine: 0.5 * x * (1 + engine.tensor.erf(x * math.sqrt(0.5))),
}


@singledispatch
def _forward(layer: Any, node: Node, x: Any, run: Pass) -> Any:
    raise unsupported_layer(run.engine.title, node)


def forward(node: Node, x: Any, run: Pass) -> Any:
    """Return the output of the layer at `node`, with all below it, for an input (batch, ...).

    Raises:
        Unsupported: a layer, or a setting of one, that the library does not support.
    """
    return _forward(node.layer, node, x, run)


register_composites(
    _forward,
    concatenate=lambda outputs, run: run.engine.tensor.concatenate(outputs, axis=1),
    as_map=lambda vector: vector.dimshuffle(0, 1, "x", "x"),
)


@_forward.register
def _(layer: layers.Dense, node: Node, x: Any, run: Pass) -> Any:
    product = run.engine.tensor.dot(x, run.weight(node, "kernel"))
    bias = run.weight(node, "bias")
    return product if bias is None else product + bias


@_forward.register(layers.Conv)
@_forward.register(layers.DepthwiseConv)
def _(layer: Any, node: Node, x: Any, run: Pass) -> Any:
    return run.engine.convolved(node, x, run)


@_forward.register
def _(layer: layers.BatchNorm, node: Node, x: Any, run: Pass) -> Any:
    return run.engine.normalised(layer, node, x, run)


@_forward.register
def _(layer: layers.Activation, node: Node, x: Any, run: Pass) -> Any:
    return _FUNCTIONS[layer.function](x, run.engine)


@_forward.register
def _(layer: layers.MaxPool, node: Node, x: Any, run: Pass) -> Any:
    return run.engine.max_pooled(layer, node, x)


@_forward.register
def _(layer: layers.AvgPool, node: Node, x: Any, run: Pass) -> Any:
    return run.engine.average_pooled(layer, node, x)


@_forward.register
def _(layer: layers.GlobalAvgPool, node: Node, x: Any, run: Pass) -> Any:
    return x.mean(axis=(2, 3))


@_forward.register
def _(layer: layers.Flatten, node: Node, x: Any, run: Pass) -> Any:
    # The values of one channel, or of one position, are already in the spec's order.
    is_mixed = x.ndim == 4 and node.input_shape[2] > 1 and node.input_shape[:2] != (1, 1)
    return (x.dimshuffle(0, 2, 3, 1) if is_mixed else x).flatten(2)


@_forward.register
def _(layer: layers.Dropout, node: Node, x: Any, run: Pass) -> Any:
    if not run.training or layer.rate == 0:
        return x
    share = 1 - layer.rate
    return x * run.streams.mask(x, share) / share
