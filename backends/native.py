"""The native arm: what each framework chooses where its user says nothing.

An adapter reads the choices from its framework; what follows from them for a model is the same
for all, and is done here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, NamedTuple

import msgspec

from bench.spec.layers import BatchNorm, Layer
from bench.spec.parameters import weight_name, weight_specs
from bench.spec.shapes import Node, resolve
from bench.spec.training import Adam, Optimizer

if TYPE_CHECKING:
    from bench.spec.weights import Weights


class Defaults(NamedTuple):
    """A framework's own choices.

    Attributes:
        batch_norm_momentum: the weight of the old statistics.
        batch_norm_epsilon: what is added to the variance.
        adam_epsilon: what is added to the root.
        initialize: the first weights of one Dense or convolution, by their names in its layer
            (kernel, bias), in the canonical layout.
        words: how kernels and biases are drawn, by item, as the framework's users say it.
    """

    batch_norm_momentum: float
    batch_norm_epsilon: float
    adam_epsilon: float
    initialize: Callable[[Node], Weights]
    words: dict[str, str]


class NativeStart(NamedTuple):
    """A model as the framework's user would get it: layers, optimizer, weights; and the choices."""

    model: Node
    optimizer: Optimizer
    weights: Weights
    settings: dict[str, str]


def native_start(
    model: Node, optimizer: Optimizer, weights: Weights, defaults: Defaults
) -> NativeStart:
    """Put a framework's own choices in the place of the spec's.

    Args:
        model: as the spec states it.
        optimizer: as the spec states it; its learning rate, momentum and penalty stay.
        weights: the spec's, for the layers whose first weights no framework disputes.
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
    """The layer with the framework's momentum and epsilon in every batch normalisation."""
    if isinstance(layer, BatchNorm):
        return BatchNorm(defaults.batch_norm_momentum, defaults.batch_norm_epsilon)
    parts = getattr(layer, "parts", None)
    if parts is None:
        return layer
    return msgspec.structs.replace(
        layer, parts=tuple(with_batch_norm(part, defaults) for part in parts)
    )


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
