"""The spec's optimizers as assignments to tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad import Tensor

from backends.optimizers import UpdateRule


class AssignedUpdate:
    """An optimizer's rule for a list of weights, with its state.

    Attributes:
        state: the state tensors of all weights.
    """

    def __init__(self, rule: UpdateRule, weights: list[Any]) -> None:
        self._rule = rule
        self._weights = weights
        self._slots = [
            [Tensor.zeros(*weight.shape).contiguous().realize() for _ in range(rule.slots)]
            for weight in weights
        ]
        self.state = [slot for slots in self._slots for slot in slots]

    def assign(self, gradients: Sequence[Any], settings: Sequence[Any]) -> None:
        """Assign the next values to the weights and the state, without realising them."""
        for weight, slots, gradient in zip(self._weights, self._slots, gradients):
            penalised = self._rule.penalised(gradient, weight)
            for slot, following in zip(slots, self._rule.next_slots(penalised, slots)):
                slot.assign(following)
            weight.assign(self._rule.next_weight(weight, penalised, slots, settings))
