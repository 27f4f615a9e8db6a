"""The window operations, in the form that is fast on a kind of device.

GPUs use XLA's own convolution and window reduction. XLA's CPU compiler makes slow code of some of
them (gradients of a convolution inside a loop, all reductions over windows), so the CPU has its own
forms, inside a loop and outside. `windowed_for` chooses the form.
"""

from __future__ import annotations

from typing import Any, Callable, NamedTuple

import jax.numpy as jnp
from jax import lax

from backends.jax import cpu_windows


class Windowed(NamedTuple):
    """The operations on maps (n, h, w, c); padding is rows and columns added on every side.

    Attributes:
        convolve: (images, kernel (k, k, c / groups, filters), stride, padding, groups).
        max_pool: (images, size, stride, padding); the padding never wins.
        average_pool: (images, size, stride), unpadded.
    """

    convolve: Callable[[Any, Any, int, int, int], Any]
    max_pool: Callable[[Any, int, int, int], Any]
    average_pool: Callable[[Any, int, int], Any]


def windowed_for(device_kind: str, in_loop: bool) -> Windowed:
    """Return the forms for a kind of device (cpu, gpu or mps), inside a compiled loop or not."""
    if device_kind != "cpu":
        return _ACCELERATOR
    return _CPU_LOOP if in_loop else _CPU_STEP


def _convolve(images: Any, kernel: Any, stride: int, padding: int, groups: int) -> Any:
    return lax.conv_general_dilated(
        images,
        kernel,
        (stride, stride),
        ((padding, padding), (padding, padding)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


def _max_pool(images: Any, size: int, stride: int, padding: int) -> Any:
    sides = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    window, strides = (1, size, size, 1), (1, stride, stride, 1)
    return lax.reduce_window(images, -jnp.inf, lax.max, window, strides, sides)


def _average_pool(images: Any, size: int, stride: int) -> Any:
    window, strides = (1, size, size, 1), (1, stride, stride, 1)
    return lax.reduce_window(images, 0.0, lax.add, window, strides, "VALID") / size**2


_ACCELERATOR = Windowed(_convolve, _max_pool, _average_pool)
_CPU_STEP = Windowed(
    cpu_windows.convolve_in_step, cpu_windows.max_pool_in_step, cpu_windows.average_pool
)
_CPU_LOOP = Windowed(
    cpu_windows.convolve_in_loop, cpu_windows.max_pool_in_loop, cpu_windows.average_pool
)
