"""MLX as a backend: imported once the library that it calls is there."""

from __future__ import annotations

import shutil
from contextlib import suppress
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Optional

from backends.api import Backend, Device, Session, Unsupported, Work, Workload, require
from backends.mlx import RECIPE, blas
from backends.native import Defaults

_CPU = Device("cpu")


class MlxBackend(Backend):
    """MLX on the CPU; its GPUs are left out, since there was none to try them on."""

    def __init__(self, threads: int) -> None:
        """Load OpenBLAS where it is installed, and import MLX; the rest of MLX has one thread."""
        self._openblas = blas.load(threads)
        self._sessions = import_module("backends.mlx.session")
        self._limits = import_module("backends.mlx.limits")
        self._native = import_module("backends.mlx.native")

    def versions(self) -> dict[str, str]:
        """Versions of MLX, of its part for a CPU, and of OpenBLAS where that is what it calls."""
        known = {"mlx": version("mlx")}
        with suppress(PackageNotFoundError):  # elsewhere than on Linux it is in mlx itself
            known["mlx-cpu"] = version("mlx-cpu")
        return {**known, "openblas": self._openblas} if self._openblas else known

    def devices(self) -> list[Device]:
        """The CPU."""
        return [_CPU]

    def native_defaults(self, seed: int) -> Defaults:
        """The choices of mlx.nn and mlx.optimizers."""
        defaults: Defaults = self._native.mlx_defaults(seed)
        return defaults

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
        if workload.mode == "compile" and shutil.which("g++") is None:
            raise Unsupported(
                "mode compile: on a CPU, mx.compile calls g++ and there is none; install g++"
            )
        session: Session = self._sessions.MlxSession(workload)
        return session
