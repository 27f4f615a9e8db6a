"""The fastest calls that Theano has for a matrix product and a copy."""

from __future__ import annotations

from typing import Optional

import numpy as np
import theano
from theano import tensor

from backends.api import Work


def multiply(size: int, precision: str) -> Optional[Work]:
    """See `Backend.multiply`; Theano has no bfloat16."""
    if precision != "float32":
        return None
    left, right = (theano.shared(np.ones((size, size), np.float32)) for _ in range(2))
    product = tensor.dot(left, right)
    # Lent, so that the result is not copied once more on its way out.
    work: Work = theano.function([], theano.Out(product, borrow=True))
    return work


def copy(size: int) -> Work:
    """See `Backend.copy`: a shared variable leaves a function as a copy."""
    work: Work = theano.function([], theano.shared(np.ones(size // 4, np.float32)))
    return work
