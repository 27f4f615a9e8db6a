"""The windows of convolution and pooling, as one view per kernel offset, and pooling.

For the offset (i, j) of a size x size window, the values that all windows have there form one
strided view of the padded map. Convolution and pooling are loops over these size * size views,
each of them (batch, out height, out width, ...).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from backends.numpy.passes import Backward, Forward
from backends.numpy.weights import Store
from bench.spec.layers import AvgPool, GlobalAvgPool, MaxPool
from bench.spec.shapes import Node, padding_of
from bench.spec.weights import FloatArray


class Windows(NamedTuple):
    """The geometry of a layer's windows; `height` and `width` count the windows."""

    size: int
    stride: int
    pad: int
    height: int
    width: int

    def padded(self, x: FloatArray, value: float = 0.0) -> FloatArray:
        """Pad the map with `pad` rows and columns of `value` on every side; return x where 0."""
        if self.pad == 0:
            return x
        padded = np.full(self._padded_shape(x.shape), value, x.dtype)
        self.inner(padded)[...] = x
        return padded

    def padded_zeros(self, x: FloatArray) -> FloatArray:
        """Return zeros in the shape of the padded map."""
        return np.zeros(self._padded_shape(x.shape), x.dtype)

    def inner(self, padded: FloatArray) -> FloatArray:
        """Return a view of the map inside the padding."""
        height, width = padded.shape[1:3]
        return padded[:, self.pad : height - self.pad, self.pad : width - self.pad]

    def offsets(self, padded: FloatArray) -> Iterator[FloatArray]:
        """Yield the view of each offset, row by row."""
        down, across = self.stride * (self.height - 1) + 1, self.stride * (self.width - 1) + 1
        for i in range(self.size):
            for j in range(self.size):
                yield padded[:, i : i + down : self.stride, j : j + across : self.stride]

    def unrolled(self, padded: FloatArray) -> FloatArray:
        """Return a view of all windows: (batch, h', w', ..., size, size)."""
        views = sliding_window_view(padded, (self.size, self.size), axis=(1, 2))
        return views[:, :: self.stride, :: self.stride]

    def _padded_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        batch, height, width, *rest = shape
        return (batch, height + 2 * self.pad, width + 2 * self.pad, *rest)


def windows_of(node: Node, size: int, stride: int, pad: int) -> Windows:
    """Return the windows of the layer at a node; each makes one output position."""
    height, width = node.output_shape[:2]
    return Windows(size, stride, pad, height, width)


def max_pool(layer: MaxPool, node: Node, store: Store, wanted: bool) -> Forward:
    """Lower to a running maximum over the offsets; dy goes to the first maximum of a window."""
    windows = windows_of(node, layer.size, layer.steps, padding_of(layer.padding, layer.size))

    def forward(x: FloatArray, training: bool) -> tuple[FloatArray, Backward]:
        first, *others = windows.offsets(windows.padded(x, -math.inf))
        y, winners = first.copy(), np.zeros(first.shape, np.uint16)
        for offset, view in enumerate(others, start=1):
            # Only a larger value replaces the winner. Offsets increase: the maximum is the last.
            np.maximum(winners, (view > y) * np.uint16(offset), out=winners)
            np.maximum(y, view, out=y)

        def backward(dy: FloatArray) -> FloatArray:
            dpadded = windows.padded_zeros(x)
            for offset, dview in enumerate(windows.offsets(dpadded)):
                dview += (winners == offset) * dy
            return windows.inner(dpadded)

        return y, backward

    return forward


def avg_pool(layer: AvgPool, node: Node, store: Store, wanted: bool) -> Forward:
    """Lower to a sum over the offsets, divided by their number."""
    windows = windows_of(node, layer.size, layer.steps, 0)

    def forward(x: FloatArray, training: bool) -> tuple[FloatArray, Backward]:
        first, *others = windows.offsets(x)
        y = first.copy()
        for view in others:
            y += view
        y /= layer.size**2

        def backward(dy: FloatArray) -> FloatArray:
            dx = windows.padded_zeros(x)
            share = dy / layer.size**2
            for dview in windows.offsets(dx):
                dview += share
            return dx

        return y, backward

    return forward


def global_avg_pool(layer: GlobalAvgPool, node: Node, store: Store, wanted: bool) -> Forward:
    """Lower to the mean over height and width: all positions receive equal parts of dy."""
    height, width, _ = node.input_shape

    def forward(x: FloatArray, training: bool) -> tuple[FloatArray, Backward]:
        def backward(dy: FloatArray) -> FloatArray:
            share = dy / (height * width)
            return np.broadcast_to(share[:, None, None, :], x.shape)

        return x.mean(axis=(1, 2)), backward

    return forward
