"""Pooling: the maximum or mean of each window, or the mean of the whole map."""

from __future__ import annotations

import math

import numpy as np

from backends.numpy.passes import Backward, Forward
from backends.numpy.weights import Store
from backends.numpy.windows import windows_of
from bench.spec.layers import AvgPool, GlobalAvgPool, MaxPool
from bench.spec.shapes import Node, padding_of
from bench.spec.weights import FloatArray


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
