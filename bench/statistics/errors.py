"""What is wrong with numbers that are to be compared."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class SampleError(ValueError):
    """Values of trials that cannot be compared: says what was received and what was expected."""


def logarithms(values: Sequence[float]) -> NDArray[np.float64]:
    """The natural logarithms of positive, finite values.

    Raises:
        SampleError: there are no values, or one is not a positive number.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0 or not np.all(np.isfinite(array) & (array > 0)):
        raise SampleError(f"received {list(values)}, expected positive numbers, one a trial")
    logs: NDArray[np.float64] = np.log(array)
    return logs
