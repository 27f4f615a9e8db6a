"""Checks of the values that are compared."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# No value is known better than to 0.01 %: about 30 microseconds of a slice of 0.3 s, far above the
# tick of the clock. Equal values therefore show that the spread is below this, not that it is 0.
RESOLUTION = 1e-4


class SampleError(ValueError):
    """Values of trials that cannot be compared."""


def logarithms(values: Sequence[float]) -> NDArray[np.float64]:
    """Take the natural logarithms of values.

    Args:
        values: positive and finite, one per trial.

    Raises:
        SampleError: there are no values, or one is not a positive number.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0 or not np.all(np.isfinite(array) & (array > 0)):
        raise SampleError(f"received {list(values)}, expected positive numbers, one per trial")
    logs: NDArray[np.float64] = np.log(array)
    return logs
