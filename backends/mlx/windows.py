"""Windows of a feature map: as rows of a matrix, or as one strided view for each position."""

from __future__ import annotations

from typing import Any, NamedTuple

import mlx.core as mx


class Windows(NamedTuple):
    """Square windows on maps (n, height, width, c).

    Attributes:
        size: rows and columns of a window.
        stride: from one window to the next.
        padding: rows and columns added on every side.
    """

    size: int
    stride: int
    padding: int = 0

    def padded(self, x: Any, value: float) -> Any:
        """The map with the padding of a constant value around it."""
        if not self.padding:
            return x
        side = (self.padding, self.padding)
        return mx.pad(x, [(0, 0), side, side, (0, 0)], constant_values=value)

    def views(self, x: Any) -> list[Any]:
        """For each position in the window, row by row, what lies there in every window."""
        padded = self.padded(x, 0)
        return [view for row in self.along(padded, 1) for view in self.along(row, 2)]

    def along(self, padded: Any, axis: int) -> list[Any]:
        """For each position in the window along one axis, what lies there in every window."""
        last = (padded.shape[axis] - self.size) // self.stride * self.stride
        before = (slice(None),) * axis
        return [
            padded[(*before, slice(first, first + last + 1, self.stride))]
            for first in range(self.size)
        ]

    def columns(self, x: Any) -> Any:
        """The windows as rows of a matrix: (n * h' * w', size * size * c).

        Only for what no gradient passes: that of `mx.as_strided` scatters single values.
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
        """The sum of what goes to each place of a map of that shape: the transpose of `views`."""
        zeros = mx.zeros(shape, parts[0].dtype)
        _, (total,) = mx.vjp(self.views, [zeros], parts)
        return total
