"""tinygrad as a backend."""

from __future__ import annotations

import os
from importlib import import_module
from importlib.metadata import version

from backends.api import Backend, Device, Session, Workload
from backends.tinygrad import RECIPE


class TinygradBackend(Backend):
    """tinygrad on the CPU."""

    recipe = RECIPE

    def __init__(self, threads: int) -> None:
        """Set the number of threads, which tinygrad reads when it is imported, and import it."""
        os.environ["NUM_CPU_THREADS"] = str(threads)
        self._sessions = import_module("backends.tinygrad.session")

    def versions(self) -> dict[str, str]:
        """Return the versions of tinygrad and NumPy."""
        return {name: version(name) for name in ("tinygrad", "numpy")}

    def devices(self) -> list[Device]:
        """Return the CPU."""
        return [Device("cpu")]

    def _session(self, workload: Workload) -> Session:
        session: Session = self._sessions.TinygradSession(workload)
        return session
