"""Convolution as one matrix product, and depthwise convolution as a sum over kernel offsets.

With x padded, y[n, h, w, f] = sum over i, j, c of x[n, s h + i, s w + j, c] * kernel[i, j, c, f].
"""

from __future__ import annotations

from typing import Optional

import numpy as np

from backends.numpy.passes import Backward, Forward, biased, channel_sum
from backends.numpy.weights import Store
from backends.numpy.windows import Windows, windows_of
from bench.spec.layers import Conv, DepthwiseConv
from bench.spec.shapes import Node, padding_of
from bench.spec.weights import FloatArray


def conv(layer: Conv, node: Node, store: Store, wanted: bool) -> Forward:
    """Lower a convolution to im2col: windows are rows of a matrix, filters are columns."""
    windows = windows_of(node, layer.kernel, layer.stride, padding_of(layer.padding, layer.kernel))
    kernel = store.parameter(node, "kernel")
    groups = layer.groups

    def forward(x: FloatArray, training: bool) -> tuple[FloatArray, Backward]:
        grouped = x.reshape(*x.shape[:3], groups, -1)
        columns = _columns(grouped, windows)
        rows = columns @ _by_group(kernel.value, groups)
        y = rows.transpose(1, 0, 2).reshape(len(x), windows.height, windows.width, -1)

        def backward(dy: FloatArray) -> Optional[FloatArray]:
            dy_rows = _by_group(dy, groups)
            _by_group(kernel.gradient, groups)[...] = columns.transpose(0, 2, 1) @ dy_rows
            if not wanted:
                return None
            return _input_gradient(dy_rows, kernel.value, grouped, windows).reshape(x.shape)

        return y, backward

    return biased(forward, store.parameter(node, "bias")) if layer.bias else forward


def _by_group(array: FloatArray, groups: int) -> FloatArray:
    """Return (..., f) as one matrix per group, (g, rows, f / g)."""
    return array.reshape(-1, groups, array.shape[-1] // groups).transpose(1, 0, 2)


def _columns(grouped: FloatArray, windows: Windows) -> FloatArray:
    """Return the windows of a map (n, h, w, g, c) as rows: (g, n * h' * w', k * k * c)."""
    views = windows.unrolled(windows.padded(grouped))
    groups, channels = grouped.shape[3:]
    # From (n, h', w', g, c, k, k): reshaping copies, except for 1 x 1 windows.
    rows = views.transpose(3, 0, 1, 2, 5, 6, 4)
    return rows.reshape(groups, -1, windows.size**2 * channels)


def _input_gradient(
    dy_rows: FloatArray, kernel: FloatArray, grouped: FloatArray, windows: Windows
) -> FloatArray:
    """Add each offset's part of dx, dy * kernel[i, j]^T, where the windows read x."""
    batch, _, _, groups, channels = grouped.shape
    dpadded = windows.padded_zeros(grouped)
    taps = kernel.reshape(windows.size**2, channels, -1)
    for view, tap in zip(windows.offsets(dpadded), taps):
        share = dy_rows @ _by_group(tap, groups).transpose(0, 2, 1)
        shape = (groups, batch, windows.height, windows.width, channels)
        view += share.reshape(shape).transpose(1, 2, 3, 0, 4)
    return windows.inner(dpadded)


def depthwise_conv(layer: DepthwiseConv, node: Node, store: Store, wanted: bool) -> Forward:
    """Lower a depthwise convolution: multiply each offset's view by that offset's row."""
    windows = windows_of(node, layer.kernel, layer.stride, padding_of(layer.padding, layer.kernel))
    kernel = store.parameter(node, "kernel")
    rows, row_gradients = (array.reshape(layer.kernel**2, -1) for array in kernel)

    def forward(x: FloatArray, training: bool) -> tuple[FloatArray, Backward]:
        padded = windows.padded(x)
        y = np.zeros((len(x), windows.height, windows.width, x.shape[3]), x.dtype)
        for view, row in zip(windows.offsets(padded), rows):
            y += view * row

        def backward(dy: FloatArray) -> Optional[FloatArray]:
            for view, row_gradient in zip(windows.offsets(padded), row_gradients):
                row_gradient[:] = channel_sum(view * dy)
            if not wanted:
                return None
            dpadded = windows.padded_zeros(x)
            for view, row in zip(windows.offsets(dpadded), rows):
                view += dy * row
            return windows.inner(dpadded)

        return y, backward

    return biased(forward, store.parameter(node, "bias")) if layer.bias else forward
