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
    """Lower a convolution to im2col: each window a row of a matrix, each filter a column."""
    windows = windows_of(node, layer.kernel, layer.stride, padding_of(layer.padding, layer.kernel))
    kernel = store.parameter(node, "kernel")
    groups = layer.groups

    def forward(x: FloatArray, training: bool) -> tuple[FloatArray, Backward]:
        grouped = x.reshape(*x.shape[:3], groups, -1)
        columns = _columns(grouped, windows)
        y = _merge_groups(columns @ _by_group(kernel.value, groups), len(x), windows)

        def backward(dy: FloatArray) -> Optional[FloatArray]:
            dy_rows = _split_groups(dy, groups)
            dkernel = columns.transpose(0, 2, 1) @ dy_rows
            _by_group(kernel.gradient, groups)[...] = dkernel
            if not wanted:
                return None
            dcolumns = dy_rows @ _by_group(kernel.value, groups).transpose(0, 2, 1)
            return _add_columns(dcolumns, grouped, windows).reshape(x.shape)

        return y, backward

    return biased(forward, store.parameter(node, "bias")) if layer.bias else forward


def _by_group(kernel: FloatArray, groups: int) -> FloatArray:
    """A view of (k, k, c / g, f) as a matrix a group, (g, k * k * c / g, f / g)."""
    return kernel.reshape(-1, groups, kernel.shape[-1] // groups).transpose(1, 0, 2)


def _split_groups(y: FloatArray, groups: int) -> FloatArray:
    """(n, h, w, f) as a matrix a group, (g, n * h * w, f / g)."""
    return y.reshape(-1, groups, y.shape[-1] // groups).transpose(1, 0, 2)


def _merge_groups(rows: FloatArray, batch: int, windows: Windows) -> FloatArray:
    """The opposite of `_split_groups`."""
    return rows.transpose(1, 0, 2).reshape(batch, windows.height, windows.width, -1)


def _columns(grouped: FloatArray, windows: Windows) -> FloatArray:
    """Every window of (n, h, w, g, c) as a row: (g, n * h' * w', k * k * c)."""
    batch, _, _, groups, channels = grouped.shape
    shape = (groups, batch, windows.height, windows.width, windows.size**2, channels)
    columns = np.empty(shape, grouped.dtype)
    for offset, view in enumerate(windows.offsets(windows.padded(grouped))):
        columns[..., offset, :] = np.moveaxis(view, 3, 0)
    return columns.reshape(groups, -1, windows.size**2 * channels)


def _add_columns(dcolumns: FloatArray, grouped: FloatArray, windows: Windows) -> FloatArray:
    """Add each row back to the window that it came from: the opposite of `_columns`."""
    batch, _, _, groups, channels = grouped.shape
    parts = dcolumns.reshape(groups, batch, windows.height, windows.width, -1, channels)
    padded = windows.padded_zeros(grouped)
    for offset, view in enumerate(windows.offsets(padded)):
        view += np.moveaxis(parts[..., offset, :], 0, 3)
    return windows.inner(padded)


def depthwise_conv(layer: DepthwiseConv, node: Node, store: Store, wanted: bool) -> Forward:
    """Lower a depthwise convolution: each offset's view times that offset's k x k x 1 x c row."""
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
