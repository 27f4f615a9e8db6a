"""The fastest matrix product and copy of JAX."""

from __future__ import annotations

from typing import Optional

import jax
import jax.numpy as jnp

from backends.api import Device, Work
from backends.jax import platform

_PRECISIONS = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


def multiply(size: int, device: Device, precision: str) -> Optional[Work]:
    """Return a matrix product; see `Backend.multiply`."""
    dtype = _PRECISIONS.get(precision)
    if dtype is None:
        return None
    ones = jax.device_put(jnp.ones((size, size), dtype), platform.jax_device(device))
    # The highest precision: float32 without TF32, as in training.
    multiply = jax.jit(lambda left, right: jnp.matmul(left, right, precision="highest"))
    return lambda: multiply(ones, ones).block_until_ready()


def copy(size: int, device: Device) -> Work:
    """Return a copy in memory; see `Backend.copy`."""
    ones = jax.device_put(jnp.ones(size // 4, jnp.float32), platform.jax_device(device))
    copy = jax.jit(jnp.copy)
    return lambda: copy(ones).block_until_ready()
