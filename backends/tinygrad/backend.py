"""tinygrad as a backend."""

from __future__ import annotations

import os
from importlib import import_module

from backends.api import Backend, Session, Workload
from backends.tinygrad import RECIPE


class TinygradBackend(Backend):
    """tinygrad on the CPU."""

    recipe = RECIPE
    packages = ("tinygrad", "numpy")

    def __init__(self, threads: int) -> None:
        """Set the number of threads, which tinygrad reads when it is imported, and import it."""
        os.environ["NUM_CPU_THREADS"] = str(threads)
        self._sessions = import_module("backends.tinygrad.session")

    def _session(self, workload: Workload) -> Session:
        session: Session = self._sessions.TinygradSession(workload)
        return session
