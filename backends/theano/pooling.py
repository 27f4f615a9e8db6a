"""Max pooling whose gradient goes to one value of each window."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
from theano import tensor
from theano.tensor.signal.pool import pool_2d

from bench.spec.layers import MaxPool
from bench.spec.shapes import Shape, padding_of


def max_pool(x: Any, layer: MaxPool, input_shape: Shape) -> Any:
    """The largest value of each window of a map (n, c, h, w).

    Theano's own operation hands the gradient to every value that equals the largest. After ReLU
    that is harmless: many are 0, and there ReLU lets no gradient through. But a pooling of stride
    1 follows on another pooling in GoogLeNet's modules, and windows that overlap repeat values.
    """
    padding = padding_of(layer.padding, layer.size)
    if layer.steps == 1 and layer.size > 1:
        return _shifted_max_pool(x, layer.size, padding, input_shape)
    return pool_2d(
        x,
        (layer.size, layer.size),
        ignore_border=True,
        stride=(layer.steps, layer.steps),
        pad=(padding, padding),
    )


def _shifted_max_pool(x: Any, size: int, padding: int, input_shape: Shape) -> Any:
    """The maximum of the map shifted to each position in the window; the first of equals wins."""
    height, width, channels = input_shape
    if padding:
        shape = (x.shape[0], channels, height + 2 * padding, width + 2 * padding)
        lowest = tensor.alloc(np.finfo(x.dtype).min.astype(x.dtype), *shape)
        inner = slice(padding, padding + height), slice(padding, padding + width)
        x = tensor.set_subtensor(lowest[(slice(None), slice(None), *inner)], x)
    down, across = (extent + 2 * padding - size + 1 for extent in (height, width))
    shifted = [
        x[:, :, row : row + down, column : column + across]
        for row in range(size)
        for column in range(size)
    ]
    return reduce(tensor.maximum, shifted)
