"""Batch normalisation: forward, backward and the running statistics."""

from __future__ import annotations

from typing import Optional

import numpy as np

from backends.lowering import bessel
from backends.numpy.passes import Backward, Forward, channel_sum
from backends.numpy.weights import Statistic, Store
from bench.spec.layers import BatchNorm
from bench.spec.shapes import Node
from bench.spec.weights import FloatArray


def batch_norm(layer: BatchNorm, node: Node, store: Store, wanted: bool) -> Forward:
    """Lower batch normalisation: batch statistics in training, running ones in inference."""
    scale, shift = store.parameter(node, "scale"), store.parameter(node, "shift")
    mean, variance = store.statistic(node, "mean"), store.statistic(node, "variance")

    def train(x: FloatArray) -> tuple[FloatArray, Backward]:
        count = x.size // x.shape[-1]
        batch_mean = channel_sum(x) / count
        centred = x - batch_mean
        batch_variance = channel_sum(centred * centred) / count
        _follow(mean, layer.momentum, batch_mean)
        _follow(variance, layer.momentum, batch_variance * bessel(count, node.path))
        inverse = 1 / np.sqrt(batch_variance + layer.epsilon)
        normal = centred * inverse

        def backward(dy: FloatArray) -> Optional[FloatArray]:
            shift.gradient[:] = channel_sum(dy)
            scale.gradient[:] = channel_sum(dy * normal)
            if not wanted:
                return None
            # The mean and the variance depend on x too: subtract their parts from dy.
            shares = shift.gradient / count + normal * (scale.gradient / count)
            dx: FloatArray = (dy - shares) * (scale.value * inverse)
            return dx

        return normal * scale.value + shift.value, backward

    def infer(x: FloatArray) -> tuple[FloatArray, Backward]:
        factor = scale.value / np.sqrt(variance.value + layer.epsilon)

        def backward(dy: FloatArray) -> FloatArray:
            dx: FloatArray = dy * factor  # only by the image: in inference no weight is trained
            return dx

        return (x - mean.value) * factor + shift.value, backward

    def forward(x: FloatArray, training: bool) -> tuple[FloatArray, Backward]:
        return train(x) if training else infer(x)

    return forward


def _follow(statistic: Statistic, momentum: float, batch: FloatArray) -> None:
    statistic.following[:] = momentum * statistic.value + (1 - momentum) * batch
