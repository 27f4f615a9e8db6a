"""The spec's optimizers as next values of shared variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from backends.optimizers import UpdateRule
from backends.theano.engine import Engine, Updates


class SharedUpdate:
    """An optimizer's rule for shared variables, with its state.

    Attributes:
        inputs: symbolic scalars, the rule's settings of one step.
    """

    def __init__(self, rule: UpdateRule, weights: list[Any], engine: Engine) -> None:
        self._rule = rule
        self._weights = weights
        zeros = [np.zeros_like(weight.get_value(borrow=True)) for weight in weights]
        self._slots = [
            [engine.library.shared(value.copy()) for _ in range(rule.slots)] for value in zeros
        ]
        self.inputs = [engine.tensor.scalar(name) for name in rule.inputs]

    def updates(self, gradients: Sequence[Any]) -> Updates:
        """Return the next values of the weights and the state."""
        updates: Updates = []
        for weight, slots, gradient in zip(self._weights, self._slots, gradients):
            penalised = self._rule.penalised(gradient, weight)
            following = self._rule.next_slots(penalised, slots)
            updates += zip(slots, following)
            moved = self._rule.next_weight(weight, penalised, following, self.inputs)
            updates.append((weight, moved))
        return updates
