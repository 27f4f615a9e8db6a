"""Windows of a feature map, as rows of a matrix or as strided views, and pooling over them.

Pooling is a reduction along the rows of each window, then along its columns. MLX's own layers
reduce a strided view of overlapping windows, whose gradient scatters single values, and split the
gradient of a maximum among all equal values.
"""

from __future__ import annotations

import math
import operator
from functools import reduce
from typing import Any, Callable, NamedTuple

import mlx.core as mx


class Windows(NamedTuple):
    """Square windows on maps (n, height, width, c).

    Attributes:
        size: the rows and columns of a window.
        stride: the distance from one window to the next.
        padding: the rows and columns added on every side.
    """

    size: int
    stride: int
    padding: int = 0

    def padded(self, x: Any, value: float) -> Any:
        """Pad a map with a constant value."""
        if not self.padding:
            return x
        side = (self.padding, self.padding)
        return mx.pad(x, [(0, 0), side, side, (0, 0)], constant_values=value)

    def views(self, x: Any) -> list[Any]:
        """Return a map of all windows' values for each position in the window, row by row."""
        padded = self.padded(x, 0)
        return [view for row in self.along(padded, 1) for view in self.along(row, 2)]

    def along(self, padded: Any, axis: int) -> list[Any]:
        """Return a map of all windows' values for each position along one axis of the window."""
        last = (padded.shape[axis] - self.size) // self.stride * self.stride
        before = (slice(None),) * axis
        return [
            padded[(*before, slice(first, first + last + 1, self.stride))]
            for first in range(self.size)
        ]

    def columns(self, x: Any) -> Any:
        """Return the windows as rows of a matrix: (n * h' * w', size * size * c).

        Use it where no gradient passes: that of `mx.as_strided` scatters single values.
        """
        padded = self.padded(x, 0)
        n, height, width, channels = padded.shape
        rows, across = ((extent - self.size) // self.stride + 1 for extent in (height, width))
        shape = (n, rows, across, self.size, self.size, channels)
        row, image = width * channels, height * width * channels
        steps = (image, self.stride * row, self.stride * channels, row, channels, 1)
        strided = mx.as_strided(padded, shape, steps)
        return strided.reshape(n * rows * across, self.size**2 * channels)

    def gathered(self, parts: list[Any], shape: tuple[int, ...]) -> Any:
        """Add the values of all windows at their places in a map: the transpose of `views`."""
        zeros = mx.zeros(shape, parts[0].dtype)
        _, (total,) = mx.vjp(self.views, [zeros], parts)
        return total


def max_pool(x: Any, size: int, stride: int, padding: int) -> Any:
    """Return the maximum of each window: (n, h, w, c) -> (n, h', w', c).

    The gradient goes to the first of equal values, row by row, as in the reference.
    """
    windows = Windows(size, stride, padding)
    return _reduced(windows.padded(x, -math.inf), windows, _larger)


def average_pool(x: Any, size: int, stride: int) -> Any:
    """Return the mean of each window, without padding: (n, h, w, c) -> (n, h', w', c)."""
    return _reduced(x, Windows(size, stride), operator.add) / size**2


def _larger(before: Any, value: Any) -> Any:
    """Return the larger; with equal values, `mx.maximum` passes the gradient to the second."""
    return mx.maximum(value, before)


def _reduced(x: Any, windows: Windows, combine: Callable[[Any, Any], Any]) -> Any:
    for axis in (2, 1):
        x = reduce(combine, windows.along(x, axis))
    return x
