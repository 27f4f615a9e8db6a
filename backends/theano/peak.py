"""The fastest matrix product and copy of the libraries, in their default mode."""

from __future__ import annotations

from typing import Optional

import numpy as np

from backends.api import Work
from backends.theano.engine import Engine


def multiply(engine: Engine, size: int, precision: str) -> Optional[Work]:
    """Return a matrix product; see `Backend.multiply`. There is no bfloat16."""
    if precision != "float32":
        return None
    library = engine.library
    left, right = (library.shared(np.ones((size, size), np.float32)) for _ in range(2))
    # Borrowed, so that the result is not copied.
    product = library.Out(engine.tensor.dot(left, right), borrow=True)
    work: Work = engine.function([], product, mode=next(iter(engine.modes)))
    return work


def copy(engine: Engine, size: int) -> Work:
    """Return a copy; see `Backend.copy`: a function returns a shared variable as a copy."""
    ones = engine.library.shared(np.ones(size // 4, np.float32))
    work: Work = engine.function([], ones, mode=next(iter(engine.modes)))
    return work
