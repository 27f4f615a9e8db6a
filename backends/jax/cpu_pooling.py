"""Pooling for XLA's CPU compiler, whose reduction over windows is some 20 times slower."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from backends.jax.cpu_windows import windows

_NO_PADDING = (0, 0, 0)


def max_pool(images: Any, size: int, stride: int, padding: int) -> Any:
    """The largest value of each window; its gradient goes to the first of equal values."""
    sides = (padding, padding, 0)
    lowest = jnp.array(-jnp.inf, images.dtype)
    images = lax.pad(images, lowest, (_NO_PADDING, sides, sides, _NO_PADDING))
    pool = jax.custom_vjp(lambda images: _compete(images, size, stride)[0])
    pool.defvjp(
        lambda images: _compete(images, size, stride),
        lambda winners, gradient: (_return(gradient, winners, images.shape, size, stride),),
    )
    return pool(images)


def average_pool(images: Any, size: int, stride: int) -> Any:
    """The mean of each window."""
    return sum(windows(images, size, stride)) / size**2


def _compete(images: Any, size: int, stride: int) -> tuple[Any, Any]:
    """The largest value of each window, and which of the window's positions holds it."""
    first, *others = windows(images, size, stride)
    position = np.min_scalar_type(size**2)
    largest, winners = first, jnp.zeros(first.shape, position)
    for index, other in enumerate(others, start=1):
        is_larger = other > largest
        largest = jnp.where(is_larger, other, largest)
        winners = jnp.where(is_larger, position.type(index), winners)
    return largest, winners


def _return(gradient: Any, winners: Any, shape: tuple[int, ...], size: int, stride: int) -> Any:
    """Each window's gradient at its winner's place in a map of `shape`."""
    if stride == size:
        return _return_apart(gradient, winners, shape, size)
    shares = (jnp.where(winners == index, gradient, 0) for index in range(size**2))
    return sum(
        _place(share, shape, *divmod(index, size), stride) for index, share in enumerate(shares)
    )


def _return_apart(gradient: Any, winners: Any, shape: tuple[int, ...], size: int) -> Any:
    """`_return` where no two windows overlap: a choice for each value instead of a sum."""
    positions = np.arange(size**2, dtype=winners.dtype).reshape(size, 1, size, 1)
    is_winner = winners[:, :, None, :, None] == positions
    chosen = jnp.where(is_winner, gradient[:, :, None, :, None], 0)
    count, height, width, channels = gradient.shape
    covered = chosen.reshape(count, height * size, width * size, channels)
    rest = ((0, extent - inside) for extent, inside in zip(shape, covered.shape))
    return jnp.pad(covered, tuple(rest))


def _place(share: Any, shape: tuple[int, ...], row: int, column: int, stride: int) -> Any:
    """The share (n, h', w', c) spread by the stride over zeros, from (row, column) on."""
    sides = [
        (start, extent - start - (outputs - 1) * stride - 1, stride - 1)
        for start, extent, outputs in zip((row, column), shape[1:3], share.shape[1:3])
    ]
    return lax.pad(share, jnp.zeros((), share.dtype), (_NO_PADDING, *sides, _NO_PADDING))
