"""Batch normalisation: the fused kernel in float32, and otherwise the formula.

The kernel does not support float64, nor batches shared by several devices.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from backends.tensorflow.parallel import OneDevice
from bench.spec.layers import BatchNorm


class Channels(NamedTuple):
    """The weights of a normalisation, each (c,)."""

    scale: tf.Variable
    shift: tf.Variable
    mean: tf.Variable
    variance: tf.Variable


# (x, channels, spec, training) -> y, next running mean, next running variance
Normalise = Callable[[tf.Tensor, Channels, BatchNorm, bool], tuple[tf.Tensor, tf.Tensor, tf.Tensor]]


def normalise_fused(
    x: tf.Tensor, channels: Channels, spec: BatchNorm, training: bool
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Normalise x, (n, h, w, c) or (n, c) in float32; see `Normalise`.

    The kernel also updates the running statistics, with the unbiased variance. It is called
    directly because `tf.compat.v1.nn.fused_batch_norm` raises an epsilon of 1e-5 to 1.001e-5.
    """
    maps = x if x.shape.rank == 4 else x[:, tf.newaxis, tf.newaxis, :]
    y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=maps,
        scale=channels.scale,
        offset=channels.shift,
        mean=channels.mean,
        variance=channels.variance,
        epsilon=spec.epsilon,
        exponential_avg_factor=1 - spec.momentum if training else 1.0,
        is_training=training,
    )
    return tf.reshape(y, tf.shape(x)) if maps is not x else y, mean, variance


def normalise_by_moments(
    x: tf.Tensor, channels: Channels, spec: BatchNorm, training: bool
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Normalise x, (n, h, w, c) or (n, c) in any precision; see `Normalise`."""
    if not training:
        return _normalised(x, channels, spec, channels.mean, channels.variance)
    mean, variance = tf.nn.moments(x, list(range(x.shape.rank - 1)))
    y, _, _ = _normalised(x, channels, spec, mean, variance)
    count = tf.cast(tf.size(x) // x.shape[-1], x.dtype)
    unbiased = variance * (count / (count - 1))
    return y, _moved(channels.mean, mean, spec), _moved(channels.variance, unbiased, spec)


def normalise_over(devices: OneDevice) -> Normalise:
    """Return a normalisation of batches that several devices share; see `Normalise`."""

    def normalise(
        x: tf.Tensor, channels: Channels, spec: BatchNorm, training: bool
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        if not training:
            return normalise_by_moments(x, channels, spec, training)
        axes = list(range(x.shape.rank - 1))
        (mean,) = devices.averaged([tf.reduce_mean(x, axes)])
        (variance,) = devices.averaged([tf.reduce_mean(tf.math.squared_difference(x, mean), axes)])
        y, _, _ = _normalised(x, channels, spec, mean, variance)
        count = tf.cast(devices.number * (tf.size(x) // x.shape[-1]), x.dtype)
        unbiased = variance * (count / (count - 1))
        return y, _moved(channels.mean, mean, spec), _moved(channels.variance, unbiased, spec)

    return normalise


def _normalised(
    x: tf.Tensor, channels: Channels, spec: BatchNorm, mean: tf.Tensor, variance: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    y = tf.nn.batch_normalization(x, mean, variance, channels.shift, channels.scale, spec.epsilon)
    return y, mean, variance


def _moved(running: tf.Variable, batch: tf.Tensor, spec: BatchNorm) -> tf.Tensor:
    return spec.momentum * running + (1 - spec.momentum) * batch
