"""Weights between the canonical layout and Caffe's blobs.

Caffe keeps a Dense kernel as (out, in) and a convolution kernel as (out, in / groups, height,
width). Its maps are (c, h, w), so that a flattened map, and the kernel after it, has another order.
"""

from __future__ import annotations

from typing import Any, Callable, NamedTuple, Optional

import numpy as np

from bench.spec.shapes import Shape
from bench.spec.weights import FloatArray, IntArray

Arrange = Callable[[FloatArray], FloatArray]


class Place(NamedTuple):
    """Where Caffe keeps a weight.

    Attributes:
        address: of the weight.
        layer: the name of Caffe's layer.
        number: of the blob among the layer's.
        to_caffe: from the canonical layout to the blob's.
        from_caffe: from the blob's layout to the canonical one.
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
        """A canonical copy of the weight."""
        return np.array(self.from_caffe(self._blob(net).data), order="C")

    def gradient(self, net: Any) -> FloatArray:
        """A canonical copy of the gradient that a backward pass left."""
        return np.array(self.from_caffe(self._blob(net).diff), order="C")

    def _blob(self, net: Any) -> Any:
        return net.params[self.layer][self.number]


def dense_place(address: str, layer: str, flattened: Optional[Shape]) -> Place:
    """The kernel of a Dense.

    Args:
        address: of the kernel.
        layer: the name of Caffe's layer.
        flattened: (height, width, channels) of the map that its input was; None where it was none.
    """
    if flattened is None:
        return Place(address, layer, 0, np.transpose, np.transpose)
    order = _order(flattened)
    inverse = np.argsort(order)
    return Place(address, layer, 0, lambda value: value[order].T, lambda held: held.T[inverse])


def convolution_place(address: str, layer: str) -> Place:
    """The kernel of a convolution."""
    return Place(
        address,
        layer,
        0,
        lambda value: value.transpose(3, 2, 0, 1),
        lambda held: held.transpose(2, 3, 1, 0),
    )


def bias_place(address: str, layer: str) -> Place:
    """The bias beside a kernel."""
    return Place(address, layer, 1, np.asarray, np.asarray)


def _order(shape: Shape) -> IntArray:
    """For each value of a map that was flattened channel by channel, its position in the spec's."""
    positions: IntArray = np.arange(np.prod(shape)).reshape(shape)
    return positions.transpose(2, 0, 1).reshape(-1)
