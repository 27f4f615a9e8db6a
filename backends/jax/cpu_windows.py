"""The windows of a feature map as shifted, strided slices, which XLA's CPU compiler fuses."""

from __future__ import annotations

from typing import Any


def windows(images: Any, size: int, stride: int) -> list[Any]:
    """Return size**2 maps (n, h', w', c): map i * size + j has position (i, j) of every window."""
    height, width = ((extent - size) // stride * stride + 1 for extent in images.shape[1:3])
    return [
        images[:, row : row + height : stride, column : column + width : stride]
        for row in range(size)
        for column in range(size)
    ]
