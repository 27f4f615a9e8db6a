"""From a resolved model to a graph of PyTensor's operations on the model's shared variables.

Values are laid out as the spec has them. PyTensor serves statistics and has no layers of windows:
its convolution takes two images and knows neither batches nor channels.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from functools import reduce, singledispatch
from typing import Any, Callable, NamedTuple

from pytensor import tensor

from backends.api import Unsupported
from backends.theano.optimizers import Updates
from bench.spec.layers import (
    Activation,
    Add,
    BatchNorm,
    Concatenate,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Identity,
    Multiply,
    Sequential,
)
from bench.spec.parameters import weight_name
from bench.spec.shapes import Node

# Shared variables by address.
Variables = Mapping[str, Any]


def _relu(x: Any) -> Any:
    """The larger of x and 0; the derivative of `tensor.maximum` is 1 at 0."""
    return tensor.switch(x > 0, x, 0)


def _relu6(x: Any) -> Any:
    """Between 0 and 6; the derivative of `tensor.clip` is 1 at both ends."""
    return tensor.switch((x > 0) & (x < 6), x, tensor.cast(6 * (x >= 6), x.dtype))


_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "relu": _relu,
    "relu6": _relu6,
    "sigmoid": tensor.sigmoid,
    "tanh": tensor.tanh,
    "silu": lambda x: x * tensor.sigmoid(x),
    "gelu": lambda x: 0.5 * x * (1 + tensor.erf(x * math.sqrt(0.5))),
}


class Pass(NamedTuple):
    """One way through the model: what it reads, and what it leaves behind.

    Attributes:
        variables: the model's weights by address.
        training: whether this is a pass of training.
        seed: of dropout.
        statistics: in training, the running statistics and the values they are to take.
        streams: in training, the random streams that were drawn from, and what follows on them.
    """

    variables: Variables
    training: bool
    seed: int
    statistics: Updates
    streams: Updates

    def weight(self, node: Node, name: str) -> Any:
        """The weight `name` of the layer at a node; None where it has no such weight."""
        return self.variables.get(weight_name(node.path, name))


def forward(node: Node, x: Any, run: Pass) -> Any:
    """The output of the layer at `node`, and all below it, for an input (batch, ...).

    Raises:
        Unsupported: a layer that PyTensor lacks.
    """
    return _forward(node.layer, node, x, run)


@singledispatch
def _forward(layer: Any, node: Node, x: Any, run: Pass) -> Any:
    raise Unsupported(f"{node.path or 'the model'}: PyTensor has no {layer.kind} of feature maps")


@_forward.register
def _(layer: Dense, node: Node, x: Any, run: Pass) -> Any:
    product = tensor.dot(x, run.weight(node, "kernel"))
    bias = run.weight(node, "bias")
    return product if bias is None else product + bias


@_forward.register
def _(layer: BatchNorm, node: Node, x: Any, run: Pass) -> Any:
    names = ("scale", "shift", "mean", "variance")
    scale, shift, mean, variance = (run.weight(node, name) for name in names)
    centred = x - mean
    if run.training:
        kept = (mean, variance)
        axes = tuple(range(x.ndim - 1))
        mean = x.mean(axes)
        centred = x - mean
        variance = tensor.sqr(centred).mean(axes)
        count = (x.size // x.shape[-1]).astype(x.dtype)
        for running, batch in zip(kept, (mean, variance * (count / (count - 1)))):
            following = layer.momentum * running + (1 - layer.momentum) * batch
            run.statistics.append((running, following))
    return centred * (scale / tensor.sqrt(variance + layer.epsilon)) + shift


@_forward.register
def _(layer: Activation, node: Node, x: Any, run: Pass) -> Any:
    return _FUNCTIONS[layer.function](x)


@_forward.register
def _(layer: GlobalAvgPool, node: Node, x: Any, run: Pass) -> Any:
    return x.mean((1, 2))


@_forward.register
def _(layer: Flatten, node: Node, x: Any, run: Pass) -> Any:
    return x.reshape((-1, *node.output_shape))


@_forward.register
def _(layer: Dropout, node: Node, x: Any, run: Pass) -> Any:
    if not run.training or layer.rate == 0:
        return x
    # Each layer has a stream of its own.
    stream = tensor.random.shared_rng(seed=[run.seed, len(run.streams)])
    following, kept = stream.bernoulli(1 - layer.rate, size=x.shape)
    run.streams.append((stream, following))
    return x * kept.astype(x.dtype) / (1 - layer.rate)


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
    return tensor.concatenate(_branches(node, x, run), axis=-1)


@_forward.register
def _(layer: Multiply, node: Node, x: Any, run: Pass) -> Any:
    outputs = _branches(node, x, run)
    rank = max(output.ndim for output in outputs)
    return reduce(operator.mul, [_as_map(output, rank) for output in outputs])


def _as_map(output: Any, rank: int) -> Any:
    """A vector (n, c) as a map (n, 1, 1, c) where its partners are maps."""
    return output if output.ndim == rank else output[:, None, None, :]
