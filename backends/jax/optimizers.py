"""The optimizers, written out over dictionaries of weights by address."""

from __future__ import annotations

import math
from functools import singledispatch
from typing import Any

import jax.numpy as jnp

from backends.api import Unsupported
from bench.spec.training import Adam, Sgd

Arrays = dict[str, Any]
Slots = dict[str, Arrays]


@singledispatch
def initial_slots(optimizer: Any, weights: Arrays) -> Slots:
    """What the optimizer remembers of each weight, as it is before the first step."""
    raise Unsupported(f"optimizer {optimizer!r}: JAX has sgd and adam")


@singledispatch
def update(
    optimizer: Any, weights: Arrays, gradients: Arrays, slots: Slots, rate: Any, step: Any
) -> tuple[Arrays, Slots]:
    """The weights and the slots after a step.

    Args:
        optimizer: the rule.
        weights: trainable weights by address.
        gradients: of the loss, by the same addresses.
        slots: from `initial_slots` or the step before.
        rate: the step's learning rate, of the weights' type.
        step: how many steps were taken before, whole.
    """
    raise Unsupported(f"optimizer {optimizer!r}: JAX has sgd and adam")


@initial_slots.register
def _(optimizer: Sgd, weights: Arrays) -> Slots:
    return {"velocity": _zeros(weights)} if optimizer.momentum else {}


@update.register
def _(
    optimizer: Sgd, weights: Arrays, gradients: Arrays, slots: Slots, rate: Any, step: Any
) -> tuple[Arrays, Slots]:
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


@update.register
def _(
    optimizer: Adam, weights: Arrays, gradients: Arrays, slots: Slots, rate: Any, step: Any
) -> tuple[Arrays, Slots]:
    gradients = _penalised(gradients, weights, optimizer.l2)
    squares = {name: jnp.square(gradient) for name, gradient in gradients.items()}
    mean = _mixed(optimizer.beta1, slots["mean"], 1 - optimizer.beta1, gradients)
    square = _mixed(optimizer.beta2, slots["square"], 1 - optimizer.beta2, squares)
    mean_share = _share_seen(optimizer.beta1, step, rate.dtype)
    square_share = _share_seen(optimizer.beta2, step, rate.dtype)

    def moved(name: str) -> Any:
        root = jnp.sqrt(square[name] / square_share)
        return weights[name] - rate * (mean[name] / mean_share) / (root + optimizer.epsilon)

    return {name: moved(name) for name in weights}, {"mean": mean, "square": square}


def _share_seen(beta: float, step: Any, dtype: Any) -> Any:
    """1 - beta^t, as expm1: float32 would lose four digits to the difference in the first step."""
    logarithm = math.log(beta) if beta else -math.inf
    return -jnp.expm1((step + 1).astype(dtype) * logarithm)


def _penalised(gradients: Arrays, weights: Arrays, l2: float) -> Arrays:
    return _mixed(1, gradients, l2, weights) if l2 else gradients


def _mixed(first_factor: float, first: Arrays, second_factor: float, second: Arrays) -> Arrays:
    return {name: first_factor * first[name] + second_factor * second[name] for name in first}


def _zeros(weights: Arrays) -> Arrays:
    return {name: jnp.zeros_like(weight) for name, weight in weights.items()}
