"""Max pooling whose gradient goes to the first of equal values, as in other frameworks."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
from theano import tensor

from bench.spec.layers import MaxPool
from bench.spec.shapes import Shape, padding_of


def max_pool(x: Any, layer: MaxPool, input_shape: Shape) -> Any:
    """The maximum over the positions in the window of what lies there in every window.

    Theano's own pooling hands the gradient to every value that equals the largest. An image's even
    background makes many: on MNIST, `cnn` would learn something else. This form is as fast for
    windows of 2, and half as fast for windows of 3 that overlap.

    Args:
        x: (n, c, h, w).
        layer: the pooling.
        input_shape: (height, width, channels) of the map.
    """
    padding = padding_of(layer.padding, layer.size)
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
