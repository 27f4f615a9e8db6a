"""PyTensor as a backend: imported once its settings are written."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import Optional

from backends.api import Backend, Device, Session, Work, Workload, require
from backends.pytensor import RECIPE, flags

_CPU = Device("cpu")


class PyTensorBackend(Backend):
    """PyTensor on the CPU."""

    def __init__(self, threads: int) -> None:
        """Write PyTensor's settings, then import it."""
        flags.configure(threads)
        self._sessions = import_module("backends.pytensor.session")
        self._limits = import_module("backends.pytensor.limits")

    def versions(self) -> dict[str, str]:
        """PyTensor's version, and those of the packages that it calls."""
        return {name: version(name) for name in ("pytensor", "numba", "numpy", "scipy")}

    def devices(self) -> list[Device]:
        """The CPU."""
        return [_CPU]

    def multiply(self, size: int, device: Device, precision: str) -> Optional[Work]:
        """A product of two matrices, to measure the device by; see `Backend.multiply`."""
        work: Optional[Work] = self._limits.multiplication(size, precision)
        return work

    def copy(self, size: int, device: Device) -> Work:
        """A copy in memory; see `Backend.copy`."""
        work: Work = self._limits.copying(size)
        return work

    def session(self, workload: Workload) -> Session:
        """Lower the model and place weights and data; see `Backend.session`."""
        require(RECIPE.title, "device", workload.device.name, [_CPU.name])
        require(RECIPE.title, "mode", workload.mode, RECIPE.modes)
        require(RECIPE.title, "input", workload.input, RECIPE.inputs)
        require(RECIPE.title, "precision on cpu", workload.precision, RECIPE.precisions)
        session: Session = self._sessions.PyTensorSession(workload)
        return session
