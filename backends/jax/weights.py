"""Arrays on devices, in the canonical layout, and their copies on the host."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax.sharding import Sharding

from backends.optimizers import Arrays
from bench.spec.weights import Weights


def place(values: Any, where: Any) -> Any:
    """Copy values from the host to a device, or to the devices of a sharding.

    A view would show later changes by the caller.
    """
    if not isinstance(where, Sharding) or where.is_fully_addressable:
        return jax.device_put(values, where, may_alias=False)
    # Each process fills its own devices; `device_put` would first compare all processes' values.
    return jax.make_array_from_callback(
        np.shape(values), where, lambda index: np.array(np.asarray(values)[index])
    )


def on_first(arrays: Arrays) -> Arrays:
    """Return the copies on this process's first device; of arrays on one device, the arrays."""
    return {address: value.addressable_data(0) for address, value in arrays.items()}


def on_host(arrays: Arrays) -> Weights:
    """Copy arrays to the host: a view would change once the buffer is donated."""
    return {address: np.array(value) for address, value in arrays.items()}
