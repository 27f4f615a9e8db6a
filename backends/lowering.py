"""The parts of lowerings that need no framework.

They run while a model is built or traced; nothing of them is left in a compiled step. Frameworks
whose maps are (n, channels, height, width) also share the conversion of arrays to their layout.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from functools import reduce
from typing import Any, Callable, NamedTuple

import numpy as np
import numpy.typing as npt

from backends.api import unsupported_layer
from bench.spec import layers
from bench.spec.shapes import Node, padding_of

# A `singledispatch` function (layer, node, x, run) -> the layer's output for the input x. `run` is
# whatever the framework's lowering passes down.
Forward = Any


def register_sequence(forward: Forward) -> None:
    """Register the layers Identity and Sequential."""

    def sequential(layer: layers.Sequential, node: Node, x: Any, run: Any) -> Any:
        for child in node.children:
            x = forward(child.layer, child, x, run)
        return x

    forward.register(layers.Identity, lambda layer, node, x, run: x)
    forward.register(layers.Sequential, sequential)


def register_composites(
    forward: Forward,
    concatenate: Callable[[list[Any], Any], Any],
    as_map: Callable[[Any], Any],
) -> None:
    """Register layers.Identity, layers.Sequential, layers.Add, Concatenate and Multiply.

    Args:
        forward: the framework's function of single layers.
        concatenate: (outputs, run) -> the outputs joined along the channels.
        as_map: a vector (n, c) -> a map with one row and one column.
    """
    register_sequence(forward)

    def branches(node: Node, x: Any, run: Any) -> list[Any]:
        return [forward(child.layer, child, x, run) for child in node.children]

    def add(layer: layers.Add, node: Node, x: Any, run: Any) -> Any:
        return reduce(operator.add, branches(node, x, run))

    def concatenated(layer: layers.Concatenate, node: Node, x: Any, run: Any) -> Any:
        return concatenate(branches(node, x, run), run)

    def multiply(layer: layers.Multiply, node: Node, x: Any, run: Any) -> Any:
        return multiplied(branches(node, x, run), as_map)

    forward.register(layers.Add, add)
    forward.register(layers.Concatenate, concatenated)
    forward.register(layers.Multiply, multiply)


def register_merges(lower: Any, modules: Mapping[type, Callable[[list[Any]], Any]]) -> None:
    """Register composites whose parts are lowered by themselves, before any input is known.

    Args:
        lower: a `singledispatch` function (layer, node, *context) -> the lowered layer.
        modules: for each class of composites the function from its lowered parts to the whole.
    """

    def register(composite: type, module: Callable[[list[Any]], Any]) -> None:
        def lowered(layer: layers.Layer, node: Node, *context: Any) -> Any:
            return module([lower(child.layer, child, *context) for child in node.children])

        lower.register(composite, lowered)

    for composite, module in modules.items():
        register(composite, module)


def multiplied(outputs: list[Any], as_map: Callable[[Any], Any]) -> Any:
    """Return the product; a vector (n, c) scales the channels of maps, as a map of one pixel."""
    rank = max(output.ndim for output in outputs)
    return reduce(operator.mul, [each if each.ndim == rank else as_map(each) for each in outputs])


class Convolution(NamedTuple):
    """The geometry of a convolution, which may be depthwise.

    Attributes:
        channels: of the input.
        filters: channels of the output.
        groups: groups of channels that are convolved separately.
        padding: rows and columns of zeros on every side.
    """

    channels: int
    filters: int
    groups: int
    padding: int


def convolution_of(node: Node) -> Convolution:
    """Return the geometry of the `Conv` or `DepthwiseConv` at a node."""
    layer: Any = node.layer
    channels, padding = node.input_shape[2], padding_of(layer.padding, layer.kernel)
    if isinstance(layer, layers.DepthwiseConv):
        return Convolution(channels, channels, channels, padding)
    return Convolution(channels, layer.filters, layer.groups, padding)


def require_layers(framework: str, model: Node, forward: Forward) -> None:
    """Check that every layer of a model is registered, before the model is traced.

    Raises:
        Unsupported: names the first layer that is not.
    """
    for node in model.walk():
        if forward.dispatch(type(node.layer)) is forward.dispatch(object):
            raise unsupported_layer(framework, node)


def takes_vectors(node: Node) -> bool:
    """Return whether the model flattens its images first, so that they can be stored flat."""
    if isinstance(node.layer, layers.Sequential):
        return takes_vectors(node.children[0])
    return isinstance(node.layer, layers.Flatten)


def next_statistics(
    layer: layers.BatchNorm,
    node: Node,
    running: tuple[Any, Any],
    batch: tuple[Any, Any],
    count: int,
) -> tuple[Any, Any]:
    """Return the running mean and variance after a training batch.

    Args:
        layer: the batch normalisation.
        node: where it is.
        running: the running mean and variance before the batch.
        batch: the batch's mean and biased variance; the running variance follows the unbiased one.
        count: the number of values per channel in the batch.
    """
    mean, variance = batch[0], batch[1] * bessel(count, node.path)
    old, new = layer.momentum, 1 - layer.momentum
    return old * running[0] + new * mean, old * running[1] + new * variance


def bessel(count: int, path: str) -> float:
    """Return the factor from the biased to the unbiased variance of `count` values.

    Raises:
        ValueError: there is only one value.
    """
    if count < 2:
        raise ValueError(
            f"the batch normalisation at {path or 'the root'} has one value per channel and needs "
            "at least 2 for the unbiased variance; choose a larger batch size"
        )
    return count / (count - 1)


def maps_first(images: npt.NDArray[Any], dtype: Any = None) -> npt.NDArray[Any]:
    """Copy images (n, height, width, channels) channels first; vectors keep their shape."""
    return _arranged(images, (0, 3, 1, 2), dtype)


def kernel_first(weight: npt.NDArray[Any], dtype: Any = None) -> npt.NDArray[Any]:
    """Copy a weight with a convolution kernel as (filters, channels / groups, height, width)."""
    return _arranged(weight, (3, 2, 0, 1), dtype)


def canonical_kernel(weight: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Copy a weight, or its gradient, back to the canonical layout."""
    return _arranged(weight, (2, 3, 1, 0), None)


def _arranged(values: npt.NDArray[Any], axes: tuple[int, ...], dtype: Any) -> npt.NDArray[Any]:
    return np.array(values.transpose(axes) if values.ndim == 4 else values, dtype, order="C")
