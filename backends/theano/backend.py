"""Theano as a backend: imported once its settings are written."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import Optional

from backends.api import Backend, Device, Session, Work, Workload
from backends.theano import RECIPE, flags

_CPU = Device("cpu")


class TheanoBackend(Backend):
    """Theano on the CPU: its GPUs need a library that is no longer to be had."""

    recipe = RECIPE

    def __init__(self, threads: int) -> None:
        """Write Theano's settings, then import it."""
        flags.configure(threads)
        self._sessions = import_module("backends.theano.session")
        self._peak = import_module("backends.theano.peak")

    def versions(self) -> dict[str, str]:
        """Theano's version, and those of the packages that it calls."""
        return {name: version(name) for name in ("Theano", "numpy", "scipy")}

    def devices(self) -> list[Device]:
        """The CPU."""
        return [_CPU]

    def multiply(self, size: int, device: Device, precision: str) -> Optional[Work]:
        """A product of two matrices, to measure the device by; see `Backend.multiply`."""
        work: Optional[Work] = self._peak.multiply(size, precision)
        return work

    def copy(self, size: int, device: Device) -> Work:
        """A copy in memory; see `Backend.copy`."""
        work: Work = self._peak.copy(size)
        return work

    def _session(self, workload: Workload) -> Session:
        session: Session = self._sessions.TheanoSession(workload)
        return session
