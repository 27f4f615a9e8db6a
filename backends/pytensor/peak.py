"""The fastest calls that PyTensor has for a matrix product and a copy."""

from __future__ import annotations

from typing import Optional

import numpy as np
import pytensor
from pytensor import tensor

from backends.api import Work


def multiply(size: int, precision: str) -> Optional[Work]:
    """See `Backend.multiply`; PyTensor has no bfloat16."""
    if precision != "float32":
        return None
    left, right = (pytensor.shared(np.ones((size, size), np.float32)) for _ in range(2))
    product = tensor.dot(left, right)
    # Lent, so that the result is not copied once more on its way out.
    work: Work = pytensor.function([], pytensor.Out(product, borrow=True), mode="NUMBA")
    return work


def copy(size: int) -> Work:
    """See `Backend.copy`: a shared variable leaves a function as a copy."""
    ones = pytensor.shared(np.ones(size // 4, np.float32))
    work: Work = pytensor.function([], ones, mode="NUMBA")
    return work
