"""The spec's optimizers, written as assignments to tinygrad's tensors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import singledispatch
from typing import Any

from tinygrad import Tensor

from backends.api import Unsupported
from bench.spec.training import Adam, Sgd
from bench.spec.weights import FloatArray, IntArray


class Update(ABC):
    """The rule of an optimizer for a list of weights, with the state that it keeps for them."""

    state: list[Any]

    @abstractmethod
    def settings(self, rates: FloatArray, steps: IntArray) -> tuple[FloatArray, ...]:
        """What `assign` takes at each step, computed for many steps at once in float64.

        Args:
            rates: (steps,) learning rates.
            steps: (steps,) numbers of the steps; the first in a training is 0.

        Returns:
            For each setting, its values: (steps,).
        """

    @abstractmethod
    def assign(self, gradients: Sequence[Any], settings: Sequence[Any]) -> None:
        """Assign the next values to the weights and the state, without realising them."""


@singledispatch
def update_rule(optimizer: Any, weights: list[Any]) -> Update:
    """The optimizer's rule for these tensors, with fresh state.

    Raises:
        Unsupported: an optimizer of an unknown class.
    """
    raise Unsupported(f"received the optimizer {optimizer!r:.60}, expected Sgd or Adam")


def _zeros_like(weights: list[Any]) -> list[Any]:
    return [Tensor.zeros(*weight.shape).contiguous().realize() for weight in weights]


def _with_l2(gradients: Sequence[Any], weights: list[Any], l2: float) -> Sequence[Any]:
    return [g + l2 * w for g, w in zip(gradients, weights)] if l2 else gradients


class SgdUpdate(Update):
    """v = momentum * v + g; w -= rate * (g + momentum * v if nesterov else v)."""

    def __init__(self, spec: Sgd, weights: list[Any]) -> None:
        """Start with velocities of 0, and with none where the momentum is 0."""
        self._spec = spec
        self._weights = weights
        self.state = _zeros_like(weights) if spec.momentum else []

    def settings(self, rates: FloatArray, steps: IntArray) -> tuple[FloatArray, ...]:
        """The learning rate."""
        return (rates,)

    def assign(self, gradients: Sequence[Any], settings: Sequence[Any]) -> None:
        """See `Update.assign`."""
        (rate,) = settings
        gradients = _with_l2(gradients, self._weights, self._spec.l2)
        if not self._spec.momentum:
            for weight, gradient in zip(self._weights, gradients):
                weight.assign(weight - rate * gradient)
        for weight, velocity, gradient in zip(self._weights, self.state, gradients):
            velocity.assign(self._spec.momentum * velocity + gradient)
            step = gradient + self._spec.momentum * velocity if self._spec.nesterov else velocity
            weight.assign(weight - rate * step)


class AdamUpdate(Update):
    """Adam as the spec has it; the bias corrections of each step come in from outside."""

    def __init__(self, spec: Adam, weights: list[Any]) -> None:
        """Start with moments of 0."""
        self._spec = spec
        self._weights = weights
        self._means, self._squares = _zeros_like(weights), _zeros_like(weights)
        self.state = [*self._means, *self._squares]

    def settings(self, rates: FloatArray, steps: IntArray) -> tuple[FloatArray, ...]:
        """The rate over 1 - beta1^t, and 1 - beta2^t."""
        beta1, beta2 = self._spec.beta1, self._spec.beta2
        return rates / (1 - beta1 ** (steps + 1.0)), 1 - beta2 ** (steps + 1.0)

    def assign(self, gradients: Sequence[Any], settings: Sequence[Any]) -> None:
        """See `Update.assign`."""
        rate, share = settings
        beta1, beta2 = self._spec.beta1, self._spec.beta2
        gradients = _with_l2(gradients, self._weights, self._spec.l2)
        moments = zip(self._weights, self._means, self._squares, gradients)
        for weight, mean, square, gradient in moments:
            mean.assign(beta1 * mean + (1 - beta1) * gradient)
            square.assign(beta2 * square + (1 - beta2) * gradient * gradient)
            root = (square / share).sqrt() + self._spec.epsilon
            weight.assign(weight - rate * mean / root)


update_rule.register(Sgd, SgdUpdate)
update_rule.register(Adam, AdamUpdate)
