"""Pooling as a reduction along the rows of each window, then along its columns.

MLX's own layers reduce a strided view of overlapping windows, whose gradient scatters single
values, and split the gradient of a maximum among all equal values.
"""

from __future__ import annotations

import math
import operator
from functools import reduce
from typing import Any, Callable

import mlx.core as mx

from backends.mlx.windows import Windows


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
