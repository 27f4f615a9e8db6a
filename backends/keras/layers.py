"""Two layers that Keras does not have: the spec's batch normalisation, and lowest padding."""

# Nothing of Keras is typed for mypy here, so its classes can only be subclassed as Any.
# mypy: disable-error-code="misc"

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops


class UnbiasedBatchNormalization(keras.layers.BatchNormalization):
    """Keras's layer, with a running variance that follows the unbiased batch variance."""

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        """Normalise (n, ..., c), in training mode with the moments of the batch."""
        if not training:
            return super().call(inputs, training=training, mask=mask)
        x = ops.cast(inputs, self.variable_dtype)
        mean, variance = ops.moments(x, list(range(len(inputs.shape) - 1)))
        count = ops.cast(math.prod(ops.shape(inputs)[:-1]), self.variable_dtype)
        self._move(self.moving_mean, mean)
        self._move(self.moving_variance, variance * (count / (count - 1)))
        y = ops.batch_normalization(
            x, mean, variance, -1, offset=self.beta, scale=self.gamma, epsilon=self.epsilon
        )
        return ops.cast(y, self.compute_dtype)

    def _move(self, running: Any, batch: Any) -> None:
        running.assign(self.momentum * running + (1 - self.momentum) * batch)


class LowestPadding2D(keras.layers.Layer):
    """Pads with rows and columns of -infinity, which never are a maximum."""

    def __init__(self, padding: int) -> None:
        super().__init__()
        self.padding = padding

    def call(self, inputs: Any) -> Any:
        """Pad (n, h, w, c) to (n, h + 2 * padding, w + 2 * padding, c)."""
        sides = (self.padding, self.padding)
        return ops.pad(inputs, ((0, 0), sides, sides, (0, 0)), constant_values=float("-inf"))
