"""PaddlePaddle as a backend."""

from __future__ import annotations

import os
import warnings
from importlib import import_module
from pathlib import Path
from typing import Optional

from backends.api import Backend, Device, Session, Work, Workload
from backends.native import Defaults
from backends.paddle import RECIPE

_OUT_OF_MEMORY = ("ResourceExhaustedError", "ResourceExhausted", "Out of memory", "bad_alloc")


class PaddleBackend(Backend):
    """PaddlePaddle on the CPU: its GPU packages are not on PyPI."""

    recipe = RECIPE
    packages = ("paddlepaddle", "numpy")

    def __init__(self, threads: int) -> None:
        """Write Paddle's settings, then import it."""
        _import_paddle(threads)
        self._sessions = import_module("backends.paddle.session")
        self._peak = import_module("backends.paddle.peak")
        self._native = import_module("backends.paddle.native")

    def native_defaults(self, seed: int) -> Defaults:
        """Return the default choices of paddle.nn and paddle.optimizer."""
        defaults: Defaults = self._native.paddle_defaults(seed)
        return defaults

    def multiply(self, size: int, device: Device, precision: str) -> Optional[Work]:
        """Return a product of two matrices; see `Backend.multiply`."""
        work: Optional[Work] = self._peak.multiply(size, precision)
        return work

    def copy(self, size: int, device: Device) -> Work:
        """Return a copy in memory; see `Backend.copy`."""
        work: Work = self._peak.copy(size)
        return work

    def is_out_of_memory(self, error: Exception) -> bool:
        """Return whether the error means that memory ran out."""
        text = str(error)
        return super().is_out_of_memory(error) or any(part in text for part in _OUT_OF_MEMORY)

    def _session(self, workload: Workload) -> Session:
        session: Session = self._sessions.SESSIONS[workload.mode](workload)
        return session


def _import_paddle(threads: int) -> None:
    """Write the environment variables that Paddle reads when it is imported, and import it."""
    os.environ.update(FLAGS_paddle_num_threads=str(threads))  # of one operation
    # A chain of layers has no operations to run at once: handing each one to the executor's own
    # threads takes a quarter of the smallest models' time.
    os.environ.setdefault("FLAGS_new_executor_serial_run", "1")
    if _is_amd():
        # Paddle contains an Intel library of 2019, which takes its slowest path on processors of
        # other vendors. With 5 (AVX2), a matrix product takes a third of the time.
        os.environ.setdefault("MKL_DEBUG_CPU_TYPE", "5")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="No ccache found")  # nothing is compiled here
        paddle = import_module("paddle")
    paddle.set_device("cpu")


def _is_amd() -> bool:
    try:
        return "AuthenticAMD" in Path("/proc/cpuinfo").read_text()
    except OSError:  # not Linux
        return False
