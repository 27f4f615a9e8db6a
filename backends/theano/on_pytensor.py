"""What is particular to PyTensor: its normalisation, loss and random streams.

PyTensor is made for statistics and has no layers of windows: its convolution takes two images, not
batches with channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar, cast

import pytensor
from pytensor import tensor

from backends.theano.engine import Engine, Pass, Streams
from bench.spec.layers import BatchNorm
from bench.spec.shapes import Node


class _PyTensorStreams(Streams):
    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.updates = []

    def mask(self, x: Any, share: float) -> Any:
        # Each layer has its own stream.
        stream = tensor.random.shared_rng(seed=[self._seed, len(self.updates)])
        following, mask = stream.bernoulli(share, size=x.shape)
        self.updates.append((stream, following))
        return mask.astype(x.dtype)


class _PyTensor(Engine):
    title = "PyTensor"
    library = pytensor
    modes: ClassVar[Mapping[str, Any]] = {"numba": "NUMBA", "cvm": "CVM"}

    def in_precision(self, precision: str) -> AbstractContextManager[object]:
        change = pytensor.config.change_flags(floatX=precision)
        return cast("AbstractContextManager[object]", change)

    def streams(self, seed: int) -> Streams:
        return _PyTensorStreams(seed)

    def sigmoid(self, x: Any) -> Any:
        return tensor.sigmoid(x)

    def cross_entropy(self, logits: Any, labels: Any) -> Any:
        rows = tensor.arange(labels.shape[0])
        return -tensor.special.log_softmax(logits, axis=1)[rows, labels].mean()

    def normalised(self, layer: BatchNorm, node: Node, x: Any, run: Pass) -> Any:
        scale, shift, mean, variance = run.normalisation(node)
        axes = (0, *range(2, x.ndim))

        def by_channel(values: Any) -> Any:
            return values if x.ndim == 2 else values[None, :, None, None]

        centred = x - by_channel(mean)
        if run.training:
            running = (mean, variance)
            mean = x.mean(axes)
            centred = x - by_channel(mean)
            variance = tensor.sqr(centred).mean(axes)
            count = (x.size // x.shape[1]).astype(x.dtype)
            for statistic, batch in zip(running, (mean, variance * (count / (count - 1)))):
                following = layer.momentum * statistic + (1 - layer.momentum) * batch
                run.statistics.append((statistic, following))
        factor = by_channel(scale / tensor.sqrt(variance + layer.epsilon))
        return centred * factor + by_channel(shift)


ENGINE = _PyTensor()
