"""What is particular to Theano: its layers of windows, normalisation, loss and random streams."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import reduce
from typing import Any, ClassVar, cast

import numpy as np
import theano
from theano import tensor
from theano.sandbox.rng_mrg import MRG_RandomStreams
from theano.tensor import nnet
from theano.tensor.signal.pool import pool_2d

from backends.api import Unsupported
from backends.lowering import convolution_of
from backends.theano.engine import Engine, Pass, Streams, Updates
from bench.spec.layers import AvgPool, BatchNorm, MaxPool
from bench.spec.shapes import Node, Shape, padding_of

# Theano rejects smaller values, as cuDNN does.
_LEAST_EPSILON = 1e-5
_LARGEST_SEED = 2**31 - 2**20  # Theano's generator takes seeds from 1 to a little less than 2^31


class _TheanoStreams(Streams):
    def __init__(self, seed: int) -> None:
        self._random = MRG_RandomStreams(1 + seed % _LARGEST_SEED)

    @property
    def updates(self) -> Updates:  # type: ignore[override]
        return list(self._random.updates())

    def mask(self, x: Any, share: float) -> Any:
        return self._random.binomial(x.shape, p=share, dtype=x.dtype)


class _Theano(Engine):
    title = "Theano"
    library = theano
    modes: ClassVar[Mapping[str, Any]] = {
        "fast_run": theano.Mode(linker="cvm", optimizer="fast_run"),
        # Few rewrites of the graph; the remaining operations still run in C++.
        "fast_compile": theano.Mode(linker="cvm", optimizer="fast_compile"),
    }
    # Only the listed updates: otherwise every function would advance dropout's streams.
    options: ClassVar[Mapping[str, Any]] = {"no_default_updates": True}

    def in_precision(self, precision: str) -> AbstractContextManager[object]:
        return cast("AbstractContextManager[object]", theano.change_flags(floatX=precision))

    def streams(self, seed: int) -> Streams:
        return _TheanoStreams(seed)

    def sigmoid(self, x: Any) -> Any:
        return nnet.sigmoid(x)

    def cross_entropy(self, logits: Any, labels: Any) -> Any:
        losses, _ = nnet.crossentropy_softmax_1hot(logits, labels)
        return losses.mean()

    def normalised(self, layer: BatchNorm, node: Node, x: Any, run: Pass) -> Any:
        scale, shift, mean, variance = run.normalisation(node)
        axes = "spatial" if x.ndim == 4 else "per-activation"
        epsilon = _epsilon(layer, node, x.dtype)
        if not run.training:
            return nnet.bn.batch_normalization_test(x, scale, shift, mean, variance, axes, epsilon)
        y, _, _, next_mean, next_variance = nnet.bn.batch_normalization_train(
            x, scale, shift, axes, epsilon, 1 - layer.momentum, mean, variance
        )
        run.statistics.extend([(mean, next_mean), (variance, next_variance)])
        return y

    def convolved(self, node: Node, x: Any, run: Pass) -> Any:
        layer: Any = node.layer
        _, _, groups, padding = convolution_of(node)
        height, width, channels = node.input_shape
        kernel, bias = run.weight(node, "kernel"), run.weight(node, "bias")
        y = nnet.conv2d(
            x,
            kernel,
            input_shape=(None, channels, height, width),
            filter_shape=kernel.get_value(borrow=True).shape,
            border_mode=padding,
            subsample=(layer.stride, layer.stride),
            filter_flip=False,
            num_groups=groups,
        )
        return y if bias is None else y + bias.dimshuffle("x", 0, "x", "x")

    def max_pooled(self, layer: MaxPool, node: Node, x: Any) -> Any:
        """Return the maximum over the positions in the window of shifted maps.

        Theano's own pooling passes the gradient to every value that equals the maximum. The even
        background of images makes many: on MNIST, `cnn` would train differently. This form is as
        fast for windows of 2, and half as fast for overlapping windows of 3.
        """
        padding = padding_of(layer.padding, layer.size)
        if padding:
            x = _padded(x, padding, node.input_shape)
        down, across = (
            (extent + 2 * padding - layer.size) // layer.steps * layer.steps + 1
            for extent in node.input_shape[:2]
        )
        shifted = [
            x[:, :, row : row + down : layer.steps, column : column + across : layer.steps]
            for row in range(layer.size)
            for column in range(layer.size)
        ]
        return reduce(tensor.maximum, shifted)

    def average_pooled(self, layer: AvgPool, node: Node, x: Any) -> Any:
        window, steps = (layer.size, layer.size), (layer.steps, layer.steps)
        return pool_2d(x, window, ignore_border=True, stride=steps, mode="average_exc_pad")


def _epsilon(layer: BatchNorm, node: Node, dtype: str) -> float:
    """Return epsilon in that type, rounded up where rounding down gives less than the minimum."""
    if layer.epsilon < _LEAST_EPSILON:
        raise Unsupported(
            f"Theano does not support epsilon {layer.epsilon:g} of the batch normalisation at "
            f"{node.path or 'the root'}; the minimum is {_LEAST_EPSILON:g}"
        )
    kind = np.dtype(dtype).type
    rounded = kind(layer.epsilon)
    return float(rounded if float(rounded) >= layer.epsilon else np.nextafter(rounded, kind(1)))


def _padded(x: Any, padding: int, input_shape: Shape) -> Any:
    """Add rows and columns of the lowest value, which never is a maximum, on every side."""
    height, width, channels = input_shape
    shape = (x.shape[0], channels, height + 2 * padding, width + 2 * padding)
    lowest = tensor.alloc(np.finfo(x.dtype).min.astype(x.dtype), *shape)
    inner = lowest[:, :, padding : padding + height, padding : padding + width]
    return tensor.set_subtensor(inner, x)


ENGINE = _Theano()
