"""Batch normalisation by Paddle's kernel, with the running variance that the spec states.

Paddle's kernel for the CPU moves the running variance by the batch's biased one: r = m * r +
(1 - m) * b. With the spec's unbiased one, b * f where f = n / (n - 1) for the n values of a
channel in a batch, r / f moves by just that rule. So in training the buffer of the running
variance holds r / f, and no step has anything to add to Paddle's own kernel.
"""

# Nothing of Paddle is typed for mypy here, so its classes can only be subclassed as Any.
# mypy: disable-error-code="misc"

from __future__ import annotations

import math
from typing import Any, Callable, Optional

import numpy as np
from paddle import nn
from paddle.nn.functional import batch_norm

from backends.api import Unsupported
from backends.lowering import bessel
from bench.spec.layers import BatchNorm
from bench.spec.parameters import weight_name
from bench.spec.shapes import Node
from bench.spec.weights import Weights

# Above, Paddle refuses to normalise.
_LARGEST_EPSILON = 1e-3


def normalisation(layer: BatchNorm, node: Node) -> nn.Layer:
    """The layer that normalises a map's channels, or a vector's.

    Raises:
        Unsupported: an epsilon that Paddle does not take.
    """
    if layer.epsilon > _LARGEST_EPSILON:
        raise Unsupported(
            f"{node.path or 'the model'}: batch_norm with epsilon={layer.epsilon:g}, PaddlePaddle "
            f"has only {_LARGEST_EPSILON:g} and less"
        )
    return _Normalisation(node.input_shape[-1], momentum=layer.momentum, epsilon=layer.epsilon)


class _Normalisation(nn.BatchNorm2D):
    """Paddle's layer, for maps and vectors, without its warning in every pass of training."""

    def forward(self, x: Any) -> Any:
        """(n, c, ...) -> the same, in training with the batch's own moments."""
        return batch_norm(
            x,
            self._mean,
            self._variance,
            weight=self.weight,
            bias=self.bias,
            training=self.training,
            momentum=self._momentum,
            epsilon=self._epsilon,
        )


class RunningVariances:
    """The buffers of a model's running variances, as training or as inference is to find them.

    Attributes:
        batch_size: the batch for which they hold r / f; None where they hold r.
    """

    def __init__(self, node: Node, scale: Callable[[str, float], None]) -> None:
        """Take a resolved model, and what multiplies the buffer at an address; they hold r."""
        self._scale = scale
        self._positions = {
            weight_name(part.path, "variance"): math.prod(part.input_shape[:-1])
            for part in node.walk()
            if isinstance(part.layer, BatchNorm)
        }
        self.batch_size: Optional[int] = None

    def hold_for(self, batch_size: Optional[int]) -> None:
        """Make the buffers fit training on batches of that size, or inference: None."""
        if batch_size == self.batch_size:
            return
        for address in self._positions:
            factor = self._factor(address, self.batch_size) / self._factor(address, batch_size)
            self._scale(address, factor)
        self.batch_size = batch_size

    def true_values(self, weights: Weights) -> Weights:
        """Weights by address with r in the place of what the buffers hold."""
        found = dict(weights)
        for address in self._positions:
            found[address] = weights[address] * np.float32(self._factor(address, self.batch_size))
        return found

    def _factor(self, address: str, batch_size: Optional[int]) -> float:
        """What turns the biased variance in such a batch into the unbiased one; 1 for no batch."""
        if batch_size is None:
            return 1.0
        path, _, _ = address.rpartition("/")
        return bessel(batch_size * self._positions[address], path)
