"""MLX as a backend."""

from __future__ import annotations

import ctypes
import shutil
import sys
from contextlib import suppress
from ctypes.util import find_library
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Optional

from backends.api import Backend, Device, Session, Unsupported, Work, Workload
from backends.mlx import RECIPE
from backends.native import Defaults


class MlxBackend(Backend):
    """MLX on the CPU. GPUs are not supported: there was none to test them on."""

    recipe = RECIPE

    def __init__(self, threads: int) -> None:
        """Load OpenBLAS where it is installed, then import MLX; the rest of MLX has one thread."""
        self._openblas = _load_openblas(threads)
        self._sessions = import_module("backends.mlx.session")
        self._peak = import_module("backends.mlx.peak")
        self._native = import_module("backends.mlx.native")

    def versions(self) -> dict[str, str]:
        """Return the versions of MLX, of its CPU part, and of OpenBLAS where MLX calls it."""
        known = {"mlx": version("mlx")}
        with suppress(PackageNotFoundError):  # only Linux has a separate package
            known["mlx-cpu"] = version("mlx-cpu")
        return {**known, "openblas": self._openblas} if self._openblas else known

    def native_defaults(self, seed: int) -> Defaults:
        """Return the default choices of mlx.nn and mlx.optimizers."""
        defaults: Defaults = self._native.mlx_defaults(seed)
        return defaults

    def multiply(self, size: int, device: Device, precision: str) -> Optional[Work]:
        """Return a product of two matrices; see `Backend.multiply`."""
        work: Optional[Work] = self._peak.multiply(size, precision)
        return work

    def copy(self, size: int, device: Device) -> Work:
        """Return a copy in memory; see `Backend.copy`."""
        work: Work = self._peak.copy(size)
        return work

    def _session(self, workload: Workload) -> Session:
        if workload.mode == "compile" and shutil.which("g++") is None:
            raise Unsupported("mode compile needs g++, which mx.compile calls on a CPU; install it")
        session: Session = self._sessions.MlxSession(workload)
        return session


def _load_openblas(threads: int) -> Optional[str]:
    """Make MLX call the system's OpenBLAS; must run before MLX is imported.

    MLX's Linux wheel contains the reference BLAS, which has one thread and no vector instructions:
    a matrix product took 13 times as long. MLX built from source calls the system's OpenBLAS.

    Returns:
        Its version; None where it is not installed or MLX calls another library.
    """
    name = find_library("openblas") if sys.platform == "linux" else None
    if name is None:
        return None
    # Symbols of globally loaded libraries take precedence over those of a wheel's libraries.
    library = ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
    library.openblas_set_num_threads(threads)
    library.openblas_get_config.restype = ctypes.c_char_p
    return str(library.openblas_get_config().decode().split()[1])
