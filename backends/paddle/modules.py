"""Layers that paddle.nn does not have: fast biases, the flatten order, and merges of branches.

Feature maps are (n, channels, height, width): Paddle's CPU kernels convert other layouts to this.
"""

# Nothing of Paddle is typed for mypy here, so its classes can only be subclassed as Any.
# mypy: disable-error-code="misc"

from __future__ import annotations

import operator
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt
import paddle
from paddle import nn
from paddle.nn.functional import conv2d

from backends.lowering import multiplied


def arranged(images: npt.NDArray[Any], is_flat: bool) -> npt.NDArray[Any]:
    """Return images (n, height, width, channels) as maps, or as vectors if the model is flat.

    A view where the layout allows one.
    """
    if is_flat:
        return images.reshape(len(images), -1)
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


class Conv(nn.Conv2D):
    """A convolution that adds its bias in a form that is fast in Paddle.

    `nn.Conv2D` adds it as (1, c, 1, 1), which takes three times as long on the CPU as (c, 1, 1).
    """

    def forward(self, x: Any) -> Any:
        """(n, c, h, w) -> (n, c', h', w')."""
        y = conv2d(x, self.weight, None, self._stride, self._padding, 1, self._groups)
        return y if self.bias is None else y + self.bias.reshape([-1, 1, 1])


class Flatten(nn.Layer):
    """(n, c, h, w) -> (n, h * w * c), in the order height, width, channel."""

    def __init__(self, is_ordered: bool) -> None:
        """State whether the values of a map are already in the spec's order."""
        super().__init__()
        self._is_ordered = is_ordered

    def forward(self, x: Any) -> Any:
        """Flatten maps; vectors keep their shape."""
        if x.ndim == 2:
            return x
        return paddle.flatten(x if self._is_ordered else x.transpose([0, 2, 3, 1]), 1)


class GlobalAvgPool(nn.Layer):
    """(n, c, h, w) -> (n, c)."""

    def forward(self, x: Any) -> Any:
        """Return the mean of each channel."""
        return x.mean([2, 3])


class Add(nn.LayerList):
    """Adds the branches."""

    def forward(self, x: Any) -> Any:
        """Apply each branch to x and add the outputs."""
        return reduce(operator.add, [branch(x) for branch in self])


class Concatenate(nn.LayerList):
    """Concatenates the branches along the channels."""

    def forward(self, x: Any) -> Any:
        """Apply each branch to x and concatenate the outputs."""
        return paddle.concat([branch(x) for branch in self], 1)


class Multiply(nn.LayerList):
    """Multiplies the branches; a branch (n, c) scales the channels of branches that are maps."""

    def forward(self, x: Any) -> Any:
        """Apply each branch to x and multiply the outputs."""
        return multiplied([branch(x) for branch in self], lambda vector: vector.unsqueeze([2, 3]))
