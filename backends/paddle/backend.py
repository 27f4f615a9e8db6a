"""PaddlePaddle as a backend: imported once its settings are written."""

from __future__ import annotations

from importlib import import_module
from typing import Optional

from backends.api import Backend, Device, Session, Work, Workload, require
from backends.native import Defaults
from backends.paddle import RECIPE, platform

_CPU = Device("cpu")
_SESSIONS = {
    "eager": ("backends.paddle.eager", "EagerSession"),
    "static": ("backends.paddle.static", "StaticSession"),
}


class PaddleBackend(Backend):
    """PaddlePaddle on the CPU: its packages for GPUs come from an index of its own."""

    def __init__(self, threads: int) -> None:
        """Write Paddle's settings, then import it."""
        platform.configure(threads)
        self._limits = import_module("backends.paddle.limits")

    def versions(self) -> dict[str, str]:
        """Versions of Paddle and of NumPy."""
        return platform.versions()

    def devices(self) -> list[Device]:
        """The CPU."""
        return [_CPU]

    def native_defaults(self, seed: int) -> Defaults:
        """The choices of paddle.nn and paddle.optimizer."""
        defaults: Defaults = import_module("backends.paddle.native").paddle_defaults(seed)
        return defaults

    def multiply(self, size: int, device: Device, precision: str) -> Optional[Work]:
        """A product of two matrices, to measure the device by; see `Backend.multiply`."""
        work: Optional[Work] = self._limits.multiplication(size, precision)
        return work

    def copy(self, size: int, device: Device) -> Work:
        """A copy in memory; see `Backend.copy`."""
        work: Work = self._limits.copying(size)
        return work

    def is_out_of_memory(self, error: Exception) -> bool:
        """Whether the error says that memory ran out."""
        return super().is_out_of_memory(error) or platform.is_out_of_memory(error)

    def session(self, workload: Workload) -> Session:
        """Lower the model and place weights and data; see `Backend.session`."""
        require(RECIPE.title, "device", workload.device.name, [_CPU.name])
        require(RECIPE.title, "mode", workload.mode, RECIPE.modes)
        require(RECIPE.title, "input", workload.input, RECIPE.inputs)
        require(RECIPE.title, "precision on cpu", workload.precision, RECIPE.precisions)
        module, name = _SESSIONS[workload.mode]
        session: Session = getattr(import_module(module), name)(workload)
        return session
