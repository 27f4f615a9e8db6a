"""tinygrad as a backend: imported once its number of threads is set."""

from __future__ import annotations

import os
from importlib import import_module
from importlib.metadata import version

from backends.api import Backend, Device, Session, Workload, require
from backends.tinygrad import RECIPE

_CPU = Device("cpu")


class TinygradBackend(Backend):
    """tinygrad on the CPU."""

    def __init__(self, threads: int) -> None:
        """Set the threads, which tinygrad reads while it is imported, and import it."""
        os.environ["NUM_CPU_THREADS"] = str(threads)
        self._sessions = import_module("backends.tinygrad.session")

    def versions(self) -> dict[str, str]:
        """The version of tinygrad, and NumPy's."""
        return {name: version(name) for name in ("tinygrad", "numpy")}

    def devices(self) -> list[Device]:
        """The CPU."""
        return [_CPU]

    def session(self, workload: Workload) -> Session:
        """Lower the model and place weights and data; see `Backend.session`."""
        require(RECIPE.title, "device", workload.device.name, [_CPU.name])
        require(RECIPE.title, "mode", workload.mode, RECIPE.modes)
        require(RECIPE.title, "input", workload.input, RECIPE.inputs)
        require(RECIPE.title, "precision on cpu", workload.precision, RECIPE.precisions)
        session: Session = self._sessions.TinygradSession(workload)
        return session
