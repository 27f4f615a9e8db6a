"""The formulas of the spec's optimizers for one weight, without a framework.

They consist of operators, so they work on tracers, symbols and lazy tensors alike, and run while a
step is traced. The formulas are those of `bench.spec.training`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Callable

from bench.spec.training import Adam, Optimizer, Sgd

if TYPE_CHECKING:
    from bench.spec.weights import FloatArray, IntArray

# (beta, numbers of steps from 0) -> 1 - beta^t, the share of the gradients seen so far.
Share = Callable[[float, Any], Any]


def _share(beta: float, steps: Any) -> Any:
    return 1 - beta ** (steps + 1.0)


class UpdateRule(ABC):
    """An optimizer's formulas.

    Attributes:
        slots: the number of state tensors per weight; they start at 0.
        inputs: the names of the scalars that `settings` computes for each step.
    """

    slots: int
    inputs: tuple[str, ...]

    def __init__(self, l2: float) -> None:
        self._l2 = l2

    def penalised(self, gradient: Any, weight: Any) -> Any:
        """Return the gradient of the loss with its L2 penalty."""
        return gradient + self._l2 * weight if self._l2 else gradient

    @abstractmethod
    def settings(self, rates: Any, steps: Any, share: Share = _share) -> tuple[Any, ...]:
        """Return the values of `inputs`, for one step or for arrays of steps.

        Args:
            rates: learning rates.
            steps: numbers of the steps; the first of a training is 0.
            share: how to compute 1 - beta^t.
        """

    @abstractmethod
    def next_slots(self, gradient: Any, slots: Sequence[Any]) -> tuple[Any, ...]:
        """Return the state after a step, given the penalised gradient."""

    @abstractmethod
    def next_weight(
        self, weight: Any, gradient: Any, slots: Sequence[Any], settings: Sequence[Any]
    ) -> Any:
        """Return the weight after a step, given the state after the step."""


class _SgdRule(UpdateRule):
    inputs = ("rate",)

    def __init__(self, spec: Sgd) -> None:
        super().__init__(spec.l2)
        self._spec = spec
        self.slots = 1 if spec.momentum else 0

    def settings(self, rates: Any, steps: Any, share: Share = _share) -> tuple[Any, ...]:
        return (rates,)

    def next_slots(self, gradient: Any, slots: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(self._spec.momentum * velocity + gradient for velocity in slots)

    def next_weight(
        self, weight: Any, gradient: Any, slots: Sequence[Any], settings: Sequence[Any]
    ) -> Any:
        (rate,) = settings
        direction = slots[0] if slots else gradient
        if self._spec.nesterov:
            direction = gradient + self._spec.momentum * direction
        return weight - rate * direction


class _AdamRule(UpdateRule):
    slots = 2
    inputs = ("corrected_rate", "square_correction")

    def __init__(self, spec: Adam, sqrt: Callable[[Any], Any]) -> None:
        super().__init__(spec.l2)
        self._spec = spec
        self._sqrt = sqrt

    def settings(self, rates: Any, steps: Any, share: Share = _share) -> tuple[Any, ...]:
        return rates / share(self._spec.beta1, steps), 1 / share(self._spec.beta2, steps)

    def next_slots(self, gradient: Any, slots: Sequence[Any]) -> tuple[Any, ...]:
        (mean, square), (beta1, beta2) = slots, (self._spec.beta1, self._spec.beta2)
        next_mean = beta1 * mean + (1 - beta1) * gradient
        return next_mean, beta2 * square + (1 - beta2) * (gradient * gradient)

    def next_weight(
        self, weight: Any, gradient: Any, slots: Sequence[Any], settings: Sequence[Any]
    ) -> Any:
        (mean, square), (rate, correction) = slots, settings
        return weight - rate * mean / (self._sqrt(square * correction) + self._spec.epsilon)


def update_rule(optimizer: Optimizer, sqrt: Callable[[Any], Any]) -> UpdateRule:
    """Return the formulas of an optimizer, given the framework's square root."""
    return _SgdRule(optimizer) if isinstance(optimizer, Sgd) else _AdamRule(optimizer, sqrt)


# By address: a weight, or the state tensors of a weight.
Arrays = dict[str, Any]
Slots = dict[str, tuple[Any, ...]]


def initial_slots(
    rule: UpdateRule, weights: Mapping[str, Any], zeros_like: Callable[[Any], Any]
) -> Slots:
    """Return the state before the first step."""
    return {
        address: tuple(zeros_like(weight) for _ in range(rule.slots))
        for address, weight in weights.items()
    }


def updated(
    rule: UpdateRule, weights: Arrays, gradients: Arrays, slots: Slots, settings: Sequence[Any]
) -> tuple[Arrays, Slots]:
    """Return all weights and states after a step, as pure functions need them."""
    next_weights, next_slots = {}, {}
    for address, weight in weights.items():
        gradient = rule.penalised(gradients[address], weight)
        state = rule.next_slots(gradient, slots[address])
        next_slots[address] = state
        next_weights[address] = rule.next_weight(weight, gradient, state, settings)
    return next_weights, next_slots


def settings_of_steps(
    rule: UpdateRule, rates: FloatArray, steps: IntArray, dtype: Any
) -> list[FloatArray]:
    """Return the settings of many steps, computed on the host in float64, then rounded.

    Args:
        rule: the optimizer's formulas.
        rates: (steps,) learning rates.
        steps: (steps,) numbers of the steps.
        dtype: the precision to round to.

    Returns:
        For each input of the rule, its values, (steps,).
    """
    return [column.astype(dtype) for column in rule.settings(rates.astype("float64"), steps)]
