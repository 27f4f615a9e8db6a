"""The fastest matrix product and copy of NumPy."""

from __future__ import annotations

from typing import Optional

import numpy as np

from backends.api import Work


def multiply(size: int, precision: str) -> Optional[Work]:
    """Return a matrix product; see `Backend.multiply`. NumPy has no bfloat16."""
    if precision != "float32":
        return None
    left, right, product = (np.ones((size, size), np.float32) for _ in range(3))
    return lambda: np.matmul(left, right, out=product)


def copy(size: int) -> Work:
    """Return a copy in memory; see `Backend.copy`."""
    source, target = (np.ones(size // 4, np.float32) for _ in range(2))
    return lambda: np.copyto(target, source)
