"""The native arm: the frameworks' own default choices.

An adapter reads the choices from its framework. Applying them to a model is the same for all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, NamedTuple

import msgspec

from bench.spec.layers import BatchNorm, Layer, replace_layers
from bench.spec.parameters import weight_name, weight_specs
from bench.spec.shapes import Node, resolve
from bench.spec.training import Adam, Optimizer

if TYPE_CHECKING:
    from bench.spec.weights import Weights


class Defaults(NamedTuple):
    """A framework's default choices.

    Attributes:
        batch_norm_momentum: the weight of the old running statistics.
        batch_norm_epsilon: the number added to the variance.
        adam_epsilon: the number added to the root.
        initialize: draws the initial weights of one Dense or convolution, by their names in the
            layer (kernel, bias), in the canonical layout.
        words: the distributions of kernels and biases in words, by item.
    """

    batch_norm_momentum: float
    batch_norm_epsilon: float
    adam_epsilon: float
    initialize: Callable[[Node], Weights]
    words: dict[str, str]


class NativeStart(NamedTuple):
    """A model with a framework's default choices.

    Attributes:
        model: the resolved model.
        optimizer: the update rule.
        weights: initial weights by address.
        settings: the choices in words, by item.
    """

    model: Node
    optimizer: Optimizer
    weights: Weights
    settings: dict[str, str]


def native_start(
    model: Node, optimizer: Optimizer, weights: Weights, defaults: Defaults
) -> NativeStart:
    """Replace the spec's choices by a framework's.

    Args:
        model: the spec's model.
        optimizer: the spec's optimizer; its learning rate, momentum and penalty stay.
        weights: the spec's weights, used for layers without a kernel.
        defaults: the framework's choices.
    """
    own = resolve(with_batch_norm(model.layer, defaults), model.input_shape)
    return NativeStart(
        model=own,
        optimizer=_with_epsilon(optimizer, defaults),
        weights={**weights, **_initialized(own, defaults)},
        settings={
            "batch norm momentum": f"{defaults.batch_norm_momentum:g}",
            "batch norm epsilon": f"{defaults.batch_norm_epsilon:g}",
            "Adam epsilon": f"{defaults.adam_epsilon:g}",
            **defaults.words,
        },
    )


def with_batch_norm(layer: Layer, defaults: Defaults) -> Layer:
    """Return the layer with the framework's momentum and epsilon in all batch normalisations."""
    own = BatchNorm(defaults.batch_norm_momentum, defaults.batch_norm_epsilon)
    return replace_layers(layer, lambda each: own if isinstance(each, BatchNorm) else each)


def _with_epsilon(optimizer: Optimizer, defaults: Defaults) -> Optimizer:
    if isinstance(optimizer, Adam):
        return msgspec.structs.replace(optimizer, epsilon=defaults.adam_epsilon)
    return optimizer


def _initialized(model: Node, defaults: Defaults) -> Weights:
    return {
        weight_name(node.path, name): value
        for node in model.walk()
        if not node.children and any(spec.fan_in for spec in weight_specs(node).values())
        for name, value in defaults.initialize(node).items()
    }
