"""The spec's optimizers, written as the next values of shared variables.

For Theano and for its successor, whose names are the same: `library` is the module of either.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import singledispatch
from typing import Any

import numpy as np

from backends.api import Unsupported
from bench.spec.training import Adam, Sgd
from bench.spec.weights import FloatArray, IntArray

# A shared variable, and the expression of its next value.
Updates = list[tuple[Any, Any]]


class Update(ABC):
    """The rule of an optimizer for a list of weights, with the state that it keeps for them.

    Attributes:
        inputs: the symbolic scalars that differ from step to step.
    """

    inputs: tuple[Any, ...]

    @abstractmethod
    def settings(self, rates: FloatArray, steps: IntArray) -> tuple[FloatArray, ...]:
        """The values of `inputs` at each step, computed for many steps at once in float64.

        Args:
            rates: (steps,) learning rates.
            steps: (steps,) numbers of the steps; the first in a training is 0.

        Returns:
            For each input, its values: (steps,).
        """

    @abstractmethod
    def updates(self, gradients: Sequence[Any]) -> Updates:
        """The next values of the weights and of the state, given the gradients."""


@singledispatch
def update_rule(optimizer: Any, weights: list[Any], library: Any) -> Update:
    """The optimizer's rule for these shared variables, with fresh state.

    Raises:
        Unsupported: an optimizer of an unknown class.
    """
    raise Unsupported(f"received the optimizer {optimizer!r:.60}, expected Sgd or Adam")


def _zeros_like(weights: list[Any], library: Any) -> list[Any]:
    return [library.shared(np.zeros_like(weight.get_value(borrow=True))) for weight in weights]


def _with_l2(gradients: Sequence[Any], weights: list[Any], l2: float) -> Sequence[Any]:
    return [g + l2 * w for g, w in zip(gradients, weights)] if l2 else gradients


class SgdUpdate(Update):
    """v = momentum * v + g; w -= rate * (g + momentum * v if nesterov else v)."""

    def __init__(self, spec: Sgd, weights: list[Any], library: Any) -> None:
        """Start with velocities of 0, and with none where the momentum is 0."""
        self._spec = spec
        self._weights = weights
        self._velocities = _zeros_like(weights, library) if spec.momentum else []
        self.inputs = (library.tensor.scalar("rate"),)

    def settings(self, rates: FloatArray, steps: IntArray) -> tuple[FloatArray, ...]:
        """The learning rate."""
        return (rates,)

    def updates(self, gradients: Sequence[Any]) -> Updates:
        """See `Update.updates`."""
        (rate,) = self.inputs
        gradients = _with_l2(gradients, self._weights, self._spec.l2)
        if not self._spec.momentum:
            return [(weight, weight - rate * g) for weight, g in zip(self._weights, gradients)]
        updates = []
        for weight, velocity, gradient in zip(self._weights, self._velocities, gradients):
            moved = self._spec.momentum * velocity + gradient
            step = gradient + self._spec.momentum * moved if self._spec.nesterov else moved
            updates += [(velocity, moved), (weight, weight - rate * step)]
        return updates


class AdamUpdate(Update):
    """Adam as the spec has it; the bias corrections of each step come in from outside."""

    def __init__(self, spec: Adam, weights: list[Any], library: Any) -> None:
        """Start with moments of 0."""
        self._spec = spec
        self._weights = weights
        self._means, self._squares = (_zeros_like(weights, library) for _ in range(2))
        self._sqrt = library.tensor.sqrt
        self.inputs = tuple(map(library.tensor.scalar, ("corrected_rate", "square_share")))

    def settings(self, rates: FloatArray, steps: IntArray) -> tuple[FloatArray, ...]:
        """The rate over 1 - beta1^t, and 1 - beta2^t."""
        beta1, beta2 = self._spec.beta1, self._spec.beta2
        return rates / (1 - beta1 ** (steps + 1.0)), 1 - beta2 ** (steps + 1.0)

    def updates(self, gradients: Sequence[Any]) -> Updates:
        """See `Update.updates`."""
        rate, share = self.inputs
        beta1, beta2, epsilon = self._spec.beta1, self._spec.beta2, self._spec.epsilon
        gradients = _with_l2(gradients, self._weights, self._spec.l2)
        updates = []
        moments = zip(self._weights, self._means, self._squares, gradients)
        for weight, mean, square, gradient in moments:
            next_mean = beta1 * mean + (1 - beta1) * gradient
            next_square = beta2 * square + (1 - beta2) * gradient**2
            step = rate * next_mean / (self._sqrt(next_square / share) + epsilon)
            updates += [(mean, next_mean), (square, next_square), (weight, weight - step)]
        return updates


update_rule.register(Sgd, SgdUpdate)
update_rule.register(Adam, AdamUpdate)
