"""The spec's optimizers with TensorFlow's own update kernels, which change a weight in one pass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from bench.spec.training import Adam, Optimizer, Sgd
from bench.spec.weights import FloatArray, IntArray

# The scalars of an update that differ from step to step.
Settings = Sequence[Any]


class Update(ABC):
    """An optimizer's rule for a list of weights, with its state."""

    state: list[tf.Variable]

    @abstractmethod
    def settings(self, rates: FloatArray, steps: IntArray) -> tuple[FloatArray, ...]:
        """Return the settings of `apply` for many steps, computed at once in float64.

        Args:
            rates: (steps,) learning rates.
            steps: (steps,) numbers of the steps; the first of a training is 0.

        Returns:
            For each setting, its values: (steps,).
        """

    @abstractmethod
    def apply(self, gradients: Sequence[tf.Tensor], settings: Settings) -> None:
        """Update every weight by its gradient."""


def _zeros_like(weights: list[tf.Variable]) -> list[tf.Variable]:
    return [tf.Variable(tf.zeros_like(weight), trainable=False) for weight in weights]


def _with_l2(
    gradients: Sequence[tf.Tensor], weights: list[tf.Variable], l2: float
) -> Sequence[tf.Tensor]:
    return [g + l2 * w for g, w in zip(gradients, weights)] if l2 else gradients


class SgdUpdate(Update):
    """v = momentum * v + g; w -= rate * v: the formula of TensorFlow's kernel for momentum."""

    def __init__(self, spec: Sgd, weights: list[tf.Variable]) -> None:
        """Start with velocities of 0, or none where the momentum is 0."""
        self._spec = spec
        self._weights = weights
        self.state = _zeros_like(weights) if spec.momentum else []

    def settings(self, rates: FloatArray, steps: IntArray) -> tuple[FloatArray, ...]:
        """Return the learning rates."""
        return (rates,)

    def apply(self, gradients: Sequence[tf.Tensor], settings: Settings) -> None:
        """See `Update.apply`."""
        (rate,) = settings
        gradients = _with_l2(gradients, self._weights, self._spec.l2)
        if not self._spec.momentum:
            for weight, gradient in zip(self._weights, gradients):
                # `assign_sub` without its check: a replica changes its own copy.
                tf.raw_ops.AssignSubVariableOp(resource=weight.handle, value=rate * gradient)
        for weight, velocity, gradient in zip(self._weights, self.state, gradients):
            tf.raw_ops.ResourceApplyMomentum(
                var=weight.handle,
                accum=velocity.handle,
                lr=rate,
                grad=gradient,
                momentum=self._spec.momentum,
                use_nesterov=self._spec.nesterov,
            )


class AdamUpdate(Update):
    """Adam with epsilon outside the bias correction, by a kernel that has it inside.

    With powers of 0, the kernel computes w -= size * m / (sqrt(v) + epsilon). Dividing numerator
    and denominator of the spec's formula by sqrt(1 / (1 - beta2^t)) gives the same form with
    size = rate * correction / (1 - beta1^t) and epsilon * correction for epsilon, where
    correction = sqrt(1 - beta2^t).
    """

    def __init__(self, spec: Adam, weights: list[tf.Variable]) -> None:
        self._spec = spec
        self._weights = weights
        self._first = _zeros_like(weights)
        self._second = _zeros_like(weights)
        self.state = [*self._first, *self._second]

    def settings(self, rates: FloatArray, steps: IntArray) -> tuple[FloatArray, ...]:
        """Return the kernel's size and epsilon."""
        # The kernel rounds the betas to the weights' precision. The correction must use the
        # rounded betas too; with exact ones it would be wrong by 2e-5.
        dtype = self._weights[0].dtype.as_numpy_dtype
        beta1, beta2 = (float(dtype(beta)) for beta in (self._spec.beta1, self._spec.beta2))
        correction = np.sqrt(1 - beta2 ** (steps + 1.0))
        size = rates * correction / (1 - beta1 ** (steps + 1.0))
        return size, self._spec.epsilon * correction

    def apply(self, gradients: Sequence[tf.Tensor], settings: Settings) -> None:
        """See `Update.apply`."""
        size, epsilon = settings
        gradients = _with_l2(gradients, self._weights, self._spec.l2)
        moments = zip(self._weights, self._first, self._second, gradients)
        for weight, first, second, gradient in moments:
            tf.raw_ops.ResourceApplyAdam(
                var=weight.handle,
                m=first.handle,
                v=second.handle,
                beta1_power=0.0,
                beta2_power=0.0,
                lr=size,
                beta1=self._spec.beta1,
                beta2=self._spec.beta2,
                epsilon=epsilon,
                grad=gradient,
            )


def update_rule(optimizer: Optimizer, weights: list[tf.Variable]) -> Update:
    """Make the optimizer's rule for these weights, with fresh state on their device."""
    if isinstance(optimizer, Sgd):
        return SgdUpdate(optimizer, weights)
    return AdamUpdate(optimizer, weights)
