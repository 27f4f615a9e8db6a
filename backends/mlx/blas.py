"""OpenBLAS in the place of the BLAS that MLX's wheel for Linux holds.

That is the reference BLAS, which has one thread and no vector instructions: a product of matrices
took 13 times as long. MLX built as its documentation has it calls the system's OpenBLAS.
"""

from __future__ import annotations

import ctypes
import sys
from ctypes.util import find_library
from typing import Optional


def load(threads: int) -> Optional[str]:
    """Put the system's OpenBLAS before any other BLAS; call it before MLX is imported.

    Args:
        threads: how many OpenBLAS is to use.

    Returns:
        Its version; None where there is none, or where MLX calls another library.
    """
    name = find_library("openblas") if sys.platform == "linux" else None
    if name is None:
        return None
    # The names of what is loaded for all to see are found before those in a wheel's libraries.
    library = ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
    library.openblas_set_num_threads(threads)
    library.openblas_get_config.restype = ctypes.c_char_p
    return str(library.openblas_get_config().decode().split()[1])
