"""From a resolved model to tinygrad's lazy operations on the model's tensors.

Feature maps are (n, c, h, w), vectors (n, features).
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any, Callable, NamedTuple

from backends.api import unsupported_layer
from backends.lowering import convolution_of, next_statistics, register_composites
from backends.tinygrad.weights import Tensors
from bench.spec import layers
from bench.spec.parameters import weight_name
from bench.spec.shapes import Node, padding_of

_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "relu": lambda x: x.relu(),
    "relu6": lambda x: x.relu6(),
    "sigmoid": lambda x: x.sigmoid(),
    "tanh": lambda x: x.tanh(),
    "silu": lambda x: x.silu(),
    "gelu": lambda x: x.gelu(approximate="none"),
}


class Pass(NamedTuple):
    """One pass through the model.

    Attributes:
        tensors: the model's weights by address.
        training: whether this is a training pass.
        statistics: in training, filled with the running statistics and their next values.
    """

    tensors: Tensors
    training: bool
    statistics: list[tuple[Any, Any]]

    def weight(self, node: Node, name: str) -> Any:
        """Return a weight of the layer at a node; None where it has no such weight."""
        return self.tensors.get(weight_name(node.path, name))


def forward(node: Node, x: Any, run: Pass) -> Any:
    """Return the output of the layer at `node`, with all below it, for an input (batch, ...).

    Raises:
        Unsupported: a layer that the framework does not support.
    """
    return _forward(node.layer, node, x, run)


@singledispatch
def _forward(layer: Any, node: Node, x: Any, run: Pass) -> Any:
    raise unsupported_layer("tinygrad", node)


register_composites(
    _forward,
    concatenate=lambda outputs, run: outputs[0].cat(*outputs[1:], dim=1),
    as_map=lambda vector: vector.reshape(*vector.shape, 1, 1),
)


@_forward.register
def _(layer: layers.Dense, node: Node, x: Any, run: Pass) -> Any:
    return x.linear(run.weight(node, "kernel"), run.weight(node, "bias"))


@_forward.register(layers.Conv)
@_forward.register(layers.DepthwiseConv)
def _(layer: Any, node: Node, x: Any, run: Pass) -> Any:
    _, _, groups, padding = convolution_of(node)
    kernel, bias = run.weight(node, "kernel"), run.weight(node, "bias")
    return x.conv2d(kernel, bias, groups=groups, stride=layer.stride, padding=padding)


@_forward.register
def _(layer: layers.BatchNorm, node: Node, x: Any, run: Pass) -> Any:
    names = ("scale", "shift", "mean", "variance")
    scale, shift, mean, variance = (run.weight(node, name) for name in names)
    if run.training:
        running = (mean, variance)
        axes = tuple(axis for axis in range(x.ndim) if axis != 1)
        mean = x.mean(axes)
        centred = x - mean.reshape(1, -1, *(1,) * (x.ndim - 2))
        variance = (centred * centred).mean(axes)
        batch, count = (mean.detach(), variance.detach()), x.numel() // x.shape[1]
        following = next_statistics(layer, node, running, batch, count)
        run.statistics.extend(zip(running, following))
    return x.batchnorm(scale, shift, mean, (variance + layer.epsilon).rsqrt())


@_forward.register
def _(layer: layers.Activation, node: Node, x: Any, run: Pass) -> Any:
    return _FUNCTIONS[layer.function](x)


@_forward.register
def _(layer: layers.MaxPool, node: Node, x: Any, run: Pass) -> Any:
    # tinygrad splits the gradient among equal values; the sum is the same as elsewhere.
    window, padding = (layer.size, layer.size), padding_of(layer.padding, layer.size)
    return x.max_pool2d(window, stride=layer.steps, padding=padding)


@_forward.register
def _(layer: layers.AvgPool, node: Node, x: Any, run: Pass) -> Any:
    return x.avg_pool2d((layer.size, layer.size), stride=layer.steps)


@_forward.register
def _(layer: layers.GlobalAvgPool, node: Node, x: Any, run: Pass) -> Any:
    return x.mean((2, 3))


@_forward.register
def _(layer: layers.Flatten, node: Node, x: Any, run: Pass) -> Any:
    return (x.permute(0, 2, 3, 1) if x.ndim == 4 else x).flatten(1)


@_forward.register
def _(layer: layers.Dropout, node: Node, x: Any, run: Pass) -> Any:
    return x.dropout(layer.rate)
