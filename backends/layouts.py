"""The layout of frameworks whose maps are (n, channels, height, width).

Their convolution kernels are (filters, channels / groups, height, width); everything else has the
canonical layout. A copy in C order is always returned.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def maps_first(images: npt.NDArray[Any], dtype: Any = None) -> npt.NDArray[Any]:
    """Return images (n, height, width, channels) channels first; vectors keep their shape."""
    return _arranged(images, (0, 3, 1, 2), dtype)


def kernel_first(weight: npt.NDArray[Any], dtype: Any = None) -> npt.NDArray[Any]:
    """Return a weight of the canonical layout with the filters first."""
    return _arranged(weight, (3, 2, 0, 1), dtype)


def canonical_kernel(weight: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a weight, or its gradient, in the canonical layout."""
    return _arranged(weight, (2, 3, 1, 0), None)


def _arranged(values: npt.NDArray[Any], axes: tuple[int, ...], dtype: Any) -> npt.NDArray[Any]:
    return np.array(values.transpose(axes) if values.ndim == 4 else values, dtype, order="C")
