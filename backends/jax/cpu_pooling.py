"""Pooling for XLA's CPU compiler, whose own reduction over windows is 20 times slower."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from backends.jax.cpu_windows import windows

_NO_PADDING = (0, 0, 0)


def max_pool_in_step(images: Any, size: int, stride: int, padding: int) -> Any:
    """Return the maximum of each window, in a single step.

    Windows that do not overlap are the maximum of a reshape, whose gradient is split among equal
    values. Values are equal where their inputs are equal (a constant background) or where no
    gradient passes (zeros of ReLU), so the gradients of the weights do not change.
    """
    if padding or stride != size:
        return max_pool_in_loop(images, size, stride, padding)
    batch, height, width, channels = images.shape
    rows, columns = height // size, width // size
    whole = images[:, : rows * size, : columns * size]
    return whole.reshape(batch, rows, size, columns, size, channels).max((2, 4))


def max_pool_in_loop(images: Any, size: int, stride: int, padding: int) -> Any:
    """Do the same inside a loop of steps; the gradient goes to the first of equal values."""
    sides = (padding, padding, 0)
    lowest = jnp.array(-jnp.inf, images.dtype)
    images = lax.pad(images, lowest, (_NO_PADDING, sides, sides, _NO_PADDING))

    def backward(winners: Any, gradient: Any) -> tuple[Any]:
        if stride == size:
            return (_return_apart(gradient, winners, images.shape, size),)
        return (_return(gradient, winners, images.shape, size, stride),)

    pool = jax.custom_vjp(lambda images: _compete(images, size, stride)[0])
    pool.defvjp(lambda images: _compete(images, size, stride), backward)
    return pool(images)


def average_pool(images: Any, size: int, stride: int) -> Any:
    """Return the mean of each window."""
    return sum(windows(images, size, stride)) / size**2


def _compete(images: Any, size: int, stride: int) -> tuple[Any, Any]:
    """Return the maximum of each window, and its position in the window."""
    first, *others = windows(images, size, stride)
    position = np.min_scalar_type(size**2)
    largest, winners = first, jnp.zeros(first.shape, position)
    for index, other in enumerate(others, start=1):
        is_larger = other > largest
        largest = jnp.where(is_larger, other, largest)
        winners = jnp.where(is_larger, position.type(index), winners)
    return largest, winners


def _return_apart(gradient: Any, winners: Any, shape: tuple[int, ...], size: int) -> Any:
    """Return the gradient of a map of `shape` whose windows do not overlap."""
    position = np.arange(size**2).reshape(size, 1, size, 1).astype(winners.dtype)
    wide = (slice(None), slice(None), None, slice(None), None)
    shares = jnp.where(winners[wide] == position, gradient[wide], 0)
    batch, height, width, channels = gradient.shape
    maps = shares.reshape(batch, height * size, width * size, channels)
    rest = [(0, extent - size * outputs, 0) for extent, outputs in zip(shape[1:3], (height, width))]
    return lax.pad(maps, jnp.zeros((), maps.dtype), (_NO_PADDING, *rest, _NO_PADDING))


def _return(gradient: Any, winners: Any, shape: tuple[int, ...], size: int, stride: int) -> Any:
    """Return the gradient of a map of `shape`: each value collects those of windows it won.

    A value is at position n of one window, and at position size**2 - 1 - n of that window's place
    among the windows over the spread-out gradient. Collecting by slices is several times faster
    than adding size**2 padded maps.
    """
    holders = windows(_spread(winners, shape, size, stride), size, 1)
    shares = windows(_spread(gradient, shape, size, stride), size, 1)
    pairs = zip(reversed(holders), reversed(shares))
    return sum(jnp.where(holder == index, share, 0) for index, (holder, share) in enumerate(pairs))


def _spread(values: Any, shape: tuple[int, ...], size: int, stride: int) -> Any:
    """Insert stride - 1 zeros between values (n, h', w', c), and enough around for all windows."""
    sides = [
        (size - 1, extent - (outputs - 1) * stride - 1, stride - 1)
        for extent, outputs in zip(shape[1:3], values.shape[1:3])
    ]
    return lax.pad(values, jnp.zeros((), values.dtype), (_NO_PADDING, *sides, _NO_PADDING))
