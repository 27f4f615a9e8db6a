"""Max pooling whose gradient goes to one value of each window."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
from theano import tensor
from theano.tensor.signal.pool import pool_2d

from bench.spec.layers import MaxPool
from bench.spec.shapes import Shape, padding_of


def max_pool(x: Any, layer: MaxPool, input_shape: Shape, repeats: bool) -> Any:
    """The largest value of each window of a map (n, c, h, w).

    Theano's own operation hands the gradient to every value that equals the largest. After ReLU
    that is harmless: many are 0, and there ReLU lets no gradient through. Where other values are
    repeated, it takes another form, which is two to three times slower.

    Args:
        x: the map.
        layer: the pooling.
        input_shape: (height, width, channels) of the map.
        repeats: whether the map may hold equal values other than 0.
    """
    padding = padding_of(layer.padding, layer.size)
    if repeats:
        return _shifted_max_pool(x, layer, padding, input_shape)
    return pool_2d(
        x,
        (layer.size, layer.size),
        ignore_border=True,
        stride=(layer.steps, layer.steps),
        pad=(padding, padding),
    )


def _shifted_max_pool(x: Any, layer: MaxPool, padding: int, input_shape: Shape) -> Any:
    """The maximum over the positions in the window of what lies there in every window.

    The gradient goes to the first of equal values.
    """
    if padding:
        x = _padded(x, padding, input_shape)
    down, across = (
        (extent + 2 * padding - layer.size) // layer.steps * layer.steps + 1
        for extent in input_shape[:2]
    )
    shifted = [
        x[:, :, row : row + down : layer.steps, column : column + across : layer.steps]
        for row in range(layer.size)
        for column in range(layer.size)
    ]
    return reduce(tensor.maximum, shifted)


def _padded(x: Any, padding: int, input_shape: Shape) -> Any:
    """The map with rows and columns on every side whose values never win."""
    height, width, channels = input_shape
    shape = (x.shape[0], channels, height + 2 * padding, width + 2 * padding)
    lowest = tensor.alloc(np.finfo(x.dtype).min.astype(x.dtype), *shape)
    inner = lowest[:, :, padding : padding + height, padding : padding + width]
    return tensor.set_subtensor(inner, x)
