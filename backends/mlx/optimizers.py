"""The spec's optimizers, written out over dictionaries of weights by address."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import mlx.core as mx

from backends.api import Unsupported
from bench.spec.training import Adam, Sgd
from bench.spec.weights import FloatArray, IntArray

Arrays = dict[str, Any]
# What the optimizer remembers of each weight, by its own names.
Slots = dict[str, Arrays]


@singledispatch
def initial_slots(optimizer: Any, weights: Arrays) -> Slots:
    """The slots before the first step.

    Raises:
        Unsupported: an optimizer of an unknown class.
    """
    raise Unsupported(f"received the optimizer {optimizer!r:.60}, expected Sgd or Adam")


@singledispatch
def settings(optimizer: Any, rates: FloatArray, steps: IntArray) -> tuple[FloatArray, ...]:
    """What differs from step to step, computed on the host in float64 for many steps at once.

    Args:
        optimizer: the rule.
        rates: (steps,) learning rates, float64.
        steps: (steps,) numbers of the steps; the first in a training is 0.

    Returns:
        Of each setting, its values: (steps,).
    """
    raise Unsupported(f"received the optimizer {optimizer!r:.60}, expected Sgd or Adam")


@singledispatch
def update(
    optimizer: Any, weights: Arrays, gradients: Arrays, slots: Slots, given: tuple[Any, ...]
) -> tuple[Arrays, Slots]:
    """The weights and the slots after a step.

    Args:
        optimizer: the rule.
        weights: trainable weights by address.
        gradients: of the loss, by the same addresses.
        slots: from `initial_slots` or the step before.
        given: the step's own value of each of the `settings`.
    """
    raise Unsupported(f"received the optimizer {optimizer!r:.60}, expected Sgd or Adam")


@initial_slots.register
def _(optimizer: Sgd, weights: Arrays) -> Slots:
    return {"velocity": _zeros(weights)} if optimizer.momentum else {}


@settings.register
def _(optimizer: Sgd, rates: FloatArray, steps: IntArray) -> tuple[FloatArray, ...]:
    return (rates,)


@update.register
def _(
    optimizer: Sgd, weights: Arrays, gradients: Arrays, slots: Slots, given: tuple[Any, ...]
) -> tuple[Arrays, Slots]:
    (rate,) = given
    direction = _penalised(gradients, weights, optimizer.l2)
    if optimizer.momentum:
        velocity = _mixed(optimizer.momentum, slots["velocity"], 1, direction)
        slots = {"velocity": velocity}
        direction = (
            _mixed(optimizer.momentum, velocity, 1, direction) if optimizer.nesterov else velocity
        )
    return {name: weights[name] - rate * direction[name] for name in weights}, slots


@initial_slots.register
def _(optimizer: Adam, weights: Arrays) -> Slots:
    return {"mean": _zeros(weights), "square": _zeros(weights)}


@settings.register
def _(optimizer: Adam, rates: FloatArray, steps: IntArray) -> tuple[FloatArray, ...]:
    """The rate over 1 - beta1^t, and 1 / (1 - beta2^t)."""
    number = steps + 1.0
    return rates / (1 - optimizer.beta1**number), 1 / (1 - optimizer.beta2**number)


@update.register
def _(
    optimizer: Adam, weights: Arrays, gradients: Arrays, slots: Slots, given: tuple[Any, ...]
) -> tuple[Arrays, Slots]:
    rate, correction = given
    gradients = _penalised(gradients, weights, optimizer.l2)
    squares = {name: mx.square(gradient) for name, gradient in gradients.items()}
    mean = _mixed(optimizer.beta1, slots["mean"], 1 - optimizer.beta1, gradients)
    square = _mixed(optimizer.beta2, slots["square"], 1 - optimizer.beta2, squares)

    def moved(name: str) -> Any:
        root = mx.sqrt(square[name] * correction)
        return weights[name] - rate * mean[name] / (root + optimizer.epsilon)

    return {name: moved(name) for name in weights}, {"mean": mean, "square": square}


def _penalised(gradients: Arrays, weights: Arrays, l2: float) -> Arrays:
    return _mixed(1, gradients, l2, weights) if l2 else gradients


def _mixed(first_factor: float, first: Arrays, second_factor: float, second: Arrays) -> Arrays:
    """The weighted sum of two dictionaries; a factor of 1 costs no product."""
    return {
        name: _scaled(first_factor, first[name]) + _scaled(second_factor, second[name])
        for name in first
    }


def _scaled(factor: float, values: Any) -> Any:
    return values if factor == 1 else factor * values


def _zeros(weights: Arrays) -> Arrays:
    return {name: mx.zeros_like(weight) for name, weight in weights.items()}
