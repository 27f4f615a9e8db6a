"""NumPy as a backend."""

from __future__ import annotations

from typing import Optional

from backends.api import Backend, Device, Work, Workload
from backends.numpy import RECIPE, peak
from backends.numpy.session import NumpySession


class NumpyBackend(Backend):
    """NumPy, whose matrix products run in the threads of its BLAS library."""

    recipe = RECIPE
    packages = ("numpy",)

    def __init__(self, threads: int) -> None:
        """Do nothing: BLAS reads its number of threads from the environment when it is loaded."""

    def multiply(self, size: int, device: Device, precision: str) -> Optional[Work]:
        """Return a product of two matrices; see `Backend.multiply`."""
        return peak.multiply(size, precision)

    def copy(self, size: int, device: Device) -> Work:
        """Return a copy in memory; see `Backend.copy`."""
        return peak.copy(size)

    def _session(self, workload: Workload) -> NumpySession:
        return NumpySession(workload)
