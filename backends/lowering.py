"""The parts of lowerings that need no framework.

They run while a model is built or traced; nothing of them is left in a compiled step.
"""

from __future__ import annotations

import operator
from functools import reduce
from typing import TYPE_CHECKING, Any, Callable

from backends.api import unsupported_layer
from bench.spec.layers import (
    Add,
    BatchNorm,
    Concatenate,
    Flatten,
    Identity,
    Multiply,
    Sequential,
)

if TYPE_CHECKING:
    from bench.spec.shapes import Node

# A `singledispatch` function (layer, node, x, run) -> the layer's output for the input x. `run` is
# whatever the framework's lowering passes down.
Forward = Any


def register_sequence(forward: Forward) -> None:
    """Register the layers Identity and Sequential."""

    def identity(layer: Identity, node: Node, x: Any, run: Any) -> Any:
        return x

    def sequential(layer: Sequential, node: Node, x: Any, run: Any) -> Any:
        for child in node.children:
            x = forward(child.layer, child, x, run)
        return x

    forward.register(Identity, identity)
    forward.register(Sequential, sequential)


def register_composites(
    forward: Forward,
    concatenate: Callable[[list[Any], Any], Any],
    as_map: Callable[[Any], Any],
) -> None:
    """Register Identity, Sequential, Add, Concatenate and Multiply.

    Args:
        forward: the framework's function of single layers.
        concatenate: (outputs, run) -> the outputs joined along the channels.
        as_map: a vector (n, c) -> a map with one row and one column.
    """
    register_sequence(forward)

    def branches(node: Node, x: Any, run: Any) -> list[Any]:
        return [forward(child.layer, child, x, run) for child in node.children]

    def add(layer: Add, node: Node, x: Any, run: Any) -> Any:
        return reduce(operator.add, branches(node, x, run))

    def concatenated(layer: Concatenate, node: Node, x: Any, run: Any) -> Any:
        return concatenate(branches(node, x, run), run)

    def multiply(layer: Multiply, node: Node, x: Any, run: Any) -> Any:
        outputs = branches(node, x, run)
        rank = max(output.ndim for output in outputs)
        # A vector scales the channels of the maps that it is multiplied with.
        return reduce(
            operator.mul, [each if each.ndim == rank else as_map(each) for each in outputs]
        )

    forward.register(Add, add)
    forward.register(Concatenate, concatenated)
    forward.register(Multiply, multiply)


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
    if isinstance(node.layer, Sequential):
        return takes_vectors(node.children[0])
    return isinstance(node.layer, Flatten)


def next_statistics(
    layer: BatchNorm, node: Node, running: tuple[Any, Any], batch: tuple[Any, Any], count: int
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
