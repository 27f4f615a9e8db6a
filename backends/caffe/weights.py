"""Weights between the canonical layout and Caffe's blobs.

Caffe stores a Dense kernel as (out, in) and a convolution kernel as (out, in / groups, height,
width). Its maps are (c, h, w), so flattened maps, and the kernels after them, have another order.
"""

from __future__ import annotations

from typing import Any, Callable, NamedTuple, Optional

import numpy as np

from bench.spec.shapes import Shape
from bench.spec.weights import FloatArray, IntArray

Arrange = Callable[[FloatArray], FloatArray]


class Place(NamedTuple):
    """The place of a weight in Caffe.

    Attributes:
        address: the address of the weight.
        layer: the name of Caffe's layer.
        number: the number of the blob in the layer.
        to_caffe: converts the canonical layout to the blob's.
        from_caffe: converts the blob's layout to the canonical one.
    """

    address: str
    layer: str
    number: int
    to_caffe: Arrange
    from_caffe: Arrange

    def put(self, net: Any, value: FloatArray) -> None:
        """Copy the weight into a network."""
        self._blob(net).data[...] = self.to_caffe(value)

    def value(self, net: Any) -> FloatArray:
        """Copy the weight, in the canonical layout."""
        return np.array(self.from_caffe(self._blob(net).data), order="C")

    def gradient(self, net: Any) -> FloatArray:
        """Copy the gradient of the last backward pass, in the canonical layout."""
        return np.array(self.from_caffe(self._blob(net).diff), order="C")

    def _blob(self, net: Any) -> Any:
        return net.params[self.layer][self.number]


def dense_place(address: str, layer: str, flattened: Optional[Shape]) -> Place:
    """Return the place of a Dense kernel.

    Args:
        address: the address of the kernel.
        layer: the name of Caffe's layer.
        flattened: (height, width, channels) of the map that was flattened to its input, or None.
    """
    if flattened is None:
        return Place(address, layer, 0, np.transpose, np.transpose)
    order = _order(flattened)
    inverse = np.argsort(order)
    return Place(address, layer, 0, lambda value: value[order].T, lambda held: held.T[inverse])


def convolution_place(address: str, layer: str) -> Place:
    """Return the place of a convolution kernel."""
    return Place(
        address,
        layer,
        0,
        lambda value: value.transpose(3, 2, 0, 1),
        lambda held: held.transpose(2, 3, 1, 0),
    )


def bias_place(address: str, layer: str) -> Place:
    """Return the place of a bias."""
    return Place(address, layer, 1, np.asarray, np.asarray)


def _order(shape: Shape) -> IntArray:
    """Return each value's position in the spec's order, for a map flattened by channel."""
    positions: IntArray = np.arange(np.prod(shape)).reshape(shape)
    return positions.transpose(2, 0, 1).reshape(-1)
