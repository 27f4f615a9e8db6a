"""Keras's optimizers, changed to follow the spec's formulas.

Keras's own update is used, because it has a fast form for each engine. Three things differ: the
penalty is part of every weight's gradient, the velocity of SGD is rescaled when the rate changes,
and Adam's epsilon includes the bias correction.
"""

# Nothing of Keras is typed for mypy here, so its classes can only be subclassed as Any.
# mypy: disable-error-code="misc"

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from bench.spec import training


def _class_in_use(named: Any) -> Any:
    """Return the class that Keras instantiates for an optimizer class.

    With PyTorch, that class updates all weights at once, which a subclass of `named` would not do.
    """
    return type(named.__new__(named))


_KerasSgd: Any = _class_in_use(keras.optimizers.SGD)
_KerasAdam: Any = _class_in_use(keras.optimizers.Adam)


class _Penalised:
    """Adds l2 * w to the gradient of each weight w; Keras's weight decay bypasses the update."""

    l2 = 0.0

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """Update the optimizer's weights by their gradients."""
        if self.l2:
            weights = self._trainable_variables  # type: ignore[attr-defined] # of the other base
            grads = [g + self.l2 * weight.value for g, weight in zip(grads, weights)]
        super().apply(grads, trainable_variables)


class Sgd(_Penalised, _KerasSgd):
    """Stochastic gradient descent; Keras's velocity is the spec's times minus the learning rate."""

    def __init__(self, spec: training.Sgd) -> None:
        super().__init__(spec.learning_rate, momentum=float(spec.momentum), nesterov=spec.nesterov)
        self.l2 = spec.l2
        self._rate = float(np.float32(spec.learning_rate))  # as in the arguments of `train`

    def change_rate(self, rate: float) -> None:
        """Set the learning rate of the following steps, and rescale the velocities."""
        if rate == self._rate:
            return
        for velocity in self.momentums:
            velocity.assign(velocity * (rate / self._rate))
        self.learning_rate = self._rate = rate


class Adam(_Penalised, _KerasAdam):
    """Adam with epsilon outside the bias correction.

    Keras computes size * m / (sqrt(v) + epsilon), where the size holds both corrections. Dividing
    the spec's formula by sqrt(1 / (1 - beta2^t)) gives this form with epsilon * sqrt(1 - beta2^t)
    for epsilon.
    """

    def __init__(self, spec: training.Adam) -> None:
        super().__init__(
            spec.learning_rate, beta_1=spec.beta1, beta_2=spec.beta2, epsilon=spec.epsilon
        )
        self.l2 = spec.l2

    @property
    def epsilon(self) -> Any:
        """The number that Keras adds to the root in this step."""
        dtype = keras.config.floatx()
        power = ops.power(ops.cast(self.beta_2, dtype), ops.cast(self.iterations + 1, dtype))
        return self._epsilon * ops.sqrt(1 - power)

    @epsilon.setter
    def epsilon(self, value: float) -> None:
        self._epsilon = value

    def change_rate(self, rate: float) -> None:
        """Set the learning rate of the following steps."""
        self.learning_rate = rate

    def get_config(self) -> dict[str, Any]:
        """Return Keras's configuration, with the spec's epsilon."""
        # Keras calls it in `Model.compile`, where the epsilon of a step would be a tensor.
        return {**super().get_config(), "epsilon": self._epsilon}


def make_optimizer(spec: training.Optimizer) -> Any:
    """Make the optimizer with the spec's formula."""
    return Sgd(spec) if isinstance(spec, training.Sgd) else Adam(spec)
