"""The optimizers' updates, in place on the flat vector of all weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bench.spec.training import Adam, Optimizer, Sgd
from bench.spec.weights import FloatArray

# One step with the given learning rate, from the current vector of gradients.
Update = Callable[[float], None]


def update_rule(optimizer: Optimizer, weights: FloatArray, gradients: FloatArray) -> Update:
    """Make the step of an optimizer, with its own state, on these two vectors.

    Args:
        optimizer: the update rule.
        weights: all trainable weights, flat; each step changes them.
        gradients: their gradients, in the same order; a step may overwrite them.
    """
    if isinstance(optimizer, Sgd):
        return _sgd(optimizer, weights, gradients)
    return _adam(optimizer, weights, gradients)


def _sgd(optimizer: Sgd, weights: FloatArray, gradients: FloatArray) -> Update:
    velocity, scratch = np.zeros_like(weights), np.empty_like(weights)

    def update(learning_rate: float) -> None:
        _add_scaled(gradients, optimizer.l2, weights, scratch)
        velocity[:] *= optimizer.momentum
        velocity[:] += gradients
        step = velocity
        if optimizer.nesterov:
            _add_scaled(gradients, optimizer.momentum, velocity, scratch)
            step = gradients
        _add_scaled(weights, -learning_rate, step, scratch)

    return update


def _adam(optimizer: Adam, weights: FloatArray, gradients: FloatArray) -> Update:
    mean, square = np.zeros_like(weights), np.zeros_like(weights)
    scratch = np.empty_like(weights)
    steps = 0

    def update(learning_rate: float) -> None:
        nonlocal steps
        steps += 1
        _add_scaled(gradients, optimizer.l2, weights, scratch)
        mean[:] *= optimizer.beta1
        _add_scaled(mean, 1 - optimizer.beta1, gradients, scratch)
        gradients[:] *= gradients
        square[:] *= optimizer.beta2
        _add_scaled(square, 1 - optimizer.beta2, gradients, scratch)
        # mean / (1 - beta1^t) / (sqrt(square / (1 - beta2^t)) + epsilon), computed in `scratch`
        np.divide(square, 1 - optimizer.beta2**steps, out=scratch)
        np.sqrt(scratch, out=scratch)
        scratch[:] += optimizer.epsilon
        np.divide(mean, scratch, out=scratch)
        scratch[:] *= learning_rate / (1 - optimizer.beta1**steps)
        weights[:] -= scratch

    return update


def _add_scaled(total: FloatArray, factor: float, vector: FloatArray, scratch: FloatArray) -> None:
    """Add factor * vector to `total` without a new array; a factor of 0 adds nothing."""
    if factor:
        np.multiply(vector, factor, out=scratch)
        total += scratch
