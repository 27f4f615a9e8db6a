"""Batch normalisation by Paddle's kernel, with the spec's running variance.

Paddle's CPU kernel updates the running variance r with the batch's biased variance b: r = m * r +
(1 - m) * b. The spec uses the unbiased variance b * f, with f = n / (n - 1) for n values per
channel in a batch. Then r / f follows exactly Paddle's rule. So during training the buffer of the
running variance contains r / f, and steps need nothing but Paddle's own kernel.
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

# Paddle rejects larger values.
_LARGEST_EPSILON = 1e-3


def normalisation(layer: BatchNorm, node: Node) -> nn.Layer:
    """Make the layer that normalises the channels of maps or vectors.

    Raises:
        Unsupported: Paddle does not support the layer's epsilon.
    """
    if layer.epsilon > _LARGEST_EPSILON:
        raise Unsupported(
            f"PaddlePaddle does not support epsilon {layer.epsilon:g} of the batch normalisation "
            f"at {node.path or 'the root'}; the maximum is {_LARGEST_EPSILON:g}"
        )
    return _Normalisation(node.input_shape[-1], momentum=layer.momentum, epsilon=layer.epsilon)


class _Normalisation(nn.BatchNorm2D):
    """Paddle's layer, for maps and vectors, without its warning in every training pass."""

    def forward(self, x: Any) -> Any:
        """Normalise (n, c, ...), in training mode with the moments of the batch."""
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
    """The buffers of a model's running variances, in the form for training or inference.

    Attributes:
        batch_size: the batch size for which they contain r / f; None where they contain r.
    """

    def __init__(self, node: Node, scale: Callable[[str, float], None]) -> None:
        """Start with buffers of r; `scale` multiplies the buffer at an address by a factor."""
        self._scale = scale
        self._positions = {
            weight_name(part.path, "variance"): math.prod(part.input_shape[:-1])
            for part in node.walk()
            if isinstance(part.layer, BatchNorm)
        }
        self.batch_size: Optional[int] = None

    def hold_for(self, batch_size: Optional[int]) -> None:
        """Convert the buffers for training with a batch size, or for inference with None."""
        if batch_size == self.batch_size:
            return
        for address in self._positions:
            factor = self._factor(address, self.batch_size) / self._factor(address, batch_size)
            self._scale(address, factor)
        self.batch_size = batch_size

    def true_values(self, weights: Weights) -> Weights:
        """Return the weights with r instead of the contents of the buffers."""
        found = dict(weights)
        for address in self._positions:
            found[address] = weights[address] * np.float32(self._factor(address, self.batch_size))
        return found

    def _factor(self, address: str, batch_size: Optional[int]) -> float:
        """Return the factor f for a batch size; 1 for None."""
        if batch_size is None:
            return 1.0
        path, _, _ = address.rpartition("/")
        return bessel(batch_size * self._positions[address], path)
