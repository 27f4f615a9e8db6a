"""Convolution as matrix products, with its own gradient.

On a CPU, MLX's own convolution has the same forward pass. Its gradients are convolutions that are
dilated or have a kernel as large as the map: they take 1.5 times as long at stride 1 and four times
at stride 2, and run in plain loops for a depthwise convolution.
"""

from __future__ import annotations

from functools import cache, reduce
from operator import add
from typing import Any, Callable

import mlx.core as mx

from backends.mlx.windows import Windows


def convolve(x: Any, kernel: Any, windows: Windows, groups: int) -> Any:
    """(n, h, w, c) -> (n, h', w', filters), without a bias.

    Args:
        x: the maps.
        kernel: (size, size, c / groups, filters).
        windows: the positions of the kernel.
        groups: the number of groups of channels, each with its own filters.
    """
    if groups == 1:
        return _convolve(x, kernel, windows)
    if kernel.shape[2] == 1 and kernel.shape[3] == groups:
        return _depthwise(x, kernel, windows)
    shares = zip(mx.split(x, groups, -1), mx.split(kernel, groups, -1))
    return mx.concatenate([_convolve(*share, windows) for share in shares], -1)


def _depthwise(x: Any, kernel: Any, windows: Windows) -> Any:
    """Add the positions in the window: matrix products of so few values are slow."""
    factors = kernel.reshape(windows.size**2, -1)
    return reduce(add, [view * factor for view, factor in zip(windows.views(x), factors)])


def _convolve(x: Any, kernel: Any, windows: Windows) -> Any:
    # Arranged once, for the forward pass and for the kernel's gradient.
    return _product(windows)(x, windows.columns(mx.stop_gradient(x)), kernel)


@cache
def _product(windows: Windows) -> Callable[[Any, Any, Any], Any]:
    """Return the convolution as a function of the maps, their columns and the kernel."""

    @mx.custom_function  # type: ignore[untyped-decorator]
    def product(x: Any, columns: Any, kernel: Any) -> Any:
        y = columns @ _as_matrix(kernel)
        return y.reshape(x.shape[0], *_extents(x, windows), -1)

    @product.vjp  # type: ignore[untyped-decorator]
    def gradients(given: tuple[Any, Any, Any], dy: Any, y: Any) -> tuple[Any, Any, Any]:
        x, columns, kernel = given
        dkernel = columns.T @ dy.reshape(-1, dy.shape[-1])
        # No gradient passes through the columns; these zeros are never computed.
        unused = mx.zeros_like(columns)
        return _by_maps(dy, kernel, windows, x.shape), unused, dkernel.reshape(kernel.shape)

    function: Callable[[Any, Any, Any], Any] = product
    return function


def _by_maps(dy: Any, kernel: Any, windows: Windows, shape: tuple[int, ...]) -> Any:
    """Return the gradient by maps of that shape."""
    if windows.stride == 1:  # a convolution of dy with the reversed kernel
        turned = kernel[::-1, ::-1].swapaxes(2, 3)
        around = Windows(windows.size, 1, windows.size - 1 - windows.padding)
        return (around.columns(dy) @ _as_matrix(turned)).reshape(shape)
    n, height, width, filters = dy.shape
    dcolumns = dy.reshape(-1, filters) @ _as_matrix(kernel).T
    parts = mx.split(dcolumns.reshape(n, height, width, -1), windows.size**2, -1)
    return windows.gathered(parts, shape)


def _as_matrix(kernel: Any) -> Any:
    return kernel.reshape(-1, kernel.shape[-1])


def _extents(x: Any, windows: Windows) -> list[int]:
    reach = 2 * windows.padding - windows.size
    return [(extent + reach) // windows.stride + 1 for extent in x.shape[1:3]]
