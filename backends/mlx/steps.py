"""The training step as a pure function, compiled as a whole or run operation by operation."""

from __future__ import annotations

from typing import Any, Callable, NamedTuple

import mlx.core as mx
from mlx.nn.losses import cross_entropy

from backends.mlx.lowering import Apply
from backends.optimizers import Arrays, Slots, UpdateRule, updated


class State(NamedTuple):
    """The values that a step changes.

    Attributes:
        weights: trainable weights, by address.
        statistics: running statistics, by address.
        slots: the optimizer's state.
        key: the random key of the next step.
    """

    weights: Arrays
    statistics: Arrays
    slots: Slots
    key: Any


class Data(NamedTuple):
    """The training set: images (examples, ...), labels (examples,)."""

    images: Any
    labels: Any


# (state, batch, data) -> loss, logits, gradients, statistics, next key
Differentiate = Callable[[State, Any, Data], tuple[Any, Any, Arrays, Arrays, Any]]
# (state, batch, settings, data) -> next state, loss
Step = Callable[[State, Any, tuple[Any, ...], Data], tuple[State, Any]]


def make_differentiate(apply: Apply, drops: int) -> Differentiate:
    """Return one training-mode pass as a pure function.

    Args:
        apply: the model.
        drops: the number of random keys that it takes.
    """

    def loss_of(
        weights: Arrays, statistics: Arrays, images: Any, labels: Any, keys: Any
    ) -> tuple[Any, Any, Arrays]:
        logits, statistics = apply({**weights, **statistics}, images, True, keys)
        return cross_entropy(logits, labels, reduction="mean"), logits, statistics

    value_and_gradients = mx.value_and_grad(loss_of)

    def differentiate(state: State, batch: Any, data: Data) -> tuple[Any, Any, Arrays, Arrays, Any]:
        # Without dropout no random number is drawn and the key does not change.
        key, *keys = mx.random.split(state.key, drops + 1) if drops else [state.key]
        examples = data.images[batch], data.labels[batch]
        (loss, logits, statistics), gradients = value_and_gradients(
            state.weights, state.statistics, *examples, keys
        )
        return loss, logits, gradients, statistics, key

    return differentiate


def make_step(differentiate: Differentiate, rule: UpdateRule) -> Step:
    """Return one training step as a pure function."""

    def step(state: State, batch: Any, given: tuple[Any, ...], data: Data) -> tuple[State, Any]:
        state = State(*state)  # a compiled function is traced with plain tuples
        loss, _, gradients, statistics, key = differentiate(state, batch, Data(*data))
        weights, slots = updated(rule, state.weights, gradients, state.slots, given)
        return State(weights, statistics, slots, key), loss

    return step
